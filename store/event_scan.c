/* event_scan.c: one condition over the rows of one column.
 *
 * Each loop goes over the selection and keeps what holds, without a branch: row numbers are written always, and the end
 * moves on by what the comparison said. Texts are searched a frame at a time: one search runs through many
 * rows, and which row a find stands in is looked up afterwards. */
#include "store/event_condition-internal.h"
#include "store/event_ids-internal.h"
#include "store/event_select-internal.h"

/* Rows to look at: from[0..n), or, when it is NULL, 0 to n - 1; and where those that stay are written, which may be the
 * same place. */
struct narrowing {
    const uint32_t *from;
    uint32_t *to;
    size_t n;
};

static inline uint32_t row_at(const struct narrowing *r, size_t i)
{
    return r->from ? r->from[i] : (uint32_t)i;
}

static size_t keep_codes8(const uint8_t *codes, const bool *holds, struct narrowing r)
{
    size_t kept = 0;

    for (size_t i = 0; i < r.n; i++) {
        uint32_t row = row_at(&r, i);

        r.to[kept] = row;
        kept += holds[codes[row]];
    }
    return kept;
}

static size_t keep_codes16(const uint16_t *codes, const bool *holds, struct narrowing r)
{
    size_t kept = 0;

    for (size_t i = 0; i < r.n; i++) {
        uint32_t row = row_at(&r, i);

        r.to[kept] = row;
        kept += holds[codes[row]];
    }
    return kept;
}

/* lo <= v <= hi is one comparison of what is left without lo; the interval is not empty (event_prune_summary). */
static size_t keep_ints(const int64_t *v, struct event_interval in, struct narrowing r)
{
    uint64_t lo = (uint64_t)in.lo, length = (uint64_t)in.hi - lo;
    size_t kept = 0;

    for (size_t i = 0; i < r.n; i++) {
        uint32_t row = row_at(&r, i);

        r.to[kept] = row;
        kept += ((uint64_t)v[row] - lo <= length) != in.outside;
    }
    return kept;
}

/* --- ids ---------------------------------------------------------------------------------------------------------- */

static enum event_id id_of(const struct event_view *v)
{
    return v->uuid ? EVENT_ID_UUID : v->width == event_id_width(EVENT_ID_64) ? EVENT_ID_64 : EVENT_ID_128;
}

/* Whether the row of the selection is one of the odd ones, whose bytes say nothing; *at goes on from row to row. */
static const struct event_odd *odd_at(const struct event_view *v, uint32_t row, size_t *at)
{
    while (*at < v->nodd && v->odd[*at].row < row)
        ++*at;
    return *at < v->nodd && v->odd[*at].row == row ? &v->odd[*at] : NULL;
}

/* Widths are 8 and 16. */
static inline bool same_id(const uint8_t *x, const uint8_t *y, size_t width)
{
    return memcmp(x, y, 8) == 0 && (width == 8 || memcmp(x + 8, y + 8, 8) == 0);
}

/* EQ and NE, and what contains or lacks a whole id. `sought` NULL: only texts of another form, or none at all, can be it. */
static size_t keep_ids(const struct event_condition *c, const struct event_view *v, const uint8_t *sought,
                       struct narrowing r)
{
    bool negated = c->op == EVENT_NE || c->op == EVENT_LACKS, unset_holds = event_condition_text(c, STR_NULL);
    const uint8_t none[EVENT_ID_BYTES] = { 0 };
    size_t kept = 0, odd = 0;

    for (size_t i = 0; i < r.n; i++) {
        uint32_t row = row_at(&r, i);
        const uint8_t *id = v->ids + (size_t)row * v->width;
        const struct event_odd *o = v->nodd ? odd_at(v, row, &odd) : NULL;
        bool holds = (sought && same_id(id, sought, v->width)) != negated;

        if (o)
            holds = event_condition_text(c, o->text);
        else if (unset_holds != negated && same_id(id, none, v->width))
            holds = unset_holds;
        r.to[kept] = row;
        kept += holds;
    }
    return kept;
}

/* --- texts -------------------------------------------------------------------------------------------------------- */

/* Row by row, whatever the form. */
static int keep_values(const struct event_condition *c, struct event_view *v, struct narrowing r, size_t *kept,
                       struct err *e)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < r.n; i++) {
        uint32_t row = row_at(&r, i);
        union event_value value;

        rc = event_view_value(v, row, &value, e);
        r.to[*kept] = row;
        *kept += rc == 0 && event_condition_value(c, v->is_text, value);
    }
    return rc;
}

