#include "base/err.h"
#include "base/mem.h"
#include "base/rand.h"
#include "collector/scrape_bound-internal.h"
#include "collector/scrape_page-internal.h"
#include "tests/unit/collector/dump.h"
#include "tests/unit/unit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A target without a network: pages in, rows out as text. */
struct scene {
    struct arena arena;
    struct scrape_config *config;
    struct scrape_cache cache;
    struct scrape_metadata metadata;
    struct page_rows rows;
    struct page_counts counts;
    struct buf text;
    struct err e;
};

static const struct label target_labels[] = { { STR_INIT("instance"), STR_INIT("i") }, { STR_INIT("job"), STR_INIT("j") } };

static void scene_init(struct scene *s, const char *job)
{
    const struct yaml_node *root;
    char text[1000];

    memset(s, 0, sizeof(*s));
    s->text.max = 1 << 20;
    snprintf(text, sizeof(text), "scrape_configs: [{job_name: j%s%s}]", job[0] ? ", " : "", job);
    ck_assert_int_eq(yaml_read_one(&s->arena, "f", str_of(text), &root, &s->e), 0);
    s->config = scrape_config_read("f", root, &s->e);
    ck_assert_msg(s->config != NULL, "%s", s->e.msg);
    cache_init(&s->cache);
    metadata_init(&s->metadata);
}

static void scene_fini(struct scene *s)
{
    scrape_config_free(s->config);
    cache_fini(&s->cache);
    metadata_fini(&s->metadata);
    rows_free(&s->rows);
    buf_free(&s->text);
    arena_free(&s->arena);
}

static int add_stale(void *arg, struct scrape_series *series)
{
    static const uint64_t bits = SAMPLE_STALE_BITS;
    struct scene *s = arg;
    double v;

    memcpy(&v, &bits, sizeof(v));
    return rows_add(&s->rows, series->labels, &series->id, 0, v);
}

static int read_page(struct scene *s, const char *page)
{
    const struct page_reader r = { s->config->jobs, { target_labels, 2 }, &s->cache, &s->metadata, &s->rows };
    int rc;

    s->rows.n = 0;
    memset(&s->counts, 0, sizeof(s->counts));
    cache_begin(&s->cache);
    rc = page_read(&r, EXPOSITION_TEXT, str_of(page), 1000, &s->counts, &s->e);
    if (rc < 0)
        s->rows.n = 0;
    ck_assert_int_eq(cache_end(&s->cache, rc == 0, add_stale, s), 0);
    return rc;
}

/* The page's rows, or the error. */
static const char *page(struct scene *s, const char *text)
{
    buf_reset(&s->text);
    if (read_page(s, text) < 0)
        buf_printf(&s->text, "! %s\n", s->e.msg);
    rows_finish(&s->rows);
    for (size_t i = 0; i < s->rows.n; i++)
        dump_series(&s->text, &s->rows.series[i]);
    return buf_cstr(&s->text);
}

#define L(rest) rest ", instance=\"i\", job=\"j\"}"

