#include "base/mem.h"
#include "query/logql.h"
#include "tests/unit/unit.h"

#include <ftw.h>
#include <stdio.h>
#include <unistd.h>

/* --- parsing ----------------------------------------------------------------------------------------------------- */

static const struct {
    const char *in, *msg; /* msg NULL: it parses */
} cases[] = {
    { "{kind=\"log\"}", NULL },
    { " { kind = `log` , app =~ \"a.*\", } # all", NULL },
    { "({kind=\"log\"} |= \"a\")", NULL },
    { "{kind=\"log\"} |= \"a\" or `b` != \"c\" |~ \"d+\" !~ \"e\" |> \"<_> x <_>\" !> \"y\" |= ip(\"10.0.0.0/8\")", NULL },
    { "{kind=\"log\"} | status >= 500 and (pod=\"x\" or duration > 10ms), size < 1.5KB", NULL },
    { "{kind=\"log\"} | addr = ip(\"10.0.0.1-10.0.0.9\") | json | json a, b=\"x.y[0][\\\"z z\\\"]\" | logfmt --strict --keep-empty", NULL },
    { "{kind=\"log\"} | pattern \"<ip> <_> <m>\" | regexp \"(?P<x>a)\" | unpack | decolorize | drop a, b=\"c\" | keep d", NULL },
    { "{kind=\"log\"} | line_format \"{{.a | ToUpper}}\" | label_format a=b, c=\"{{ if eq .x `y` }}z{{ else }}w{{ end }}\"", NULL },
    { "rate({kind=\"log\"} |= \"a\" [5m])", NULL },
    { "sum by (a) (count_over_time({kind=\"log\"}[5m] offset 1h)) / on (a) group_left avg_over_time({kind=\"log\"} | json | "
      "unwrap duration(x) | __error__=\"\" [1h30m]) by (a)", NULL },
    { "topk(3, quantile_over_time(0.99, {kind=\"log\"} | unwrap bytes(x) [5m]) without (a, b)) > bool 5 or vector(0)", NULL },
    { "label_replace(rate({kind=\"log\"}[1m]), \"a\", \"$1\", \"b\", \"(.*)\")", NULL },
    { "", "parse error at line 1, col 1: syntax error: unexpected $end, expecting a selector of streams, as in {app=\"web\"}" },
    { "kind", "parse error at line 1, col 1: unexpected identifier \"kind\", expected an aggregation over log lines, as in "
      "rate({app=\"web\"}[5m])" },
    { "{kind=", "parse error at line 1, col 7: syntax error: unexpected $end, expecting STRING" },
    { "{kind=log}", "parse error at line 1, col 7: syntax error: unexpected IDENTIFIER, expecting STRING" },
    { "{kind \"log\"}", "parse error at line 1, col 7: syntax error: unexpected STRING, expecting = or != or =~ or !~" },
    { "{kind=\"log\"", "parse error at line 1, col 12: syntax error: unexpected $end, expecting }" },
    { "{kind=\"log\"}\n  foo", "parse error at line 2, col 3: syntax error: unexpected IDENTIFIER" },
    { "{kind=\"log\"} |= 5", "parse error at line 1, col 17: syntax error: unexpected NUMBER, expecting STRING" },
    { "{kind=\"log\"} |= \"x", "parse error at line 1, col 17: literal not terminated" },
    { "{kind=\"log\"} |= \"\\q\"", "parse error at line 1, col 17: invalid string literal: invalid syntax" },
    { "{kind=\"log\"} | status", "parse error at line 1, col 22: syntax error: unexpected $end, expecting a comparison" },
    { "{kind=\"log\"} | status > 5zz",
      "parse error at line 1, col 25: syntax error: unexpected \"5zz\", expecting a number, a duration as in 10ms, or "
      "bytes as in 1KB" },
    { "{kind=\"log\"} | (a=\"b\"", "parse error at line 1, col 22: syntax error: unexpected $end, expecting )" },
    { "{kind=\"log\"} | pod=~\"(\"",
      "parse error at line 1, col 16: regular expression \"(\": at 1: missing closing parenthesis" },
    { "{kind=\"log\"} %", "parse error at line 1, col 14: syntax error: invalid character" },
    { "{kind=\"log\"} | unwrap x", "parse error at line 1, col 14: syntax error: unexpected |" },
    { "{kind=\"log\"} | a = ip(\"x\")",
      "parse error at line 1, col 23: ip: \"x\" should be an address, a prefix as in 10.0.0.0/8, or a range as in "
      "10.0.0.1-10.0.0.9" },
    { "{kind=\"log\"} | logfmt --x", "parse error at line 1, col 23: syntax error: unexpected --x, expecting --strict or --keep-empty" },
    { "{kind=\"log\"} | json a=\"b..c\"", "parse error at line 1, col 23: cannot parse expression [b..c]: should be a path of at "
      "most 32 steps, as in a.b[0][\"c d\"]" },
    { "{kind=\"log\"} | pattern \"<a><b>\"", "parse error at line 1, col 24: invalid pattern: found consecutive capture '<b>', "
      "should have text between captures" },
    { "{kind=\"log\"} | pattern \"<_>\"", "parse error at line 1, col 24: invalid pattern: at least one capture is required, as in "
      "<status>" },
    { "{kind=\"log\"} |> \"<a>\"", "parse error at line 1, col 17: invalid pattern: '<a>' should be <_>: a line filter has no names" },
    { "{kind=\"log\"} | regexp \"a\"", "parse error at line 1, col 23: at least one named capture must be supplied, as in "
      "(?P<status>\\d+)" },
    { "{kind=\"log\"} | line_format \"{{.a\"", "parse error at line 1, col 28: invalid line template: unclosed action \".a\"" },
    { "{kind=\"log\"} | line_format \"{{ nope .a }}\"", "parse error at line 1, col 28: invalid line template: function not defined "
      "\"nope\"" },
    { "{kind=\"log\"} | line_format \"{{ if .a }}\"", "parse error at line 1, col 28: invalid line template: {{ end }} is missing" },
    { "{kind=\"log\"} | line_format \"{{ range .a }}\"", "parse error at line 1, col 28: invalid line template: only if, else and "
      "end are offered, not \"range\"" },
    { "{kind=\"log\"} | label_format a=b, a=c", "parse error at line 1, col 34: multiple label name 'a' not allowed in a single "
      "format operation" },
    { "rate({kind=\"log\"})", "parse error at line 1, col 18: syntax error: unexpected ), expecting a range, as in [5m]" },
    { "rate({kind=\"log\"}[0s])", "parse error at line 1, col 19: invalid duration: \"0s\" should be a millisecond at least" },
    { "sum_over_time({kind=\"log\"}[5m])", "parse error at line 1, col 1: invalid aggregation sum_over_time without unwrap" },
    { "count_over_time({kind=\"log\"} | unwrap x [5m])", "parse error at line 1, col 1: invalid aggregation count_over_time with "
      "unwrap" },
    { "rate({kind=\"log\"}[5m]) by (a)", "parse error at line 1, col 1: grouping not allowed for rate aggregation" },
    { "rate({kind=\"log\"} | unwrap x | json [5m])", "parse error at line 1, col 30: syntax error: only label filters may stand "
      "behind unwrap" },
    { "deriv({kind=\"log\"}[5m])", "parse error at line 1, col 1: unknown function with name \"deriv\"" },
    { "sum(rate({kind=\"log\"}[5m])", "parse error at line 1, col 27: unclosed left parenthesis" },
    { "sum by (rate({kind=\"log\"}[5m]))", "parse error at line 1, col 13: unexpected \"(\" in grouping opts, expected \",\" or \")\"" },
    { "rate({kind=\"log\"}[5m]) + {kind=\"log\"}", "parse error at line 1, col 26: unexpected \"{\"" },
    { "{app=~\".*\"}",
      "parse error : queries require at least one regexp or equality matcher that does not have an empty-compatible "
      "value. For instance, app=~\".*\" does not meet this requirement, but app=~\".+\" will" },
};

