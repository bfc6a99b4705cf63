#include "proxy/worker.h"
#include "tests/unit/unit.h"

#include "base/mem.h"

#include <errno.h>
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

/* ---- many in one round ---- */

enum probe_act { ECHO, PAUSE_OTHER, CLOSE_OTHER, TAKE };

struct probe {
    struct conn c;
    struct probe *other;
    enum probe_act act;
    int far;                     /* the other end */
    char got[64];
    size_t passed;
    bool to_other;               /* bulk goes there */
    int ended, error;
};

static int destroyed;

static size_t probe_data(struct conn *c, struct str bytes)
{
    struct probe *p = (struct probe *)c;

    p->passed += bytes.n;
    if (p->act == TAKE)
        return bytes.n;
    strncat(p->got, bytes.p, bytes.n);
    conn_write(c, bytes);
    if (p->act == PAUSE_OTHER)
        conn_pause(&p->other->c);
    else if (p->act == CLOSE_OTHER)
        conn_close(&p->other->c);
    return bytes.n;
}

static struct conn *probe_through(struct conn *c, uint64_t *most)
{
    struct probe *p = (struct probe *)c;

    *most = UINT64_MAX;
    return p->to_other ? &p->other->c : NULL;
}

static void probe_passed(struct conn *c, size_t n)
{
    ((struct probe *)c)->passed += n;
}

/* The other direction goes on. */
static void probe_eof(struct conn *c)
{
    ((struct probe *)c)->ended++;
}

static void probe_error(struct conn *c, int err)
{
    ((struct probe *)c)->error = err;
}

static void probe_destroy(struct conn *c)
{
    destroyed++;
    mem_free(c);
}

static const struct conn_ops probe_ops = { .data = probe_data, .eof = conn_close, .error = failed, .drained = nothing,
                                           .deadline = conn_close, .destroy = probe_destroy };

/* For connections that outlive an end, or an error. */
static const struct conn_ops patient_ops = { .data = probe_data, .through = probe_through, .passed = probe_passed,
                                             .eof = probe_eof, .error = probe_error, .drained = nothing,
                                             .deadline = conn_close, .destroy = probe_destroy };

static struct worker *new_worker(int with_uring)
{
    struct worker *w = calloc(1, sizeof(*w));
    int why;

    w->base = event_base_new();
    ck_assert_int_eq(poller_init(&w->poller, w->base), 0);
    w->batch = with_uring ? batch_new(&why) : NULL;
    destroyed = 0;
    worker_enter(w);
    return w;
}

static void end_worker(struct worker *w)
{
    while (w->conns)
        conn_close(w->conns);
    worker_leave(w);
    batch_free(w->batch);
    splice_free_all(w);
    poller_free(&w->poller);
    conn_buf_free_all(w);
    event_base_free(w->base);
    free(w);
}

