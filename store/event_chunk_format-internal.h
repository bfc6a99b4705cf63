/* event_chunk_format-internal.h: what writer and reader of a chunk agree on; drawn in event_chunk.c. */
#ifndef STORE_EVENT_CHUNK_FORMAT_INTERNAL_H
#define STORE_EVENT_CHUNK_FORMAT_INTERNAL_H

#include "store/event.h"

enum { CHUNK_VERSION = 1, CHUNK_HEADER = 36, CHUNK_SUMMED = 8 };

/* Keys of columns. A fixed column's is made from its name, so tables may gain columns, in any place. */
enum { KEY_TIME, KEY_ATTRIBUTE, KEY_OVERFLOW, KEY_FIRST_FIXED = 16 };

/* The column's form, an enum event_form, and these. */
enum { FLAG_FORM = 7, FLAG_TEXT = 8, FLAG_UNSET = 16 };

/* How a dictionary's codes are stored: one or two bytes each, or only those that differ from a common one. */
enum { CODES_8, CODES_16, CODES_SPARSE };

/* A test sees to it that no two columns of a table have the same. */
static inline uint16_t chunk_key(const struct event_column *c)
{
    return (uint16_t)(KEY_FIRST_FIXED + str_hash_stable(c->name) % (UINT16_MAX + 1 - KEY_FIRST_FIXED));
}

#endif
