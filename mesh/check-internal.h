/* check-internal.h: typed reading of an object's tree, driven by tables.
 *
 * A struct of ours describes a message of Istio's API; a table names its fields and where they go. check_message reads
 * the tree into the struct and reports, all at once and each with its place, what has the wrong type, is out of range,
 * is missing or is unknown; the message's own `check` then looks at what only code can say (one of two, the sum of
 * weights). As in protobuf's JSON a field may be written in camelCase or snake_case, and null is as good as absent. */
#ifndef MESH_CHECK_INTERNAL_H
#define MESH_CHECK_INTERNAL_H

#include "mesh/object.h"
#include "mesh/sticky-internal.h"

#include <stddef.h>
#include <stdint.h>

/* Where the reading of one object stands. */
struct check {
    struct arena *arena;
    struct mesh_problems *problems;
    const struct mesh_object *object;
    bool nomem; /* sticks: whoever reads asks once at the end */
};

enum field_type {
    FIELD_STRING,    /* struct str */
    FIELD_BOOL,      /* bool */
    FIELD_INT,       /* int64_t, of 32 bits */
    FIELD_COUNT,     /* uint32_t */
    FIELD_PORT,      /* uint32_t, 1 to 65535 */
    FIELD_NUMBER,    /* double */
    FIELD_DURATION,  /* int64_t, ms; whole ms, not negative */
    FIELD_ENUM,      /* int: index into `of`, a NULL-terminated list of words */
    FIELD_STRINGS,   /* LIST_OF(struct str) */
    FIELD_COUNTS,    /* LIST_OF(uint32_t) */
    FIELD_NUMBERS,   /* LIST_OF(struct named_number): a map of counts */
    FIELD_PAIRS,     /* LIST_OF(struct label): a map of strings in the order of the text */
    FIELD_LABELS,    /* struct labels */
    FIELD_MESSAGE,   /* pointer, NULL when absent; `of` is its struct message */
    FIELD_MESSAGES,  /* LIST_OF(the message) */
    FIELD_MAP,       /* LIST_OF(the message): a map of them; a key is `at->key` */
    FIELD_ANY        /* const struct yaml_node *: not looked into */
};

#define LIST_OF(type)                                                                                                  \
    struct {                                                                                                           \
        type *v;                                                                                                       \
        size_t n;                                                                                                      \
    }

struct field {
    const char *name; /* camelCase; END_OF_FIELDS has none */
    enum field_type type;
    size_t offset;
    const void *of;
    bool required;
};

#define FIELD(type, message, member, name)        { name, FIELD_##type, offsetof(struct message, member), NULL, false }
#define FIELD_OF(type, message, member, name, of) { name, FIELD_##type, offsetof(struct message, member), of, false }
#define REQUIRED(type, message, member, name)     { name, FIELD_##type, offsetof(struct message, member), NULL, true }
#define REQUIRED_OF(type, message, member, name, of) { name, FIELD_##type, offsetof(struct message, member), of, true }

#define END_OF_FIELDS { NULL, FIELD_ANY, 0, NULL, false }

/* A member of a map of counts. */
struct named_number {
    const struct yaml_node *at; /* its name is at->key */
    uint32_t value;
};

/* What is done with members that the table does not name. */
enum message_rest {
    MESSAGE_CLOSED,  /* they are errors */
    MESSAGE_OPEN,    /* they are let pass: Kubernetes' kinds, of which we read a part */
    MESSAGE_FOREIGN  /* they are told not to be applied: Envoy's own messages, likewise */
};

/* Every message's struct begins with `const struct yaml_node *at`, its place. */
struct message {
    size_t size;
    const struct field *fields;
    enum message_rest rest;
    void (*check)(struct check *c, void *message);
};

void check_init(struct check *c, struct arena *a, struct mesh_problems *p, const struct mesh_object *o);
/* Reads `at`, a map, into `to` (m->size bytes, zeroed). */
void check_message(struct check *c, const struct message *m, const struct yaml_node *at, void *to);
/* A new message read from `at`; NULL when `at` is absent, no map, or on c->nomem. */
void *check_new(struct check *c, const struct message *m, const struct yaml_node *at);

/* The member by its name or its snake_case form; NULL when absent or null. */
const struct yaml_node *check_get(const struct yaml_node *map, const char *name);

/* A problem at `at`, or, when `member` is not NULL, at that member of it, which may be absent. */
void check_error(struct check *c, const struct yaml_node *at, const char *member, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void check_warn(struct check *c, const struct yaml_node *at, const char *member, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void check_info(struct check *c, const struct yaml_node *at, const char *member, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* How many of the members are there; more than `most` or less than `least` is an error that names them. */
size_t check_count_of(struct check *c, const struct yaml_node *at, size_t least, size_t most, const char *const *names);

#define check_alloc(c, n, size) sticky_alloc((c)->arena, &(c)->nomem, (n), (size))
#define check_printf(c, ...)    sticky_printf((c)->arena, &(c)->nomem, __VA_ARGS__)

#endif
