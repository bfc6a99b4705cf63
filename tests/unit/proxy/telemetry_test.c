#include "proxy/telemetry.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "proxy/otlp-internal.h"
#include "tests/unit/proxy/fake_server.h"
#include "tests/unit/proxy/look.h"

static const struct workload self = {
    .pod = STR_INIT("gateway-0"),
    .name = STR_INIT("istio-ingressgateway"),
    .ns = STR_INIT("istio-system"),
    .app = STR_INIT("gateway"),
    .version = STR_INIT("unknown"),
    .canonical_service = STR_INIT("gateway"),
    .canonical_revision = STR_INIT("latest"),
    .principal = STR_INIT("unknown"),
    .cluster = STR_INIT("Kubernetes"),
    .ip = STR_INIT("127.0.0.1"),
};

enum { RINGS = 2 };

/* A telemetry with two rings, a server and a file. */
struct house {
    struct record_ring *rings[RINGS];
    struct fake_server *server;
    char url[64], path[64];
    struct telemetry_options o;
    struct telemetry *t;
};

static void house_open(struct house *h, const struct step *script, size_t n)
{
    struct err e = ERR_INIT;
    int fd;

    memset(h, 0, sizeof(*h));
    for (int i = 0; i < RINGS; i++)
        h->rings[i] = record_ring_new(1 << 20);
    h->server = fake_server_start(script, n);
    snprintf(h->url, sizeof(h->url), "http://127.0.0.1:%u", h->server->port);
    memcpy(h->path, "/tmp/vigla-telemetry-XXXXXX", sizeof("/tmp/vigla-telemetry-XXXXXX"));
    fd = mkstemp(h->path);
    ck_assert_int_ge(fd, 0);
    close(fd);
    h->o = (struct telemetry_options){ .url = h->url, .access_log = h->path, .flush_ms = 20, .rings = h->rings,
                                       .nrings = RINGS };
    h->t = telemetry_start(&self, &h->o, &e);
    ck_assert_msg(h->t != NULL, "%s", e.msg);
}

static void house_stop(struct house *h, int64_t timeout_ms)
{
    telemetry_stop(h->t, timeout_ms);
    fake_server_stop(h->server);
}

static void house_close(struct house *h)
{
    fake_server_free(h->server);
    for (int i = 0; i < RINGS; i++)
        record_ring_free(h->rings[i]);
    unlink(h->path);
}

/* The i-th of a row of requests, one ms apart, each with a span. */
static void push(struct house *h, int ring, int i)
{
    char trace[33], id[17], path[32];
    struct record rec = look_request(1700000000000000000 + i * 1000000LL, i % 10 == 9 ? 503 : 200);

    snprintf(trace, sizeof(trace), "%032x", i + 1);
    snprintf(id, sizeof(id), "%016x", i + 1);
    snprintf(path, sizeof(path), "/item/%d", i);
    rec.log.trace_id = str_of(trace);
    rec.log.span_id = str_of(id);
    rec.log.path = str_of(path);
    rec.operation = STR("frontend:80/*");
    while (!record_ring_push(h->rings[ring], &rec))
        usleep(1000);
}

/* Records in acknowledged batches of a signal, each number once. */
static size_t delivered(const struct fake_server *s, const char *path)
{
    uint64_t last = 0;
    size_t n = 0;

    for (size_t i = 0; i < s->nseen; i++) {
        const struct seen *seen = &s->seen[i];

        if (strcmp(seen->path, path) != 0 || seen->number == last || !seen->acknowledged)
            continue;
        ck_assert_uint_eq(seen->number, last + 1);
        last = seen->number;
        n += look_count(look_scope((struct str){ seen->body, seen->n }), OTLP_RECORD);
    }
    return n;
}

