#include "proxy/batch.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Each test runs with io_uring, where the kernel has it, and without. */
static struct batch *make(int with)
{
    int why = 0;

    return with ? batch_new(&why) : NULL;
}

static void pair(int ends[2])
{
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0); /* blocking: a batch never waits all the same */
}

START_TEST(every_socket_answers_for_itself)
{
    enum { DATA, NOTHING, ENDED, NONE, PLACES };
    struct batch *b = make(_i);
    struct batch_call calls[BATCH_MOST];
    char room[BATCH_MOST][8];
    int ends[BATCH_MOST][2];

    for (int i = 0; i < BATCH_MOST; i++) {
        pair(ends[i]);
        calls[i] = (struct batch_call){ .fd = ends[i][0], .p = room[i], .n = sizeof(room[i]) };
        if (i % PLACES == DATA)
            ck_assert_int_eq(dprintf(ends[i][1], "%04d more than fits", i), 19);
        else if (i % PLACES == ENDED)
            close(ends[i][1]);
        else if (i % PLACES == NONE)
            calls[i].fd = -1;
    }
    batch_recv(b, calls, BATCH_MOST);
    for (int i = 0; i < BATCH_MOST; i++) {
        static const ssize_t want[] = { 8, -EAGAIN, 0, -EBADF };
        char text[8];

        ck_assert_int_eq(calls[i].result, want[i % PLACES]);
        snprintf(text, sizeof(text), "%04d mo", i);
        if (i % PLACES == DATA)
            ck_assert_int_eq(memcmp(room[i], text, 7), 0);
        close(ends[i][0]);
        if (i % PLACES != ENDED)
            close(ends[i][1]);
    }
    batch_free(b);
}
END_TEST

START_TEST(a_full_socket_and_a_gone_peer)
{
    struct batch *b = make(_i);
    static char piece[1 << 20];
    struct batch_call calls[3];
    int ends[3][2];

    for (int i = 0; i < 3; i++) {
        pair(ends[i]);
        calls[i] = (struct batch_call){ .fd = ends[i][0], .p = piece, .n = i == 1 ? sizeof(piece) : 4 };
    }
    close(ends[2][1]);
    batch_send(b, calls, 3);
    ck_assert_int_eq(calls[0].result, 4);
    ck_assert(calls[1].result > 0 && calls[1].result < (ssize_t)sizeof(piece));
    ck_assert_int_eq(calls[2].result, -EPIPE); /* and no signal */
    calls[1].n = 1;
    while (calls[1].result > 0)
        batch_send(b, calls, 2);
    ck_assert_int_eq(calls[1].result, -EAGAIN);
    for (int i = 0; i < 3; i++)
        close(ends[i][0]);
    close(ends[0][1]);
    close(ends[1][1]);
    batch_free(b);
}
END_TEST

START_TEST(few_are_enough)
{
    struct batch *b = make(_i);
    struct batch_call call;
    char room[4];
    int ends[2];

    pair(ends);
    batch_recv(b, &call, 0);
    call = (struct batch_call){ .fd = ends[0], .p = room, .n = 4 };
    batch_recv(b, &call, 1);
    ck_assert_int_eq(call.result, -EAGAIN);
    call = (struct batch_call){ .fd = ends[1], .p = room, .n = 4 };
    batch_send(b, &call, 1);
    ck_assert_int_eq(call.result, 4);
    close(ends[0]);
    close(ends[1]);
    batch_free(b);
}
END_TEST

static Suite *batch_suite(void)
{
    Suite *s = suite_create("batch");
    TCase *t = tcase_create("batch");

    tcase_add_loop_test(t, every_socket_answers_for_itself, 0, 2);
    tcase_add_loop_test(t, a_full_socket_and_a_gone_peer, 0, 2);
    tcase_add_loop_test(t, few_are_enough, 0, 2);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(batch_suite)
