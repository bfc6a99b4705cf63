/* event_count.c: rows of one source into groups and steps.
 *
 * Where all rows of a source count, in one step, by no more than one column that is not the same everywhere, and that
 * column has a dictionary, the dictionary's counts are the answer: no row is read. Otherwise each selected row gets the
 * number of its combination of values (event_combine.c); how often each number occurs is counted, and only then are the
 * groups looked up, once for each number. Only where rows fall into several steps, or have a weight other than one, a
 * second pass adds them up one by one.
 *
 * Everything that can fail comes before the first addition: a damaged source leaves no half of its rows behind. */
#include "store/event_count-internal.h"

#include "store/event_combine-internal.h"

struct count {
    const struct event_counting *c;
    struct event_source *s;
    struct event_groups *g;
    struct event_selection rows;
    struct event_view **by;
    size_t first_step, last_step; /* of the rows, at most */

    struct event_combination groups;
    uint32_t *times;              /* a combination occurs */
    uint32_t *example;            /* a row that has it */
    size_t *at;                   /* its group */
    double *weights;              /* of the selected rows; NULL: each counts one */
};

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, "no memory to count events");
}

static size_t step_of(const struct event_counting *c, int64_t t)
{
    return c->step_ns ? ((uint64_t)t - (uint64_t)c->rows.from_ns) / (uint64_t)c->step_ns : 0;
}

static void find_steps(struct count *k)
{
    const struct event_wanted *w = &k->c->rows;

    k->first_step = step_of(k->c, k->s->first_ns > w->from_ns ? k->s->first_ns : w->from_ns);
    k->last_step = step_of(k->c, k->s->last_ns < w->to_ns ? k->s->last_ns : w->to_ns - 1);
}

static int key_of(struct count *k, uint32_t row, union event_value *key, struct err *e)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < k->c->nby; i++) {
        int column = k->c->by[i].column;

        if (k->by[i])
            rc = event_view_value(k->by[i], row, &key[i], e);
        else if (column < 0)
            key[i].s = STR_NULL;
        else
            key[i] = event_unset(k->s->kind, &event_tables[k->s->kind].columns[column]);
    }
    return rc;
}

/* --- by the dictionary alone -------------------------------------------------------------------------------------- */

/* The one field that is not the same in all rows; nby when there is none. False when there are several, or when it has
 * no dictionary. */
static bool one_dictionary(const struct count *k, size_t *which)
{
    *which = k->c->nby;
    for (size_t i = 0; i < k->c->nby; i++) {
        if (!k->by[i] || k->by[i]->form == EVENT_FORM_CONST)
            continue;
        if (*which < k->c->nby || k->by[i]->form != EVENT_FORM_DICT)
            return false;
        *which = i;
    }
    return true;
}

static int add_value(struct count *k, const union event_value *key, uint64_t rows, struct err *e)
{
    size_t at;
    int rc = rows ? event_groups_find(k->g, key, &at, e) : 0;

    if (rc == 0 && rows) {
        k->g->v[at].rows += rows;
        k->g->v[at].steps[k->first_step] += (double)rows;
    }
    return rc;
}

static int by_dictionary(struct count *k, size_t which, struct err *e)
{
    const struct event_view *varies = which < k->c->nby ? k->by[which] : NULL;
    union event_value *key = arena_array(k->s->arena, k->c->nby, sizeof(*key));
    int rc;

    if (!key)
        return no_memory(e);
    if (varies)
        k->by[which] = NULL; /* its rows are not there to be read; its place in the key is filled in here */
    rc = key_of(k, 0, key, e);
    if (rc == 0 && !varies)
        return add_value(k, key, k->rows.n, e);
    for (size_t i = 0; rc == 0 && i < varies->distinct; i++) {
        key[which] = varies->values[i];
        rc = add_value(k, key, varies->counts[i], e);
    }
    return rc;
}

/* --- by rows ------------------------------------------------------------------------------------------------------ */

static double weight(const struct count *k, union event_value v)
{
    const struct event_column *column = &event_tables[k->s->kind].columns[k->c->column];

    if (column->is_text)
        return (double)v.s.n;
    return v.i == event_unset(k->s->kind, column).i ? 0 : (double)v.i;
}

static int weigh_dictionary(struct count *k, const struct event_view *v, struct err *e)
{
    double *of = arena_alloc(k->s->arena, v->distinct * sizeof(*of));

    if (!of)
        return no_memory(e);
    for (size_t i = 0; i < v->distinct; i++)
        of[i] = weight(k, v->values[i]);
    for (size_t i = 0; i < k->rows.n; i++) {
        uint32_t row = event_selection_row(&k->rows, i);

        k->weights[i] = of[v->codes8 ? v->codes8[row] : v->codes16[row]];
    }
    return 0;
}

/* Frame by frame, so that texts need not stay. */
static int weigh_texts(struct count *k, struct event_view *v, struct err *e)
{
    struct event_frame f = { 0 };

    for (size_t i = 0; i < k->rows.n; i++) {
        size_t row = event_selection_row(&k->rows, i);

        if (row >= f.first + f.n) {
            int rc = event_view_frame(v, row, &f, e);

            if (rc < 0)
                return rc;
        }
        k->weights[i] = f.at[row - f.first + 1] - f.at[row - f.first];
    }
    return 0;
}

