/* page_column.c: samples from bodies.
 *
 * Speed    A residual costs one look into its code's table and a few shifts, one after another, for the next begins where
 *          this one ends; so all else is kept out of that loop: undoing the prediction, adding up and making doubles of
 *          integers are passes of their own over an array in the cache. Bits are fetched eight bytes at a time, and how
 *          many numbers that is good for is known from the code: four, two or one.
 * Safety   The fetch stays inside the page, a residual goes where the caller has room, and reading past a body's end is
 *          seen after the loop: what was read until then is garbage, but nobody gets it. */
#include "store/page_reader-internal.h"
#include "store/varint-internal.h"

enum { FETCH = 57 }; /* bits that a fetch is good for, at least */

/* Takes one number from the lowest bits of *u, which must hold it. Returns the bits it took. */
static inline unsigned take(const struct code_reader *c, uint64_t *u, uint64_t *to)
{
    struct code_entry e = code_entry_at(c, *u);

    *to = unzigzag(((uint64_t)e.head << e.raw) + bits_low(*u >> (e.all - e.raw), e.raw));
    *u >>= e.all;
    return e.all;
}

/* `each` numbers from one fetch; inlined with a constant. */
static inline __attribute__((always_inline)) void read_some(struct bit_reader *r, const struct code_reader *c,
                                                            uint64_t *to, size_t n, size_t each)
{
    size_t i = 0;

    for (; i + each <= n; i += each) {
        uint64_t u = bits_peek(r);

        for (size_t k = 0; k < each; k++)
            r->at += take(c, &u, to + i + k);
    }
    for (; i < n; i++) {
        uint64_t u = bits_peek(r);

        r->at += take(c, &u, to + i);
    }
}

static void read_runs(struct bit_reader *r, const struct code_reader *c, uint64_t *to, size_t n)
{
    for (size_t i = 0; i < n;) {
        struct code_entry e = code_entry_at(c, bits_peek(r));
        uint64_t u = code_get_number(r, c);

        if (!e.more) {
            to[i++] = unzigzag(u);
            continue;
        }
        u = u < n - i ? u + 1 : n - i;
        memset(to + i, 0, u * sizeof(*to));
        i += u;
        if (e.more > 1 && i < n)
            to[i++] = unzigzag((uint64_t)e.more - 1);
    }
}

/* A second number is written in any case; when there is none the next overwrites it. */
static void read_pairs(struct bit_reader *r, const struct code_reader *c, uint64_t *to, size_t n)
{
    size_t i = 0;

    while (i + 1 < n) {
        struct code_entry e = code_entry_at(c, bits_peek(r));

        to[i] = unzigzag(code_get_number(r, c));
        to[i + 1] = unzigzag((uint64_t)e.more - 1);
        i += 1 + (e.more != 0);
    }
    if (i < n)
        to[i] = unzigzag(code_get_number(r, c));
}

static void read_long(struct bit_reader *r, const struct code_reader *c, uint64_t *to, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = unzigzag(code_get_number(r, c));
}

static const struct code_reader *value_code(struct page_reader *r, uint8_t code)
{
    if (!r->made[code])
        code_reader_init(&r->value[code], &r->lengths[code]);
    r->made[code] = true;
    return &r->value[code];
}

/* Residuals to[0..n) from where `bits` is. False: past the end. */
static bool read_residuals(struct page_reader *r, const struct page_body *body, struct bit_reader *bits, uint64_t *to,
                           size_t n)
{
    const struct code_reader *c;

    if (!body->residuals) {
        memset(to, 0, n * sizeof(*to));
        return true;
    }
    c = value_code(r, body->code);
    if (c->kind == CODE_WITH_RUNS)
        read_runs(bits, c, to, n);
    else if (c->kind == CODE_WITH_PAIRS)
        read_pairs(bits, c, to, n);
    else if (c->longest <= FETCH / 4)
        read_some(bits, c, to, n, 4);
    else if (c->longest <= FETCH / 2)
        read_some(bits, c, to, n, 2);
    else if (c->longest <= FETCH)
        read_some(bits, c, to, n, 1);
    else
        read_long(bits, c, to, n);
    return bits->at <= bits->end;
}

static struct bit_reader body_bits(const struct page_reader *r, const struct page_body *body)
{
    return (struct bit_reader){ r->bytes, body->at, body->end };
}

static int read_times(struct page_reader *r, struct page_reader_times *times, struct err *e)
{
    const struct page_reader_pattern *p = &r->patterns[times->pattern];
    struct bit_reader bits = body_bits(r, &p->body);
    int64_t *t = r->t + r->times_used, before = (int64_t)times->start;
    bool rising = true;

    if (!read_residuals(r, &p->body, &bits, (uint64_t *)t + 1, p->n - 1))
        return err_set(e, ERR_CORRUPT, "times cut short");
    t[0] = before;
    for (size_t i = 1; i < p->n; i++) {
        t[i] = (int64_t)((uint64_t)before + p->step + (uint64_t)t[i]);
        rising &= t[i] > before;
        before = t[i];
    }
    if (!rising)
        return err_set(e, ERR_CORRUPT, "times not rising");
    times->at = (uint32_t)r->times_used;
    times->read = true;
    r->times_used += p->n;
    return 0;
}

