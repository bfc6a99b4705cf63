#include "tests/unit/api/server.h"

#include "base/zip.h"
#include "tests/unit/collector/push_request.h"

#define JSON "Content-Type: application/json\r\n"
#define TRACE "0af7651916cd43dd8448eb211c80319c"

static const struct {
    const char *path, *headers, *body;
    int status;
    const char *part;
} pushes[] = {
    { "/loki/api/v1/push", JSON, "{\"streams\":[]}", 204, "" },
    { "/loki/api/v1/push", JSON, "{\"streams\":[{\"stream\":{\"a\":\"b\"},\"values\":[[\"1\",\"x\"]]}]}", 204, "" },
    { "/loki/api/v1/push", "content-type: application/json; charset=utf-8\r\n",
      "{\"streams\":[{\"stream\":{},\"values\":[[\"1\",\"x\"]]}]}", 400,
      "error at least one label pair is required per stream (1 refused, 0 stored)" },
    { "/loki/api/v1/push", JSON, "[]", 400, "json: byte 0: should be '{'" },
    { "/loki/api/v1/push", "", "{\"streams\":[]}", 400, "body: " }, /* is no Snappy */
    { "/loki/api/v1/push", JSON "Content-Encoding: br\r\n", "{}", 415, "should be gzip, zstd or identity" },
    { "/loki/api/v1/push", JSON "Origin: http://elsewhere\r\n", "{\"streams\":[]}", 403, "" },
    { "/api/v2/spans", JSON, "[]", 202, "" },
    { "/api/v2/spans", "", "[{\"traceId\":\"" TRACE "\",\"id\":\"1\",\"timestamp\":5}]", 202, "" },
    { "/api/v2/spans", JSON, "[{\"traceId\":\"x\",\"id\":\"1\"}]", 400, "span 1: traceId should be" },
    { "/api/v2/spans", JSON, "{", 400, "json: byte 0: should be '['" },
    { "/api/v2/spans", "Content-Type: application/x-thrift\r\n", "x", 415, "should be application/json" },
};

START_TEST(answers_pushes)
{
    struct server s;

    server_start(&s, NULL);
    server_expect(&s, "POST", pushes[_i].path, pushes[_i].headers, pushes[_i].body, pushes[_i].status, pushes[_i].part);
    server_stop(&s);
}
END_TEST

START_TEST(takes_protobuf_with_and_without_saying_snappy)
{
    static const char *const headers[] = { "Content-Type: application/x-protobuf\r\n",
                                           "Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n" };
    struct buf message = BUF_INIT(1 << 20), packed = BUF_INIT(1 << 20);
    struct server s;

    server_start(&s, NULL);
    put_stream(&message, STR("{namespace=\"n\"}"), 1700000000123456789, STR("a line"), (struct labels){ NULL, 0 });
    ck_assert_int_eq(snappy_pack(buf_view(&message), &packed, NULL), 0);
    for (size_t i = 0; i < COUNT(headers); i++) {
        struct answer a = client_ask(s.port, "POST", "/loki/api/v1/push", headers[i], buf_view(&packed));

        ck_assert_msg(a.status == 204, "%s", a.bytes);
        answer_free(&a);
    }
    server_expect(&s, "GET", "/loki/api/v1/query_range?query=%7Bnamespace%3D%22n%22%7D&start=1700000000&end=1700000001", "",
                  NULL, 200, "[[\"1700000000123456789\",\"a line\"],[\"1700000000123456789\",\"a line\"]]");
    server_expect(&s, "GET", "/metrics", "", NULL, 200, "vigla_push_items_total{receiver=\"loki\",result=\"accepted\"} 2");
    buf_free(&message);
    buf_free(&packed);
    server_stop(&s);
}
END_TEST

#define SPANS                                                                                                              \
    "[{\"traceId\":\"" TRACE "\",\"id\":\"1\",\"kind\":\"CLIENT\",\"name\":\"call\",\"timestamp\":5000000,\"duration\":700,"   \
    "\"localEndpoint\":{\"serviceName\":\"web\"},\"tags\":{\"n\":\"5\",\"k8s.pod.name\":\"p\"},"                            \
    "\"annotations\":[{\"timestamp\":5000001,\"value\":\"sent\"}]},"                                                       \
    "{\"traceId\":\"" TRACE "\",\"id\":\"1\",\"kind\":\"SERVER\",\"shared\":true,\"name\":\"serve\",\"timestamp\":5000100,"  \
    "\"duration\":500,\"localEndpoint\":{\"serviceName\":\"cart\"},\"tags\":{\"error\":\"full\"}}]"

