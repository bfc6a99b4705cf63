/* logql_source.c: what a query asks of each table.
 *
 * What the engine can judge goes down to it as conditions, so that it skips what cannot match: stream labels, label
 * filters joined by `and`, line filters on log bodies. The conditions may let too much through, never too little; where
 * they say all that the query's filters say, a limit goes down with them. A filter behind a stage that makes labels or
 * lines is about these, and stays here. */
#include "query/logql_source-internal.h"

#include "base/num.h"
#include "query/logql_pattern-internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

static int nomem(struct log_sources *s)
{
    return err_set(s->e, ERR_NOMEM, "query: it needs more memory than it may have");
}

static int push(struct log_sources *all, struct log_source *s, struct event_condition c)
{
    if (arena_grow(all->a, &s->conditions, &s->cap, s->n + 1, sizeof(c)) < 0)
        return nomem(all);
    s->conditions[s->n++] = c;
    return 0;
}

/* --- texts ------------------------------------------------------------------------------------------------------- */

/* Whether s is how the number prints. */
static bool reads_as(struct str s, int64_t *v)
{
    char text[24];

    if (!num_i64(s, v))
        return false;
    snprintf(text, sizeof(text), "%" PRId64, *v);
    return str_eqz(s, text);
}

/* On a number's text only its equality with a number can be told. */
static int push_text(struct log_sources *all, struct log_source *s, const struct field *f, const struct matcher *m)
{
    static const enum event_op ops[] = { EVENT_EQ, EVENT_NE, EVENT_RE, EVENT_NRE };
    struct event_condition c = { f->column, f->name, ops[m->op], { .s = m->value }, m->re };
    bool plain = f->kind == FIELD_ATTRIBUTE || (f->kind == FIELD_COLUMN && !logql_is_number(s->kind, f));
    bool is_equality = m->op == MATCH_EQ || m->op == MATCH_NE;

    if (plain || (logql_is_number(s->kind, f) && is_equality && reads_as(m->value, &c.value.i)))
        return push(all, s, c);
    s->exact = false;
    return 0;
}

/* --- numbers ----------------------------------------------------------------------------------------------------- */

/* Where "unset" is a number like others a filter must not take it for one. */
static int push_set(struct log_sources *all, struct log_source *s, int column)
{
    struct event_condition c = { column, STR_NULL, EVENT_GE, { .i = 0 }, NULL };

    if (s->kind == EVENT_SPAN)
        return 0;
    if (s->kind == EVENT_LOG)
        c.op = EVENT_NE;
    return push(all, s, c);
}

/* The literal in the unit of the column; false: they cannot be compared there. */
static bool in_column(const struct log_source *s, const struct field *f, const struct predicate *p, int64_t *v)
{
    double scaled = p->value;

    if (f->kind == FIELD_DURATION && p->measure == MEASURE_DURATION)
        scaled = round(scaled * (s->kind == EVENT_SPAN ? 1e9 : 1e6) * 1e3) / 1e3;
    else if (!logql_is_number(s->kind, f) || p->measure == MEASURE_DURATION)
        return false;
    if (!(fabs(scaled) < 1e15) || scaled != floor(scaled))
        return false;
    *v = (int64_t)scaled;
    return true;
}

static int push_number(struct log_sources *all, struct log_source *s, const struct predicate *p)
{
    const struct field *f = &s->pipeline.fields[p->label];
    struct event_condition c = { f->column, f->name, p->op, { .i = 0 }, NULL };
    int rc;

    if (!in_column(s, f, p, &c.value.i)) {
        s->exact = false;
        return 0;
    }
    rc = push(all, s, c);
    return rc < 0 ? rc : push_set(all, s, f->column);
}

/* --- filters ----------------------------------------------------------------------------------------------------- */

/* What the stages before a filter have done. */
struct before {
    bool line, labels; /* changed */
    bool errors;       /* rows may be marked: numbers are not compared then */
};

