#include "proxy/access_file-internal.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "tests/unit/unit.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/vigla-access-XXXXXX";
static char path[64], rotated[64];

static void setup(void)
{
    memcpy(dir + sizeof(dir) - 7, "XXXXXX", 6);
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/access.log", dir);
    snprintf(rotated, sizeof(rotated), "%s/access.log.1", dir);
}

static void teardown(void)
{
    unlink(path);
    unlink(rotated);
    rmdir(dir);
}

static void check_content(const char *of, const char *want)
{
    struct buf b = BUF_INIT(32 << 20);

    ck_assert_int_eq(file_read(of, &b, NULL), 0);
    ck_assert_msg(str_eqz(buf_view(&b), want), "%s: %.*s", of, STR_ARG(buf_view(&b)));
    buf_free(&b);
}

START_TEST(appends)
{
    struct access_file *f;

    ck_assert_int_eq(file_write_atomic(path, STR("before\n"), NULL), 0);
    f = access_file_open(path, NULL);
    access_file_line(f, STR("one\n"));
    access_file_line(f, STR("two\n"));
    check_content(path, "before\n"); /* one write for both, at the flush */
    access_file_flush(f);
    check_content(path, "before\none\ntwo\n");
    access_file_line(f, STR("three\n"));
    ck_assert_uint_eq(access_file_stats(f)->lines, 2);
    access_file_close(f);
    check_content(path, "before\none\ntwo\nthree\n");
}
END_TEST

START_TEST(reopens_after_a_rotation)
{
    struct access_file *f = access_file_open(path, NULL);

    access_file_line(f, STR("old\n"));
    access_file_flush(f);
    ck_assert_int_eq(rename(path, rotated), 0);
    access_file_line(f, STR("still old\n"));
    access_file_reopen(f);
    access_file_line(f, STR("new\n"));
    access_file_close(f);
    check_content(rotated, "old\nstill old\n");
    check_content(path, "new\n");
}
END_TEST

START_TEST(keeps_the_old_file_when_the_new_cannot_be_opened)
{
    struct access_file *f = access_file_open(path, NULL);

    ck_assert_int_eq(rename(path, rotated), 0);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    access_file_reopen(f);
    access_file_line(f, STR("line\n"));
    access_file_close(f);
    check_content(rotated, "line\n");
    rmdir(path);
}
END_TEST

/* /dev/full takes nothing: lines wait up to the bound, then the newest go, and all is counted. */
START_TEST(a_full_disk_is_counted_and_bounded)
{
    struct access_file *f = access_file_open("/dev/full", NULL);
    char line[1024];

    memset(line, 'x', sizeof(line));
    line[sizeof(line) - 1] = '\n';
    for (int i = 0; i < 9000; i++) {
        access_file_line(f, (struct str){ line, sizeof(line) });
        if (i % 1000 == 0)
            access_file_flush(f);
    }
    ck_assert_uint_eq(access_file_stats(f)->lines, 0);
    ck_assert_uint_eq(access_file_stats(f)->dropped, 9000 - 8192);
    ck_assert_uint_eq(access_file_stats(f)->errors, 9);
    access_file_close(f);
}
END_TEST

/* A file that takes no more for a while, in the middle of a line: nothing is lost or torn. */
START_TEST(goes_on_after_a_failure)
{
    struct access_file *f = access_file_open(path, NULL);
    struct buf want = BUF_INIT(1 << 20);
    struct rlimit limit, small;

    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &limit);
    small = (struct rlimit){ 1007, limit.rlim_max };
    setrlimit(RLIMIT_FSIZE, &small);
    for (int i = 0; i < 100; i++) {
        size_t from = want.n;

        buf_printf(&want, "line %05d of a log\n", i);
        access_file_line(f, (struct str){ want.p + from, want.n - from });
        if (i % 10 == 9)
            access_file_flush(f);
    }
    setrlimit(RLIMIT_FSIZE, &limit);
    ck_assert_uint_eq(access_file_stats(f)->lines, 1007 / 20);
    ck_assert_uint_gt(access_file_stats(f)->errors, 0);
    access_file_flush(f);
    ck_assert_uint_eq(access_file_stats(f)->lines, 100);
    ck_assert_uint_eq(access_file_stats(f)->dropped, 0);
    access_file_close(f);
    buf_putc(&want, '\0');
    check_content(path, want.p);
    buf_free(&want);
}
END_TEST

START_TEST(says_what_cannot_be_opened)
{
    struct err e = ERR_INIT;

    ck_assert_ptr_null(access_file_open("/no/such/dir/access.log", &e));
    ck_assert_int_eq(e.code, ERR_IO);
    ck_assert_str_eq(e.msg, "access log /no/such/dir/access.log: open: No such file or directory");
    access_file_close(NULL);
}
END_TEST

START_TEST(says_when_memory_is_short)
{
    for (long n = 1;; n++) {
        struct err e = ERR_INIT;
        struct access_file *f;
        bool failed;

        mem_fail_at(n);
        f = access_file_open(path, &e);
        if (f) {
            access_file_line(f, STR("line\n"));
            access_file_flush(f);
        }
        failed = mem_has_failed();
        mem_fail_at(0);
        ck_assert(f ? access_file_stats(f)->dropped == failed : e.code == ERR_NOMEM);
        access_file_close(f);
        if (!failed)
            break;
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("access_file");
    TCase *t = tcase_create("access_file");

    log_init("access_file_test", LOG_ERROR);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, appends);
    tcase_add_test(t, reopens_after_a_rotation);
    tcase_add_test(t, keeps_the_old_file_when_the_new_cannot_be_opened);
    tcase_add_test(t, a_full_disk_is_counted_and_bounded);
    tcase_add_test(t, goes_on_after_a_failure);
    tcase_add_test(t, says_what_cannot_be_opened);
    tcase_add_test(t, says_when_memory_is_short);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
