/* logql_pipeline.c: stages over one row after the other.
 *
 * A row's own labels are its columns and attributes; they are looked up where they are, by fields that are known before
 * the first row. Only what stages make is kept, in a short list that is searched first: most rows of most queries make
 * nothing. */
#include "query/logql_pipeline-internal.h"
#include "query/logql_pattern-internal.h"
#include "query/logql_template-internal.h"
#include "query/logql_value-internal.h"

#include "base/mem.h"

#include <stdlib.h>

enum { SCRATCH_KEPT = 1 << 20, LARGEST_LINE = 4 << 20 };

static const struct str error_name = STR_INIT("__error__"), details_name = STR_INIT("__error_details__");

int pipeline_init(struct pipeline *p, const struct log_query *q, enum event_kind kind,
                  const struct stream_labels *streams, struct arena *a)
{
    struct field *fields = arena_array(a, q->nnames + 1, sizeof(*fields));

    *p = (struct pipeline){ .q = q, .kind = kind, .streams = streams, .fields = fields,
                            .rendered = BUF_INIT(LARGEST_LINE) };
    if (!fields)
        return ERR_NOMEM;
    for (size_t i = 0; i < q->nnames; i++)
        fields[i] = logql_field(kind, q->names[i]);
    p->scratch.budget = a->budget;
    return 0;
}

void pipeline_fini(struct pipeline *p)
{
    arena_free(&p->scratch);
    buf_free(&p->rendered);
    mem_free(p->made);
}

void pipeline_begin(struct pipeline *p, const struct logql_row *row)
{
    if (p->scratch.used > SCRATCH_KEPT)
        arena_free(&p->scratch);
    p->row = row;
    p->has_line = false;
    p->nmade = 0;
    p->error = p->details = STR_NULL;
}

struct str pipeline_copy(struct pipeline *p, struct str s)
{
    return arena_str(&p->scratch, s);
}

struct str pipeline_line(struct pipeline *p)
{
    if (p->has_line)
        return p->line;
    p->has_line = true;
    if (p->kind == EVENT_LOG) {
        p->line = p->row->columns[LOG_body]->s;
    } else {
        buf_reset(&p->rendered);
        logql_line(&p->rendered, p->row);
        p->line = buf_view(&p->rendered);
    }
    return p->line;
}

/* --- labels ------------------------------------------------------------------------------------------------------ */

static struct made_label *find_made(const struct pipeline *p, struct str name)
{
    for (size_t i = 0; i < p->nmade; i++)
        if (str_eq(p->made[i].name, name))
            return &p->made[i];
    return NULL;
}

/* The row's own; numbers are printed into the scratch. */
static struct str own_label(struct pipeline *p, const struct field *f)
{
    char scratch[32];
    struct str s = logql_text(p->row, f, scratch);

    return s.p == scratch ? pipeline_copy(p, s) : s;
}

struct str pipeline_get(struct pipeline *p, struct str name, const struct field *f)
{
    const struct made_label *made = p->nmade ? find_made(p, name) : NULL;

    if (made)
        return made->value;
    if (p->error.n && str_eq(name, error_name))
        return p->error;
    if (p->error.n && str_eq(name, details_name))
        return p->details;
    return own_label(p, f);
}

struct str pipeline_label(struct pipeline *p, size_t index)
{
    return pipeline_get(p, p->q->names[index], &p->fields[index]);
}

void pipeline_fail(struct pipeline *p, struct str error, struct str details)
{
    if (p->error.n)
        return;
    p->error = error;
    p->details = details;
}

static int add_made(struct pipeline *p, struct made_label made)
{
    if (p->nmade == PIPELINE_MOST_LABELS)
        return 0;
    if (mem_grow(&p->made, &p->cap, p->nmade + 1, sizeof(made)) < 0)
        return ERR_NOMEM;
    p->made[p->nmade++] = made;
    return 0;
}

int pipeline_set(struct pipeline *p, struct str name, struct str value)
{
    struct made_label *made = find_made(p, name);

    if (str_eq(name, error_name) && !value.p)
        p->error = STR_NULL;
    if (!made)
        return add_made(p, (struct made_label){ name, value, false });
    made->value = value;
    made->parsed = false;
    return 0;
}

static bool stream_has(struct pipeline *p, struct str name)
{
    char scratch[32];

    for (size_t i = 0; i < p->streams->n; i++)
        if (str_eq(p->streams->v[i].name, name))
            return logql_text(p->row, &p->streams->v[i], scratch).n > 0;
    return false;
}

int pipeline_extract(struct pipeline *p, struct str name, struct str value)
{
    struct made_label *made;

    if (stream_has(p, name)) {
        name = arena_printf(&p->scratch, "%.*s_extracted", STR_ARG(name));
        if (!name.p)
            return ERR_NOMEM;
    }
    made = find_made(p, name);
    if (!made)
        return add_made(p, (struct made_label){ name, value, true });
    if (!made->parsed) {
        made->value = value;
        made->parsed = true;
    }
    return 0;
}

