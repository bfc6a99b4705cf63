#include "base/err.h"
#include "base/mem.h"
#include "base/rand.h"
#include "store/head-internal.h"
#include "tests/unit/unit.h"

#include <string.h>

struct fixture {
    struct epoch ep;
    struct head h;
};

static void open_head(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    ck_assert_int_eq(epoch_init(&f->ep), 0);
}

static void close_head(struct fixture *f)
{
    head_discard(&f->h);
    mem_free(f->h.block);
    epoch_fini(&f->ep);
}

static void expect(const struct head *h, const struct sample *want, size_t n)
{
    ck_assert_uint_eq(h->n, n);
    for (size_t i = 0; i < n; i++) {
        ck_assert_int_eq(h->block->t[i], want[i].t);
        ck_assert_double_eq(h->block->v[i], want[i].v);
    }
}

START_TEST(sorts_and_lets_the_last_win)
{
    const struct sample in[] = { { 10, 1 }, { 30, 3 }, { 20, 2 }, { 10, 9 }, { -5, 0 },
                                { 30, 4 }, { 40, 5 }, { 10, 8 } };
    const struct sample want[] = { { -5, 0 }, { 10, 8 }, { 20, 2 }, { 30, 4 }, { 40, 5 } };
    struct fixture f;

    open_head(&f);
    ck_assert_int_eq(head_stage(&f.h, &f.ep, in, COUNT(in)), 0);
    ck_assert_uint_eq(f.h.n, 0); /* not seen before it is published */
    head_publish(&f.h, &f.ep);
    expect(&f.h, want, COUNT(want));
    close_head(&f);
}
END_TEST

START_TEST(takes_back_what_is_not_committed)
{
    const struct sample first[] = { { 10, 1 }, { 20, 2 } }, more[] = { { 30, 3 }, { 5, 0 }, { 10, 7 } };
    struct fixture f;

    open_head(&f);
    ck_assert_int_eq(head_stage(&f.h, &f.ep, first, 2), 0);
    head_publish(&f.h, &f.ep);
    ck_assert_int_eq(head_stage(&f.h, &f.ep, more, _i), 0); /* one: in place; three: in a copy */
    head_discard(&f.h);
    expect(&f.h, first, 2);
    ck_assert_int_eq(head_stage(&f.h, &f.ep, more, 1), 0);
    head_publish(&f.h, &f.ep);
    ck_assert_uint_eq(f.h.n, 3);
    close_head(&f);
}
END_TEST

/* A reader's slice stays as it was, whatever the committer does. */
START_TEST(readers_keep_what_they_saw)
{
    const struct sample first[] = { { 10, 1 }, { 20, 2 } }, late[] = { { 5, 0 }, { 10, 7 } };
    struct epoch_reader reader;
    const struct head_block *seen;
    struct fixture f;

    open_head(&f);
    ck_assert_int_eq(head_stage(&f.h, &f.ep, first, 2), 0);
    head_publish(&f.h, &f.ep);
    epoch_enter(&f.ep, &reader);
    seen = f.h.block;
    ck_assert_int_eq(head_stage(&f.h, &f.ep, late, 2), 0);
    head_publish(&f.h, &f.ep);
    head_stage_empty(&f.h);
    head_publish(&f.h, &f.ep);
    epoch_collect(&f.ep);
    ck_assert_int_eq(seen->t[0], 10);
    ck_assert_double_eq(seen->v[0], 1);
    ck_assert_ptr_nonnull(f.ep.first);
    epoch_leave(&f.ep, &reader);
    epoch_collect(&f.ep);
    ck_assert_ptr_null(f.ep.first);
    close_head(&f);
}
END_TEST

static const struct {
    int64_t from, to;
    size_t n;
    struct sample want[4];
} deletions[] = {
    { 0, 9, 4, { { 10, 1 }, { 20, 2 }, { 30, 3 }, { 40, 4 } } },
    { 10, 10, 3, { { 20, 2 }, { 30, 3 }, { 40, 4 } } },
    { 11, 39, 2, { { 10, 1 }, { 40, 4 } } },
    { 25, 1000, 2, { { 10, 1 }, { 20, 2 } } },
    { INT64_MIN, INT64_MAX, 0, { { 0, 0 } } },
};

START_TEST(deletes_ranges)
{
    const struct sample in[] = { { 10, 1 }, { 20, 2 }, { 30, 3 }, { 40, 4 } };
    struct fixture f;

    open_head(&f);
    ck_assert_int_eq(head_stage_deletion(&f.h, &f.ep, 0, 100), 0); /* of an empty head */
    ck_assert_int_eq(head_stage(&f.h, &f.ep, in, COUNT(in)), 0);
    head_publish(&f.h, &f.ep);
    ck_assert_int_eq(head_stage_deletion(&f.h, &f.ep, deletions[_i].from, deletions[_i].to), 0);
    head_publish(&f.h, &f.ep);
    expect(&f.h, deletions[_i].want, deletions[_i].n);
    close_head(&f);
}
END_TEST

/* Against an array by time. */
START_TEST(agrees_with_a_plain_table)
{
    enum { TIMES = 300 };
    double table[TIMES];
    bool there[TIMES] = { false };
    struct fixture f;
    struct rng r;
    size_t n = 0;

    rng_seed(&r);
    open_head(&f);
    for (int round = 0; round < 400; round++) {
        struct sample in[8];
        size_t count = 1 + rng_below(&r, 8);
        bool keep = rng_below(&r, 4) != 0;

        for (size_t i = 0; i < count; i++) {
            in[i] = (struct sample){ (int64_t)rng_below(&r, TIMES), (double)rng_below(&r, 1000) };
            if (keep) {
                table[in[i].t] = in[i].v;
                there[in[i].t] = true;
            }
        }
        ck_assert_int_eq(head_stage(&f.h, &f.ep, in, count), 0);
        if (keep)
            head_publish(&f.h, &f.ep);
        else
            head_discard(&f.h);
    }
    for (int t = 0; t < TIMES; t++) {
        if (!there[t])
            continue;
        ck_assert_int_eq(f.h.block->t[n], t);
        ck_assert_double_eq(f.h.block->v[n], table[t]);
        n++;
    }
    ck_assert_uint_eq(f.h.n, n);
    close_head(&f);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("head");
    TCase *tc = tcase_create("head");

    tcase_add_test(tc, sorts_and_lets_the_last_win);
    tcase_add_loop_test(tc, takes_back_what_is_not_committed, 1, 4);
    tcase_add_test(tc, readers_keep_what_they_saw);
    tcase_add_loop_test(tc, deletes_ranges, 0, COUNT(deletions));
    tcase_add_test(tc, agrees_with_a_plain_table);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)
