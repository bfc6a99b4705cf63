/* Prometheus' API over a server that has taken a known set of samples by remote write. */

#include "base/clock.h"
#include "base/mem.h"
#include "base/zip.h"
#include "store/series.h"
#include "tests/unit/api/server.h"
#include "tests/unit/collector/write_request.h"

enum { MANY = 6000, POINTS = 8 };

static struct server server;
static int64_t now_ms; /* of the newest samples */

#define WRITE_HEADERS "Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n"

/* --- what the server holds --- */

/* {__name__=name, run=run}, samples one second apart, the last one now. */
static void put_series(struct buf *out, const char *name, const char *run, size_t n, double first)
{
    size_t mark = pb_open(out, 1);

    put_label(out, STR("__name__"), str_of(name));
    if (*run)
        put_label(out, STR("run"), str_of(run));
    for (size_t i = 0; i < n; i++)
        put_sample(out, (struct sample){ now_ms - (int64_t)(n - 1 - i) * 1000, i ? first + (double)i : first });
    pb_close(out, mark);
}

static struct answer write_message(struct str message, const char *headers)
{
    struct buf packed = BUF_INIT(8 << 20);
    struct answer a;

    ck_assert_int_eq(snappy_pack(message, &packed, NULL), 0);
    a = client_ask(server.port, "POST", "/api/v1/write", headers, buf_view(&packed));
    buf_free(&packed);
    return a;
}

static void expect_write(struct buf *message, int status, const char *part)
{
    struct answer a = write_message(buf_view(message), WRITE_HEADERS);

    ck_assert_msg(a.status == status && strstr(a.bytes, part), "should be %d with %s, is %s", status, part, a.bytes);
    answer_free(&a);
    buf_free(message);
}

static void load(void)
{
    struct buf message = BUF_INIT(8 << 20);
    double stale;
    uint64_t bits = SAMPLE_STALE_BITS;
    size_t mark;

    memcpy(&stale, &bits, sizeof(stale));
    put_series(&message, "up", "a", 3, 1);
    put_series(&message, "http.requests", "quo\"te", 1, 0.5);
    put_series(&message, "gone", "", 1, stale);
    mark = pb_open(&message, 1);
    put_label(&message, STR("__name__"), STR("up"));
    put_label(&message, STR("run"), STR("a"));
    put_exemplar(&message, &(struct batch_exemplar){ .sample = { now_ms - 500, 2.5 } });
    pb_close(&message, mark);
    mark = pb_open(&message, 3);
    pb_put_varint(&message, 1, 2);
    pb_put_str(&message, 2, STR("up"));
    pb_put_str(&message, 4, STR("Is it?"));
    pb_close(&message, mark);
    expect_write(&message, 204, "");
}

static void setup(void)
{
    const struct api_options o = { .max_body = 8 << 20, .admin = true };

    now_ms = clock_now_ms() - 1000;
    server_start(&server, &o);
    load();
}

static void teardown(void)
{
    server_stop(&server);
}

/* --- one question, one answer --- */

