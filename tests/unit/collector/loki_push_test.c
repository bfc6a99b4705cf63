#include "base/mem.h"
#include "collector/loki_push.h"
#include "collector/severity.h"
#include "tests/unit/collector/dump.h"
#include "tests/unit/collector/push_request.h"
#include "tests/unit/unit.h"

#include <stdio.h>

#define NO_SEVERITY " severity_number=0"

static const struct {
    const char *body, *rows;
    uint64_t refused;
    const char *why;
} bodies[] = {
    { "{\"streams\":[]}", "", 0, "" },
    { "{\"later\":{\"a\":[1,null]},\"streams\":[{\"stream\":{\"job\":\"x\"},\"values\":[[\"5\",\"one\"],[\"6\",\"two\"]]}]}",
      "log 5 body=one" NO_SEVERITY " {job=\"x\"}\nlog 6 body=two" NO_SEVERITY " {job=\"x\"}\n", 0, "" },
    /* lines before the labels they belong to */
    { "{\"streams\":[{\"values\":[[\"5\",\"one\"]],\"stream\":{\"job\":\"x\"}}]}",
      "log 5 body=one" NO_SEVERITY " {job=\"x\"}\n", 0, "" },
    /* labels that have a column; aliases fill it and stay */
    { "{\"streams\":[{\"stream\":{\"namespace\":\"n\",\"pod\":\"p\",\"container\":\"c\",\"app\":\"a\",\"service\":\"s\","
      "\"workload\":\"w\",\"version\":\"v\"},\"values\":[[\"5\",\"one\"]]}]}",
      "log 5 body=one" NO_SEVERITY " pod=p namespace=n workload=w app=a version=v container=c service=s {}\n", 0, "" },
    { "{\"streams\":[{\"stream\":{\"service_name\":\"s\",\"level\":\"WARN\",\"deployment\":\"d\"},\"values\":[[\"5\",\"one\"]]}]}",
      "log 5 body=one severity=WARN severity_number=13 workload=d service=s "
      "{deployment=\"d\", level=\"WARN\", service_name=\"s\"}\n", 0, "" },
    { "{\"streams\":[{\"stream\":{\"service\":\"own\",\"service_name\":\"other\"},\"values\":[[\"5\",\"one\"]]}]}",
      "log 5 body=one" NO_SEVERITY " service=own {service_name=\"other\"}\n", 0, "" },
    /* structured metadata: of its line alone; the stream's labels win; empty values are none */
    { "{\"streams\":[{\"stream\":{\"job\":\"x\"},\"values\":[[\"5\",\"one\",{\"trace_id\":\"ab\",\"job\":\"y\",\"user\":\"u\","
      "\"none\":\"\"}],[\"6\",\"two\"]]}]}",
      "log 5 body=one" NO_SEVERITY " trace_id=ab {job=\"x\", user=\"u\"}\nlog 6 body=two" NO_SEVERITY " {job=\"x\"}\n", 0, "" },
    { "{\"streams\":[{\"stream\":{\"job\":\"x\"},\"values\":[[\"5\",\"a \\\"b\\\" \\u00e9\"]]}]}",
      "log 5 body=a \"b\" é" NO_SEVERITY " {job=\"x\"}\n", 0, "" },
    /* the access log of a proxy is a line like others */
    { "{\"streams\":[{\"stream\":{\"kind\":\"access_log\"},\"values\":[[\"5\",\"{\\\"response_code\\\":200}\"]]}]}",
      "log 5 body={\"response_code\":200}" NO_SEVERITY " {kind=\"access_log\"}\n", 0, "" },
    { "{\"streams\":[{\"stream\":{},\"values\":[[\"5\",\"one\"],[\"5\",\"two\"]]},{\"stream\":{\"a\":\"b\"},\"values\":[[\"-5\",\"old\"]]}]}",
      "log -5 body=old" NO_SEVERITY " {a=\"b\"}\n", 2, "error at least one label pair is required per stream" },
    { "{\"streams\":[{\"stream\":{\"a\":\"b\",\"a\":\"c\"},\"values\":[[\"5\",\"one\"]]}]}", "", 1,
      "stream '{a=\"b\", a=\"c\"}' has duplicate label name" },
};

static int decode(enum loki_encoding encoding, struct str body, struct arena *a, struct buf *rows, struct push_outcome *o,
                  struct err *e)
{
    struct batch b;
    int rc;

    batch_init(&b, a);
    rc = loki_push_decode(encoding, body, &b, o, e);
    dump_batch(rows, &b);
    return rc;
}

