/* Each stage over one line: what is left of the line, and which labels have come. */
#include "tests/unit/query/logql_rows.h"

static const struct {
    const char *line, *stages, *want; /* want: "line {parsed}", "" when the line is filtered out */
} cases[] = {
    { "a", "", "a {}" },
    /* line filters */
    { "GET /a 200", "|> `GET <_> 200`", "GET /a 200 {}" },
    { "GET /a 2000", "|> `GET <_> 200`", "" },
    { "GET  200", "|> `GET <_>200`", "GET  200 {}" },
    { "aa", "|> `<_>a`", "aa {}" },
    { "a", "|> `<_>a`", "" },
    { "xabay", "|> `<_>a<_>a<_>`", "xabay {}" },
    { "xaay", "|> `<_>a<_>a<_>`", "" },
    { "GET /a 200", "!> `GET <_>`", "" },
    { "from 10.1.2.3:80 to", "|= ip(`10.1.0.0/16`)", "from 10.1.2.3:80 to {}" },
    { "from 10.2.2.3:80 to", "|= ip(`10.1.0.0/16`)", "" },
    { "v=[2001:db8::7]", "|= ip(`2001:db8::/32`)", "v=[2001:db8::7] {}" },
    { "at 10.0.0.9.", "|= ip(`10.0.0.1-10.0.0.9`)", "at 10.0.0.9. {}" },
    { "no 310.0.0.9", "!= ip(`10.0.0.9`)", "no 310.0.0.9 {}" },
    { "abc", "|= `x` or `b`", "abc {}" },
    { "abc", "!= `x` or `b`", "" },
    /* json */
    { "{\"a\":\"x\",\"b\":{\"c\":1.50,\"d-e\":true},\"l\":[1],\"n\":null,\"1x\":\"y\"}", "| json | line_format ``",
      " {_1x=\"y\", a=\"x\", b_c=\"1.50\", b_d_e=\"true\"}" },
    { "{\"app\":\"other\",\"a\":\"\\u00e9\\ud83d\\ude00\\n\"}", "| json | line_format ``",
      " {a=\"\xc3\xa9\xf0\x9f\x98\x80\\n\", app_extracted=\"other\"}" },
    { "{\"a\":1,\"a\":2}", "| json", "{\"a\":1,\"a\":2} {a=\"1\"}" },
    { "{\"a\":1", "| json", "{\"a\":1 {__error__=\"JSONParserErr\", __error_details__=\"the line is no JSON at byte 7\", a=\"1\"}" },
    { "plain", "| json | __error__=``", "" },
    { "plain", "| json | __error__=`JSONParserErr` | drop __error__, __error_details__", "plain {}" },
    { "{\"a\":{\"b\":[10,{\"c d\":\"x\"}]},\"e\":{\"f\":1}}", "| json x=\"a.b[1][\\\"c d\\\"]\", y=\"e\", z=\"a.b[7]\", e | line_format ``",
      " {e=\"{\\\"f\\\":1}\", x=\"x\", y=\"{\\\"f\\\":1}\"}" },
    /* logfmt */
    { "a=1 b=\"x \\\"y\\\"\" c= d e=f", "| logfmt | line_format ``", " {a=\"1\", b=\"x \\\"y\\\"\", e=\"f\"}" },
    { "a=1 =2 b=3", "| logfmt", "a=1 =2 b=3 {a=\"1\", b=\"3\"}" },
    { "a=1 =2 b=3", "| logfmt --strict",
      "a=1 =2 b=3 {__error__=\"LogfmtParserErr\", __error_details__=\"unexpected '='\", a=\"1\"}" },
    { "a.b=1 c=2", "| logfmt x=\"a.b\", c | line_format ``", " {c=\"2\", x=\"1\"}" },
    /* pattern, regexp, unpack, decolorize */
    { "1.2.3.4 - \"GET /x\" 200 rest", "| pattern `<ip> - \"<method> <_>\" <status> <tail>` | line_format ``",
      " {ip=\"1.2.3.4\", method=\"GET\", status=\"200\", tail=\"rest\"}" },
    { "no match", "| pattern `x<a>`", "no match {}" },
    { "took 15ms at 7", "| regexp `(?P<t>\\d+)ms at (?P<n>\\d)` | line_format ``", " {n=\"7\", t=\"15\"}" },
    { "{\"_entry\":\"the line\",\"pod\":\"p\",\"n\":1}", "| unpack", "the line {pod=\"p\"}" },
    { "\x1b[31mred\x1b[0m \x1b[x", "| decolorize", "red  {}" },
    /* label filters */
    { "d=15ms s=2KB n=7 ip=10.0.0.3 w=x", "| logfmt | d > 10ms and s >= 2KB | n == 7, w != `y` | ip = ip(`10.0.0.0/8`) | line_format ``",
      " {d=\"15ms\", ip=\"10.0.0.3\", n=\"7\", s=\"2KB\", w=\"x\"}" },
    { "n=x", "| logfmt | n > 5 | line_format ``",
      " {__error__=\"LabelFilterErr\", __error_details__=\"n=\\\"x\\\" is no number of that kind\", n=\"x\"}" },
    { "n=4", "| logfmt | n > 5 or missing > 1", "" },
    { "a", "| user = `u1`", "a {}" },
    /* formats */
    { "x", "| line_format `{{.user}}:{{ __line__ | ToUpper }}:{{.missing}}`", "u1:X: {}" },
    { "x", "| line_format `{{- /* no */ -}} a {{- 1 -}} b`", "a1b {}" },
    { "x", "| line_format `{{ if and (eq .user \"u1\") (not .missing) }}yes{{ else if .x }}1{{ else }}no{{ end }}`", "yes {}" },
    { "x", "| line_format `{{ if .missing }}a{{ else if eq .user \"u2\" }}b{{ else }}c{{ if true }}d{{ end }}{{ end }}e`", "cde {}" },
    { "x", "| line_format `{{ Replace \"aaa\" \"a\" \"b\" 2 }} {{ regexReplaceAll \"(a)(b)\" \"abab\" \"${2}$1\" }} {{ trunc 2 \"abc\" }} {{ substr 1 3 \"abcd\" }}`",
      "bba baba ab bc {}" },
    { "x", "| line_format `{{ default \"d\" .missing }} {{ printf \"%05.1f|%-4s|%d|%q\" 1.25 \"a\" 7 \"b\" }} {{ add 1 2 3 }} {{ divf 1 4 }}`",
      "d 001.2|a   |7|\"b\" 6 0.25 {}" },
    { "x", "| line_format `{{ \"a b\" | urlencode }} {{ b64enc \"hi\" }} {{ \"aGk=\" | b64dec }} {{ count \"a\" \"banana\" }} {{ bytes \"2KB\" }} {{ duration \"1m\" }}`",
      "a+b aGk= hi 3 2000 60 {}" },
    { "x", "| line_format `{{ __timestamp__ | date \"2006-01-02T15:04:05.000Z07:00\" }} {{ __timestamp__ | unixEpoch }}`",
      "2023-11-14T22:13:20.000Z 1700000000 {}" },
    { "x", "| line_format `{{ div 1 0 }}`", "x {__error__=\"TemplateFormatErr\", __error_details__=\"template: division by zero\"}" },
    { "a=1", "| logfmt | label_format b=a, c=`<{{.a}}>`", "a=1 {b=\"1\", c=\"<>\"}" },
    { "a=1 b=2 c=3", "| logfmt | drop a, b=`2`, c=`x` | line_format ``", " {c=\"3\"}" },
    { "a=1 b=2", "| logfmt | keep a | line_format ``", " {a=\"1\"}" },
};