/* Residuals in d[1..n) become differences. */
static void undo(const struct page_reader_column *c, uint64_t *d, const uint64_t *before, size_t n)
{
    uint64_t ratio = c->ratio, track = track_begin(c->base);

    switch (c->mode) {
    case MODE_PREV:
        for (size_t i = 1; i < n; i++)
            d[i] += before[i];
        break;
    case MODE_RATIO:
        for (size_t i = 1; i < n; i++)
            d[i] += ratio_of(before[i], ratio);
        break;
    case MODE_LEVEL:
        for (size_t i = n; i-- > 1;)
            d[i] -= d[i - 1];
        break;
    default:
        for (size_t i = 1; c->base && i < n; i++) {
            d[i] += track_expected(track);
            track = track_next(track, d[i]);
        }
    }
}

static bool put_exceptions(const struct page_reader *r, const struct page_reader_column *c, size_t n, double *v)
{
    struct bit_reader bits = body_bits(r, &c->body);
    uint64_t at = 0;

    for (size_t i = 0; i < c->exceptions; i++) {
        uint64_t gap = code_get_number(&bits, &r->field[FIELD_GAP]);
        uint64_t u = code_get_number(&bits, &r->field[FIELD_EXCEPTION]) ^ SAMPLE_STALE_BITS;

        if (gap >= n - at)
            return false;
        at += gap;
        v[at++] = bits_double(u);
    }
    return c->exceptions == 0 || bits.at <= bits.end;
}

/* Where the residuals begin. */
static struct bit_reader skip_exceptions(const struct page_reader *r, const struct page_reader_column *c)
{
    struct bit_reader bits = body_bits(r, &c->body);

    for (size_t i = 0; i < c->exceptions && bits.at <= bits.end; i++) {
        code_get_number(&bits, &r->field[FIELD_GAP]);
        code_get_number(&bits, &r->field[FIELD_EXCEPTION]);
    }
    return bits;
}

/* Without residuals: differences that are all 0 or all as before, which takes no work. False: it is neither. */
static bool without_residuals(const struct page_reader_column *c, uint64_t *d, const uint64_t *before, double *v, size_t n)
{
    if (c->body.residuals || c->base || c->mode == MODE_RATIO)
        return false;
    if (c->mode == MODE_PREV) {
        memcpy(d, before, n * sizeof(*d));
        form_values(c->form, c->first, d, v, n);
        return true;
    }
    memset(d, 0, n * sizeof(*d));
    form_values(c->form, c->first, d, v, 1);
    for (size_t i = 1; i < n; i++)
        v[i] = v[0];
    return true;
}

static int read_values(struct page_reader *r, struct page_reader_column *c, size_t n, struct err *e)
{
    struct bit_reader bits = skip_exceptions(r, c);
    uint64_t *d = r->d + c->at, first = c->first;
    const uint64_t *before = c->depth ? r->d + c[-1].at : NULL;
    double *v = r->v + c->at;
    size_t skip = c->mode == MODE_LEVEL ? 0 : 1;

    if (!without_residuals(c, d, before, v, n)) {
        if (!read_residuals(r, &c->body, &bits, d + skip, n - skip))
            return err_set(e, ERR_CORRUPT, "values cut short");
        if (c->mode == MODE_LEVEL)
            first += d[0];
        undo(c, d, before, n);
        form_values(c->form, first, d, v, n);
    }
    if (!put_exceptions(r, c, n, v))
        return err_set(e, ERR_CORRUPT, "GAP: exceptions cut short, or behind the last sample");
    if (c + 1 < r->columns + r->n_columns && c[1].depth && c[1].body.at == c[1].body.end)
        c[1].body = (struct page_body){ bits.at, c->body.end, c[1].body.code, c[1].body.residuals };
    c->read = true;
    return 0;
}

/* A column and those that it leans on, the first of them first. */
static int read_chain(struct page_reader *r, size_t column, struct err *e)
{
    size_t from = column;

    while (r->columns[from].depth && !r->columns[from - 1].read)
        from--;
    for (; from <= column; from++) {
        struct page_reader_column *c = &r->columns[from];
        struct page_reader_times *times = &r->times[c->times];
        int rc = times->read ? 0 : read_times(r, times, e);

        if (rc == 0)
            rc = read_values(r, c, r->patterns[times->pattern].n, e);
        if (rc < 0) {
            err_wrap(e, "page: column %zu", from);
            return rc;
        }
    }
    return 0;
}

int page_column(struct page_reader *r, size_t column, struct sample_columns *out, struct err *e)
{
    const struct page_reader_column *c = &r->columns[column];
    int rc = c->read ? 0 : read_chain(r, column, e);

    if (rc == 0) {
        const struct page_reader_times *times = &r->times[c->times];

        *out = (struct sample_columns){ SAMPLE_FLOAT, r->t + times->at, r->v + c->at, r->patterns[times->pattern].n };
    }
    return rc;
}
