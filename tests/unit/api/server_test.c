/* The whole API over a real store, asked by HTTP. */

#include "base/clock.h"
#include "base/mem.h"
#include "base/pb.h"
#include "base/zip.h"
#include "tests/unit/api/server.h"

#include <pthread.h>

#define JSON_BODY "Content-Type: application/json\r\n"
#define PB_BODY "Content-Type: application/x-protobuf\r\n"

static struct server server;

static void setup(void)
{
    server_start(&server, NULL);
}

static void teardown(void)
{
    server_stop(&server);
}

/* --- as users of HTTP expect --- */

static const struct {
    const char *method, *path, *headers, *body;
    int status;
    const char *part;
} calls[] = {
    { "GET", "/-/healthy", "", NULL, 200, "Healthy" },
    { "GET", "/-/ready", "", NULL, 200, "Ready" },
    { "GET", "/ready", "", NULL, 200, "Ready" },
    { "HEAD", "/-/ready", "", NULL, 200, "Content-Length: 16" },
    { "POST", "/-/reload", "", "", 501, "nothing to read again" },
    { "GET", "/nowhere", "", NULL, 404, "not found" },
    { "POST", "/nowhere", "", "", 404, "not found" },
    { "POST", "/metrics", "", "", 405, "Allow: GET, HEAD, OPTIONS" },
    { "GET", "/v1/logs", "", NULL, 405, "Allow: POST, OPTIONS" },
    { "BREW", "/metrics", "", NULL, 405, "Allow:" },
    { "OPTIONS", "/api/v1/query", "", NULL, 204, "Allow: GET, HEAD, POST, OPTIONS" },
    { "GET", "http://127.0.0.1/-/ready", "", NULL, 200, "Ready" },
    { "GET", "/-/ready", "Host: evil.example\r\n", NULL, 403, "evil.example" },
    { "GET", "/-/ready", "Host: localhost:1\r\n", NULL, 200, "Ready" },
    { "GET", "/api/v1/query?query=1", "Origin: http://evil.example\r\n", NULL, 200, "scalar" },
    { "POST", "/v1/logs", "Origin: http://evil.example\r\n" JSON_BODY, "{}", 403, "evil.example" },
    { "POST", "/v1/logs", "Origin: http://localhost\r\nHost: localhost\r\n" JSON_BODY, "{}", 200, "{}" },

    { "GET", "/api/v1/query?query=1%2B1&time=1.5", "", NULL, 200,
      "{\"status\":\"success\",\"data\":{\"resultType\":\"scalar\",\"result\":[1.500,\"2\"]}}" },
    { "POST", "/api/v1/query", "Content-Type: application/x-www-form-urlencoded\r\n", "query=vector(1)&time=7", 200,
      "{\"resultType\":\"vector\",\"result\":[{\"metric\":{},\"value\":[7,\"1\"]}]}" },
    { "GET", "/api/v1/query?query=%22s%22&time=7", "", NULL, 200, "{\"resultType\":\"string\",\"result\":[7,\"s\"]}" },
    { "GET", "/api/v1/query?query=nothing_here", "", NULL, 200, "\"result\":[]" },
    { "GET", "/api/v1/query?query=sum(", "", NULL, 400, "\"errorType\":\"bad_data\",\"error\":\"invalid parameter \\\"query\\\": " },
    { "GET", "/api/v1/query?query=1&time=soon", "", NULL, 400,
      "Invalid time value for 'time': cannot parse \\\"soon\\\" to a valid timestamp" },
    { "GET", "/api/v1/query_range?query=vector(2)&start=0&end=2&step=1", "", NULL, 200,
      "{\"resultType\":\"matrix\",\"result\":[{\"metric\":{},\"values\":[[0,\"2\"],[1,\"2\"],[2,\"2\"]]}]}" },
    { "GET", "/api/v1/query_range?query=1&start=2&end=1&step=1", "", NULL, 400, "end timestamp must not be before start time" },
    { "GET", "/api/v1/query_range?query=1&start=1&end=2&step=0", "", NULL, 400, "zero or negative query resolution step" },
    { "GET", "/api/v1/query_range?query=1&start=0&end=11001&step=1", "", NULL, 400, "exceeded maximum resolution of 11,000" },
    { "GET", "/api/v1/query_range?query=1&end=1&step=1", "", NULL, 400, "invalid parameter \\\"start\\\"" },
    { "GET", "/api/v1/format_query?query=sum%28a%29by%28b%29", "", NULL, 200, "\"data\":\"sum by (b) (a)\"" },
    { "GET", "/api/v1/labels", "", NULL, 200, "\"data\":[]" },
    { "GET", "/api/v1/label/job/values", "", NULL, 200, "\"data\":[]" },
    { "GET", "/api/v1/series", "", NULL, 400, "no match[] parameter provided" },
    { "GET", "/api/v1/series?match[]=%7B", "", NULL, 400, "invalid parameter \\\"match[]\\\"" },
    { "GET", "/api/v1/series?match[]=up", "", NULL, 200, "\"data\":[]" },
    { "GET", "/api/v1/metadata", "", NULL, 200, "\"data\":{}" },
    { "GET", "/api/v1/status/buildinfo", "", NULL, 200, "\"version\":\"" VIGLA_VERSION "\"" },
    { "GET", "/api/v1/status/config", "", NULL, 200, "\"yaml\":\"\"" },
    { "GET", "/api/v1/status/flags", "", NULL, 200, "\"data\":{}" },
    { "GET", "/api/v1/status/runtimeinfo", "", NULL, 200, "\"startTime\":" },
    { "GET", "/api/v1/status/tsdb", "", NULL, 200, "\"numSeries\":0" },
    { "POST", "/api/v1/admin/tsdb/delete_series?match[]=up", "", "", 503, "admin APIs disabled" },

    { "GET", "/loki/api/v1/query_range?query=%7B", "", NULL, 400, "parse error" },
    { "GET", "/loki/api/v1/query_range?query=%7Bkind%3D%22log%22%7D&limit=x", "", NULL, 400, "limit" },
    { "GET", "/loki/api/v1/query_range?query=%7Bkind%3D%22log%22%7D&direction=up", "", NULL, 400, "direction" },
    { "GET", "/loki/api/v1/query_range?query=%7Bkind%3D%22log%22%7D&start=x", "", NULL, 400, "start" },
    { "GET", "/loki/api/v1/query_range?query=%7Bkind%3D%22log%22%7D", "", NULL, 200,
      "\"resultType\":\"streams\",\"result\":[]" },

    { "GET", "/api/graph?window=x", "", NULL, 400, "window" },
    { "GET", "/api/graph?graphType=pie", "", NULL, 400, "graphType" },
    { "GET", "/api/graph?boxBy=colour", "", NULL, 400, "boxBy" },
    { "GET", "/api/graph?from=10&to=5", "", NULL, 400, "window" },
    { "GET", "/api/graph?window=5m", "", NULL, 200, "\"elements\":" },
    { "GET", "/api/topology?format=bmp", "", NULL, 400, "format" },
    { "GET", "/api/topology?format=dot", "", NULL, 200, "digraph" },
    { "GET", "/kiali/api/namespaces/graph?duration=600s", "", NULL, 400, "namespaces" },
    { "GET", "/kiali/api/namespaces/graph?duration=600s&namespaces=a&appenders=deadNode", "", NULL, 200, "\"elements\":" },
    { "GET", "/kiali/api/namespaces/a/workloads/w/graph?duration=600s", "", NULL, 200, "\"elements\":" },
    { "GET", "/kiali/api/namespaces/a/services/s/graph?duration=600s", "", NULL, 200, "\"elements\":" },
    { "GET", "/kiali/api/namespaces/a/applications/x/versions/v1/graph?graphType=app", "", NULL, 200, "\"elements\":" },
    { "GET", "/kiali/api/namespaces/a/pods/x/graph", "", NULL, 404, "" },

    { "POST", "/v1/logs", "Content-Type: text/plain\r\n", "{}", 415, "application/x-protobuf" },
    { "POST", "/v1/logs", JSON_BODY, "{", 400, "{\"code\":3,\"message\":\"json: byte 1: should be a string\"}" },
    { "POST", "/v1/logs", PB_BODY, "nonsense", 400, "protobuf: " },
    { "POST", "/v1/logs", PB_BODY, "", 200, "Content-Type: application/x-protobuf" },
    { "POST", "/v1/metrics", JSON_BODY "Content-Encoding: br\r\n", "{}", 415, "gzip" },
    { "POST", "/v1/metrics", JSON_BODY "Content-Encoding: gzip\r\n", "{}", 400, "gzip" },
    { "POST", "/v1/metrics", JSON_BODY "Vigla-Sender: p.n/0/metrics\r\n", "{}", 400, "Vigla-Batch" },
    { "POST", "/v1/metrics", JSON_BODY "Vigla-Batch: 1\r\n", "{}", 400, "Vigla-Sender" },
    { "POST", "/v1/traces", JSON_BODY, "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"name\":\"x\"}]}]}]}", 200,
      "{\"partialSuccess\":{\"rejectedSpans\":\"1\",\"errorMessage\":\"span 1: " },

    { "PUT", "/api/mesh/objects", "", "", 400, "no object" },
    { "PUT", "/api/mesh/objects?dryRun=perhaps", "", "", 400, "dryRun" },
    { "PUT", "/api/mesh/objects", "Vigla-File: a.yaml\r\n", "kind: [", 422, "\"file\":\"a.yaml\"" },
    { "GET", "/api/mesh/objects", "", NULL, 200, "{\"version\":0,\"items\":[]}" },
    { "GET", "/api/mesh/objects?kind=teapot", "", NULL, 404, "teapot" },
    { "GET", "/api/mesh/objects/vs/a/b", "", NULL, 404, "VirtualService a/b is not there" },
    { "DELETE", "/api/mesh/objects/vs/a/b", "", NULL, 404, "VirtualService a/b is not there" },
    { "GET", "/api/mesh/history", "", NULL, 200, "{\"items\":[]}" },
    { "GET", "/api/mesh/proxies", "", NULL, 200, "{\"version\":0,\"items\":[]}" },
    { "GET", "/api/mesh/snapshot?version=x", "", NULL, 400, "version" },
    { "GET", "/api/mesh/snapshot?version=0", "", NULL, 304, "" },
};

