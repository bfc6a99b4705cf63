/* cel-internal.h: between the compiler (cel.c) and the evaluator (cel_evaluate.c). */
#ifndef MESH_CEL_INTERNAL_H
#define MESH_CEL_INTERNAL_H

#include "base/regex.h"
#include "mesh/cel.h"

enum cel_op {
    CEL_OP_LITERAL, CEL_OP_ATTRIBUTE,
    CEL_OP_MAP,     /* of itself only to the right of `in`, and in front of an index */
    CEL_OP_HEADER,  /* arg[0]: the name */
    CEL_OP_LIST,    /* to the right of `in` only */
    CEL_OP_NOT, CEL_OP_NEGATE, CEL_OP_AND, CEL_OP_OR, CEL_OP_EQ, CEL_OP_NE, CEL_OP_LT, CEL_OP_LE, CEL_OP_GT, CEL_OP_GE,
    CEL_OP_IN, CEL_OP_ADD, CEL_OP_TERNARY, CEL_OP_DEFAULT, CEL_OP_HAS, CEL_OP_STRING, CEL_OP_INT, CEL_OP_SIZE,
    CEL_OP_CONTAINS, CEL_OP_STARTS_WITH, CEL_OP_ENDS_WITH, CEL_OP_MATCHES
};

struct cel_node {
    enum cel_op op;
    enum cel_kind kind;         /* of its value; NONE: not known before */
    struct cel_value literal;
    enum cel_attribute attribute;
    enum cel_map map;
    const struct regex *regex;  /* MATCHES */
    const struct cel_node **arg;
    size_t n;
};

struct cel {
    const struct cel_node *root;
    const struct cel_node **nodes; /* all of them */
    size_t n;
};

#endif
