/* otlp_metrics.c: data points to Prometheus series.
 *
 *   gauge, sum          NAME, or NAME_total for a monotonic sum
 *   histogram           NAME_bucket{le=…} cumulated, NAME_sum, NAME_count; an exponential one with bounds of ours
 *   summary             NAME{quantile=…}, NAME_sum, NAME_count
 *
 * A point of several series is taken as a whole or not at all: its series are built first, then added. Deltas are
 * increments, which the store adds up (batch_series.increments); those of a sum that also falls are refused: nobody
 * knows where it began. */

#include "collector/otlp-internal.h"

#include <math.h>

enum { METRIC_NAME = 1, METRIC_DESCRIPTION = 2, METRIC_UNIT = 3, METRIC_GAUGE = 5, METRIC_SUM = 7, METRIC_HISTOGRAM = 9,
       METRIC_EXPONENTIAL = 10, METRIC_SUMMARY = 11 };
enum { DATA_POINTS = 1, DATA_TEMPORALITY = 2, DATA_MONOTONIC = 3, DELTA = 1, CUMULATIVE = 2 }; /* of all kinds */
enum { POINT_START = 2, POINT_TIME = 3, POINT_COUNT = 4, POINT_SUM = 5 };           /* the same in all points */
enum { NUMBER_DOUBLE = 4, NUMBER_EXEMPLARS = 5, NUMBER_INT = 6, NUMBER_ATTRIBUTES = 7, NUMBER_FLAGS = 8 };
enum { HISTOGRAM_COUNTS = 6, HISTOGRAM_BOUNDS = 7, HISTOGRAM_EXEMPLARS = 8, HISTOGRAM_ATTRIBUTES = 9,
       HISTOGRAM_FLAGS = 10 };
enum { EXPONENTIAL_ATTRIBUTES = 1, EXPONENTIAL_SCALE = 6, EXPONENTIAL_ZEROS = 7, EXPONENTIAL_POSITIVE = 8,
       EXPONENTIAL_NEGATIVE = 9, EXPONENTIAL_FLAGS = 10, EXPONENTIAL_EXEMPLARS = 11 };
enum { SUMMARY_QUANTILES = 6, SUMMARY_ATTRIBUTES = 7, SUMMARY_FLAGS = 8, QUANTILE_QUANTILE = 1, QUANTILE_VALUE = 2 };
enum { NO_RECORDED_VALUE = 1 };

struct metric {
    struct str name, description, unit;
    uint32_t kind; /* METRIC_GAUGE and so on; 0: none */
    struct str data;
    uint64_t temporality, monotonic;
    struct str prometheus_name;
};

/* A data point of any kind, as far as it has what stands here. */
struct otlp_point {
    struct otlp_context *c;
    uint64_t start_ns, time_ns, flags;
    bool has_value, has_sum;
    double value, sum;
    uint64_t count;
    uint64_t counts[OTLP_MOST_BOUNDS + 1];
    double bounds[OTLP_MOST_BOUNDS], values[OTLP_MOST_BOUNDS]; /* a summary's quantiles and their values */
    size_t ncounts, nbounds;
    struct otlp_exponential exponential;
    bool has_exemplars, is_delta;
    /* what it becomes */
    struct labels labels; /* without __name__ */
    int64_t t_ms, start_ms;
};

/* --- reading --- */

static int metric_field(struct otlp_context *c, const struct pb_field *f, void *out, struct err *e)
{
    struct metric *m = out;

    (void)c;
    switch (f->number) {
    case METRIC_NAME:
        return otlp_get_bytes(f, &m->name, e);
    case METRIC_DESCRIPTION:
        return otlp_get_bytes(f, &m->description, e);
    case METRIC_UNIT:
        return otlp_get_bytes(f, &m->unit, e);
    case METRIC_GAUGE:
    case METRIC_SUM:
    case METRIC_HISTOGRAM:
    case METRIC_EXPONENTIAL:
    case METRIC_SUMMARY:
        m->kind = f->number;
        return otlp_get_bytes(f, &m->data, e);
    default:
        return 0;
    }
}

