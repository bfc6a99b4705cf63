#include "store/batch.h"

#include <string.h>

enum { FIRST_ROWS = 16 };

void batch_init(struct batch *b, struct arena *a)
{
    memset(b, 0, sizeof(*b));
    b->arena = a;
}

int batch_add_series(struct batch *b, const struct batch_series *s)
{
    if (batch_reserve_series(b, 1) < 0)
        return ERR_NOMEM;
    b->series[b->nseries++] = *s;
    b->bytes += sizeof(*s) + s->n * sizeof(*s->samples) + (s->own ? 0 : s->labels.n * 48) + s->raw.n;
    return 0;
}

int batch_reserve_series(struct batch *b, size_t n)
{
    return arena_grow(b->arena, &b->series, &b->series_cap, b->nseries + n, sizeof(*b->series));
}

struct labels batch_series_labels(const struct batch_series *s, struct label *room)
{
    struct label own[2];
    size_t nown = 0, at = 0, n = 0;

    if (!s->own)
        return s->labels;
    own[nown++] = (struct label){ STR("__name__"), s->own->metric };
    if (s->own->le.n)
        own[nown++] = (struct label){ STR("le"), s->own->le };
    for (size_t i = 0; i < s->labels.n; i++) {
        while (at < nown && str_cmp(own[at].name, s->labels.v[i].name) < 0)
            room[n++] = own[at++];
        room[n++] = s->labels.v[i];
    }
    while (at < nown)
        room[n++] = own[at++];
    return (struct labels){ room, n };
}

int batch_add_metadata(struct batch *b, const struct batch_metadata *m)
{
    if (arena_grow(b->arena, &b->metadata, &b->metadata_cap, b->nmetadata + 1, sizeof(*b->metadata)) < 0)
        return ERR_NOMEM;
    b->metadata[b->nmetadata++] = *m;
    b->bytes += sizeof(*m) + m->help.n;
    return 0;
}

int batch_add_exemplar(struct batch *b, const struct batch_exemplar *x)
{
    if (arena_grow(b->arena, &b->exemplars, &b->exemplars_cap, b->nexemplars + 1, sizeof(*b->exemplars)) < 0)
        return ERR_NOMEM;
    b->exemplars[b->nexemplars++] = *x;
    b->bytes += sizeof(*x) + (x->series.n + x->labels.n) * 48;
    return 0;
}

/* --- events --- */

/* Values beside those that are set are unset. */
static void clear(enum event_kind kind, size_t column, union event_value *v, size_t n)
{
    union event_value unset = event_unset(kind, &event_tables[kind].columns[column]);

    for (size_t i = 0; i < n; i++)
        v[i] = unset;
}

static int grow_column(struct batch *b, enum event_kind kind, size_t column, size_t n, size_t cap)
{
    struct event_rows *r = &b->events[kind];
    union event_value *v = arena_alloc(b->arena, cap * sizeof(*v));

    if (!v)
        return ERR_NOMEM;
    if (r->columns[column])
        memcpy(v, r->columns[column], n * sizeof(*v));
    else
        n = 0;
    clear(kind, column, v + n, cap - n);
    r->columns[column] = v;
    b->bytes += cap * sizeof(*v);
    return 0;
}

int batch_reserve_events(struct batch *b, enum event_kind kind, size_t n)
{
    struct event_rows *r = &b->events[kind];
    size_t cap = r->cap ? 2 * r->cap : FIRST_ROWS, times = r->cap, attributes = r->cap;

    if (n <= r->cap - r->n)
        return 0;
    if (n > SIZE_MAX / 64 - r->n)
        return ERR_NOMEM;
    cap = cap < r->n + n ? r->n + n : cap;
    for (size_t c = 0; c < event_tables[kind].n; c++)
        if (r->columns[c] && grow_column(b, kind, c, r->cap, cap) < 0)
            return ERR_NOMEM;
    if (arena_grow(b->arena, &r->time_ns, &times, cap, sizeof(*r->time_ns)) < 0 ||
        arena_grow(b->arena, &r->attributes, &attributes, cap, sizeof(*r->attributes)) < 0)
        return ERR_NOMEM;
    r->cap = cap;
    return 0;
}

int batch_change_event(struct batch *b, enum event_kind kind, size_t row, int column, union event_value v)
{
    struct event_rows *r = &b->events[kind];

    if (!r->columns[column] && grow_column(b, kind, (size_t)column, 0, r->cap) < 0)
        return ERR_NOMEM;
    r->columns[column][row] = v;
    if (event_tables[kind].columns[column].is_text)
        b->bytes += v.s.n;
    return 0;
}

int batch_set_first(struct batch *b, enum event_kind kind, int column, union event_value v)
{
    struct event_rows *r = &b->events[kind];

    if (r->n == r->cap && batch_reserve_events(b, kind, 1) < 0)
        return ERR_NOMEM;
    return batch_change_event(b, kind, r->n, column, v);
}

int batch_end_event(struct batch *b, enum event_kind kind, int64_t time_ns, struct labels attributes)
{
    struct event_rows *r = &b->events[kind];

    if (r->n == r->cap && batch_reserve_events(b, kind, 1) < 0)
        return ERR_NOMEM;
    r->time_ns[r->n] = time_ns;
    r->attributes[r->n++] = attributes;
    b->bytes += sizeof(time_ns) + sizeof(attributes) + attributes.n * 48;
    return 0;
}

void batch_drop_event(struct batch *b, enum event_kind kind)
{
    struct event_rows *r = &b->events[kind];

    for (size_t c = 0; r->n < r->cap && c < event_tables[kind].n; c++)
        if (r->columns[c])
            clear(kind, c, r->columns[c] + r->n, 1);
}

void batch_drop_events(struct batch *b, enum event_kind kind, size_t n)
{
    struct event_rows *r = &b->events[kind];

    for (size_t c = 0; c < event_tables[kind].n; c++)
        if (r->columns[c])
            clear(kind, c, r->columns[c] + n, r->n - n);
    r->n = n;
}

union event_value batch_event(const struct batch *b, enum event_kind kind, size_t row, int column)
{
    const union event_value *v = b->events[kind].columns[column];

    return v ? v[row] : event_unset(kind, &event_tables[kind].columns[column]);
}

static bool is_unset(const struct event_column *c, union event_value v, union event_value unset)
{
    return c->is_text ? v.s.n == 0 : v.i == unset.i;
}

int batch_add_event(struct batch *b, enum event_kind kind, const struct event *ev)
{
    const struct event_table *t = &event_tables[kind];

    for (size_t i = 0; i < t->n; i++)
        if (!is_unset(&t->columns[i], ev->values[i], event_unset(kind, &t->columns[i])) &&
            batch_set_event(b, kind, (int)i, ev->values[i]) < 0) {
            batch_drop_event(b, kind);
            return ERR_NOMEM;
        }
    if (batch_end_event(b, kind, ev->time_ns, ev->attributes) == 0)
        return 0;
    batch_drop_event(b, kind);
    return ERR_NOMEM;
}
