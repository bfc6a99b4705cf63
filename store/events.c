/* events.c: the cursor: sources merged by time.
 *
 *     time  ----------------------------------------------------------->
 *     a     |=====|
 *     b        |=======|                 open: rows selected, in order, in the heap
 *     c                  |========|      waiting: nothing of it has been read
 *     d                      |==========|
 *
 * Sources wait in the order of their first row (or last, when the newest comes first), which is known without reading. One
 * is opened when no open one has a row before it; so a query with a limit reads the few sources at one end. What was loaded
 * to select rows is let go at once; the columns of the page are loaded with a source's first row that goes into a page, and
 * let go behind the page that has its last.
 *
 * When sources turn out to have few rows, time after time, it is a needle that is sought: then several are opened ahead, on
 * all cores, and more of them each time.
 *
 * A source whose bytes prove wrong is set aside, and the rest is read. */
#include "store/events.h"

#include "store/event_columns-internal.h"
#include "store/event_crew-internal.h"
#include "store/event_order-internal.h"
#include "store/event_room-internal.h"

#include <stdlib.h>

enum {
    PAGE_ROWS = 512,
    SPENT_BYTES = 8 << 20, /* a page ends where it has used up sources that hold more */
    FEW_ROWS = 32,
    POOR = 2,       /* sources in a row with few rows, before several are opened ahead */
    AHEAD = 2,      /* sources for each thread, at first */
    MOST_AHEAD = 64
};

/* A source in the merge. */
struct reading {
    size_t place;       /* in the list of sources: the order of rows of one time */
    struct arena arena; /* of all that follows */
    struct event_placed *rows; /* the next one is rows[0], or rows[n - 1] when the newest comes first */
    size_t n;
    struct event_columns *columns; /* NULL: no row of it has been in a page */
};

struct event_cursor {
    struct store *st;
    struct event_wanted wanted;
    struct event_sources sources;
    struct event_room room;
    uint64_t columns_wanted;
    bool newest_first, want_attributes, ended;
    size_t left;               /* rows until the limit */

    struct reading *readings;  /* one for each source, in the order in which they are opened */
    size_t next;               /* of those, the first that is not */
    struct reading **heap;     /* of those that have rows, the one with the next row on top */
    size_t nheap;
    struct reading **spent;    /* by the present page, which may point into them */
    size_t nspent, spent_bytes;
    size_t poor, threads;      /* poor: sources in a row that had few rows */

    struct arena pairs;        /* of the present page's attributes */
    int64_t *time_ns;          /* these have room for PAGE_ROWS */
    union event_value *columns[EVENT_MAX_COLUMNS];
    struct labels *attributes;
};

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, "no memory for a query of events");
}

/* --- order -------------------------------------------------------------------------------------------------------- */

static const struct event_placed *next_row(const struct event_cursor *c, const struct reading *r)
{
    return &r->rows[c->newest_first ? r->n - 1 : 0];
}

static bool comes_before(const struct event_cursor *c, const struct reading *x, const struct reading *y)
{
    int64_t s = next_row(c, x)->time_ns, t = next_row(c, y)->time_ns;

    if (s != t)
        return (s < t) != c->newest_first;
    return (x->place < y->place) != c->newest_first;
}

static void sift_down(struct event_cursor *c)
{
    struct reading *moved = c->heap[0];
    size_t at = 0, child;

    while ((child = 2 * at + 1) < c->nheap) {
        if (child + 1 < c->nheap && comes_before(c, c->heap[child + 1], c->heap[child]))
            child++;
        if (!comes_before(c, c->heap[child], moved))
            break;
        c->heap[at] = c->heap[child];
        at = child;
    }
    c->heap[at] = moved;
}

static void push(struct event_cursor *c, struct reading *r)
{
    size_t at = c->nheap++;

    for (; at > 0 && comes_before(c, r, c->heap[(at - 1) / 2]); at = (at - 1) / 2)
        c->heap[at] = c->heap[(at - 1) / 2];
    c->heap[at] = r;
}

/* The top reading has no more rows. What the page shows of it stays until the next page. */
static void pop(struct event_cursor *c)
{
    c->spent_bytes += c->heap[0]->arena.used;
    c->spent[c->nspent++] = c->heap[0];
    c->heap[0] = c->heap[--c->nheap];
    if (c->nheap)
        sift_down(c);
}

/* --- opening ------------------------------------------------------------------------------------------------------ */

