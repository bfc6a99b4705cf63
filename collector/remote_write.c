/* remote_write.c: a WriteRequest in one pass.
 *
 *   WriteRequest   1 timeseries…   3 metadata…
 *   TimeSeries     1 labels…  2 samples…  3 exemplars…  4 histograms…     Label     1 name   2 value
 *   Metadata       1 type  2 metric_family_name  4 help  5 unit           Sample    1 value (double)  2 timestamp (ms)
 *
 * Idea       The series are taken in two passes. scan_series() walks the fields of each: it reads the samples and notes
 *            where the labels stand, as bytes. A sender repeats these bytes in every request, so the store knows nearly
 *            all of them (store_recognise); read_labels() parses those of the others only.
 * Invariant  Samples and labels go into pools, a few pieces of the arena that double; those of one series stand in one
 *            piece. So the work and the memory are linear in the message, and no sample is an allocation.
 * Refused    One series, not the request: labels without a name, twice, not in order, or not UTF-8; no metric name;
 *            native histograms. */
#include "collector/remote_write-internal.h"

#include "base/pb.h"

#include <endian.h>

enum { TIMESERIES = 1, METADATA = 3 };
enum { LABELS = 1, SAMPLES = 2, EXEMPLARS = 3, HISTOGRAMS = 4 };
enum { FIRST_PIECE = 64, LARGEST_PIECE = 4096 };     /* items of a pool */
enum { MOST_LABELS = 256, LONGEST_NAME = 4096, LONGEST_VALUE = 1 << 20 }; /* what the store takes */

/* Items of one size, those of the series under way at `at`. */
struct pool {
    size_t size;
    char *at;
    size_t n, cap; /* items from `at` on: of the series; room */
    size_t piece;
};

struct decoder {
    struct batch *batch;
    struct remote_write_outcome *out;
    struct pool labels, samples;
};

/* A TimeSeries as scan_series found it. */
struct wire_series {
    struct str label_bytes; /* from the first label's tag to the end of the last one; whatever stands between is with it */
    uint64_t exemplars, histograms;
};

static void *pool_add(struct pool *p, struct arena *a)
{
    if (p->n == p->cap) {
        size_t cap = p->piece ? 2 * p->piece : FIRST_PIECE;
        char *to;

        if (cap > LARGEST_PIECE)
            cap = LARGEST_PIECE;
        p->piece = cap;
        if (cap < 2 * p->n)
            cap = 2 * p->n;
        to = arena_alloc(a, cap * p->size);
        if (!to)
            return NULL;
        if (p->n)
            memcpy(to, p->at, p->n * p->size);
        p->at = to;
        p->cap = cap;
    }
    return p->at + p->n++ * p->size;
}

/* The items so far are somebody's; the next ones are another's. */
static void *pool_take(struct pool *p, size_t *n)
{
    char *items = p->at;

    *n = p->n;
    p->at = p->n ? p->at + p->n * p->size : p->at;
    p->cap -= p->n;
    p->n = 0;
    return items;
}

/* --- refusals --- */

/* A fault of one item: the others are none the worse for it. */
static bool is_fault(int rc)
{
    return rc == ERR_INVALID || rc == ERR_LIMIT || rc == ERR_UNSUPPORTED;
}

static void refuse(struct decoder *d, uint64_t n, const struct err *why)
{
    if (d->out->refused == 0)
        memcpy(d->out->why, why->msg, sizeof(d->out->why));
    d->out->refused += n;
}

/* Says which series: by the labels read so far. */
static void name_series(const struct decoder *d, struct err *why)
{
    struct labels l = { (const struct label *)(const void *)d->labels.at, d->labels.n };
    struct buf text = BUF_INIT(200);

    labels_print(&text, l);
    err_wrap(why, "series %.*s%s", STR_ARG(buf_view(&text)), buf_failed(&text) ? "…" : "");
    buf_free(&text);
}

/* --- a series --- */

