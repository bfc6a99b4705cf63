#include "query/promql.h"
#include "tests/unit/unit.h"

#include <stdio.h>

/* `out` is the normal form; NULL: the error is `msg`. */
static const struct {
    const char *in, *out, *msg;
} cases[] = {
    { "1", "1", NULL },
    { "-0x1F", "-31", NULL },
    { "1_000.5e-1", "100.05", NULL },
    { "+Inf", "+Inf", NULL },
    { "nan", "NaN", NULL },
    { "1m40s", "1m40s", NULL },
    { "'it\\'s \\u00e9\\x41\\101'", "\"it's éAA\"", NULL },
    { "`raw \\n`", "\"raw \\\\n\"", NULL },
    { "up", "up", NULL },
    { "a:b", "a:b", NULL },
    { "sum", "sum", NULL },
    { "by + offset", "by + offset", NULL },
    { "up { a = 'b' , c!='d',e=~\"f\", g!~\"h\", }", "up{a=\"b\",c!=\"d\",e=~\"f\",g!~\"h\"}", NULL },
    { "{__name__='up'}", "{\"up\"}", NULL },
    { "{\"my.metric\", \"a.b\"=\"c\"}", "{\"my.metric\",\"a.b\"=\"c\"}", NULL },
    { "up[300]", "up[5m]", NULL },
    { "up[1h30m:]", "up[1h30m:]", NULL },
    { "up[1h:30s] @ 10 offset -5m", "up[1h:30s] @ 10.000 offset -5m", NULL },
    { "up offset 5m @ end()", "up @ end() offset 5m", NULL },
    { "up[5m] anchored offset 1m", "up[5m] anchored offset 1m", NULL },
    { "up smoothed", "up smoothed", NULL },
    { "up[5m + step() * 2]", "up[5m + step() * 2]", NULL },
    { "up offset 2 ^ 2", "up offset 2s ^ 2", NULL },
    { "up offset -(1m + STEP())", "up offset -(1m + step())", NULL },
    { "-1^2", "-1 ^ 2", NULL },
    { "2 ^ 3 ^ 2", "2 ^ 3 ^ 2", NULL },
    { "1 + 2 * 3 - (4 / 5)", "1 + 2 * 3 - (4 / 5)", NULL },
    { "SUM BY (b, a,) (up)", "sum by (b, a) (up)", NULL },
    { "sum(up) without ()", "sum without () (up)", NULL },
    { "topk(3, up) by ('x.y')", "topk by (\"x.y\") (3, up)", NULL },
    { "a == bool on(x) group_left(y, z) b", "a == bool on (x) group_left (y, z) b", NULL },
    { "a / ignoring(x) group_right b", "a / ignoring (x) group_right () b", NULL },
    { "a and on() b or c unless d", "a and on () b or c unless d", NULL },
    { "a + fill_left(-1) fill_right(2) b", "a + fill_left(-1) fill_right(2) b", NULL },
    { "rate(up[5m]) # and so on", "rate(up[5m])", NULL },
    { "label_join(up, 'd', '-', 'a', 'b')", "label_join(up, \"d\", \"-\", \"a\", \"b\")", NULL },
    { "round(up) + round(up, 5)", "round(up) + round(up, 5)", NULL },

    { "", NULL, "unknown position: parse error: no expression found in input" },
    { "1 +", NULL, "1:4: parse error: unexpected end of input" },
    { "(1", NULL, "1:3: parse error: unclosed left parenthesis" },
    { "1)", NULL, "1:2: parse error: unexpected right parenthesis: ')'" },
    { "up{", NULL, "1:4: parse error: unexpected end of input inside braces" },
    { "up}", NULL, "1:3: parse error: unexpected right brace: '}'" },
    { "up{a=b}", NULL, "1:6: parse error: unexpected identifier \"b\" in label matching, expected string" },
    { "up{a>\"b\"}", NULL, "1:5: parse error: unexpected character inside braces: '>'" },
    { "up{a=\"b}", NULL, "1:6: parse error: unterminated quoted string" },
    { "up{}[5m", NULL, "1:8: parse error: unclosed left bracket" },
    { "up[5]]", NULL, "1:6: parse error: unexpected right bracket: ']'" },
    { "5x", NULL, "1:1: parse error: bad number or duration syntax: \"5x\"" },
    { "a ! b", NULL, "1:4: parse error: unexpected character after '!': ' '" },
    { "a =~ b", NULL, "1:4: parse error: unexpected character after '=': '~'" },
    { "a\n  b", NULL, "2:3: parse error: unexpected identifier \"b\"" },
    { "a and or b", NULL, "1:10: parse error: unexpected identifier \"b\"" },
    { "on", NULL, "1:1: parse error: unexpected <on>" },
    { "{}", NULL, "1:1: parse error: vector selector must contain at least one non-empty matcher" },
    { "{a=~\".*\"}", NULL, "1:1: parse error: vector selector must contain at least one non-empty matcher" },
    { "up{__name__=\"x\"}", NULL, "1:1: parse error: metric name must not be set twice: \"up\" or \"x\"" },
    { "rate(up) +", NULL, "1:11: parse error: unexpected end of input" },
    { "sum(1 + rate(up))", NULL, "1:14: parse error: expected type range vector in call to function \"rate\", got "
                                 "instant vector" },
    { "up[", NULL, "1:4: parse error: unclosed left bracket" },
    { "up[x]", NULL, "1:4: parse error: unexpected identifier \"x\" in subquery or range selector, expected number, "
                     "duration, step(), or range()" },
    { "up[5m 3]", NULL, "1:7: parse error: unexpected number \"3\" in subquery or range, expected \":\" or \"]\"" },
    { "up[5m:x]", NULL, "1:7: parse error: unexpected identifier \"x\" in subquery selector, expected number, duration, "
                        "step(), range(), or \"]\"" },
    { "up offset x", NULL, "1:11: parse error: unexpected identifier \"x\" in offset, expected number, duration, "
                           "step(), or range()" },
    { "up @ x", NULL, "1:6: parse error: unexpected identifier \"x\" in @, expected timestamp" },
    { "up[5m / 0]", NULL, "1:7: parse error: division by zero" },
    { "up anchored smoothed", NULL, "1:1: parse error: anchored and smoothed modifiers cannot be used together" },
    { "rate(up[5m]) anchored", NULL,
      "1:1: parse error: anchored modifier must be preceded by an instant vector selector or range vector selector" },
    { "up[5m:] anchored", NULL, "1:1: parse error: anchored modifier is not supported for subqueries" },
    { "up \"a longer text\"", NULL, "1:4: parse error: unexpected string \"\\\"a longer \"..." },
    { "sum by (\"\") (up)", NULL, "1:9: parse error: invalid label name for grouping: \"\"" },
    { "1 + on (x) up", NULL, "1:1: parse error: vector matching only allowed between instant vectors" },
    { "info(up, 1)", NULL, "1:1: parse error: expected type instant vector in call to function \"info\", got scalar" },
    { "info(up, {a=~\".*\"})", "info(up, {a=~\".*\"})", NULL },
    { "no_such(up)", NULL, "1:1: parse error: unknown function with name \"no_such\"" },
    { "rate(up)", NULL, "1:6: parse error: expected type range vector in call to function \"rate\", got instant vector" },
    { "abs()", NULL, "1:1: parse error: expected 1 argument(s) in call to \"abs\", got 0" },
    { "round(up, 1, 2)", NULL, "1:1: parse error: expected at most 2 argument(s) in call to \"round\", got 3" },
    { "label_join(up, 'a')", NULL,
      "1:1: parse error: expected at least 3 argument(s) in call to \"label_join\", got 2" },
    { "abs(up,)", NULL, "1:7: parse error: trailing commas not allowed in function call args" },
    { "sum()", NULL, "1:1: parse error: no arguments for aggregate expression provided" },
    { "topk(up)", NULL,
      "1:1: parse error: wrong number of arguments for aggregate expression provided, expected 2, got 1" },
    { "sum(1)", NULL, "1:5: parse error: expected type instant vector in aggregation expression, got scalar" },
    { "topk(up, up)", NULL, "1:6: parse error: expected type scalar in aggregation parameter, got instant vector" },
    { "1 == 1", NULL, "1:3: parse error: comparisons between scalars must use BOOL modifier" },
    { "a + bool b", NULL, "1:3: parse error: bool modifier can only be used on comparison operators" },
    { "1 and a", NULL, "1:1: parse error: set operator \"and\" not allowed in binary scalar expression" },
    { "a and on(x) group_left b", NULL, "1:1: parse error: no grouping allowed for \"and\" operation" },
    { "1 + on(x) a", NULL, "1:1: parse error: vector matching only allowed between instant vectors" },
    { "'a' + b", NULL, "1:1: parse error: binary expression must contain only scalar and instant vector types" },
    { "a + on(x) group_left(x) b", NULL,
      "1:3: parse error: label \"x\" must not occur in ON and GROUP clause at once" },
    { "-'a'", NULL,
      "1:1: parse error: unary expression only allowed on expressions of type scalar or instant vector, got \"string\"" },
    { "(a + b)[5m]", NULL, "1:8: parse error: ranges only allowed for vector selectors" },
    { "a offset 5m[5m]", NULL, "1:12: parse error: no offset modifiers allowed before range" },
    { "a[5m][5m:]", NULL, "1:1: parse error: subquery is only allowed on instant vector, got matrix instead" },
    { "a offset 1m offset 2m", NULL, "1:1: parse error: offset may not be set multiple times" },
    { "1 offset 5m", NULL,
      "1:1: parse error: offset modifier must be preceded by an instant vector selector or range vector selector or a "
      "subquery" },
    { "a @ 1 @ 2", NULL, "1:1: parse error: @ <timestamp> may not be set multiple times" },
    { "a @ Inf", NULL, "1:5: parse error: timestamp out of bounds for @ modifier: inf" },
    { "a[0]", NULL, "1:3: parse error: duration must be greater than 0" },
    { "a{b=~\"(\"}", NULL,
      "1:3: parse error: error parsing regexp: regular expression \"(\": at 1: missing closing parenthesis" },
    { "'\\q'", NULL, "1:1: parse error: invalid syntax" },
};

