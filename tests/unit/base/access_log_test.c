#include "base/access_log.h"

#include "base/mem.h"
#include "tests/unit/unit.h"

/* A request in the form that istio.io documents ("Envoy access logs"). */
static struct access_log teapot(void)
{
    struct access_log l;

    access_log_init(&l);
    l.start_ns = 1700000000409000000;
    l.method = STR("GET");
    l.path = STR("/brew");
    l.protocol = STR("HTTP/1.1");
    l.response_code = 418;
    l.response_code_details = STR("via_upstream");
    l.bytes_received = 0;
    l.bytes_sent = 135;
    l.duration_us = 4999;
    l.upstream_service_time_us = 4000;
    l.user_agent = STR("curl/7.88.1");
    l.request_id = STR("5d1f9a52-7c1e-4b0a-9f0e-1f2d3c4b5a69");
    l.authority = STR("pot:8000");
    l.upstream_host = STR("127.0.0.1:80");
    l.upstream_cluster = STR("inbound|8000||");
    l.upstream_local_address = STR("127.0.0.1:41001");
    l.downstream_local_address = STR("127.10.0.7:80");
    l.downstream_remote_address = STR("127.10.0.3:37001");
    l.requested_server_name = STR("outbound_.8000_._.pot.kitchen.svc.cluster.local");
    l.route_name = STR("default");
    return l;
}

static struct access_log redis(void)
{
    struct access_log l;

    access_log_init(&l);
    l.bytes_received = 27;
    l.bytes_sent = 31;
    l.duration_us = 29000;
    l.upstream_host = STR("127.10.0.9:6379");
    l.upstream_cluster = STR("outbound|6379||redis-slave.guestbook.svc.cluster.local");
    return l;
}

static struct access_log hostile(void)
{
    struct access_log l;

    access_log_init(&l);
    l.method = STR("GET");
    l.path = STR("/a\"b\\c\r\n[2020] d\x7f\x01\xff");
    l.user_agent = STR("\"");
    return l;
}

static struct access_log nothing(void)
{
    struct access_log l;

    access_log_init(&l);
    return l;
}

static const struct {
    struct access_log (*make)(void);
    const char *text, *json;
} lines[] = {
    { teapot,
      "[2023-11-14T22:13:20.409Z] \"GET /brew HTTP/1.1\" 418 - via_upstream - \"-\" 0 135 4 4 \"-\" "
      "\"curl/7.88.1\" \"5d1f9a52-7c1e-4b0a-9f0e-1f2d3c4b5a69\" \"pot:8000\" \"127.0.0.1:80\" inbound|8000|| "
      "127.0.0.1:41001 127.10.0.7:80 127.10.0.3:37001 outbound_.8000_._.pot.kitchen.svc.cluster.local default\n",
      "{\"start_time\":\"2023-11-14T22:13:20.409Z\",\"method\":\"GET\",\"path\":\"/brew\",\"protocol\":\"HTTP/1.1\","
      "\"response_code\":418,\"response_flags\":null,\"response_code_details\":\"via_upstream\","
      "\"connection_termination_details\":null,\"bytes_received\":0,\"bytes_sent\":135,\"duration\":4,"
      "\"upstream_service_time\":4,\"x_forwarded_for\":null,\"user_agent\":\"curl/7.88.1\","
      "\"request_id\":\"5d1f9a52-7c1e-4b0a-9f0e-1f2d3c4b5a69\",\"authority\":\"pot:8000\","
      "\"upstream_host\":\"127.0.0.1:80\",\"upstream_cluster\":\"inbound|8000||\","
      "\"upstream_local_address\":\"127.0.0.1:41001\",\"downstream_local_address\":\"127.10.0.7:80\","
      "\"downstream_remote_address\":\"127.10.0.3:37001\","
      "\"requested_server_name\":\"outbound_.8000_._.pot.kitchen.svc.cluster.local\",\"route_name\":\"default\","
      "\"upstream_transport_failure_reason\":null}\n" },
    { redis,
      "[1970-01-01T00:00:00.000Z] \"- - -\" 0 - - - \"-\" 27 31 29 - \"-\" \"-\" \"-\" \"-\" \"127.10.0.9:6379\" "
      "outbound|6379||redis-slave.guestbook.svc.cluster.local - - - - -\n", NULL },
    { hostile,
      "[1970-01-01T00:00:00.000Z] \"GET /a\\x22b\\x5cc\\x0d\\x0a[2020] d\\x7f\\x01\xff -\" 0 - - - \"-\" 0 0 - - \"-\" "
      "\"\\x22\" \"-\" \"-\" \"-\" - - - - - -\n", NULL },
    { nothing,
      "[1970-01-01T00:00:00.000Z] \"- - -\" 0 - - - \"-\" 0 0 - - \"-\" \"-\" \"-\" \"-\" \"-\" - - - - - -\n",
      "{\"start_time\":\"1970-01-01T00:00:00.000Z\",\"method\":null,\"path\":null,\"protocol\":null,\"response_code\":0,"
      "\"response_flags\":null,\"response_code_details\":null,\"connection_termination_details\":null,"
      "\"bytes_received\":null,\"bytes_sent\":null,\"duration\":null,\"upstream_service_time\":null,"
      "\"x_forwarded_for\":null,\"user_agent\":null,\"request_id\":null,\"authority\":null,\"upstream_host\":null,"
      "\"upstream_cluster\":null,\"upstream_local_address\":null,\"downstream_local_address\":null,"
      "\"downstream_remote_address\":null,\"requested_server_name\":null,\"route_name\":null,"
      "\"upstream_transport_failure_reason\":null}\n" },
};

