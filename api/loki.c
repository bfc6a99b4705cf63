/* loki.c: Loki's HTTP API, for reading. Source: grafana.com/docs/loki/latest/reference/loki-http-api.
 *
 * Structured metadata has two shapes there. A client that sends `X-Loki-Response-Encoding-Flags: categorize-labels`
 * gets it as third element of each entry; for any other it is merged into the stream's labels, so that a stream of the
 * answer is a stream of the store and one set of metadata. */

#include "api/http-internal.h"

#include "base/clock.h"
#include "base/num.h"
#include "base/strmap.h"
#include "query/logql.h"

#include <inttypes.h>
#include <math.h>

enum { DEFAULT_LIMIT = 100, MOST_LINES = 50000 };

#define HOUR_NS INT64_C(3600000000000)

static void fail(struct request *rq, const struct err *e)
{
    reply_text(rq, e->code == ERR_LIMIT ? 400 : error_status(e->code), "%s", e->msg);
}

/* Whole numbers are nanoseconds, or seconds when they have at most ten digits; others are seconds or RFC 3339. */
static int time_ns(struct request *rq, const char *name, int64_t otherwise, int64_t *ns, struct err *e)
{
    struct str s = request_parameter(rq, name);
    double v;

    *ns = otherwise;
    if (s.n == 0)
        return 0;
    if (num_i64(s, ns)) {
        if (s.n <= 10)
            *ns *= 1000000000;
        return 0;
    }
    if (num_double(s, &v) && fabs(v) < 9.2e9) {
        *ns = llround(v * 1e6) * 1000;
        return 0;
    }
    if (clock_parse_rfc3339(s, ns, NULL) == 0)
        return 0;
    return err_set(e, ERR_INVALID, "%s: \"%.*s\" should be nanoseconds, seconds or RFC 3339", name, STR_ARG(s));
}

static int direction(struct request *rq, bool *newest_first, struct err *e)
{
    struct str s = request_parameter(rq, "direction");

    *newest_first = s.n == 0 || str_ieq(s, STR("backward"));
    if (*newest_first || str_ieq(s, STR("forward")))
        return 0;
    return err_set(e, ERR_INVALID, "direction: \"%.*s\" should be forward or backward", STR_ARG(s));
}

static int read_range(struct request *rq, struct logql_window *w, struct err *e)
{
    int64_t now = clock_now_ns(), since_ms = 3600000;
    struct str since = request_parameter(rq, "since");
    int rc;

    if (since.n && (rc = duration_parse(since, &since_ms, e)) < 0) {
        err_wrap(e, "since");
        return rc;
    }
    if ((rc = time_ns(rq, "end", now, &w->to_ns, e)) < 0 ||
        (rc = time_ns(rq, "start", w->to_ns - since_ms * 1000000, &w->from_ns, e)) < 0)
        return rc;
    if (w->from_ns > w->to_ns)
        return err_set(e, ERR_INVALID, "end timestamp must not be before start time");
    return 0;
}

static int read_lines(struct request *rq, struct logql_window *w, struct err *e)
{
    uint64_t limit;
    int rc;

    if ((rc = request_limit(rq, "limit", DEFAULT_LIMIT, &limit, e)) < 0 ||
        (rc = direction(rq, &w->newest_first, e)) < 0)
        return rc;
    if (limit == 0 || limit > MOST_LINES)
        return err_set(e, ERR_INVALID, "limit: should be from 1 to %d", MOST_LINES);
    w->limit = limit;
    return 0;
}

/* --- streams --- */

/* One stream of the answer: entries of one set of labels, in a list. */
struct shown {
    struct labels labels;
    const struct logql_entry **entries;
    size_t n, cap;
};

struct shown_streams {
    struct shown *v;
    size_t n, cap;
    struct strmap by_labels; /* to the index + 1 */
};

