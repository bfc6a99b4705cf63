/* event_sort-internal.h: the order of rows in a block. */
#ifndef STORE_EVENT_SORT_INTERNAL_H
#define STORE_EVENT_SORT_INTERNAL_H

#include "store/event_gather-internal.h"

/* Sorts from[0..n) and rows[0..n), which are g's, by identity, then time; rows that have both in common stay as they
 * are. ERR_NOMEM, and what reading the sources gives. */
int event_sort(struct event_gather *g, uint32_t *from, uint32_t *rows, struct err *e);

#endif
