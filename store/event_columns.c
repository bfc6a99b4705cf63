#include "store/event_columns-internal.h"

#include "store/event_select-internal.h"

#include <stdlib.h>

static int by_name(const void *a, const void *b)
{
    const struct str *x = a, *y = b;

    return str_cmp(*x, *y);
}

static int load_attributes(struct event_columns *c, struct event_source *s, struct err *e)
{
    const struct str *names;
    struct str *sorted;
    int rc = s->ops->attributes(s, &names, &c->nattributes, e);

    if (rc < 0)
        return rc;
    sorted = arena_array(s->arena, c->nattributes, sizeof(*sorted));
    c->attributes = arena_array(s->arena, c->nattributes, sizeof(*c->attributes));
    if (!sorted || !c->attributes)
        return err_set(e, ERR_NOMEM, "no memory for the attributes of events");
    if (c->nattributes) {
        memcpy(sorted, names, c->nattributes * sizeof(*sorted));
        qsort(sorted, c->nattributes, sizeof(*sorted), by_name);
    }
    c->names = sorted;
    for (size_t i = 0; rc == 0 && i < c->nattributes; i++)
        rc = event_load(s, (struct event_field){ -1, sorted[i] }, &c->attributes[i], e);
    return rc;
}

int event_columns_load(struct event_columns *c, struct event_source *s, uint64_t wanted, bool attributes, struct err *e)
{
    int rc = 0;

    *c = (struct event_columns){ .wanted = wanted };
    for (int i = 0; rc == 0 && i < (int)event_tables[s->kind].n; i++)
        if (wanted >> i & 1)
            rc = event_load(s, (struct event_field){ .column = i }, &c->columns[i], e);
    return rc == 0 && attributes ? load_attributes(c, s, e) : rc;
}

int event_columns_read(const struct event_columns *c, enum event_kind kind, size_t row,
                       union event_value *const columns[EVENT_MAX_COLUMNS], size_t at, struct err *e)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < event_tables[kind].n; i++) {
        if (!(c->wanted >> i & 1))
            continue;
        if (c->columns[i])
            rc = event_view_value(c->columns[i], row, &columns[i][at], e);
        else
            columns[i][at] = event_unset(kind, &event_tables[kind].columns[i]);
    }
    return rc;
}

int event_columns_attributes(const struct event_columns *c, size_t row, struct arena *a, struct labels *out,
                             struct err *e)
{
    struct label *v = arena_array(a, c->nattributes, sizeof(*v));
    size_t n = 0;
    int rc = v ? 0 : err_set(e, ERR_NOMEM, "no memory for the attributes of events");

    for (size_t i = 0; rc == 0 && i < c->nattributes; i++) {
        if (!c->attributes[i])
            continue;
        v[n].name = c->names[i];
        rc = event_view_text(c->attributes[i], row, &v[n].value, e);
        n += rc == 0 && v[n].value.n > 0;
    }
    *out = (struct labels){ v, n };
    return rc;
}
