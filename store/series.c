/* series.c: a snapshot of the series that match.
 *
 * Opening takes the store's lock for a moment: it finds the series, notes how far the heads go for each, and takes hold
 * of both heads and of the list of blocks. From then on nothing that the committer or the sealer do shows: heads only
 * grow behind what was noted, blocks that are held stay (scan-internal.h reads them). */
#include "store/series.h"

#include "store/bits-internal.h"
#include "store/presence-internal.h"
#include "store/scan-internal.h"
#include "store/store-internal.h"

enum { LABELS_AHEAD = 64, PART_MIN = 16 };

struct series_set {
    struct store *st;
    struct arena *a;
    struct scan *scan;          /* NULL: there is nothing, or only labels are wanted, of ids[next..n) */
    struct series_index *index; /* its texts are in labels that were handed out */
    struct head *heads[SCAN_HEADS];
    struct block_list *list;
    uint32_t *ids; /* in the order of pages */
    size_t n, next;
    struct head_view *views[SCAN_HEADS];
    /* Labels are fetched for some series at a time, with the lock held once: those of ids[from..to). */
    struct labels labels[LABELS_AHEAD];
    size_t labels_from, labels_to;
};

static int no_room(const struct arena *a, struct err *e)
{
    if (a->max && a->used > a->max / 2)
        return err_set(e, ERR_LIMIT, "the query needs more than the %zu bytes of memory it may use", a->max);
    return err_set(e, ERR_NOMEM, "no memory for the query");
}

static void release(void *arg)
{
    struct series_set *set = arg;

    for (size_t h = 0; h < SCAN_HEADS; h++)
        head_release(set->heads[h]);
    if (set->list)
        blocks_release(set->st->blocks, set->list);
    index_free(set->index);
}

/* With the lock held: everything that makes the snapshot. */
static int look(struct series_set *set, const struct series_query *q)
{
    struct store *st = set->st;
    struct head *heads[SCAN_HEADS] = { st->frozen, st->head };

    set->index = st->index;
    index_hold(set->index);
    if (index_select(st->index, q->matchers, q->n, set->a, &set->ids, &set->n) < 0 ||
        index_sort(st->index, set->ids, set->n) < 0)
        return ERR_NOMEM;
    set->list = blocks_hold(st->blocks);
    for (size_t h = 0; h < SCAN_HEADS; h++) {
        int64_t first, last;

        if (!heads[h])
            continue;
        head_range(heads[h], &first, &last);
        if (first > q->to_ms || last < q->from_ms)
            continue;
        set->views[h] = arena_array(set->a, set->n + 1, sizeof(*set->views[h]));
        if (!set->views[h])
            return ERR_NOMEM;
        set->heads[h] = heads[h];
        head_hold(heads[h]);
        for (size_t i = 0; i < set->n; i++)
            (void)head_look(heads[h], set->ids[i], &set->views[h][i]); /* not in it: n stays 0 */
    }
    return 0;
}

static int scan_them(struct series_set *set, const struct series_query *q, struct err *e)
{
    struct scan_input in = { .store = set->st->blocks, .ids = set->ids, .n = set->n, .from_ms = q->from_ms,
                             .to_ms = q->to_ms, .skip_damaged = true };

    for (size_t i = 0; i < set->n; i++)
        in.end = set->ids[i] >= in.end ? set->ids[i] + 1 : in.end;
    in.blocks = set->list->blocks;
    in.nblocks = set->list->n;
    for (size_t h = 0; h < SCAN_HEADS; h++)
        in.views[h] = set->views[h];
    set->scan = scan_open(&in, set->a, e);
    return set->scan ? 0 : ERR_NOMEM;
}

/* --- only labels --- */

/* What presence is asked for. */
struct finding {
    struct series_set *set;
    const struct series_query *q;
    uint64_t *found; /* bits by place in ids */
    size_t left;
};

static int begin(void *arg, struct series_index *ix, struct err *e)
{
    struct finding *f = arg;
    struct series_set *set = f->set;

    set->index = ix;
    index_hold(ix);
    if (index_select(ix, f->q->matchers, f->q->n, set->a, &set->ids, &set->n) < 0)
        return no_room(set->a, e);
    f->found = arena_array(set->a, bits_words((uint32_t)set->n), sizeof(*f->found));
    f->left = set->n;
    return f->found ? 0 : no_room(set->a, e);
}

