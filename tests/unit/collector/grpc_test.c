/* The server with a store, and clients of nghttp2 on real sockets. Between server and store stands a gate, which can refuse
 * batches or keep them back. */
#include "base/clock.h"
#include "base/log.h"
#include "base/zip.h"
#include "collector/grpc-internal.h"
#include "store/events.h"
#include "tests/unit/collector/grpc_client.h"
#include "tests/unit/collector/pbtext.h"
#include "tests/unit/unit.h"

#include <ftw.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#define LOGS   "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
#define ALS    "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs"
#define HEALTH "/grpc.health.v1.Health/Check"
#define RECORD "1{2{2{5{1:'hello'}}}}"
#define ENTRY  "2{1{1{15:'b'} 3{5:'/'}}}"
#define NODE   "1{1{1:'n' 2:'c'} 2:'l'}"

/* --- the gate --- */

static struct gate {
    pthread_mutex_t lock;
    size_t refuse; /* so many submissions are refused with ERR_BUSY */
    bool keep;     /* those that come are kept back */
    struct kept {
        struct store *st;
        struct batch *b;
        void (*done)(void *arg, int rc, const struct err *e);
        void *arg;
    } kept[1024];
    size_t n;
} gate = { .lock = PTHREAD_MUTEX_INITIALIZER };

static int submit(struct store *st, struct batch *b, void (*done)(void *arg, int rc, const struct err *e), void *arg,
                  struct err *e)
{
    bool refuse, keep;

    pthread_mutex_lock(&gate.lock);
    refuse = gate.refuse > 0;
    gate.refuse -= refuse;
    keep = !refuse && gate.keep;
    if (keep)
        gate.kept[gate.n++] = (struct kept){ st, b, done, arg };
    pthread_mutex_unlock(&gate.lock);
    if (refuse)
        return err_set(e, ERR_BUSY, "the gate is closed");
    return keep ? 0 : store_submit(st, b, done, arg, e);
}

static size_t gate_kept(void)
{
    size_t n;

    pthread_mutex_lock(&gate.lock);
    n = gate.n;
    pthread_mutex_unlock(&gate.lock);
    return n;
}

static void gate_open(void)
{
    pthread_mutex_lock(&gate.lock);
    gate.keep = false;
    for (size_t i = 0; i < gate.n; i++)
        ck_assert_int_eq(store_submit(gate.kept[i].st, gate.kept[i].b, gate.kept[i].done, gate.kept[i].arg, NULL), 0);
    gate.n = 0;
    pthread_mutex_unlock(&gate.lock);
}

/* --- the scene --- */

struct scene {
    char dir[64];
    struct store *store;
    struct grpc_server *server;
};

static int remove_one(const char *path, const struct stat *sb, int type, struct FTW *at)
{
    (void)sb;
    (void)type;
    (void)at;
    return remove(path);
}