/* As every sender writes it: the value, then the time, and nothing else. */
static bool read_plain_sample(struct str bytes, struct sample *s)
{
    const uint8_t *p = (const uint8_t *)bytes.p, *end = p + bytes.n;
    uint64_t bits, t = 0;
    unsigned shift = 0;

    if (bytes.n < 11 || p[0] != 0x09 || p[9] != 0x10 || (end[-1] & 0x80))
        return false;
    memcpy(&bits, p + 1, sizeof(bits));
    bits = le64toh(bits);
    memcpy(&s->v, &bits, sizeof(bits));
    for (p += 10; *p & 0x80 && shift < 56; shift += 7)
        t |= (uint64_t)(*p++ & 0x7f) << shift;
    s->t = (int64_t)(t | (uint64_t)*p << shift);
    return p + 1 == end && !(*p & 0x80);
}

static int read_sample(struct str bytes, struct sample *s, struct err *e)
{
    struct pb_reader r = pb_reader(bytes);
    struct pb_field f;
    int rc;

    if (read_plain_sample(bytes, s))
        return 0;
    *s = (struct sample){ 0 };
    while ((rc = pb_next(&r, &f, e)) == 1) {
        if (f.number == 1 && (rc = pb_want(&f, PB_FIXED64, e)) == 0)
            s->v = pb_double(&f);
        else if (f.number == 2 && (rc = pb_want(&f, PB_VARINT, e)) == 0)
            s->t = (int64_t)f.u;
        if (rc < 0)
            return rc;
    }
    return rc;
}

static int add_sample(struct decoder *d, struct str bytes, struct err *e)
{
    struct sample *s = pool_add(&d->samples, d->batch->arena);

    return s ? read_sample(bytes, s, e) : err_set(e, ERR_NOMEM, "no memory for the samples");
}

static void note_label(struct wire_series *w, const char *tag, struct str bytes)
{
    if (!w->label_bytes.p)
        w->label_bytes.p = tag;
    w->label_bytes.n = (size_t)(bytes.p + bytes.n - w->label_bytes.p);
}

/* Passes over labels as every sender writes them, with a length of one byte: most of what there is to read. */
static void skip_labels(struct pb_reader *r, struct wire_series *w)
{
    const uint8_t *p = r->p;

    while (r->end - p >= 2 && p[0] == 0x0a && p[1] < 0x80 && r->end - p - 2 >= p[1])
        p += 2 + p[1];
    if (p != r->p)
        note_label(w, (const char *)r->p, (struct str){ (const char *)r->p, (size_t)(p - r->p) });
    r->p = p;
}

static int scan_series(struct decoder *d, struct str message, struct wire_series *w, struct err *e)
{
    struct pb_reader r = pb_reader(message);
    struct pb_field f;
    int rc;

    for (;;) {
        const char *tag;

        skip_labels(&r, w);
        tag = (const char *)r.p;
        rc = pb_next(&r, &f, e);
        if (rc <= 0)
            return rc;
        if (f.number < LABELS || f.number > HISTOGRAMS)
            continue; /* of a later version */
        rc = pb_want(&f, PB_BYTES, e);
        if (rc == 0 && f.number == SAMPLES)
            rc = add_sample(d, f.bytes, e);
        if (rc < 0)
            return rc;
        if (f.number == LABELS)
            note_label(w, tag, f.bytes);
        w->exemplars += f.number == EXEMPLARS;
        w->histograms += f.number == HISTOGRAMS;
    }
}

/* --- labels --- */

static int check_label(const struct label *l, struct str before, struct err *why)
{
    int order = str_cmp(before, l->name);

    if (l->name.n == 0)
        return err_set(why, ERR_INVALID, "a label has no name");
    if (!str_is_utf8(l->name) || !str_is_utf8(l->value))
        return err_set(why, ERR_INVALID, "a label's name or value is not UTF-8");
    if (order == 0)
        return err_set(why, ERR_INVALID, "label \"%.*s\" stands twice", STR_ARG(l->name));
    if (order > 0)
        return err_set(why, ERR_INVALID, "label \"%.*s\" stands behind \"%.*s\", should be sorted", STR_ARG(l->name),
                       STR_ARG(before));
    if (l->name.n > LONGEST_NAME || l->value.n > LONGEST_VALUE)
        return err_set(why, ERR_LIMIT, "a label has %zu bytes of name and %zu of value, at most %d and %d", l->name.n,
                       l->value.n, LONGEST_NAME, LONGEST_VALUE);
    return 0;
}

