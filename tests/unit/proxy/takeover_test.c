/* Both ends of a takeover's link, the older process being this test. */
#include "proxy/takeover.h"

#include "proxy/takeover-internal.h"
#include "tests/unit/unit.h"

#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The younger process's end lies where it looks for it; returns the older one's. What lay there before is put back by
 * close_link. */
static int saved = -1;

static int open_link(void)
{
    int ends[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
    if (ends[0] == TAKEOVER_FD || ends[1] == TAKEOVER_FD) {
        int moved = fcntl(TAKEOVER_FD, F_DUPFD, 10);

        ends[ends[1] == TAKEOVER_FD] = moved;
    } else {
        saved = fcntl(TAKEOVER_FD, F_DUPFD, 10);
    }
    dup2(ends[1], TAKEOVER_FD);
    close(ends[1]);
    setenv(TAKEOVER_ENV, "3", 1);
    return ends[0];
}

static void close_link(int link)
{
    close(link);
    if (saved >= 0) {
        dup2(saved, TAKEOVER_FD);
        close(saved);
        saved = -1;
    }
}

static int listening(struct sockaddr_in *at)
{
    socklen_t n = sizeof(*at);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    *at = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    ck_assert_int_eq(bind(fd, (const struct sockaddr *)at, n), 0);
    ck_assert_int_eq(listen(fd, 1), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)at, &n), 0);
    return fd;
}

START_TEST(nobody_before)
{
    struct err e = ERR_INIT;
    struct takeover *t;

    unsetenv(TAKEOVER_ENV);
    ck_assert_int_eq(takeover_start(&t, &e), 0);
    ck_assert_ptr_null(t);
    ck_assert_ptr_null(takeover_sockets(t));
    takeover_free(t);
}
END_TEST

static void note(void *arg)
{
    *(bool *)arg = true;
}

START_TEST(takes_over)
{
    int link = open_link(), fd, got;
    struct event_base *base = event_base_new();
    struct takeover_message m;
    struct sockaddr_in at;
    struct takeover *t;
    struct err e = ERR_INIT;
    bool told = false;

    fd = listening(&at);
    ck_assert(takeover_send(link, TAKEOVER_HELLO, -1));
    ck_assert(takeover_send(link, TAKEOVER_SOCKET, fd));
    ck_assert(takeover_send(link, TAKEOVER_GO, -1));
    ck_assert_msg(takeover_start(&t, &e) == 0, "%s", e.msg);
    ck_assert_ptr_nonnull(t);
    ck_assert_ptr_null(getenv(TAKEOVER_ENV));
    ck_assert_uint_eq(inherited_take(takeover_sockets(t), (const struct sockaddr *)&at, &got, 1), 1);
    ck_assert_int_eq(takeover_ready(t, base, note, &told, &e), 0);
    ck_assert_int_eq(takeover_receive(link, &m), 1);
    ck_assert_str_eq(m.text, TAKEOVER_READY);
    ck_assert_int_lt(m.fd, 0);
    event_base_loop(base, EVLOOP_NONBLOCK);
    ck_assert(!told);
    ck_assert(takeover_send(link, TAKEOVER_TOLD, -1));
    event_base_loop(base, EVLOOP_ONCE);
    ck_assert(told);
    takeover_free(t);
    event_base_free(base);
    close(fd);
    close(got);
    close_link(link);
}
END_TEST

/* Then there is nobody to wait for. */
START_TEST(older_process_is_gone)
{
    int link = open_link();
    struct event_base *base = event_base_new();
    struct takeover *t;
    struct err e = ERR_INIT;
    bool told = false;

    ck_assert(takeover_send(link, TAKEOVER_HELLO, -1));
    ck_assert(takeover_send(link, TAKEOVER_GO, -1));
    ck_assert_int_eq(takeover_start(&t, &e), 0);
    shutdown(link, SHUT_RDWR);
    ck_assert_int_eq(takeover_ready(t, base, note, &told, &e), 0);
    event_base_loop(base, EVLOOP_ONCE);
    ck_assert(told);
    takeover_free(t);
    event_base_free(base);
    close_link(link);
}
END_TEST

static const struct {
    const char *words[3];
    int rc;
    const char *why;
} bad[] = {
    { { NULL }, ERR_IO, "is gone" },
    { { TAKEOVER_HELLO, NULL }, ERR_IO, "is gone" },
    { { "vigla-takeover 2", NULL }, ERR_PARSE, "should be \"vigla-takeover 1\"" },
    { { TAKEOVER_HELLO, "nonsense", NULL }, ERR_PARSE, "says \"nonsense\"" },
    { { TAKEOVER_HELLO, TAKEOVER_SOCKET, NULL }, ERR_IO, "a socket did not come through" },
};

START_TEST(refuses)
{
    struct takeover *t;
    struct err e = ERR_INIT;
    int link = open_link();

    for (const char *const *word = bad[_i].words; *word; word++)
        ck_assert(takeover_send(link, *word, -1));
    shutdown(link, SHUT_WR);
    ck_assert_int_eq(takeover_start(&t, &e), bad[_i].rc);
    ck_assert_ptr_null(t);
    ck_assert_msg(strstr(e.msg, bad[_i].why) != NULL, "%s", e.msg);
    close_link(link);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("takeover");
    TCase *t = tcase_create("takeover");

    tcase_add_test(t, nobody_before);
    tcase_add_test(t, takes_over);
    tcase_add_test(t, older_process_is_gone);
    tcase_add_loop_test(t, refuses, 0, COUNT(bad));
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
