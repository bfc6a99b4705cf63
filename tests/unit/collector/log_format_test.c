/* Formats by tables: a format, a line, and the row that it becomes. */
#include "collector/log_format.h"

#include "base/clock.h"
#include "tests/unit/unit.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

typedef struct log_format *compile_fn(struct arena *a, struct str text, struct err *e);

static struct log_format *compile_istio_json(struct arena *a, struct str text, struct err *e)
{
    (void)text;
    return log_format_envoy_json(a, NULL, e);
}

/* The text is YAML. */
static struct log_format *compile_envoy_json(struct arena *a, struct str text, struct err *e)
{
    const struct yaml_node *root;

    ck_assert_int_eq(yaml_read_one(a, "f", text, &root, e), 0);
    return log_format_envoy_json(a, root, e);
}

static struct log_format *compile_json(struct arena *a, struct str text, struct err *e)
{
    const struct yaml_node *root = NULL;

    if (text.n)
        ck_assert_int_eq(yaml_read_one(a, "f", text, &root, e), 0);
    return log_format_json(a, EVENT_LOG, root, e);
}

static struct log_format *compile_json_access(struct arena *a, struct str text, struct err *e)
{
    const struct yaml_node *root;

    ck_assert_int_eq(yaml_read_one(a, "f", text, &root, e), 0);
    return log_format_json(a, EVENT_ACCESS_LOG, root, e);
}

/* "TIME column=value … | attribute=value …"; what is unset is left out. */
static void show(struct buf *out, const struct log_line *l)
{
    const struct event_table *t = &event_tables[l->kind];

    buf_printf(out, "%" PRId64, l->time_ns / 1000000);
    for (size_t i = 0; i < t->n; i++) {
        const struct event_column *c = &t->columns[i];

        if (c->is_text && l->values[i].s.n && !str_eqz(c->name, "request_protocol"))
            buf_printf(out, " %.*s=%.*s", STR_ARG(c->name), STR_ARG(l->values[i].s));
        else if (!c->is_text && l->values[i].i != event_unset(l->kind, c).i)
            buf_printf(out, " %.*s=%" PRId64, STR_ARG(c->name), l->values[i].i);
    }
    for (size_t i = 0; i < l->nattributes; i++)
        buf_printf(out, "%s%.*s=%.*s", i ? " " : " | ", STR_ARG(l->attributes[i].name),
                   STR_ARG(l->attributes[i].value));
}

#define COMBINED "combined"
#define HTTPLOG "httplog"

