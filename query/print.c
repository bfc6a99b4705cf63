/* print.c: a tree back to text, in Prometheus' normal form: what it prints parses to the same tree. */
#include "query/function-internal.h"

#include "base/clock.h"

static bool plain_name(struct str s, bool colons)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (colons && c == ':');

        if (!letter && !(i && c >= '0' && c <= '9'))
            return false;
    }
    return s.n > 0;
}

void print_quoted(struct buf *b, struct str s)
{
    bool utf8 = str_is_utf8(s);

    buf_putc(b, '"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (c == '"' || c == '\\')
            buf_printf(b, "\\%c", c);
        else if (c == '\n')
            buf_puts(b, "\\n");
        else if (c == '\r')
            buf_puts(b, "\\r");
        else if (c == '\t')
            buf_puts(b, "\\t");
        else if (c < 0x20 || c == 0x7f || (c >= 0x80 && !utf8))
            buf_printf(b, "\\x%02x", c);
        else
            buf_putc(b, (char)c);
    }
    buf_putc(b, '"');
}

static void print_label(struct buf *b, struct str name)
{
    if (plain_name(name, false))
        buf_str(b, name);
    else
        print_quoted(b, name);
}

void print_label_list(struct buf *b, const struct str *labels, size_t n)
{
    buf_putc(b, '(');
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_puts(b, ", ");
        print_label(b, labels[i]);
    }
    buf_putc(b, ')');
}

static void print_number(struct buf *b, const struct node *n)
{
    char text[CLOCK_TEXT];
    double ms = round(n->number.value * 1000);

    if (!n->number.is_duration) {
        buf_double(b, n->number.value);
        return;
    }
    duration_text(text, (int64_t)fabs(ms));
    if (ms < 0)
        buf_putc(b, '-');
    buf_puts(b, text);
}

void print_duration(struct buf *b, const struct node *n)
{
    struct node copy;
    double ms;

    if (n->kind != NODE_NUMBER) {
        node_print(b, n);
        return;
    }
    copy = *n;
    ms = n->number.value * 1000;
    copy.number.is_duration = ms == round(ms) && fabs(ms) < 9e15 && ms != 0;
    print_number(b, &copy);
}

/* Behind `offset` stands one operand; anything more needs its parentheses, which the tree has already. */
static void print_shift(struct buf *b, const struct shift *s)
{
    if (s->at == AT_TIME)
        buf_printf(b, " @ %.3f", (double)s->at_ms / 1000);
    else if (s->at != AT_NONE)
        buf_puts(b, s->at == AT_START ? " @ start()" : " @ end()");
    if (s->offset) {
        buf_puts(b, " offset ");
        print_duration(b, s->offset);
    }
}

static const char *match_text(enum match_op op)
{
    static const char *const texts[] = { "=", "!=", "=~", "!~" };

    return texts[op];
}

static void print_matchers(struct buf *b, const struct selector *s)
{
    /* Before the braces only what may stand there, and that an operand may be: not `on`, `inf` and their like. */
    bool outside = s->name.n && plain_name(s->name, true);
    size_t first = s->name.n ? 1 : 0, shown = 0;

    if (outside)
        buf_str(b, s->name);
    if (outside && s->n == first)
        return;
    buf_putc(b, '{');
    for (size_t i = first; i < s->n; i++) {
        const struct matcher *m = &s->matchers[i];

        if (shown++)
            buf_putc(b, ',');
        if (m->op == MATCH_EQ && str_eq(m->name, STR("__name__")) && m->value.n) {
            print_quoted(b, m->value);
            continue;
        }
        print_label(b, m->name);
        buf_puts(b, match_text(m->op));
        print_quoted(b, m->value);
    }
    buf_putc(b, '}');
}

static void print_selector(struct buf *b, const struct selector *s)
{
    print_matchers(b, s);
    if (s->range) {
        buf_putc(b, '[');
        print_duration(b, s->range);
        buf_putc(b, ']');
    }
    if (s->extension)
        buf_puts(b, s->extension == EXTEND_ANCHORED ? " anchored" : " smoothed");
    print_shift(b, &s->shift);
}