START_TEST(parses)
{
    struct arena a = ARENA_INIT(1 << 20);
    struct err e = ERR_INIT;
    struct logql_expr *x = logql_parse(&a, str_of(cases[_i].in), &e);

    if (cases[_i].msg) {
        ck_assert_msg(!x, "%s: parses", cases[_i].in);
        ck_assert_str_eq(e.msg, cases[_i].msg);
        ck_assert_int_eq(e.code, ERR_PARSE);
    } else {
        ck_assert_msg(x != NULL, "%s: %s", cases[_i].in, e.msg);
    }
    arena_free(&a);
}
END_TEST

START_TEST(depth_is_bounded)
{
    struct arena a = ARENA_INIT(1 << 22);
    struct buf b = BUF_INIT(1 << 16);
    struct err e = ERR_INIT;

    buf_puts(&b, "{kind=\"log\"} | ");
    for (int i = 0; i < 10000; i++)
        buf_puts(&b, _i ? "a=\"b\" or " : "(");
    ck_assert_ptr_null(logql_parse(&a, buf_view(&b), &e));
    ck_assert_ptr_nonnull(strstr(e.msg, "label filter nested too deeply"));
    buf_free(&b);
    arena_free(&a);
}
END_TEST

/* --- running ----------------------------------------------------------------------------------------------------- */

