/* functions_info.c: info(): a vector's series get the labels of the info series (target_info and its like) that have the
 * same instance and job.
 *
 * The info series are looked up where the first argument's selector looks, @ and offset included. At each step, of all
 * with the same name, instance and job the one with the newest sample counts. Which those are may change from step to
 * step, so one series may give several rows. */
#include "query/function-internal.h"

#include <stdlib.h>

static const struct str identifying[] = { STR_INIT("instance"), STR_INIT("job") };
static const struct str signed_by[] = { STR_INIT("__name__"), STR_INIT("instance"), STR_INIT("job") };

struct info {
    struct eval *ev;
    const struct grid *g;
    struct matcher *names, *data; /* of the info metrics' names, and of the labels that are wanted */
    size_t nnames, ndata;
    struct rows base, infos;
    struct label_map known;       /* identifying labels of the base, one by one */
    bool wanted[2];               /* the base has such a label at all */
    struct label_map metrics;     /* names of the info series */
    struct label_map signatures;  /* name, instance, job of the info series */
    size_t *signature;            /* of each info row */
    uint32_t *newest;             /* [signature, step]: info row + 1, 0 = none */
    uint8_t *any;                 /* any[step]: the base has a value */
    uint32_t *now, *before;       /* for each metric: the info row + 1 that meets the base row under way */
    struct label_map results;
    struct rows out;
};

static bool matches_all(const struct matcher *m, size_t n, struct str value)
{
    for (size_t i = 0; i < n; i++)
        if (!matcher_match(&m[i], value))
            return false;
    return true;
}

/* --- which info series ------------------------------------------------------------------------------------------- */

static int add_name(struct info *x, enum match_op op, struct str value)
{
    struct matcher *m = &x->names[x->nnames];

    if (matcher_init(m, x->ev->a, op, STR("__name__"), value, NULL) < 0)
        return eval_nomem(x->ev);
    x->nnames++;
    return 0;
}

/* Conditions on the name that only exclude are about names ending in _info; without any it is target_info. */
static int sort_matchers(struct info *x, const struct selector *s)
{
    size_t n = s ? s->n : 0;
    bool positive = false, named = false;
    int rc = 0;

    x->names = arena_array(x->ev->a, n + 1, sizeof(*x->names));
    x->data = arena_array(x->ev->a, n + 1, sizeof(*x->data));
    if (!x->names || !x->data)
        return eval_nomem(x->ev);
    for (size_t i = 0; i < n; i++)
        if (str_eq(s->matchers[i].name, STR("__name__"))) {
            named = true;
            positive |= s->matchers[i].op == MATCH_EQ || s->matchers[i].op == MATCH_RE;
        }
    if (!named)
        rc = add_name(x, MATCH_EQ, STR("target_info"));
    else if (!positive)
        rc = add_name(x, MATCH_RE, STR(".+_info"));
    for (size_t i = 0; rc == 0 && i < n; i++) {
        if (str_eq(s->matchers[i].name, STR("__name__")))
            x->names[x->nnames++] = s->matchers[i];
        else
            x->data[x->ndata++] = s->matchers[i];
    }
    return rc;
}

/* Info series among the base stay as they are. */
static bool is_info(const struct info *x, const struct row *row)
{
    return matches_all(x->names, x->nnames, labels_get(row->labels, STR("__name__")));
}

static int note_base(struct info *x)
{
    for (size_t r = 0; r < x->base.n; r++) {
        const struct row *row = &x->base.v[r];
        size_t at;

        for (size_t s = 0; s < x->g->n; s++)
            x->any[s] |= !is_absent(row->v[s]);
        for (size_t i = 0; i < 2 && !is_info(x, row); i++) {
            struct label one = { identifying[i], labels_get(row->labels, identifying[i]) };

            if (one.value.n == 0)
                continue;
            x->wanted[i] = true;
            if (label_map_add(&x->known, x->ev->a, (struct labels){ &one, 1 }, &at) < 0)
                return eval_nomem(x->ev);
        }
    }
    return 0;
}

