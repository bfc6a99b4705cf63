#include "proxy/admin-internal.h"
#include "proxy/telemetry-internal.h"

#include <inttypes.h>
#include <stdio.h>

/* One of the proxy's own metrics, and one sample of it. Samples of a metric come one behind the other. */
struct own {
    const char *name, *type, *help;
};

typedef void print_sample(struct buf *b, const struct own *m, bool is_first, const char *labels, uint64_t value);

struct printer {
    struct buf *b;
    print_sample *print;
    const char *last; /* name of the metric printed last */
};

static void sample(struct printer *p, const struct own *m, const char *labels, uint64_t value)
{
    p->print(p->b, m, p->last != m->name, labels, value);
    p->last = m->name;
}

static void print_prometheus(struct buf *b, const struct own *m, bool is_first, const char *labels, uint64_t value)
{
    if (is_first)
        buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name, m->type);
    buf_printf(b, "%s%s %" PRIu64 "\n", m->name, labels, value);
}

static void print_stats(struct buf *b, const struct own *m, bool is_first, const char *labels, uint64_t value)
{
    (void)is_first;
    buf_printf(b, "%s%s: %" PRIu64 "\n", m->name, labels, value);
}

static void print_proxy(struct printer *p, struct telemetry *t)
{
    static const struct own build = { "istio_build", "gauge", "Version of the proxy." };
    static const struct own start = { "vigla_proxy_start_time_seconds", "gauge", "Start of telemetry since the epoch." };
    static const struct own ready = { "vigla_proxy_ready", "gauge", "Whether /ready answers 200." };
    static const struct own records = { "vigla_proxy_records_total", "counter", "Records taken from the workers." };
    static const struct own dropped = { "vigla_proxy_records_dropped_total", "counter",
                                        "Records a worker found no room for in its ring." };
    static const struct own sets = { "vigla_proxy_label_sets", "gauge", "Label sets of Istio's metrics." };
    static const struct own overflow = { "vigla_proxy_label_sets_overflow_total", "counter",
                                         "Records not counted: too many label sets." };
    char labels[32];

    sample(p, &build, "{component=\"proxy\",tag=\"" VIGLA_VERSION "\"}", 1);
    sample(p, &start, "", (uint64_t)(t->started_ns / 1000000000));
    sample(p, &ready, "", atomic_load(&t->readiness) == READY);
    sample(p, &records, "", t->records);
    for (size_t i = 0; i < t->o.nrings; i++) {
        snprintf(labels, sizeof(labels), "{ring=\"%zu\"}", i);
        sample(p, &dropped, labels, record_ring_dropped(t->o.rings[i]));
    }
    sample(p, &sets, "", metrics_sets(t->metrics));
    sample(p, &overflow, "", metrics_overflow(t->metrics));
}

static void print_access_file(struct printer *p, const struct access_file *f)
{
    static const struct own lines = { "vigla_access_log_lines_total", "counter", "Lines written to the access log." };
    static const struct own dropped = { "vigla_access_log_dropped_total", "counter",
                                        "Lines lost while the access log's file took nothing." };
    static const struct own errors = { "vigla_access_log_write_errors_total", "counter", "Writes that failed." };
    const struct access_file_stats *s = access_file_stats(f);

    sample(p, &lines, "", s->lines);
    sample(p, &dropped, "", s->dropped);
    sample(p, &errors, "", s->errors);
}

static void per_signal(struct printer *p, const struct exporter *x, const struct own *m, size_t offset)
{
    for (int i = 0; i < EXPORT_SIGNALS; i++) {
        char labels[64];
        uint64_t value;

        memcpy(&value, (const char *)exporter_stats(x, (enum export_signal)i) + offset, sizeof(value));
        snprintf(labels, sizeof(labels), "{signal=\"%s\"}", export_signal_names[i]);
        sample(p, m, labels, value);
    }
}

static void print_drops(struct printer *p, const struct exporter *x)
{
    static const struct own dropped = { "vigla_telemetry_dropped_total", "counter",
                                        "Log records, data points and spans that will not reach the server." };

    for (int i = 0; i < EXPORT_SIGNALS; i++) {
        const struct export_stats *s = exporter_stats(x, (enum export_signal)i);
        const struct {
            const char *reason;
            uint64_t n;
        } rows[] = { { "buffer_full", s->dropped_full },
                     { "batch_refused", s->dropped_refused },
                     { "record_rejected", s->dropped_rejected } };

        for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
            char labels[96];

            snprintf(labels, sizeof(labels), "{signal=\"%s\",reason=\"%s\"}", export_signal_names[i], rows[k].reason);
            sample(p, &dropped, labels, rows[k].n);
        }
    }
}

