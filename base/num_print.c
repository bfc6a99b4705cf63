/* num_print.c: doubles as text, as few digits as read back.
 *
 * Problem    Of all decimals between the two neighbours' midpoints the shortest is wanted, and of several the one
 *            closest to the number. Trying 15, 16 and 17 digits by printf and strtod takes microseconds.
 * Idea       Raffaele Giulietti's Schubfach ("The Schubfach way to render doubles", 2020). The number and both
 *            midpoints are scaled by a power of ten, chosen so that the interval between the midpoints holds at least
 *            one and at most ten whole numbers. Four candidates are then left: the two whole numbers around the scaled
 *            number, and the two multiples of ten around it. Four comparisons choose.
 * Invariant  scale() keeps the 64 bits that count and one sticky bit for all the rest (rounding to odd), so that each
 *            comparison comes out as it would with exact arithmetic. The powers have 128 bits, which is enough for it.
 * Left out   Grisu: a smaller table, and it has to give up on one number in 200. Ryu: two tables, no shorter code. */
#include "base/num.h"

#include "base/pow10-internal.h"

#include <math.h>
#include <string.h>

enum { FRACTION_BITS = 52, BIAS = 1075, PLAIN_WHOLE = 21 /* digits before the point without an exponent */ };

/* --- whole numbers --- */

/* The eight digits of v < 10^8 as numbers 0 to 9, the first one in the lowest byte: halves, quarters, digits, all at a
 * time. The quotients are exact: x·10486 >> 20 = x / 100 for x < 10^4, and x·103 >> 10 = x / 10 for x < 100. */
static uint64_t eight_digits(uint32_t v)
{
    uint64_t fours = v / 10000 | (uint64_t)(v % 10000) << 32;
    uint64_t q = (fours * 10486 >> 20) & UINT64_C(0x0000007f0000007f);
    uint64_t twos = q | (fours - 100 * q) << 16;

    q = (twos * 103 >> 10) & UINT64_C(0x000f000f000f000f);
    return q | (twos - 10 * q) << 8;
}

static void put_eight(char *to, uint64_t digits)
{
    digits |= UINT64_C(0x3030303030303030);
    memcpy(to, &digits, sizeof(digits));
}

size_t num_put_u64(char *to, uint64_t v)
{
    enum { EIGHT = 100000000 };
    uint64_t digits;
    size_t n = 0, zeros;

    if (v >= EIGHT) {
        n = num_put_u64(to, v / EIGHT);
        put_eight(to + n, eight_digits((uint32_t)(v % EIGHT)));
        return n + 8;
    }
    digits = eight_digits((uint32_t)v);
    zeros = digits ? (size_t)__builtin_ctzll(digits) / 8 : 7; /* in front */
    put_eight(to, digits >> 8 * zeros);
    return 8 - zeros;
}

/* --- the shortest digits --- */

static int log10_of_pow2(int e) /* floor(log10(2^e)) */
{
    return (e * 1262611) >> 22;
}

static int log10_of_three_quarters_pow2(int e) /* floor(log10(3/4 · 2^e)) */
{
    return (e * 1262611 - 524031) >> 22;
}

static int log2_of_pow10(int e) /* floor(log2(10^e)) */
{
    return (e * 1741647) >> 19;
}

/* v · power / 2^127, rounded to odd. */
static uint64_t scale(const struct pow10 *power, uint64_t v)
{
    unsigned __int128 low = (unsigned __int128)power->low * v;
    unsigned __int128 high = (unsigned __int128)power->high * v + (uint64_t)(low >> 64);

    return (uint64_t)(high >> 64) | ((uint64_t)high > 1);
}

/* The number is significand · 2^exponent. When its fraction is zero the neighbour below is only half as far away. */
static struct num_decimal shortest(uint64_t significand, int exponent, bool lower_is_closer)
{
    bool even = significand % 2 == 0; /* a midpoint reads back as the even neighbour */
    int k = lower_is_closer ? log10_of_three_quarters_pow2(exponent) : log10_of_pow2(exponent);
    int shift = exponent + log2_of_pow10(-k) + 1;
    const struct pow10 *power = &pow10_table[-k - POW10_MIN];
    uint64_t lower = scale(power, (4 * significand - 2 + lower_is_closer) << shift) + !even;
    uint64_t value = scale(power, 4 * significand << shift); /* in quarters */
    uint64_t upper = scale(power, (4 * significand + 2) << shift) - !even;
    uint64_t whole = value / 4, tens = whole / 10;
    bool below, above;

