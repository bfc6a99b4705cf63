#include "query/function-internal.h"

#define PLAIN(name, expression)                                                                                        \
    bool fn_##name(double v, const double *args, double *out)                                                          \
    {                                                                                                                  \
        (void)args;                                                                                                    \
        *out = (expression);                                                                                           \
        return true;                                                                                                   \
    }

PLAIN(abs, fabs(v))
PLAIN(ceil, ceil(v))
PLAIN(floor, floor(v))
PLAIN(exp, exp(v))
PLAIN(ln, log(v))
PLAIN(log2, log2(v))
PLAIN(log10, log10(v))
PLAIN(sqrt, sqrt(v))
PLAIN(sgn, v < 0 ? -1 : v > 0 ? 1 : v)
PLAIN(deg, v * 180 / M_PI)
PLAIN(rad, v * M_PI / 180)
PLAIN(acos, acos(v))
PLAIN(acosh, acosh(v))
PLAIN(asin, asin(v))
PLAIN(asinh, asinh(v))
PLAIN(atan, atan(v))
PLAIN(atanh, atanh(v))
PLAIN(cos, cos(v))
PLAIN(cosh, cosh(v))
PLAIN(sin, sin(v))
PLAIN(sinh, sinh(v))
PLAIN(tan, tan(v))
PLAIN(tanh, tanh(v))

/* Half goes up, for negative values too; the inverse keeps 0.1 and its like exact. */
bool fn_round(double v, const double *args, double *out)
{
    double inverse = 1 / (args ? args[0] : 1);

    *out = floor(v * inverse + 0.5) / inverse;
    return true;
}

/* Against an infinity that wins anyway, NaN loses; else it wins. */
double larger_of(double a, double b)
{
    if (a == INFINITY || b == INFINITY)
        return INFINITY;
    return isnan(a) || isnan(b) ? NAN : fmax(a, b);
}

double smaller_of(double a, double b)
{
    if (a == -INFINITY || b == -INFINITY)
        return -INFINITY;
    return isnan(a) || isnan(b) ? NAN : fmin(a, b);
}

bool fn_clamp(double v, const double *args, double *out)
{
    *out = larger_of(args[0], smaller_of(args[1], v));
    return !(args[0] > args[1]);
}

bool fn_clamp_min(double v, const double *args, double *out)
{
    *out = larger_of(args[0], v);
    return true;
}

bool fn_clamp_max(double v, const double *args, double *out)
{
    *out = smaller_of(args[0], v);
    return true;
}

bool fn_none(double v, const double *args, double *out)
{
    (void)args;
    *out = v;
    return false;
}
