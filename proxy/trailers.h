/* trailers.h: fields behind a body (RFC 9110 6.5): which may be passed on, and how they are announced.
 *
 * Whoever receives them may merge them into the head, after everything there has been checked. So what says where a
 * message ends, where it goes, who sends it or how it is to be read has no place among them (RFC 9110 6.5.1), nor has
 * what proxies say about a request's way: such fields are left out, the others go on. */
#ifndef PROXY_TRAILERS_H
#define PROXY_TRAILERS_H

#include "proxy/fields.h"

/* Adds one that may be passed on; others are left out. */
void trailers_add(struct fields *f, struct str name, struct str value);
/* Those of HTTP/2, which come as a head. */
void trailers_from_head(struct fields *f, const struct http_head *h);
/* Those of HTTP/1, as http1_body keeps them: "Name: value\n" each. Views of `lines`. */
void trailers_from_lines(struct fields *f, struct str lines);
/* Whether a request says that trailers of its answer will not be thrown away: "TE: trailers" (RFC 9110 10.1.4). */
bool trailers_wanted(const struct http_head *h);

#endif
