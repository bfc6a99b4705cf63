#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "collector/scrape_config-internal.h"
#include "collector/scrape_target-internal.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

static struct scrape_config *read_config(struct arena *a, const char *text, struct err *e)
{
    const struct yaml_node *root;

    ck_assert_msg(yaml_read_one(a, "/etc/p/p.yml", str_of(text), &root, e) == 0, "%s: %s", text, e->msg);
    return scrape_config_read("/etc/p/p.yml", root, e);
}

static void put_labels(struct buf *b, struct labels l)
{
    for (size_t i = 0; i < l.n; i++)
        buf_printf(b, "%s%.*s=%.*s", i ? "," : "", STR_ARG(l.v[i].name), STR_ARG(l.v[i].value));
}

/* --- jobs --- */

START_TEST(has_prometheus_defaults)
{
    struct arena a = ARENA_INIT(1 << 20);
    struct err e = ERR_INIT;
    struct scrape_config *c = read_config(&a, "scrape_configs: [{job_name: a}]\n", &e);
    const struct scrape_job *j;

    ck_assert_msg(c != NULL, "%s", e.msg);
    ck_assert_uint_eq(scrape_config_jobs(c), 1);
    j = &c->jobs[0];
    ck_assert_int_eq(j->interval_ms, 60000);
    ck_assert_int_eq(j->timeout_ms, 10000);
    ck_assert(str_eqz(j->metrics_path, "/metrics"));
    ck_assert(str_eqz(j->scheme, "http"));
    ck_assert(j->honor_timestamps && j->compression && !j->honor_labels && !j->track_timestamps && !j->extra_metrics);
    ck_assert(j->http.follow_redirects && j->http.http2);
    ck_assert_str_eq(j->accept.p, "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
                                  "application/openmetrics-text;version=0.0.1;q=0.5,"
                                  "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,"
                                  "*/*;q=0.2");
    scrape_config_free(c);
    arena_free(&a);
}
END_TEST

START_TEST(takes_what_is_written)
{
    static const char text[] =
        "global: {scrape_interval: 30s, sample_limit: 5, body_size_limit: 10MB}\n"
        "scrape_configs:\n"
        "- job_name: a\n"
        "  scrape_timeout: 2s\n"
        "  scheme: https\n"
        "  sample_limit: 7\n"
        "  scrape_protocols: [PrometheusText0.0.4, PrometheusProto]\n"
        "  params: {x: [1, 2], y: []}\n"
        "  basic_auth: {username: u, password_file: pw}\n"
        "  tls_config: {ca_file: /abs/ca.pem, insecure_skip_verify: true}\n"
        "  file_sd_configs: [{files: [a/*.yml, /b.json], refresh_interval: 1m}]\n"
        "  static_configs: [{targets: [a, 'b:1'], labels: {l: v, n: 5}}]\n"
        "- job_name: b\n"
        "  scrape_interval: 5s\n";
    struct arena a = ARENA_INIT(1 << 20);
    struct err e = ERR_INIT;
    struct scrape_config *c = read_config(&a, text, &e);
    const struct scrape_job *j;

    ck_assert_msg(c != NULL, "%s", e.msg);
    j = &c->jobs[0];
    ck_assert_int_eq(j->interval_ms, 30000);
    ck_assert_int_eq(j->timeout_ms, 2000);
    ck_assert_uint_eq(j->limits.samples, 7);
    ck_assert_uint_eq(j->limits.body_bytes, 10 << 20);
    ck_assert_str_eq(j->accept.p, "text/plain;version=0.0.4;q=0.4,*/*;q=0.3");
    ck_assert_uint_eq(j->nparams, 2);
    ck_assert_str_eq(j->http.password_file.p, "/etc/p/pw");
    ck_assert_str_eq(j->http.ca_file.p, "/abs/ca.pem");
    ck_assert(j->http.insecure_skip_verify);
    ck_assert_uint_eq(j->ndiscovery, 2);
    ck_assert_str_eq(j->discovery[1].files.v[0].p, "/etc/p/a/*.yml");
    ck_assert_str_eq(j->discovery[1].files.v[1].p, "/b.json");
    ck_assert_uint_eq(j->discovery[0].groups[0].ntargets, 2);
    ck_assert(str_eqz(labels_get(j->discovery[0].groups[0].labels, STR("n")), "5"));
    j = &c->jobs[1];
    ck_assert_int_eq(j->timeout_ms, 5000);
    ck_assert_uint_eq(j->limits.samples, 5);
    scrape_config_free(c);
    arena_free(&a);
}
END_TEST

