/* series_rows.c: from a series back to its rows.
 *
 * A matcher sees a label as the proxy wrote it: "unknown" where the field is empty. So a matcher goes down to the store
 * only where the two cannot be confused, and is otherwise judged here, row by row.
 *
 *   began ──────────────────────────── ended        A row belongs to the window it ended in, and is found by the time it
 *                 (from          to]                began. Most requests are over within QUICK; of those that began longer
 *   [── slow ──)[─ quick ─)[── inside ──]           before the window only the slow ones can have ended in it. */
#include "query/series_rows.h"

#include "base/istio_metrics.h"
#include "base/num.h"

#include <math.h>
#include <stdio.h>

enum { MOST_MATCHERS = 64 };

#define QUICK_NS INT64_C(10000000000)
#define LONGEST_NS (INT64_C(24) * 3600 * 1000000000)
#define COLUMN(c) ((uint64_t)1 << (c))
#define ALL_COLUMNS (COLUMN(ACCESS_LOG_NFIELDS) - 1)

enum traffic { ANY_TRAFFIC, HTTP_TRAFFIC, TCP_TRAFFIC };

struct judged {
    const struct matcher *m;
    const struct istio_label *label;
};

struct plan {
    enum traffic traffic;
    bool by_start;          /* it is counted when it begins */
    bool is_duration;       /* `le` means something */
    struct event_condition conditions[MOST_MATCHERS + 2];
    size_t n;
    struct judged judged[MOST_MATCHERS];
    size_t njudged;
    uint64_t columns;       /* that are looked at here */
};

/* --- the metric's name --- */

static bool is_part(struct str rest)
{
    return str_eqz(rest, "_count") || str_eqz(rest, "_sum") || str_eqz(rest, "_bucket");
}

static int plan_name(struct plan *p, const struct matcher *m, struct err *e)
{
    if (m->op != MATCH_EQ)
        return err_set(e, ERR_UNSUPPORTED, "the metric should be named as it is, not by an expression");
    for (int i = 0; i < ISTIO_TCP_END; i++) { /* no row tells of gRPC's messages */
        struct str name = str_of(istio_metrics[i].name), rest = str_from(m->value, name.n);

        if (!str_starts(m->value, name) || (rest.n && !(istio_metrics[i].is_histogram && is_part(rest))))
            continue;
        p->traffic = i < ISTIO_TCP_OPENED ? HTTP_TRAFFIC : TCP_TRAFFIC;
        p->by_start = i == ISTIO_TCP_OPENED;
        p->is_duration = i == ISTIO_DURATION;
        return 0;
    }
    return err_set(e, ERR_UNSUPPORTED, "%.*s: access logs stand behind Istio's metrics of requests and connections only",
                   STR_ARG(m->value));
}

/* --- other labels --- */

static const struct istio_label *istio_label(struct str name)
{
    for (int i = 0; i < ISTIO_LABELS; i++)
        if (str_eq(istio_labels[i].name, name))
            return &istio_labels[i];
    return NULL;
}

static void push_down(struct plan *p, int column, struct str attribute, const struct matcher *m)
{
    static const enum event_op ops[] = { [MATCH_EQ] = EVENT_EQ, [MATCH_NE] = EVENT_NE, [MATCH_RE] = EVENT_RE,
                                         [MATCH_NRE] = EVENT_NRE };

    p->conditions[p->n++] = (struct event_condition){ .column = column, .attribute = attribute, .op = ops[m->op],
                                                      .value.s = m->value, .re = m->re };
}

/* Whether a row with an empty field is judged as the matcher judges what stands for it. */
static bool is_plain(const struct matcher *m, const struct istio_label *l)
{
    return l->field != ACCESS_LOG_response_code && matcher_match(m, STR_NULL) == matcher_match(m, l->missing);
}

static void plan_istio(struct plan *p, const struct matcher *m, const struct istio_label *l)
{
    int64_t code;

    if (is_plain(m, l)) {
        push_down(p, l->field, STR_NULL, m);
        return;
    }
    if (l->field == ACCESS_LOG_response_code && m->op == MATCH_EQ && num_i64(m->value, &code) && code > 0)
        p->conditions[p->n++] = (struct event_condition){ .column = l->field, .op = EVENT_EQ, .value.i = code };
    p->judged[p->njudged++] = (struct judged){ m, l };
    p->columns |= COLUMN(l->field);
}

