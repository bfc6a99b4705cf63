/* event_pieces-internal.h: columns as pieces of bytes, packed where that pays, in a block's bytes or its directory. */
#ifndef STORE_EVENT_PIECES_INTERNAL_H
#define STORE_EVENT_PIECES_INTERNAL_H

#include "base/buf.h"
#include "store/event_column-internal.h"

struct event_pieces {
    struct buf directory; /* its columns, unpacked */
    uint64_t *room;       /* a number for each row */
    struct event_coder *coder; /* for templates; it is not in use for the column itself when this is one of TEXTS */
    struct buf raw, packed; /* of the piece at work */
    struct buf tail;        /* the block's bytes that are in no part yet: fewer than a part has */
    uint64_t at;            /* how many bytes the block has so far */
    uint32_t parts, columns;
    uint64_t bytes;         /* of the parts */
    int (*put)(void *arg, uint32_t no, struct str body, struct err *e);
    void *arg;
};

/* event_pieces_fini is due in any case. ERR_NOMEM. */
int event_pieces_init(struct event_pieces *w, struct event_coder *coder,
                      int (*put)(void *arg, uint32_t no, struct str body, struct err *e), void *arg, struct err *e);
void event_pieces_fini(struct event_pieces *w);
/* `kind`: BLOCK_*; the name of a fixed column or an attribute. ERR_NOMEM, and what put() says. */
int event_pieces_column(struct event_pieces *w, int kind, struct str name, const struct event_coded *d, struct err *e);
/* Of rows in their order in the block. */
int event_pieces_times(struct event_pieces *w, const int64_t *ns, size_t n, struct err *e);
/* Hands over the last part of the block's bytes, and then the directory, part 0. */
int event_pieces_end(struct event_pieces *w, struct str directory, struct err *e);

/* --- for a column's body (event_pieces.c, event_pieces_ids.c) --- */

int event_pieces_no_memory(struct err *e);
/* The block's next bytes, as they are. */
int event_pieces_bytes(struct event_pieces *w, struct str bytes, struct err *e);
/* A piece of what is in w->raw, packed when that pays. */
int event_pieces_raw(struct event_pieces *w, struct err *e);
/* The body of IDS. */
int event_pieces_ids(struct event_pieces *w, const struct event_coded *d, struct err *e);

#endif
