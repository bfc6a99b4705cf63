/* event_strips.c: all rows of a range, source by source, as what a join compares.
 *
 * A join over millions of rows by ids needs neither their texts nor an order of time: both cost more than the join. So
 * a strip is one source's rows; a column of ids comes as hashes of the bytes it has on disk, and a column of few values
 * as a dictionary with codes. A text has the same hash in whatever form a source keeps it: what reads as an id is hashed
 * as its bytes everywhere. */
#include "store/event_combine-internal.h"
#include "store/event_ids-internal.h"
#include "store/event_room-internal.h"

struct event_strips {
    struct store *st;
    struct event_wanted wanted;
    struct event_strips_query q;
    struct event_sources sources;
    struct event_room room;
    struct arena arena; /* of the strip at hand */
    size_t next;
    bool *is_damaged;   /* by source: set aside, and passed over from then on */
};

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, "no memory to read events");
}

/* --- hashes --- */

static uint64_t hash_of_bytes(enum event_id kind, const uint8_t *id)
{
    uint64_t h = str_hash((struct str){ (const char *)id, event_id_width(kind) }) + (uint64_t)kind;

    return h ? h : 1;
}

static uint64_t hash_of_text(struct str s)
{
    enum event_id kind = event_id_of_length(s.n);
    uint8_t id[EVENT_ID_BYTES];
    uint64_t h;

    if (s.n == 0)
        return 0;
    if (kind != EVENT_ID_NONE && event_id_parse(kind, s, id))
        return hash_of_bytes(kind, id);
    h = str_hash(s);
    return h ? h : 1;
}

static void hash_ids(const struct event_view *v, const struct event_selection *rows, uint64_t *out)
{
    enum event_id kind = v->uuid                                   ? EVENT_ID_UUID
                         : v->width == event_id_width(EVENT_ID_64) ? EVENT_ID_64
                                                                   : EVENT_ID_128;
    size_t odd = 0;

    for (size_t i = 0; i < rows->n; i++) {
        uint32_t row = event_selection_row(rows, i);
        const uint8_t *id = v->ids + (size_t)row * v->width;

        while (odd < v->nodd && v->odd[odd].row < row)
            odd++;
        if (odd < v->nodd && v->odd[odd].row == row)
            out[i] = hash_of_text(v->odd[odd].text);
        else
            out[i] = event_id_is_zero(kind, id) ? 0 : hash_of_bytes(kind, id);
    }
}

static int hash_frames(struct event_view *v, const struct event_selection *rows, uint64_t *out, struct err *e)
{
    struct event_frame f = { 0 };

    for (size_t i = 0; i < rows->n; i++) {
        uint32_t row = event_selection_row(rows, i);
        int rc = row >= f.first + f.n ? event_view_frame(v, row, &f, e) : 0;
        size_t at = row - f.first;

        if (rc < 0)
            return rc;
        out[i] = hash_of_text((struct str){ f.bytes + f.at[at], f.at[at + 1] - f.at[at] });
    }
    return 0;
}

static int hash_values(struct event_view *v, const struct event_selection *rows, struct arena *a, uint64_t *out,
                       struct err *e)
{
    size_t n = v->form == EVENT_FORM_CONST ? 1 : v->distinct;
    uint64_t *of = arena_array(a, n, sizeof(*of));

    if (!of)
        return no_memory(e);
    for (size_t i = 0; i < n; i++)
        of[i] = hash_of_text(v->values[i].s);
    for (size_t i = 0; i < rows->n; i++) {
        uint32_t row = event_selection_row(rows, i);

        out[i] = of[v->form == EVENT_FORM_CONST ? 0 : v->codes8 ? v->codes8[row] : v->codes16[row]];
    }
    return 0;
}

static int hash_column(struct event_source *s, int column, const struct event_selection *rows, const uint64_t **out,
                       struct err *e)
{
    uint64_t *hashes = arena_array(s->arena, rows->n, sizeof(*hashes));
    struct event_view *v;
    int rc = hashes ? event_load(s, (struct event_field){ .column = column }, &v, e) : no_memory(e);

    *out = hashes;
    if (rc < 0 || !v)
        return rc;
    if (v->form == EVENT_FORM_IDS)
        hash_ids(v, rows, hashes);
    else if (v->form == EVENT_FORM_TEXTS)
        return hash_frames(v, rows, hashes, e);
    else
        return hash_values(v, rows, s->arena, hashes, e);
    return 0;
}

/* --- codes --- */

static void copy_codes(const struct event_view *v, const struct event_selection *rows, uint32_t *codes)
{
    for (size_t i = 0; i < rows->n; i++) {
        uint32_t row = event_selection_row(rows, i);

        codes[i] = v->codes8 ? v->codes8[row] : v->codes16[row];
    }
}

