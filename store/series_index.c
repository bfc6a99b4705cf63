/* series_index.c: each label pair is kept once, with the list of its series (its postings).
 *
 * names ──► label_name "code" ──► label_pair code="200" ──► series 1, 4, 7, …
 *                             └─► label_pair code="503" ──► series 4711
 *
 * A series is an id and an array of pointers to its pairs, so its labels cost eight bytes each. */
#include "store/series_index-internal.h"

#include "base/mem.h"

#include <stdlib.h>

static bool same_labels(const struct series *s, struct labels l)
{
    if (s->n != l.n)
        return false;
    for (size_t i = 0; i < l.n; i++)
        if (!str_eq(pair_value(s->pairs[i]), l.v[i].value) || !str_eq(pair_name(s->pairs[i]), l.v[i].name))
            return false;
    return true;
}

static size_t slot_of(const struct series_index *ix, uint64_t hash)
{
    return (size_t)hash & (ix->table_cap - 1);
}

struct series *index_find(const struct series_index *ix, struct labels l)
{
    uint64_t hash;

    if (ix->n == 0)
        return NULL;
    hash = labels_hash(l);
    for (size_t i = slot_of(ix, hash); ix->table[i]; i = (i + 1) & (ix->table_cap - 1))
        if (ix->table[i]->hash == hash && same_labels(ix->table[i], l))
            return ix->table[i];
    return NULL;
}

size_t index_lower_bound(const struct series_index *ix, uint64_t id)
{
    size_t lo = 0, hi = ix->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (ix->all[mid]->id < id)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

struct series *index_by_id(const struct series_index *ix, uint64_t id)
{
    size_t i = index_lower_bound(ix, id);

    return i < ix->n && ix->all[i]->id == id ? ix->all[i] : NULL;
}

static void table_put(struct series_index *ix, struct series *s)
{
    size_t i = slot_of(ix, s->hash);

    while (ix->table[i])
        i = (i + 1) & (ix->table_cap - 1);
    ix->table[i] = s;
}

/* Keeps the table at most half full. */
static int table_grow(struct series_index *ix)
{
    size_t cap = ix->table_cap ? ix->table_cap : 64;
    struct series **table;

    while (cap < (ix->n + 1) * 2)
        cap *= 2;
    if (cap == ix->table_cap)
        return 0;
    table = mem_zalloc(cap * sizeof(struct series *));
    if (!table)
        return ERR_NOMEM;
    mem_free(ix->table);
    ix->table = table;
    ix->table_cap = cap;
    for (size_t i = 0; i < ix->n; i++)
        table_put(ix, ix->all[i]);
    return 0;
}

/* Linear probing without graves: what stands behind the hole and wants to be nearer moves up. */
static void table_del(struct series_index *ix, const struct series *s)
{
    size_t mask = ix->table_cap - 1, hole = slot_of(ix, s->hash);

    while (ix->table[hole] != s)
        hole = (hole + 1) & mask;
    for (size_t i = (hole + 1) & mask; ix->table[i]; i = (i + 1) & mask) {
        size_t home = slot_of(ix, ix->table[i]->hash);

        if (((i - home) & mask) < ((i - hole) & mask))
            continue;
        ix->table[hole] = ix->table[i];
        hole = i;
    }
    ix->table[hole] = NULL;
}

static struct label_name *name_get(struct series_index *ix, struct str name)
{
    struct label_name *ln = strmap_get(&ix->names, name);

    if (ln)
        return ln;
    ln = mem_zalloc(sizeof(*ln) + name.n);
    if (!ln)
        return NULL;
    memcpy(ln->name, name.p, name.n);
    ln->name_n = name.n;
    ln->at = ix->names.n;
    if (strmap_put(&ix->names, (struct str){ ln->name, ln->name_n }, ln, NULL) < 0) {
        mem_free(ln);
        return NULL;
    }
    return ln;
}

static struct label_pair *pair_get(struct series_index *ix, const struct label *l)
{
    struct label_name *ln = name_get(ix, l->name);
    struct label_pair *p = ln ? strmap_get(&ln->values, l->value) : NULL;

    if (p || !ln || mem_grow(&ln->pairs, &ln->cap, ln->n + 1, sizeof(struct label_pair *)) < 0)
        return p;
    p = mem_zalloc(sizeof(*p) + l->value.n);
    if (!p)
        return NULL;
    memcpy(p->value, l->value.p, l->value.n);
    p->value_n = l->value.n;
    p->name = ln;
    p->at = ln->n;
    if (strmap_put(&ln->values, pair_value(p), p, NULL) < 0) {
        mem_free(p);
        return NULL;
    }
    ln->pairs[ln->n++] = p;
    return p;
}

/* Frees what no series has any more. Names stay: there are few. */
static void pair_drop(struct label_pair *p, struct epoch *ep)
{
    struct label_name *ln = p->name;

    if (p->n)
        return;
    strmap_del(&ln->values, pair_value(p));
    ln->pairs[p->at] = ln->pairs[--ln->n];
    ln->pairs[p->at]->at = p->at;
    mem_free(p->series);
    if (ep)
        epoch_retire(ep, &p->retired, 0);
    else
        mem_free(p);
}

/* Gives `s` its pairs, with room in each for one more series. False leaves pairs that may be empty. */
static bool take_pairs(struct series_index *ix, struct series *s, struct labels l)
{
    for (size_t i = 0; i < l.n; i++) {
        struct label_pair *p = pair_get(ix, &l.v[i]);

        if (!p)
            return false;
        s->pairs[s->n++] = p;
        if (mem_grow(&p->series, &p->cap, p->n + 1, sizeof(struct series *)) < 0)
            return false;
    }
    return true;
}

struct series *index_add(struct series_index *ix, uint64_t id, struct labels l)
{
    struct series *s = mem_zalloc(sizeof(*s) + l.n * sizeof(struct label_pair *));

    if (!s)
        return NULL;
    s->id = id;
    s->hash = labels_hash(l);
    s->sealed_first = INT64_MAX;
    s->sealed_last = INT64_MIN;
    if (!take_pairs(ix, s, l) || table_grow(ix) < 0 ||
        mem_grow(&ix->all, &ix->cap, ix->n + 1, sizeof(struct series *)) < 0) {
        for (size_t i = 0; i < s->n; i++)
            pair_drop(s->pairs[i], NULL); /* new ones: nobody has seen them */
        mem_free(s);
        return NULL;
    }
    for (size_t i = 0; i < s->n; i++)
        s->pairs[i]->series[s->pairs[i]->n++] = s;
    ix->all[ix->n++] = s;
    table_put(ix, s);
    return s;
}

/* Leaves only the series that stay; returns how many. */
static size_t sweep(struct series **list, size_t n)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++)
        if (!list[i]->gone)
            list[kept++] = list[i];
    return kept;
}

