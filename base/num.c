#include "base/num.h"

#include <ctype.h>
#include <stdlib.h>

bool num_u64(struct str s, uint64_t *v)
{
    enum { SAFE = 19 }; /* digits that cannot overflow */

    *v = 0;
    if (s.n == 0)
        return false;
    if (s.n <= SAFE) {
        unsigned digit, worst = 0;

        for (size_t i = 0; i < s.n; i++) {
            digit = (unsigned)(unsigned char)s.p[i] - '0';
            worst = digit > worst ? digit : worst;
            *v = *v * 10 + digit;
        }
        return worst <= 9;
    }
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9' || __builtin_mul_overflow(*v, 10u, v) ||
            __builtin_add_overflow(*v, (uint64_t)(s.p[i] - '0'), v))
            return false;
    return true;
}

bool num_i64(struct str s, int64_t *v)
{
    bool minus = s.n && s.p[0] == '-';
    uint64_t u;

    if (minus || (s.n && s.p[0] == '+'))
        s = (struct str){ s.p + 1, s.n - 1 };
    if (!num_u64(s, &u) || u > (uint64_t)INT64_MAX + minus)
        return false;
    *v = minus ? (int64_t)(0 - u) : (int64_t)u;
    return true;
}

bool num_double(struct str s, double *v)
{
    char text[128], *end;

    /* strtod skips white space, and reads "nan(...)". */
    if (s.n == 0 || s.n >= sizeof(text) || isspace((unsigned char)s.p[0]) || s.p[s.n - 1] == ')')
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    *v = strtod(text, &end);
    return end == text + s.n;
}