static const struct {
    compile_fn *compile;
    const char *format, *line, *row; /* row NULL: the line does not follow the format */
} lines[] = {
    /* nginx */
    {log_format_nginx, COMBINED,
     "10.0.0.1 - bob [26/Nov/2026:09:11:22 +0100] \"GET /a?b=c HTTP/1.1\" 200 12 \"-\" \"curl/7\"",
     "1795680682000 method=GET path=/a?b=c protocol=HTTP/1.1 response_code=200 bytes_sent=12 user_agent=curl/7 "
     "downstream_remote_address=10.0.0.1 | remote_user=bob"},
    {log_format_nginx, COMBINED, "10.0.0.1 - - [26/Nov/2026:09:11:22 +0100] \"\\x16\\x03\\x01\" 400 150 \"-\" \"-\"",
     "1795680682000 response_code=400 bytes_sent=150 downstream_remote_address=10.0.0.1 | request=\\x16\\x03\\x01"},
    {log_format_nginx, COMBINED,
     "::1 - - [26/Nov/2026:09:11:22 +0100] \"GET /\\x22x\\x22 HTTP/1.1\" 499 0 \"-\" \"a \\x22b\\x5C\"",
     "1795680682000 method=GET path=/\"x\" protocol=HTTP/1.1 response_code=499 response_flags=DC bytes_sent=0 "
     "user_agent=a \"b\\ downstream_remote_address=::1"},
    {log_format_nginx, COMBINED, "2026/11/26 09:11:22 [error] 1#1: *1 connect() failed", NULL},
    {log_format_nginx, COMBINED, "", NULL},
    {log_format_nginx, COMBINED, "10.0.0.1 - - [31/Nov/2026:09:11:22 +0100] \"GET / HTTP/1.1\" two 12 \"-\" \"curl/7\"",
     NULL},
    {log_format_nginx,
     "log_format main escape=json\n  '$remote_addr \"$request\" '\n  \"$status \\\"$http_user_agent\\\" \" "
     "'$request_time $msec';",
     "1.2.3.4 \"GET / HTTP/2.0\" 200 \"a\\\"b\\u0009\" 0.250 1764148282.125",
     "1764148281875 method=GET path=/ protocol=HTTP/2.0 response_code=200 duration_us=250000 user_agent=a\"b\t "
     "downstream_remote_address=1.2.3.4"},
    {log_format_nginx, "$upstream_addr $upstream_response_time $upstream_status $status",
     "10.0.0.1:80, 10.0.0.2:80 : 10.0.0.3:80 0.001, - : 0.002 502, 504 : 200 200",
     "0 response_code=200 upstream_service_time_us=2000 upstream_host=10.0.0.3:80 | upstream_status=502, 504 : 200"},
    {log_format_nginx, "$upstream_addr $status", "10.0.0.1:80 504",
     "0 response_code=504 response_flags=UT upstream_host=10.0.0.1:80"},
    {log_format_nginx, "$upstream_addr $status", "- 504", "0 response_code=504"},
    {log_format_nginx, "$scheme://$host$request_uri $request_time $time_iso8601",
     "https://shop.example/a/b 31.500 2026-11-26T09:11:22+01:00",
     "1795680651000 path=/a/b duration_us=31500000 authority=shop.example | scheme=https"},
    {log_format_nginx, "${remote_addr}x$bytes_sent $body_bytes_sent", "1.1.1.1x10 8",
     "0 bytes_sent=8 downstream_remote_address=1.1.1.1 | bytes_sent=10"},
    {log_format_nginx, "$http_traceparent $status", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 200",
     "0 response_code=200 trace_id=0af7651916cd43dd8448eb211c80319c span_id=b7ad6b7169203331"},

    /* HAProxy; times without a zone are local, which is UTC here */
    {log_format_haproxy, HTTPLOG,
     "127.0.0.1:4242 [26/Nov/2026:09:11:22.123] web shop/s1 0/0/1/20/21 200 150 - - ---- 1/1/0/0/0 0/0 \"GET /x "
     "HTTP/1.1\"",
     "1795684282123 method=GET path=/x protocol=HTTP/1.1 response_code=200 bytes_sent=150 duration_us=21000 "
     "upstream_service_time_us=20000 upstream_host=s1 upstream_cluster=shop downstream_remote_address=127.0.0.1 | "
     "client_port=4242 frontend_name=web TR=0 Tw=0 Tc=1 termination_state=---- actconn=1 feconn=1 beconn=0 srv_conn=0 "
     "retries=0 srv_queue=0 backend_queue=0"},
    {log_format_haproxy, HTTPLOG,
     "::1:4242 [26/Nov/2026:09:11:22.123] web~ shop/<NOSRV> 0/-1/-1/-1/+0 503 +216 - - SC-- 1/1/0/0/3 0/0 "
     "{shop.example|} {} \"GET /#23 HTTP/1.1\"",
     "1795684282123 method=GET path=/# protocol=HTTP/1.1 response_code=503 response_flags=UH bytes_sent=216 "
     "duration_us=0 "
     "upstream_cluster=shop downstream_remote_address=::1 | client_port=4242 frontend_name=web~ TR=0 Tw=-1 Tc=-1 "
     "termination_state=SC-- actconn=1 feconn=1 beconn=0 srv_conn=0 retries=3 srv_queue=0 backend_queue=0 "
     "captured_request_headers={shop.example|} captured_response_headers={}"},
    {log_format_haproxy, HTTPLOG,
     "127.0.0.1:4242 [26/Nov/2026:09:11:22.123] web web/<NOSRV> -1/-1/-1/-1/0 400 0 - - PR-- 1/1/0/0/0 0/0 "
     "\"<BADREQ>\"",
     "1795684282123 response_code=400 bytes_sent=0 duration_us=0 upstream_cluster=web "
     "downstream_remote_address=127.0.0.1 | "
     "client_port=4242 frontend_name=web TR=-1 Tw=-1 Tc=-1 termination_state=PR-- actconn=1 feconn=1 beconn=0 "
     "srv_conn=0 "
     "retries=0 srv_queue=0 backend_queue=0 request=<BADREQ>"},
    {log_format_haproxy, HTTPLOG, "Server shop/s1 is DOWN, reason: Layer4 connection problem", NULL},
    {log_format_haproxy, "tcplog", "10.0.0.9:1 [26/Nov/2026:09:11:22.123] db db/one 0/0/5000 212 sD 1/1/0/0/0 0/0",
     "1795684282123 response_flags=UT bytes_sent=212 duration_us=5000000 upstream_host=one upstream_cluster=db "
     "downstream_remote_address=10.0.0.9 | client_port=1 frontend_name=db Tw=0 Tc=0 termination_state=sD actconn=1 "
     "feconn=1 "
     "beconn=0 srv_conn=0 retries=0 srv_queue=0 backend_queue=0"},
    {log_format_haproxy, "log-format \"%{+Q}o %ci %ST %[unique-id] %{-Q}[var(txn.a,x)] 100%% %Tl\"",
     "\"1.1.1.1\" \"200\" \"id-1\" v 100% \"26/Nov/2026:09:11:22 +0100\"",
     "1795680682000 response_code=200 request_id=id-1 downstream_remote_address=1.1.1.1 | var(txn.a,x)=v"},
    {log_format_haproxy, "log-format %ci\\ %si:%sp\\ %s\\ %HM\\ %HU\\ %HV", "1.1.1.1 10.0.0.2:80 s1 GET /x?y HTTP/2.0",
     "0 method=GET path=/x?y protocol=HTTP/2.0 upstream_host=10.0.0.2 downstream_remote_address=1.1.1.1 | "
     "server_port=80 "
     "server_name=s1"},

    /* Envoy */
    {log_format_envoy, "istio",
     "[2020-11-25T21:26:18.409Z] \"GET /status/418 HTTP/1.1\" 418 - via_upstream - \"-\" 0 135 3 1 \"-\" "
     "\"curl/7.73.0-DEV\" "
     "\"84961386-6d84-929d-98bd-c5aee93b5c88\" \"httpbin:8000\" \"127.0.0.1:80\" inbound|8000|| 127.0.0.1:41854 "
     "10.44.1.27:80 "
     "10.44.1.23:37652 outbound_.8000_._.httpbin.foo.svc.cluster.local default",
     "1606339578409 method=GET path=/status/418 protocol=HTTP/1.1 response_code=418 response_code_details=via_upstream "
     "bytes_received=0 bytes_sent=135 duration_us=3000 upstream_service_time_us=1000 user_agent=curl/7.73.0-DEV "
     "request_id=84961386-6d84-929d-98bd-c5aee93b5c88 authority=httpbin:8000 upstream_host=127.0.0.1:80 "
     "upstream_cluster=inbound|8000|| upstream_local_address=127.0.0.1:41854 downstream_local_address=10.44.1.27:80 "
     "downstream_remote_address=10.44.1.23:37652 "
     "requested_server_name=outbound_.8000_._.httpbin.foo.svc.cluster.local route_name=default"},
    {log_format_envoy,
     "%START_TIME(%Y/%m/%d %H:%M:%S.%3f %z)%|%REQ(X-Team?X-Who):10%|%RESP(X-A)%|%DURATION%|%CUSTOM(a b)%|%%\n",
     "2026/11/26 09:11:22.500 +0000|blue|-|7|z|%", "1795684282500 duration_us=7000 | req.x-team=blue custom(a b)=z"},
    {log_format_envoy, "%REQ(:PATH)% %PROTOCOL%", "/a b c HTTP/1.1", "0 path=/a b c protocol=HTTP/1.1"},
    {compile_istio_json, "",
     "{\"start_time\":\"2020-11-25T21:26:18.409Z\",\"method\":\"GET\",\"response_code\":418,\"duration\":3,\"path\":\"/"
     "a\\\"b\","
     "\"upstream_service_time\":\"1\",\"route_name\":null,\"extra\":{\"a\":[1,2]}}",
     "1606339578409 method=GET path=/a\"b response_code=418 duration_us=3000 upstream_service_time_us=1000 | "
     "extra={\"a\":[1,2]}"},
    {compile_envoy_json,
     "{code: '%RESPONSE_CODE%', t: '%START_TIME(%s)%', who: '%REQ(:METHOD)% %PROTOCOL%', ms: '%DURATION%'}",
     "{\"code\":200,\"t\":\"1795684282\",\"who\":\"GET HTTP/1.1\",\"ms\":1.6}",
     "1795684282000 response_code=200 duration_us=2000 | who=GET HTTP/1.1"},

    /* JSON lines */
    {compile_json, "", "{\"level\":\"warn\",\"ts\":1795684282.5,\"msg\":\"hello\",\"user\":7}",
     "1795684282500 body=hello severity=warn | user=7"},
    {compile_json, "", " { } ", "0"},
    {compile_json, "", "{\"msg\":\"a\"} trailing", NULL},
    {compile_json, "", "{\"msg\":", NULL},
    {compile_json, "", "plain text", NULL},
    {compile_json, "{m: body, at: time}", "{\"m\":\"x\",\"at\":\"2026-11-26T09:11:22Z\",\"msg\":\"y\"}",
     "1795684282000 body=x | msg=y"},
    {compile_json_access, "{status: response_code, uri: path, at: time, took: duration}",
     "{\"status\":200,\"uri\":\"/\",\"at\":1795684282000,\"took\":12}",
     "1795684282000 path=/ response_code=200 duration_us=12000"},
    {compile_json_access, "{status: response_code}", "{\"status\":\"teapot\"}", NULL},
};

