#include "store/page_code-internal.h"

#include <stdlib.h>

/* A code's lengths in a page. How many symbols up to the highest that occurs: the bits of that number, 4 bits, and the
 * number without its highest bit; then for each symbol from 0 on
 *
 *      0               as the one before (before the first: 0)
 *      10  110         one more, one less than the last that was not 0
 *      1110            0, behind another; the last that was not 0, behind a 0
 *      1111 llll       l bits
 *
 * and wherever ZEROS in a row have come, in 8 bits how many more follow; 255: a further 8 bits, too. */
enum { ZEROS = 6, MORE_BITS = 8, MORE_MAX = (1 << MORE_BITS) - 1 };

struct leaf {
    uint32_t count;
    uint16_t symbol;
};

static int by_count(const void *a, const void *b)
{
    const struct leaf *x = a, *y = b;

    if (x->count != y->count)
        return x->count < y->count ? -1 : 1;
    return (int)x->symbol - (int)y->symbol;
}

/* Huffman's tree over leaves of rising count: their depths. Inner nodes arise by rising count, too, so the next smallest
 * is always at the head of one of two queues. */
static void depths(const struct leaf *leaf, size_t n, uint8_t *depth)
{
    static const uint32_t never = UINT32_MAX;
    uint32_t weight[CODE_SYMBOLS];
    uint16_t parent[2 * CODE_SYMBOLS];
    uint8_t inner_depth[CODE_SYMBOLS];
    size_t at = 0, from = 0;

    for (size_t made = 0; made + 1 < n; made++) {
        weight[made] = 0;
        for (int side = 0; side < 2; side++) {
            uint32_t l = at < n ? leaf[at].count : never, i = from < made ? weight[from] : never;

            weight[made] += l <= i ? l : i;
            if (l <= i)
                parent[at++] = (uint16_t)made;
            else
                parent[n + from++] = (uint16_t)made;
        }
    }
    inner_depth[n - 2] = 0;
    for (size_t i = n - 2; i-- > 0;)
        inner_depth[i] = (uint8_t)(inner_depth[parent[n + i]] + 1);
    for (size_t i = 0; i < n; i++)
        depth[i] = (uint8_t)(inner_depth[parent[i]] + 1);
}

static uint32_t share(unsigned depth)
{
    return 1u << (CODE_BITS - depth);
}

/* Brings depths down to CODE_BITS: the rarest of those that are not so deep yet pay for the deepest, and what is left over
 * goes to the most frequent. */
static void limit(uint8_t *depth, size_t n)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < n; i++) {
        if (depth[i] > CODE_BITS)
            depth[i] = CODE_BITS;
        sum += share(depth[i]);
    }
    for (size_t i = 0; sum > share(0); i = i + 1 < n ? i + 1 : 0)
        if (depth[i] < CODE_BITS) {
            depth[i]++;
            sum -= share(depth[i]);
        }
    while (sum < share(0))
        for (size_t i = n; i-- > 0;)
            if (sum + share(depth[i]) <= share(0)) {
                sum += share(depth[i]);
                depth[i]--;
            }
}

static void lengths_of(const struct code_counts *c, struct code_lengths *l)
{
    struct leaf leaf[CODE_SYMBOLS];
    uint8_t depth[CODE_SYMBOLS];
    size_t n = 0;

    memset(l, 0, sizeof(*l));
    l->end = c->end;
    for (unsigned s = 0; s < c->end; s++)
        if (c->n[s])
            leaf[n++] = (struct leaf){ c->n[s], (uint16_t)s };
    if (n < 2)
        return;
    qsort(leaf, n, sizeof(*leaf), by_count);
    depths(leaf, n, depth);
    limit(depth, n);
    for (size_t i = 0; i < n; i++)
        l->bits[leaf[i].symbol] = depth[i];
}

/* The first code of each length, canonical: shorter codes first, equal ones by symbol. */
static void first_codes(const struct code_lengths *l, uint32_t first[CODE_BITS + 2])
{
    uint32_t count[CODE_BITS + 1] = { 0 }, code = 0;

    for (unsigned s = 0; s < l->end; s++)
        count[l->bits[s]]++;
    count[0] = 0;
    first[0] = 0;
    for (unsigned bits = 1; bits <= CODE_BITS; bits++) {
        code = (code + count[bits - 1]) << 1;
        first[bits] = code;
    }
}

static uint32_t reversed(uint32_t code, unsigned bits)
{
    uint32_t u = 0;

    for (; bits; bits--, code >>= 1)
        u = u << 1 | (code & 1);
    return u;
}

void code_writer_init(struct code_writer *w, const struct code_counts *c)
{
    uint32_t next[CODE_BITS + 2];

    lengths_of(c, &w->lengths);
    first_codes(&w->lengths, next);
    for (unsigned s = 0; s < w->lengths.end; s++) {
        unsigned bits = w->lengths.bits[s];

        w->code[s] = bits ? (uint16_t)reversed(next[bits]++, bits) : 0;
    }
}

static unsigned bits_of(unsigned u)
{
    return u ? 32u - (unsigned)__builtin_clz(u) : 0;
}

