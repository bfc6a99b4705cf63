/* page.c: a page's bytes, and reading its head.
 *
 *      0  u64  checksum (XXH3) of all that follows
 *      8  u8   version, 1
 *      9  u8   codes for residuals: at most PAGE_CODES
 *     10  u16  columns
 *     12  u32  length of the head in bytes
 *     16       the head, as bits: the codes of the FIELDS fields, the codes for residuals, then the fields of each column
 *              the bodies, as bits: for each column what its times and then its values need
 *
 * Integers are little-endian, bits are filled from the lowest. A code is told by its symbols' lengths (page_code.c). A
 * number is a token, in a code, and the raw bits that its token wants (page_bits-internal.h). The fields of a column, each
 * in its own code:
 *
 *      TIME                    the column's times: the same as before, new, or older ones
 *        START PATTERN         when new: the first, and the differences: the same as before, new, or older ones
 *          COUNT STEP MODE     when new: how many; their base; whether there is a body (then CODE BITS)
 *      FORM MODE               how values are integers; how integers follow from residuals, and which of these are there:
 *      [RATIO] [BASE BASE_SHIFT] FIRST [EXCEPTIONS] [CODE] [BITS]
 *
 * A body is exceptions (GAP, EXCEPTION for each), then residuals, one for each sample but the first (in MODE_LEVEL for
 * each), all in the code that CODE names. Without CODE all residuals are 0. A column that leans on the one before is read
 * behind it anyway, so BITS, the length, is told once for all bodies from one on to the last that leans on it.
 *
 * Why so      What a scrape of a mesh brings is nearly all in four kinds: constants, integers that grow, sums and gauges
 *             whose low bits are noise, and histograms, where a bucket tells most of the next. Once these are taken apart
 *             (page_predict.c), what is left has no order that a match finder could find, only a distribution: so each
 *             class of columns has a prefix code of its own, and noise stands raw.
 * Left out    Arithmetic codes: prefix codes with runs and pairs come to within a hundredth of the entropy, and need
 *             one look into a table for a number, or for several. */
#include "store/page_reader-internal.h"
#include "store/varint-internal.h"

#include "base/mem.h"

enum { SLACK = 16 };

/* The tables are not cleared: a code is made before it is used, and they are most of the memory. */
struct page_reader *page_reader_new(void)
{
    struct page_reader *r = mem_alloc(sizeof(*r));

    if (r)
        memset(r, 0, offsetof(struct page_reader, field));
    return r;
}

void page_reader_free(struct page_reader *r)
{
    if (!r)
        return;
    mem_free(r->bytes);
    mem_free(r->columns);
    mem_free(r->times);
    mem_free(r->patterns);
    mem_free(r->t);
    mem_free(r->v);
    mem_free(r->d);
    mem_free(r);
}

/* The head as it is read. `what` names the first thing that is wrong. */
struct head {
    struct page_reader *r;
    struct bit_reader bits;
    size_t column;
    uint64_t body; /* where the next body begins */
    uint64_t bodies_end;
    uint64_t start; /* of the times before */
    size_t last_times, last_pattern;
    struct form form;
    uint64_t last_bits[PAGE_CODES]; /* of the last body in each code */
    bool chain;                     /* BITS of the columns that lean on one another has been read */
    const char *what;
};

static uint64_t field(struct head *h, enum page_field f)
{
    return code_get_number(&h->bits, &h->r->field[f]);
}

static bool wrong(struct head *h, const char *what)
{
    h->what = what;
    return false;
}

/* Of n that there are: a number below n, or n: a new one. */
static bool refer(uint64_t u, size_t last, size_t n, size_t *to)
{
    if (u == REFER_NEW) {
        *to = n;
        return n < PAGE_COLUMNS;
    }
    if (u == REFER_SAME)
        *to = last;
    else if (u - REFER_BACK < n)
        *to = n - 1 - (size_t)(u - REFER_BACK);
    else
        return false;
    return n > 0;
}

/* Where a body stands, unless it stands behind that of the column before: that is known when that one is read. */
static bool read_body(struct head *h, bool residuals, bool exceptions, struct page_body *body)
{
    uint64_t code = residuals ? field(h, FIELD_CODE) : 0, n = 0;

    if (residuals && code >= h->r->n_codes)
        return wrong(h, "CODE: no such code");
    if ((residuals || exceptions) && !h->chain) {
        h->last_bits[code] = n = h->last_bits[code] + unzigzag(field(h, FIELD_BITS));
        h->chain = true;
    }
    if (n > h->bodies_end - h->body)
        return wrong(h, "BITS: longer than the page");
    h->body += n;
    *body = (struct page_body){ h->body - n, h->body, (uint8_t)code, residuals };
    return true;
}

