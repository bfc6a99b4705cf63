/* conf-internal.h: maps of a YAML file to structs, by tables: one row per key.
 *
 * Errors read "FILE:LINE: KEY: what is wrong and what would be right". */
#ifndef COLLECTOR_CONF_INTERNAL_H
#define COLLECTOR_CONF_INTERNAL_H

#include "base/yaml.h"

#include <stdint.h>

enum conf_type {
    CONF_TEXT,     /* struct str, and a NUL behind it */
    CONF_BOOL,     /* bool */
    CONF_DURATION, /* int64_t ms, Prometheus' form */
    CONF_SIZE,     /* uint64_t bytes: 10MB, 512KiB, by 1024 */
    CONF_COUNT,    /* uint64_t */
    CONF_TEXTS,    /* struct conf_texts */
    CONF_NODE,     /* const struct yaml_node *: the caller reads it */
    CONF_IGNORED   /* known, and of no meaning here */
};

struct conf_texts {
    struct str *v;
    size_t n;
};

struct conf_field {
    const char *key;
    enum conf_type type;
    size_t offset; /* in the struct */
};

struct conf {
    const char *file;
    struct arena *arena; /* of all that is read */
};

/* Sets what the map says and leaves the rest as it is; a null value says nothing. A key that has no row is
 * ERR_INVALID. `map` NULL or null: nothing to do. */
int conf_read(const struct conf *c, const struct yaml_node *map, const struct conf_field *fields, size_t n, void *to,
              struct err *e);
/* A list of scalars; one scalar is no list. */
int conf_texts(const struct conf *c, const struct yaml_node *node, struct conf_texts *out, struct err *e);
/* The node when it is a list; NULL (and no error) when it is missing or null. */
int conf_list(const struct conf *c, const struct yaml_node *node, const struct yaml_node **list, struct err *e);
/* A number for what the tree says, whatever its places: two that differ say something else. Begins with `h`. */
uint64_t conf_fingerprint(const struct yaml_node *node, uint64_t h);
uint64_t conf_mix(uint64_t h, uint64_t v);
/* Sets `e` with the place of `node`; returns ERR_INVALID. */
int conf_fail(const struct conf *c, const struct yaml_node *node, struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#endif
