#include "store/page_plan-internal.h"
#include "store/varint-internal.h"

#include "base/mem.h"

#include <assert.h>

/* Bits are written behind a reservation: of a number's code and raw bits, and of a whole column's fields. */
enum { NUMBER_BYTES = 10, COLUMN_FIELDS = 16, SLACK = 8 };

/* The numbers of the head, in order; written when all are known, for their codes follow from their counts. */
struct head {
    struct {
        uint64_t u;
        uint8_t field;
    } *numbers;
    size_t n;
};

struct encoder {
    struct page_plan plan;
    struct code_writer field[FIELDS], value[PAGE_CODES];
    struct head head;
    void *memory; /* all that the pointers above point into */
};

static size_t longest_of(const struct sample_columns *c, size_t n, size_t *samples)
{
    size_t longest = 0;

    *samples = 0;
    for (size_t i = 0; i < n; i++) {
        *samples += c[i].n;
        if (c[i].n > longest)
            longest = c[i].n;
    }
    return longest;
}

/* The next n items of a size in `memory`; where that is NULL only counts. */
static void *cut(char *memory, size_t *used, size_t n, size_t size)
{
    void *p = memory ? memory + *used : NULL;

    *used += (n * size + 15) & ~(size_t)15;
    return p;
}

static size_t lay_out(struct encoder *en, char *memory)
{
    struct page_plan *p = &en->plan;
    size_t used = 0;

    p->column = cut(memory, &used, p->n, sizeof(*p->column));
    p->times = cut(memory, &used, p->n, sizeof(*p->times));
    p->patterns = cut(memory, &used, p->n, sizeof(*p->patterns));
    p->groups = cut(memory, &used, PAGE_GROUPS, sizeof(*p->groups));
    p->residuals = cut(memory, &used, 2 * p->samples, sizeof(*p->residuals));
    p->d = cut(memory, &used, p->longest, sizeof(*p->d));
    p->before = cut(memory, &used, p->longest, sizeof(*p->before));
    p->tried[0] = cut(memory, &used, p->longest, sizeof(*p->tried[0]));
    p->tried[1] = cut(memory, &used, p->longest, sizeof(*p->tried[1]));
    p->x = cut(memory, &used, p->longest, sizeof(*p->x));
    p->scratch = cut(memory, &used, p->longest, sizeof(*p->scratch));
    en->head.numbers = cut(memory, &used, p->n * COLUMN_FIELDS, sizeof(*en->head.numbers));
    return used;
}

static void encoder_free(struct encoder *en)
{
    if (en)
        mem_free(en->memory);
    mem_free(en);
}

static struct encoder *encoder_new(const struct sample_columns *columns, size_t n)
{
    struct encoder *en = mem_zalloc(sizeof(*en));

    if (!en)
        return NULL;
    assert(n >= 1 && n <= PAGE_COLUMNS);
    en->plan.columns = columns;
    en->plan.n = n;
    en->plan.longest = longest_of(columns, n, &en->plan.samples);
    assert(en->plan.samples <= PAGE_SAMPLES);
    en->memory = mem_alloc(lay_out(en, NULL));
    if (!en->memory) {
        encoder_free(en);
        return NULL;
    }
    lay_out(en, en->memory);
    return en;
}

/* --- bodies --- */

static uint64_t bits_written(const struct bit_writer *w, const uint8_t *from)
{
    return (uint64_t)(w->to - from) * 8 + w->n;
}

static void write_residuals(struct encoder *en, struct bit_writer *w, const struct page_sequence *s)
{
    const struct code_writer *code = &en->value[s->code];
    const uint64_t *u = en->plan.residuals + s->at;

    for (size_t i = 0; i < s->n;) {
        struct code_step step = code_step(s->kind, u + i, s->n - i);

        code_put(w, code, step.symbol);
        bits_put_long(w, step.raw, step.raw_bits);
        i += step.n;
    }
}

/* Calls `visit` for the exceptions of a column. */
static void each_exception(struct encoder *en, size_t column, struct bit_writer *w,
                           void (*visit)(struct encoder *en, struct bit_writer *w, enum page_field field, uint64_t u))
{
    const struct sample_columns *c = &en->plan.columns[column];
    size_t next = 0;

    if (en->plan.column[column].exceptions == 0)
        return;
    for (size_t i = 0; i < c->n; i++)
        if (form_is_special(c->v[i])) {
            visit(en, w, FIELD_GAP, i - next);
            visit(en, w, FIELD_EXCEPTION, double_bits(c->v[i]) ^ SAMPLE_STALE_BITS);
            next = i + 1;
        }
}

static void count_exception(struct encoder *en, struct bit_writer *w, enum page_field field, uint64_t u)
{
    (void)w;
    code_count(&en->plan.field[field], token_of(u));
}

