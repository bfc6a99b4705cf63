/* The threads of syslog and file tail, each with a store of its own: what is sent and written is there, once. */
#include "collector/syslog.h"
#include "collector/tail.h"

#include "base/buf.h"
#include "base/log.h"
#include "collector/red.h"
#include "store/events.h"
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct scene {
    char dir[64];
    struct store *store;
    struct red *red;
    struct syslog *syslog;
    struct tail *tail;
};

static int remove_one(const char *path, const struct stat *sb, int type, struct FTW *at)
{
    (void)sb;
    (void)type;
    (void)at;
    return remove(path);
}

static void open_store(struct scene *s, size_t queue_bytes)
{
    const struct store_options options = { .queue_bytes = queue_bytes };
    struct err e = ERR_INIT;
    char data[96];

    snprintf(data, sizeof(data), "%s/data", s->dir);
    s->store = store_open(data, &options, &e);
    ck_assert_msg(s->store != NULL, "%s", e.msg);
    s->red = red_new(s->store, &e);
    ck_assert_ptr_nonnull(s->red);
}

static void scene_init(struct scene *s, size_t queue_bytes)
{
    memset(s, 0, sizeof(*s));
    log_set_level(LOG_ERROR);
    snprintf(s->dir, sizeof(s->dir), "/tmp/vigla-logs-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(s->dir));
    open_store(s, queue_bytes);
}

static void close_store(struct scene *s)
{
    syslog_stop(s->syslog);
    tail_stop(s->tail);
    s->syslog = NULL;
    s->tail = NULL;
    red_free(s->red);
    store_close(s->store);
}

static void scene_fini(struct scene *s)
{
    close_store(s);
    nftw(s->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* @ stands for the folder. */
static const struct yaml_node *read_yaml(struct scene *s, struct arena *a, const char *text)
{
    struct buf b = BUF_INIT(1 << 16);
    const struct yaml_node *root;
    struct err e = ERR_INIT;

    for (; *text; text++)
        if (*text == '@')
            buf_puts(&b, s->dir);
        else
            buf_putc(&b, *text);
    ck_assert_msg(yaml_read_one(a, "f", arena_str(a, buf_view(&b)), &root, &e) == 0, "%s", e.msg);
    buf_free(&b);
    return root;
}

static void start_syslog(struct scene *s, const char *yaml)
{
    struct arena a = ARENA_INIT(1 << 20);
    struct err e = ERR_INIT;
    struct syslog_config *c = syslog_config_read("f", read_yaml(s, &a, yaml), &e);

    ck_assert_msg(c != NULL, "%s", e.msg);
    s->syslog = syslog_start(s->store, s->red, c, &e);
    ck_assert_msg(s->syslog != NULL, "%s", e.msg);
    arena_free(&a);
}

static void start_tail(struct scene *s, const char *yaml)
{
    struct arena a = ARENA_INIT(1 << 20);
    struct err e = ERR_INIT;
    struct tail_config *c = tail_config_read("f", read_yaml(s, &a, yaml), &e);

    ck_assert_msg(c != NULL, "%s", e.msg);
    s->tail = tail_start(s->store, s->red, c, &e);
    ck_assert_msg(s->tail != NULL, "%s", e.msg);
    arena_free(&a);
}

static uint64_t stored(struct scene *s, enum event_kind kind)
{
    struct store_stats stats;

    store_stats(s->store, &stats);
    return stats.events[kind];
}

/* Waits until the table has that many rows; a minute is for machines under load. */
static void wait_for(struct scene *s, enum event_kind kind, uint64_t n)
{
    for (int i = 0; i < 6000 && stored(s, kind) < n; i++)
        usleep(10000);
    ck_assert_uint_eq(stored(s, kind), n);
}

/* --- syslog --- */

static int connect_to(uint16_t port, int type)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

    ck_assert_int_eq(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

#define LISTEN "syslog:\n  listeners: [{address: '127.0.0.1:0'}]\n"

START_TEST(one_port_for_both)
{
    struct scene s;
    int udp, tcp;

    scene_init(&s, 0);
    start_syslog(&s, LISTEN);
    ck_assert_uint_eq(syslog_port(s.syslog, 0), syslog_port(s.syslog, 1));
    udp = connect_to(syslog_port(s.syslog, 0), SOCK_DGRAM);
    tcp = connect_to(syslog_port(s.syslog, 0), SOCK_STREAM);
    say(udp, "<14>a: one\n");
    say(tcp, "<14>a: two\n5 <14>x<14>a: thr");
    wait_for(&s, EVENT_LOG, 3);
    say(tcp, "ee\n");
    wait_for(&s, EVENT_LOG, 4);
    say(tcp, "<14>a: the end");
    close(tcp);
    wait_for(&s, EVENT_LOG, 5);
    close(udp);
    scene_fini(&s);
}
END_TEST

START_TEST(what_was_read_is_stored_at_the_end)
{
    struct scene s;
    struct syslog_stats stats = { 0 };
    int tcp;

    scene_init(&s, 0);
    start_syslog(&s, LISTEN);
    tcp = connect_to(syslog_port(s.syslog, 1), SOCK_STREAM);
    for (int i = 0; i < 10; i++)
        say(tcp, "<14>a: one\n");
    for (int i = 0; i < 6000 && stats.stream < 10; i++) {
        usleep(1000);
        syslog_stats(s.syslog, &stats);
    }
    syslog_stop(s.syslog);
    s.syslog = NULL;
    ck_assert_uint_eq(stored(&s, EVENT_LOG), 10);
    close(tcp);
    scene_fini(&s);
}
END_TEST

enum { SENDERS = 4, EACH = 5000 };

static void *flood(void *arg)
{
    int fd = connect_to(*(const uint16_t *)arg, SOCK_STREAM);

    for (int i = 0; i < EACH; i++)
        say(fd, "<14>flood: a line of some length, so that the queue of the store is full at once\n");
    close(fd);
    return NULL;
}

/* The store's queue takes one batch at a time: senders must wait, and nothing is lost. */
START_TEST(a_full_queue_pushes_back)
{
    pthread_t threads[SENDERS];
    struct scene s;
    uint16_t port;

    scene_init(&s, 4096);
    start_syslog(&s, LISTEN);
    port = syslog_port(s.syslog, 1);
    for (int i = 0; i < SENDERS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, flood, &port), 0);
    for (int i = 0; i < SENDERS; i++)
        pthread_join(threads[i], NULL);
    wait_for(&s, EVENT_LOG, SENDERS * EACH);
    scene_fini(&s);
}
END_TEST

START_TEST(too_many_connections_are_turned_away)
{
    struct scene s;
    struct syslog_stats stats = { 0 };
    int one, two;
    char c;

    scene_init(&s, 0);
    start_syslog(&s, LISTEN "  max_connections: 1\n");
    one = connect_to(syslog_port(s.syslog, 1), SOCK_STREAM);
    say(one, "<14>a: b\n");
    wait_for(&s, EVENT_LOG, 1);
    two = connect_to(syslog_port(s.syslog, 1), SOCK_STREAM);
    ck_assert_int_le(recv(two, &c, 1, 0), 0);
    syslog_stats(s.syslog, &stats);
    ck_assert_uint_eq(stats.refused, 1);
    ck_assert_uint_eq(stats.connections, 1);
    close(one);
    close(two);
    scene_fini(&s);
}
END_TEST

START_TEST(long_messages_are_cut)
{
    struct scene s;
    struct syslog_stats stats;
    char text[2000];
    int fd;

    scene_init(&s, 0);
    start_syslog(&s, LISTEN "  max_message: 480\n");
    memset(text, 'x', sizeof(text));
    memcpy(text, "<14>a: ", 7);
    text[1998] = '\n';
    text[1999] = '\0';
    fd = connect_to(syslog_port(s.syslog, 1), SOCK_STREAM);
    say(fd, text);
    say(fd, "<14>a: short\n");
    close(fd);
    fd = connect_to(syslog_port(s.syslog, 0), SOCK_DGRAM);
    say(fd, text);
    close(fd);
    wait_for(&s, EVENT_LOG, 3);
    syslog_stats(s.syslog, &stats);
    ck_assert_uint_eq(stats.cut, 2);
    scene_fini(&s);
}
END_TEST

START_TEST(an_address_in_use_is_told)
{
    struct scene s;
    struct arena a = ARENA_INIT(1 << 20);
    struct err e = ERR_INIT;
    char yaml[128];

    scene_init(&s, 0);
    start_syslog(&s, LISTEN);
    snprintf(yaml, sizeof(yaml), "syslog: {listeners: [{address: '127.0.0.1:%u', protocol: tcp}]}",
             syslog_port(s.syslog, 1));
    ck_assert_ptr_null(syslog_start(s.store, NULL, syslog_config_read("f", read_yaml(&s, &a, yaml), NULL), &e));
    ck_assert_int_eq(e.code, ERR_IO);
    ck_assert_ptr_nonnull(strstr(e.msg, "cannot listen: Address already in use"));
    arena_free(&a);
    scene_fini(&s);
}
END_TEST

START_TEST(unix_sockets)
{
    struct scene s;
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    int fd;

    scene_init(&s, 0);
    start_syslog(&s, "syslog: {listeners: [{unix: '@/s.sock', protocol: stream}, {unix: '@/d.sock'}]}");
    for (int i = 0; i < 2; i++) {
        snprintf(at.sun_path, sizeof(at.sun_path), "%s/%s.sock", s.dir, i ? "s" : "d");
        fd = socket(AF_UNIX, i ? SOCK_STREAM : SOCK_DGRAM, 0);
        ck_assert_int_eq(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
        say(fd, "<14>a: b\n");
        close(fd);
    }
    wait_for(&s, EVENT_LOG, 2);
    syslog_stop(s.syslog);
    s.syslog = NULL;
    ck_assert_int_ne(access(at.sun_path, F_OK), 0); /* it goes with its listener */
    scene_fini(&s);
}
END_TEST

START_TEST(access_logs_by_the_first_source_that_fits)
{
    struct scene s;
    struct syslog_stats stats;
    int fd;

    scene_init(&s, 0);
    start_syslog(&s, LISTEN "  sources:\n  - match: {app: nginx, facility: local7}\n    format: {nginx: combined}\n"
                            "    workload: w\n  - match: {app: nginx}\n");
    fd = connect_to(syslog_port(s.syslog, 0), SOCK_DGRAM);
    say(fd, "<190>nginx: 1.2.3.4 - - [26/Nov/2026:09:11:22 +0000] \"GET / HTTP/1.1\" 200 1 \"-\" \"-\"");
    say(fd, "<190>nginx: anything else");
    say(fd, "<14>nginx: 1.2.3.4 - - [26/Nov/2026:09:11:22 +0000] \"GET / HTTP/1.1\" 200 1 \"-\" \"-\"");
    wait_for(&s, EVENT_ACCESS_LOG, 1);
    wait_for(&s, EVENT_LOG, 2);
    syslog_stats(s.syslog, &stats);
    ck_assert_uint_eq(stats.unmatched, 1);
    ck_assert_uint_eq(stats.datagrams, 3);
    close(fd);
    scene_fini(&s);
}
END_TEST

/* --- files --- */

static void path_of(const struct scene *s, const char *name, char out[128])
{
    snprintf(out, 128, "%s/%s", s->dir, name);
}

static void append(const struct scene *s, const char *name, const char *text)
{
    char path[128];
    int fd;

    path_of(s, name, path);
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    ck_assert_int_eq(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void rename_file(const struct scene *s, const char *from, const char *to)
{
    char old[128], new[128];

    path_of(s, from, old);
    path_of(s, to, new);
    ck_assert_int_eq(rename(old, new), 0);
}

static void cut_file(const struct scene *s, const char *name)
{
    char path[128];

    path_of(s, name, path);
    ck_assert_int_eq(truncate(path, 0), 0);
}

#define FOLLOW "file_tail: [{paths: ['@/a.log']}]"

/* Rows since the store was opened, with what happens between. */
START_TEST(each_line_once)
{
    struct scene s;

    scene_init(&s, 0);
    append(&s, "a.log", "one\ntwo\nthr");
    start_tail(&s, FOLLOW);
    wait_for(&s, EVENT_LOG, 2);
    append(&s, "a.log", "ee\n\n");
    wait_for(&s, EVENT_LOG, 3);
    rename_file(&s, "a.log", "a.log.1"); /* rotated: its writer goes on for a while */
    append(&s, "a.log.1", "four\n");
    append(&s, "a.log", "five\n");
    wait_for(&s, EVENT_LOG, 5);

    close_store(&s); /* a restart, and meanwhile another rotation */
    append(&s, "a.log", "six\n");
    rename_file(&s, "a.log", "a.log.2");
    append(&s, "a.log", "seven\n");
    open_store(&s, 0);
    start_tail(&s, FOLLOW);
    wait_for(&s, EVENT_LOG, 2);
    append(&s, "a.log", "eight\n");
    wait_for(&s, EVENT_LOG, 3);
    scene_fini(&s);
}
END_TEST

static void wait_truncated(struct scene *s, uint64_t n)
{
    struct tail_stats stats = { 0 };

    for (int i = 0; i < 6000 && stats.truncated < n; i++) {
        tail_stats(s->tail, &stats);
        usleep(10000);
    }
    ck_assert_uint_eq(stats.truncated, n);
}

START_TEST(truncated_files_begin_anew)
{
    struct scene s;

    scene_init(&s, 0);
    append(&s, "a.log", "one\ntwo\n");
    start_tail(&s, FOLLOW);
    wait_for(&s, EVENT_LOG, 2);
    cut_file(&s, "a.log");
    wait_truncated(&s, 1);
    append(&s, "a.log", "one\ntwo\n"); /* the same lines again are lines again */
    wait_for(&s, EVENT_LOG, 4);
    cut_file(&s, "a.log");
    append(&s, "a.log", "other\nand\nlonger\n"); /* before anybody has seen it short */
    wait_for(&s, EVENT_LOG, 7);

    close_store(&s); /* while nobody looks */
    cut_file(&s, "a.log");
    append(&s, "a.log", "y\n");
    open_store(&s, 0);
    start_tail(&s, FOLLOW);
    wait_for(&s, EVENT_LOG, 1);
    scene_fini(&s);
}
END_TEST

START_TEST(only_what_comes_from_now_on)
{
    struct scene s;

    scene_init(&s, 0);
    append(&s, "a.log", "old\nold\npart");
    start_tail(&s, "file_tail: [{paths: ['@/*.log'], begin: end}]");
    for (int i = 0; i < 6000; i++) {
        struct store_stats stats;

        store_stats(s.store, &stats);
        if (stats.batches) /* where it begins is stored */
            break;
        usleep(10000);
    }
    append(&s, "a.log", "ial\n");
    append(&s, "b.log", "new\n");
    wait_for(&s, EVENT_LOG, 2);
    scene_fini(&s);
}
END_TEST

START_TEST(long_lines_and_large_files)
{
    enum { LINES = 30000, LONG = 3 << 20 };
    struct buf text = BUF_INIT(8 << 20);
    struct tail_stats stats;
    struct scene s;

    scene_init(&s, 64 << 10);
    for (int i = 0; i < LINES; i++)
        buf_printf(&text, "line %d\n", i);
    for (int i = 0; i < LONG; i++)
        buf_putc(&text, 'x');
    buf_puts(&text, "\nlast\n");
    append(&s, "a.log", buf_cstr(&text));
    start_tail(&s, FOLLOW);
    wait_for(&s, EVENT_LOG, LINES + 2);
    for (int i = 0; i < 6000; i++) {
        tail_stats(s.tail, &stats);
        if (stats.lines == LINES + 2)
            break;
        usleep(10000);
    }
    ck_assert_uint_eq(stats.lines, LINES + 2);
    ck_assert_uint_eq(stats.bytes, text.n);
    ck_assert_uint_eq(stats.cut, 1);
    buf_free(&text);
    scene_fini(&s);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("log_receivers");
    TCase *tc = tcase_create("threads");

    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, one_port_for_both);
    tcase_add_test(tc, what_was_read_is_stored_at_the_end);
    tcase_add_test(tc, a_full_queue_pushes_back);
    tcase_add_test(tc, too_many_connections_are_turned_away);
    tcase_add_test(tc, long_messages_are_cut);
    tcase_add_test(tc, an_address_in_use_is_told);
    tcase_add_test(tc, unix_sockets);
    tcase_add_test(tc, access_logs_by_the_first_source_that_fits);
    tcase_add_test(tc, each_line_once);
    tcase_add_test(tc, truncated_files_begin_anew);
    tcase_add_test(tc, only_what_comes_from_now_on);
    tcase_add_test(tc, long_lines_and_large_files);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)