START_TEST(cuts_lines)
{
    struct arena a = ARENA_INIT(4 << 20);
    struct buf out = BUF_INIT(1 << 16);
    struct err e = ERR_INIT;
    struct log_format *f = lines[_i].compile(&a, str_of(lines[_i].format), &e);
    struct log_line l;
    int rc;

    ck_assert_msg(f != NULL, "%s: %s", lines[_i].format, e.msg);
    rc = log_format_match(f, str_of(lines[_i].line), 0, &a, &l);
    ck_assert_msg(rc == (lines[_i].row != NULL), "%s: %d", lines[_i].line, rc);
    if (rc == 1) {
        show(&out, &l);
        ck_assert_str_eq(buf_cstr(&out), lines[_i].row);
    }
    buf_free(&out);
    arena_free(&a);
}
END_TEST

static const struct {
    compile_fn *compile;
    const char *format, *message;
} errors[] = {
    { log_format_nginx, "", "there is no field in it" },
    { log_format_nginx, "only text", "there is no field in it" },
    { log_format_nginx, "$a$b", "$a$b: nothing stands between them, so that no line could be cut there" },
    { log_format_nginx, "$a $ b", "\"$ b\": no variable's name follows the '$'" },
    { log_format_nginx, "$a ${b", "\"${b\": no variable's name follows the '$'" },
    { log_format_nginx, "log_format x '$a", "the directive log_format has a quote that does not end" },
    { log_format_haproxy, "%ci %zz", "%zz: HAProxy 2.6 has no such alias" },
    { log_format_haproxy, "%ci %[src", "\"%[src\": should be %name, %{flags}name or %[expression]" },
    { log_format_haproxy, "%{+Q", "\"%{+Q\": should be %name, %{flags}name or %[expression]" },
    { log_format_haproxy, "%ST%B", "%ST%B: nothing stands between them, so that no line could be cut there" },
    { log_format_envoy, "%REQ(A)", "\"%REQ(A)\": should be %OPERATOR%, and %% for a percent sign" },
    { log_format_envoy, "%REQ()%", "%REQ()%: a header's name is missing" },
    { log_format_envoy, "%START_TIME(%Q)%",
      "%START_TIME(%Q)%: \"%Q\": should be one of %Y %m %d %e %b %H %M %S %F %T %s %f %3f %z" },
    { compile_envoy_json, "[a]", "should be a map of keys" },
    { compile_envoy_json, "{a: '%REQ()%'}", "a: %REQ()%: a header's name is missing" },
    { compile_json, "{a: bodi}", "a: \"bodi\" is no column of log, nor \"time\"" },
    { compile_json_access, "{a: body}", "a: \"body\" is no column of access_log, nor \"time\"" },
};

