/* envoy_metrics.c: StreamMetricsMessage to series.
 *
 * A name becomes what Envoy's own page /stats/prometheus calls it: "envoy_" before it, and an underscore for each
 * character that Prometheus does not have in names; Istio's metrics go by their own. A series has the metric's labels, and
 * of its sender job (the node's cluster), instance (its id), pod and namespace, unless the metric has these itself. */
#include "collector/envoy-internal.h"

#include <stdio.h>

enum { MESSAGE_METRICS = 2 };
enum { FAMILY_NAME = 1, FAMILY_HELP = 2, FAMILY_TYPE = 3, FAMILY_METRIC = 4, FAMILY_UNIT = 5 };
enum { METRIC_LABEL = 1, METRIC_GAUGE = 2, METRIC_COUNTER = 3, METRIC_SUMMARY = 4, METRIC_UNTYPED = 5, METRIC_TIME = 6,
       METRIC_HISTOGRAM = 7 };
enum { SUM_COUNT = 1, SUM_SUM = 2, SUM_PARTS = 3 }; /* the same in Summary and Histogram */
enum { MOST_LABELS = 128, LONGEST_NAME = 1024, MOST_PARTS = 1024 };

struct family {
    struct str name, help, unit;
    uint64_t type;
};

struct reading {
    const struct envoy_node *node;
    struct batch *b;
    struct otlp_refused *items;
    struct family family;
    int64_t now_ms;
};

/* A Metric, as far as it is read. */
struct metric {
    struct label_builder labels;
    uint32_t kind; /* METRIC_GAUGE and so on; 0: none */
    struct str data;
    int64_t t_ms;
};

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, "no memory for metrics");
}

/* --- names --- */

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* In the arena; p NULL: no memory. */
static struct str clean(struct arena *a, struct str prefix, struct str s)
{
    char *p = arena_alloc(a, prefix.n + s.n + 1);

    if (!p)
        return STR_NULL;
    memcpy(p, prefix.p, prefix.n);
    for (size_t i = 0; i < s.n; i++)
        p[prefix.n + i] = is_name_char(s.p[i]) ? s.p[i] : '_';
    return (struct str){ p, prefix.n + s.n };
}

static struct str family_name(struct arena *a, struct str name)
{
    static const char *const own[] = { "istiocustom.", "wasmcustom." }; /* who makes these gives whole names */

    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        if (str_starts(name, str_of(own[i])))
            return clean(a, STR(""), str_from(name, strlen(own[i])));
    return clean(a, str_starts(name, STR("istio_")) || str_starts(name, STR("envoy_")) ? STR("") : STR("envoy_"), name);
}

static int put_label(struct arena *a, struct metric *m, struct str pair, struct err *e)
{
    struct str name, value;
    int rc = envoy_entry(pair, &name, &value, e);

    if (rc < 0)
        return rc;
    if (m->labels.n == MOST_LABELS || name.n > LONGEST_NAME || value.n > (1 << 14))
        return err_set(e, ERR_LIMIT, "more than %d labels, or one that is too long", MOST_LABELS);
    if (name.n == 0)
        return 0;
    name = clean(a, name.p[0] >= '0' && name.p[0] <= '9' ? STR("_") : STR(""), name);
    value = envoy_text(a, value);
    return name.p && value.p && label_builder_set(&m->labels, name, value) == 0 ? 0 : no_memory(e);
}

static int put_sender(const struct reading *r, struct metric *m, struct err *e)
{
    const struct envoy_node *n = r->node;

    if (label_builder_default(&m->labels, STR("job"), n->cluster.n ? n->cluster : STR("envoy")) < 0 ||
        label_builder_default(&m->labels, STR("instance"), n->id) < 0 ||
        label_builder_default(&m->labels, STR("pod"), n->is.pod) < 0 ||
        label_builder_default(&m->labels, STR("namespace"), n->is.ns) < 0)
        return no_memory(e);
    return 0;
}

/* --- series --- */

static int add(struct reading *r, const struct metric *m, const char *suffix, const struct label *extra, double v,
               struct err *e)
{
    struct arena *a = r->b->arena;
    struct label *l = arena_alloc(a, (m->labels.n + 2) * sizeof(*l));
    struct sample *sample = ARENA_NEW(a, struct sample);
    struct str name = *suffix ? arena_printf(a, "%.*s%s", STR_ARG(r->family.name), suffix) : r->family.name;
    size_t n = 0;
    int rc;

    if (!l || !sample || !name.p)
        return no_memory(e);
    l[n++] = (struct label){ STR("__name__"), name };
    for (size_t i = 0; i < m->labels.n; i++)
        if (!str_eqz(m->labels.v[i].name, "__name__") && !(extra && str_eq(m->labels.v[i].name, extra->name)))
            l[n++] = m->labels.v[i];
    if (extra)
        l[n++] = *extra;
    if ((rc = labels_normalise(l, &n, e)) < 0)
        return rc;
    *sample = (struct sample){ m->t_ms, v };
    return batch_add_series(r->b, &(struct batch_series){ .labels = { l, n }, .samples = sample, .n = 1 }) < 0
               ? no_memory(e)
               : 0;
}

