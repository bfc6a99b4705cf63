#include "collector/exposition.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/rand.h"
#include "collector/exposition_number-internal.h"
#include "tests/unit/unit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* --- numbers --- */

static const struct {
    const char *in;
    bool ok;
    double v;
} numbers[] = {
    { "0", true, 0 },          { "-0", true, -0.0 },        { "+7", true, 7 },         { "1.5", true, 1.5 },
    { ".5", true, 0.5 },       { "5.", true, 5 },           { "1e3", true, 1000 },     { "1E-3", true, 0.001 },
    { "1.e1", true, 10 },      { "123456789012345678901234567890", true, 123456789012345678901234567890.0 },
    { "9007199254740993", true, 9007199254740992.0 },       { "0.1", true, 0.1 },      { "1e22", true, 1e22 },
    { "1e23", true, 1e23 },    { "4.9e-324", true, 4.9e-324 }, { "1e-400", true, 0 },  { "1e308", true, 1e308 },
    { "Inf", true, INFINITY }, { "+inf", true, INFINITY },  { "-Infinity", true, -INFINITY }, { "NaN", true, NAN },
    { "1e400", false, 0 },     { "", false, 0 },            { "-", false, 0 },         { ".", false, 0 },
    { "1e", false, 0 },        { "1e+", false, 0 },         { "0x10", false, 0 },      { "0x1p4", false, 0 },
    { "1_000", false, 0 },     { "-NaN", false, 0 },        { "nan(1)", false, 0 },    { "1 ", false, 0 },
    { "infin", false, 0 },     { "1,5", false, 0 },
};

START_TEST(reads_numbers)
{
    double v = 0;
    bool ok = exposition_number(str_of(numbers[_i].in), &v);

    ck_assert_msg(ok == numbers[_i].ok, "\"%s\": %d", numbers[_i].in, ok);
    if (!ok)
        return;
    ck_assert_msg(isnan(v) ? isnan(numbers[_i].v) : v == numbers[_i].v, "\"%s\": %.17g", numbers[_i].in, v);
    ck_assert_int_eq(signbit(v) != 0, signbit(numbers[_i].v) != 0);
}
END_TEST

/* Whatever the number, it is what strtod says. */
START_TEST(rounds_as_strtod)
{
    struct rng r = { { 1, 2, 3, 4 } };

    for (int i = 0; i < 200000; i++) {
        char text[80];
        double got, want;
        uint64_t digits = rng_next(&r) >> rng_below(&r, 60);

        switch (rng_below(&r, 3)) {
        case 0:
            snprintf(text, sizeof(text), "%llu.%llu", (unsigned long long)rng_below(&r, 100000),
                     (unsigned long long)(digits >> 20));
            break;
        case 1:
            snprintf(text, sizeof(text), "-%llue%d", (unsigned long long)digits, (int)rng_below(&r, 60) - 30);
            break;
        default:
            snprintf(text, sizeof(text), "%.*g", 1 + (int)rng_below(&r, 17), (double)digits / 1e9);
        }
        want = strtod(text, NULL);
        ck_assert_msg(exposition_number(str_of(text), &got) && got == want, "%s: %.17g, should be %.17g", text, got, want);
    }
}
END_TEST

/* --- lines: each item as one line of text --- */

static void put_labels(struct buf *b, struct arena *a, const struct exposition *x, struct str series)
{
    struct label *v;
    size_t n;
    struct err e = ERR_INIT;

    if (exposition_series(x, series, a, &v, &n, &e) < 0) {
        buf_printf(b, "! %s\n", e.msg);
        return;
    }
    for (size_t i = 0; i < n; i++)
        buf_printf(b, "%s%.*s=%.*s", i ? "," : "", STR_ARG(v[i].name), STR_ARG(v[i].value));
}

static void put_item(struct buf *b, struct arena *a, const struct exposition *x, const struct exposition_item *item)
{
    static const char *const words[] = { NULL, "help", "type", "unit" };
    struct str name, text;

    if (item->kind == EXPOSITION_SAMPLE) {
        put_labels(b, a, x, item->series);
        buf_puts(b, " = ");
        buf_double(b, item->value);
        if (item->has_time)
            buf_printf(b, " @%lld", (long long)item->t_ms);
        if (item->exemplar.p)
            buf_printf(b, " # %.*s", STR_ARG(item->exemplar));
        buf_putc(b, '\n');
        return;
    }
    name = exposition_name(a, item->metric);
    text = exposition_text(a, item->text);
    buf_printf(b, "%s %.*s: %.*s\n", words[item->kind], STR_ARG(name), STR_ARG(text));
}