static int weigh(struct count *k, struct err *e)
{
    struct event_view *v;
    int rc;

    if (k->c->measure == EVENT_COUNT)
        return 0;
    k->weights = arena_array(k->s->arena, k->rows.n, sizeof(*k->weights));
    if (!k->weights)
        return no_memory(e);
    rc = event_load(k->s, (struct event_field){ .column = k->c->column }, &v, e);
    if (rc < 0 || !v)
        return rc;
    if (v->form == EVENT_FORM_DICT)
        return weigh_dictionary(k, v, e);
    if (v->form == EVENT_FORM_TEXTS)
        return weigh_texts(k, v, e);
    for (size_t i = 0; rc == 0 && i < k->rows.n; i++) {
        union event_value value;

        rc = event_view_value(v, event_selection_row(&k->rows, i), &value, e);
        if (rc == 0)
            k->weights[i] = weight(k, value);
    }
    return rc;
}

/* How often each combination occurs, and where. */
static int count_combinations(struct count *k, struct err *e)
{
    size_t n = k->groups.n;

    k->times = arena_array(k->s->arena, n, sizeof(*k->times));
    k->example = arena_array(k->s->arena, n, sizeof(*k->example));
    k->at = arena_array(k->s->arena, n, sizeof(*k->at));
    if (!k->times || !k->example || !k->at)
        return no_memory(e);
    if (!k->groups.codes) {
        k->times[0] = (uint32_t)k->rows.n;
        k->example[0] = event_selection_row(&k->rows, 0);
        return 0;
    }
    for (size_t i = 0; i < k->rows.n; i++) {
        uint32_t code = k->groups.codes[i];

        k->times[code]++;
        k->example[code] = event_selection_row(&k->rows, i);
    }
    return 0;
}

static int find_groups(struct count *k, struct err *e)
{
    union event_value *key = arena_array(k->s->arena, k->c->nby, sizeof(*key));
    int rc = key ? 0 : no_memory(e);

    for (size_t i = 0; rc == 0 && i < k->groups.n; i++) {
        if (!k->times[i])
            continue;
        rc = key_of(k, k->example[i], key, e);
        if (rc == 0)
            rc = event_groups_find(k->g, key, &k->at[i], e);
    }
    return rc;
}

/* Row by row. In a block rows of one identity follow each other by time, so most are in the step of the one before: a
 * division is needed only where that ends. */
static void add_rows(struct count *k, const int64_t *times)
{
    const struct event_counting *c = k->c;
    size_t step = k->first_step;
    int64_t begin = 1, end = 0; /* of the step; empty: not known yet */

    for (size_t i = 0; i < k->rows.n; i++) {
        size_t group = k->at[k->groups.codes ? k->groups.codes[i] : 0];

        if (times) {
            int64_t t = times[event_selection_row(&k->rows, i)];

            if (t < begin || t > end) {
                step = step_of(c, t);
                begin = (int64_t)((uint64_t)c->rows.from_ns + step * (uint64_t)c->step_ns);
                end = begin > INT64_MAX - c->step_ns ? INT64_MAX : begin + c->step_ns - 1;
            }
        }
        k->g->v[group].steps[step] += k->weights ? k->weights[i] : 1;
    }
}

static void add_combinations(struct count *k, bool one_step)
{
    for (size_t i = 0; i < k->groups.n; i++) {
        if (!k->times[i])
            continue;
        k->g->v[k->at[i]].rows += k->times[i];
        if (one_step && !k->weights)
            k->g->v[k->at[i]].steps[k->first_step] += k->times[i];
    }
}

/* That times are what the source says of them was not looked at before. */
static int load_times(struct count *k, const int64_t **times, struct err *e)
{
    const struct event_wanted *w = &k->c->rows;
    int rc = k->s->ops->times(k->s, times, e);
    bool within = true;

    for (size_t i = 0; rc == 0 && i < k->rows.n; i++) {
        int64_t t = (*times)[event_selection_row(&k->rows, i)];

        within &= t >= w->from_ns && t < w->to_ns;
    }
    return rc < 0 || within ? rc : err_set(e, ERR_CORRUPT, "times: some are not between the first and the last");
}

static int by_rows(struct count *k, struct err *e)
{
    bool one_step = k->first_step == k->last_step;
    const int64_t *times = NULL;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < k->c->nby; i++)
        if (k->by[i])
            rc = k->s->ops->rows(k->s, k->by[i], e);
    if (rc == 0)
        rc = event_combine(k->by, k->c->nby, &k->rows, k->s->arena, &k->groups, e);
    if (rc == 0)
        rc = weigh(k, e);
    if (rc == 0 && !one_step)
        rc = load_times(k, &times, e);
    if (rc == 0)
        rc = count_combinations(k, e);
    if (rc == 0)
        rc = find_groups(k, e);
    if (rc < 0)
        return rc;
    add_combinations(k, one_step);
    if (!one_step || k->weights)
        add_rows(k, times);
    return 0;
}

int event_count(const struct event_counting *c, struct event_source *s, struct event_groups *g, struct err *e)
{
    struct count k = { .c = c, .s = s, .g = g };
    size_t which;
    int rc = event_select(&c->rows, s, &k.rows, e);

    if (rc < 0 || k.rows.n == 0)
        return rc;
    find_steps(&k);
    k.by = arena_array(s->arena, c->nby, sizeof(struct event_view *));
    if (!k.by)
        return no_memory(e);
    for (size_t i = 0; rc == 0 && i < c->nby; i++)
        rc = event_open(s, c->by[i], &k.by[i], e);
    if (rc < 0)
        return rc;
    if (!k.rows.rows && k.first_step == k.last_step && c->measure == EVENT_COUNT && one_dictionary(&k, &which))
        return by_dictionary(&k, which, e);
    return by_rows(&k, e);
}
