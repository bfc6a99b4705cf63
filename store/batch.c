#include "store/batch.h"

#include <string.h>

void batch_init(struct batch *b, struct arena *a)
{
    memset(b, 0, sizeof(*b));
    b->arena = a;
}

int batch_add_series(struct batch *b, const struct batch_series *s)
{
    if (arena_grow(b->arena, &b->series, &b->series_cap, b->nseries + 1, sizeof(*b->series)) < 0)
        return ERR_NOMEM;
    b->series[b->nseries++] = *s;
    b->bytes += sizeof(*s) + s->n * sizeof(*s->samples) + s->labels.n * 48 + s->raw.n;
    return 0;
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

int batch_add_event(struct batch *b, enum event_kind kind, const struct event *ev)
{
    if (arena_grow(b->arena, &b->events[kind], &b->events_cap[kind], b->nevents[kind] + 1,
                   sizeof(*b->events[kind])) < 0)
        return ERR_NOMEM;
    b->events[kind][b->nevents[kind]++] = *ev;
    b->bytes += sizeof(*ev) + event_tables[kind].n * sizeof(*ev->values) + ev->attributes.n * 48;
    for (size_t i = 0; i < event_tables[kind].n; i++)
        if (event_tables[kind].columns[i].is_text)
            b->bytes += ev->values[i].s.n;
    return 0;
}
