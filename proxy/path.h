/* path.h: one spelling for each path, before routes and policies look at it and before it goes upstream.
 *
 * The four ways are Istio's meshConfig.pathNormalization
 * (istio.io/latest/docs/reference/config/security/normalization); BASE is its default. */
#ifndef PROXY_PATH_H
#define PROXY_PATH_H

#include "base/arena.h"
#include "base/err.h"

enum path_normalization {
    PATH_NONE,                   /* as it came, without a fragment */
    PATH_BASE,                   /* backslashes, escapes of unreserved characters, dot segments */
    PATH_MERGE_SLASHES,          /* and then one slash for several */
    PATH_DECODE_AND_MERGE_SLASHES /* and %2F and %5C are slashes, first of all */
};

/* *out: the target "/path?query" in its one spelling; a view of `target` where it has that already, else in `a`. The
 * query stays as it is. Normalising twice is as once. "*" (OPTIONS) is left alone.
 * ERR_INVALID: to be answered with 400 (a NUL, escaped or not); ERR_NOMEM. */
int path_normalize(struct arena *a, enum path_normalization how, struct str target, struct str *out);

#endif