struct world {
    char dir[40];
    struct store *st;
    struct arena arena;
};

static struct world world;
static const int64_t BASE = 1700000000000000000;

static int64_t at_second(int second)
{
    return BASE + (int64_t)second * 1000000000;
}

static void set_text(union event_value *v, enum event_kind kind, const char *column, const char *text)
{
    int i = event_column_index(kind, str_of(column));

    ck_assert_int_ge(i, 0);
    v[i].s = str_of(text);
}

static void add_access(struct batch *b, int second, const char *app, const char *path, int64_t code, int64_t duration_us)
{
    union event_value *v = arena_array(&world.arena, ACCESS_LOG_NFIELDS, sizeof(*v));
    struct event ev = { at_second(second), v, { NULL, 0 } };

    for (size_t i = 0; i < ACCESS_LOG_NFIELDS; i++)
        if (!access_log_fields[i].is_text)
            v[i].i = -1;
    set_text(v, EVENT_ACCESS_LOG, "app", app);
    set_text(v, EVENT_ACCESS_LOG, "namespace", "shop");
    set_text(v, EVENT_ACCESS_LOG, "reporter", "source");
    set_text(v, EVENT_ACCESS_LOG, "destination_service_name", "cart");
    set_text(v, EVENT_ACCESS_LOG, "method", "GET");
    set_text(v, EVENT_ACCESS_LOG, "path", path);
    set_text(v, EVENT_ACCESS_LOG, "protocol", "HTTP/1.1");
    v[ACCESS_LOG_response_code].i = code;
    v[ACCESS_LOG_duration_us].i = duration_us;
    ck_assert_int_eq(batch_add_event(b, EVENT_ACCESS_LOG, &ev), 0);
}

static void add_log(struct batch *b, int second, const char *app, const char *body, const char *attribute)
{
    union event_value *v = arena_array(&world.arena, LOG_NCOLUMNS, sizeof(*v));
    struct label *l = arena_array(&world.arena, 1, sizeof(*l));
    struct event ev = { at_second(second), v, { l, 1 } };

    *l = (struct label){ STR("thread"), str_of(attribute) };
    set_text(v, EVENT_LOG, "app", app);
    set_text(v, EVENT_LOG, "namespace", "shop");
    set_text(v, EVENT_LOG, "pod", "pod-1");
    set_text(v, EVENT_LOG, "body", body);
    ck_assert_int_eq(batch_add_event(b, EVENT_LOG, &ev), 0);
}

static void add_span(struct batch *b, int second, const char *app, const char *name, int64_t ns, int64_t status)
{
    union event_value *v = arena_array(&world.arena, SPAN_NCOLUMNS, sizeof(*v));
    struct event ev = { at_second(second), v, { NULL, 0 } };

    set_text(v, EVENT_SPAN, "app", app);
    set_text(v, EVENT_SPAN, "service", "cart.shop");
    set_text(v, EVENT_SPAN, "name", name);
    set_text(v, EVENT_SPAN, "trace_id", "0af7651916cd43dd8448eb211c80319c");
    set_text(v, EVENT_SPAN, "span_id", "b7ad6b7169203331");
    set_text(v, EVENT_SPAN, "kind", "server");
    v[SPAN_duration_ns].i = ns;
    v[SPAN_status].i = status;
    ck_assert_int_eq(batch_add_event(b, EVENT_SPAN, &ev), 0);
}

