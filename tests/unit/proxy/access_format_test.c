/* access_format_test.c: Envoy's operators one by one, both of Istio's defaults, and what is refused where. */
#include "proxy/access_format.h"

#include "base/mem.h"
#include "base/rand.h"
#include "proxy/access_time.h"
#include "proxy/texts.h"
#include "proxy/tls_told.h"
#include "tests/unit/proxy/look.h"

/* 2023-11-14T22:13:20.123456789Z */
static const int64_t start = 1700000000123456789;

static struct record full(void)
{
    struct record rec = look_request(start, 200);
    struct access_log *l = &rec.log;

    rec.request_us = 1000;
    rec.tries = 2;
    rec.upstream_http2 = true;
    l->bytes_received = 100;
    l->duration_us = 9900;
    l->response_flags = STR("UF,URX");
    l->downstream_local_address = STR("[::1]:8080");
    l->upstream_local_address = STR("127.10.0.3:41854");
    l->source_principal = STR("spiffe://cluster.local/ns/a/sa/b");
    l->destination_principal = STR("spiffe://cluster.local/ns/c/sa/d");
    l->grpc_response_status = STR("5");
    l->trace_id = STR("0af7651916cd43dd8448eb211c80319c");
    l->requested_server_name = STR("a \"quoted\\name\"\n");
    return rec;
}

static struct str render(struct arena *a, const char *format, struct record *rec, struct buf *out, struct err *e)
{
    const struct access_format *f = access_format_compile(a, str_of(format), e);
    struct rng rng;
    const struct access_format_context with = { STR_INIT("gateway-0"), &rng };

    rng_seed(&rng);
    if (!f)
        return STR_NULL;
    access_format_render(f, out, rec, &with);
    ck_assert(!buf_failed(out) && out->n && out->p[out->n - 1] == '\n');
    return (struct str){ out->p, out->n - 1 };
}

