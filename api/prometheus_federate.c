/* prometheus_federate.c: /federate: the newest sample of each series chosen, in the text format.
 *
 * Source: prometheus.io/docs/prometheus/latest/federation, …/instrumenting/exposition_formats (0.0.4). Series of one
 * metric stand together, by name; what is stale or older than the lookback is left out. Names that are not of the
 * classic alphabet are flattened to underscores, unless the reader says that it takes UTF-8
 * (Accept: …; escaping=allow-utf-8). */

#include "api/prometheus-internal.h"

#include "base/clock.h"
#include "store/series.h"

#include <stdlib.h>

struct newest {
    struct str name;
    struct labels labels;
    struct sample sample;
};

struct federation {
    struct newest *v;
    size_t n, cap, at;
    bool utf8;
};

/* --- reading --- */

static bool is_stale(double v)
{
    uint64_t bits;

    memcpy(&bits, &v, sizeof(bits));
    return bits == SAMPLE_STALE_BITS;
}

/* The last sample of the current series; 1, or 0 when there is none to show. */
static int newest_sample(struct series_set *set, struct sample *s, struct err *e)
{
    struct sample_columns c;
    bool found = false;
    int rc;

    while ((rc = series_samples(set, &c, e)) == 1)
        if (c.n) {
            *s = (struct sample){ c.t[c.n - 1], c.v[c.n - 1] };
            found = true;
        }
    return rc < 0 ? rc : found && !is_stale(s->v);
}

static int collect(struct request *rq, const struct series_query *q, struct federation *f, struct err *e)
{
    struct series_set *set = series_open(rq->api->store, q, &rq->arena, e);
    struct newest one;
    int rc = set ? 1 : e->code;

    while (rc >= 0 && (rc = series_next(set, &one.labels, e)) == 1) {
        one.name = labels_get(one.labels, STR("__name__"));
        rc = newest_sample(set, &one.sample, e);
        if (rc <= 0)
            continue;
        if (arena_grow(&rq->arena, &f->v, &f->cap, f->n + 1, sizeof(*f->v)) < 0)
            return err_set(e, ERR_NOMEM, "no memory for the samples");
        f->v[f->n++] = one;
    }
    return rc;
}

static int by_name(const void *a, const void *b)
{
    const struct newest *x = a, *y = b;
    int order = str_cmp(x->name, y->name);

    return order ? order : labels_cmp(x->labels, y->labels);
}

/* --- writing --- */

static void put_escaped(struct buf *b, struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        switch (s.p[i]) {
        case '\\':
            buf_puts(b, "\\\\");
            break;
        case '"':
            buf_puts(b, "\\\"");
            break;
        case '\n':
            buf_puts(b, "\\n");
            break;
        default:
            buf_putc(b, s.p[i]);
        }
}

static void put_quoted(struct buf *b, struct str s)
{
    buf_putc(b, '"');
    put_escaped(b, s);
    buf_putc(b, '"');
}

static void put_name(const struct federation *f, struct buf *b, struct str name, bool colons)
{
    if (label_is_classic(name, colons))
        buf_str(b, name);
    else if (f->utf8)
        put_quoted(b, name);
    else
        label_flatten(b, name, colons);
}

/* name{label="value"} 1 1700000000000; a name in quotes stands inside the braces. */
static void put_line(const struct federation *f, struct buf *b, const struct newest *s)
{
    bool inside = f->utf8 && !label_is_classic(s->name, true);
    size_t written = 0;

    if (!inside)
        put_name(f, b, s->name, true);
    if (inside || s->labels.n > 1)
        buf_putc(b, '{');
    if (inside) {
        put_quoted(b, s->name);
        written++;
    }
    for (size_t i = 0; i < s->labels.n; i++) {
        const struct label *l = &s->labels.v[i];

        if (str_eqz(l->name, "__name__"))
            continue;
        buf_puts(b, written++ ? "," : "");
        put_name(f, b, l->name, false);
        buf_putc(b, '=');
        put_quoted(b, l->value);
    }
    if (written)
        buf_putc(b, '}');
    buf_putc(b, ' ');
    buf_double(b, s->sample.v);
    buf_putc(b, ' ');
    buf_i64(b, s->sample.t);
    buf_putc(b, '\n');
}

static bool more(void *state, struct buf *out)
{
    struct federation *f = state;

    for (; f->at < f->n && out->n < PIECE; f->at++) {
        const struct newest *s = &f->v[f->at], *before = f->at ? s - 1 : NULL;

        if (before && by_name(before, s) == 0)
            continue; /* chosen by two selectors */
        if (!before || !str_eq(before->name, s->name)) {
            buf_puts(out, "# TYPE ");
            put_name(f, out, s->name, true);
            buf_puts(out, " untyped\n");
        }
        put_line(f, out, s);
    }
    return f->at < f->n;
}

/* --- the handler --- */

static void fail(struct request *rq, const struct err *e)
{
    reply_text(rq, e->code == ERR_PARSE ? 400 : error_status(e->code), "%s", e->msg);
}

static int collect_all(struct request *rq, struct federation *f, struct err *e)
{
    int64_t now = clock_now_ms(), lookback = rq->api->options.limits.lookback_ms;
    struct series_query q = { .from_ms = now - (lookback ? lookback : 300000) + 1, .to_ms = now };
    struct matcher *matchers;
    struct str text;
    size_t at = 0;
    int rc = 0;

    while (rc == 0 && (text = request_parameter_next(rq, "match[]", &at)).p) {
        rc = promql_parse_selector(&rq->arena, text, &matchers, &q.n, e);
        q.matchers = matchers;
        if (rc == 0)
            rc = collect(rq, &q, f, e);
    }
    return rc;
}

void prometheus_federate(struct request *rq)
{
    struct federation *f = ARENA_NEW(&rq->arena, struct federation);
    struct str accept = str_of(request_header(rq, MHD_HTTP_HEADER_ACCEPT));
    struct err e = ERR_INIT;

    if (!f)
        err_set(&e, ERR_NOMEM, "no memory");
    if (!f || collect_all(rq, f, &e) < 0) {
        fail(rq, &e);
        return;
    }
    f->utf8 = str_find(accept, STR("escaping=allow-utf-8")) >= 0;
    if (f->n)
        qsort(f->v, f->n, sizeof(*f->v), by_name);
    reply_begin(rq, 200, f->utf8 ? "text/plain; version=0.0.4; charset=utf-8; escaping=allow-utf-8"
                                 : "text/plain; version=0.0.4; charset=utf-8; escaping=underscores");
    reply_pieces(rq, more, f);
}
