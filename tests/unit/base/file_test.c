#include "base/file.h"

#include "tests/unit/unit.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/vigla-file-XXXXXX";

static void setup(void)
{
    memcpy(dir + sizeof(dir) - 7, "XXXXXX", 6);
    ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void teardown(void)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0);
}

static const char *in_dir(const char *name)
{
    static char path[256];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return path;
}

static const size_t sizes[] = { 0, 1, 65535, 65536, 65537, 200000 };

START_TEST(round_trip)
{
    struct buf in = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);

    for (size_t i = 0; i < sizes[_i]; i++)
        buf_putc(&in, (char)(i % 251));
    ck_assert_int_eq(file_write_atomic(in_dir("a"), STR("what was there before, and is replaced"), NULL), 0);
    ck_assert_int_eq(file_write_atomic(in_dir("a"), buf_view(&in), NULL), 0);
    ck_assert_int_ne(access(in_dir("a.new"), F_OK), 0);
    buf_puts(&out, "x");
    ck_assert_int_eq(file_read(in_dir("a"), &out, NULL), 0);
    ck_assert(str_eq(str_from(buf_view(&out), 1), buf_view(&in)));
    buf_free(&in);
    buf_free(&out);
}
END_TEST

START_TEST(reads_no_more_than_the_ceiling)
{
    struct buf exact = BUF_INIT(5), less = BUF_INIT(4);
    struct err e = ERR_INIT;

    ck_assert_int_eq(file_write_atomic(in_dir("a"), STR("hello"), NULL), 0);
    ck_assert_int_eq(file_read(in_dir("a"), &exact, NULL), 0);
    ck_assert_int_eq(file_read(in_dir("a"), &less, &e), ERR_LIMIT);
    ck_assert_int_ge(str_find(str_of(e.msg), STR("/a: larger than the 4 bytes allowed")), 0);
    buf_free(&exact);
    buf_free(&less);
}
END_TEST

START_TEST(says_what_is_wrong)
{
    struct buf b = BUF_INIT(100);
    struct err e = ERR_INIT;
    char too_long[5000];

    ck_assert_int_eq(file_read(in_dir("none"), &b, &e), ERR_NOTFOUND);
    ck_assert_int_ge(str_find(str_of(e.msg), STR("/none: open: No such file or directory")), 0);
    ck_assert_int_eq(file_read(dir, &b, &e), ERR_IO);
    ck_assert_int_eq(file_write_atomic(in_dir("none/a"), STR("x"), &e), ERR_IO);
    memset(too_long, 'x', sizeof(too_long));
    too_long[sizeof(too_long) - 1] = '\0';
    ck_assert_int_eq(file_write_atomic(too_long, STR("x"), &e), ERR_RANGE);
    ck_assert_int_eq(file_mkdirs(too_long, &e), ERR_RANGE);
    ck_assert_int_eq(file_mkdirs("", &e), ERR_RANGE);
    buf_free(&b);
}
END_TEST

START_TEST(a_failed_write_leaves_the_old_file)
{
    struct buf b = BUF_INIT(100);

    ck_assert_int_eq(file_write_atomic(in_dir("a"), STR("old"), NULL), 0);
    ck_assert_int_eq(mkdir(in_dir("a.new"), 0700), 0);
    ck_assert_int_eq(file_write_atomic(in_dir("a"), STR("new"), NULL), ERR_IO);
    ck_assert_int_eq(file_read(in_dir("a"), &b, NULL), 0);
    ck_assert(str_eqz(buf_view(&b), "old"));
    buf_free(&b);
}
END_TEST

static const struct {
    const char *path;
    int rc;
} dirs[] = {
    { "a", 0 }, { "a/b/c", 0 }, { "a//b/", 0 }, { "./a/../b", 0 }, { "file", ERR_IO }, { "file/a", ERR_IO },
};

START_TEST(makes_directories)
{
    struct stat st;

    ck_assert_int_eq(file_write_atomic(in_dir("file"), STR("x"), NULL), 0);
    for (int again = 0; again < 2; again++) {
        struct err e = ERR_INIT;

        ck_assert_msg(file_mkdirs(in_dir(dirs[_i].path), &e) == dirs[_i].rc, "%s: %s", dirs[_i].path, e.msg);
    }
    if (dirs[_i].rc == 0) {
        ck_assert_int_eq(stat(in_dir(dirs[_i].path), &st), 0);
        ck_assert(S_ISDIR(st.st_mode));
        ck_assert_uint_eq(st.st_mode & 0777, 0700);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("file");
    TCase *t = tcase_create("file");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, round_trip, 0, COUNT(sizes));
    tcase_add_test(t, reads_no_more_than_the_ceiling);
    tcase_add_test(t, says_what_is_wrong);
    tcase_add_test(t, a_failed_write_leaves_the_old_file);
    tcase_add_loop_test(t, makes_directories, 0, COUNT(dirs));
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
