/* page_code-internal.h: prefix codes (Huffman's, canonical, at most CODE_BITS long) over a page's tokens.
 *
 * A symbol below TOKENS is a number's token. Numbers that are mostly small have entropies that whole bits per number fit
 * badly, so some codes have symbols for several numbers:
 *
 *      CODE_RUNS + 64 f + k      a run of zeros, whose length less one is the number of token k; behind it a 1 or a 2 for
 *                                f = 1 or 2, for f = 0 what the next symbol says
 *      CODE_PAIRS + 4 a + b      the numbers a and b, both below 4 */
#ifndef STORE_PAGE_CODE_INTERNAL_H
#define STORE_PAGE_CODE_INTERNAL_H

#include "store/page_bits-internal.h"

#include <stdbool.h>

enum {
    CODE_BITS = 10,
    PAIR_BASE = 4,
    CODE_RUNS = TOKENS,
    RUN_TOKENS = 64,
    RUN_FOLLOWED = 3,
    CODE_PAIRS = CODE_RUNS + RUN_FOLLOWED * RUN_TOKENS,
    CODE_SYMBOLS = CODE_PAIRS + PAIR_BASE * PAIR_BASE
};

/* What a code has beside tokens. */
enum code_kind { CODE_PLAIN, CODE_WITH_PAIRS, CODE_WITH_RUNS };

/* How often each symbol occurs. */
struct code_counts {
    uint32_t n[CODE_SYMBOLS];
    unsigned end; /* one past the highest that occurs */
};

/* Bits of each symbol's code; 0: does not occur, or is the only one and needs none. */
struct code_lengths {
    uint8_t bits[CODE_SYMBOLS];
    unsigned end;
};

/* For writing. */
struct code_writer {
    uint16_t code[CODE_SYMBOLS];
    struct code_lengths lengths;
};

/* For reading: the entry of the next `bits` bits. */
struct code_entry {
    uint8_t all, raw;  /* bits: of the code with the raw ones behind it; of these alone */
    uint8_t head;      /* the number is (head << raw) + the raw bits */
    uint8_t more;      /* of a run 1 + f; of a pair, whose first is the number, 1 + the second; else 0 */
};
struct code_reader {
    struct code_entry entries[1 << CODE_BITS];
    unsigned bits, longest; /* longest: a code with its raw bits */
    enum code_kind kind;
};

static inline void code_count(struct code_counts *c, unsigned symbol)
{
    c->n[symbol]++;
    if (symbol >= c->end)
        c->end = symbol + 1;
}

void code_writer_init(struct code_writer *w, const struct code_counts *c);
/* A code in a page, drawn in page_code.c. At most CODE_TABLE_BYTES. */
enum { CODE_TABLE_BYTES = CODE_SYMBOLS * 2 + 16 };
void code_put_lengths(struct bit_writer *w, const struct code_lengths *l);
/* False: not a complete prefix code. */
bool code_get_lengths(struct bit_reader *r, struct code_lengths *l);
/* The lengths must have come from code_get_lengths. */
void code_reader_init(struct code_reader *r, const struct code_lengths *l);

/* Its highest symbol tells. */
static inline enum code_kind code_kind_of(const struct code_lengths *l)
{
    if (l->end > CODE_PAIRS)
        return CODE_WITH_PAIRS;
    return l->end > CODE_RUNS ? CODE_WITH_RUNS : CODE_PLAIN;
}

/* The symbol for u[0], or for as many of u[0..n) as the kind of code has one for. */
struct code_step {
    unsigned symbol, raw_bits;
    uint64_t raw;
    size_t n;
};

static inline struct code_step code_step_of_token(unsigned symbols, uint64_t u, size_t n)
{
    unsigned token = token_of(u);

    return (struct code_step){ symbols + token, token_raw(token), u - token_base(token), n };
}

static inline struct code_step code_step(enum code_kind kind, const uint64_t *u, size_t n)
{
    if (kind == CODE_WITH_PAIRS && n > 1 && (u[0] | u[1]) < PAIR_BASE)
        return (struct code_step){ CODE_PAIRS + PAIR_BASE * (unsigned)u[0] + (unsigned)u[1], 0, 0, 2 };
    if (kind == CODE_WITH_RUNS && u[0] == 0) {
        size_t run = 1;
        unsigned follows;

        while (run < n && u[run] == 0)
            run++;
        follows = run < n && u[run] < RUN_FOLLOWED ? (unsigned)u[run] : 0;
        return code_step_of_token(CODE_RUNS + RUN_TOKENS * follows, run - 1, run + (follows != 0));
    }
    return code_step_of_token(0, u[0], 1);
}

static inline void code_put(struct bit_writer *w, const struct code_writer *c, unsigned symbol)
{
    bits_put(w, c->code[symbol], c->lengths.bits[symbol]);
}

static inline void code_put_number(struct bit_writer *w, const struct code_writer *c, uint64_t u)
{
    unsigned token = token_of(u);

    code_put(w, c, token);
    bits_put_long(w, u - token_base(token), token_raw(token));
}

static inline struct code_entry code_entry_at(const struct code_reader *c, uint64_t bits)
{
    return c->entries[bits_low(bits, c->bits)];
}

/* Any code, any place. */
static inline uint64_t code_get_number(struct bit_reader *r, const struct code_reader *c)
{
    struct code_entry e = code_entry_at(c, bits_peek(r));

    r->at += e.all - e.raw;
    return ((uint64_t)e.head << e.raw) + bits_get_long(r, e.raw);
}

#endif