/* Prints into `out`; false with the error when it does not parse. */
static bool normal_form(struct str in, struct buf *out, struct err *e)
{
    struct arena a = ARENA_INIT(1 << 22);
    struct promql_expr *x = promql_parse(&a, in, e);

    if (x)
        promql_print(out, x);
    arena_free(&a);
    return x != NULL;
}

START_TEST(parses_and_prints)
{
    struct buf b = BUF_INIT(1 << 16), again = BUF_INIT(1 << 16);
    struct err e = ERR_INIT;
    bool ok = normal_form(str_of(cases[_i].in), &b, &e);

    if (cases[_i].out) {
        ck_assert_msg(ok, "%s: %s", cases[_i].in, e.msg);
        ck_assert_msg(str_eqz(buf_view(&b), cases[_i].out), "%s: \"%.*s\"", cases[_i].in, STR_ARG(buf_view(&b)));
        ck_assert_msg(normal_form(buf_view(&b), &again, &e), "%s: its normal form: %s", cases[_i].in, e.msg);
        ck_assert(str_eq(buf_view(&b), buf_view(&again)));
    } else {
        ck_assert_msg(!ok, "%s: is \"%.*s\"", cases[_i].in, STR_ARG(buf_view(&b)));
        ck_assert_str_eq(e.msg, cases[_i].msg);
        ck_assert_int_eq(e.code, ERR_PARSE);
    }
    buf_free(&b);
    buf_free(&again);
}
END_TEST