static bool identifies(const struct info *x, struct labels l)
{
    for (size_t i = 0; i < 2; i++) {
        struct label one = { identifying[i], labels_get(l, identifying[i]) };
        size_t at;

        if (x->wanted[i] && (one.value.n == 0 || !label_map_find(&x->known, (struct labels){ &one, 1 }, &at)))
            return false;
    }
    return true;
}

/* The first selector below n, with the time at which it looks: the innermost @ holds, and offsets add up until there. */
static bool find_shift(struct eval *ev, const struct node *n, struct shift *shift, double *offset, bool *found)
{
    const struct shift *own = n->kind == NODE_SELECTOR ? &n->selector.shift
                              : n->kind == NODE_SUBQUERY ? &n->subquery.shift
                                                         : NULL;
    int64_t ms = 0;
    bool ok = true;

    switch (n->kind) {
    case NODE_PAREN:
        return find_shift(ev, n->paren, shift, offset, found);
    case NODE_UNARY:
        return find_shift(ev, n->unary.inner, shift, offset, found);
    case NODE_AGGREGATE:
        return find_shift(ev, n->aggregate.arg, shift, offset, found);
    case NODE_BINARY:
        ok = find_shift(ev, n->binary.l, shift, offset, found);
        return ok && !*found ? find_shift(ev, n->binary.r, shift, offset, found) : ok;
    case NODE_CALL:
        for (size_t i = 0; ok && !*found && i < n->call.n; i++)
            ok = find_shift(ev, n->call.args[i], shift, offset, found);
        return ok;
    case NODE_SUBQUERY:
        ok = find_shift(ev, n->subquery.inner, shift, offset, found);
        break;
    case NODE_SELECTOR:
        *found = true;
        break;
    case NODE_NUMBER:
    case NODE_STRING:
    case NODE_DERIVED:
        return true;
    }
    if (!ok || !*found || shift->at != AT_NONE)
        return ok;
    if (own->offset && eval_duration(ev, own->offset, &ms) < 0)
        return false;
    *offset += (double)ms / 1000;
    shift->at = own->at;
    shift->at_ms = own->at_ms;
    return true;
}

static int by_labels(const void *a, const void *b)
{
    return labels_cmp(((const struct row *)a)->labels, ((const struct row *)b)->labels);
}

/* The info series with the times of their samples, in the order of their labels. */
static int load_infos(struct info *x, const struct node *arg)
{
    struct node *offset = ARENA_NEW(x->ev->a, struct node), *n = ARENA_NEW(x->ev->a, struct node);
    struct matcher *m = arena_array(x->ev->a, x->nnames + x->ndata, sizeof(*m));
    struct stream *in;
    size_t kept = 0;
    bool found = false;
    int rc;

    if (!offset || !n || !m)
        return eval_nomem(x->ev);
    memcpy(m, x->names, x->nnames * sizeof(*m));
    memcpy(m + x->nnames, x->data, x->ndata * sizeof(*m));
    *offset = (struct node){ .kind = NODE_NUMBER, .type = PROMQL_SCALAR };
    *n = (struct node){ .kind = NODE_SELECTOR, .type = PROMQL_VECTOR, .span = arg->span };
    n->selector.matchers = m;
    n->selector.n = x->nnames + x->ndata;
    if (!find_shift(x->ev, arg, &n->selector.shift, &offset->number.value, &found))
        return x->ev->failed;
    n->selector.shift.offset = offset;
    rc = selector_open(x->ev, x->g, n, true, &in);
    if (rc == 0)
        rc = eval_collect(x->ev, x->g, in, &x->infos);
    for (size_t i = 0; rc == 0 && i < x->infos.n; i++)
        if (identifies(x, x->infos.v[i].labels))
            x->infos.v[kept++] = x->infos.v[i];
    x->infos.n = kept;
    if (kept > 1)
        qsort(x->infos.v, kept, sizeof(*x->infos.v), by_labels);
    return rc;
}

/* --- the newest at each step ------------------------------------------------------------------------------------- */

