/* scrape_config.c: scrape_configs to jobs: defaults from `global`, the checks that Prometheus makes, in its words. */
#include "collector/scrape_config-internal.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"

#include <glob.h>
#include <stddef.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum { MOST_MEMORY = 64 << 20, MOST_FILE = 8 << 20 };

struct written_limits {
    uint64_t body, samples, targets, labels, label_name, label_value, dropped;
};

#define LIMIT_FIELDS(type)                                                                                   \
    { "body_size_limit", CONF_SIZE, offsetof(type, limits.body) },                                           \
    { "sample_limit", CONF_COUNT, offsetof(type, limits.samples) },                                          \
    { "target_limit", CONF_COUNT, offsetof(type, limits.targets) },                                          \
    { "label_limit", CONF_COUNT, offsetof(type, limits.labels) },                                            \
    { "label_name_length_limit", CONF_COUNT, offsetof(type, limits.label_name) },                            \
    { "label_value_length_limit", CONF_COUNT, offsetof(type, limits.label_value) },                          \
    { "keep_dropped_targets", CONF_COUNT, offsetof(type, limits.dropped) },                                  \
    { "extra_scrape_metrics", CONF_BOOL, offsetof(type, extra_metrics) },                                    \
    { "scrape_protocols", CONF_TEXTS, offsetof(type, protocols) },                                           \
    { "scrape_native_histograms", CONF_IGNORED, 0 },                                                         \
    { "always_scrape_classic_histograms", CONF_IGNORED, 0 },                                                 \
    { "convert_classic_histograms_to_nhcb", CONF_IGNORED, 0 },                                               \
    { "native_histogram_bucket_limit", CONF_IGNORED, 0 },                                                    \
    { "native_histogram_min_bucket_factor", CONF_IGNORED, 0 },                                               \
    { "metric_name_validation_scheme", CONF_IGNORED, 0 },                                                    \
    { "metric_name_escaping_scheme", CONF_IGNORED, 0 },                                                      \
    { "scrape_failure_log_file", CONF_IGNORED, 0 }

struct written_global {
    int64_t interval_ms, timeout_ms;
    struct written_limits limits;
    struct conf_texts protocols;
    bool extra_metrics;
};

static const struct conf_field global_fields[] = {
    { "scrape_interval", CONF_DURATION, offsetof(struct written_global, interval_ms) },
    { "scrape_timeout", CONF_DURATION, offsetof(struct written_global, timeout_ms) },
    LIMIT_FIELDS(struct written_global),
    { "evaluation_interval", CONF_IGNORED, 0 },
    { "rule_query_offset", CONF_IGNORED, 0 },
    { "query_log_file", CONF_IGNORED, 0 },
    { "external_labels", CONF_IGNORED, 0 },
    { "runtime", CONF_IGNORED, 0 },
};

struct written_job {
    struct str name, metrics_path, scheme, fallback;
    int64_t interval_ms, timeout_ms;
    bool honor_labels, honor_timestamps, track_timestamps, compression, extra_metrics;
    struct written_limits limits;
    struct conf_texts protocols;
    const struct yaml_node *params, *relabel, *metric_relabel, *statics, *files, *https;
    struct http_written http;
};

static const struct conf_field job_fields[] = {
    { "job_name", CONF_TEXT, offsetof(struct written_job, name) },
    { "scrape_interval", CONF_DURATION, offsetof(struct written_job, interval_ms) },
    { "scrape_timeout", CONF_DURATION, offsetof(struct written_job, timeout_ms) },
    { "metrics_path", CONF_TEXT, offsetof(struct written_job, metrics_path) },
    { "scheme", CONF_TEXT, offsetof(struct written_job, scheme) },
    { "fallback_scrape_protocol", CONF_TEXT, offsetof(struct written_job, fallback) },
    { "honor_labels", CONF_BOOL, offsetof(struct written_job, honor_labels) },
    { "honor_timestamps", CONF_BOOL, offsetof(struct written_job, honor_timestamps) },
    { "track_timestamps_staleness", CONF_BOOL, offsetof(struct written_job, track_timestamps) },
    { "enable_compression", CONF_BOOL, offsetof(struct written_job, compression) },
    LIMIT_FIELDS(struct written_job),
    { "params", CONF_NODE, offsetof(struct written_job, params) },
    { "relabel_configs", CONF_NODE, offsetof(struct written_job, relabel) },
    { "metric_relabel_configs", CONF_NODE, offsetof(struct written_job, metric_relabel) },
    { "static_configs", CONF_NODE, offsetof(struct written_job, statics) },
    { "file_sd_configs", CONF_NODE, offsetof(struct written_job, files) },
    { "http_sd_configs", CONF_NODE, offsetof(struct written_job, https) },
    HTTP_FIELDS(struct written_job, http),
};

