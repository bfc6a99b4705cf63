/* exposition_number.c: decimal text to double: exactly, and without strtod where that is possible.
 *
 * Idea  A whole number up to 2^53 and a power of ten up to 10^22 are both exact doubles, so one multiplication or
 *       division of them rounds once and correctly (Clinger 1990). Nearly all samples are of that kind. */
#include "collector/exposition_number-internal.h"

#include <math.h>
#include <stdlib.h>

enum { MOST_DIGITS = 18, MOST_POWER = 22, LONGEST = 512 };

static const double powers[MOST_POWER + 1] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                               1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };

struct decimal {
    bool minus;
    uint64_t digits; /* of all, the point left out */
    int n;           /* how many, leading zeros too */
    int power;       /* of ten */
};

static bool digit(const char *p, const char *end)
{
    return p < end && (unsigned char)(*p - '0') < 10;
}

static const char *take_digits(const char *p, const char *end, struct decimal *d)
{
    for (; digit(p, end); p++, d->n++)
        d->digits = d->digits * 10 + (uint64_t)(*p - '0'); /* wraps beyond 19: then strtod reads it */
    return p;
}

static const char *take_exponent(const char *p, const char *end, struct decimal *d)
{
    bool minus = ++p < end && *p == '-';
    int power = 0;

    p += p < end && (*p == '-' || *p == '+');
    if (!digit(p, end))
        return NULL;
    for (; digit(p, end); p++)
        if (power < 100000)
            power = power * 10 + (*p - '0');
    d->power += minus ? -power : power;
    return p;
}

/* [-+]? (digits [. digits?] | . digits) ([eE] [-+]? digits)? and nothing behind it. */
static bool take_decimal(struct str s, struct decimal *d)
{
    const char *p = s.p, *end = s.p + s.n;

    *d = (struct decimal){ .minus = s.n && *p == '-' };
    p += s.n && (*p == '-' || *p == '+');
    p = take_digits(p, end, d);
    if (p < end && *p == '.') {
        int before = d->n;

        p = take_digits(p + 1, end, d);
        d->power = before - d->n;
    }
    if (d->n == 0)
        return false;
    if (p < end && (*p == 'e' || *p == 'E'))
        p = take_exponent(p, end, d);
    return p == end;
}

static bool by_strtod(struct str s, double *v)
{
    char text[LONGEST];

    if (s.n >= sizeof(text))
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    *v = strtod(text, NULL);
    return !isinf(*v);
}

static bool by_word(struct str s, double *v)
{
    static const uint64_t nan_bits = 0x7ff8000000000001u; /* Go's, and so Prometheus' */
    bool minus = s.n && s.p[0] == '-', sign = minus || (s.n && s.p[0] == '+');
    struct str word = str_from(s, sign);

    if (!sign && str_ieq(word, STR("nan")))
        memcpy(v, &nan_bits, sizeof(*v));
    else if (str_ieq(word, STR("inf")) || str_ieq(word, STR("infinity")))
        *v = minus ? -INFINITY : INFINITY;
    else
        return false;
    return true;
}

bool exposition_number(struct str s, double *v)
{
    struct decimal d;

    if (!take_decimal(s, &d))
        return by_word(s, v);
    if (d.n > MOST_DIGITS || d.digits > (uint64_t)1 << 53 || d.power > MOST_POWER || d.power < -MOST_POWER)
        return by_strtod(s, v);
    *v = d.power < 0 ? (double)d.digits / powers[-d.power] : (double)d.digits * powers[d.power];
    if (d.minus)
        *v = -*v;
    return true;
}
