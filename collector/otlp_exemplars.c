/* otlp_exemplars.c: exemplars of data points: a value and the span it was measured in. */

#include "collector/otlp-internal.h"

enum { EXEMPLAR_TIME = 2, EXEMPLAR_DOUBLE = 3, EXEMPLAR_SPAN = 4, EXEMPLAR_TRACE = 5, EXEMPLAR_INT = 6 };

struct exemplar {
    uint64_t time_ns;
    struct str trace_id, span_id; /* bytes */
    bool has_value;
    double value;
};

static int read_exemplar(struct str message, struct exemplar *x, struct err *e)
{
    struct pb_reader r = pb_reader(message);
    struct pb_field f;
    int rc;

    *x = (struct exemplar){0};
    while ((rc = pb_next(&r, &f, e)) == 1) {
        if (f.number == EXEMPLAR_TIME)
            rc = otlp_get_number(&f, PB_FIXED64, &x->time_ns, e);
        else if (f.number == EXEMPLAR_SPAN)
            rc = otlp_get_bytes(&f, &x->span_id, e);
        else if (f.number == EXEMPLAR_TRACE)
            rc = otlp_get_bytes(&f, &x->trace_id, e);
        else if (f.number == EXEMPLAR_DOUBLE || f.number == EXEMPLAR_INT)
            rc = pb_want(&f, PB_FIXED64, e);
        if (rc < 0)
            return rc;
        if (f.number == EXEMPLAR_DOUBLE || f.number == EXEMPLAR_INT) {
            x->value = f.number == EXEMPLAR_DOUBLE ? pb_double(&f) : (double)(int64_t)f.u;
            x->has_value = true;
        }
    }
    return rc;
}

static int put_id(struct arena *a, struct label *v, size_t *n, const char *name, struct str bytes, size_t want,
                  struct err *e)
{
    struct str hex;
    int rc = otlp_id(a, bytes, want, &hex, e);

    if (rc == 0 && hex.n)
        v[(*n)++] = (struct label){str_of(name), hex};
    return rc;
}

/* In the order of their names. */
static int span_labels(struct arena *a, const struct exemplar *x, struct labels *out, struct err *e)
{
    struct label *v = arena_array(a, 2, sizeof(*v));
    int rc;

    if (!v)
        return err_set(e, ERR_NOMEM, "no memory for an exemplar");
    *out = (struct labels){v, 0};
    rc = put_id(a, v, &out->n, "span_id", x->span_id, 8, e);
    return rc < 0 ? rc : put_id(a, v, &out->n, "trace_id", x->trace_id, 16, e);
}

int otlp_exemplar(struct otlp_context *c, struct str message, const struct otlp_exemplar_place *at, struct err *e)
{
    struct batch_exemplar kept = {0};
    struct exemplar x;
    int64_t time_ns;
    size_t bucket = 0;
    int rc = read_exemplar(message, &x, e);

    if (rc < 0)
        return rc;
    if (!x.has_value || !x.trace_id.n || otlp_time(x.time_ns, &time_ns, NULL) < 0)
        return 0;
    while (bucket < at->nbounds && !(x.value <= at->bounds[bucket]))
        bucket++;
    kept.series = c->batch->series[at->first + bucket].labels;
    kept.sample = (struct sample){time_ns ? time_ns / 1000000 : at->t_ms, x.value};
    if ((rc = span_labels(c->arena, &x, &kept.labels, e)) < 0)
        return rc;
    if (kept.labels.n && batch_add_exemplar(c->batch, &kept) < 0)
        return err_set(e, ERR_NOMEM, "no memory for an exemplar");
    return 0;
}
