/* event_gather.c: rows of several sources as one. */
#include "store/event_gather-internal.h"

#include "base/strmap.h"

#include <stdlib.h>

int event_gather_init(struct event_gather *g, struct err *e)
{
    g->loaded = (struct arena)ARENA_INIT(0);
    return event_coder_init(&g->coder, g->n, e);
}

void event_gather_fini(struct event_gather *g)
{
    arena_free(&g->loaded);
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
    const struct str *names;
    size_t nnames;
    int rc = s->ops->attributes(s, &names, &nnames, e);

    for (size_t i = 0; rc == 0 && i < nnames; i++) {
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
    for (size_t i = 0; i < *n; i++)
        (*names)[i] = v[i]->name;
    return 0;
}
