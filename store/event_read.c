#include "store/event_read-internal.h"

#include <endian.h>

bool event_get_texts(struct bytes *r, size_t n, union event_value *values)
{
    uint64_t length;

    for (size_t i = 0; i < n; i++) {
        if (!varint_get(r, &length))
            return false;
        values[i].s.n = (size_t)length;
    }
    for (size_t i = 0; i < n; i++) {
        if (values[i].s.n > bytes_left(r))
            return false;
        values[i].s.p = (const char *)r->p;
        r->p += values[i].s.n;
    }
    return true;
}

bool event_get_numbers(struct bytes *r, size_t n, union event_value *values)
{
    uint64_t u, v = 0;

    for (size_t i = 0; i < n; i++) {
        if (!varint_get(r, &u))
            return false;
        v += unzigzag(u);
        values[i].i = (int64_t)v;
    }
    return true;
}

bool event_get_odd(struct bytes *r, size_t n, size_t rows, struct event_odd *odd)
{
    uint64_t gap, length, row = 0;

    for (size_t i = 0; i < n; i++) {
        if (!varint_get(r, &gap) || gap >= rows || (i && gap == 0) || (row += gap) >= rows)
            return false;
        if (!varint_get(r, &length) || length > bytes_left(r))
            return false;
        odd[i] = (struct event_odd){ (uint32_t)row, { (const char *)r->p, (size_t)length } };
        r->p += length;
    }
    return true;
}

static uint64_t get_word(const uint8_t *p, size_t n)
{
    uint64_t word = 0;

    memcpy(&word, p, n);
    return le64toh(word);
}

bool event_get_ints(struct bytes *r, size_t n, size_t width, int64_t min, int64_t max, int64_t *ints)
{
    uint64_t mask = width ? UINT64_MAX >> (64 - 8 * width) : 0, most = 0;
    const uint8_t *p = r->p;
    size_t whole = 0; /* of them eight bytes may be read */

    if (width > 8 || bytes_left(r) < n * width)
        return false;
    if (bytes_left(r) >= 8 && width)
        whole = (bytes_left(r) - 8) / width + 1;
    whole = whole > n ? n : whole;
    for (size_t i = 0; i < n; i++) {
        uint64_t more = i < whole ? get_word(p + i * width, 8) & mask : get_word(p + i * width, width);

        most = more > most ? more : most;
        ints[i] = (int64_t)((uint64_t)min + more);
    }
    r->p += n * width;
    return most <= (uint64_t)max - (uint64_t)min;
}

bool event_codes_below(const uint8_t *codes8, const uint16_t *codes16, size_t n, size_t distinct)
{
    uint32_t most = 0;

    for (size_t i = 0; codes8 && i < n; i++)
        most = codes8[i] > most ? codes8[i] : most;
    for (size_t i = 0; codes16 && i < n; i++)
        most = codes16[i] > most ? codes16[i] : most;
    return n == 0 || most < distinct;
}

void event_count_codes(const uint8_t *codes8, const uint16_t *codes16, size_t n, uint32_t *counts)
{
    for (size_t i = 0; i < n; i++)
        counts[codes8 ? codes8[i] : codes16[i]]++;
}

/* --- texts --- */

int event_texts_one(struct arena *a, struct event_frame frame, struct event_texts **out, struct err *e)
{
    struct event_texts *t = ARENA_NEW(a, struct event_texts);
    struct event_frame *f = ARENA_NEW(a, struct event_frame);
    uint32_t *first = arena_array(a, 2, sizeof(*first));

    if (!t || !f || !first)
        return err_set(e, ERR_NOMEM, "no memory for the texts of %zu events", frame.n);
    *f = frame;
    first[1] = (uint32_t)frame.n;
    *t = (struct event_texts){ .frames = f, .first = first, .nframes = 1 };
    *out = t;
    return 0;
}

bool event_get_frame(struct bytes r, size_t n, uint32_t *at, const char **bytes)
{
    uint64_t length, end = 0;

    at[0] = 0;
    for (size_t i = 0; i < n; i++) {
        if (!varint_get(&r, &length) || length > UINT32_MAX || (end += length) > UINT32_MAX)
            return false;
        at[i + 1] = (uint32_t)end;
    }
    *bytes = (const char *)r.p;
    return end == bytes_left(&r);
}

