/* prometheus_meta.c: Prometheus' HTTP API: series, labels, metadata, status. */

#include "api/prometheus-internal.h"

#include "base/clock.h"
#include "store/series.h"

#include <stdlib.h>
#include <unistd.h>

/* Prometheus' own bounds of "any time" lie outside of what a millisecond count of 64 bits may be added to. */
#define ANY_TIME_MIN (INT64_MIN / 4)
#define ANY_TIME_MAX (INT64_MAX / 4)

struct selection {
    struct series_query *queries; /* one for each match[]; one that takes all when there is none */
    size_t n;
    uint64_t limit;
};

static int add_selector(struct request *rq, struct selection *s, struct str text)
{
    struct series_query *q = &s->queries[s->n];
    struct matcher *matchers;
    struct err e = ERR_INIT;

    if (promql_parse_selector(&rq->arena, text, &matchers, &q->n, &e) < 0) {
        prometheus_fail_parameter(rq, "match[]", &e);
        return e.code;
    }
    q->matchers = matchers;
    s->n++;
    return 0;
}

/* match[], start, end, limit. Answers the request itself when something is wrong with them. */
static int read_selection(struct request *rq, bool needs_match, struct selection *s)
{
    struct str text;
    size_t at = 0;
    int64_t from, to;

    *s = (struct selection){ 0 };
    if (prometheus_time(rq, "start", ANY_TIME_MIN, &from) < 0 || prometheus_time(rq, "end", ANY_TIME_MAX, &to) < 0 ||
        prometheus_limit(rq, &s->limit) < 0)
        return ERR_INVALID;
    s->queries = arena_array(&rq->arena, rq->parameters.n + 1, sizeof(*s->queries));
    if (!s->queries) {
        prometheus_fail(rq, 503, "unavailable", "no memory");
        return ERR_NOMEM;
    }
    while ((text = request_parameter_next(rq, "match[]", &at)).p)
        if (add_selector(rq, s, text) < 0)
            return ERR_PARSE;
    if (s->n == 0 && needs_match) {
        prometheus_fail(rq, 400, "bad_data", "no match[] parameter provided");
        return ERR_INVALID;
    }
    s->n += s->n == 0;
    for (size_t i = 0; i < s->n; i++) {
        s->queries[i].from_ms = from;
        s->queries[i].to_ms = to;
    }
    return 0;
}

/* Closes the envelope; says so when the limit left something out. */
static void end_list(struct request *rq, bool cut)
{
    buf_puts(&rq->out, cut ? ",\"warnings\":[\"results truncated due to limit\"]}" : "}");
}

/* --- names and values --- */

static int by_bytes(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static size_t sort_unique(struct str *v, size_t n)
{
    size_t kept = 0;

    if (n)
        qsort(v, n, sizeof(*v), by_bytes);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || !str_eq(v[kept - 1], v[i]))
            v[kept++] = v[i];
    return kept;
}

static void answer_strings(struct request *rq, const struct selection *s, struct str label)
{
    struct arena *a = &rq->arena;
    struct str *all = NULL, *some;
    size_t n = 0, cap = 0, more;
    struct err e = ERR_INIT;
    bool cut;

    for (size_t i = 0; i < s->n; i++) {
        int rc = label.p ? series_label_values(rq->api->store, &s->queries[i], label, a, &some, &more, &e)
                         : series_label_names(rq->api->store, &s->queries[i], a, &some, &more, &e);

        if (rc == 0 && arena_grow(a, &all, &cap, n + more, sizeof(*all)) < 0)
            rc = err_set(&e, ERR_NOMEM, "no memory for the labels");
        if (rc < 0) {
            prometheus_fail_store(rq, &e);
            return;
        }
        if (more)
            memcpy(all + n, some, more * sizeof(*all));
        n += more;
    }
    n = sort_unique(all, n);
    cut = s->limit && n > s->limit;
    prometheus_begin(rq);
    json_strings(&rq->out, all, cut ? (size_t)s->limit : n);
    end_list(rq, cut);
}

void prometheus_labels(struct request *rq)
{
    struct selection s;

    if (read_selection(rq, false, &s) == 0)
        answer_strings(rq, &s, STR_NULL);
}

void prometheus_label_values(struct request *rq)
{
    struct selection s;

    if (!rq->arguments[0].n || !str_is_utf8(rq->arguments[0]))
        prometheus_fail(rq, 400, "bad_data", "invalid label name: \"%.*s\"", STR_ARG(rq->arguments[0]));
    else if (read_selection(rq, false, &s) == 0)
        answer_strings(rq, &s, rq->arguments[0]);
}

