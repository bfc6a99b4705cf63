/* changes-internal.h: since when which samples have changed, for those who keep what they made of them.
 *
 * A change has a mark, one more than that of the change before, and a lowest time: no sample before it was touched. What is
 * told may be too low, never too high. Memory is fixed; the older a change, and the more there are in a second, the coarser
 * it is remembered.
 *
 * Thread-safe. A change is noted after readers can see it, and before it is acknowledged. */
#ifndef STORE_CHANGES_INTERNAL_H
#define STORE_CHANGES_INTERNAL_H

#include "base/err.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CHANGES_MOST = 512 };

struct change {
    uint64_t mark;
    int64_t lowest_ms, second; /* second: when it was noted, on the monotonic clock */
};

struct changes {
    pthread_mutex_t lock;
    uint64_t mark;
    size_t n;
    struct change v[CHANGES_MOST]; /* mark and lowest_ms rise: a change hides those before it that are not lower */
    bool made;
};

int changes_init(struct changes *c); /* ERR_NOMEM */
void changes_fini(struct changes *c);
void changes_note(struct changes *c, int64_t lowest_ms); /* INT64_MIN: samples of any time may have changed, or be gone */
/* The lowest time that was touched since *mark, which becomes the mark of now; INT64_MAX: none was. */
int64_t changes_since(struct changes *c, uint64_t *mark);

#endif
