/* index.c: series come and go: numbers, stripes, marks, and what is counted.
 *
 * An add takes all memory it may need before it changes what is seen; what it has made by then (texts) is taken back.
 * A number once given stays given: a series that goes leaves its stripe's bit unset and its record where it is, for
 * others may refer to it. Only index_rollback gives numbers again. */
#include "store/index_state-internal.h"

#include "base/mem.h"

struct series_index *index_new(void)
{
    struct series_index *ix = mem_zalloc(sizeof(*ix));

    if (!ix)
        return NULL;
    if (pthread_mutex_init(&ix->lock, NULL) != 0) {
        mem_free(ix);
        return NULL;
    }
    atomic_init(&ix->holders, 1);
    ix->end = 1;
    ix->column_max = COLUMN_BYTES;
    return ix;
}

void index_hold(struct series_index *ix)
{
    atomic_fetch_add_explicit(&ix->holders, 1, memory_order_relaxed);
}

void index_free(struct series_index *ix)
{
    if (!ix || atomic_fetch_sub_explicit(&ix->holders, 1, memory_order_acq_rel) > 1)
        return;
    columns_fini(ix);
    table_fini(ix);
    aliases_fini(ix);
    texts_fini(&ix->texts);
    for (size_t i = 0; i < ix->records.nchunks; i++)
        mem_free(ix->records.chunks[i]);
    for (size_t i = 0; i < ix->nstripes; i++)
        if (ix->stripes[i] != ix->nothing)
            mem_free(ix->stripes[i]);
    mem_free(ix->nothing);
    mem_free(ix->records.chunks);
    mem_free(ix->stripes);
    pthread_mutex_destroy(&ix->lock);
    mem_free(ix);
}

uint32_t index_find(const struct series_index *ix, struct index_key key)
{
    uint32_t id = table_find(ix, key);

    return id & ALIAS_BIT ? *alias_id(&ix->aliases, id & ~ALIAS_BIT) : id;
}

size_t index_count(const struct series_index *ix)
{
    return ix->count;
}

size_t index_dead(const struct series_index *ix)
{
    return ix->end - 1 - ix->skipped - ix->count;
}

uint32_t index_end(const struct series_index *ix)
{
    return ix->end;
}

static uint64_t *word_of(const struct series_index *ix, uint32_t id)
{
    return &stripe_of(ix, id)->present[id % STRIPE / 64];
}

bool index_has(const struct series_index *ix, uint32_t id)
{
    return id > 0 && id < ix->end && *word_of(ix, id) >> id % 64 & 1;
}

size_t index_bytes(const struct series_index *ix)
{
    size_t stripes = ix->nstripes - ix->nothings + (ix->nothing != NULL);

    return sizeof(*ix) + stripes * sizeof(struct stripe) + ix->stripes_cap * sizeof(struct stripe *) +
           ix->records.nchunks * RECORD_CHUNK + ix->records.cap * sizeof(*ix->records.chunks) +
           texts_bytes(&ix->texts) + table_bytes(ix) + aliases_bytes(ix) +
           atomic_load_explicit(&ix->column_bytes, memory_order_relaxed);
}

/* --- adding --- */

/* The next stripe: memory of its own, or `nothing`. */
static int add_stripe(struct series_index *ix, bool whole_skip)
{
    struct stripe *s = whole_skip && ix->nothing ? ix->nothing : mem_zalloc(sizeof(*s));

    if (!s)
        return ERR_NOMEM;
    if (whole_skip)
        ix->nothing = s;
    if (mem_grow(&ix->stripes, &ix->stripes_cap, ix->nstripes + 1, sizeof(struct stripe *)) < 0) {
        if (!whole_skip) /* else it waits for the next */
            mem_free(s);
        return ERR_NOMEM;
    }
    ix->stripes[ix->nstripes++] = s;
    ix->nothings += whole_skip;
    return 0;
}

static int reserve_stripe(struct series_index *ix)
{
    return ix->end >> STRIPE_SHIFT < ix->nstripes ? 0 : add_stripe(ix, false);
}

int index_skip(struct series_index *ix, uint32_t end)
{
    while (ix->nstripes <= (end - 1) >> STRIPE_SHIFT)
        if (add_stripe(ix, (ix->nstripes + 1) << STRIPE_SHIFT <= end) < 0)
            return ERR_NOMEM;
    ix->skipped += end - ix->end;
    ix->end = end;
    return 0;
}

static void appears(struct series_index *ix, uint32_t id, const uint32_t *pairs, uint32_t n)
{
    struct texts *t = &ix->texts;

    *word_of(ix, id) |= (uint64_t)1 << id % 64;
    ix->count++;
    for (uint32_t i = 0; i < n; i++) {
        struct pair *p = pair_at(t, pairs[i]);

        if (p->uses++ == 0)
            t->names[p->name].live++;
    }
}

static void disappears(struct series_index *ix, uint32_t id)
{
    struct texts *t = &ix->texts;
    uint32_t pairs[INDEX_MAX_LABELS], n = record_pairs(ix, id, pairs);

    *word_of(ix, id) &= ~((uint64_t)1 << id % 64);
    ix->count--;
    table_take(ix, stripe_of(ix, id)->key[id % STRIPE], id);
    for (uint32_t i = 0; i < n; i++) {
        struct pair *p = pair_at(t, pairs[i]);

        if (--p->uses == 0)
            t->names[p->name].live--;
    }
}

