/* loki_meta.c: Loki's HTTP API: what there is: labels, values, streams, and how much of them. */
#include "api/loki-internal.h"

#include "api/prometheus-internal.h"
#include "base/clock.h"
#include "base/num.h"

#include <inttypes.h>
#include <stdlib.h>

enum { DEFAULT_VOLUMES = 100, MOST_VALUES = 10000, DEFAULT_SAMPLE = 1000, MOST_FIELDS = 1000 };

static void begin(struct request *rq)
{
    reply_json(rq, 200);
    buf_puts(&rq->out, "{\"status\":\"success\",\"data\":");
}

static void answer_strings(struct request *rq, int rc, const struct str *v, size_t n, const struct err *e)
{
    if (rc < 0) {
        loki_fail(rq, e);
        return;
    }
    begin(rq);
    json_strings(&rq->out, v, n);
    buf_putc(&rq->out, '}');
}

/* Loki looks back six hours here, when no start is given. */
static int read_range(struct request *rq, struct logql_window *w, struct err *e)
{
    int rc = loki_range(rq, w, e);

    if (rc == 0 && !request_parameter(rq, "start").n && !request_parameter(rq, "since").n)
        w->from_ns = w->to_ns - 6 * HOUR_NS;
    return rc;
}

static int volumes(struct request *rq, const struct logql_expr *x, struct logql_window w, const struct str *by,
                   size_t nby, bool bytes, struct logql_volume **v, size_t *n, struct err *e)
{
    return logql_volumes(rq->api->store, x, w, by, nby, bytes, &rq->api->options.limits, &rq->arena, v, n, e);
}

/* --- labels ------------------------------------------------------------------------------------------------------ */

/* Names that the streams of `query` have. */
static int names_of(struct request *rq, struct logql_window w, struct str **names, size_t *n, struct err *e)
{
    struct logql_expr *x = loki_query_of(rq, e);
    struct logql_volume *v;
    size_t count, cap = 0;
    int rc = x ? volumes(rq, x, w, NULL, 0, false, &v, &count, e) : e->code;

    for (size_t i = 0; rc == 0 && i < count; i++)
        for (size_t k = 0; rc == 0 && k < v[i].labels.n; k++) {
            bool known = false;

            for (size_t j = 0; j < *n && !known; j++)
                known = str_eq((*names)[j], v[i].labels.v[k].name);
            if (known)
                continue;
            if (arena_grow(&rq->arena, names, &cap, *n + 1, sizeof(**names)) < 0)
                return err_set(e, ERR_NOMEM, "no memory for the labels");
            (*names)[(*n)++] = v[i].labels.v[k].name;
        }
    return rc;
}

void loki_labels(struct request *rq)
{
    struct logql_window w = { 0 };
    struct err e = ERR_INIT;
    struct str *names = NULL;
    size_t n = 0;
    int rc = read_range(rq, &w, &e);

    if (rc == 0 && request_parameter(rq, "query").n)
        rc = names_of(rq, w, &names, &n, &e);
    else if (rc == 0)
        rc = logql_label_names(rq->api->store, w, &rq->arena, &names, &n, &e);
    answer_strings(rq, rc, names, n, &e);
}

/* The values of one label in the streams of `query`. */
static int values_of(struct request *rq, struct logql_window w, struct str **values, size_t *n, struct err *e)
{
    struct logql_expr *x = loki_query_of(rq, e);
    struct logql_volume *v;
    size_t count = 0;
    int rc = x ? volumes(rq, x, w, &rq->arguments[0], 1, false, &v, &count, e) : e->code;

    if (rc == 0 && !(*values = arena_array(&rq->arena, count + 1, sizeof(**values))))
        return err_set(e, ERR_NOMEM, "no memory for the values");
    for (size_t i = 0; rc == 0 && i < count && *n < MOST_VALUES; i++) {
        struct str value = labels_get(v[i].labels, rq->arguments[0]);

        if (value.n)
            (*values)[(*n)++] = value;
    }
    return rc;
}