/* The bucket's bound, of requests that took as long or less. */
static int plan_bound(struct plan *p, const struct matcher *m, struct err *e)
{
    double bound;

    if (m->op != MATCH_EQ || !num_double(m->value, &bound))
        return err_set(e, ERR_UNSUPPORTED, "le should be one bound: le=\"100\"");
    if (isinf(bound) && bound > 0)
        return 0;
    if (!p->is_duration || !(bound >= 0 && bound < 9e12))
        return err_set(e, ERR_UNSUPPORTED, "le: an access log has no sizes with headers: only durations have buckets of rows");
    p->conditions[p->n++] = (struct event_condition){ .column = ACCESS_LOG_duration_us, .op = EVENT_LE,
                                                      .value.i = (int64_t)floor(bound * 1000) };
    return 0;
}

static int plan_matcher(struct plan *p, const struct matcher *m, struct err *e)
{
    const struct istio_label *l = istio_label(m->name);

    if (l)
        plan_istio(p, m, l);
    else if (str_eqz(m->name, "le"))
        return plan_bound(p, m, e);
    else if (str_eqz(m->name, "pod") || str_eqz(m->name, "namespace"))
        push_down(p, access_log_field_index(m->name), STR_NULL, m);
    else if (str_eqz(m->name, "instance"))
        push_down(p, -1, STR("service.instance.id"), m);
    else if (!str_eqz(m->name, "job"))
        push_down(p, -1, m->name, m);
    else if (!str_eqz(m->value, "vigla/logs")) /* that job is of rows that are told by themselves (collector/red.h) */
        push_down(p, -1, STR("service.name"), m);
    return 0;
}

static int make_plan(struct plan *p, const struct series_rows_query *q, struct err *e)
{
    int rc = 0;

    if (q->n > MOST_MATCHERS)
        return err_set(e, ERR_INVALID, "more than %d matchers", MOST_MATCHERS);
    p->columns = COLUMN(ACCESS_LOG_duration_us) | COLUMN(ACCESS_LOG_request_protocol);
    for (size_t i = 0; rc == 0 && i < q->n; i++)
        if (str_eqz(q->matchers[i].name, "__name__"))
            rc = plan_name(p, &q->matchers[i], e);
    for (size_t i = 0; rc == 0 && i < q->n; i++)
        if (!str_eqz(q->matchers[i].name, "__name__"))
            rc = plan_matcher(p, &q->matchers[i], e);
    return rc;
}

/* --- rows --- */

static bool is_traffic(enum traffic t, struct str protocol)
{
    bool tcp = protocol.n == 0 || str_eqz(protocol, "tcp");

    return t == ANY_TRAFFIC || tcp == (t == TCP_TRAFFIC);
}

static bool label_holds(const struct judged *j, const struct event_page *page, size_t i)
{
    const union event_value *v = &page->columns[j->label->field][i];
    char text[24];
    struct str s;

    if (j->label->field == ACCESS_LOG_response_code) {
        snprintf(text, sizeof(text), "%lld", v->i > 0 ? (long long)v->i : 0);
        s = str_of(text);
    } else {
        s = v->s.n ? v->s : j->label->missing;
    }
    return matcher_match(j->m, s);
}

/* When it counts. */
static int64_t moment_of(const struct plan *p, const struct event_page *page, size_t i)
{
    int64_t us = page->columns[ACCESS_LOG_duration_us][i].i, ns;

    if (p->by_start || us <= 0)
        return page->time_ns[i];
    if (__builtin_mul_overflow(us, INT64_C(1000), &ns) || __builtin_add_overflow(page->time_ns[i], ns, &ns))
        return INT64_MAX;
    return ns;
}

static bool row_holds(const struct plan *p, const struct series_rows_query *q, const struct event_page *page, size_t i)
{
    int64_t at = moment_of(p, page, i);

    if (at <= q->from_ns || at > q->to_ns || !is_traffic(p->traffic, page->columns[ACCESS_LOG_request_protocol][i].s))
        return false;
    for (size_t k = 0; k < p->njudged; k++)
        if (!label_holds(&p->judged[k], page, i))
            return false;
    return true;
}

