/* events.c: GET /api/events: the rows behind a series' window.
 *
 *   match     a selector of one of Istio's metrics, or of its labels alone
 *   start, end   or   window, and time (its end; now): the window (start, end]
 *   limit     rows that are shown, the newest (100); `count` is of all
 *
 *   {"match":…,"start":…,"end":…,"count":2,"events":[{"time":…,"response_code":200,…,"attributes":{…}}]} */

#include "api/http-internal.h"

#include "base/clock.h"
#include "query/promql.h"
#include "query/series_rows.h"

#include <inttypes.h>

enum { DEFAULT_LIMIT = 100, MOST_ROWS = 10000 };

static int read_moment(struct request *rq, const char *name, int64_t otherwise, int64_t *ms, struct err *e)
{
    struct str s = request_parameter(rq, name);
    int rc;

    *ms = otherwise;
    rc = s.n ? parse_moment_ms(s, ms, e) : 0;
    if (rc < 0)
        err_wrap(e, "%s", name);
    return rc;
}

static int read_window(struct request *rq, int64_t *start_ms, int64_t *end_ms, struct err *e)
{
    struct str window = request_parameter(rq, "window");
    int64_t now = clock_now_ms(), length = 600000;
    int rc = read_moment(rq, request_parameter(rq, "end").n ? "end" : "time", now, end_ms, e);

    if (rc == 0 && window.n && (rc = parse_duration_ms(window, &length, e)) < 0)
        err_wrap(e, "window");
    if (rc == 0)
        rc = read_moment(rq, "start", *end_ms - length, start_ms, e);
    if (rc == 0 && *start_ms > *end_ms)
        rc = err_set(e, ERR_INVALID, "start: should not be after the end");
    if (rc == 0 && (*start_ms < INT64_MIN / 1000000 || *end_ms > INT64_MAX / 1000000))
        rc = err_set(e, ERR_RANGE, "start and end should lie between the years 1677 and 2262");
    return rc;
}

static int read_query(struct request *rq, struct series_rows_query *q, struct err *e)
{
    struct matcher *matchers;
    int64_t start_ms, end_ms;
    uint64_t limit;
    int rc;

    if ((rc = promql_parse_selector(&rq->arena, request_parameter(rq, "match"), &matchers, &q->n, e)) < 0) {
        err_wrap(e, "match");
        return rc;
    }
    if ((rc = read_window(rq, &start_ms, &end_ms, e)) < 0 || (rc = request_limit(rq, "limit", DEFAULT_LIMIT, &limit, e)) < 0)
        return rc;
    if (limit > MOST_ROWS)
        return err_set(e, ERR_INVALID, "limit: should be at most %d", MOST_ROWS);
    q->matchers = matchers;
    q->from_ns = start_ms * 1000000;
    q->to_ns = end_ms * 1000000;
    q->limit = limit;
    return 0;
}

static void put_time(struct buf *b, const char *name, int64_t ns)
{
    char when[CLOCK_TEXT];

    clock_rfc3339(when, ns);
    buf_printf(b, "\"%s\":\"%s\"", name, when);
}

/* What is set of the row. */
static void put_row(struct buf *b, const struct series_row *row)
{
    buf_putc(b, '{');
    put_time(b, "time", row->time_ns);
    for (int i = 0; i < ACCESS_LOG_NFIELDS; i++) {
        const struct access_log_field_info *f = &access_log_fields[i];

        if (f->is_text ? row->values[i].s.n == 0 : row->values[i].i == -1)
            continue;
        buf_printf(b, ",\"%.*s\":", STR_ARG(f->name));
        if (f->is_text)
            buf_json(b, row->values[i].s);
        else
            buf_i64(b, row->values[i].i);
    }
    if (row->attributes.n) {
        buf_puts(b, ",\"attributes\":");
        json_labels(b, row->attributes);
    }
    buf_putc(b, '}');
}

void events_get(struct request *rq)
{
    struct series_rows_query q = { .limit = 0 };
    struct series_row *rows;
    struct err e = ERR_INIT;
    uint64_t count;
    size_t n;

    if (read_query(rq, &q, &e) < 0 || series_rows(rq->api->store, &q, &rq->arena, &rows, &n, &count, &e) < 0) {
        reply_error(rq, &e);
        return;
    }
    reply_json(rq, 200);
    buf_puts(&rq->out, "{\"match\":");
    buf_json(&rq->out, request_parameter(rq, "match"));
    buf_putc(&rq->out, ',');
    put_time(&rq->out, "start", q.from_ns);
    buf_putc(&rq->out, ',');
    put_time(&rq->out, "end", q.to_ns);
    buf_printf(&rq->out, ",\"count\":%" PRIu64 ",\"events\":[", count);
    for (size_t i = 0; i < n; i++) {
        buf_puts(&rq->out, i ? "," : "");
        put_row(&rq->out, &rows[i]);
    }
    buf_puts(&rq->out, "]}\n");
}