void loki_label_values(struct request *rq)
{
    struct logql_window w = { 0 };
    struct err e = ERR_INIT;
    struct str *values = NULL;
    size_t n = 0;
    int rc = read_range(rq, &w, &e);

    if (rc == 0 && request_parameter(rq, "query").n)
        rc = values_of(rq, w, &values, &n, &e);
    else if (rc == 0)
        rc = logql_label_values(rq->api->store, rq->arguments[0], w, &rq->arena, &values, &n, &e);
    answer_strings(rq, rc, values, n, &e);
}

/* --- streams ----------------------------------------------------------------------------------------------------- */

static int by_labels(const void *a, const void *b)
{
    return labels_cmp(*(const struct labels *)a, *(const struct labels *)b);
}

/* The streams of every match[], each once. */
static int find_series(struct request *rq, struct logql_window w, struct labels **out, size_t *n, struct err *e)
{
    struct str text;
    size_t at = 0, cap = 0;
    int rc = 0;

    while (rc == 0 && ((text = request_parameter_next(rq, "match[]", &at)).p)) {
        struct logql_expr *x = logql_parse(&rq->arena, text, e);
        struct logql_volume *v;
        size_t count = 0;

        rc = x ? volumes(rq, x, w, NULL, 0, false, &v, &count, e) : e->code;
        if (rc == 0 && arena_grow(&rq->arena, out, &cap, *n + count + 1, sizeof(**out)) < 0)
            return err_set(e, ERR_NOMEM, "no memory for the streams");
        for (size_t i = 0; rc == 0 && i < count; i++)
            (*out)[(*n)++] = v[i].labels;
    }
    if (*n > 1)
        qsort(*out, *n, sizeof(**out), by_labels);
    return rc;
}

void loki_series(struct request *rq)
{
    struct logql_window w = { 0 };
    struct err e = ERR_INIT;
    struct labels *v = NULL;
    size_t n = 0, shown = 0;

    if (!request_parameter(rq, "match[]").n) {
        reply_text(rq, 400, "0 matcher groups supplied: match[] should be a selector, as in {app=\"web\"}");
        return;
    }
    if (read_range(rq, &w, &e) < 0 || find_series(rq, w, &v, &n, &e) < 0) {
        loki_fail(rq, &e);
        return;
    }
    begin(rq);
    buf_putc(&rq->out, '[');
    for (size_t i = 0; i < n; i++) {
        if (i && labels_cmp(v[i - 1], v[i]) == 0)
            continue;
        buf_puts(&rq->out, shown++ ? "," : "");
        json_labels(&rq->out, v[i]);
    }
    buf_puts(&rq->out, "]}");
}

/* --- volumes ----------------------------------------------------------------------------------------------------- */

/* Chunks there are none: a stream counts as one. */
void loki_index_stats(struct request *rq)
{
    struct logql_window w = { 0 };
    struct err e = ERR_INIT;
    struct logql_expr *x;
    struct logql_volume *lines, *bytes;
    size_t n = 0, nbytes = 0;
    double entries = 0, size = 0;

    if (loki_range(rq, &w, &e) < 0 || !(x = loki_query_of(rq, &e)) ||
        volumes(rq, x, w, NULL, 0, false, &lines, &n, &e) < 0 || volumes(rq, x, w, NULL, 0, true, &bytes, &nbytes, &e) < 0) {
        loki_fail(rq, &e);
        return;
    }
    for (size_t i = 0; i < n; i++)
        entries += lines[i].value;
    for (size_t i = 0; i < nbytes; i++)
        size += bytes[i].value;
    reply_json(rq, 200);
    buf_printf(&rq->out, "{\"streams\":%zu,\"chunks\":%zu,\"entries\":%.0f,\"bytes\":%.0f}", n, n, entries, size);
}

