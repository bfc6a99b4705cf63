#include "proxy/admin-internal.h"
#include "proxy/rate_limit.h"
#include "proxy/telemetry-internal.h"

#include <inttypes.h>
#include <stdio.h>

/* One of the proxy's own metrics, and one sample of it. Samples of a metric come one behind the other. */
struct own {
    const char *name, *type, *help;
};

/* A name that Envoy's text has instead: what the only label says stands within it. */
struct dotted {
    const char *before, *behind;
    struct str of;
};

/* `dotted` NULL: the name is the same as text. */
typedef void print_sample(struct buf *b, const struct own *m, bool is_first, const char *labels,
                          const struct dotted *dotted, uint64_t value);

struct printer {
    struct buf *b;
    print_sample *print;
    const char *last; /* name of the metric printed last */
};

static void sample(struct printer *p, const struct own *m, const char *labels, uint64_t value)
{
    p->print(p->b, m, p->last != m->name, labels, NULL, value);
    p->last = m->name;
}

/* With one label, whose value needs no escapes. */
static void sample_of(struct printer *p, const struct own *m, const char *label, struct str of,
                      const struct dotted *dotted, uint64_t value)
{
    struct buf labels = BUF_INIT(4096);

    buf_printf(&labels, "{%s=\"%.*s\"}", label, STR_ARG(of));
    if (!buf_failed(&labels)) {
        p->print(p->b, m, p->last != m->name, buf_cstr(&labels), dotted, value);
        p->last = m->name;
    }
    buf_free(&labels);
}

static void print_prometheus(struct buf *b, const struct own *m, bool is_first, const char *labels,
                             const struct dotted *dotted, uint64_t value)
{
    (void)dotted;
    if (is_first)
        buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name, m->type);
    buf_printf(b, "%s%s %" PRIu64 "\n", m->name, labels, value);
}

static void print_stats(struct buf *b, const struct own *m, bool is_first, const char *labels,
                        const struct dotted *dotted, uint64_t value)
{
    (void)is_first;
    if (dotted)
        buf_printf(b, "%s%.*s%s: %" PRIu64 "\n", dotted->before, STR_ARG(dotted->of), dotted->behind, value);
    else
        buf_printf(b, "%s%s: %" PRIu64 "\n", m->name, labels, value);
}

static void print_proxy(struct printer *p, struct telemetry *t)
{
    static const struct own build = { "istio_build", "gauge", "Version of the proxy." };
    static const struct own start = { "vigla_proxy_start_time_seconds", "gauge",
                                      "Start of telemetry since the epoch." };
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
    const char *behind; /* of the cluster's name, in Envoy's text; NULL: as Prometheus' */
    size_t offset;
};

static void print_circuit(void *arg, struct circuit *c)
{
    struct circuit_printer *cp = arg;
    unsigned value = atomic_load((atomic_uint *)(void *)((char *)c + cp->offset));
    const struct dotted dotted = { "cluster.", cp->behind, c->name };

    if (value)
        sample_of(cp->p, cp->m, "cluster_name", c->name, cp->behind ? &dotted : NULL, value);
}

/* Envoy's names. Clusters for which a number is 0 are left out: there are many of both. */
static void print_circuits(struct printer *p, struct circuits *cs)
{
    static const struct {
        struct own m;
        const char *behind;
        size_t offset;
    } rows[] = {
        { { "envoy_cluster_upstream_cx_active", "gauge", "Connections." }, NULL,
          offsetof(struct circuit, connections) },
        { { "envoy_cluster_upstream_cx_overflow", "counter", "Connections not made: there were too many." }, NULL,
          offsetof(struct circuit, connection_overflows) },
        { { "envoy_cluster_upstream_rq_pending_active", "gauge", "Requests that wait for a connection." }, NULL,
          offsetof(struct circuit, pending) },
        { { "envoy_cluster_upstream_rq_pending_overflow", "counter", "Requests refused: too many waited." }, NULL,
          offsetof(struct circuit, pending_overflows) },
        { { "envoy_cluster_upstream_rq_overflow", "counter", "Requests refused: too many were under way." }, NULL,
          offsetof(struct circuit, request_overflows) },
        { { "envoy_cluster_upstream_rq_retry_overflow", "counter", "Retries not made: there were too many." }, NULL,
          offsetof(struct circuit, retry_overflows) },
        { { "envoy_cluster_outlier_detection_ejections_enforced_total", "counter", "Hosts ejected." }, NULL,
          offsetof(struct circuit, ejections_total) },
        { { "envoy_cluster_health_check_attempt", "counter", "Checks of health." }, ".health_check.attempt",
          offsetof(struct circuit, checks) },
        { { "envoy_cluster_health_check_success", "counter", "Checks that passed." }, ".health_check.success",
          offsetof(struct circuit, checks_good) },
        { { "envoy_cluster_health_check_failure", "counter", "Checks that failed." }, ".health_check.failure",
          offsetof(struct circuit, checks_failed) },
        { { "envoy_cluster_health_check_network_failure", "counter", "Checks that failed without an answer." },
          ".health_check.network_failure", offsetof(struct circuit, checks_unanswered) },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct circuit_printer cp = { p, &rows[i].m, rows[i].behind, rows[i].offset };

        circuits_each(cs, print_circuit, &cp);
    }
}

struct limit_printer {
    struct printer *p;
    const struct own *m;
    const char *before, *behind; /* of its dotted name */
    size_t offset;
    bool of_connections;
};

static void print_limit(void *arg, const struct rate_limit_counts *c)
{
    static const char *const labels[] = { "envoy_local_http_ratelimit_prefix", "envoy_local_network_ratelimit_prefix" };
    const struct limit_printer *lp = arg;
    const struct dotted dotted = { lp->before, lp->behind, c->prefix };

    if (c->of_connections == lp->of_connections)
        sample_of(lp->p, lp->m, labels[c->of_connections], c->prefix, &dotted,
                  atomic_load((const _Atomic uint64_t *)(const void *)((const char *)c + lp->offset)));
}

static void print_limits(struct printer *p, struct rate_limits *all)
{
    static const struct {
        struct own m;
        const char *behind;
        size_t offset;
    } rows[] = {
        { { "envoy_http_local_rate_limit_enabled", "counter", "Requests for which a limit was on." },
          ".http_local_rate_limit.enabled", offsetof(struct rate_limit_counts, enabled) },
        { { "envoy_http_local_rate_limit_ok", "counter", "Requests that found a token." },
          ".http_local_rate_limit.ok", offsetof(struct rate_limit_counts, ok) },
        { { "envoy_http_local_rate_limit_rate_limited", "counter", "Requests that found no token." },
          ".http_local_rate_limit.rate_limited", offsetof(struct rate_limit_counts, limited) },
        { { "envoy_http_local_rate_limit_enforced", "counter", "Requests refused for it." },
          ".http_local_rate_limit.enforced", offsetof(struct rate_limit_counts, enforced) },
    };
    static const struct own connections = { "envoy_local_rate_limit_rate_limited", "counter", "Connections refused." };
    struct limit_printer lp = { p, &connections, "local_rate_limit.", ".rate_limited",
                                offsetof(struct rate_limit_counts, limited), true };

    rate_limits_each(all, print_limit, &lp);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        lp = (struct limit_printer){ p, &rows[i].m, "", rows[i].behind, rows[i].offset, false };
        rate_limits_each(all, print_limit, &lp);
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
    if (t->o.limits)
        print_limits(&p, t->o.limits);
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
