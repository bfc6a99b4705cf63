/* event_pieces-internal.h: columns as pieces of bytes, packed where that pays, in a block's parts or its directory. */
#ifndef STORE_EVENT_PIECES_INTERNAL_H
#define STORE_EVENT_PIECES_INTERNAL_H

#include "base/buf.h"
#include "store/event_column-internal.h"

struct event_pieces {
    struct buf directory; /* its columns, unpacked */
    uint64_t *room;       /* a number for each row */
    struct event_coder *coder; /* for templates; it is not in use for the column itself when this is one of TEXTS */
    struct buf raw, packed; /* of the piece at work */
    uint32_t next_part, columns;
    uint64_t bytes; /* of the parts */
    int (*put)(void *arg, uint32_t no, struct str body, struct err *e);
    void *arg;
};

/* event_pieces_fini is due in any case. ERR_NOMEM. */
int event_pieces_init(struct event_pieces *w, struct event_coder *coder,
                      int (*put)(void *arg, uint32_t no, struct str body, struct err *e), void *arg, struct err *e);
void event_pieces_fini(struct event_pieces *w);
/* Hands a part over. */
int event_pieces_part(struct event_pieces *w, uint32_t no, struct str body, struct err *e);
/* `kind`: BLOCK_*; the name of a fixed column or an attribute. ERR_NOMEM, and what put() says. */
int event_pieces_column(struct event_pieces *w, int kind, struct str name, const struct event_coded *d, struct err *e);
/* Of rows in their order in the block. */
int event_pieces_times(struct event_pieces *w, const int64_t *ns, size_t n, struct err *e);

#endif