/* --- series --- */

struct label_sets {
    struct labels *v;
    size_t n, cap;
};

static int collect_series(struct request *rq, const struct series_query *q, struct label_sets *out, struct err *e)
{
    struct series_set *set = series_open(rq->api->store, q, &rq->arena, e);
    struct labels l;
    int rc = set ? 1 : e->code;

    while (rc > 0 && (rc = series_next(set, &l, e)) == 1) {
        if (arena_grow(&rq->arena, &out->v, &out->cap, out->n + 1, sizeof(*out->v)) < 0)
            return err_set(e, ERR_NOMEM, "no memory for the series");
        out->v[out->n++] = l;
    }
    return rc;
}

static int by_labels(const void *a, const void *b)
{
    return labels_cmp(*(const struct labels *)a, *(const struct labels *)b);
}

void prometheus_series(struct request *rq)
{
    struct label_sets all = { 0 };
    struct err e = ERR_INIT;
    struct selection s;
    size_t written = 0;
    bool cut = false;

    if (read_selection(rq, true, &s) < 0)
        return;
    for (size_t i = 0; i < s.n; i++)
        if (collect_series(rq, &s.queries[i], &all, &e) < 0) {
            prometheus_fail_store(rq, &e);
            return;
        }
    if (s.n > 1 && all.n)
        qsort(all.v, all.n, sizeof(*all.v), by_labels);
    prometheus_begin(rq);
    buf_putc(&rq->out, '[');
    for (size_t i = 0; i < all.n && !cut; i++) {
        if (i && labels_cmp(all.v[i - 1], all.v[i]) == 0)
            continue;
        cut = s.limit && written == s.limit;
        if (cut)
            break;
        buf_puts(&rq->out, written++ ? "," : "");
        json_labels(&rq->out, all.v[i]);
    }
    buf_putc(&rq->out, ']');
    end_list(rq, cut);
}

/* --- metadata --- */

static void put_metadata(struct buf *b, const struct batch_metadata *m)
{
    buf_puts(b, "{\"type\":");
    buf_json(b, m->type);
    buf_puts(b, ",\"help\":");
    buf_json(b, m->help);
    buf_puts(b, ",\"unit\":");
    buf_json(b, m->unit);
    buf_putc(b, '}');
}

static int number_parameter(struct request *rq, const char *name, uint64_t *v)
{
    if (request_limit(rq, name, 0, v, NULL) == 0)
        return 0;
    prometheus_fail(rq, 400, "bad_data", "%s must be a number", name);
    return ERR_INVALID;
}

void prometheus_metadata(struct request *rq)
{
    struct batch_metadata *v;
    struct err e = ERR_INIT;
    uint64_t limit, per_metric, metrics = 0, of_metric = 0;
    size_t n;

    if (number_parameter(rq, "limit", &limit) < 0 || number_parameter(rq, "limit_per_metric", &per_metric) < 0)
        return;
    if (series_metadata(rq->api->store, request_parameter(rq, "metric"), &rq->arena, &v, &n, &e) < 0) {
        prometheus_fail_store(rq, &e);
        return;
    }
    prometheus_begin(rq);
    buf_putc(&rq->out, '{');
    for (size_t i = 0; i < n; i++) {
        bool same = i && str_eq(v[i - 1].metric, v[i].metric);

        if (!same && limit && metrics == limit)
            break;
        if (!same) {
            buf_puts(&rq->out, metrics++ ? "]," : "");
            buf_json(&rq->out, v[i].metric);
            of_metric = 0;
        }
        if (per_metric && of_metric++ == per_metric)
            continue;
        buf_puts(&rq->out, same ? "," : ":[");
        put_metadata(&rq->out, &v[i]);
    }
    buf_puts(&rq->out, metrics ? "]}}" : "}}");
}

/* --- status --- */

void prometheus_buildinfo(struct request *rq)
{
    prometheus_begin(rq);
    buf_puts(&rq->out, "{\"version\":\"" VIGLA_VERSION "\",\"revision\":\"\",\"branch\":\"\",\"buildUser\":\"\","
                       "\"buildDate\":\"\",\"goVersion\":\"\",\"application\":\"vigla\"}}");
}

