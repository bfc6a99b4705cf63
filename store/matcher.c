#include "store/matcher.h"

int matcher_init(struct matcher *m, struct arena *a, enum match_op op, struct str name, struct str value,
                 struct err *e)
{
    *m = (struct matcher){ op, name, value, NULL };
    if (op == MATCH_EQ || op == MATCH_NE)
        return 0;
    m->re = regex_compile(a, value, REGEX_FULL | REGEX_DOTALL, e);
    return m->re ? 0 : ERR_PARSE;
}

bool matcher_match(const struct matcher *m, struct str value)
{
    switch (m->op) {
    case MATCH_EQ:
        return str_eq(m->value, value);
    case MATCH_NE:
        return !str_eq(m->value, value);
    case MATCH_RE:
        return regex_match(m->re, value);
    case MATCH_NRE:
        return !regex_match(m->re, value);
    }
    return false;
}

bool matchers_match(const struct matcher *m, size_t n, struct labels l)
{
    for (size_t i = 0; i < n; i++)
        if (!matcher_match(&m[i], labels_get(l, m[i].name)))
            return false;
    return true;
}
