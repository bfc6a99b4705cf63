#include "proxy/inherited.h"

#include "base/mem.h"
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* A socket that listens at an address, on a port of the kernel's choice when `port` is 0; -1: not with IPv6 here. */
static int listen_at(const char *ip, uint16_t port, struct sockaddr_storage *at)
{
    struct sockaddr_in *v4 = (void *)at;
    struct sockaddr_in6 *v6 = (void *)at;
    socklen_t n = sizeof(*at);
    int fd, on = 1;

    memset(at, 0, sizeof(*at));
    if (inet_pton(AF_INET, ip, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
    } else {
        ck_assert_int_eq(inet_pton(AF_INET6, ip, &v6->sin6_addr), 1);
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
    }
    fd = socket(at->ss_family, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    if (bind(fd, (const struct sockaddr *)at, sizeof(*at)) < 0) {
        close(fd);
        return -1;
    }
    ck_assert_int_eq(listen(fd, 4), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)at, &n), 0);
    return fd;
}

static size_t take(struct inherited *in, const struct sockaddr_storage *at, int *fds, size_t most)
{
    return inherited_take(in, (const struct sockaddr *)at, fds, most);
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

START_TEST(by_address)
{
    struct inherited *in = inherited_new();
    struct sockaddr_storage one, same, other, v6;
    int fds[4], a = listen_at("127.0.0.1", 0, &one), b, c, d = listen_at("::1", 0, &v6);

    b = listen_at("127.0.0.1", ntohs(((struct sockaddr_in *)&one)->sin_port), &same);
    c = listen_at("127.0.0.2", ntohs(((struct sockaddr_in *)&one)->sin_port), &other);
    ck_assert_int_eq(inherited_add(in, a, NULL), 0);
    ck_assert_int_eq(inherited_add(in, c, NULL), 0);
    ck_assert_int_eq(inherited_add(in, b, NULL), 0);
    if (d >= 0)
        ck_assert_int_eq(inherited_add(in, d, NULL), 0);
    ck_assert_uint_eq(take(in, &one, fds, 4), 2);
    ck_assert(fds[0] == a && fds[1] == b);
    ck_assert_uint_eq(take(in, &one, fds, 4), 0);
    if (d >= 0) {
        ck_assert_uint_eq(take(in, &v6, fds, 4), 1);
        ck_assert_int_eq(fds[0], d);
        close(d);
    }
    ck_assert_uint_eq(inherited_count(in), 1);
    inherited_free(in);
    ck_assert(is_open(a) && is_open(b)); /* who took them has them */
    ck_assert(!is_open(c));
    close(a);
    close(b);
}
END_TEST

START_TEST(not_more_than_asked_for)
{
    struct inherited *in = inherited_new();
    struct sockaddr_storage at;
    int fd, fds[2], a = listen_at("127.0.0.1", 0, &at);

    ck_assert_int_eq(inherited_add(in, a, NULL), 0);
    fd = listen_at("127.0.0.1", ntohs(((struct sockaddr_in *)&at)->sin_port), &at);
    ck_assert_int_eq(inherited_add(in, fd, NULL), 0);
    ck_assert_uint_eq(take(in, &at, fds, 1), 1);
    close(fds[0]);
    ck_assert_uint_eq(take(in, &at, fds, 2), 1);
    close(fds[0]);
    ck_assert_uint_eq(take(NULL, &at, fds, 2), 0);
    inherited_free(in);
}
END_TEST

START_TEST(sockets_that_accept_do_not_block)
{
    struct inherited *in = inherited_new();
    struct sockaddr_storage at;
    int fds[1], a = listen_at("127.0.0.1", 0, &at);

    ck_assert_int_eq(inherited_add(in, a, NULL), 0);
    ck_assert_uint_eq(take(in, &at, fds, 1), 1);
    ck_assert_int_lt(accept(fds[0], NULL, NULL), 0);
    close(fds[0]);
    inherited_free(in);
}
END_TEST

/* Anything else is refused, and closed. */
START_TEST(only_what_listens)
{
    struct inherited *in = inherited_new();
    int pair[2], others[3];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    others[0] = pair[0];
    others[1] = socket(AF_INET, SOCK_STREAM, 0);
    others[2] = open("/dev/null", O_RDONLY);
    for (size_t i = 0; i < COUNT(others); i++) {
        struct err e = ERR_INIT;

        ck_assert_int_eq(inherited_add(in, others[i], &e), ERR_INVALID);
        ck_assert_ptr_nonnull(strstr(e.msg, "should be a TCP socket that listens"));
        ck_assert(!is_open(others[i]));
    }
    ck_assert_uint_eq(inherited_count(in), 0);
    close(pair[1]);
    inherited_free(in);
}
END_TEST

START_TEST(without_memory)
{
    struct inherited *in = inherited_new();
    struct sockaddr_storage at;
    struct err e = ERR_INIT;
    int fd = listen_at("127.0.0.1", 0, &at);

    mem_fail_at(1);
    ck_assert_int_eq(inherited_add(in, fd, &e), ERR_NOMEM);
    mem_fail_at(0);
    ck_assert(!is_open(fd));
    inherited_free(in);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("inherited");
    TCase *t = tcase_create("inherited");

    tcase_add_test(t, by_address);
    tcase_add_test(t, not_more_than_asked_for);
    tcase_add_test(t, sockets_that_accept_do_not_block);
    tcase_add_test(t, only_what_listens);
    tcase_add_test(t, without_memory);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