    if (whole >= 10) {
        below = lower <= 40 * tens;
        above = 40 * tens + 40 <= upper;
        if (below != above)
            return (struct num_decimal){ tens + above, k + 1 };
    }
    below = lower <= 4 * whole;
    above = 4 * whole + 4 <= upper;
    if (below != above)
        return (struct num_decimal){ whole + above, k };
    above = value > 4 * whole + 2 || (value == 4 * whole + 2 && whole % 2);
    return (struct num_decimal){ whole + above, k };
}

static struct num_decimal without_zeros(struct num_decimal d)
{
    while (d.digits % 10000 == 0) {
        d.digits /= 10000;
        d.exponent += 4;
    }
    while (d.digits % 10 == 0) {
        d.digits /= 10;
        d.exponent++;
    }
    return d;
}

struct num_decimal num_shortest(double v)
{
    uint64_t bits, fraction;
    int exponent;

    memcpy(&bits, &v, sizeof(bits));
    fraction = bits & ((UINT64_C(1) << FRACTION_BITS) - 1);
    exponent = (int)(bits >> FRACTION_BITS & 0x7ff);
    if (exponent == 0)
        return without_zeros(shortest(fraction, 1 - BIAS, false));
    return without_zeros(
        shortest(fraction | UINT64_C(1) << FRACTION_BITS, exponent - BIAS, fraction == 0 && exponent > 1));
}

/* --- digits as text --- */

static char *put_zeros(char *to, int n)
{
    if (n <= 0)
        return to;
    memset(to, '0', (size_t)n);
    return to + n;
}

/* `whole`: digits before the point; may be negative. */
static char *put_plain(char *to, const char *digits, size_t n, int whole)
{
    if (whole <= 0) {
        *to++ = '0';
        *to++ = '.';
        to = put_zeros(to, -whole);
        memcpy(to, digits, n);
        return to + n;
    }
    if ((size_t)whole >= n) {
        memcpy(to, digits, n);
        return put_zeros(to + n, whole - (int)n);
    }
    memcpy(to, digits, (size_t)whole);
    to += whole;
    *to++ = '.';
    memcpy(to, digits + whole, n - (size_t)whole);
    return to + (n - (size_t)whole);
}

static char *put_exponent(char *to, const char *digits, size_t n, int exponent)
{
    *to++ = digits[0];
    if (n > 1)
        *to++ = '.';
    memcpy(to, digits + 1, n - 1);
    to += n - 1;
    *to++ = 'e';
    *to++ = exponent < 0 ? '-' : '+';
    exponent = exponent < 0 ? -exponent : exponent;
    if (exponent < 10)
        *to++ = '0';
    return to + num_put_u64(to, (uint64_t)exponent);
}

/* `exponent` is that of the first digit. */
static bool wants_exponent(enum num_form form, size_t n, int exponent)
{
    switch (form) {
    case NUM_PLAIN:
        return false;
    case NUM_JSON:
        return exponent < -6 || exponent >= PLAIN_WHOLE;
    case NUM_GENERAL:
        return exponent < -4 || exponent >= (n < 15 ? 15 : (int)n);
    }
    return false;
}

static size_t put_word(char *to, const char *word)
{
    size_t n = strlen(word);

    memcpy(to, word, n);
    return n;
}

size_t num_put_double(char *to, double v, enum num_form form)
{
    char digits[NUM_MOST_U64], *end = to;
    struct num_decimal d;
    size_t n;
    int exponent;

    if (v > 0 && v < 1e15 && v == (double)(int64_t)v) /* most are whole: counters */
        return num_put_u64(to, (uint64_t)v);
    if (isnan(v))
        return put_word(to, "NaN");
    if (isinf(v))
        return put_word(to, v > 0 ? "+Inf" : "-Inf");
    if (signbit(v))
        *end++ = '-';
    v = fabs(v);
    if (v < 1e15 && v == (double)(int64_t)v)
        return (size_t)(end - to) + num_put_u64(end, (uint64_t)v);
    d = num_shortest(v);
    n = num_put_u64(digits, d.digits);
    exponent = d.exponent + (int)n - 1;
    end = wants_exponent(form, n, exponent) ? put_exponent(end, digits, n, exponent)
                                            : put_plain(end, digits, n, exponent + 1);
    return (size_t)(end - to);
}