static int no_memory(const struct conf *c, struct err *e)
{
    return err_set(e, ERR_NOMEM, "%s: no memory", c->file);
}

/* --- what is asked for --- */

static const struct {
    struct str name, accept; /* accept empty: known, and not offered */
    enum scrape_protocol is;
} protocols[] = {
    { STR_INIT("OpenMetricsText1.0.0"), STR_INIT("application/openmetrics-text;version=1.0.0"), SCRAPE_OPENMETRICS },
    { STR_INIT("OpenMetricsText0.0.1"), STR_INIT("application/openmetrics-text;version=0.0.1"), SCRAPE_OPENMETRICS },
    { STR_INIT("PrometheusText1.0.0"), STR_INIT("text/plain;version=1.0.0"), SCRAPE_TEXT },
    { STR_INIT("PrometheusText0.0.4"), STR_INIT("text/plain;version=0.0.4"), SCRAPE_TEXT },
    { STR_INIT("PrometheusProto"), STR_INIT(""), SCRAPE_NONE },
};

static int find_protocol(const struct conf *c, const struct yaml_node *node, struct str name, size_t *at, struct err *e)
{
    for (*at = 0; *at < COUNT(protocols); ++*at)
        if (str_eq(protocols[*at].name, name))
            return 0;
    return conf_fail(c, node, e,
                     "unknown scrape protocol %.*s, supported: [OpenMetricsText0.0.1 OpenMetricsText1.0.0 "
                     "PrometheusProto PrometheusText0.0.4 PrometheusText1.0.0]",
                     STR_ARG(name));
}

/* The Accept header: weights fall from the first to the last, as Prometheus has it. */
static int make_accept(const struct conf *c, const struct yaml_node *node, const struct conf_texts *wanted,
                       struct str *accept, struct err *e)
{
    struct buf b = BUF_INIT(4096);
    size_t n = wanted->n ? wanted->n : 4, at;
    int rc = 0, weight = (int)n + 2;

    for (size_t i = 0; rc == 0 && i < n; i++) {
        at = i;
        if (wanted->n)
            rc = find_protocol(c, node, wanted->v[i], &at, e);
        if (rc < 0 || protocols[at].accept.n == 0)
            continue;
        buf_str(&b, protocols[at].accept);
        if (str_ends(protocols[at].name, STR("1.0.0")))
            buf_puts(&b, ";escaping=allow-utf-8");
        buf_printf(&b, ";q=0.%d,", weight--);
    }
    buf_printf(&b, "*/*;q=0.%d", weight);
    *accept = arena_str(c->arena, buf_view(&b));
    buf_free(&b);
    return rc < 0 ? rc : accept->p ? 0 : no_memory(c, e);
}

static int read_params(const struct conf *c, const struct yaml_node *params, struct scrape_job *job, struct err *e)
{
    struct label *v = NULL;
    size_t cap = 0;

    if (!params)
        return 0;
    if (params->kind != YAML_MAP)
        return conf_fail(c, params, e, "should be a map of names to lists of values");
    for (size_t i = 0; i < params->n; i++) {
        struct conf_texts values;
        struct str name = arena_str(c->arena, params->items[i].key);
        int rc = conf_texts(c, &params->items[i], &values, e);

        if (rc < 0)
            return rc;
        for (size_t k = 0; k < values.n; k++) {
            if (!name.p || arena_grow(c->arena, &v, &cap, job->nparams + 1, sizeof(*v)) < 0)
                return no_memory(c, e);
            v[job->nparams++] = (struct label){ name, values.v[k] };
        }
    }
    job->params = v;
    return 0;
}

/* --- jobs --- */

static int set_times(const struct conf *c, const struct yaml_node *node, const struct written_job *w,
                     const struct written_global *g, struct scrape_job *job, struct err *e)
{
    job->interval_ms = w->interval_ms ? w->interval_ms : g->interval_ms;
    if (w->timeout_ms > job->interval_ms)
        return conf_fail(c, node, e,
                         "scrape timeout greater than scrape interval for scrape config with job name \"%.*s\"",
                         STR_ARG(job->name));
    job->timeout_ms = w->timeout_ms ? w->timeout_ms : g->timeout_ms;
    if (job->timeout_ms > job->interval_ms)
        job->timeout_ms = job->interval_ms;
    return 0;
}