static bool may_fail(const struct log_source *s, const struct predicate *p)
{
    if (p->kind == PREDICATE_AND || p->kind == PREDICATE_OR)
        return may_fail(s, p->l) || may_fail(s, p->r);
    return p->kind == PREDICATE_NUMBER &&
           (p->measure == MEASURE_DURATION ? s->pipeline.fields[p->label].kind != FIELD_DURATION
                                           : !logql_is_number(s->kind, &s->pipeline.fields[p->label]));
}

static int push_predicate(struct log_sources *all, struct log_source *s, const struct predicate *p, bool numbers)
{
    int rc;

    switch (p->kind) {
    case PREDICATE_AND:
        rc = push_predicate(all, s, p->l, numbers);
        return rc < 0 ? rc : push_predicate(all, s, p->r, numbers);
    case PREDICATE_TEXT:
        if (str_starts(p->text.name, STR("__error")))
            break;
        return push_text(all, s, &s->pipeline.fields[p->label], &p->text);
    case PREDICATE_NUMBER:
        if (numbers)
            return push_number(all, s, p);
        break;
    case PREDICATE_IP:
    case PREDICATE_OR:
        break;
    }
    s->exact = false;
    return 0;
}

/* Either of the alternatives, as one regular expression. NULL: no memory. */
static const struct regex *one_of(struct arena *a, const struct line_filter *f)
{
    struct buf b = BUF_INIT(1 << 20);
    const struct regex *re;

    for (size_t i = 0; i < f->n; i++) {
        buf_puts(&b, i ? "|(?:" : "(?:");
        for (size_t k = 0; k < f->any[i].text.n; k++) {
            char c = f->any[i].text.p[k];

            if (f->op == LINE_CONTAINS && c && strchr("\\^$.|?*+()[]{}", c))
                buf_putc(&b, '\\');
            buf_putc(&b, c);
        }
        buf_putc(&b, ')');
    }
    re = buf_failed(&b) ? NULL : regex_compile(a, buf_view(&b), 0, NULL);
    buf_free(&b);
    return re;
}

/* A line of a pattern has its longest literal at least. */
static int push_literal(struct log_sources *all, struct log_source *s, const struct pattern *p)
{
    struct event_condition c = { LOG_body, STR_NULL, EVENT_CONTAINS, { .s = STR_NULL }, NULL };

    for (size_t i = 0; i < p->n; i++)
        if (!p->parts[i].is_capture && p->parts[i].text.n > c.value.s.n)
            c.value.s = p->parts[i].text;
    return c.value.s.n ? push(all, s, c) : 0;
}

/* Of an access log the line is printed of columns, and its texts never stand together without a blank or a quote. So a
 * text that has neither, nor what an escape begins with, and that is no part of a number or of the time, is in one of
 * them; its first bytes may be the end of an escape like \x1b, which the column has as one byte. (An entry with a line of
 * its own has that as the attribute `body`.) */
static size_t escape_end(struct str s)
{
    size_t n = s.n && s.p[0] == 'x' ? 1 : 0;

    for (int digits = 0; digits < 2 && n < s.n && strchr("0123456789abcdef", s.p[n]); digits++)
        n++;
    return n;
}

static bool is_in_one_column(struct str s)
{
    bool is_text = false;

    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (c <= ' ' || c == 0x7f || c == '"' || c == '\\')
            return false;
        is_text |= !strchr("0123456789-TZ:.[]", c);
    }
    return is_text;
}

static int push_needle(struct log_sources *all, struct log_source *s, struct str text)
{
    enum { LEAST = 3 }; /* less is in most rows */
    struct event_needle n = { text, escape_end(text), logql_line_columns(s->kind), STR("body") };

    if (!is_in_one_column(text) || text.n < n.skip + LEAST)
        return 0;
    if (arena_grow(all->a, &s->needles, &s->needles_cap, s->nneedles + 1, sizeof(n)) < 0)
        return nomem(all);
    s->needles[s->nneedles++] = n;
    return 0;
}

