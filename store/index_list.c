/* index_list.c: which names there are, and which values of a name, in series that count.
 *
 * Problem  Whether a series counts is asked of somebody who must look at its samples, and there are many series.
 * Idea     A value needs one series that counts. So the column of codes is walked, and a series is asked about only while
 *          its value is still sought. Names have no column: each remembers a series it was found in (its hint), and
 *          that one is asked about first. Only when names are left then, all series are gone through.
 * End      What can be found at most is known from the start: each name and pair knows how many series have it, or, when
 *          only some series are wanted, these are gone through once. When all of it is found, nobody is asked any more. */
#include "store/bits-internal.h"
#include "store/index_state-internal.h"

#include <stdlib.h>

struct index_list {
    struct series_index *ix;
    bool names;       /* names are listed, items are their numbers; otherwise values, items are pairs' places in `name` */
    uint32_t name;    /* 0: there is none */
    uint32_t items;   /* one past the highest */
    uint64_t *sought; /* items that were not found yet */
    uint64_t *found;
    size_t left;      /* sought */
    uint64_t *wanted; /* series that may count, STRIPE_WORDS for each stripe */
    size_t stripes;
};

/* --- items --- */

static void seek(struct index_list *l, uint32_t item)
{
    bits_set(l->sought, item);
    l->left++;
}

static bool is_sought(const struct index_list *l, uint32_t item)
{
    return item < l->items && bits_test(l->sought, item);
}

static void take(struct index_list *l, uint32_t item)
{
    l->sought[item / 64] &= ~((uint64_t)1 << item % 64);
    bits_set(l->found, item);
    l->left--;
}

/* One past the highest item there is now: a commit that failed may have taken texts back since the list was made. */
static uint32_t items_now(const struct index_list *l)
{
    const struct texts *t = &l->ix->texts;

    if (l->names)
        return t->nnames + 1;
    return l->name && l->name <= t->nnames ? t->names[l->name].npairs : 0;
}

static void keep_items(struct index_list *l)
{
    uint32_t now = items_now(l);

    l->items = now < l->items ? now : l->items;
}

static void seek_live(struct index_list *l)
{
    const struct texts *t = &l->ix->texts;

    for (uint32_t i = 0; i < l->items; i++)
        if (l->names ? i && t->names[i].live : pair_at(t, t->names[l->name].pairs[i])->uses)
            seek(l, i);
}

static struct str item_text(const struct index_list *l, uint32_t item)
{
    const struct texts *t = &l->ix->texts;

    return l->names ? t->names[item].text : pair_value(pair_at(t, t->names[l->name].pairs[item]));
}

/* --- values --- */

typedef bool counts_fn(const void *arg, uint32_t id);

/* By code: whether its value is sought. Returns how many are. */
static uint32_t open_codes(const struct index_list *l, const struct column *c, bool *open)
{
    uint32_t n = 0;

    for (uint32_t k = 0; k < c->distinct; k++) {
        open[k] = c->pairs[k] && is_sought(l, pair_at(&l->ix->texts, c->pairs[k])->local);
        n += open[k];
    }
    return n;
}

static void walk_column(struct index_list *l, size_t stripe, const struct column *c, counts_fn *counts, const void *arg)
{
    const uint64_t *wanted = l->wanted + stripe * STRIPE_WORDS, *present = l->ix->stripes[stripe]->present;
    bool open[STRIPE];
    uint32_t left = open_codes(l, c, open);

    for (uint32_t w = 0; left && w < (c->n + 63) / 64; w++)
        for (uint64_t rest = wanted[w] & present[w]; left && rest; rest &= rest - 1) {
            uint32_t i = w * 64 + (uint32_t)__builtin_ctzll(rest), code;

            code = i < c->n ? column_code(c, i) : 0;
            if (i >= c->n || !open[code] || !counts(arg, (uint32_t)stripe * STRIPE + i))
                continue;
            open[code] = false;
            left--;
            take(l, pair_at(&l->ix->texts, c->pairs[code])->local);
        }
}

static bool is_empty(const uint64_t *words)
{
    uint64_t any = 0;

    for (unsigned w = 0; w < STRIPE_WORDS; w++)
        any |= words[w];
    return any == 0;
}

static int walk_columns(struct index_list *l, counts_fn *counts, const void *arg)
{
    struct column *const *columns = columns_pin(l->ix, l->name);

    if (!columns)
        return ERR_NOMEM;
    for (size_t s = 0; l->left && s < l->stripes && s << STRIPE_SHIFT < l->ix->end; s++)
        if (!is_empty(l->wanted + s * STRIPE_WORDS))
            walk_column(l, s, columns[s], counts, arg);
    columns_unpin(l->ix, l->name);
    return 0;
}

/* --- names --- */

static bool is_wanted(const struct index_list *l, uint32_t id)
{
    return id >> STRIPE_SHIFT < l->stripes && bits_test(l->wanted, id) && index_has(l->ix, id);
}

