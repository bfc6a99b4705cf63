/* logql_functions_number.c: functions of templates over numbers, comparisons and times. */
#include "query/logql_function-internal.h"
#include "query/logql_value-internal.h"

#include "base/clock.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

static int give_int(struct value *out, int64_t v)
{
    *out = (struct value){ .type = VALUE_INT, .i = v };
    return 0;
}

static int give_float(struct value *out, double v)
{
    *out = (struct value){ .type = VALUE_FLOAT, .f = v };
    return 0;
}

static int give_bool(struct value *out, bool v)
{
    *out = (struct value){ .type = VALUE_BOOL, .i = v };
    return 0;
}

/* As Sprig does it: what is no number counts as zero. */
static int64_t whole(const struct template_call *c, size_t i)
{
    int64_t v;
    double f;

    if (value_int(&c->args[i], &v))
        return v;
    return value_float(&c->args[i], &f) && fabs(f) < 9.2e18 ? (int64_t)f : 0;
}

static double real(const struct template_call *c, size_t i)
{
    double v;

    return value_float(&c->args[i], &v) ? v : 0;
}

/* --- arithmetic --- */

static int to_int(const struct template_call *c, struct value *out)
{
    return give_int(out, whole(c, 0));
}

static int to_float(const struct template_call *c, struct value *out)
{
    return give_float(out, real(c, 0));
}

