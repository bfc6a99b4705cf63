/* scrape_cache.c
 *
 * Problem    A page of 2,000 lines comes every few seconds, and hardly anything in it but the numbers is new.
 * Idea       Lines are known by a 128-bit hash of their bytes, so that neither the bytes are kept nor labels parsed.
 *            Pages keep their order: the guess that the next line is the entry after the last one is nearly always
 *            right, and then not even a table is asked.
 * Invariant  A series is alive exactly when tracked == good. A page moves what it has to its own number and then makes
 *            that number `good`: all others die by that, without being visited. */
#include "collector/scrape_cache-internal.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/rand.h"

enum {
    FIRST_SLOTS = 64,
    SPARE_ENTRIES = 1000,
    SLAB = 128 /* series */
};

struct series_slab {
    struct series_slab *next;
    struct scrape_series v[SLAB];
};

#define NO_PAGE UINT32_MAX

void cache_init(struct scrape_cache *c)
{
    uint64_t seed;

    *c = (struct scrape_cache){ .good = NO_PAGE, .before = NO_PAGE, .at = SIZE_MAX };
    rand_bytes(&seed, sizeof(seed));
    hash128_key_init(&c->key, seed);
}

static void free_labels(struct scrape_series *s)
{
    mem_free((void *)(uintptr_t)s->labels.v);
    s->labels = (struct labels){ NULL, 0 };
}

void cache_fini(struct scrape_cache *c)
{
    while (c->slabs) {
        struct series_slab *next = c->slabs->next;

        for (size_t i = 0; i < SLAB; i++)
            free_labels(&c->slabs->v[i]);
        mem_free(c->slabs);
        c->slabs = next;
    }
    mem_free(c->table);
    mem_free(c->entries);
    mem_free(c->slots);
    cache_init(c);
}

void cache_begin(struct scrape_cache *c)
{
    c->page++;
    c->before = c->good;
    c->live_before = c->live;
    c->touched = c->kept = c->found = 0;
    c->at = SIZE_MAX;
}

/* --- entries --- */

static void put_slot(uint32_t *slots, size_t nslots, const struct scrape_entry *entries, size_t index)
{
    size_t i = entries[index].key.low & (nslots - 1);

    while (slots[i])
        i = (i + 1) & (nslots - 1);
    slots[i] = (uint32_t)index + 1;
}

static int grow_slots(struct scrape_cache *c)
{
    size_t n = c->nslots ? 2 * c->nslots : FIRST_SLOTS;
    uint32_t *slots;

    if (c->n + 1 <= c->nslots / 4 * 3)
        return 0;
    if (c->n >= UINT32_MAX / 2)
        return ERR_NOMEM;
    slots = mem_zalloc(n * sizeof(*slots));
    if (!slots)
        return ERR_NOMEM;
    for (size_t i = 0; i < c->n; i++)
        put_slot(slots, n, c->entries, i);
    mem_free(c->slots);
    c->slots = slots;
    c->nslots = n;
    return 0;
}

static bool is_same(struct hash128 a, struct hash128 b)
{
    return a.low == b.low && a.high == b.high;
}

static size_t find_slot(const struct scrape_cache *c, struct hash128 h)
{
    for (size_t i = h.low & (c->nslots - 1); c->slots[i]; i = (i + 1) & (c->nslots - 1))
        if (is_same(c->entries[c->slots[i] - 1].key, h))
            return c->slots[i] - 1;
    return SIZE_MAX;
}

struct scrape_entry *cache_find(struct scrape_cache *c, struct str bytes)
{
    struct hash128 h = hash128(&c->key, bytes);
    size_t next = c->at + 1;

    if (next >= c->n || !is_same(c->entries[next].key, h)) {
        next = c->nslots ? find_slot(c, h) : SIZE_MAX;
        if (next == SIZE_MAX)
            return NULL;
    }
    c->at = next;
    c->found += c->entries[next].seen != c->page;
    c->entries[next].seen = c->page;
    return &c->entries[next];
}

/* --- series --- */

static size_t series_slot(struct scrape_series *const *table, size_t n, uint64_t hash, struct labels labels)
{
    size_t i = hash & (n - 1);

    while (table[i] && (table[i]->hash != hash || labels_cmp(table[i]->labels, labels) != 0))
        i = (i + 1) & (n - 1);
    return i;
}

static void put_unused(struct scrape_cache *c, struct scrape_series *s)
{
    free_labels(s);
    s->next_unused = c->unused;
    c->unused = s;
}

static int add_slab(struct scrape_cache *c)
{
    struct series_slab *slab = mem_zalloc(sizeof(*slab));

    if (!slab)
        return ERR_NOMEM;
    slab->next = c->slabs;
    c->slabs = slab;
    for (size_t i = SLAB; i-- > 0;) /* the first will be taken first */
        put_unused(c, &slab->v[i]);
    return 0;
}

/* Into a new table of n slots: all for which keep() says so; the others are freed. */
static int rebuild_table(struct scrape_cache *c, size_t n,
                         bool (*keep)(const struct scrape_cache *, const struct scrape_series *))
{
    struct scrape_series **table = mem_zalloc(n * sizeof(struct scrape_series *));

    if (!table)
        return ERR_NOMEM;
    c->nseries = 0;
    for (size_t i = 0; i < c->ntable; i++) {
        struct scrape_series *s = c->table[i];

        if (!s)
            continue;
        if (!keep(c, s)) {
            put_unused(c, s);
            continue;
        }
        table[series_slot(table, n, s->hash, s->labels)] = s;
        c->nseries++;
    }
    mem_free(c->table);
    c->table = table;
    c->ntable = n;
    return 0;
}

