#include "store/event_head-internal.h"

#include "base/mem.h"
#include "store/blocks-internal.h"

#include <string.h>

enum { TINY = 16, SMALL = 256, JOIN_MOST = 16, CHUNK_MAX = 1 << 29 };

/* floor(ns / 10^6) */
static int64_t ms_of(int64_t ns)
{
    return ns / 1000000 - (ns % 1000000 < 0);
}

/* --- one chunk --- */

static struct event_chunk *chunk_new(struct str bytes, const struct event_chunk_head *head)
{
    struct event_chunk *c = mem_zalloc(sizeof(*c));

    if (!c)
        return NULL;
    atomic_init(&c->holders, 1);
    c->head = *head;
    c->bytes = bytes;
    c->only.end = head->rows;
    c->commits = &c->only;
    c->ncommits = 1;
    return c;
}

void event_chunk_hold(struct event_chunk *c)
{
    atomic_fetch_add(&c->holders, 1);
}

void event_chunk_release(struct event_chunk *c)
{
    if (!c || atomic_fetch_sub(&c->holders, 1) > 1)
        return;
    if (c->commits != &c->only)
        mem_free(c->commits);
    mem_free((char *)(uintptr_t)c->bytes.p);
    days_fini(&c->days);
    mem_free(c);
}

void event_chunks_release(struct event_chunk *list)
{
    while (list) {
        struct event_chunk *next = list->next;

        event_chunk_release(list);
        list = next;
    }
}

/* The bytes of a buffer, in as much memory as they take; p NULL: no memory. */
static struct str take_bytes(struct buf *b)
{
    struct str bytes;
    char *less;

    bytes.p = buf_take(b, &bytes.n);
    less = bytes.p ? mem_realloc((char *)(uintptr_t)bytes.p, bytes.n) : NULL;
    if (less)
        bytes.p = less;
    return bytes;
}

static int note_days(struct event_chunk *c, const int64_t *ns, size_t n, struct err *e)
{
    if (partition_of(ms_of(c->head.first_ns)) == partition_of(ms_of(c->head.last_ns)))
        return 0;
    for (size_t i = 0; i < n; i++)
        if (days_add(&c->days, ms_of(ns[i])) < 0)
            return err_set(e, ERR_NOMEM, "no memory for rows");
    if (c->days.n > MOST_DAYS)
        return err_set(e, ERR_LIMIT, "rows of more than %d days in one batch (send less at a time)", MOST_DAYS);
    return 0;
}

int event_chunk_days(const struct event_chunk *c, struct days *days)
{
    int rc = c->days.n ? 0 : days_add(days, ms_of(c->head.first_ns));

    for (size_t i = 0; rc == 0 && i < c->days.n; i++)
        rc = days_add(days, c->days.v[i] * PARTITION_MS);
    return rc;
}

/* Takes the buffer's bytes, whatever comes of it. */
static int chunk_of(struct buf *b, struct event_chunk **chunk, struct err *e)
{
    struct event_chunk_head head;
    struct str bytes = take_bytes(b);
    int rc = bytes.p ? event_chunk_check(bytes, &head, e) : ERR_NOMEM;

    *chunk = rc == 0 ? chunk_new(bytes, &head) : NULL;
    if (*chunk)
        return 0;
    mem_free((char *)(uintptr_t)bytes.p);
    return rc < 0 && rc != ERR_NOMEM ? rc : err_set(e, ERR_NOMEM, "no memory for rows");
}

static int encode(const struct event_rows *rows, enum event_kind kind, size_t first, size_t n, struct event_chunk **chunk,
                  struct err *e)
{
    struct buf b = BUF_INIT(CHUNK_MAX);
    int rc = event_chunk_encode(rows, kind, first, n, &b, e);

    *chunk = NULL;
    if (rc == 0)
        rc = chunk_of(&b, chunk, e);
    buf_free(&b);
    return rc < 0 ? rc : note_days(*chunk, rows->time_ns + first, n, e);
}

int event_chunks_of(const struct batch *b, struct event_chunk **list, struct err *e)
{
    struct event_chunk **end = list;
    int rc = 0;

    *list = NULL;
    for (int kind = 0; kind < EVENT_KINDS; kind++)
        for (size_t at = 0; rc == 0 && at < b->events[kind].n; at += EVENT_SOURCE_ROWS) {
            size_t n = b->events[kind].n - at;

            rc = encode(&b->events[kind], (enum event_kind)kind, at, n < EVENT_SOURCE_ROWS ? n : EVENT_SOURCE_ROWS, end, e);
            if (*end)
                end = &(*end)->next;
        }
    if (rc == 0)
        return 0;
    event_chunks_release(*list);
    *list = NULL;
    return rc;
}

