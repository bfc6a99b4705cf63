/* seal.c: a head is written as blocks.
 *
 * A block should span about SLICE samples of each series: few enough that a query for the last minutes decodes little,
 * enough that columns compress. So a head becomes one block for each of its partitions, or several, one behind the other
 * in time, when its series are long; and blocks whose series are short are merged later (merge.c). A block with fewer
 * than BLOCK_MIN samples is not split further for that: each block costs a directory.
 *
 * Blocks are written in the order of their times, and how far it got is kept: a try after a failure goes on from there,
 * so that a disk that is full, or one file that cannot be written, does not fill up with copies of the rest. */
#include "store/store-internal.h"

#include "base/clock.h"
#include "base/mem.h"
#include "store/build-internal.h"

enum { SLICE = 256, BLOCK_MIN = 256 * 1024 };

/* One partition's share of a head. */
struct share {
    int64_t partition, first, last;
    uint64_t samples, series;
    uint32_t seen; /* the last series that was counted, as a place in ids + 1 */
};

struct sealing {
    struct store *st;
    const struct head *head;
    struct seal_progress *done;
    uint32_t *ids;
    struct head_view *views;
    size_t n;
    struct share *shares;
    size_t nshares, cap;
    struct arena a;
};

static int list_series(struct sealing *s, struct err *e)
{
    uint32_t end = head_end(s->head);
    struct head_view v;
    int rc;

    for (uint32_t id = 0; id < end; id++)
        s->n += head_look(s->head, id, &v);
    s->ids = arena_array(&s->a, s->n + 1, sizeof(*s->ids));
    s->views = arena_array(&s->a, s->n + 1, sizeof(*s->views));
    if (!s->ids || !s->views)
        return err_set(e, ERR_NOMEM, "no memory to seal %zu series", s->n);
    s->n = 0;
    for (uint32_t id = 0; id < end; id++)
        if (head_look(s->head, id, &v))
            s->ids[s->n++] = id;
    pthread_rwlock_rdlock(&s->st->lock);
    rc = index_sort(s->st->index, s->ids, s->n);
    pthread_rwlock_unlock(&s->st->lock);
    if (rc < 0)
        return err_set(e, ERR_NOMEM, "no memory to sort %zu series", s->n);
    for (size_t i = 0; i < s->n; i++)
        (void)head_look(s->head, s->ids[i], &s->views[i]);
    return 0;
}

/* Shares stand by rising partition. */
static struct share *share_of(struct sealing *s, int64_t partition)
{
    size_t lo = 0, hi = s->nshares;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (s->shares[mid].partition < partition)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo < s->nshares && s->shares[lo].partition == partition)
        return &s->shares[lo];
    if (arena_grow(&s->a, &s->shares, &s->cap, s->nshares + 1, sizeof(*s->shares)) < 0)
        return NULL;
    memmove(s->shares + lo + 1, s->shares + lo, (s->nshares - lo) * sizeof(*s->shares));
    s->shares[lo] = (struct share){ .partition = partition, .first = INT64_MAX, .last = INT64_MIN };
    s->nshares++;
    return &s->shares[lo];
}

static int count_times(struct sealing *s, size_t at, const int64_t *t, size_t n, struct err *e)
{
    struct share *share = NULL;

    for (size_t i = 0; i < n; i++) {
        if (!share || partition_of(t[i]) != share->partition)
            share = share_of(s, partition_of(t[i]));
        if (!share)
            return err_set(e, ERR_NOMEM, "no memory to seal series");
        share->first = t[i] < share->first ? t[i] : share->first;
        share->last = t[i] > share->last ? t[i] : share->last;
        share->samples++;
        share->series += share->seen != at + 1;
        share->seen = (uint32_t)at + 1;
    }
    return 0;
}

/* Which partitions the head's samples belong to, and how many to each. */
static int find_shares(struct sealing *s, struct err *e)
{
    size_t cap = 0, vcap = 0;
    int64_t *t = NULL;
    double *v = NULL;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < s->n; i++) {
        size_t most = (size_t)s->views[i].n + s->views[i].n_late, first, n;

        if (mem_grow(&t, &cap, most, sizeof(*t)) < 0 || mem_grow(&v, &vcap, most, sizeof(*v)) < 0 ||
            head_read(&s->views[i], INT64_MIN, INT64_MAX, t, v, &first, &n) < 0)
            rc = err_set(e, ERR_NOMEM, "no memory to seal %zu samples", most);
        else
            rc = count_times(s, i, t + first, n, e);
    }
    mem_free(t);
    mem_free(v);
    return rc;
}

static bool is_written(const struct seal_progress *done, int64_t to_ms)
{
    return done->any && to_ms <= done->to_ms;
}

