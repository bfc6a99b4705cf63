/* dump.h: a batch as text, one line per series and event, for tests to compare. */
#ifndef TESTS_UNIT_COLLECTOR_DUMP_H
#define TESTS_UNIT_COLLECTOR_DUMP_H

#include "store/batch.h"

#include <inttypes.h>

static inline void dump_sample(struct buf *out, const struct sample *s)
{
    uint64_t bits;

    memcpy(&bits, &s->v, sizeof(bits));
    buf_printf(out, " %" PRId64 " ", s->t);
    if (bits == SAMPLE_STALE_BITS)
        buf_puts(out, "stale");
    else
        buf_double(out, s->v);
}

static inline void dump_series(struct buf *out, const struct batch_series *s)
{
    struct label room[64];

    labels_print(out, s->own ? batch_series_labels(s, room) : s->labels);
    for (size_t i = 0; i < s->n && !s->increments; i++)
        dump_sample(out, &s->samples[i]);
    for (size_t i = 0; i < s->n && s->increments; i++) {
        buf_puts(out, " +");
        buf_double(out, s->samples[i].v);
    }
    if (s->start_ms)
        buf_printf(out, " since %" PRId64, s->start_ms);
    buf_putc(out, '\n');
}

static inline void dump_event(struct buf *out, enum event_kind kind, const struct event *ev)
{
    const struct event_table *t = &event_tables[kind];

    buf_printf(out, "%.*s %" PRId64, STR_ARG(t->name), ev->time_ns);
    for (size_t i = 0; i < t->n; i++) {
        if (t->columns[i].is_text && ev->values[i].s.n)
            buf_printf(out, " %.*s=%.*s", STR_ARG(t->columns[i].name), STR_ARG(ev->values[i].s));
        else if (!t->columns[i].is_text && ev->values[i].i >= 0)
            buf_printf(out, " %.*s=%" PRId64, STR_ARG(t->columns[i].name), ev->values[i].i);
    }
    buf_putc(out, ' ');
    labels_print(out, ev->attributes);
    buf_putc(out, '\n');
}

static inline void dump_batch(struct buf *out, const struct batch *b)
{
    for (size_t i = 0; i < b->nmetadata; i++)
        buf_printf(out, "# %.*s %.*s\n", STR_ARG(b->metadata[i].metric), STR_ARG(b->metadata[i].type));
    for (size_t i = 0; i < b->nseries; i++)
        dump_series(out, &b->series[i]);
    for (size_t i = 0; i < b->nexemplars; i++) {
        buf_puts(out, "exemplar ");
        labels_print(out, b->exemplars[i].series);
        dump_sample(out, &b->exemplars[i].sample);
        buf_putc(out, ' ');
        labels_print(out, b->exemplars[i].labels);
        buf_putc(out, '\n');
    }
    for (int kind = 0; kind < EVENT_KINDS; kind++)
        for (size_t i = 0; i < b->events[kind].n; i++) {
            union event_value v[EVENT_MAX_COLUMNS];
            const struct event ev = { b->events[kind].time_ns[i], v, b->events[kind].attributes[i] };

            for (size_t c = 0; c < event_tables[kind].n; c++)
                v[c] = batch_event(b, (enum event_kind)kind, i, (int)c);
            dump_event(out, (enum event_kind)kind, &ev);
        }
}

#endif
