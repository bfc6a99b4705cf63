/* logql.c: a query over up to three tables, merged by time.
 *
 * What the engine can judge goes down to it as conditions, so that it skips what cannot match: stream labels, label
 * filters joined by `and`, line filters on log bodies. Every row that comes back is judged again here, as a whole: the
 * conditions may let too much through, never too little. A row is copied only once it is part of the answer. */
#include "query/labelset-internal.h"
#include "query/logql-internal.h"

#include "base/clock.h"
#include "base/num.h"

#include <math.h>
#include <stdlib.h>

struct source {
    enum event_kind kind;
    struct field *fields; /* what each comparison's name means in this table */
    struct event_condition *conditions;
    size_t n, cap;
    bool exact;           /* the conditions say all that the query says */
    struct event_cursor *cursor;
    struct event_page page;
    size_t at;
    bool open;
};

struct run {
    struct store *st;
    const struct logql_expr *x;
    struct logql_window w;
    struct arena *a;
    struct err *e;
    struct source sources[EVENT_KINDS];
    size_t nsources;
    struct buf line; /* of the row being judged */
    bool has_line;
    struct label_map map;
    struct logql_stream *streams;
    size_t *room;
    size_t nstreams, streams_cap, room_cap, taken;
};

static int nomem(struct run *r)
{
    return err_set(r->e, ERR_NOMEM, "query: it needs more memory than it may have");
}

/* --- what goes down to the engine -------------------------------------------------------------------------------- */

static int push(struct run *r, struct source *s, struct event_condition c)
{
    if (arena_grow(r->a, &s->conditions, &s->cap, s->n + 1, sizeof(c)) < 0)
        return nomem(r);
    s->conditions[s->n++] = c;
    return 0;
}

static enum event_op text_op(enum match_op op)
{
    static const enum event_op ops[] = { EVENT_EQ, EVENT_NE, EVENT_RE, EVENT_NRE };

    return ops[op];
}

/* A condition on a text: exact. On a number's text only an equality that reads as that number can be told. */
static int push_text(struct run *r, struct source *s, const struct field *f, const struct matcher *m)
{
    struct event_condition c = { f->column, f->name, text_op(m->op), { .s = m->value }, m->re };

    if (f->kind == FIELD_ATTRIBUTE || (f->kind == FIELD_COLUMN && event_tables[s->kind].columns[f->column].is_text)) {
        c.column = f->kind == FIELD_ATTRIBUTE ? -1 : f->column;
        return push(r, s, c);
    }
    s->exact = false;
    if (f->kind != FIELD_COLUMN || m->op != MATCH_EQ || !num_i64(m->value, &c.value.i))
        return 0;
    return push(r, s, c);
}

static int push_number(struct run *r, struct source *s, const struct predicate *p)
{
    const struct field *f = &s->fields[p->id];
    struct event_condition c = { f->column, f->name, p->op, { .i = 0 }, NULL };
    bool unset_differs = p->value > 0 && (p->op == EVENT_EQ || p->op == EVENT_GT || p->op == EVENT_GE);

    if (f->kind != FIELD_COLUMN || event_tables[s->kind].columns[f->column].is_text ||
        p->measure == MEASURE_DURATION || !(fabs(p->value) < 1e15) || p->value != floor(p->value)) {
        s->exact = false;
        return 0;
    }
    s->exact &= unset_differs;
    c.value.i = (int64_t)p->value;
    return push(r, s, c);
}

static int push_predicate(struct run *r, struct source *s, const struct predicate *p)
{
    int rc;

    switch (p->kind) {
    case PREDICATE_AND:
        rc = push_predicate(r, s, p->l);
        return rc < 0 ? rc : push_predicate(r, s, p->r);
    case PREDICATE_TEXT:
        return push_text(r, s, &s->fields[p->id], &p->text);
    case PREDICATE_NUMBER:
        return push_number(r, s, p);
    case PREDICATE_OR:
        break;
    }
    s->exact = false;
    return 0;
}

static int push_line(struct run *r, struct source *s, const struct line_filter *f)
{
    if (s->kind != EVENT_LOG || (f->n > 1 && !f->negative)) {
        s->exact = false;
        return 0;
    }
    for (size_t i = 0; i < f->n; i++) {
        struct event_condition c = { LOG_body, STR_NULL, EVENT_CONTAINS, { .s = f->any[i].text }, f->any[i].re };

        if (f->is_regex)
            c.op = f->negative ? EVENT_NRE : EVENT_RE;
        else if (f->negative)
            c.op = EVENT_LACKS;
        if (push(r, s, c) < 0)
            return ERR_NOMEM;
    }
    return 0;
}