/* One with an empty value is as good as absent. */
static int add_label(struct decoder *d, const struct label *l, struct str *before, struct err *e)
{
    struct label *kept;
    int rc = check_label(l, *before, e);

    *before = l->name;
    if (rc < 0 || l->value.n == 0)
        return rc;
    kept = pool_add(&d->labels, d->batch->arena);
    if (!kept)
        return err_set(e, ERR_NOMEM, "no memory for the labels");
    *kept = *l;
    return 0;
}

/* ERR_INVALID, ERR_LIMIT: a fault of this series. */
static int read_labels(struct decoder *d, struct str bytes, struct err *e)
{
    struct pb_reader r = pb_reader(bytes);
    struct str before = STR(""), metric;
    struct pb_field f;
    struct label l;
    int rc;

    while ((rc = pb_next(&r, &f, e)) == 1) {
        if (f.number != LABELS)
            continue;
        rc = remote_write_label(f.bytes, &l, e);
        if (rc == 0)
            rc = add_label(d, &l, &before, e);
        if (rc < 0)
            return rc;
    }
    metric = labels_get((struct labels){ (const struct label *)(const void *)d->labels.at, d->labels.n },
                        STR("__name__"));
    if (rc == 0 && metric.n == 0)
        rc = err_set(e, ERR_INVALID, "label \"__name__\" is missing");
    if (rc == 0 && d->labels.n > MOST_LABELS)
        rc = err_set(e, ERR_LIMIT, "%zu labels, at most %d", d->labels.n, MOST_LABELS);
    return rc;
}

/* What needs the labels at once: exemplars; native histograms, which are refused by name; and a series without samples,
 * whose labels nobody else looks at. */
static int read_beside(struct decoder *d, struct str message, const struct wire_series *w, struct err *e)
{
    struct err why = ERR_INIT;
    struct labels l;
    int rc;

    d->labels.n = 0;
    rc = read_labels(d, w->label_bytes, &why);
    if (rc < 0 && !is_fault(rc))
        return err_set(e, rc, "%s", why.msg);
    if (rc == 0 && w->histograms)
        err_set(&why, ERR_UNSUPPORTED, "native histograms are disabled");
    if (w->histograms) {
        name_series(d, &why);
        refuse(d, w->histograms, &why);
    }
    l.v = pool_take(&d->labels, &l.n);
    if (rc == 0 && w->exemplars && remote_write_exemplars(d->batch, message, l, &d->out->exemplars) < 0)
        return err_set(e, ERR_NOMEM, "no memory for the exemplars");
    return 0;
}

/* The first pass: samples, and labels as bytes. */
static int decode_series(struct decoder *d, struct str message, struct err *e)
{
    struct wire_series w = { 0 };
    struct batch_series s = { 0 };
    int rc;

    d->samples.n = 0;
    rc = scan_series(d, message, &w, e);
    if (rc < 0)
        return rc;
    s.raw = w.label_bytes;
    s.samples = pool_take(&d->samples, &s.n);
    if (w.histograms || w.exemplars || s.n == 0)
        rc = read_beside(d, message, &w, e);
    if (rc == 0 && s.n && batch_add_series(d->batch, &s) < 0)
        rc = err_set(e, ERR_NOMEM, "no memory for the series");
    return rc;
}

