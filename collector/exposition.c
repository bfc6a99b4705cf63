/* exposition.c: lines to items: what every scrape does for every line, so it looks at as few bytes as it can.
 *
 * Problem    Where a line's series ends can be told from the left by reading all labels with their quotes, which is
 *            most of the line; but nearly every line has been seen before, and all that is wanted is its bytes.
 * Idea       From the right: `…} VALUE` and `…} VALUE TIME` have their last brace right before the last one or two
 *            words. That brace is the series' end in every well-formed line: behind the series stand only numbers
 *            (and in OpenMetrics an exemplar, whose "#" sends the line to the slow way).
 * Invariant  A malformed line may be cut wrongly. Then its series is malformed too, exposition_series refuses it, and
 *            so nobody ever knows these bytes as a series. */
#include "collector/exposition.h"

#include "base/num.h"
#include "collector/exposition_number-internal.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

enum { SHOWN = 60 }; /* bytes of a line that an error repeats */

static bool blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct str skip_blanks(struct str s)
{
    while (s.n && blank(*s.p)) {
        s.p++;
        s.n--;
    }
    return s;
}

static struct str take_word(struct str *rest)
{
    struct str s = *rest;
    size_t n = 0;

    while (n < s.n && !blank(s.p[n]))
        n++;
    *rest = skip_blanks(str_from(s, n));
    return (struct str){ s.p, n };
}

__attribute__((format(printf, 4, 5))) static int fail(const struct exposition *x, struct err *e, struct str got,
                                                      const char *fmt, ...)
{
    char text[256];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return err_set(e, ERR_PARSE, "line %zu: %s, got \"%.*s\"", x->line, text, (int)(got.n < SHOWN ? got.n : SHOWN),
                   got.p ? got.p : "");
}

void exposition_init(struct exposition *x, enum exposition_format format, struct str text)
{
    *x = (struct exposition){ .format = format, .at = text.p, .end = text.p ? text.p + text.n : NULL };
}

/* --- where the series ends --- */

/* Length up to the closing brace, or of the bare name; 0: there is no end. */
static size_t end_from_left(struct str line)
{
    bool quoted = false;
    size_t name = 0, at;

    while (name < line.n && !blank(line.p[name]) && line.p[name] != '{')
        name++;
    at = (size_t)(skip_blanks(str_from(line, name)).p - line.p);
    if (at >= line.n || line.p[at] != '{')
        return name;
    for (at++; at < line.n; at++) {
        char c = line.p[at];

        if (c == '"')
            quoted = !quoted;
        else if (quoted && c == '\\')
            at++;
        else if (!quoted && c == '}')
            return at + 1;
    }
    return 0;
}

/* Length without the last word and the blanks before it. */
static size_t without_last_word(struct str line, size_t n)
{
    while (n && !blank(line.p[n - 1]))
        n--;
    while (n && blank(line.p[n - 1]))
        n--;
    return n;
}

static size_t series_end(enum exposition_format format, struct str line)
{
    size_t n = without_last_word(line, line.n);

    if (n && line.p[n - 1] != '}')
        n = without_last_word(line, n);
    if (n && line.p[n - 1] == '}' && (format == EXPOSITION_TEXT || !memchr(line.p, '#', line.n)))
        return n;
    return end_from_left(line);
}

/* --- samples --- */

static bool take_time(enum exposition_format format, struct str word, int64_t *ms)
{
    double seconds;

    if (format == EXPOSITION_TEXT)
        return num_i64(word, ms);
    if (!exposition_number(word, &seconds) || !(fabs(seconds) < 9e15))
        return false;
    *ms = (int64_t)(seconds * 1000);
    return true;
}

static int read_sample(const struct exposition *x, struct str line, struct exposition_item *item, struct err *e)
{
    size_t n = series_end(x->format, line);
    struct str rest, word;

    if (n == 0)
        return fail(x, e, line, "should be NAME{LABELS} VALUE [TIME]");
    item->kind = EXPOSITION_SAMPLE;
    item->series = (struct str){ line.p, n };
    item->has_time = false;
    item->exemplar = STR_NULL;
    rest = skip_blanks(str_from(line, n));
    word = take_word(&rest);
    if (!exposition_number(word, &item->value))
        return fail(x, e, word, "after the series should be its value, a number");
    if (rest.n && !(x->format == EXPOSITION_OPENMETRICS && *rest.p == '#')) {
        word = take_word(&rest);
        if (!take_time(x->format, word, &item->t_ms))
            return fail(x, e, word, "after the value should be a time in %s",
                        x->format == EXPOSITION_TEXT ? "milliseconds" : "seconds");
        item->has_time = true;
    }
    if (rest.n && x->format == EXPOSITION_OPENMETRICS && *rest.p == '#') {
        item->exemplar = skip_blanks(str_from(rest, 1));
        if (item->exemplar.n == 0 || *item->exemplar.p != '{')
            return fail(x, e, item->exemplar, "an exemplar should be # {LABELS} VALUE [TIME]");
    } else if (rest.n) {
        return fail(x, e, rest, "after value and time the line should end");
    }
    return 1;
}

