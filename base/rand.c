#include "base/rand.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

void rand_bytes(void *p, size_t n)
{
    char *at = p;

    while (n) {
        ssize_t got = getrandom(at, n, 0);

        assert(got > 0 || n > 256); /* up to 256 bytes the kernel neither fails nor stops half way */
        if (got < 0)
            continue;
        at += got;
        n -= (size_t)got;
    }
}

void rng_seed(struct rng *r)
{
    rand_bytes(r->s, sizeof(r->s));
    r->s[0] |= 1; /* the state must not be all zero */
}

static uint64_t rotl(uint64_t x, int k)
{
    return x << k | x >> (64 - k);
}

uint64_t rng_next(struct rng *r)
{
    uint64_t result = rotl(r->s[1] * 5, 7) * 9, t = r->s[1] << 17;

    r->s[2] ^= r->s[0];
    r->s[3] ^= r->s[1];
    r->s[1] ^= r->s[2];
    r->s[0] ^= r->s[3];
    r->s[2] ^= t;
    r->s[3] = rotl(r->s[3], 45);
    return result;
}

uint64_t rng_below(struct rng *r, uint64_t n)
{
    uint64_t least = (0 - n) % n, v;

    do
        v = rng_next(r);
    while (v < least); /* what would make small results likelier is drawn again */
    return v % n;
}

void rng_uuid4(struct rng *r, char out[37])
{
    uint64_t a = rng_next(r), b = rng_next(r);

    a = (a & ~(uint64_t)0xf000) | 0x4000;             /* version 4 */
    b = (b & ~((uint64_t)3 << 62)) | (uint64_t)2 << 62; /* RFC 9562's variant */
    snprintf(out, 37, "%08x-%04x-%04x-%04x-%012llx", (unsigned)(a >> 32), (unsigned)(a >> 16 & 0xffff),
             (unsigned)(a & 0xffff), (unsigned)(b >> 48), (unsigned long long)(b & 0xffffffffffff));
}

static bool draw_hex(struct rng *r, char *out, size_t n)
{
    uint64_t v = 0;
    bool all_zero = true;

    for (size_t i = 0; i < n; i++) {
        if (i % 16 == 0)
            v = rng_next(r);
        all_zero = all_zero && (v & 15) == 0;
        out[i] = "0123456789abcdef"[v & 15];
        v >>= 4;
    }
    out[n] = '\0';
    return n == 0 || !all_zero;
}

void rng_hex(struct rng *r, char *out, size_t n)
{
    while (!draw_hex(r, out, n))
        ;
}
