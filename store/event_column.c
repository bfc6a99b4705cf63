/* event_column.c: which form suits a column's values.
 *
 * Problem    Some thirty columns a row, half of them constant for seconds, some of a few values, some of ids that never
 *            come again: each in its smallest form, for tens of nanoseconds a row in all.
 * Idea       Values are compared with the row before first: senders repeat themselves. What differs is looked up in a
 *            dictionary, which is given up as soon as nearly every row brought a new value: ids cost no more than their
 *            first rows. Then the forms that remain are compared by size.
 *            Receivers give equal texts the same address where they can, and the bytes of a body of megabytes are in no
 *            cache any more: so a text is first known by where it lies. */
#include "store/event_column-internal.h"

#include "base/mem.h"

/* A value in the hash table: which one, and enough of its hash to pass most others by. */
struct event_slot {
    uint32_t hash;
    uint32_t code; /* plus one; 0: empty */
};

/* A text that has a code, by its address. */
struct event_place {
    const char *p;
    size_t n;
    uint32_t column; /* in which: the code of another means nothing */
    uint32_t code;
};

enum { PLACES = 256, PLACE_BITS = 8 };
enum { FIRST_SLOTS = 64, MOST_VALUES = EVENT_SOURCE_ROWS };
/* New values that a dictionary may have before it is asked how many rows they came from. */
enum { SPARE_VALUES = 16 };

static size_t slots_for(size_t values)
{
    size_t n = FIRST_SLOTS;

    while (n < 2 * values)
        n *= 2;
    return n;
}

int event_coder_init(struct event_coder *c, size_t rows, struct err *e)
{
    size_t odd = rows / 8 + 1, slots = slots_for(rows);
    size_t bytes = PLACES * sizeof(*c->places) + rows * (sizeof(*c->values) + EVENT_ID_BYTES + sizeof(*c->codes)) +
                   odd * sizeof(*c->odd) + slots * sizeof(*c->slots);

    *c = (struct event_coder){ .rows = rows, .memory = mem_alloc(bytes), .most_slots = slots };
    if (!c->memory)
        return err_set(e, ERR_NOMEM, "no memory to encode %zu events", rows);
    c->places = memset(c->memory, 0, PLACES * sizeof(*c->places));
    c->values = (union event_value *)(c->places + PLACES);
    c->odd = (struct event_odd *)(c->values + rows);
    c->slots = (struct event_slot *)(c->odd + odd);
    c->ids = (uint8_t *)(c->slots + slots);
    c->codes = (uint16_t *)(c->ids + rows * EVENT_ID_BYTES);
    return 0;
}

void event_coder_fini(struct event_coder *c)
{
    mem_free(c->memory);
    c->memory = NULL;
}

/* --- the dictionary --- */

static bool same(bool is_text, union event_value a, union event_value b)
{
    if (!is_text)
        return a.i == b.i;
    return a.s.n == b.s.n && (a.s.p == b.s.p || a.s.n == 0 || memcmp(a.s.p, b.s.p, a.s.n) == 0);
}

static uint32_t hash_of(bool is_text, union event_value v)
{
    return (uint32_t)str_hash(is_text ? v.s : (struct str){ (const char *)&v.i, sizeof(v.i) });
}

static void add_slot(struct event_coder *c, uint32_t hash, uint32_t code)
{
    size_t i = hash & (c->nslots - 1);

    while (c->slots[i].code)
        i = (i + 1) & (c->nslots - 1);
    c->slots[i] = (struct event_slot){ hash, code + 1 };
}

static void clear_slots(struct event_coder *c, size_t n)
{
    memset(c->slots, 0, n * sizeof(*c->slots));
    c->nslots = n;
}

/* The table stays at most half full, so most values need one look. */
static void grow_slots(struct event_coder *c, const struct event_coded *d)
{
    clear_slots(c, 2 * c->nslots);
    for (uint32_t k = 0; k < d->distinct; k++)
        add_slot(c, hash_of(d->is_text, c->values[k]), k);
}