static uint64_t either(uint64_t own, uint64_t global)
{
    return own ? own : global;
}

static void set_limits(const struct written_limits *w, const struct written_limits *g, struct scrape_limits *out)
{
    *out = (struct scrape_limits){
        .body_bytes = either(w->body, g->body),
        .samples = either(w->samples, g->samples),
        .targets = either(w->targets, g->targets),
        .labels = either(w->labels, g->labels),
        .label_name_bytes = either(w->label_name, g->label_name),
        .label_value_bytes = either(w->label_value, g->label_value),
        .dropped_targets = either(w->dropped, g->dropped),
    };
}

static int check_keys(const struct conf *c, const struct yaml_node *node, struct err *e)
{
    for (size_t i = 0; i < node->n; i++) {
        struct str key = node->items[i].key;

        if (str_ends(key, STR("_sd_configs")) && !str_eqz(key, "file_sd_configs") && !str_eqz(key, "http_sd_configs"))
            return conf_fail(c, &node->items[i], e,
                             "not offered: static_configs, file_sd_configs and http_sd_configs are");
        if (str_eqz(key, "sigv4") || str_eqz(key, "azuread") || str_eqz(key, "google_iam"))
            return conf_fail(c, &node->items[i], e, "not offered: basic_auth and authorization are");
    }
    return 0;
}

static int fill_job(const struct conf *c, const struct yaml_node *node, const struct written_job *w,
                    const struct written_global *g, struct scrape_job *job, struct err *e)
{
    const struct conf_texts *wanted = w->protocols.n ? &w->protocols : &g->protocols;
    size_t at = 0;
    int rc = 0;

    *job = (struct scrape_job){ .name = w->name, .metrics_path = w->metrics_path, .scheme = w->scheme };
    job->honor_labels = w->honor_labels;
    job->honor_timestamps = w->honor_timestamps;
    job->track_timestamps = w->track_timestamps;
    job->compression = w->compression;
    job->extra_metrics = w->extra_metrics || g->extra_metrics;
    job->fingerprint = conf_fingerprint(node, conf_mix(conf_mix((uint64_t)g->interval_ms, (uint64_t)g->timeout_ms), g->extra_metrics));
    if (job->name.n == 0)
        return conf_fail(c, node, e, "job_name is empty");
    if (!str_eqz(job->scheme, "http") && !str_eqz(job->scheme, "https"))
        return conf_fail(c, node, e, "scheme: \"%.*s\": should be http or https", STR_ARG(job->scheme));
    rc = set_times(c, node, w, g, job, e);
    set_limits(&w->limits, &g->limits, &job->limits);
    for (size_t i = 0; i < sizeof(job->limits) / sizeof(uint64_t); i++)
        job->fingerprint = conf_mix(job->fingerprint, (&job->limits.body_bytes)[i]);
    if (rc == 0)
        rc = make_accept(c, node, wanted, &job->accept, e);
    job->fingerprint = conf_mix(job->fingerprint, str_hash_stable(job->accept));
    if (rc == 0 && w->fallback.n)
        rc = find_protocol(c, node, w->fallback, &at, e);
    job->fallback = rc == 0 && w->fallback.n ? protocols[at].is : SCRAPE_NONE;
    if (rc == 0)
        rc = read_params(c, w->params, job, e);
    if (rc == 0)
        rc = relabel_read(c->arena, c->file, w->relabel, &job->relabel, e);
    if (rc == 0)
        rc = relabel_read(c->arena, c->file, w->metric_relabel, &job->metric_relabel, e);
    if (rc == 0)
        rc = http_settings_read(c, node, &w->http, &job->http, e);
    return rc < 0 ? rc : discovery_configs_read(c, w->statics, w->files, w->https, job, e);
}

static int read_job(struct scrape_config *sc, const struct conf *c, const struct yaml_node *node,
                    const struct written_global *g, struct err *e)
{
    struct written_job w = { .metrics_path = STR("/metrics"), .scheme = STR("http"), .honor_timestamps = true,
                             .compression = true, .http = HTTP_WRITTEN_INIT };
    struct scrape_job job;
    int rc = check_keys(c, node, e);

    if (rc == 0)
        rc = conf_read(c, node, job_fields, COUNT(job_fields), &w, e);
    if (rc == 0)
        rc = fill_job(c, node, &w, g, &job, e);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < sc->n; i++)
        if (str_eq(sc->jobs[i].name, job.name))
            return conf_fail(c, node, e, "found multiple scrape configs with job name \"%.*s\"", STR_ARG(job.name));
    if (arena_grow(c->arena, &sc->jobs, &sc->cap, sc->n + 1, sizeof(*sc->jobs)) < 0)
        return no_memory(c, e);
    sc->jobs[sc->n++] = job;
    return 0;
}

