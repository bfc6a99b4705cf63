/* functions_time.c: dates in UTC, and the functions that know when the query runs. */
#include "query/function-internal.h"

#include <time.h>

/* False for what is no date: NaN, infinities, years that do not fit. */
static bool date(double v, struct tm *tm)
{
    time_t t;

    if (!(fabs(v) < 6e16))
        return false;
    t = (time_t)v;
    return gmtime_r(&t, tm) != NULL;
}

#define DATE_PART(name, expression)                                                                                    \
    bool fn_##name(double v, const double *args, double *out)                                                          \
    {                                                                                                                  \
        struct tm tm;                                                                                                  \
                                                                                                                       \
        (void)args;                                                                                                    \
        *out = date(v, &tm) ? (expression) : NAN;                                                                      \
        return true;                                                                                                   \
    }

static int month_days(const struct tm *tm)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    int year = tm->tm_year + 1900;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return days[tm->tm_mon] + (tm->tm_mon == 1 && leap);
}

DATE_PART(minute, tm.tm_min)
DATE_PART(hour, tm.tm_hour)
DATE_PART(day_of_week, tm.tm_wday)
DATE_PART(day_of_month, tm.tm_mday)
DATE_PART(day_of_year, tm.tm_yday + 1)
DATE_PART(days_in_month, month_days(&tm))
DATE_PART(month, tm.tm_mon + 1)
DATE_PART(year, (double)tm.tm_year + 1900)

static int fill(const struct grid *g, double v, double *out)
{
    for (size_t i = 0; i < g->n; i++)
        out[i] = v;
    return 0;
}

int fn_time(struct eval *ev, const struct grid *g, const struct call *c, double *out)
{
    (void)ev;
    (void)c;
    for (size_t i = 0; i < g->n; i++)
        out[i] = (double)grid_time(g, i) / 1000;
    return 0;
}

int fn_pi(struct eval *ev, const struct grid *g, const struct call *c, double *out)
{
    (void)ev;
    (void)c;
    return fill(g, M_PI, out);
}

int fn_start(struct eval *ev, const struct grid *g, const struct call *c, double *out)
{
    (void)c;
    return fill(g, (double)ev->window.start_ms / 1000, out);
}

int fn_end(struct eval *ev, const struct grid *g, const struct call *c, double *out)
{
    (void)c;
    return fill(g, (double)ev->window.end_ms / 1000, out);
}

int fn_range(struct eval *ev, const struct grid *g, const struct call *c, double *out)
{
    (void)c;
    return fill(g, (double)(ev->window.end_ms - ev->window.start_ms) / 1000, out);
}

int fn_step(struct eval *ev, const struct grid *g, const struct call *c, double *out)
{
    (void)c;
    return fill(g, (double)ev->window.step_ms / 1000, out);
}

static int of_two(struct eval *ev, const struct grid *g, const struct call *c, bool max, double *out)
{
    double *r = eval_values(ev, g);
    int rc = r ? eval_scalar(ev, g, c->args[0], out) : ERR_NOMEM;

    if (rc == 0)
        rc = eval_scalar(ev, g, c->args[1], r);
    for (size_t i = 0; rc == 0 && i < g->n; i++)
        out[i] = max ? larger_of(out[i], r[i]) : smaller_of(out[i], r[i]);
    return rc;
}

int fn_max_of(struct eval *ev, const struct grid *g, const struct call *c, double *out)
{
    return of_two(ev, g, c, true, out);
}

int fn_min_of(struct eval *ev, const struct grid *g, const struct call *c, double *out)
{
    return of_two(ev, g, c, false, out);
}

/* The value where exactly one series has one, else NaN. */
int fn_scalar(struct eval *ev, const struct grid *g, const struct call *c, double *out)
{
    uint8_t *seen = arena_array(ev->a, g->n, 1);
    struct stream *in;
    struct row row;
    int rc = seen ? eval_open(ev, g, c->args[0], &in) : eval_nomem(ev);

    if (rc < 0)
        return rc;
    fill(g, NAN, out);
    while ((rc = in->next(in, &row)) > 0)
        for (size_t i = 0; i < g->n; i++)
            if (!is_absent(row.v[i])) {
                out[i] = seen[i] ? NAN : row.v[i];
                seen[i] = 1;
            }
    return rc;
}

int fn_vector(struct eval *ev, const struct grid *g, const struct node *n, struct stream **out)
{
    struct row row = { { NULL, 0 }, false, eval_values(ev, g) };
    struct rows rows = { 0 };
    int rc;

    if (!row.v || arena_grow(ev->a, &rows.v, &rows.cap, 1, sizeof(row)) < 0)
        return eval_nomem(ev);
    rc = eval_scalar(ev, g, n->call.args[0], row.v);
    rows.v[rows.n++] = row;
    return rc < 0 ? rc : eval_replay(ev, g, rows, out);
}

struct stamps {
    struct stream s;
    struct stream *in;
    struct grid g;
    bool given; /* the rows hold times already */
};

static int next_stamps(struct stream *s, struct row *row)
{
    struct stamps *x = (struct stamps *)s;
    int rc = x->in->next(x->in, row);

    if (rc <= 0)
        return rc;
    row->drop_name = true;
    for (size_t i = 0; !x->given && i < x->g.n; i++)
        if (!is_absent(row->v[i]))
            row->v[i] = (double)grid_time(&x->g, i) / 1000;
    return 1;
}

/* Only a selector knows when its samples were taken; any other vector's are of the step. */
int fn_timestamp(struct eval *ev, const struct grid *g, const struct node *n, struct stream **out)
{
    const struct node *arg = node_strip(n->call.args[0]);
    struct stamps *x = ARENA_NEW(ev->a, struct stamps);

    if (!x)
        return eval_nomem(ev);
    x->s.next = next_stamps;
    x->g = *g;
    x->given = arg->kind == NODE_SELECTOR;
    *out = &x->s;
    return x->given ? selector_open(ev, g, arg, true, &x->in) : eval_open(ev, g, arg, &x->in);
}