/* --- line filters ------------------------------------------------------------------------------------------------ */

static bool line_has(const struct line_filter *f, const struct line_alternative *alt, struct str line)
{
    switch (f->op) {
    case LINE_REGEX:
        return regex_match(alt->re, line);
    case LINE_PATTERN:
        return pattern_test(alt->pattern, line);
    case LINE_CONTAINS:
        break;
    }
    return alt->is_ip ? ip_found(&alt->ip, line) : str_find(line, alt->text) >= 0;
}

static bool line_passes(struct pipeline *p, const struct line_filter *f)
{
    struct str line = pipeline_line(p);
    bool found = false;

    for (size_t i = 0; i < f->n && !found; i++)
        found = line_has(f, &f->any[i], line);
    return found != f->negative;
}

/* --- label filters ----------------------------------------------------------------------------------------------- */

static const struct str filter_error = STR_INIT("LabelFilterErr");

/* A number column that no stage has touched needs no text. */
static bool plain_number(struct pipeline *p, const struct predicate *pr, int64_t *v)
{
    const struct field *f = &p->fields[pr->label];

    return pr->measure != MEASURE_DURATION && logql_is_number(p->kind, f) && p->row->columns[f->column] &&
           !(p->nmade && find_made(p, p->q->names[pr->label])) && logql_number(p->row, f->column, v);
}

/* As Loki has it: a label that is not there filters the line out; one that cannot be read marks it, and marked lines
 * pass. */
static bool number_holds(struct pipeline *p, const struct predicate *pr)
{
    struct str text;
    int64_t whole;
    double v;

    if (p->error.n)
        return true;
    if (plain_number(p, pr, &whole))
        return logql_compare(pr->op, (double)whole, pr->value);
    text = pipeline_label(p, pr->label);
    if (text.n == 0)
        return false;
    if (logql_measure(text, pr->measure, &v))
        return logql_compare(pr->op, v, pr->value);
    pipeline_fail(p, filter_error, arena_printf(&p->scratch, "%.*s=\"%.*s\" is no number of that kind",
                                                STR_ARG(p->q->names[pr->label]), (int)(text.n > 200 ? 200 : text.n),
                                                text.p));
    return true;
}

static bool holds(struct pipeline *p, const struct predicate *pr)
{
    struct str text;

    switch (pr->kind) {
    case PREDICATE_AND:
        return holds(p, pr->l) && holds(p, pr->r);
    case PREDICATE_OR:
        return holds(p, pr->l) || holds(p, pr->r);
    case PREDICATE_TEXT:
        return matcher_match(&pr->text, pipeline_label(p, pr->label));
    case PREDICATE_NUMBER:
        return number_holds(p, pr);
    case PREDICATE_IP:
        text = pipeline_label(p, pr->label);
        return text.n && ip_matches(&pr->ip, text) == (pr->op == EVENT_EQ);
    }
    return false;
}

/* --- formats ----------------------------------------------------------------------------------------------------- */

static struct str label_for(void *arg, size_t index)
{
    return pipeline_label(arg, index);
}

/* The template's text in the scratch. What it cannot do marks the row, and *out is as it was. */
static int run_template(struct pipeline *p, const struct template *t, struct str *out)
{
    struct template_row row = { label_for, p, pipeline_line(p), p->row->time_ns, &p->scratch };
    struct buf b = BUF_INIT(LARGEST_LINE);
    struct err e = ERR_INIT;
    int rc = template_run(t, &row, &b, &e);

    if (rc == 0 && !buf_failed(&b))
        *out = pipeline_copy(p, buf_view(&b));
    else if (rc == ERR_INVALID)
        pipeline_fail(p, STR("TemplateFormatErr"), pipeline_copy(p, str_of(e.msg)));
    rc = rc == ERR_INVALID ? 0 : rc < 0 || buf_failed(&b) || !out->p ? ERR_NOMEM : 0;
    buf_free(&b);
    return rc;
}

static int format_line(struct pipeline *p, const struct template *t)
{
    struct str line = pipeline_line(p);
    int rc;

    line = line.p ? line : STR("");
    rc = run_template(p, t, &line);
    p->line = line;
    return rc;
}

static int format_label(struct pipeline *p, const struct label_format *f)
{
    struct str value = STR("");
    int rc;

    if (f->text) {
        rc = run_template(p, f->text, &value);
        return rc < 0 ? rc : pipeline_set(p, f->name, value);
    }
    value = pipeline_label(p, f->from);
    if (value.n == 0)
        return 0;
    rc = pipeline_set(p, f->name, value);
    if (rc == 0 && !str_eq(f->name, p->q->names[f->from]))
        rc = pipeline_set(p, p->q->names[f->from], STR_NULL);
    return rc;
}

/* --- drop and keep ----------------------------------------------------------------------------------------------- */

/* The present value of a label that is no name of the query's. */
static struct str value_of(struct pipeline *p, struct str name)
{
    struct field f = logql_field(p->kind, name);

    return pipeline_get(p, name, &f);
}