/* Zeros behind the first ZEROS. Returns the next symbol. */
static unsigned put_more_zeros(struct bit_writer *w, const struct code_lengths *l, unsigned s)
{
    unsigned more, from = s;

    while (s < l->end && l->bits[s] == 0)
        s++;
    for (more = s - from; more >= MORE_MAX; more -= MORE_MAX)
        bits_put(w, MORE_MAX, MORE_BITS);
    bits_put(w, more, MORE_BITS);
    return s;
}

static void put_length(struct bit_writer *w, unsigned bits, unsigned before, unsigned last)
{
    if (bits == before)
        bits_put(w, 0, 1);
    else if (bits == last + 1)
        bits_put(w, 1, 2);
    else if (bits && bits + 1 == last)
        bits_put(w, 3, 3);
    else if (bits == (before ? 0 : last))
        bits_put(w, 7, 4);
    else
        bits_put(w, 15 | bits << 4, 8);
}

void code_put_lengths(struct bit_writer *w, const struct code_lengths *l)
{
    unsigned before = 0, last = 0, zeros = 0, end_bits = bits_of(l->end);

    bits_put(w, end_bits, 4);
    bits_put(w, end_bits ? bits_low(l->end, end_bits - 1) : 0, end_bits ? end_bits - 1 : 0);
    for (unsigned s = 0; s < l->end;) {
        unsigned bits = l->bits[s++];

        put_length(w, bits, before, last);
        last = bits ? bits : last;
        before = bits;
        zeros = bits ? 0 : zeros + 1;
        if (zeros == ZEROS) {
            s = put_more_zeros(w, l, s);
            zeros = 0;
        }
    }
}

static unsigned get_length(struct bit_reader *r, unsigned before, unsigned last)
{
    uint64_t u = bits_peek(r);
    unsigned ones = (unsigned)__builtin_ctzll(~(u & 15)); /* at most 4 */

    r->at += ones == 4 ? 8 : ones + 1;
    switch (ones) {
    case 0:
        return before;
    case 1:
        return last + 1;
    case 2:
        return last - 1;
    case 3:
        return before ? 0 : last;
    default:
        return (unsigned)bits_low(u >> 4, 4);
    }
}

static unsigned get_more_zeros(struct bit_reader *r)
{
    unsigned more, zeros = 0;

    do {
        more = (unsigned)bits_get(r, MORE_BITS);
        zeros += more;
    } while (more == MORE_MAX && zeros < CODE_SYMBOLS);
    return zeros;
}

bool code_get_lengths(struct bit_reader *r, struct code_lengths *l)
{
    unsigned before = 0, last = 0, zeros = 0, end_bits = (unsigned)bits_get(r, 4);
    uint32_t sum = 0;

    l->end = end_bits ? 1u << (end_bits - 1) | (unsigned)bits_get(r, end_bits - 1) : 0;
    if (l->end > CODE_SYMBOLS)
        return false;
    memset(l->bits, 0, l->end);
    for (unsigned s = 0; s < l->end;) {
        unsigned bits = get_length(r, before, last);

        if (bits > CODE_BITS)
            return false;
        l->bits[s++] = (uint8_t)bits;
        sum += bits ? share(bits) : 0;
        last = bits ? bits : last;
        before = bits;
        zeros = bits ? 0 : zeros + 1;
        if (zeros == ZEROS) {
            s += get_more_zeros(r);
            zeros = 0;
        }
        if (s > l->end)
            return false;
    }
    return r->at <= r->end && (sum == 0 || sum == share(0));
}

static struct code_entry entry_of(unsigned symbol, unsigned bits)
{
    unsigned token = symbol < CODE_RUNS ? symbol : (symbol - CODE_RUNS) % RUN_TOKENS, raw = token_raw(token);
    unsigned more = symbol < CODE_RUNS ? 0 : 1 + (symbol - CODE_RUNS) / RUN_TOKENS;

    if (symbol >= CODE_PAIRS) {
        unsigned pair = symbol - CODE_PAIRS;

        return (struct code_entry){ (uint8_t)bits, 0, (uint8_t)(pair / PAIR_BASE), (uint8_t)(1 + pair % PAIR_BASE) };
    }
    return (struct code_entry){ (uint8_t)(bits + raw), (uint8_t)raw, (uint8_t)(token_base(token) >> raw),
                                (uint8_t)more };
}

void code_reader_init(struct code_reader *r, const struct code_lengths *l)
{
    uint32_t next[CODE_BITS + 2];

    first_codes(l, next);
    r->kind = code_kind_of(l);
    r->bits = 0;
    for (unsigned s = 0; s < l->end; s++)
        if (l->bits[s] > r->bits)
            r->bits = l->bits[s];
    r->entries[0] = l->end ? entry_of(l->end - 1, 0) : (struct code_entry){ 0, 0, 0, 0 };
    r->longest = r->entries[0].raw; /* right when it is the only one; put right below when not */
    if (r->bits)
        r->longest = 0;
    for (unsigned s = 0; s < l->end; s++) {
        unsigned bits = l->bits[s];
        struct code_entry e;

        if (bits == 0)
            continue;
        e = entry_of(s, bits);
        if (e.all > r->longest)
            r->longest = e.all;
        for (uint32_t at = reversed(next[bits]++, bits); at < 1u << r->bits; at += 1u << bits)
            r->entries[at] = e;
    }
}