static const struct {
    const char *path;
    int status;
    const char *part;
} calls[] = {
    { "/api/v1/query?query=up", 200, "\"metric\":{\"__name__\":\"up\",\"run\":\"a\"},\"value\":[" },
    { "/api/v1/query?query=up&stats=all", 200, "\"peakSamples\":" },
    { "/api/v1/query?query=count(up)&timeout=0.000000001", 503,
      "\"errorType\":\"timeout\",\"error\":\"query timed out in expression evaluation\"" },
    { "/api/v1/query?query=up&timeout=soon", 400, "invalid parameter \\\"timeout\\\": cannot parse \\\"soon\\\"" },
    { "/api/v1/query?query=up&lookback_delta=x", 400, "error parsing lookback delta duration: cannot parse \\\"x\\\"" },
    { "/api/v1/query?query=up&limit=-1", 400, "invalid parameter \\\"limit\\\": limit must be non-negative" },
    { "/api/v1/query?query=up&limit=x", 400, "invalid parameter \\\"limit\\\": parsing \\\"x\\\": invalid syntax" },
    { "/api/v1/query?query=up+or+vector(1)&limit=1", 200, "\"warnings\":[\"results truncated due to limit\"]" },
    { "/api/v1/query_range?query=up%5B5m%5D&start=0&end=1&step=1", 400,
      "invalid parameter \\\"query\\\": invalid expression type \\\"range vector\\\" for range query" },
    { "/api/v1/query_range?query=1&start=10&end=5&step=0", 400, "end timestamp must not be before start time" },
    { "/api/v1/query_range?query=1&start=1&end=5", 400, "invalid parameter \\\"step\\\": cannot parse \\\"\\\"" },
    { "/api/v1/parse_query?query=-rate(a%7Bb!%3D%22c%22%7D%5B5m%5D+offset+1m)", 200, "\"range\":300000,\"offset\":60000" },
    { "/api/v1/parse_query?query=sum(", 400, "unclosed left parenthesis" },
    { "/api/v1/format_query?query=sum(", 400, "unclosed left parenthesis" },
    { "/api/v1/labels?start=x", 400, "invalid parameter \\\"start\\\": Invalid time value for 'start': cannot parse" },
    { "/api/v1/labels?start=-292273086-05-16T16:47:06Z&end=292277025-08-18T07:12:54.999999999Z", 200, "\"run\"]" },
    { "/api/v1/labels?limit=1", 200, "[\"__name__\"],\"warnings\":[\"results truncated due to limit\"]" },
    { "/api/v1/label/U__run/values", 200, "\"data\":[\"a\",\"quo\\\"te\"]" },
    { "/api/v1/label/%FF/values", 400, "invalid label name" },
    { "/api/v1/series?match%5B%5D=up&match%5B%5D=%7Brun%3D%22a%22%7D", 200,
      "\"data\":[{\"__name__\":\"up\",\"run\":\"a\"}]}" },
    { "/api/v1/series?match%5B%5D=%7Brun!%3D%22%22%7D&limit=1", 200, "\"warnings\":[\"results truncated" },
    { "/api/v1/metadata?limit=0", 200, "\"data\":{}" },
    { "/api/v1/metadata?limit=-1", 200, "\"up\":[{\"type\":\"gauge\",\"unit\":\"\",\"help\":\"Is it?\"}]" },
    { "/api/v1/metadata?limit_per_metric=x", 400, "limit_per_metric must be a number" },
    { "/api/v1/query_exemplars?query=rate(up%5B1m%5D)%2Bup", 200, "[{\"seriesLabels\":{\"__name__\":\"up\",\"run\":\"a\"},"
      "\"exemplars\":[{\"labels\":{},\"value\":\"2.5\",\"timestamp\":" },
    { "/api/v1/query_exemplars?query=down", 200, "\"data\":[]" },
    { "/api/v1/query_exemplars?query=up&start=2&end=1", 400, "end timestamp must not be before start timestamp" },
    { "/api/v1/query_exemplars?query=sum(", 400, "unclosed left parenthesis" },
    { "/api/v1/targets", 200, "\"activeTargets\":[" },
    { "/api/v1/targets/metadata?limit=x", 400, "limit must be a number" },
    { "/api/v1/scrape_pools", 200, "\"scrapePools\":[" },
    { "/api/v1/alertmanagers", 200, "\"activeAlertmanagers\":[]" },
    { "/api/v1/features", 200, "\"promql\":{" },
    { "/api/v1/notifications", 200, "\"data\":[]" },
    { "/api/v1/status/walreplay", 200, "\"current\":0" },
    { "/api/v1/status/tsdb/blocks", 200, "\"blocks\":[]" },
    { "/api/v1/status/tsdb", 200, "\"seriesCountByLabelValuePair\":[{\"name\":\"__name__=gone\",\"value\":1}" },
    { "/api/v1/status/tsdb?limit=1", 200, "\"labelValueCountByLabelName\":[{\"name\":\"__name__\",\"value\":3}]" },
    { "/api/v1/status/tsdb?limit=0", 400, "limit must be a positive number" },
    { "/api/v1/nothing", 404, "404 page not found" },
    { "/federate", 200, "Content-Length: 0" },
    { "/federate?match%5B%5D=up%7B", 400, "parse error" },
    { "/federate?match%5B%5D=up&match%5B%5D=%7Brun%3D%22a%22%7D", 200, "\r\n\r\n# TYPE up untyped\nup{run=\"a\"} 3 " },
    { "/federate?match%5B%5D=%7B__name__%3D~%22gone%7Chttp.%2B%22%7D", 200,
      "\r\n\r\n# TYPE http_requests untyped\nhttp_requests{run=\"quo\\\"te\"} 0.5 " },
};

