/* event_block.c: a sealed block as a source: what is known without reading, filters, and which columns there are. */
#include "store/event_block-internal.h"

#include "store/event_block_format-internal.h"
#include "store/event_filter-internal.h"

#include <endian.h>

/* Tokens of a needle that are looked up: each that is there says a little less than the one before. */
enum { MOST_PROBES = 8 };

/* --- what is asked of a source --- */

static const struct sealed_column *find_column(const struct sealed_directory *d, struct event_field f)
{
    if (f.column >= 0)
        return d->fixed[f.column];
    for (size_t i = 0; d->nattributes && i < d->ncolumns; i++)
        if (d->columns[i].kind == BLOCK_ATTRIBUTE && str_eq(d->columns[i].name, f.attribute))
            return &d->columns[i];
    return NULL;
}

static const struct event_summary *block_summary(struct event_source *s, struct event_field f)
{
    static const struct event_summary perhaps = { .form = EVENT_FORM_TEXTS, .is_text = true, .has_unset = true };
    const struct sealed_directory *d = ((struct sealed *)s)->directory;
    const struct sealed_column *c = find_column(d, f);

    if (!c && f.column < 0 && d->overflow)
        return &perhaps;
    return c ? &c->summary : NULL;
}

/* n bytes of bits. */
int sealed_slice_read(struct sealed *b, const struct sealed_column *c, size_t slice, uint8_t *bits, size_t *n,
                      struct err *e)
{
    uint64_t at = c->filter_at + slice * (EVENT_FILTER_SLICE + SLICE_SUM);
    uint32_t sum;
    uint8_t bytes[EVENT_FILTER_SLICE + SLICE_SUM];
    int rc;

    *n = c->filter_bytes - slice * EVENT_FILTER_SLICE;
    *n = *n < EVENT_FILTER_SLICE ? *n : EVENT_FILTER_SLICE;
    rc = sealed_bytes_read(b, at, *n + SLICE_SUM, bytes, e);
    if (rc < 0)
        return rc;
    memcpy(&sum, bytes + *n, sizeof(sum));
    memcpy(bits, bytes, *n);
    if (le32toh(sum) != block_sum((struct str){ (const char *)bits, *n }))
        return err_set(e, ERR_CORRUPT, "block: a filter at %llu: checksum wrong", (unsigned long long)at);
    return 0;
}

static int probe(struct sealed *b, const struct sealed_column *c, uint64_t hash, bool *may, struct err *e)
{
    uint8_t bits[EVENT_FILTER_SLICE];
    size_t n;
    int rc = sealed_slice_read(b, c, event_filter_slice(c->filter_bytes, hash), bits, &n, e);

    if (rc == 0)
        *may = event_filter_test(bits, n, c->filter_bytes, hash);
    return rc;
}

static int probe_tokens(struct sealed *b, const struct sealed_column *c, struct str needle, bool *may, struct err *e)
{
    struct str token;
    size_t at = 0, probes = 0;
    bool inner;
    int rc = 0;

    while (rc == 0 && *may && probes < MOST_PROBES && (token = event_token_next(needle, &at, &inner)).n)
        if (inner && event_token_counts(token)) {
            rc = probe(b, c, event_filter_hash(token), may, e);
            probes++;
        }
    return rc;
}

static int block_may_hold(struct event_source *s, struct event_field f, struct str value, bool *may, struct err *e)
{
    struct sealed *b = (struct sealed *)s;
    const struct sealed_column *c = find_column(b->directory, f);

    *may = block_summary(s, f) != NULL;
    if (!c || !c->summary.filtered || value.n == 0)
        return 0;
    if (c->summary.form == EVENT_FORM_IDS)
        return sealed_ids_may_hold(b, c, value, may, e);
    if (c->summary.form == EVENT_FORM_TEXTS)
        return probe_tokens(b, c, value, may, e);
    return probe(b, c, event_filter_hash(value), may, e);
}

int sealed_overflow_read(struct sealed *b, struct sealed_view **sets, struct err *e)
{
    int rc = sealed_own_rows(b, b->directory->overflow, sets, e);

    return rc < 0 || b->others ? rc : event_overflow_read(&(*sets)->view, &b->others, e);
}

static int open_overflow(struct sealed *b, struct str name, struct arena *a, struct event_view **out, struct err *e)
{
    struct sealed_view *sets, *v = NULL;
    bool there = false;
    int rc = sealed_overflow_read(b, &sets, e);

    rc = rc == 0 ? sealed_view_new(b, b->directory->overflow, a, &v, e) : rc;
    rc = rc == 0 ? event_overflow_open(b->others, name, a, &v->view, &there, e) : rc;
    if (rc < 0 || !there)
        return rc;
    v->is_open = v->has_rows = true;
    *out = &v->view;
    return 0;
}

