#ifndef BASE_POW10_INTERNAL_H
#define BASE_POW10_INTERNAL_H

#include <stdint.h>

enum { POW10_MIN = -292, POW10_MAX = 324 };

struct pow10 {
    uint64_t high, low;
};

extern const struct pow10 pow10_table[POW10_MAX - POW10_MIN + 1];

#endif