static void write_exception(struct encoder *en, struct bit_writer *w, enum page_field field, uint64_t u)
{
    code_put_number(w, &en->field[field], u);
}

/* Writes the bodies of one column and of the pattern that it is the first to have. */
static void write_column(struct encoder *en, struct bit_writer *w, size_t column)
{
    struct page_plan *p = &en->plan;
    struct page_plan_column *c = &p->column[column];
    struct page_pattern *pattern = &p->patterns[p->times[c->times].pattern];
    uint8_t *from = w->to;
    uint64_t at = w->n;

    if (pattern->column == column) {
        write_residuals(en, w, &pattern->residuals);
        pattern->bits = bits_written(w, from) - at;
        at += pattern->bits;
    }
    each_exception(en, column, w, write_exception);
    write_residuals(en, w, &c->residuals);
    c->bits = bits_written(w, from) - at;
}

/* --- the head --- */

static void put(struct encoder *en, enum page_field field, uint64_t u)
{
    en->head.numbers[en->head.n].u = u;
    en->head.numbers[en->head.n++].field = (uint8_t)field;
    code_count(&en->plan.field[field], token_of(u));
}

/* `at` of those numbered before `end`. */
static uint64_t reference(size_t at, size_t before, size_t end)
{
    if (at == end)
        return REFER_NEW;
    return at == before ? REFER_SAME : REFER_BACK + (end - 1 - at);
}

/* Which times and patterns have been told so far, and the last ones named. */
struct told {
    size_t times, patterns, last_times, last_pattern;
    uint64_t start;
    struct form form;
    uint64_t bits[PAGE_CODES]; /* of the last body in each code */
    bool chain;                /* that BITS of these columns, which lean on one another, is told */
};

static void head_of_body(struct encoder *en, struct told *told, uint8_t code, uint64_t bits)
{
    put(en, FIELD_BITS, zigzag(bits - told->bits[code]));
    told->bits[code] = bits;
}

static void head_of_pattern(struct encoder *en, struct told *told, size_t pattern)
{
    const struct page_pattern *q = &en->plan.patterns[pattern];
    size_t count = en->plan.columns[q->column].n - 1;

    put(en, FIELD_PATTERN, reference(pattern, told->last_pattern, told->patterns));
    told->last_pattern = pattern;
    if (pattern < told->patterns)
        return;
    told->patterns++;
    put(en, FIELD_COUNT, count);
    if (count == 0)
        return;
    put(en, FIELD_STEP, zigzag(q->step));
    put(en, FIELD_MODE, q->residuals.n ? MODE_BODY : 0);
    if (q->residuals.n) {
        put(en, FIELD_CODE, q->residuals.code);
        head_of_body(en, told, q->residuals.code, q->bits);
    }
}

static void head_of_times(struct encoder *en, struct told *told, size_t times)
{
    const struct page_times *q = &en->plan.times[times];
    uint64_t start = (uint64_t)en->plan.columns[q->column].t[0];

    put(en, FIELD_TIME, reference(times, told->last_times, told->times));
    told->last_times = times;
    if (times < told->times)
        return;
    told->times++;
    put(en, FIELD_START, zigzag(start - told->start));
    told->start = start;
    head_of_pattern(en, told, q->pattern);
}

/* Of the columns that lean on one another from this one on. */
static uint64_t chain_bits(const struct page_plan *p, size_t column)
{
    uint64_t bits = p->column[column].bits;

    while (++column < p->n && p->column[column].depth)
        bits += p->column[column].bits;
    return bits;
}

static void head_of_values(struct encoder *en, struct told *told, size_t column)
{
    const struct page_plan_column *c = &en->plan.column[column];
    bool same_form = form_equal(c->form, told->form);
    uint64_t before = column && same_form ? c[-1].first : 0;
    unsigned mode = c->mode;

    put(en, FIELD_FORM, same_form ? 0 : 1 + (uint64_t)c->form.kind * FORM_SHIFTS + c->form.shift);
    told->form = c->form;
    mode |= c->base ? MODE_TRACK : 0;
    mode |= c->residuals.n ? MODE_BODY : 0;
    mode |= c->exceptions ? MODE_EXCEPTIONS : 0;
    put(en, FIELD_MODE, mode);
    if (c->mode == MODE_RATIO)
        put(en, FIELD_RATIO, zigzag(c->ratio - RATIO_ONE));
    if (c->base) {
        put(en, FIELD_BASE, zigzag((uint64_t)c->base));
        put(en, FIELD_BASE_SHIFT, c->base_shift);
    }
    put(en, FIELD_FIRST, zigzag(c->first - first_expected((enum page_mode)c->mode, c->form, c->ratio, before)));
    if (c->exceptions)
        put(en, FIELD_EXCEPTIONS, c->exceptions);
    if (c->residuals.n)
        put(en, FIELD_CODE, c->residuals.code);
    told->chain = c->depth && told->chain;
    if ((c->residuals.n || c->exceptions) && !told->chain) {
        head_of_body(en, told, c->residuals.code, chain_bits(&en->plan, column));
        told->chain = true;
    }
}