/* The values of the rows, and the rows' codes into them. */
static int code_rows(struct event_view *v, const struct event_selection *rows, struct arena *a, uint32_t *codes,
                     const union event_value **values, size_t *n, struct err *e)
{
    struct event_numbering distinct;
    int rc;

    *values = v->values;
    *n = v->form == EVENT_FORM_CONST ? 1 : v->distinct;
    if (v->form == EVENT_FORM_CONST)
        return 0;
    if (v->form == EVENT_FORM_DICT) {
        copy_codes(v, rows, codes);
        return 0;
    }
    rc = event_number_rows(v, rows, a, &distinct, codes, e);
    *values = distinct.values;
    *n = distinct.n;
    return rc;
}

static int code_column(struct event_source *s, int column, const struct event_selection *rows, struct event_codes *out,
                       struct err *e)
{
    const union event_value unset = { .s = STR_NULL }, *values = &unset;
    uint32_t *codes = arena_array(s->arena, rows->n, sizeof(*codes));
    struct str *texts;
    struct event_view *v;
    size_t n = 1;
    int rc = codes ? event_load(s, (struct event_field){ .column = column }, &v, e) : no_memory(e);

    if (rc == 0 && v)
        rc = code_rows(v, rows, s->arena, codes, &values, &n, e);
    if (rc < 0)
        return rc;
    texts = arena_array(s->arena, n, sizeof(*texts));
    if (!texts)
        return no_memory(e);
    for (size_t i = 0; i < n; i++)
        texts[i] = values[i].s;
    *out = (struct event_codes){ codes, texts, n };
    return 0;
}

/* --- strips --- */

static int read_strip(const struct event_strips *x, struct event_source *s, struct event_strip *out, struct err *e)
{
    struct event_selection rows;
    int rc = event_select(&x->wanted, s, &rows, e);

    *out = (struct event_strip){ .n = rc < 0 ? 0 : rows.n };
    for (int i = 0; rc == 0 && out->n && i < (int)event_tables[s->kind].n; i++) {
        if (x->q.hashed >> i & 1)
            rc = hash_column(s, i, &rows, &out->hashes[i], e);
        if (rc == 0 && x->q.coded >> i & 1)
            rc = code_column(s, i, &rows, &out->codes[i], e);
    }
    return rc;
}

/* The rows of the source; none when it proved damaged. */
static int open_source(struct event_strips *x, size_t at, struct event_strip *out, struct err *e)
{
    struct event_source *s;
    int rc;

    arena_free(&x->arena);
    x->arena = event_room_arena(&x->room);
    s = event_source_again(x->sources.v[at], &x->arena, e);
    rc = s ? read_strip(x, s, out, e) : e->code;
    if (rc != ERR_CORRUPT)
        return event_room_error(&x->room, rc, e);
    event_source_damaged(x->st, x->sources.v[at], e);
    x->is_damaged[at] = true;
    out->n = 0;
    return 0;
}

int events_strips_next(struct event_strips *x, struct event_strip *out, struct err *e)
{
    struct err mine = ERR_INIT, *why = e ? e : &mine;

    while (x->next < x->sources.n) {
        size_t at = x->next++;
        int rc = x->is_damaged[at] ? 0 : open_source(x, at, out, why);

        if (rc < 0)
            return rc;
        if (!x->is_damaged[at] && out->n)
            return 1;
    }
    return 0;
}

void events_strips_rewind(struct event_strips *x)
{
    x->next = 0;
}

uint64_t events_strips_most(const struct event_strips *x)
{
    uint64_t n = 0;

    for (size_t i = 0; i < x->sources.n; i++)
        n += x->sources.v[i]->n;
    return n;
}

struct event_strips *events_strips_open(struct store *st, const struct event_strips_query *q, struct arena *a,
                                        struct err *e)
{
    const struct event_query range = { .kind = q->kind, .from_ns = q->from_ns, .to_ns = q->to_ns };
    struct event_strips *x = ARENA_NEW(a, struct event_strips);

    if (!x) {
        no_memory(e);
        return NULL;
    }
    x->st = st;
    x->q = *q;
    if (event_wanted_make(&range, a, &x->wanted, e) < 0)
        return NULL;
    if (q->from_ns < q->to_ns && event_sources_hold(st, q->kind, q->from_ns, q->to_ns, 0, a, &x->sources, e) < 0)
        return NULL;
    x->is_damaged = arena_array(a, x->sources.n, sizeof(*x->is_damaged));
    if (!x->is_damaged) {
        no_memory(e);
        events_strips_close(x);
        return NULL;
    }
    event_room_init(&x->room, a);
    x->arena = event_room_arena(&x->room);
    return x;
}

void events_strips_close(struct event_strips *x)
{
    if (!x)
        return;
    arena_free(&x->arena);
    if (x->sources.hold)
        event_sources_release(x->st, &x->sources);
}