static void open_world(void)
{
    struct err e = ERR_INIT;
    struct batch b;

    world = (struct world){ .arena = ARENA_INIT(0) };
    strcpy(world.dir, "/tmp/vigla-logql-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(world.dir));
    world.st = store_open(world.dir, NULL, &e);
    ck_assert_msg(world.st != NULL, "%s", e.msg);
    batch_init(&b, &world.arena);
    add_access(&b, 1, "web", "/ok", 200, 1500);
    add_access(&b, 4, "web", "/bad", 503, 20000);
    add_access(&b, 7, "api", "/tcp", 0, 3000);
    add_log(&b, 2, "web", "started, all well", "main");
    add_log(&b, 5, "web", "error: cannot reach cart", "worker");
    add_log(&b, 8, "api", "warning: slow", "worker");
    add_span(&b, 3, "web", "GET /ok", 12300000, 1);
    add_span(&b, 6, "web", "GET /bad", 850, 2);
    ck_assert_msg(store_commit(world.st, &b, &e) == 0, "%s", e.msg);
}

static int unlink_one(const char *path, const struct stat *sb, int type, struct FTW *at)
{
    (void)sb;
    (void)type;
    (void)at;
    return remove(path);
}

static void close_world(void)
{
    store_close(world.st);
    nftw(world.dir, unlink_one, 8, FTW_DEPTH | FTW_PHYS);
    arena_free(&world.arena);
}

/* The answer as "second:line|…", all streams together by stream; lines of access logs by their path. */
static void answer(const char *query, size_t limit, bool newest_first, struct buf *out)
{
    struct arena a = ARENA_INIT(1 << 22);
    struct err e = ERR_INIT;
    struct logql_window w = { .from_ns = at_second(0), .to_ns = at_second(100), .limit = limit, .newest_first = newest_first };
    struct logql_expr *x = logql_parse(&a, str_of(query), &e);
    struct logql_stream *s;
    size_t n;

    ck_assert_msg(x && logql_lines(world.st, x, w, &a, &s, &n, &e) == 0, "%s: %s", query, e.msg);
    for (size_t i = 0; i < n; i++) {
        if (i && labels_cmp(s[i - 1].labels, s[i].labels) >= 0)
            ck_abort_msg("%s: streams out of order", query);
        for (size_t k = 0; k < s[i].n; k++)
            buf_printf(out, "%lld ", (long long)((s[i].entries[k].time_ns - BASE) / 1000000000));
    }
    arena_free(&a);
}

static const struct {
    const char *query;
    size_t limit;
    bool newest_first;
    const char *seconds; /* streams in order: api before web, access_log before log before span */
} runs[] = {
    { "{kind=\"access_log\"}", 0, false, "7 1 4 " },
    { "{kind=\"access_log\"}", 0, true, "7 4 1 " },
    { "{kind=\"log\"}", 100, false, "8 2 5 " },
    { "{kind=\"span\"}", 100, false, "3 6 " },
    { "{kind=~\"log|span\", app=\"web\"}", 100, false, "2 5 3 6 " },
    { "{app=~\".+\"}", 100, false, "7 8 1 4 2 5 3 6 " },
    { "{app=~\".+\"}", 3, false, "1 2 3 " },
    { "{app=~\".+\"}", 3, true, "7 8 6 " },
    { "{app!=\"web\", namespace=\"shop\"}", 100, false, "7 8 " },
    { "{service=\"cart\"}", 100, false, "7 1 4 " },
    { "{service=\"cart.shop\"}", 100, false, "3 6 " },
    { "{reporter=\"source\"}", 100, false, "7 1 4 " },
    { "{app=\"web\", reporter=\"\"}", 100, false, "2 5 3 6 " },
    { "{pod=\"pod-1\"}", 100, false, "8 2 5 " }, /* a column, and */
    { "{thread=\"worker\"}", 100, false, "8 5 " }, /* an attribute, as what was pushed so */
    { "{app=~\".+\"} | pod=\"pod-1\"", 100, false, "8 2 5 " },
    { "{kind=\"access_log\"} | status >= 500", 100, false, "4 " },
    { "{kind=\"access_log\"} | status < 500", 100, false, "7 1 " },
    { "{kind=\"access_log\"} | response_code = 503", 1, false, "4 " },
    { "{kind=\"access_log\"} | response_code = \"503\"", 1, false, "4 " },
    { "{kind=\"access_log\"} | response_code != \"503\"", 1, false, "1 " },
    { "{kind=\"access_log\"} | response_code =~ \"5..\"", 9, false, "4 " },
    { "{kind=\"access_log\"} | bytes_sent < 10", 9, false, "" }, /* unset is no number */
    { "{kind=\"access_log\"} | duration > 2ms", 100, false, "7 4 " },
    { "{kind=\"span\"} | duration > 1us", 100, false, "3 " },
    { "{app=~\".+\"} | duration > 10ms", 100, false, "4 3 " },
    { "{kind=\"span\"} | status = 2 or name = \"GET /ok\"", 100, false, "3 6 " },
    { "{kind=\"span\"} | span_kind = \"server\" and status = 1", 100, false, "3 " },
    { "{kind=\"log\"} | thread=\"worker\"", 100, false, "8 5 " },
    { "{kind=\"log\"} | thread!=\"worker\"", 100, false, "2 " },
    { "{kind=\"log\"} |= \"error\"", 100, false, "5 " },
    { "{kind=\"log\"} != \"error\" != \"slow\"", 100, false, "2 " },
    { "{kind=\"log\"} != \"error\" or \"slow\"", 100, false, "2 " },
    { "{kind=\"log\"} |= \"error\" or \"slow\"", 1, true, "8 " },
    { "{kind=\"log\"} |~ \"^(error|warning):\"", 100, false, "8 5 " },
    { "{kind=\"log\"} !~ \"^(error|warning):\"", 100, false, "2 " },
    { "{app=~\".+\"} |= \"/bad\"", 100, false, "4 6 " },
    { "{app=~\".+\"} |= \"/bad\" | status > 2", 100, false, "4 " },
};

START_TEST(finds)
{
    struct buf got = BUF_INIT(1 << 12);

    open_world();
    answer(runs[_i].query, runs[_i].limit, runs[_i].newest_first, &got);
    ck_assert_msg(str_eqz(buf_view(&got), runs[_i].seconds), "%s: \"%.*s\", want \"%s\"", runs[_i].query,
                  STR_ARG(buf_view(&got)), runs[_i].seconds);
    buf_free(&got);
    close_world();
}
END_TEST

static void check_line(const char *query, const char *labels, const char *line, const char *metadata)
{
    struct arena a = ARENA_INIT(1 << 22);
    struct err e = ERR_INIT;
    struct logql_window w = { .from_ns = at_second(0), .to_ns = at_second(100), .limit = 1, .newest_first = false };
    struct logql_expr *x = logql_parse(&a, str_of(query), &e);
    struct buf b = BUF_INIT(1 << 16);
    struct logql_stream *s;
    size_t n;

    ck_assert_msg(x && logql_lines(world.st, x, w, &a, &s, &n, &e) == 0, "%s: %s", query, e.msg);
    ck_assert_uint_eq(n, 1);
    labels_print(&b, s->labels);
    ck_assert_msg(str_eqz(buf_view(&b), labels), "%.*s", STR_ARG(buf_view(&b)));
    ck_assert_msg(str_find(s->entries->line, str_of(line)) >= 0, "%.*s", STR_ARG(s->entries->line));
    ck_assert_int_lt((int)str_chr(s->entries->line, '\n'), 0);
    buf_reset(&b);
    labels_print(&b, s->entries->metadata);
    ck_assert_msg(str_eqz(buf_view(&b), metadata), "%.*s", STR_ARG(buf_view(&b)));
    buf_free(&b);
    arena_free(&a);
}

START_TEST(shows_lines_and_metadata)
{
    open_world();
    check_line("{kind=\"access_log\"} |= \"/bad\"",
               "{app=\"web\", kind=\"access_log\", namespace=\"shop\", reporter=\"source\", service=\"cart\"}",
               "\"GET /bad HTTP/1.1\" 503 ",
               "{duration_us=\"20000\", method=\"GET\", path=\"/bad\", protocol=\"HTTP/1.1\", response_code=\"503\"}");
    check_line("{kind=\"log\"} |= \"error\"", "{app=\"web\", kind=\"log\", namespace=\"shop\"}", "error: cannot reach cart",
               "{pod=\"pod-1\", thread=\"worker\"}");
    check_line("{kind=\"span\"} |= \"/ok\"", "{app=\"web\", kind=\"span\", service=\"cart.shop\"}",
               "GET /ok duration=12.3ms status=ok trace_id=0af7651916cd43dd8448eb211c80319c",
               "{duration_ns=\"12300000\", name=\"GET /ok\", span_id=\"b7ad6b7169203331\", span_kind=\"server\", "
               "status=\"1\", trace_id=\"0af7651916cd43dd8448eb211c80319c\"}");
    close_world();
}
END_TEST

static void check_names(const struct str *v, size_t n, const char *want)
{
    struct buf b = BUF_INIT(1 << 12);

    for (size_t i = 0; i < n; i++)
        buf_printf(&b, "%.*s ", STR_ARG(v[i]));
    ck_assert_msg(str_eqz(buf_view(&b), want), "\"%.*s\", want \"%s\"", STR_ARG(buf_view(&b)), want);
    buf_free(&b);
}

START_TEST(lists_labels)
{
    struct arena a = ARENA_INIT(1 << 22);
    struct logql_window all = { .from_ns = at_second(0), .to_ns = at_second(100) };
    struct logql_window none = { .from_ns = at_second(200), .to_ns = at_second(300) };
    struct err e = ERR_INIT;
    struct str *v;
    size_t n;

    open_world();
    ck_assert_int_eq(logql_label_names(world.st, all, &a, &v, &n, &e), 0);
    check_names(v, n, "app kind namespace reporter service thread ");
    ck_assert_int_eq(logql_label_names(world.st, none, &a, &v, &n, &e), 0);
    check_names(v, n, "");
    ck_assert_int_eq(logql_label_values(world.st, STR("kind"), all, &a, &v, &n, &e), 0);
    check_names(v, n, "access_log log span ");
    ck_assert_int_eq(logql_label_values(world.st, STR("service"), all, &a, &v, &n, &e), 0);
    check_names(v, n, "cart cart.shop ");
    ck_assert_int_eq(logql_label_values(world.st, STR("app"), none, &a, &v, &n, &e), 0);
    check_names(v, n, "");
    ck_assert_int_eq(logql_label_values(world.st, STR("pod"), all, &a, &v, &n, &e), 0);
    check_names(v, n, "pod-1 ");
    ck_assert_int_eq(logql_label_values(world.st, STR("thread"), all, &a, &v, &n, &e), 0);
    check_names(v, n, "main worker ");
    ck_assert_int_eq(logql_label_values(world.st, STR("nobody"), all, &a, &v, &n, &e), 0);
    check_names(v, n, "");
    close_world();
    arena_free(&a);
}
END_TEST

START_TEST(survives_failing_allocations)
{
    const char *query = "{app=~\".+\"} |~ \"bad|error\" | status > 1 or thread=\"worker\"";

    open_world();
    for (long n = 1;; n++) {
        struct arena a = ARENA_INIT(1 << 24);
        struct err e = ERR_INIT;
        struct logql_window w = { .from_ns = at_second(0), .to_ns = at_second(100), .limit = 10, .newest_first = false };
        struct logql_expr *x;
        struct logql_stream *s;
        size_t count;
        int rc = ERR_NOMEM, failed;

        mem_fail_at(n);
        x = logql_parse(&a, str_of(query), &e);
        if (x)
            rc = logql_lines(world.st, x, w, &a, &s, &count, &e);
        failed = mem_has_failed();
        mem_fail_at(0);
        ck_assert_msg(rc == 0 || e.msg[0], "allocation %ld: no message", n);
        arena_free(&a);
        if (!failed) {
            ck_assert_int_eq(rc, 0);
            break;
        }
    }
    close_world();
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("logql");
    TCase *t = tcase_create("logql");

    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, parses, 0, COUNT(cases));
    tcase_add_loop_test(t, depth_is_bounded, 0, 2);
    tcase_add_loop_test(t, finds, 0, COUNT(runs));
    tcase_add_test(t, shows_lines_and_metadata);
    tcase_add_test(t, lists_labels);
    tcase_add_test(t, survives_failing_allocations);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