static int add_value(struct reading *r, const struct metric *m, struct err *e)
{
    struct pb_reader reader = pb_reader(m->data);
    struct pb_field f;
    double v = 0;
    int rc;

    while ((rc = pb_next(&reader, &f, e)) == 1)
        if (f.number == 1) {
            if ((rc = pb_want(&f, PB_FIXED64, e)) < 0)
                return rc;
            v = pb_double(&f);
        }
    return rc < 0 ? rc : add(r, m, "", NULL, v, e);
}

/* A Quantile {quantile, value} or a Bucket {cumulative_count, upper_bound}: both have numbers 1 and 2. */
static int add_part(struct reading *r, const struct metric *m, struct str part, struct err *e)
{
    bool is_bucket = m->kind == METRIC_HISTOGRAM;
    struct buf text = BUF_INIT(64);
    struct pb_reader reader = pb_reader(part);
    struct label extra = { is_bucket ? STR("le") : STR("quantile"), STR_NULL };
    double v[2] = { 0, 0 };
    struct pb_field f;
    int rc;

    while ((rc = pb_next(&reader, &f, e)) == 1) {
        if (f.number > 2)
            continue;
        if ((rc = pb_want(&f, is_bucket && f.number == 1 ? PB_VARINT : PB_FIXED64, e)) < 0)
            return rc;
        v[f.number - 1] = f.type == PB_VARINT ? (double)f.u : pb_double(&f);
    }
    if (rc < 0)
        return rc;
    buf_double(&text, is_bucket ? v[1] : v[0]);
    extra.value = arena_str(r->b->arena, buf_view(&text));
    buf_free(&text);
    if (!extra.value.p)
        return no_memory(e);
    return add(r, m, is_bucket ? "_bucket" : "", &extra, is_bucket ? v[0] : v[1], e);
}

/* The bucket +Inf, which senders leave out, holds all. */
static int add_total(struct reading *r, const struct metric *m, uint64_t count, double sum, bool has_all, struct err *e)
{
    const struct label all = { STR("le"), STR("+Inf") };
    int rc = m->kind == METRIC_HISTOGRAM && !has_all ? add(r, m, "_bucket", &all, (double)count, e) : 0;

    if (rc == 0)
        rc = add(r, m, "_sum", NULL, sum, e);
    return rc < 0 ? rc : add(r, m, "_count", NULL, (double)count, e);
}

static bool is_last_bucket(struct str part)
{
    struct pb_reader reader = pb_reader(part);
    struct pb_field f;

    while (pb_next(&reader, &f, NULL) == 1)
        if (f.number == 2 && f.type == PB_FIXED64)
            return pb_double(&f) == __builtin_inf();
    return false;
}

static int add_parts(struct reading *r, const struct metric *m, struct err *e)
{
    struct pb_reader reader = pb_reader(m->data);
    uint64_t count = 0;
    bool has_all = false;
    size_t parts = 0;
    double sum = 0;
    struct pb_field f;
    int rc;

    while ((rc = pb_next(&reader, &f, e)) == 1) {
        if (f.number == SUM_COUNT && (rc = pb_want(&f, PB_VARINT, e)) == 0)
            count = f.u;
        else if (f.number == SUM_SUM && (rc = pb_want(&f, PB_FIXED64, e)) == 0)
            sum = pb_double(&f);
        else if (f.number == SUM_PARTS && (rc = pb_want(&f, PB_BYTES, e)) == 0) {
            if (++parts > MOST_PARTS)
                return err_set(e, ERR_LIMIT, "more than %d buckets or quantiles", MOST_PARTS);
            has_all = has_all || is_last_bucket(f.bytes);
            rc = add_part(r, m, f.bytes, e);
        }
        if (rc < 0)
            return rc;
    }
    return rc < 0 ? rc : add_total(r, m, count, sum, has_all, e);
}

/* --- reading --- */

static int metric_field(struct arena *a, struct metric *m, const struct pb_field *f, struct err *e)
{
    int rc = f->number == METRIC_TIME ? pb_want(f, PB_VARINT, e) : 0;

    switch (f->number) {
    case METRIC_LABEL:
        rc = pb_want(f, PB_BYTES, e);
        return rc < 0 ? rc : put_label(a, m, f->bytes, e);
    case METRIC_TIME:
        m->t_ms = (int64_t)f->u;
        return rc;
    case METRIC_GAUGE:
    case METRIC_COUNTER:
    case METRIC_SUMMARY:
    case METRIC_UNTYPED:
    case METRIC_HISTOGRAM:
        m->kind = f->number;
        m->data = f->bytes;
        return pb_want(f, PB_BYTES, e);
    default:
        return 0;
    }
}

