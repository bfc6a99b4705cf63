/* chunk-internal.h: a sealed piece of one series as bytes; the format is drawn in chunk.c. */
#ifndef STORE_CHUNK_INTERNAL_H
#define STORE_CHUNK_INTERNAL_H

#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

/* Samples in one chunk at most: what a reader decodes to get at one of them. */
enum { CHUNK_SAMPLES = 2048 };

/* Appends the chunk of n samples, 1 <= n <= CHUNK_SAMPLES, times rising strictly. 0 or ERR_NOMEM. */
int chunk_encode(const int64_t *t, const double *v, size_t n, struct buf *out, struct err *e);
/* Fills t[0..*n) and v[0..*n), which have room for CHUNK_SAMPLES. Any bytes may come in. ERR_CORRUPT, ERR_NOMEM. */
int chunk_decode(struct str bytes, int64_t *t, double *v, size_t *n, struct err *e);

#endif
