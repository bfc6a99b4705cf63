/* event_crew-internal.h: several threads for what many sources are asked at once. */
#ifndef STORE_EVENT_CREW_INTERNAL_H
#define STORE_EVENT_CREW_INTERNAL_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

enum { EVENT_CREW_MOST = 16 };

/* How many threads so many rows are worth, the caller's included: 1 to EVENT_CREW_MOST, at most what the machine has. */
size_t event_crew_size(uint64_t rows);

/* Calls work(arg, member, i, e) for each i < n, once, on up to `members` threads with numbers from 0; a member does one
 * after the other. Returns when all have ended: 0, or what work returned < 0, after which no more are begun. */
int event_crew_run(size_t members, size_t n, int (*work)(void *arg, size_t member, size_t i, struct err *e), void *arg,
                   struct err *e);

#endif