static bool has_temporality(const struct metric *m)
{
    return m->kind == METRIC_SUM || m->kind == METRIC_HISTOGRAM || m->kind == METRIC_EXPONENTIAL;
}

/* Beside the points; a gauge and a summary have nothing there. */
static int data_field(struct otlp_context *c, const struct pb_field *f, void *out, struct err *e)
{
    struct metric *m = out;

    (void)c;
    if (f->number == DATA_TEMPORALITY && has_temporality(m))
        return otlp_get_number(f, PB_VARINT, &m->temporality, e);
    if (f->number == DATA_MONOTONIC && m->kind == METRIC_SUM)
        return otlp_get_number(f, PB_VARINT, &m->monotonic, e);
    return 0;
}

static int put_number(uint64_t bits, double *doubles, uint64_t *whole, size_t *n, size_t most, struct err *e)
{
    if (*n == most)
        return err_set(e, ERR_LIMIT, "more than %d buckets", OTLP_MOST_BOUNDS);
    if (doubles)
        memcpy(&doubles[*n], &bits, sizeof(bits));
    else
        whole[*n] = bits;
    ++*n;
    return 0;
}

/* Numbers of 64 bits, packed (as proto3 writes them) or one by one. */
static int get_numbers(const struct pb_field *f, double *doubles, uint64_t *whole, size_t *n, size_t most,
                       struct err *e)
{
    int rc = 0;

    if (f->type == PB_FIXED64)
        return put_number(f->u, doubles, whole, n, most, e);
    if ((rc = pb_want(f, PB_BYTES, e)) < 0)
        return rc;
    if (f->bytes.n % 8)
        return err_set(e, ERR_PARSE, "protobuf: field %u: cut short", f->number);
    for (size_t at = 0; rc == 0 && at < f->bytes.n; at += 8) {
        uint64_t bits;

        memcpy(&bits, f->bytes.p + at, sizeof(bits));
        rc = put_number(bits, doubles, whole, n, most, e);
    }
    return rc;
}

static int get_double(const struct pb_field *f, double *v, bool *there, struct err *e)
{
    *v = pb_double(f);
    *there = true;
    return pb_want(f, PB_FIXED64, e);
}

static int number_field(struct otlp_context *c, const struct pb_field *f, void *out, struct err *e)
{
    struct otlp_point *p = out;

    switch (f->number) {
    case POINT_START:
        return otlp_get_number(f, PB_FIXED64, &p->start_ns, e);
    case POINT_TIME:
        return otlp_get_number(f, PB_FIXED64, &p->time_ns, e);
    case NUMBER_DOUBLE:
        return get_double(f, &p->value, &p->has_value, e);
    case NUMBER_INT:
        p->value = (double)(int64_t)f->u;
        p->has_value = true;
        return pb_want(f, PB_FIXED64, e);
    case NUMBER_ATTRIBUTES:
        return otlp_get_attribute(c, f, e);
    case NUMBER_EXEMPLARS:
        p->has_exemplars = true;
        return pb_want(f, PB_BYTES, e);
    case NUMBER_FLAGS:
        return otlp_get_number(f, PB_VARINT, &p->flags, e);
    default:
        return 0;
    }
}

static int histogram_field(struct otlp_context *c, const struct pb_field *f, void *out, struct err *e)
{
    struct otlp_point *p = out;

    switch (f->number) {
    case POINT_START:
        return otlp_get_number(f, PB_FIXED64, &p->start_ns, e);
    case POINT_TIME:
        return otlp_get_number(f, PB_FIXED64, &p->time_ns, e);
    case POINT_COUNT:
        return otlp_get_number(f, PB_FIXED64, &p->count, e);
    case POINT_SUM:
        return get_double(f, &p->sum, &p->has_sum, e);
    case HISTOGRAM_COUNTS:
        return get_numbers(f, NULL, p->counts, &p->ncounts, OTLP_MOST_BOUNDS + 1, e);
    case HISTOGRAM_BOUNDS:
        return get_numbers(f, p->bounds, NULL, &p->nbounds, OTLP_MOST_BOUNDS, e);
    case HISTOGRAM_ATTRIBUTES:
        return otlp_get_attribute(c, f, e);
    case HISTOGRAM_EXEMPLARS:
        p->has_exemplars = true;
        return pb_want(f, PB_BYTES, e);
    case HISTOGRAM_FLAGS:
        return otlp_get_number(f, PB_VARINT, &p->flags, e);
    default:
        return 0;
    }
}

