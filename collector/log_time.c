#include "collector/log_time-internal.h"

#include "base/clock.h"
#include "base/num.h"

#include <time.h>

#define SECOND 1000000000LL
#define HALF_A_YEAR (183LL * 86400 * SECOND)

enum { LEAST_YEAR = 1970, LAST_YEAR = 2261 };

struct reading {
    const char *p, *end;
    struct tm tm;
    int64_t epoch_s, fraction_ns, offset_s;
    bool has_epoch, has_zone, has_year, has_fraction;
};

/* Between `least` and `most` digits. */
static bool digits(struct reading *r, size_t least, size_t most, int64_t *v)
{
    size_t n = 0;

    *v = 0;
    while (n < most && r->p < r->end && *r->p >= '0' && *r->p <= '9') {
        *v = *v * 10 + (*r->p++ - '0');
        n++;
    }
    return n >= least;
}

static bool number(struct reading *r, size_t least, int lowest, int highest, int *to)
{
    int64_t v;

    if (!digits(r, least, 2, &v) || v < lowest || v > highest)
        return false;
    *to = (int)v;
    return true;
}

static bool year(struct reading *r)
{
    int64_t v;

    if (!digits(r, 4, 4, &v) || v < LEAST_YEAR || v > LAST_YEAR)
        return false;
    r->tm.tm_year = (int)v - 1900;
    r->has_year = true;
    return true;
}

static bool month(struct reading *r)
{
    if (!number(r, 2, 1, 12, &r->tm.tm_mon))
        return false;
    r->tm.tm_mon--;
    return true;
}

static bool month_name(struct reading *r)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

    for (int i = 0; i < 12 && r->end - r->p >= 3; i++)
        if (memcmp(r->p, names + 3 * (size_t)i, 3) == 0) {
            r->tm.tm_mon = i;
            r->p += 3;
            return true;
        }
    return false;
}

static bool fraction(struct reading *r, size_t width)
{
    const char *from = r->p;
    int64_t v;

    if (!digits(r, width ? width : 1, width ? width : 9, &v))
        return false;
    for (size_t n = (size_t)(r->p - from); n < 9; n++)
        v *= 10;
    r->fraction_ns = v;
    r->has_fraction = true;
    return true;
}

static bool zone(struct reading *r)
{
    bool west = r->p < r->end && *r->p == '-';
    int64_t hours, minutes;

    r->has_zone = true;
    if (r->p < r->end && *r->p == 'Z') {
        r->p++;
        return true;
    }
    if (r->p == r->end || (*r->p != '+' && !west))
        return false;
    r->p++;
    if (!digits(r, 2, 2, &hours))
        return false;
    if (r->p < r->end && *r->p == ':')
        r->p++;
    if (!digits(r, 2, 2, &minutes) || hours > 15 || minutes > 59)
        return false;
    r->offset_s = (hours * 60 + minutes) * (west ? -60 : 60);
    return true;
}

static bool day_of_month(struct reading *r)
{
    if (r->p < r->end && *r->p == ' ') /* "Nov  6" */
        r->p++;
    return number(r, 1, 1, 31, &r->tm.tm_mday);
}

static bool clock_time(struct reading *r)
{
    if (!number(r, 2, 0, 23, &r->tm.tm_hour) || r->p == r->end || *r->p++ != ':')
        return false;
    if (!number(r, 2, 0, 59, &r->tm.tm_min) || r->p == r->end || *r->p++ != ':')
        return false;
    return number(r, 2, 0, 60, &r->tm.tm_sec);
}

static bool date(struct reading *r)
{
    if (!year(r) || r->p == r->end || *r->p++ != '-' || !month(r) || r->p == r->end || *r->p++ != '-')
        return false;
    return number(r, 2, 1, 31, &r->tm.tm_mday);
}