/* 1: the table may have rows of these streams, and their conditions are pushed. */
static int push_selector(struct run *r, struct source *s)
{
    for (size_t i = 0; i < r->x->nmatchers; i++) {
        const struct matcher *m = &r->x->matchers[i];
        struct field f;
        bool there = logql_stream_field(s->kind, m->name, &f);
        int rc = 0;

        if (there && f.kind == FIELD_COLUMN)
            rc = push_text(r, s, &f, m);
        else if (!matcher_match(m, there ? event_tables[s->kind].name : STR_NULL))
            return 0;
        if (rc < 0)
            return rc;
    }
    return 1;
}

static void resolve(const struct predicate *p, struct source *s)
{
    if (p->kind == PREDICATE_AND || p->kind == PREDICATE_OR) {
        resolve(p->l, s);
        resolve(p->r, s);
        return;
    }
    s->fields[p->id] = logql_field(s->kind, p->name);
}

static int open_source(struct run *r, enum event_kind kind)
{
    struct source *s = &r->sources[r->nsources];
    struct event_query q = { .kind = kind, .from_ns = r->w.from_ns, .to_ns = r->w.to_ns, .attributes = true,
                             .newest_first = r->w.newest_first };
    int rc;

    *s = (struct source){ .kind = kind, .exact = true };
    s->fields = arena_array(r->a, r->x->ncomparisons + 1, sizeof(*s->fields));
    if (!s->fields)
        return nomem(r);
    rc = push_selector(r, s);
    if (rc <= 0)
        return rc;
    for (size_t i = 0; rc >= 0 && i < r->x->nstages; i++) {
        const struct stage *stage = &r->x->stages[i];

        if (stage->kind == STAGE_LABEL)
            resolve(stage->label, s);
        rc = stage->kind == STAGE_LABEL ? push_predicate(r, s, stage->label) : push_line(r, s, &stage->line);
    }
    if (rc < 0)
        return rc;
    q.conditions = s->conditions;
    q.n = s->n;
    q.columns = ((uint64_t)1 << event_tables[kind].n) - 1;
    q.limit = s->exact ? r->w.limit : 0;
    s->cursor = events_open(r->st, &q, r->a, r->e);
    if (!s->cursor)
        return r->e->code;
    s->open = true;
    r->nsources++;
    return 0;
}

/* --- judging a row ----------------------------------------------------------------------------------------------- */

static struct logql_row row_of(const struct source *s)
{
    struct logql_row row = { .kind = s->kind, .time_ns = s->page.time_ns[s->at] };

    for (size_t i = 0; i < event_tables[s->kind].n; i++)
        row.columns[i] = &s->page.columns[i][s->at];
    if (s->page.attributes)
        row.attributes = s->page.attributes[s->at];
    return row;
}

static struct str line_of(struct run *r, const struct logql_row *row)
{
    if (row->kind == EVENT_LOG)
        return row->columns[LOG_body]->s;
    if (!r->has_line) {
        buf_reset(&r->line);
        logql_line(&r->line, row);
        r->has_line = true;
    }
    return buf_view(&r->line);
}

static bool line_passes(struct run *r, const struct logql_row *row, const struct line_filter *f)
{
    struct str line = line_of(r, row);
    bool found = false;

    for (size_t i = 0; i < f->n && !found; i++)
        found = f->is_regex ? regex_match(f->any[i].re, line) : str_find(line, f->any[i].text) >= 0;
    return found != f->negative;
}

/* The field's value in the measure of the literal; false when it has none. */
static bool number_of(const struct logql_row *row, const struct field *f, enum measure measure, double *v)
{
    char scratch[32];
    struct str text;
    int64_t i;

    if (f->kind == FIELD_COLUMN && !event_tables[row->kind].columns[f->column].is_text) {
        if (measure == MEASURE_DURATION || !logql_number(row, f->column, &i))
            return false;
        *v = (double)i;
        return true;
    }
    text = logql_text(row, f, scratch);
    if (text.n == 0)
        return false;
    if (measure == MEASURE_DURATION) {
        if (duration_parse_go(text, &i, NULL) < 0)
            return false;
        *v = (double)i / 1e9;
        return true;
    }
    return num_double(text, v) || (measure == MEASURE_BYTES && logql_bytes(text, v));
}

static bool compares(enum event_op op, double l, double r)
{
    switch (op) {
    case EVENT_EQ:
        return l == r;
    case EVENT_NE:
        return l != r;
    case EVENT_LT:
        return l < r;
    case EVENT_LE:
        return l <= r;
    case EVENT_GT:
        return l > r;
    default:
        return l >= r;
    }
}

