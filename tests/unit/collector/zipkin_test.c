#include "base/mem.h"
#include "collector/zipkin.h"
#include "tests/unit/collector/dump.h"
#include "tests/unit/unit.h"

#define IDS "\"traceId\":\"5af7183fb1d4cf5f463ac35c9f6413ad\",\"id\":\"463ac35c9f6413ad\""
#define ROW(more) "span 5000000 trace_id=5af7183fb1d4cf5f463ac35c9f6413ad span_id=463ac35c9f6413ad" more

static const struct {
    const char *body, *rows;
    uint64_t refused;
    const char *why;
} bodies[] = {
    { "[]", "", 0, "" },
    { "[{" IDS ",\"parentId\":\"1\",\"kind\":\"CLIENT\",\"name\":\"get /\",\"timestamp\":5000,\"duration\":7,"
      "\"localEndpoint\":{\"serviceName\":\"front\",\"ipv4\":\"10.0.0.1\",\"port\":80},"
      "\"remoteEndpoint\":{\"serviceName\":\"back\",\"ipv6\":\"::1\",\"port\":81},\"shared\":true,\"debug\":true,"
      "\"tags\":{\"http.path\":\"/\"}}]",
      ROW(" parent_span_id=0000000000000001 name=get / kind=client duration_ns=7000 status=0 service=front "
          "{\"http.path\"=\"/\", \"network.local.address\"=\"10.0.0.1\", \"network.local.port\"=\"80\", \"network.peer.address\"=\"::1\", "
          "\"network.peer.port\"=\"81\", \"peer.service\"=\"back\", \"zipkin.debug\"=\"true\"}\n"), 0, "" },
    /* 64-bit trace ids, capitals, nulls, numbers as text and texts as numbers, unknown members */
    { "[{\"traceId\":\"463AC35C9F6413AD\",\"id\":\"2\",\"parentId\":null,\"timestamp\":\"5000\",\"duration\":1.0e3,"
      "\"tags\":{\"n\":200,\"b\":true},\"later\":[{}]}]",
      "span 5000000 trace_id=0000000000000000463ac35c9f6413ad span_id=0000000000000002 duration_ns=1000000 status=0 "
      "{b=\"true\", n=\"200\"}\n", 0, "" },
    { "[{" IDS ",\"timestamp\":5000,\"tags\":{\"error\":\"no route\"}}]",
      ROW(" duration_ns=0 status=2 status_message=no route {error=\"no route\"}\n"), 0, "" },
    { "[{" IDS ",\"timestamp\":5000,\"localEndpoint\":{\"serviceName\":\"s\"},"
      "\"tags\":{\"otel.status_code\":\"OK\",\"service.name\":\"s\"}}]",
      ROW(" duration_ns=0 status=1 service=s {}\n"), 0, "" },
    /* what Istio's sidecars say of themselves */
    { "[{" IDS ",\"timestamp\":5000,\"tags\":{\"istio.namespace\":\"n\",\"istio.canonical_service\":\"s\"}}]",
      ROW(" duration_ns=0 status=0 namespace=n app=s {\"istio.canonical_service\"=\"s\", \"istio.namespace\"=\"n\"}\n"), 0, "" },
    /* annotations, and a time from the first of them */
    { "[{" IDS ",\"annotations\":[{\"timestamp\":6000,\"value\":\"b\"},{\"timestamp\":5000,\"value\":\"a\\\"\"},{\"value\":\"c\"}]}]",
      ROW(" duration_ns=0 status=0 events=[{\"timeUnixNano\":\"6000000\",\"name\":\"b\"},"
          "{\"timeUnixNano\":\"5000000\",\"name\":\"a\\\"\"}] {}\n"), 0, "" },
    { "[{\"id\":\"1\"},{" IDS ",\"timestamp\":5000}]", ROW(" duration_ns=0 status=0 {}\n"), 1,
      "span 1: traceId should be 1 to 32 hexadecimal digits, not all zero, is \"\"" },
    { "[{" IDS ",\"kind\":\"PROXY\"}]", "", 1,
      "span 1: kind should be CLIENT, SERVER, PRODUCER or CONSUMER, is \"PROXY\"" },
    { "[{\"traceId\":\"1\",\"id\":\"0000\"}]", "", 1, "span 1: id should be 1 to 16 hexadecimal digits, not all zero, is \"0000\"" },
    { "[{\"traceId\":\"1\",\"id\":\"1\",\"parentId\":\"x\"}]", "", 1,
      "span 1: parentId should be 1 to 16 hexadecimal digits, not all zero, is \"x\"" },
    { "[{" IDS ",\"timestamp\":18446744073709551615}]", "", 1,
      "span 1: timestamp and duration should be microseconds before the year 2262, of span \"463ac35c9f6413ad\"" },
};