static const struct {
    const char *path;
    int status;
    const char *part;
} asked[] = {
    { "services", 200, "{\"data\":[\"cart\",\"web\"],\"total\":2,\"limit\":0,\"offset\":0,\"errors\":null}" },
    { "services/web/operations", 200, "{\"data\":[\"call\"],\"total\":1," },
    { "operations?service=cart", 200, "{\"data\":[{\"name\":\"serve\",\"spanKind\":\"server\"}],\"total\":1," },
    { "operations?service=cart&spanKind=client", 200, "{\"data\":[],\"total\":0," },
    { "traces/" TRACE, 200,
      "\"operationName\":\"call\",\"references\":[],\"startTime\":5000000,\"duration\":700,\"tags\":[{\"key\":\"span.kind\","
      "\"type\":\"string\",\"value\":\"client\"}" },
    { "traces/" TRACE, 200, "{\"key\":\"n\",\"type\":\"int64\",\"value\":5}" },
    { "traces/" TRACE, 200, "\"logs\":[{\"timestamp\":5000001,\"fields\":[{\"key\":\"event\",\"type\":\"string\",\"value\":\"sent\"}]}]" },
    { "traces/" TRACE, 200, "\"references\":[{\"refType\":\"CHILD_OF\",\"traceID\":\"" TRACE "\",\"spanID\":\"0000000000000001\"}]" },
    { "traces/" TRACE, 200, "{\"key\":\"error\",\"type\":\"bool\",\"value\":true}" },
    { "traces/" TRACE, 200, "\"serviceName\":\"web\",\"tags\":[{\"key\":\"k8s.pod.name\",\"type\":\"string\",\"value\":\"p\"}]" },
    { "traces/1", 404, "{\"data\":null,\"total\":0,\"limit\":0,\"offset\":0,\"errors\":[{\"code\":404,\"msg\":\"trace not found\"}]}" },
    { "traces?service=web&start=4000000&end=6000000&minDuration=1us", 200, "\"traceID\":\"" TRACE "\"" },
    { "traces?service=web&start=4000000&end=6000000&tag=error:true", 200, "{\"data\":[],\"total\":0" },
    { "traces?service=web&maxDuration=1us&minDuration=2us", 400, "'maxDuration' should be greater than 'minDuration'" },
    { "traces?service=web&lookback=soon", 400, "unable to parse param 'lookback'" },
    { "traces?traceID=" TRACE "&traceID=1", 200, "\"traceID\":\"" TRACE "\"" },
    { "dependencies?endTs=10000&lookback=10000", 200, "{\"data\":[{\"parent\":\"web\",\"child\":\"cart\",\"callCount\":1}]" },
    { "dependencies?endTs=now", 400, "should be milliseconds" },
    { "v3/services", 200, "{\"services\":[\"cart\",\"web\"]}" },
    { "v3/operations?service=web", 200, "{\"operations\":[{\"name\":\"call\",\"spanKind\":\"client\"}]}" },
    { "v3/traces/" TRACE, 200, "{\"result\":{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\"," },
    { "v3/traces/" TRACE, 200, "\"status\":{\"code\":2,\"message\":\"full\"}" },
    { "v3/traces?query.service_name=web&query.start_time_min=1970-01-01T00:00:00Z", 200, "\"startTimeUnixNano\":\"5000000000\"" },
    { "v3/traces?query.start_time_min=x", 400, "{\"error\":{\"httpCode\":400,\"message\":\"malformed parameter query.start_time_min" },
    { "v3/traces?query.search_depth=x", 400, "should be a whole number" },
    { "v3/traces?query.attributes=%7B%22n%22:5%7D", 400, "malformed 'tags' parameter: n should be a string" },
};

START_TEST(tells_traces_as_jaeger_does)
{
    struct server s;

    server_start(&s, NULL);
    server_expect(&s, "POST", "/api/v2/spans", JSON, SPANS, 202, "");
    for (size_t i = 0; i < COUNT(asked); i++) {
        char path[256];

        snprintf(path, sizeof(path), "/jaeger/api/%s", asked[i].path);
        server_expect(&s, "GET", path, "", NULL, asked[i].status, asked[i].part);
    }
    server_stop(&s);
}
END_TEST

#define ACCESS_LOG                                                                                                         \
    "{\"resourceLogs\":[{\"scopeLogs\":[{\"scope\":{\"name\":\"vigla.access_log\"},\"logRecords\":[{\"timeUnixNano\":"       \
    "\"5000000000\",\"attributes\":[{\"key\":\"request_protocol\",\"value\":{\"stringValue\":\"http\"}},{\"key\":"           \
    "\"response_code\",\"value\":{\"intValue\":\"200\"}},{\"key\":\"duration\",\"value\":{\"intValue\":\"1000\"}}]}]}]}]}"

static const struct {
    const char *query;
    int status;
    const char *part;
} windows[] = {
    { "match=istio_requests_total&start=5&end=6", 200,
      "\"start\":\"1970-01-01T00:00:05Z\",\"end\":\"1970-01-01T00:00:06Z\",\"count\":1,\"events\":[{\"time\":"
      "\"1970-01-01T00:00:05Z\",\"response_code\":200,\"duration_us\":1000000,\"request_protocol\":\"http\"}]}" },
    { "match=istio_requests_total%7Bsource_workload%3D%22unknown%22%7D&time=6&window=10s&limit=0", 200, "\"count\":1,\"events\":[]}" },
    { "match=istio_requests_total&start=6&end=7", 200, "\"count\":0,\"events\":[]}" },
    { "match=istio_requests_total&start=4&end=5.5", 200, "\"count\":0,\"events\":[]}" },
    { "start=6&end=7", 400, "match: " },
    { "match=up", 501, "access logs stand behind" },
    { "match=istio_requests_total&start=7&end=6", 400, "start: should not be after the end" },
    { "match=istio_requests_total&window=x", 400, "window: " },
    { "match=istio_requests_total&limit=100000", 400, "limit: should be at most 10000" },
};

START_TEST(shows_the_rows_behind_a_series)
{
    struct server s;

    server_start(&s, NULL);
    server_expect(&s, "POST", "/v1/logs", JSON, ACCESS_LOG, 200, "");
    for (size_t i = 0; i < COUNT(windows); i++) {
        char path[256];

        snprintf(path, sizeof(path), "/api/events?%s", windows[i].query);
        server_expect(&s, "GET", path, "", NULL, windows[i].status, windows[i].part);
    }
    server_stop(&s);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("push");
    TCase *t = tcase_create("push");

    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, answers_pushes, 0, COUNT(pushes));
    tcase_add_test(t, takes_protobuf_with_and_without_saying_snappy);
    tcase_add_test(t, tells_traces_as_jaeger_does);
    tcase_add_test(t, shows_the_rows_behind_a_series);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