START_TEST(refuses_formats)
{
    struct arena a = ARENA_INIT(4 << 20);
    struct err e = ERR_INIT;

    ck_assert_ptr_null(errors[_i].compile(&a, str_of(errors[_i].format), &e));
    ck_assert_str_eq(e.msg, errors[_i].message);
    arena_free(&a);
}
END_TEST

START_TEST(finds_fields)
{
    struct arena a = ARENA_INIT(4 << 20);
    struct err e = ERR_INIT;
    struct log_format *f = log_format_nginx(&a, STR("$upstream_addr ${tenant} \"$request\""), &e);
    struct log_reference addr, tenant, column, none;
    struct log_line l;

    ck_assert(log_format_find(f, STR("$upstream_addr"), &addr));
    ck_assert(log_format_find(f, STR("$tenant"), &tenant));
    ck_assert(log_format_find(f, STR("method"), &column));
    ck_assert(!log_format_find(f, STR("$nothing"), &none));
    ck_assert(!log_format_find(f, STR("duration_us"), &none)); /* a number is nobody's name */
    ck_assert_int_eq(log_format_match(f, STR("a:1, b:2 blue \"PUT /x HTTP/1.1\""), 0, &a, &l), 1);
    ck_assert(str_eqz(log_line_text(&l, addr), "b:2")); /* as the column has it: the one that answered */
    ck_assert(str_eqz(log_line_text(&l, tenant), "blue"));
    ck_assert(str_eqz(log_line_text(&l, column), "PUT"));
    ck_assert_int_eq(log_format_match(f, STR("- - \"PUT /x HTTP/1.1\""), 0, &a, &l), 1);
    ck_assert(log_line_text(&l, addr).n == 0 && log_line_text(&l, tenant).n == 0);
    arena_free(&a);
}
END_TEST

