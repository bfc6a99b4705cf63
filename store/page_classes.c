/* page_classes.c: which sequences of residuals share a code.
 *
 * A code fits numbers of one size and shape; a column has too few numbers to pay for its own. So sequences are put into
 * classes by their mean size (a third of an octave) and sign, those of small numbers by how rare others than zero are,
 * too; then neighbouring classes are merged for as long as a shared code costs less than two.
 *
 * Left out   Moving each sequence to the class where it is cheapest, and merging again: no smaller by a thousandth. */
#include "store/page_plan-internal.h"

#include <math.h>
#include <stdlib.h>

/* The most groups of one kind to begin with; the parts of a key. */
enum { KIND_GROUPS = PAGE_GROUPS / 3, KIND_KEY = 1 << 24, RARITY_KEY = 1 << 16, SIZE_KEY = 1 << 8, SIGN_CLASSES = 5 };

/* What a code's table costs in the page, in bits, and for what is better shared. */
enum { TABLE_BITS = 40, SYMBOL_BITS = 4 };

/* Of a mean token. */
static unsigned size_class(double token)
{
    if (token < TOKEN_DIRECT)
        return (unsigned)(log2f((float)token + 1) * 3);
    return 12 + (unsigned)((token - TOKEN_DIRECT) * 0.75);
}

/* Of a sequence. */
struct shape {
    size_t n, zeros, small, negative; /* small: below PAIR_BASE */
    uint64_t tokens;                  /* added up */
};

/* Runs pay where four of five numbers are zero, pairs where nearly all fit into one. */
static enum code_kind kind_of(const struct shape *s)
{
    if (s->zeros * 5 > s->n * 4)
        return CODE_WITH_RUNS;
    return s->small * 20 > s->n * 19 && s->n > 1 ? CODE_WITH_PAIRS : CODE_PLAIN;
}

static uint32_t key_of(const struct shape *s, enum code_kind kind)
{
    size_t others = s->n - s->zeros;
    unsigned sign = (unsigned)(s->negative * SIGN_CLASSES / (others + 1)), rarity, size;

    if (kind == CODE_PLAIN)
        return size_class((double)s->tokens / (double)s->n) * SIZE_KEY + sign;
    rarity = (unsigned)(log2f((float)s->n / (float)others) * 2);
    size = size_class((double)s->tokens / (double)others) / 2;
    return (uint32_t)kind * KIND_KEY + rarity * RARITY_KEY + size * SIZE_KEY + sign;
}

void page_sequence_add(struct page_plan *p, const uint64_t *u, size_t n, struct page_sequence *s)
{
    struct shape shape = { .n = n };

    memcpy(p->residuals + p->n_residuals, u, n * sizeof(*u));
    for (size_t i = 0; i < n; i++) {
        shape.tokens += token_of(u[i]);
        shape.zeros += u[i] == 0;
        shape.small += u[i] < PAIR_BASE;
        shape.negative += u[i] & 1;
    }
    *s = (struct page_sequence){ .at = (uint32_t)p->n_residuals, .n = (uint32_t)n, .kind = kind_of(&shape) };
    s->key = key_of(&shape, s->kind);
    p->n_residuals += n;
}

static void count(const struct page_plan *p, const struct page_sequence *s, struct code_counts *c)
{
    for (size_t i = 0; i < s->n;) {
        struct code_step step = code_step(s->kind, p->residuals + s->at + i, s->n - i);

        code_count(c, step.symbol);
        i += step.n;
    }
}

static double n_log_n(double n)
{
    return n > 1 ? n * (double)log2f((float)n) : 0;
}

/* Bits of a code for a's and b's symbols, with its table; the raw bits are the same in any. */
static double cost_of(const struct code_counts *a, const struct code_counts *b)
{
    unsigned end = b && b->end > a->end ? b->end : a->end, symbols = 0;
    double total = 0, bits = 0;

    for (unsigned s = 0; s < end; s++) {
        uint32_t n = a->n[s] + (b ? b->n[s] : 0);

        if (n == 0)
            continue;
        symbols++;
        total += n;
        bits -= n_log_n(n);
    }
    return bits + n_log_n(total) + TABLE_BITS + SYMBOL_BITS * symbols;
}

static void cost_together(struct page_group *g, size_t i, size_t n)
{
    if (i + 1 < n && g[i].kind == g[i + 1].kind)
        g[i].together = cost_of(&g[i].counts, &g[i + 1].counts);
    else
        g[i].together = INFINITY;
}

/* The pair whose merging saves most; n when there is none that may. */
static size_t best_pair(const struct page_group *g, size_t n, double *saved)
{
    size_t best = n;

    *saved = -INFINITY;
    for (size_t i = 0; i + 1 < n; i++) {
        double s = g[i].bits + g[i + 1].bits - g[i].together;

        if (s > *saved) {
            *saved = s;
            best = i;
        }
    }
    return best;
}

static void add_counts(struct code_counts *to, const struct code_counts *from)
{
    for (unsigned s = 0; s < from->end; s++)
        to->n[s] += from->n[s];
    if (from->end > to->end)
        to->end = from->end;
}

/* code_of[i]: where group i has gone. Returns how many there are now. */
static size_t merge(struct page_group *g, size_t n, uint8_t *code_of)
{
    size_t groups = n, pair;
    double saved;

    for (size_t i = 0; i < n; i++) {
        code_of[i] = (uint8_t)i;
        g[i].bits = cost_of(&g[i].counts, NULL);
        cost_together(g, i, n);
    }
    while ((pair = best_pair(g, n, &saved)) < n && (saved > 0 || n > PAGE_CODES)) {
        add_counts(&g[pair].counts, &g[pair + 1].counts);
        g[pair].bits = g[pair].together;
        memmove(g + pair + 1, g + pair + 2, (n - pair - 2) * sizeof(*g));
        n--;
        for (size_t i = 0; i < groups; i++)
            code_of[i] -= code_of[i] > pair;
        cost_together(g, pair, n);
        if (pair)
            cost_together(g, pair - 1, n);
    }
    return n;
}

static int by_key(const void *a, const void *b)
{
    const struct page_sequence *x = *(struct page_sequence *const *)a, *y = *(struct page_sequence *const *)b;

    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

static size_t collect(struct page_plan *p, struct page_sequence **s)
{
    size_t n = 0;

    for (size_t i = 0; i < p->n_patterns; i++)
        if (p->patterns[i].residuals.n)
            s[n++] = &p->patterns[i].residuals;
    for (size_t i = 0; i < p->n; i++)
        if (p->column[i].residuals.n)
            s[n++] = &p->column[i].residuals;
    return n;
}

void page_plan_codes(struct page_plan *p)
{
    static const size_t most[] = { PAGE_GROUPS - 2 * KIND_GROUPS, PAGE_GROUPS - KIND_GROUPS, PAGE_GROUPS };
    struct page_sequence *s[2 * PAGE_COLUMNS];
    uint8_t code_of[PAGE_GROUPS];
    size_t n = collect(p, s), groups = 0;

    qsort(s, n, sizeof(*s), by_key);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || s[i]->kind != s[i - 1]->kind || (s[i]->key != s[i - 1]->key && groups < most[s[i]->kind])) {
            memset(&p->groups[groups], 0, sizeof(*p->groups));
            p->groups[groups++].kind = s[i]->kind;
        }
        s[i]->code = (uint8_t)(groups - 1);
        count(p, s[i], &p->groups[groups - 1].counts);
    }
    p->n_codes = merge(p->groups, groups, code_of);
    for (size_t i = 0; i < n; i++)
        s[i]->code = code_of[s[i]->code];
}