START_TEST(reads_json)
{
    struct arena a = ARENA_INIT(1 << 20);
    struct buf rows = BUF_INIT(1 << 20);
    struct push_outcome o;
    struct err e = ERR_INIT;
    int rc = decode(LOKI_JSON, str_of(bodies[_i].body), &a, &rows, &o, &e);

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
    { "", "json: byte 0: should be '{'" },
    { "{\"streams\":[{\"stream\":{\"a\":1}}]}", "json: byte 27: should be a string" },
    { "{\"streams\":[{\"stream\":{\"a\":\"b\"},\"values\":[[5,\"one\"]]}]}", "json: byte 43: should be a string" },
    { "{\"streams\":[{\"stream\":{\"a\":\"b\"},\"values\":[[\"5s\",\"one\"]]}]}",
      "json: byte 47: the string before should be a time in nanoseconds" },
    { "{\"streams\":[{\"stream\":{\"a\":\"b\"},\"values\":[[\"5\"]]}]}", "json: byte 46: should be ','" },
    { "{\"streams\":[]} x", "json: byte 15: nothing should follow the request" },
    { "{\"streams\":[{\"stream\":{\"a\":\"b\"},\"values\":[[\"5\",\"one\",{\"n\":{}}]]}]}", "json: byte 58: should be a string" },
};

START_TEST(refuses_json)
{
    struct arena a = ARENA_INIT(1 << 20);
    struct buf rows = BUF_INIT(1 << 20);
    struct push_outcome o;
    struct err e = ERR_INIT;

    ck_assert_int_eq(decode(LOKI_JSON, str_of(malformed[_i].body), &a, &rows, &o, &e), ERR_PARSE);
    ck_assert_str_eq(e.msg, malformed[_i].msg);
    buf_free(&rows);
    arena_free(&a);
}
END_TEST

/* The labels of a stream as text; `attributes` NULL: refused with `why`. */
static const struct {
    const char *text, *attributes, *why;
} labels[] = {
    { "{a=\"b\"}", "{a=\"b\"}", "" },
    { " { a = \"b\" , c:d=`\\x` , } ", "{a=\"b\", \"c:d\"=\"\\\\x\"}", "" },
    { "{a=\"q\\\" b\\\\ n\\n \\x41 \\101 \\u00e9 \\U0001F600\"}", "{a=\"q\\\" b\\\\ n\\n A A é 😀\"}", "" },
    { "{k8s.pod-name=\"b\"}", "{\"k8s.pod-name\"=\"b\"}", "" },
    { "", NULL, "error parsing labels '' with error: 1:1: parse error: should be {" },
    { "{}", NULL, "error at least one label pair is required per stream" },
    { "{a=b}", NULL, "error parsing labels '{a=b}' with error: 1:4: parse error: should be a string" },
    { "{a~\"b\"}", NULL, "error parsing labels '{a~\"b\"}' with error: 1:3: parse error: should be =" },
    { "{a=\"b\" c=\"d\"}", NULL, "error parsing labels '{a=\"b\" c=\"d\"}' with error: 1:8: parse error: should be , or }" },
    { "{a=\"b", NULL, "error parsing labels '{a=\"b' with error: 1:6: parse error: the string does not end" },
    { "{a=\"\\q\"}", NULL, "error parsing labels '{a=\"\\q\"}' with error: 1:7: parse error: no such escape in a string" },
    { "{a=\"\\ud800\"}", NULL, "error parsing labels '{a=\"\\ud800\"}' with error: 1:11: parse error: no such escape in a string" },
    { "{a=\"\\xff\"}", NULL, "a stream's label is not UTF-8" },
    { "{a=\"b\"} {", NULL, "error parsing labels '{a=\"b\"} {' with error: 1:9: parse error: nothing should follow }" },
    { "{1=\"b\"}", NULL, "error parsing labels '{1=\"b\"}' with error: 1:2: parse error: should be a label's name" },
};

START_TEST(reads_labels)
{
    struct arena a = ARENA_INIT(1 << 20);
    struct buf rows = BUF_INIT(1 << 20), message = BUF_INIT(1 << 20);
    char expected[512] = "";
    struct push_outcome o;
    struct err e = ERR_INIT;

    put_stream(&message, str_of(labels[_i].text), 1700000000123456789, STR("one"), (struct labels){ NULL, 0 });
    ck_assert_int_eq(decode(LOKI_PROTOBUF, buf_view(&message), &a, &rows, &o, &e), 0);
    if (labels[_i].attributes)
        snprintf(expected, sizeof(expected), "log 1700000000123456789 body=one" NO_SEVERITY " %s\n", labels[_i].attributes);
    buf_putc(&rows, '\0');
    ck_assert_str_eq(rows.p, expected);
    ck_assert_str_eq(o.why, labels[_i].why);
    ck_assert_uint_eq(o.refused, labels[_i].attributes == NULL);
    buf_free(&rows);
    buf_free(&message);
    arena_free(&a);
}
END_TEST

START_TEST(keeps_metadata_of_protobuf)
{
    const struct label pairs[] = { { STR_INIT("span_id"), STR_INIT("cd") }, { STR_INIT("user"), STR_INIT("u") } };
    struct arena a = ARENA_INIT(1 << 20);
    struct buf rows = BUF_INIT(1 << 20), message = BUF_INIT(1 << 20);
    struct push_outcome o;

    put_stream(&message, STR("{job=\"x\"}"), 5, STR("\xff!"), (struct labels){ pairs, 2 });
    ck_assert_int_eq(decode(LOKI_PROTOBUF, buf_view(&message), &a, &rows, &o, NULL), 0);
    buf_putc(&rows, '\0');
    ck_assert_str_eq(rows.p, "log 5 body=\xef\xbf\xbd!" NO_SEVERITY " span_id=cd {job=\"x\", user=\"u\"}\n");
    buf_free(&rows);
    buf_free(&message);
    arena_free(&a);
}
END_TEST

