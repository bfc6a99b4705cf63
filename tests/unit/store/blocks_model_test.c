/* blocks_model_test.c: random writes, replacements, removals, drops, holds across them, and reopening, against a model
 * that knows of each item where it is. */
#include "tests/unit/store/blocks_fixture.h"

enum { ITEMS = 8000, DAYS = 4, HOLDS = 4, STEPS = 400 };

struct model {
    struct blocks *bs;
    struct rng r;
    uint32_t next;           /* item */
    int8_t day[ITEMS];       /* of an item that is there; -1 */
    struct {
        struct block_list *list;
        struct tally t;      /* when it was held */
    } holds[HOLDS];
};

static char dir[64];

static void setup(void)
{
    blocks_fixture_dir(dir);
}

static void teardown(void)
{
    fixture_remove(dir);
}

static struct tally expected(const struct model *m)
{
    struct tally t = { 0, 0 };

    for (uint32_t i = 0; i < ITEMS; i++)
        if (m->day[i] >= 0)
            tally_add(&t, i);
    return t;
}

static void write_some(struct model *m)
{
    uint32_t items[20], n = 1 + (uint32_t)rng_below(&m->r, 20);
    int64_t day = (int64_t)rng_below(&m->r, DAYS);
    struct err e = ERR_INIT;

    if (m->next + n > ITEMS)
        return;
    for (uint32_t i = 0; i < n; i++) {
        items[i] = m->next++;
        m->day[items[i]] = (int8_t)day;
    }
    ck_assert_msg(block_put(m->bs, day, items, n, NULL, 0, &e) == 0, "%s", e.msg);
}

static void abandon(struct model *m)
{
    struct block_writer *w = block_writer_new(m->bs, (int64_t)rng_below(&m->r, DAYS), NULL);

    ck_assert_ptr_nonnull(w);
    block_writer_abandon(w);
}

/* With what they had, or without. */
static void replace(struct model *m, bool keep)
{
    struct block_list *list = blocks_hold(m->bs);
    size_t n;
    struct block *const *v = pick_blocks(&m->r, list, &n);
    static struct items items;
    struct err e = ERR_INIT;

    items.n = 0;
    for (size_t i = 0; i < n; i++)
        items_of(m->bs, v[i], &items);
    if (n)
        ck_assert_msg(block_put(m->bs, partition_of(v[0]->first), items.v, keep ? items.n : 0, v, n, &e) == 0, "%s",
                      e.msg);
    for (size_t i = 0; !keep && i < items.n; i++)
        m->day[items.v[i]] = -1;
    blocks_release(m->bs, list);
}

static void drop(struct model *m)
{
    int64_t before = (int64_t)rng_below(&m->r, DAYS);
    size_t dropped;

    ck_assert_int_eq(blocks_drop(m->bs, before * PARTITION_MS, &dropped, NULL), 0);
    for (uint32_t i = 0; i < ITEMS; i++)
        if (m->day[i] >= 0 && m->day[i] < before)
            m->day[i] = -1;
}

static void hold_or_release(struct model *m, size_t i)
{
    struct tally t = { 0, 0 };

    if (!m->holds[i].list) {
        m->holds[i].list = blocks_hold(m->bs);
        m->holds[i].t = expected(m);
        return;
    }
    list_read(m->bs, m->holds[i].list, tally_add, &t);
    ck_assert_uint_eq(t.n, m->holds[i].t.n);
    ck_assert_uint_eq(t.sum, m->holds[i].t.sum);
    blocks_release(m->bs, m->holds[i].list);
    m->holds[i].list = NULL;
}

static void reopen(struct model *m)
{
    for (size_t i = 0; i < HOLDS; i++)
        if (m->holds[i].list)
            hold_or_release(m, i);
    blocks_close(m->bs);
    m->bs = blocks_must_open(dir);
}

static void step(struct model *m)
{
    switch (rng_below(&m->r, 16)) {
    case 0:
        replace(m, false);
        break;
    case 1:
    case 2:
        replace(m, true);
        break;
    case 3:
        if (rng_below(&m->r, 8) == 0)
            drop(m);
        break;
    case 4:
    case 5:
        hold_or_release(m, rng_below(&m->r, HOLDS));
        break;
    case 6:
        if (rng_below(&m->r, 4) == 0)
            reopen(m);
        break;
    case 7:
        abandon(m);
        break;
    case 8:
    case 9:
    case 10:
        ck_assert_int_ge(blocks_clean(m->bs, NULL), 0);
        break;
    default:
        write_some(m);
    }
}

START_TEST(random_steps)
{
    static struct model m;
    struct tally t;

    memset(&m, 0, sizeof(m));
    memset(m.day, -1, sizeof(m.day));
    m.next = 1;
    m.r = (struct rng){ { 11, 12, 13, (uint64_t)_i + 1 } };
    m.bs = blocks_must_open(dir);
    for (int i = 0; i < STEPS; i++) {
        step(&m);
        if (i % 20 == 0) {
            t = expected(&m);
            ck_assert_tally(m.bs, t.n, t.sum);
        }
    }
    reopen(&m);
    clean_all(m.bs);
    t = expected(&m);
    ck_assert_tally(m.bs, t.n, t.sum);
    ck_assert_uint_eq(blocks_damaged(m.bs), 0);
    blocks_close(m.bs);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("model of blocks");
    TCase *tc = tcase_create("model");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, random_steps, 0, 3);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)
