/* logql.c: a query for lines: rows of all tables by time, each through its pipeline. A row is copied only once it is part
 * of the answer. */
#include "query/labelset-internal.h"
#include "query/logql_source-internal.h"

#include "base/clock.h"

#include <stdlib.h>

enum { ROWS_PER_LOOK = 4096 }; /* between two looks at the clock */

struct stream_room {
    size_t cap;
    int64_t last_ns; /* of the entry taken last */
};

struct run {
    struct logql_window w;
    struct arena *a;
    struct err *e;
    struct log_sources sources;
    struct label_map map;
    struct logql_stream *streams;
    struct stream_room *room;
    size_t nstreams, streams_cap, room_cap, taken;
    int64_t deadline_ns; /* 0: none */
    size_t rows;
};

static int nomem(struct run *r)
{
    return err_set(r->e, ERR_NOMEM, "query: it needs more memory than it may have");
}

/* --- the answer -------------------------------------------------------------------------------------------------- */

static int stream_of(struct run *r, struct pipeline *p, size_t *at)
{
    struct labels l = pipeline_stream(p, &p->scratch);

    if (!l.v)
        return nomem(r);
    if (label_map_find(&r->map, l, at))
        return 0;
    l = labels_copy(r->a, l);
    if (!l.v || label_map_add(&r->map, r->a, l, at) < 0 ||
        arena_grow(r->a, &r->streams, &r->streams_cap, *at + 1, sizeof(*r->streams)) < 0 ||
        arena_grow(r->a, &r->room, &r->room_cap, *at + 1, sizeof(*r->room)) < 0)
        return nomem(r);
    r->streams[*at] = (struct logql_stream){ l, NULL, 0 };
    r->room[*at] = (struct stream_room){ 0, 0 };
    r->nstreams = *at + 1;
    return 0;
}

/* Whether the stream's entry before is too near. */
static bool too_near(const struct run *r, size_t stream, int64_t time_ns)
{
    int64_t last = r->room[stream].last_ns;

    if (r->w.interval_ns == 0 || r->streams[stream].n == 0)
        return false;
    return r->w.newest_first ? last - time_ns < r->w.interval_ns : time_ns - last < r->w.interval_ns;
}

static int take(struct run *r, struct pipeline *p, const struct logql_row *row)
{
    struct logql_entry entry = { .time_ns = row->time_ns };
    struct logql_stream *s;
    size_t at;
    int rc = stream_of(r, p, &at);

    if (rc < 0 || too_near(r, at, row->time_ns))
        return rc;
    entry.line = arena_str(r->a, pipeline_line(p));
    entry.metadata = pipeline_metadata(p, r->a);
    entry.parsed = labels_copy(r->a, pipeline_parsed(p, &p->scratch));
    s = &r->streams[at];
    if (buf_failed(&p->rendered) || !entry.line.p || !entry.metadata.v || !entry.parsed.v ||
        arena_grow(r->a, &s->entries, &r->room[at].cap, s->n + 1, sizeof(entry)) < 0)
        return nomem(r);
    s->entries[s->n++] = entry;
    r->room[at].last_ns = row->time_ns;
    r->taken++;
    return 0;
}

/* --- rows -------------------------------------------------------------------------------------------------------- */

static int look_at_clock(struct run *r)
{
    if (++r->rows % ROWS_PER_LOOK || !r->deadline_ns || clock_mono_ns() < r->deadline_ns)
        return 0;
    return err_set(r->e, ERR_TIMEOUT, "query timed out while it was reading lines");
}

static int read_rows(struct run *r)
{
    struct log_source *from;
    struct logql_row row;
    int rc = 1;

    while (rc > 0 && (r->w.limit == 0 || r->taken < r->w.limit)) {
        rc = sources_next(&r->sources, &from, &row);
        if (rc <= 0)
            return rc;
        pipeline_begin(&from->pipeline, &row);
        rc = pipeline_run(&from->pipeline, 0, r->sources.q->nstages);
        if (rc == ERR_NOMEM)
            return nomem(r);
        if (rc > 0)
            rc = take(r, &from->pipeline, &row);
        if (rc >= 0)
            rc = look_at_clock(r);
        rc = rc < 0 ? rc : 1;
    }
    return rc < 0 ? rc : 0;
}

static int by_labels(const void *a, const void *b)
{
    return labels_cmp(((const struct logql_stream *)a)->labels, ((const struct logql_stream *)b)->labels);
}

int logql_lines(struct store *st, const struct logql_expr *x, struct logql_window w, struct arena *a,
                struct logql_stream **out, size_t *n, struct err *e)
{
    struct err mine = ERR_INIT;
    struct run r = { .w = w, .a = a, .e = e ? e : &mine };
    struct log_rows rows = { w.from_ns, w.to_ns, w.newest_first, w.interval_ns ? 0 : w.limit, w.after };
    int rc;

    *out = NULL;
    *n = 0;
    if (!x->lines)
        return err_set(r.e, ERR_INVALID, "query: should be one for lines, as in {app=\"web\"}");
    if (w.timeout_ms)
        r.deadline_ns = clock_mono_ns() + w.timeout_ms * 1000000;
    rc = sources_plan(&r.sources, st, x->lines, a, r.e);
    for (size_t i = 0; i < r.sources.n; i++)
        source_reads_all(&r.sources.v[i]);
    if (rc == 0)
        rc = sources_open(&r.sources, &rows);
    for (size_t i = 0; rc == 0 && w.after && i < r.sources.n; i++)
        w.after[r.sources.v[i].kind] = events_reach(r.sources.v[i].cursor);
    if (rc == 0)
        rc = read_rows(&r);
    sources_close(&r.sources);
    if (rc < 0)
        return rc;
    if (r.nstreams > 1)
        qsort(r.streams, r.nstreams, sizeof(*r.streams), by_labels);
    *out = r.streams;
    *n = r.nstreams;
    return 0;
}
