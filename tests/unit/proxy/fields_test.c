/* fields_test.c: what goes out of what came in, and the trace that it belongs to. */
#include "proxy/http1_parser.h"
#include "proxy/trace.h"
#include "proxy/response_flags.h"
#include "tests/unit/unit.h"

#include <stdio.h>

static struct http_head head;

static void parse(const char *fields)
{
    static char text[4096];
    struct http1_scan scan = { 0 };
    int n = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", fields);

    ck_assert_int_eq(http1_request(&scan, (struct str){ text, (size_t)n }, &head), HTTP1_DONE);
}

static void expect(const struct fields *f, const char *want)
{
    struct buf b = BUF_INIT(65536);

    fields_write(&b, f);
    ck_assert_msg(str_eqz(buf_view(&b), want), "got:\n%.*swant:\n%s", STR_ARG(buf_view(&b)), want);
    buf_free(&b);
}

static const struct {
    const char *in, *want;
} hops[] = {
    { "X-A: 1\r\nX-B: 2\r\n", "X-A: 1\r\nX-B: 2\r\n" },
    { "Connection: close\r\nX-A: 1\r\n", "X-A: 1\r\n" },
    { "Connection: keep-alive, X-Hop\r\nx-hop: 1\r\nX-A: 1\r\n", "X-A: 1\r\n" },
    { "Connection: X-One\r\nConnection: X-Two\r\nX-One: 1\r\nX-Two: 2\r\nX-Three: 3\r\n", "X-Three: 3\r\n" },
    { "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n", "" },
    { "TE: trailers\r\nTrailer: X\r\nKeep-Alive: 5\r\nProxy-Connection: close\r\nExpect: 100-continue\r\n", "" },
    { "Content-Length: 3\r\nX-A: 1\r\n", "X-A: 1\r\n" },
    { "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n", "Trailer: X-Sum\r\n" },
    { "Content-Length: 3\r\nTrailer: X-Sum\r\n", "" },
};

START_TEST(strips_hop_by_hop)
{
    struct fields f;

    parse(hops[_i].in);
    fields_from_head(&f, &head);
    expect(&f, hops[_i].want);
}
END_TEST

START_TEST(applies_operations)
{
    static const struct header_op ops[] = {
        { .op = HEADER_SET, .name = STR_INIT("x-set"), .value = STR_INIT("new") },
        { .op = HEADER_ADD, .name = STR_INIT("x-add"), .value = STR_INIT("2") },
        { .op = HEADER_ADD, .name = STR_INIT("x-drop"), .value = STR_INIT("added") },
        { .op = HEADER_REMOVE, .name = STR_INIT("X-Drop"), .value = STR_INIT("") },
        { .op = HEADER_SET, .name = STR_INIT("Host"), .value = STR_INIT("b") },
        { .op = HEADER_SET, .name = STR_INIT(":path"), .value = STR_INIT("/x") },
        { .op = HEADER_SET, .name = STR_INIT("content-length"), .value = STR_INIT("7") },
    };
    struct str authority = STR("a");
    struct fields f;

    parse("X-Set: old\r\nX-SET: older\r\nX-Add: 1\r\nX-Drop: came\r\n");
    fields_from_head(&f, &head);
    fields_apply(&f, ops, COUNT(ops), &authority);
    expect(&f, "X-Add: 1\r\nx-set: new\r\nx-add: 2\r\nx-drop: added\r\n");
    ck_assert(str_eqz(authority, "b"));
}
END_TEST

START_TEST(notices_overflow)
{
    struct fields f;

    parse("");
    fields_from_head(&f, &head);
    for (size_t i = 0; i < FIELDS_MOST; i++)
        fields_add(&f, STR("x"), STR("y"));
    ck_assert(!f.overflow);
    fields_add(&f, STR("x"), STR("y"));
    ck_assert(f.overflow);
}
END_TEST

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define SPAN "b7ad6b7169203331"