static const struct {
    const char *job, *in, *out;
} pages[] = {
    { "", "a 1\n", L("{__name__=\"a\"") " 1000 1\n" },
    { "", "a 1 5\n", L("{__name__=\"a\"") " 5 1\n" },
    { "honor_timestamps: false", "a 1 5\n", L("{__name__=\"a\"") " 1000 1\n" },
    { "", "a{b=\"\",c=\"d\"} 1\n", "{__name__=\"a\", c=\"d\", instance=\"i\", job=\"j\"} 1000 1\n" },
    { "", "a{job=\"x\"} 1\n", "{__name__=\"a\", exported_job=\"x\", instance=\"i\", job=\"j\"} 1000 1\n" },
    { "", "a{job=\"x\",exported_job=\"y\"} 1\n",
      "{__name__=\"a\", exported_exported_job=\"x\", exported_job=\"y\", instance=\"i\", job=\"j\"} 1000 1\n" },
    { "honor_labels: true", "a{job=\"x\"} 1\n", "{__name__=\"a\", instance=\"i\", job=\"x\"} 1000 1\n" },
    { "", "a 1\na 2\n", L("{__name__=\"a\"") " 1000 1\n" },
    { "", "a 1 5\na 2 6\n", L("{__name__=\"a\"") " 5 1\n" L("{__name__=\"a\"") " 6 2\n" },
    { "metric_relabel_configs: [{source_labels: [__name__], regex: b, action: drop}]", "a 1\nb 2\n",
      L("{__name__=\"a\"") " 1000 1\n" },
    { "", "# TYPE h histogram\nh_bucket{le=\"5\"} 1\n", "{__name__=\"h_bucket\", instance=\"i\", job=\"j\", le=\"5.0\"} 1000 1\n" },
    { "", "a{b=\"1\",b=\"2\"} 1\n", "! line 1: label \"b\" stands twice\n" },
    { "", "a 1\nb\n", "! line 2: after the series should be its value, a number, got \"\"\n" },
    { "", "a 1\n9 b\n", "! line 2: after the series should be its value, a number, got \"b\"\n" },
    { "sample_limit: 1", "a 1\nb 1\n", "! sample limit exceeded\n" },
    { "sample_limit: 1", "a 1\n", L("{__name__=\"a\"") " 1000 1\n" },
    { "label_limit: 2", "a 1\n", "! label_limit exceeded (metric: a, number of labels: 3, limit: 2)\n" },
    { "metric_relabel_configs: [{target_label: __name__, replacement: ''}]", "a 1\n",
      "! missing metric name (__name__ label)\n" },
};

START_TEST(makes_rows)
{
    struct scene s;

    scene_init(&s, pages[_i].job);
    ck_assert_str_eq(page(&s, pages[_i].in), pages[_i].out);
    ck_assert_str_eq(page(&s, pages[_i].in), pages[_i].out); /* and from the cache the same */
    scene_fini(&s);
}
END_TEST

START_TEST(counts_lines)
{
    struct scene s;

    scene_init(&s, "metric_relabel_configs: [{source_labels: [__name__], regex: b, action: drop}]");
    page(&s, "a 1\nb 1\na{x=\"y\"} 1\na 2\n");
    ck_assert_uint_eq(s.counts.scraped, 4);
    ck_assert_uint_eq(s.counts.kept, 3);
    ck_assert_uint_eq(s.counts.added, 2);
    ck_assert_uint_eq(s.counts.doubles, 1);
    page(&s, "a 1\nb 1\nc 1\n");
    ck_assert_uint_eq(s.counts.scraped, 3);
    ck_assert_uint_eq(s.counts.added, 1);
    scene_fini(&s);
}
END_TEST

START_TEST(marks_what_is_gone)
{
    struct scene s;

    scene_init(&s, "");
    page(&s, "a 1\nb 2\n");
    ck_assert_str_eq(page(&s, "b 2\n"), L("{__name__=\"b\"") " 1000 2\n" L("{__name__=\"a\"") " 0 stale\n");
    ck_assert_str_eq(page(&s, "b 2\n"), L("{__name__=\"b\"") " 1000 2\n");
    ck_assert_ptr_nonnull(strstr(page(&s, "b 2\nb x\n"), L("{__name__=\"b\"") " 0 stale\n"));
    ck_assert_str_eq(page(&s, ""), "");
    ck_assert_str_eq(page(&s, "b 3 7\n"), L("{__name__=\"b\"") " 7 3\n");
    ck_assert_str_eq(page(&s, ""), ""); /* who tells times of its own tells its end by them */
    /* Another way to write the same series is no end of it. */
    page(&s, "c{x=\"1\",y=\"2\"} 1\n");
    ck_assert_str_eq(page(&s, "c{y=\"2\",x=\"1\"} 2\n"),
                     "{__name__=\"c\", instance=\"i\", job=\"j\", x=\"1\", y=\"2\"} 1000 2\n");
    scene_fini(&s);
}
END_TEST