/* The last value of istio_requests_total, summed over its series. */
static uint64_t requests(const struct fake_server *s)
{
    uint64_t by_code[600] = { 0 }, total = 0;

    for (size_t i = 0; i < s->nseen; i++) {
        struct str scope = look_scope((struct str){ s->seen[i].body, s->seen[i].n });

        for (size_t k = 0; strcmp(s->seen[i].path, "/v1/metrics") == 0 && k < look_count(scope, OTLP_RECORD); k++) {
            struct str metric = look_bytes(scope, OTLP_RECORD, k), sum = look_bytes(metric, 7, 0);

            if (!str_eqz(look_bytes(metric, 1, 0), "istio_requests_total"))
                continue;
            for (size_t p = 0; p < look_count(sum, 1); p++) {
                struct str point = look_bytes(sum, 1, p), code = look_text(point, 7, "response_code");

                by_code[strtoul(code.p, NULL, 10)] = look_number(point, 6);
            }
        }
    }
    for (size_t i = 0; i < COUNT(by_code); i++)
        total += by_code[i];
    return total;
}

static size_t lines_in_order(const char *path)
{
    struct buf b = BUF_INIT(64 << 20);
    struct str rest;
    size_t n = 0;

    ck_assert_int_eq(file_read(path, &b, NULL), 0);
    rest = buf_view(&b);
    while (rest.n) {
        struct str line = str_cut(&rest, '\n');
        char want[64];

        snprintf(want, sizeof(want), "\"GET /item/%zu HTTP/1.1\" ", n);
        ck_assert_msg(str_find(line, str_of(want)) >= 0, "line %zu: %.*s", n, STR_ARG(line));
        n++;
    }
    buf_free(&b);
    return n;
}