/* The rows of the source that hold, in order, as many of them as the limit can use. */
static int read_rows(struct event_cursor *c, struct reading *r, struct arena *scratch, struct err *e)
{
    struct event_source *source = event_source_again(c->sources.v[r->place], scratch, e);
    struct event_selection s;
    struct event_placed *all;
    int rc = source ? event_select(&c->wanted, source, &s, e) : e->code;

    if (rc < 0 || s.n == 0)
        return rc;
    rc = event_order(&s, source, &all, e);
    if (rc < 0)
        return rc;
    r->n = s.n < c->left ? s.n : c->left;
    r->rows = arena_alloc(&r->arena, r->n * sizeof(*r->rows));
    if (!r->rows)
        return no_memory(e);
    memcpy(r->rows, c->newest_first ? all + s.n - r->n : all, r->n * sizeof(*r->rows));
    return 0;
}

static void set_aside(struct event_cursor *c, struct reading *r, const struct err *why)
{
    event_source_damaged(c->st, c->sources.v[r->place], why);
    r->n = 0;
}

/* On any thread: of the cursor nothing but the reading is changed. */
static int open_reading(void *arg, size_t member, size_t i, struct err *e)
{
    struct event_cursor *c = arg;
    struct reading *r = &c->readings[c->next + i];
    struct arena scratch = event_room_arena(&c->room);
    int rc;

    (void)member;
    r->arena = event_room_arena(&c->room);
    rc = read_rows(c, r, &scratch, e);
    arena_free(&scratch);
    if (rc == ERR_CORRUPT) {
        set_aside(c, r, e);
        rc = 0;
    }
    return rc;
}

/* How many sources are opened at once: one by one, while they have rows enough. */
static size_t how_many(const struct event_cursor *c)
{
    size_t n = c->poor > AHEAD * c->threads ? c->poor : AHEAD * c->threads, waiting = c->sources.n - c->next;

    if (c->poor < POOR || c->threads == 1)
        n = 1;
    n = n > MOST_AHEAD ? MOST_AHEAD : n;
    return n > waiting ? waiting : n;
}

static int open_some(struct event_cursor *c, struct err *e)
{
    size_t n = how_many(c), found = 0;
    int rc = event_crew_run(n > 1 ? c->threads : 1, n, open_reading, c, e);

    for (size_t i = 0; i < n; i++) {
        struct reading *r = &c->readings[c->next + i];

        found += r->n;
        if (rc == 0 && r->n)
            push(c, r);
        else
            arena_free(&r->arena);
    }
    c->poor = found < n * FEW_ROWS ? c->poor + n : 0;
    c->next += n;
    return rc;
}

/* Whether the first of the sources that wait may have the next row. */
static bool must_open(const struct event_cursor *c)
{
    const struct event_source *s;
    int64_t t;

    if (c->next == c->sources.n)
        return false;
    if (c->nheap == 0)
        return true;
    s = c->sources.v[c->readings[c->next].place];
    t = next_row(c, c->heap[0])->time_ns;
    return c->newest_first ? s->last_ns >= t : s->first_ns <= t;
}

/* --- pages -------------------------------------------------------------------------------------------------------- */

static int load_columns(struct event_cursor *c, struct reading *r, struct err *e)
{
    struct event_source *source;

    if (r->columns)
        return 0;
    r->columns = ARENA_NEW(&r->arena, struct event_columns);
    if (!r->columns)
        return no_memory(e);
    source = event_source_again(c->sources.v[r->place], &r->arena, e);
    return source ? event_columns_load(r->columns, source, c->columns_wanted, c->want_attributes, e) : e->code;
}

/* The top reading's next row becomes row `at` of the page: 1, or 0 when its source is damaged and has none any more. */
static int put_row(struct event_cursor *c, size_t at, struct err *e)
{
    struct reading *r = c->heap[0];
    const struct event_placed *p = next_row(c, r);
    int rc = load_columns(c, r, e);

    if (rc == 0)
        rc = event_columns_read(r->columns, c->wanted.kind, p->row, c->columns, at, e);
    if (rc == 0 && c->want_attributes)
        rc = event_columns_attributes(r->columns, p->row, &c->pairs, &c->attributes[at], e);
    if (rc == ERR_CORRUPT) {
        set_aside(c, r, e);
        pop(c);
        return 0;
    }
    if (rc < 0)
        return rc;
    c->time_ns[at] = p->time_ns;
    r->n--;
    if (!c->newest_first)
        r->rows++;
    if (r->n)
        sift_down(c);
    else
        pop(c);
    return 1;
}

static void let_go(struct event_cursor *c)
{
    while (c->nspent)
        arena_free(&c->spent[--c->nspent]->arena);
    c->spent_bytes = 0;
    arena_free(&c->pairs);
}

