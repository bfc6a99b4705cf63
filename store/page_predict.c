/* page_predict.c: what a column is expected to be; what is left is its residuals.
 *
 * Buckets of a histogram count all that is below them, and their series are neighbours, so a bucket grows by what the one
 * before it grew by, and a share of it. Two equal buckets have no residuals at all; where the share is steady, the ratio
 * of the growths tells most of the rest. Anything else is compared with itself a sample ago (gauges that wander), with
 * what it has grown by lately (counters), or with its own mean (gauges that jitter).
 *
 * Which of these is cheapest is found by trying: bits of the residuals, added up, come near enough to what the codes will
 * need. */
#include "store/page_plan-internal.h"
#include "store/varint-internal.h"

/* What the fields cost, in bits, roughly. */
enum { BASE_BITS = 12, RATIO_FIELD_BITS = 14, MANTISSA_BITS = 6 };
static const double ratio_max = 64;

struct choice {
    enum page_mode mode;
    int64_t base;
    unsigned base_shift;
    uint64_t ratio;
    uint64_t level;
};

static uint64_t base_of(const struct choice *c)
{
    return (uint64_t)c->base << c->base_shift;
}

/* u[0..n) from x[0..n) and differences d[1..], p[1..]; without the first, unless the mode is level. Returns their number. */
static size_t residuals(const struct choice *c, const int64_t *x, const uint64_t *d, const uint64_t *p, size_t n,
                        uint64_t *u)
{
    uint64_t track = track_begin(base_of(c));

    switch (c->mode) {
    case MODE_DELTA:
        for (size_t i = 1; i < n; i++) {
            u[i - 1] = zigzag(d[i] - track_expected(track));
            track = c->base ? track_next(track, d[i]) : 0;
        }
        return n - 1;
    case MODE_PREV:
        for (size_t i = 1; i < n; i++)
            u[i - 1] = zigzag(d[i] - p[i]);
        return n - 1;
    case MODE_RATIO:
        for (size_t i = 1; i < n; i++)
            u[i - 1] = zigzag(d[i] - ratio_of(p[i], c->ratio));
        return n - 1;
    default:
        for (size_t i = 0; i < n; i++)
            u[i] = zigzag((uint64_t)x[i] - c->level);
        return n;
    }
}

static uint64_t cost_of(const uint64_t *u, size_t n)
{
    uint64_t bits = 0;

    for (size_t i = 0; i < n; i++)
        bits +=
            63u ^ (unsigned)__builtin_clzll(u[i] << 1 | 1); /* bit_length(u[i]), but for the top bit */
    return bits;
}

/* A track soon leaves its beginning behind, so that need not be exact, unless it is all there is. */
static void set_base(struct choice *c, int64_t base, bool exact)
{
    uint64_t size = base < 0 ? 0 - (uint64_t)base : (uint64_t)base;
    unsigned length = bit_length(size);

    c->base_shift = length > MANTISSA_BITS && !exact ? length - MANTISSA_BITS : 0;
    c->base = base >> c->base_shift;
}

/* Growth over all differences, per difference. */
static int64_t mean_growth(uint64_t growth, size_t n)
{
    int64_t g = (int64_t)growth, steps = (int64_t)n - 1, half = steps / 2;

    if (g > INT64_MAX - half || g < INT64_MIN + half)
        return g / steps;
    return (g + (g < 0 ? -half : half)) / steps;
}

static int64_t mean_of(const int64_t *x, size_t n)
{
    double sum = 0, mean;

    for (size_t i = 0; i < n; i++)
        sum += (double)x[i];
    mean = sum / (double)n;
    if (mean >= 0x1p63)
        return INT64_MAX;
    return mean <= -0x1p63 ? INT64_MIN : (int64_t)mean;
}

static uint64_t sum_of(const uint64_t *d, size_t n)
{
    uint64_t sum = 0;

    for (size_t i = 1; i < n; i++)
        sum += d[i];
    return sum;
}

struct trial {
    const struct page_plan *p;
    size_t n;
    struct choice best;
    uint64_t cost, *u, *spare; /* of the best; for the next */
    size_t left;
};