/* Equal texts are equal jobs, wherever they stand; whatever differs shows. */
START_TEST(tells_jobs_apart)
{
    static const char *const others[] = {
        "scrape_configs: [{job_name: a, metrics_path: /y}]", "scrape_configs: [{job_name: a, metrics_path: /x, honor_labels: true}]",
        "global: {scrape_interval: 5s}\nscrape_configs: [{job_name: a, metrics_path: /x}]",
        "global: {sample_limit: 5}\nscrape_configs: [{job_name: a, metrics_path: /x}]",
        "global: {scrape_protocols: [PrometheusText0.0.4]}\nscrape_configs: [{job_name: a, metrics_path: /x}]",
    };
    struct arena a = ARENA_INIT(1 << 20);
    struct err e = ERR_INIT;
    struct scrape_config *one = read_config(&a, "scrape_configs: [{job_name: a, metrics_path: /x}]", &e);
    struct scrape_config *same =
        read_config(&a, "# moved\n\nscrape_configs:\n- job_name: b\n- job_name: a\n  metrics_path: '/x'\n", &e);

    ck_assert(one->jobs[0].fingerprint == same->jobs[1].fingerprint);
    ck_assert(same->jobs[0].fingerprint != same->jobs[1].fingerprint);
    for (size_t i = 0; i < COUNT(others); i++) {
        struct scrape_config *other = read_config(&a, others[i], &e);

        ck_assert_msg(one->jobs[0].fingerprint != other->jobs[0].fingerprint, "%s", others[i]);
        scrape_config_free(other);
    }
    scrape_config_free(one);
    scrape_config_free(same);
    arena_free(&a);
}
END_TEST

static const struct {
    const char *in, *message;
} errors[] = {
    { "global: {scrape_interval: 1s, scrape_timeout: 2s}", ":1: global: global scrape timeout greater than scrape interval" },
    { "global: {colour: red}", ":1: colour: unknown field" },
    { "global: {scrape_interval: 5}", ":1: scrape_interval: duration \"5\": unit missing, one of ms s m h d w y" },
    { "scrape_configs: [a]", ":1: should be a scrape config: a map with a job_name" },
    { "scrape_configs: [{}]", ":1: job_name is empty" },
    { "scrape_configs: [{job_name: a, honor_labels: maybe}]", ":1: honor_labels: \"maybe\": should be true or false" },
    { "scrape_configs: [{job_name: a, sample_limit: -1}]", ":1: sample_limit: \"-1\": should be a whole number" },
    { "scrape_configs: [{job_name: a, body_size_limit: big}]", ":1: body_size_limit: \"big\": should be a size, as in 10MB" },
    { "scrape_configs: [{job_name: a, params: [x]}]", ":1: params: should be a map of names to lists of values" },
    { "scrape_configs: [{job_name: a, params: {x: y}}]", ":1: x: should be a list" },
    { "scrape_configs: [{job_name: a, static_configs: [{targets: x}]}]", ":1: targets: should be a list" },
    { "scrape_configs: [{job_name: a, static_configs: [{labels: {x: [y]}}]}]", ":1: x: should be one value" },
    { "scrape_configs: [{job_name: a, scrape_protocols: [X]}]",
      ":1: unknown scrape protocol X, supported: [OpenMetricsText0.0.1 OpenMetricsText1.0.0 PrometheusProto "
      "PrometheusText0.0.4 PrometheusText1.0.0]" },
    { "scrape_configs: [{job_name: a, oauth2: {}}]", ":1: oauth2: not offered: basic_auth and authorization are" },
    { "scrape_configs: [{job_name: a, dns_sd_configs: []}]",
      ":1: dns_sd_configs: not offered: static_configs, file_sd_configs and http_sd_configs are" },
    { "scrape_configs: [{job_name: a, http_sd_configs: [{url: 'ftp://x'}]}]", ":1: URL scheme must be 'http' or 'https'" },
    { "scrape_configs: [{job_name: a, file_sd_configs: [{}]}]",
      ":1: file service discovery config must contain at least one path name" },
    { "scrape_configs: [{job_name: a, authorization: {type: basic}}]",
      ":1: authorization: authorization type cannot be set to \"basic\", use \"basic_auth\" instead" },
    { "scrape_configs: [{job_name: a, basic_auth: {password: a, password_file: b}}]",
      ":1: basic_auth: at most one of basic_auth password & password_file must be configured" },
    { "scrape_configs: [{job_name: a, tls_config: {cert_file: a}}]",
      ":1: tls_config: exactly one of key and key_file must be configured when a client certificate is, and none without one" },
};

