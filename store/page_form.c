#include "store/page_form-internal.h"

#include "store/varint-internal.h"

/* Shifts that chance alone would give cost more, by differing from neighbours, than they save. */
enum { SHIFT_WORTH = 7 };

static const double tens[FORM_DECIMALS + 1] = { 1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9 };

/* Up to 2^53 doubles hold each whole number exactly. */
static const double whole_max = 0x1p53;

bool form_is_special(double v)
{
    uint64_t u = double_bits(v);

    return (u >> 52 & 0x7ff) == 0x7ff || u == (uint64_t)1 << 63;
}

/* Negative doubles rise as their bits fall. Its own inverse. */
static int64_t ordered(uint64_t bits)
{
    return (int64_t)(bits ^ ((0 - (bits >> 63)) >> 1));
}

static bool as_whole(const double *v, size_t n, int64_t *x, uint64_t *any)
{
    *any = 0;
    for (size_t i = 0; i < n; i++) {
        if (!(v[i] >= -whole_max && v[i] <= whole_max))
            return false;
        x[i] = (int64_t)v[i];
        if ((double)x[i] != v[i]) /* no -0 is left here */
            return false;
        *any |= (uint64_t)x[i];
    }
    return true;
}

static bool as_decimal(double v, unsigned decimals, int64_t *x)
{
    double scaled = v * tens[decimals];

    if (!(scaled >= -whole_max && scaled <= whole_max))
        return false;
    *x = (int64_t)(scaled + (scaled < 0 ? -0.5 : 0.5));
    return (double)*x / tens[decimals] == v;
}

/* More decimals hold whatever fewer do, up to 2^53; so they only rise. */
static bool as_decimals(const double *v, size_t n, int64_t *x, unsigned *decimals)
{
    *decimals = 1;
    for (size_t i = 0; i < n; i++)
        while (!as_decimal(v[i], *decimals, &x[i]))
            if (++*decimals > FORM_DECIMALS)
                return false;
    for (size_t i = 0; i < n; i++)
        if (!as_decimal(v[i], *decimals, &x[i]))
            return false;
    return true;
}

/* x is 0 below its lowest `zeros` bits. */
static struct form with_shift(enum form_kind kind, unsigned zeros, struct form before)
{
    unsigned shift = zeros < SHIFT_WORTH ? 0 : zeros;

    if (before.kind == kind && before.shift <= zeros && zeros - before.shift < SHIFT_WORTH)
        shift = before.shift;
    return (struct form){ (uint8_t)kind, (uint8_t)shift };
}

static struct form as_bits(const double *v, size_t n, int64_t *x, struct form before)
{
    uint64_t any = 0;
    struct form f;

    for (size_t i = 0; i < n; i++)
        any |= double_bits(v[i]);
    f = with_shift(FORM_BITS, any ? (unsigned)__builtin_ctzll(any) : 0, before);
    for (size_t i = 0; i < n; i++)
        x[i] = ordered(double_bits(v[i])) >> f.shift;
    return f;
}

/* Puts what is before a special (or, at the beginning, behind it) in its place. */
static void without_specials(const double *v, size_t n, double *to)
{
    double before = 0;

    for (size_t i = 0; i < n; i++)
        if (!form_is_special(v[i])) {
            before = v[i];
            break;
        }
    for (size_t i = 0; i < n; i++) {
        if (!form_is_special(v[i]))
            before = v[i];
        to[i] = before;
    }
}

static size_t count_specials(const double *v, size_t n)
{
    size_t specials = 0;

    for (size_t i = 0; i < n; i++)
        specials += form_is_special(v[i]);
    return specials;
}

size_t form_find(const double *v, size_t n, struct form before, struct form *f, int64_t *x, double *scratch)
{
    size_t specials = count_specials(v, n);
    unsigned decimals;
    uint64_t any;

    if (specials > (n < 16 ? n / 2 : n / 8)) {
        *f = as_bits(v, n, x, before);
        return 0;
    }
    if (specials) {
        without_specials(v, n, scratch);
        v = scratch;
    }
    if (as_whole(v, n, x, &any)) {
        if (any == 0)
            *f = before.kind == FORM_WHOLE ? before : (struct form){ FORM_WHOLE, 0 };
        else
            *f = with_shift(FORM_WHOLE, (unsigned)__builtin_ctzll(any), before);
        for (size_t i = 0; f->shift && i < n; i++)
            x[i] >>= f->shift;
    } else if (as_decimals(v, n, x, &decimals)) {
        *f = (struct form){ FORM_DECIMAL, (uint8_t)decimals };
    } else {
        *f = as_bits(v, n, x, before);
    }
    return specials;
}

bool form_valid(unsigned kind, unsigned shift)
{
    return kind == FORM_DECIMAL ? shift >= 1 && shift <= FORM_DECIMALS : kind < FORM_KINDS && shift < FORM_SHIFTS;
}

static double from_bits(uint64_t x, unsigned shift)
{
    uint64_t sign = 0 - (x >> 63);

    return bits_double((uint64_t)ordered((x << shift) | (sign & (((uint64_t)1 << shift) - 1))));
}

void form_values(struct form f, uint64_t x, const uint64_t *d, double *v, size_t n)
{
    size_t i = 0;

    switch (f.kind) {
    case FORM_WHOLE:
        for (v[0] = (double)(int64_t)(x << f.shift); ++i < n;)
            v[i] = (double)(int64_t)((x += d[i]) << f.shift);
        break;
    case FORM_DECIMAL:
        for (v[0] = (double)(int64_t)x / tens[f.shift]; ++i < n;)
            v[i] = (double)(int64_t)(x += d[i]) / tens[f.shift];
        break;
    default:
        for (v[0] = from_bits(x, f.shift); ++i < n;)
            v[i] = from_bits(x += d[i], f.shift);
    }
}
