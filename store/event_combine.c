/* event_combine.c: columns with dictionaries have their numbers already, others get some here. The numbers of two columns
 * become one as digits of two bases do; when that would be a large one, which few rows use, the pairs that occur are
 * numbered anew. */
#include "store/event_combine-internal.h"

enum { MOST_COMBINATIONS = 1 << 16 };

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, "no memory to group events");
}

int event_numbering_init(struct event_numbering *n, bool is_text, size_t most, struct arena *a, struct err *e)
{
    size_t slots = 16;

    while (slots < 2 * most)
        slots *= 2;
    *n = (struct event_numbering){ .is_text = is_text, .mask = slots - 1 };
    n->values = arena_alloc(a, most * sizeof(*n->values));
    n->hashes = arena_alloc(a, most * sizeof(*n->hashes));
    n->slots = arena_array(a, slots, sizeof(*n->slots));
    return n->values && n->hashes && n->slots ? 0 : no_memory(e);
}

static uint64_t hash_of(bool is_text, union event_value v)
{
    uint64_t x = (uint64_t)v.i * 0x9e3779b97f4a7c15;

    return is_text ? str_hash(v.s) : x ^ x >> 32;
}

uint32_t event_number(struct event_numbering *n, union event_value v)
{
    uint64_t hash = hash_of(n->is_text, v);
    size_t at = hash & n->mask;

    for (; n->slots[at]; at = (at + 1) & n->mask) {
        uint32_t known = n->slots[at] - 1;

        if (n->hashes[known] == hash &&
            (n->is_text ? str_eq(n->values[known].s, v.s) : n->values[known].i == v.i))
            return known;
    }
    n->values[n->n] = v;
    n->hashes[n->n] = hash;
    n->slots[at] = (uint32_t)++n->n;
    return (uint32_t)n->n - 1;
}

int event_number_rows(struct event_view *v, const struct event_selection *s, struct arena *a,
                      struct event_numbering *out, uint32_t *codes, struct err *e)
{
    int rc = event_numbering_init(out, v->is_text, s->n, a, e);

    for (size_t i = 0; rc == 0 && i < s->n; i++) {
        union event_value value;

        rc = event_view_value(v, event_selection_row(s, i), &value, e);
        if (rc == 0 && codes)
            codes[i] = event_number(out, value);
        else if (rc == 0)
            event_number(out, value);
    }
    return rc;
}

static void widen(const struct event_view *v, const struct event_selection *s, uint32_t *codes)
{
    if (v->codes8 && !s->rows)
        for (size_t i = 0; i < s->n; i++)
            codes[i] = v->codes8[i];
    else if (v->codes8)
        for (size_t i = 0; i < s->n; i++)
            codes[i] = v->codes8[s->rows[i]];
    else
        for (size_t i = 0; i < s->n; i++)
            codes[i] = v->codes16[event_selection_row(s, i)];
}

/* codes[i] and more[i] become one number. */
static int pair(struct event_combination *c, const uint32_t *more, size_t distinct, size_t rows, struct arena *a,
                struct err *e)
{
    struct event_numbering pairs;
    int rc;

    if (c->n * distinct <= MOST_COMBINATIONS) {
        for (size_t i = 0; i < rows; i++)
            c->codes[i] = c->codes[i] * (uint32_t)distinct + more[i];
        c->n *= distinct;
        return 0;
    }
    rc = event_numbering_init(&pairs, false, rows, a, e);
    for (size_t i = 0; rc == 0 && i < rows; i++)
        c->codes[i] = event_number(&pairs, (union event_value){ .i = (int64_t)c->codes[i] << 32 | more[i] });
    c->n = pairs.n;
    return rc;
}

int event_combine(struct event_view *const *views, size_t nviews, const struct event_selection *s, struct arena *a,
                  struct event_combination *out, struct err *e)
{
    int rc = 0;

    *out = (struct event_combination){ 1, NULL };
    for (size_t i = 0; rc == 0 && i < nviews; i++) {
        struct event_view *v = views[i];
        struct event_numbering numbers;
        size_t distinct;
        uint32_t *codes;

        if (!v || v->form == EVENT_FORM_CONST)
            continue;
        codes = arena_alloc(a, s->n * sizeof(*codes));
        if (!codes)
            return no_memory(e);
        if (v->form == EVENT_FORM_DICT) {
            widen(v, s, codes);
            distinct = v->distinct;
        } else {
            rc = event_number_rows(v, s, a, &numbers, codes, e);
            distinct = numbers.n;
        }
        if (rc == 0 && out->codes)
            rc = pair(out, codes, distinct, s->n, a, e);
        else
            *out = (struct event_combination){ distinct, codes };
    }
    return rc;
}