int event_chunk_replayed(struct str record, enum event_kind kind, struct event_chunk **chunk, struct err *e)
{
    struct buf b = BUF_INIT(SIZE_MAX);
    struct arena a = ARENA_INIT(0); /* bounded by the record */
    struct event_source *s;
    const int64_t *ns;
    int rc;

    *chunk = NULL;
    buf_str(&b, record);
    rc = buf_failed(&b) ? err_set(e, ERR_NOMEM, "no memory for rows") : chunk_of(&b, chunk, e);
    buf_free(&b);
    if (rc == 0 && (*chunk)->head.kind != kind)
        rc = err_set(e, ERR_CORRUPT, "rows of another table");
    if (rc == 0) {
        s = event_chunk_open((*chunk)->bytes, &a, e);
        rc = s ? s->ops->times(s, &ns, e) : e->code;
    }
    if (rc == 0)
        rc = note_days(*chunk, ns, (*chunk)->head.rows, e);
    arena_free(&a);
    if (rc == 0)
        return 0;
    event_chunk_release(*chunk);
    *chunk = NULL;
    return rc;
}

/* --- the head --- */

struct event_head *event_head_new(void)
{
    return mem_zalloc(sizeof(struct event_head));
}

void event_head_free(struct event_head *h)
{
    if (!h)
        return;
    for (size_t i = 0; i < h->n; i++)
        event_chunk_release(h->v[i]);
    mem_free(h->v);
    mem_free(h);
}

int event_head_reserve(struct event_head *h, size_t n)
{
    return mem_grow(&h->v, &h->cap, h->n + n, sizeof(*h->v));
}

static uint64_t chunk_bytes(const struct event_chunk *c)
{
    return sizeof(*c) + c->bytes.n;
}

void event_head_append(struct event_head *h, struct event_chunk *c)
{
    event_chunk_hold(c);
    h->v[h->n++] = c;
    h->rows += c->head.rows;
    h->bytes += chunk_bytes(c);
    h->last = c->only.number;
}

/* --- joining --- */

static int class_of(const struct event_chunk *c)
{
    return c->head.rows < TINY ? 0 : c->head.rows < SMALL ? 1 : 2;
}

/* The chunks at the end that are of no higher class, when JOIN_MOST of them are of this one. */
static bool find_run(const struct event_head *h, int class, struct event_join *j)
{
    size_t of_class = 0, rows = 0;

    for (j->first = h->n; j->first > 0; j->first--) {
        const struct event_chunk *c = h->v[j->first - 1];

        if (class_of(c) > class || rows + c->head.rows > EVENT_SOURCE_ROWS)
            break;
        of_class += class_of(c) == class;
        rows += c->head.rows;
    }
    j->n = h->n - j->first;
    return of_class >= JOIN_MOST;
}

/* Which rows came with which records: one list behind the other. */
static int join_commits(const struct event_head *h, const struct event_join *j)
{
    struct event_chunk *made = j->made;
    size_t n = 0, rows = 0;

    for (size_t i = 0; i < j->n; i++)
        n += h->v[j->first + i]->ncommits;
    made->commits = mem_alloc(n * sizeof(*made->commits));
    if (!made->commits) {
        made->commits = &made->only;
        return ERR_NOMEM;
    }
    made->ncommits = 0;
    for (size_t i = 0; i < j->n; i++) {
        const struct event_chunk *c = h->v[j->first + i];

        for (size_t k = 0; k < c->ncommits; k++)
            made->commits[made->ncommits++] =
                (struct event_commit){ c->commits[k].number, (uint32_t)rows + c->commits[k].end };
        rows += c->head.rows;
    }
    return 0;
}

static int join(const struct event_head *h, struct event_join *j)
{
    struct arena a = ARENA_INIT(0); /* bounded by the chunks */
    struct buf b = BUF_INIT(CHUNK_MAX);
    struct event_source **sources = arena_array(&a, j->n, sizeof(struct event_source *));
    struct err e = ERR_INIT;
    int rc = sources ? 0 : ERR_NOMEM;

    for (size_t i = 0; rc == 0 && i < j->n; i++) {
        sources[i] = event_chunk_open(h->v[j->first + i]->bytes, &a, &e);
        rc = sources[i] ? 0 : e.code;
    }
    if (rc == 0)
        rc = event_chunk_join(sources, j->n, &b, &e);
    if (rc == 0)
        rc = chunk_of(&b, &j->made, &e);
    if (rc == 0)
        rc = join_commits(h, j);
    buf_free(&b);
    arena_free(&a);
    return rc;
}

bool event_head_plan(const struct event_head *h, struct event_join *j)
{
    j->made = NULL;
    if (!find_run(h, 0, j) && !find_run(h, 1, j))
        return false;
    if (join(h, j) == 0)
        return true;
    event_chunk_release(j->made);
    return false;
}

void event_head_join(struct event_head *h, const struct event_join *j, struct event_chunk **old)
{
    memcpy(old, h->v + j->first, j->n * sizeof(*old));
    for (size_t i = 0; i < j->n; i++)
        h->bytes -= chunk_bytes(old[i]);
    h->bytes += chunk_bytes(j->made);
    h->v[j->first] = j->made;
    h->n = j->first + 1;
}
