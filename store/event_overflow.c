/* event_overflow.c: attributes that have no column of their own: label sets row by row, turned into values name by
 * name. */
#include "store/event_attributes-internal.h"

#include "base/strmap.h"
#include "store/event_read-internal.h"
#include "store/pack-internal.h"

struct overflow_value {
    uint32_t row;
    struct str value;
};

/* By rising row. */
struct overflow_name {
    size_t n, cap;
    uint64_t bytes;
    struct overflow_value *values;
};

struct event_overflow {
    size_t rows;
    struct strmap map; /* name to struct overflow_name */
    struct str *names;
    size_t n, cap;
};

static void release(void *map)
{
    strmap_free(map);
}

static struct overflow_name *find_name(struct event_overflow *o, struct str name, struct arena *a)
{
    struct overflow_name *known = strmap_get(&o->map, name);

    if (known)
        return known;
    known = ARENA_NEW(a, struct overflow_name);
    if (!known || arena_grow(a, &o->names, &o->cap, o->n + 1, sizeof(*o->names)) < 0 ||
        strmap_put(&o->map, name, known, NULL) < 0)
        return NULL;
    o->names[o->n++] = name;
    return known;
}

static int add_label(struct event_overflow *o, uint32_t row, const struct label *l, struct arena *a, struct err *e)
{
    struct overflow_name *name = find_name(o, l->name, a);

    if (!name || arena_grow(a, &name->values, &name->cap, name->n + 1, sizeof(*name->values)) < 0)
        return err_set(e, ERR_NOMEM, "no memory for attributes");
    if (name->n && name->values[name->n - 1].row == row)
        return err_set(e, ERR_CORRUPT, "attributes of row %u: a name twice", row);
    name->values[name->n++] = (struct overflow_value){ row, l->value };
    name->bytes += l->value.n;
    if (name->bytes > UINT32_MAX)
        return err_set(e, ERR_CORRUPT, "attributes of more than 4 GiB");
    return 0;
}

static int add_row(struct event_overflow *o, struct event_view *sets, uint32_t row, struct err *e)
{
    struct str set;
    struct label l;
    int rc = event_view_text(sets, row, &set, e);

    for (struct bytes r = bytes_of(rc == 0 ? set : STR_NULL); rc == 0 && r.p < r.end;)
        rc = labels_next(&r, &l) ? add_label(o, row, &l, sets->arena, e)
                                 : err_set(e, ERR_CORRUPT, "attributes of row %u cut short", row);
    return rc;
}

int event_overflow_read(struct event_view *sets, struct event_overflow **out, struct err *e)
{
    struct event_overflow *o = ARENA_NEW(sets->arena, struct event_overflow);
    int rc = 0;

    if (!o || arena_on_free(sets->arena, release, &o->map) < 0)
        return err_set(e, ERR_NOMEM, "no memory for attributes");
    o->rows = sets->n;
    for (uint32_t row = 0; rc == 0 && row < sets->n; row++)
        rc = add_row(o, sets, row, e);
    if (rc == 0)
        *out = o;
    return rc;
}

const struct str *event_overflow_names(const struct event_overflow *o, size_t *n)
{
    *n = o->n;
    return o->names;
}

static void fill_frame(const struct overflow_name *name, size_t rows, char *bytes, uint32_t *at)
{
    size_t next = 0;
    uint32_t end = 0;

    for (size_t row = 0; row < rows; row++) {
        at[row] = end;
        if (next < name->n && name->values[next].row == row) {
            const struct str value = name->values[next++].value;

            if (value.n)
                memcpy(bytes + end, value.p, value.n);
            end += (uint32_t)value.n;
        }
    }
    at[rows] = end;
}

int event_overflow_open(const struct event_overflow *o, struct str name, struct arena *a, struct event_view *v,
                        bool *there, struct err *e)
{
    const struct overflow_name *known = strmap_get(&o->map, name);
    uint32_t *at;
    char *bytes;

    *there = known != NULL;
    if (!known)
        return 0;
    at = arena_alloc(a, (o->rows + 1) * sizeof(*at));
    bytes = arena_alloc(a, (size_t)known->bytes);
    if (!at || !bytes)
        return err_set(e, ERR_NOMEM, "no memory for an attribute of %zu events", o->rows);
    fill_frame(known, o->rows, bytes, at);
    *v = (struct event_view){ .form = EVENT_FORM_TEXTS, .is_text = true, .n = o->rows, .arena = a };
    return event_texts_one(a, (struct event_frame){ 0, o->rows, bytes, at }, &v->texts, e);
}
