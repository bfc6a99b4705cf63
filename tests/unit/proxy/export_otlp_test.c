#include "proxy/otlp-internal.h"
#include "proxy/texts.h"

#include "base/mem.h"
#include "tests/unit/proxy/look.h"

static const struct workload self = {
    .pod = STR_INIT("gateway-0"),
    .name = STR_INIT("istio-ingressgateway"),
    .ns = STR_INIT("istio-system"),
    .app = STR_INIT("gateway"),
    .version = STR_INIT("v7"),
    .canonical_service = STR_INIT("gateway"),
    .canonical_revision = STR_INIT("v7"),
    .principal = STR_INIT("unknown"),
    .cluster = STR_INIT("Kubernetes"),
    .ip = STR_INIT("127.0.0.1"),
};
static const struct otlp_span_origin origin = { STR_INIT("sidecar~127.0.0.1~gateway-0.istio-system~x"), &self };

static const struct {
    size_t key, value;
} lengths[] = { { 0, 0 }, { 1, 0 }, { 4, 117 }, { 4, 118 }, { 4, 119 }, { 4, 120 }, { 4, 121 }, { 4, 122 },
                { 4, 123 }, { 4, 124 }, { 4, 125 }, { 4, 126 }, { 4, 127 }, { 4, 128 }, { 127, 3 }, { 128, 3 },
                { 9, 16380 }, { 9, 16383 }, { 9, 16384 }, { 9, 70000 } };

/* Lengths are computed by hand, and each step of a varint's size is a chance to be wrong. */
START_TEST(attribute_lengths)
{
    struct buf b = BUF_INIT(1 << 20);
    char *bytes = malloc(70000);
    struct str key = { bytes, lengths[_i].key }, value = { bytes, lengths[_i].value }, pair;

    memset(bytes, 'k', 70000);
    otlp_text(&b, 6, key, value);
    otlp_text(&b, 6, STR("next"), STR("one"));
    ck_assert(!buf_failed(&b));
    ck_assert_uint_eq(look_count(buf_view(&b), 6), 2);
    pair = look_bytes(buf_view(&b), 6, 0);
    ck_assert(str_eq(look_bytes(pair, 1, 0), key));
    ck_assert(str_eq(look_bytes(look_bytes(pair, 2, 0), 1, 0), value));
    ck_assert(str_eqz(look_text(buf_view(&b), 6, "next"), "one"));
    free(bytes);
    buf_free(&b);
}
END_TEST

static const int64_t numbers[] = { 0, 1, 127, 128, 16383, 16384, INT32_MAX, INT64_MAX, -1 };

START_TEST(attribute_numbers)
{
    struct buf b = BUF_INIT(1 << 10);

    otlp_int(&b, 6, STR("n"), numbers[_i]);
    ck_assert_int_eq((int64_t)look_number(look_attribute(buf_view(&b), 6, "n"), 3), numbers[_i]);
    buf_free(&b);
}
END_TEST

START_TEST(attribute_is_utf8)
{
    struct buf b = BUF_INIT(1 << 10);

    otlp_text(&b, 6, STR("path"), STR("/caf\xe9/\xc3\xa9"));
    ck_assert(str_eqz(look_text(buf_view(&b), 6, "path"), "/caf\xef\xbf\xbd/\xc3\xa9"));
    buf_free(&b);
}
END_TEST

START_TEST(resource_names_the_proxy)
{
    struct workload nameless = self;
    struct buf b = BUF_INIT(1 << 12);

    otlp_resource(&b, &self, "");
    ck_assert(str_eqz(look_text(buf_view(&b), 1, "service.name"), "gateway.istio-system"));
    ck_assert(str_eqz(look_text(buf_view(&b), 1, "service.instance.id"), "gateway-0.istio-system"));
    ck_assert(str_eqz(look_text(buf_view(&b), 1, "service.version"), "v7"));
    ck_assert(str_eqz(look_text(buf_view(&b), 1, "app"), "gateway"));
    ck_assert(str_eqz(look_text(buf_view(&b), 1, "k8s.pod.name"), "gateway-0"));
    ck_assert(str_eqz(look_text(buf_view(&b), 1, "k8s.namespace.name"), "istio-system"));
    ck_assert(str_eqz(look_text(buf_view(&b), 1, "k8s.deployment.name"), "istio-ingressgateway"));
    buf_reset(&b);
    nameless.app = STR("unknown");
    otlp_resource(&b, &nameless, "");
    ck_assert(str_eqz(look_text(buf_view(&b), 1, "service.name"), "istio-ingressgateway.istio-system"));
    buf_free(&b);
}
END_TEST