static int exponential_field(struct otlp_context *c, const struct pb_field *f, void *out, struct err *e)
{
    struct otlp_point *p = out;

    switch (f->number) {
    case POINT_START:
        return otlp_get_number(f, PB_FIXED64, &p->start_ns, e);
    case POINT_TIME:
        return otlp_get_number(f, PB_FIXED64, &p->time_ns, e);
    case POINT_COUNT:
        return otlp_get_number(f, PB_FIXED64, &p->count, e);
    case POINT_SUM:
        return get_double(f, &p->sum, &p->has_sum, e);
    case EXPONENTIAL_SCALE:
        p->exponential.scale = (int32_t)pb_zigzag(f->u);
        return pb_want(f, PB_VARINT, e);
    case EXPONENTIAL_ZEROS:
        return otlp_get_number(f, PB_FIXED64, &p->exponential.zero_count, e);
    case EXPONENTIAL_POSITIVE:
        return otlp_get_bytes(f, &p->exponential.positive, e);
    case EXPONENTIAL_NEGATIVE:
        return otlp_get_bytes(f, &p->exponential.negative, e);
    case EXPONENTIAL_ATTRIBUTES:
        return otlp_get_attribute(c, f, e);
    case EXPONENTIAL_FLAGS:
        return otlp_get_number(f, PB_VARINT, &p->flags, e);
    case EXPONENTIAL_EXEMPLARS:
        p->has_exemplars = true;
        return pb_want(f, PB_BYTES, e);
    default:
        return 0;
    }
}

static int get_quantile(const struct pb_field *f, struct otlp_point *p, struct err *e)
{
    double *quantile, *value;
    struct pb_reader r;
    struct pb_field v;
    bool there;
    int rc = pb_want(f, PB_BYTES, e);

    if (rc < 0)
        return rc;
    if (p->nbounds == OTLP_MOST_BOUNDS)
        return err_set(e, ERR_LIMIT, "more than %d quantiles", OTLP_MOST_BOUNDS);
    quantile = &p->bounds[p->nbounds];
    value = &p->values[p->nbounds];
    *quantile = *value = 0;
    r = pb_reader(f->bytes);
    while ((rc = pb_next(&r, &v, e)) == 1) {
        if (v.number == QUANTILE_QUANTILE || v.number == QUANTILE_VALUE)
            rc = get_double(&v, v.number == QUANTILE_VALUE ? value : quantile, &there, e);
        if (rc < 0)
            return rc;
    }
    p->nbounds += rc == 0;
    return rc;
}

static int summary_field(struct otlp_context *c, const struct pb_field *f, void *out, struct err *e)
{
    struct otlp_point *p = out;

    switch (f->number) {
    case POINT_START:
        return otlp_get_number(f, PB_FIXED64, &p->start_ns, e);
    case POINT_TIME:
        return otlp_get_number(f, PB_FIXED64, &p->time_ns, e);
    case POINT_COUNT:
        return otlp_get_number(f, PB_FIXED64, &p->count, e);
    case POINT_SUM:
        return get_double(f, &p->sum, &p->has_sum, e);
    case SUMMARY_QUANTILES:
        return get_quantile(f, p, e);
    case SUMMARY_ATTRIBUTES:
        return otlp_get_attribute(c, f, e);
    case SUMMARY_FLAGS:
        return otlp_get_number(f, PB_VARINT, &p->flags, e);
    default:
        return 0;
    }
}

/* --- labels --- */

