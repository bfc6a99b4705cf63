/* event_chunk_read.c: a chunk as a source. Its columns' heads are read when it is opened, their bodies when somebody
 * asks; views point into the chunk's bytes where they can. */
#include "store/event_chunk-internal.h"

#include "store/event_attributes-internal.h"
#include "store/event_chunk_format-internal.h"
#include "store/event_column-internal.h"
#include "store/event_read-internal.h"

#include <endian.h>

struct chunk_column {
    struct event_view view; /* first: a view of ours is a column of ours */
    uint16_t key;
    struct str name; /* of an attribute */
    struct event_summary summary;
    struct bytes body;      /* what is to be read of it: after the head, the values, the rows */
    bool is_open, has_rows;
};

struct chunk {
    struct event_source source; /* first: a source of ours is a chunk */
    size_t ncolumns, nattributes;
    struct chunk_column *columns; /* the times are the first one */
    struct chunk_column *fixed[EVENT_MAX_COLUMNS];
    struct chunk_column *overflow;
    struct event_overflow *others; /* what is in it, once somebody asks */
};

/* --- the header --- */

static int get_header(struct str bytes, struct event_chunk_head *head, uint16_t *columns, struct err *e)
{
    uint32_t sizes[2];
    uint64_t times[2];
    uint8_t kinds[2];

    if (bytes.n < CHUNK_HEADER)
        return err_set(e, ERR_CORRUPT, "chunk: %zu bytes, too short", bytes.n);
    memcpy(kinds, bytes.p + 8, 2);
    memcpy(columns, bytes.p + 10, 2);
    memcpy(sizes, bytes.p + 12, 8);
    memcpy(times, bytes.p + 20, 16);
    *columns = le16toh(*columns);
    *head = (struct event_chunk_head){ kinds[1], le32toh(sizes[0]), (int64_t)le64toh(times[0]),
                                       (int64_t)le64toh(times[1]) };
    if (kinds[0] > CHUNK_VERSION)
        return err_set(e, ERR_UNSUPPORTED, "chunk: version %u, this program knows %d", kinds[0], CHUNK_VERSION);
    if (kinds[0] == 0 || kinds[1] >= EVENT_KINDS)
        return err_set(e, ERR_CORRUPT, "chunk: version %u, table %u unknown", kinds[0], kinds[1]);
    if (le32toh(sizes[1]) != bytes.n)
        return err_set(e, ERR_CORRUPT, "chunk: %zu bytes, should be %u", bytes.n, le32toh(sizes[1]));
    if (head->rows == 0 || head->rows > EVENT_SOURCE_ROWS)
        return err_set(e, ERR_CORRUPT, "chunk: %u rows, should be 1 to %d", head->rows, EVENT_SOURCE_ROWS);
    if (head->first_ns > head->last_ns)
        return err_set(e, ERR_CORRUPT, "chunk: its last time is before its first");
    return 0;
}

int event_chunk_check(struct str bytes, struct event_chunk_head *head, struct err *e)
{
    uint16_t columns;
    uint64_t sum;

    if (bytes.n < CHUNK_HEADER)
        return err_set(e, ERR_CORRUPT, "chunk: %zu bytes, too short", bytes.n);
    memcpy(&sum, bytes.p, sizeof(sum));
    if (le64toh(sum) != str_hash_stable(str_from(bytes, CHUNK_SUMMED)))
        return err_set(e, ERR_CORRUPT, "chunk: checksum wrong");
    return get_header(bytes, head, &columns, e);
}

/* --- heads of columns --- */

static bool get_number(struct bytes *r, int64_t *v)
{
    uint64_t u;

    if (!varint_get(r, &u))
        return false;
    *v = (int64_t)unzigzag(u);
    return true;
}

static bool get_range(struct bytes *r, struct event_summary *s)
{
    uint64_t range;

    if (!get_number(r, &s->min) || !varint_get(r, &range))
        return false;
    s->max = (int64_t)((uint64_t)s->min + range);
    return s->max >= s->min;
}

