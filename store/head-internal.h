/* head-internal.h: the newest samples of one series, in memory.
 *
 * Only the committer writes. What it writes is staged first: readers, who look at `block` and `n` under the store's
 * lock, see nothing of it before head_publish, and head_discard takes it back. All memory is taken while staging, so
 * that nothing can fail once SQLite has committed. */
#ifndef STORE_HEAD_INTERNAL_H
#define STORE_HEAD_INTERNAL_H

#include "store/epoch-internal.h"
#include "store/sample.h"

/* A series with more than this many samples in its head is sealed soon. */
enum { HEAD_LARGE = 8192 };

struct head_block {
    struct retired retired;
    uint64_t born;
    size_t cap;
    int64_t *t; /* t[0..cap) and v[0..cap) stand behind this struct */
    double *v;
};

struct head {
    struct head_block *block; /* NULL while empty */
    size_t n;                 /* samples readers may see, times rising strictly */
    struct head_block *staged;
    size_t staged_n;
};

/* Adds s[0..n), in any order; of equal times the later in line wins, also over what was there. 0 or ERR_NOMEM, after
 * which the head must be discarded. */
int head_stage(struct head *h, struct epoch *ep, const struct sample *s, size_t n);
/* Takes the samples from from_ms to to_ms, both included, out. As head_stage. */
int head_stage_deletion(struct head *h, struct epoch *ep, int64_t from_ms, int64_t to_ms);
/* Empties it: its samples are sealed. Cannot fail. */
void head_stage_empty(struct head *h);

void head_publish(struct head *h, struct epoch *ep);
void head_discard(struct head *h);

/* The first index with t[i] >= t. */
size_t head_find(const int64_t *t, size_t n, int64_t at);

#endif
