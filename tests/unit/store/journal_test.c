#include "store/journal-internal.h"
#include "tests/unit/unit.h"

#include <math.h>

struct seen {
    uint32_t ids[8];
    struct sample s[16];
    size_t nids, n;
};

static int see_samples(void *arg, uint32_t id, const struct sample *s, size_t n, struct err *e)
{
    struct seen *x = arg;

    (void)e;
    x->ids[x->nids++] = id;
    memcpy(x->s + x->n, s, n * sizeof(*s));
    x->n += n;
    return 0;
}

static const struct sample samples[] = {
    { 1000, 1 },      { 1000, -0.0 }, { INT64_MIN, 0x1p53 }, { INT64_MAX, -0x1p53 },
    { 0, 0.25 },      { -7, NAN },    { 1700000000000, 1e18 }, { 5, -3 },
};

static void write_samples(struct buf *b)
{
    struct journal_writer w;

    journal_begin(&w, b);
    journal_series(&w, 7, 3);
    journal_samples(&w, samples, 1);
    journal_samples(&w, samples + 1, 2);
    journal_series(&w, 3, 4);
    journal_samples(&w, samples + 3, 4);
    journal_series(&w, UINT32_MAX, 1);
    journal_samples(&w, samples + 7, 1);
    journal_end(&w);
    ck_assert(!buf_failed(b));
}

START_TEST(keeps_samples)
{
    struct buf b = BUF_INIT(1 << 16);
    struct seen x = { 0 };

    write_samples(&b);
    ck_assert_int_eq(journal_read(buf_view(&b), see_samples, &x, NULL), 0);
    ck_assert_uint_eq(x.nids, 3);
    ck_assert_uint_eq(x.ids[0], 7);
    ck_assert_uint_eq(x.ids[1], 3);
    ck_assert_uint_eq(x.ids[2], UINT32_MAX);
    ck_assert_uint_eq(x.n, COUNT(samples));
    ck_assert_mem_eq(x.s, samples, sizeof(samples));
    buf_free(&b);
}
END_TEST

START_TEST(refuses_damage)
{
    struct buf b = BUF_INIT(1 << 16);
    struct err e = ERR_INIT;

    write_samples(&b);
    for (size_t i = 0; i < b.n; i++) {
        struct seen x = { 0 };
    
        ck_assert_int_eq(journal_read((struct str){ b.p, i }, see_samples, &x, &e), ERR_CORRUPT);
        b.p[i] ^= 1;
        ck_assert_int_eq(journal_read(buf_view(&b), see_samples, &x, &e), ERR_CORRUPT);
        b.p[i] ^= 1;
    }
    buf_free(&b);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("journal");
    TCase *tc = tcase_create("journal");

    tcase_add_test(tc, keeps_samples);
    tcase_add_test(tc, refuses_damage);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)
