/* page_test.c: every column comes back bit for bit, in few bytes; memory may fail. Pages that are wrong on purpose:
 * page_damage_test.c. */
#include "store/page-internal.h"
#include "tests/unit/unit.h"

#include "base/mem.h"
#include "base/rand.h"
#include "store/varint-internal.h"

#include <math.h>

static int64_t page_t[PAGE_SAMPLES];
static double page_v[PAGE_SAMPLES];
static struct sample_columns page_columns[PAGE_COLUMNS];

static void must_equal(const struct sample_columns *got, const struct sample_columns *want, size_t column)
{
    ck_assert_msg(got->n == want->n, "column %zu: %zu samples, should be %zu", column, got->n, want->n);
    ck_assert_msg(memcmp(got->t, want->t, got->n * 8) == 0, "column %zu: other times", column);
    for (size_t i = 0; memcmp(got->v, want->v, got->n * 8) && i < got->n; i++)
        ck_assert_msg(double_bits(got->v[i]) == double_bits(want->v[i]), "column %zu: value %zu is %a, should be %a",
                      column, i, got->v[i], want->v[i]);
}

static void must_decode(struct str bytes, const struct sample_columns *c, size_t n)
{
    struct page_reader *r = page_reader_new();
    struct sample_columns got;
    struct err e = ERR_INIT;
    size_t columns;

    for (int backwards = 0; backwards < 2; backwards++) {
        ck_assert_msg(page_open(r, bytes, &columns, &e) == 0, "%s", e.msg);
        ck_assert_uint_eq(columns, n);
        for (size_t i = 0; i < n; i++) {
            size_t column = backwards ? n - 1 - i : i;

            ck_assert_msg(page_column(r, column, &got, &e) == 0, "%s", e.msg);
            must_equal(&got, &c[column], column);
        }
    }
    ck_assert_int_eq(page_column(r, 0, &got, &e), 0);
    must_equal(&got, &c[0], 0);
    page_reader_free(r);
}

/* Returns the page's length. */
static size_t round_trip(const struct sample_columns *c, size_t n)
{
    struct buf b = BUF_INIT(1 << 24);
    struct err e = ERR_INIT;
    size_t length;

    buf_puts(&b, "what is before stays");
    length = b.n;
    ck_assert_msg(page_encode(c, n, &b, &e) == 0, "%s", e.msg);
    ck_assert_mem_eq(b.p, "what is before stays", length);
    must_decode(str_from(buf_view(&b), length), c, n);
    length = b.n - length;
    buf_free(&b);
    return length;
}

/* --- one column --- */

#define STALE bits_double(SAMPLE_STALE_BITS)

static const struct {
    const char *what;
    size_t n;
    int64_t t[6];
    uint64_t bits[6]; /* instead of v, when not 0 */
    double v[6];
} cases[] = {
    { "one", 1, { 0 }, { 0 }, { 0 } },
    { "one stale", 1, { -7 }, { SAMPLE_STALE_BITS }, { 0 } },
    { "two", 2, { 5, 6 }, { 0 }, { 3, 1e9 } },
    { "counter", 5, { 1000, 2000, 3000, 4000, 5000 }, { 0 }, { 1, 2, 2, 1000000, 1000001 } },
    { "steady counter", 4, { 0, 15000, 30000, 45000 }, { 0 }, { 1000003, 2000006, 3000009, 4000012 } },
    { "missed scrape", 5, { 0, 10, 20, 40, 50 }, { 0 }, { 1, 1, 1, 1, 1 } },
    { "before 1970", 3, { -5000, -1, 7 }, { 0 }, { -1, 0, 1 } },
    { "ends of time", 4, { INT64_MIN, 0, 1, INT64_MAX }, { 0 }, { 1, 2, 3, 4 } },
    { "whole of time", 2, { INT64_MIN, INT64_MAX }, { 0 }, { -1, 1 } },
    { "minus zero", 3, { 1, 2, 3 }, { 0 }, { -0.0, 0.0, 5 } },
    { "minus zeros", 3, { 1, 2, 3 }, { 0 }, { -0.0, -0.0, -0.0 } },
    { "fractions", 4, { 1, 2, 3, 9 }, { 0 }, { 0.1, -1e300, 5e-324, -5e-324 } },
    { "denormals", 3, { 1, 2, 3 }, { 1, 0x000fffffffffffffu, 0x8000000000000001u }, { 0 } },
    { "infinities", 3, { 1, 2, 4 }, { 0 }, { INFINITY, -INFINITY, 0 } },
    { "ends of double", 3, { 1, 2, 4 }, { 0 }, { 0x1.fffffffffffffp1023, -0x1.fffffffffffffp1023, 0x1p-1022 } },
    { "edge of whole", 4, { 1, 2, 3, 4 }, { 0 }, { 0x1p53, -0x1p53, 0x1p53 - 1, 0 } },
    { "beyond whole", 3, { 1, 2, 3 }, { 0 }, { 0x1p53 + 2, 0x1p63, -0x1p64 } },
    { "cents", 5, { 1, 2, 3, 4, 5 }, { 0 }, { 0.01, -12.34, 1e6 + 0.99, 0.1, 7 } },
    { "nine decimals", 3, { 1, 2, 3 }, { 0 }, { 0.123456789, 1.000000001, -0.5 } },
    { "nearly cents", 3, { 1, 2, 3 }, { 0 }, { 0.1 + 0.2, 0.3, 0.30000000000000004 } },
    { "pages of memory", 4, { 1, 2, 3, 4 }, { 0 }, { 40960000, 40964096, 40955904, -4096 } },
    { "halves of small range", 4, { 1, 2, 3, 4 }, { 0 }, { 0.5, 0.25, -0.75, 1024.125 } },
    { "goes stale", 5, { 1, 2, 3, 4, 5 }, { 0 }, { 1, 2, 3, 4, 0 } },
    { "payloads", 3, { 1, 2, 3 }, { 0x7ff8000000000001u, 0xfff0000000000123u, UINT64_MAX }, { 0 } },
};