/* What our own proxy writes, in both of its forms. */
START_TEST(reads_what_the_proxy_writes)
{
    struct arena a = ARENA_INIT(4 << 20);
    struct buf text = BUF_INIT(4096);
    struct err e = ERR_INIT;
    struct log_format *f = _i ? log_format_envoy_json(&a, NULL, &e) : log_format_envoy(&a, STR("istio"), &e);
    struct access_log log;
    struct log_line l;
    struct str line;

    access_log_init(&log);
    log.start_ns = 1795684282123000000;
    log.method = STR("GET");
    log.path = STR("/a\"b c");
    log.protocol = STR("HTTP/1.1");
    log.response_code = 503;
    log.response_flags = STR("UF,URX");
    log.bytes_received = 5;
    log.bytes_sent = 7;
    log.duration_us = 12000;
    log.upstream_transport_failure_reason = STR("no \"way\"");
    log.user_agent = STR("curl/7 (x; y)");
    log.authority = STR("shop.example:80");
    log.upstream_cluster = STR("outbound|80||shop.default.svc.cluster.local");
    log.downstream_remote_address = STR("[::1]:80");
    (_i ? access_log_json : access_log_text)(&text, &log);
    line = buf_view(&text);
    line.n--;
    ck_assert_int_eq(log_format_match(f, line, 0, &a, &l), 1);
    ck_assert_int_eq(l.time_ns, log.start_ns);
    for (int i = 0; i < ACCESS_LOG_NFIELDS; i++) {
        const char *at = (const char *)&log + access_log_fields[i].offset;

        if (!access_log_fields[i].is_text) {
            ck_assert_int_eq(l.values[i].i, *(const int64_t *)(const void *)at);
        } else if (i != ACCESS_LOG_request_protocol &&
                   (_i || str_chr(*(const struct str *)(const void *)at, '"') < 0)) {
            ck_assert_msg(str_eq(l.values[i].s, *(const struct str *)(const void *)at), "%s",
                          access_log_fields[i].name.p);
        }
    }
    ck_assert(str_eqz(l.values[ACCESS_LOG_path].s, _i ? "/a\"b c" : "/a\\x22b c")); /* the text form does not say what it escapes */
    buf_free(&text);
    arena_free(&a);
}
END_TEST

/* No line may cost more than its share, however often its literals stand in it. */
START_TEST(gives_up_in_time)
{
    struct arena a = ARENA_INIT(16 << 20);
    struct err e = ERR_INIT;
    struct buf format = BUF_INIT(1 << 16), line = BUF_INIT(1 << 17);
    struct log_format *f;
    struct log_line l;

    for (int i = 0; i < 90; i++)
        buf_printf(&format, "$v%d ", i);
    buf_puts(&format, "x");
    for (int i = 0; i < 60000; i++)
        buf_puts(&line, " ");
    buf_puts(&line, "yx");
    f = log_format_nginx(&a, buf_view(&format), &e);
    ck_assert_msg(f != NULL, "%s", e.msg);
    ck_assert_int_eq(log_format_match(f, buf_view(&line), 0, &a, &l), 0);
    buf_free(&format);
    buf_free(&line);
    arena_free(&a);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("log_format");
    TCase *tc = tcase_create("formats");

    setenv("TZ", "UTC", 1);
    tzset();
    tcase_add_loop_test(tc, cuts_lines, 0, COUNT(lines));
    tcase_add_loop_test(tc, refuses_formats, 0, COUNT(errors));
    tcase_add_test(tc, finds_fields);
    tcase_add_loop_test(tc, reads_what_the_proxy_writes, 0, 2);
    tcase_add_test(tc, gives_up_in_time);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)