/* Two keys may become one name ("a.b", "a_b"): their values are joined with ';', as the compatibility rules say. */
static int join(struct arena *a, struct label *to, struct str value, struct err *e)
{
    to->value = arena_printf(a, "%.*s;%.*s", STR_ARG(to->value), STR_ARG(value));
    return to->value.p ? 0 : err_set(e, ERR_NOMEM, "no memory for a label");
}

static int put_label(struct arena *a, struct label *v, size_t *n, const struct label *attribute, struct err *e)
{
    struct str name;
    int rc;

    if (attribute->value.n == 0)
        return 0;
    if (attribute->value.n > OTLP_LONGEST_LABEL)
        return err_set(e, ERR_LIMIT, "attribute \"%.*s\": longer than %d bytes", STR_ARG(attribute->name),
                       OTLP_LONGEST_LABEL);
    if ((rc = otlp_label_name(a, attribute->name, &name, e)) < 0)
        return rc;
    for (size_t i = 0; i < *n; i++)
        if (str_eq(v[i].name, name))
            return join(a, &v[i], attribute->value, e);
    v[(*n)++] = (struct label){ name, attribute->value };
    return 0;
}

static int point_labels(struct otlp_context *c, struct labels *out, struct err *e)
{
    const struct otlp_attributes *own = &c->attributes;
    const struct otlp_resource *from = &c->resource;
    struct label *v = arena_array(c->arena, own->n + 4, sizeof(*v));
    size_t n = 0;
    int rc = v ? 0 : err_set(e, ERR_NOMEM, "no memory for labels");

    for (size_t i = 0; rc == 0 && i < own->n; i++)
        rc = put_label(c->arena, v, &n, &own->v[i], e);
    if (rc < 0)
        return rc;
    otlp_put_absent(v, &n, STR("job"), from->job);
    otlp_put_absent(v, &n, STR("instance"), from->instance);
    otlp_put_absent(v, &n, STR("pod"), from->pod);
    otlp_put_absent(v, &n, STR("namespace"), from->ns);
    *out = (struct labels){ v, n };
    return labels_normalise(v, &out->n, e);
}

/* A copy of the point's labels with __name__ and, when it has a value, one more (`le`, `quantile`), in order. */
static int series_labels(struct arena *a, struct labels base, struct str name, struct label extra, struct labels *out,
                         struct err *e)
{
    struct label *v = arena_array(a, base.n + 2, sizeof(*v));
    const struct label more[] = { { STR("__name__"), name }, extra };
    size_t n = 0, added = 0, of = extra.value.n ? 2 : 1;

    if (!v)
        return err_set(e, ERR_NOMEM, "no memory for labels");
    for (size_t i = 0; i < base.n || added < of;) {
        bool take_more = added < of && (i == base.n || str_cmp(more[added].name, base.v[i].name) < 0);

        if (!take_more && extra.value.n && str_eq(base.v[i].name, extra.name))
            return err_set(e, ERR_INVALID, "the attribute \"%.*s\" is taken", STR_ARG(extra.name));
        v[n++] = take_more ? more[added] : base.v[i];
        added += take_more;
        i += !take_more;
    }
    *out = (struct labels){ v, n };
    return 0;
}

/* --- series --- */

/* Only the flag makes a stale marker: a sender's own NaN may have any bits, and JSON carries none of them. */
static double stored_value(const struct otlp_point *p, double v)
{
    const uint64_t stale = SAMPLE_STALE_BITS;

    if (p->flags & NO_RECORDED_VALUE)
        memcpy(&v, &stale, sizeof(v));
    else if (isnan(v))
        v = NAN;
    return v;
}

static struct str name_with(struct arena *a, struct str name, const char *suffix)
{
    return arena_printf(a, "%.*s%s", STR_ARG(name), suffix);
}

