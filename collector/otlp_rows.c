/* otlp_rows.c: what a row of a log record or span has beside its columns: its attributes in order.
 *
 * Problem    Many records have attributes without a column; to sort them for each would cost more than to read them.
 * Idea       Records of one sender have the same keys in the same order: what has no column is put in order as it was in
 *            the row before, when the keys are the same. Rows that have nothing of their own share the attributes of
 *            their resource. */

#include "collector/otlp-internal.h"

/* --- what has no column --- */

/* Whether a column of the table holds the resource's attribute. */
static bool has_column(enum event_kind kind, struct str name)
{
    static const char *const everywhere[] = {"k8s.pod.name", "k8s.namespace.name", "k8s.deployment.name", "app",
                                             "service.version"};

    for (size_t i = 0; i < sizeof(everywhere) / sizeof(everywhere[0]); i++)
        if (str_eqz(name, everywhere[i]))
            return true;
    return (kind != EVENT_ACCESS_LOG && str_eqz(name, "service.name")) ||
           (kind == EVENT_LOG && str_eqz(name, "k8s.container.name"));
}

static struct str name_at(const struct otlp_order *o, size_t i)
{
    return i < o->nkeys ? o->keys[i]->name : o->fixed[i - o->nkeys].name;
}

/* Puts it where its name belongs, unless there is one of that name: who comes first wins. */
static void put_in_order(struct otlp_order *o, size_t i)
{
    struct str name = name_at(o, i);
    size_t lo = 0, hi = o->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = str_cmp(name_at(o, o->from[mid]), name);

        if (c == 0)
            return;
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    memmove(&o->from[lo + 1], &o->from[lo], (o->n - lo) * sizeof(o->from[0]));
    o->from[lo] = (uint16_t)i;
    o->n++;
}

static void read_fixed(const struct otlp_context *c, enum event_kind kind, struct otlp_order *o)
{
    const struct otlp_attributes *from = &c->resource.attributes;

    o->nfixed = 0;
    for (size_t i = 0; i < from->n; i++)
        if (!has_column(kind, from->v[i].name))
            o->fixed[o->nfixed++] = from->v[i];
    if (kind == EVENT_ACCESS_LOG)
        return;
    otlp_put_absent(o->fixed, &o->nfixed, STR("otel.scope.name"), c->scope_name);
    otlp_put_absent(o->fixed, &o->nfixed, STR("otel.scope.version"), c->scope_version);
}

static bool has_keys(const struct otlp_order *o, const struct otlp_pair *v, size_t n)
{
    if (!o->is_valid || n != o->nkeys)
        return false;
    for (size_t i = 0; i < n; i++)
        if (v[i].key != o->keys[i])
            return false;
    return true;
}

static void find_order(const struct otlp_context *c, enum event_kind kind, struct otlp_order *o,
                       const struct otlp_pair *v, size_t n)
{
    if (!o->is_valid)
        read_fixed(c, kind, o);
    o->is_valid = true;
    o->nkeys = n;
    o->n = 0;
    o->shared = (struct labels){NULL, 0};
    for (size_t i = 0; i < n; i++)
        o->keys[i] = v[i].key;
    for (size_t i = n;
         i-- > 0;) /* of two of the same key the last counts, of the item's and the resource's the item's */
        put_in_order(o, i);
    for (size_t i = n + o->nfixed; i-- > n;)
        put_in_order(o, i);
}

int otlp_row_attributes(struct otlp_context *c, enum event_kind kind, const struct otlp_pair *v, size_t n,
                        struct labels *out, struct err *e)
{
    struct otlp_order *o = &c->order[kind];
    struct label *to;
    int rc = 0;

    if (!has_keys(o, v, n))
        find_order(c, kind, o, v, n);
    *out = o->shared;
    if (o->n == 0 || o->shared.v)
        return 0;
    if (!(to = arena_alloc(c->arena, o->n * sizeof(*to))))
        return err_set(e, ERR_NOMEM, "no memory for a row's attributes");
    *out = (struct labels){to, 0};
    for (size_t i = 0; rc == 0 && i < o->n; i++) {
        size_t from = o->from[i];

        to->name = name_at(o, from);
        if (from >= n)
            to->value = o->fixed[from - n].value;
        else
            rc = otlp_pair_text(c->arena, &v[from], &to->value, e);
        to += to->value.n > 0;
    }
    out->n = (size_t)(to - out->v);
    if (n == 0)
        o->shared = *out;
    return rc;
}

/* --- columns --- */

int otlp_expect_rows(struct otlp_context *c, enum event_kind kind, struct err *e)
{
    const struct event_rows *r = &c->batch->events[kind];
    size_t more = c->expected ? c->expected : 1;

    c->expected = 0;
    if (r->n + more <= r->cap || batch_reserve_events(c->batch, kind, more) == 0)
        return 0;
    return err_set(e, ERR_NOMEM, "no memory for %zu rows", more);
}
