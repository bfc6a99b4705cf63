/* Loki's API over a few lines: shapes and refusals; and the tail, with followers that come and go while lines are
 * committed and the server stops. */
#include "api/websocket.h"
#include "base/clock.h"
#include "tests/unit/api/server.h"

#include <pthread.h>

static struct server server;
static const int64_t SECOND = 1700000000;

static void commit_line(int64_t second, const char *app, const char *body, const char *user)
{
    struct arena a = ARENA_INIT(0);
    struct batch b;
    union event_value v[LOG_NCOLUMNS] = { 0 };
    struct label l = { STR("user"), str_of(user) };
    struct event ev = { second * 1000000000, v, { &l, 1 } };
    struct err e = ERR_INIT;

    v[LOG_app].s = str_of(app);
    v[LOG_body].s = str_of(body);
    batch_init(&b, &a);
    ck_assert_int_eq(batch_add_event(&b, EVENT_LOG, &ev), 0);
    ck_assert_msg(store_commit(server.store, &b, &e) == 0, "%s", e.msg);
    arena_free(&a);
}

static void start(void)
{
    server_start(&server, NULL);
    commit_line(SECOND, "web", "level=info n=1", "u1");
    commit_line(SECOND + 10, "web", "level=error n=2", "u2");
    commit_line(SECOND + 20, "api", "plain", "u1");
}

static void stop(void)
{
    server_stop(&server);
}

#define RANGE "start=1700000000&end=1700000060"
#define LOG "query=%7Bkind%3D%22log%22%7D"

static const struct {
    const char *path;
    int status;
    const char *part;
} cases[] = {
    { "query_range?" LOG "&" RANGE, 200, "\"resultType\":\"streams\",\"result\":[{\"stream\":{\"app\":\"api\",\"kind\":\"log\",\"user\":\"u1\"},"
                                         "\"values\":[[\"1700000020000000000\",\"plain\"]]}" },
    { "query_range?" LOG "&limit=1&direction=forward&" RANGE, 200, "\"values\":[[\"1700000000000000000\",\"level=info n=1\"]]}],\"stats\"" },
    { "query_range?" LOG "&interval=15s&direction=forward&" RANGE, 200, "\"totalEntriesReturned\":2" },
    { "query_range?" LOG "%7Clogfmt%7Cn%3E1&" RANGE, 200, "\"level\":\"error\",\"n\":\"2\"" },
    { "query_range?query=sum(count_over_time(%7Bkind%3D%22log%22%7D%5B1m%5D))&step=30&" RANGE, 200,
      "\"resultType\":\"matrix\",\"result\":[{\"metric\":{},\"values\":[[1700000000,\"1\"],[1700000030,\"3\"],[1700000060,\"2\"]]}],\"stats\"" },
    { "query?query=sum(count_over_time(%7Bkind%3D%22log%22%7D%5B1m%5D))&time=1700000030", 200,
      "\"resultType\":\"vector\",\"result\":[{\"metric\":{},\"value\":[1700000030,\"3\"]}]" },
    { "query?" LOG "&time=1700000030", 200, "\"resultType\":\"streams\"" },
    { "labels?" RANGE, 200, "{\"status\":\"success\",\"data\":[\"app\",\"kind\",\"user\"]}" },
    { "labels?" RANGE "&" LOG, 200, "[\"app\",\"kind\"]" },
    { "label/user/values?" RANGE, 200, "[\"u1\",\"u2\"]" },
    { "label/user/values?" RANGE "&query=%7Bapp%3D%22api%22%7D", 200, "[\"u1\"]" },
    { "series?" RANGE "&match[]=%7Bkind%3D%22log%22%7D&match[]=%7Bapp%3D%22web%22%7D", 200,
      "{\"status\":\"success\",\"data\":[{\"app\":\"api\",\"kind\":\"log\"},{\"app\":\"web\",\"kind\":\"log\"}]}" },
    { "series?" RANGE, 400, "match[]" },
    { "index/stats?" LOG "&" RANGE, 200, "{\"streams\":2,\"chunks\":2,\"entries\":3,\"bytes\":34}" },
    { "index/volume?" LOG "&targetLabels=app&" RANGE, 200,
      "[{\"metric\":{\"app\":\"web\"},\"value\":[1700000060,\"29\"]},{\"metric\":{\"app\":\"api\"},\"value\":[1700000060,\"5\"]}]" },
    { "index/volume?" LOG "&limit=1&targetLabels=app&" RANGE, 200, "\"29\"]}]}}" },
    { "index/volume_range?" LOG "&step=30&start=1699999999&end=1700000059", 200, "\"values\":[[1700000029,\"34\"]]" },
    { "detected_labels?" RANGE, 200, "{\"label\":\"user\",\"cardinality\":2}" },
    { "detected_fields?" LOG "%7Clogfmt&" RANGE, 200, "{\"label\":\"n\",\"type\":\"float\",\"cardinality\":2,\"parsers\":null}" },
    { "format_query?query=%7Bkind%3D%22log%22%7D%7C%3D%22a%22", 200, "{\"status\":\"success\",\"data\":\"{kind=\\\"log\\\"} |= \\\"a\\\"\"}" },
    { "format_query?query=%7B", 400, "{\"status\":\"invalid-query\",\"error\":\"parse error at line 1, col 2: " },
    { "status/buildinfo", 200, "{\"version\":\"" },
    { "query_range?query=rate(%7Bkind%3D%22log%22%7D)&" RANGE, 400, "parse error at line 1, col 18: syntax error: unexpected ), expecting a range" },
    { "query_range?query=rate(%7Bkind%3D%22log%22%7D%5B1m%5D)&step=0&" RANGE, 400, "zero or negative query resolution" },
    { "query_range?query=rate(%7Bkind%3D%22log%22%7D%5B1m%5D)&step=1ms&" RANGE, 400, "exceeded maximum resolution" },
    { "query_range?query=count_over_time(%7Bkind%3D%22log%22%7D%7Cjson%5B1m%5D)&" RANGE, 400, "pipeline error: 'JSONParserErr'" },
    { "query_range?" LOG "&interval=x&" RANGE, 400, "interval: \"x\" should be" },
    { "index/volume?query=rate(%7Bkind%3D%22log%22%7D%5B1m%5D)&" RANGE, 400, "should be one for lines" },
    { "tail?" LOG, 400, "this path is for WebSockets" },
};

