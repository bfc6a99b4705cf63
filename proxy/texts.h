/* texts.h: a short list of texts in one piece of bytes: each behind its length, two bytes. What a record carries
 * beside its fixed fields (record.h) is such a list. */
#ifndef PROXY_TEXTS_H
#define PROXY_TEXTS_H

#include "base/buf.h"

enum {
    TEXTS_LONGEST = 4096,       /* bytes of one text; what is longer is cut */
    TEXTS_MOST = UINT16_MAX     /* bytes of a list: what a ring takes as one text */
};

/* One more; p NULL is kept apart from an empty one. False: the list would grow beyond TEXTS_MOST, and stays as it is. */
bool texts_put(struct buf *b, struct str s);
/* Takes the first off. STR_NULL: it was put so, or there are no more. */
struct str texts_next(struct str *rest);

#endif
