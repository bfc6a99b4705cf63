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
    struct zstd_packer *packer; /* owned */
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
/* Another column's numbers, which those of a column may be told by. */
struct event_beside {
    struct str name; /* of a fixed column, which is not told by another itself */
    const int64_t *ints;
};
/* `kind`: BLOCK_*; the name of a fixed column or an attribute; `beside`, NULL: none. ERR_NOMEM, and what put() says. */
int event_pieces_column(struct event_pieces *w, int kind, struct str name, const struct event_coded *d,
                        const struct event_beside *beside, struct err *e);
/* Of rows in their order in the block. */
int event_pieces_times(struct event_pieces *w, const int64_t *ns, size_t n, struct err *e);
/* Hands over the last part of the block's bytes, and then the directory, part 0. */
int event_pieces_end(struct event_pieces *w, struct str directory, struct err *e);

/* --- for a column's body: event_pieces.c --- */

int event_pieces_no_memory(struct err *e);
/* The block's next bytes, as they are. */
int event_pieces_bytes(struct event_pieces *w, struct str bytes, struct err *e);
/* A piece of what is in w->raw, packed when that pays. */
enum event_packing { EVENT_PACK_TEXTS, EVENT_PACK_CODES, EVENT_PACK_NUMBERS };
int event_pieces_raw(struct event_pieces *w, enum event_packing how, struct err *e);
/* The lowest bits of w->room[0..n), as planes: 1, 2, 4 or 8, or several times 8 and one of these. */
int event_pieces_planes(struct event_pieces *w, size_t n, unsigned bits, enum event_packing how, struct err *e);
/* w->room[0..n): how many bits they need, into the directory, and their planes. */
int event_pieces_numbers(struct event_pieces *w, size_t n, struct err *e);
/* A column begins: its kind, its name, and its form with what stands beside it (event_build.c). */
void event_pieces_key(struct event_pieces *w, int kind, struct str name, int form);

/* --- bodies: event_pieces_dictionary.c, event_pieces_numbers.c, event_pieces_ids.c --- */

int event_pieces_dictionary(struct event_pieces *w, const struct event_coded *d, struct err *e);
/* How numbers are written best: BLOCK_BESIDE, BLOCK_RARE, or 0. */
int event_pieces_ints_form(const struct event_coded *d, const struct event_beside *beside);
int event_pieces_ints(struct event_pieces *w, const struct event_coded *d, int form, const struct event_beside *beside,
                      struct err *e);
int event_pieces_ids(struct event_pieces *w, const struct event_coded *d, struct err *e);

#endif
