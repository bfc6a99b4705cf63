#include "base/mem.h"
#include "collector/jaeger_thrift.h"
#include "tests/unit/collector/dump.h"
#include "tests/unit/collector/jaeger_batch.h"
#include "tests/unit/unit.h"

static int decode(struct str body, struct arena *a, struct buf *rows, struct push_outcome *o, struct err *e)
{
    struct batch b;
    int rc;

    batch_init(&b, a);
    rc = jaeger_thrift_decode(body, &b, o, e);
    dump_batch(rows, &b);
    return rc;
}

START_TEST(reads_a_span)
{
    struct buf body = BUF_INIT(1 << 20), rows = BUF_INIT(1 << 20);
    struct arena a = ARENA_INIT(1 << 20);
    struct push_outcome o;
    struct err e = ERR_INIT;

    put_jaeger_batch(&body, -2);
    ck_assert_msg(decode(buf_view(&body), &a, &rows, &o, &e) == 0, "%s", e.msg);
    buf_putc(&rows, '\0');
    ck_assert_str_eq(rows.p,
                     "span 5000000 trace_id=5af7183fb1d4cf5f463ac35c9f6413ad span_id=fffffffffffffffe "
                     "parent_span_id=0000000000000001 name=get / kind=server duration_ns=7000 status=2 service=front pod=p "
                     "events=[{\"timeUnixNano\":\"5001000\",\"name\":\"asked\",\"attributes\":[{\"key\":\"whom\",\"value\":"
                     "{\"stringValue\":\"back\"}}]}] "
                     "links=[{\"traceId\":\"00000000000000000000000000000002\",\"spanId\":\"0000000000000003\"}] "
                     "{host=\"own\", \"http.status_code\"=\"503\", \"k8s.pod.name\"=\"p\"}\n");
    ck_assert_uint_eq(o.accepted, 1);
    buf_free(&body);
    buf_free(&rows);
    arena_free(&a);
}
END_TEST

START_TEST(refuses_a_span_by_name)
{
    struct buf body = BUF_INIT(1 << 20), rows = BUF_INIT(1 << 20);
    struct arena a = ARENA_INIT(1 << 20);
    struct push_outcome o;

    put_jaeger_batch(&body, 0);
    ck_assert_int_eq(decode(buf_view(&body), &a, &rows, &o, NULL), 0);
    ck_assert_uint_eq(o.refused, 1);
    ck_assert_str_eq(o.why, "span 1: spanId is zero");
    buf_free(&body);
    buf_free(&rows);
    arena_free(&a);
}
END_TEST

START_TEST(refuses_what_is_cut)
{
    struct buf body = BUF_INIT(1 << 20), rows = BUF_INIT(1 << 20);
    struct arena whole = ARENA_INIT(1 << 20);
    struct push_outcome longer;

    put_jaeger_batch(&body, 7);
    for (size_t n = 0; n < body.n; n++) {
        struct arena a = ARENA_INIT(1 << 20);
        struct push_outcome o;
        struct err e = ERR_INIT;
        char *copy = malloc(n + 1);

        memcpy(copy, body.p, n);
        ck_assert_int_eq(decode((struct str){ copy, n }, &a, &rows, &o, &e), ERR_PARSE);
        ck_assert_msg(strncmp(e.msg, "thrift: byte ", 13) == 0, "%s", e.msg);
        free(copy);
        arena_free(&a);
    }
    buf_putc(&body, 'x');
    ck_assert_int_eq(decode(buf_view(&body), &whole, &rows, &longer, NULL), ERR_PARSE);
    arena_free(&whole);
    buf_free(&body);
    buf_free(&rows);
}
END_TEST

START_TEST(survives_failing_allocations)
{
    struct buf body = BUF_INIT(1 << 20);
    bool failed = true;

    put_jaeger_batch(&body, 7);
    for (long n = 1; failed; n++) {
        struct arena a = ARENA_INIT(1 << 20);
        struct push_outcome o;
        struct err e = ERR_INIT;
        struct batch b;
        int rc;

        batch_init(&b, &a);
        mem_fail_at(n);
        rc = jaeger_thrift_decode(buf_view(&body), &b, &o, &e);
        failed = mem_has_failed();
        mem_fail_at(0);
        ck_assert_msg(failed ? rc == ERR_NOMEM : rc == 0, "%ld: %d %s", n, rc, e.msg);
        arena_free(&a);
    }
    buf_free(&body);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("jaeger_thrift");
    TCase *t = tcase_create("jaeger_thrift");

    tcase_add_test(t, reads_a_span);
    tcase_add_test(t, refuses_a_span_by_name);
    tcase_add_test(t, refuses_what_is_cut);
    tcase_add_test(t, survives_failing_allocations);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
