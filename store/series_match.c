/* series_match.c: which series a set of matchers selects.
 *
 * Each matcher is answered once for each value of its name, not once for each series: the answers are bits by the
 * value's place in its name. A matcher that the empty value satisfies also holds for series without the label, so it
 * can only filter; of the others the one with the fewest series is where the search starts. */
#include "store/series_index-internal.h"

struct condition {
    const struct label_name *name; /* NULL: no series has it */
    bool empty;                    /* whether a series without the label matches */
    uint64_t *bits;                /* by label_pair.at */
    size_t series;                 /* that match by a value of theirs */
};

static bool bit(const struct condition *c, const struct label_pair *p)
{
    return c->bits[p->at / 64] >> (p->at % 64) & 1;
}

static void set(struct condition *c, const struct label_pair *p)
{
    c->bits[p->at / 64] |= (uint64_t)1 << (p->at % 64);
    c->series += p->n;
}

static int prepare(const struct series_index *ix, const struct matcher *m, struct arena *a, struct condition *c)
{
    *c = (struct condition){ strmap_get(&ix->names, m->name), matcher_match(m, STR_NULL), NULL, 0 };
    if (!c->name)
        return 0;
    c->bits = arena_array(a, c->name->n / 64 + 1, sizeof(*c->bits));
    if (!c->bits)
        return ERR_NOMEM;
    if (m->op == MATCH_EQ) {
        const struct label_pair *p = strmap_get(&c->name->values, m->value);

        if (p)
            set(c, p);
        return 0;
    }
    for (size_t i = 0; i < c->name->n; i++)
        if (matcher_match(m, pair_value(c->name->pairs[i])))
            set(c, c->name->pairs[i]);
    return 0;
}

static bool holds(const struct condition *c, const struct series *s)
{
    const struct label_pair *p = c->name ? series_pair(s, c->name) : NULL;

    return p ? bit(c, p) : c->empty;
}

struct selection {
    const struct condition *conditions, *base; /* base holds already for what is offered */
    size_t n;
    int64_t from_ms, to_ms;
    struct series **out;
    size_t count;
};

static void offer(struct selection *sel, struct series *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool all = series_overlaps(list[i], sel->from_ms, sel->to_ms);

        for (size_t k = 0; all && k < sel->n; k++)
            all = &sel->conditions[k] == sel->base || holds(&sel->conditions[k], list[i]);
        if (all)
            sel->out[sel->count++] = list[i];
    }
}

int index_select(const struct series_index *ix, const struct matcher *m, size_t n, int64_t from_ms, int64_t to_ms,
                 struct arena *a, struct series ***out, size_t *count)
{
    struct condition *c = arena_array(a, n, sizeof(*c));
    struct selection sel = { c, NULL, n, from_ms, to_ms, NULL, 0 };

    if (!c)
        return ERR_NOMEM;
    for (size_t i = 0; i < n; i++) {
        if (prepare(ix, &m[i], a, &c[i]) < 0)
            return ERR_NOMEM;
        if (!c[i].empty && (!sel.base || c[i].series < sel.base->series))
            sel.base = &c[i];
    }
    sel.out = arena_array(a, sel.base ? sel.base->series : ix->n, sizeof(struct series *));
    if (!sel.out)
        return ERR_NOMEM;
    if (!sel.base)
        offer(&sel, ix->all, ix->n);
    for (size_t i = 0; sel.base && sel.base->name && i < sel.base->name->n; i++)
        if (bit(sel.base, sel.base->name->pairs[i]))
            offer(&sel, sel.base->name->pairs[i]->series, sel.base->name->pairs[i]->n);
    *out = sel.out;
    *count = sel.count;
    return 0;
}
