#include "store/page_plan-internal.h"
#include "store/varint-internal.h"

static bool same_times(const struct sample_columns *a, const struct sample_columns *b)
{
    return a->n == b->n && (a->t == b->t || memcmp(a->t, b->t, a->n * sizeof(*a->t)) == 0);
}

static bool same_pattern(const struct sample_columns *a, const struct sample_columns *b)
{
    uint64_t apart = (uint64_t)a->t[0] - (uint64_t)b->t[0], differ = 0;

    if (a->n != b->n)
        return false;
    for (size_t i = 1; i < a->n; i++)
        differ |= ((uint64_t)a->t[i] - (uint64_t)b->t[i]) ^ apart;
    return differ == 0;
}

/* Where `hash` begins to look. */
static size_t slot_of(uint64_t hash)
{
    return (hash ^ hash >> 32) % (2 * (size_t)PAGE_COLUMNS);
}

static size_t next_slot(size_t slot)
{
    return (slot + 1) % (2 * (size_t)PAGE_COLUMNS);
}

/* The difference that is most often the step: a missed scrape may be anywhere, so the smaller of the first two, or the
 * mean when neither is near it (times that come as they like). */
static uint64_t step_of(const uint64_t *d, size_t n)
{
    uint64_t step = n < 2 || d[0] < d[1] ? d[0] : d[1], mean = 0;
    size_t exact = 0;

    for (size_t i = 0; i < n; i++) {
        exact += d[i] == step;
        mean += d[i] / n;
    }
    return exact * 4 > n ? step : mean;
}

static void plan_residuals(struct page_plan *p, struct page_pattern *pattern, uint64_t *d, size_t n)
{
    uint64_t any = 0;

    pattern->residuals = (struct page_sequence){ 0 };
    if (n == 0)
        return;
    pattern->step = step_of(d, n);
    for (size_t i = 0; i < n; i++)
        any |= d[i] = zigzag(d[i] - pattern->step);
    if (any)
        page_sequence_add(p, d, n, &pattern->residuals);
}

static size_t find_pattern(struct page_plan *p, size_t column)
{
    const struct sample_columns *c = &p->columns[column];
    uint64_t hash;
    size_t slot, n = c->n - 1;

    for (size_t i = 0; i < n; i++)
        p->d[i] = (uint64_t)c->t[i + 1] - (uint64_t)c->t[i];
    hash = str_hash_stable((struct str){ (const char *)p->d, n * sizeof(*p->d) });
    for (slot = slot_of(hash); p->pattern_slot[slot]; slot = next_slot(slot)) {
        const struct page_pattern *q = &p->patterns[p->pattern_slot[slot] - 1];

        if (q->hash == hash && same_pattern(c, &p->columns[q->column]))
            return (size_t)p->pattern_slot[slot] - 1;
    }
    p->patterns[p->n_patterns] = (struct page_pattern){ .column = (uint32_t)column, .hash = hash };
    plan_residuals(p, &p->patterns[p->n_patterns], p->d, n);
    p->pattern_slot[slot] = (uint16_t)++p->n_patterns;
    return p->n_patterns - 1;
}

void page_plan_times(struct page_plan *p, size_t column)
{
    const struct sample_columns *c = &p->columns[column];
    size_t pattern, slot;

    if (column && same_times(c, c - 1)) {
        p->column[column].times = p->column[column - 1].times;
        return;
    }
    pattern = find_pattern(p, column);
    for (slot = slot_of(p->patterns[pattern].hash + (uint64_t)c->t[0] * 0x9e3779b97f4a7c15u); p->times_slot[slot];
         slot = next_slot(slot)) {
        const struct page_times *q = &p->times[p->times_slot[slot] - 1];

        if (q->pattern == pattern && p->columns[q->column].t[0] == c->t[0]) {
            p->column[column].times = (uint16_t)(p->times_slot[slot] - 1);
            return;
        }
    }
    p->times[p->n_times] = (struct page_times){ (uint32_t)column, (uint16_t)pattern };
    p->column[column].times = (uint16_t)p->n_times;
    p->times_slot[slot] = (uint16_t)++p->n_times;
}