static void try_choice(struct trial *t, const struct choice *c, unsigned fields)
{
    size_t left = residuals(c, t->p->x, t->p->d, t->p->before, t->n, t->spare);
    uint64_t cost = cost_of(t->spare, left) + fields, *u = t->spare;

    if (cost >= t->cost)
        return;
    t->spare = t->u;
    t->u = u;
    t->left = left;
    t->cost = cost;
    t->best = *c;
}

static bool steady(const uint64_t *d, size_t n)
{
    uint64_t differ = 0;

    for (size_t i = 2; i < n; i++)
        differ |= d[i] ^ d[1];
    return differ == 0;
}

static void try_own(struct trial *t)
{
    struct choice c = { .mode = MODE_DELTA };
    uint64_t growth = (uint64_t)t->p->x[t->n - 1] - (uint64_t)t->p->x[0];

    try_choice(t, &c, 0);
    if (t->n < 2 || t->cost == 0)
        return;
    set_base(&c, mean_growth(growth, t->n), steady(t->p->d, t->n));
    if (c.base)
        try_choice(t, &c, BASE_BITS);
    if (t->n < 4)
        return;
    c = (struct choice){ .mode = MODE_LEVEL, .level = (uint64_t)mean_of(t->p->x, t->n) };
    try_choice(t, &c, 0);
}

static void try_before(struct trial *t, enum form_kind kind)
{
    struct choice c = { .mode = MODE_PREV };
    uint64_t growth = sum_of(t->p->d, t->n), before = sum_of(t->p->before, t->n);
    double ratio = (double)(int64_t)growth / (double)(int64_t)before;

    try_choice(t, &c, 0);
    if (kind == FORM_BITS || t->n < 4 || !(ratio > 0 && ratio < ratio_max))
        return;
    c.mode = MODE_RATIO;
    c.ratio = (uint64_t)(ratio * RATIO_ONE + 0.5);
    if (c.ratio && c.ratio != RATIO_ONE)
        try_choice(t, &c, RATIO_FIELD_BITS);
}

/* Whether the column may be told as a difference to the one before. */
static bool may_lean(const struct page_plan *p, size_t column)
{
    const struct page_plan_column *c = &p->column[column];

    return column && c->times == c[-1].times && form_equal(c->form, c[-1].form) && c[-1].depth + 1 < PAGE_CHAIN;
}

/* Whether a number is better told as a difference to the one before. */
static bool nearer(int64_t x, uint64_t before)
{
    return zigzag((uint64_t)x - before) < zigzag((uint64_t)x);
}

static void settle(struct page_plan *p, size_t column, const struct trial *t)
{
    struct page_plan_column *c = &p->column[column];
    uint64_t any = 0;

    c->mode = (uint8_t)t->best.mode;
    c->base = t->best.base;
    c->base_shift = (uint8_t)t->best.base_shift;
    c->ratio = t->best.ratio;
    c->first = t->best.mode == MODE_LEVEL ? t->best.level : (uint64_t)p->x[0];
    c->depth = c->mode == MODE_PREV || c->mode == MODE_RATIO ? (uint8_t)(c[-1].depth + 1) : 0;
    c->residuals = (struct page_sequence){ 0 };
    for (size_t i = 0; i < t->left; i++)
        any |= t->u[i];
    if (any)
        page_sequence_add(p, t->u, t->left, &c->residuals);
}

void page_plan_values(struct page_plan *p, size_t column)
{
    static const struct form none = { FORM_WHOLE, 0 };
    const struct sample_columns *from = &p->columns[column];
    struct page_plan_column *c = &p->column[column];
    struct trial t = { .p = p, .n = from->n, .cost = UINT64_MAX };
    uint64_t *d = p->before;

    p->before = p->d; /* page_plan_times writes there only when times are others, and then nobody leans */
    p->d = d;
    c->exceptions = (uint32_t)form_find(from->v, from->n, column ? c[-1].form : none, &c->form, p->x, p->scratch);
    for (size_t i = 1; i < from->n; i++)
        d[i] = (uint64_t)p->x[i] - (uint64_t)p->x[i - 1];
    t.u = p->tried[0];
    t.spare = p->tried[1];
    try_own(&t);
    if (may_lean(p, column)) {
        t.cost += nearer(p->x[0], c[-1].first); /* decides between a constant and its neighbour, another one */
        if (t.cost)
            try_before(&t, (enum form_kind)c->form.kind);
    }
    settle(p, column, &t);
}