/* Every message that is cut short is refused as a whole or read up to there; nothing is read behind it. */
START_TEST(bears_what_is_cut)
{
    const struct label pairs[] = { { STR_INIT("user"), STR_INIT("u") } };
    struct buf message = BUF_INIT(1 << 20);

    put_stream(&message, STR("{job=\"x\"}"), 5, STR("line"), (struct labels){ pairs, 1 });
    for (size_t n = 1; n < message.n; n++) {
        struct arena a = ARENA_INIT(1 << 20);
        struct buf rows = BUF_INIT(1 << 20);
        struct push_outcome o;
        char *copy = malloc(n);

        memcpy(copy, message.p, n);
        ck_assert_int_eq(decode(LOKI_PROTOBUF, (struct str){ copy, n }, &a, &rows, &o, NULL), ERR_PARSE);
        free(copy);
        buf_free(&rows);
        arena_free(&a);
    }
    buf_free(&message);
}
END_TEST

static void fill(struct buf *b, char c, size_t n)
{
    memset(buf_reserve(b, n), c, n);
    b->n += n;
}

/* One too long or one too many: a line of 256 KiB + 1, a value of 2 KiB + 1, 31 labels, 129 pieces of metadata. */
START_TEST(refuses_what_is_too_large)
{
    struct arena a = ARENA_INIT(8 << 20);
    struct buf rows = BUF_INIT(8 << 20), message = BUF_INIT(8 << 20), text = BUF_INIT(8 << 20);
    struct label pairs[129];
    struct push_outcome o;
    struct err e = ERR_INIT;

    fill(&text, 'x', (256 << 10) + 1);
    put_stream(&message, STR("{job=\"x\"}"), 5, buf_view(&text), (struct labels){ NULL, 0 });
    buf_reset(&text);
    buf_puts(&text, "{job=\"");
    fill(&text, 'x', 2049);
    buf_puts(&text, "\"}");
    put_stream(&message, buf_view(&text), 5, STR("line"), (struct labels){ NULL, 0 });
    buf_reset(&text);
    for (int i = 0; i <= 30; i++)
        buf_printf(&text, "%sl%d=\"x\"", i ? "," : "{", i);
    buf_putc(&text, '}');
    put_stream(&message, buf_view(&text), 5, STR("line"), (struct labels){ NULL, 0 });
    for (int i = 0; i < 129; i++)
        pairs[i] = (struct label){ arena_printf(&a, "m%d", i), STR("x") };
    put_stream(&message, STR("{job=\"x\"}"), 5, STR("line"), (struct labels){ pairs, 129 });
    put_stream(&message, STR("{job=\"x\"}"), 5, STR("good"), (struct labels){ pairs, 0 });

    ck_assert_int_eq(decode(LOKI_PROTOBUF, buf_view(&message), &a, &rows, &o, &e), 0);
    ck_assert_uint_eq(o.refused, 4);
    ck_assert_uint_eq(o.accepted, 1);
    ck_assert_str_eq(o.why, "Max entry size '262144' bytes exceeded for stream '{job=\"x\"}' while adding an entry with "
                            "length '262145' bytes");
    buf_free(&rows);
    buf_free(&message);
    buf_free(&text);
    arena_free(&a);
}
END_TEST

START_TEST(survives_failing_allocations)
{
    struct str body = str_of(bodies[6].body);

    for (long n = 1;; n++) {
        struct arena a = ARENA_INIT(1 << 20);
        struct push_outcome o;
        struct err e = ERR_INIT;
        struct batch b;
        bool failed;
        int rc;

        batch_init(&b, &a);
        mem_fail_at(n);
        rc = loki_push_decode(LOKI_JSON, body, &b, &o, &e);
        failed = mem_has_failed();
        mem_fail_at(0);
        ck_assert_msg(failed ? rc == ERR_NOMEM : rc == 0, "%ld: %d %s", n, rc, e.msg);
        arena_free(&a);
        if (!failed)
            break;
    }
}
END_TEST

START_TEST(knows_severities)
{
    ck_assert_int_eq(severity_number(STR("Warning")), 13);
    ck_assert_int_eq(severity_number(STR("ERROR")), 17);
    ck_assert_int_eq(severity_number(STR("verbose")), 0);
    ck_assert_int_eq(severity_number(STR_NULL), 0);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("loki_push");
    TCase *t = tcase_create("loki_push");

    tcase_add_loop_test(t, reads_json, 0, COUNT(bodies));
    tcase_add_loop_test(t, refuses_json, 0, COUNT(malformed));
    tcase_add_loop_test(t, reads_labels, 0, COUNT(labels));
    tcase_add_test(t, keeps_metadata_of_protobuf);
    tcase_add_test(t, bears_what_is_cut);
    tcase_add_test(t, refuses_what_is_too_large);
    tcase_add_test(t, survives_failing_allocations);
    tcase_add_test(t, knows_severities);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