static int64_t wrap_add(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

static int add(const struct template_call *c, struct value *out)
{
    int64_t v = 0;

    for (size_t i = 0; i < c->n; i++)
        v = wrap_add(v, whole(c, i));
    return give_int(out, v);
}

static int sub(const struct template_call *c, struct value *out)
{
    return give_int(out, (int64_t)((uint64_t)whole(c, 0) - (uint64_t)whole(c, 1)));
}

static int mul(const struct template_call *c, struct value *out)
{
    uint64_t v = 1;

    for (size_t i = 0; i < c->n; i++)
        v *= (uint64_t)whole(c, i);
    return give_int(out, (int64_t)v);
}

static int divide(const struct template_call *c, bool rest, struct value *out)
{
    int64_t a = whole(c, 0), b = whole(c, 1);

    if (b == 0)
        return err_set(c->e, ERR_INVALID, "template: division by zero");
    if (b == -1) /* the least number has no opposite */
        return give_int(out, rest ? 0 : (int64_t)(0 - (uint64_t)a));
    return give_int(out, rest ? a % b : a / b);
}

static int quotient(const struct template_call *c, struct value *out)
{
    return divide(c, false, out);
}

static int mod(const struct template_call *c, struct value *out)
{
    return divide(c, true, out);
}

static int addf(const struct template_call *c, struct value *out)
{
    double v = 0;

    for (size_t i = 0; i < c->n; i++)
        v += real(c, i);
    return give_float(out, v);
}

static int subf(const struct template_call *c, struct value *out)
{
    return give_float(out, real(c, 0) - real(c, 1));
}

static int mulf(const struct template_call *c, struct value *out)
{
    double v = 1;

    for (size_t i = 0; i < c->n; i++)
        v *= real(c, i);
    return give_float(out, v);
}

static int divf(const struct template_call *c, struct value *out)
{
    return give_float(out, real(c, 0) / real(c, 1));
}

static int max(const struct template_call *c, struct value *out)
{
    int64_t v = whole(c, 0);

    for (size_t i = 1; i < c->n; i++)
        v = whole(c, i) > v ? whole(c, i) : v;
    return give_int(out, v);
}

static int min(const struct template_call *c, struct value *out)
{
    int64_t v = whole(c, 0);

    for (size_t i = 1; i < c->n; i++)
        v = whole(c, i) < v ? whole(c, i) : v;
    return give_int(out, v);
}

static int maxf(const struct template_call *c, struct value *out)
{
    double v = real(c, 0);

    for (size_t i = 1; i < c->n; i++)
        v = fmax(v, real(c, i));
    return give_float(out, v);
}

static int minf(const struct template_call *c, struct value *out)
{
    double v = real(c, 0);

    for (size_t i = 1; i < c->n; i++)
        v = fmin(v, real(c, i));
    return give_float(out, v);
}

static int ceil_of(const struct template_call *c, struct value *out)
{
    return give_float(out, ceil(real(c, 0)));
}

static int floor_of(const struct template_call *c, struct value *out)
{
    return give_float(out, floor(real(c, 0)));
}

static int round_of(const struct template_call *c, struct value *out)
{
    double digits = pow(10, fmin(fmax(c->n > 1 ? real(c, 1) : 0, -20), 20));

    return give_float(out, round(real(c, 0) * digits) / digits);
}

static int bytes(const struct template_call *c, struct value *out)
{
    double v;

    if (!logql_measure(value_text(&c->args[0], c->row->scratch), MEASURE_BYTES, &v))
        return err_set(c->e, ERR_INVALID, "template: bytes: should be a size, as in 1.5KiB");
    return give_float(out, v);
}

static int duration(const struct template_call *c, struct value *out)
{
    double v;

    if (!logql_duration(value_text(&c->args[0], c->row->scratch), &v))
        return err_set(c->e, ERR_INVALID, "template: duration: should be a duration, as in 1.5s");
    return give_float(out, v);
}

static int length(const struct template_call *c, struct value *out)
{
    return give_int(out, (int64_t)value_text(&c->args[0], c->row->scratch).n);
}

/* --- comparisons --- */

/* Texts with texts, numbers with numbers. */
static int order(const struct template_call *c, size_t other, int *result)
{
    const struct value *a = &c->args[0], *b = &c->args[other];
    double x, y;

    if (a->type == VALUE_TEXT && b->type == VALUE_TEXT) {
        *result = str_cmp(a->s, b->s);
        return 0;
    }
    if (a->type == VALUE_TEXT || b->type == VALUE_TEXT || !value_float(a, &x) || !value_float(b, &y))
        return err_set(c->e, ERR_INVALID, "template: incompatible types for comparison");
    *result = (x > y) - (x < y);
    return 0;
}

#define COMPARISON(name, test)                                                                                    \
    static int name(const struct template_call *c, struct value *out)                                             \
    {                                                                                                             \
        int by = 0, rc = order(c, 1, &by);                                                                            \
                                                                                                                  \
        return rc < 0 ? rc : give_bool(out, by test);                                                             \
    }
COMPARISON(ne, != 0)
COMPARISON(lt, < 0)
COMPARISON(le, <= 0)
COMPARISON(gt, > 0)
COMPARISON(ge, >= 0)
#undef COMPARISON

/* The first equals one of the others. */
static int eq(const struct template_call *c, struct value *out)
{
    bool any = false;
    int by = 0, rc = 0;

    for (size_t i = 1; rc == 0 && i < c->n && !any; i++) {
        rc = order(c, i, &by);
        any = rc == 0 && by == 0;
    }
    return rc < 0 ? rc : give_bool(out, any);
}

/* The first that is empty, or the last. */
static int and(const struct template_call *c, struct value *out)
{
    size_t i = 0;

    while (i + 1 < c->n && value_true(&c->args[i]))
        i++;
    *out = c->args[i];
    return 0;
}

static int or(const struct template_call *c, struct value *out)
{
    size_t i = 0;

    while (i + 1 < c->n && !value_true(&c->args[i]))
        i++;
    *out = c->args[i];
    return 0;
}

static int not(const struct template_call *c, struct value *out)
{
    return give_bool(out, !value_true(&c->args[0]));
}

/* --- times --- */

static int timestamp(const struct template_call *c, struct value *out)
{
    *out = (struct value){ .type = VALUE_TIME, .i = c->row->time_ns };
    return 0;
}

static int since_epoch(const struct template_call *c, int64_t unit_ns, struct value *out)
{
    if (c->args[0].type != VALUE_TIME)
        return err_set(c->e, ERR_INVALID, "template: should be a time, as __timestamp__ is one");
    return give_int(out, c->args[0].i / unit_ns - (c->args[0].i % unit_ns < 0));
}

static int unix_epoch(const struct template_call *c, struct value *out)
{
    return since_epoch(c, 1000000000, out);
}

static int unix_epoch_millis(const struct template_call *c, struct value *out)
{
    return since_epoch(c, 1000000, out);
}

static int unix_epoch_nanos(const struct template_call *c, struct value *out)
{
    return since_epoch(c, 1, out);
}

/* What Go's reference time writes as on the left is on the right as strftime's. In UTC. */
static const struct {
    struct str go;
    const char *c;
} layouts[] = { { STR_INIT("2006"), "%Y" },    { STR_INIT("January"), "%B" }, { STR_INIT("Jan"), "%b" },
                { STR_INIT("Monday"), "%A" },  { STR_INIT("Mon"), "%a" },     { STR_INIT("MST"), "UTC" },
                { STR_INIT("Z07:00"), "Z" },   { STR_INIT("-07:00"), "+00:00" }, { STR_INIT("-0700"), "+0000" },
                { STR_INIT("01"), "%m" },      { STR_INIT("02"), "%d" },      { STR_INIT("03"), "%I" },
                { STR_INIT("04"), "%M" },      { STR_INIT("05"), "%S" },      { STR_INIT("06"), "%y" },
                { STR_INIT("15"), "%H" },      { STR_INIT("PM"), "%p" } };

/* .000 and its like: as many decimals of a second. Returns the length, 0: it is none. */
static size_t put_fraction(struct buf *b, struct str layout, int64_t ns)
{
    char digits[16];
    size_t n = 1;

    if (layout.n < 2 || layout.p[0] != '.' || layout.p[1] != '0')
        return 0;
    while (n < layout.n && n <= 9 && layout.p[n] == '0')
        n++;
    snprintf(digits, sizeof(digits), "%09lld", (long long)ns);
    buf_putc(b, '.');
    buf_put(b, digits, n - 1);
    return n;
}

static size_t put_element(struct buf *b, struct str layout, const struct tm *tm)
{
    char made[64];

    for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++)
        if (str_starts(layout, layouts[i].go)) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            buf_put(b, made, strftime(made, sizeof(made), layouts[i].c, tm));
#pragma GCC diagnostic pop
            return layouts[i].go.n;
        }
    return 0;
}