static void ask_hints(struct index_list *l, counts_fn *counts, const void *arg)
{
    for (uint32_t i = 1; i < l->items; i++) {
        struct pair_cursor cursor = { .ix = l->ix, .name = i };
        uint32_t id = atomic_load_explicit(&l->ix->texts.names[i].hint, memory_order_relaxed);

        if (is_sought(l, i) && is_wanted(l, id) && pair_cursor_get(&cursor, id) && counts(arg, id))
            take(l, i);
    }
}

static void take_names(struct index_list *l, uint32_t id)
{
    const struct texts *t = &l->ix->texts;
    uint32_t pairs[INDEX_MAX_LABELS], n = record_pairs(l->ix, id, pairs);

    for (uint32_t i = 0; i < n; i++) {
        uint32_t name = pair_at(t, pairs[i])->name;

        if (!is_sought(l, name))
            continue;
        atomic_store_explicit(&t->names[name].hint, id, memory_order_relaxed);
        take(l, name);
    }
}

/* Who counted has told all its names, and is not wanted any more. */
static void walk_series(struct index_list *l, counts_fn *counts, const void *arg)
{
    for (size_t w = 0; l->left && w < l->stripes * STRIPE_WORDS; w++)
        for (uint64_t rest = l->wanted[w]; l->left && rest; rest &= rest - 1) {
            uint32_t id = (uint32_t)(w * 64 + (size_t)__builtin_ctzll(rest));

            if (!index_has(l->ix, id) || !counts(arg, id))
                continue;
            take_names(l, id);
            l->wanted[w] &= ~((uint64_t)1 << id % 64);
        }
}

/* --- all of it --- */

int index_list_look(struct index_list *l, counts_fn *counts, const void *arg)
{
    int rc = 0;

    keep_items(l);
    for (uint32_t i = 0; !counts && i < l->items; i++)
        if (is_sought(l, i))
            take(l, i);
    if (l->left && l->names) {
        ask_hints(l, counts, arg);
        walk_series(l, counts, arg);
    } else if (l->left && l->items) {
        rc = walk_columns(l, counts, arg);
    }
    return rc < 0 ? rc : l->left > 0;
}

static bool anybody(const void *arg, uint32_t id)
{
    (void)arg;
    (void)id;
    return true;
}

static void want(struct index_list *l, const uint32_t *ids, size_t n)
{
    for (size_t i = 0; ids && i < n; i++)
        bits_set(l->wanted, ids[i]);
    for (size_t s = 0; !ids && s < l->stripes; s++)
        memcpy(l->wanted + s * STRIPE_WORDS, l->ix->stripes[s]->present, STRIPE_WORDS * sizeof(*l->wanted));
}

/* Nothing is sought but what occurs in the series that are wanted. */
static int narrow(struct index_list *l, const uint32_t *ids, size_t n)
{
    uint64_t *occurs = l->found;
    int rc = index_list_look(l, anybody, NULL);

    l->found = l->sought;
    l->sought = occurs;
    memset(l->found, 0, bits_words(l->items) * sizeof(*l->found));
    l->left = 0;
    for (uint32_t i = 0; i < l->items; i++)
        l->left += bits_test(l->sought, i);
    want(l, ids, n);
    return rc;
}

struct index_list *index_list_new(struct series_index *ix, struct str name, const uint32_t *ids, size_t n,
                                  struct arena *a)
{
    struct index_list *l = ARENA_NEW(a, struct index_list);

    if (!l)
        return NULL;
    l->ix = ix;
    l->names = !name.p;
    l->name = l->names ? 0 : name_find(&ix->texts, name);
    l->items = items_now(l);
    l->stripes = ix->nstripes;
    l->sought = arena_array(a, bits_words(l->items), sizeof(*l->sought));
    l->found = arena_array(a, bits_words(l->items), sizeof(*l->found));
    l->wanted = arena_array(a, l->stripes * STRIPE_WORDS + 1, sizeof(*l->wanted));
    if (!l->sought || !l->found || !l->wanted)
        return NULL;
    want(l, ids, n);
    seek_live(l);
    return !ids || narrow(l, ids, n) >= 0 ? l : NULL;
}

static int by_str(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

int index_list_take(struct index_list *l, struct arena *a, struct str **texts, size_t *n)
{
    size_t most = 0;

    keep_items(l);
    for (size_t w = 0; w < bits_words(l->items); w++)
        most += (size_t)__builtin_popcountll(l->found[w]);
    *n = 0;
    *texts = arena_array(a, most + 1, sizeof(**texts));
    if (!*texts)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < l->items; i++)
        if (bits_test(l->found, i))
            (*texts)[(*n)++] = item_text(l, i);
    if (*n > 1)
        qsort(*texts, *n, sizeof(**texts), by_str);
    return 0;
}