static void print_export(struct printer *p, const struct telemetry *t)
{
    static const struct {
        struct own m;
        size_t offset;
    } rows[] = {
        { { "vigla_telemetry_batches_total", "counter", "Batches the server acknowledged." },
          offsetof(struct export_stats, batches) },
        { { "vigla_telemetry_sent_bytes_total", "counter", "Bytes of acknowledged batches." },
          offsetof(struct export_stats, bytes) },
        { { "vigla_telemetry_records_total", "counter", "Log records, data points and spans acknowledged." },
          offsetof(struct export_stats, records) },
        { { "vigla_telemetry_retries_total", "counter", "Times a batch was not taken and had to go again." },
          offsetof(struct export_stats, retries) },
        { { "vigla_telemetry_waiting_batches", "gauge", "Batches not acknowledged yet." },
          offsetof(struct export_stats, waiting_batches) },
    };
    static const struct own used = { "vigla_telemetry_buffer_bytes", "gauge", "Bytes of batches not acknowledged." };
    static const struct own limit = { "vigla_telemetry_buffer_limit_bytes", "gauge", "Ceiling of the buffer." };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        per_signal(p, t->exporter, &rows[i].m, rows[i].offset);
    print_drops(p, t->exporter);
    sample(p, &used, "", exporter_used(t->exporter));
    sample(p, &limit, "", t->o.buffer_bytes);
}

struct circuit_printer {
    struct printer *p;
    const struct own *m;
    size_t offset;
};

static void print_circuit(void *arg, struct circuit *c)
{
    struct circuit_printer *cp = arg;
    unsigned value = atomic_load((atomic_uint *)(void *)((char *)c + cp->offset));
    struct buf labels = BUF_INIT(1024);

    if (value == 0)
        return;
    buf_printf(&labels, "{cluster_name=\"%.*s\"}", STR_ARG(c->name));
    if (!buf_failed(&labels))
        sample(cp->p, cp->m, buf_cstr(&labels), value);
    buf_free(&labels);
}

/* Envoy's names. Clusters for which a number is 0 are left out: there are many of both. */
static void print_circuits(struct printer *p, struct circuits *cs)
{
    static const struct {
        struct own m;
        size_t offset;
    } rows[] = {
        { { "envoy_cluster_upstream_cx_active", "gauge", "Connections." }, offsetof(struct circuit, connections) },
        { { "envoy_cluster_upstream_cx_overflow", "counter", "Connections not made: there were too many." },
          offsetof(struct circuit, connection_overflows) },
        { { "envoy_cluster_upstream_rq_pending_active", "gauge", "Requests that wait for a connection." },
          offsetof(struct circuit, pending) },
        { { "envoy_cluster_upstream_rq_pending_overflow", "counter", "Requests refused: too many waited." },
          offsetof(struct circuit, pending_overflows) },
        { { "envoy_cluster_upstream_rq_overflow", "counter", "Requests refused: too many were under way." },
          offsetof(struct circuit, request_overflows) },
        { { "envoy_cluster_upstream_rq_retry_overflow", "counter", "Retries not made: there were too many." },
          offsetof(struct circuit, retry_overflows) },
        { { "envoy_cluster_outlier_detection_ejections_enforced_total", "counter", "Hosts ejected." },
          offsetof(struct circuit, ejections_total) },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct circuit_printer cp = { p, &rows[i].m, rows[i].offset };

        circuits_each(cs, print_circuit, &cp);
    }
}

static void print_all(struct telemetry *t, struct buf *b, print_sample *print)
{
    struct printer p = { b, print, NULL };

    print_proxy(&p, t);
    if (t->file)
        print_access_file(&p, t->file);
    if (t->exporter)
        print_export(&p, t);
    if (t->o.circuits)
        print_circuits(&p, t->o.circuits);
}

void admin_prometheus(struct telemetry *t, struct buf *b)
{
    metrics_text(t->metrics, b);
    print_all(t, b, print_prometheus);
}

void admin_stats(struct telemetry *t, struct buf *b)
{
    metrics_stats(t->metrics, b);
    print_all(t, b, print_stats);
}