static bool chosen(const struct label_choice *c, struct str name, struct str value)
{
    return str_eq(c->name, name) && (!c->matches || matcher_match(&c->text, value));
}

static int drop(struct pipeline *p, const struct label_choice *v, size_t n)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < n; i++)
        if (!v[i].matches || matcher_match(&v[i].text, value_of(p, v[i].name)))
            rc = pipeline_set(p, v[i].name, STR_NULL);
    return rc;
}

/* Takes away those of `l` that nobody has chosen. */
static int keep_of(struct pipeline *p, struct labels l, const struct label_choice *v, size_t n)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < l.n; i++) {
        bool any = str_starts(l.v[i].name, STR("__")); /* Loki's own marks stay */

        for (size_t k = 0; k < n && !any; k++)
            any = chosen(&v[k], l.v[i].name, l.v[i].value);
        if (!any)
            rc = pipeline_set(p, l.v[i].name, STR_NULL);
    }
    return rc;
}

static int keep(struct pipeline *p, const struct label_choice *v, size_t n)
{
    struct labels all[] = { pipeline_stream(p, &p->scratch), pipeline_metadata(p, &p->scratch),
                            pipeline_parsed(p, &p->scratch) };
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < 3; i++)
        rc = all[i].v ? keep_of(p, all[i], v, n) : ERR_NOMEM;
    return rc;
}

/* --- stages ------------------------------------------------------------------------------------------------------ */

static int run_stage(struct pipeline *p, const struct stage *st)
{
    int rc = 0;

    switch (st->kind) {
    case STAGE_LINE:
        return line_passes(p, &st->line);
    case STAGE_LABEL:
        return holds(p, st->label);
    case STAGE_JSON:
        rc = extract_json(p, &st->extract);
        break;
    case STAGE_LOGFMT:
        rc = extract_logfmt(p, &st->extract);
        break;
    case STAGE_PATTERN:
        rc = extract_pattern(p, st->pattern);
        break;
    case STAGE_REGEXP:
        rc = extract_regexp(p, &st->regexp);
        break;
    case STAGE_UNPACK:
        rc = extract_unpack(p);
        break;
    case STAGE_DECOLORIZE:
        rc = extract_decolorize(p);
        break;
    case STAGE_LINE_FORMAT:
        rc = format_line(p, st->line_format);
        break;
    case STAGE_LABEL_FORMAT:
        for (size_t i = 0; rc == 0 && i < st->label_format.n; i++)
            rc = format_label(p, &st->label_format.v[i]);
        break;
    case STAGE_DROP:
        rc = drop(p, st->labels.v, st->labels.n);
        break;
    case STAGE_KEEP:
        rc = keep(p, st->labels.v, st->labels.n);
        break;
    }
    return rc < 0 ? rc : 1;
}

int pipeline_run(struct pipeline *p, size_t from, size_t to)
{
    int rc = 1;

    for (size_t i = from; rc == 1 && i < to; i++)
        rc = run_stage(p, &p->q->stages[i]);
    return rc == 1 && buf_failed(&p->rendered) ? ERR_NOMEM : rc;
}

/* --- what is left ------------------------------------------------------------------------------------------------ */

static int by_name(const void *a, const void *b)
{
    return str_cmp(((const struct label *)a)->name, ((const struct label *)b)->name);
}

struct labels pipeline_stream(struct pipeline *p, struct arena *a)
{
    struct label *v = arena_array(a, p->streams->n + 1, sizeof(*v));
    size_t n = 0;

    if (!v)
        return (struct labels){ NULL, 0 };
    for (size_t i = 0; i < p->streams->n; i++) {
        struct str value = p->nmade && find_made(p, p->streams->v[i].name) ? STR_NULL : own_label(p, &p->streams->v[i]);

        if (value.n)
            v[n++] = (struct label){ p->streams->v[i].name, value };
    }
    return (struct labels){ v, n };
}

struct labels pipeline_metadata(struct pipeline *p, struct arena *a)
{
    struct labels l = logql_metadata(p->row, p->streams, a);
    struct label *v = (struct label *)(uintptr_t)l.v;
    size_t n = 0;

    if (!v || p->nmade == 0)
        return l;
    for (size_t i = 0; i < l.n; i++)
        if (!find_made(p, l.v[i].name))
            v[n++] = l.v[i];
    return (struct labels){ v, n };
}

struct labels pipeline_parsed(struct pipeline *p, struct arena *a)
{
    struct label *v = arena_array(a, p->nmade + 3, sizeof(*v));
    size_t n = 0;

    if (!v)
        return (struct labels){ NULL, 0 };
    for (size_t i = 0; i < p->nmade; i++)
        if (p->made[i].value.n)
            v[n++] = (struct label){ p->made[i].name, p->made[i].value };
    if (p->error.n && !find_made(p, error_name))
        v[n++] = (struct label){ error_name, p->error };
    if (p->error.n && p->details.n && !find_made(p, details_name))
        v[n++] = (struct label){ details_name, p->details };
    if (n > 1)
        qsort(v, n, sizeof(*v), by_name);
    return (struct labels){ v, n };
}