/* The stream's labels and the entry's metadata; where both have a name the stream's counts. */
static int merge(struct arena *a, struct labels stream, struct labels metadata, struct labels *out)
{
    struct label *v = arena_array(a, stream.n + metadata.n, sizeof(*v));
    size_t i = 0, k = 0, n = 0;

    if (!v)
        return ERR_NOMEM;
    while (i < stream.n || k < metadata.n) {
        int c = i == stream.n ? 1 : k == metadata.n ? -1 : str_cmp(stream.v[i].name, metadata.v[k].name);

        v[n++] = c <= 0 ? stream.v[i] : metadata.v[k];
        i += c <= 0;
        k += c >= 0;
    }
    *out = (struct labels){ v, n };
    return 0;
}

static struct shown *shown_of(struct shown_streams *s, struct arena *a, struct labels labels)
{
    struct buf key = BUF_INIT(1 << 24);
    struct str name;
    uintptr_t at;

    labels_print(&key, labels);
    name = buf_failed(&key) ? STR_NULL : arena_str(a, buf_view(&key));
    buf_free(&key);
    if (!name.p)
        return NULL;
    at = (uintptr_t)strmap_get(&s->by_labels, name);
    if (at)
        return &s->v[at - 1];
    if (arena_grow(a, &s->v, &s->cap, s->n + 1, sizeof(*s->v)) < 0 ||
        strmap_put(&s->by_labels, name, (void *)(uintptr_t)(s->n + 1), NULL) < 0)
        return NULL;
    s->v[s->n] = (struct shown){ .labels = labels };
    return &s->v[s->n++];
}

static int regroup(struct arena *a, const struct logql_stream *streams, size_t n, struct shown_streams *out)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < streams[i].n; k++) {
            const struct logql_entry *entry = &streams[i].entries[k];
            struct labels labels;
            struct shown *s;

            if (merge(a, streams[i].labels, entry->metadata, &labels) < 0)
                return ERR_NOMEM;
            s = shown_of(out, a, labels);
            if (!s || arena_grow(a, &s->entries, &s->cap, s->n + 1, sizeof(*s->entries)) < 0)
                return ERR_NOMEM;
            s->entries[s->n++] = entry;
        }
    return 0;
}

static void put_entry(struct buf *b, const struct logql_entry *entry, bool metadata)
{
    buf_printf(b, "[\"%" PRId64 "\",", entry->time_ns);
    buf_json(b, entry->line);
    if (metadata) {
        buf_puts(b, ",{");
        if (entry->metadata.n) {
            buf_puts(b, "\"structuredMetadata\":");
            json_labels(b, entry->metadata);
        }
        buf_putc(b, '}');
    }
    buf_putc(b, ']');
}

static void open_stream(struct buf *b, struct labels l, bool first)
{
    buf_puts(b, first ? "{\"stream\":" : ",{\"stream\":");
    json_labels(b, l);
    buf_puts(b, ",\"values\":[");
}

static int put_merged(struct request *rq, const struct logql_stream *streams, size_t n, struct err *e)
{
    struct shown_streams all = { .by_labels = STRMAP_INIT };
    int rc = regroup(&rq->arena, streams, n, &all);

    strmap_free(&all.by_labels);
    if (rc < 0)
        return err_set(e, ERR_NOMEM, "no memory for the lines");
    for (size_t i = 0; i < all.n; i++) {
        open_stream(&rq->out, all.v[i].labels, i == 0);
        for (size_t k = 0; k < all.v[i].n; k++) {
            buf_puts(&rq->out, k ? "," : "");
            put_entry(&rq->out, all.v[i].entries[k], false);
        }
        buf_puts(&rq->out, "]}");
    }
    return 0;
}

static void put_categorised(struct request *rq, const struct logql_stream *streams, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        open_stream(&rq->out, streams[i].labels, i == 0);
        for (size_t k = 0; k < streams[i].n; k++) {
            buf_puts(&rq->out, k ? "," : "");
            put_entry(&rq->out, &streams[i].entries[k], true);
        }
        buf_puts(&rq->out, "]}");
    }
}