static const struct {
    const char *piece, *middle, *end;
    size_t times;
    bool ok;
} deep[] = {
    { "(", "1", ")", 100, true },         { "(", "1", ")", 100000, false }, { "-", "a", "", 100000, false },
    { "1+", "1", "", 200, true },         { "1+", "1", "", 100000, false }, { "abs(", "a", ")", 100000, false },
    { "", "a", "[1m:1m]", 2, false },     { "2^", "2", "", 100000, false }, { "", "a[(", "1", 100000, false },
    { "", "a offset ", "(", 100000, false },
};

START_TEST(depth_is_bounded)
{
    struct buf b = BUF_INIT(1 << 22), out = BUF_INIT(1 << 22);
    struct err e = ERR_INIT;

    for (size_t i = 0; i < deep[_i].times; i++)
        buf_puts(&b, deep[_i].piece);
    buf_puts(&b, deep[_i].middle);
    for (size_t i = 0; i < deep[_i].times; i++)
        buf_puts(&b, deep[_i].end);
    ck_assert_int_eq(normal_form(buf_view(&b), &out, &e), deep[_i].ok);
    buf_free(&b);
    buf_free(&out);
}
END_TEST

START_TEST(selectors_alone)
{
    struct arena a = ARENA_INIT(1 << 20);
    struct matcher *m;
    struct err e = ERR_INIT;
    size_t n;

    ck_assert_int_eq(promql_parse_selector(&a, STR("up{job=~\"x.*\"}"), &m, &n, &e), 0);
    ck_assert_uint_eq(n, 2);
    ck_assert(str_eqz(m[0].name, "__name__") && str_eqz(m[0].value, "up") && m[0].op == MATCH_EQ);
    ck_assert(m[1].op == MATCH_RE && matcher_match(&m[1], STR("xy")) && !matcher_match(&m[1], STR("yx")));
    ck_assert_int_eq(promql_parse_selector(&a, STR("up[5m]"), &m, &n, &e), ERR_PARSE);
    ck_assert_int_eq(promql_parse_selector(&a, STR("up offset 1m"), &m, &n, &e), ERR_PARSE);
    ck_assert_int_eq(promql_parse_selector(&a, STR("up + up"), &m, &n, &e), ERR_PARSE);
    ck_assert_int_eq(promql_parse_selector(&a, STR("{}"), &m, &n, NULL), ERR_PARSE);
    arena_free(&a);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("promql_parse");
    TCase *t = tcase_create("parse");

    tcase_set_timeout(t, 20);
    tcase_add_loop_test(t, parses_and_prints, 0, COUNT(cases));
    tcase_add_loop_test(t, depth_is_bounded, 0, COUNT(deep));
    tcase_add_test(t, selectors_alone);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