static void dump(struct buf *b, enum exposition_format format, const char *in)
{
    struct arena a = ARENA_INIT(1 << 20);
    struct exposition x;
    struct exposition_item item;
    struct err e = ERR_INIT;
    char *exact = malloc(strlen(in) + 1); /* of the exact size: sanitizers see a read behind the end */
    int rc;

    ck_assert_ptr_nonnull(exact);
    memcpy(exact, in, strlen(in));
    exact = realloc(exact, strlen(in) ? strlen(in) : 1);
    exposition_init(&x, format, (struct str){ exact, strlen(in) });
    while ((rc = exposition_next(&x, &item, &e)) == 1)
        put_item(b, &a, &x, &item);
    if (rc < 0)
        buf_printf(b, "! %s\n", e.msg);
    arena_free(&a);
    free(exact);
}

static const struct {
    const char *in, *out;
} texts[] = {
    { "", "" },
    { "a 1\n", "__name__=a = 1\n" },
    { "a 1", "__name__=a = 1\n" },
    { "  a\t 1  \n\n \nb 2\n", "__name__=a = 1\n__name__=b = 2\n" },
    { "a:b_c9 1 1600000000000\n", "__name__=a:b_c9 = 1 @1600000000000\n" },
    { "a 1 -5\n", "__name__=a = 1 @-5\n" },
    { "a{} 1\n", "__name__=a = 1\n" },
    { "a {b=\"c\"} 1\n", "__name__=a,b=c = 1\n" },
    { "a{ b = \"c\" , d=\"e\", } 1 2\n", "__name__=a,b=c,d=e = 1 @2\n" },
    { "a{b=\"c\"}1\n", "__name__=a,b=c = 1\n" },
    { "a{b=\"x} 1 2\"} 3\n", "__name__=a,b=x} 1 2 = 3\n" },
    { "a{b=\"\\\\ \\\" \\n \\t\"} 3\n", "__name__=a,b=\\ \" \n \\t = 3\n" },
    { "a{b=\"\"} 3\n", "__name__=a,b= = 3\n" },
    { "a{b=\"{\",c=\"#\"} NaN\n", "__name__=a,b={,c=# = NaN\n" },
    { "{\"my.name\",\"a b\"=\"c\"} +Inf\n", "__name__=my.name,a b=c = +Inf\n" },
    { "{x=\"y\",\"my.name\"} 1\n", "__name__=my.name,x=y = 1\n" },
    { "{__name__=\"n\"} 1\n", "__name__=n = 1\n" },
    { "# a comment\n#HELP b c\n# HELP a of  a \\\\ \\n \\\"\n# TYPE a counter\n# TYPE b untyped\n# UNIT a s\na 1\n",
      "help a: of  a \\ \n \\\"\ntype a: counter\ntype b: unknown\n__name__=a = 1\n" },
    { "# HELP \"a \\\"b\" c\n# HELP x\n", "help a \"b: c\nhelp x: \n" },
    { "a 1\n{\n", "__name__=a = 1\n! line 2: should be NAME{LABELS} VALUE [TIME], got \"{\"\n" },
    { "a\n", "! line 1: after the series should be its value, a number, got \"\"\n" },
    { "a x\n", "! line 1: after the series should be its value, a number, got \"x\"\n" },
    { "a 1\r\n", "! line 1: after the series should be its value, a number, got \"1\r\"\n" },
    { "a 1 x\n", "! line 1: after the value should be a time in milliseconds, got \"x\"\n" },
    { "a 1 1.5\n", "! line 1: after the value should be a time in milliseconds, got \"1.5\"\n" },
    { "a 1 2 3\n", "! line 1: after value and time the line should end, got \"3\"\n" },
    { "a 1 # {b=\"c\"} 2\n", "! line 1: a series should be NAME{LABELS}, got \"1 # {b=\"c\"}\"\n = 2\n" },
    { "9a 1\n", "! line 1: a series should be NAME{LABELS}, got \"9a\"\n = 1\n" },
    { "a.b 1\n", "! line 1: a series should be NAME{LABELS}, got \".b\"\n = 1\n" },
    { "{a=\"b\"} 1\n", "! line 1: a metric's name is missing, got \"{a=\"b\"}\"\n = 1\n" },
    { "a{9=\"b\"} 1\n", "! line 1: should be a label's name, as in a=\"b\" or \"a.b\"=\"c\", got \"9=\"b\"}\"\n = 1\n" },
    { "a{b} 1\n", "! line 1: label b: after its name should be =\"VALUE\", got \"}\"\n = 1\n" },
    { "a{b=c} 1\n", "! line 1: label b: after = should be a value in double quotes, got \"c}\"\n = 1\n" },
    { "a{b=\"c\" d=\"e\"} 1\n", "! line 1: after a label should be , or }, got \"d=\"e\"}\"\n = 1\n" },
    { "a{b=\"c} 1\n", "! line 1: label b: its value should end with a double quote, got \"\"c}\"\n = 1\n" },
    { "a{\"n\"} 1\n", "! line 1: the metric's name stands twice, got \"n\"\n = 1\n" },
    { "a{b=\"c\"}} 1\n", "! line 1: a series should be NAME{LABELS}, got \"}\"\n = 1\n" },
    { "a{b=\"\xff\"} 1\n", "! line 1: name and value of a label should be UTF-8, got \"b\"\n = 1\n" },
    { "# HELP\n", "! line 1: after HELP should be a metric's name, got \"\"\n" },
    { "# TYPE a info\n",
      "! line 1: should be a type: counter, gauge, histogram, summary or untyped, got \"info\"\n" },
};