static size_t from_case(int row, double *v, struct sample_columns *c)
{
    for (size_t i = 0; i < cases[row].n; i++)
        v[i] = cases[row].bits[i] ? bits_double(cases[row].bits[i]) : cases[row].v[i];
    if (strcmp(cases[row].what, "goes stale") == 0)
        v[4] = STALE;
    *c = (struct sample_columns){ SAMPLE_FLOAT, cases[row].t, v, cases[row].n };
    return cases[row].n;
}

START_TEST(keeps_column)
{
    struct sample_columns c;
    double v[6];

    from_case(_i, v, &c);
    round_trip(&c, 1);
}
END_TEST

/* All cases in one page, each twice. */
START_TEST(keeps_neighbours)
{
    static double v[2 * COUNT(cases)][6];
    struct sample_columns c[2 * COUNT(cases)];

    for (size_t i = 0; i < COUNT(c); i++)
        from_case((int)(i / 2), v[i], &c[i]);
    round_trip(c, COUNT(c));
}
END_TEST

/* --- random columns --- */

/* Fills v from what the column before it has, too: neighbours are alike. */
typedef void maker(struct rng *r, double *v, const double *before, size_t n);

static void any_bits(struct rng *r, double *v, const double *before, size_t n)
{
    (void)before;
    for (size_t i = 0; i < n; i++)
        v[i] = bits_double(rng_next(r));
}

static void counter(struct rng *r, double *v, const double *before, size_t n)
{
    uint64_t mean = (uint64_t)1 << rng_below(r, 20), x = rng_below(r, 1 << 30);

    (void)before;
    for (size_t i = 0; i < n; i++)
        v[i] = (double)(x += rng_below(r, mean));
}

static void rare_counter(struct rng *r, double *v, const double *before, size_t n)
{
    uint64_t x = 0, one_in = 2 + rng_below(r, 60);

    (void)before;
    for (size_t i = 0; i < n; i++)
        v[i] = (double)(x += rng_below(r, one_in) ? 0 : 1 + rng_below(r, 3));
}

static void bucket(struct rng *r, double *v, const double *before, size_t n)
{
    uint64_t x = 0, most = 1 + rng_below(r, 30) * rng_below(r, 30);

    for (size_t i = 0; i < n; i++)
        v[i] = (before ? before[i] : 0) + (double)(x += rng_below(r, most));
}

static void share(struct rng *r, double *v, const double *before, size_t n)
{
    double part = (double)(1 + rng_below(r, 400)) / 100;

    for (size_t i = 0; i < n; i++)
        v[i] = floor((before ? before[i] : (double)i) * part);
}

static void same(struct rng *r, double *v, const double *before, size_t n)
{
    for (size_t i = 0; i < n; i++)
        v[i] = before ? before[i] : (double)rng_below(r, 5);
}

static void noise(struct rng *r, double *v, const double *before, size_t n)
{
    (void)before;
    for (size_t i = 0; i < n; i++)
        v[i] = (double)(rng_next(r) >> 11) * 0x1p-53 - 0.2;
}

static void sum(struct rng *r, double *v, const double *before, size_t n)
{
    double x = 0;

    (void)before;
    for (size_t i = 0; i < n; i++)
        v[i] = x += (double)(rng_next(r) >> 11) * 0x1p-44;
}

static void sensor(struct rng *r, double *v, const double *before, size_t n)
{
    int64_t x = (int64_t)rng_below(r, 5000) - 1000;

    (void)before;
    for (size_t i = 0; i < n; i++)
        v[i] = (double)(x += (int64_t)rng_below(r, 21) - 10) / 100;
}