static bool holds(const struct source *s, const struct logql_row *row, const struct predicate *p)
{
    char scratch[32];
    double v;

    switch (p->kind) {
    case PREDICATE_AND:
        return holds(s, row, p->l) && holds(s, row, p->r);
    case PREDICATE_OR:
        return holds(s, row, p->l) || holds(s, row, p->r);
    case PREDICATE_TEXT:
        return matcher_match(&p->text, logql_text(row, &s->fields[p->id], scratch));
    case PREDICATE_NUMBER:
        return number_of(row, &s->fields[p->id], p->measure, &v) && compares(p->op, v, p->value);
    }
    return false;
}

static bool passes(struct run *r, const struct source *s, const struct logql_row *row)
{
    r->has_line = false;
    for (size_t i = 0; i < r->x->nstages; i++) {
        const struct stage *stage = &r->x->stages[i];

        if (stage->kind == STAGE_LABEL ? !holds(s, row, stage->label) : !line_passes(r, row, &stage->line))
            return false;
    }
    return true;
}

/* --- the answer -------------------------------------------------------------------------------------------------- */

static int stream_of(struct run *r, const struct logql_row *row, size_t *at)
{
    struct label v[STREAM_LABELS];
    struct labels l = logql_labels(row, v);

    if (label_map_find(&r->map, l, at))
        return 0;
    l = labels_copy(r->a, l);
    if (!l.v || label_map_add(&r->map, r->a, l, at) < 0 ||
        arena_grow(r->a, &r->streams, &r->streams_cap, *at + 1, sizeof(*r->streams)) < 0 ||
        arena_grow(r->a, &r->room, &r->room_cap, *at + 1, sizeof(*r->room)) < 0)
        return nomem(r);
    r->streams[*at] = (struct logql_stream){ l, NULL, 0 };
    r->nstreams = *at + 1;
    return 0;
}

static int take(struct run *r, const struct logql_row *row)
{
    struct logql_entry entry = { row->time_ns, arena_str(r->a, line_of(r, row)), logql_metadata(row, r->a) };
    struct logql_stream *s;
    size_t at;
    int rc = stream_of(r, row, &at);

    if (rc < 0)
        return rc;
    s = &r->streams[at];
    if (buf_failed(&r->line) || !entry.line.p || !entry.metadata.v ||
        arena_grow(r->a, &s->entries, &r->room[at], s->n + 1, sizeof(entry)) < 0)
        return nomem(r);
    s->entries[s->n++] = entry;
    r->taken++;
    return 0;
}

/* Makes sure that an open source stands on a row. */
static int fill(struct run *r, struct source *s)
{
    int rc;

    while (s->open && s->at == s->page.n) {
        s->at = 0;
        s->page.n = 0;
        rc = events_next(s->cursor, &s->page, r->e);
        if (rc < 0)
            return rc;
        s->open = rc > 0;
    }
    return 0;
}

/* The source whose row is next in the asked direction, or NULL. */
static int next_source(struct run *r, struct source **next)
{
    *next = NULL;
    for (size_t i = 0; i < r->nsources; i++) {
        struct source *s = &r->sources[i];
        int64_t time, best;
        int rc = fill(r, s);

        if (rc < 0)
            return rc;
        if (!s->open)
            continue;
        time = s->page.time_ns[s->at];
        best = *next ? (*next)->page.time_ns[(*next)->at] : 0;
        if (!*next || (r->w.newest_first ? time > best : time < best))
            *next = s;
    }
    return 0;
}

static int merge(struct run *r)
{
    struct source *s;
    int rc = 0;

    while (rc == 0 && (r->w.limit == 0 || r->taken < r->w.limit)) {
        struct logql_row row;

        rc = next_source(r, &s);
        if (rc < 0 || !s)
            return rc;
        row = row_of(s);
        if (passes(r, s, &row))
            rc = take(r, &row);
        s->at++;
    }
    return rc;
}

static int by_labels(const void *a, const void *b)
{
    return labels_cmp(((const struct logql_stream *)a)->labels, ((const struct logql_stream *)b)->labels);
}

int logql_lines(struct store *st, const struct logql_expr *x, struct logql_window w, struct arena *a,
                struct logql_stream **out, size_t *n, struct err *e)
{
    struct err mine = ERR_INIT;
    struct run r = { .st = st, .x = x, .w = w, .a = a, .e = e ? e : &mine, .line = BUF_INIT(1 << 20) };
    int rc = 0;

    *out = NULL;
    *n = 0;
    for (int kind = 0; rc == 0 && kind < EVENT_KINDS; kind++)
        rc = open_source(&r, (enum event_kind)kind);
    if (rc == 0)
        rc = merge(&r);
    for (size_t i = 0; i < r.nsources; i++)
        events_close(r.sources[i].cursor);
    buf_free(&r.line);
    if (rc < 0)
        return rc;
    if (r.nstreams > 1)
        qsort(r.streams, r.nstreams, sizeof(*r.streams), by_labels);
    *out = r.streams;
    *n = r.nstreams;
    return 0;
}