static int write_block(struct sealing *s, int64_t partition, int64_t from_ms, int64_t to_ms, struct err *e)
{
    struct scan_input in = { .store = s->st->blocks, .ids = s->ids, .n = s->n, .from_ms = from_ms, .to_ms = to_ms,
                             .views = { NULL, s->views } };
    struct arena a = ARENA_INIT(0); /* bounded by the head */
    struct scan *scan;
    int rc;

    in.end = head_end(s->head);
    scan = scan_open(&in, &a, e);
    rc = scan ? build_block(s->st->blocks, scan, s->ids, partition, NULL, NULL, 0, e) : e->code;
    arena_free(&a);
    if (rc == 0)
        *s->done = (struct seal_progress){ true, to_ms };
    return rc;
}

static int write_slice(struct sealing *s, int64_t partition, int64_t from_ms, int64_t to_ms, struct err *e)
{
    int rc = is_written(s->done, to_ms) ? 0 : write_block(s, partition, from_ms, to_ms, e);

    if (rc == ERR_RANGE && from_ms < to_ms) { /* too dense for a page: half the time each */
        int64_t middle = from_ms + (to_ms - from_ms) / 2;

        rc = write_slice(s, partition, from_ms, middle, e);
        if (rc == 0)
            rc = write_slice(s, partition, middle + 1, to_ms, e);
    }
    return rc;
}

static int write_share(struct sealing *s, const struct share *share, struct err *e)
{
    uint64_t slices = share->samples / share->series / SLICE, most = share->samples / BLOCK_MIN, i;
    int64_t from_ms = share->first, span;
    int rc = 0;

    slices = slices < most ? slices : most;
    slices = slices ? slices : 1;
    span = (share->last - share->first) / (int64_t)slices + 1;
    for (i = 0; rc == 0 && i < slices && from_ms <= share->last; i++, from_ms += span) {
        int64_t to_ms = share->last - from_ms < span ? share->last : from_ms + span - 1;

        rc = write_slice(s, share->partition, from_ms, to_ms, e);
    }
    return rc;
}

int seal_head(struct store *st, const struct head *h, struct seal_progress *done, struct err *e)
{
    struct sealing s = { .st = st, .head = h, .done = done, .a = ARENA_INIT(0) };
    int rc = list_series(&s, e);

    if (rc == 0)
        rc = find_shares(&s, e);
    pthread_mutex_lock(&st->writing);
    for (size_t i = 0; rc == 0 && i < s.nshares; i++)
        rc = write_share(&s, &s.shares[i], e);
    pthread_mutex_unlock(&st->writing);
    if (rc == 0)
        atomic_fetch_add(&st->counters.sealed, head_samples(h));
    arena_free(&s.a);
    return rc;
}

/* --- the slot --- */

static size_t count(const struct store *st, int kind)
{
    (void)kind;
    return head_samples(st->head);
}

static bool full(const struct store *st, int kind, size_t times)
{
    (void)kind;
    return head_samples(st->head) >= times * st->tuning.seal_samples || st->days.n >= times * MOST_DAYS;
}

static bool due(const struct store *st, int kind)
{
    const struct journal_state *j = &st->journal;

    return full(st, kind, 1) || j->bytes >= st->tuning.seal_bytes ||
           clock_mono_ns() / 1000000 - j->oldest_ms >= st->tuning.seal_ms;
}

static int freeze(struct store *st, int kind, uint64_t *upto)
{
    struct head *fresh = head_new();

    (void)kind;
    if (!fresh)
        return ERR_NOMEM;
    pthread_rwlock_wrlock(&st->lock);
    st->frozen = st->head;
    st->head = fresh;
    pthread_rwlock_unlock(&st->lock);
    *upto = st->journal.last;
    st->sealer.done = (struct seal_progress){ false, 0 };
    st->journal.bytes = 0;
    st->journal.oldest_ms = 0;
    days_reset(&st->days);
    return 0;
}

/* The blocks are listed already: a sample may be in both. */
static int let_go(struct store *st, int kind, uint64_t upto, struct err *e)
{
    struct head *h = st->frozen;

    (void)kind;
    (void)upto;
    (void)e;
    pthread_rwlock_wrlock(&st->lock);
    st->frozen = NULL;
    pthread_rwlock_unlock(&st->lock);
    head_release(h);
    return 0;
}

static int drop(struct store *st, int kind, uint64_t upto, size_t n, size_t *removed, struct err *e)
{
    (void)kind;
    return db_journal_drop(st->db, upto, n, removed, e);
}

/* It stays frozen meanwhile: only the committer lets go of it, and not before it is sealed. */
static int seal(struct store *st, int kind, struct err *e)
{
    (void)kind;
    return seal_head(st, st->frozen, &st->sealer.done, e);
}

const struct seal_ops seal_samples = { count, due, full, freeze, let_go, drop, seal };