START_TEST(undoes_what_was_not_stored)
{
    struct scene s;

    scene_init(&s, "");
    page(&s, "a 1\nb 2\n");
    page(&s, "b 2\nc 3\n"); /* a is stale, but nobody hears of it */
    cache_undo(&s.cache);
    ck_assert_ptr_nonnull(strstr(page(&s, "b 2\n"), L("{__name__=\"a\"") " 0 stale\n"));
    ck_assert_ptr_null(strstr(s.text.p, "\"c\""));
    page(&s, "broken\n");
    cache_undo(&s.cache);
    ck_assert_str_eq(page(&s, ""), L("{__name__=\"b\"") " 0 stale\n");
    scene_fini(&s);
}
END_TEST

/* Against a plain list: random pages, some broken, some not stored; exactly what was alive and is gone is marked. */
START_TEST(follows_a_naive_reference)
{
    enum { NAMES = 3000 };
    bool *alive = calloc(NAMES, sizeof(bool)), *there = calloc(NAMES, sizeof(bool));
    struct rng r = { { 5, 6, 7, 8 } };
    struct scene s;

    scene_init(&s, "");
    for (int round = 0; round < 60; round++) {
        bool broken = rng_below(&r, 6) == 0, lost = rng_below(&r, 6) == 0;
        uint64_t share = rng_below(&r, 5);
        struct buf b = BUF_INIT(1 << 20);
        size_t stale = 0, want = 0, n = 0;

        for (size_t i = 0; i < NAMES; i++) {
            there[i] = rng_below(&r, 5) < share;
            n += there[i];
            want += alive[i] && (broken || !there[i]);
            if (there[i])
                buf_printf(&b, "m%zu{a=\"%zu\"} %zu\n", i, i, i);
        }
        buf_puts(&b, broken ? "broken\n" : "");
        ck_assert_int_eq(read_page(&s, buf_cstr(&b)), broken ? ERR_PARSE : 0);
        for (size_t i = 0; i < s.rows.n; i++)
            stale += isnan(s.rows.samples[i].v) != 0;
        ck_assert_uint_eq(stale, want);
        ck_assert_uint_eq(s.rows.n - stale, broken ? 0 : n);
        if (lost)
            cache_undo(&s.cache);
        for (size_t i = 0; i < NAMES && !lost; i++)
            alive[i] = there[i] && !broken;
        if (!lost)
            cache_trim(&s.cache);
        if (rng_below(&r, 10) == 0)
            cache_forget_entries(&s.cache);
        buf_free(&b);
    }
    scene_fini(&s);
    free(alive);
    free(there);
}
END_TEST

START_TEST(forgets_what_does_not_come_back)
{
    struct scene s;
    struct buf b = BUF_INIT(1 << 20);

    scene_init(&s, "");
    for (int round = 0; round < 40; round++) {
        buf_reset(&b);
        buf_puts(&b, "always 1\n");
        for (int i = 0; i < 500; i++)
            buf_printf(&b, "# TYPE r%d_%d gauge\nr%d_%d 1\n", round, i, round, i);
        ck_assert_int_eq(read_page(&s, buf_cstr(&b)), 0);
        cache_trim(&s.cache);
        metadata_stored(&s.metadata, true);
        metadata_trim(&s.metadata, s.cache.page);
        ck_assert_uint_le(s.cache.n, 2000);
        ck_assert_uint_le(s.cache.nseries, 2500);
        ck_assert_uint_le(s.metadata.map.n, 2000);
    }
    buf_free(&b);
    scene_fini(&s);
}
END_TEST

