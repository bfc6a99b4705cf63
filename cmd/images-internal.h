/* images-internal.h: what to run for a container image where there are no containers. */
#ifndef CMD_IMAGES_INTERNAL_H
#define CMD_IMAGES_INTERNAL_H

#include "base/arena.h"
#include "base/err.h"

#include <stdbool.h>

struct image {
    struct str name;
    bool gateway;             /* vigla-proxy as a gateway */
    const struct str *words;  /* the command line, with ${NAME} in it */
    size_t n;
};

struct images {
    struct arena arena;
    struct image *v;
    size_t n;
};

#define IMAGES_INIT { ARENA_INIT(4 << 20), NULL, 0 }

/* Reads the map: `images:`, below it a member for each image with `command: [word, ...]` or `gateway: true`.
 * ERR_NOTFOUND, ERR_PARSE and ERR_INVALID name file and line. */
int images_read(struct images *im, const char *path, struct err *e);
/* By the exact name; a tag in the map must match, a map entry without one stands for every tag. NULL: none. */
const struct image *images_find(const struct images *im, struct str name);
void images_free(struct images *im);

#endif
