/* event_read-internal.h: what chunks and blocks have in common where bytes become views. Nothing here believes them:
 * what returns bool says false for bytes that no writer of ours has written. */
#ifndef STORE_EVENT_READ_INTERNAL_H
#define STORE_EVENT_READ_INTERNAL_H

#include "store/event_ids-internal.h"
#include "store/event_source-internal.h"
#include "store/varint-internal.h"

/* n lengths, then the texts: into values[0..n), views. */
bool event_get_texts(struct bytes *r, size_t n, union event_value *values);
/* n numbers as differences of either sign from the one before. */
bool event_get_numbers(struct bytes *r, size_t n, union event_value *values);
/* Rows by rising number, below `rows`, with their texts. */
bool event_get_odd(struct bytes *r, size_t n, size_t rows, struct event_odd *odd);
/* n numbers of `width` bytes each, which `min` is to be added to; none is beyond `max`. */
bool event_get_ints(struct bytes *r, size_t n, size_t width, int64_t min, int64_t max, int64_t *ints);

/* Whether all codes are below `distinct`. */
bool event_codes_below(const uint8_t *codes8, const uint16_t *codes16, size_t n, size_t distinct);
/* How many rows have each code, added to counts. */
void event_count_codes(const uint8_t *codes8, const uint16_t *codes16, size_t n, uint32_t *counts);

/* Of IDS. */
static inline enum event_id event_view_id(const struct event_view *v)
{
    return v->uuid ? EVENT_ID_UUID : v->width == event_id_width(EVENT_ID_64) ? EVENT_ID_64 : EVENT_ID_128;
}

/* --- texts --- */

struct event_texts {
    struct event_frame *frames; /* what is loaded to stay; bytes NULL: not yet */
    const uint32_t *first;      /* of each frame, its first row; nframes + 1 of them */
    size_t nframes;
    size_t at;                  /* the frame asked for last */
    size_t scanned;             /* the frame that event_view_frame has loaded for a while, plus one; 0: none */
    struct event_frame scan;
    /* Loads a frame, to stay or until the next one. NULL: all are there. */
    int (*load)(struct event_texts *t, size_t frame, bool stay, struct event_frame *f, struct err *e);
    void *arg;
};

/* All rows in one frame, which is there. */
int event_texts_one(struct arena *a, struct event_frame frame, struct event_texts **out, struct err *e);
/* n lengths as varints, then the texts, which are all that is left: where each begins into at[0..n]. */
bool event_get_frame(struct bytes r, size_t n, uint32_t *at, const char **bytes);

#endif
