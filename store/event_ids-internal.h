/* event_ids-internal.h: ids that are sent as hexadecimal text, as bytes: half the room, and compared at once. */
#ifndef STORE_EVENT_IDS_INTERNAL_H
#define STORE_EVENT_IDS_INTERNAL_H

#include "base/str.h"

enum event_id {
    EVENT_ID_NONE,
    EVENT_ID_64,  /* 16 digits: a span id */
    EVENT_ID_128, /* 32 digits: a trace id */
    EVENT_ID_UUID /* 8-4-4-4-12 digits: a request id */
};

enum { EVENT_ID_BYTES = 16, EVENT_ID_TEXT = 36 /* of the longest */ };

static inline size_t event_id_width(enum event_id kind)
{
    return kind == EVENT_ID_64 ? 8 : EVENT_ID_BYTES;
}

static inline size_t event_id_length(enum event_id kind)
{
    return kind == EVENT_ID_UUID ? EVENT_ID_TEXT : 2 * event_id_width(kind);
}

/* What a text of this length may be. */
enum event_id event_id_of_length(size_t n);
/* The id's bytes to `to`. False, and `to` is anything: the text has another form (only digits and a to f are lower-case
 * hexadecimal), or all digits are 0, which stand for no id at all. */
bool event_id_parse(enum event_id kind, struct str text, uint8_t *to);
/* Bytes that stand for no id. */
bool event_id_is_zero(enum event_id kind, const uint8_t *id);
/* event_id_length characters; of what was parsed, the text again. */
void event_id_print(enum event_id kind, const uint8_t *id, char *to);

#endif
