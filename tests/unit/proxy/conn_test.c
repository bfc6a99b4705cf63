#include "proxy/worker.h"
#include "tests/unit/unit.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ANSWER = 900 * 1024 };

static const int64_t second = INT64_C(1000000000);

static size_t take_all(struct conn *c, struct str bytes)
{
    (void)c;
    return bytes.n;
}

static void nothing(struct conn *c)
{
    (void)c;
}

static void failed(struct conn *c, int err)
{
    (void)err;
    conn_close(c);
}

static void destroy(struct conn *c)
{
    mem_free(c);
}

/* A last answer on its way to a client that reads slowly: as long as it reads at all, nobody hangs up. */
START_TEST(a_slow_reader_gets_all_of_a_last_answer)
{
    static const struct conn_ops ops = { .data = take_all, .eof = nothing, .error = failed, .drained = nothing,
                                         .deadline = conn_close, .destroy = destroy };
    struct worker *w = calloc(1, sizeof(*w));
    struct conn *c = mem_zalloc(sizeof(*c));
    char *answer = malloc(ANSWER), piece[4096];
    int ends[2], small = 4096;
    size_t got = 0;
    ssize_t n;

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    memset(answer, 'x', ANSWER);
    w->base = event_base_new();
    ck_assert_int_eq(poller_init(&w->poller, w->base), 0);
    worker_enter(w);
    conn_open(c, w, (struct conn_socket){ .fd = ends[0] }, &ops);
    conn_write(c, (struct str){ answer, ANSWER });
    conn_linger(c);
    worker_leave(w);
    ck_assert(c->deadline_ns > w->now_ns + 20 * second);
    for (int i = 0; i < 10; i++) {
        c->deadline_ns = w->now_ns + second; /* as if nearly all of its time had gone by */
        while ((n = read(ends[1], piece, sizeof(piece))) > 0)
            got += (size_t)n;
        event_base_loop(w->base, EVLOOP_NONBLOCK);
        ck_assert(c->fd >= 0);
        ck_assert_msg(c->deadline_ns > w->now_ns + 20 * second, "after %zu bytes", got);
    }
    while (got < ANSWER) {
        while ((n = read(ends[1], piece, sizeof(piece))) > 0)
            got += (size_t)n;
        event_base_loop(w->base, EVLOOP_NONBLOCK);
    }
    ck_assert(c->deadline_ns <= w->now_ns + second); /* all is sent: now a second for the other end to close */
    close(ends[1]);
    event_base_loop(w->base, EVLOOP_ONCE);
    ck_assert_ptr_null(w->conns);
    poller_free(&w->poller);
    conn_buf_free_all(w);
    event_base_free(w->base);
    free(answer);
    free(w);
}
END_TEST

static Suite *conn_suite(void)
{
    Suite *s = suite_create("conn");
    TCase *t = tcase_create("conn");

    tcase_add_test(t, a_slow_reader_gets_all_of_a_last_answer);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(conn_suite)