/* --- metadata --- */

static bool take_type(enum exposition_format format, struct str *text)
{
    static const struct {
        struct str name;
        bool openmetrics_only;
    } types[] = {
        { STR_INIT("counter"), false },   { STR_INIT("gauge"), false },          { STR_INIT("histogram"), false },
        { STR_INIT("summary"), false },   { STR_INIT("gaugehistogram"), true },  { STR_INIT("info"), true },
        { STR_INIT("stateset"), true },   { STR_INIT("unknown"), true },
    };

    if (format == EXPOSITION_TEXT && str_eqz(*text, "untyped")) {
        *text = STR("unknown");
        return true;
    }
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (str_eq(*text, types[i].name))
            return format == EXPOSITION_OPENMETRICS || !types[i].openmetrics_only;
    return false;
}

/* "name" in quotes may hold blanks. */
static struct str take_metric(struct str *rest)
{
    struct str s = *rest;
    size_t n = 1;

    if (s.n == 0 || *s.p != '"')
        return take_word(rest);
    while (n < s.n && s.p[n] != '"')
        n += s.p[n] == '\\' ? 2 : 1;
    if (n >= s.n)
        return STR_NULL;
    *rest = skip_blanks(str_from(s, n + 1));
    return (struct str){ s.p, n + 1 };
}

/* 1: an item; 0: a comment, or the end. */
static int read_comment(struct exposition *x, struct str line, struct exposition_item *item, struct err *e)
{
    struct str rest = skip_blanks(str_from(line, 1)), word = take_word(&rest);
    bool openmetrics = x->format == EXPOSITION_OPENMETRICS;

    if (openmetrics && str_eqz(line, "# EOF")) {
        x->ended = true;
        return 0;
    }
    if (str_eqz(word, "HELP"))
        item->kind = EXPOSITION_HELP;
    else if (str_eqz(word, "TYPE"))
        item->kind = EXPOSITION_TYPE;
    else if (openmetrics && str_eqz(word, "UNIT"))
        item->kind = EXPOSITION_UNIT;
    else
        return openmetrics ? fail(x, e, line, "should be # HELP, # TYPE, # UNIT or # EOF") : 0;
    if (!blank(line.p[1]))
        return openmetrics ? fail(x, e, line, "behind # should be a blank") : 0;
    item->metric = take_metric(&rest);
    if (item->metric.n == 0)
        return fail(x, e, rest, "after %.*s should be a metric's name", STR_ARG(word));
    item->text = rest;
    if (item->kind == EXPOSITION_TYPE && !take_type(x->format, &item->text))
        return fail(x, e, rest, "should be a type: counter, gauge, histogram, summary or %s",
                    openmetrics ? "another of OpenMetrics" : "untyped");
    return 1;
}

static struct str trim_end(struct str s)
{
    while (s.n && blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

int exposition_next(struct exposition *x, struct exposition_item *item, struct err *e)
{
    while (x->at < x->end) {
        const char *newline = memchr(x->at, '\n', (size_t)(x->end - x->at));
        struct str line = { x->at, (size_t)((newline ? newline : x->end) - x->at) };
        int rc = 0;

        x->line++;
        x->at = newline ? newline + 1 : x->end;
        if (x->ended)
            return fail(x, e, line, "nothing should stand behind # EOF");
        if (x->format == EXPOSITION_TEXT)
            line = trim_end(skip_blanks(line));
        else if (line.n == 0)
            return fail(x, e, line, "should not be empty");
        if (line.n && *line.p == '#')
            rc = read_comment(x, line, item, e);
        else if (line.n)
            rc = read_sample(x, line, item, e);
        if (rc)
            return rc;
    }
    if (x->format == EXPOSITION_OPENMETRICS && !x->ended)
        return err_set(e, ERR_PARSE, "line %zu: the text should end with # EOF", x->line);
    return 0;
}

/* --- names, escapes, labels --- */

static struct str unescape(struct arena *a, struct str s, bool quotes)
{
    size_t n = 0;
    char *to;

    if (s.n == 0 || !memchr(s.p, '\\', s.n))
        return s.n ? s : STR("");
    to = arena_alloc(a, s.n);
    if (!to)
        return STR_NULL;
    for (size_t i = 0; i < s.n; i++) {
        char next = s.p[i] == '\\' && i + 1 < s.n ? s.p[i + 1] : '\0';

        if (next == '\\' || next == 'n' || (quotes && next == '"')) {
            to[n++] = next == 'n' ? '\n' : next;
            i++;
        } else {
            to[n++] = s.p[i];
        }
    }
    return (struct str){ to, n };
}

struct str exposition_text(struct arena *a, struct str text)
{
    return unescape(a, text, false);
}

struct str exposition_name(struct arena *a, struct str metric)
{
    if (metric.n >= 2 && *metric.p == '"')
        return unescape(a, (struct str){ metric.p + 1, metric.n - 2 }, true);
    return metric;
}

/* One series being read: `rest` is what has not been looked at. */
struct series_reader {
    const struct exposition *x;
    struct arena *arena;
    struct str rest;
    struct label *v;
    size_t n, cap;
};

static int add_label(struct series_reader *r, struct str name, struct str value, struct err *e)
{
    if (!name.p || !value.p || arena_grow(r->arena, &r->v, &r->cap, r->n + 1, sizeof(*r->v)) < 0)
        return err_set(e, ERR_NOMEM, "no memory for labels");
    if (!str_is_utf8(name) || !str_is_utf8(value))
        return fail(r->x, e, name, "name and value of a label should be UTF-8");
    r->v[r->n++] = (struct label){ name, value };
    return 0;
}

static bool name_byte(char c, bool first, bool colon)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (colon && c == ':') ||
           (!first && c >= '0' && c <= '9');
}

static struct str take_plain_name(struct series_reader *r, bool colon)
{
    struct str name = { r->rest.p, 0 };

