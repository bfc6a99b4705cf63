/* logql_tally.c: counts by groups and steps from the engine, without a row.
 *
 * When  All that the query's stages do is what the engine can judge (log_source.exact), and what is counted is lines, or
 *       the bytes of log bodies. Labels then are columns and attributes, and the engine groups by them.
 * Steps are the buckets of logql_metric.c; (from, to] in ms is [from + 1 ns, to + 1 ns) of the engine.
 * Else  Rows are read. So it is, too, when there would be so many groups that a number for each of their steps takes
 *       more than the few samples that there are. */
#include "query/logql_tally-internal.h"

enum { MOST_STEPS = 1 << 16, MOST_NUMBERS = 8 << 20 };

static bool countable(const struct log_samples *x, const struct log_sources *sources)
{
    const struct log_range *r = x->range;

    if (r->fold != FOLD_SUM || r->counted == COUNT_VALUES || (x->to_ms - x->from_ms) / x->bucket_ms > MOST_STEPS)
        return false;
    for (size_t i = 0; i < sources->n; i++)
        if (!sources->v[i].exact || !sources->v[i].only_filters ||
            (r->counted == COUNT_BYTES && sources->v[i].kind != EVENT_LOG))
            return false;
    return true;
}

/* What the engine groups by: all but the kind, which is the table. Returns how many; by[] has room for plan->n. */
static size_t grouping(const struct label_plan *plan, struct event_field *by)
{
    size_t n = 0;

    for (size_t i = 0; i < plan->n; i++)
        if (plan->v[i].kind != FIELD_KIND)
            by[n++] = (struct event_field){ plan->v[i].column, plan->v[i].name };
    return n;
}

/* A group's labels, as its rows have them. Into out[], texts copied: numbers are printed. ERR_NOMEM. */
static int labels_of(struct log_samples *x, enum event_kind kind, const struct label_plan *plan,
                     const union event_value *by, struct labels *l)
{
    struct label *out = arena_array(x->ev->a, plan->n + 1, sizeof(*out));
    size_t at = 0, n = 0;

    for (size_t i = 0; out && i < plan->n; i++) {
        const struct field *f = &plan->v[i];
        struct logql_row row = { .kind = kind };
        char scratch[32];
        struct str value;

        if (f->kind == FIELD_ATTRIBUTE) {
            value = by[at++].s;
        } else {
            if (f->kind != FIELD_KIND)
                row.columns[f->column] = &by[at++];
            value = logql_text(&row, f, scratch);
        }
        if (value.p == scratch && !(value = arena_str(x->ev->a, value)).p)
            return eval_nomem(x->ev);
        if (value.n)
            out[n++] = (struct label){ f->name, value };
    }
    *l = (struct labels){ out, n };
    return out ? 0 : eval_nomem(x->ev);
}

/* The numbers of all groups with the same labels, of whatever table. */
struct sums {
    double **steps;
    size_t n, cap;
};

static int add_group(struct log_samples *x, struct sums *sums, size_t steps, enum event_kind kind,
                     const struct label_plan *plan, const struct event_group *g)
{
    struct log_series *series;
    struct labels l;
    size_t at;
    int rc = labels_of(x, kind, plan, g->by, &l);

    if (rc == 0)
        rc = log_series_of(x, l, &series);
    if (rc < 0)
        return rc;
    at = (size_t)(series - x->series);
    if (at == sums->n) {
        if (arena_grow(x->ev->a, &sums->steps, &sums->cap, at + 1, sizeof(*sums->steps)) < 0)
            return eval_nomem(x->ev);
        sums->steps[sums->n++] = g->steps;
        return 0;
    }
    for (size_t i = 0; i < steps; i++)
        sums->steps[at][i] += g->steps[i];
    return 0;
}

static int tally_source(struct log_samples *x, const struct log_source *s, const struct label_plan *plan, size_t steps,
                        struct sums *sums)
{
    struct event_tally t = { .rows = { .kind = s->kind, .from_ns = x->from_ms * 1000000 + 1,
                                       .to_ns = x->to_ms * 1000000 + 1, .conditions = s->conditions, .n = s->n },
                             .step_ns = x->bucket_ms * 1000000,
                             .measure = x->range->counted == COUNT_BYTES ? EVENT_BYTES : EVENT_COUNT,
                             .column = LOG_body, .most_groups = MOST_NUMBERS / steps + 1 };
    struct event_field *by = arena_array(x->ev->a, plan->n + 1, sizeof(*by));
    struct event_group *groups;
    size_t n;
    int rc;

    if (!by)
        return eval_nomem(x->ev);
    t.by = by;
    t.nby = grouping(plan, by);
    rc = events_tally(x->ev->st, &t, x->ev->a, &groups, &n, x->ev->e);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        atomic_fetch_add_explicit(&x->ev->usage->read, groups[i].rows, memory_order_relaxed);
        rc = add_group(x, sums, steps, s->kind, plan, &groups[i]);
    }
    return rc;
}

static int make_samples(struct log_samples *x, const struct sums *sums, size_t steps)
{
    for (size_t i = 0; i < sums->n; i++)
        for (size_t k = 0; k < steps; k++) {
            int rc = 0;

            if (sums->steps[i][k] != 0)
                rc = log_series_add(x, &x->series[i], x->from_ms + ((int64_t)k + 1) * x->bucket_ms, sums->steps[i][k]);
            if (rc < 0)
                return rc;
        }
    return 0;
}

int log_tally(struct log_samples *x, struct log_sources *sources, const struct label_plan *plans)
{
    size_t steps = (size_t)((x->to_ms - x->from_ms) / x->bucket_ms);
    struct sums sums = { 0 };
    int rc = 0;

    if (!countable(x, sources))
        return 0;
    for (size_t i = 0; rc == 0 && i < sources->n; i++)
        rc = tally_source(x, &sources->v[i], &plans[i], steps, &sums);
    if (rc == ERR_LIMIT && !x->ev->failed) {
        *x->ev->e = (struct err)ERR_INIT;
        x->map = (struct label_map){ 0 };
        x->series = NULL;
        x->n = x->cap = 0;
        return 0;
    }
    if (rc == 0)
        rc = make_samples(x, &sums, steps);
    return rc < 0 ? rc : 1;
}
