#include "proxy/lb.h"

#include "base/mem.h"
#include "proxy/tcp.h"
#include "tests/unit/unit.h"

enum { MOST = 8 };

static const uint32_t idle;

/* A balancer over slots of these weights (up to a 0) and priorities. */
struct world {
    struct arena a;
    struct lb_tables *tables;
    struct lb_slot slots[MOST];
    struct lb lb;
    struct rng rng;
};

static void open_world(struct world *w, enum lb_policy policy, const uint32_t *weights, const uint32_t *priorities)
{
    static const struct str keys[MOST] = { STR_INIT("10.0.0.1:80"), STR_INIT("10.0.0.2:80"), STR_INIT("10.0.0.3:80"),
                                           STR_INIT("10.0.0.4:80"), STR_INIT("10.0.0.5:80"), STR_INIT("10.0.0.6:80"),
                                           STR_INIT("10.0.0.7:80"), STR_INIT("10.0.0.8:80") };
    size_t n = 0;

    *w = (struct world){ .a = ARENA_INIT(1 << 22) };
    for (; n < MOST && weights[n]; n++)
        w->slots[n] = (struct lb_slot){ .weight = weights[n], .priority = priorities ? priorities[n] : 0,
                                        .share_ppm = LB_WHOLE_PPM, .active = &idle };
    rng_seed(&w->rng);
    w->tables = lb_tables_new();
    ck_assert_int_eq(lb_init(&w->lb, &w->a, policy, w->slots, n,
                             &(struct lb_hashing){ w->tables, keys, policy == LB_MAGLEV ? 1009 : 1024 }), 0);
}

static void close_world(struct world *w)
{
    lb_fini(&w->lb);
    lb_tables_free(w->tables);
    arena_free(&w->a);
}

static void count(struct world *w, unsigned n, unsigned *hits)
{
    memset(hits, 0, MOST * sizeof(*hits));
    for (unsigned i = 0; i < n; i++)
        hits[lb_pick(&w->lb, &w->rng, NULL, 0)]++;
}

START_TEST(round_robin_is_smooth)
{
    static const long want[] = { 0, 0, 1, 0, 2, 0, 0 };
    struct world w;

    open_world(&w, LB_ROUND_ROBIN, (const uint32_t[]){ 5, 1, 1, 0 }, NULL);
    for (int round = 0; round < 3; round++)
        for (size_t i = 0; i < COUNT(want); i++)
            ck_assert_int_eq(lb_pick(&w.lb, &w.rng, NULL, 0), want[i]);
    close_world(&w);
}
END_TEST

START_TEST(random_follows_weights)
{
    unsigned hits[MOST];
    struct world w;

    open_world(&w, LB_RANDOM, (const uint32_t[]){ 3, 1, 0 }, NULL);
    count(&w, 10000, hits);
    ck_assert_msg(hits[0] > 7300 && hits[0] < 7700, "%u of 10000 for weight 3 of 4", hits[0]); /* 4 sigma are 173 */
    close_world(&w);
}
END_TEST

START_TEST(least_request_avoids_the_busy)
{
    static const uint32_t busy = 10;
    unsigned hits[MOST];
    struct world w;

    open_world(&w, LB_LEAST_REQUEST, (const uint32_t[]){ 1, 1, 1, 0 }, NULL);
    w.slots[0].active = &busy;
    count(&w, 9000, hits);
    ck_assert_msg(hits[0] < 1400, "the busy host got %u of 9000, a ninth is right", hits[0]);
    ck_assert_msg(hits[1] > 3500 && hits[2] > 3500, "%u, %u", hits[1], hits[2]);
    close_world(&w);
}
END_TEST