static const struct {
    const char *in;
    const char *trace, *parent; /* NULL: a new trace */
    bool sampled, w3c, b3_single, b3_multi;
} traces[] = {
    { "", NULL, "", true, true, false, true },
    { "traceparent: 00-" TRACE "-" SPAN "-01\r\n", TRACE, SPAN, true, true, false, false },
    { "traceparent: 00-" TRACE "-" SPAN "-00\r\n", TRACE, SPAN, false, true, false, false },
    { "traceparent: 00-00000000000000000000000000000000-" SPAN "-01\r\n", NULL, "", true, true, false, false },
    { "traceparent: 00-" TRACE "-" SPAN "-01-x\r\n", NULL, "", true, true, false, false },
    { "traceparent: ff-" TRACE "-" SPAN "-01\r\n", NULL, "", true, true, false, false },
    { "traceparent: 01-" TRACE "-" SPAN "-01-x\r\n", TRACE, SPAN, true, true, false, false },
    { "b3: " TRACE "-" SPAN "-1\r\n", TRACE, SPAN, true, false, true, false },
    { "b3: " TRACE "-" SPAN "-0\r\n", TRACE, SPAN, false, false, true, false },
    { "b3: 0\r\n", NULL, "", false, false, true, false },
    { "X-B3-TraceId: 8448eb211c80319c\r\nX-B3-SpanId: " SPAN "\r\nX-B3-Sampled: 1\r\n", "00000000000000008448eb211c80319c", SPAN, true, false, false, true },
    { "X-B3-Sampled: 0\r\n", NULL, "", false, false, false, true },
    { "traceparent: 00-" TRACE "-" SPAN "-01\r\nX-B3-TraceId: 1111111111111111\r\nX-B3-SpanId: " SPAN "\r\n", TRACE, SPAN, true, true, false, true },
};

START_TEST(continues_traces)
{
    struct trace t;
    struct rng rng;

    rng_seed(&rng);
    parse(traces[_i].in);
    trace_start(&t, &head, &rng, 1000000);
    ck_assert_uint_eq(strlen(t.trace_id), 32);
    ck_assert_uint_eq(strlen(t.span_id), 16);
    ck_assert_str_ne(t.span_id, t.parent_id);
    if (traces[_i].trace)
        ck_assert_str_eq(t.trace_id, traces[_i].trace);
    else
        ck_assert_str_ne(t.trace_id, TRACE);
    ck_assert_str_eq(t.parent_id, traces[_i].parent);
    ck_assert_int_eq(t.sampled, traces[_i].sampled);
    ck_assert_int_eq(t.w3c, traces[_i].w3c);
    ck_assert_int_eq(t.b3_single, traces[_i].b3_single);
    ck_assert_int_eq(t.b3_multi, traces[_i].b3_multi);
}
END_TEST

START_TEST(tells_the_next_hop)
{
    struct trace t;
    struct rng rng;
    struct fields f;
    char want[256];

    rng_seed(&rng);
    parse("traceparent: 00-" TRACE "-" SPAN "-01\r\nb3: " TRACE "-" SPAN "-1\r\n");
    trace_start(&t, &head, &rng, 0);
    fields_from_head(&f, &head);
    trace_inject(&t, &f);
    snprintf(want, sizeof(want), "traceparent: 00-" TRACE "-%s-01\r\nb3: " TRACE "-%s-1-" SPAN "\r\n", t.span_id, t.span_id);
    expect(&f, want);
}
END_TEST

START_TEST(samples_a_share)
{
    unsigned sampled = 0;
    struct trace t;
    struct rng rng;

    rng_seed(&rng);
    parse("");
    for (int i = 0; i < 10000; i++) {
        trace_start(&t, &head, &rng, 100000);
        sampled += t.sampled;
    }
    ck_assert_msg(sampled > 880 && sampled < 1120, "%u of 10000, a tenth is right", sampled); /* 4 sigma are 120 */
}
END_TEST

START_TEST(prints_flags)
{
    char text[RESPONSE_FLAGS_TEXT];

    ck_assert(str_eqz(response_flags_text(text, 0), ""));
    ck_assert(str_eqz(response_flags_text(text, FLAG_URX | FLAG_UF), "UF,URX"));
    ck_assert_uint_lt(response_flags_text(text, (1u << (FLAG_BIT_NC + 1)) - 1).n, RESPONSE_FLAGS_TEXT);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("fields");
    TCase *t = tcase_create("fields");

    tcase_add_loop_test(t, strips_hop_by_hop, 0, COUNT(hops));
    tcase_add_test(t, applies_operations);
    tcase_add_test(t, notices_overflow);
    tcase_add_loop_test(t, continues_traces, 0, COUNT(traces));
    tcase_add_test(t, tells_the_next_hop);
    tcase_add_test(t, samples_a_share);
    tcase_add_test(t, prints_flags);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