static int add_series(struct otlp_point *p, struct str name, struct label extra, double v, struct err *e)
{
    struct batch_series s = { .start_ms = p->start_ms, .n = 1, .increments = p->is_delta };
    struct arena *a = p->c->arena;
    struct sample *sample = ARENA_NEW(a, struct sample);
    int rc = name.p && sample ? 0 : err_set(e, ERR_NOMEM, "no memory for a series");

    if (rc == 0)
        rc = series_labels(a, p->labels, name, extra, &s.labels, e);
    if (rc < 0)
        return rc;
    *sample = (struct sample){ p->t_ms, stored_value(p, v) };
    s.samples = sample;
    return batch_add_series(p->c->batch, &s) < 0 ? err_set(e, ERR_NOMEM, "no memory for a series") : 0;
}

static int add_plain(struct otlp_point *p, struct str name, double v, struct err *e)
{
    return add_series(p, name, (struct label){ STR_NULL, STR_NULL }, v, e);
}

static int add_with_number(struct otlp_point *p, struct str name, struct str label, double number, double v,
                           struct err *e)
{
    struct buf text = BUF_INIT(64);
    struct str value;

    buf_double(&text, number);
    value = buf_failed(&text) ? STR_NULL : arena_str(p->c->arena, buf_view(&text));
    buf_free(&text);
    if (!value.p)
        return err_set(e, ERR_NOMEM, "no memory for a label");
    return add_series(p, name, (struct label){ label, value }, v, e);
}

static int check_buckets(const struct otlp_point *p, struct err *e)
{
    if (p->ncounts != p->nbounds + 1 && (p->ncounts || p->nbounds))
        return err_set(e, ERR_INVALID, "%zu bucket_counts for %zu explicit_bounds, should be %zu", p->ncounts,
                       p->nbounds, p->nbounds + 1);
    for (size_t i = 0; i < p->nbounds; i++)
        if (isnan(p->bounds[i]) || (i && p->bounds[i] <= p->bounds[i - 1]))
            return err_set(e, ERR_INVALID, "explicit_bounds[%zu] should be larger than the one before", i);
    return 0;
}

static int add_sum_and_count(struct otlp_point *p, struct str name, struct err *e)
{
    struct arena *a = p->c->arena;
    int rc = 0;

    if (p->has_sum)
        rc = add_plain(p, name_with(a, name, "_sum"), p->sum, e);
    return rc < 0 ? rc : add_plain(p, name_with(a, name, "_count"), (double)p->count, e);
}

static int add_histogram(struct otlp_point *p, struct str name, struct err *e)
{
    struct str bucket = name_with(p->c->arena, name, "_bucket");
    uint64_t cumulated = 0;
    int rc = check_buckets(p, e);

    for (size_t i = 0; rc == 0 && i < p->nbounds && p->bounds[i] < INFINITY; i++) {
        cumulated += p->counts[i];
        rc = add_with_number(p, bucket, STR("le"), p->bounds[i], (double)cumulated, e);
    }
    if (rc == 0)
        rc = add_with_number(p, bucket, STR("le"), INFINITY, (double)p->count, e);
    return rc < 0 ? rc : add_sum_and_count(p, name, e);
}

static int add_summary(struct otlp_point *p, struct str name, struct err *e)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < p->nbounds; i++)
        rc = add_with_number(p, name, STR("quantile"), p->bounds[i], p->values[i], e);
    return rc < 0 ? rc : add_sum_and_count(p, name, e);
}

/* --- points and metrics --- */

/* When a start is told it lies before the point: increase() then sees the first increment. A start at the very time of
 * the point means, to OpenTelemetry, that it is not known. */
static int point_times(struct otlp_point *p, bool is_counter, struct err *e)
{
    int64_t t, start;
    int rc = otlp_time(p->time_ns, &t, e);

    if (rc < 0 || (rc = otlp_time(p->start_ns, &start, e)) < 0)
        return rc;
    if (t == 0)
        return err_set(e, ERR_INVALID, "time_unix_nano is missing");
    p->t_ms = t / 1000000;
    if (is_counter && start > 0 && start < t)
        p->start_ms = start / 1000000 < p->t_ms ? start / 1000000 : p->t_ms - 1;
    return 0;
}