static bool read_pattern(struct head *h, size_t *to)
{
    struct page_reader *r = h->r;
    struct page_reader_pattern *p;
    uint64_t mode, count;

    if (!refer(field(h, FIELD_PATTERN), h->last_pattern, r->n_patterns, to))
        return wrong(h, "PATTERN: no such pattern");
    h->last_pattern = *to;
    if (*to < r->n_patterns)
        return true;
    count = field(h, FIELD_COUNT);
    if (count >= PAGE_SAMPLES)
        return wrong(h, "COUNT: more samples than a page has");
    p = &r->patterns[r->n_patterns++];
    *p = (struct page_reader_pattern){ .n = (uint32_t)count + 1 };
    if (count == 0)
        return true;
    p->step = unzigzag(field(h, FIELD_STEP));
    mode = field(h, FIELD_MODE);
    if (mode != 0 && mode != MODE_BODY)
        return wrong(h, "MODE: none that times have");
    h->chain = false;
    return read_body(h, mode & MODE_BODY, false, &p->body);
}

static bool read_times(struct head *h, size_t *to)
{
    struct page_reader *r = h->r;
    size_t pattern;

    if (!refer(field(h, FIELD_TIME), h->last_times, r->n_times, to))
        return wrong(h, "TIME: no such times");
    h->last_times = *to;
    if (*to < r->n_times)
        return true;
    h->start += unzigzag(field(h, FIELD_START));
    if (!read_pattern(h, &pattern))
        return false;
    r->times[r->n_times++] = (struct page_reader_times){ .start = h->start, .pattern = (uint16_t)pattern };
    return true;
}

static bool read_form(struct head *h, struct form *form)
{
    uint64_t u = field(h, FIELD_FORM);

    if (u) {
        if (u > (uint64_t)FORM_KINDS * FORM_SHIFTS ||
            !form_valid((unsigned)(u - 1) / FORM_SHIFTS, (unsigned)(u - 1) % FORM_SHIFTS))
            return wrong(h, "FORM: kind or shift unknown");
        h->form = (struct form){ (uint8_t)((u - 1) / FORM_SHIFTS), (uint8_t)((u - 1) % FORM_SHIFTS) };
    }
    *form = h->form;
    return true;
}

/* What a column that leans on the one before must have in common with it. */
static bool check_lean(struct head *h, struct page_reader_column *c)
{
    if (c->mode != MODE_PREV && c->mode != MODE_RATIO)
        return true;
    if (h->column == 0 || c[-1].times != c->times || !form_equal(c[-1].form, c->form))
        return wrong(h, "MODE: leans on a column unlike it");
    c->depth = (uint8_t)(c[-1].depth + 1);
    return c->depth < PAGE_CHAIN || wrong(h, "MODE: leans on too many columns in a row");
}

static bool read_base(struct head *h, struct page_reader_column *c)
{
    uint64_t base = unzigzag(field(h, FIELD_BASE)), shift = field(h, FIELD_BASE_SHIFT);

    c->base = base << (shift & 63);
    return shift < 64 || wrong(h, "BASE_SHIFT: 64 or more");
}

static bool read_values(struct head *h, struct page_reader_column *c)
{
    uint64_t mode, before, n;

    if (!read_form(h, &c->form))
        return false;
    mode = field(h, FIELD_MODE);
    c->mode = mode & MODE_MASK;
    if (mode >= MODE_END || (mode & MODE_TRACK && c->mode != MODE_DELTA))
        return wrong(h, "MODE: unknown");
    if (!check_lean(h, c))
        return false;
    if (c->mode == MODE_RATIO)
        c->ratio = RATIO_ONE + unzigzag(field(h, FIELD_RATIO));
    if (mode & MODE_TRACK && !read_base(h, c))
        return false;
    before = h->column && form_equal(c->form, c[-1].form) ? c[-1].first : 0;
    c->first = unzigzag(field(h, FIELD_FIRST)) + first_expected((enum page_mode)c->mode, c->form, c->ratio, before);
    n = mode & MODE_EXCEPTIONS ? field(h, FIELD_EXCEPTIONS) : 0;
    if (n > h->r->patterns[h->r->times[c->times].pattern].n)
        return wrong(h, "EXCEPTIONS: more than samples");
    c->exceptions = (uint32_t)n;
    h->chain = c->depth && h->chain;
    return read_body(h, mode & MODE_BODY, n > 0, &c->body);
}

static bool read_column(struct head *h)
{
    struct page_reader *r = h->r;
    struct page_reader_column *c = &r->columns[h->column];
    size_t times, n;

    if (!read_times(h, &times))
        return false;
    n = r->patterns[r->times[times].pattern].n;
    if (n > PAGE_SAMPLES - r->samples)
        return wrong(h, "COUNT: more samples than a page has");
    *c = (struct page_reader_column){ .at = (uint32_t)r->samples, .times = (uint16_t)times };
    r->samples += n;
    if (!read_values(h, c))
        return false;
    return h->bits.at <= h->bits.end || wrong(h, "cut short");
}