static int decode(struct str body, struct arena *a, struct buf *rows, struct push_outcome *o, struct err *e)
{
    struct batch b;
    int rc;

    batch_init(&b, a);
    rc = zipkin_decode(body, &b, o, e);
    dump_batch(rows, &b);
    return rc;
}

START_TEST(reads_spans)
{
    struct arena a = ARENA_INIT(1 << 20);
    struct buf rows = BUF_INIT(1 << 20);
    struct push_outcome o;
    struct err e = ERR_INIT;
    int rc = decode(str_of(bodies[_i].body), &a, &rows, &o, &e);

    ck_assert_msg(rc == 0, "%s", e.msg);
    buf_putc(&rows, '\0');
    ck_assert_str_eq(rows.p, bodies[_i].rows);
    ck_assert_uint_eq(o.refused, bodies[_i].refused);
    ck_assert_str_eq(o.why, bodies[_i].why);
    buf_free(&rows);
    arena_free(&a);
}
END_TEST

static const struct {
    const char *body, *msg;
} malformed[] = {
    { "{}", "json: byte 0: should be '['" },
    { "[{\"traceId\":5}]", "json: byte 12: should be a string" },
    { "[{\"timestamp\":\"soon\"}]", "json: byte 20: the value before should be a number of microseconds" },
    { "[{\"tags\":{\"a\":{}}}]", "json: byte 14: should be a number" },
    { "[{\"annotations\":[5]}]", "json: byte 17: should be '{'" },
    { "[] []", "json: byte 3: nothing should follow the list of spans" },
    { "[{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}]", "json: byte 38: nested too deeply" },
};

START_TEST(refuses_what_is_no_list_of_spans)
{
    struct arena a = ARENA_INIT(1 << 20);
    struct buf rows = BUF_INIT(1 << 20);
    struct push_outcome o;
    struct err e = ERR_INIT;

    ck_assert_int_eq(decode(str_of(malformed[_i].body), &a, &rows, &o, &e), ERR_PARSE);
    ck_assert_str_eq(e.msg, malformed[_i].msg);
    buf_free(&rows);
    arena_free(&a);
}
END_TEST

START_TEST(refuses_too_many_tags)
{
    struct arena a = ARENA_INIT(1 << 20);
    struct buf rows = BUF_INIT(1 << 20), body = BUF_INIT(1 << 20);
    struct push_outcome o;
    struct err e = ERR_INIT;

    buf_puts(&body, "[{" IDS ",\"tags\":{");
    for (int i = 0; i < 129; i++)
        buf_printf(&body, "%s\"t%d\":\"x\"", i ? "," : "", i);
    buf_puts(&body, "},\"debug\":true,\"localEndpoint\":{\"ipv4\":\"1\",\"port\":1},"
                    "\"remoteEndpoint\":{\"serviceName\":\"s\",\"ipv4\":\"1\",\"port\":1}}]");
    ck_assert_int_eq(decode(buf_view(&body), &a, &rows, &o, &e), 0);
    ck_assert_str_eq(o.why, "span 1: more than 128 tags: from \"t128\"");
    ck_assert_uint_eq(rows.n, 0);
    buf_free(&rows);
    buf_free(&body);
    arena_free(&a);
}
END_TEST

START_TEST(survives_failing_allocations)
{
    for (long n = 1;; n++) {
        struct arena a = ARENA_INIT(1 << 20);
        struct push_outcome o;
        struct err e = ERR_INIT;
        struct batch b;
        bool failed;
        int rc;

        batch_init(&b, &a);
        mem_fail_at(n);
        rc = zipkin_decode(str_of(bodies[6].body), &b, &o, &e);
        failed = mem_has_failed();
        mem_fail_at(0);
        ck_assert_msg(failed ? rc == ERR_NOMEM : rc == 0, "%ld: %d %s", n, rc, e.msg);
        arena_free(&a);
        if (!failed)
            break;
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("zipkin");
    TCase *t = tcase_create("zipkin");

    tcase_add_loop_test(t, reads_spans, 0, COUNT(bodies));
    tcase_add_loop_test(t, refuses_what_is_no_list_of_spans, 0, COUNT(malformed));
    tcase_add_test(t, refuses_too_many_tags);
    tcase_add_test(t, survives_failing_allocations);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