/* What the body begins with, into the summary. */
static bool get_head(struct chunk_column *c)
{
    struct event_summary *s = &c->summary;
    uint64_t distinct;

    switch (s->form) {
    case EVENT_FORM_CONST:
        s->distinct = 1;
        return s->is_text || (get_number(&c->body, &s->min) && ((s->max = s->min), bytes_left(&c->body) == 0));
    case EVENT_FORM_DICT:
        if (!varint_get(&c->body, &distinct) || distinct == 0 || distinct > EVENT_SOURCE_ROWS)
            return false;
        s->distinct = (uint32_t)distinct;
        return s->is_text || get_range(&c->body, s);
    case EVENT_FORM_INTS:
        return !s->is_text && get_range(&c->body, s);
    case EVENT_FORM_IDS:
    case EVENT_FORM_TEXTS:
        return s->is_text;
    }
    return false;
}

static bool get_column(struct bytes *r, struct chunk *k, struct chunk_column *c)
{
    uint64_t length;
    uint16_t key;
    uint8_t form;

    if (bytes_left(r) < sizeof(key))
        return false;
    memcpy(&key, r->p, sizeof(key));
    r->p += sizeof(key);
    c->key = le16toh(key);
    if (c->key == KEY_ATTRIBUTE) {
        if (!varint_get(r, &length) || length > bytes_left(r))
            return false;
        c->name = (struct str){ (const char *)r->p, (size_t)length };
        r->p += length;
    }
    if (r->p == r->end)
        return false;
    form = *r->p++;
    if (!varint_get(r, &length) || length > bytes_left(r))
        return false;
    c->body = (struct bytes){ r->p, r->p + length };
    r->p += length;
    c->summary = (struct event_summary){ .form = form & FLAG_FORM, .is_text = form & FLAG_TEXT,
                                         .has_unset = form & FLAG_UNSET, .bytes = length };
    c->view = (struct event_view){ .form = c->summary.form, .is_text = c->summary.is_text, .n = k->source.n,
                                   .arena = k->source.arena };
    return get_head(c);
}

/* Fixed columns come in the order of the table, so the next one is mostly the one behind the last. */
static void place_fixed(struct chunk *k, struct chunk_column *c, size_t *next)
{
    const struct event_table *t = &event_tables[k->source.kind];

    for (size_t i = 0; i < t->n; i++) {
        size_t at = (*next + i) % t->n;

        if (chunk_key(&t->columns[at]) == c->key && t->columns[at].is_text == c->summary.is_text) {
            k->fixed[at] = c;
            *next = at + 1;
            return;
        }
    }
}

static bool place_column(struct chunk *k, struct chunk_column *c, size_t i, size_t *next)
{
    if ((i == 0) != (c->key == KEY_TIME))
        return false;
    if (c->key == KEY_TIME)
        return c->summary.form == EVENT_FORM_INTS && c->summary.min == k->source.first_ns &&
               c->summary.max == k->source.last_ns;
    if (c->key == KEY_ATTRIBUTE) {
        k->nattributes++;
        return c->summary.is_text;
    }
    if (c->key == KEY_OVERFLOW) {
        k->overflow = c;
        return c->summary.is_text;
    }
    place_fixed(k, c, next);
    return true;
}

static int get_columns(struct chunk *k, struct bytes r, struct err *e)
{
    size_t next = 0;

    for (size_t i = 0; i < k->ncolumns; i++)
        if (!get_column(&r, k, &k->columns[i]) || !place_column(k, &k->columns[i], i, &next))
            return err_set(e, ERR_CORRUPT, "chunk: column %zu of %zu malformed", i, k->ncolumns);
    if (bytes_left(&r) || k->ncolumns == 0)
        return err_set(e, ERR_CORRUPT, "chunk: %zu bytes behind the columns", bytes_left(&r));
    return 0;
}

/* --- what is asked of a source --- */

static struct chunk_column *find_attribute(struct chunk *k, struct str name)
{
    for (size_t i = 0; k->nattributes && i < k->ncolumns; i++)
        if (k->columns[i].key == KEY_ATTRIBUTE && str_eq(k->columns[i].name, name))
            return &k->columns[i];
    return NULL;
}

static struct chunk_column *find_column(struct chunk *k, struct event_field f)
{
    return f.column >= 0 ? k->fixed[f.column] : find_attribute(k, f.attribute);
}