START_TEST(tells_metadata_once)
{
    struct scene s;
    struct arena a = ARENA_INIT(0);
    struct batch b;

    scene_init(&s, "");
    page(&s, "# HELP a one\\ntwo\n# TYPE a counter\na 1\n");
    batch_init(&b, &a);
    ck_assert_int_eq(metadata_add(&s.metadata, &b), 0);
    ck_assert_uint_eq(b.nmetadata, 1);
    ck_assert(str_eqz(b.metadata[0].help, "one\ntwo") && str_eqz(b.metadata[0].type, "counter"));
    metadata_stored(&s.metadata, false);
    batch_init(&b, &a);
    ck_assert_int_eq(metadata_add(&s.metadata, &b), 0);
    ck_assert_uint_eq(b.nmetadata, 1);
    metadata_stored(&s.metadata, true);
    page(&s, "# HELP a one\\ntwo\n# TYPE a counter\na 1\n");
    batch_init(&b, &a);
    ck_assert_int_eq(metadata_add(&s.metadata, &b), 0);
    ck_assert_uint_eq(b.nmetadata, 0);
    page(&s, "# TYPE a gauge\n");
    ck_assert_int_eq(metadata_add(&s.metadata, &b), 0);
    ck_assert_uint_eq(b.nmetadata, 1);
    ck_assert(str_eqz(b.metadata[0].help, "one\ntwo") && str_eqz(b.metadata[0].type, "gauge"));
    arena_free(&a);
    scene_fini(&s);
}
END_TEST

static const struct {
    const char *in, *out;
} bounds[] = {
    { "1", "1.0" }, { "1.0", "1.0" }, { "0.5", "0.5" }, { "+Inf", "+Inf" }, { "inf", "+Inf" }, { "1e3", "1000.0" },
    { "100000", "100000.0" }, { "1000000", "1e+06" }, { "3600000", "3.6e+06" }, { "0.0001", "0.0001" },
    { "0.00001", "1e-05" }, { "-2", "-2.0" }, { "-2.5", "-2.5" }, { "0", "0.0" }, { "0.1", "0.1" }, { "123.456", "123.456" },
    { "x", "x" }, { "12345.678", "12345.678" },
};

START_TEST(gives_bounds_one_form)
{
    struct arena a = ARENA_INIT(0);
    struct label_builder b = LABEL_BUILDER_INIT(&a);
    struct str got;

    ck_assert_int_eq(label_builder_set(&b, STR("le"), str_of(bounds[_i].in)), 0);
    ck_assert_int_eq(bound_normalise(&b, STR("gauge")), 0);
    ck_assert(str_eqz(label_builder_get(&b, STR("le")), bounds[_i].in));
    ck_assert_int_eq(bound_normalise(&b, STR("histogram")), 0);
    got = label_builder_get(&b, STR("le"));
    ck_assert_msg(str_eqz(got, bounds[_i].out), "%s: %.*s", bounds[_i].in, STR_ARG(got));
    arena_free(&a);
}
END_TEST

START_TEST(survives_failing_allocations)
{
    for (long i = 1;; i++) {
        struct scene s;
        int rc, failed;

        scene_init(&s, "metric_relabel_configs: [{target_label: x, source_labels: [a, b]}]");
        mem_fail_at(i);
        rc = read_page(&s, "# TYPE a counter\n# HELP a b\na{job=\"x\",b=\"\\n\"} 1\nb 2\nc 3\n");
        failed = mem_has_failed();
        mem_fail_at(0);
        ck_assert_int_eq(rc, failed ? ERR_NOMEM : 0);
        if (failed) { /* and the next page is as if nothing had been */
            ck_assert_int_eq(read_page(&s, "a{job=\"x\",b=\"\\n\"} 1\nb 2\nc 3\n"), 0);
            ck_assert_uint_eq(s.rows.n, 3);
        }
        scene_fini(&s);
        if (!failed)
            break;
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("collector/scrape_page");
    TCase *t = tcase_create("page");

    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, makes_rows, 0, COUNT(pages));
    tcase_add_test(t, counts_lines);
    tcase_add_test(t, marks_what_is_gone);
    tcase_add_test(t, undoes_what_was_not_stored);
    tcase_add_test(t, follows_a_naive_reference);
    tcase_add_test(t, forgets_what_does_not_come_back);
    tcase_add_test(t, tells_metadata_once);
    tcase_add_loop_test(t, gives_bounds_one_form, 0, COUNT(bounds));
    tcase_add_test(t, survives_failing_allocations);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