/* A new value is added: then its code is what d->distinct was. */
uint32_t event_dictionary_code(struct event_coder *c, struct event_coded *d, union event_value v)
{
    uint32_t hash = hash_of(d->is_text, v);
    const struct event_slot *slot;

    for (size_t i = hash & (c->nslots - 1); (slot = &c->slots[i])->code; i = (i + 1) & (c->nslots - 1))
        if (slot->hash == hash && same(d->is_text, c->values[slot->code - 1], v))
            return slot->code - 1;
    if (2 * ((size_t)d->distinct + 1) > c->nslots)
        grow_slots(c, d);
    add_slot(c, hash, d->distinct);
    c->values[d->distinct] = v;
    d->bytes += d->is_text ? v.s.n : 0;
    return d->distinct++;
}

void event_dictionary_begin(struct event_coder *c, struct event_coded *d)
{
    d->distinct = 0;
    d->bytes = 0;
    clear_slots(c, FIRST_SLOTS);
}

/* Values that a dictionary may have after i rows. Half as many as rows, for what looks like ids, which come once or
 * several times at once. What comes in any order looks new at first, even if there are no more values than half of the
 * rows. */
static size_t most_values(size_t i, size_t n, bool ids)
{
    if (ids)
        return SPARE_VALUES + i / 2;
    return SPARE_VALUES + (i < n / 4 ? i - i / 16 : n / 8 + i / 2);
}

static struct event_place *place_of(const struct event_coder *c, struct str text)
{
    uint64_t h = (uint64_t)(uintptr_t)text.p * UINT64_C(0x9e3779b97f4a7c15);

    return &c->places[h >> (64 - PLACE_BITS)];
}

/* The code of v[0], which is not v[-1], whose code is `before`, by its address at least. */
static uint32_t next_code(struct event_coder *c, const union event_value *v, uint32_t before, struct event_coded *d)
{
    struct event_place *at;

    if (!d->is_text)
        return event_dictionary_code(c, d, v[0]);
    at = place_of(c, v[0].s);
    if (at->p == v[0].s.p && at->n == v[0].s.n && at->column == c->column)
        return at->code;
    *at = (struct event_place){ v[0].s.p, v[0].s.n, c->column, before };
    if (!same(true, v[0], v[-1]))
        at->code = event_dictionary_code(c, d, v[0]);
    return at->code;
}

static bool is_same_view(bool is_text, union event_value a, union event_value b)
{
    return is_text ? a.s.p == b.s.p && a.s.n == b.s.n : a.i == b.i;
}

/* Asks for the bytes of a text that will be read some rows later: they are in no cache any more, and to wait for each would
 * cost more than all that is done with it. */
static inline void ask_ahead(const union event_value *v, size_t i, size_t n)
{
    enum { AHEAD = 12 };

    if (i + AHEAD < n) {
        struct str s = v[i + AHEAD].s;

        __builtin_prefetch(s.p);
        __builtin_prefetch(s.p + s.n);
    }
}

/* False: they are too many. v[0..first) are one value. */
static bool code_dictionary(struct event_coder *c, const union event_value *v, size_t first, struct event_coded *d)
{
    bool ids = d->is_text && event_id_of_length(v[first].s.n);
    uint32_t most = d->is_text ? MOST_VALUES : EVENT_NUMBER_VALUES, last = 0;

    event_dictionary_begin(c, d);
    event_dictionary_code(c, d, v[0]);
    c->column++;
    memset(c->codes, 0, first * sizeof(*c->codes));
    for (size_t i = first; i < d->n; i++) {
        if (!is_same_view(d->is_text, v[i], v[i - 1])) {
            if (d->is_text)
                ask_ahead(v, i, d->n);
            last = next_code(c, v + i, last, d);
            if (d->distinct > most || d->distinct > most_values(i, d->n, ids))
                return false;
        }
        c->codes[i] = (uint16_t)last;
    }
    return true;
}

static void find_value_bounds(struct event_coded *d)
{
    d->min = d->max = d->values[0].i;
    for (uint32_t k = 1; k < d->distinct; k++) {
        d->min = d->values[k].i < d->min ? d->values[k].i : d->min;
        d->max = d->values[k].i > d->max ? d->values[k].i : d->max;
    }
}

void event_dictionary_take(const struct event_coder *c, union event_value unset, struct event_coded *d)
{
    d->form = d->distinct == 1 ? EVENT_FORM_CONST : EVENT_FORM_DICT;
    d->values = c->values;
    d->codes = c->codes;
    d->has_unset = false;
    for (uint32_t k = 0; k < d->distinct && !d->has_unset; k++)
        d->has_unset = same(d->is_text, c->values[k], unset);
    if (!d->is_text)
        find_value_bounds(d);
}