uint32_t series_put(struct series_index *ix, const struct new_series *s, struct err *e)
{
    uint32_t id = ix->end, at = id & (STRIPE - 1);
    struct stripe *to;
    int rc;

    if (id > MOST_SERIES) {
        err_set(e, ERR_LIMIT, "no number is left for another series");
        return 0;
    }
    rc = reserve_stripe(ix);
    if (rc == 0)
        rc = records_reserve(&ix->records, s->n);
    if (rc < 0) {
        err_set(e, rc, rc == ERR_LIMIT ? "no room is left for another series' labels" : "no memory for another series");
        return 0;
    }
    to = stripe_of(ix, id);
    to->key[at] = s->key;
    if (!s->gone && table_put(ix, s->key, id) < 0) {
        err_set(e, ERR_NOMEM, "no memory for another series");
        return 0;
    }
    to->order[at] = pairs_order(&ix->texts, s->pairs, s->n);
    to->record[at] = records_add(&ix->records, &ix->texts, id, s->pairs, s->n, s->edits);
    if (!s->gone)
        appears(ix, id, s->pairs, s->n);
    memcpy(ix->last, s->pairs, s->n * sizeof(*s->pairs));
    ix->nlast = s->n;
    ix->end++;
    return id;
}

/* The pair of a label. Neighbours in time are neighbours in labels: the newest series' pairs, from *k on, are tried
 * before the tables. 0: no memory. */
static uint32_t label_pair(struct series_index *ix, const struct label *l, uint32_t *k)
{
    struct texts *t = &ix->texts;
    uint32_t name = 0;

    for (uint32_t i = *k; i < ix->nlast && i < *k + 3 && !name; i++) {
        const struct pair *p = pair_at(t, ix->last[i]);

        if (!str_eq(t->names[p->name].text, l->name))
            continue;
        *k = i + 1;
        if (str_eq(pair_value(p), l->value))
            return ix->last[i];
        name = p->name;
    }
    if (!name)
        name = name_intern(t, l->name);
    return name ? pair_intern(t, name, l->value) : 0;
}

uint32_t index_add(struct series_index *ix, struct index_key key, struct labels l, struct err *e)
{
    struct texts *t = &ix->texts;
    uint32_t nnames = t->nnames, npairs = t->npairs, k = 0, id;
    size_t taken = t->taken;
    struct new_series s;

    if (l.n > INDEX_MAX_LABELS) {
        err_set(e, ERR_LIMIT, "%zu labels, at most %d", l.n, INDEX_MAX_LABELS);
        return 0;
    }
    index_prefetch(ix, key);
    s.key = key;
    s.edits = STR_NULL;
    s.gone = false;
    for (s.n = 0; s.n < l.n; s.n++) {
        s.pairs[s.n] = label_pair(ix, &l.v[s.n], &k);
        if (s.pairs[s.n])
            continue;
        texts_rollback(t, nnames, npairs, taken);
        err_set(e, ERR_NOMEM, "no memory for the labels of another series");
        return 0;
    }
    id = series_put(ix, &s, e);
    if (!id)
        texts_rollback(t, nnames, npairs, taken);
    return id;
}

/* --- taking out --- */

void index_remove(struct series_index *ix, const uint32_t *ids, size_t n)
{
    uint32_t count = ix->count;

    for (size_t i = 0; i < n; i++)
        if (index_has(ix, ids[i]))
            disappears(ix, ids[i]);
    if (ix->count < count)
        aliases_sweep(ix);
}

struct index_mark index_mark(const struct series_index *ix)
{
    return (struct index_mark){ ix->end, ix->texts.nnames, ix->texts.npairs, ix->records.end, ix->texts.taken };
}

void index_rollback(struct series_index *ix, struct index_mark mark)
{
    for (uint32_t id = ix->end; id-- > mark.series;)
        if (index_has(ix, id))
            disappears(ix, id);
    aliases_sweep(ix);
    columns_rollback(ix, mark.series, mark.names);
    records_rollback(&ix->records, mark.records, mark.series);
    texts_rollback(&ix->texts, mark.names, mark.pairs, mark.texts);
    ix->nlast = 0;
    ix->end = mark.series;
}

/* --- reading --- */

struct index_key index_key_of(const struct series_index *ix, uint32_t id)
{
    return stripe_of(ix, id)->key[id % STRIPE];
}

struct labels index_labels(const struct series_index *ix, uint32_t id, struct arena *a)
{
    const struct texts *t = &ix->texts;
    uint32_t pairs[INDEX_MAX_LABELS], n = record_pairs(ix, id, pairs);
    struct label *v = arena_alloc(a, n * sizeof(*v));

    if (!v)
        return (struct labels){ NULL, 0 };
    for (uint32_t i = 0; i < n; i++) {
        const struct pair *p = pair_at(t, pairs[i]);

        v[i] = (struct label){ t->names[p->name].text, pair_value(p) };
    }
    return (struct labels){ v, n };
}