static int fill(struct event_cursor *c, size_t *n, struct err *e)
{
    int rc = 0;

    while (rc >= 0 && *n < PAGE_ROWS && c->left && (*n == 0 || c->spent_bytes < SPENT_BYTES)) {
        if (must_open(c)) {
            rc = open_some(c, e);
            continue;
        }
        if (c->nheap == 0)
            break;
        rc = put_row(c, *n, e);
        if (rc == 1) {
            ++*n;
            c->left--;
        }
    }
    return rc < 0 ? rc : 0;
}

int events_next(struct event_cursor *c, struct event_page *page, struct err *e)
{
    struct err why = ERR_INIT;
    size_t n = 0;
    int rc;

    let_go(c);
    if (c->ended)
        return 0;
    rc = fill(c, &n, &why);
    c->ended = rc < 0 || n == 0;
    if (rc < 0)
        return event_room_error(&c->room, err_set(e, rc, "%s", why.msg), e);
    *page = (struct event_page){ .n = n, .time_ns = c->time_ns, .attributes = c->attributes };
    for (size_t i = 0; i < event_tables[c->wanted.kind].n; i++)
        page->columns[i] = c->columns[i];
    return n > 0;
}

/* --- the cursor --------------------------------------------------------------------------------------------------- */

static int compare(const struct event_cursor *c, const struct reading *x, const struct reading *y)
{
    const struct event_source *s = c->sources.v[x->place], *t = c->sources.v[y->place];
    int by_time = c->newest_first ? (s->last_ns < t->last_ns) - (s->last_ns > t->last_ns)
                                  : (s->first_ns > t->first_ns) - (s->first_ns < t->first_ns);

    return by_time ? by_time : (x->place > y->place) - (x->place < y->place);
}

static int opened_first(const void *a, const void *b, void *arg)
{
    return compare(arg, a, b);
}

static int make_room(struct event_cursor *c, struct arena *a, struct err *e)
{
    bool all = true;

    c->time_ns = arena_array(a, PAGE_ROWS, sizeof(*c->time_ns));
    for (size_t i = 0; i < event_tables[c->wanted.kind].n; i++)
        if (c->columns_wanted >> i & 1) {
            c->columns[i] = arena_array(a, PAGE_ROWS, sizeof(*c->columns[i]));
            all = all && c->columns[i];
        }
    if (c->want_attributes)
        c->attributes = arena_array(a, PAGE_ROWS, sizeof(*c->attributes));
    c->readings = arena_array(a, c->sources.n, sizeof(*c->readings));
    c->heap = arena_array(a, c->sources.n, sizeof(*c->heap));
    c->spent = arena_array(a, c->sources.n, sizeof(*c->spent));
    if (!c->time_ns || !all || (c->want_attributes && !c->attributes) || !c->readings || !c->heap || !c->spent)
        return no_memory(e);
    return 0;
}

/* The sources in the order in which they are opened. */
static void line_up(struct event_cursor *c)
{
    uint64_t rows = 0;

    for (size_t i = 0; i < c->sources.n; i++) {
        c->readings[i].place = i;
        rows += c->sources.v[i]->n;
    }
    if (c->sources.n)
        qsort_r(c->readings, c->sources.n, sizeof(*c->readings), opened_first, c);
    c->threads = event_crew_size(rows);
}

static int start(struct event_cursor *c, const struct event_query *q, struct arena *a, struct err *e)
{
    int rc = event_wanted_make(q, a, &c->wanted, e);

    if (rc == 0)
        rc = event_sources_hold(c->st, q->kind, q->from_ns, q->to_ns, q->after, a, &c->sources, e);
    if (rc < 0)
        return rc;
    rc = make_room(c, a, e);
    if (rc < 0) {
        event_sources_release(c->st, &c->sources);
        return rc;
    }
    line_up(c);
    return 0;
}

struct event_cursor *events_open(struct store *st, const struct event_query *q, struct arena *a, struct err *e)
{
    struct event_cursor *c = ARENA_NEW(a, struct event_cursor);
    int rc;

    if (!c) {
        no_memory(e);
        return NULL;
    }
    c->st = st;
    c->columns_wanted = q->columns & (((uint64_t)1 << (event_tables[q->kind].n - 1) << 1) - 1);
    c->newest_first = q->newest_first;
    c->want_attributes = q->attributes;
    c->left = q->limit ? q->limit : SIZE_MAX;
    rc = start(c, q, a, e);
    event_room_init(&c->room, a);
    c->pairs = event_room_arena(&c->room);
    return event_room_error(&c->room, rc, e) < 0 ? NULL : c;
}

uint64_t events_reach(const struct event_cursor *c)
{
    return c->sources.last;
}

void events_close(struct event_cursor *c)
{
    if (!c)
        return;
    let_go(c);
    while (c->nheap)
        arena_free(&c->heap[--c->nheap]->arena);
    event_sources_release(c->st, &c->sources);
    c->ended = true;
}
