/* prometheus_result.c: a query's value as JSON.
 *
 * The text of a large result is many times its value: it is written in pieces (reply_pieces), from a cursor that stands
 * on a series and a point of it. A small one is a single piece. */

#include "api/prometheus-internal.h"

enum { MOST_ANNOTATIONS = 10 };

struct result {
    const struct promql_value *value;
    size_t shown; /* series; the rest is cut */
    bool cut;
    size_t series, point;    /* what comes next */
    bool begun;              /* the series' labels are written */
    struct str stats;        /* STR_NULL: not asked for */
    struct time_text near;
};

/* Points of the series under the cursor until the piece is full; true when it is written to its end. */
static bool put_points(struct result *r, struct buf *b)
{
    const struct promql_series *s = &r->value->series[r->series];
    size_t at = b->n, n = json_points(b, s->t + r->point, s->v + r->point, s->n - r->point, &r->near);

    if (n && r->point == 0 && !buf_failed(b)) /* what opens them has the place of a comma before the first */
        b->p[at] = r->value->type == PROMQL_MATRIX ? '[' : ':';
    r->point += n;
    return r->point == s->n;
}

static bool put_series(struct result *r, struct buf *b)
{
    bool is_matrix = r->value->type == PROMQL_MATRIX;

    if (!r->begun) {
        r->begun = true;
        buf_puts(b, r->series ? ",{\"metric\":" : "{\"metric\":");
        json_labels(b, r->value->series[r->series].labels);
        buf_puts(b, is_matrix ? ",\"values\":" : ",\"value\"");
    }
    if (!put_points(r, b))
        return false;
    buf_puts(b, is_matrix ? "]}" : "}");
    r->series++;
    r->point = 0;
    r->begun = false;
    return true;
}

/* `also`, when not NULL, is one more. */
static void put_annotations(struct buf *b, const char *name, const struct str *v, size_t n, const char *also)
{
    size_t shown = n < MOST_ANNOTATIONS ? n : MOST_ANNOTATIONS;

    if (n == 0 && !also)
        return;
    buf_printf(b, ",\"%s\":[", name);
    for (size_t i = 0; i < shown; i++) {
        buf_puts(b, i ? "," : "");
        buf_json(b, v[i]);
    }
    if (also) {
        buf_puts(b, shown ? "," : "");
        buf_json(b, str_of(also));
    }
    buf_putc(b, ']');
}

static void put_end(const struct result *r, struct buf *b)
{
    const struct promql_value *v = r->value;

    if (r->stats.p)
        buf_str(b, r->stats);
    buf_putc(b, '}');
    put_annotations(b, "warnings", v->warnings, v->nwarnings, r->cut ? "results truncated due to limit" : NULL);
    put_annotations(b, "infos", v->infos, v->ninfos, NULL);
    buf_putc(b, '}');
}

static bool more(void *state, struct buf *out)
{
    struct result *r = state;

    while (r->series < r->shown && out->n < PIECE)
        if (!put_series(r, out))
            return true;
    if (r->series < r->shown)
        return true;
    buf_putc(out, ']');
    put_end(r, out);
    return false;
}

/* One number or text: [time, "value"]. A number has no exponent here. */
static void put_single(const struct result *r, int64_t at, struct buf *b)
{
    const struct promql_value *v = r->value;

    buf_putc(b, '[');
    json_sample_time(b, v->type == PROMQL_SCALAR ? v->series[0].t[0] : at);
    buf_putc(b, ',');
    if (v->type == PROMQL_SCALAR)
        json_sample_value(b, v->series[0].v[0], false);
    else
        buf_json(b, v->string);
    buf_putc(b, ']');
    put_end(r, b);
}

/* Points that the answer has, at least one: what was held in memory in the end. */
static uint64_t count_points(const struct promql_value *v)
{
    uint64_t n = 0;

    for (size_t i = 0; v->type != PROMQL_STRING && i < v->n; i++)
        n += v->series[i].n;
    return n ? n : 1;
}

static struct str stats_text(struct request *rq, const struct query_times *t, const struct promql_value *v)
{
    double queued = (double)(t->began - rq->started_ns) / 1e9, prepared = (double)(t->parsed - t->began) / 1e9;
    double evaluated = (double)(t->evaluated - t->parsed) / 1e9;
    uint64_t points = count_points(v);

    return arena_printf(&rq->arena,
                        ",\"stats\":{\"timings\":{\"evalTotalTime\":%.6f,\"resultSortTime\":0,"
                        "\"queryPreparationTime\":%.6f,\"innerEvalTime\":%.6f,\"execQueueTime\":%.6f,"
                        "\"execTotalTime\":%.6f},\"samples\":{\"totalQueryableSamples\":%llu,\"peakSamples\":%llu}}",
                        prepared + evaluated, prepared, evaluated, queued, queued + prepared + evaluated,
                        (unsigned long long)v->samples, (unsigned long long)(points > v->samples ? points : v->samples));
}

void prometheus_value(struct request *rq, const struct promql_value *v, int64_t at, uint64_t limit, struct str stats)
{
    static const char *const names[] = { [PROMQL_SCALAR] = "scalar", [PROMQL_STRING] = "string",
                                         [PROMQL_VECTOR] = "vector", [PROMQL_MATRIX] = "matrix" };
    bool is_list = v->type == PROMQL_VECTOR || v->type == PROMQL_MATRIX;
    struct result *r = ARENA_NEW(&rq->arena, struct result);

    if (!r) {
        prometheus_fail(rq, 503, "unavailable", "no memory for the answer");
        return;
    }
    r->value = v;
    r->cut = is_list && limit && v->n > limit;
    r->shown = r->cut ? (size_t)limit : v->n;
    r->stats = stats;
    prometheus_begin(rq);
    buf_printf(&rq->out, "{\"resultType\":\"%s\",\"result\":", names[v->type]);
    if (!is_list) {
        put_single(r, at, &rq->out);
        return;
    }
    buf_putc(&rq->out, '[');
    reply_pieces(rq, more, r);
}

void prometheus_result(struct request *rq, const struct promql_value *v, int64_t at, uint64_t limit,
                       const struct query_times *when)
{
    prometheus_value(rq, v, at, limit, request_parameter(rq, "stats").n ? stats_text(rq, when, v) : STR_NULL);
}
