/* binary.c: operators between numbers, and between a vector and a number. */
#include "query/eval-internal.h"

double binary_arithmetic(enum binary_op op, double l, double r)
{
    switch (op) {
    case OP_ADD:
        return l + r;
    case OP_SUB:
        return l - r;
    case OP_MUL:
        return l * r;
    case OP_DIV:
        return l / r;
    case OP_MOD:
        return fmod(l, r);
    case OP_ATAN2:
        return atan2(l, r);
    case OP_POW:
        return pow(l, r);
    default:
        return ABSENT; /* trimming is of native histograms only */
    }
}

static bool compare(enum binary_op op, double l, double r)
{
    switch (op) {
    case OP_EQ:
        return l == r;
    case OP_NE:
        return l != r;
    case OP_LE:
        return l <= r;
    case OP_LT:
        return l < r;
    case OP_GE:
        return l >= r;
    default:
        return l > r;
    }
}

double binary_apply(const struct binary *b, double l, double r, double kept)
{
    if (!binary_ops[b->op].is_comparison)
        return binary_arithmetic(b->op, l, r);
    if (b->returns_bool)
        return compare(b->op, l, r);
    return compare(b->op, l, r) ? kept : ABSENT;
}

/* Histograms can be trimmed; there are none here, and a float cannot. */
void annotate_types(struct eval *ev, const struct node *n)
{
    struct str op = binary_ops[n->binary.op].text;

    annotate_info(ev, n, "incompatible sample types encountered for binary operator \"%.*s\": float %.*s float",
                  STR_ARG(op), STR_ARG(op));
}

struct with_scalar {
    struct stream s;
    struct stream *in;
    struct eval *ev;
    const struct node *node;
    const struct binary *b;
    const double *scalar;
    size_t steps;
    bool scalar_left;
};

static int next_with_scalar(struct stream *s, struct row *row)
{
    struct with_scalar *x = (struct with_scalar *)s;
    bool comparison = binary_ops[x->b->op].is_comparison;
    int rc;

    while ((rc = x->in->next(x->in, row)) > 0) {
        bool any = false;

        for (size_t i = 0; i < x->steps; i++) {
            double v = row->v[i], c = x->scalar[i];

            if (!is_absent(v) && is_trim(x->b->op))
                annotate_types(x->ev, x->node);
            if (!is_absent(v))
                row->v[i] = x->scalar_left ? binary_apply(x->b, c, v, v) : binary_apply(x->b, v, c, v);
            any |= !is_absent(row->v[i]);
        }
        row->drop_name |= !comparison || x->b->returns_bool;
        if (any)
            return 1;
    }
    return rc;
}

int binary_open(struct eval *ev, const struct grid *g, const struct node *n, struct stream **out)
{
    const struct binary *b = &n->binary;
    struct with_scalar *x;
    double *scalar;
    int rc;

    if (b->l->type == PROMQL_VECTOR && b->r->type == PROMQL_VECTOR)
        return binary_vectors_open(ev, g, n, out);
    x = ARENA_NEW(ev->a, struct with_scalar);
    scalar = eval_values(ev, g);
    if (!x || !scalar)
        return eval_nomem(ev);
    *x = (struct with_scalar){ { next_with_scalar, false }, NULL, ev, n, b, scalar, g->n, b->l->type == PROMQL_SCALAR };
    *out = &x->s;
    rc = eval_scalar(ev, g, x->scalar_left ? b->l : b->r, scalar);
    if (rc == 0)
        rc = eval_open(ev, g, x->scalar_left ? b->r : b->l, &x->in);
    x->s.unique = rc == 0 && x->in->unique;
    return rc;
}
