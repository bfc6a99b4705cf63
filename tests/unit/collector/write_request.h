/* write_request.h: a batch's series, exemplars and metadata as remote write's WriteRequest, for tests. */
#ifndef TESTS_UNIT_COLLECTOR_WRITE_REQUEST_H
#define TESTS_UNIT_COLLECTOR_WRITE_REQUEST_H

#include "base/pb.h"
#include "store/batch.h"

static inline void put_label(struct buf *out, struct str name, struct str value)
{
    size_t mark = pb_open(out, 1);

    pb_put_str(out, 1, name);
    pb_put_str(out, 2, value);
    pb_close(out, mark);
}

static inline void put_sample(struct buf *out, struct sample s)
{
    size_t mark = pb_open(out, 2);

    pb_put_double(out, 1, s.v);
    pb_put_varint(out, 2, (uint64_t)s.t);
    pb_close(out, mark);
}

static inline void put_exemplar(struct buf *out, const struct batch_exemplar *x)
{
    size_t mark = pb_open(out, 3);

    for (size_t k = 0; k < x->labels.n; k++)
        put_label(out, x->labels.v[k].name, x->labels.v[k].value);
    pb_put_double(out, 2, x->sample.v);
    pb_put_varint(out, 3, (uint64_t)x->sample.t);
    pb_close(out, mark);
}

static inline void put_write_request(struct buf *out, const struct batch *b)
{
    static const char *const types[] = { "unknown",        "counter", "gauge", "histogram",
                                         "gaugehistogram", "summary", "info",  "stateset" };

    for (size_t i = 0; i < b->nseries; i++) {
        const struct batch_series *s = &b->series[i];
        size_t mark = pb_open(out, 1);

        for (size_t k = 0; k < s->labels.n; k++)
            put_label(out, s->labels.v[k].name, s->labels.v[k].value);
        for (size_t k = 0; k < s->n; k++)
            put_sample(out, s->samples[k]);
        pb_close(out, mark);
    }
    for (size_t i = 0; i < b->nexemplars; i++) {
        size_t mark = pb_open(out, 1);

        for (size_t k = 0; k < b->exemplars[i].series.n; k++)
            put_label(out, b->exemplars[i].series.v[k].name, b->exemplars[i].series.v[k].value);
        put_exemplar(out, &b->exemplars[i]);
        pb_close(out, mark);
    }
    for (size_t i = 0; i < b->nmetadata; i++) {
        size_t mark = pb_open(out, 3);
        uint64_t type = 0;

        while (!str_eqz(b->metadata[i].type, types[type]))
            type++;
        pb_put_varint(out, 1, type);
        pb_put_str(out, 2, b->metadata[i].metric);
        pb_put_str(out, 4, b->metadata[i].help);
        pb_put_str(out, 5, b->metadata[i].unit);
        pb_close(out, mark);
    }
}

#endif