START_TEST(answers)
{
    server_expect(&server, "GET", calls[_i].path, "", NULL, calls[_i].status, calls[_i].part);
}
END_TEST

START_TEST(federates_utf8_to_who_takes_it)
{
    server_expect(&server, "GET", "/federate?match%5B%5D=%7B%22http.requests%22%7D",
                  "Accept: text/plain;version=1.0.0;escaping=allow-utf-8\r\n", NULL, 200,
                  "# TYPE \"http.requests\" untyped\n{\"http.requests\",run=\"quo\\\"te\"} 0.5 ");
}
END_TEST

START_TEST(cors_is_for_reading)
{
    const char *origin = "Origin: http://grafana.example\r\n";

    server_expect(&server, "GET", "/api/v1/query?query=1", origin, NULL, 200, "Access-Control-Allow-Origin: *");
    server_expect(&server, "GET", "/api/v1/query?query=(", origin, NULL, 400, "Access-Control-Allow-Methods: GET, POST, OPTIONS");
    server_expect(&server, "OPTIONS", "/api/v1/query", origin, NULL, 204, "Access-Control-Allow-Headers: Accept, Authorization");
    server_expect(&server, "OPTIONS", "/api/v1/nothing", origin, NULL, 204, "Access-Control-Allow-Origin");
    for (int i = 0; i < 3; i++) {
        static const char *const asks[3][2] = { { "GET", "/-/ready" }, { "POST", "/api/v1/write" },
                                                { "POST", "/api/v1/admin/tsdb/snapshot" } };
        struct answer a = client_ask(server.port, asks[i][0], asks[i][1], origin, STR(""));

        ck_assert_int_eq(a.status, i ? 403 : 200);
        ck_assert(!strstr(a.bytes, "Access-Control"));
        answer_free(&a);
    }
    server_expect(&server, "GET", "/api/v1/query?query=1", "", NULL, 200, "\"scalar\"");
}
END_TEST

/* --- writing --- */

START_TEST(refuses_by_name_and_keeps_the_rest)
{
    struct buf message = BUF_INIT(1 << 16);

    put_series(&message, "kept", "", 1, 7);
    put_series(&message, "", "x", 2, 7);
    expect_write(&message, 400, "series {run=\"x\"}: label \"__name__\" is missing (2 refused, 1 samples stored)");
    server_expect(&server, "GET", "/api/v1/query?query=kept", "", NULL, 200, "\"7\"]");
    expect_write(&message, 204, ""); /* nothing at all */
    server_expect(&server, "GET", "/metrics", "", NULL, 200, "vigla_remote_write_items_total{result=\"refused\"} 2");
}
END_TEST

static const struct {
    const char *headers;
    struct str body;
    int status;
    const char *part;
} writes[] = {
    { WRITE_HEADERS, STR_INIT("\0"), 204, "" },
    { "", STR_INIT("\0"), 204, "" }, /* early senders say nothing */
    { "Content-Type: application/x-protobuf;proto=prometheus.WriteRequest\r\n", STR_INIT("\0"), 204, "" },
    { "Content-Type: application/x-protobuf;proto=io.prometheus.write.v2.Request\r\n", STR_INIT("\0"), 415,
      "should be application/x-protobuf;proto=prometheus.WriteRequest" },
    { "Content-Type: text/plain\r\n", STR_INIT("\0"), 415, "should be application/x-protobuf" },
    { "Content-Encoding: br\r\n", STR_INIT("\0"), 415, "should be snappy" },
    { "Content-Encoding: gzip\r\n", STR_INIT("\0"), 415, "should be snappy" },
    { WRITE_HEADERS, STR_INIT(""), 400, "snappy: " },
    { WRITE_HEADERS, STR_INIT("\xff\xff\xff\xff\xff\xff garbage"), 400, "snappy: " },
    { WRITE_HEADERS, STR_INIT("\xff\xff\xff\xff\x0f\x00" "a"), 413, "more than the" },
    { WRITE_HEADERS, STR_INIT("\x02\x04\x0a\xff"), 400, "protobuf: " },
};