static void retire_series(struct series *s, struct epoch *ep)
{
    head_discard(&s->head);
    head_stage_empty(&s->head);
    head_publish(&s->head, ep);
    epoch_retire(ep, &s->retired, 0);
}

/* Several of the series may share a pair, so all are looked at before the first is freed. */
static void drop_empty(struct series *const *gone, size_t n, uint64_t swept, struct epoch *ep)
{
    struct retired *empty = NULL;

    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < gone[i]->n; k++) {
            struct label_pair *p = gone[i]->pairs[k];

            if (p->sweep != swept || p->n)
                continue;
            p->sweep = 0;
            p->retired.next = empty;
            empty = &p->retired;
        }
    while (empty) {
        struct label_pair *p = (struct label_pair *)empty;

        empty = empty->next;
        pair_drop(p, ep);
    }
}

/* One pass over each list concerned, however many series leave it. */
void index_remove(struct series_index *ix, struct epoch *ep, struct series *const *gone, size_t n)
{
    if (n == 0)
        return;
    ix->sweep++;
    for (size_t i = 0; i < n; i++) {
        gone[i]->gone = true;
        series_set_sealed(ix, gone[i], INT64_MAX, INT64_MIN);
        table_del(ix, gone[i]);
    }
    ix->n = sweep(ix->all, ix->n);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < gone[i]->n; k++) {
            struct label_pair *p = gone[i]->pairs[k];

            if (p->sweep == ix->sweep)
                continue;
            p->sweep = ix->sweep;
            p->n = sweep(p->series, p->n);
        }
    drop_empty(gone, n, ix->sweep, ep);
    for (size_t i = 0; i < n; i++)
        retire_series(gone[i], ep);
}

void index_fini(struct series_index *ix)
{
    const struct strmap_slot *slot;
    size_t at = 0;

    for (size_t i = 0; i < ix->n; i++) {
        head_discard(&ix->all[i]->head);
        mem_free(ix->all[i]->head.block);
        mem_free(ix->all[i]);
    }
    while ((slot = strmap_next(&ix->names, &at)) != NULL) {
        struct label_name *ln = slot->value;

        for (size_t i = 0; i < ln->n; i++) {
            mem_free(ln->pairs[i]->series);
            mem_free(ln->pairs[i]);
        }
        mem_free(ln->pairs);
        strmap_free(&ln->values);
        mem_free(ln);
    }
    strmap_free(&ix->names);
    mem_free(ix->table);
    mem_free(ix->all);
}

void series_set_sealed(struct series_index *ix, struct series *s, int64_t first, int64_t last)
{
    bool was = s->sealed_first <= s->sealed_last, is = first <= last;

    ix->sealed += (size_t)is;
    ix->sealed -= (size_t)was;
    s->sealed_first = first;
    s->sealed_last = last;
}

bool series_overlaps(const struct series *s, int64_t from_ms, int64_t to_ms)
{
    size_t i;

    if (s->sealed_first <= to_ms && s->sealed_last >= from_ms && s->sealed_first <= s->sealed_last)
        return true;
    if (s->head.n == 0)
        return false;
    i = head_find(s->head.block->t, s->head.n, from_ms);
    return i < s->head.n && s->head.block->t[i] <= to_ms;
}

struct label_pair *series_pair(const struct series *s, const struct label_name *name)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->pairs[i]->name == name)
            return s->pairs[i];
    return NULL;
}

int series_cmp(const struct series *a, const struct series *b)
{
    for (size_t i = 0; i < a->n && i < b->n; i++) {
        const struct label_pair *x = a->pairs[i], *y = b->pairs[i];
        int c;

        if (x == y)
            continue;
        c = x->name == y->name ? 0 : str_cmp(pair_name(x), pair_name(y));
        return c ? c : str_cmp(pair_value(x), pair_value(y));
    }
    return (a->n > b->n) - (a->n < b->n);
}

struct labels series_labels(const struct series *s, struct arena *a)
{
    struct label *v = arena_array(a, s->n ? s->n : 1, sizeof(*v));

    for (size_t i = 0; v && i < s->n; i++)
        v[i] = (struct label){ pair_name(s->pairs[i]), pair_value(s->pairs[i]) };
    return (struct labels){ v, v ? s->n : 0 };
}