/* What is added must be a number, and a counter's not fall. */
static int check_delta(const struct otlp_point *p, const struct metric *m, struct err *e)
{
    double v = m->kind == METRIC_SUM ? p->value : p->sum;

    if (p->is_delta && (!isfinite(v) || (m->kind == METRIC_SUM && v < 0)))
        return err_set(e, ERR_INVALID, "a delta of %g: should be a number%s", v,
                       m->kind == METRIC_SUM ? ", not below 0" : "");
    return 0;
}

static int add_point(struct otlp_point *p, const struct metric *m, struct err *e)
{
    int rc = otlp_origin_fault(p->c, e);

    p->is_delta = has_temporality(m) && m->temporality == DELTA;
    if (rc == 0)
        rc = point_times(p, m->kind != METRIC_GAUGE && (m->kind != METRIC_SUM || m->monotonic) && !p->is_delta, e);
    if (rc == 0)
        rc = point_labels(p->c, &p->labels, e);
    if (rc == 0)
        rc = check_delta(p, m, e);
    if (rc < 0 || (p->is_delta && (p->flags & NO_RECORDED_VALUE)))
        return rc; /* nothing was added up in this time */
    if (m->kind == METRIC_EXPONENTIAL) {
        rc = otlp_explicit_buckets(&p->exponential, m->unit, p->bounds, p->counts, &p->nbounds, e);
        p->ncounts = p->nbounds + 1;
    }
    if (rc < 0)
        return rc;
    if (m->kind == METRIC_HISTOGRAM || m->kind == METRIC_EXPONENTIAL)
        return add_histogram(p, m->prometheus_name, e);
    if (m->kind == METRIC_SUMMARY)
        return add_summary(p, m->prometheus_name, e);
    if (!p->has_value && !(p->flags & NO_RECORDED_VALUE))
        return err_set(e, ERR_INVALID, "neither as_double nor as_int is set");
    return add_plain(p, m->prometheus_name, p->value, e);
}

/* They may stand before what makes the series: so they are read when these are there. */
static int add_exemplars(struct otlp_point *p, const struct metric *m, struct str message, size_t first, struct err *e)
{
    const uint32_t number = m->kind == METRIC_SUM         ? NUMBER_EXEMPLARS
                            : m->kind == METRIC_HISTOGRAM ? HISTOGRAM_EXEMPLARS
                                                          : EXPONENTIAL_EXEMPLARS;
    struct otlp_exemplar_place at = { first, p->bounds, p->nbounds, p->t_ms };
    struct pb_reader r = pb_reader(message);
    struct pb_field f;
    int rc;

    if (!p->has_exemplars || !has_temporality(m) || p->c->batch->nseries == first)
        return 0;
    if (at.nbounds && at.bounds[at.nbounds - 1] == INFINITY)
        at.nbounds--; /* one bucket, not two */
    while ((rc = pb_next(&r, &f, e)) == 1)
        if (f.number == number && (rc = otlp_exemplar(p->c, f.bytes, &at, e)) < 0)
            return rc;
    return rc;
}

typedef int field_fn(struct otlp_context *c, const struct pb_field *f, void *out, struct err *e);

static field_fn *field_of(const struct metric *m)
{
    switch (m->kind) {
    case METRIC_HISTOGRAM:
        return histogram_field;
    case METRIC_EXPONENTIAL:
        return exponential_field;
    case METRIC_SUMMARY:
        return summary_field;
    default:
        return number_field;
    }
}

static int data_point(struct otlp_context *c, struct str message, struct metric *m, struct err *e)
{
    struct otlp_point *p = c->point;
    size_t series = c->batch->nseries;
    int rc;

    p->c = c;
    p->start_ns = p->time_ns = p->flags = p->count = 0;
    p->has_value = p->has_sum = false;
    p->ncounts = p->nbounds = 0;
    p->value = p->sum = 0;
    p->start_ms = 0;
    p->has_exemplars = false;
    p->exponential = (struct otlp_exponential){ 0 };
    rc = otlp_read(c, message, 0, field_of(m), p, e);
    if (rc == 0)
        rc = add_point(p, m, e);
    if (rc == 0)
        rc = add_exemplars(p, m, message, series, e);
    if (rc < 0)
        c->batch->nseries = series; /* no half of a histogram */
    return rc;
}

