/* event_block-internal.h: a sealed block that is being read; what event_block.c (the source), event_block_column.c
 * (pieces to views), event_block_ids.c (shelves) and event_block_texts.c (frames and templates) share. */
#ifndef STORE_EVENT_BLOCK_INTERNAL_H
#define STORE_EVENT_BLOCK_INTERNAL_H

#include "store/event_attributes-internal.h"
#include "store/event_read-internal.h"
#include "store/event_sealed-internal.h"

struct sealed;

struct sealed_view {
    struct event_view view; /* first: a view of ours is one of these */
    const struct sealed_column *column;
    struct sealed *block;
    bool is_open, has_rows;
    /* Of TEXTS. Memory for the largest frame, for event_view_frame. */
    char *scan_bytes;
    uint32_t *scan_at;
    struct sealed_templates *templates; /* NULL: its frames are pieces */
};

struct sealed {
    struct event_source source; /* first: a source of ours is a block */
    const struct sealed_directory *directory;
    event_part_read *read;
    void *arg;
    struct sealed_view **views; /* one for each column, once it was asked for */
    struct event_overflow *others;
};

/* A view of a column, without anything read. */
int sealed_view_new(struct sealed *b, const struct sealed_column *c, struct arena *a, struct sealed_view **out,
                    struct err *e);
int sealed_view_open(struct sealed_view *v, struct err *e);
int sealed_view_rows(struct sealed_view *v, struct err *e);
/* The source's own view of a column, with its rows. */
int sealed_own_view(struct sealed *b, const struct sealed_column *c, struct sealed_view **out, struct err *e);
int sealed_own_rows(struct sealed *b, const struct sealed_column *c, struct sealed_view **out, struct err *e);
/* The bits of a filter's slice, n bytes, into bits[0..EVENT_FILTER_SLICE). */
int sealed_slice_read(struct sealed *b, const struct sealed_column *c, size_t slice, uint8_t *bits, size_t *n,
                      struct err *e);
/* Attributes that have no column, into b->others. */
int sealed_overflow_read(struct sealed *b, struct sealed_view **sets, struct err *e);

/* Whether a row has this id: a shelf is read. (event_block_ids.c) */
int sealed_ids_may_hold(struct sealed *b, const struct sealed_column *c, struct str value, bool *may, struct err *e);

/* --- pieces --- */

/* Of the block's bytes, whatever parts they are in. */
int sealed_bytes_read(struct sealed *b, uint64_t at, size_t n, void *to, struct err *e);
/* to[0..p->raw) */
int sealed_piece_load(struct sealed *b, const struct sealed_piece *p, char *to, struct err *e);
/* In the arena, or where it stands in the directory. */
int sealed_piece_get(struct sealed *b, const struct sealed_piece *p, struct arena *a, struct bytes *out, struct err *e);
/* A plane, or codes, of n rows with `bits` each: a byte for each row, in the arena. */
int sealed_plane_get(struct sealed *b, const struct sealed_piece *p, unsigned bits, size_t n, struct arena *a,
                     const uint8_t **to, struct err *e);
/* Codes of all rows, from a piece or two, below `distinct`; one of *codes8 and *codes16. */
int sealed_codes_get(struct sealed_view *v, const struct sealed_piece *pieces, size_t distinct, const uint8_t **codes8,
                     const uint16_t **codes16, struct err *e);
/* v->view.ids, and rows of another form. */
int sealed_ids_get(struct sealed_view *v, struct err *e);
/* v->view.texts */
int sealed_texts_get(struct sealed_view *v, struct err *e);

int sealed_no_memory(const struct sealed *b, struct err *e);
int sealed_malformed(const struct sealed_column *c, const char *what, struct err *e);

#endif