START_TEST(log_has_every_field_that_is_set)
{
    struct record rec = look_request(1700000000123456789, 200);
    struct buf b = BUF_INIT(1 << 16);
    struct str log;

    rec.log.trace_id = STR("0123456789abcdef0123456789abcdef");
    rec.log.span_id = STR("fedcba9876543210");
    otlp_log(&b, &rec, STR("[…] \"GET / HTTP/1.1\" 200"));
    log = look_bytes(buf_view(&b), OTLP_RECORD, 0);
    ck_assert_uint_eq(look_number(log, 1), 1700000000123456789u);
    ck_assert(str_eqz(look_bytes(look_bytes(log, 5, 0), 1, 0), "[…] \"GET / HTTP/1.1\" 200"));
    ck_assert(str_eq(look_bytes(log, 9, 0), STR("\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef")));
    ck_assert(str_eq(look_bytes(log, 10, 0), STR("\xfe\xdc\xba\x98\x76\x54\x32\x10")));
    for (int i = 0; i < ACCESS_LOG_NFIELDS; i++) {
        const struct access_log_field_info *f = &access_log_fields[i];
        struct str value = look_attribute(log, 6, f->name.p), text;
        int64_t number;

        if (i == ACCESS_LOG_pod) {
            ck_assert(value.p == NULL); /* the resource says it */
            continue;
        }
        memcpy(&text, (char *)&rec.log + f->offset, f->is_text ? sizeof(text) : 0);
        memcpy(&number, (char *)&rec.log + f->offset, sizeof(number));
        if (f->is_text)
            ck_assert_msg(str_eq(look_bytes(value, 1, 0), text), "%s", f->name.p);
        else
            ck_assert_msg(number < 0 ? value.p == NULL : (int64_t)look_number(value, 3) == number, "%s", f->name.p);
    }
    ck_assert(look_attribute(log, 6, "response_flags").p == NULL);
    buf_free(&b);
}
END_TEST

static const struct {
    const char *trace, *span;
    bool is_one;
} ids[] = {
    { "0123456789abcdef0123456789abcdef", "0123456789abcdef", true },
    { "0123456789ABCDEF", "0123456789ABCDEF", true }, /* B3's short form */
    { "", "0123456789abcdef", false },
    { "0123456789abcdef0123456789abcdef", "", false },
    { "0123456789abcdef0123456789abcdeg", "0123456789abcdef", false },
    { "0123456789abcdef0123456789abcdef0", "0123456789abcdef", false },
    { "0123456789abcdef0123456789abcdef", "0123456789abcdef00", false },
};

START_TEST(spans_need_ids)
{
    struct record rec = look_request(1, 200);
    struct buf b = BUF_INIT(1 << 16);

    rec.log.trace_id = str_of(ids[_i].trace);
    rec.log.span_id = str_of(ids[_i].span);
    ck_assert(otlp_span(&b, &rec, &origin) == ids[_i].is_one);
    ck_assert((b.n > 0) == ids[_i].is_one);
    if (ids[_i].is_one)
        ck_assert_uint_eq(look_bytes(look_bytes(buf_view(&b), OTLP_RECORD, 0), 1, 0).n, 16);
    buf_free(&b);
}
END_TEST

static const struct {
    int code;
    bool is_client, is_error;
    const char *parent;
} spans[] = {
    { 200, true, false, "" }, { 404, false, false, "1111111111111111" }, { 503, true, true, "" }, { 0, true, true, "" },
};

START_TEST(span_has_envoys_tags)
{
    enum { TAGS = 9 };
    struct record rec = look_request(1700000000000000000, spans[_i].code);
    struct buf b = BUF_INIT(1 << 16);
    char code[8];
    struct str span;

    rec.log.trace_id = STR("0123456789abcdef0123456789abcdef");
    rec.log.span_id = STR("fedcba9876543210");
    rec.parent_span_id = str_of(spans[_i].parent);
    rec.span_is_client = spans[_i].is_client;
    rec.operation = STR("frontend.guestbook.svc.cluster.local:80/*");
    ck_assert(otlp_span(&b, &rec, &origin));
    span = look_bytes(buf_view(&b), OTLP_RECORD, 0);
    ck_assert_uint_eq(look_bytes(span, 4, 0).n, strlen(spans[_i].parent) / 2);
    ck_assert(str_eqz(look_bytes(span, 5, 0), "frontend.guestbook.svc.cluster.local:80/*"));
    ck_assert_uint_eq(look_number(span, 6), spans[_i].is_client ? 3 : 2);
    ck_assert_uint_eq(look_number(span, 7), 1700000000000000000u);
    ck_assert_uint_eq(look_number(span, 8), 1700000000000000000u + 4200000);
    snprintf(code, sizeof(code), "%d", spans[_i].code);
    ck_assert(str_eqz(look_text(span, TAGS, "http.status_code"), code));
    ck_assert(str_eqz(look_text(span, TAGS, "component"), "proxy"));
    ck_assert(str_eqz(look_text(span, TAGS, "guid:x-request-id"), "84961386-6d84-4929-98bd-c5aee93b5c88"));
    ck_assert(str_eqz(look_text(span, TAGS, "http.url"), "http://guestbook.lvh.me:8080/guestbook.php?cmd=get"));
    ck_assert(str_eqz(look_text(span, TAGS, "peer.address"), "127.0.0.1"));
    ck_assert(str_eqz(look_text(span, TAGS, "response_size"), "1234"));
    ck_assert(str_eqz(look_text(span, TAGS, "response_flags"), "-"));
    ck_assert(str_eqz(look_text(span, TAGS, "istio.canonical_service"), "gateway"));
    ck_assert(str_eqz(look_text(span, TAGS, "istio.namespace"), "istio-system"));
    ck_assert((look_text(span, TAGS, "error").n > 0) == spans[_i].is_error);
    ck_assert_uint_eq(look_number(look_bytes(span, 15, 0), 3), spans[_i].is_error ? 2 : UINT64_MAX);
    buf_free(&b);
}
END_TEST

