#include "proxy/export-internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pb.h"
#include "tests/unit/proxy/fake_server.h"

#include <event2/event.h>

static struct exporter *exporter_to(struct event_base *base, unsigned port, size_t buffer_bytes)
{
    char url[64];
    struct export_options o = { url, STR("gateway-0.istio-system"), buffer_bytes };
    struct err e = ERR_INIT;
    struct exporter *x;

    snprintf(url, sizeof(url), "http://127.0.0.1:%u/", port);
    x = exporter_new(base, &o, &e);
    ck_assert_msg(x != NULL, "%s", e.msg);
    return x;
}

/* Runs the loop until all is acknowledged; false after `ms`. */
static bool run_until_empty(struct event_base *base, const struct exporter *x, int64_t ms)
{
    int64_t until = clock_mono_ns() + ms * 1000000;
    struct timeval step = { 0, 10000 };

    while (!exporter_is_empty(x) && clock_mono_ns() < until) {
        event_base_loopexit(base, &step);
        event_base_dispatch(base);
    }
    return exporter_is_empty(x);
}

static void put(struct exporter *x, enum export_signal s, size_t i, size_t bytes)
{
    char *body = malloc(bytes);

    memset(body, 'a' + (int)(i % 26), bytes);
    ck_assert_int_eq(exporter_put(x, s, STR(""), (struct str){ body, bytes }, 10), 0);
    free(body);
}

/* Scripts of what a server and a network may do. Whatever it is, each number is acknowledged or refused at last, in
 * order, and comes with the same bytes each time. */