START_TEST(refuses)
{
    struct arena a = ARENA_INIT(1 << 20);
    struct err e = ERR_INIT;
    char want[600];

    ck_assert_ptr_null(read_config(&a, errors[_i].in, &e));
    snprintf(want, sizeof(want), "/etc/p/p.yml%s", errors[_i].message);
    ck_assert_str_eq(e.msg, want);
    ck_assert_int_eq(e.code, ERR_INVALID);
    arena_free(&a);
}
END_TEST

START_TEST(survives_failing_allocations)
{
    static const char text[] =
        "scrape_configs: [{job_name: a, params: {x: [y]}, basic_auth: {username: u}, relabel_configs: [{target_label: x}],"
        " file_sd_configs: [{files: [a.yml]}], static_configs: [{targets: [a], labels: {b: c}}],"
        " http_headers: {a: {values: [b]}}}]";

    for (long i = 1;; i++) {
        struct arena a = ARENA_INIT(0);
        struct err e = ERR_INIT;
        const struct yaml_node *root;
        struct scrape_config *c;
        int failed;

        ck_assert_int_eq(yaml_read_one(&a, "f", STR(text), &root, &e), 0);
        mem_fail_at(i);
        c = scrape_config_read("f", root, &e);
        failed = mem_has_failed();
        mem_fail_at(0);
        ck_assert(failed || c);
        ck_assert(c || e.code == ERR_NOMEM);
        scrape_config_free(c);
        arena_free(&a);
        if (!failed)
            break;
    }
}
END_TEST

/* --- targets --- */

static const struct {
    const char *job, *out; /* labels and URL; "dropped"; or what is wrong */
} targets[] = {
    { "", "instance=h:1,job=j,l=v http://h:1/metrics" },
    { "metrics_path: x/y", "instance=h:1,job=j,l=v http://h:1/x/y" },
    { "metrics_path: '/a b?c=d#e', params: {p: [1]}", "instance=h:1,job=j,l=v http://h:1/a%20b?c=d%23e&p=1" },
    { "scheme: https, params: {'a[]': ['x y&', 'é'], b: [1]}",
      "instance=h:1,job=j,l=v https://h:1/metrics?a%5B%5D=x+y%26&a%5B%5D=%C3%A9&b=1" },
    { "relabel_configs: [{target_label: __param_q, replacement: z}, {target_label: __metrics_path__, replacement: /m}]",
      "instance=h:1,job=j,l=v http://h:1/m?q=z" },
    { "params: {q: [a, b]}, relabel_configs: [{target_label: __param_q, replacement: z}]",
      "instance=h:1,job=j,l=v http://h:1/metrics?q=z&q=b" },
    { "relabel_configs: [{target_label: __address__, replacement: 'x:2'}, {target_label: job, replacement: k}]",
      "instance=x:2,job=k,l=v http://x:2/metrics" },
    { "relabel_configs: [{target_label: instance, replacement: i}, {regex: l, action: labeldrop}]",
      "instance=i,job=j http://h:1/metrics" },
    { "relabel_configs: [{action: drop, source_labels: [l], regex: v}]", "dropped" },
    { "relabel_configs: [{target_label: __address__, replacement: ''}]", "no address" },
    { "relabel_configs: [{target_label: __address__, replacement: a/b}]", "\"a/b\" is not a valid hostname" },
    { "relabel_configs: [{target_label: __scheme__, replacement: ftp}]", "\"ftp\" is not a valid scheme: should be http or https" },
    { "relabel_configs: [{target_label: __scrape_interval__, replacement: 0s}]", "scrape interval cannot be 0" },
    { "relabel_configs: [{target_label: __scrape_interval__, replacement: x}]",
      "error parsing scrape interval: duration \"x\": not a duration, as in 1h30m" },
    { "relabel_configs: [{target_label: __scrape_timeout__, replacement: 2m}]",
      "scrape timeout cannot be greater than scrape interval (\"2m\" > \"1m\")" },
};