static int push_line(struct log_sources *all, struct log_source *s, const struct line_filter *f)
{
    struct event_condition c = { .column = LOG_body };
    bool plain = s->kind == EVENT_LOG && f->op != LINE_PATTERN;

    for (size_t i = 0; i < f->n; i++)
        plain &= !f->any[i].is_ip;
    if (!plain) {
        s->exact = false;
        if (s->kind == EVENT_ACCESS_LOG && f->op == LINE_CONTAINS && f->n == 1 && !f->negative && !f->any[0].is_ip)
            return push_needle(all, s, f->any[0].text);
        return s->kind == EVENT_LOG && f->op == LINE_PATTERN && f->n == 1 && !f->negative
                   ? push_literal(all, s, f->any[0].pattern)
                   : 0;
    }
    if (f->op == LINE_CONTAINS && f->n == 1) {
        c.op = f->negative ? EVENT_LACKS : EVENT_CONTAINS;
        c.value.s = f->any[0].text;
        return push(all, s, c);
    }
    c.op = f->negative ? EVENT_NRE : EVENT_RE;
    c.re = f->n == 1 ? f->any[0].re : one_of(all->a, f);
    if (c.re)
        return push(all, s, c);
    s->exact = false; /* together they are no expression */
    return 0;
}

/* --- stages ------------------------------------------------------------------------------------------------------ */

static void read_names(struct log_source *s, const struct predicate *p)
{
    if (p->kind == PREDICATE_AND || p->kind == PREDICATE_OR) {
        read_names(s, p->l);
        read_names(s, p->r);
        return;
    }
    source_reads(s, &s->pipeline.fields[p->label]);
}

static int plan_filter(struct log_sources *all, struct log_source *s, const struct stage *st, struct before *before)
{
    int rc = 0;

    if (st->kind == STAGE_LINE) {
        source_reads_line(s);
        if (!before->line)
            return push_line(all, s, &st->line);
        s->exact = false;
        return 0;
    }
    read_names(s, st->label);
    if (before->labels)
        s->exact = false;
    else
        rc = push_predicate(all, s, st->label, !before->errors);
    before->errors |= may_fail(s, st->label);
    return rc;
}

static void plan_choices(struct log_source *s, const struct stage *st)
{
    if (st->kind == STAGE_KEEP)
        source_reads_all(s);
    for (size_t i = 0; i < st->labels.n; i++) {
        struct field f = logql_field(s->kind, st->labels.v[i].name);

        if (st->labels.v[i].matches)
            source_reads(s, &f);
    }
}

static int plan_stage(struct log_sources *all, struct log_source *s, const struct stage *st, struct before *before)
{
    if (st->kind == STAGE_LINE || st->kind == STAGE_LABEL)
        return plan_filter(all, s, st, before);
    s->only_filters = false;
    if (st->kind == STAGE_DROP || st->kind == STAGE_KEEP) {
        plan_choices(s, st);
        before->labels = true;
        return 0;
    }
    source_reads_line(s);
    before->line |= st->kind == STAGE_UNPACK || st->kind == STAGE_DECOLORIZE || st->kind == STAGE_LINE_FORMAT;
    before->labels |= st->kind != STAGE_DECOLORIZE && st->kind != STAGE_LINE_FORMAT;
    before->errors = true;
    for (size_t i = 0; i < s->streams.n; i++) /* what is extracted must not take their names */
        source_reads(s, &s->streams.v[i]);
    for (size_t i = 0; i < all->q->nnames; i++) /* what templates name */
        source_reads(s, &s->pipeline.fields[i]);
    return 0;
}

/* --- tables ------------------------------------------------------------------------------------------------------ */

/* 1: the table may have rows of these streams, and their conditions are pushed. */
static int push_selector(struct log_sources *all, struct log_source *s)
{
    for (size_t i = 0; i < all->q->nmatchers; i++) {
        const struct matcher *m = &all->q->matchers[i];
        struct field f = logql_field(s->kind, m->name);
        int rc;

        if (f.kind == FIELD_KIND && !matcher_match(m, event_tables[s->kind].name))
            return 0;
        rc = f.kind == FIELD_KIND ? 0 : push_text(all, s, &f, m);
        if (rc < 0)
            return rc;
    }
    return 1;
}

