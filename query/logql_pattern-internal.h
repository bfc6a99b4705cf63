/* logql_pattern-internal.h: patterns: literal text with captures: `<ip> - <_> "<method> <path>"`. */
#ifndef QUERY_LOGQL_PATTERN_INTERNAL_H
#define QUERY_LOGQL_PATTERN_INTERNAL_H

#include "base/arena.h"
#include "base/err.h"

#include <stdbool.h>

struct pattern_part {
    bool is_capture;
    struct str text; /* the literal; the capture's name, empty for <_> */
};

struct pattern {
    struct str text;
    struct pattern_part *parts; /* never two captures or two literals side by side */
    size_t n;
};

/* `named`: of a parser, which has a name at least; else only <_> may stand there. NULL: ERR_PARSE, ERR_NOMEM. */
struct pattern *pattern_parse(struct arena *a, struct str text, bool named, struct err *e);
/* Whether the pattern stands for the whole line; each capture takes one byte at least. */
bool pattern_test(const struct pattern *p, struct str line);
/* values[i] becomes what part i has captured. Returns how many parts were gone through: where a literal is missing the
 * capture before it takes the rest of the line, and nothing comes after it. */
size_t pattern_capture(const struct pattern *p, struct str line, struct str *values);

#endif