/* targetLabels, a list with commas. */
static int read_targets(struct request *rq, struct str **out, size_t *n, struct err *e)
{
    struct str rest = request_parameter(rq, "targetLabels");
    size_t cap = 0;

    while (rest.p && rest.n) {
        struct str name = str_trim(str_cut(&rest, ','));

        if (name.n == 0)
            continue;
        if (arena_grow(&rq->arena, out, &cap, *n + 1, sizeof(**out)) < 0)
            return err_set(e, ERR_NOMEM, "no memory for the labels");
        (*out)[(*n)++] = name;
    }
    return 0;
}

static int by_value(const void *a, const void *b)
{
    double x = ((const struct logql_volume *)a)->value, y = ((const struct logql_volume *)b)->value;

    return (x < y) - (x > y);
}

/* By which labels volumes are told: targetLabels, or those that the selector names. */
static int volume_labels(struct request *rq, const struct logql_expr *x, struct str **by, size_t *n, struct err *e)
{
    int rc = read_targets(rq, by, n, e);

    if (rc == 0 && *n == 0 && logql_selector_names(x, &rq->arena, by, n) < 0)
        rc = err_set(e, ERR_NOMEM, "no memory for the labels");
    return rc;
}

void loki_index_volume(struct request *rq)
{
    struct logql_window w = { 0 };
    struct err e = ERR_INIT;
    struct logql_expr *x;
    struct logql_volume *v;
    struct str *by = NULL;
    size_t n = 0, nby = 0;
    uint64_t limit;

    if (loki_range(rq, &w, &e) < 0 || request_limit(rq, "limit", DEFAULT_VOLUMES, &limit, &e) < 0 ||
        !(x = loki_query_of(rq, &e)) || volume_labels(rq, x, &by, &nby, &e) < 0 ||
        volumes(rq, x, w, by, nby, true, &v, &n, &e) < 0) {
        loki_fail(rq, &e);
        return;
    }
    qsort(v, n, sizeof(*v), by_value);
    begin(rq);
    buf_puts(&rq->out, "{\"resultType\":\"vector\",\"result\":[");
    for (size_t i = 0; i < n && i < limit; i++) {
        buf_puts(&rq->out, i ? ",{\"metric\":" : "{\"metric\":");
        json_labels(&rq->out, v[i].labels);
        buf_printf(&rq->out, ",\"value\":[%" PRId64 ",\"%.0f\"]}", w.to_ns / 1000000000, v[i].value);
    }
    buf_puts(&rq->out, "]}}");
}

/* Bytes in each step. */
void loki_index_volume_range(struct request *rq)
{
    struct logql_window w = { 0 };
    struct err e = ERR_INIT;
    struct logql_expr *x;
    struct promql_value *v = NULL;
    struct str *by = NULL;
    size_t nby = 0;
    int64_t step_ns;

    if (loki_range(rq, &w, &e) == 0 && loki_duration(rq, "step", w.to_ns - w.from_ns, &step_ns, &e) == 0 &&
        (x = loki_query_of(rq, &e)) && volume_labels(rq, x, &by, &nby, &e) == 0)
        v = logql_volume_steps(rq->api->store, x, w, step_ns / 1000000, by, nby, &rq->api->options.limits, &rq->arena, &e);
    if (v)
        prometheus_value(rq, v, 0, 0, STR_NULL);
    else
        loki_fail(rq, &e);
}

/* --- what there might be to ask for ------------------------------------------------------------------------------ */

