/* event_gather.c: rows of several sources as one. */
#include "store/event_gather-internal.h"

#include "base/strmap.h"
#include "store/event_attributes-internal.h"
#include "store/pack-internal.h"

#include <stdlib.h>

int event_gather_init(struct event_gather *g, struct err *e)
{
    g->loaded = (struct arena)ARENA_INIT(0);
    g->sets = (struct buf)BUF_INIT(UINT32_MAX);
    return event_coder_init(&g->coder, g->n, e);
}

void event_gather_fini(struct event_gather *g)
{
    arena_free(&g->loaded);
    buf_free(&g->sets);
    event_coder_fini(&g->coder);
}

static int no_memory(const struct event_gather *g, struct err *e)
{
    return err_set(e, ERR_NOMEM, "no memory for a column of %zu events", g->n);
}

int event_gather_times(struct event_gather *g, int64_t *ns, struct err *e)
{
    const int64_t **times;
    int rc = 0;

    arena_free(&g->loaded);
    times = arena_array(&g->loaded, g->nsources, sizeof(*times));
    if (!times)
        return no_memory(g, e);
    for (size_t i = 0; rc == 0 && i < g->nsources; i++)
        rc = g->sources[i]->ops->times(g->sources[i], &times[i], e);
    for (size_t i = 0; rc == 0 && i < g->n; i++)
        ns[i] = times[g->from[i]][g->rows[i]];
    return rc;
}

static int open_views(struct event_gather *g, struct event_field f, struct event_view **views, struct err *e)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < g->nsources; i++) {
        struct event_source *s = g->sources[i];

        rc = s->ops->open_apart(s, f, &g->loaded, &views[i], e);
        if (rc == 0 && views[i])
            rc = s->ops->rows(s, views[i], e);
    }
    return rc;
}

static union event_value unset_of(const struct event_gather *g, struct event_field f, bool *is_text)
{
    static const struct event_column attribute = { .is_text = true };
    const struct event_column *c = f.column < 0 ? &attribute : &event_tables[g->kind].columns[f.column];

    *is_text = c->is_text;
    return event_unset(g->kind, c);
}

int event_gather_column(struct event_gather *g, struct event_field f, struct event_coded *out, struct err *e)
{
    struct event_view **views;
    union event_value *values, unset;
    bool is_text;
    int rc;

    arena_free(&g->loaded);
    unset = unset_of(g, f, &is_text);
    views = arena_array(&g->loaded, g->nsources, sizeof(*views));
    values = arena_alloc(&g->loaded, g->n * sizeof(*values));
    if (!views || !values)
        return no_memory(g, e);
    rc = open_views(g, f, views, e);
    for (size_t i = 0; rc == 0 && i < g->n; i++) {
        values[i] = unset;
        if (views[g->from[i]])
            rc = event_view_value(views[g->from[i]], g->rows[i], &values[i], e);
    }
    if (rc == 0)
        event_code(&g->coder, values, g->n, is_text, unset, out);
    return rc;
}

/* --- attributes --- */

struct counted {
    struct str name;
    size_t sources, place;
};

static int count_names(struct event_source *s, struct strmap *map, struct arena *a, struct counted ***v, size_t *n,
                       size_t *cap, struct err *e)
{
    struct event_view *sets;
    const struct str *names;
    size_t nnames, columns;
    int rc = s->ops->overflow(s, &columns, &sets, e);

    rc = rc == 0 && columns ? s->ops->attributes(s, &names, &nnames, e) : rc;
    for (size_t i = 0; rc == 0 && i < columns; i++) {
        struct counted *c = strmap_get(map, names[i]);

        if (!c) {
            c = ARENA_NEW(a, struct counted);
            if (!c || arena_grow(a, v, cap, *n + 1, sizeof(**v)) < 0 || strmap_put(map, names[i], c, NULL) < 0)
                return err_set(e, ERR_NOMEM, "no memory for names of attributes");
            *c = (struct counted){ names[i], 0, *n };
            (*v)[(*n)++] = c;
        }
        c->sources++;
    }
    return rc;
}

static int by_sources(const void *a, const void *b)
{
    const struct counted *x = *(struct counted *const *)a, *y = *(struct counted *const *)b;

    if (x->sources != y->sources)
        return x->sources > y->sources ? -1 : 1;
    return x->place < y->place ? -1 : 1;
}

