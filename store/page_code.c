#include "store/page_code-internal.h"

#include <stdlib.h>

/* A code's lengths in a page: one past the highest symbol, 9 bits; then for each symbol from 0 on
 *
 *      0               as the one before (before the first: 0)
 *      10  110         one more; one less
 *      1110 llll       l bits
 *      1111 nnnnnnnn   as the one before, MIN_REPEAT + n times */
enum { END_BITS = 9, MIN_REPEAT = 10, REPEAT_BITS = 8, MAX_REPEAT = MIN_REPEAT + (1 << REPEAT_BITS) - 1 };

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

void code_lengths(const struct code_counts *c, struct code_lengths *l)
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

    code_lengths(c, &w->lengths);
    first_codes(&w->lengths, next);
    for (unsigned s = 0; s < w->lengths.end; s++) {
        unsigned bits = w->lengths.bits[s];

        w->code[s] = bits ? (uint16_t)reversed(next[bits]++, bits) : 0;
    }
}

static unsigned repeats(const struct code_lengths *l, unsigned at, unsigned before)
{
    unsigned n = 0;

    while (at + n < l->end && l->bits[at + n] == before && n < MAX_REPEAT)
        n++;
    return n;
}

void code_put_lengths(struct bit_writer *w, const struct code_lengths *l)
{
    unsigned before = 0;

    bits_put(w, l->end, END_BITS);
    for (unsigned s = 0; s < l->end;) {
        unsigned bits = l->bits[s], n = repeats(l, s, before);

        if (n >= MIN_REPEAT) {
            bits_put(w, 15 | (n - MIN_REPEAT) << 4, 4 + REPEAT_BITS);
            s += n;
            continue;
        }
        if (bits == before)
            bits_put(w, 0, 1);
        else if (bits == before + 1)
            bits_put(w, 1, 2);
        else if (bits + 1 == before)
            bits_put(w, 3, 3);
        else
            bits_put(w, 7 | bits << 4, 8);
        before = bits;
        s++;
    }
}

/* The next length or lengths; 0 when they are none. */
static unsigned get_length(struct bit_reader *r, unsigned *bits)
{
    if (bits_get(r, 1) == 0)
        return 1;
    if (bits_get(r, 1) == 0)
        ++*bits;
    else if (bits_get(r, 1) == 0)
        --*bits;
    else if (bits_get(r, 1) == 0)
        *bits = (unsigned)bits_get(r, 4);
    else
        return MIN_REPEAT + (unsigned)bits_get(r, REPEAT_BITS);
    return *bits <= CODE_BITS;
}

bool code_get_lengths(struct bit_reader *r, struct code_lengths *l)
{
    unsigned bits = 0, used = 0;
    uint32_t sum = 0;

    l->end = (unsigned)bits_get(r, END_BITS);
    if (l->end > CODE_SYMBOLS)
        return false;
    memset(l->bits, 0, sizeof(l->bits));
    for (unsigned s = 0; s < l->end;) {
        unsigned n = get_length(r, &bits);

        if (n == 0 || n > l->end - s)
            return false;
        used += bits ? n : 0;
        sum += bits ? n * share(bits) : 0;
        memset(l->bits + s, (int)bits, n);
        s += n;
    }
    return r->at <= r->end && (used == 0 || sum == share(0));
}

static struct code_entry entry_of(unsigned symbol, unsigned bits)
{
    unsigned token = symbol < CODE_RUNS ? symbol : (symbol - CODE_RUNS) % RUN_TOKENS, raw = token_raw(token);
    unsigned more = symbol < CODE_RUNS ? 0 : 1 + (symbol - CODE_RUNS) / RUN_TOKENS;

    if (symbol >= CODE_PAIRS) {
        unsigned pair = symbol - CODE_PAIRS;

        return (struct code_entry){ (uint8_t)bits, 0, (uint8_t)(pair / PAIR_BASE), (uint8_t)(1 + pair % PAIR_BASE) };
    }
    return (struct code_entry){ (uint8_t)bits, (uint8_t)raw, (uint8_t)(token_base(token) >> raw), (uint8_t)more };
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
        if (bits + e.raw > r->longest)
            r->longest = bits + e.raw;
        for (uint32_t at = reversed(next[bits]++, bits); at < 1u << r->bits; at += 1u << bits)
            r->entries[at] = e;
    }
}
