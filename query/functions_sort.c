/* functions_sort.c: sort, sort_desc and their like by label. */
#include "query/function-internal.h"

#include <stdlib.h>

struct sort_by {
    bool desc;
    const struct call *labels; /* NULL: by value */
};

static int cmp_values(double x, double y, bool desc)
{
    if (isnan(x) || isnan(y))
        return !!isnan(x) - !!isnan(y);
    return desc ? (x < y) - (x > y) : (x > y) - (x < y);
}

/* The length of the run of digits, or of others, at the start. */
static size_t run_length(struct str s, bool digits)
{
    size_t n = 0;

    while (n < s.n && (s.p[n] >= '0' && s.p[n] <= '9') == digits)
        n++;
    return n;
}

/* Numbers inside the texts compare as numbers: "pod-9" before "pod-10". */
static int cmp_natural(struct str x, struct str y)
{
    while (x.n && y.n) {
        bool xd = *x.p >= '0' && *x.p <= '9', yd = *y.p >= '0' && *y.p <= '9';
        struct str xr = { x.p, run_length(x, xd) }, yr = { y.p, run_length(y, yd) };
        int c;

        x = str_from(x, xr.n);
        y = str_from(y, yr.n);
        while (xd && yd && xr.n && *xr.p == '0')
            xr = str_from(xr, 1);
        while (xd && yd && yr.n && *yr.p == '0')
            yr = str_from(yr, 1);
        c = xd && yd && xr.n != yr.n ? (xr.n > yr.n) - (xr.n < yr.n) : str_cmp(xr, yr);
        if (c)
            return c;
    }
    return (x.n > 0) - (y.n > 0);
}

static int cmp_rows(const void *a, const void *b, void *arg)
{
    const struct row *x = a, *y = b;
    const struct sort_by *by = arg;
    int c = 0;

    if (!by->labels) {
        c = cmp_values(x->v[0], y->v[0], by->desc);
        return c ? c : labels_order(x->labels, y->labels);
    }
    for (size_t i = 1; i < by->labels->n && c == 0; i++)
        c = cmp_natural(labels_get(x->labels, call_text(by->labels, i)),
                        labels_get(y->labels, call_text(by->labels, i)));
    if (c == 0)
        c = labels_order(x->labels, y->labels);
    return by->desc ? -c : c;
}

/* Only an instant query's answer has an order of its own. */
static int sorted(struct eval *ev, const struct grid *g, const struct node *n, struct sort_by by, struct stream **out)
{
    struct rows rows;
    int rc = eval_collect_node(ev, g, n->call.args[0], &rows);
    bool outer = g->start == ev->window.start_ms && g->step == ev->window.step_ms;

    if (g->n > 1 || (outer && ev->window.end_ms != ev->window.start_ms))
        annotate_warning(ev, n, "sort is ineffective for range queries since results are always ordered by labels");
    if (rc == 0 && g->n == 1 && rows.n > 1)
        qsort_r(rows.v, rows.n, sizeof(*rows.v), cmp_rows, &by);
    return rc < 0 ? rc : eval_replay(ev, g, rows, out);
}

int fn_sort(struct eval *ev, const struct grid *g, const struct node *n, struct stream **out)
{
    return sorted(ev, g, n, (struct sort_by){ false, NULL }, out);
}

int fn_sort_desc(struct eval *ev, const struct grid *g, const struct node *n, struct stream **out)
{
    return sorted(ev, g, n, (struct sort_by){ true, NULL }, out);
}

int fn_sort_by_label(struct eval *ev, const struct grid *g, const struct node *n, struct stream **out)
{
    return sorted(ev, g, n, (struct sort_by){ false, &n->call }, out);
}

int fn_sort_by_label_desc(struct eval *ev, const struct grid *g, const struct node *n, struct stream **out)
{
    return sorted(ev, g, n, (struct sort_by){ true, &n->call }, out);
}