static int look_for(void *arg, const struct presence *p, struct err *e)
{
    struct finding *f = arg;

    (void)e;
    for (uint32_t i = 0; f->left && i < f->set->n; i++)
        if (!bits_test(f->found, i) && presence_has(p, f->set->ids[i])) {
            bits_set(f->found, i);
            f->left--;
        }
    return f->left > 0;
}

/* The series that are there; by rising number, as nobody reads their pages. */
static int find_them(struct series_set *set, const struct series_query *q, struct err *e)
{
    static const struct presence_asker asker = { .begin = begin, .look = look_for };
    struct finding f = { .set = set, .q = q };
    int rc = presence_ask(set->st, q, &asker, &f, e);
    size_t kept = 0;

    for (uint32_t i = 0; rc == 0 && i < set->n; i++)
        if (bits_test(f.found, i))
            set->ids[kept++] = set->ids[i];
    set->n = kept;
    return rc;
}

/* --- with their samples --- */

struct series_set *series_open(struct store *st, const struct series_query *q, struct arena *a, struct err *e)
{
    struct series_set *set = ARENA_NEW(a, struct series_set);
    int rc;

    if (!set || arena_on_free(a, release, set) < 0) {
        no_room(a, e);
        return NULL;
    }
    set->st = st;
    set->a = a;
    if (q->from_ms > q->to_ms)
        return set;
    if (q->labels_only)
        return find_them(set, q, e) < 0 ? NULL : set;
    pthread_rwlock_rdlock(&st->lock);
    rc = look(set, q);
    pthread_rwlock_unlock(&st->lock);
    if (rc < 0) {
        no_room(a, e);
        return NULL;
    }
    return scan_them(set, q, e) < 0 ? NULL : set;
}

size_t series_count(const struct series_set *set)
{
    return set->n;
}

int series_split(struct series_set *set, size_t n, struct arena *const *arenas, struct series_set **parts, size_t *nparts,
                 struct err *e)
{
    size_t most = set->scan ? set->n / PART_MIN : 0;

    n = n < most ? n : most;
    *nparts = n ? n : 1;
    parts[0] = set;
    for (size_t i = 0; n > 1 && i < n; i++) {
        struct series_set *part = ARENA_NEW(arenas[i], struct series_set);

        if (!part)
            return no_room(arenas[i], e);
        part->st = set->st;
        part->index = set->index; /* the set holds it */
        part->a = arenas[i];
        part->ids = set->ids;
        part->n = set->n;
        part->scan = scan_part(set->scan, set->n * i / n, set->n * (i + 1) / n, arenas[i], e);
        if (!part->scan)
            return ERR_NOMEM;
        parts[i] = part;
    }
    return 0;
}

/* The labels of the series at this place and of some behind it. */
static int fetch_labels(struct series_set *set, size_t at)
{
    size_t n = set->n - at < LABELS_AHEAD ? set->n - at : LABELS_AHEAD;
    int rc = 0;

    set->labels_from = at;
    set->labels_to = at + n;
    pthread_rwlock_rdlock(&set->st->lock);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        if (!index_has(set->index, set->ids[at + i]))
            continue; /* forgotten since the set was opened: it had no samples */
        set->labels[i] = index_labels(set->index, set->ids[at + i], set->a);
        rc = set->labels[i].v ? 0 : ERR_NOMEM;
    }
    pthread_rwlock_unlock(&set->st->lock);
    return rc;
}

static int next_place(struct series_set *set, size_t *at, struct err *e)
{
    if (set->scan)
        return scan_next(set->scan, at, e);
    *at = set->next;
    return set->next < set->n ? (set->next++, 1) : 0;
}

int series_next(struct series_set *set, struct labels *labels, struct err *e)
{
    size_t at;
    int rc = next_place(set, &at, e);

    if (rc != 1)
        return rc;
    if ((at < set->labels_from || at >= set->labels_to) && fetch_labels(set, at) < 0)
        return no_room(set->a, e);
    *labels = set->labels[at - set->labels_from];
    return 1;
}

int series_samples(struct series_set *set, struct sample_columns *out, struct err *e)
{
    (void)e; /* another engine may read here; this one has */
    return set->scan && scan_samples(set->scan, out);
}

int64_t series_changes(struct store *st, uint64_t *mark)
{
    uint64_t losses = blocks_losses(st->blocks);

    if (atomic_exchange(&st->losses, losses) != losses)
        changes_note(&st->changes, INT64_MIN);
    return changes_since(&st->changes, mark);
}