void prometheus_runtimeinfo(struct request *rq)
{
    const struct api *api = rq->api;
    char started[CLOCK_TEXT], now[CLOCK_TEXT], retention[CLOCK_TEXT] = "0s", cwd[4096];
    struct store_stats stats;

    store_stats(api->store, &stats);
    clock_rfc3339(started, api->started_ms * 1000000);
    clock_rfc3339(now, clock_now_ms() * 1000000);
    if (api->options.retention_ms)
        duration_text(retention, api->options.retention_ms);
    prometheus_begin(rq);
    buf_printf(&rq->out,
               "{\"startTime\":\"%s\",\"serverTime\":\"%s\",\"lastConfigTime\":\"%s\",\"reloadConfigSuccess\":true,"
               "\"corruptionCount\":0,\"storageRetention\":\"%s\",\"timeSeriesCount\":%llu,\"CWD\":",
               started, now, started, retention, (unsigned long long)stats.series);
    buf_json(&rq->out, str_of(getcwd(cwd, sizeof(cwd)) ? cwd : ""));
    buf_puts(&rq->out, "}}");
}

void prometheus_config(struct request *rq)
{
    prometheus_begin(rq);
    buf_puts(&rq->out, "{\"yaml\":");
    buf_json(&rq->out, str_of(rq->api->config));
    buf_puts(&rq->out, "}}");
}

void prometheus_flags(struct request *rq)
{
    prometheus_begin(rq);
    json_labels(&rq->out, rq->api->options.flags);
    buf_putc(&rq->out, '}');
}

/* The names with the most values, as Prometheus' status page lists them. */
struct name_count {
    struct str name;
    size_t values;
};

static int by_count(const void *a, const void *b)
{
    const struct name_count *x = a, *y = b;

    return x->values != y->values ? (x->values < y->values ? 1 : -1) : str_cmp(x->name, y->name);
}

static int count_values(struct request *rq, struct name_count **out, size_t *n, size_t *pairs, struct err *e)
{
    const struct series_query all = { .from_ms = ANY_TIME_MIN, .to_ms = ANY_TIME_MAX };
    struct str *names, *values;
    int rc = series_label_names(rq->api->store, &all, &rq->arena, &names, n, e);

    *pairs = 0;
    if (rc < 0)
        return rc;
    *out = arena_array(&rq->arena, *n + 1, sizeof(**out));
    if (!*out)
        return err_set(e, ERR_NOMEM, "no memory for the labels");
    for (size_t i = 0; i < *n; i++) {
        (*out)[i].name = names[i];
        rc = series_label_values(rq->api->store, &all, names[i], &rq->arena, &values, &(*out)[i].values, e);
        if (rc < 0)
            return rc;
        *pairs += (*out)[i].values;
    }
    if (*n)
        qsort(*out, *n, sizeof(**out), by_count);
    return 0;
}

void prometheus_tsdb(struct request *rq)
{
    struct name_count *counts;
    struct store_stats stats;
    struct err e = ERR_INIT;
    uint64_t limit;
    size_t n, pairs;

    if (prometheus_limit(rq, &limit) < 0)
        return;
    if (limit == 0)
        limit = 10;
    if (count_values(rq, &counts, &n, &pairs, &e) < 0) {
        prometheus_fail_store(rq, &e);
        return;
    }
    store_stats(rq->api->store, &stats);
    prometheus_begin(rq);
    buf_printf(&rq->out, "{\"headStats\":{\"numSeries\":%llu,\"numLabelPairs\":%zu},\"labelValueCountByLabelName\":[",
               (unsigned long long)stats.series, pairs);
    for (size_t i = 0; i < n && i < limit; i++) {
        buf_puts(&rq->out, i ? ",{\"name\":" : "{\"name\":");
        buf_json(&rq->out, counts[i].name);
        buf_printf(&rq->out, ",\"value\":%zu}", counts[i].values);
    }
    buf_puts(&rq->out, "]}}");
}

/* --- admin --- */

static bool admin_allowed(struct request *rq)
{
    if (!rq->api->options.admin)
        prometheus_fail(rq, 503, "unavailable", "admin APIs disabled");
    return rq->api->options.admin;
}

void prometheus_delete_series(struct request *rq)
{
    struct err e = ERR_INIT;
    struct selection s;

    if (!admin_allowed(rq) || read_selection(rq, true, &s) < 0)
        return;
    for (size_t i = 0; i < s.n; i++)
        if (series_delete(rq->api->store, &s.queries[i], &e) < 0) {
            prometheus_fail_store(rq, &e);
            return;
        }
    reply_begin(rq, 204, NULL);
}

/* What series_delete took is gone at once: there are no tombstones. */
void prometheus_clean_tombstones(struct request *rq)
{
    if (admin_allowed(rq))
        reply_begin(rq, 204, NULL);
}