START_TEST(avoids_what_was_tried)
{
    static const uint32_t tried[] = { 0 };
    unsigned again = 0;
    struct world w;

    for (int policy = LB_LEAST_REQUEST; policy <= LB_RANDOM; policy++) {
        open_world(&w, (enum lb_policy)policy, (const uint32_t[]){ 1, 1, 0 }, NULL);
        for (int i = 0; i < 1000; i++)
            again += lb_pick(&w.lb, &w.rng, tried, 1) == 0;
        close_world(&w);
    }
    ck_assert_msg(again < 160, "%u of 3000, five picks leave one in 32", again);
    open_world(&w, LB_RANDOM, (const uint32_t[]){ 1, 0 }, NULL);
    ck_assert_int_eq(lb_pick(&w.lb, &w.rng, tried, 1), 0);
    close_world(&w);
    open_world(&w, LB_RANDOM, (const uint32_t[]){ 0 }, NULL);
    ck_assert_int_eq(lb_pick(&w.lb, &w.rng, NULL, 0), -1);
    ck_assert_int_eq(lb_pick_hash(&w.lb, 1, NULL, 0), -1);
    close_world(&w);
}
END_TEST

/* Two hosts near, one farther, one far: tries 1 and 2 stay near, 3 and 4 go farther, 5 goes far, and then anywhere. */
START_TEST(leaves_priorities_behind)
{
    static const uint32_t tried[] = { 0, 1, 2, 2, 3, 3 };
    static const long from[] = { 0, 0, 2, 2, 3, 3, 0 }, to[] = { 1, 1, 2, 2, 3, 3, 1 };
    struct world w;

    for (int policy = LB_LEAST_REQUEST; policy <= LB_RANDOM; policy++) {
        open_world(&w, (enum lb_policy)policy, (const uint32_t[]){ 1, 1, 1, 1, 0 }, (const uint32_t[]){ 0, 0, 1, 2 });
        for (size_t n = 0; n <= COUNT(tried); n++)
            for (int i = 0; i < 20; i++) {
                long pick = lb_pick_elsewhere(&w.lb, &w.rng, tried, n);

                ck_assert_msg(pick >= from[n] && pick <= to[n], "after %zu tries: %ld", n, pick);
            }
        close_world(&w);
    }
    open_world(&w, LB_RANDOM, (const uint32_t[]){ 1, 1, 0 }, NULL);
    ck_assert_int_ge(lb_pick_elsewhere(&w.lb, &w.rng, tried, 2), 0);
    close_world(&w);
}
END_TEST

/* Which share each level gets, by which of its hosts are ejected ('x'). Three levels of 2, 2 and 1 hosts. */
static const struct {
    const char *hosts;
    uint32_t least_health, percent[3], usable[3];
} levels[] = {
    { "....."  , 0,  { 100, 0, 0 },  { 2, 2, 1 } },
    { "x...."  , 0,  { 70, 30, 0 },  { 1, 2, 1 } },
    { "xx..."  , 0,  { 0, 100, 0 },  { 0, 2, 1 } },
    { "xxx.."  , 0,  { 0, 70, 30 },  { 0, 1, 1 } },
    { "x.xx."  , 0,  { 70, 0, 30 },  { 1, 0, 1 } },
    { "xxxx."  , 0,  { 0, 0, 100 },  { 0, 0, 1 } },
    { "xxx.x"  , 0,  { 0, 100, 0 },  { 0, 1, 0 } },  /* 70 is all there is: it gets everything */
    { "xxxxx"  , 0,  { 40, 40, 20 }, { 0, 0, 0 } },  /* and no host answers for its share */
    { "xxxxx"  , 50, { 40, 40, 20 }, { 2, 2, 1 } },  /* panic: all do */
    { "xxx.x"  , 60, { 0, 100, 0 },  { 2, 2, 1 } },
    { "x...."  , 60, { 70, 30, 0 },  { 1, 2, 1 } },  /* together they can: no panic */
};

START_TEST(priorities_share_by_health)
{
    struct world w;

    open_world(&w, LB_RANDOM, (const uint32_t[]){ 1, 1, 1, 1, 1, 0 }, (const uint32_t[]){ 0, 0, 1, 1, 2 });
    for (size_t i = 0; i < 5; i++)
        w.slots[i].ejected = levels[_i].hosts[i] == 'x';
    lb_update(&w.lb, levels[_i].least_health);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_msg(w.lb.levels[i].percent == levels[_i].percent[i], "%s: level %zu has %u %%", levels[_i].hosts, i,
                      w.lb.levels[i].percent);
        ck_assert_msg(w.lb.levels[i].nusable == levels[_i].usable[i], "%s: level %zu has %u hosts", levels[_i].hosts,
                      i, w.lb.levels[i].nusable);
    }
    close_world(&w);
}
END_TEST