/* Room for what a column may come to; the writer keeps its place in the buffer. */
static bool reserve(struct buf *b, struct bit_writer *w, size_t bytes)
{
    if (w->to)
        b->n = (size_t)(w->to - (uint8_t *)b->p);
    w->to = (uint8_t *)buf_reserve(b, bytes + SLACK);
    return w->to != NULL;
}

static void finish(struct buf *b, struct bit_writer *w)
{
    if (w->n)
        *w->to++ = (uint8_t)w->pending;
    b->n = (size_t)(w->to - (uint8_t *)b->p);
}

static void make_plan(struct encoder *en)
{
    struct page_plan *p = &en->plan;

    for (size_t i = 0; i < p->n; i++) {
        page_plan_times(p, i);
        page_plan_values(p, i);
        each_exception(en, i, NULL, count_exception);
    }
    page_plan_codes(p);
    for (size_t i = 0; i < p->n_codes; i++)
        code_writer_init(&en->value[i], &p->groups[i].counts);
    code_writer_init(&en->field[FIELD_GAP], &p->field[FIELD_GAP]);
    code_writer_init(&en->field[FIELD_EXCEPTION], &p->field[FIELD_EXCEPTION]);
}

static bool write_bodies(struct encoder *en, struct buf *bodies)
{
    struct bit_writer w = { 0 };

    for (size_t i = 0; i < en->plan.n; i++) {
        if (!reserve(bodies, &w, 2 * (en->plan.columns[i].n + en->plan.column[i].exceptions) * NUMBER_BYTES))
            return false;
        write_column(en, &w, i);
    }
    finish(bodies, &w);
    return true;
}

static void make_head(struct encoder *en)
{
    struct told told = { .last_times = SIZE_MAX, .last_pattern = SIZE_MAX };

    for (size_t i = 0; i < en->plan.n; i++) {
        head_of_times(en, &told, en->plan.column[i].times);
        head_of_values(en, &told, i);
    }
}

static bool write_head(struct encoder *en, struct buf *out)
{
    struct bit_writer w = { 0 };

    if (!reserve(out, &w, (FIELDS + en->plan.n_codes) * CODE_TABLE_BYTES + en->head.n * NUMBER_BYTES))
        return false;
    for (size_t i = 0; i < FIELDS; i++) {
        code_writer_init(&en->field[i], &en->plan.field[i]);
        code_put_lengths(&w, &en->field[i].lengths);
    }
    for (size_t i = 0; i < en->plan.n_codes; i++)
        code_put_lengths(&w, &en->value[i].lengths);
    for (size_t i = 0; i < en->head.n; i++)
        code_put_number(&w, &en->field[en->head.numbers[i].field], en->head.numbers[i].u);
    finish(out, &w);
    return true;
}

static void write_header(const struct encoder *en, struct buf *out, size_t start, size_t head)
{
    uint8_t kinds[2] = { PAGE_VERSION, (uint8_t)en->plan.n_codes };
    uint16_t columns = htole16((uint16_t)en->plan.n);
    uint32_t length = htole32((uint32_t)head);
    char *page = out->p + start;
    uint64_t sum;

    memcpy(page + 8, kinds, 2);
    memcpy(page + 10, &columns, 2);
    memcpy(page + 12, &length, 4);
    sum = htole64(str_hash_stable((struct str){ page + 8, out->n - start - 8 }));
    memcpy(page, &sum, 8);
}

static bool write_page(struct encoder *en, struct buf *out, struct buf *bodies)
{
    size_t start = out->n, head;

    make_plan(en);
    if (!write_bodies(en, bodies) || !buf_reserve(out, PAGE_HEADER))
        return false;
    make_head(en);
    out->n += PAGE_HEADER;
    if (!write_head(en, out))
        return false;
    head = out->n - start - PAGE_HEADER;
    buf_str(out, buf_view(bodies));
    if (buf_failed(out))
        return false;
    write_header(en, out, start, head);
    return true;
}

int page_encode(const struct sample_columns *columns, size_t n, struct buf *out, struct err *e)
{
    struct encoder *en = encoder_new(columns, n);
    struct buf bodies = BUF_INIT(SIZE_MAX / 2);
    bool written = en && write_page(en, out, &bodies);

    buf_free(&bodies);
    encoder_free(en);
    return written ? 0 : err_set(e, ERR_NOMEM, "no memory for a page of %zu columns", n);
}