START_TEST(all_that_was_pushed_arrives)
{
    enum { REQUESTS = 5000 };
    static const struct step script[] = { { .answer = NULL },
                                          { .answer = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n" },
                                          { .hang_up_early = true },
                                          { .answer = ANSWER_OK, .hang_up = true } };
    struct house h;

    house_open(&h, script, COUNT(script));
    for (int i = 0; i < REQUESTS; i++)
        push(&h, 0, i);
    house_stop(&h, 5000);
    ck_assert_uint_eq(delivered(h.server, "/v1/logs"), REQUESTS);
    ck_assert_uint_eq(delivered(h.server, "/v1/traces"), REQUESTS);
    ck_assert_uint_eq(requests(h.server), REQUESTS);
    ck_assert_uint_eq(lines_in_order(h.path), REQUESTS);
    house_close(&h);
}
END_TEST

/* What lies in both rings leaves in the order of the answers. */
START_TEST(rings_are_merged)
{
    enum { REQUESTS = 300 };
    struct house h;

    house_open(&h, NULL, 0);
    telemetry_stop(h.t, 1000);
    for (int i = 0; i < REQUESTS; i++)
        push(&h, i % 7 < 3, i);
    h.t = telemetry_start(&self, &h.o, NULL);
    house_stop(&h, 5000);
    ck_assert_uint_eq(lines_in_order(h.path), REQUESTS);
    house_close(&h);
}
END_TEST

/* A line is in the file, and a record at the server, well before anybody stops anything. */
START_TEST(nothing_waits_long)
{
    struct house h;
    struct buf b = BUF_INIT(1 << 20);
    int64_t from = clock_mono_ns(), took;
    bool arrived = false;

    house_open(&h, NULL, 0);
    push(&h, 0, 0);
    do {
        usleep(2000);
        buf_reset(&b);
        file_read(h.path, &b, NULL);
        pthread_mutex_lock(&h.server->lock);
        for (size_t i = 0; i < h.server->nseen; i++)
            arrived |= strcmp(h.server->seen[i].path, "/v1/logs") == 0;
        pthread_mutex_unlock(&h.server->lock);
        took = clock_mono_ns() - from;
    } while ((b.n == 0 || !arrived) && took < 5000000000);
    ck_assert_int_lt(took, 1000000000);
    house_stop(&h, 1000);
    buf_free(&b);
    house_close(&h);
}
END_TEST

START_TEST(tcp_is_logged_at_its_end)
{
    struct record rec = look_request(1700000000000000000, -1);
    struct house h;
    struct buf b = BUF_INIT(1 << 20);

    house_open(&h, NULL, 0);
    rec.log.method = rec.log.path = rec.log.protocol = STR_NULL;
    rec.log.request_protocol = STR("tcp");
    rec.log.bytes_received = 27;
    rec.log.bytes_sent = 31;
    for (int kind = RECORD_TCP_OPEN; kind <= RECORD_TCP_CLOSE; kind++) {
        rec.kind = (enum record_kind)kind;
        rec.received_delta = kind == RECORD_TCP_BYTES ? 27 : 0;
        ck_assert(record_ring_push(h.rings[0], &rec));
    }
    house_stop(&h, 1000);
    ck_assert_uint_eq(delivered(h.server, "/v1/logs"), 1);
    ck_assert_uint_eq(delivered(h.server, "/v1/traces"), 0);
    ck_assert_int_eq(file_read(h.path, &b, NULL), 0);
    ck_assert_int_ge(str_find(buf_view(&b), STR("] \"- - -\" 0 - ")), 0);
    ck_assert_int_ge(str_find(buf_view(&b), STR(" 27 31 4 ")), 0);
    buf_free(&b);
    house_close(&h);
}
END_TEST

START_TEST(json_lines)
{
    struct house h;
    struct buf b = BUF_INIT(1 << 20);

    house_open(&h, NULL, 0);
    telemetry_stop(h.t, 1000);
    h.o.access_log_json = true;
    h.o.url = NULL; /* and ships nothing */
    h.t = telemetry_start(&self, &h.o, NULL);
    push(&h, 0, 7);
    house_stop(&h, 1000);
    ck_assert_uint_eq(delivered(h.server, "/v1/logs"), 0);
    ck_assert_int_eq(file_read(h.path, &b, NULL), 0);
    ck_assert(str_starts(buf_view(&b), STR("{\"start_time\":\"2023-11-14T22:13:20.007Z\",\"method\":\"GET\",\"path\":"
                                           "\"/item/7\"")));
    buf_free(&b);
    house_close(&h);
}
END_TEST

/* What a policy keeps out of the log is in no file and in no batch, but its span and its count are. */
START_TEST(policies_keep_out_of_the_log)
{
    struct house h;
    struct buf b = BUF_INIT(1 << 20);
    struct record rec = look_request(1700000000000000000, 200);
    struct telemetry_policy errors_only = { .sampling_ppm = -1, .log_least_status = 400 };

    house_open(&h, NULL, 0);
    rec.log.trace_id = STR("0123456789abcdef0123456789abcdef");
    rec.log.span_id = STR("fedcba9876543210");
    record_obey(&rec, &errors_only);
    ck_assert(record_ring_push(h.rings[0], &rec));
    rec.log.response_code = 404;
    record_obey(&rec, &errors_only);
    ck_assert(record_ring_push(h.rings[0], &rec));
    house_stop(&h, 2000);
    ck_assert_uint_eq(delivered(h.server, "/v1/logs"), 1);
    ck_assert_uint_eq(delivered(h.server, "/v1/traces"), 2);
    ck_assert_uint_eq(requests(h.server), 2);
    ck_assert_int_eq(file_read(h.path, &b, NULL), 0);
    ck_assert(str_find(buf_view(&b), STR("\" 404 ")) > 0 && str_find(buf_view(&b), STR("\" 200 ")) < 0);
    buf_free(&b);
    house_close(&h);
}
END_TEST

/* The file has its own format; the server gets Istio's line. */
START_TEST(own_format)
{
    struct arena a = ARENA_INIT(1 << 20);
    struct house h;
    struct buf b = BUF_INIT(1 << 20);

    house_open(&h, NULL, 0);
    telemetry_stop(h.t, 1000);
    h.o.access_format = access_format_compile(&a, STR("%HOSTNAME% %REQ(:METHOD)% %RESPONSE_CODE%"), NULL);
    h.t = telemetry_start(&self, &h.o, NULL);
    push(&h, 0, 7);
    house_stop(&h, 2000);
    ck_assert_int_eq(file_read(h.path, &b, NULL), 0);
    ck_assert_msg(str_eqz(buf_view(&b), "gateway-0 GET 200\n"), "%.*s", STR_ARG(buf_view(&b)));
    ck_assert_uint_eq(delivered(h.server, "/v1/logs"), 1);
    buf_free(&b);
    house_close(&h);
    arena_free(&a);
}
END_TEST

START_TEST(reopens)
{
    struct house h;
    struct buf b = BUF_INIT(1 << 20);
    char rotated[80];

    house_open(&h, NULL, 0);
    snprintf(rotated, sizeof(rotated), "%s.1", h.path);
    ck_assert_int_eq(rename(h.path, rotated), 0);
    telemetry_reopen(h.t);
    for (int i = 0; i < 500 && access(h.path, F_OK) != 0; i++)
        usleep(10000);
    push(&h, 0, 0);
    house_stop(&h, 1000);
    ck_assert_uint_eq(lines_in_order(h.path), 1);
    buf_free(&b);
    unlink(rotated);
    house_close(&h);
}
END_TEST

/* Without a server stopping takes its time and no more, and what lies in the buffer is bounded. */
static size_t size_of(const char *path)
{
    struct buf b = BUF_INIT(1 << 20);
    size_t n;

    ck_assert_int_eq(file_read(path, &b, NULL), 0);
    n = b.n;
    buf_free(&b);
    return n;
}

/* While the process before this one has not told its last, nothing leaves, and nothing is lost. */
START_TEST(held_until_released)
{
    struct house h;

    house_open(&h, NULL, 0);
    telemetry_stop(h.t, 1000);
    h.o.held = true;
    h.t = telemetry_start(&self, &h.o, NULL);
    push(&h, 0, 0);
    usleep(50000);
    ck_assert_uint_eq(size_of(h.path), 0);
    telemetry_release(h.t);
    for (int i = 0; i < 500 && size_of(h.path) == 0; i++)
        usleep(10000);
    ck_assert_uint_gt(size_of(h.path), 0);
    house_stop(&h, 1000);
    ck_assert_uint_eq(delivered(h.server, "/v1/logs"), 1);
    house_close(&h);
}
END_TEST

/* The last value of istio_requests_total, told as the Pod's own or as its predecessor's. */
static uint64_t requests_of(const struct fake_server *s, bool own)
{
    uint64_t last = 0;

    for (size_t i = 0; i < s->nseen; i++) {
        struct str body = { s->seen[i].body, s->seen[i].n }, scope = look_scope(body);
        struct str instance = look_text(look_bytes(look_bytes(body, 1, 0), 1, 0), 1, "service.instance.id");

        if (strcmp(s->seen[i].path, "/v1/metrics") != 0 || str_eqz(instance, "gateway-0.istio-system") != own)
            continue;
        ck_assert(str_starts(instance, STR("gateway-0.istio-system")));
        for (size_t k = 0; k < look_count(scope, OTLP_RECORD); k++) {
            struct str metric = look_bytes(scope, OTLP_RECORD, k);

            if (str_eqz(look_bytes(metric, 1, 0), "istio_requests_total"))
                last = look_number(look_bytes(look_bytes(metric, 7, 0), 1, 0), 6);
        }
    }
    return last;
}

/* What is counted after another process has taken over is not in the series that it goes on with. */
START_TEST(a_predecessor_counts_apart)
{
    struct house h;

    house_open(&h, NULL, 0);
    for (int i = 0; i < 3; i++)
        push(&h, 0, i);
    telemetry_hand_over(h.t);
    for (int i = 0; i < 500 && !telemetry_has_handed_over(h.t); i++)
        usleep(10000);
    ck_assert(telemetry_has_handed_over(h.t));
    for (int i = 3; i < 5; i++)
        push(&h, 0, i);
    house_stop(&h, 2000);
    ck_assert_uint_eq(requests_of(h.server, true), 3);
    ck_assert_uint_eq(requests_of(h.server, false), 2);
    ck_assert_uint_eq(delivered(h.server, "/v1/logs"), 5);
    house_close(&h);
}
END_TEST

START_TEST(stops_in_time_without_a_server)
{
    struct house h;
    int64_t from;

    house_open(&h, NULL, 0);
    telemetry_stop(h.t, 1000);
    fake_server_stop(h.server);
    h.o.buffer_bytes = 100000;
    h.t = telemetry_start(&self, &h.o, NULL);
    for (int i = 0; i < 3000; i++)
        push(&h, 0, i);
    from = clock_mono_ns();
    telemetry_stop(h.t, 300);
    ck_assert_int_ge(clock_mono_ns() - from, 290000000);
    ck_assert_int_lt(clock_mono_ns() - from, 3000000000);
    ck_assert_uint_eq(lines_in_order(h.path), 3000);
    house_close(&h);
}
END_TEST

static const struct {
    const char *what, *url, *access_log, *admin_host;
    int rc;
    const char *msg;
} bad[] = {
    { "URL", "ftp://x", NULL, NULL, ERR_PARSE, "URL \"ftp://x\": should be http://HOST[:PORT][/PATH]" },
    { "file", NULL, "/no/such/file", NULL, ERR_IO, "access log /no/such/file: open: No such file or directory" },
    { "address", NULL, NULL, "192.0.2.1", ERR_IO, "admin port 192.0.2.1:1: listen: Cannot assign requested address" },
};

START_TEST(says_what_cannot_be_started)
{
    struct telemetry_options o = { .url = bad[_i].url, .access_log = bad[_i].access_log,
                                   .admin_host = bad[_i].admin_host, .admin_port = 1 };
    struct err e = ERR_INIT;

    ck_assert_ptr_null(telemetry_start(&self, &o, &e));
    ck_assert_int_eq(e.code, bad[_i].rc);
    ck_assert_str_eq(e.msg, bad[_i].msg);
    telemetry_stop(NULL, 0);
}
END_TEST

START_TEST(says_when_memory_is_short)
{
    for (long n = 1;; n++) {
        struct telemetry_options o = { .url = "http://127.0.0.1:1", .access_log = "/dev/null",
                                       .admin_host = "127.0.0.1", .flush_ms = 1000 };
        struct err e = ERR_INIT;
        struct telemetry *t;
        bool failed;

        mem_fail_at(n);
        t = telemetry_start(&self, &o, &e);
        failed = mem_has_failed();
        mem_fail_at(0);
        telemetry_stop(t, 0);
        if (t)
            break;
        ck_assert_int_eq(e.code, ERR_NOMEM);
        ck_assert(failed);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("telemetry");
    TCase *t = tcase_create("telemetry");

    log_init("telemetry_test", LOG_ERROR);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, all_that_was_pushed_arrives);
    tcase_add_test(t, rings_are_merged);
    tcase_add_test(t, nothing_waits_long);
    tcase_add_test(t, tcp_is_logged_at_its_end);
    tcase_add_test(t, json_lines);
    tcase_add_test(t, policies_keep_out_of_the_log);
    tcase_add_test(t, own_format);
    tcase_add_test(t, reopens);
    tcase_add_test(t, held_until_released);
    tcase_add_test(t, a_predecessor_counts_apart);
    tcase_add_test(t, stops_in_time_without_a_server);
    tcase_add_loop_test(t, says_what_cannot_be_started, 0, COUNT(bad));
    tcase_add_test(t, says_when_memory_is_short);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
