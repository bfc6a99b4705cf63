#include "base/mem.h"
#include "collector/remote_write.h"
#include "tests/unit/collector/dump.h"
#include "tests/unit/collector/write_request.h"
#include "tests/unit/unit.h"

#include <stdio.h>

/* Requests are written as text: a word for each field, in the order of the wire.
 *   series …      begins a TimeSeries          name=value   a label        5@1000  a sample
 *   exemplar:ID   with the label trace_id; two of them when ID is "twice"      histogram, unknown: such fields
 *   meta:TYPE:NAME  metadata */
static void put_word(struct buf *out, struct str word, size_t *series)
{
    ptrdiff_t at = str_chr(word, '@'), equals = str_chr(word, '=');

    if (str_eqz(word, "series")) {
        if (*series)
            pb_close(out, *series);
        *series = pb_open(out, 1);
    } else if (str_starts(word, STR("exemplar:"))) {
        const struct label id = { STR_INIT("trace_id"), str_from(word, 9) }, twice[] = { id, id };

        put_exemplar(out, &(struct batch_exemplar){ .labels = { twice, str_eqz(id.value, "twice") ? 2 : 1 },
                                                    .sample = { 999, 6.5 } });
    } else if (str_eqz(word, "histogram")) {
        pb_put_str(out, 4, STR(""));
    } else if (str_eqz(word, "unknown")) {
        pb_put_varint(out, 77, 5);
    } else if (str_starts(word, STR("meta:"))) {
        size_t mark = pb_open(out, 3);

        pb_put_varint(out, 1, (uint64_t)(word.p[5] - '0'));
        pb_put_str(out, 2, str_from(word, 7));
        pb_put_str(out, 4, STR("help"));
        pb_close(out, mark);
    } else if (equals >= 0) {
        put_label(out, (struct str){ word.p, (size_t)equals }, str_from(word, (size_t)equals + 1));
    } else {
        ck_assert_int_ge(at, 0);
        put_sample(out, (struct sample){ atoll(word.p + at + 1), atof(word.p) });
    }
}

static void put_request(struct buf *out, const char *text)
{
    struct str rest = str_of(text);
    size_t series = 0;

    while (rest.p) {
        struct str word = str_cut(&rest, ' ');

        if (word.n)
            put_word(out, word, &series);
    }
    if (series)
        pb_close(out, series);
}

#define FORTY "éééééééééééééééééééééééééééééééééééééééé"

