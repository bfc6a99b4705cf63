/* jwt_places-internal.h: where requests show tokens. */
#ifndef PROXY_JWT_PLACES_INTERNAL_H
#define PROXY_JWT_PLACES_INTERNAL_H

#include "proxy/jwt_auth.h"

/* A token as it was found. Two rules may find the same one. */
struct jwt_found {
    struct str text;
    enum jwt_place_kind kind;
    struct str name; /* of the header, query parameter or cookie */
};

enum { JWT_MOST_FOUND = 8 }; /* by one rule in one request */

/* Looks in all of a rule's places. Returns how many tokens there are; -1: more than JWT_MOST_FOUND; -2: no memory. */
int jwt_look(const struct jwt_rule *r, struct arena *a, const struct header_source *headers, struct str target,
             struct jwt_found found[JWT_MOST_FOUND]);

/* The target without a query parameter; p NULL: no memory. */
struct str jwt_without_param(struct arena *a, struct str target, struct str name);

#endif