static int add_metric(struct reading *r, struct str message, struct err *e)
{
    struct metric m = { .labels = LABEL_BUILDER_INIT(r->b->arena), .t_ms = r->now_ms };
    struct pb_reader reader = pb_reader(message);
    struct pb_field f;
    int rc;

    while ((rc = pb_next(&reader, &f, e)) == 1)
        if ((rc = metric_field(r->b->arena, &m, &f, e)) < 0)
            return rc;
    if (rc == 0)
        rc = put_sender(r, &m, e);
    if (rc < 0 || m.kind == 0)
        return rc;
    return m.kind == METRIC_SUMMARY || m.kind == METRIC_HISTOGRAM ? add_parts(r, &m, e) : add_value(r, &m, e);
}

/* A metric is taken as a whole or not at all. */
static int read_metric(struct reading *r, struct str message, struct err *e)
{
    size_t before = r->b->nseries;
    struct err why = ERR_INIT;
    int rc = add_metric(r, message, &why);

    if (rc == 0) {
        r->items->accepted++;
        return 0;
    }
    r->b->nseries = before;
    if (rc != ERR_LIMIT && rc != ERR_INVALID) {
        *e = why;
        return rc;
    }
    if (r->items->n++ == 0)
        snprintf(r->items->why, sizeof(r->items->why), "%.*s: %.100s",
                 (int)(r->family.name.n < 100 ? r->family.name.n : 100), r->family.name.p, why.msg);
    return 0;
}

static int read_head(struct reading *r, struct str message, struct err *e)
{
    struct pb_reader reader = pb_reader(message);
    struct family *to = &r->family;
    struct pb_field f;
    int rc;

    *to = (struct family){ 0 };
    while ((rc = pb_next(&reader, &f, e)) == 1) {
        if (f.number == FAMILY_NAME && (rc = pb_want(&f, PB_BYTES, e)) == 0)
            to->name = f.bytes;
        else if (f.number == FAMILY_HELP && (rc = pb_want(&f, PB_BYTES, e)) == 0)
            to->help = f.bytes;
        else if (f.number == FAMILY_UNIT && (rc = pb_want(&f, PB_BYTES, e)) == 0)
            to->unit = f.bytes;
        else if (f.number == FAMILY_TYPE && (rc = pb_want(&f, PB_VARINT, e)) == 0)
            to->type = f.u;
        if (rc < 0)
            return rc;
    }
    return rc;
}

static int add_metadata(struct reading *r, struct err *e)
{
    static const char *const types[] = { "counter", "gauge", "summary", "unknown", "histogram" };
    const struct family *f = &r->family;
    struct batch_metadata d = { .metric = f->name,
                                .type = str_of(types[f->type < sizeof(types) / sizeof(types[0]) ? f->type : 3]),
                                .help = envoy_text(r->b->arena, f->help),
                                .unit = envoy_text(r->b->arena, f->unit) };

    return d.help.p && d.unit.p && batch_add_metadata(r->b, &d) == 0 ? 0 : no_memory(e);
}

/* Its fields come in any order: first the name, then the metrics. */
static int read_family(struct reading *r, struct str message, struct err *e)
{
    struct pb_reader reader = pb_reader(message);
    struct pb_field f;
    int rc = read_head(r, message, e);
    bool good;

    if (rc < 0)
        return rc;
    good = r->family.name.n > 0 && r->family.name.n <= LONGEST_NAME && r->family.help.n <= (1 << 16);
    if (good) {
        r->family.name = family_name(r->b->arena, r->family.name);
        if (!r->family.name.p)
            return no_memory(e);
        good = r->family.name.n > 0;
        if (good && (rc = add_metadata(r, e)) < 0)
            return rc;
    }
    while ((rc = pb_next(&reader, &f, e)) == 1) {
        if (f.number != FAMILY_METRIC)
            continue;
        if ((rc = pb_want(&f, PB_BYTES, e)) < 0 || (good && (rc = read_metric(r, f.bytes, e)) < 0))
            return rc;
        if (!good && r->items->n++ == 0)
            snprintf(r->items->why, sizeof(r->items->why), "a metric's name or help is missing or too long");
    }
    return rc;
}

static int read_families(struct reading *r, struct str message, struct err *e)
{
    struct pb_reader reader = pb_reader(message);
    struct pb_field f;
    int rc;

    while ((rc = pb_next(&reader, &f, e)) == 1) {
        if (f.number != MESSAGE_METRICS)
            continue;
        if ((rc = pb_want(&f, PB_BYTES, e)) < 0 || (rc = read_family(r, f.bytes, e)) < 0)
            return rc;
    }
    return rc;
}

int envoy_metrics_decode(struct str message, struct envoy_node *node, int64_t now_ms, struct batch *b,
                         struct otlp_refused *items, struct err *e)
{
    struct reading r = { .node = node, .b = b, .items = items, .now_ms = now_ms };
    size_t series = b->nseries, metadata = b->nmetadata;
    struct otlp_refused before = *items;
    int rc;

    if (!node)
        return err_set(e, ERR_INVALID, "the first message of a stream should have an identifier");
    rc = read_families(&r, message, e);
    if (rc < 0) {
        b->nseries = series;
        b->nmetadata = metadata;
        *items = before;
    }
    return rc;
}