START_TEST(ejected_hosts_get_nothing)
{
    unsigned hits[MOST];
    struct world w;

    for (int policy = LB_LEAST_REQUEST; policy <= LB_RANDOM; policy++) {
        open_world(&w, (enum lb_policy)policy, (const uint32_t[]){ 1, 2, 3, 0 }, NULL);
        w.slots[1].ejected = true;
        lb_update(&w.lb, 0);
        count(&w, 400, hits);
        ck_assert_msg(hits[1] == 0 && hits[0] > 0 && hits[2] > hits[0], "%u, %u, %u", hits[0], hits[1], hits[2]);
        w.slots[0].ejected = w.slots[2].ejected = true;
        lb_update(&w.lb, 0);
        ck_assert_int_eq(lb_pick(&w.lb, &w.rng, NULL, 0), -1);
        w.slots[1].ejected = false;
        lb_update(&w.lb, 0);
        ck_assert_int_eq(lb_pick(&w.lb, &w.rng, NULL, 0), 1);
        close_world(&w);
    }
}
END_TEST

static long hashed(const struct world *w, uint64_t key)
{
    return lb_pick_hash(&w->lb, lb_hash_text((struct str){ (const char *)&key, sizeof(key) }), NULL, 0);
}

/* Of consistent hashing: only what the ejected host had moves, and it moves back. */
START_TEST(hashing_passes_over_the_ejected)
{
    unsigned moved = 0;
    long before[500];
    struct world w;

    open_world(&w, _i ? LB_MAGLEV : LB_RING_HASH, (const uint32_t[]){ 1, 1, 1, 0 }, NULL);
    for (uint64_t i = 0; i < COUNT(before); i++)
        before[i] = hashed(&w, i);
    w.slots[1].ejected = true;
    lb_update(&w.lb, 0);
    for (uint64_t i = 0; i < COUNT(before); i++) {
        long now = hashed(&w, i);

        ck_assert_int_ne(now, 1);
        ck_assert(before[i] == 1 || now == before[i]);
        moved += now != before[i];
    }
    ck_assert_msg(moved > 80 && moved < 280, "%u of 500 moved, a third had been there", moved);
    w.slots[1].ejected = false;
    lb_update(&w.lb, 0);
    for (uint64_t i = 0; i < COUNT(before); i++)
        ck_assert_int_eq(hashed(&w, i), before[i]);
    close_world(&w);
}
END_TEST

static const struct {
    int64_t age_ms;
    double aggression;
    uint32_t ppm;
} warmups[] = {
    { 0, 1, 100000 },    { 1000, 1, 100000 }, { 5000, 1, 500000 }, { 9999, 1, 999900 },
    { 10000, 1, 1000000 }, { 99999, 1, 1000000 }, { 2500, 2, 500000 }, { -5, 1, 100000 },
};

START_TEST(warm_up_grows)
{
    struct cluster c = { .warmup_ms = 10000, .warmup_percent = 10, .warmup_aggression = warmups[_i].aggression };

    ck_assert_uint_eq(lb_warmup_ppm(&c, warmups[_i].age_ms), warmups[_i].ppm);
    c.warmup_ms = 0;
    ck_assert_uint_eq(lb_warmup_ppm(&c, warmups[_i].age_ms), LB_WHOLE_PPM);
}
END_TEST

START_TEST(a_warming_host_gets_its_part)
{
    unsigned hits[MOST];
    struct world w;

    open_world(&w, LB_RANDOM, (const uint32_t[]){ 1, 1, 0 }, NULL);
    w.slots[0].share_ppm = 250000;
    lb_update(&w.lb, 0);
    count(&w, 10000, hits);
    ck_assert_msg(hits[0] > 1800 && hits[0] < 2200, "%u of 10000, a fifth is right", hits[0]); /* 4 sigma are 160 */
    close_world(&w);
}
END_TEST

