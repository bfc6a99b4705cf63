/* num.h: numbers from text, checked to the last byte, and numbers as text. */
#ifndef BASE_NUM_H
#define BASE_NUM_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whole decimal numbers; false when empty, when anything else follows, or on overflow. */
bool num_i64(struct str s, int64_t *v);
bool num_u64(struct str s, uint64_t *v);
/* Decimal or hexadecimal floats, NaN and Inf in any case; false when anything else follows. */
bool num_double(struct str s, double *v);

/* In decimal, without a NUL: returns the bytes, at most 20. What is behind them is overwritten: `to` has room for
 * NUM_MOST_U64. */
enum { NUM_MOST_U64 = 28 };
size_t num_put_u64(char *to, uint64_t v);

enum num_form {
    NUM_PLAIN,  /* never an exponent */
    NUM_JSON,   /* an exponent below 1e-6 and from 1e21 on: Prometheus' JSON */
    NUM_GENERAL /* an exponent below 1e-4, and where the digits end before the point, from the 16th on */
};

enum { NUM_MOST = 360, NUM_MOST_JSON = 40 }; /* room for a double: in any form; in JSON's and the general one */

/* The shortest digits that read back as the same double, and of those the closest; NaN, +Inf, -Inf. Returns the bytes. */
size_t num_put_double(char *to, double v, enum num_form form);

/* v = digits · 10^exponent, digits without zeros at their end. v is finite and above zero. */
struct num_decimal {
    uint64_t digits;
    int exponent;
};
struct num_decimal num_shortest(double v);

#endif
