/* page_bits-internal.h: bits in a row, the lowest of a byte first; numbers as a token and raw bits.
 *
 * A token says how large a number is: below 16 the number itself, above a quarter of an octave (its exponent and the two
 * bits behind the first). Tokens are worth an entropy code; the bits below them are noise and stand raw behind it. */
#ifndef STORE_PAGE_BITS_INTERNAL_H
#define STORE_PAGE_BITS_INTERNAL_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { TOKEN_DIRECT = 16, TOKENS = TOKEN_DIRECT + 60 * 4 };

static inline unsigned token_of(uint64_t u)
{
    unsigned e;

    if (u < TOKEN_DIRECT)
        return (unsigned)u;
    e = 63u - (unsigned)__builtin_clzll(u);
    return TOKEN_DIRECT + (e - 4) * 4 + (unsigned)(u >> (e - 2) & 3);
}

/* Bits that stand raw behind the token, and what they are added to. */
static inline unsigned token_raw(unsigned token)
{
    return token < TOKEN_DIRECT ? 0 : (token - TOKEN_DIRECT) / 4 + 2;
}

static inline uint64_t token_base(unsigned token)
{
    return token < TOKEN_DIRECT ? token : (uint64_t)(4 + token % 4) << token_raw(token);
}

static inline uint64_t bits_low(uint64_t u, unsigned n)
{
    return u & (((uint64_t)1 << n) - 1); /* n < 64 */
}

/* Writes where the caller has made room: eight bytes more than the bits need. */
struct bit_writer {
    uint8_t *to;
    uint64_t pending;
    unsigned n; /* pending bits, < 8 between calls */
};

static inline void bits_put(struct bit_writer *w, uint64_t u, unsigned n) /* n <= 56, u < 2^n */
{
    uint64_t le;

    w->pending |= u << w->n;
    w->n += n;
    le = htole64(w->pending);
    memcpy(w->to, &le, 8);
    w->to += w->n >> 3;
    w->pending >>= w->n & ~7u;
    w->n &= 7;
}

static inline void bits_put_long(struct bit_writer *w, uint64_t u, unsigned n) /* n < 64 */
{
    if (n > 32) {
        bits_put(w, u & UINT32_MAX, 32);
        u >>= 32;
        n -= 32;
    }
    bits_put(w, u, n);
}

/* Reads from bytes with eight readable ones behind `end`. Past the end it stays inside and says so by `at > end`. */
struct bit_reader {
    const uint8_t *bytes;
    uint64_t at, end; /* in bits */
};

/* At least 57 bits from where the reader is; zeros past the end. */
static inline uint64_t bits_peek(const struct bit_reader *r)
{
    uint64_t u;

    if (__builtin_expect(r->at > r->end, 0))
        return 0;
    memcpy(&u, r->bytes + (r->at >> 3), 8);
    return le64toh(u) >> (r->at & 7);
}

static inline uint64_t bits_get(struct bit_reader *r, unsigned n) /* n <= 57 */
{
    uint64_t u = bits_low(bits_peek(r), n);

    r->at += n;
    return u;
}

static inline uint64_t bits_get_long(struct bit_reader *r, unsigned n) /* n < 64 */
{
    uint64_t low;

    if (n <= 32)
        return bits_get(r, n);
    low = bits_get(r, 32);
    return low | bits_get(r, n - 32) << 32;
}

#endif