START_TEST(says_what_is_wrong_with_a_write)
{
    struct answer a = client_ask(server.port, "POST", "/api/v1/write", writes[_i].headers, writes[_i].body);

    ck_assert_msg(a.status == writes[_i].status && strstr(a.bytes, writes[_i].part), "should be %d, is %s",
                  writes[_i].status, a.bytes);
    answer_free(&a);
}
END_TEST

/* --- large answers --- */

static void load_many(void)
{
    struct buf message = BUF_INIT(8 << 20);
    char run[32];

    for (int i = 0; i < MANY; i++) {
        snprintf(run, sizeof(run), "%05d", i);
        put_series(&message, "many", run, POINTS, i);
    }
    expect_write(&message, 204, "");
}

/* The body without the framing of chunked transfer. */
static struct buf dechunk(const struct answer *a)
{
    struct buf out = BUF_INIT(64 << 20);
    struct str rest = a->body;

    ck_assert_ptr_nonnull(strstr(a->bytes, "Transfer-Encoding: chunked"));
    for (;;) {
        char *end;
        size_t n = strtoul(rest.p, &end, 16);

        rest = str_from(rest, (size_t)(end - rest.p) + 2);
        if (n == 0)
            break;
        ck_assert_uint_le(n + 2, rest.n);
        buf_put(&out, rest.p, n);
        rest = str_from(rest, n + 2);
    }
    ck_assert_uint_eq(rest.n, 2); /* the end is there: nothing is cut */
    return out;
}

static struct buf ask_large(const char *path, const char *coding)
{
    char headers[128];
    struct answer a;
    struct buf body, plain = BUF_INIT(64 << 20);

    snprintf(headers, sizeof(headers), "Accept-Encoding: %s\r\n", coding);
    a = client_ask(server.port, "GET", path, headers, STR_NULL);
    ck_assert_msg(a.status == 200, "%s: %s", path, a.bytes);
    body = dechunk(&a);
    if (strcmp(coding, "identity") == 0) {
        ck_assert(!strstr(a.bytes, "Content-Encoding"));
        plain = body;
    } else {
        ck_assert(strstr(a.bytes, coding));
        ck_assert_int_eq(strcmp(coding, "zstd") == 0 ? zstd_unpack(buf_view(&body), &plain, NULL)
                                                     : gzip_unpack(buf_view(&body), &plain, NULL), 0);
        buf_free(&body);
    }
    answer_free(&a);
    return plain;
}

static size_t count_of(struct str text, struct str part)
{
    const char *at;
    size_t n = 0;

    while ((at = memmem(text.p, text.n, part.p, part.n))) {
        n++;
        text = str_from(text, (size_t)(at - text.p) + part.n);
    }
    return n;
}

static const struct {
    const char *path, *item, *end;
    size_t items;
} large[] = {
    { "/api/v1/query?query=many", "{\"metric\":{\"__name__\":\"many\",\"run\":\"", "]}}", MANY },
    { "/api/v1/query?query=many%5B5m%5D", "{\"metric\":", "]]}]}}", MANY },
    { "/api/v1/query?query=many%5B5m%5D", ",[", "]]}]}}", (size_t)MANY * (POINTS - 1) },
    { "/api/v1/series?match%5B%5D=many", "{\"__name__\":\"many\"", "}]}", MANY },
    { "/api/v1/series?match%5B%5D=many&limit=5950", "{\"__name__\":\"many\"",
      "}],\"warnings\":[\"results truncated due to limit\"]}", 5950 },
    { "/federate?match%5B%5D=many", "many{run=\"", "\n", MANY },
};

static void check_large(size_t i)
{
    struct buf plain, packed;
    char path[256];

    snprintf(path, sizeof(path), "%s&time=%lld", large[i].path, (long long)now_ms / 1000 + 1); /* the same for each */
    plain = ask_large(path, "identity");
    ck_assert_uint_eq(count_of(buf_view(&plain), str_of(large[i].item)), large[i].items);
    ck_assert(str_ends(buf_view(&plain), str_of(large[i].end)));
    packed = ask_large(path, "gzip");
    ck_assert_uint_eq(packed.n, plain.n);
    buf_free(&packed);
    packed = ask_large(path, "zstd");
    ck_assert_uint_eq(packed.n, plain.n);
    buf_free(&packed);
    buf_free(&plain);
}

