/* names-internal.h: what may be a name, a label or a host. */
#ifndef MESH_NAMES_INTERNAL_H
#define MESH_NAMES_INTERNAL_H

#include "base/arena.h"

/* [a-z0-9]([-a-z0-9]*[a-z0-9])?, at most 63 bytes: namespaces, services. */
bool name_is_label(struct str s);
/* Such labels joined by dots, at most 253 bytes: the names of most objects. */
bool name_is_subdomain(struct str s);
/* A label's value: at most 63 of letters, digits, -_. ; letters or digits at both ends, or empty. */
bool name_is_label_value(struct str s);
/* A label's key: such a non-empty name, perhaps behind PREFIX/ with a subdomain. */
bool name_is_label_key(struct str s);
/* A header's name (RFC 9110's token), perhaps with a colon before it. */
bool name_is_header(struct str s);

/* A host name in any case, perhaps beginning with "*" ("*.example.com", "*"), or an IPv4 or IPv6 address. */
bool host_is_valid(struct str s);
bool host_is_ip(struct str s);
/* IPv4 to a number; false when it is none. */
bool host_ipv4(struct str s, uint32_t *ip);
/* "10.1.0.0/16", or an address alone: its net and mask. */
bool host_net(struct str s, uint32_t *net, uint32_t *mask);
/* "10.1.0.0/16", "2001:db8::/32", or an address alone: its first bits of 128, IPv4 as ::ffff:a.b.c.d. */
bool net_parse(struct str s, uint8_t ip[16], uint8_t *bits);

#endif
