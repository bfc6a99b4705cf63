/* page_code-internal.h: prefix codes (Huffman's, canonical, at most CODE_BITS long) over a page's tokens.
 *
 * Tokens 0 .. TOKENS-1 stand for numbers; in codes with runs, TOKENS + k stands for a run of zeros: its length less one
 * is the number of token k. */
#ifndef STORE_PAGE_CODE_INTERNAL_H
#define STORE_PAGE_CODE_INTERNAL_H

#include "store/page_bits-internal.h"

#include <stdbool.h>

enum { CODE_BITS = 11, CODE_SYMBOLS = TOKENS + 64 };

/* How often each symbol occurs, then what it costs. */
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
    uint8_t bits, raw; /* of the code; behind it */
    uint8_t head;      /* the number is (head << raw) + the raw bits */
    uint8_t run;       /* 1: the number is a run of zeros less one */
};
struct code_reader {
    struct code_entry entries[1 << CODE_BITS];
    unsigned bits, longest; /* longest: a code with its raw bits */
};

static inline void code_count(struct code_counts *c, unsigned symbol)
{
    c->n[symbol]++;
    if (symbol >= c->end)
        c->end = symbol + 1;
}

void code_lengths(const struct code_counts *c, struct code_lengths *l);
void code_writer_init(struct code_writer *w, const struct code_counts *c);
/* A code in a page: see page.c. At most CODE_TABLE_BYTES. */
enum { CODE_TABLE_BYTES = CODE_SYMBOLS + 16 };
void code_put_lengths(struct bit_writer *w, const struct code_lengths *l);
/* False: not a complete prefix code. */
bool code_get_lengths(struct bit_reader *r, struct code_lengths *l);
/* The lengths must have come from code_get_lengths. */
void code_reader_init(struct code_reader *r, const struct code_lengths *l);

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

    r->at += e.bits;
    return ((uint64_t)e.head << e.raw) + bits_get_long(r, e.raw);
}

#endif