    while (name.n < r->rest.n && name_byte(name.p[name.n], name.n == 0, colon))
        name.n++;
    r->rest = skip_blanks(str_from(r->rest, name.n));
    return name;
}

/* "…" with its quotes off; p NULL when it does not end. The rest begins behind it. */
static struct str take_quoted(struct series_reader *r, bool *nomem)
{
    struct str s = r->rest, inner;
    size_t n = 1;

    *nomem = false;
    while (n < s.n && s.p[n] != '"')
        n += s.p[n] == '\\' ? 2 : 1;
    if (n >= s.n)
        return STR_NULL;
    r->rest = skip_blanks(str_from(s, n + 1));
    inner = unescape(r->arena, (struct str){ s.p + 1, n - 1 }, true);
    *nomem = !inner.p;
    return inner;
}

static int take_value(struct series_reader *r, struct str name, struct err *e)
{
    struct str value;
    bool nomem;

    r->rest = skip_blanks(str_from(r->rest, 1)); /* the "=" */
    if (r->rest.n == 0 || *r->rest.p != '"')
        return fail(r->x, e, r->rest, "label %.*s: after = should be a value in double quotes", STR_ARG(name));
    value = take_quoted(r, &nomem);
    if (!value.p && !nomem)
        return fail(r->x, e, r->rest, "label %.*s: its value should end with a double quote", STR_ARG(name));
    return add_label(r, name, value, e);
}

/* name="value", "name"="value", or the metric's own "name", which has no value. */
static int take_member(struct series_reader *r, struct err *e)
{
    bool quoted = *r->rest.p == '"', nomem = false;
    struct str name = quoted ? take_quoted(r, &nomem) : take_plain_name(r, false);

    if (nomem)
        return err_set(e, ERR_NOMEM, "no memory for labels");
    if (name.n == 0)
        return fail(r->x, e, r->rest, "should be a label's name, as in a=\"b\" or \"a.b\"=\"c\"");
    if (r->rest.n && *r->rest.p == '=')
        return take_value(r, name, e);
    if (!quoted)
        return fail(r->x, e, r->rest, "label %.*s: after its name should be =\"VALUE\"", STR_ARG(name));
    if (r->n && str_eqz(r->v[0].name, "__name__"))
        return fail(r->x, e, name, "the metric's name stands twice");
    if (add_label(r, STR("__name__"), name, e) < 0)
        return e ? e->code : ERR_NOMEM;
    if (r->n > 1) {
        struct label first = r->v[0];

        r->v[0] = r->v[r->n - 1];
        r->v[r->n - 1] = first;
    }
    return 0;
}

static int take_members(struct series_reader *r, struct err *e)
{
    r->rest = skip_blanks(str_from(r->rest, 1)); /* the "{" */
    while (r->rest.n && *r->rest.p != '}') {
        int rc = take_member(r, e);

        if (rc < 0)
            return rc;
        if (r->rest.n && *r->rest.p == ',')
            r->rest = skip_blanks(str_from(r->rest, 1));
        else if (r->rest.n == 0 || *r->rest.p != '}')
            return fail(r->x, e, r->rest, "after a label should be , or }");
    }
    if (r->rest.n == 0)
        return fail(r->x, e, r->rest, "the labels should end with }");
    r->rest = str_from(r->rest, 1);
    return 0;
}

int exposition_series(const struct exposition *x, struct str series, struct arena *a, struct label **v, size_t *n,
                      struct err *e)
{
    struct series_reader r = { .x = x, .arena = a, .rest = series };
    struct str name = take_plain_name(&r, true);
    struct err why = ERR_INIT;
    int rc = 0;

    if (name.n)
        rc = add_label(&r, STR("__name__"), name, &why);
    if (rc == 0 && r.rest.n && *r.rest.p == '{')
        rc = take_members(&r, &why);
    if (rc == 0 && r.rest.n)
        rc = fail(x, &why, r.rest, "a series should be NAME{LABELS}");
    if (rc == 0 && (r.n == 0 || !str_eqz(r.v[0].name, "__name__")))
        rc = fail(x, &why, series, "a metric's name is missing");
    if (rc < 0 && e)
        *e = why;
    *v = r.v;
    *n = r.n;
    return rc;
}
