/* event_select.c: from conditions to rows, the cheapest first.
 *
 * The conditions are tried together, stage by stage: before the first byte of a row is read, every condition had its
 * chance to say that no row holds (event_prune.c). What is left looks at rows, and only at those that the conditions
 * before it have left over; so the order is by what a look costs: codes, numbers, ids, texts, patterns in texts. */
#include "store/event_select-internal.h"

#include "store/event_condition-internal.h"

#include <stdlib.h>

/* A condition that is not decided for the source as a whole. */
struct open_question {
    const struct event_condition *c;
    const struct event_summary *summary;
    struct event_view *view;
    bool *holds; /* of a dictionary's values; NULL without one */
};

struct questions {
    struct open_question *v;
    size_t n;
};

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, "no memory to select events");
}

static int keep_needles(const struct event_query *q, struct arena *a, struct event_wanted *out, struct err *e)
{
    struct event_needle *kept = arena_array(a, q->nneedles, sizeof(*kept));

    if (!kept)
        return no_memory(e);
    for (size_t i = 0; i < q->nneedles; i++) {
        kept[i] = q->needles[i];
        kept[i].text = arena_str(a, kept[i].text);
        kept[i].attribute = arena_str(a, kept[i].attribute);
        if (!kept[i].text.p || !kept[i].attribute.p)
            return no_memory(e);
    }
    out->needles = kept;
    out->nneedles = q->nneedles;
    return 0;
}

int event_wanted_make(const struct event_query *q, struct arena *a, struct event_wanted *out, struct err *e)
{
    struct event_condition *kept = arena_array(a, q->n, sizeof(*kept));
    int rc = 0;

    if (!kept)
        return no_memory(e);
    for (size_t i = 0; rc == 0 && i < q->n; i++) {
        bool by_text = event_condition_by_text(q->kind, &q->conditions[i]);

        rc = event_condition_check(q->kind, &q->conditions[i], e);
        if (rc < 0)
            break;
        kept[i] = q->conditions[i];
        kept[i].attribute = arena_str(a, kept[i].attribute);
        if (by_text)
            kept[i].value.s = arena_str(a, kept[i].value.s);
        if (!kept[i].attribute.p || (by_text && !kept[i].value.s.p))
            rc = no_memory(e);
    }
    *out = (struct event_wanted){ .kind = q->kind, .from_ns = q->from_ns, .to_ns = q->to_ns, .conditions = kept, .n = q->n };
    return rc < 0 ? rc : keep_needles(q, a, out, e);
}

static struct event_field field_of(const struct event_condition *c)
{
    return (struct event_field){ c->column, c->attribute };
}

static struct str name_of(enum event_kind kind, struct event_field f)
{
    return f.column < 0 ? f.attribute : event_tables[kind].columns[f.column].name;
}

static int check_type(const struct event_source *s, struct event_field f, bool is_text, struct err *e)
{
    bool should = f.column < 0 || event_tables[s->kind].columns[f.column].is_text;

    if (is_text == should)
        return 0;
    return err_set(e, ERR_CORRUPT, "column %.*s: stored as %s, should be %s", STR_ARG(name_of(s->kind, f)),
                   is_text ? "texts" : "numbers", should ? "texts" : "numbers");
}

int event_open(struct event_source *s, struct event_field f, struct event_view **v, struct err *e)
{
    int rc = s->ops->open(s, f, v, e);

    return rc == 0 && *v ? check_type(s, f, (*v)->is_text, e) : rc;
}

int event_load(struct event_source *s, struct event_field f, struct event_view **v, struct err *e)
{
    int rc = event_open(s, f, v, e);

    return rc == 0 && *v ? s->ops->rows(s, *v, e) : rc;
}

/* --- the source as a whole ---------------------------------------------------------------------------------------- */

static int ask_summaries(const struct event_wanted *w, struct event_source *s, struct questions *qs,
                         enum event_verdict *out, struct err *e)
{
    *out = EVENT_EVERY_ROW;
    for (size_t i = 0; i < w->n; i++) {
        const struct event_condition *c = &w->conditions[i];
        const struct event_summary *summary = s->ops->summary(s, field_of(c));
        enum event_verdict v;

        if (summary && check_type(s, field_of(c), summary->is_text, e) < 0)
            return ERR_CORRUPT;
        v = event_prune_summary(s->kind, c, summary);
        if (v == EVENT_SOME_ROWS)
            qs->v[qs->n++] = (struct open_question){ .c = c, .summary = summary };
        if (v < *out)
            *out = v;
        if (v == EVENT_NO_ROW)
            break;
    }
    return 0;
}

static int ask_filters(struct event_source *s, const struct questions *qs, enum event_verdict *out, struct err *e)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < qs->n && *out != EVENT_NO_ROW; i++)
        rc = event_prune_filter(qs->v[i].c, qs->v[i].summary, s, out, e);
    return rc;
}