START_TEST(prints_as_istio)
{
    struct access_log l = lines[_i].make();
    struct buf b = BUF_INIT(10000);

    access_log_text(&b, &l);
    ck_assert_str_eq(buf_cstr(&b), lines[_i].text);
    buf_reset(&b);
    access_log_json(&b, &l);
    if (lines[_i].json)
        ck_assert_str_eq(buf_cstr(&b), lines[_i].json);
    ck_assert_int_eq(str_chr(buf_view(&b), '\n'), (ptrdiff_t)b.n - 1); /* one line */
    ck_assert(str_is_utf8(buf_view(&b)));
    buf_free(&b);
}
END_TEST

START_TEST(fields_are_listed)
{
    struct access_log l;

    memset(&l, 0xff, sizeof(l));
    access_log_init(&l);
    for (int i = 0; i < ACCESS_LOG_NFIELDS; i++) {
        const struct access_log_field_info *f = &access_log_fields[i];
        struct str text;
        int64_t number;

        ck_assert_int_eq(access_log_field_index(f->name), i);
        memcpy(&number, (char *)&l + f->offset, sizeof(number));
        memcpy(&text, (char *)&l + f->offset, f->is_text ? sizeof(text) : 0);
        if (f->is_text)
            ck_assert(text.p == NULL && text.n == 0);
        else
            ck_assert_int_eq(number, -1);
    }
    ck_assert(str_eqz(access_log_fields[ACCESS_LOG_reporter].name, "reporter"));
    ck_assert_int_eq(ACCESS_LOG_reporter, 0);
    ck_assert_uint_eq(access_log_fields[ACCESS_LOG_destination_cluster].offset,
                      offsetof(struct access_log, destination_cluster));
    ck_assert_int_eq(access_log_field_index(STR("reporte")), -1);
    ck_assert_int_eq(access_log_field_index(STR("")), -1);
    ck_assert_int_eq(l.start_ns, 0);
}
END_TEST

START_TEST(says_when_memory_is_short)
{
    for (long n = 1;; n++) {
        struct access_log l = teapot();
        struct buf b = BUF_INIT(10000);
        bool failed;

        mem_fail_at(n);
        access_log_text(&b, &l);
        access_log_json(&b, &l);
        failed = mem_has_failed();
        mem_fail_at(0);
        ck_assert(buf_failed(&b) == failed);
        buf_free(&b);
        if (!failed)
            break;
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("access_log");
    TCase *t = tcase_create("access_log");

    tcase_add_loop_test(t, prints_as_istio, 0, COUNT(lines));
    tcase_add_test(t, fields_are_listed);
    tcase_add_test(t, says_when_memory_is_short);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