static int plan_source(struct log_sources *all, enum event_kind kind)
{
    struct log_source *s = &all->v[all->n];
    struct before before = { false, false, false };
    int rc;

    *s = (struct log_source){ .kind = kind, .exact = true, .only_filters = true };
    if (logql_stream_labels(kind, all->q->matchers, all->q->nmatchers, all->a, &s->streams) < 0 ||
        pipeline_init(&s->pipeline, all->q, kind, &s->streams, all->a) < 0)
        return nomem(all);
    rc = push_selector(all, s);
    if (rc <= 0) {
        pipeline_fini(&s->pipeline);
        return rc;
    }
    all->n++;
    for (size_t i = 0; rc >= 0 && i < all->q->nstages; i++)
        rc = plan_stage(all, s, &all->q->stages[i], &before);
    return rc < 0 ? rc : 0;
}

int sources_plan(struct log_sources *s, struct store *st, const struct log_query *q, struct arena *a, struct err *e)
{
    int rc = 0;

    *s = (struct log_sources){ .st = st, .q = q, .a = a, .e = e };
    for (int kind = 0; rc == 0 && kind < EVENT_KINDS; kind++)
        rc = plan_source(s, (enum event_kind)kind);
    return rc;
}

void source_reads_line(struct log_source *s)
{
    s->columns |= logql_line_columns(s->kind);
}

void source_reads(struct log_source *s, const struct field *f)
{
    s->columns |= logql_field_columns(f, &s->attributes);
}

void source_reads_all(struct log_source *s)
{
    s->columns = event_tables[s->kind].n == 64 ? ~(uint64_t)0 : ((uint64_t)1 << event_tables[s->kind].n) - 1;
    s->attributes = true;
}

int sources_open(struct log_sources *s, const struct log_rows *rows)
{
    s->newest_first = rows->newest_first;
    for (size_t i = 0; i < s->n; i++) {
        struct log_source *src = &s->v[i];
        struct event_query q = { .kind = src->kind, .from_ns = rows->from_ns, .to_ns = rows->to_ns,
                                 .conditions = src->conditions, .n = src->n, .needles = src->needles,
                                 .nneedles = src->nneedles, .columns = src->columns,
                                 .attributes = src->attributes, .newest_first = rows->newest_first,
                                 .limit = src->exact ? rows->limit : 0,
                                 .after = rows->after ? rows->after[src->kind] : 0 };

        src->cursor = events_open(s->st, &q, s->a, s->e);
        if (!src->cursor)
            return s->e->code;
        src->open = true;
    }
    return 0;
}

void sources_close(struct log_sources *s)
{
    for (size_t i = 0; i < s->n; i++) {
        events_close(s->v[i].cursor);
        pipeline_fini(&s->v[i].pipeline);
    }
    s->n = 0;
}

/* --- rows -------------------------------------------------------------------------------------------------------- */

/* Makes sure that an open source stands on a row. */
static int fill(struct log_sources *all, struct log_source *s)
{
    int rc;

    while (s->open && s->at == s->page.n) {
        s->at = 0;
        s->page.n = 0;
        rc = events_next(s->cursor, &s->page, all->e);
        if (rc < 0)
            return rc;
        s->open = rc > 0;
    }
    return 0;
}

int sources_next(struct log_sources *s, struct log_source **from, struct logql_row *row)
{
    struct log_source *best = NULL;

    for (size_t i = 0; i < s->n; i++) {
        struct log_source *src = &s->v[i];
        int rc = fill(s, src);

        if (rc < 0)
            return rc;
        if (!src->open)
            continue;
        if (!best || (s->newest_first ? src->page.time_ns[src->at] > best->page.time_ns[best->at]
                                      : src->page.time_ns[src->at] < best->page.time_ns[best->at]))
            best = src;
    }
    if (!best)
        return 0;
    *from = best;
    *row = (struct logql_row){ .kind = best->kind, .time_ns = best->page.time_ns[best->at] };
    for (size_t i = 0; i < event_tables[best->kind].n; i++)
        row->columns[i] = best->page.columns[i] ? &best->page.columns[i][best->at] : NULL;
    if (best->page.attributes)
        row->attributes = best->page.attributes[best->at];
    best->at++;
    return 1;
}
