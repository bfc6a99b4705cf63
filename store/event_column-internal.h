/* event_column-internal.h: a column's values in the form that suits them, in memory: what chunks and blocks write.
 *
 * Forms are those of event_source-internal.h. The choice is made from the values alone, so it is the same each time. */
#ifndef STORE_EVENT_COLUMN_INTERNAL_H
#define STORE_EVENT_COLUMN_INTERNAL_H

#include "store/event_ids-internal.h"
#include "store/event_source-internal.h"

/* Numbers with more values than this are no dictionary. */
enum { EVENT_NUMBER_VALUES = 256 };

struct event_coded {
    enum event_form form;
    bool is_text, has_unset;
    size_t n;
    const union event_value *values; /* CONST: one; DICT: `distinct`; INTS and TEXTS: n; of INTS, numbers */
    uint32_t distinct;               /* CONST 1; DICT at most EVENT_SOURCE_ROWS */
    uint64_t bytes;                  /* of the texts in values[], together */
    const uint16_t *codes;           /* DICT: n */
    int64_t min, max;                /* numbers */
    enum event_id id;                /* IDS */
    const uint8_t *ids;              /* IDS: n, event_id_width(id) bytes each */
    const struct event_odd *odd;     /* IDS: rows of another form, at most an eighth of all */
    size_t nodd;
};

/* Room for the columns of up to `rows` rows, one after the other. Its owner's alone. */
struct event_coder {
    size_t rows;
    void *memory; /* owned: what the pointers below point into */
    union event_value *values;
    uint16_t *codes;
    uint8_t *ids;
    struct event_odd *odd;
    struct event_slot *slots; /* a hash table of values; its first `nslots` are in use */
    size_t nslots, most_slots;
    struct event_place *places; /* where texts of the column at work lie that have a code */
    uint32_t column;            /* which one that is, counted from 1 */
};

int event_coder_init(struct event_coder *c, size_t rows, struct err *e);
void event_coder_fini(struct event_coder *c);

/* n values, 1 to c->rows. Texts that are equal are told so quickest when they are the same view. What `out` points to is valid until the next call, and only as long as v[]. */
void event_code(struct event_coder *c, const union event_value *v, size_t n, bool is_text, union event_value unset,
                struct event_coded *out);

/* A dictionary made value by value, for who knows the rows' values by number already: c->values[0..d->distinct). At
 * most c->rows values. event_dictionary_take makes it the form of d, whose codes are in c->codes. */
void event_dictionary_begin(struct event_coder *c, struct event_coded *d);
uint32_t event_dictionary_code(struct event_coder *c, struct event_coded *d, union event_value v);
void event_dictionary_take(const struct event_coder *c, union event_value unset, struct event_coded *d);

/* Bytes that a number needs when all of its column lie in a range: 0 to 8. */
size_t event_int_width(uint64_t range);

#endif
