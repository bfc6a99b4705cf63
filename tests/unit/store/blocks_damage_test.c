/* blocks_damage_test.c: files that are not as we left them: what is wrong is named and kept out, the rest is served. */
#include "tests/unit/store/blocks_fixture.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>

static char dir[64], path[128];

/* 1.db holds blocks 1 (items 100 to 119), 2 (200 to 219); 2.db holds one of item 7. */
static void setup(void)
{
    static uint32_t items[2][20];
    struct blocks *bs;

    fixture_dir(dir);
    snprintf(path, sizeof(path), "%s/metrics/1.db", dir);
    bs = blocks_must_open(dir);
    for (uint32_t i = 0; i < 20; i++) {
        items[0][i] = 100 + i;
        items[1][i] = 200 + i;
    }
    ck_assert_int_eq(block_put(bs, 1, items[0], 20, NULL, 0, NULL), 0);
    ck_assert_int_eq(block_put(bs, 1, items[1], 20, NULL, 0, NULL), 0);
    ck_assert_int_eq(block_put(bs, 2, (uint32_t[]){ 7 }, 1, NULL, 0, NULL), 0);
    blocks_close(bs);
}

static void teardown(void)
{
    fixture_remove(dir);
}

static void sql(const char *text)
{
    sqlite3 *db;
    char *why = NULL;

    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    ck_assert_msg(sqlite3_exec(db, text, NULL, NULL, &why) == SQLITE_OK, "%s: %s", text, why);
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
}

static void overwrite(off_t at, const void *bytes, size_t n)
{
    int fd = open(path, O_WRONLY);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pwrite(fd, bytes, n, at), (ssize_t)n);
    close(fd);
}

/* Reads all that is listed; what fails is set aside, as a query would do. *whole: items that were read. */
static void read_all(struct blocks *bs, struct tally *whole)
{
    struct block_list *list = blocks_hold(bs);

    for (size_t i = 0; i < list->n; i++) {
        struct block *b = list->blocks[i];
        struct err e = ERR_INIT;
        struct block_reader *r = block_reader_take(bs, b->partition, &e);
        struct tally t = { 0, 0 };
        int rc = r ? block_read(r, b, b->partition && b->first >= 2 * PARTITION_MS ? 2 : 1, tally_add, &t, &e) : e.code;

        block_reader_give(bs, r);
        ck_assert_msg(rc == 0 || rc == ERR_CORRUPT, "%d: %s", rc, e.msg);
        if (rc < 0) {
            blocks_set_aside(bs, b, &e);
        } else {
            whole->n += t.n;
            whole->sum += t.sum;
        }
    }
    blocks_release(bs, list);
}

