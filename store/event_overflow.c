/* event_overflow.c: attributes that have no column of their own, found row by row in packed label sets. */
#include "store/event_attributes-internal.h"

#include "base/strmap.h"
#include "store/event_read-internal.h"
#include "store/pack-internal.h"

static int bad_set(size_t row, struct err *e)
{
    return err_set(e, ERR_CORRUPT, "attributes of row %zu cut short", row);
}

/* The value of one name in a row's set; absent: the empty text. */
static int find_value(struct event_view *sets, size_t row, struct str name, struct str *value, struct err *e)
{
    struct str set;
    struct label l;
    int rc = event_view_text(sets, row, &set, e);

    *value = STR_NULL;
    for (struct bytes r = bytes_of(set); rc == 0 && r.p < r.end;) {
        if (!labels_next(&r, &l))
            return bad_set(row, e);
        if (str_eq(l.name, name))
            *value = l.value;
    }
    return rc;
}

/* Twice over the rows: first how long the texts are together, then the texts. */
static int fill_frame(struct event_view *sets, struct str name, char *bytes, uint32_t *at, struct err *e)
{
    struct str value;
    uint64_t end = 0;

    for (size_t row = 0; row < sets->n; row++) {
        int rc = find_value(sets, row, name, &value, e);

        if (rc < 0)
            return rc;
        if (bytes && value.n)
            memcpy(bytes + end, value.p, value.n);
        end += value.n;
        if (end > UINT32_MAX)
            return err_set(e, ERR_CORRUPT, "attributes of more than 4 GiB");
        at[row + 1] = (uint32_t)end;
    }
    return 0;
}

int event_overflow_open(struct event_view *sets, struct str name, struct event_view *v, bool *there, struct err *e)
{
    struct arena *a = sets->arena;
    uint32_t *at = arena_array(a, sets->n + 1, sizeof(*at));
    char *bytes;
    int rc;

    *there = false;
    if (!at)
        return err_set(e, ERR_NOMEM, "no memory for an attribute");
    rc = fill_frame(sets, name, NULL, at, e);
    if (rc < 0 || at[sets->n] == 0)
        return rc;
    *there = true;
    bytes = arena_alloc(a, at[sets->n]);
    if (!bytes)
        return err_set(e, ERR_NOMEM, "no memory for an attribute of %u bytes", at[sets->n]);
    *v = (struct event_view){ .form = EVENT_FORM_TEXTS, .is_text = true, .n = sets->n, .arena = sets->arena };
    rc = fill_frame(sets, name, bytes, at, e);
    return rc == 0 ? event_texts_one(a, (struct event_frame){ 0, sets->n, bytes, at }, &v->texts, e) : rc;
}

static int add_names(struct str set, struct strmap *known, struct arena *a, struct str **names, size_t *n, size_t *cap)
{
    struct bytes r = bytes_of(set);
    struct label l;

    while (r.p < r.end) {
        if (!labels_next(&r, &l))
            return ERR_CORRUPT;
        if (strmap_get(known, l.name))
            continue;
        if (strmap_put(known, l.name, known, NULL) < 0 || arena_grow(a, names, cap, *n + 1, sizeof(**names)) < 0)
            return ERR_NOMEM;
        (*names)[(*n)++] = l.name;
    }
    return 0;
}

int event_overflow_names(struct event_view *sets, struct str **names, size_t *n, size_t *cap, struct err *e)
{
    struct strmap known = STRMAP_INIT;
    struct str set;
    int rc = 0;

    for (size_t row = 0; rc == 0 && row < sets->n; row++) {
        rc = event_view_text(sets, row, &set, e);
        if (rc < 0)
            break;
        rc = add_names(set, &known, sets->arena, names, n, cap);
        if (rc == ERR_CORRUPT)
            bad_set(row, e);
        else if (rc < 0)
            err_set(e, rc, "no memory for names of attributes");
    }
    strmap_free(&known);
    return rc;
}