START_TEST(answers)
{
    server_expect(&server, calls[_i].method, calls[_i].path, calls[_i].headers, calls[_i].body, calls[_i].status,
                  calls[_i].part);
}
END_TEST

/* --- bodies --- */

static void put_log(struct buf *b, const char *body)
{
    buf_printf(b, "{\"resourceLogs\":[{\"scopeLogs\":[{\"logRecords\":[{\"timeUnixNano\":\"%lld\",\"body\":{\"stringValue\":"
                  "\"%s\"}}]}]}]}", (long long)clock_now_ns() - 1000000, body);
}

static struct answer post(const char *path, const char *headers, struct str body)
{
    return client_ask(server.port, "POST", path, headers, body);
}

static void expect_status(struct answer a, int status)
{
    ck_assert_msg(a.status == status, "should be %d, is %s", status, a.bytes ? a.bytes : "(nothing)");
    answer_free(&a);
}

START_TEST(bounds_bodies)
{
    struct buf large = BUF_INIT(1 << 24), packed = BUF_INIT(1 << 20);

    for (int i = 0; i < 20000; i++)
        buf_puts(&large, "          ");
    expect_status(post("/v1/logs", JSON_BODY, buf_view(&large)), 413);
    expect_status(post("/nowhere", "", buf_view(&large)), 404);
    expect_status(post("/v1/logs", JSON_BODY "Expect: 100-continue\r\nContent-Length: 70000\r\n", STR_NULL), 413);
    ck_assert_int_eq(gzip_pack(buf_view(&large), &packed, NULL), 0);
    expect_status(post("/v1/logs", JSON_BODY "Content-Encoding: gzip\r\n", buf_view(&packed)), 413);
    buf_reset(&packed);
    ck_assert_int_eq(zstd_pack(buf_view(&large), 3, &packed, NULL), 0);
    expect_status(post("/v1/logs", JSON_BODY "Content-Encoding: zstd\r\n", buf_view(&packed)), 413);
    buf_free(&large);
    buf_free(&packed);
}
END_TEST

