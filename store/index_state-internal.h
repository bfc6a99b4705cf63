/* index_state-internal.h: what the files of the index share: its memory, and who may touch it.
 *
 *   texts     names and values, each once; a pair is a name with one value        index_text.c
 *   records   the pairs of a series, told as the difference to a neighbour        index_record.c
 *   stripes   by number: key, order, place of the record, whether it is there    index.c
 *   table     from a key to a number                                              index_table.c
 *   columns   by name and stripe: which series has which value                    index_column.c
 *
 * Nearly all memory is taken in chunks that stay where they are: growth copies pointers, not contents, so that no add
 * is slow and the memory never doubles.
 * The committer changes everything but the columns, which readers build: `lock` guards those. */
#ifndef STORE_INDEX_STATE_INTERNAL_H
#define STORE_INDEX_STATE_INTERNAL_H

#include "store/index-internal.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    STRIPE_SHIFT = 12,
    STRIPE = 1 << STRIPE_SHIFT, /* numbers in a stripe, a multiple of 64 */
    STRIPE_WORDS = STRIPE / 64,
    PAIR_SHIFT = 10,
    PAIR_CHUNK = 1 << PAIR_SHIFT,
    RECORD_CHUNK = 1 << 16,
    SEGMENTS = 1 << 10,
    GROUP = 12,
    BASES = 4,
    BASE_LABELS = 63, /* longer sets serve nobody as a base */
};
/* Numbers with this bit are aliases, in the table only. */
#define ALIAS_BIT   0x80000000u
#define MOST_SERIES (ALIAS_BIT - 2)
/* What columns may take together, beyond those in use. */
#define COLUMN_BYTES ((size_t)64 << 20)

struct column;

/* Numbered from 1, as pairs are: 0 is none. */
struct name {
    struct str text;
    uint64_t hash; /* str_hash_stable */
    uint32_t live; /* pairs that some series has */
    uint32_t npairs;
    uint32_t *pairs; /* its pairs, as they came */
    size_t pairs_cap;
    struct column **columns; /* by stripe; under the lock, or while pinned */
    size_t ncolumns;
    uint64_t used_at; /* under the lock, as the next */
    unsigned pins;    /* readers that walk the columns */
    _Atomic uint32_t hint; /* a series that was found to have it: index_list.c; 0: none */
};

struct pair {
    const char *value;
    uint32_t n;
    uint32_t name;
    uint64_t hash;  /* what it adds to the order of a series: index_order.c */
    uint32_t uses;  /* series that have it */
    uint32_t local; /* its place in name->pairs */
};

/* Open addressing; a slot is the upper half of a hash and a number, 0 is free. */
struct text_table {
    uint64_t *slots;
    size_t n, cap;
};

/* Texts, one behind the other; the newest block first. */
struct text_block {
    struct text_block *older;
    size_t start, used, size; /* start: bytes in all blocks before it */
    char bytes[];
};

struct texts {
    struct text_block *blocks;
    size_t taken, held; /* bytes of texts; of blocks */
    struct name *names; /* [1..nnames] */
    size_t names_cap;
    struct pair **pairs; /* chunks of PAIR_CHUNK */
    size_t pair_chunks, pair_chunks_cap;
    uint32_t nnames, npairs;
    uint32_t metric, le; /* the names __name__ and le; 0 as long as they are not there */
    struct text_table name_table, pair_table;
};

struct stripe {
    struct index_key key[STRIPE];
    uint64_t order[STRIPE];
    uint32_t record[STRIPE];
    uint64_t present[STRIPE_WORDS];
};

/* A series that neighbours may refer to. */
struct base {
    uint32_t id, n;
    uint32_t pairs[BASE_LABELS];
};

struct records {
    char **chunks;
    size_t nchunks, cap;
    uint32_t end;             /* where the next one goes */
    struct base bases[BASES]; /* in use: n > 0 */
    unsigned next_base;
};

