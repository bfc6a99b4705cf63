/* days-internal.h: which partitions the samples, or rows, of a head belong to.
 *
 * Sealing makes a file for each, so a head may have only so many: a sender of nonsense times must not keep the sealer
 * busy for hours. */
#ifndef STORE_DAYS_INTERNAL_H
#define STORE_DAYS_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

/* A batch may be of so many days, and a head of as many is sealed. */
enum { MOST_DAYS = 4096 };

struct days {
    int64_t *v; /* partition numbers, rising */
    size_t n, cap;
    size_t at;  /* of the last one added: the next is mostly of the same */
};

/* 0, also when it is there, or ERR_NOMEM. */
int days_add(struct days *d, int64_t t_ms);
/* Empties it; the memory stays. */
void days_reset(struct days *d);
void days_fini(struct days *d);

#endif
