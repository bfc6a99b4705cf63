/* event_block_format-internal.h: what writer and reader of a block agree on; drawn in event_build.c. */
#ifndef STORE_EVENT_BLOCK_FORMAT_INTERNAL_H
#define STORE_EVENT_BLOCK_FORMAT_INTERNAL_H

#include "store/event_ids-internal.h"

#include <stdint.h>

enum { BLOCK_VERSION = 2, BLOCK_HEADER = 40, BLOCK_SUMMED = 8, BLOCK_PLAIN = 0, BLOCK_ZSTD = 1 };

/* What a column is. */
enum { BLOCK_TIME, BLOCK_ATTRIBUTE, BLOCK_OVERFLOW, BLOCK_FIXED };

/* With its form, an enum event_form. */
enum { BLOCK_FORM = 7, BLOCK_TEXT = 8, BLOCK_UNSET = 16, BLOCK_BESIDE = 32, BLOCK_RARE = 64 };

/* A piece of at most so many bytes stands in the directory. */
enum { PIECE_INSIDE = 512 };
/* Texts of a frame, in bytes, unless a single one is longer; rows beyond which it is full, however short they are. */
enum { FRAME_BYTES = 128 * 1024, FRAME_ROWS = 16384 };
/* Behind the bits of a slice of a filter, and behind a shelf of ids: their checksum. */
enum { SLICE_SUM = 4, SHELF_SUM = 4 };
/* Of SQLite's pages of 16 KiB such a part fills 32 to the last byte, and leaves the least in the page where its row is
 * that SQLite puts there, so that several share one. */
enum { BLOCK_PART_BYTES = 32 * 16380 + 2026, BLOCK_PARTS_MOST = 1 << 16 /* more than any block has */ };

/* Of what is stored, for pieces and slices; the directory has all 64 bits. */
static inline uint32_t block_sum(struct str stored)
{
    return (uint32_t)str_hash_stable(stored);
}

/* Bits of a code: several share a byte, the first one in its lowest bits, so that what is nearly always the same costs
 * less than the bit that a packer needs for a byte. Codes of 16 bits are two planes. */
static inline unsigned block_code_bits(size_t distinct)
{
    if (distinct <= 4)
        return distinct <= 2 ? 1 : 2;
    if (distinct <= 256)
        return distinct <= 16 ? 4 : 8;
    return 16;
}

/* Of numbers of so many bits the lowest plane, the next, and so on: the highest one has as few as it needs. */
static inline unsigned block_plane_bits(unsigned bits, size_t plane)
{
    unsigned left = bits - 8 * (unsigned)plane;

    return left > 4 ? 8 : left > 2 ? 4 : left;
}

/* Bytes of a piece of n codes, or of a plane, of so many bits each, at most 8. */
static inline size_t block_packed_bytes(size_t n, unsigned bits)
{
    return (n * bits + 7) / 8;
}

/* Shelves of n ids are told apart by so many bits: at least SHELF_IDS on each, on average, and at most a byte. */
enum { SHELF_IDS = 128, SHELF_BITS = 8 };
static inline unsigned block_shelf_bits(size_t n)
{
    unsigned bits = 0;

    while (bits < SHELF_BITS && n >> (bits + 1) >= SHELF_IDS)
        bits++;
    return bits;
}

/* The bytes of an id that stand on a shelf, as runs: each from `at` in the id, and `on` on the shelf. */
enum { BLOCK_RUN = EVENT_ID_BYTES /* bytes copied of each, whatever its length: what is too much is written over */ };
struct block_runs {
    size_t n, bytes; /* bytes: of all */
    struct {
        uint8_t at, on;
    } v[EVENT_ID_BYTES];
};

/* All but the key and the planes. */
static inline struct block_runs block_runs_of(size_t width, uint8_t key, uint32_t planes)
{
    struct block_runs r = { .n = 0 };
    uint32_t left_out = planes | 1u << key;

    for (size_t i = 0; i < width; i++) {
        if (left_out >> i & 1)
            continue;
        if (i == 0 || (left_out >> (i - 1) & 1)) {
            r.v[r.n].at = (uint8_t)i;
            r.v[r.n++].on = (uint8_t)r.bytes;
        }
        r.bytes++;
    }
    return r;
}

/* From an id to r->bytes at `to`, which has room for BLOCK_RUN more; `id` has width bytes. */
static inline void block_runs_take(const struct block_runs *r, const uint8_t *id, size_t width, uint8_t *to)
{
    uint8_t all[2 * BLOCK_RUN] = { 0 };

    memcpy(all, id, 8);
    if (width == EVENT_ID_BYTES)
        memcpy(all + 8, id + 8, 8);
    for (size_t i = 0; i < r->n; i++)
        memcpy(to + r->v[i].on, all + r->v[i].at, BLOCK_RUN);
}

/* The other way round: up to BLOCK_RUN bytes behind both are touched. */
static inline void block_runs_give(const struct block_runs *r, const uint8_t *from, uint8_t *id)
{
    for (size_t i = 0; i < r->n; i++)
        memcpy(id + r->v[i].at, from + r->v[i].on, BLOCK_RUN);
}

/* What times and numbers may be whole multiples of. */
static const int64_t block_units[] = { 1, 1000, 1000000, 1000000000 };
enum { BLOCK_UNITS = sizeof(block_units) / sizeof(block_units[0]) };

#endif