static const struct {
    const char *name, *request;
    uint64_t samples, refused, exemplars;
    const char *want, *why;
} rows[] = {
    { "nothing", "", 0, 0, 0, "", "" },
    { "one sample", "series __name__=up job=a 1@1000", 1, 0, 0, "{__name__=\"up\", job=\"a\"} 1000 1\n", "" },
    { "several series and samples", "series __name__=a 1@1 2@2 3@3 series __name__=b -0.5@-1000 nan@7", 5, 0, 0,
      "{__name__=\"a\"} 1 1 2 2 3 3\n{__name__=\"b\"} -1000 -0.5 7 NaN\n", "" },
    { "samples out of order are the store's business", "series __name__=a 1@5 2@3", 2, 0, 0, "{__name__=\"a\"} 5 1 3 2\n",
      "" },
    { "an empty value is no label", "series __name__=a b= c=1 1@1", 1, 0, 0, "{__name__=\"a\", c=\"1\"} 1 1\n", "" },
    { "any name in UTF-8", "series __name__=a.b http.status/code=2 1@1", 1, 0, 0,
      "{__name__=\"a.b\", \"http.status/code\"=\"2\"} 1 1\n", "" },
    { "labels behind samples, and apart", "series 1@1 __name__=a 2@2 b=c", 2, 0, 0, "{__name__=\"a\", b=\"c\"} 1 1 2 2\n",
      "" },
    { "fields of later versions", "unknown series __name__=a unknown 1@1", 1, 0, 0, "{__name__=\"a\"} 1 1\n", "" },
    { "a series without samples", "series __name__=a", 0, 0, 0, "", "" },
    { "exemplars", "series __name__=a 1@1 exemplar:x series __name__=b exemplar:y", 1, 0, 0,
      "{__name__=\"a\"} 1 1\nexemplar {__name__=\"a\"} 999 6.5 {trace_id=\"x\"}\n"
      "exemplar {__name__=\"b\"} 999 6.5 {trace_id=\"y\"}\n", "" },
    { "an exemplar that is no good is left out", "series __name__=a 1@1 exemplar:twice exemplar:\xff exemplar:x", 1, 0, 2,
      "{__name__=\"a\"} 1 1\nexemplar {__name__=\"a\"} 999 6.5 {trace_id=\"x\"}\n", "" },
    { "an exemplar's labels have at most 128 characters",
      "series __name__=a exemplar:" FORTY FORTY FORTY " exemplar:" FORTY FORTY FORTY "é",
      0, 0, 1, "*", "" },
    { "metadata", "meta:1:a_total meta:3:h meta:9:x", 0, 0, 0, "# a_total counter\n# h histogram\n# x unknown\n", "" },
    { "metadata without a name", "meta:1: meta:2:g", 0, 1, 0, "# g gauge\n", "metadata: no metric's name" },
    { "a native histogram", "series __name__=h 1@1 histogram histogram", 1, 2, 0, "{__name__=\"h\"} 1 1\n",
      "series {__name__=\"h\"}: native histograms are disabled" },
    { "a label twice; the rest is kept", "series __name__=a b=1 b=2 1@1 2@2 series __name__=c 3@3", 1, 2, 0,
      "{__name__=\"c\"} 3 3\n", "series {__name__=\"a\", b=\"1\"}: label \"b\" stands twice" },
    { "labels out of order", "series c=1 __name__=a 1@1 series __name__=c 3@3", 1, 1, 0, "{__name__=\"c\"} 3 3\n",
      "series {c=\"1\"}: label \"__name__\" stands behind \"c\", should be sorted" },
    { "an empty value twice", "series __name__=a b= b= 1@1", 0, 1, 0, "", "series {__name__=\"a\"}: label \"b\" stands twice" },
    { "no metric's name", "series a=b 1@1", 0, 1, 0, "", "series {a=\"b\"}: label \"__name__\" is missing" },
    { "no labels at all", "series 1@1", 0, 1, 0, "", "series {}: label \"__name__\" is missing" },
    { "a label without a name", "series =x __name__=a 1@1", 0, 1, 0, "", "series {}: a label has no name" },
    { "not UTF-8", "series __name__=a b=\xff 1@1", 0, 1, 0, "", "series {__name__=\"a\"}: a label's name or value is not UTF-8" },
    { "one reason is told", "series 1@1 series __name__=b histogram 1@2", 1, 2, 0, "{__name__=\"b\"} 2 1\n",
      "series {__name__=\"b\"}: native histograms are disabled" },
};

START_TEST(decodes)
{
    struct buf message = BUF_INIT(1 << 16), dump = BUF_INIT(1 << 16);
    struct arena a = ARENA_INIT(1 << 20);
    struct remote_write_outcome o;
    struct err e = ERR_INIT;
    struct batch b;

    put_request(&message, rows[_i].request);
    batch_init(&b, &a);
    ck_assert_msg(remote_write_decode(buf_view(&message), NULL, &b, &o, &e) == 0, "%s: %s", rows[_i].name, e.msg);
    dump_batch(&dump, &b);
    if (strcmp(rows[_i].want, "*") != 0)
        ck_assert_str_eq(buf_cstr(&dump), rows[_i].want);
    ck_assert_uint_eq(o.samples, rows[_i].samples);
    ck_assert_uint_eq(o.refused, rows[_i].refused);
    ck_assert_uint_eq(o.exemplars, rows[_i].exemplars);
    ck_assert_msg(str_starts(str_of(o.why), str_of(rows[_i].why)) && (*o.why != 0) == (o.refused != 0), "%s: %s",
                  rows[_i].name, o.why);
    buf_free(&message);
    buf_free(&dump);
    arena_free(&a);
}
END_TEST

/* A message that ends anywhere else than between two fields of the request is no message. */
START_TEST(refuses_what_is_cut)
{
    struct buf message = BUF_INIT(1 << 16);

    put_request(&message, "series __name__=up job=a 1@1000");
    for (size_t n = 1; n < message.n; n++) {
        struct arena a = ARENA_INIT(1 << 20);
        struct remote_write_outcome o;
        struct err e = ERR_INIT;
        struct batch b;

        batch_init(&b, &a);
        ck_assert_int_eq(remote_write_decode((struct str){ message.p, n }, NULL, &b, &o, &e), ERR_PARSE);
        ck_assert_str_ne(e.msg, "");
        arena_free(&a);
    }
    buf_free(&message);
}
END_TEST