static void level(struct rng *r, double *v, const double *before, size_t n)
{
    (void)before;
    for (size_t i = 0; i < n; i++)
        v[i] = (double)rng_below(r, 1000) * 4096;
}

static void with_gaps(struct rng *r, double *v, const double *before, size_t n)
{
    counter(r, v, before, n);
    for (size_t i = 0; i < n; i++)
        if (rng_below(r, 20) == 0)
            v[i] = rng_below(r, 3) ? STALE : -0.0;
}

static maker *const makers[] = { any_bits, counter, rare_counter, bucket, share,    same,
                                 noise,    sum,     sensor,       level,  with_gaps };

static void make_times(struct rng *r, int64_t *t, size_t n)
{
    uint64_t step = 1 + rng_below(r, 60000), jitter = rng_below(r, 3) ? 0 : 1 + rng_below(r, 1000);

    t[0] = (int64_t)rng_next(r) >> (1 + rng_below(r, 40));
    for (size_t i = 1; i < n; i++)
        t[i] = t[i - 1] + (int64_t)(step + (jitter ? rng_below(r, jitter) : 0) + (rng_below(r, 50) ? 0 : step));
}

/* A page of up to `columns` columns of up to `longest` samples; sometimes with the times of the one before. */
static size_t make_page(struct rng *r, size_t columns, size_t longest)
{
    size_t at = 0, n = 0;

    while (n < columns) {
        struct sample_columns *c = &page_columns[n];
        bool shared = n && rng_below(r, 4);
        size_t length = shared ? c[-1].n : 1 + rng_below(r, longest);

        if (length > PAGE_SAMPLES - at)
            break;
        if (shared && rng_below(r, 2))
            memcpy(page_t + at, c[-1].t, length * sizeof(*page_t));
        else if (!shared)
            make_times(r, page_t + at, length);
        *c = (struct sample_columns){ SAMPLE_FLOAT, shared && c[-1].t != page_t + at ? c[-1].t : page_t + at,
                                      page_v + at, length };
        makers[rng_below(r, COUNT(makers))](r, page_v + at, shared ? c[-1].v : NULL, length);
        at += length;
        n++;
    }
    return n;
}

START_TEST(keeps_random)
{
    static const struct {
        size_t columns, longest;
    } shapes[] = { { 1, 2000 }, { 100, 300 }, { 40, 40 }, { PAGE_COLUMNS, 3 }, { PAGE_COLUMNS, 32 }, { 200, 1 } };
    struct rng r;

    rng_seed(&r);
    for (int round = 0; round < 10; round++)
        round_trip(page_columns, make_page(&r, shapes[_i].columns, shapes[_i].longest));
}
END_TEST

/* Each kind alone, so that no other's code hides it. */
START_TEST(keeps_kind)
{
    struct rng r;

    rng_seed(&r);
    for (int round = 0; round < 10; round++) {
        size_t n = 2 + rng_below(&r, 500), columns = 1 + rng_below(&r, 60);

        make_times(&r, page_t, n);
        for (size_t i = 0; i < columns; i++) {
            page_columns[i] = (struct sample_columns){ SAMPLE_FLOAT, page_t, page_v + i * n, n };
            makers[_i](&r, page_v + i * n, i ? page_v + (i - 1) * n : NULL, n);
        }
        round_trip(page_columns, columns);
    }
}
END_TEST

START_TEST(keeps_largest)
{
    struct rng r;

    rng_seed(&r);
    make_times(&r, page_t, PAGE_SAMPLES);
    any_bits(&r, page_v, NULL, PAGE_SAMPLES);
    page_columns[0] = (struct sample_columns){ SAMPLE_FLOAT, page_t, page_v, PAGE_SAMPLES };
    round_trip(page_columns, 1);
    for (size_t i = 0; i < PAGE_COLUMNS; i++)
        page_columns[i] = (struct sample_columns){ SAMPLE_FLOAT, page_t + i * 32, page_v + i * 32, 32 };
    round_trip(page_columns, PAGE_COLUMNS);
}
END_TEST

/* --- size --- */

/* 40 columns of 240 samples of one kind; the most bytes for a sample, in hundredths. */
static const struct {
    const char *what;
    maker *make;
    unsigned most;
} sizes[] = {
    { "equal columns", same, 3 },      { "random bits", any_bits, 803 },        { "uniform in [-0.2, 0.8)", noise, 730 },
    { "rare counters", rare_counter, 14 }, { "two decimals", sensor, 62 }, { "multiples of 4096", level, 130 },
};

