/* event_distinct.c: the distinct values of a column.
 *
 * Each source has its distinct values: a dictionary's without reading a row. Those that are among the first `limit` and not
 * known yet are merged into the sorted list of what is kept. In most sources there are none of those, and nothing moves. */
#include "store/event_combine-internal.h"
#include "store/event_room-internal.h"

#include <stdlib.h>

struct kept {
    struct arena arena; /* of what is kept, texts included */
    struct str *v;      /* sorted */
    size_t n, limit;
};

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, "no memory for the list of values");
}

static int by_text(const void *a, const void *b)
{
    const struct str *x = a, *y = b;

    return str_cmp(*x, *y);
}

static bool is_news(const struct kept *k, struct str s)
{
    if (s.n == 0 || (k->n == k->limit && (k->n == 0 || str_cmp(s, k->v[k->n - 1]) >= 0)))
        return false;
    return k->n == 0 || !bsearch(&s, k->v, k->n, sizeof(s), by_text);
}

/* The values of a source, each once, in no order. */
static int values_of(struct event_source *s, struct event_field f, const union event_value **v, size_t *n, struct err *e)
{
    struct event_selection all = { s->n, NULL };
    struct event_numbering distinct;
    struct event_view *view;
    int rc = event_open(s, f, &view, e);

    *n = 0;
    if (rc < 0 || !view)
        return rc;
    if (view->form == EVENT_FORM_CONST || view->form == EVENT_FORM_DICT) {
        *v = view->values;
        *n = view->form == EVENT_FORM_CONST ? 1 : view->distinct;
        return 0;
    }
    rc = s->ops->rows(s, view, e);
    if (rc == 0)
        rc = event_number_rows(view, &all, s->arena, &distinct, NULL, e);
    *v = distinct.values;
    *n = distinct.n;
    return rc;
}

/* The first `limit` of both lists, copied into an arena of their own. */
static int merge(struct kept *k, const struct str *news, size_t n, struct event_room *room, struct err *e)
{
    struct kept to = { .arena = event_room_arena(room), .limit = k->limit };
    size_t most = n > k->limit - k->n ? k->limit : k->n + n, i = 0, j = 0;

    to.v = arena_array(&to.arena, most, sizeof(*to.v));
    while (to.v && to.n < most) {
        bool old = j == n || (i < k->n && str_cmp(k->v[i], news[j]) < 0);

        to.v[to.n] = arena_str(&to.arena, old ? k->v[i] : news[j]);
        if (!to.v[to.n].p)
            break;
        to.n++;
        i += old;
        j += !old;
    }
    if (!to.v || to.n < most) {
        arena_free(&to.arena);
        return no_memory(e);
    }
    arena_free(&k->arena);
    *k = to;
    return 0;
}

static int add_source(struct kept *k, struct event_source *s, struct event_field f, struct event_room *room,
                      struct err *e)
{
    const union event_value *values;
    struct str *news;
    size_t n, fresh = 0;
    int rc = values_of(s, f, &values, &n, e);

    if (rc < 0)
        return rc;
    news = arena_alloc(s->arena, n * sizeof(*news));
    if (!news)
        return no_memory(e);
    for (size_t i = 0; i < n; i++)
        if (is_news(k, values[i].s))
            news[fresh++] = values[i].s;
    if (fresh == 0)
        return 0;
    qsort(news, fresh, sizeof(*news), by_text);
    return merge(k, news, fresh, room, e);
}

static int add_all(struct store *st, const struct event_sources *sources, struct event_field f, struct kept *k,
                   struct event_room *room, struct err *e)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sources->n; i++) {
        struct err why = ERR_INIT;
        struct arena a = event_room_arena(room);
        struct event_source *s = event_source_again(sources->v[i], &a, &why);

        rc = s ? add_source(k, s, f, room, &why) : why.code;
        arena_free(&a);
        if (rc == ERR_CORRUPT) {
            event_source_damaged(st, sources->v[i], &why);
            rc = 0;
        } else if (rc < 0) {
            err_set(e, rc, "%s", why.msg);
        }
    }
    return rc;
}

static int hand_over(const struct kept *k, struct arena *a, struct str **values, size_t *n, struct err *e)
{
    *values = arena_array(a, k->n, sizeof(**values));
    if (!*values)
        return no_memory(e);
    for (; *n < k->n; ++*n) {
        (*values)[*n] = arena_str(a, k->v[*n]);
        if (!(*values)[*n].p)
            return no_memory(e);
    }
    return 0;
}

static int list(struct store *st, const struct event_sources *sources, struct event_field f, struct kept *k,
                struct event_room *room, struct arena *a, struct str **values, size_t *n, struct err *e)
{
    int rc;

    k->arena = event_room_arena(room);
    rc = add_all(st, sources, f, k, room, e);
    if (rc == 0)
        rc = hand_over(k, a, values, n, e);
    arena_free(&k->arena);
    return rc;
}

int events_distinct(struct store *st, enum event_kind kind, int column, int64_t from_ns, int64_t to_ns, size_t limit,
                    struct arena *a, struct str **values, size_t *n, struct err *e)
{
    const struct event_field f = { .column = column };
    struct kept k = { .limit = limit };
    struct event_sources sources;
    struct event_room room;
    int rc;

    *values = NULL;
    *n = 0;
    if (column < 0 || (size_t)column >= event_tables[kind].n || !event_tables[kind].columns[column].is_text)
        return err_set(e, ERR_INVALID, "%.*s: column %d is no text", STR_ARG(event_tables[kind].name), column);
    event_room_init(&room, a);
    rc = event_sources_hold(st, kind, from_ns, to_ns, 0, a, &sources, e);
    if (rc == 0) {
        event_room_init(&room, a);
        rc = list(st, &sources, f, &k, &room, a, values, n, e);
        event_sources_release(st, &sources);
    }
    return event_room_error(&room, rc, e);
}