static const struct {
    const char *what, *sql;
    uint64_t at_open, damaged, items; /* set aside when opened; after all has been read; items that are left */
} cases[] = {
    { "nothing", "SELECT 1", 0, 0, 41 },
    { "another application", "PRAGMA application_id=1", 1, 1, 1 },
    { "a vigla.db", "PRAGMA application_id=0x5649474c", 1, 1, 1 },
    { "no format", "PRAGMA user_version=0", 1, 1, 1 },
    { "no blocks", "DELETE FROM block", 1, 1, 1 },
    { "an older format", "PRAGMA user_version=1", 1, 1, 1 },
    { "a newer format", "PRAGMA user_version=3", 1, 1, 1 },
    { "no table of blocks", "DROP TABLE block", 1, 1, 1 },
    { "no table of parts", "DROP TABLE part", 0, 2, 1 },
    { "another table of blocks", "ALTER TABLE block RENAME COLUMN bytes TO octets", 1, 1, 1 },
    { "gone", "UPDATE block SET gone=1 WHERE id=1", 0, 0, 21 },
    { "rank 0", "UPDATE block SET rank=0 WHERE id=1", 1, 1, 21 },
    { "a rank too high", "UPDATE block SET rank=0x7fffffffffffffff WHERE id=1", 1, 1, 21 },
    { "a rank twice", "UPDATE block SET rank=2 WHERE id=1", 1, 1, 21 },
    { "a rank that is text", "UPDATE block SET rank='x' WHERE id=1", 1, 1, 21 },
    { "an id below", "UPDATE block SET id=-1 WHERE id=1", 1, 1, 21 },
    { "an id too high", "UPDATE block SET id=1<<50 WHERE id=1", 1, 1, 21 },
    { "another id", "UPDATE block SET id=77 WHERE id=1", 0, 1, 21 },
    { "the wrong day", "UPDATE block SET first=5 WHERE id=1", 1, 1, 21 },
    { "ends before it begins", "UPDATE block SET first=last+1 WHERE id=1", 1, 1, 21 },
    { "no pages", "UPDATE block SET pages=0 WHERE id=1", 1, 1, 21 },
    { "too many pages", "UPDATE block SET pages=1<<40, series=1<<40 WHERE id=1", 1, 1, 21 },
    { "one page more", "UPDATE block SET pages=pages+1 WHERE id=1", 0, 1, 21 },
    { "one series less", "UPDATE block SET series=series-1 WHERE id=1", 0, 1, 21 },
    { "one sample more", "UPDATE block SET rows=rows+1 WHERE id=1", 0, 1, 21 },
    { "other times", "UPDATE block SET last=last+1 WHERE id=1", 0, 1, 21 },
    { "one byte more", "UPDATE block SET bytes=bytes+1 WHERE id=1", 0, 1, 21 },
    { "no directory", "DELETE FROM part WHERE id=1<<20", 0, 1, 21 },
    { "an empty directory", "UPDATE part SET body=x'' WHERE id=1<<20", 0, 1, 21 },
    { "another's directory", "UPDATE part SET body=(SELECT body FROM part WHERE id=2<<20) WHERE id=1<<20", 0, 1, 21 },
    { "a directory that is a number", "UPDATE part SET body=5 WHERE id=1<<20", 0, 1, 21 },
    { "no part", "DELETE FROM part WHERE id=(1<<20)+1", 0, 1, 21 },
    { "a part cut short", "UPDATE part SET body=substr(body,1,length(body)-1) WHERE id=(1<<20)+1", 0, 1, 21 },
};

START_TEST(what_is_wrong_is_kept_out)
{
    struct blocks *bs;
    struct tally t = { 0, 0 };

    sql(cases[_i].sql);
    bs = blocks_must_open(dir);
    ck_assert_msg(blocks_damaged(bs) == cases[_i].at_open, "%s: %llu set aside", cases[_i].what,
                  (unsigned long long)blocks_damaged(bs));
    read_all(bs, &t);
    ck_assert_msg(blocks_damaged(bs) == cases[_i].damaged, "%s: %llu set aside after reading", cases[_i].what,
                  (unsigned long long)blocks_damaged(bs));
    ck_assert_msg(t.n == cases[_i].items, "%s: %llu items", cases[_i].what, (unsigned long long)t.n);
    clean_all(bs);
    blocks_close(bs);
    ck_assert_int_eq(access(path, F_OK), 0);
}
END_TEST

/* A part that has grown is fine to read, but not to blocks_check. */
static int no_check(void *arg, struct str bytes, const uint32_t *ids, size_t n, struct err *e)
{
    (void)arg;
    (void)bytes;
    (void)ids;
    (void)n;
    (void)e;
    return 0;
}

static const char *const unaccounted[] = {
    "UPDATE part SET body=CAST(body||'x' AS BLOB) WHERE id=(1<<20)+1",
    "INSERT INTO part VALUES((1<<20)+2, x'00')",
};

START_TEST(check_accounts_for_every_byte)
{
    struct blocks *bs;
    struct block_list *list;
    struct err e = ERR_INIT;

    sql(unaccounted[_i]);
    bs = blocks_must_open(dir);
    list = blocks_hold(bs);
    ck_assert_int_eq(blocks_check(bs, list->blocks[0], no_check, NULL, &e), ERR_CORRUPT);
    ck_assert_msg(blocks_check(bs, list->blocks[1], no_check, NULL, &e) == 0, "%s", e.msg);
    blocks_release(bs, list);
    blocks_close(bs);
}
END_TEST

