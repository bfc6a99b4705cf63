/* index_select.c: from matchers to series.
 *
 * The series that are there are bits by number. Each matcher in turn, the one that promises least first, clears the
 * bits of those it does not hold for: stripe by stripe through the column of its name, or, when so few are left that
 * building a column would be more work, by looking at their labels. What remains is the answer, in order. */
#include "store/index_match-internal.h"

#include <endian.h>

enum { FEW_SHARE = 64, FEW = 64 }; /* bits left, of all: not worth a column that is not there */

struct selection {
    struct series_index *ix;
    uint64_t *bits; /* STRIPE_WORDS for each stripe */
    size_t stripes;
    size_t left; /* bits that are set */
};

static uint32_t bits_of(const uint64_t *words)
{
    uint32_t n = 0;

    for (unsigned w = 0; w < STRIPE_WORDS; w++)
        n += (uint32_t)__builtin_popcountll(words[w]);
    return n;
}

/* Eight bytes of 0 or 1 as eight bits, the first one lowest. */
static uint64_t gather(const uint8_t *bytes)
{
    uint64_t v;

    memcpy(&v, bytes, sizeof(v));
    return le64toh(v) * 0x0102040810204080u >> 56;
}

/* The bits of 64 series by their codes, from a table of answers. */
static uint64_t look_up(const struct column *c, const uint8_t *holds, uint32_t from)
{
    uint8_t hit[64] = { 0 };
    uint32_t n = c->n - from < 64 ? c->n - from : 64;
    uint64_t word = 0;

    if (c->width == 1) {
        const uint8_t *codes = (const uint8_t *)column_codes(c) + from;

        for (uint32_t i = 0; i < n; i++)
            hit[i] = holds[codes[i]];
    } else {
        const uint16_t *codes = (const uint16_t *)column_codes(c) + from;

        for (uint32_t i = 0; i < n; i++)
            hit[i] = holds[codes[i]];
    }
    for (unsigned i = 0; i < 8; i++)
        word |= gather(hit + 8 * (size_t)i) << 8 * i;
    return word;
}

static void filter_each(struct condition *cond, const struct column *c, uint64_t *words)
{
    for (uint32_t w = 0; w < STRIPE_WORDS; w++)
        for (uint64_t rest = words[w]; rest; rest &= rest - 1) {
            uint32_t i = w * 64 + (uint32_t)__builtin_ctzll(rest);

            if (!condition_holds(cond, c->pairs[column_code(c, i)]))
                words[w] &= ~((uint64_t)1 << i % 64);
        }
}

/* Clears the bits of one stripe, of which n are set. Returns how many stay. */
static uint32_t filter_stripe(struct condition *cond, const struct column *c, uint64_t *words, uint32_t n)
{
    uint8_t holds[STRIPE];
    uint32_t yes = 0;

    if (n < c->distinct) {
        filter_each(cond, c, words);
        return bits_of(words);
    }
    for (uint32_t i = 0; i < c->distinct; i++)
        yes += holds[i] = condition_holds(cond, c->pairs[i]);
    if (yes == c->distinct)
        return n;
    if (yes == 0) {
        memset(words, 0, STRIPE_WORDS * sizeof(*words));
        return 0;
    }
    for (uint32_t w = 0; w < STRIPE_WORDS; w++)
        if (words[w])
            words[w] &= look_up(c, holds, w * 64);
    return bits_of(words);
}

static int filter_by_columns(struct selection *sel, struct condition *cond)
{
    struct column *const *columns = columns_pin(sel->ix, cond->name);
    size_t left = 0;

    if (!columns)
        return ERR_NOMEM;
    for (size_t i = 0; i < sel->stripes; i++) {
        uint64_t *words = sel->bits + i * STRIPE_WORDS;
        uint32_t n = bits_of(words);

        if (n)
            left += filter_stripe(cond, columns[i], words, n);
    }
    columns_unpin(sel->ix, cond->name);
    sel->left = left;
    return 0;
}

static void filter_by_labels(struct selection *sel, struct condition *cond)
{
    struct pair_cursor cursor = { .ix = sel->ix, .name = cond->name };

    for (size_t w = 0; w < sel->stripes * STRIPE_WORDS; w++)
        for (uint64_t rest = sel->bits[w]; rest; rest &= rest - 1) {
            unsigned bit = (unsigned)__builtin_ctzll(rest);

            if (condition_holds(cond, pair_cursor_get(&cursor, (uint32_t)(w * 64 + bit))))
                continue;
            sel->bits[w] &= ~((uint64_t)1 << bit);
            sel->left--;
        }
}

static int filter(struct selection *sel, struct condition *cond)
{
    bool few = sel->left < sel->ix->end / FEW_SHARE || sel->left < FEW;

    if (cond->always)
        return 0;
    if (cond->estimate == 0) {
        memset(sel->bits, 0, sel->stripes * STRIPE_WORDS * sizeof(*sel->bits));
        sel->left = 0;
        return 0;
    }
    if (!few || columns_ready(sel->ix, cond->name))
        return filter_by_columns(sel, cond);
    filter_by_labels(sel, cond);
    return 0;
}

static int start(struct selection *sel, struct series_index *ix, struct arena *a)
{
    *sel = (struct selection){ ix, NULL, ((size_t)ix->end + STRIPE - 1) >> STRIPE_SHIFT, ix->count };
    if (ix->nstripes < sel->stripes) /* nothing was ever added */
        sel->stripes = ix->nstripes;
    sel->bits = arena_alloc(a, sel->stripes * STRIPE_WORDS * sizeof(*sel->bits));
    if (!sel->bits)
        return ERR_NOMEM;
    for (size_t i = 0; i < sel->stripes; i++)
        memcpy(sel->bits + i * STRIPE_WORDS, ix->stripes[i]->present, sizeof(ix->stripes[i]->present));
    return 0;
}

static int list(const struct selection *sel, struct arena *a, uint32_t **ids, size_t *count)
{
    uint32_t *to = arena_alloc(a, sel->left * sizeof(*to));

    if (!to)
        return ERR_NOMEM;
    *ids = to;
    *count = sel->left;
    if (sel->left == 0)
        return 0;
    for (size_t w = 0; w < sel->stripes * STRIPE_WORDS; w++)
        for (uint64_t rest = sel->bits[w]; rest; rest &= rest - 1)
            *to++ = (uint32_t)(w * 64 + (size_t)__builtin_ctzll(rest));
    return 0;
}

/* The condition from `i` on that promises least stands at `i` then. */
static struct condition *take_least(struct condition *c, size_t i, size_t n)
{
    for (size_t k = i + 1; k < n; k++)
        if (c[k].estimate < c[i].estimate) {
            struct condition swap = c[i];

            c[i] = c[k];
            c[k] = swap;
        }
    return &c[i];
}

int index_select(struct series_index *ix, const struct matcher *m, size_t n, struct arena *a, uint32_t **ids,
                 size_t *count)
{
    struct condition *c = arena_array(a, n, sizeof(*c));
    struct selection sel;

    if (!c || start(&sel, ix, a) < 0)
        return ERR_NOMEM;
    for (size_t i = 0; i < n; i++)
        if (condition_init(&c[i], ix, &m[i], a) < 0)
            return ERR_NOMEM;
    for (size_t i = 0; i < n && sel.left; i++)
        if (filter(&sel, take_least(c, i, n)) < 0)
            return ERR_NOMEM;
    return list(&sel, a, ids, count);
}