static void put_stats(struct request *rq, const struct logql_stream *streams, size_t n)
{
    double seconds = (double)(clock_mono_ns() - rq->started_ns) / 1e9;
    uint64_t lines = 0, bytes = 0;

    for (size_t i = 0; i < n; i++) {
        lines += streams[i].n;
        for (size_t k = 0; k < streams[i].n; k++)
            bytes += streams[i].entries[k].line.n;
    }
    buf_printf(&rq->out,
               ",\"stats\":{\"summary\":{\"execTime\":%.6f,\"totalEntriesReturned\":%" PRIu64
               ",\"totalBytesReturned\":%" PRIu64 "}}",
               seconds, lines, bytes);
}

static void answer(struct request *rq, const struct logql_stream *streams, size_t n)
{
    struct str flags = str_of(request_header(rq, "X-Loki-Response-Encoding-Flags"));
    bool categorise = str_find(flags, STR("categorize-labels")) >= 0;
    struct err e = ERR_INIT;

    reply_json(rq, 200);
    buf_puts(&rq->out, "{\"status\":\"success\",\"data\":{\"resultType\":\"streams\",");
    buf_puts(&rq->out, categorise ? "\"encodingFlags\":[\"categorize-labels\"],\"result\":[" : "\"result\":[");
    if (categorise) {
        put_categorised(rq, streams, n);
    } else if (put_merged(rq, streams, n, &e) < 0) {
        fail(rq, &e);
        return;
    }
    buf_putc(&rq->out, ']');
    put_stats(rq, streams, n);
    buf_puts(&rq->out, "}}");
}

static void run(struct request *rq, struct logql_window w)
{
    struct logql_stream *streams;
    struct logql_expr *x;
    struct err e = ERR_INIT;
    size_t n;

    x = logql_parse(&rq->arena, request_parameter(rq, "query"), &e);
    if (!x || logql_lines(rq->api->store, x, w, &rq->arena, &streams, &n, &e) < 0)
        fail(rq, &e);
    else
        answer(rq, streams, n);
}

void loki_query_range(struct request *rq)
{
    struct logql_window w = { 0 };
    struct err e = ERR_INIT;

    if (read_range(rq, &w, &e) < 0 || read_lines(rq, &w, &e) < 0)
        fail(rq, &e);
    else
        run(rq, w);
}

/* Lines of the hour before `time`. */
void loki_query(struct request *rq)
{
    struct logql_window w = { 0 };
    struct err e = ERR_INIT;

    if (time_ns(rq, "time", clock_now_ns(), &w.to_ns, &e) < 0 || read_lines(rq, &w, &e) < 0) {
        fail(rq, &e);
        return;
    }
    w.from_ns = w.to_ns - HOUR_NS;
    run(rq, w);
}

static void answer_strings(struct request *rq, int rc, const struct str *v, size_t n, const struct err *e)
{
    if (rc < 0) {
        fail(rq, e);
        return;
    }
    reply_json(rq, 200);
    buf_puts(&rq->out, "{\"status\":\"success\",\"data\":");
    json_strings(&rq->out, v, n);
    buf_putc(&rq->out, '}');
}

/* Loki looks back six hours here, when no start is given. */
static int read_label_range(struct request *rq, struct logql_window *w, struct err *e)
{
    int rc = read_range(rq, w, e);

    if (rc == 0 && !request_parameter(rq, "start").n && !request_parameter(rq, "since").n)
        w->from_ns = w->to_ns - 6 * HOUR_NS;
    return rc;
}

void loki_labels(struct request *rq)
{
    struct logql_window w = { 0 };
    struct err e = ERR_INIT;
    struct str *names = NULL;
    size_t n = 0;
    int rc = read_label_range(rq, &w, &e);

    if (rc == 0)
        rc = logql_label_names(rq->api->store, w, &rq->arena, &names, &n, &e);
    answer_strings(rq, rc, names, n, &e);
}

void loki_label_values(struct request *rq)
{
    struct logql_window w = { 0 };
    struct err e = ERR_INIT;
    struct str *values = NULL;
    size_t n = 0;
    int rc = read_label_range(rq, &w, &e);

    if (rc == 0)
        rc = logql_label_values(rq->api->store, rq->arguments[0], w, &rq->arena, &values, &n, &e);
    answer_strings(rq, rc, values, n, &e);
}