static bool element(struct reading *r, char letter, size_t width)
{
    switch (letter) {
    case 'Y':
        return year(r);
    case 'm':
        return month(r);
    case 'd':
        return number(r, 2, 1, 31, &r->tm.tm_mday);
    case 'e':
        return day_of_month(r);
    case 'b':
        return month_name(r);
    case 'H':
        return number(r, 2, 0, 23, &r->tm.tm_hour);
    case 'M':
        return number(r, 2, 0, 59, &r->tm.tm_min);
    case 'S':
        return number(r, 2, 0, 60, &r->tm.tm_sec);
    case 'F':
        return date(r);
    case 'T':
        return clock_time(r);
    case 's':
        r->has_epoch = true;
        return digits(r, 1, 10, &r->epoch_s) && r->epoch_s < INT64_MAX / SECOND;
    case 'f':
        return fraction(r, width);
    case 'z':
    case 'Z':
        return zone(r);
    default:
        return letter == '%' && r->p < r->end && *r->p++ == '%';
    }
}

/* The letter of the element at *p, which is behind its '%', and the width before it. */
static char next_element(const char **p, size_t *width)
{
    *width = 0;
    if (**p >= '1' && **p <= '9')
        *width = (size_t)(*(*p)++ - '0');
    return **p ? *(*p)++ : '\0';
}

static bool follow(struct reading *r, const char *pattern)
{
    while (*pattern) {
        size_t width;
        char letter;

        if (*pattern != '%') {
            if (r->p == r->end || *r->p++ != *pattern++)
                return false;
            continue;
        }
        pattern++;
        letter = next_element(&pattern, &width);
        if (!element(r, letter, width))
            return false;
    }
    return r->p == r->end;
}

static int64_t seconds_of(const struct reading *r)
{
    struct tm tm = r->tm;

    tm.tm_isdst = -1;
    return r->has_zone ? (int64_t)timegm(&tm) - r->offset_s : (int64_t)mktime(&tm);
}

/* The seconds of the year that brings them closest to `now`. */
static int64_t without_year(struct reading *r, int64_t now_ns)
{
    time_t now = (time_t)(now_ns / SECOND);
    struct tm today;
    int64_t s;

    localtime_r(&now, &today);
    r->tm.tm_year = today.tm_year;
    s = seconds_of(r);
    if (s * SECOND - now_ns > HALF_A_YEAR)
        r->tm.tm_year--;
    else if (now_ns - s * SECOND > HALF_A_YEAR)
        r->tm.tm_year++;
    return seconds_of(r);
}

bool log_time_parse(const char *pattern, struct str text, int64_t now_ns, struct log_time *out)
{
    struct reading r = { .p = text.p, .end = text.p + text.n, .tm = { .tm_mday = 1 } };
    int64_t s;

    if (text.n == 0 || !follow(&r, pattern))
        return false;
    s = r.has_epoch ? r.epoch_s : r.has_year ? seconds_of(&r) : without_year(&r, now_ns);
    out->ns = s * SECOND + r.fraction_ns;
    out->precise = r.has_fraction;
    return true;
}

bool log_time_pattern(const char *pattern, size_t *at)
{
    for (const char *p = pattern; *p;) {
        size_t width;
        char letter;

        *at = (size_t)(p - pattern);
        if (*p++ != '%')
            continue;
        letter = next_element(&p, &width);
        if (letter == '\0' || !strchr("YmdebHMSFTsfzZ%", letter) || (width && letter != 'f'))
            return false;
    }
    return true;
}

/* Its unit is the largest in which the time lies before the year 2262 and the number is no smaller than one of 1973. */
static bool epoch_number(struct str text, struct log_time *out)
{
    static const struct {
        double least, most;
        int64_t ns; /* of one */
    } units[] = { { 0, 9.2e9, SECOND }, { 1e11, 9.2e12, 1000000 }, { 1e14, 9.2e15, 1000 }, { 1e17, 9.2e18, 1 } };
    double v;

    if (!num_double(text, &v))
        return false;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (v >= units[i].least && v < units[i].most) {
            /* of seconds a double holds no more than the milliseconds for sure */
            out->ns = i == 0 ? (int64_t)(v * 1e3 + 0.5) * 1000000 : (int64_t)v * units[i].ns;
            return true;
        }
    return false;
}

bool log_time_guess(struct str text, struct log_time *out)
{
    int64_t whole;

    if (num_i64(text, &whole) && whole >= 100000000000000000) { /* nanoseconds: more than a double holds */
        *out = (struct log_time){ whole, true };
        return true;
    }
    out->precise = true;
    return epoch_number(text, out) || clock_parse_rfc3339(text, &out->ns, NULL) == 0;
}
