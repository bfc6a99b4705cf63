/* event_gather.c: rows of several sources as one. */
#include "store/event_gather-internal.h"

#include "base/mem.h"
#include "base/strmap.h"
#include "store/event_attributes-internal.h"
#include "store/event_read-internal.h"
#include "store/pack-internal.h"

#include <stdlib.h>

static int no_memory(const struct event_gather *g, struct err *e)
{
    return err_set(e, ERR_NOMEM, "no memory for a column of %zu events", g->n);
}

int event_gather_init(struct event_gather *g, struct err *e)
{
    int rc = event_coder_init(&g->coder, g->n, e);

    g->loaded = (struct arena)ARENA_INIT(0);
    g->sets = (struct buf)BUF_INIT(UINT32_MAX);
    g->used = rc == 0 ? mem_zalloc(g->nsources * sizeof(*g->used)) : NULL;
    if (rc == 0 && !g->used) {
        event_coder_fini(&g->coder);
        rc = no_memory(g, e);
    }
    for (size_t i = 0; rc == 0 && i < g->n; i++)
        g->used[g->from[i]] = true;
    return rc;
}

void event_gather_fini(struct event_gather *g)
{
    arena_free(&g->loaded);
    buf_free(&g->sets);
    mem_free(g->used);
    event_coder_fini(&g->coder);
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

/* --- columns whose rows are known by number: no value is looked up twice for one source --- */

enum { UNKNOWN = UINT32_MAX };

static bool is_dictionary(const struct event_view *v)
{
    return !v || v->form == EVENT_FORM_CONST || v->form == EVENT_FORM_DICT;
}

static bool all_are(const struct event_gather *g, struct event_view *const *views,
                    bool (*is)(const struct event_view *v))
{
    bool all = true;

    for (size_t i = 0; i < g->nsources; i++)
        all &= is(views[i]);
    return all;
}

/* One map after the other: of source i, from its code to ours; an absent column has one code. */
static uint32_t **make_maps(struct event_gather *g, struct event_view *const *views)
{
    uint32_t **maps = arena_array(&g->loaded, g->nsources, sizeof(*maps)), *all;
    size_t total = 0;

    for (size_t i = 0; i < g->nsources; i++)
        total += views[i] ? views[i]->distinct : 1;
    all = arena_alloc(&g->loaded, total * sizeof(*all));
    if (!maps || !all)
        return NULL;
    memset(all, 0xff, total * sizeof(*all));
    for (size_t i = 0; i < g->nsources; i++) {
        maps[i] = all;
        all += views[i] ? views[i]->distinct : 1;
    }
    return maps;
}

static size_t code_in(const struct event_view *v, size_t row)
{
    if (v && v->codes8)
        return v->codes8[row];
    return v && v->codes16 ? v->codes16[row] : 0;
}

static bool is_const(const struct event_view *v)
{
    return !v || v->form == EVENT_FORM_CONST;
}

/* True: all sources that rows are taken from have one value, the same. */
static bool gather_constant(struct event_gather *g, struct event_view *const *views, union event_value unset,
                            struct event_coded *d)
{
    size_t i = 0;

    for (; i < g->nsources && d->distinct < 2 && is_const(views[i]); i++)
        if (g->used[i])
            event_dictionary_code(&g->coder, d, views[i] ? views[i]->values[0] : unset);
    if (i == g->nsources && d->distinct == 1) {
        event_dictionary_take(&g->coder, unset, d);
        return true;
    }
    event_dictionary_begin(&g->coder, d);
    return false;
}

/* 1: done; 0: there are so many values that another form may suit them better. */
static int gather_dictionary(struct event_gather *g, struct event_view *const *views, union event_value unset,
                             struct event_coded *d, struct err *e)
{
    uint32_t **maps = make_maps(g, views);

    if (!maps)
        return no_memory(g, e);
    event_dictionary_begin(&g->coder, d);
    if (gather_constant(g, views, unset, d))
        return 1;
    for (size_t i = 0; i < g->n; i++) {
        const struct event_view *v = views[g->from[i]];
        size_t code = code_in(v, g->rows[i]);
        uint32_t *known = &maps[g->from[i]][code];

        if (*known == UNKNOWN)
            *known = event_dictionary_code(&g->coder, d, v ? v->values[code] : unset);
        g->coder.codes[i] = (uint16_t)*known;
    }
    if (d->distinct > 1 && (d->distinct > g->n / 4 || (!d->is_text && d->distinct > EVENT_NUMBER_VALUES)))
        return 0;
    event_dictionary_take(&g->coder, unset, d);
    return 1;
}

/* --- ids --- */

static bool is_absent(const struct event_view *v)
{
    return !v || (v->form == EVENT_FORM_CONST && v->values[0].s.n == 0);
}

/* The kind that all ids have; NONE: there are none, or several. */
static enum event_id common_kind(const struct event_gather *g, struct event_view *const *views)
{
    enum event_id kind = EVENT_ID_NONE;

    for (size_t i = 0; i < g->nsources; i++) {
        if (is_absent(views[i]))
            continue;
        if (views[i]->form != EVENT_FORM_IDS || (kind && kind != event_view_id(views[i])))
            return EVENT_ID_NONE;
        kind = event_view_id(views[i]);
    }
    return kind;
}

/* 1: done; 0: too many have another form. */
static int gather_ids(struct event_gather *g, struct event_view *const *views, enum event_id kind,
                      struct event_coded *d, struct err *e)
{
    size_t width = event_id_width(kind);

    *d = (struct event_coded){ .form = EVENT_FORM_IDS, .is_text = true, .n = g->n, .id = kind, .ids = g->coder.ids,
                               .odd = g->coder.odd };
    for (size_t i = 0; i < g->n; i++) {
        struct event_view *v = views[g->from[i]];
        uint8_t *to = g->coder.ids + i * width;
        struct str text = STR_NULL;

        if (is_absent(v))
            memset(to, 0, width);
        else
            memcpy(to, v->ids + g->rows[i] * width, width);
        if (!event_id_is_zero(kind, to))
            continue;
        if (!is_absent(v) && event_view_text(v, g->rows[i], &text, e) < 0)
            return ERR_NOMEM;
        d->has_unset |= text.n == 0;
        if (text.n && d->nodd == g->n / 8)
            return 0;
        if (text.n)
            g->coder.odd[d->nodd++] = (struct event_odd){ (uint32_t)i, text };
    }
    return 1;
}

/* --- others --- */

static int gather_values(struct event_gather *g, struct event_view *const *views, union event_value unset,
                         struct event_coded *d, struct err *e)
{
    union event_value *values = arena_alloc(&g->loaded, g->n * sizeof(*values));
    bool is_text = d->is_text;
    int rc = values ? 0 : no_memory(g, e);

    for (size_t i = 0; rc == 0 && i < g->n; i++) {
        struct event_view *v = views[g->from[i]];

        values[i] = unset;
        if (v && v->form == EVENT_FORM_INTS)
            values[i].i = v->ints[g->rows[i]];
        else if (v)
            rc = event_view_value(v, g->rows[i], &values[i], e);
    }
    if (rc == 0)
        event_code(&g->coder, values, g->n, is_text, unset, d);
    return rc;
}

int event_gather_column(struct event_gather *g, struct event_field f, struct event_coded *out, struct err *e)
{
    struct event_view **views;
    union event_value unset;
    enum event_id kind;
    int rc;

    arena_free(&g->loaded);
    *out = (struct event_coded){ .n = g->n };
    unset = unset_of(g, f, &out->is_text);
    views = arena_array(&g->loaded, g->nsources, sizeof(*views));
    rc = views ? open_views(g, f, views, e) : no_memory(g, e);
    if (rc < 0)
        return rc;
    kind = out->is_text ? common_kind(g, views) : EVENT_ID_NONE;
    if (all_are(g, views, is_dictionary))
        rc = gather_dictionary(g, views, unset, out, e);
    else if (kind)
        rc = gather_ids(g, views, kind, out, e);
    if (rc == 0)
        rc = gather_values(g, views, unset, out, e);
    return rc < 0 ? rc : 0;
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

static int open_rest(struct event_source *s, const struct strmap *chosen, struct arena *a, struct rest *rest,
                     struct err *e)
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
    for (size_t i = 0; rc == 0 && g->sets.n && i < g->n; at += values[i++].s.n)
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
