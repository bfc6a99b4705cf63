/* index_match.c: matchers over pairs instead of texts.
 *
 * A value that is compared becomes a pair's number. A regular expression is tried for a pair when a series with it
 * comes up, and its answer kept. Those that dashboards write most need no trying: a|b|c is looked up, .* and .+ hold
 * for every value there is. */
#include "store/index_match-internal.h"

enum { UNKNOWN, NO, YES };

/* How many a|b|c are; 0 when the pattern is something else. */
static size_t alternatives(struct str pattern)
{
    static const char special[] = ".*+?()[]{}^$";
    size_t n = 1;

    for (size_t i = 0; i < pattern.n; i++) {
        char c = pattern.p[i];

        if (c == '\\') { /* only what stands for itself */
            i++;
            if (i == pattern.n || !strchr(".-/+*?()[]{}^$|", pattern.p[i]) || !pattern.p[i])
                return 0;
        } else if (strchr(special, c)) { /* also NUL */
            return 0;
        }
        n += c == '|';
    }
    return n;
}

/* Takes the first alternative off the pattern, unescaped into `to`. */
static struct str take_alternative(struct str *pattern, char *to)
{
    struct str one = { to, 0 };
    size_t i = 0;

    for (; i < pattern->n && pattern->p[i] != '|'; i++) {
        if (pattern->p[i] == '\\')
            i++;
        to[one.n++] = pattern->p[i];
    }
    *pattern = i < pattern->n ? str_from(*pattern, i + 1) : STR_NULL;
    return one;
}

static void look_up(struct condition *c, struct str pattern, size_t n, char *scratch)
{
    const struct name *nm = &c->texts->names[c->name];
    bool positive = c->m->op == MATCH_RE;

    memset(c->answers, positive ? NO : YES, nm->npairs);
    c->estimate = 0;
    while (n--) {
        uint32_t pair = pair_find(c->texts, c->name, take_alternative(&pattern, scratch));

        if (!pair)
            continue;
        c->answers[pair_at(c->texts, pair)->local] = positive ? YES : NO;
        c->estimate += pair_at(c->texts, pair)->uses;
    }
}

static int prepare_regex(struct condition *c, const struct series_index *ix, struct arena *a)
{
    const struct name *nm = &c->texts->names[c->name];
    struct str pattern = c->m->value;
    size_t n = alternatives(pattern);
    char *scratch;

    c->answers = arena_zalloc(a, nm->npairs);
    if (!c->answers)
        return ERR_NOMEM;
    if (str_eqz(pattern, ".*") || str_eqz(pattern, ".+"))
        memset(c->answers, c->m->op == MATCH_RE ? YES : NO, nm->npairs);
    c->always = c->empty && str_eqz(pattern, ".*"); /* what a dashboard means by "all" */
    if (n == 0)
        return 0;
    scratch = arena_alloc(a, pattern.n);
    if (!scratch)
        return ERR_NOMEM;
    look_up(c, pattern, n, scratch);
    if (c->empty || c->m->op == MATCH_NRE)
        c->estimate = ix->count;
    return 0;
}

int condition_init(struct condition *c, const struct series_index *ix, const struct matcher *m, struct arena *a)
{
    *c = (struct condition){ .m = m, .texts = &ix->texts, .empty = matcher_match(m, STR_NULL), .estimate = ix->count };
    c->name = name_find(c->texts, m->name);
    if (!c->name) {
        c->always = c->empty;
        c->estimate = c->empty ? ix->count : 0;
        return 0;
    }
    if (m->op == MATCH_RE || m->op == MATCH_NRE)
        return prepare_regex(c, ix, a);
    c->only = m->value.n ? pair_find(c->texts, c->name, m->value) : 0;
    if (m->value.n && !c->only)
        c->only = UINT32_MAX;
    if (m->op == MATCH_EQ && m->value.n)
        c->estimate = c->only == UINT32_MAX ? 0 : pair_at(c->texts, c->only)->uses;
    return 0;
}

bool condition_holds(struct condition *c, uint32_t pair)
{
    const struct pair *p;
    uint8_t *answer;

    if (c->m->op == MATCH_EQ)
        return pair == c->only;
    if (c->m->op == MATCH_NE)
        return pair != c->only;
    if (!pair)
        return c->empty;
    p = pair_at(c->texts, pair);
    answer = &c->answers[p->local];
    if (*answer == UNKNOWN)
        *answer = matcher_match(c->m, pair_value(p)) ? YES : NO;
    return *answer == YES;
}
