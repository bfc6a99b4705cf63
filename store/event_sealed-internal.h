/* event_sealed-internal.h: a block's directory, parsed; never changed after that, so threads share it. */
#ifndef STORE_EVENT_SEALED_INTERNAL_H
#define STORE_EVENT_SEALED_INTERNAL_H

#include "store/event_build-internal.h"
#include "store/event_template-internal.h"
#include "store/varint-internal.h"

struct sealed_piece {
    uint32_t raw, packed; /* bytes; packed 0: as they are */
    uint32_t sum;
    uint64_t at;          /* in the block's bytes, plus one; 0: inside */
    struct str inside;
};

struct sealed_column {
    int kind;        /* BLOCK_* */
    struct str name; /* of a fixed column or an attribute */
    struct event_summary summary;
    union event_value constant;
    int64_t first, unit;      /* times: the first row's; of numbers and times */
    unsigned bits;            /* of what is in the planes of numbers and times */
    /* INTS: the least number in the planes; the column that they are told by, -1: none; the usual number, how many rows
     * have another, and whether there is one. */
    int64_t least, usual;
    int beside;
    uint32_t nrare;
    bool rare;
    /* IDS: rows of another form, and with an id; bytes of these that are planes, as bits; their key. */
    enum event_id id;
    uint32_t nodd, nids, id_planes;
    uint8_t key;
    const uint32_t *shelves;  /* of each shelf, how many ids stand on those before; one more than there are shelves */
    uint64_t shelves_at;
    struct sealed_piece *pieces;
    size_t
        npieces; /* numbers: which rows are rare, if any, and planes; a dictionary: values, of texts two, then codes; ids: which rows have one, unless all have, keys,
                       planes, and rows of another form, if any; texts: frames, or what `templates` says */
    const uint32_t *first_rows; /* TEXTS: of each frame; nframes + 1 */
    size_t nframes;
    uint32_t templates, holes; /* TEXTS: when there are any, the pieces are these, codes, and each hole's planes */
    uint8_t hole_bits[TEMPLATE_HOLES];
    size_t filter_bytes;      /* 0: none */
    uint64_t filter_at;
};

struct sealed_directory {
    enum event_kind kind;
    size_t n;
    int64_t first_ns, last_ns;
    struct sealed_column *columns; /* the times are the first one */
    size_t ncolumns, nattributes;
    const struct sealed_column *fixed[EVENT_MAX_COLUMNS];
    const struct sealed_column *overflow;
};

/* In `a`, with all its texts. ERR_CORRUPT, ERR_UNSUPPORTED: a newer format, ERR_NOMEM. */
int sealed_directory_read(struct str bytes, struct arena *a, const struct sealed_directory **out, struct err *e);

/* A block as a source by its directory, which must outlive it. `arg` is what `read` gets. */
struct event_source *event_block_of(const struct sealed_directory *d, event_part_read *read, void *arg, struct arena *a,
                                    struct err *e);

#endif