static int block_open_apart(struct event_source *s, struct event_field f, struct arena *a, struct event_view **out,
                            struct err *e)
{
    struct sealed *b = (struct sealed *)s;
    const struct sealed_column *c = find_column(b->directory, f);
    struct sealed_view *v = NULL;
    int rc;

    *out = NULL;
    if (!c)
        return f.column < 0 && b->directory->overflow ? open_overflow(b, f.attribute, a, out, e) : 0;
    rc = sealed_view_new(b, c, a, &v, e);
    rc = rc == 0 ? sealed_view_open(v, e) : rc;
    *out = rc == 0 ? &v->view : NULL;
    return rc;
}

static int block_open(struct event_source *s, struct event_field f, struct event_view **out, struct err *e)
{
    struct sealed *b = (struct sealed *)s;
    const struct sealed_column *c = find_column(b->directory, f);
    struct sealed_view *v;
    int rc;

    if (!c)
        return block_open_apart(s, f, s->arena, out, e);
    rc = sealed_own_view(b, c, &v, e);
    rc = rc == 0 ? sealed_view_open(v, e) : rc;
    *out = rc == 0 ? &v->view : NULL;
    return rc;
}

static int block_rows(struct event_source *s, struct event_view *v, struct err *e)
{
    (void)s;
    return sealed_view_rows((struct sealed_view *)v, e);
}

static int block_times(struct event_source *s, const int64_t **ns, struct err *e)
{
    struct sealed *b = (struct sealed *)s;
    struct sealed_view *v;
    int rc = sealed_own_rows(b, &b->directory->columns[0], &v, e);

    if (rc == 0)
        *ns = v->view.ints;
    return rc;
}

static int block_attributes(struct event_source *s, const struct str **names, size_t *n, struct err *e)
{
    struct sealed *b = (struct sealed *)s;
    const struct sealed_directory *d = b->directory;
    const struct str *others = NULL;
    struct sealed_view *sets;
    struct str *v;
    size_t nothers = 0, at = 0;
    int rc = d->overflow ? sealed_overflow_read(b, &sets, e) : 0;

    if (rc < 0)
        return rc;
    if (d->overflow)
        others = event_overflow_names(b->others, &nothers);
    v = arena_array(s->arena, d->nattributes + nothers, sizeof(*v));
    if (!v)
        return sealed_no_memory(b, e);
    for (size_t i = 0; d->nattributes && i < d->ncolumns; i++)
        if (d->columns[i].kind == BLOCK_ATTRIBUTE)
            v[at++] = d->columns[i].name;
    for (size_t i = 0; i < nothers; i++)
        v[at++] = others[i];
    *names = v;
    *n = at;
    return 0;
}

static int block_overflow(struct event_source *s, size_t *columns, struct event_view **sets, struct err *e)
{
    struct sealed *b = (struct sealed *)s;
    struct sealed_view *v = NULL;
    int rc = b->directory->overflow ? sealed_own_rows(b, b->directory->overflow, &v, e) : 0;

    *columns = b->directory->nattributes;
    *sets = rc == 0 && v ? &v->view : NULL;
    return rc;
}

/* --- opening --- */

struct event_source *event_block_of(const struct sealed_directory *d, event_part_read *read, void *arg, struct arena *a,
                                    struct err *e)
{
    static const struct event_source_ops ops = { block_summary, block_may_hold,   block_open,    block_open_apart,
                                                 block_rows,    block_times,      block_attributes, block_overflow };
    struct sealed *b = ARENA_NEW(a, struct sealed);

    if (b)
        b->views = arena_array(a, d->ncolumns, sizeof(*b->views));
    if (!b || !b->views) {
        err_set(e, ERR_NOMEM, "no memory for a block of %zu columns", d->ncolumns);
        return NULL;
    }
    b->source = (struct event_source){ &ops, d->kind, d->n, d->first_ns, d->last_ns, a, NULL };
    b->directory = d;
    b->read = read;
    b->arg = arg;
    return &b->source;
}

struct event_source *event_block_open(struct str directory, event_part_read *read, void *arg, struct arena *a,
                                      struct err *e)
{
    const struct sealed_directory *d;

    return sealed_directory_read(directory, a, &d, e) == 0 ? event_block_of(d, read, arg, a, e) : NULL;
}

struct event_source *event_block_again(const struct event_source *s, event_part_read *read, void *arg, struct arena *a,
                                       struct err *e)
{
    return event_block_of(((const struct sealed *)s)->directory, read, arg, a, e);
}