/* By the column's distinct values; without a column, its rows are unset. */
static int ask_values(struct event_source *s, struct open_question *q, enum event_verdict *out, struct err *e)
{
    *out = EVENT_SOME_ROWS;
    if (!q->view) {
        *out = event_prune_summary(s->kind, q->c, NULL);
    } else if (q->view->form == EVENT_FORM_CONST || q->view->form == EVENT_FORM_DICT) {
        q->holds = arena_array(s->arena, q->view->distinct + 1, sizeof(*q->holds));
        if (!q->holds)
            return no_memory(e);
        *out = event_prune_values(q->c, q->view, q->holds);
    }
    return 0;
}

/* Opens what has distinct values; questions that these answer are dropped. */
static int ask_dictionaries(struct event_source *s, struct questions *qs, enum event_verdict *out, struct err *e)
{
    size_t left = 0;

    for (size_t i = 0; i < qs->n; i++) {
        struct open_question *q = &qs->v[i];
        enum event_verdict v = EVENT_SOME_ROWS;
        enum event_form form = q->summary->form;

        if (form == EVENT_FORM_CONST || form == EVENT_FORM_DICT) {
            int rc = event_open(s, field_of(q->c), &q->view, e);

            rc = rc == 0 ? ask_values(s, q, &v, e) : rc;
            if (rc < 0)
                return rc;
        }
        if (v == EVENT_NO_ROW) {
            *out = v;
            return 0;
        }
        if (v == EVENT_SOME_ROWS)
            qs->v[left++] = *q;
    }
    qs->n = left;
    return 0;
}

/* --- its rows ----------------------------------------------------------------------------------------------------- */

static int cost(const struct open_question *q)
{
    bool equal = q->c->op == EVENT_EQ || q->c->op == EVENT_NE;

    switch (q->summary->form) {
    case EVENT_FORM_CONST:
    case EVENT_FORM_DICT:
        return 0;
    case EVENT_FORM_INTS:
        return 1;
    case EVENT_FORM_IDS:
        return equal ? 2 : 4;
    case EVENT_FORM_TEXTS:
        break;
    }
    return equal ? 3 : q->c->op == EVENT_CONTAINS || q->c->op == EVENT_LACKS ? 5 : 6;
}

static int by_cost(const void *a, const void *b)
{
    const struct open_question *x = a, *y = b;
    int order = cost(x) - cost(y);

    return order ? order : (x->c > y->c) - (x->c < y->c);
}

/* All rows, or those in the range of time when some are not. */
static int begin(const struct event_wanted *w, struct event_source *s, struct event_selection *out, struct err *e)
{
    const int64_t *times;
    size_t n = 0;
    int rc;

    *out = (struct event_selection){ s->n, NULL };
    if (s->first_ns >= w->from_ns && s->last_ns < w->to_ns)
        return 0;
    out->rows = arena_alloc(s->arena, s->n * sizeof(*out->rows));
    rc = out->rows ? s->ops->times(s, &times, e) : no_memory(e);
    for (size_t i = 0; rc == 0 && i < s->n; i++) {
        out->rows[n] = (uint32_t)i;
        n += times[i] >= w->from_ns && times[i] < w->to_ns;
    }
    out->n = n;
    return rc;
}

/* Only now it may turn out that an attribute is not there, or what its form is: when it stands among the others of a row,
 * not in a column of its own. */
static int narrow(struct event_source *s, struct open_question *q, struct event_selection *out, struct err *e)
{
    enum event_verdict v = EVENT_SOME_ROWS;
    int rc = 0;

    if (q->view) {
        rc = s->ops->rows(s, q->view, e);
    } else {
        rc = event_load(s, field_of(q->c), &q->view, e);
        rc = rc == 0 ? ask_values(s, q, &v, e) : rc;
    }
    if (rc < 0 || v == EVENT_EVERY_ROW)
        return rc;
    if (v == EVENT_SOME_ROWS)
        return event_scan_rows(q->c, q->holds, q->view, s->arena, out, e);
    out->n = 0;
    return 0;
}

int event_select(const struct event_wanted *w, struct event_source *s, struct event_selection *out, struct err *e)
{
    struct questions qs = { arena_array(s->arena, w->n, sizeof(*qs.v)), 0 };
    enum event_verdict v;
    int rc;

    *out = (struct event_selection){ 0, NULL };
    if (s->last_ns < w->from_ns || s->first_ns >= w->to_ns)
        return 0;
    if (!qs.v)
        return no_memory(e);
    rc = ask_summaries(w, s, &qs, &v, e);
    if (rc == 0 && v != EVENT_NO_ROW)
        rc = ask_filters(s, &qs, &v, e);
    if (rc == 0 && v != EVENT_NO_ROW)
        rc = ask_dictionaries(s, &qs, &v, e);
    if (rc < 0 || v == EVENT_NO_ROW)
        return rc;
    qsort(qs.v, qs.n, sizeof(*qs.v), by_cost);
    rc = begin(w, s, out, e);
    for (size_t i = 0; rc == 0 && i < qs.n && out->n; i++)
        rc = narrow(s, &qs.v[i], out, e);
    for (size_t i = 0; rc == 0 && i < w->nneedles && out->n; i++)
        rc = event_needle_narrow(&w->needles[i], w, s, out, e);
    return rc;
}