/* What the metric as a whole is refused for; else its name in Prometheus is set. */
static int name_metric(struct otlp_context *c, struct metric *m, struct err *e)
{
    int rc;

    if ((rc = otlp_text(m->name, "the name", e)) < 0 || (rc = otlp_text(m->unit, "the unit", e)) < 0 ||
        (rc = otlp_text(m->description, "the description", e)) < 0)
        return rc;
    if (has_temporality(m) && m->temporality != CUMULATIVE && m->temporality != DELTA)
        return err_set(e, ERR_UNSUPPORTED, "temporality %llu is not taken: should be delta or cumulative",
                       (unsigned long long)m->temporality);
    if (m->kind == METRIC_SUM && m->temporality == DELTA && !m->monotonic)
        return err_set(e, ERR_UNSUPPORTED, "deltas of a sum that is not monotonic are not taken: send it cumulative");
    return otlp_metric_name(c->arena, m->name, m->unit,
                            (struct otlp_naming){ m->kind == METRIC_SUM && m->monotonic, m->kind == METRIC_GAUGE },
                            &m->prometheus_name, e);
}

static int add_metadata(struct otlp_context *c, const struct metric *m, struct err *e)
{
    struct batch_metadata d = { m->prometheus_name, STR("gauge"), m->description, m->unit };

    if (m->kind == METRIC_HISTOGRAM || m->kind == METRIC_EXPONENTIAL)
        d.type = STR("histogram");
    else if (m->kind == METRIC_SUMMARY)
        d.type = STR("summary");
    else if (m->kind == METRIC_SUM && m->monotonic)
        d.type = STR("counter");
    return batch_add_metadata(c->batch, &d) < 0 ? err_set(e, ERR_NOMEM, "no memory for metadata") : 0;
}

/* `fault`, when not 0, is what all points are refused for. */
static int data_points(struct otlp_context *c, struct metric *m, int fault, const struct err *reason, struct err *e)
{
    struct pb_reader r = pb_reader(m->data);
    struct pb_field f;
    int rc;

    if (!c->point)
        c->point = ARENA_NEW(c->arena, struct otlp_point);
    if (!c->point)
        return err_set(e, ERR_NOMEM, "no memory for a data point");
    while ((rc = pb_next(&r, &f, e)) == 1) {
        struct err why = reason ? *reason : (struct err)ERR_INIT;

        if (f.number != DATA_POINTS)
            continue;
        if ((rc = pb_want(&f, PB_BYTES, e)) < 0)
            return rc;
        rc = fault ? fault : data_point(c, f.bytes, m, &why);
        if (rc < 0)
            err_wrap(&why, "metric \"%.*s\"", STR_ARG(m->name));
        if ((rc = otlp_settle(c, rc, 1, "data point", &why, e)) < 0)
            return rc;
    }
    return rc;
}

int otlp_metric(struct otlp_context *c, struct str message, struct err *e)
{
    struct err why = ERR_INIT;
    struct metric m = { 0 };
    uint64_t taken;
    int rc = otlp_read(c, message, 0, metric_field, &m, &why);

    if (rc == 0 && m.kind)
        rc = otlp_read(c, m.data, 0, data_field, &m, &why);
    if (rc == ERR_PARSE || rc == ERR_NOMEM) {
        if (e)
            *e = why;
        return rc;
    }
    if (m.kind == 0)
        return 0; /* a metric without data, or of a kind that came after this was written */
    rc = name_metric(c, &m, &why);
    if (rc == ERR_NOMEM)
        return otlp_settle(c, rc, 0, "metric", &why, e);
    taken = c->refused->accepted;
    rc = data_points(c, &m, rc, &why, e);
    return rc < 0 || c->refused->accepted == taken ? rc : add_metadata(c, &m, e);
}
