/* base64-internal.h: bytes as protobuf's JSON and Kubernetes' Secrets write them (RFC 4648, section 4). */
#ifndef MESH_BASE64_INTERNAL_H
#define MESH_BASE64_INTERNAL_H

#include "base/arena.h"

#include <stdbool.h>

/* Decodes into `a`; line ends are passed over, padding may be left out. False when `s` is no base64. out->p is NULL
 * when memory is short. */
bool base64_decode(struct arena *a, struct str s, struct str *out);

#endif