static size_t find_frame(struct event_texts *t, size_t row)
{
    size_t low = 0, high = t->nframes;

    if (row >= t->first[t->at] && row < t->first[t->at + 1])
        return t->at;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;

        if (row < t->first[middle])
            high = middle;
        else
            low = middle;
    }
    return t->at = low;
}

/* Frames that are there are not loaded again. */
static bool is_there(const struct event_texts *t, size_t frame)
{
    return t->frames[frame].bytes || !t->load;
}

int event_view_frame(struct event_view *v, size_t row, struct event_frame *f, struct err *e)
{
    struct event_texts *t = v->texts;
    size_t i = find_frame(t, row);
    int rc = 0;

    if (is_there(t, i)) {
        *f = t->frames[i];
        return 0;
    }
    if (t->scanned != i + 1) {
        t->scanned = 0;
        rc = t->load(t, i, false, &t->scan, e);
        t->scanned = rc == 0 ? i + 1 : 0;
    }
    *f = t->scan;
    return rc;
}

static struct str text_in(const struct event_frame *f, size_t row)
{
    size_t i = row - f->first;

    return (struct str){ f->bytes + f->at[i], f->at[i + 1] - f->at[i] };
}

static int frame_text(struct event_view *v, size_t row, struct str *text, struct err *e)
{
    struct event_texts *t = v->texts;
    size_t i = find_frame(t, row);
    int rc = 0;

    if (!is_there(t, i) && t->scanned == i + 1) { /* a scan has found it: its text alone is to stay */
        *text = arena_str(v->arena, text_in(&t->scan, row));
        return text->p ? 0 : err_set(e, ERR_NOMEM, "no memory for a text");
    }
    if (!is_there(t, i))
        rc = t->load(t, i, true, &t->frames[i], e);
    if (rc == 0)
        *text = text_in(&t->frames[i], row);
    else
        t->frames[i].bytes = NULL;
    return rc;
}

/* --- one value --- */

static size_t code_at(const struct event_view *v, size_t row)
{
    return v->codes8 ? v->codes8[row] : v->codes16[row];
}

static const struct event_odd *find_odd(const struct event_view *v, size_t row)
{
    size_t low = 0, high = v->nodd;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (v->odd[middle].row < row)
            low = middle + 1;
        else
            high = middle;
    }
    return low < v->nodd && v->odd[low].row == row ? &v->odd[low] : NULL;
}

static int id_text(struct event_view *v, size_t row, struct str *text, struct err *e)
{
    enum event_id kind = event_view_id(v);
    const uint8_t *id = v->ids + row * v->width;
    const struct event_odd *odd;
    char *to;

    if (event_id_is_zero(kind, id)) {
        odd = find_odd(v, row);
        *text = odd ? odd->text : STR_NULL;
        return 0;
    }
    to = arena_alloc(v->arena, event_id_length(kind));
    if (!to)
        return err_set(e, ERR_NOMEM, "no memory to print an id");
    event_id_print(kind, id, to);
    *text = (struct str){ to, event_id_length(kind) };
    return 0;
}

int event_view_value(struct event_view *v, size_t row, union event_value *value, struct err *e)
{
    switch (v->form) {
    case EVENT_FORM_CONST:
        *value = v->values[0];
        return 0;
    case EVENT_FORM_DICT:
        *value = v->values[code_at(v, row)];
        return 0;
    case EVENT_FORM_INTS:
        value->i = v->ints[row];
        return 0;
    case EVENT_FORM_IDS:
        return id_text(v, row, &value->s, e);
    case EVENT_FORM_TEXTS:
        break;
    }
    return frame_text(v, row, &value->s, e);
}

int event_view_text(struct event_view *v, size_t row, struct str *text, struct err *e)
{
    union event_value value = { .s = STR_NULL };
    int rc = event_view_value(v, row, &value, e);

    *text = value.s;
    return rc;
}