/* {"detectedLabels":[{"label":…,"cardinality":…}]}: of stream labels. */
void loki_detected_labels(struct request *rq)
{
    struct logql_window w = { 0 };
    struct err e = ERR_INIT;
    struct str *names, *values;
    size_t n = 0, count;

    if (read_range(rq, &w, &e) < 0 || logql_label_names(rq->api->store, w, &rq->arena, &names, &n, &e) < 0) {
        loki_fail(rq, &e);
        return;
    }
    reply_json(rq, 200);
    buf_puts(&rq->out, "{\"detectedLabels\":[");
    for (size_t i = 0; i < n; i++) {
        if (logql_label_values(rq->api->store, names[i], w, &rq->arena, &values, &count, &e) < 0) {
            loki_fail(rq, &e);
            return;
        }
        buf_puts(&rq->out, i ? ",{\"label\":" : "{\"label\":");
        buf_json(&rq->out, names[i]);
        buf_printf(&rq->out, ",\"cardinality\":%zu}", count);
    }
    buf_puts(&rq->out, "]}");
}

/* One field of the sampled lines: what it is called, of which kind its values are, and how many different ones. */
struct detected {
    struct str name;
    bool numbers, durations; /* all values so far are */
    struct str *values;
    size_t n, cap;
};

struct detection {
    struct arena *a;
    struct detected *v;
    size_t n, cap;
};

static struct detected *field_of(struct detection *d, struct str name)
{
    for (size_t i = 0; i < d->n; i++)
        if (str_eq(d->v[i].name, name))
            return &d->v[i];
    if (d->n == MOST_FIELDS || arena_grow(d->a, &d->v, &d->cap, d->n + 1, sizeof(*d->v)) < 0)
        return NULL;
    d->v[d->n] = (struct detected){ name, true, true, NULL, 0, 0 };
    return &d->v[d->n++];
}

static void detect(struct detection *d, struct labels l)
{
    for (size_t i = 0; i < l.n; i++) {
        struct detected *f = field_of(d, l.v[i].name);
        int64_t ns;
        double v;
        bool known = false;

        if (!f)
            return;
        f->numbers &= num_double(l.v[i].value, &v);
        f->durations &= duration_parse_go(l.v[i].value, &ns, NULL) == 0;
        for (size_t k = 0; k < f->n && !known; k++)
            known = str_eq(f->values[k], l.v[i].value);
        if (!known && arena_grow(d->a, &f->values, &f->cap, f->n + 1, sizeof(*f->values)) == 0)
            f->values[f->n++] = l.v[i].value;
    }
}

/* Of the newest lines' metadata, and of what the query's own parsers find. */
void loki_detected_fields(struct request *rq)
{
    struct logql_window w = { .newest_first = true };
    struct detection d = { .a = &rq->arena };
    struct err e = ERR_INIT;
    struct logql_stream *streams;
    struct logql_expr *x;
    uint64_t limit;
    size_t n = 0;

    if (loki_range(rq, &w, &e) < 0 || request_limit(rq, "line_limit", DEFAULT_SAMPLE, &limit, &e) < 0 ||
        !(x = loki_query_of(rq, &e))) {
        loki_fail(rq, &e);
        return;
    }
    w.limit = limit && limit < DEFAULT_SAMPLE ? limit : DEFAULT_SAMPLE;
    if (logql_lines(rq->api->store, x, w, &rq->arena, &streams, &n, &e) < 0) {
        loki_fail(rq, &e);
        return;
    }
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < streams[i].n; k++) {
            detect(&d, streams[i].entries[k].metadata);
            detect(&d, streams[i].entries[k].parsed);
        }
    reply_json(rq, 200);
    buf_puts(&rq->out, "{\"fields\":[");
    for (size_t i = 0; i < d.n; i++) {
        buf_puts(&rq->out, i ? ",{\"label\":" : "{\"label\":");
        buf_json(&rq->out, d.v[i].name);
        buf_printf(&rq->out, ",\"type\":\"%s\",\"cardinality\":%zu,\"parsers\":null}",
                   d.v[i].numbers ? "float" : d.v[i].durations ? "duration" : "string", d.v[i].n);
    }
    buf_printf(&rq->out, "],\"limit\":%d}", MOST_FIELDS);
}
