/* event_rank.c: multikey quicksort (Bentley, Sedgewick: Fast Algorithms for Sorting and Searching Strings, 1997), by
 * seven bytes at a time: paths and addresses begin alike, and what they have in common is looked at once for all. */
#include "store/event_rank-internal.h"

#include "base/err.h"
#include "base/mem.h"

#include <endian.h>

enum { STEP = 7 /* bytes of a text in a word */, FEW = 8 /* sorted by insertion */ };

/* The next bytes of a text, the first one highest; the lowest byte says how many there are, STEP + 1 = more follow. */
struct item {
    uint64_t word;
    uint32_t index;
};

static uint64_t word_at(struct str s, size_t at)
{
    size_t left = s.n > at ? s.n - at : 0;
    uint64_t word = 0;

    if (left > STEP) {
        memcpy(&word, s.p + at, sizeof(word));
        return (be64toh(word) & ~(uint64_t)0xff) | (STEP + 1);
    }
    for (size_t i = 0; i < left; i++)
        word |= (uint64_t)(uint8_t)s.p[at + i] << (56 - 8 * i);
    return word | left;
}

static void swap(struct item *a, struct item *b)
{
    struct item c = *a;

    *a = *b;
    *b = c;
}

static bool is_less(const union event_value *v, const struct item *a, const struct item *b, size_t at)
{
    if (a->word != b->word)
        return a->word < b->word;
    return str_cmp(str_from(v[a->index].s, at), str_from(v[b->index].s, at)) < 0;
}

static void sort_few(const union event_value *v, struct item *items, size_t n, size_t at)
{
    for (size_t i = 1; i < n; i++)
        for (size_t k = i; k > 0 && is_less(v, &items[k], &items[k - 1], at); k--)
            swap(&items[k], &items[k - 1]);
}

/* The middle one of three that stand anywhere. */
static uint64_t pick_pivot(const struct item *items, size_t n)
{
    uint64_t a = items[n / 5].word, b = items[n / 2].word, c = items[n - 1 - n / 7].word;

    if (a > b) {
        uint64_t d = a;

        a = b;
        b = d;
    }
    return c < a ? a : c > b ? b : c;
}

/* Those below the pivot, the same, above: *equal and *above are where these begin. */
static void split(struct item *items, size_t n, size_t *equal, size_t *above)
{
    uint64_t pivot = pick_pivot(items, n);
    size_t i = 0;

    *equal = 0;
    *above = n;
    while (i < *above)
        if (items[i].word < pivot)
            swap(&items[i++], &items[(*equal)++]);
        else if (items[i].word > pivot)
            swap(&items[i], &items[--*above]);
        else
            i++;
}

/* Items whose texts are the same before byte `at`, with their words from there. */
struct range {
    struct item *items;
    size_t n, at;
};

/* Those that have this word in common, by the next one. */
static struct range next_words(const union event_value *v, struct range r)
{
    r.at += STEP;
    if (r.n > 1)
        for (size_t i = 0; i < r.n; i++)
            r.items[i].word = word_at(v[r.items[i].index].s, r.at);
    return r;
}

/* The largest part is what the loop goes on with, so it calls itself for no more than half of the items. */
static void sort(const union event_value *v, struct range r)
{
    while (r.n > FEW) {
        struct range parts[3], *largest = parts;
        size_t equal, above;

        split(r.items, r.n, &equal, &above);
        parts[0] = (struct range){ r.items, equal, r.at };
        parts[1] = next_words(v, (struct range){ r.items + equal, above - equal, r.at });
        parts[2] = (struct range){ r.items + above, r.n - above, r.at };
        for (struct range *p = parts; p < parts + 3; p++)
            largest = p->n > largest->n ? p : largest;
        for (struct range *p = parts; p < parts + 3; p++)
            if (p != largest)
                sort(v, *p);
        r = *largest;
    }
    sort_few(v, r.items, r.n, r.at);
}

int event_rank_texts(const union event_value *v, size_t n, uint32_t *ranks, uint32_t *order)
{
    struct item *items = mem_alloc(n * sizeof(*items));

    if (!items)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < n; i++)
        items[i] = (struct item){ word_at(v[i].s, 0), i };
    sort(v, (struct range){ items, n, 0 });
    for (uint32_t i = 0; i < n; i++) {
        order[i] = items[i].index;
        ranks[items[i].index] = i;
    }
    mem_free(items);
    return 0;
}