static struct probe *new_probe(struct worker *w)
{
    struct probe *p = mem_zalloc(sizeof(*p));
    int ends[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    p->far = ends[1];
    conn_open(&p->c, w, (struct conn_socket){ .fd = ends[0] }, &probe_ops);
    return p;
}

static void turn_loop(struct worker *w)
{
    worker_leave(w);
    for (int i = 0; i < 4; i++)
        event_base_loop(w->base, EVLOOP_NONBLOCK);
}

/* More than are served by one system call. */
START_TEST(each_gets_its_own)
{
    enum { N = 3 * BATCH_MOST + 5 };
    struct worker *w = new_worker(_i);
    struct probe *p[N];
    char text[16], back[16];

    for (int i = 0; i < N; i++) {
        p[i] = new_probe(w);
        ck_assert_int_eq(dprintf(p[i]->far, "%07d", i), 7);
    }
    turn_loop(w);
    for (int i = 0; i < N; i++) {
        snprintf(text, sizeof(text), "%07d", i);
        ck_assert_str_eq(p[i]->got, text);
        ck_assert_int_eq(read(p[i]->far, back, sizeof(back)), 7);
        ck_assert_int_eq(memcmp(back, text, 7), 0);
        close(p[i]->far);
    }
    turn_loop(w);
    ck_assert_int_eq(destroyed, N);
    end_worker(w);
}
END_TEST

/* What was read for it before its turn is not lost when another pauses it first. */
START_TEST(paused_before_its_turn)
{
    struct worker *w = new_worker(_i);
    struct probe *a = new_probe(w), *b = new_probe(w);

    a->other = b;
    b->other = a;
    a->act = b->act = PAUSE_OTHER; /* whoever is the first */
    ck_assert_int_eq(dprintf(a->far, "one"), 3);
    ck_assert_int_eq(dprintf(b->far, "two"), 3);
    turn_loop(w);
    ck_assert_uint_eq(strlen(a->got) + strlen(b->got), 3);
    a->act = b->act = ECHO;
    worker_enter(w);
    conn_resume(&a->c);
    conn_resume(&b->c);
    turn_loop(w);
    ck_assert_str_eq(a->got, "one");
    ck_assert_str_eq(b->got, "two");
    close(a->far);
    close(b->far);
    end_worker(w);
}
END_TEST

START_TEST(closed_before_its_turn)
{
    struct worker *w = new_worker(_i);
    struct probe *a = new_probe(w), *b = new_probe(w), *left;
    int far[2] = { a->far, b->far };

    a->other = b;
    b->other = a;
    a->act = b->act = CLOSE_OTHER;
    ck_assert_int_eq(dprintf(a->far, "one"), 3);
    ck_assert_int_eq(dprintf(b->far, "two"), 3);
    turn_loop(w);
    ck_assert_int_eq(destroyed, 1);
    left = (struct probe *)w->conns;
    ck_assert(left && !left->c.next);
    ck_assert_uint_eq(strlen(left->got), 3);
    close(far[0]);
    close(far[1]);
    end_worker(w);
}
END_TEST

/* Nor does its end pass by. */
START_TEST(ended_and_paused_before_its_turn)
{
    struct worker *w = new_worker(_i);
    struct probe *a = new_probe(w), *b = new_probe(w);

    a->other = b;
    a->act = PAUSE_OTHER;
    b->c.ops = &patient_ops;
    turn_loop(w);
    ck_assert_int_eq(dprintf(a->far, "one"), 3); /* its news is the first */
    close(b->far);
    turn_loop(w);
    ck_assert_str_eq(a->got, "one");
    ck_assert_int_eq(b->ended, 0);
    worker_enter(w);
    conn_resume(&b->c);
    turn_loop(w);
    ck_assert_int_eq(b->ended, 1);
    close(a->far);
    end_worker(w);
}
END_TEST

/* Who waits for a pipe that another does not empty goes on when the other closes. */
START_TEST(goes_on_without_who_takes_bulk)
{
    enum { PIECE = 64 * 1024 };
    static const char piece[PIECE];
    struct worker *w = new_worker(_i);
    struct probe *from = new_probe(w), *to = new_probe(w);
    int far = to->far;
    size_t put = 0;
    ssize_t n;

    from->act = TAKE;
    from->c.ops = &patient_ops;
    from->other = to;
    from->to_other = true;
    for (int i = 0; i < 100 && !from->c.feeds; i++) {
        while ((n = write(from->far, piece, PIECE)) > 0)
            put += (size_t)n;
        turn_loop(w);
    }
    ck_assert_ptr_nonnull(from->c.feeds);
    while ((n = write(from->far, piece, PIECE)) > 0)
        put += (size_t)n;
    turn_loop(w);
    ck_assert_uint_lt(from->passed, put);
    from->to_other = false;
    worker_enter(w);
    conn_close(&to->c);
    for (int i = 0; i < 100 && from->passed < put; i++)
        turn_loop(w);
    ck_assert_uint_eq(from->passed, put);
    close(from->far);
    close(far);
    end_worker(w);
}
END_TEST

/* A reset behind the peer's end would else be found with the next byte that is sent, if ever. */
START_TEST(reset_behind_its_end)
{
    struct worker *w = new_worker(_i);
    struct probe *p = new_probe(w);

    p->c.ops = &patient_ops;
    ck_assert_int_eq(dprintf(p->far, "one"), 3);
    shutdown(p->far, SHUT_WR);
    turn_loop(w);
    ck_assert_str_eq(p->got, "one");
    ck_assert_int_eq(p->ended, 1);
    ck_assert_int_eq(p->error, 0);
    close(p->far); /* with an echo that nobody has read: a reset */
    turn_loop(w);
    ck_assert_int_eq(p->error, ECONNRESET);
    end_worker(w);
}
END_TEST

static Suite *conn_suite(void)
{
    Suite *s = suite_create("conn");
    TCase *t = tcase_create("conn");

    tcase_add_test(t, a_slow_reader_gets_all_of_a_last_answer);
    tcase_add_loop_test(t, each_gets_its_own, 0, 2);
    tcase_add_loop_test(t, paused_before_its_turn, 0, 2);
    tcase_add_loop_test(t, closed_before_its_turn, 0, 2);
    tcase_add_loop_test(t, ended_and_paused_before_its_turn, 0, 2);
    tcase_add_loop_test(t, goes_on_without_who_takes_bulk, 0, 2);
    tcase_add_loop_test(t, reset_behind_its_end, 0, 2);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(conn_suite)
