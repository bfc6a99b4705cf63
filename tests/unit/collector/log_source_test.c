/* Sources by tables: what is declared, a line, and the row; and what is wrong in a declaration. */
#include "collector/log_source.h"

#include "base/log.h"
#include "collector/conf-internal.h"
#include "collector/red.h"
#include "collector/syslog_config.h"
#include "collector/tail_config.h"
#include "tests/unit/collector/dump.h"
#include "tests/unit/unit.h"

#include <stdlib.h>

static const char *const no_more[] = { NULL };

static const struct yaml_node *read_yaml(struct arena *a, const char *text)
{
    const struct yaml_node *root;
    struct err e = ERR_INIT;

    ck_assert_msg(yaml_read_one(a, "f.yml", str_of(text), &root, &e) == 0, "%s", e.msg);
    return root;
}

#define FORMAT "format: {nginx: '$remote_addr $host $upstream_addr'}\n"

static const struct {
    const char *source, *line, *row;
} cases[] = {
    {"", "hello", "log 5 body=hello severity=err severity_number=17 service=app {carrier=\"1\", host=\"h\"}\n"},
    {"service: mine\nworkload: w\nnamespace: n\npod: p\nlabels: {site: berlin, host: own}\n", "hello",
     "log 5 body=hello severity=err severity_number=17 pod=p namespace=n workload=w service=mine {carrier=\"1\", "
     "host=\"own\", site=\"berlin\"}\n"},
    {FORMAT, "1.2.3.4 h -",
     "access_log 5 reporter=source authority=h downstream_remote_address=1.2.3.4 request_protocol=http {host=\"h\"}\n"},
    {FORMAT, "no match",
     "log 5 body=no match severity=err severity_number=17 service=app {carrier=\"1\", host=\"h\"}\n"},
    {FORMAT "workload: edge\nnamespace: web\nversion: v1\ndestination: {workload: shop, service: "
            "shop.default.svc.cluster.local, "
            "namespace: default, app: s}\n",
     "1.2.3.4 h -",
     "access_log 5 reporter=source authority=h downstream_remote_address=1.2.3.4 request_protocol=http namespace=web "
     "workload=edge version=v1 destination_workload=shop destination_workload_namespace=default destination_app=s "
     "destination_service=shop.default.svc.cluster.local {host=\"h\"}\n"},
    {FORMAT
     "reporter: destination\nworkload: shop\nservice: shop.x\nsource: {by: $remote_addr, table: {10.0.0.0/8: inside, "
     "10.1.0.0/16: {workload: web, namespace: ui}, '::/0': six, 10.1.2.3: one}, default: {workload: world}, cluster: "
     "c}\n",
     "10.1.2.4 h -",
     "access_log 5 reporter=destination authority=h downstream_remote_address=10.1.2.4 request_protocol=http "
     "workload=shop "
     "source_workload=web source_workload_namespace=ui source_cluster=c destination_service=shop.x {host=\"h\"}\n"},
    {FORMAT "source: {by: $remote_addr, table: {10.0.0.0/8: inside, 10.1.2.3: one}}\n", "10.1.2.3 h -",
     "access_log 5 reporter=source authority=h downstream_remote_address=10.1.2.3 request_protocol=http "
     "source_workload=one "
     "{host=\"h\"}\n"},
    {FORMAT "source: {by: $remote_addr, table: {'fe80::/10': link, '2001:db8::1': doc}}\n", "[2001:db8::1]:99 h -",
     "access_log 5 reporter=source authority=h downstream_remote_address=[2001:db8::1]:99 request_protocol=http "
     "source_workload=doc {host=\"h\"}\n"},
    {FORMAT "source: {by: $remote_addr, table: {10.0.0.0/9: low}}\n", "10.128.0.1:7 h -",
     "access_log 5 reporter=source authority=h downstream_remote_address=10.128.0.1:7 request_protocol=http "
     "{host=\"h\"}\n"},
    {FORMAT "destination: {by: $upstream_addr, table: {'127.0.0.1:81': {workload: w, service: $host, namespace: n}}}\n",
     "1.2.3.4 shop.example 127.0.0.1:80, 127.0.0.1:81",
     "access_log 5 reporter=source authority=shop.example upstream_host=127.0.0.1:81 "
     "downstream_remote_address=1.2.3.4 request_protocol=http destination_workload=w destination_workload_namespace=n "
     "destination_service=shop.example destination_service_namespace=n {host=\"h\"}\n"},
    {FORMAT "destination: {workload: {field: authority}}\n", "1.2.3.4 h -",
     "access_log 5 reporter=source authority=h downstream_remote_address=1.2.3.4 request_protocol=http "
     "destination_workload=h {host=\"h\"}\n"},
    {"format: {envoy: '%UPSTREAM_CLUSTER% %RESPONSE_CODE%'}\n", "inbound|80|| 200",
     "access_log 5 response_code=200 upstream_cluster=inbound|80|| request_protocol=http {host=\"h\"}\n"},
    {"format: {json: }\n", "{\"msg\":\"x\",\"level\":\"WARN\",\"host\":\"own\"}",
     "log 5 body=x severity=WARN severity_number=13 service=app {carrier=\"1\", host=\"own\"}\n"},
    {"format: {json: }\n", "{\"k\":\"v\"}",
     "log 5 body={\"k\":\"v\"} severity=err severity_number=17 service=app {carrier=\"1\", host=\"h\", k=\"v\"}\n"},
    {"format: {json: {access_log: {s: response_code}}}\n", "{\"s\":200,\"k\":\"v\"}",
     "access_log 5 reporter=source response_code=200 request_protocol=http {host=\"h\", k=\"v\"}\n"},
};