static int number_infos(struct info *x)
{
    size_t at;

    x->signature = arena_array(x->ev->a, x->infos.n + 1, sizeof(*x->signature));
    if (!x->signature)
        return eval_nomem(x->ev);
    for (size_t i = 0; i < x->infos.n; i++) {
        struct labels l = x->infos.v[i].labels;
        struct label key[3], name = { signed_by[0], labels_get(l, signed_by[0]) };
        size_t n = 0;

        for (size_t k = 0; k < 3; k++) {
            key[n] = (struct label){ signed_by[k], labels_get(l, signed_by[k]) };
            n += key[n].value.n > 0;
        }
        if (label_map_add(&x->metrics, x->ev->a, (struct labels){ &name, 1 }, &at) < 0 ||
            label_map_add(&x->signatures, x->ev->a, (struct labels){ key, n }, &x->signature[i]) < 0)
            return eval_nomem(x->ev);
    }
    return 0;
}

static int conflict(struct info *x, size_t old, size_t new, size_t step)
{
    struct buf a = BUF_INIT(2048), b = BUF_INIT(2048);
    long long ms = llround(x->infos.v[old].v[step] * 1000);

    labels_print(&a, x->infos.v[old].labels);
    labels_print(&b, x->infos.v[new].labels);
    eval_fail(x->ev, "found duplicate series for info metric: existing %.*s @ %lld, new %.*s @ %lld", (int)a.n,
              a.p ? a.p : "", ms, (int)b.n, b.p ? b.p : "", ms);
    buf_free(&a);
    buf_free(&b);
    return ERR_INVALID;
}

static int find_newest(struct info *x)
{
    size_t steps = x->g->n;

    x->newest = arena_array(x->ev->a, x->signatures.n * steps + 1, sizeof(*x->newest));
    if (!x->newest)
        return eval_nomem(x->ev);
    for (size_t i = 0; i < x->infos.n; i++) {
        if (eval_work(x->ev, steps) < 0)
            return x->ev->failed;
        for (size_t s = 0; s < steps; s++) {
            uint32_t *best = &x->newest[x->signature[i] * steps + s];
            double t = x->infos.v[i].v[s];

            if (is_absent(t) || !x->any[s])
                continue;
            if (*best && x->infos.v[*best - 1].v[s] == t)
                return conflict(x, *best - 1, i, s);
            if (!*best || x->infos.v[*best - 1].v[s] < t)
                *best = (uint32_t)i + 1;
        }
    }
    return 0;
}

/* --- the results ------------------------------------------------------------------------------------------------- */

static bool wants_label(const struct info *x, struct str name)
{
    for (size_t i = 0; i < x->ndata; i++)
        if (str_eq(x->data[i].name, name))
            return true;
    return x->ndata == 0 && !str_eq(name, STR("__name__"));
}

/* The labels of `base`, and of what meets it now. */
static int enrich(struct info *x, struct labels base, struct labels *out)
{
    *out = base;
    for (size_t k = 0; k < x->metrics.n; k++) {
        struct labels l = x->now[k] ? x->infos.v[x->now[k] - 1].labels : (struct labels){ NULL, 0 };

        for (size_t i = 0; i < l.n; i++) {
            struct str have = labels_get(*out, l.v[i].name);

            if (!wants_label(x, l.v[i].name) || labels_get(base, l.v[i].name).n)
                continue;
            if (have.n && !str_eq(have, l.v[i].value))
                return eval_fail(x->ev, "conflicting label: %.*s", STR_ARG(l.v[i].name));
            *out = labels_with(x->ev->a, *out, l.v[i].name, l.v[i].value);
            if (!out->v)
                return eval_nomem(x->ev);
        }
    }
    return 0;
}

static int result_row(struct info *x, struct labels l, bool drop_name, size_t *at)
{
    int fresh = label_map_add(&x->results, x->ev->a, l, at);

    if (fresh < 0)
        return eval_nomem(x->ev);
    if (fresh) {
        struct row row = { x->results.keys[*at], drop_name, eval_values(x->ev, x->g) };

        if (!row.v || arena_grow(x->ev->a, &x->out.v, &x->out.cap, *at + 1, sizeof(row)) < 0)
            return eval_nomem(x->ev);
        x->out.v[x->out.n++] = row;
        return eval_hold(x->ev, x->g->n);
    }
    x->out.v[*at].drop_name |= drop_name;
    return 0;
}