START_TEST(sends_large_answers_in_pieces)
{
    load_many();
    for (size_t i = 0; i < COUNT(large); i++)
        check_large(i);
}
END_TEST

/* Who goes away in the middle leaves nothing behind (the sanitizers look), and holds up nobody. */
START_TEST(survives_who_goes_away)
{
    load_many();
    for (int i = 0; i < 4; i++) {
        int fd = client_connect(server.port);
        char some[4096];

        client_write(fd, STR("GET /api/v1/query?query=many%5B5m%5D HTTP/1.1\r\nHost: localhost\r\n"
                             "Accept-Encoding: zstd\r\n\r\n"));
        ck_assert_int_gt(recv(fd, some, sizeof(some), 0), 0);
        close(fd);
    }
    server_expect(&server, "GET", "/api/v1/query?query=up", "", NULL, 200, "\"up\"");
}
END_TEST

START_TEST(head_has_no_body)
{
    struct answer a;

    load_many();
    a = client_ask(server.port, "HEAD", "/api/v1/query?query=many%5B5m%5D", "", STR_NULL);
    ck_assert_int_eq(a.status, 200);
    ck_assert_uint_eq(a.body.n, 0);
    answer_free(&a);
}
END_TEST

/* --- admin --- */

START_TEST(deletes_and_cleans)
{
    server_expect(&server, "POST", "/api/v1/admin/tsdb/delete_series", "", "", 400, "no match[] parameter provided");
    server_expect(&server, "POST", "/api/v1/admin/tsdb/delete_series", "Content-Type: application/x-www-form-urlencoded\r\n",
                  "match[]=up", 204, "");
    server_expect(&server, "PUT", "/api/v1/admin/tsdb/clean_tombstones", "", "", 204, "");
    server_expect(&server, "GET", "/api/v1/query?query=up", "", NULL, 200, "\"result\":[]");
}
END_TEST

static size_t count_series(const char *dir)
{
    const struct series_query all = { .from_ms = INT64_MIN / 4, .to_ms = INT64_MAX / 4 };
    struct arena a = ARENA_INIT(1 << 24);
    struct err e = ERR_INIT;
    struct store *st = store_open(dir, NULL, &e);
    struct series_set *set;
    struct labels l;
    size_t n = 0;

    ck_assert_msg(st != NULL, "%s", e.msg);
    set = series_open(st, &all, &a, &e);
    ck_assert_msg(set != NULL, "%s", e.msg);
    while (series_next(set, &l, &e) == 1)
        n++;
    arena_free(&a);
    store_close(st);
    return n;
}

START_TEST(a_snapshot_opens_as_a_store)
{
    struct answer a = client_ask(server.port, "POST", "/api/v1/admin/tsdb/snapshot", "", STR(""));
    struct str name = str_from(a.body, strlen("{\"status\":\"success\",\"data\":{\"name\":\""));
    char path[256];

    ck_assert_msg(a.status == 200, "%s", a.bytes);
    name.n -= strlen("\"}}");
    snprintf(path, sizeof(path), "%s/snapshots/%.*s", server.dir, STR_ARG(name));
    answer_free(&a);
    server_expect(&server, "POST", "/api/v1/admin/tsdb/delete_series?match%5B%5D=up", "", "", 204, "");
    ck_assert_uint_eq(count_series(path), 3);
    server_expect(&server, "POST", "/api/v1/admin/tsdb/snapshot?skip_head=x", "", "", 400, "skip_head");
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("prometheus");
    TCase *t = tcase_create("prometheus");

    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, answers, 0, COUNT(calls));
    tcase_add_test(t, federates_utf8_to_who_takes_it);
    tcase_add_test(t, cors_is_for_reading);
    tcase_add_test(t, refuses_by_name_and_keeps_the_rest);
    tcase_add_loop_test(t, says_what_is_wrong_with_a_write, 0, COUNT(writes));
    tcase_add_test(t, sends_large_answers_in_pieces);
    tcase_add_test(t, survives_who_goes_away);
    tcase_add_test(t, head_has_no_body);
    tcase_add_test(t, deletes_and_cleans);
    tcase_add_test(t, a_snapshot_opens_as_a_store);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