static bool keep_all(const struct scrape_cache *c, const struct scrape_series *s)
{
    (void)c;
    (void)s;
    return true;
}

/* The labels with their texts. */
static struct label *copy_labels(struct labels labels)
{
    size_t bytes = 0;
    struct label *v;
    char *to;

    for (size_t i = 0; i < labels.n; i++)
        bytes += labels.v[i].name.n + labels.v[i].value.n;
    v = mem_alloc(labels.n * sizeof(*v) + bytes);
    to = (char *)(v + labels.n);
    for (size_t i = 0; v && i < labels.n; i++) {
        const struct str from[2] = { labels.v[i].name, labels.v[i].value };
        struct str copy[2];

        for (int k = 0; k < 2; k++) {
            memcpy(to, from[k].p, from[k].n);
            copy[k] = (struct str){ to, from[k].n };
            to += from[k].n;
        }
        v[i] = (struct label){ copy[0], copy[1] };
    }
    return v;
}

static struct scrape_series *new_series(struct scrape_cache *c, struct labels labels, uint64_t hash)
{
    struct label *v = c->unused || add_slab(c) == 0 ? copy_labels(labels) : NULL;
    struct scrape_series *s = c->unused;

    if (!v)
        return NULL;
    c->unused = s->next_unused;
    *s = (struct scrape_series){ .labels = { v, labels.n }, .hash = hash };
    return s;
}

static struct scrape_series *find_or_add_series(struct scrape_cache *c, struct labels labels)
{
    uint64_t hash = labels_hash(labels);
    size_t at;

    if (c->nseries + 1 > c->ntable / 4 * 3 &&
        rebuild_table(c, c->ntable ? 2 * c->ntable : FIRST_SLOTS, keep_all) < 0)
        return NULL;
    at = series_slot(c->table, c->ntable, hash, labels);
    if (!c->table[at]) {
        c->table[at] = new_series(c, labels, hash);
        c->nseries += c->table[at] != NULL;
    }
    return c->table[at];
}

struct scrape_entry *cache_add(struct scrape_cache *c, struct str bytes, struct labels labels)
{
    struct hash128 h = hash128(&c->key, bytes);
    struct scrape_series *s = NULL;

    if (grow_slots(c) < 0 || mem_grow(&c->entries, &c->cap, c->n + 1, sizeof(*c->entries)) < 0)
        return NULL;
    if (labels.n && !(s = find_or_add_series(c, labels)))
        return NULL;
    c->entries[c->n] = (struct scrape_entry){ .key = h, .series = s, .seen = c->page };
    put_slot(c->slots, c->nslots, c->entries, c->n);
    if (s)
        s->entries++;
    c->found++;
    c->at = c->n++;
    return &c->entries[c->at];
}

/* --- alive and stale --- */

void cache_touch(struct scrape_cache *c, struct scrape_series *s)
{
    if (s->tracked == c->page)
        return;
    s->was_live = s->tracked == c->before;
    s->tracked = c->page;
    c->kept += s->was_live;
    c->touched++;
}

static bool was_live(const struct scrape_cache *c, const struct scrape_series *s)
{
    return s->tracked == c->page ? s->was_live : s->tracked == c->before;
}

int cache_end(struct scrape_cache *c, bool good, int (*stale)(void *arg, struct scrape_series *s), void *arg)
{
    bool all_kept = good && c->kept == c->live_before;
    int rc = 0;

    c->good = good ? c->page : NO_PAGE;
    c->live = good ? c->touched : 0;
    for (size_t i = 0; rc >= 0 && !all_kept && i < c->ntable; i++) {
        struct scrape_series *s = c->table[i];

        if (s && was_live(c, s) && (!good || s->tracked != c->page))
            rc = stale(arg, s);
    }
    return rc < 0 ? rc : 0;
}

void cache_undo(struct scrape_cache *c)
{
    for (size_t i = 0; i < c->ntable; i++)
        if (c->table[i])
            c->table[i]->tracked = was_live(c, c->table[i]) ? c->page : 0;
    c->good = c->page;
    c->live = c->live_before;
}

/* --- forgetting --- */

static bool of_use(const struct scrape_cache *c, const struct scrape_series *s)
{
    return s->entries || s->tracked == c->good;
}

static void drop_entries(struct scrape_cache *c, bool unseen_only)
{
    size_t kept = 0;

    for (size_t i = 0; i < c->n; i++) {
        struct scrape_entry *e = &c->entries[i];

        if (unseen_only && e->seen == c->page)
            c->entries[kept++] = *e;
        else if (e->series)
            e->series->entries--;
    }
    c->n = kept;
    c->at = SIZE_MAX;
    if (c->nslots)
        memset(c->slots, 0, c->nslots * sizeof(*c->slots));
    for (size_t i = 0; i < c->n; i++)
        put_slot(c->slots, c->nslots, c->entries, i);
}

static void forget_series(struct scrape_cache *c)
{
    if (c->ntable && rebuild_table(c, c->ntable, of_use) < 0)
        return; /* without memory for a new table the old one, with all that is in it, serves on */
}

void cache_trim(struct scrape_cache *c)
{
    if (c->n <= c->found + c->found / 2 + SPARE_ENTRIES)
        return;
    drop_entries(c, true);
    forget_series(c);
}

void cache_forget_entries(struct scrape_cache *c)
{
    drop_entries(c, false);
    forget_series(c);
}