static const struct event_summary *chunk_summary(struct event_source *s, struct event_field f)
{
    static const struct event_summary perhaps = { .form = EVENT_FORM_TEXTS, .is_text = true, .has_unset = true };
    struct chunk *k = (struct chunk *)s;
    struct chunk_column *c = find_column(k, f);

    if (!c && f.column < 0 && k->overflow)
        return &perhaps;
    return c ? &c->summary : NULL;
}

static int chunk_may_hold(struct event_source *s, struct event_field f, struct str value, bool *may, struct err *e)
{
    (void)value;
    (void)e;
    *may = chunk_summary(s, f) != NULL;
    return 0;
}

static int wrong_body(const struct chunk_column *c, struct err *e)
{
    return err_set(e, ERR_CORRUPT, "chunk: column %u: %s malformed", c->key, c->is_open ? "rows" : "values");
}

static int no_memory(const struct chunk_column *c, struct err *e)
{
    return err_set(e, ERR_NOMEM, "no memory for column %u of a chunk of %zu events", c->key, c->view.n);
}

static int open_const(struct chunk_column *c, struct err *e)
{
    union event_value *v = ARENA_NEW(c->view.arena, union event_value);

    if (!v)
        return no_memory(c, e);
    if (c->summary.is_text)
        v->s = (struct str){ (const char *)c->body.p, bytes_left(&c->body) };
    else
        v->i = c->summary.min;
    c->view.values = v;
    c->view.distinct = 1;
    return 0;
}

/* --- dictionaries --- */

static bool get_code(struct bytes *r, size_t distinct, uint64_t *code)
{
    return varint_get(r, code) && *code < distinct;
}

/* Codes into to8 or to16. */
static bool get_sparse(struct bytes *r, size_t n, size_t distinct, uint8_t *to8, uint16_t *to16)
{
    uint64_t common, others, gap, code, row = 0;

    if (!get_code(r, distinct, &common) || !varint_get(r, &others) || others > n)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (to8)
            to8[i] = (uint8_t)common;
        else
            to16[i] = (uint16_t)common;
    }
    for (size_t i = 0; i < others; i++) {
        if (!varint_get(r, &gap) || gap >= n || (row += gap) >= n || !get_code(r, distinct, &code))
            return false;
        if (to8)
            to8[row] = (uint8_t)code;
        else
            to16[row] = (uint16_t)code;
    }
    return true;
}

static bool get_codes16(struct bytes *r, size_t n, uint16_t *to)
{
    if (bytes_left(r) != 2 * n)
        return false;
    memcpy(to, r->p, 2 * n);
    for (size_t i = 0; i < n; i++)
        to[i] = le16toh(to[i]);
    r->p = r->end;
    return true;
}

/* They are in the view when it is opened, for the counts; chunks are in memory. */
static int get_codes(struct chunk_column *c, uint8_t layout, struct err *e)
{
    struct arena *a = c->view.arena;
    size_t n = c->view.n;
    bool wide = c->view.distinct > 256, good;
    uint16_t *codes16 = NULL;
    uint8_t *codes8 = NULL;

    if (layout == CODES_8) {
        c->view.codes8 = c->body.p;
        return bytes_left(&c->body) == n && !wide ? 0 : wrong_body(c, e);
    }
    if (wide)
        codes16 = arena_alloc(a, n * sizeof(*codes16));
    else
        codes8 = arena_alloc(a, n);
    if (!codes8 && !codes16)
        return no_memory(c, e);
    if (layout == CODES_SPARSE)
        good = get_sparse(&c->body, n, c->view.distinct, codes8, codes16);
    else
        good = layout == CODES_16 && wide && get_codes16(&c->body, n, codes16);
    c->view.codes8 = codes8;
    c->view.codes16 = codes16;
    return good && bytes_left(&c->body) == 0 ? 0 : wrong_body(c, e);
}