static int read_jobs(struct scrape_config *sc, const struct conf *c, const struct yaml_node *node,
                     const struct written_global *g, struct err *e)
{
    const struct yaml_node *list;
    int rc = conf_list(c, node, &list, e);

    for (size_t i = 0; rc == 0 && list && i < list->n; i++) {
        if (list->items[i].kind != YAML_MAP)
            return conf_fail(c, &list->items[i], e, "should be a scrape config: a map with a job_name");
        rc = read_job(sc, c, &list->items[i], g, e);
    }
    return rc;
}

static int read_global(const struct conf *c, const struct yaml_node *node, struct written_global *g, struct err *e)
{
    int rc = conf_read(c, node, global_fields, COUNT(global_fields), g, e);

    if (rc < 0)
        return rc;
    if (g->interval_ms == 0)
        g->interval_ms = 60000;
    if (g->timeout_ms > g->interval_ms)
        return conf_fail(c, node, e, "global scrape timeout greater than scrape interval");
    if (g->timeout_ms == 0)
        g->timeout_ms = g->interval_ms < 10000 ? g->interval_ms : 10000;
    return 0;
}

/* --- scrape_config_files --- */

static int read_more(struct scrape_config *sc, const char *path, const struct written_global *g, struct err *e)
{
    struct buf text = BUF_INIT(MOST_FILE);
    struct str file = arena_str(&sc->arena, str_of(path));
    const struct conf c = { file.p, &sc->arena };
    const struct yaml_node *root = NULL;
    int rc = file.p ? file_read(path, &text, e) : err_set(e, ERR_NOMEM, "%s: no memory", path);

    if (rc == 0)
        rc = yaml_read_one(&sc->arena, file.p, buf_view(&text), &root, e);
    buf_free(&text);
    for (size_t i = 0; rc == 0 && root && i < root->n; i++)
        if (!str_eqz(root->items[i].key, "scrape_configs"))
            rc = conf_fail(&c, &root->items[i], e, "unknown field: should be scrape_configs");
    return rc < 0 ? rc : read_jobs(sc, &c, yaml_get(root, "scrape_configs"), g, e);
}

static int read_files(struct scrape_config *sc, const struct conf *c, const struct yaml_node *node,
                      const struct written_global *g, struct err *e)
{
    struct conf_texts patterns;
    int rc = conf_texts(c, node, &patterns, e);

    for (size_t i = 0; rc == 0 && i < patterns.n; i++) {
        struct str pattern = conf_path(c, patterns.v[i]);
        glob_t found;

        if (!pattern.p)
            return no_memory(c, e);
        if (glob(pattern.p, 0, NULL, &found) != 0)
            continue; /* no file yet: Prometheus too says nothing */
        for (size_t k = 0; rc == 0 && k < found.gl_pathc; k++)
            rc = read_more(sc, found.gl_pathv[k], g, e);
        globfree(&found);
    }
    return rc;
}

struct scrape_config *scrape_config_read(const char *file, const struct yaml_node *root, struct err *e)
{
    struct scrape_config *sc = mem_zalloc(sizeof(*sc));
    struct written_global global = { .interval_ms = 0 };
    struct conf c = { file, NULL };
    int rc;

    if (!sc) {
        err_set(e, ERR_NOMEM, "%s: no memory", file);
        return NULL;
    }
    sc->arena = (struct arena)ARENA_INIT(MOST_MEMORY);
    c.arena = &sc->arena;
    rc = read_global(&c, yaml_get(root, "global"), &global, e);
    if (rc == 0)
        rc = read_jobs(sc, &c, yaml_get(root, "scrape_configs"), &global, e);
    if (rc == 0)
        rc = read_files(sc, &c, yaml_get(root, "scrape_config_files"), &global, e);
    if (rc < 0) {
        scrape_config_free(sc);
        return NULL;
    }
    return sc;
}

void scrape_config_free(struct scrape_config *c)
{
    if (!c)
        return;
    arena_free(&c->arena);
    mem_free(c);
}

size_t scrape_config_jobs(const struct scrape_config *c)
{
    return c->n;
}