/* Large bodies are decoded and committed by a worker. */
START_TEST(takes_large_bodies)
{
    const struct api_options o = { .max_body = 4 << 20 };
    struct buf json = BUF_INIT(4 << 20), packed = BUF_INIT(4 << 20);
    struct store_stats stats;
    struct server other;
    struct answer a;

    buf_puts(&json, "{\"resourceLogs\":[{\"scopeLogs\":[{\"logRecords\":[{}");
    for (int i = 1; i < 20000; i++)
        buf_printf(&json, ",{\"timeUnixNano\":\"%d\",\"severityText\":\"INFO\"}", i);
    buf_puts(&json, "]}]}]}");
    server_start(&other, &o);
    a = client_ask(other.port, "POST", "/v1/logs", JSON_BODY, buf_view(&json));
    ck_assert_int_eq(a.status, 200);
    store_stats(other.store, &stats);
    ck_assert_int_eq(stats.events[EVENT_LOG], 20000);
    answer_free(&a);
    ck_assert_int_eq(gzip_pack(buf_view(&json), &packed, NULL), 0); /* unpacked by a worker, too */
    expect_status(client_ask(other.port, "POST", "/v1/logs", JSON_BODY "Content-Encoding: gzip\r\n", buf_view(&packed)), 200);
    store_stats(other.store, &stats);
    ck_assert_int_eq(stats.events[EVENT_LOG], 40000);
    packed.n /= 2;
    expect_status(client_ask(other.port, "POST", "/v1/logs", JSON_BODY "Content-Encoding: gzip\r\n", buf_view(&packed)), 400);
    server_stop(&other);
    buf_free(&packed);
    buf_free(&json);
}
END_TEST