static int open_dictionary(struct chunk_column *c, struct err *e)
{
    size_t distinct = c->summary.distinct;
    struct arena *a = c->view.arena;
    union event_value *values;
    uint32_t *counts;
    uint8_t layout;
    int rc;

    if (bytes_left(&c->body) < distinct)
        return wrong_body(c, e);
    values = arena_alloc(a, distinct * sizeof(*values));
    counts = arena_array(a, distinct, sizeof(*counts));
    if (!values || !counts)
        return no_memory(c, e);
    layout = *c->body.p++;
    if (!(c->summary.is_text ? event_get_texts : event_get_numbers)(&c->body, distinct, values))
        return wrong_body(c, e);
    c->view.values = values;
    c->view.counts = counts;
    c->view.distinct = distinct;
    rc = get_codes(c, layout, e);
    if (rc == 0 && !event_codes_below(c->view.codes8, c->view.codes16, c->view.n, distinct))
        rc = wrong_body(c, e);
    if (rc == 0)
        event_count_codes(c->view.codes8, c->view.codes16, c->view.n, counts);
    return rc;
}

static int open_column(struct chunk_column *c, struct err *e)
{
    struct bytes body = c->body;
    int rc = 0;

    if (c->is_open)
        return 0;
    if (c->summary.form == EVENT_FORM_CONST)
        rc = open_const(c, e);
    else if (c->summary.form == EVENT_FORM_DICT)
        rc = open_dictionary(c, e);
    c->is_open = rc == 0;
    if (rc < 0)
        c->body = body;
    return rc;
}

/* --- rows --- */

static int get_ints(struct chunk_column *c, struct err *e)
{
    size_t width = event_int_width((uint64_t)c->summary.max - (uint64_t)c->summary.min);
    int64_t *ints = arena_alloc(c->view.arena, c->view.n * sizeof(*ints));

    if (!ints)
        return no_memory(c, e);
    if (!event_get_ints(&c->body, c->view.n, width, c->summary.min, c->summary.max, ints) || bytes_left(&c->body))
        return wrong_body(c, e);
    c->view.ints = ints;
    return 0;
}

static int get_ids(struct chunk_column *c, struct err *e)
{
    struct event_odd *odd;
    uint64_t nodd;
    uint8_t kind;

    if (c->body.p == c->body.end)
        return wrong_body(c, e);
    kind = *c->body.p++;
    if (kind == EVENT_ID_NONE || kind > EVENT_ID_UUID || !varint_get(&c->body, &nodd) || nodd > c->view.n / 8)
        return wrong_body(c, e);
    c->view.uuid = kind == EVENT_ID_UUID;
    c->view.width = event_id_width(kind);
    c->view.ids = c->body.p;
    odd = arena_array(c->view.arena, (size_t)nodd, sizeof(*odd));
    if (!odd)
        return no_memory(c, e);
    if (bytes_left(&c->body) < c->view.n * c->view.width)
        return wrong_body(c, e);
    c->body.p += c->view.n * c->view.width;
    if (!event_get_odd(&c->body, (size_t)nodd, c->view.n, odd) || bytes_left(&c->body))
        return wrong_body(c, e);
    c->view.odd = odd;
    c->view.nodd = (size_t)nodd;
    return 0;
}

static int get_texts(struct chunk_column *c, struct err *e)
{
    struct arena *a = c->view.arena;
    struct event_frame f = { .n = c->view.n };
    uint32_t *at = arena_alloc(a, (f.n + 1) * sizeof(*at));

    if (!at)
        return no_memory(c, e);
    if (!event_get_frame(c->body, f.n, at, &f.bytes))
        return wrong_body(c, e);
    f.at = at;
    return event_texts_one(a, f, &c->view.texts, e);
}

static int get_rows(struct chunk_column *c, struct err *e)
{
    int rc = open_column(c, e);
    struct bytes body = c->body;

    if (rc < 0 || c->has_rows)
        return rc;
    if (c->summary.form == EVENT_FORM_INTS)
        rc = get_ints(c, e);
    else if (c->summary.form == EVENT_FORM_IDS)
        rc = get_ids(c, e);
    else if (c->summary.form == EVENT_FORM_TEXTS)
        rc = get_texts(c, e);
    c->has_rows = rc == 0;
    if (rc < 0)
        c->body = body;
    return rc;
}

static int chunk_rows(struct event_source *s, struct event_view *v, struct err *e)
{
    (void)s;
    return get_rows((struct chunk_column *)v, e);
}

static int read_overflow(struct chunk *k, struct err *e)
{
    int rc = get_rows(k->overflow, e);

    return rc < 0 || k->others ? rc : event_overflow_read(&k->overflow->view, &k->others, e);
}