START_TEST(resolves_targets)
{
    static const struct label labels[] = { { STR_INIT("l"), STR_INIT("v") } };
    const struct target_group group = { .labels = { labels, 1 } };
    struct arena a = ARENA_INIT(1 << 20);
    struct buf b = BUF_INIT(4096);
    struct err e = ERR_INIT;
    struct target_spec spec;
    struct scrape_config *c;
    char text[600];
    int rc;

    snprintf(text, sizeof(text), "scrape_configs: [{job_name: j%s%s}]", targets[_i].job[0] ? ", " : "", targets[_i].job);
    c = read_config(&a, text, &e);
    ck_assert_msg(c != NULL, "%s", e.msg);
    rc = target_resolve(&c->jobs[0], &group, STR("h:1"), &a, &spec, &e);
    if (rc == 1) {
        put_labels(&b, spec.labels);
        buf_printf(&b, " %.*s", STR_ARG(spec.url));
    } else {
        buf_puts(&b, rc == 0 ? "dropped" : e.msg);
        ck_assert(rc == 0 || rc == ERR_INVALID);
    }
    ck_assert_str_eq(buf_cstr(&b), targets[_i].out);
    ck_assert(str_eqz(labels_get(spec.discovered, STR("__address__")), "h:1"));
    ck_assert(str_eqz(labels_get(spec.discovered, STR("__scrape_interval__")), "1m"));
    buf_free(&b);
    scrape_config_free(c);
    arena_free(&a);
}
END_TEST

/* Within one interval from now, always at the same place in it, and spread over it. */
START_TEST(plans_scrapes)
{
    int64_t now = 1700000000123, first = INT64_MAX, last = 0;

    for (uint64_t h = 1; h < 1000; h++) {
        int64_t next = target_next(h * 0x9e3779b97f4a7c15u, 15000, now);

        ck_assert(next > now && next <= now + 15000);
        ck_assert_int_eq(target_next(h * 0x9e3779b97f4a7c15u, 15000, next), next + 15000);
        first = next < first ? next : first;
        last = next > last ? next : last;
    }
    ck_assert(last - first > 14000);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("collector/scrape_config");
    TCase *t = tcase_create("config"), *r = tcase_create("targets");

    tcase_add_test(t, has_prometheus_defaults);
    tcase_add_test(t, takes_what_is_written);
    tcase_add_test(t, tells_jobs_apart);
    tcase_add_loop_test(t, refuses, 0, COUNT(errors));
    tcase_add_test(t, survives_failing_allocations);
    tcase_add_loop_test(r, resolves_targets, 0, COUNT(targets));
    tcase_add_test(r, plans_scrapes);
    suite_add_tcase(s, t);
    suite_add_tcase(s, r);
    return s;
}

UNIT_MAIN(suite)