/* Without Content-Length it shows only while the body comes. */
START_TEST(bounds_chunked_bodies)
{
    char chunk[4096 + 16];
    struct answer a;
    int fd = client_connect(server.port);

    memset(chunk, ' ', sizeof(chunk));
    memcpy(chunk, "1000\r\n", 6);
    memcpy(chunk + 6 + 4096, "\r\n", 2);
    client_write(fd, STR("POST /v1/logs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                         "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"));
    for (int i = 0; i < 64; i++)
        client_write(fd, (struct str){ chunk, 6 + 4096 + 2 });
    client_write(fd, STR("0\r\n\r\n"));
    client_read(fd, &a);
    close(fd);
    expect_status(a, 413);
}
END_TEST

/* A body that is not wanted is refused before it comes, and whoever sends on all the same still gets the answer. */
START_TEST(refuses_before_the_body)
{
    static const struct { const char *head; int status; } cases[] = {
        { "POST /v1/logs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 70000\r\n\r\n", 413 },
        { "POST /v1/logs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999999\r\n\r\n", 413 },
        { "HEAD /v1/logs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n", 405 },
        { "PUT /v1/logs HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n", 405 },
        { "POST /v1/logs HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n", 501 },
        { "POST /v1/logs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n", 400 },
        { "POST /v1/logs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", 400 },
        { "POST /v1/logs HTTP/1.1\r\nContent-Length: 2\r\n\r\n", 400 },
        { "POST /v1/logs HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\nContent-Length: 2\r\n\r\n", 400 },
    };
    char piece[4096];
    struct answer a;
    int fd = client_connect(server.port);

    client_write(fd, str_of(cases[_i].head));
    client_read(fd, &a); /* to the end: nothing was sent, and the connection's half is closed */
    ck_assert_msg(a.status == cases[_i].status, "%s: %s", cases[_i].head, a.bytes);
    ck_assert((a.body.n == 0) == (cases[_i].head[0] == 'H'));
    answer_free(&a);
    close(fd);

    fd = client_connect(server.port);
    memset(piece, 'x', sizeof(piece));
    client_write(fd, str_of(cases[_i].head));
    for (int i = 0; i < 32; i++)
        client_write(fd, (struct str){ piece, sizeof(piece) });
    usleep(20000);
    client_read(fd, &a);
    close(fd);
    expect_status(a, cases[_i].status);
}
END_TEST

/* More parameters than libmicrohttpd has room for: it must not see them. */
START_TEST(takes_many_parameters)
{
    struct buf path = BUF_INIT(1 << 16);

    buf_puts(&path, "/api/v1/query?query=42");
    for (int i = 0; i < 3000; i++)
        buf_puts(&path, "&a=?");
    server_expect(&server, "GET", buf_cstr(&path), "", NULL, 200, "\"42\"");
    for (int i = 0; i < 3000; i++)
        buf_puts(&path, "&b=?");
    server_expect(&server, "GET", buf_cstr(&path), "", NULL, 422, "more than 4096 parameters");
    buf_free(&path);
}
END_TEST

START_TEST(takes_packed_bodies)
{
    struct buf json = BUF_INIT(1 << 16), packed = BUF_INIT(1 << 16);

    put_log(&json, "packed line");
    ck_assert_int_eq(gzip_pack(buf_view(&json), &packed, NULL), 0);
    expect_status(post("/v1/logs", JSON_BODY "Content-Encoding: gzip\r\n", buf_view(&packed)), 200);
    buf_reset(&packed);
    ck_assert_int_eq(zstd_pack(buf_view(&json), 3, &packed, NULL), 0);
    expect_status(post("/v1/logs", JSON_BODY "Content-Encoding: zstd\r\n", buf_view(&packed)), 200);
    server_expect(&server, "GET", "/loki/api/v1/query_range?query=%7Bkind%3D%22log%22%7D", "", NULL, 200, "packed line");
    buf_free(&json);
    buf_free(&packed);
}
END_TEST

START_TEST(packs_answers)
{
    struct answer a = client_ask(server.port, "GET", "/metrics", "Accept-Encoding: deflate, gzip\r\n", STR_NULL);
    struct buf plain = BUF_INIT(1 << 20);

    ck_assert_int_eq(a.status, 200);
    ck_assert(str_find(a.headers, STR("Content-Encoding: gzip")) > 0);
    ck_assert_int_eq(gzip_unpack(a.body, &plain, NULL), 0);
    ck_assert(str_find(buf_view(&plain), STR("vigla_build_info")) > 0);
    answer_free(&a);
    a = client_ask(server.port, "GET", "/metrics", "Accept-Encoding: gzip;q=0\r\n", STR_NULL);
    ck_assert(str_find(a.headers, STR("Content-Encoding")) < 0);
    answer_free(&a);
    buf_free(&plain);
}
END_TEST

/* A client that sends nonsense, half a request, or goes away while it is answered must not hold the server. */
START_TEST(survives_bad_clients)
{
    static const char *const texts[] = { "\r\n\r\n\r\n", "GET\r\n\r\n", "GET /-/ready HTTP/1.1\r\nHost: local", "POST /v1/logs HTTP/1.1\r\n"
        "Host: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{", "GET /metrics HTTP/1.1\r\n"
        "Host: localhost\r\nbad header\r\n\r\n", "GET /api/mesh/snapshot?wait=30s HTTP/1.1\r\nHost: localhost\r\n\r\n" };

    for (size_t i = 0; i < COUNT(texts); i++) {
        int fd = client_connect(server.port);

        client_write(fd, str_of(texts[i]));
        usleep(20000);
        close(fd);
    }
    server_expect(&server, "GET", "/-/ready", "", NULL, 200, "Ready");
}
END_TEST

/* --- in and out --- */

static void put_point(struct buf *b, const char *name, int series, int value)
{
    buf_printf(b, "{\"resourceMetrics\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":{\"stringValue\":\"s\"}}]},"
                  "\"scopeMetrics\":[{\"metrics\":[{\"name\":\"%s\",\"gauge\":{\"dataPoints\":[{\"timeUnixNano\":\"%lld\","
                  "\"asInt\":%d,\"attributes\":[{\"key\":\"i\",\"value\":{\"intValue\":%d}}]}]}}]}]}]}",
               name, (long long)clock_now_ns() - 1000000000, value, series);
}

START_TEST(keeps_what_it_acknowledged)
{
    struct buf json = BUF_INIT(1 << 16);

    put_point(&json, "depth", 3, 42);
    expect_status(post("/v1/metrics", JSON_BODY, buf_view(&json)), 200);
    server_expect(&server, "GET", "/api/v1/query?query=depth", "", NULL, 200,
                  "\"metric\":{\"__name__\":\"depth\",\"i\":\"3\",\"job\":\"s\"},\"value\":[");
    server_expect(&server, "GET", "/api/v1/series?match[]=depth&match[]=%7Bi%3D%223%22%7D", "", NULL, 200,
                  "\"data\":[{\"__name__\":\"depth\",\"i\":\"3\",\"job\":\"s\"}]");
    server_expect(&server, "GET", "/api/v1/labels", "", NULL, 200, "\"data\":[\"__name__\",\"i\",\"job\"]");
    server_expect(&server, "GET", "/api/v1/label/__name__/values", "", NULL, 200, "\"data\":[\"depth\"]");
    server_expect(&server, "GET", "/api/v1/metadata?metric=depth", "", NULL, 200, "{\"depth\":[{\"type\":\"gauge\"");
    buf_free(&json);
}
END_TEST

START_TEST(counts_a_numbered_batch_once)
{
    const char *headers = JSON_BODY "Vigla-Sender: p.n/00/logs\r\nVigla-Batch: 1\r\n";
    struct buf json = BUF_INIT(1 << 16);
    struct store_stats stats;

    put_log(&json, "once");
    expect_status(post("/v1/logs", headers, buf_view(&json)), 200);
    expect_status(post("/v1/logs", headers, buf_view(&json)), 200);
    store_stats(server.store, &stats);
    ck_assert_int_eq(stats.events[EVENT_LOG], 1);
    ck_assert_int_eq(stats.duplicates, 1);
    buf_free(&json);
}
END_TEST

START_TEST(shapes_metadata_as_loki_does)
{
    struct buf json = BUF_INIT(1 << 16);
    const char *path = "/loki/api/v1/query_range?query=%7Bkind%3D%22log%22%7D";

    buf_printf(&json, "{\"resourceLogs\":[{\"scopeLogs\":[{\"logRecords\":[{\"timeUnixNano\":\"%lld\",\"body\":{\"stringValue\":"
                      "\"l\"},\"attributes\":[{\"key\":\"k\",\"value\":{\"stringValue\":\"v\"}}]}]}]}]}",
               (long long)clock_now_ns() - 1000000);
    expect_status(post("/v1/logs", JSON_BODY, buf_view(&json)), 200);
    server_expect(&server, "GET", path, "", NULL, 200, "\"k\":\"v\"");
    server_expect(&server, "GET", path, "X-Loki-Response-Encoding-Flags: categorize-labels\r\n", NULL, 200,
                  ",\"l\",{\"structuredMetadata\":{\"k\":\"v\"");
    server_expect(&server, "GET", "/loki/api/v1/label/kind/values", "", NULL, 200, "\"data\":[\"log\"]");
    server_expect(&server, "GET", "/loki/api/v1/query?query=%7Bkind%3D%22log%22%7D", "", NULL, 200, "\"l\"");
    buf_free(&json);
}
END_TEST

enum { THREADS = 16, POSTS = 64 };

static void *post_many(void *arg)
{
    int thread = *(int *)arg;
    intptr_t good = 0;

    for (int i = 0; i < POSTS; i++) {
        struct buf json = BUF_INIT(1 << 16);
        struct answer a;

        put_point(&json, "busy", thread * POSTS + i, 1);
        a = post("/v1/metrics", JSON_BODY, buf_view(&json));
        good += a.status == 200;
        answer_free(&a);
        buf_free(&json);
    }
    return (void *)good;
}

/* Whatever was acknowledged is there, exactly. */
START_TEST(takes_many_at_once)
{
    pthread_t threads[THREADS];
    int numbers[THREADS];
    intptr_t all = 0;

    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        pthread_create(&threads[i], NULL, post_many, &numbers[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        void *good;

        pthread_join(threads[i], &good);
        all += (intptr_t)good;
    }
    ck_assert_int_eq(all, THREADS * POSTS);
    server_expect(&server, "GET", "/api/v1/query?query=count(busy)", "", NULL, 200, ",\"1024\"]");
}
END_TEST

/* --- the mesh --- */

#define SERVICE(name, more)                                                                                           \
    "apiVersion: v1\nkind: Service\nmetadata:\n  name: " name "\n  namespace: shop\nspec:\n  selector: {app: " name        \
    "}\n  ports:\n  - name: http\n    port: 80\n" more

static void find_text(const char *in, const char *begin, char *out, size_t n)
{
    const char *at = strstr(in, begin);

    ck_assert_msg(at != NULL, "no %s in %s", begin, in);
    snprintf(out, n, "%.*s", (int)strcspn(at + strlen(begin), "\""), at + strlen(begin));
}

START_TEST(keeps_objects)
{
    char first[32], second[32];
    struct answer a;

    server_expect(&server, "PUT", "/api/mesh/objects?dryRun=true", "", SERVICE("web", ""), 200, "\"action\":\"created\"");
    server_expect(&server, "GET", "/api/mesh/objects", "", NULL, 200, "{\"version\":0,\"items\":[]}");
    server_expect(&server, "PUT", "/api/mesh/objects", "", SERVICE("web", ""), 200,
                  "{\"version\":1,\"results\":[{\"kind\":\"Service\",\"namespace\":\"shop\",\"name\":\"web\",\"action\":\"created\"}]");
    server_expect(&server, "PUT", "/api/mesh/objects", "", SERVICE("web", ""), 200, "\"action\":\"unchanged\"");
    a = server_get(&server, "/api/mesh/objects/svc/shop/web");
    ck_assert_int_eq(a.status, 200);
    find_text(a.bytes, "\"clusterIP\":\"", first, sizeof(first));
    ck_assert(strncmp(first, "127.96.", 7) == 0);
    answer_free(&a);
    server_expect(&server, "PUT", "/api/mesh/objects", "", SERVICE("web", "  - name: more\n    port: 81\n"), 200,
                  "{\"version\":2,\"results\":[{\"kind\":\"Service\",\"namespace\":\"shop\",\"name\":\"web\",\"action\":\"configured\"}]");
    a = server_get(&server, "/api/mesh/objects/Service/shop/web");
    find_text(a.bytes, "\"clusterIP\":\"", second, sizeof(second));
    ck_assert_str_eq(first, second);
    answer_free(&a);
    server_expect(&server, "GET", "/api/mesh/objects/services/shop/web?format=yaml", "", NULL, 200, "kind: Service\n");
    server_expect(&server, "GET", "/api/mesh/objects?kind=svc&namespace=shop", "", NULL, 200, "\"createdMs\":");
    server_expect(&server, "GET", "/api/mesh/objects?namespace=other", "", NULL, 200, "\"items\":[]");
    server_expect(&server, "DELETE", "/api/mesh/objects/svc/shop/web", "", NULL, 200, "{\"version\":3}");
    server_expect(&server, "GET", "/api/mesh/objects/svc/shop/web", "", NULL, 404, "not there");
    server_expect(&server, "GET", "/api/mesh/history?kind=svc&namespace=shop&name=web&limit=1", "", NULL, 200,
                  "\"revision\":3,\"deleted\":true,\"object\":null");
}
END_TEST

START_TEST(refuses_a_broken_mesh)
{
    const char *broken = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: v\n  namespace: shop\n"
                         "spec:\n  hosts: [web]\n  http:\n  - route:\n    - destination: {host: web}\n      weight: heavy\n";

    server_expect(&server, "PUT", "/api/mesh/objects", "Vigla-File: v.yaml\r\n", broken, 422, "\"file\":\"v.yaml\",\"line\":11");
    server_expect(&server, "POST", "/api/mesh/validate", "Vigla-File: v.yaml\r\n", broken, 200, "\"severity\":\"error\"");
    server_expect(&server, "GET", "/api/mesh/objects", "", NULL, 200, "{\"version\":0,\"items\":[]}");
}
END_TEST

struct poll {
    const char *path;
    struct answer answer;
    int64_t took_ms;
};

static void *poll_snapshot(void *arg)
{
    struct poll *p = arg;
    int64_t start = clock_mono_ns();

    p->answer = server_get(&server, p->path);
    p->took_ms = (clock_mono_ns() - start) / 1000000;
    return NULL;
}

START_TEST(wakes_who_waits)
{
    struct poll polls[8];
    pthread_t threads[8];

    for (int i = 0; i < 8; i++) {
        polls[i].path = "/api/mesh/snapshot?node=p.shop&version=0&wait=20s";
        pthread_create(&threads[i], NULL, poll_snapshot, &polls[i]);
    }
    usleep(200000);
    server_expect(&server, "GET", "/api/mesh/proxies", "", NULL, 200, "\"items\":[{\"node\":\"p.shop\",\"version\":0,");
    server_expect(&server, "PUT", "/api/mesh/objects", "", SERVICE("web", "---\n" SERVICE("db", "")), 200, "created");
    for (int i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_int_eq(polls[i].answer.status, 200);
        ck_assert_int_lt(polls[i].took_ms, 5000);
        ck_assert(strstr(polls[i].answer.bytes, "Vigla-Version: 1\r\n"));
        ck_assert(strstr(polls[i].answer.bytes, "\n---\n"));
        answer_free(&polls[i].answer);
    }
}
END_TEST

START_TEST(ends_waiting_in_time)
{
    struct poll p = { .path = "/api/mesh/snapshot?node=p.shop&version=0&wait=300ms" };

    poll_snapshot(&p);
    ck_assert_int_eq(p.answer.status, 304);
    ck_assert_int_ge(p.took_ms, 290);
    ck_assert_int_lt(p.took_ms, 5000);
    answer_free(&p.answer);
}
END_TEST

/* A proxy that refuses the present version is not sent it again at once. */
START_TEST(does_not_repeat_what_was_rejected)
{
    server_expect(&server, "PUT", "/api/mesh/objects", "", SERVICE("web", ""), 200, "created");
    server_expect(&server, "GET", "/api/mesh/snapshot?node=p.shop&version=0&rejected=1&error=no+good", "", NULL, 304, "");
    server_expect(&server, "GET", "/api/mesh/proxies", "", NULL, 200, "\"version\":0,\"rejected\":1,\"error\":\"no good\"");
    server_expect(&server, "GET", "/api/mesh/snapshot?node=p.shop&version=0", "", NULL, 200, "Vigla-Version: 1");
}
END_TEST

START_TEST(stops_while_somebody_waits)
{
    struct poll p = { .path = "/api/mesh/snapshot?version=0&wait=30s" };
    struct server other;
    uint16_t port = server.port;
    pthread_t thread;
    int64_t start;

    server_start(&other, NULL);
    server.port = other.port;
    pthread_create(&thread, NULL, poll_snapshot, &p);
    usleep(200000);
    start = clock_mono_ns();
    server_stop(&other);
    ck_assert_int_lt((clock_mono_ns() - start) / 1000000, 2500);
    pthread_join(thread, NULL);
    ck_assert_int_eq(p.answer.status, 304);
    answer_free(&p.answer);
    server.port = port;
}
END_TEST

static int reload_well(void *arg, struct err *e)
{
    return *(int *)arg ? err_set(e, ERR_INVALID, "line 3: no") : 0;
}

START_TEST(reloads_by_its_hook)
{
    int bad = 0;
    const struct api_options o = { .reload = reload_well, .reload_arg = &bad, .admin = true };
    struct server other;

    server_start(&other, &o);
    server_expect(&other, "POST", "/-/reload", "", "", 200, "read again");
    bad = 1;
    server_expect(&other, "POST", "/-/reload", "", "", 500, "line 3: no");
    server_expect(&other, "GET", "/-/reload", "", NULL, 405, "Allow: POST, PUT");
    server_expect(&other, "POST", "/api/v1/admin/tsdb/delete_series?match[]=up", "", "", 204, "");
    server_expect(&other, "POST", "/api/v1/admin/tsdb/clean_tombstones", "", "", 204, "");
    server_stop(&other);
}
END_TEST

START_TEST(names_an_address_in_use)
{
    const struct api_options o = { .host = "127.0.0.1", .port = server.port };
    const struct api_options no_address = { .host = "localhost" };
    struct err e = ERR_INIT;

    ck_assert_ptr_null(api_start(server.store, &o, &e));
    ck_assert_int_eq(e.code, ERR_IO);
    ck_assert(strstr(e.msg, "Address already in use"));
    ck_assert_ptr_null(api_start(server.store, &no_address, &e));
    ck_assert(strstr(e.msg, "should be a numeric address"));
}
END_TEST

/* Whatever allocation fails, on whatever thread: a request is refused or its connection closed, and the server goes on. */
START_TEST(survives_failing_allocations)
{
    static const struct {
        const char *method, *path, *headers, *body;
    } scenario[] = {
        { "GET", "/api/v1/query?query=vector(1)", "", NULL },
        { "POST", "/v1/metrics", JSON_BODY, NULL },
        { "PUT", "/api/mesh/objects", "", SERVICE("web", "") },
        { "GET", "/api/mesh/snapshot?node=p.shop&version=0", "", NULL },
        { "GET", "/loki/api/v1/query_range?query=%7Bkind%3D%22log%22%7D", "", NULL },
        { "GET", "/metrics", "Accept-Encoding: gzip\r\n", NULL },
    };
    struct buf json = BUF_INIT(1 << 16);

    put_point(&json, "n", 1, 1);
    for (size_t i = 0; i < COUNT(scenario); i++) {
        bool failed = true;

        for (long n = 1; failed; n++) {
            struct str body = i == 1 ? buf_view(&json) : scenario[i].body ? str_of(scenario[i].body) : STR_NULL;
            struct answer a;

            mem_fail_at(n);
            a = client_ask(server.port, scenario[i].method, scenario[i].path, scenario[i].headers, body);
            failed = mem_has_failed();
            mem_fail_at(0);
            ck_assert_msg(a.status == 0 || a.status == 200 || a.status == 304 || a.status >= 400, "%s", a.bytes);
            answer_free(&a);
        }
    }
    server_expect(&server, "GET", "/-/ready", "", NULL, 200, "Ready");
    expect_status(post("/v1/metrics", JSON_BODY, buf_view(&json)), 200);
    buf_free(&json);
}
END_TEST

/* --- the console --- */

START_TEST(serves_the_console)
{
    struct answer a = server_get(&server, "/"), b;
    char etag[128], headers[256];

    ck_assert_int_eq(a.status, 200);
    ck_assert(strstr(a.bytes, "Content-Security-Policy: default-src 'self'"));
    ck_assert(strstr(a.bytes, "X-Content-Type-Options: nosniff"));
    ck_assert(strstr(a.bytes, "Referrer-Policy: no-referrer"));
    find_text(a.bytes, "ETag: \"", etag, sizeof(etag));
    b = server_get(&server, "/console/graph/of/anything");
    ck_assert(str_eq(a.body, b.body));
    answer_free(&b);
    snprintf(headers, sizeof(headers), "If-None-Match: \"x\", W/\"%s\"\r\n", etag);
    b = client_ask(server.port, "GET", "/", headers, STR_NULL);
    ck_assert_int_eq(b.status, 304);
    ck_assert_int_eq(b.body.n, 0);
    answer_free(&a);
    answer_free(&b);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("api server");
    TCase *t = tcase_create("server");

    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, answers, 0, COUNT(calls));
    tcase_add_test(t, bounds_bodies);
    tcase_add_test(t, takes_large_bodies);
    tcase_add_test(t, bounds_chunked_bodies);
    tcase_add_test(t, takes_many_parameters);
    tcase_add_loop_test(t, refuses_before_the_body, 0, 9);
    tcase_add_test(t, takes_packed_bodies);
    tcase_add_test(t, packs_answers);
    tcase_add_test(t, survives_bad_clients);
    tcase_add_test(t, keeps_what_it_acknowledged);
    tcase_add_test(t, counts_a_numbered_batch_once);
    tcase_add_test(t, shapes_metadata_as_loki_does);
    tcase_add_test(t, takes_many_at_once);
    tcase_add_test(t, keeps_objects);
    tcase_add_test(t, refuses_a_broken_mesh);
    tcase_add_test(t, wakes_who_waits);
    tcase_add_test(t, ends_waiting_in_time);
    tcase_add_test(t, does_not_repeat_what_was_rejected);
    tcase_add_test(t, stops_while_somebody_waits);
    tcase_add_test(t, reloads_by_its_hook);
    tcase_add_test(t, names_an_address_in_use);
    tcase_add_test(t, survives_failing_allocations);
    tcase_add_test(t, serves_the_console);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
