/* pack-internal.h: a label set as bytes, in the tables of series and of events. */
#ifndef STORE_PACK_INTERNAL_H
#define STORE_PACK_INTERNAL_H

#include "base/labels.h"
#include "store/varint-internal.h"

/* For each label: length of the name, name, length of the value, value; lengths are varints. Failure sticks to `b`. */
void labels_pack(struct buf *b, struct labels l);
/* The texts are views into `bytes`, the array lives in `a`. ERR_CORRUPT, ERR_NOMEM. */
int labels_unpack(struct arena *a, struct str bytes, struct labels *out, struct err *e);

/* The next label of a packed set, while bytes are left; false: it is cut short. */
bool labels_next(struct bytes *r, struct label *l);

#endif