/* What is done with the rows that hold: they are counted, or copied until there are enough. */
struct sink {
    struct arena *a;
    uint64_t count;
    struct series_row *rows; /* NULL: they are counted */
    size_t n, limit;
};

static int copy_row(struct sink *s, const struct event_page *page, size_t i, struct err *e)
{
    struct series_row *row = &s->rows[s->n++];

    row->time_ns = page->time_ns[i];
    for (int c = 0; c < ACCESS_LOG_NFIELDS; c++) {
        row->values[c] = page->columns[c][i];
        if (access_log_fields[c].is_text && row->values[c].s.n && !(row->values[c].s = arena_str(s->a, row->values[c].s)).p)
            return err_set(e, ERR_NOMEM, "no memory for the rows");
    }
    row->attributes = (struct labels){ NULL, 0 };
    if (page->attributes[i].n && !(row->attributes = labels_copy(s->a, page->attributes[i])).v)
        return err_set(e, ERR_NOMEM, "no memory for the rows");
    return 0;
}

static int take_page(const struct plan *p, const struct series_rows_query *q, const struct event_page *page, struct sink *s,
                     struct err *e)
{
    for (size_t i = 0; i < page->n; i++) {
        if (!row_holds(p, q, page, i))
            continue;
        s->count++;
        if (s->rows && copy_row(s, page, i, e) < 0)
            return ERR_NOMEM;
        if (s->rows && s->n == s->limit)
            return 1;
    }
    return 0;
}

/* Rows that began in [from, to); 1: the sink is full. */
static int read_range(struct store *st, const struct plan *p, const struct series_rows_query *q, int64_t from, int64_t to,
                      struct sink *s, struct err *e)
{
    struct event_query rows = { .kind = EVENT_ACCESS_LOG,
                                .from_ns = from,
                                .to_ns = to,
                                .conditions = p->conditions,
                                .n = p->n,
                                .columns = s->rows ? ALL_COLUMNS : p->columns,
                                .attributes = s->rows != NULL,
                                .newest_first = true };
    struct event_cursor *c = events_open(st, &rows, s->a, e);
    struct event_page page = { 0 };
    int rc;

    if (!c)
        return e->code;
    while ((rc = events_next(c, &page, e)) == 1)
        if ((rc = take_page(p, q, &page, s, e)) != 0)
            break;
    events_close(c);
    return rc;
}

static int64_t back(int64_t t, int64_t by)
{
    return t < INT64_MIN + by ? INT64_MIN : t - by;
}

static int read_rows(struct store *st, struct plan *p, const struct series_rows_query *q, struct sink *s, struct err *e)
{
    int64_t end = q->to_ns == INT64_MAX ? q->to_ns : q->to_ns + 1, quick = back(q->from_ns, QUICK_NS);
    int rc;

    if (p->by_start)
        return read_range(st, p, q, q->from_ns, end, s, e);
    rc = read_range(st, p, q, quick, end, s, e);
    if (rc != 0)
        return rc;
    p->conditions[p->n++] = (struct event_condition){ .column = ACCESS_LOG_duration_us, .op = EVENT_GE,
                                                      .value.i = QUICK_NS / 1000 };
    rc = read_range(st, p, q, back(q->from_ns, LONGEST_NS), quick, s, e);
    p->n--;
    return rc;
}

int series_rows(struct store *st, const struct series_rows_query *q, struct arena *a, struct series_row **rows, size_t *n,
                uint64_t *count, struct err *e)
{
    struct plan *p = ARENA_NEW(a, struct plan);
    struct sink s = { .a = a, .limit = q->limit };
    int rc = p ? make_plan(p, q, e) : err_set(e, ERR_NOMEM, "no memory for the rows");

    if (rc == 0)
        rc = read_rows(st, p, q, &s, e);
    *count = s.count;
    if (rc == 0 && q->limit && s.count) {
        s.limit = s.count < q->limit ? (size_t)s.count : q->limit;
        s.rows = arena_array(a, s.limit, sizeof(*s.rows));
        rc = s.rows ? read_rows(st, p, q, &s, e) : err_set(e, ERR_NOMEM, "no memory for the rows");
    }
    *rows = s.rows;
    *n = s.n;
    return rc < 0 ? rc : 0;
}
