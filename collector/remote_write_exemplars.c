/* remote_write_exemplars.c: the exemplars of a TimeSeries: Exemplar { 1 labels…  2 value  3 timestamp (ms) }.
 *
 * Few series have any, so that these take a walk of their own over the message. Prometheus never refuses a request for
 * an exemplar's sake, and nor do we: one that is no good is left out and counted. */
#include "collector/remote_write-internal.h"

#include "base/pb.h"

enum { SERIES_EXEMPLARS = 3, MOST_LABELS = 128, MOST_CHARACTERS = 128 /* names and values together, as in OpenMetrics */ };

int remote_write_label(struct str message, struct label *l, struct err *e)
{
    struct pb_reader r = pb_reader(message);
    struct pb_field f;
    int rc;

    *l = (struct label){ STR_INIT(""), STR_INIT("") };
    while ((rc = pb_next(&r, &f, e)) == 1) {
        if (f.number != 1 && f.number != 2)
            continue;
        if (pb_want(&f, PB_BYTES, e) < 0)
            return ERR_PARSE;
        *(f.number == 1 ? &l->name : &l->value) = f.bytes;
    }
    return rc;
}

static size_t count_characters(struct str s)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    return n;
}

/* ERR_PARSE and ERR_INVALID: not a good one. */
static int read_exemplar(struct arena *a, struct str message, struct batch_exemplar *x, struct err *e)
{
    struct label labels[MOST_LABELS];
    struct pb_reader r = pb_reader(message);
    size_t n = 0, characters = 0;
    struct pb_field f;
    int rc;

    while ((rc = pb_next(&r, &f, e)) == 1) {
        if (f.number == 1 && n == MOST_LABELS)
            return err_set(e, ERR_INVALID, "more than %d labels", MOST_LABELS);
        if (f.number == 1 && (rc = pb_want(&f, PB_BYTES, e)) == 0)
            rc = remote_write_label(f.bytes, &labels[n++], e);
        else if (f.number == 2 && (rc = pb_want(&f, PB_FIXED64, e)) == 0)
            x->sample.v = pb_double(&f);
        else if (f.number == 3 && (rc = pb_want(&f, PB_VARINT, e)) == 0)
            x->sample.t = (int64_t)f.u;
        if (rc < 0)
            return rc;
    }
    if (rc == 0)
        rc = labels_normalise(labels, &n, e);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        characters += count_characters(labels[i].name) + count_characters(labels[i].value);
        if (!labels[i].name.n || !str_is_utf8(labels[i].name) || !str_is_utf8(labels[i].value) ||
            characters > MOST_CHARACTERS)
            return err_set(e, ERR_INVALID, "a label without a name, not UTF-8, or too long");
    }
    if (rc == 0) {
        struct label *kept = arena_array(a, n + 1, sizeof(*kept));

        if (!kept)
            return err_set(e, ERR_NOMEM, "no memory");
        memcpy(kept, labels, n * sizeof(*kept));
        x->labels = (struct labels){ kept, n };
    }
    return rc;
}

/* The array may be the decoder's own, which it uses again. */
static int keep_series(struct arena *a, struct labels l, struct labels *out)
{
    struct label *v = arena_array(a, l.n + 1, sizeof(*v));

    if (!v)
        return ERR_NOMEM;
    if (l.n)
        memcpy(v, l.v, l.n * sizeof(*v));
    *out = (struct labels){ v, l.n };
    return 0;
}

int remote_write_exemplars(struct batch *b, struct str message, struct labels l, uint64_t *dropped)
{
    struct pb_reader r = pb_reader(message);
    struct batch_exemplar x = { 0 };
    struct pb_field f;

    if (keep_series(b->arena, l, &x.series) < 0)
        return ERR_NOMEM;
    while (pb_next(&r, &f, NULL) == 1) { /* it has been walked before: it is well formed */
        int rc;

        if (f.number != SERIES_EXEMPLARS)
            continue;
        x.sample = (struct sample){ 0 };
        rc = read_exemplar(b->arena, f.bytes, &x, NULL);
        if (rc == 0)
            rc = batch_add_exemplar(b, &x);
        if (rc == ERR_NOMEM)
            return rc;
        *dropped += rc < 0;
    }
    return 0;
}
