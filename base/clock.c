#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t clock_now_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

int64_t clock_now_ms(void)
{
    return clock_now_ns() / 1000000;
}

int64_t clock_mono_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

/* Splits a time of `unit` parts a second so that the fraction is never negative, before 1970 too. */
static int split(int64_t t, int64_t unit, struct tm *tm)
{
    time_t s = (time_t)(t / unit);
    int64_t fraction = t % unit;

    if (fraction < 0) {
        fraction += unit;
        s--;
    }
    gmtime_r(&s, tm);
    return (int)fraction;
}

static char *two(char *to, int v)
{
    *to++ = (char)('0' + v / 10);
    *to++ = (char)('0' + v % 10);
    return to;
}

/* "2020-11-25T21:26:18": by hand, for this is printed once for each request. */
static size_t put_seconds(char out[CLOCK_TEXT], const struct tm *tm)
{
    int year = tm->tm_year + 1900;
    char *to = out;

    if (year >= 0 && year <= 9999)
        to = two(two(to, year / 100), year % 100);
    else
        to += snprintf(to, CLOCK_TEXT, "%d", year);
    *to++ = '-';
    to = two(to, tm->tm_mon + 1);
    *to++ = '-';
    to = two(to, tm->tm_mday);
    *to++ = 'T';
    to = two(to, tm->tm_hour);
    *to++ = ':';
    to = two(to, tm->tm_min);
    *to++ = ':';
    to = two(to, tm->tm_sec);
    return (size_t)(to - out);
}

static void put_fraction(char *to, int v, int width)
{
    *to++ = '.';
    for (int i = width - 1; i >= 0; i--, v /= 10)
        to[i] = (char)('0' + v % 10);
    to[width] = 'Z';
    to[width + 1] = '\0';
}

void clock_rfc3339(char out[CLOCK_TEXT], int64_t ns)
{
    struct tm tm;
    int f = split(ns, 1000000000, &tm);
    char *end = out + put_seconds(out, &tm);

    if (f == 0)
        memcpy(end, "Z", 2);
    else if (f % 1000000 == 0)
        put_fraction(end, f / 1000000, 3);
    else if (f % 1000 == 0)
        put_fraction(end, f / 1000, 6);
    else
        put_fraction(end, f, 9);
}

void clock_rfc3339_ms(char out[CLOCK_TEXT], int64_t ms)
{
    struct tm tm;
    int f = split(ms, 1000, &tm);

    put_fraction(out + put_seconds(out, &tm), f, 3);
}

/* Reads exactly `n` digits. */
static bool digits(struct str *s, size_t n, int *out)
{
    *out = 0;
    if (s->n < n)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (s->p[i] < '0' || s->p[i] > '9')
            return false;
        *out = *out * 10 + (s->p[i] - '0');
    }
    *s = str_from(*s, n);
    return true;
}

static bool literal(struct str *s, const char *any)
{
    if (s->n == 0 || !strchr(any, s->p[0]) || s->p[0] == '\0')
        return false;
    *s = str_from(*s, 1);
    return true;
}

static bool fraction(struct str *s, int64_t *ns)
{
    int64_t unit = 100000000;

    *ns = 0;
    if (!literal(s, "."))
        return true;
    if (s->n == 0 || s->p[0] < '0' || s->p[0] > '9')
        return false;
    for (; s->n && s->p[0] >= '0' && s->p[0] <= '9'; *s = str_from(*s, 1), unit /= 10)
        *ns += (s->p[0] - '0') * unit;
    return true;
}

static bool zone(struct str *s, int *offset_s)
{
    int sign, h, m;

    *offset_s = 0;
    if (literal(s, "Zz"))
        return true;
    sign = s->n && s->p[0] == '-' ? -1 : 1;
    if (!literal(s, "+-") || !digits(s, 2, &h) || !literal(s, ":") || !digits(s, 2, &m) || h > 23 || m > 59)
        return false;
    *offset_s = sign * (h * 3600 + m * 60);
    return true;
}

static int days_in(int year, int month)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return days[month - 1] + (month == 2 && leap);
}

int clock_parse_rfc3339(struct str s, int64_t *ns, struct err *e)
{
    struct str all = s;
    struct tm tm = { 0 };
    int year, month, offset;
    int64_t f, seconds;

    if (!digits(&s, 4, &year) || !literal(&s, "-") || !digits(&s, 2, &month) || !literal(&s, "-") ||
        !digits(&s, 2, &tm.tm_mday) || !literal(&s, "Tt ") || !digits(&s, 2, &tm.tm_hour) || !literal(&s, ":") ||
        !digits(&s, 2, &tm.tm_min) || !literal(&s, ":") || !digits(&s, 2, &tm.tm_sec) || !fraction(&s, &f) ||
        !zone(&s, &offset) || s.n)
        return err_set(e, ERR_PARSE, "time \"%.*s\": not RFC 3339, as in 2006-01-02T15:04:05Z", STR_ARG(all));
    if (month < 1 || month > 12 || tm.tm_mday < 1 || tm.tm_mday > days_in(year, month) || tm.tm_hour > 23 ||
        tm.tm_min > 59 || tm.tm_sec > 60)
        return err_set(e, ERR_RANGE, "time \"%.*s\": no such date or hour", STR_ARG(all));
    tm.tm_year = year - 1900;
    tm.tm_mon = month - 1;
    seconds = (int64_t)timegm(&tm) - offset;
    if (seconds > INT64_MAX / 1000000000 - 1 || seconds < INT64_MIN / 1000000000 + 1)
        return err_set(e, ERR_RANGE, "time \"%.*s\": outside of the years 1678 to 2262", STR_ARG(all));
    *ns = seconds * 1000000000 + f;
    return 0;
}