START_TEST(reads_text)
{
    struct buf b = BUF_INIT(1 << 16);

    dump(&b, EXPOSITION_TEXT, texts[_i].in);
    ck_assert_str_eq(buf_cstr(&b), texts[_i].out);
    buf_free(&b);
}
END_TEST

static const struct {
    const char *in, *out;
} openmetrics[] = {
    { "# EOF\n", "" },
    { "# EOF", "" },
    { "a 1 1.5\n# EOF\n", "__name__=a = 1 @1500\n" },
    { "# TYPE a stateset\n# UNIT a_seconds seconds\n# HELP a b\n# EOF\n", "type a: stateset\nunit a_seconds: seconds\nhelp a: b\n" },
    { "a{b=\"c\"} 1 # {t=\"x} y\"} 0.5 1.0\n# EOF\n", "__name__=a,b=c = 1 # {t=\"x} y\"} 0.5 1.0\n" },
    { "a{b=\"#\"} 1 2 # {} 0.5\n# EOF\n", "__name__=a,b=# = 1 @2000 # {} 0.5\n" },
    { "{\"a.b\",c=\"d\"} 4\n# EOF\n", "__name__=a.b,c=d = 4\n" },
    { "a 1\n", "__name__=a = 1\n! line 1: the text should end with # EOF\n" },
    { "", "! line 0: the text should end with # EOF\n" },
    { "# EOF\na 1\n", "! line 2: nothing should stand behind # EOF, got \"a 1\"\n" },
    { "\n# EOF\n", "! line 1: should not be empty, got \"\"\n" },
    { "# hello\n# EOF\n", "! line 1: should be # HELP, # TYPE, # UNIT or # EOF, got \"# hello\"\n" },
    { "# TYPE a untyped\n# EOF\n",
      "! line 1: should be a type: counter, gauge, histogram, summary or another of OpenMetrics, got \"untyped\"\n" },
    { "a 1 NaN\n# EOF\n", "! line 1: after the value should be a time in seconds, got \"NaN\"\n" },
    { "a 1 # b\n# EOF\n", "! line 1: an exemplar should be # {LABELS} VALUE [TIME], got \"b\"\n" },
};

START_TEST(reads_openmetrics)
{
    struct buf b = BUF_INIT(1 << 16);

    dump(&b, EXPOSITION_OPENMETRICS, openmetrics[_i].in);
    ck_assert_str_eq(buf_cstr(&b), openmetrics[_i].out);
    buf_free(&b);
}
END_TEST

START_TEST(survives_failing_allocations)
{
    for (long i = 1;; i++) {
        struct arena a = ARENA_INIT(0);
        struct exposition x;
        struct label *v;
        size_t n;
        int rc, failed;

        exposition_init(&x, EXPOSITION_TEXT, STR(""));
        mem_fail_at(i);
        rc = exposition_series(&x, STR("{a=\"\\n\",\"b\\\"\"=\"c\",\"n\\\\\",d=\"e\",f=\"g\",h=\"i\"}"), &a, &v, &n, NULL);
        failed = mem_has_failed();
        mem_fail_at(0);
        ck_assert_int_eq(rc, failed ? ERR_NOMEM : 0);
        arena_free(&a);
        if (!failed)
            break;
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("collector/exposition");
    TCase *t = tcase_create("exposition");

    tcase_add_loop_test(t, reads_numbers, 0, COUNT(numbers));
    tcase_add_test(t, rounds_as_strtod);
    tcase_add_loop_test(t, reads_text, 0, COUNT(texts));
    tcase_add_loop_test(t, reads_openmetrics, 0, COUNT(openmetrics));
    tcase_add_test(t, survives_failing_allocations);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