/* The second pass: the labels of a series that is new to the store. */
static int complete_series(struct decoder *d, struct batch_series *s, struct err *e)
{
    struct err why = ERR_INIT;
    int rc;

    d->labels.n = 0;
    rc = read_labels(d, s->raw, &why);
    if (is_fault(rc)) {
        name_series(d, &why);
        refuse(d, s->n, &why);
        s->n = 0;
        return 0;
    }
    s->labels.v = pool_take(&d->labels, &s->labels.n);
    return rc < 0 ? err_set(e, rc, "%s", why.msg) : 0;
}

static int complete(struct decoder *d, struct store *st, struct err *e)
{
    struct batch *b = d->batch;
    size_t kept = 0;
    int rc = 0;

    if (st)
        store_recognise(st, b);
    for (size_t i = 0; rc == 0 && i < b->nseries; i++) {
        if (b->series[i].id == 0)
            rc = complete_series(d, &b->series[i], e);
        d->out->samples += b->series[i].n;
        if (b->series[i].n)
            b->series[kept++] = b->series[i];
    }
    b->nseries = kept;
    return rc;
}

/* --- metadata --- */

static struct str type_name(uint64_t type)
{
    static const struct str names[] = { STR_INIT("unknown"), STR_INIT("counter"), STR_INIT("gauge"),
                                        STR_INIT("histogram"), STR_INIT("gaugehistogram"), STR_INIT("summary"),
                                        STR_INIT("info"), STR_INIT("stateset") };

    return names[type < sizeof(names) / sizeof(names[0]) ? type : 0];
}

static int read_metadata(struct str message, struct batch_metadata *m, struct err *e)
{
    struct pb_reader r = pb_reader(message);
    struct pb_field f;
    int rc;

    *m = (struct batch_metadata){ STR_INIT(""), type_name(0), STR_INIT(""), STR_INIT("") };
    while ((rc = pb_next(&r, &f, e)) == 1) {
        struct str *text = f.number == 2 ? &m->metric : f.number == 4 ? &m->help : f.number == 5 ? &m->unit : NULL;

        if (f.number == 1 && (rc = pb_want(&f, PB_VARINT, e)) == 0)
            m->type = type_name(f.u);
        else if (text && (rc = pb_want(&f, PB_BYTES, e)) == 0)
            *text = f.bytes;
        if (rc < 0)
            return rc;
    }
    return rc;
}

static int decode_metadata(struct decoder *d, struct str message, struct err *e)
{
    struct batch_metadata m;
    struct err why = ERR_INIT;
    int rc = read_metadata(message, &m, e);

    if (rc < 0)
        return rc;
    if (m.metric.n == 0 || m.metric.n > LONGEST_NAME || m.help.n > LONGEST_VALUE || m.unit.n > LONGEST_NAME ||
        !str_is_utf8(m.metric) || !str_is_utf8(m.help) || !str_is_utf8(m.unit)) {
        err_set(&why, ERR_INVALID, "metadata: no metric's name, or a text too long or not UTF-8");
        refuse(d, 1, &why);
        return 0;
    }
    return batch_add_metadata(d->batch, &m) < 0 ? err_set(e, ERR_NOMEM, "no memory for metadata") : 0;
}

/* --- the request --- */

int remote_write_decode(struct str message, struct store *st, struct batch *b, struct remote_write_outcome *o,
                        struct err *e)
{
    struct decoder d = { .batch = b,
                         .out = o,
                         .labels = { .size = sizeof(struct label) },
                         .samples = { .size = sizeof(struct sample) } };
    struct pb_reader r = pb_reader(message);
    struct pb_field f;
    int rc;

    *o = (struct remote_write_outcome){ 0 };
    while ((rc = pb_next(&r, &f, e)) == 1) {
        if (f.number != TIMESERIES && f.number != METADATA)
            continue;
        rc = pb_want(&f, PB_BYTES, e);
        if (rc == 0)
            rc = f.number == TIMESERIES ? decode_series(&d, f.bytes, e) : decode_metadata(&d, f.bytes, e);
        if (rc < 0)
            return rc;
    }
    return rc < 0 ? rc : complete(&d, st, e);
}