START_TEST(answers)
{
    char path[512];

    snprintf(path, sizeof(path), "/loki/api/v1/%s", cases[_i].path);
    server_expect(&server, "GET", path, "", NULL, cases[_i].status, cases[_i].part);
}
END_TEST

/* --- following --------------------------------------------------------------------------------------------------- */

struct follower {
    int fd;
    struct websocket_reader in;
};

static void follow(struct follower *f)
{
    char head[1024], c;
    size_t n = 0;

    f->fd = client_connect(server.port);
    websocket_reader_init(&f->in, false, 1 << 20);
    client_write(f->fd, STR("GET /loki/api/v1/tail?limit=0&" LOG " HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"));
    while (n < sizeof(head) - 1 && !(n >= 4 && memcmp(head + n - 4, "\r\n\r\n", 4) == 0) && recv(f->fd, &c, 1, 0) == 1)
        head[n++] = c;
    head[n] = '\0';
    ck_assert_msg(strstr(head, "HTTP/1.1 101") && strstr(head, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "%s", head);
}

static void unfollow(struct follower *f)
{
    close(f->fd);
    websocket_reader_free(&f->in);
}

/* Reads until `want` lines are there, or the close frame (want 0). */
static void expect_lines(struct follower *f, size_t want)
{
    size_t got = 0;

    for (;;) {
        struct websocket_message m;
        struct err e = ERR_INIT;
        unsigned code;
        char bytes[4096];
        ssize_t n;
        int rc = websocket_next(&f->in, &m, &code, &e);

        ck_assert_msg(rc >= 0, "%s", e.msg);
        if (rc > 0 && m.op == WEBSOCKET_CLOSE) {
            ck_assert_uint_eq(want, 0);
            return;
        }
        for (struct str rest = m.payload; rc > 0; got++) {
            ptrdiff_t at = str_find(rest, STR("followed"));

            if (at < 0)
                break;
            rest = str_from(rest, (size_t)at + 8);
        }
        if (want && got >= want) {
            ck_assert_uint_eq(got, want);
            return;
        }
        if (rc > 0)
            continue;
        n = recv(f->fd, bytes, sizeof(bytes), 0);
        ck_assert_msg(n > 0, "the connection has ended after %zu lines", got);
        ck_assert_int_eq(websocket_feed(&f->in, bytes, (size_t)n), 0);
    }
}

enum { WRITERS = 2, LINES_EACH = 20 };

static void *write_lines(void *arg)
{
    for (int i = 0; i < LINES_EACH; i++)
        commit_line(SECOND + i, arg, "followed", "u");
    return NULL;
}

START_TEST(followers_get_each_line_once)
{
    static char names[WRITERS][4] = { "a", "b" };
    struct follower f[3], passing;
    pthread_t threads[WRITERS];

    for (int i = 0; i < 3; i++)
        follow(&f[i]);
    for (int i = 0; i < WRITERS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, write_lines, names[i]), 0);
    follow(&passing);
    unfollow(&passing);
    for (int i = 0; i < 3; i++)
        expect_lines(&f[i], WRITERS * LINES_EACH);
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    unfollow(&f[2]);
    server_stop(&server); /* with two who follow: they are told */
    expect_lines(&f[0], 0);
    expect_lines(&f[1], 0);
    unfollow(&f[0]);
    unfollow(&f[1]);
    start(); /* for the fixture */
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("loki");
    TCase *t = tcase_create("answers"), *f = tcase_create("tail");

    tcase_add_checked_fixture(t, start, stop);
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, answers, 0, COUNT(cases));
    suite_add_tcase(s, t);
    tcase_add_checked_fixture(f, start, stop);
    tcase_set_timeout(f, 120);
    tcase_add_test(f, followers_get_each_line_once);
    suite_add_tcase(s, f);
    return s;
}

UNIT_MAIN(make_suite)