static const struct {
    const char *first;
    enum tcp_guess want;
} guesses[] = {
    { "GET / HTTP/1.1\r\n", TCP_GUESS_HTTP },  { "GE", TCP_GUESS_MORE },          { "GET /x", TCP_GUESS_MORE },
    { "GET key\r\n", TCP_GUESS_TCP },          { "GET /key\r\n", TCP_GUESS_TCP }, { "PING\r\n", TCP_GUESS_TCP },
    { "*1\r\n$4\r\nPING\r\n", TCP_GUESS_TCP }, { "\x16\x03\x01", TCP_GUESS_TCP }, { "OPTIONS * HTTP/1.1\r\n", TCP_GUESS_HTTP },
    { "GETX / HTTP/1.1\r\n", TCP_GUESS_TCP },  { "get / HTTP/1.1", TCP_GUESS_TCP }, { "P", TCP_GUESS_MORE },
};

START_TEST(guesses_protocols)
{
    ck_assert_msg(tcp_guess(str_of(guesses[_i].first)) == guesses[_i].want, "%s", guesses[_i].first);
}
END_TEST

/* What is made of the same is the same, for as long as somebody has it. */
START_TEST(tables_are_shared)
{
    static const struct str keys[] = { STR_INIT("a:1"), STR_INIT("b:1"), STR_INIT("c:1") };
    static const struct str others[] = { STR_INIT("a:"), STR_INIT("1b:1"), STR_INIT("c:1") };
    static const uint32_t weights[] = { 1, 2, 3 }, equal[] = { 1, 1, 1 };
    struct lb_tables *all = lb_tables_new();
    const struct lb_table *t = lb_tables_get(all, LB_MAGLEV, 101, keys, weights, 3), *different[5];

    ck_assert_ptr_eq(lb_tables_get(all, LB_MAGLEV, 101, keys, weights, 3), t);
    different[0] = lb_tables_get(all, LB_RING_HASH, 101, keys, weights, 3);
    different[1] = lb_tables_get(all, LB_MAGLEV, 103, keys, weights, 3);
    different[2] = lb_tables_get(all, LB_MAGLEV, 101, others, weights, 3);
    different[3] = lb_tables_get(all, LB_MAGLEV, 101, keys, equal, 3);
    different[4] = lb_tables_get(all, LB_MAGLEV, 101, keys, weights, 2);
    for (size_t i = 0; i < COUNT(different); i++) {
        ck_assert_ptr_ne(different[i], t);
        lb_tables_put(all, different[i]);
    }
    lb_tables_put(all, t);
    ck_assert_uint_eq(t->n, 101); /* it is there: the other reference holds it */
    lb_tables_put(all, t);
    lb_tables_free(all);
}
END_TEST

START_TEST(tables_without_memory)
{
    static const struct str keys[] = { STR_INIT("a:1"), STR_INIT("b:1") };
    static const uint32_t weights[] = { 1, 1 };
    struct lb_tables *all = lb_tables_new();
    const struct lb_table *t = NULL;

    for (long n = 1; !t; n++) {
        mem_fail_at(n);
        t = lb_tables_get(all, LB_RING_HASH, 64, keys, weights, 2);
        ck_assert(t || mem_has_failed());
        mem_fail_at(0);
    }
    lb_tables_put(all, t);
    lb_tables_free(all);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("lb");
    TCase *t = tcase_create("lb");

    tcase_add_test(t, round_robin_is_smooth);
    tcase_add_test(t, random_follows_weights);
    tcase_add_test(t, least_request_avoids_the_busy);
    tcase_add_test(t, avoids_what_was_tried);
    tcase_add_test(t, leaves_priorities_behind);
    tcase_add_loop_test(t, priorities_share_by_health, 0, COUNT(levels));
    tcase_add_test(t, ejected_hosts_get_nothing);
    tcase_add_loop_test(t, hashing_passes_over_the_ejected, 0, 2);
    tcase_add_loop_test(t, warm_up_grows, 0, COUNT(warmups));
    tcase_add_test(t, a_warming_host_gets_its_part);
    tcase_add_loop_test(t, guesses_protocols, 0, COUNT(guesses));
    tcase_add_test(t, tables_are_shared);
    tcase_add_test(t, tables_without_memory);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
