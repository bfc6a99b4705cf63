/* logql_function-internal.h: values in templates, and the functions over them. */
#ifndef QUERY_LOGQL_FUNCTION_INTERNAL_H
#define QUERY_LOGQL_FUNCTION_INTERNAL_H

#include "query/logql_template-internal.h"

enum value_type { VALUE_TEXT, VALUE_INT, VALUE_FLOAT, VALUE_BOOL, VALUE_TIME };

struct value {
    enum value_type type;
    struct str s;
    int64_t i; /* of INT, BOOL; of TIME ns since the epoch */
    double f;
};

/* A function's call under way. */
struct template_call {
    const struct template_row *row;
    const struct regex *re;   /* of the first argument, where the function takes a regular expression */
    struct str pattern;
    struct err *e;
    struct value *args;
    size_t n;
};

enum { FUNCTION_MOST_TEXT = 1 << 20, FUNCTION_MOST_ARGUMENTS = 16 };

struct template_function {
    struct str name;
    uint8_t min, max;
    bool regex; /* its first argument is a regular expression, which must stand in the template itself */
    /* 0; ERR_INVALID with c->e set; ERR_NOMEM. */
    int (*run)(const struct template_call *c, struct value *out);
};

/* NULL: none of that name. */
const struct template_function *template_function(struct str name);

struct str value_text(const struct value *v, struct arena *a); /* p NULL: no memory */
bool value_true(const struct value *v); /* not empty, not zero */
/* As a number, texts too; false: it is none. */
bool value_int(const struct value *v, int64_t *i);
bool value_float(const struct value *v, double *f);

/* logql_functions_text.c, logql_functions_number.c */
extern const struct template_function text_functions[], number_functions[];
extern const size_t text_functions_n, number_functions_n;

#endif