static uint64_t dictionary_size(const struct event_coded *d)
{
    uint64_t codes = d->n * (d->distinct > 256 ? 2 : 1);

    return codes + (d->is_text ? d->bytes + d->distinct : 4 * (uint64_t)d->distinct);
}

/* --- numbers --- */

static void find_bounds(const union event_value *v, union event_value unset, struct event_coded *d)
{
    d->min = d->max = v[0].i;
    d->has_unset = false;
    for (size_t i = 0; i < d->n; i++) {
        d->min = v[i].i < d->min ? v[i].i : d->min;
        d->max = v[i].i > d->max ? v[i].i : d->max;
        d->has_unset |= v[i].i == unset.i;
    }
}

size_t event_int_width(uint64_t range)
{
    return range ? (size_t)(71 - __builtin_clzll(range)) / 8 : 0;
}

static void code_numbers(struct event_coder *c, const union event_value *v, size_t first, union event_value unset,
                         struct event_coded *d)
{
    find_bounds(v, unset, d);
    if (code_dictionary(c, v, first, d) &&
        dictionary_size(d) < d->n * event_int_width((uint64_t)d->max - (uint64_t)d->min)) {
        event_dictionary_take(c, unset, d);
        return;
    }
    d->form = EVENT_FORM_INTS;
    d->values = v;
    d->distinct = 0;
}

/* --- texts --- */

static const struct str *first_set(const union event_value *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (v[i].s.n)
            return &v[i].s;
    return NULL;
}

static bool code_ids(struct event_coder *c, const union event_value *v, struct event_coded *d)
{
    enum event_id kind = event_id_of_length(first_set(v, d->n)->n);
    size_t width = event_id_width(kind), nodd = 0;

    for (size_t i = 0; i < d->n; i++) {
        uint8_t *id = c->ids + i * width;

        ask_ahead(v, i, d->n);
        if (event_id_parse(kind, v[i].s, id))
            continue;
        memset(id, 0, width);
        if (v[i].s.n == 0)
            d->has_unset = true;
        else if (nodd == d->n / 8)
            return false;
        else
            c->odd[nodd++] = (struct event_odd){ (uint32_t)i, v[i].s };
    }
    d->form = EVENT_FORM_IDS;
    d->distinct = 0;
    d->id = kind;
    d->ids = c->ids;
    d->odd = c->odd;
    d->nodd = nodd;
    return true;
}

static uint64_t texts_size(const union event_value *v, size_t n)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < n; i++)
        bytes += v[i].s.n;
    return bytes;
}

static void take_texts(const union event_value *v, uint64_t bytes, struct event_coded *d)
{
    d->form = EVENT_FORM_TEXTS;
    d->values = v;
    d->distinct = 0;
    d->bytes = bytes;
    d->has_unset = false;
    for (size_t i = 0; i < d->n && !d->has_unset; i++)
        d->has_unset = v[i].s.n == 0;
}

static void code_texts(struct event_coder *c, const union event_value *v, size_t first, union event_value unset,
                       struct event_coded *d)
{
    bool dictionary = code_dictionary(c, v, first, d), ids = event_id_of_length(first_set(v, d->n)->n);
    uint64_t size = dictionary ? dictionary_size(d) : UINT64_MAX, bytes;

    if (ids && size > d->n * EVENT_ID_BYTES && code_ids(c, v, d))
        return;
    d->has_unset = false;
    bytes = texts_size(v, d->n);
    if (size < bytes + d->n)
        event_dictionary_take(c, unset, d);
    else
        take_texts(v, bytes, d);
}

void event_code(struct event_coder *c, const union event_value *v, size_t n, bool is_text, union event_value unset,
                struct event_coded *out)
{
    size_t i = 1;

    *out = (struct event_coded){ .is_text = is_text, .n = n };
    while (i < n && same(is_text, v[i], v[i - 1]))
        i++;
    if (i < n) {
        (is_text ? code_texts : code_numbers)(c, v, i, unset, out);
        return;
    }
    out->form = EVENT_FORM_CONST;
    out->values = v;
    out->distinct = 1;
    out->has_unset = same(is_text, v[0], unset);
    out->bytes = is_text ? v[0].s.n : 0;
    out->min = out->max = is_text ? 0 : v[0].i;
}