/* One cache line. A slot is free when its id is 0. */
struct group {
    uint32_t id[GROUP];
    uint8_t tag[GROUP];
    uint8_t spilled; /* something that belongs here had to go on to the next group */
    uint8_t unused[3];
};

struct segment {
    void *memory;
    struct group *groups; /* in `memory`, on a line's start */
    uint32_t ngroups, n, graves;
};

/* Second keys, dense. */
struct alias_chunk {
    struct index_key key[STRIPE];
    uint32_t id[STRIPE];
};

struct aliases {
    struct alias_chunk **chunks;
    size_t nchunks, cap;
    uint32_t n;
};

struct series_index {
    atomic_uint holders;
    uint32_t end;     /* the next number */
    uint32_t count;   /* series that are there */
    uint32_t skipped; /* numbers that were passed over */
    struct stripe **stripes;
    struct stripe *nothing; /* stands for all stripes that were passed over as a whole; never written to */
    size_t nstripes, stripes_cap, nothings;
    struct texts texts;
    struct records records;
    struct aliases aliases;
    struct segment segments[SEGMENTS];
    uint32_t last[INDEX_MAX_LABELS], nlast; /* pairs of the newest series: the next one will be much like it */

    pthread_mutex_t lock; /* guards what readers build: columns */
    uint64_t clock;
    size_t column_max;
    _Atomic size_t column_bytes;
};

static inline struct stripe *stripe_of(const struct series_index *ix, uint32_t id)
{
    return ix->stripes[id >> STRIPE_SHIFT];
}

static inline struct pair *pair_at(const struct texts *t, uint32_t pair)
{
    return &t->pairs[pair >> PAIR_SHIFT][pair & (PAIR_CHUNK - 1)];
}

static inline struct str pair_value(const struct pair *p)
{
    return (struct str){ p->value, p->n };
}

static inline struct index_key alias_key(const struct aliases *al, uint32_t at)
{
    return al->chunks[at >> STRIPE_SHIFT]->key[at & (STRIPE - 1)];
}

static inline uint32_t *alias_id(const struct aliases *al, uint32_t at)
{
    return &al->chunks[at >> STRIPE_SHIFT]->id[at & (STRIPE - 1)];
}

/* --- index.c --- */

/* A series on its way in. */
struct new_series {
    struct index_key key;
    uint32_t n;
    uint32_t pairs[INDEX_MAX_LABELS]; /* sorted by name */
    struct str edits;                 /* its record, or STR_NULL when that is to be found out */
    bool gone;                        /* its number is spent, and it is not there */
};
/* Gives it the next number. 0: ERR_NOMEM, ERR_LIMIT, and nothing has changed. */
uint32_t series_put(struct series_index *ix, const struct new_series *s, struct err *e);

/* --- index_text.c --- */

/* 0: not there. */
uint32_t name_find(const struct texts *t, struct str name);
uint32_t pair_find(const struct texts *t, uint32_t name, struct str value);
/* What is not there is made. 0: no memory; what was made before stays until texts_rollback. */
uint32_t name_intern(struct texts *t, struct str name);
uint32_t pair_intern(struct texts *t, uint32_t name, struct str value);
/* Forgets all texts behind the given numbers; `taken` was texts.taken then. */
void texts_rollback(struct texts *t, uint32_t nnames, uint32_t npairs, size_t taken);
size_t texts_bytes(const struct texts *t);
void texts_fini(struct texts *t);

/* --- index_record.c --- */

enum { RECORD_MAX = 2 + 4 * INDEX_MAX_LABELS };

/* Makes room for a record of n pairs. 0, ERR_NOMEM, ERR_LIMIT. */
int records_reserve(struct records *r, uint32_t n);
/* Writes it where room was made; where it stands. `edits` is the record, when it is known already. Cannot fail. */
uint32_t records_add(struct records *r, const struct texts *t, uint32_t id, const uint32_t *pairs, uint32_t n,
                     struct str edits);
