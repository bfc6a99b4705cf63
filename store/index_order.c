/* index_order.c: what a label set is called in every process: its canonical bytes, its key, its order.
 *
 * The order of a label set is 64 bits:
 *
 *     NAME(16)  REST(32)  LE(16)
 *
 *   NAME  the upper 16 bits of H(value of __name__); 0 without one
 *   REST  the upper 32 bits of K x the sum of P over all labels but __name__ and le, where
 *         P(label) = mix(K x H(name) + H(value)), mix(x) = y ^ y >> 32 with y = M x (x ^ x >> 32)
 *   LE    the upper 16 bits of le as a double, turned so that they rise with it: all bits inverted when it is negative,
 *         else the sign bit set. 0 without le, or when it is not a number. Bounds closer than a sixteenth may meet.
 *
 * modulo 2^64, with H = str_hash_stable, K = 0x9e3779b97f4a7c15, M = 0xd6e8feb86659fd93. What a label adds is kept with
 * its pair, so the order of a new series is a sum. */
#include "store/index_state-internal.h"

#include "base/mem.h"
#include "base/num.h"
#include "store/varint-internal.h"

#include <math.h>
#include <stdlib.h>

#define K 0x9e3779b97f4a7c15u
#define M 0xd6e8feb86659fd93u

static size_t varint_length(uint64_t v)
{
    size_t n = 1;

    while (v >>= 7)
        n++;
    return n;
}

static char *put_text(char *to, char tag, struct str s)
{
    *to++ = tag;
    to = (char *)varint_write((uint8_t *)to, s.n);
    if (s.n)
        memcpy(to, s.p, s.n);
    return to + s.n;
}

void labels_canonical(struct buf *out, struct labels l)
{
    for (size_t i = 0; i < l.n; i++) {
        struct str name = l.v[i].name, value = l.v[i].value;
        size_t n = 2 + varint_length(name.n) + name.n + varint_length(value.n) + value.n;
        char *at = buf_reserve(out, 1 + VARINT_MAX + n);

        if (!at)
            return;
        *at = 0x0a;
        at = (char *)varint_write((uint8_t *)at + 1, n);
        at = put_text(put_text(at, 0x0a, name), 0x12, value);
        out->n = (size_t)(at - out->p);
    }
}

struct index_key index_key(const struct hash128_key *key, struct str canonical)
{
    struct hash128 h = hash128(key, canonical);

    return (struct index_key){ h.low, h.high };
}

uint64_t pair_hash(uint64_t name_hash, struct str value)
{
    uint64_t h = name_hash * K + str_hash_stable(value);

    h = (h ^ h >> 32) * M;
    return h ^ h >> 32;
}

uint64_t le_number(struct str value)
{
    uint64_t bits;
    double v;

    if (!num_double(value, &v) || isnan(v))
        return 0;
    bits = double_bits(v);
    return (bits >> 63 ? ~bits : bits | (uint64_t)1 << 63) >> 48;
}

uint64_t pairs_order(const struct texts *t, const uint32_t *pairs, uint32_t n)
{
    uint64_t metric = 0, le = 0, rest = 0;

    for (uint32_t i = 0; i < n; i++) {
        const struct pair *p = pair_at(t, pairs[i]);

        if (p->name == t->metric)
            metric = p->hash;
        else if (p->name == t->le)
            le = p->hash;
        else
            rest += p->hash;
    }
    return metric << 48 | (rest * K >> 32) << 16 | le;
}

uint64_t index_order(const struct series_index *ix, uint32_t id)
{
    return stripe_of(ix, id)->order[id & (STRIPE - 1)];
}

/* --- sorting --- */

struct place {
    uint64_t order;
    uint32_t id;
};

static unsigned digit(const struct place *p, unsigned k)
{
    return k < 4 ? p->id >> 8 * k & 0xff : (unsigned)(p->order >> 8 * (k - 4)) & 0xff;
}

/* By one digit, keeping what was before among equals. False: there is only one, nothing was moved. */
static bool pass(const struct place *from, struct place *to, size_t n, unsigned k)
{
    size_t at[256] = { 0 }, sum = 0;

    for (size_t i = 0; i < n; i++)
        at[digit(&from[i], k)]++;
    if (at[digit(&from[0], k)] == n)
        return false;
    for (unsigned d = 0; d < 256; d++) {
        size_t here = at[d];

        at[d] = sum;
        sum += here;
    }
    for (size_t i = 0; i < n; i++)
        to[at[digit(&from[i], k)]++] = from[i];
    return true;
}

static int place_cmp(const void *a, const void *b)
{
    const struct place *x = a, *y = b;

    if (x->order != y->order)
        return x->order < y->order ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

int index_sort(const struct series_index *ix, uint32_t *ids, size_t n)
{
    enum { WORTH_DIGITS = 1024, DIGITS = 12 };
    struct place *from, *to, *memory;
    bool rising = true;

    if (n < 2)
        return 0;
    memory = n <= SIZE_MAX / sizeof(*memory) / 2 ? mem_alloc(2 * n * sizeof(*memory)) : NULL;
    if (!memory)
        return ERR_NOMEM;
    from = memory;
    to = memory + n;
    for (size_t i = 0; i < n; i++) {
        rising = rising && (i == 0 || ids[i - 1] < ids[i]);
        from[i] = (struct place){ index_order(ix, ids[i]), ids[i] };
    }
    if (n < WORTH_DIGITS)
        qsort(from, n, sizeof(*from), place_cmp);
    for (unsigned k = rising ? 4 : 0; n >= WORTH_DIGITS && k < DIGITS; k++) {
        struct place *swap = from;

        if (pass(from, to, n, k)) {
            from = to;
            to = swap;
        }
    }
    for (size_t i = 0; i < n; i++)
        ids[i] = from[i].id;
    mem_free(memory);
    return 0;
}
