/* A query's tree as JSON, as Prometheus' parse_query has it; and its selectors. */
#include "query/promql.h"
#include "tests/unit/unit.h"

#include <stdio.h>

#define SELECTOR(name, more, tail)                                                                                       \
    "{\"type\":\"" more "Selector\",\"name\":\"" name "\"," tail "\"matchers\":[{\"name\":\"__name__\",\"value\":\"" name \
    "\",\"type\":\"=\"}]}"
#define NOW "\"offset\":0,\"timestamp\":null,\"startOrEnd\":null,\"anchored\":false,\"smoothed\":false,"
#define A SELECTOR("a", "vector", NOW)
#define B SELECTOR("b", "vector", NOW)
#define ONE "{\"type\":\"numberLiteral\",\"val\":\"1\"}"

static const struct {
    const char *in, *out;
} cases[] = {
    { "1", ONE },
    { "1e-7", "{\"type\":\"numberLiteral\",\"val\":\"0.0000001\"}" },
    { "-Inf", "{\"type\":\"numberLiteral\",\"val\":\"-Inf\"}" },
    { "'x\"'", "{\"type\":\"stringLiteral\",\"val\":\"x\\\"\"}" },
    { "a", A },
    { "(a)", "{\"type\":\"parenExpr\",\"expr\":" A "}" },
    { "-a", "{\"type\":\"unaryExpr\",\"op\":\"-\",\"expr\":" A "}" },
    { "a[5m] offset -1m",
      SELECTOR("a", "matrix", "\"range\":300000,\"offset\":-60000,\"timestamp\":null,\"startOrEnd\":null,\"anchored\":false,"
                              "\"smoothed\":false,") },
    { "a @ 1.5", SELECTOR("a", "vector", "\"offset\":0,\"timestamp\":1500,\"startOrEnd\":null,\"anchored\":false,"
                                         "\"smoothed\":false,") },
    { "a @ end()", SELECTOR("a", "vector", "\"offset\":0,\"timestamp\":null,\"startOrEnd\":\"end\",\"anchored\":false,"
                                           "\"smoothed\":false,") },
    { "{x!~'|y'}", NULL },
    { "a[1h:30s] @ start()",
      "{\"type\":\"subquery\",\"expr\":" A ",\"range\":3600000,\"step\":30000,\"offset\":0,\"timestamp\":null,"
      "\"startOrEnd\":\"start\"}" },
    { "time()", "{\"type\":\"call\",\"func\":{\"name\":\"time\",\"argTypes\":[],\"variadic\":0,\"returnType\":\"scalar\"},"
                "\"args\":[]}" },
    { "round(a, 1)", "{\"type\":\"call\",\"func\":{\"name\":\"round\",\"argTypes\":[\"vector\",\"scalar\"],\"variadic\":1,"
                     "\"returnType\":\"vector\"},\"args\":[" A "," ONE "]}" },
    { "sum(a)", "{\"type\":\"aggregation\",\"op\":\"sum\",\"expr\":" A ",\"param\":null,\"grouping\":[],\"without\":false}" },
    { "topk without (x, y) (1, a)", "{\"type\":\"aggregation\",\"op\":\"topk\",\"expr\":" A ",\"param\":" ONE
                                    ",\"grouping\":[\"x\",\"y\"],\"without\":true}" },
    { "a > bool 1", "{\"type\":\"binaryExpr\",\"op\":\">\",\"lhs\":" A ",\"rhs\":" ONE ",\"matching\":null,\"bool\":true}" },
    { "a * on (x) group_left (y) b",
      "{\"type\":\"binaryExpr\",\"op\":\"*\",\"lhs\":" A ",\"rhs\":" B ",\"matching\":{\"card\":\"many-to-one\",\"labels\":"
      "[\"x\"],\"on\":true,\"include\":[\"y\"],\"fillValues\":{\"lhs\":null,\"rhs\":null}},\"bool\":false}" },
    { "a and b", "{\"type\":\"binaryExpr\",\"op\":\"and\",\"lhs\":" A ",\"rhs\":" B ",\"matching\":{\"card\":\"many-to-many\","
                 "\"labels\":[],\"on\":false,\"include\":[],\"fillValues\":{\"lhs\":null,\"rhs\":null}},\"bool\":false}" },
    { "a + fill_right(0.5) b",
      "{\"type\":\"binaryExpr\",\"op\":\"+\",\"lhs\":" A ",\"rhs\":" B ",\"matching\":{\"card\":\"one-to-one\",\"labels\":[],"
      "\"on\":false,\"include\":[],\"fillValues\":{\"lhs\":null,\"rhs\":\"0.5\"}},\"bool\":false}" },
};

START_TEST(prints_trees)
{
    struct arena a = ARENA_INIT(1 << 20);
    struct buf out = BUF_INIT(1 << 16);
    struct err e = ERR_INIT;
    struct promql_expr *x = promql_parse(&a, str_of(cases[_i].in), &e);

    ck_assert_msg(x != NULL, "%s: %s", cases[_i].in, e.msg);
    promql_print_json(&out, x);
    if (cases[_i].out)
        ck_assert_str_eq(buf_cstr(&out), cases[_i].out);
    else
        ck_assert_ptr_nonnull(strstr(buf_cstr(&out), "{\"name\":\"x\",\"value\":\"|y\",\"type\":\"!~\"}"));
    buf_free(&out);
    arena_free(&a);
}
END_TEST

START_TEST(finds_selectors)
{
    struct arena a = ARENA_INIT(1 << 20);
    struct promql_expr *x =
        promql_parse(&a, STR("-topk(scalar(a), rate(b[5m]) + (c)) / max_over_time(sum(d)[1h:]) + 1"), NULL);
    struct promql_selector *v;
    size_t n;

    ck_assert_ptr_nonnull(x);
    ck_assert_int_eq(promql_selectors(x, &a, &v, &n, NULL), 0);
    ck_assert_uint_eq(n, 4);
    for (size_t i = 0; i < n; i++)
        ck_assert(v[i].n == 1 && v[i].matchers[0].value.p[0] == "abcd"[i]);
    arena_free(&a);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("tree_json");
    TCase *t = tcase_create("tree_json");

    tcase_add_loop_test(t, prints_trees, 0, COUNT(cases));
    tcase_add_test(t, finds_selectors);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