void records_rollback(struct records *r, uint32_t end, uint32_t first_id);
/* Its pairs, at most INDEX_MAX_LABELS; how many. */
uint32_t record_pairs(const struct series_index *ix, uint32_t id, uint32_t *pairs);
/* The bytes of a record; *base is the number it refers to, 0 when it stands alone. */
struct str record_bytes(const struct series_index *ix, uint32_t id, uint32_t *base);
/* A record that stands alone, for any pairs. */
size_t record_alone(char *to, const uint32_t *pairs, uint32_t n);
/* Reads records from outside. */
struct record_reader {
    uint32_t first; /* the first number a record may refer to */
    uint32_t base;  /* the base last met, and its record; 0: none */
    bool alone;     /* that record is the one in memory */
    char bytes[RECORD_MAX];
    struct str edits; /* what was read, when it can be kept as it is */
};
/* Takes the record of series `id` off `bytes`. False when it is not one: pairs must be there, and sorted by name. */
bool record_read(const struct series_index *ix, struct record_reader *rd, struct str *bytes, uint32_t id,
                 uint32_t *pairs, uint32_t *n);

/* Asks many series for their pair of one name; quick for neighbours. */
struct pair_cursor {
    const struct series_index *ix;
    uint32_t name;
    uint32_t base;       /* the number of the base last met */
    uint32_t base_pair;  /* its pair of that name; 0: none */
    uint32_t base_index; /* which of its pairs that is */
};
/* 0: the series has none. */
uint32_t pair_cursor_get(struct pair_cursor *c, uint32_t id);

/* --- index_table.c --- */

/* A number, or ALIAS_BIT and an alias' place; 0 when it is not there. */
uint32_t table_find(const struct series_index *ix, struct index_key key);
/* The key is not there, and can be had by `id` already. 0 or ERR_NOMEM. */
int table_put(struct series_index *ix, struct index_key key, uint32_t id);
void table_take(struct series_index *ix, struct index_key key, uint32_t id);
/* Another number for a key that is there. */
void table_change(struct series_index *ix, struct index_key key, uint32_t from, uint32_t to);
size_t table_bytes(const struct series_index *ix);
void table_fini(struct series_index *ix);

/* --- index_alias.c --- */

/* Drops those whose series is not there. */
void aliases_sweep(struct series_index *ix);
size_t aliases_bytes(const struct series_index *ix);
void aliases_fini(struct series_index *ix);

/* --- index_order.c --- */

uint64_t pair_hash(uint64_t name_hash, struct str value);
/* le's place in an order, 16 bits. */
uint64_t le_number(struct str value);
uint64_t pairs_order(const struct texts *t, const uint32_t *pairs, uint32_t n);

/* --- index_column.c --- */

/* The pairs of one name for one stripe's series [0..n): pairs[codes[i]], where pair 0 is a series without the name. Of
 * a series that is not there the code says nothing. */
struct column {
    uint32_t n;
    uint32_t distinct; /* of pairs: their number */
    uint32_t width;    /* bytes of a code: 0 (there is one pair, or none), 1 or 2 */
    uint32_t pairs[];  /* behind them the codes */
};

static inline const void *column_codes(const struct column *c)
{
    return c->pairs + c->distinct;
}

static inline uint32_t column_code(const struct column *c, uint32_t i)
{
    const uint8_t *one = column_codes(c);
    const uint16_t *two = column_codes(c);

    return c->width == 0 ? 0 : c->width == 1 ? one[i] : two[i];
}

/* The columns of a name for all stripes, built where they are missing, and kept until columns_unpin. NULL: no memory.
 * Thread-safe among readers. */
struct column *const *columns_pin(struct series_index *ix, uint32_t name);
void columns_unpin(struct series_index *ix, uint32_t name);
/* Whether they are all there, so that columns_pin costs nothing. */
bool columns_ready(struct series_index *ix, uint32_t name);
/* Forgets what covers numbers from `id` on. */
void columns_rollback(struct series_index *ix, uint32_t id, uint32_t nnames);
void columns_fini(struct series_index *ix);

#endif