int event_gather_attributes(struct event_gather *g, struct arena *a, struct str **names, size_t *n, struct err *e)
{
    struct strmap map = STRMAP_INIT;
    struct counted **v = NULL;
    size_t cap = 0;
    int rc = 0;

    *n = 0;
    for (size_t i = 0; rc == 0 && i < g->nsources; i++)
        rc = count_names(g->sources[i], &map, a, &v, n, &cap, e);
    strmap_free(&map);
    if (rc < 0)
        return rc;
    *names = arena_array(a, *n, sizeof(**names));
    if (!*names)
        return no_memory(g, e);
    if (*n)
        qsort(v, *n, sizeof(*v), by_sources);
    *n = *n < EVENT_ATTRIBUTE_COLUMNS ? *n : EVENT_ATTRIBUTE_COLUMNS;
    for (size_t i = 0; i < *n; i++)
        (*names)[i] = v[i]->name;
    return 0;
}

/* --- what is left --- */

/* Of one source: columns of attributes whose names have no column in the result, and its own label sets. */
struct rest {
    struct str *names;
    struct event_view **views;
    size_t n;
    struct event_view *sets;
};

static int open_rest(struct event_source *s, const struct strmap *chosen, struct arena *a, struct rest *rest, struct err *e)
{
    const struct str *names;
    size_t n, columns;
    int rc = s->ops->overflow(s, &columns, &rest->sets, e);

    rc = rc == 0 ? s->ops->attributes(s, &names, &n, e) : rc;
    if (rc < 0)
        return rc;
    rest->names = arena_array(a, columns, sizeof(*rest->names));
    rest->views = arena_array(a, columns, sizeof(struct event_view *));
    if (!rest->names || !rest->views)
        return err_set(e, ERR_NOMEM, "no memory for attributes");
    for (size_t i = 0; rc == 0 && i < columns; i++) {
        struct event_view **v = &rest->views[rest->n];

        if (strmap_get(chosen, names[i]))
            continue;
        rc = s->ops->open_apart(s, (struct event_field){ -1, names[i] }, a, v, e);
        rc = rc == 0 && *v ? s->ops->rows(s, *v, e) : rc;
        rest->names[rest->n] = names[i];
        rest->n += *v != NULL;
    }
    return rc;
}

static int pack_rest(const struct rest *rest, size_t row, const struct strmap *chosen, struct buf *out, struct err *e)
{
    struct str set = STR_NULL;
    struct label l;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < rest->n; i++) {
        l.name = rest->names[i];
        rc = event_view_text(rest->views[i], row, &l.value, e);
        if (rc == 0 && l.value.n)
            labels_pack(out, (struct labels){ &l, 1 });
    }
    if (rc == 0 && rest->sets)
        rc = event_view_text(rest->sets, row, &set, e);
    for (struct bytes r = bytes_of(set); rc == 0 && r.p < r.end;) {
        if (!labels_next(&r, &l))
            return err_set(e, ERR_CORRUPT, "attributes of row %zu cut short", row);
        if (!strmap_get(chosen, l.name))
            labels_pack(out, (struct labels){ &l, 1 });
    }
    return rc;
}

static int pack_all(struct event_gather *g, const struct strmap *chosen, union event_value *values, struct err *e)
{
    struct rest *rest = arena_array(&g->loaded, g->nsources, sizeof(*rest));
    size_t at = 0;
    int rc = rest ? 0 : no_memory(g, e);

    for (size_t i = 0; rc == 0 && i < g->nsources; i++)
        rc = open_rest(g->sources[i], chosen, &g->loaded, &rest[i], e);
    buf_reset(&g->sets);
    for (size_t i = 0; rc == 0 && i < g->n; i++) {
        size_t start = g->sets.n;

        rc = pack_rest(&rest[g->from[i]], g->rows[i], chosen, &g->sets, e);
        values[i].s.n = g->sets.n - start;
    }
    if (rc == 0 && buf_failed(&g->sets))
        return no_memory(g, e);
    for (size_t i = 0; rc == 0 && i < g->n; at += values[i++].s.n)
        values[i].s.p = g->sets.p + at;
    return rc;
}

int event_gather_overflow(struct event_gather *g, const struct str *names, size_t n, struct event_coded *out,
                          struct err *e)
{
    const union event_value unset = { .s = STR_NULL };
    struct strmap chosen = STRMAP_INIT;
    union event_value *values;
    int rc = 0;

    arena_free(&g->loaded);
    values = arena_array(&g->loaded, g->n, sizeof(*values));
    if (!values)
        return no_memory(g, e);
    for (size_t i = 0; rc == 0 && i < n; i++)
        if (strmap_put(&chosen, names[i], g, NULL) < 0)
            rc = no_memory(g, e);
    rc = rc == 0 ? pack_all(g, &chosen, values, e) : rc;
    strmap_free(&chosen);
    if (rc == 0)
        event_code(&g->coder, values, g->n, true, unset, out);
    return rc;
}