START_TEST(packs)
{
    struct rng r = { { 1, 2, 3, 4 } };
    size_t length;

    make_times(&r, page_t, 240);
    for (size_t i = 0; i < 240; i++)
        page_t[i] = (int64_t)i * 30000;
    for (size_t i = 0; i < 40; i++) {
        page_columns[i] = (struct sample_columns){ SAMPLE_FLOAT, page_t, page_v + i * 240, 240 };
        sizes[_i].make(&r, page_v + i * 240, i ? page_v + (i - 1) * 240 : NULL, 240);
    }
    length = round_trip(page_columns, 40);
    ck_assert_msg(length * 100 <= (size_t)sizes[_i].most * 40 * 240, "%s: %zu bytes, %.3f for a sample", sizes[_i].what,
                  length, (double)length / (40 * 240));
}
END_TEST

/* --- damage --- */

static void seal(char *page, size_t n)
{
    uint64_t sum = htole64(str_hash_stable((struct str){ page + 8, n - 8 }));

    memcpy(page, &sum, 8);
}

/* Every cut and every flipped byte is noticed; with the checksum put right it may pass, but does no harm. */
START_TEST(refuses_damage)
{
    struct page_reader *r = page_reader_new();
    struct buf b = BUF_INIT(1 << 24);
    struct sample_columns got;
    struct rng rng;
    size_t n, columns;

    rng_seed(&rng);
    n = make_page(&rng, 30, 60);
    ck_assert_int_eq(page_encode(page_columns, n, &b, NULL), 0);
    for (size_t i = 0; i < b.n; i++) {
        struct err e = ERR_INIT;

        ck_assert_int_eq(page_open(r, (struct str){ b.p, i }, &columns, &e), ERR_CORRUPT);
        b.p[i] ^= 0x10;
        ck_assert_int_eq(page_open(r, buf_view(&b), &columns, &e), ERR_CORRUPT);
        seal(b.p, b.n);
        if (page_open(r, buf_view(&b), &columns, &e) == 0)
            for (size_t k = columns; k-- > 0;)
                page_column(r, k, &got, &e);
        b.p[i] ^= 0x10;
        seal(b.p, b.n);
    }
    must_decode(buf_view(&b), page_columns, n);
    page_reader_free(r);
    buf_free(&b);
}
END_TEST

/* --- memory --- */

START_TEST(survives_lack_of_memory)
{
    struct rng rng;
    size_t n, columns;
    bool failed = true;

    rng_seed(&rng);
    n = make_page(&rng, 50, 50);
    for (long at = 1; failed; at++) {
        struct page_reader *r;
        struct buf b = BUF_INIT(1 << 24);
        struct sample_columns got;
        struct err e = ERR_INIT;
        int rc;

        mem_fail_at(at);
        r = page_reader_new();
        rc = r ? page_encode(page_columns, n, &b, &e) : ERR_NOMEM;
        if (rc == 0)
            rc = page_open(r, buf_view(&b), &columns, &e);
        if (rc == 0)
            rc = page_column(r, n - 1, &got, &e);
        failed = mem_has_failed();
        mem_fail_at(0);
        ck_assert_int_eq(rc, failed ? ERR_NOMEM : 0);
        if (rc == 0)
            must_equal(&got, &page_columns[n - 1], n - 1);
        page_reader_free(r);
        buf_free(&b);
    }
}
END_TEST

/* Once a reader has seen a page, another of its size costs no memory. */
START_TEST(keeps_its_memory)
{
    struct page_reader *r = page_reader_new();
    struct buf b = BUF_INIT(1 << 24);
    struct sample_columns got;
    struct rng rng;
    size_t n, columns;

    rng_seed(&rng);
    n = make_page(&rng, 50, 50);
    ck_assert_int_eq(page_encode(page_columns, n, &b, NULL), 0);
    for (int round = 0; round < 3; round++) {
        if (round)
            mem_fail_at(1);
        ck_assert_int_eq(page_open(r, buf_view(&b), &columns, NULL), 0);
        for (size_t i = 0; i < n; i++)
            ck_assert_int_eq(page_column(r, i, &got, NULL), 0);
    }
    ck_assert_int_eq(mem_has_failed(), 0);
    mem_fail_at(0);
    page_reader_free(r);
    page_reader_free(NULL);
    buf_free(&b);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("page");
    TCase *tc = tcase_create("page");

    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, keeps_column, 0, COUNT(cases));
    tcase_add_test(tc, keeps_neighbours);
    tcase_add_loop_test(tc, keeps_random, 0, 6);
    tcase_add_loop_test(tc, keeps_kind, 0, COUNT(makers));
    tcase_add_test(tc, keeps_largest);
    tcase_add_loop_test(tc, packs, 0, COUNT(sizes));
    tcase_add_test(tc, refuses_damage);
    tcase_add_test(tc, survives_lack_of_memory);
    tcase_add_test(tc, keeps_its_memory);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)