static const struct {
    const char *format, *line;
} lines[] = {
    { "%%|100%%", "%|100%" },
    { "[%START_TIME%]", "[2023-11-14T22:13:20.123Z]" },
    { "%START_TIME(%Y/%m/%dT%H:%M:%S%z %s)%", "2023/11/14T22:13:20+0000 1700000000" },
    { "%START_TIME(%s.%3f|%6f|%9f|%f|%E6S)%", "1700000000.123|123456|123456789|123456789|20.123456" },
    { "%PROTOCOL% %UPSTREAM_PROTOCOL%", "HTTP/1.1 HTTP/2" },
    { "%RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS%", "200 via_upstream -" },
    { "%RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG%", "UF,URX UpstreamConnectionFailure,UpstreamRetryLimitExceeded" },
    { "%BYTES_RECEIVED% %REQUEST_HEADERS_BYTES% %BYTES_SENT% %RESPONSE_HEADERS_BYTES%", "100 200 1234 266" },
    { "%DURATION% %REQUEST_DURATION% %RESPONSE_DURATION% %RESPONSE_TX_DURATION%", "9 1 5 4" },
    { "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)% %COMMON_DURATION(DS_RX_END:US_RX_BEG:ms)%", "9900 4" },
    { "%COMMON_DURATION(DS_TX_BEG:DS_TX_END:ns)% %COMMON_DURATION(US_TX_BEG:US_RX_BEG:ms)%", "4900000 -" },
    { "%COMMON_DURATION(DS_TX_END:DS_RX_BEG:ms)%", "-" },
    { "%UPSTREAM_HOST% %UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "127.10.0.4:10080 127.10.0.4" },
    { "%UPSTREAM_REMOTE_PORT%", "10080" },
    { "%UPSTREAM_LOCAL_ADDRESS% %UPSTREAM_LOCAL_PORT%", "127.10.0.3:41854 41854" },
    { "%UPSTREAM_CLUSTER%", "outbound|80|v1|frontend.guestbook.svc.cluster.local" },
    { "%UPSTREAM_REQUEST_ATTEMPT_COUNT%", "2" },
    { "%UPSTREAM_TRANSPORT_FAILURE_REASON%", "-" },
    { "%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%", "127.0.0.1:52314 127.0.0.1" },
    { "%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_LOCAL_PORT%", "::1 8080" },
    { "%DOWNSTREAM_PEER_URI_SAN% %UPSTREAM_TLS_VERSION%", "- -" },
    { "%REQUESTED_SERVER_NAME%", "a \\x22quoted\\x5cname\\x22\\x0a" },
    { "%REQ(:METHOD)% %REQ(User-Agent)% %REQ(x-request-id):8%", "GET curl/7.88.1 84961386" },
    { "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", "/guestbook.php?cmd=get" },
    { "%REQ_WITHOUT_QUERY(X-ENVOY-ORIGINAL-PATH?:PATH)%", "/guestbook.php" },
    { "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% %RESP(:STATUS)%", "4 200" },
    { "%GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS(NUMBER)% %GRPC_STATUS_NUMBER%", "NotFound NOT_FOUND 5 5" },
    { "%ROUTE_NAME% %HOSTNAME% %TRACE_ID%", "default gateway-0 0af7651916cd43dd8448eb211c80319c" },
    { "%STREAM_ID%", "84961386-6d84-4929-98bd-c5aee93b5c88" },
    { "%ENVIRONMENT(VIGLA_FORMAT_TEST)% %ENVIRONMENT(VIGLA_NO_SUCH)%", "here -" },
    { "%DYNAMIC_METADATA(a:b)% %FILTER_STATE(x:TYPED)% %CEL(request.size > 1)% %VIRTUAL_CLUSTER_NAME%", "- - - -" },
    { "{\"code\": \"%RESPONSE_CODE%\", \"n\": 1.5, \"on\": true, \"no\": null, \"plain\": \"a\\\"b\"}",
      "{\"code\":200,\"n\":1.5,\"on\":true,\"no\":null,\"plain\":\"a\\\"b\"}" },
    { "{\"unset\": \"%CONNECTION_TERMINATION_DETAILS%\", \"mixed\": \"<%CONNECTION_TERMINATION_DETAILS%>\"}",
      "{\"unset\":null,\"mixed\":\"<->\"}" },
    { "{\"way\": \"%REQ(:METHOD)% to %REQUESTED_SERVER_NAME%\", \"in\": {\"list\": [\"%DURATION%\", \"%PROTOCOL%\"]}}",
      "{\"way\":\"GET to a \\\"quoted\\\\name\\\"\\n\",\"in\":{\"list\":[9,\"HTTP/1.1\"]}}" },
    { "{\"percent\": \"100%%\", \"two\": \"%BYTES_SENT%%BYTES_RECEIVED%\"}", "{\"percent\":\"100%\",\"two\":\"1234100\"}" },
};

START_TEST(prints_operators)
{
    struct arena a = ARENA_INIT(1 << 20);
    struct buf out = BUF_INIT(1 << 20);
    struct record rec = full();
    struct err e = ERR_INIT;
    struct str line;

    setenv("VIGLA_FORMAT_TEST", "here", 1);
    line = render(&a, lines[_i].format, &rec, &out, &e);
    ck_assert_msg(str_eqz(line, lines[_i].line), "%s: %.*s, should be %s (%s)", lines[_i].format, STR_ARG(line),
                  lines[_i].line, e.msg);
    buf_free(&out);
    arena_free(&a);
}
END_TEST

/* Istio's default line, as its mesh configuration writes it, is what access_log_text prints. */
static const char istio[] =
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% %RESPONSE_FLAGS% "
    "%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% \"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" %BYTES_RECEIVED% "
    "%BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" "
    "\"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% "
    "%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n";

static const char istio_json[] =
    "{start_time: '%START_TIME%', method: '%REQ(:METHOD)%', path: '%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%', "
    "protocol: '%PROTOCOL%', response_code: '%RESPONSE_CODE%', response_flags: '%RESPONSE_FLAGS%', "
    "response_code_details: '%RESPONSE_CODE_DETAILS%', "
    "connection_termination_details: '%CONNECTION_TERMINATION_DETAILS%', bytes_received: '%BYTES_RECEIVED%', "
    "bytes_sent: '%BYTES_SENT%', duration: '%DURATION%', "
    "upstream_service_time: '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%', x_forwarded_for: '%REQ(X-FORWARDED-FOR)%', "
    "user_agent: '%REQ(USER-AGENT)%', request_id: '%REQ(X-REQUEST-ID)%', authority: '%REQ(:AUTHORITY)%', "
    "upstream_host: '%UPSTREAM_HOST%', upstream_cluster: '%UPSTREAM_CLUSTER_RAW%', "
    "upstream_local_address: '%UPSTREAM_LOCAL_ADDRESS%', downstream_local_address: '%DOWNSTREAM_LOCAL_ADDRESS%', "
    "downstream_remote_address: '%DOWNSTREAM_REMOTE_ADDRESS%', requested_server_name: '%REQUESTED_SERVER_NAME%', "
    "route_name: '%ROUTE_NAME%', upstream_transport_failure_reason: '%UPSTREAM_TRANSPORT_FAILURE_REASON%'}";

static const struct {
    const char *format;
    void (*print)(struct buf *b, const struct access_log *l);
} defaults[] = { { istio, access_log_text }, { istio_json, access_log_json } };

START_TEST(knows_istios_defaults)
{
    struct arena a = ARENA_INIT(1 << 20);
    struct buf out = BUF_INIT(1 << 20), want = BUF_INIT(1 << 20);
    struct record some[] = { full(), look_request(start, 0), { .kind = RECORD_TCP_CLOSE, .request_us = -1 } };
    struct err e = ERR_INIT;

    access_log_init(&some[2].log);
    for (size_t i = 0; i < COUNT(some); i++) {
        buf_reset(&out);
        buf_reset(&want);
        render(&a, defaults[_i].format, &some[i], &out, &e);
        defaults[_i].print(&want, &some[i].log);
        if (i < 2 || _i == 0) /* unset numbers are null there, and 0 by the operators, as Envoy's are */
            ck_assert_msg(str_eq(buf_view(&out), buf_view(&want)), "%.*s%.*s%s", STR_ARG(buf_view(&out)),
                          STR_ARG(buf_view(&want)), e.msg);
    }
    ck_assert_uint_eq(access_format_headers(access_format_compile(&a, STR(istio), NULL))->request.n, 0);
    buf_free(&out);
    buf_free(&want);
    arena_free(&a);
}
END_TEST

/* Names are listed once, in the order of messages; a record's values have that order. */
START_TEST(asks_for_headers)
{
    static const char text[] = "%REQ(X-A)% %RESP(X-B?X-C)% %REQ(x-a?X-D):3% %TRAILER(X-E)% %REQ(:PATH)%";
    struct arena a = ARENA_INIT(1 << 20);
    const struct access_format *f = access_format_compile(&a, STR(text), NULL);
    const struct log_headers *h = access_format_headers(f);
    struct buf values = BUF_INIT(TEXTS_MOST), out = BUF_INIT(1 << 20);
    struct record rec = full();
    struct err e = ERR_INIT;

    ck_assert_uint_eq(h->request.n, 3);
    ck_assert(str_eqz(h->request.v[0], "X-A") && str_eqz(h->request.v[1], "X-D") && str_eqz(h->request.v[2], ":PATH"));
    ck_assert_uint_eq(h->response.n, 2);
    ck_assert_uint_eq(h->trailers.n, 1);
    texts_put(&values, STR_NULL);       /* X-A */
    texts_put(&values, STR("d\"d\nd")); /* X-D */
    texts_put(&values, STR("/"));       /* :PATH */
    texts_put(&values, STR(""));        /* X-B */
    texts_put(&values, STR("c"));       /* X-C */
    texts_put(&values, STR("e"));       /* X-E */
    rec.headers = buf_view(&values);
    ck_assert_str_eq(render(&a, text, &rec, &out, &e).p ? "" : "no line", "");
    ck_assert_msg(str_eqz(buf_view(&out), "- c d\\x22d e /\n"), "%.*s", STR_ARG(buf_view(&out)));
    ck_assert_uint_eq(access_format_headers(NULL)->request.n, 0);
    buf_free(&values);
    buf_free(&out);
    arena_free(&a);
}
END_TEST

/* A record has the client's side's in the order of enum tls_told, then the host's. */
START_TEST(asks_for_tls)
{
    static const char text[] = "%UPSTREAM_PEER_SUBJECT% %DOWNSTREAM_TLS_CIPHER% %DOWNSTREAM_TLS_VERSION% "
                               "%UPSTREAM_PEER_CERT_V_END% %UPSTREAM_PEER_CERT_V_END(%s)%";
    struct arena a = ARENA_INIT(1 << 20);
    const struct log_headers *h = access_format_headers(access_format_compile(&a, STR(text), NULL));
    struct buf values = BUF_INIT(TEXTS_MOST), out = BUF_INIT(1 << 20);
    struct record rec = full();

    ck_assert_uint_eq(h->downstream_tls, 1u << TLS_TOLD_VERSION | 1u << TLS_TOLD_CIPHER);
    ck_assert_uint_eq(h->upstream_tls, 1u << TLS_TOLD_PEER_SUBJECT | 1u << TLS_TOLD_PEER_V_END);
    texts_put(&values, STR("TLSv1.3"));
    texts_put(&values, STR_NULL);
    texts_put(&values, STR("CN=a"));
    texts_put(&values, STR("1700000000"));
    rec.tls = buf_view(&values);
    render(&a, text, &rec, &out, NULL);
    ck_assert_msg(str_eqz(buf_view(&out), "CN=a - TLSv1.3 2023-11-14T22:13:20.000Z 1700000000\n"), "%.*s",
                  STR_ARG(buf_view(&out)));
    buf_reset(&out);
    rec.tls = STR_NULL;
    render(&a, text, &rec, &out, NULL);
    ck_assert(str_eqz(buf_view(&out), "- - - - -\n"));
    buf_free(&values);
    buf_free(&out);
    arena_free(&a);
}
END_TEST

static const struct {
    const char *format, *msg; /* all of it */
} refused[] = {
    { " ", "access log format: it is empty" },
    { "%PROTOCOL% %FOO(x)%",
      "access log format: byte 12, %FOO(x)%: there is no such operator (docs/access-log.md lists them)" },
    { "a %PROTOCOL b", "access log format: byte 3, %PROTOCOL b: should be %OPERATOR%, %OPERATOR(ARGUMENT)%, either with a "
                       "length, or %%" },
    { "%REQ(:PATH):0%", "access log format: byte 1, %REQ(:PATH):0%: should be %OPERATOR%, %OPERATOR(ARGUMENT)%, either "
                        "with a length, or %%" },
    { "%PROTOCOL(x)%", "access log format: byte 1, %PROTOCOL(x)%: it takes nothing in parentheses" },
    { "%REQ(a b)%", "access log format: byte 1, %REQ(a b)%: \"a b\": should be a header field's name, or two with a \"?\" "
                    "between" },
    { "%REQ%", "access log format: byte 1, %REQ%: \"\": should be a header field's name, or two with a \"?\" between" },
    { "%METADATA%", "access log format: byte 1, %METADATA%: it lacks its argument in parentheses" },
    { "%START_TIME(%q)%", "access log format: byte 1, %START_TIME(%q)%: \"%q\": should be a time's form by strftime's "
                          "letters, with %3f, %6f or %9f for fractions" },
    { "%COMMON_DURATION(DS_RX_BEG:END:ms)%",
      "access log format: byte 1, %COMMON_DURATION(DS_RX_BEG:END:ms)%: \"DS_RX_BEG:END:ms\": should be START:END:ms, us or "
      "ns" },
    { "%COMMON_DURATION%", "access log format: byte 1, %COMMON_DURATION%: \"\": should be START:END:ms, us or ns" },
    { "%GRPC_STATUS(X)%", "access log format: byte 1, %GRPC_STATUS(X)%: \"X\": should be CAMEL_STRING, SNAKE_STRING or "
                          "NUMBER" },
    { "{\"a\": {\"b\": \"x %NO%\"}}", "access log format: \"a\": \"b\": byte 3, %NO%: there is no such operator "
                                      "(docs/access-log.md lists them)" },
    { "{\"a\": .inf}", "access log format: \"a\": .inf: JSON has no such number" },
};

START_TEST(refuses)
{
    struct arena a = ARENA_INIT(1 << 20);
    struct err e = ERR_INIT;

    ck_assert(access_format_compile(&a, str_of(refused[_i].format), &e) == NULL);
    ck_assert_str_eq(e.msg, refused[_i].msg);
    arena_free(&a);
}
END_TEST

START_TEST(bounds_the_names_of_headers)
{
    struct arena a = ARENA_INIT(1 << 20);
    struct buf text = BUF_INIT(1 << 20);
    struct err e = ERR_INIT;

    for (int i = 0; i < LOG_HEADERS_MOST; i++)
        buf_printf(&text, "%%%s(X-%d)%% ", i % 2 ? "REQ" : "RESP", i);
    ck_assert(access_format_compile(&a, buf_view(&text), &e) != NULL);
    buf_puts(&text, "%TRAILER(X-MORE)%");
    ck_assert(access_format_compile(&a, buf_view(&text), &e) == NULL);
    ck_assert_int_eq(e.code, ERR_LIMIT);
    buf_free(&text);
    arena_free(&a);
}
END_TEST

/* Each id is another. */
START_TEST(makes_unique_ids)
{
    struct arena a = ARENA_INIT(1 << 20);
    const struct access_format *f = access_format_compile(&a, STR("%UNIQUE_ID%"), NULL);
    struct buf out = BUF_INIT(1 << 20);
    struct record rec = full();
    struct rng rng;
    const struct access_format_context with = { STR_INIT("x"), &rng };

    rng_seed(&rng);
    access_format_render(f, &out, &rec, &with);
    access_format_render(f, &out, &rec, &with);
    ck_assert_uint_eq(out.n, 2 * 37);
    ck_assert(memcmp(out.p, out.p + 37, 37) != 0);
    buf_free(&out);
    arena_free(&a);
}
END_TEST

/* A list of texts keeps what is empty and what is absent apart, and takes no more than fits. */
START_TEST(texts_keep_their_places)
{
    struct buf b = BUF_INIT(TEXTS_MOST);
    char large[TEXTS_LONGEST + 1];
    struct str rest, s;
    size_t n = 0;

    memset(large, 'x', sizeof(large));
    ck_assert(texts_put(&b, STR_NULL) && texts_put(&b, STR("")) && texts_put(&b, STR("a")));
    while (texts_put(&b, (struct str){ large, sizeof(large) }))
        n++;
    ck_assert_uint_le(b.n, TEXTS_MOST);
    rest = buf_view(&b);
    ck_assert(texts_next(&rest).p == NULL);
    s = texts_next(&rest);
    ck_assert(s.p && s.n == 0);
    ck_assert(str_eqz(texts_next(&rest), "a"));
    while (n--)
        ck_assert_uint_eq(texts_next(&rest).n, TEXTS_LONGEST);
    ck_assert(rest.n == 0 && texts_next(&rest).p == NULL);
    buf_free(&b);
}
END_TEST

START_TEST(says_when_memory_is_short)
{
    static const char *const texts[] = { "%REQ(X-A)% %START_TIME% b", "{\"a\": \"%REQ(X-A)%\", \"b\": \"%DURATION% ms\"}" };
    bool short_once = false;

    for (long nth = 1; nth < 1000; nth++) {
        struct arena a = ARENA_INIT(1 << 20);
        struct err e = ERR_INIT;
        const struct access_format *f;

        mem_fail_at(nth);
        f = access_format_compile(&a, str_of(texts[_i]), &e);
        mem_fail_at(0);
        arena_free(&a);
        if (f)
            break;
        ck_assert_msg(e.code == ERR_NOMEM, "%s", e.msg);
        short_once = true;
    }
    ck_assert(short_once);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("access_format");
    TCase *t = tcase_create("access_format");

    tcase_add_loop_test(t, prints_operators, 0, COUNT(lines));
    tcase_add_loop_test(t, knows_istios_defaults, 0, COUNT(defaults));
    tcase_add_test(t, asks_for_headers);
    tcase_add_test(t, asks_for_tls);
    tcase_add_loop_test(t, refuses, 0, COUNT(refused));
    tcase_add_test(t, bounds_the_names_of_headers);
    tcase_add_test(t, makes_unique_ids);
    tcase_add_test(t, texts_keep_their_places);
    tcase_add_loop_test(t, says_when_memory_is_short, 0, 2);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