/* date "2006-01-02" __timestamp__ */
static int date(const struct template_call *c, struct value *out)
{
    struct str layout = value_text(&c->args[0], c->row->scratch), s;
    struct buf b = BUF_INIT(FUNCTION_MOST_TEXT);
    int64_t ns = c->args[1].i, rest = ((ns % 1000000000) + 1000000000) % 1000000000;
    time_t seconds = (time_t)((ns - rest) / 1000000000);
    struct tm tm;

    if (c->args[1].type != VALUE_TIME || !gmtime_r(&seconds, &tm))
        return err_set(c->e, ERR_INVALID, "template: date: the second argument should be a time, as __timestamp__ is one");
    while (layout.n) {
        size_t n = put_element(&b, layout, &tm);

        if (n == 0)
            n = put_fraction(&b, layout, rest);
        if (n == 0) {
            buf_putc(&b, layout.p[0]);
            n = 1;
        }
        layout = str_from(layout, n);
    }
    s = buf_failed(&b) ? STR_NULL : arena_str(c->row->scratch, buf_view(&b));
    buf_free(&b);
    *out = (struct value){ .type = VALUE_TEXT, .s = s };
    return s.p ? 0 : err_set(c->e, ERR_NOMEM, "template: no memory");
}

#define MANY FUNCTION_MOST_ARGUMENTS
const struct template_function number_functions[] = {
    { STR_INIT("int"), 1, 1, false, to_int },
    { STR_INIT("float64"), 1, 1, false, to_float },
    { STR_INIT("add"), 1, MANY, false, add },
    { STR_INIT("sub"), 2, 2, false, sub },
    { STR_INIT("mul"), 1, MANY, false, mul },
    { STR_INIT("div"), 2, 2, false, quotient },
    { STR_INIT("mod"), 2, 2, false, mod },
    { STR_INIT("addf"), 1, MANY, false, addf },
    { STR_INIT("subf"), 2, 2, false, subf },
    { STR_INIT("mulf"), 1, MANY, false, mulf },
    { STR_INIT("divf"), 2, 2, false, divf },
    { STR_INIT("max"), 1, MANY, false, max },
    { STR_INIT("min"), 1, MANY, false, min },
    { STR_INIT("maxf"), 1, MANY, false, maxf },
    { STR_INIT("minf"), 1, MANY, false, minf },
    { STR_INIT("ceil"), 1, 1, false, ceil_of },
    { STR_INIT("floor"), 1, 1, false, floor_of },
    { STR_INIT("round"), 1, 2, false, round_of },
    { STR_INIT("bytes"), 1, 1, false, bytes },
    { STR_INIT("duration"), 1, 1, false, duration },
    { STR_INIT("duration_seconds"), 1, 1, false, duration },
    { STR_INIT("len"), 1, 1, false, length },
    { STR_INIT("eq"), 2, MANY, false, eq },
    { STR_INIT("ne"), 2, 2, false, ne },
    { STR_INIT("lt"), 2, 2, false, lt },
    { STR_INIT("le"), 2, 2, false, le },
    { STR_INIT("gt"), 2, 2, false, gt },
    { STR_INIT("ge"), 2, 2, false, ge },
    { STR_INIT("and"), 1, MANY, false, and },
    { STR_INIT("or"), 1, MANY, false, or },
    { STR_INIT("not"), 1, 1, false, not },
    { STR_INIT("__timestamp__"), 0, 0, false, timestamp },
    { STR_INIT("unixEpoch"), 1, 1, false, unix_epoch },
    { STR_INIT("unixEpochMillis"), 1, 1, false, unix_epoch_millis },
    { STR_INIT("unixEpochNanos"), 1, 1, false, unix_epoch_nanos },
    { STR_INIT("date"), 2, 2, false, date },
};
#undef MANY
const size_t number_functions_n = sizeof(number_functions) / sizeof(number_functions[0]);
