/* matcher.h: conditions on labels, as Prometheus' and Loki's selectors have them. */
#ifndef STORE_MATCHER_H
#define STORE_MATCHER_H

#include "base/labels.h"
#include "base/regex.h"

enum match_op { MATCH_EQ, MATCH_NE, MATCH_RE, MATCH_NRE };

struct matcher {
    enum match_op op;
    struct str name, value;
    struct regex *re; /* of RE and NRE: fully anchored */
};

/* name and value are not copied. ERR_PARSE when the regular expression is not one. */
int matcher_init(struct matcher *m, struct arena *a, enum match_op op, struct str name, struct str value,
                 struct err *e);
/* A label that is absent is the empty string. Thread-safe. */
bool matcher_match(const struct matcher *m, struct str value);
bool matchers_match(const struct matcher *m, size_t n, struct labels l);

#endif