/* An attribute that is in the overflow alone is made into a column. */
static int open_overflow(struct chunk *k, struct str name, struct arena *a, struct chunk_column *c,
                         struct event_view **v, struct err *e)
{
    bool there = false;
    int rc = read_overflow(k, e);

    rc = rc == 0 ? event_overflow_open(k->others, name, a, &c->view, &there, e) : rc;
    c->is_open = c->has_rows = true;
    *v = rc == 0 && there ? &c->view : NULL;
    return rc;
}

static int chunk_open_apart(struct event_source *s, struct event_field f, struct arena *a, struct event_view **v,
                            struct err *e)
{
    struct chunk *k = (struct chunk *)s;
    const struct chunk_column *from = find_column(k, f);
    struct chunk_column *c = NULL;
    int rc;

    *v = NULL;
    if (!from && (f.column >= 0 || !k->overflow))
        return 0;
    c = ARENA_NEW(a, struct chunk_column);
    if (!c)
        return err_set(e, ERR_NOMEM, "no memory for a column of a chunk");
    if (!from)
        return open_overflow(k, f.attribute, a, c, v, e);
    *c = *from;
    c->view.arena = a;
    rc = open_column(c, e);
    *v = rc == 0 ? &c->view : NULL;
    return rc;
}

static int chunk_open(struct event_source *s, struct event_field f, struct event_view **v, struct err *e)
{
    struct chunk *k = (struct chunk *)s;
    struct chunk_column *c = find_column(k, f);
    int rc;

    *v = NULL;
    if (!c)
        return chunk_open_apart(s, f, s->arena, v, e);
    rc = open_column(c, e);
    *v = rc == 0 ? &c->view : NULL;
    return rc;
}

static int chunk_times(struct event_source *s, const int64_t **ns, struct err *e)
{
    struct chunk *k = (struct chunk *)s;
    int rc = get_rows(&k->columns[0], e);

    *ns = k->columns[0].view.ints;
    return rc;
}

static int chunk_attributes(struct event_source *s, const struct str **names, size_t *n, struct err *e)
{
    struct chunk *k = (struct chunk *)s;
    const struct str *others = NULL;
    struct str *v;
    size_t nothers = 0, at = 0;
    int rc = k->overflow ? read_overflow(k, e) : 0;

    if (rc < 0)
        return rc;
    if (k->overflow)
        others = event_overflow_names(k->others, &nothers);
    v = arena_array(s->arena, k->nattributes + nothers, sizeof(*v));
    if (!v)
        return err_set(e, ERR_NOMEM, "no memory for names of attributes");
    for (size_t i = 0; k->nattributes && i < k->ncolumns; i++)
        if (k->columns[i].key == KEY_ATTRIBUTE)
            v[at++] = k->columns[i].name;
    for (size_t i = 0; i < nothers; i++)
        v[at++] = others[i];
    *names = v;
    *n = at;
    return 0;
}

static int chunk_overflow(struct event_source *s, size_t *columns, struct event_view **sets, struct err *e)
{
    struct chunk *k = (struct chunk *)s;
    int rc = k->overflow ? get_rows(k->overflow, e) : 0;

    *columns = k->nattributes;
    *sets = k->overflow ? &k->overflow->view : NULL;
    return rc;
}

struct event_source *event_chunk_open(struct str bytes, struct arena *a, struct err *e)
{
    static const struct event_source_ops ops = { chunk_summary, chunk_may_hold,   chunk_open,    chunk_open_apart,
                                                 chunk_rows,    chunk_times,      chunk_attributes, chunk_overflow };
    struct event_chunk_head head = { 0 };
    struct chunk *k = NULL;
    uint16_t columns = 0;

    if (get_header(bytes, &head, &columns, e) < 0)
        return NULL;
    k = ARENA_NEW(a, struct chunk);
    if (k)
        k->columns = arena_array(a, columns, sizeof(*k->columns));
    if (!k || !k->columns) {
        err_set(e, ERR_NOMEM, "no memory for a chunk of %u columns", columns);
        return NULL;
    }
    k->ncolumns = columns;
    k->source = (struct event_source){ &ops, head.kind, head.rows, head.first_ns, head.last_ns, a, NULL };
    return get_columns(k, bytes_of(str_from(bytes, CHUNK_HEADER)), e) == 0 ? &k->source : NULL;
}