static void print_subquery(struct buf *b, const struct subquery *s)
{
    node_print(b, s->inner);
    buf_putc(b, '[');
    print_duration(b, s->range);
    buf_putc(b, ':');
    if (s->step)
        print_duration(b, s->step);
    buf_putc(b, ']');
    print_shift(b, &s->shift);
}

static void print_call(struct buf *b, const struct call *c)
{
    if (c->fn->print) {
        c->fn->print(b, c);
        return;
    }
    buf_str(b, c->fn->name);
    buf_putc(b, '(');
    for (size_t i = 0; i < c->n; i++) {
        if (i)
            buf_puts(b, ", ");
        node_print(b, c->args[i]);
    }
    buf_putc(b, ')');
}

static void print_aggregate(struct buf *b, const struct aggregate *agg)
{
    buf_str(b, aggregates[agg->op].name);
    if (agg->without || agg->n) {
        buf_puts(b, agg->without ? " without " : " by ");
        print_label_list(b, agg->labels, agg->n);
        buf_putc(b, ' ');
    }
    buf_putc(b, '(');
    if (agg->param) {
        node_print(b, agg->param);
        buf_puts(b, ", ");
    }
    node_print(b, agg->arg);
    buf_putc(b, ')');
}

static void print_fill(struct buf *b, const char *name, double v)
{
    buf_printf(b, " %s(", name);
    buf_double(b, v);
    buf_putc(b, ')');
}

static void print_matching(struct buf *b, const struct matching *m)
{
    bool same = m->fills_left && m->fills_right && memcmp(&m->fill_left, &m->fill_right, sizeof(double)) == 0;

    if (m->written) {
        buf_puts(b, m->on ? " on " : " ignoring ");
        print_label_list(b, m->labels, m->n);
    }
    if (m->card == MANY_TO_ONE || m->card == ONE_TO_MANY) {
        buf_puts(b, m->card == MANY_TO_ONE ? " group_left " : " group_right ");
        print_label_list(b, m->include, m->ninclude);
    }
    if (same) {
        print_fill(b, "fill", m->fill_left);
        return;
    }
    if (m->fills_left)
        print_fill(b, "fill_left", m->fill_left);
    if (m->fills_right)
        print_fill(b, "fill_right", m->fill_right);
}

static void print_binary(struct buf *b, const struct binary *bin)
{
    /* +Inf ^ x would read as +(Inf ^ x). */
    if (bin->op == OP_POW && bin->l->kind == NODE_NUMBER && isinf(bin->l->number.value))
        buf_puts(b, "Inf");
    else
        node_print(b, bin->l);
    buf_putc(b, ' ');
    buf_str(b, binary_ops[bin->op].text);
    if (bin->returns_bool)
        buf_puts(b, " bool");
    print_matching(b, &bin->matching);
    buf_putc(b, ' ');
    node_print(b, bin->r);
}

void node_print(struct buf *b, const struct node *n)
{
    switch (n->kind) {
    case NODE_NUMBER:
        print_number(b, n);
        return;
    case NODE_STRING:
        print_quoted(b, n->string);
        return;
    case NODE_SELECTOR:
        print_selector(b, &n->selector);
        return;
    case NODE_SUBQUERY:
        print_subquery(b, &n->subquery);
        return;
    case NODE_CALL:
        print_call(b, &n->call);
        return;
    case NODE_AGGREGATE:
        print_aggregate(b, &n->aggregate);
        return;
    case NODE_BINARY:
        print_binary(b, &n->binary);
        return;
    case NODE_UNARY:
        buf_putc(b, n->unary.minus ? '-' : '+');
        node_print(b, n->unary.inner);
        return;
    case NODE_PAREN:
        buf_putc(b, '(');
        node_print(b, n->paren);
        buf_putc(b, ')');
        return;
    case NODE_DERIVED:
        return; /* its function prints it */
    }
}

void promql_print(struct buf *b, const struct promql_expr *x)
{
    node_print(b, x->root);
}