static void scene_start(struct scene *s, struct grpc_options o)
{
    struct err e = ERR_INIT;

    log_set_level(LOG_ERROR);
    gate.refuse = gate.n = 0;
    gate.keep = false;
    snprintf(s->dir, sizeof(s->dir), "/tmp/vigla-grpc-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(s->dir));
    s->store = store_open(s->dir, NULL, &e);
    ck_assert_msg(s->store != NULL, "%s", e.msg);
    o.host = "127.0.0.1";
    s->server = grpc_start(s->store, &o, &e);
    ck_assert_msg(s->server != NULL, "%s", e.msg);
    s->server->submit = submit; /* nobody has connected yet */
}

static void scene_stop(struct scene *s)
{
    if (s->server) {
        gate_open();
        grpc_stop(s->server, 2000);
    }
    store_close(s->store);
    nftw(s->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static uint64_t rows(struct scene *s, enum event_kind kind)
{
    struct store_stats stats;

    store_stats(s->store, &stats);
    return stats.events[kind];
}

/* --- answers --- */

static const struct {
    const char *name;
    struct request request;
    const char *body; /* pbtext; NULL: none */
    size_t times;
    int http, grpc;
    const char *message;
} calls[] = {
    { "stored", { .path = LOGS }, RECORD, 1, 200, GRPC_OK, "" },
    { "stored, of type +proto", { .path = LOGS, .type = "application/grpc+proto" }, RECORD, 1, 200, GRPC_OK, "" },
    { "nothing to store", { .path = LOGS }, "", 1, 200, GRPC_OK, "" },
    { "a stream", { .path = ALS }, NODE ENTRY, 3, 200, GRPC_OK, "" },
    { "an empty stream", { .path = ALS }, NULL, 0, 200, GRPC_OK, "" },
    { "health", { .path = HEALTH }, "", 1, 200, GRPC_OK, "" },
    { "health of another", { .path = HEALTH }, "1:'x'", 1, 200, GRPC_NOT_FOUND, "no such service here" },
    { "no protobuf", { .path = LOGS }, "1:'\xff'", 1, 200, GRPC_INVALID_ARGUMENT,
      "protobuf: a field's tag is cut short" },
    { "no such method", { .path = "/a/b" }, "", 1, 200, GRPC_UNIMPLEMENTED, "no such method here" },
    { "another encoding", { .path = LOGS, .encoding = "br" }, RECORD, 1, 200, GRPC_UNIMPLEMENTED,
      "grpc-encoding should be identity, gzip or deflate" },
    { "a wrong timeout", { .path = LOGS, .timeout = "1x" }, RECORD, 1, 200, GRPC_INTERNAL,
      "grpc-timeout should be up to eight digits and one of H M S m u n" },
    { "two messages", { .path = LOGS }, RECORD, 2, 200, GRPC_INTERNAL, "more than one message in a call that takes one" },
    { "no message", { .path = LOGS }, NULL, 0, 200, GRPC_INTERNAL, "the stream ended without a message" },
    { "no identifier", { .path = ALS }, ENTRY, 1, 200, GRPC_INVALID_ARGUMENT,
      "the first message of a stream should have an identifier" },
    { "GET", { .path = LOGS, .method = "GET" }, NULL, 0, 405, -1, "" },
    { "JSON", { .path = LOGS, .type = "application/json" }, NULL, 0, 415, -1, "" },
    { "a type that only begins so", { .path = LOGS, .type = "application/grpcx" }, NULL, 0, 415, -1, "" },
};

START_TEST(answers)
{
    struct scene s;
    struct client c;
    struct buf body = calls[_i].body ? messages(calls[_i].body, calls[_i].times) : (struct buf)BUF_INIT(0);
    struct sent *call;

    scene_start(&s, (struct grpc_options){ 0 });
    client_open(&c, grpc_port(s.server));
    call = client_send(&c, calls[_i].request, &body);
    UNTIL(&c, call->closed || c.eof);
    ck_assert_msg(call->http == calls[_i].http && call->grpc == calls[_i].grpc, "%s: %d %d %s", calls[_i].name, call->http,
                  call->grpc, call->message);
    ck_assert_str_eq(call->message, calls[_i].message);
    ck_assert_uint_eq(call->answer >= GRPC_PREFIX, call->grpc == GRPC_OK);
    client_close(&c);
    scene_stop(&s);
}
END_TEST

START_TEST(bounds_messages_whatever_they_are_packed_from)
{
    static const char *const why = "a message of more than 65536 bytes when unpacked";
    struct scene s;
    struct client c;
    struct buf zeros = BUF_INIT(1 << 24), packed = BUF_INIT(1 << 24), bomb = BUF_INIT(1 << 20), large = BUF_INIT(1 << 20);
    struct sent *of_bomb, *of_large;

    memset(buf_reserve(&zeros, 1 << 23), 0, 1 << 23);
    zeros.n = 1 << 23;
    ck_assert_int_eq(gzip_pack(buf_view(&zeros), &packed, NULL), 0);
    put_prefixed(&bomb, buf_view(&packed), true);
    put_prefixed(&large, (struct str){ zeros.p, (1 << 16) + 1 }, false);
    scene_start(&s, (struct grpc_options){ .max_message = 1 << 16 });
    client_open(&c, grpc_port(s.server));
    of_bomb = client_send(&c, (struct request){ .path = LOGS, .encoding = "gzip" }, &bomb);
    of_large = client_send(&c, (struct request){ .path = LOGS }, &large);
    UNTIL(&c, of_bomb->closed && of_large->closed);
    ck_assert_int_eq(of_bomb->grpc, GRPC_RESOURCE_EXHAUSTED);
    ck_assert_str_eq(of_bomb->message, why);
    ck_assert(!of_bomb->has_details);
    ck_assert_int_eq(of_large->grpc, GRPC_RESOURCE_EXHAUSTED);
    ck_assert_str_eq(of_large->message, "a message of 65537 bytes, at most 65536 are taken");
    client_close(&c);
    scene_stop(&s);
    buf_free(&zeros);
    buf_free(&packed);
}
END_TEST

/* --- pushing back --- */

START_TEST(a_full_store_refuses_a_call_and_keeps_a_stream_waiting)
{
    struct scene s;
    struct client c;
    struct buf one = messages(RECORD, 1), three = messages(NODE ENTRY, 3);
    struct sent *call, *stream;

    scene_start(&s, (struct grpc_options){ 0 });
    client_open(&c, grpc_port(s.server));
    gate.refuse = 4;
    call = client_send(&c, (struct request){ .path = LOGS }, &one);
    UNTIL(&c, call->closed);
    ck_assert_int_eq(call->grpc, GRPC_RESOURCE_EXHAUSTED);
    ck_assert(call->has_details);
    stream = client_send(&c, (struct request){ .path = ALS }, &three);
    UNTIL(&c, stream->closed);
    ck_assert_int_eq(stream->grpc, GRPC_OK);
    ck_assert_uint_eq(rows(&s, EVENT_ACCESS_LOG), 3);
    ck_assert_uint_eq(rows(&s, EVENT_LOG), 0);
    client_close(&c);
    scene_stop(&s);
}
END_TEST

START_TEST(a_stream_may_not_go_ahead_of_the_store)
{
    enum { TIMES = 16000 };
    struct scene s;
    struct client c;
    struct buf body = messages(NODE ENTRY, TIMES);
    struct sent *call;

    ck_assert_uint_gt(body.n, GRPC_STREAM_WINDOW + (64 << 10));
    scene_start(&s, (struct grpc_options){ 0 });
    client_open(&c, grpc_port(s.server));
    UNTIL(&c, nghttp2_session_get_remote_settings(c.session, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE) == GRPC_STREAM_WINDOW);
    gate.keep = true;
    call = client_send(&c, (struct request){ .path = ALS }, &body);
    UNTIL(&c, gate_kept() == 1);
    UNTIL(&c, nghttp2_session_get_stream_remote_window_size(c.session, call->id) == 0);
    for (int i = 0; i < 5; i++)
        turn(&c, 5);
    ck_assert_uint_lt(call->at, GRPC_STREAM_WINDOW + (64 << 10)); /* what was on its way with the first batch, and the window */
    ck_assert_uint_eq(gate_kept(), 1);
    gate_open();
    UNTIL(&c, call->closed);
    ck_assert_int_eq(call->grpc, GRPC_OK);
    ck_assert_uint_eq(rows(&s, EVENT_ACCESS_LOG), TIMES);
    client_close(&c);
    scene_stop(&s);
}
END_TEST

START_TEST(what_a_stream_brought_is_stored_though_its_peer_is_gone)
{
    struct scene s;
    struct client c;
    struct buf body = messages(NODE ENTRY, 2);
    struct grpc_stats stats;

    scene_start(&s, (struct grpc_options){ 0 });
    client_open(&c, grpc_port(s.server));
    gate.keep = true;
    client_send(&c, (struct request){ .path = ALS, .more = true }, &body);
    UNTIL(&c, gate_kept() == 1);
    client_close(&c);
    do
        grpc_stats(s.server, &stats);
    while (stats.connections);
    gate_open();
    while (rows(&s, EVENT_ACCESS_LOG) < 2)
        usleep(1000);
    scene_stop(&s);
}
END_TEST

START_TEST(what_stood_before_a_fault_is_stored)
{
    static const struct {
        const char *fault;
        size_t n;
        int grpc;
    } faults[] = {
        { "\0\0\0\0\1\xff", 6, GRPC_INVALID_ARGUMENT }, /* no protobuf */
        { "\7\0\0\0\0", 5, GRPC_INVALID_ARGUMENT },      /* no message */
        { "\1\0\0\0\1\xff", 6, GRPC_INVALID_ARGUMENT }, /* packed, without an encoding */
    };

    for (size_t i = 0; i < COUNT(faults); i++) {
        struct scene s;
        struct client c;
        struct buf body = messages(NODE ENTRY, 3);
        struct sent *call;

        buf_put(&body, faults[i].fault, faults[i].n);
        scene_start(&s, (struct grpc_options){ 0 });
        client_open(&c, grpc_port(s.server));
        call = client_send(&c, (struct request){ .path = ALS }, &body);
        UNTIL(&c, call->closed);
        ck_assert_int_eq(call->grpc, faults[i].grpc);
        while (rows(&s, EVENT_ACCESS_LOG) < 3)
            usleep(1000);
        client_close(&c);
        scene_stop(&s);
    }
}
END_TEST

START_TEST(bytes_in_memory_are_bounded)
{
    struct scene s;
    struct client c;
    struct buf half = BUF_INIT(1 << 20), other = BUF_INIT(1 << 20), one = messages(RECORD, 1);
    struct sent *first, *second, *third;
    char zeros[40000] = { 0 };

    put_prefixed(&half, (struct str){ zeros, sizeof(zeros) }, false);
    put_prefixed(&other, (struct str){ zeros, sizeof(zeros) }, false);
    half.n -= 10;
    other.n -= 10;
    scene_start(&s, (struct grpc_options){ .max_message = 1 << 20, .max_bytes = 60000 });
    client_open(&c, grpc_port(s.server));
    first = client_send(&c, (struct request){ .path = LOGS, .more = true }, &half);
    UNTIL(&c, first->at == first->body.n);
    second = client_send(&c, (struct request){ .path = LOGS, .more = true }, &other);
    UNTIL(&c, second->closed);
    ck_assert_int_eq(second->grpc, GRPC_RESOURCE_EXHAUSTED);
    ck_assert(second->has_details);
    third = client_send(&c, (struct request){ .path = LOGS }, &one);
    UNTIL(&c, third->closed);
    ck_assert_int_eq(third->grpc, GRPC_OK);
    ck_assert(!first->closed);
    client_close(&c);
    scene_stop(&s);
}
END_TEST

/* --- time --- */

START_TEST(a_deadline_ends_a_call)
{
    struct scene s;
    struct client c;
    struct buf body = messages(RECORD, 1);
    struct sent *call;

    scene_start(&s, (struct grpc_options){ 0 });
    client_open(&c, grpc_port(s.server));
    gate.keep = true;
    call = client_send(&c, (struct request){ .path = LOGS, .timeout = "20m" }, &body);
    UNTIL(&c, call->closed);
    ck_assert_int_eq(call->grpc, GRPC_DEADLINE_EXCEEDED);
    client_close(&c);
    scene_stop(&s);
}
END_TEST

START_TEST(the_rest_of_a_message_may_not_be_owed_for_ever)
{
    struct scene s;
    struct client c, silent;
    struct buf body = messages(RECORD, 1);
    struct sent *call;
    char byte;

    scene_start(&s, (struct grpc_options){ .stall_ms = 20 });
    client_open(&c, grpc_port(s.server));
    client_open(&silent, grpc_port(s.server)); /* never says a word */
    body.n -= 2;
    call = client_send(&c, (struct request){ .path = LOGS, .more = true }, &body);
    UNTIL(&c, call->closed);
    ck_assert_int_eq(call->grpc, GRPC_DEADLINE_EXCEEDED);
    ck_assert_int_eq(recv(silent.fd, &byte, 1, 0), 0);
    client_close(&c);
    client_close(&silent);
    scene_stop(&s);
}
END_TEST

/* --- abuse --- */

START_TEST(floods_end_the_connection)
{
    struct scene s;
    struct client c;
    static const uint8_t ping[17] = { 0, 0, 8, NGHTTP2_PING };
    static uint8_t many[17 * 1000];

    for (int i = 0; i < 1000; i++)
        memcpy(many + 17 * i, ping, 17);
    scene_start(&s, (struct grpc_options){ 0 });
    client_open(&c, grpc_port(s.server));
    turn(&c, 5);
    while (!c.goaway && !c.eof) {
        (void)!send(c.fd, many, sizeof(many), MSG_NOSIGNAL | MSG_DONTWAIT);
        turn(&c, 0);
    }
    ck_assert(c.goaway == NGHTTP2_ENHANCE_YOUR_CALM + 1 || c.eof);
    client_close(&c);
    scene_stop(&s);
}
END_TEST

START_TEST(connections_are_bounded)
{
    struct scene s;
    struct client one, two;
    struct buf body = messages(RECORD, 1);
    struct sent *call;
    char byte;

    scene_start(&s, (struct grpc_options){ .max_connections = 1 });
    client_open(&one, grpc_port(s.server));
    call = client_send(&one, (struct request){ .path = LOGS }, &body);
    UNTIL(&one, call->closed);
    client_open(&two, grpc_port(s.server));
    ck_assert_int_eq(recv(two.fd, &byte, 1, 0), 0);
    client_close(&one);
    client_close(&two);
    scene_stop(&s);
}
END_TEST

START_TEST(http1_is_told_what_this_is)
{
    struct scene s;
    struct client c;
    static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    char answer[512] = "";

    scene_start(&s, (struct grpc_options){ 0 });
    client_open(&c, grpc_port(s.server));
    ck_assert_int_gt(send(c.fd, request, sizeof(request) - 1, 0), 0);
    ck_assert_int_gt(recv(c.fd, answer, sizeof(answer) - 1, MSG_WAITALL), 0);
    ck_assert_ptr_nonnull(strstr(answer, "HTTP/1.1 400 Bad Request"));
    ck_assert_ptr_nonnull(strstr(answer, "This port speaks gRPC"));
    client_close(&c);
    scene_stop(&s);
}
END_TEST

/* --- the end --- */

static void *stop(void *arg)
{
    grpc_stop(arg, 2000);
    return NULL;
}

START_TEST(stops_with_all_that_came_stored)
{
    struct scene s;
    struct client c;
    struct buf one = messages(RECORD, 1), stream = messages(NODE ENTRY, 1);
    struct sent *call, *open;
    pthread_t stopper;

    scene_start(&s, (struct grpc_options){ 0 });
    client_open(&c, grpc_port(s.server));
    gate.keep = true;
    call = client_send(&c, (struct request){ .path = LOGS }, &one);
    open = client_send(&c, (struct request){ .path = ALS, .more = true }, &stream);
    UNTIL(&c, gate_kept() == 2);
    ck_assert_int_eq(pthread_create(&stopper, NULL, stop, s.server), 0);
    UNTIL(&c, c.goaway);
    ck_assert_uint_eq(c.goaway, NGHTTP2_NO_ERROR + 1);
    gate_open();
    UNTIL(&c, call->closed && open->closed);
    ck_assert_int_eq(call->grpc, GRPC_OK);
    ck_assert_int_eq(open->grpc, GRPC_UNAVAILABLE);
    pthread_join(stopper, NULL);
    ck_assert_uint_eq(rows(&s, EVENT_LOG), 1);
    ck_assert_uint_eq(rows(&s, EVENT_ACCESS_LOG), 1);
    client_close(&c);
    s.server = NULL;
    scene_stop(&s);
}
END_TEST

/* --- many at a time --- */

enum { SENDERS = 4, CALLS = 250, AT_A_TIME = 16 };

static void *send_many(void *arg)
{
    struct client c;

    client_open(&c, grpc_port(((const struct scene *)arg)->server));
    UNTIL(&c, nghttp2_session_get_remote_settings(c.session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS) == AT_A_TIME);
    for (int i = 0; i < CALLS; i++) {
        struct buf body = messages(i % 5 ? RECORD : NODE ENTRY, 1);

        client_send(&c, (struct request){ .path = i % 5 ? LOGS : ALS }, &body);
        turn(&c, 0);
    }
    for (size_t i = 0; i < c.n; i++) {
        UNTIL(&c, c.calls[i].closed);
        ck_assert_int_eq(c.calls[i].grpc, GRPC_OK);
    }
    client_close(&c);
    return NULL;
}

START_TEST(many_senders_at_a_time)
{
    struct scene s;
    pthread_t senders[SENDERS];
    struct grpc_stats stats;

    scene_start(&s, (struct grpc_options){ .max_calls = AT_A_TIME });
    for (int i = 0; i < SENDERS; i++)
        ck_assert_int_eq(pthread_create(&senders[i], NULL, send_many, &s), 0);
    for (int i = 0; i < SENDERS; i++)
        pthread_join(senders[i], NULL);
    ck_assert_uint_eq(rows(&s, EVENT_LOG) + rows(&s, EVENT_ACCESS_LOG), SENDERS * CALLS);
    grpc_stats(s.server, &stats);
    ck_assert_uint_eq(stats.methods[0].calls[GRPC_OK] + stats.methods[3].calls[GRPC_OK], SENDERS * CALLS);
    ck_assert_uint_eq(stats.bytes, 0);
    scene_stop(&s);
}
END_TEST

START_TEST(says_who_else_listens_there)
{
    struct scene s;
    struct err e = ERR_INIT;

    scene_start(&s, (struct grpc_options){ 0 });
    ck_assert_ptr_null(grpc_start(s.store, &(struct grpc_options){ .host = "127.0.0.1", .port = grpc_port(s.server) }, &e));
    ck_assert_int_eq(e.code, ERR_CONFLICT);
    scene_stop(&s);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("grpc");
    TCase *tc = tcase_create("grpc");

    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, answers, 0, COUNT(calls));
    tcase_add_test(tc, bounds_messages_whatever_they_are_packed_from);
    tcase_add_test(tc, a_full_store_refuses_a_call_and_keeps_a_stream_waiting);
    tcase_add_test(tc, a_stream_may_not_go_ahead_of_the_store);
    tcase_add_test(tc, what_a_stream_brought_is_stored_though_its_peer_is_gone);
    tcase_add_test(tc, what_stood_before_a_fault_is_stored);
    tcase_add_test(tc, bytes_in_memory_are_bounded);
    tcase_add_test(tc, a_deadline_ends_a_call);
    tcase_add_test(tc, the_rest_of_a_message_may_not_be_owed_for_ever);
    tcase_add_test(tc, floods_end_the_connection);
    tcase_add_test(tc, connections_are_bounded);
    tcase_add_test(tc, http1_is_told_what_this_is);
    tcase_add_test(tc, stops_with_all_that_came_stored);
    tcase_add_test(tc, many_senders_at_a_time);
    tcase_add_test(tc, says_who_else_listens_there);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(make_suite)