START_TEST(makes_rows)
{
    static const struct label carrier[] = {{STR_INIT("host"), STR_INIT("h")}, {STR_INIT("carrier"), STR_INIT("1")}};
    const struct log_origin o = { .time_ns = 5, .now_ns = 7, .service = STR("app"), .severity = STR("err"),
                                  .severity_number = 17, .attributes = carrier, .n = 2, .nshared = 1 };
    struct arena a = ARENA_INIT(4 << 20);
    struct conf c = { "f.yml", &a };
    struct buf out = BUF_INIT(1 << 16);
    struct err e = ERR_INIT;
    const struct yaml_node *node = cases[_i].source[0] ? read_yaml(&a, cases[_i].source) : NULL;
    struct log_source *s = log_source_read(&c, node, no_more, &e);
    struct log_source_stats stats;
    struct batch b;

    log_set_level(LOG_ERROR);
    ck_assert_msg(s != NULL, "%s", e.msg);
    batch_init(&b, &a);
    ck_assert_int_eq(log_source_add(s, &o, str_of(cases[_i].line), &b, &e), 0);
    dump_batch(&out, &b);
    ck_assert_str_eq(buf_cstr(&out), cases[_i].row);
    log_source_stats(s, &stats);
    ck_assert_uint_eq(stats.lines, 1);
    ck_assert_uint_eq(stats.unmatched, strstr(cases[_i].line, "no match") != NULL);
    buf_free(&out);
    arena_free(&a);
}
END_TEST