/* The pipeline's answer in the form of the table. */
static void run(const struct log_store *s, const char *stages, struct buf *out)
{
    struct arena a = ARENA_INIT(1 << 24);
    struct err e = ERR_INIT;
    struct logql_window w = { .from_ns = ROWS_BASE_MS * 1000000, .to_ns = ROWS_BASE_MS * 1000000 + 1000 };
    struct logql_stream *streams;
    struct logql_expr *x;
    size_t n;

    buf_printf(out, "{kind=\"log\"} %s", stages);
    x = logql_parse(&a, buf_view(out), &e);
    ck_assert_msg(x && logql_lines(s->st, x, w, &a, &streams, &n, &e) == 0, "%s: %s", stages, e.msg);
    buf_reset(out);
    if (n) {
        buf_str(out, streams[0].entries[0].line);
        buf_putc(out, ' ');
        labels_print(out, streams[0].entries[0].parsed);
    }
    arena_free(&a);
}

START_TEST(stages)
{
    struct log_store s;
    struct buf got = BUF_INIT(1 << 16);

    log_store_open(&s);
    log_store_add(&s, 0, "web", cases[_i].line, "u1");
    log_store_commit(&s);
    run(&s, cases[_i].stages, &got);
    ck_assert_msg(str_eqz(buf_view(&got), cases[_i].want), "%s %s:\n  got  %.*s\n  want %s", cases[_i].line, cases[_i].stages,
                  STR_ARG(buf_view(&got)), cases[_i].want);
    buf_free(&got);
    log_store_close(&s);
}
END_TEST

static const char *const printed[] = {
    "{a=\"b\"}",
    "{a=\"b\", c=~\"d|e\"} |= \"x\" or \"y\" !~ \"z\" |> \"<_>a\" != ip(\"10.0.0.0/8\")",
    "{a=\"b\"} | (x>5 and (y=\"z\" or w!=ip(\"1.2.3.4\"))) | json a=\"b.c\", d=\"d\" | logfmt --strict --keep-empty",
    "{a=\"b\"} | pattern \"<x> \" | regexp \"(?P<y>z)\" | unpack | decolorize | line_format \"{{.x}}\" | label_format a=b, c=\"{{.d}}\" | drop e, f=\"g\" | keep h",
    "sum by (a) (rate({a=\"b\"} |= \"x\" [5m]))",
    "quantile_over_time(0.5, {a=\"b\"} | unwrap duration(x) | __error__=\"\" [1h] offset 5m) by (y)",
    "max_over_time({a=\"b\"} | unwrap x [1m]) without (y) / on (a) group_left () sum(count_over_time({a=\"b\"} [1m]))",
};

START_TEST(prints_what_parses_to_the_same)
{
    struct arena a = ARENA_INIT(1 << 20);
    struct buf b = BUF_INIT(1 << 16);
    struct err e = ERR_INIT;
    struct logql_expr *x = logql_parse(&a, str_of(printed[_i]), &e);

    ck_assert_msg(x != NULL, "%s: %s", printed[_i], e.msg);
    logql_print(&b, x);
    ck_assert_msg(str_eqz(buf_view(&b), printed[_i]), "\n  got  %.*s\n  want %s", STR_ARG(buf_view(&b)), printed[_i]);
    buf_free(&b);
    arena_free(&a);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("logql_stage");
    TCase *t = tcase_create("stages");

    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, stages, 0, COUNT(cases));
    tcase_add_loop_test(t, prints_what_parses_to_the_same, 0, COUNT(printed));
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
