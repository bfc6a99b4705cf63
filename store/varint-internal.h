/* varint-internal.h: numbers in seven-bit groups, lowest first, as journal, chunks and label sets keep them. */
#ifndef STORE_VARINT_INTERNAL_H
#define STORE_VARINT_INTERNAL_H

#include "base/buf.h"

enum { VARINT_MAX = 10 }; /* bytes of the longest */

/* What is left to read. */
struct bytes {
    const uint8_t *p, *end;
};

static inline struct bytes bytes_of(struct str s)
{
    const uint8_t *p = (const uint8_t *)s.p;

    return (struct bytes){ p, s.n ? p + s.n : p };
}

static inline size_t bytes_left(const struct bytes *r)
{
    return (size_t)(r->end - r->p);
}

static inline uint8_t *varint_write(uint8_t *to, uint64_t v)
{
    while (v >= 0x80) {
        *to++ = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    *to++ = (uint8_t)v;
    return to;
}

static inline void varint_put(struct buf *b, uint64_t v)
{
    uint8_t tmp[VARINT_MAX];

    buf_put(b, tmp, (size_t)(varint_write(tmp, v) - tmp));
}

/* False when cut short or longer than 64 bits. */
static inline bool varint_get(struct bytes *r, uint64_t *v)
{
    *v = 0;
    for (unsigned shift = 0; shift < 64 && r->p < r->end; shift += 7) {
        uint8_t c = *r->p++;

        *v |= (uint64_t)(c & 0x7f) << shift;
        if (c < 0x80)
            return shift < 63 || c < 2;
    }
    return false;
}

/* Small numbers of either sign become small ones without. Differences are modulo 2^64, so any two times have one. */
static inline uint64_t zigzag(uint64_t v)
{
    return (v << 1) ^ (0 - (v >> 63));
}

static inline uint64_t unzigzag(uint64_t u)
{
    return (u >> 1) ^ (0 - (u & 1));
}

static inline uint64_t double_bits(double v)
{
    uint64_t u;

    memcpy(&u, &v, sizeof(u));
    return u;
}

static inline double bits_double(uint64_t u)
{
    double v;

    memcpy(&v, &u, sizeof(v));
    return v;
}

#endif
