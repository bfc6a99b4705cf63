#include "store/check.h"
#include "tests/unit/store/fixture.h"

#include <fcntl.h>

static char dir[64];

static void setup(void)
{
    fixture_dir(dir);
}

static void teardown(void)
{
    fixture_remove(dir);
}

struct told {
    int n;
    char first[512];
};

static void hear(void *arg, const char *text)
{
    struct told *t = arg;

    if (t->n++ == 0)
        snprintf(t->first, sizeof(t->first), "%s", text);
}

static int check(struct told *t, bool rebuild, struct store_check *c, struct err *e)
{
    *t = (struct told){ 0 };
    *c = (struct store_check){ .fault = hear, .arg = t, .rebuild = rebuild };
    return store_check(dir, c, e);
}

/* Ten series with a sample each second, sealed; and one that is not. */
static void fill(void)
{
    static const char *const names[] = { "0", "1", "2", "3", "4", "5", "6", "7", "8", "9" };
    struct store *st = fixture_open(dir);
    struct sample s[100];

    for (int i = 0; i < 100; i++)
        s[i] = (struct sample){ i * 1000, 0.1 * i };
    for (int k = 0; k < 10; k++)
        ck_assert_int_eq(fixture_write(st, "m", names[k], 0, s, 100), 0);
    ck_assert_int_eq(sealer_seal_all(st, NULL), 0);
    ck_assert_int_eq(fixture_write(st, "late", "1", 0, s, 1), 0);
    store_close(st);
}

START_TEST(finds_nothing_wrong)
{
    struct store_check c;
    struct err e = ERR_INIT;
    struct told t;

    fill();
    for (int rebuild = 0; rebuild < 2; rebuild++) {
        ck_assert_msg(check(&t, rebuild, &c, &e) == 0 && t.n == 0, "%s %s", e.msg, t.first);
        ck_assert_uint_eq(c.faults, 0);
        ck_assert_uint_eq(c.series, 11);
        ck_assert_uint_eq(c.samples, 1000);
        ck_assert_uint_eq(c.blocks, 1);
        ck_assert_uint_eq(c.journal_samples, 1);
    }
    ck_assert_int_eq(check(&t, false, &c, &e), 0); /* what was made anew */
    ck_assert_uint_eq(c.series, 11);
}
END_TEST

/* A byte changed in the middle of a page, past SQLite's back. */
START_TEST(names_what_is_damaged)
{
    struct store_check c;
    struct err e = ERR_INIT;
    struct told t;
    char path[96], byte;
    off_t end;
    int fd;

    fill();
    snprintf(path, sizeof(path), "%s/metrics/0.db", dir);
    fd = open(path, O_RDWR);
    ck_assert_int_ge(fd, 0);
    end = lseek(fd, 0, SEEK_END);
    for (off_t at = end - 1; at > end - 16384; at--) { /* the last page of the file holds the blob: change what is not 0 */
        ck_assert_int_eq(pread(fd, &byte, 1, at), 1);
        if (byte == 0)
            continue;
        byte ^= 0x55;
        ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
        break;
    }
    close(fd);
    ck_assert_msg(check(&t, false, &c, &e) == 0, "%s", e.msg);
    ck_assert_msg(c.faults > 0, "nothing was found");
    ck_assert_int_eq(check(&t, true, &c, &e), ERR_CORRUPT); /* nothing is made anew from damage */
}
END_TEST

START_TEST(says_what_is_no_data)
{
    struct store_check c;
    struct err e = ERR_INIT;
    struct told t;
    struct store *st;

    ck_assert_int_eq(check(&t, false, &c, &e), ERR_NOTFOUND);
    st = fixture_open(dir);
    ck_assert_int_eq(check(&t, false, &c, &e), ERR_CONFLICT);
    store_close(st);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("check");
    TCase *tc = tcase_create("check");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, finds_nothing_wrong);
    tcase_add_test(tc, names_what_is_damaged);
    tcase_add_test(tc, says_what_is_no_data);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)