START_TEST(policies_shape_spans)
{
    enum { TAGS = 9 };
    struct record rec = look_request(1700000000000000000, 200);
    struct buf b = BUF_INIT(1 << 16), tags = BUF_INIT(TEXTS_MOST);
    struct str span;

    rec.log.trace_id = STR("0123456789abcdef0123456789abcdef");
    rec.log.span_id = STR("fedcba9876543210");
    rec.no_span = true;
    ck_assert(!otlp_span(&b, &rec, &origin));
    ck_assert_uint_eq(b.n, 0);
    rec.no_span = false;
    rec.no_istio_tags = true;
    ck_assert(texts_put(&tags, STR("cell")) && texts_put(&tags, STR("north")) && texts_put(&tags, STR("agent")) &&
              texts_put(&tags, STR("curl")));
    rec.span_tags = buf_view(&tags);
    ck_assert(otlp_span(&b, &rec, &origin));
    span = look_bytes(buf_view(&b), OTLP_RECORD, 0);
    ck_assert(str_eqz(look_text(span, TAGS, "cell"), "north"));
    ck_assert(str_eqz(look_text(span, TAGS, "agent"), "curl"));
    ck_assert(str_eqz(look_text(span, TAGS, "component"), "proxy"));
    ck_assert_uint_eq(look_text(span, TAGS, "istio.canonical_service").n, 0);
    buf_free(&tags);
    buf_free(&b);
}
END_TEST

static const size_t record_bytes[] = { 0, 1, 40, 100, 127, 128, 16000, 16384, 3000000 };

START_TEST(request_wraps_records)
{
    struct buf b = BUF_INIT(4 << 20);
    char *bytes = calloc(1, record_bytes[_i] + 1);
    struct buf records = BUF_INIT(4 << 20);
    struct str resource = STR("\x0a\x00"), part;

    pb_put_str(&records, OTLP_RECORD, (struct str){ bytes, record_bytes[_i] });
    otlp_request_head(&b, resource, STR("vigla.access_log"), records.n);
    buf_str(&b, buf_view(&records));
    part = look_bytes(buf_view(&b), 1, 0);
    ck_assert(str_eq(look_bytes(part, 1, 0), resource));
    ck_assert(str_eqz(look_bytes(look_bytes(look_scope(buf_view(&b)), 1, 0), 1, 0), "vigla.access_log"));
    ck_assert_uint_eq(look_bytes(look_scope(buf_view(&b)), OTLP_RECORD, 0).n, record_bytes[_i]);
    free(bytes);
    buf_free(&b);
    buf_free(&records);
}
END_TEST

START_TEST(says_when_memory_is_short)
{
    struct record rec = look_request(1, 200);

    rec.log.trace_id = STR("0123456789abcdef0123456789abcdef");
    rec.log.span_id = STR("fedcba9876543210");
    rec.log.path = STR("/\xff");
    for (long n = 1;; n++) {
        struct buf b = BUF_INIT(1 << 16);
        bool failed;

        mem_fail_at(n);
        otlp_resource(&b, &self, "");
        otlp_log(&b, &rec, STR("line \xff"));
        otlp_span(&b, &rec, &origin);
        failed = mem_has_failed();
        mem_fail_at(0);
        ck_assert(buf_failed(&b) || !failed || look_count(buf_view(&b), OTLP_RECORD) == 2);
        buf_free(&b);
        if (!failed)
            break;
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("export_otlp");
    TCase *t = tcase_create("export_otlp");

    tcase_add_loop_test(t, attribute_lengths, 0, COUNT(lengths));
    tcase_add_loop_test(t, attribute_numbers, 0, COUNT(numbers));
    tcase_add_test(t, attribute_is_utf8);
    tcase_add_test(t, resource_names_the_proxy);
    tcase_add_test(t, log_has_every_field_that_is_set);
    tcase_add_loop_test(t, spans_need_ids, 0, COUNT(ids));
    tcase_add_loop_test(t, span_has_envoys_tags, 0, COUNT(spans));
    tcase_add_test(t, policies_shape_spans);
    tcase_add_loop_test(t, request_wraps_records, 0, COUNT(record_bytes));
    tcase_add_test(t, says_when_memory_is_short);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
