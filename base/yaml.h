/* yaml.h: YAML and JSON text to trees, with the place of every node.
 *
 * Bounded in bytes, levels and nodes; strings and nodes live in the arena. */
#ifndef BASE_YAML_H
#define BASE_YAML_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>

enum {
    YAML_MOST_BYTES = 8 << 20,
    YAML_MOST_LEVELS = 64,
    YAML_MOST_NODES = 1000000, /* of one stream */
    YAML_MOST_EXPANDED = 10000 /* nodes that aliases stand for, of one stream */
};

enum yaml_kind { YAML_NULL, YAML_BOOL, YAML_NUMBER, YAML_STRING, YAML_LIST, YAML_MAP };

/* A node of a document; a scalar's kind follows YAML 1.2's core schema: on, off, yes, no are strings. But 0644 is
 * octal, as kubectl reads it. */
struct yaml_node {
    enum yaml_kind kind;
    int line, column;
    struct str text;              /* scalars: as written, unquoted */
    double number;                /* YAML_NUMBER */
    bool boolean;                 /* YAML_BOOL */
    struct str key;               /* when it is a map's member */
    struct yaml_node *items;      /* LIST and MAP: n of them, in the order of the text */
    size_t n;
};

struct yaml_documents {
    struct yaml_node *v;
    size_t n, cap;
};

/* Told of each error, in the order of the text; line and column from 1, 0: the text as a whole. A negative result
 * (ERR_NOMEM) ends the reading. */
struct yaml_errors {
    int (*tell)(void *arg, int line, int column, const char *message);
    void *arg;
};

/* Appends the documents of a stream that have no error; what is wrong with the others is told. 0 or ERR_NOMEM. */
int yaml_read(struct arena *a, struct str text, struct yaml_documents *out, const struct yaml_errors *errors);
/* One document, or none: then *root is NULL, as for an empty file. ERR_PARSE with "file:line: what", ERR_NOMEM. */
int yaml_read_one(struct arena *a, const char *file, struct str text, const struct yaml_node **root, struct err *e);

/* What an unquoted scalar is by the core schema: sets kind, number and boolean of `n` from its text. */
void yaml_resolve(struct yaml_node *n);

/* NULL when the map has no such member (or is no map; NULL is accepted). */
const struct yaml_node *yaml_get(const struct yaml_node *map, const char *key);
/* "spec.template.metadata" */
const struct yaml_node *yaml_path(const struct yaml_node *node, const char *path);
struct str yaml_text(const struct yaml_node *node); /* of a scalar; STR_NULL otherwise */
/* A copy of `root`, a map, in which the member at `path` is the string `text`; maps on the way are made where they are
 * missing, all else is shared. NULL: no memory, or something on the way is no map. The text is not copied. */
struct yaml_node *yaml_with(struct arena *a, const struct yaml_node *root, const char *path, struct str text);

#endif