/* A file that is no database stays, under another name when its own is needed. */
START_TEST(a_place_that_is_taken)
{
    static const char text[] = "Dear diary, today I was written into a directory that is not mine. And so on...";
    char aside[160];
    struct blocks *bs;
    struct tally t;
    struct stat st;

    ck_assert_int_eq(truncate(path, 0), 0);
    overwrite(0, text, sizeof(text));
    for (int round = 1; round <= 2; round++) {
        bs = blocks_must_open(dir);
        ck_assert_uint_eq(blocks_damaged(bs), 1);
        ck_assert_int_eq(block_put(bs, 1, (uint32_t[]){ 5 }, 1, NULL, 0, NULL), 0);
        t = tally_of(bs);
        ck_assert_uint_eq(t.sum, 12);
        blocks_close(bs);
        snprintf(aside, sizeof(aside), "%s.aside%d", path, round);
        ck_assert_int_eq(stat(aside, &st), 0);
        ck_assert_int_eq(st.st_size, round == 1 ? (long)sizeof(text) : 65536);
        overwrite(0, text, sizeof(text));
    }
}
END_TEST

START_TEST(other_files_are_left_alone)
{
    static const char *const names[] = { "x.db", "1.db.bak", "01.db",           "+1.db",
                                         "-0.db", ".db",     "106751991168.db", "99999999999999999999.db" };
    char name[160];
    struct blocks *bs;

    for (size_t i = 0; i < COUNT(names); i++) {
        snprintf(name, sizeof(name), "%s/metrics/%s", dir, names[i]);
        ck_assert_int_ge(close(open(name, O_WRONLY | O_CREAT, 0600)), 0);
    }
    snprintf(name, sizeof(name), "%s/metrics/5.db", dir); /* made, and killed before anything was in it */
    ck_assert_int_ge(close(open(name, O_WRONLY | O_CREAT, 0600)), 0);
    bs = blocks_must_open(dir);
    ck_assert_uint_eq(blocks_damaged(bs), 0);
    ck_assert_uint_eq(tally_of(bs).n, 41);
    blocks_close(bs);
    ck_assert_int_eq(access(name, F_OK), -1);
    for (size_t i = 0; i < COUNT(names); i++) {
        snprintf(name, sizeof(name), "%s/metrics/%s", dir, names[i]);
        ck_assert_int_eq(access(name, F_OK), 0);
    }
}
END_TEST

/* Any page of the file overwritten, any length cut off: never more than what was there, and never a crash. */
START_TEST(rot_anywhere)
{
    static char good[1 << 20], junk[4096];
    struct stat st;
    struct rng r = { { 5, 6, 7, (uint64_t)_i + 1 } };
    int fd = open(path, O_RDONLY);
    ssize_t n = read(fd, good, sizeof(good));

    close(fd);
    ck_assert_int_gt(n, 65536);
    for (int round = 0; round < 25; round++) {
        struct tally t = { 0, 0 };
        struct blocks *bs;
        size_t len = 1 + rng_below(&r, sizeof(junk));

        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        ck_assert_int_eq(write(fd, good, (size_t)n), n);
        close(fd);
        for (size_t i = 0; i < len; i++)
            junk[i] = (char)rng_next(&r);
        if (round % 5 == 0)
            ck_assert_int_eq(truncate(path, (off_t)rng_below(&r, (uint64_t)n)), 0);
        else if (round % 5 == 1)
            overwrite((off_t)rng_below(&r, 100), junk, len % 16 + 1);
        else
            overwrite((off_t)(16384 + rng_below(&r, 3 * 16384)), junk, len % 64 + 1);
        bs = blocks_must_open(dir);
        for (int again = 0; again < 2; again++) {
            struct block_list *list = blocks_hold(bs);

            for (size_t i = 0; i < list->n; i++) {
                struct err e = ERR_INIT;

                if (blocks_check(bs, list->blocks[i], no_check, NULL, &e) < 0)
                    blocks_set_aside(bs, list->blocks[i], &e);
                else
                    t.n++;
            }
            blocks_release(bs, list);
        }
        ck_assert_uint_le(t.n, 6);
        ck_assert_uint_ge(t.n, 2); /* 2.db is whole */
        blocks_close(bs);
        ck_assert(stat(path, &st) == 0 || round % 5 == 0); /* cut so short that it reads as an empty database */
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("damaged blocks");
    TCase *tc = tcase_create("damage");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, what_is_wrong_is_kept_out, 0, COUNT(cases));
    tcase_add_loop_test(tc, check_accounts_for_every_byte, 0, COUNT(unaccounted));
    tcase_add_test(tc, a_place_that_is_taken);
    tcase_add_test(tc, other_files_are_left_alone);
    tcase_add_loop_test(tc, rot_anywhere, 0, 4);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)