/* The rows of a frame; all of them are in it. */
static size_t keep_in_frame(const struct event_condition *c, const struct event_frame *f, const struct narrowing *r,
                            size_t begin, size_t end, uint32_t *to)
{
    size_t kept = 0;

    for (size_t i = begin; i < end; i++) {
        uint32_t row = row_at(r, i);
        size_t at = row - f->first;

        to[kept] = row;
        kept += event_condition_text(c, (struct str){ f->bytes + f->at[at], f->at[at + 1] - f->at[at] });
    }
    return kept;
}

/* All rows of the frame, by one search through all of it: a find that crosses the end of a text is none. */
static size_t search_frame(const struct event_condition *c, const struct event_frame *f, uint32_t *to)
{
    struct str needle = c->value.s, all = { f->bytes, f->at[f->n] };
    bool lacks = c->op == EVENT_LACKS;
    size_t kept = 0, row = 0, from = 0;

    while (row < f->n) {
        ptrdiff_t found = str_find(str_from(all, from), needle);
        size_t at = found < 0 ? all.n : from + (size_t)found, before = row;

        while (row < f->n && (found < 0 || f->at[row + 1] <= at))
            row++;
        for (; lacks && before < row; before++)
            to[kept++] = (uint32_t)(f->first + before);
        if (row == f->n)
            break;
        from = at + 1;
        if (at + needle.n > f->at[row + 1])
            continue;
        if (!lacks)
            to[kept++] = (uint32_t)(f->first + row);
        from = f->at[++row];
    }
    return kept;
}

static int keep_texts(const struct event_condition *c, struct event_view *v, struct narrowing r, size_t *kept,
                      struct err *e)
{
    bool search = c->op == EVENT_CONTAINS || c->op == EVENT_LACKS;
    size_t i = 0;

    while (i < r.n) {
        struct event_frame f;
        size_t end = i;
        int rc = event_view_frame(v, row_at(&r, i), &f, e);

        if (rc < 0)
            return rc;
        while (end < r.n && row_at(&r, end) < f.first + f.n)
            end++;
        if (search && end - i == f.n)
            *kept += search_frame(c, &f, r.to + *kept);
        else
            *kept += keep_in_frame(c, &f, &r, i, end, r.to + *kept);
        i = end;
    }
    return 0;
}

static bool whole_id_needle(const struct event_condition *c, const struct event_view *v)
{
    return (c->op == EVENT_CONTAINS || c->op == EVENT_LACKS) && c->value.s.n >= event_id_length(id_of(v));
}

static int keep(const struct event_condition *c, const bool *holds, struct event_view *v, struct narrowing r, size_t *kept,
                struct err *e)
{
    uint8_t id[EVENT_ID_BYTES];

    switch (v->form) {
    case EVENT_FORM_DICT:
        *kept = v->codes8 ? keep_codes8(v->codes8, holds, r) : keep_codes16(v->codes16, holds, r);
        return 0;
    case EVENT_FORM_INTS:
        *kept = keep_ints(v->ints, event_condition_interval(c), r);
        return 0;
    case EVENT_FORM_IDS:
        if (c->op != EVENT_EQ && c->op != EVENT_NE && !whole_id_needle(c, v))
            return keep_values(c, v, r, kept, e);
        *kept = keep_ids(c, v, event_id_parse(id_of(v), c->value.s, id) ? id : NULL, r);
        return 0;
    case EVENT_FORM_TEXTS:
        return keep_texts(c, v, r, kept, e);
    case EVENT_FORM_CONST:
        break;
    }
    return keep_values(c, v, r, kept, e);
}

int event_scan_rows(const struct event_condition *c, const bool *holds, struct event_view *v, struct arena *a,
                    struct event_selection *rows, struct err *e)
{
    struct narrowing r = { rows->rows, rows->rows, rows->n };
    size_t kept = 0;
    int rc;

    if (!r.to)
        r.to = arena_alloc(a, r.n * sizeof(*r.to));
    if (!r.to)
        return err_set(e, ERR_NOMEM, "no memory to select events");
    rc = keep(c, holds, v, r, &kept, e);
    *rows = (struct event_selection){ kept, r.to };
    return rc;
}