/* The places of the base row's signatures, one for each info metric; SIZE_MAX where no info series has it. */
static void find_signatures(const struct info *x, struct labels l, size_t *at)
{
    for (size_t k = 0; k < x->metrics.n; k++) {
        struct label key[3] = { x->metrics.keys[k].v[0] };
        size_t n = 1;

        for (size_t i = 0; i < 2; i++) {
            key[n] = (struct label){ identifying[i], labels_get(l, identifying[i]) };
            n += key[n].value.n > 0;
        }
        if (!label_map_find(&x->signatures, (struct labels){ key, n }, &at[k]))
            at[k] = SIZE_MAX;
    }
}

/* What meets the row at the step, into x->now; whether anything does. */
static bool meet(struct info *x, const size_t *signatures, size_t step)
{
    bool any = false;

    for (size_t k = 0; k < x->metrics.n; k++) {
        x->now[k] = signatures[k] == SIZE_MAX ? 0 : x->newest[signatures[k] * x->g->n + step];
        any |= x->now[k] != 0;
    }
    return any;
}

static int put_value(struct info *x, size_t at, size_t step, double v)
{
    if (!is_absent(x->out.v[at].v[step]))
        return eval_fail(x->ev, "vector cannot contain metrics with the same labelset");
    x->out.v[at].v[step] = v;
    return 0;
}

static int combine_row(struct info *x, const struct row *row, size_t *signatures)
{
    bool unmatched = matches_all(x->data, x->ndata, STR_NULL), ignored = is_info(x, row), first = true;
    size_t at = 0;
    int rc = 0;

    find_signatures(x, row->labels, signatures);
    for (size_t s = 0; rc == 0 && s < x->g->n; s++) {
        struct labels l;
        uint32_t *swap = x->before;

        if (is_absent(row->v[s]))
            continue;
        x->before = x->now;
        x->now = swap;
        if (!meet(x, signatures, s) && !unmatched && !ignored) {
            memset(x->now, 0xff, x->metrics.n * sizeof(*x->now));
            continue;
        }
        if (ignored)
            memset(x->now, 0, x->metrics.n * sizeof(*x->now));
        if (first || memcmp(x->now, x->before, x->metrics.n * sizeof(*x->now)) != 0) {
            rc = enrich(x, row->labels, &l);
            if (rc == 0)
                rc = result_row(x, l, row->drop_name, &at);
            first = false;
        }
        if (rc == 0)
            rc = put_value(x, at, s, row->v[s]);
    }
    return rc;
}

static int combine(struct info *x)
{
    size_t *signatures = arena_array(x->ev->a, x->metrics.n + 1, sizeof(*signatures));

    x->now = arena_array(x->ev->a, x->metrics.n + 1, sizeof(*x->now));
    x->before = arena_array(x->ev->a, x->metrics.n + 1, sizeof(*x->before));
    if (!signatures || !x->now || !x->before)
        return eval_nomem(x->ev);
    for (size_t r = 0; r < x->base.n; r++) {
        int rc = combine_row(x, &x->base.v[r], signatures);

        if (rc == 0)
            rc = eval_work(x->ev, x->g->n);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int fn_info(struct eval *ev, const struct grid *g, const struct node *n, struct stream **out)
{
    struct info x = { .ev = ev, .g = g, .any = arena_array(ev->a, g->n, 1) };
    int rc = x.any ? sort_matchers(&x, n->call.n > 1 ? &n->call.args[1]->selector : NULL) : eval_nomem(ev);

    if (rc == 0)
        rc = eval_collect_node(ev, g, n->call.args[0], &x.base);
    if (rc == 0)
        rc = note_base(&x);
    if (rc == 0 && (x.wanted[0] || x.wanted[1]))
        rc = load_infos(&x, n->call.args[0]);
    if (rc == 0)
        rc = number_infos(&x);
    if (rc == 0)
        rc = find_newest(&x);
    if (rc == 0)
        rc = combine(&x);
    return rc < 0 ? rc : eval_replay(ev, g, x.out, out);
}
