#include "tests/unit/collector/otlp_case.h"

#define EXPONENTIAL(unit, point)                                                                                       \
    METRIC("", "{'name':'x','unit':'" unit "','exponentialHistogram':{'aggregationTemporality':2,'dataPoints':[{" AT "," point \
               "}]}}")

static const struct {
    const char *name, *json;
    size_t lines; /* of the dump */
    const char *has[4];
} exponentials[] = {
    { "scale 0, seconds, with zeros, a value below zero and an exemplar",
      EXPONENTIAL("s", "'count':'7','sum':9.5,'scale':0,'zeroCount':'2','positive':{'offset':-1,'bucketCounts':['1',0,2]},"
                       "'negative':{'offset':3,'bucketCounts':[1]},'exemplars':[{'asDouble':3.5," IDS "}]"),
      1 + 25 + 1 + 2 + 1,
      { "x_seconds_bucket\", le=\"6.103515625e-05\"} 1700000000123 3\n",
        "x_seconds_bucket\", le=\"1\"} 1700000000123 4\n{__name__=\"x_seconds_bucket\", le=\"2\"} 1700000000123 4\n"
        "{__name__=\"x_seconds_bucket\", le=\"4\"} 1700000000123 6\n",
        "x_seconds_bucket\", le=\"+Inf\"} 1700000000123 7\n{__name__=\"x_seconds_sum\"} 1700000000123 9.5\n"
        "{__name__=\"x_seconds_count\"} 1700000000123 7\n",
        "exemplar {__name__=\"x_seconds_bucket\", le=\"4\"} 1700000000123 3.5 " SPAN_LABELS } },
    { "a fine scale", EXPONENTIAL("By", "'count':3,'scale':20,'positive':{'offset':1048575,'bucketCounts':[1,1,1]}"),
      1 + 31 + 1 + 1,
      { "le=\"1\"} 1700000000123 0\n", "le=\"2\"} 1700000000123 1\n", "le=\"4\"} 1700000000123 3\n", "_count" } },
    { "a coarse scale, beyond both ends", EXPONENTIAL("", "'count':2,'scale':-10,'positive':{'offset':-1,'bucketCounts':[1,1]}"),
      1 + 31 + 1 + 1,
      { "le=\"0.5\"} 1700000000123 0\n", "le=\"1\"} 1700000000123 1\n", "le=\"1048576\"} 1700000000123 1\n",
        "le=\"+Inf\"} 1700000000123 2\n" } },
};

START_TEST(exponential_histograms_become_classic)
{
    struct buf json = BUF_INIT(1 << 20), text = BUF_INIT(1 << 20), pb = BUF_INIT(1 << 20), two = BUF_INIT(1 << 20);
    struct otlp_refused refused;
    struct err e = ERR_INIT;
    size_t lines = 0;

    row_json(&json, exponentials[_i].json);
    ck_assert_msg(decode(OTLP_METRICS, OTLP_JSON, buf_view(&json), &text, &refused, &e) == 0, "%s", e.msg);
    ck_assert_str_eq(refused.why, "");
    for (size_t i = 0; i < text.n; i++)
        lines += text.p[i] == '\n';
    ck_assert_msg(lines == exponentials[_i].lines, "%zu lines:\n%s", lines, text.p);
    for (size_t i = 0; i < COUNT(exponentials[_i].has); i++)
        ck_assert_msg(strstr(text.p, exponentials[_i].has[i]) != NULL, "%s\nis not in\n%s", exponentials[_i].has[i], text.p);
    ck_assert_int_eq(otlp_json_to_pb(&otlp_requests[OTLP_METRICS], buf_view(&json), &pb, NULL), 0);
    ck_assert_int_eq(decode(OTLP_METRICS, OTLP_PROTOBUF, buf_view(&pb), &two, &refused, NULL), 0);
    ck_assert_str_eq(two.p, text.p);
    buf_free(&json);
    buf_free(&text);
    buf_free(&pb);
    buf_free(&two);
}
END_TEST

/* Random buckets at any scale: at each bound there are those whose own upper bound 2^((index+1)/2^scale) is not above
 * it. */
START_TEST(powers_of_two_count_exactly)
{
    enum { N = 300, LOW = -10, HIGH = 20 }; /* the bounds of a unit that is none */
    double bounds[OTLP_MOST_BOUNDS];
    uint64_t counts[OTLP_MOST_BOUNDS + 1], each[N], total = 0;
    unsigned seed = (unsigned)_i;
    int scale = _i % 12 - 3, offset = rand_r(&seed) % 4000 - 2000;
    struct buf positive = BUF_INIT(1 << 16);
    struct otlp_exponential x = { .scale = scale };
    size_t n;

    for (int i = 0; i < N; i++) {
        each[i] = (uint64_t)rand_r(&seed) % 300;
        total += each[i];
        pb_put_varint(&positive, 2, each[i]);
    }
    pb_put_varint(&positive, 1, ((uint64_t)offset << 1) ^ (offset < 0 ? UINT64_MAX : 0));
    x.positive = buf_view(&positive);
    ck_assert_int_eq(otlp_explicit_buckets(&x, STR("1"), bounds, counts, &n, NULL), 0);
    ck_assert_uint_eq(n, HIGH - LOW + 1);
    for (int k = LOW, at = 0; k <= HIGH; k++, at++) {
        uint64_t want = 0, got = 0;

        ck_assert_double_eq(bounds[at], k < 0 ? 1.0 / (double)(1 << -k) : (double)(1 << k));
        for (int i = 0; i < N; i++)
            want += scale >= 0 ? (int64_t)offset + i + 1 <= (int64_t)k * (1 << scale) ? each[i] : 0
                               : ((int64_t)offset + i + 1) * (1 << -scale) <= k ? each[i] : 0;
        for (int i = 0; i <= at; i++)
            got += counts[i];
        ck_assert_uint_eq(got, want);
    }
    buf_free(&positive);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("otlp_exponential");
    TCase *t = tcase_create("otlp_exponential");

    tcase_add_loop_test(t, exponential_histograms_become_classic, 0, COUNT(exponentials));
    tcase_add_loop_test(t, powers_of_two_count_exactly, 0, 48);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