#define EMPTY "Content-Length: 0\r\n\r\n"
static const struct {
    const char *what;
    struct step steps[6];
    size_t n;
    uint64_t refused, retries;
} scripts[] = {
    { "all is well", { { .answer = ANSWER_OK } }, 1, 0, 0 },
    { "drops the connection before the body", { { .hang_up_early = true } }, 1, 0, 1 },
    { "drops the connection before the answer", { { .answer = NULL } }, 1, 0, 1 },
    { "drops the connection after the answer", { { .answer = ANSWER_OK, .hang_up = true } }, 1, 0, 1 },
    { "says that it closes", { { .answer = "HTTP/1.1 200 OK\r\nConnection: close\r\n" EMPTY, .hang_up = true } }, 1, 0, 0 },
    { "is HTTP/1.0", { { .answer = "HTTP/1.0 200 OK\r\n" EMPTY, .hang_up = true } }, 1, 0, 0 },
    { "comes in pieces", { { .answer = "HTTP/1.1 200 OK\r\ncontent-LENGTH:  2 \r\n\r\nok", .in_pieces = true } }, 1, 0, 0 },
    { "says 100 first", { { .answer = "HTTP/1.1 100 Continue\r\n\r\n" ANSWER_OK } }, 1, 0, 0 },
    { "is chunked", { { .answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" } }, 1, 0, 0 },
    { "has no length", { { .answer = "HTTP/1.1 200 OK\r\n\r\n", .hang_up = true } }, 1, 0, 0 },
    { "204", { { .answer = "HTTP/1.1 204 No Content\r\n\r\n" } }, 1, 0, 0 },
    { "503 twice", { { .answer = "HTTP/1.1 503 Busy\r\n" EMPTY }, { .answer = "HTTP/1.1 503 Busy\r\n" EMPTY } }, 2, 0, 2 },
    { "429", { { .answer = "HTTP/1.1 429 Slow\r\nRetry-After: 0\r\n" EMPTY } }, 1, 0, 1 },
    { "404", { { .answer = "HTTP/1.1 404 Not Found\r\n" EMPTY } }, 1, 0, 1 },
    { "500", { { .answer = "HTTP/1.1 500 Oh\r\n" EMPTY } }, 1, 0, 1 },
    { "400", { { .answer = "HTTP/1.1 400 Bad\r\nContent-Length: 3\r\n\r\nno!" } }, 1, 1, 0 },
    { "413", { { .answer = "HTTP/1.1 413 Large\r\n" EMPTY, .hang_up = true } }, 1, 1, 1 },
    { "not HTTP", { { .answer = "SSH-2.0-OpenSSH_9.2\r\n\r\n" } }, 1, 0, 1 },
    { "a status that is none", { { .answer = "HTTP/1.1 xyz\r\n" EMPTY } }, 1, 0, 1 },
    { "a mixture",
      { { .answer = ANSWER_OK },
        { .answer = NULL },
        { .hang_up_early = true },
        { .answer = "HTTP/1.1 400 Bad\r\n" EMPTY },
        { .answer = "HTTP/1.1 503 Busy\r\n" EMPTY },
        { .answer = ANSWER_OK } },
      6, 1, 3 },
};

static void check_order(const struct fake_server *s, size_t batches)
{
    uint64_t last = 0;

    for (size_t i = 0; i < s->nseen; i++) {
        const struct seen *seen = &s->seen[i];

        ck_assert_str_eq(seen->path, "/v1/logs");
        ck_assert_str_eq(seen->sender, s->seen[0].sender);
        ck_assert_msg(seen->number == last || seen->number == last + 1, "%llu after %llu",
                      (unsigned long long)seen->number, (unsigned long long)last);
        last = seen->number;
        ck_assert_uint_eq(seen->n, 1000 * last);
        for (size_t k = 0; k < seen->n; k++)
            ck_assert_int_eq(seen->body[k], 'a' + (char)(last % 26));
    }
    ck_assert_uint_eq(last, batches);
}

START_TEST(every_batch_arrives_in_order)
{
    enum { BATCHES = 8 };
    struct event_base *base = event_base_new();
    struct fake_server *server = fake_server_start(scripts[_i].steps, scripts[_i].n);
    struct exporter *x = exporter_to(base, server->port, 1 << 20);
    const struct export_stats *stats = exporter_stats(x, EXPORT_LOGS);

    for (size_t i = 1; i <= BATCHES; i++)
        put(x, EXPORT_LOGS, i, 1000 * i);
    ck_assert_msg(run_until_empty(base, x, 10000), "%s", scripts[_i].what);
    ck_assert_uint_eq(stats->dropped_refused, 10 * scripts[_i].refused);
    ck_assert_uint_eq(stats->batches, BATCHES - scripts[_i].refused);
    ck_assert_uint_eq(stats->records, 10 * (BATCHES - scripts[_i].refused));
    /* An answer and the end of the connection may be seen together, or the end only when the next is under way. */
    ck_assert_msg(stats->retries <= scripts[_i].retries, "%s: %llu", scripts[_i].what, (unsigned long long)stats->retries);
    fake_server_stop(server);
    check_order(server, BATCHES);
    exporter_free(x);
    event_base_free(base);
    fake_server_free(server);
}
END_TEST

START_TEST(headers_are_as_agreed)
{
    struct event_base *base = event_base_new();
    struct fake_server *server = fake_server_start(NULL, 0);
    struct exporter *x = exporter_to(base, server->port, 1 << 20);
    bool seen[EXPORT_SIGNALS] = { false };

    for (int i = 0; i < EXPORT_SIGNALS; i++)
        put(x, (enum export_signal)i, 0, 10);
    ck_assert(run_until_empty(base, x, 5000));
    fake_server_stop(server);
    ck_assert_uint_eq(server->nseen, EXPORT_SIGNALS);
    for (size_t i = 0; i < server->nseen; i++) {
        struct str sender = str_of(server->seen[i].sender), pod = str_cut(&sender, '/');
        struct str incarnation = str_cut(&sender, '/');

        ck_assert(str_eqz(pod, "gateway-0.istio-system"));
        ck_assert_uint_eq(incarnation.n, 16);
        ck_assert_uint_eq(server->seen[i].number, 1); /* each signal counts for itself */
        ck_assert(str_eqz(sender, server->seen[i].path + strlen("/v1/")));
        for (int k = 0; k < EXPORT_SIGNALS; k++)
            seen[k] |= str_eqz(sender, export_signal_names[k]);
    }
    ck_assert(seen[0] && seen[1] && seen[2]);
    exporter_free(x);
    event_base_free(base);
    fake_server_free(server);
}
END_TEST

START_TEST(retry_after_is_honoured)
{
    static const struct step script[] = { { .answer = "HTTP/1.1 503 Busy\r\nRetry-After: 1\r\n" EMPTY } };
    struct event_base *base = event_base_new();
    struct fake_server *server = fake_server_start(script, 1);
    struct exporter *x = exporter_to(base, server->port, 1 << 20);
    int64_t from = clock_mono_ns();

    put(x, EXPORT_LOGS, 1, 10);
    ck_assert(run_until_empty(base, x, 5000));
    ck_assert_int_ge(clock_mono_ns() - from, 990000000);
    fake_server_stop(server);
    exporter_free(x);
    event_base_free(base);
    fake_server_free(server);
}
END_TEST

START_TEST(hurry_does_not_wait)
{
    static const struct step script[] = { { .answer = "HTTP/1.1 503 Busy\r\nRetry-After: 60\r\n" EMPTY } };
    struct event_base *base = event_base_new();
    struct fake_server *server = fake_server_start(script, 1);
    struct exporter *x = exporter_to(base, server->port, 1 << 20);

    put(x, EXPORT_LOGS, 1, 10);
    ck_assert(!run_until_empty(base, x, 300));
    exporter_hurry(x);
    ck_assert(run_until_empty(base, x, 1000));
    fake_server_stop(server);
    exporter_free(x);
    event_base_free(base);
    fake_server_free(server);
}
END_TEST

/* Nobody listens: what fits waits, what comes later has no number and is counted, and goes out when room is there. */
START_TEST(full_buffer_drops_the_newest)
{
    struct event_base *base = event_base_new();
    struct fake_server *server = fake_server_start(NULL, 0);
    unsigned port = server->port;
    struct exporter *x;
    char body[1000] = "";

    fake_server_stop(server);
    fake_server_free(server);
    x = exporter_to(base, port, 5500);
    for (int i = 0; i < 5; i++)
        put(x, EXPORT_LOGS, 1, 1000);
    ck_assert_int_eq(exporter_put(x, EXPORT_LOGS, (struct str){ body, 1 }, (struct str){ body + 1, 1000 - 1 }, 7), ERR_BUSY);
    ck_assert_int_eq(exporter_put(x, EXPORT_TRACES, (struct str){ body, 1 }, (struct str){ body + 1, 1000 - 1 }, 8), ERR_BUSY);
    ck_assert_uint_eq(exporter_stats(x, EXPORT_LOGS)->dropped_full, 7);
    ck_assert_uint_eq(exporter_stats(x, EXPORT_TRACES)->dropped_full, 8);
    put(x, EXPORT_TRACES, 1, 500);
    ck_assert_uint_eq(exporter_used(x), 5500);
    ck_assert_uint_eq(exporter_stats(x, EXPORT_LOGS)->waiting_batches, 5);
    ck_assert(!run_until_empty(base, x, 300));
    ck_assert_uint_gt(exporter_stats(x, EXPORT_LOGS)->retries, 0);
    ck_assert_uint_eq(exporter_used(x), 5500);
    exporter_free(x);
    event_base_free(base);
}
END_TEST

START_TEST(metrics_take_a_quarter)
{
    struct event_base *base = event_base_new();
    struct exporter *x = exporter_to(base, 1, 8000);
    char body[2001] = "";

    ck_assert(exporter_has_room(x, EXPORT_METRICS, 2000));
    ck_assert(!exporter_has_room(x, EXPORT_METRICS, 2001));
    ck_assert(exporter_has_room(x, EXPORT_LOGS, 8000));
    put(x, EXPORT_METRICS, 1, 1500);
    ck_assert_int_eq(exporter_put(x, EXPORT_METRICS, (struct str){ body, 1 }, (struct str){ body + 1, 501 - 1 }, 3), ERR_BUSY);
    ck_assert_uint_eq(exporter_stats(x, EXPORT_METRICS)->dropped_full, 0); /* nothing is lost: it comes again */
    put(x, EXPORT_METRICS, 1, 500);
    ck_assert(exporter_has_room(x, EXPORT_LOGS, 6000));
    ck_assert(!exporter_has_room(x, EXPORT_LOGS, 6001));
    exporter_free(x);
    event_base_free(base);
}
END_TEST

START_TEST(partial_success_is_counted)
{
    static const struct step script[] = {
        { .answer = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n\x0a\x07\x08\x03\x12\x03" "bad" }
    };
    struct event_base *base = event_base_new();
    struct fake_server *server = fake_server_start(script, 1);
    struct exporter *x = exporter_to(base, server->port, 1 << 20);

    put(x, EXPORT_LOGS, 1, 10);
    ck_assert(run_until_empty(base, x, 5000));
    ck_assert_uint_eq(exporter_stats(x, EXPORT_LOGS)->dropped_rejected, 3);
    ck_assert_uint_eq(exporter_stats(x, EXPORT_LOGS)->records, 7);
    fake_server_stop(server);
    exporter_free(x);
    event_base_free(base);
    fake_server_free(server);
}
END_TEST

static const struct {
    const char *url;
    int rc;
    const char *msg;
} urls[] = {
    { "http://127.0.0.1:20001", 0, "" },
    { "http://[::1]:20001/", 0, "" },
    { "http://collector", 0, "" },
    { "http://collector/some/prefix/", 0, "" },
    { "https://collector", ERR_UNSUPPORTED, "URL \"https://collector\": https is not offered, use http" },
    { "127.0.0.1:20001", ERR_PARSE, "URL \"127.0.0.1:20001\": should be http://HOST[:PORT][/PATH]" },
    { "http://", ERR_PARSE, "URL \"http://\": should be http://HOST[:PORT][/PATH]" },
    { "http://:80", ERR_PARSE, "URL \"http://:80\": should be http://HOST[:PORT][/PATH]" },
    { "http://a:0", ERR_PARSE, "URL \"http://a:0\": should be http://HOST[:PORT][/PATH]" },
    { "http://a:65536", ERR_PARSE, "URL \"http://a:65536\": should be http://HOST[:PORT][/PATH]" },
    { "http://a:8x", ERR_PARSE, "URL \"http://a:8x\": should be http://HOST[:PORT][/PATH]" },
};

START_TEST(urls_are_checked)
{
    struct event_base *base = event_base_new();
    struct export_options o = { urls[_i].url, STR("p.n"), 1000 };
    struct err e = ERR_INIT;
    struct exporter *x = exporter_new(base, &o, &e);

    ck_assert_msg((x != NULL) == (urls[_i].rc == 0), "%s", urls[_i].url);
    ck_assert_int_eq(e.code, urls[_i].rc);
    ck_assert_str_eq(e.msg, urls[_i].msg);
    exporter_free(x);
    event_base_free(base);
}
END_TEST

/* A name goes through the resolver's thread; one that is none fails like a server that is away. */
static const struct {
    const char *host;
    bool arrives;
} names[] = { { "localhost", true }, { "no-such-host.invalid", false } };

START_TEST(names_are_looked_up)
{
    struct event_base *base = event_base_new();
    struct fake_server *server = fake_server_start(NULL, 0);
    char url[64];
    struct export_options o = { url, STR("p.n"), 1000 };
    struct exporter *x;

    snprintf(url, sizeof(url), "http://%s:%u", names[_i].host, server->port);
    x = exporter_new(base, &o, NULL);
    put(x, EXPORT_LOGS, 1, 10);
    ck_assert(run_until_empty(base, x, names[_i].arrives ? 5000 : 200) == names[_i].arrives);
    exporter_free(x);
    event_base_free(base);
    fake_server_stop(server);
    fake_server_free(server);
}
END_TEST

START_TEST(says_when_memory_is_short)
{
    for (long n = 1;; n++) {
        struct event_base *base = event_base_new();
        struct export_options o = { "http://127.0.0.1:1", STR("p.n"), 1000 };
        struct err e = ERR_INIT;
        struct exporter *x;
        bool failed;
        int rc = 0;

        mem_fail_at(n);
        x = exporter_new(base, &o, &e);
        if (x)
            rc = exporter_put(x, EXPORT_LOGS, STR("bo"), STR("dy"), 2);
        failed = mem_has_failed();
        mem_fail_at(0);
        if (x && rc < 0)
            ck_assert_uint_eq(exporter_stats(x, EXPORT_LOGS)->dropped_full, 2);
        else if (!x)
            ck_assert_int_eq(e.code, ERR_NOMEM);
        exporter_free(x);
        event_base_free(base);
        if (!failed)
            break;
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("export");
    TCase *t = tcase_create("export");

    log_init("export_test", LOG_ERROR);
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, every_batch_arrives_in_order, 0, COUNT(scripts));
    tcase_add_test(t, headers_are_as_agreed);
    tcase_add_test(t, retry_after_is_honoured);
    tcase_add_test(t, hurry_does_not_wait);
    tcase_add_test(t, full_buffer_drops_the_newest);
    tcase_add_test(t, metrics_take_a_quarter);
    tcase_add_test(t, partial_success_is_counted);
    tcase_add_loop_test(t, urls_are_checked, 0, COUNT(urls));
    tcase_add_loop_test(t, names_are_looked_up, 0, COUNT(names));
    tcase_add_test(t, says_when_memory_is_short);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
