/* index_list.c: which names there are, and which values of a name: of some series, or of all.
 *
 * For all nothing is walked but the texts: each pair knows how many series have it. */
#include "store/index_state-internal.h"

#include <stdlib.h>

static int by_str(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* True the first time. */
static bool mark(uint64_t *bits, uint32_t at)
{
    uint64_t was = bits[at / 64];

    bits[at / 64] |= (uint64_t)1 << at % 64;
    return bits[at / 64] != was;
}

static void mark_names(const struct series_index *ix, uint32_t id, uint64_t *seen)
{
    uint32_t pairs[INDEX_MAX_LABELS], n = record_pairs(ix, id, pairs);

    for (uint32_t i = 0; i < n; i++)
        mark(seen, pair_at(&ix->texts, pairs[i])->name);
}

int index_names(struct series_index *ix, const uint32_t *ids, size_t n, struct arena *a, struct str **names,
                size_t *count)
{
    const struct texts *t = &ix->texts;
    uint64_t *seen = arena_array(a, t->nnames / 64 + 1, sizeof(*seen));
    struct str *out = arena_array(a, t->nnames, sizeof(*out));
    size_t made = 0;

    if (!seen || !out)
        return ERR_NOMEM;
    for (size_t i = 0; ids && i < n; i++)
        mark_names(ix, ids[i], seen);
    for (uint32_t i = 1; i <= t->nnames; i++)
        if (ids ? seen[i / 64] >> i % 64 & 1 : t->names[i].live > 0)
            out[made++] = t->names[i].text;
    if (made > 1)
        qsort(out, made, sizeof(*out), by_str);
    *names = out;
    *count = made;
    return 0;
}

static size_t live_values(const struct texts *t, const struct name *nm, struct str *out)
{
    size_t made = 0;

    for (uint32_t i = 0; i < nm->npairs; i++) {
        const struct pair *p = pair_at(t, nm->pairs[i]);

        if (p->uses)
            out[made++] = pair_value(p);
    }
    return made;
}

static size_t values_of(const struct series_index *ix, uint32_t name, const uint32_t *ids, size_t n, uint64_t *seen,
                        struct str *out)
{
    struct pair_cursor cursor = { .ix = ix, .name = name };
    size_t made = 0;

    for (size_t i = 0; i < n; i++) {
        uint32_t pair = pair_cursor_get(&cursor, ids[i]);

        if (pair && mark(seen, pair_at(&ix->texts, pair)->local))
            out[made++] = pair_value(pair_at(&ix->texts, pair));
    }
    return made;
}

int index_values(struct series_index *ix, struct str name, const uint32_t *ids, size_t n, struct arena *a,
                 struct str **values, size_t *count)
{
    uint32_t id = name_find(&ix->texts, name);
    const struct name *nm = id ? &ix->texts.names[id] : NULL;
    uint32_t most = nm ? nm->npairs : 0;
    uint64_t *seen = arena_array(a, most / 64 + 1, sizeof(*seen));
    struct str *out = arena_array(a, ids && n < most ? n : most, sizeof(*out));
    size_t made = 0;

    if (!seen || !out)
        return ERR_NOMEM;
    if (nm)
        made = ids ? values_of(ix, id, ids, n, seen, out) : live_values(&ix->texts, nm, out);
    if (made > 1)
        qsort(out, made, sizeof(*out), by_str);
    *values = out;
    *count = made;
    return 0;
}
