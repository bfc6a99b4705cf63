/* num.h: numbers from text, checked to the last byte. */
#ifndef BASE_NUM_H
#define BASE_NUM_H

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

/* Whole decimal numbers; false when empty, when anything else follows, or on overflow. */
bool num_i64(struct str s, int64_t *v);
bool num_u64(struct str s, uint64_t *v);
/* Decimal or hexadecimal floats, NaN and Inf in any case; false when anything else follows. */
bool num_double(struct str s, double *v);

#endif