static int read_codes(struct head *h, struct err *e)
{
    struct page_reader *r = h->r;
    struct code_lengths lengths;

    for (size_t i = 0; i < FIELDS; i++) {
        if (!code_get_lengths(&h->bits, &lengths) || lengths.end > TOKENS)
            return err_set(e, ERR_CORRUPT, "page: code of field %zu of %d is no prefix code", i, FIELDS);
        code_reader_init(&r->field[i], &lengths);
    }
    for (size_t i = 0; i < r->n_codes; i++) {
        if (!code_get_lengths(&h->bits, &r->lengths[i]))
            return err_set(e, ERR_CORRUPT, "page: code %zu of %zu is no prefix code", i, r->n_codes);
        r->made[i] = false;
    }
    return 0;
}

static int read_head(struct head *h, struct err *e)
{
    struct page_reader *r = h->r;
    int rc = read_codes(h, e);

    for (; rc == 0 && h->column < r->n_columns; h->column++)
        if (!read_column(h))
            rc = err_set(e, ERR_CORRUPT, "page: column %zu of %zu: %s", h->column, r->n_columns, h->what);
    if (rc == 0 && (h->bits.end - h->bits.at >= 8 || h->bodies_end - h->body >= 8))
        rc = err_set(e, ERR_CORRUPT, "page: bytes behind the last column");
    return rc;
}

/* Room for the columns now; for what they hold when its size is known. */
static int make_room(struct page_reader *r, struct str bytes, size_t columns)
{
    if (mem_grow(&r->bytes, &r->bytes_cap, bytes.n + SLACK, 1) < 0 ||
        mem_grow(&r->columns, &r->columns_cap, columns, sizeof(*r->columns)) < 0 ||
        mem_grow(&r->times, &r->times_cap, columns, sizeof(*r->times)) < 0 ||
        mem_grow(&r->patterns, &r->patterns_cap, columns, sizeof(*r->patterns)) < 0)
        return ERR_NOMEM;
    memcpy(r->bytes, bytes.p, bytes.n);
    memset(r->bytes + bytes.n, 0, SLACK);
    return 0;
}

static int make_sample_room(struct page_reader *r)
{
    if (mem_grow(&r->t, &r->t_cap, r->samples, sizeof(*r->t)) < 0 ||
        mem_grow(&r->v, &r->v_cap, r->samples, sizeof(*r->v)) < 0 ||
        mem_grow(&r->d, &r->d_cap, r->samples, sizeof(*r->d)) < 0)
        return ERR_NOMEM;
    return 0;
}

static int check_header(struct str bytes, uint8_t kinds[2], uint16_t *columns, uint32_t *head, struct err *e)
{
    uint64_t sum;

    if (bytes.n < PAGE_HEADER)
        return err_set(e, ERR_CORRUPT, "page: %zu bytes, too short", bytes.n);
    memcpy(&sum, bytes.p, 8);
    memcpy(kinds, bytes.p + 8, 2);
    memcpy(columns, bytes.p + 10, 2);
    memcpy(head, bytes.p + 12, 4);
    *columns = le16toh(*columns);
    *head = le32toh(*head);
    if (le64toh(sum) != str_hash_stable(str_from(bytes, 8)))
        return err_set(e, ERR_CORRUPT, "page: checksum wrong");
    if (kinds[0] != PAGE_VERSION)
        return err_set(e, ERR_CORRUPT, "page: version %u, should be %d", kinds[0], PAGE_VERSION);
    if (kinds[1] > PAGE_CODES)
        return err_set(e, ERR_CORRUPT, "page: %u codes, at most %d", kinds[1], PAGE_CODES);
    if (*columns < 1 || *columns > PAGE_COLUMNS)
        return err_set(e, ERR_CORRUPT, "page: %u columns, should be 1 to %d", *columns, PAGE_COLUMNS);
    if (*head > bytes.n - PAGE_HEADER)
        return err_set(e, ERR_CORRUPT, "page: head of %u bytes, %zu are there", *head, bytes.n - PAGE_HEADER);
    return 0;
}

int page_open(struct page_reader *r, struct str bytes, size_t *n, struct err *e)
{
    struct head h = { .r = r };
    uint64_t body;
    uint8_t kinds[2] = { 0 };
    uint16_t columns = 0;
    uint32_t head = 0;
    int rc;

    *n = r->n_columns = r->n_times = r->n_patterns = r->samples = r->times_used = 0;
    rc = check_header(bytes, kinds, &columns, &head, e);
    if (rc < 0)
        return rc;
    if (make_room(r, bytes, columns) < 0)
        return err_set(e, ERR_NOMEM, "page: no memory for %u columns", columns);
    r->n_codes = kinds[1];
    r->n_columns = columns;
    body = PAGE_HEADER + head;
    h.bits = (struct bit_reader){ r->bytes, (uint64_t)PAGE_HEADER * 8, body * 8 };
    h.body = body * 8;
    h.bodies_end = bytes.n * 8;
    rc = read_head(&h, e);
    if (rc == 0 && make_sample_room(r) < 0)
        rc = err_set(e, ERR_NOMEM, "page: no memory for %zu samples", r->samples);
    if (rc == 0)
        *n = columns;
    else
        r->n_columns = 0;
    return rc;
}
