/* event_sealed-internal.h: a block's directory, parsed; never changed after that, so threads share it. */
#ifndef STORE_EVENT_SEALED_INTERNAL_H
#define STORE_EVENT_SEALED_INTERNAL_H

#include "store/event_build-internal.h"
#include "store/event_template-internal.h"
#include "store/varint-internal.h"

struct sealed_piece {
    uint32_t raw, packed; /* bytes; packed 0: as they are */
    uint32_t part;        /* 0: inside */
    uint32_t sum;
    struct str inside;
};

struct sealed_column {
    int kind;        /* BLOCK_* */
    struct str name; /* of a fixed column or an attribute */
    struct event_summary summary;
    union event_value constant;
    int64_t first, unit;      /* times: the first row's; of numbers and times */
    enum event_id id;
    uint32_t nodd, id_planes; /* IDS: bytes that are planes, as bits */
    struct sealed_piece *pieces;
    size_t
        npieces; /* numbers: planes; a dictionary: values, then codes; ids: noise, planes, and rows of another form, if
                       any; texts: frames, or what `templates` says */
    const uint32_t *first_rows; /* TEXTS: of each frame; nframes + 1 */
    size_t nframes;
    uint32_t templates, holes; /* TEXTS: when there are any, the pieces are these, codes, and each hole's planes */
    uint8_t widths[TEMPLATE_HOLES];
    size_t filter_bytes;      /* 0: none */
    uint32_t filter_part;
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