static const struct unit {
    const char *name;
    int64_t ms;
} units[] = {
    { "y", 365LL * 86400000 }, { "w", 7LL * 86400000 }, { "d", 86400000 }, { "h", 3600000 },
    { "m", 60000 },            { "s", 1000 },           { "ms", 1 },
};

enum { UNITS = sizeof(units) / sizeof(units[0]) };

/* Reads a whole number; one that is too large counts as INT64_MAX, which no caller takes. */
static bool whole(struct str *s, int64_t *v)
{
    size_t n = 0;

    *v = 0;
    for (; n < s->n && s->p[n] >= '0' && s->p[n] <= '9'; n++) {
        if (*v > (INT64_MAX - 9) / 10)
            *v = INT64_MAX;
        else
            *v = *v * 10 + (s->p[n] - '0');
    }
    *s = str_from(*s, n);
    return n > 0;
}

/* The unit's index behind a number, from `first` on; UNITS when there is none. "m" before "s" is "ms". */
static size_t unit_at(struct str *s, size_t first)
{
    struct str name = { s->p, 0 };

    while (name.n < s->n && s->p[name.n] >= 'a' && s->p[name.n] <= 'z')
        name.n++;
    *s = str_from(*s, name.n);
    for (size_t i = first; i < UNITS; i++)
        if (str_eqz(name, units[i].name))
            return i;
    return UNITS;
}

int duration_parse(struct str s, int64_t *ms, struct err *e)
{
    struct str all = s;
    size_t unit = 0;
    int64_t total = 0, v, part;

    if (str_eq(s, STR("0"))) {
        *ms = 0;
        return 0;
    }
    do {
        if (!whole(&s, &v))
            return err_set(e, ERR_PARSE, "duration \"%.*s\": not a duration, as in 1h30m", STR_ARG(all));
        if (s.n == 0)
            return err_set(e, ERR_PARSE, "duration \"%.*s\": unit missing, one of ms s m h d w y", STR_ARG(all));
        unit = unit_at(&s, unit);
        if (unit == UNITS)
            return err_set(e, ERR_PARSE, "duration \"%.*s\": units are ms s m h d w y, the largest first, each once",
                           STR_ARG(all));
        if (__builtin_mul_overflow(v, units[unit].ms, &part) || __builtin_add_overflow(total, part, &total) ||
            total > INT64_MAX / 1000000)
            return err_set(e, ERR_RANGE, "duration \"%.*s\": too large", STR_ARG(all));
        unit++;
    } while (s.n);
    *ms = total;
    return 0;
}

static const struct unit go_units[] = {
    { "h", 3600000000000 }, { "m", 60000000000 }, { "s", 1000000000 },
    { "ms", 1000000 },      { "us", 1000 },       { "ns", 1 },
};

int duration_parse_go(struct str s, int64_t *ns, struct err *e)
{
    struct str all = s;
    double total = 0;

    if (str_eq(s, STR("0"))) {
        *ns = 0;
        return 0;
    }
    do {
        int64_t v, f, unit = 0;
        struct str name;

        if (!whole(&s, &v) || !fraction(&s, &f))
            return err_set(e, ERR_PARSE, "duration \"%.*s\": not a duration, as in 1.5s or 1h30m", STR_ARG(all));
        name = (struct str){ s.p, 0 };
        while (name.n < s.n && s.p[name.n] >= 'a' && s.p[name.n] <= 'z')
            name.n++;
        s = str_from(s, name.n);
        for (size_t i = 0; i < sizeof(go_units) / sizeof(go_units[0]); i++)
            if (str_eqz(name, go_units[i].name))
                unit = go_units[i].ms;
        if (unit == 0)
            return err_set(e, ERR_PARSE, "duration \"%.*s\": unit missing, one of ns us ms s m h", STR_ARG(all));
        total += ((double)v + (double)f / 1e9) * (double)unit;
    } while (s.n);
    if (total > 9.2e18)
        return err_set(e, ERR_RANGE, "duration \"%.*s\": too large", STR_ARG(all));
    *ns = (int64_t)(total + 0.5);
    return 0;
}

void duration_text(char out[CLOCK_TEXT], int64_t ms)
{
    size_t n = 0;

    if (ms <= 0) {
        snprintf(out, CLOCK_TEXT, "0s");
        return;
    }
    for (size_t i = 0; i < UNITS; i++) {
        /* Years and weeks only when they are the whole of it, as Prometheus prints. */
        if (i < 2 && ms % units[i].ms)
            continue;
        if (ms / units[i].ms == 0 || n >= CLOCK_TEXT)
            continue;
        n += (size_t)snprintf(out + n, CLOCK_TEXT - n, "%" PRId64 "%s", ms / units[i].ms, units[i].name);
        ms %= units[i].ms;
    }
}