static const struct {
    const char *yaml, *message;
} errors[] = {
    { "syslog: {sources: [{format: nginx}]}", "f.yml:1: format: should be a map of one member, as in {nginx: combined}" },
    { "syslog:\n  sources:\n  - format: {apache: x}\n",
      "f.yml:3: apache: should be nginx, haproxy, envoy, envoy_json or json" },
    { "syslog: {sources: [{format: {nginx: $a$b}}]}",
      "f.yml:1: nginx: $a$b: nothing stands between them, so that no line could be cut there" },
    { "syslog: {sources: [{format: {json: [a]}}]}",
      "f.yml:1: json: should be one map, {access_log: {KEY: COLUMN …}} or {log: {KEY: COLUMN …}}, or nothing" },
    { "syslog: {sources: [{colour: red}]}", "f.yml:1: colour: unknown field" },
    { "syslog: {sources: [{match: {colour: red}}]}", "f.yml:1: colour: unknown field" },
    { "syslog: {sources: [{reporter: both}]}", "f.yml:1: reporter: \"both\": should be source or destination" },
    { "syslog: {sources: [{source: {workload: $host}}]}",
      "f.yml:1: workload: \"$host\" is a field, and there is no format that would have one" },
    { "syslog: {sources: [{" "format: {nginx: $a}, source: {workload: $b}}]}",
      "f.yml:1: workload: \"$b\": the format has no such field, nor is it a column of text" },
    { "syslog: {sources: [{format: {nginx: $a}, source: {by: $a}}]}", "f.yml:1: source: `by` and `table` need each other" },
    { "syslog: {sources: [{source: {colour: red}}]}",
      "f.yml:1: colour: unknown field: should be by, table, default, workload, namespace, app, version, principal, cluster, "
      "service, service_name or service_namespace" },
    { "syslog: {sources: [{labels: {a: [1]}}]}", "f.yml:1: a: should have a name and one value" },
    { "syslog: {listeners: [{address: here}]}",
      "f.yml:1: address \"here\": should be HOST:PORT with an address in digits, as in 127.0.0.1:5514" },
    { "syslog: {listeners: [{address: '127.0.0.1:1', protocol: tls}]}", "f.yml:1: protocol \"tls\": should be udp, tcp or both" },
    { "syslog: {listeners: [{}]}", "f.yml:1: should have one of address and unix" },
    { "syslog: {listeners: [{unix: /x, protocol: tcp}]}", "f.yml:1: protocol \"tcp\": should be datagram or stream" },
    { "syslog: {listeners: [{unix: /x, mode: rw}]}", "f.yml:1: mode \"rw\": should be octal, as in \"0660\"" },
    { "syslog: {max_message: 1}", "f.yml:1: syslog: max_message: should be 480 bytes to 8MiB" },
    { "syslog: {max_connections: 0}", "f.yml:1: syslog: max_connections: should be 1 to 100000" },
    { "file_tail: {}", "f.yml:1: file_tail: should be a list" },
    { "file_tail: [{}]", "f.yml:1: paths: should be a list of files to follow, as in [/var/log/nginx/access.log]" },
    { "file_tail: [{paths: [a], begin: middle}]", "f.yml:1: begin: \"middle\": should be start or end" },
    { "file_tail: [{paths: [a], max_line: 1}]", "f.yml:1: max_line: should be 256 bytes to 8MiB" },
    { "file_tail: [{paths: [a], colour: red}]", "f.yml:1: colour: unknown field" },
};

START_TEST(refuses_declarations)
{
    struct arena a = ARENA_INIT(4 << 20);
    struct err e = ERR_INIT;
    const struct yaml_node *root = read_yaml(&a, errors[_i].yaml);
    struct syslog_config *s = syslog_config_read("f.yml", root, &e);
    struct tail_config *t = s ? tail_config_read("f.yml", root, &e) : NULL;

    ck_assert_ptr_null(t);
    ck_assert_str_eq(e.msg, errors[_i].message);
    syslog_config_free(s);
    arena_free(&a);
}
END_TEST

START_TEST(tells_configurations_apart)
{
    struct arena a = ARENA_INIT(4 << 20);
    const char *one = "syslog: {listeners: [{address: '127.0.0.1:0'}]}\nfile_tail: [{paths: [a]}]\n";
    const char *two = "file_tail: [{paths: [b]}]\nsyslog:\n  listeners:\n  - {address: '127.0.0.1:0', protocol: udp}\n";
    struct syslog_config *s[2];
    struct tail_config *t[2];

    for (int i = 0; i < 2; i++) {
        const struct yaml_node *root = read_yaml(&a, i ? two : one);

        s[i] = syslog_config_read("f.yml", root, NULL);
        t[i] = tail_config_read("f.yml", root, NULL);
    }
    ck_assert_uint_eq(syslog_config_listeners(s[0]), 2);
    ck_assert_uint_eq(syslog_config_listeners(s[1]), 1);
    ck_assert_uint_eq(tail_config_entries(t[0]), 1);
    ck_assert(syslog_config_fingerprint(s[0]) != syslog_config_fingerprint(s[1]));
    ck_assert(tail_config_fingerprint(t[0]) != tail_config_fingerprint(t[1]));
    for (int i = 0; i < 2; i++) {
        syslog_config_free(s[i]);
        tail_config_free(t[i]);
    }
    arena_free(&a);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("log_source");
    TCase *tc = tcase_create("sources");

    tcase_add_loop_test(tc, makes_rows, 0, COUNT(cases));
    tcase_add_loop_test(tc, refuses_declarations, 0, COUNT(errors));
    tcase_add_test(tc, tells_configurations_apart);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)
