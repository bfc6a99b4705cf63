/* logql_print.c: a query back to text; what it prints parses to the same query. */
#include "query/function-internal.h"
#include "query/logql_pattern-internal.h"
#include "query/logql_template-internal.h"

static void print_matcher(struct buf *b, const struct matcher *m)
{
    static const char *const ops[] = { "=", "!=", "=~", "!~" };

    buf_str(b, m->name);
    buf_puts(b, ops[m->op]);
    print_quoted(b, m->value);
}

static void print_line_filter(struct buf *b, const struct line_filter *f)
{
    static const char *const ops[][2] = { [LINE_CONTAINS] = { "|=", "!=" }, [LINE_REGEX] = { "|~", "!~" },
                                          [LINE_PATTERN] = { "|>", "!>" } };

    buf_printf(b, " %s", ops[f->op][f->negative]);
    for (size_t i = 0; i < f->n; i++) {
        buf_puts(b, i ? " or " : " ");
        buf_puts(b, f->any[i].is_ip ? "ip(" : "");
        print_quoted(b, f->any[i].text);
        buf_puts(b, f->any[i].is_ip ? ")" : "");
    }
}

static const char *number_op(enum event_op op)
{
    static const char *const ops[] = { [EVENT_EQ] = "==", [EVENT_NE] = "!=", [EVENT_LT] = "<", [EVENT_LE] = "<=",
                                       [EVENT_GT] = ">",  [EVENT_GE] = ">=" };

    return ops[op];
}

/* `names`: the query's. */
static void print_predicate(struct buf *b, const struct predicate *p, const struct str *names)
{
    switch (p->kind) {
    case PREDICATE_AND:
    case PREDICATE_OR:
        buf_puts(b, "(");
        print_predicate(b, p->l, names);
        buf_puts(b, p->kind == PREDICATE_AND ? " and " : " or ");
        print_predicate(b, p->r, names);
        buf_puts(b, ")");
        return;
    case PREDICATE_TEXT:
        print_matcher(b, &p->text);
        return;
    case PREDICATE_NUMBER:
        buf_printf(b, "%.*s%s%.*s", STR_ARG(names[p->label]), number_op(p->op), STR_ARG(p->literal));
        return;
    case PREDICATE_IP:
        buf_printf(b, "%.*s%sip(", STR_ARG(names[p->label]), p->op == EVENT_EQ ? "=" : "!=");
        print_quoted(b, p->ip.text);
        buf_puts(b, ")");
        return;
    }
}

static void print_extractor(struct buf *b, const struct extractor *x)
{
    buf_puts(b, x->strict ? " --strict" : "");
    buf_puts(b, x->keep_empty ? " --keep-empty" : "");
    for (size_t i = 0; i < x->n; i++) {
        buf_printf(b, "%s%.*s=", i ? ", " : " ", STR_ARG(x->v[i].name));
        print_quoted(b, x->v[i].path);
    }
}

static void print_label_formats(struct buf *b, const struct stage *st, const struct str *names)
{
    for (size_t i = 0; i < st->label_format.n; i++) {
        const struct label_format *f = &st->label_format.v[i];

        buf_printf(b, "%s%.*s=", i ? ", " : " ", STR_ARG(f->name));
        if (f->text)
            print_quoted(b, template_text(f->text));
        else
            buf_str(b, names[f->from]);
    }
}

static void print_choices(struct buf *b, const struct stage *st)
{
    for (size_t i = 0; i < st->labels.n; i++) {
        buf_puts(b, i ? ", " : " ");
        if (st->labels.v[i].matches)
            print_matcher(b, &st->labels.v[i].text);
        else
            buf_str(b, st->labels.v[i].name);
    }
}

static void print_text(struct buf *b, struct str text)
{
    buf_putc(b, ' ');
    print_quoted(b, text);
}

static void print_stage(struct buf *b, const struct stage *st, const struct str *names)
{
    static const char *const words[] = {
        [STAGE_LINE] = "", [STAGE_LABEL] = "", [STAGE_JSON] = "json", [STAGE_LOGFMT] = "logfmt",
        [STAGE_PATTERN] = "pattern", [STAGE_REGEXP] = "regexp", [STAGE_UNPACK] = "unpack",
        [STAGE_DECOLORIZE] = "decolorize", [STAGE_LINE_FORMAT] = "line_format", [STAGE_LABEL_FORMAT] = "label_format",
        [STAGE_DROP] = "drop", [STAGE_KEEP] = "keep",
    };

    if (st->kind == STAGE_LINE) {
        print_line_filter(b, &st->line);
        return;
    }
    buf_printf(b, " | %s", words[st->kind]);
    switch (st->kind) {
    case STAGE_LABEL:
        print_predicate(b, st->label, names);
        return;
    case STAGE_JSON:
    case STAGE_LOGFMT:
        print_extractor(b, &st->extract);
        return;
    case STAGE_PATTERN:
        print_text(b, st->pattern->text);
        return;
    case STAGE_REGEXP:
        print_text(b, st->regexp.text);
        return;
    case STAGE_LINE_FORMAT:
        print_text(b, template_text(st->line_format));
        return;
    case STAGE_LABEL_FORMAT:
        print_label_formats(b, st, names);
        return;
    case STAGE_DROP:
    case STAGE_KEEP:
        print_choices(b, st);
        return;
    case STAGE_LINE:
    case STAGE_UNPACK:
    case STAGE_DECOLORIZE:
        return;
    }
}

static void print_stages(struct buf *b, const struct log_query *q, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        print_stage(b, &q->stages[i], q->names);
}

static void print_streams(struct buf *b, const struct log_query *q)
{
    buf_putc(b, '{');
    for (size_t i = 0; i < q->nmatchers; i++) {
        buf_puts(b, i ? ", " : "");
        print_matcher(b, &q->matchers[i]);
    }
    buf_putc(b, '}');
}

void log_query_print(struct buf *b, const struct log_query *q)
{
    print_streams(b, q);
    print_stages(b, q, 0, q->nstages);
}

static void print_range(struct buf *b, const struct log_range *r)
{
    print_streams(b, &r->query);
    print_stages(b, &r->query, 0, r->before);
    if (r->counted == COUNT_VALUES) {
        static const char *const words[] = { [MEASURE_NUMBER] = "", [MEASURE_DURATION] = "duration(",
                                             [MEASURE_BYTES] = "bytes(" };

        buf_printf(b, " | unwrap %s%.*s%s", words[r->conversion], STR_ARG(r->query.names[r->unwrapped]),
                   r->conversion == MEASURE_NUMBER ? "" : ")");
    }
    print_stages(b, &r->query, r->before, r->query.nstages);
    buf_puts(b, " [");
    print_duration(b, r->range);
    buf_putc(b, ']');
    if (r->offset) {
        buf_puts(b, " offset ");
        print_duration(b, r->offset);
    }
}

void log_call_print(struct buf *b, const struct call *c)
{
    const struct log_range *r = c->args[c->n - 1]->derived.what;

    buf_str(b, c->fn->name);
    buf_putc(b, '(');
    if (c->n == 2) {
        node_print(b, c->args[0]);
        buf_puts(b, ", ");
    }
    print_range(b, r);
    buf_putc(b, ')');
    if (r->grouped) {
        buf_puts(b, r->without ? " without " : " by ");
        print_label_list(b, r->labels, r->n);
    }
}

void logql_print(struct buf *b, const struct logql_expr *x)
{
    if (x->lines)
        log_query_print(b, x->lines);
    else
        node_print(b, x->metric.root);
}