static const struct str malformed[] = {
    STR_INIT("\x08\x01"),                     /* timeseries is a number */
    STR_INIT("\x0a\x02\x08\x01"),             /* labels are a number */
    STR_INIT("\x0a\x04\x12\x02\x08\x01"),     /* a sample's value is a varint */
    STR_INIT("\x0a\x04\x0a\x02\x08\x01"),     /* a label's name is a number */
    STR_INIT("\x0a\x05\x12\x03\x12\x01\x61"), /* a timestamp is a text */
    STR_INIT("\x1a\x02\x10\x01"),             /* a metric's name is a number */
    STR_INIT("\x0b"),                         /* a group */
};

START_TEST(refuses_wrong_types)
{
    struct arena a = ARENA_INIT(1 << 20);
    struct remote_write_outcome o;
    struct err e = ERR_INIT;
    struct batch b;

    batch_init(&b, &a);
    ck_assert_int_eq(remote_write_decode(malformed[_i], NULL, &b, &o, &e), ERR_PARSE);
    ck_assert_msg(str_starts(str_of(e.msg), STR("protobuf: ")), "%s", e.msg);
    arena_free(&a);
}
END_TEST

static const struct {
    size_t series, samples;
} sizes[] = { { 1, 10000 }, { 10000, 1 }, { 300, 63 }, { 300, 64 }, { 30, 4097 } };

/* However many there are, each series has its own; and pools grow by pieces, not by samples. */
START_TEST(many_keep_apart)
{
    struct buf message = BUF_INIT(64 << 20);
    struct arena a = ARENA_INIT(64 << 20);
    struct remote_write_outcome o;
    size_t least = sizes[_i].series * (sizeof(struct batch_series) + sizes[_i].samples * sizeof(struct sample) +
                                       2 * sizeof(struct label));
    struct batch b;

    for (size_t i = 0; i < sizes[_i].series; i++) {
        size_t mark = pb_open(&message, 1);
        char name[24];

        snprintf(name, sizeof(name), "s%zu", i);
        put_label(&message, STR("__name__"), str_of(name));
        put_label(&message, STR("job"), STR("j"));
        for (size_t k = 0; k < sizes[_i].samples; k++)
            put_sample(&message, (struct sample){ (int64_t)(i * 100000 + k), (double)k });
        pb_close(&message, mark);
    }
    batch_init(&b, &a);
    ck_assert_int_eq(remote_write_decode(buf_view(&message), NULL, &b, &o, NULL), 0);
    ck_assert_uint_eq(b.nseries, sizes[_i].series);
    for (size_t i = 0; i < b.nseries; i++) {
        ck_assert_uint_eq(b.series[i].n, sizes[_i].samples);
        ck_assert_uint_eq(b.series[i].labels.n, 2);
        for (size_t k = 0; k < b.series[i].n; k++)
            ck_assert_int_eq(b.series[i].samples[k].t, (int64_t)(i * 100000 + k));
    }
    ck_assert_msg(a.used < 4 * least + 65536, "%zu bytes for %zu", a.used, least);
    buf_free(&message);
    arena_free(&a);
}
END_TEST

START_TEST(survives_failing_allocations)
{
    struct buf message = BUF_INIT(1 << 16);

    put_request(&message, "series __name__=up job=a 1@1000 exemplar:x series a=b 1@1 meta:1:up");
    for (long n = 1;; n++) {
        struct arena a = ARENA_INIT(1 << 20);
        struct remote_write_outcome o;
        struct err e = ERR_INIT;
        struct batch b;
        bool failed;
        int rc;

        batch_init(&b, &a);
        mem_fail_at(n);
        rc = remote_write_decode(buf_view(&message), NULL, &b, &o, &e);
        failed = mem_has_failed();
        mem_fail_at(0);
        /* The text that names a refused series may be missing; nothing else. */
        ck_assert_msg(rc == 0 || (failed && rc == ERR_NOMEM), "%s", e.msg);
        arena_free(&a);
        if (!failed)
            break;
    }
    buf_free(&message);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("remote_write");
    TCase *t = tcase_create("remote_write");

    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, decodes, 0, COUNT(rows));
    tcase_add_test(t, refuses_what_is_cut);
    tcase_add_loop_test(t, refuses_wrong_types, 0, COUNT(malformed));
    tcase_add_loop_test(t, many_keep_apart, 0, COUNT(sizes));
    tcase_add_test(t, survives_failing_allocations);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
