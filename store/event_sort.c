/* event_sort.c: rows of one identity stand together, by time.
 *
 * Idea       A row's identity is a number: column by column, the pair of the number so far and the place of the
 *            column's value among all is numbered anew, in the order of the pairs, so that the first columns have the
 *            longest runs. Then rows are sorted by time and after that, stably, by this number: both by counting.
 * Bound      A column that has nearly as many values as there are rows is no identity, whatever its name, and neither
 *            is one that would leave but a few rows in each run: it is passed over. */
#include "store/event_sort-internal.h"

#include "base/mem.h"
#include "store/event_rank-internal.h"

/* Rows of a run, on average, at least; and the pairs that may be possible. */
enum { RUN_ROWS = 8, MOST_PAIRS = 1 << 24 };

#define A(c) ACCESS_LOG_##c
#define L(c) LOG_##c
#define S(c) SPAN_##c
static const int access_log_identity[] = {
    A(reporter), A(namespace), A(workload), A(app), A(version), A(pod),
    A(source_workload_namespace), A(source_workload), A(source_principal),
    A(destination_service_namespace), A(destination_service), A(destination_workload_namespace),
    A(destination_workload), A(destination_version), A(authority), A(upstream_cluster), A(route_name),
    A(request_protocol), A(connection_security_policy),
};
static const int log_identity[] = { L(namespace), L(workload), L(app), L(pod), L(container), L(service), L(severity) };
static const int span_identity[] = { S(service), S(namespace), S(workload), S(pod), S(kind), S(name) };
#undef A
#undef L
#undef S

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
static const struct {
    const int *columns;
    size_t n;
} identities[EVENT_KINDS] = {
    [EVENT_ACCESS_LOG] = { access_log_identity, COUNT(access_log_identity) },
    [EVENT_LOG] = { log_identity, COUNT(log_identity) },
    [EVENT_SPAN] = { span_identity, COUNT(span_identity) },
};

/* --- identities as numbers --- */

/* Room for one sort: arrays of n. */
struct sorting {
    size_t n;
    void *memory; /* owned */
    int64_t *times;
    uint32_t *runs;       /* of each row */
    uint32_t *order, *to; /* row numbers, before and after a pass */
    uint32_t nruns;
};

static int sorting_init(struct sorting *s, size_t n, struct err *e)
{
    *s = (struct sorting){ .n = n, .nruns = 1, .memory = mem_zalloc(n * (sizeof(*s->times) + 3 * sizeof(*s->runs))) };
    if (!s->memory)
        return err_set(e, ERR_NOMEM, "no memory to sort %zu events", n);
    s->times = s->memory;
    s->runs = (uint32_t *)(s->times + n);
    s->order = s->runs + n;
    s->to = s->order + n;
    return 0;
}

/* Numbers the pairs that occur, in their order, into s->to; how many there are. */
static uint32_t number_pairs(const struct sorting *s, const struct event_coded *d, const uint32_t *ranks,
                             uint32_t *numbers, size_t pairs)
{
    uint32_t n = 0;

    for (size_t i = 0; i < s->n; i++)
        numbers[s->runs[i] * d->distinct + ranks[d->codes[i]]] = 1;
    for (size_t i = 0; i < pairs; i++)
        if (numbers[i])
            numbers[i] = n++;
    for (size_t i = 0; i < s->n; i++)
        s->to[i] = numbers[s->runs[i] * d->distinct + ranks[d->codes[i]]];
    return n;
}

static int split_runs(struct sorting *s, const struct event_coded *d, struct err *e)
{
    size_t pairs = (size_t)s->nruns * d->distinct;
    uint32_t *numbers, n;

    if (d->form != EVENT_FORM_DICT || d->distinct > s->n / RUN_ROWS || pairs > MOST_PAIRS)
        return 0;
    numbers = mem_zalloc(pairs * sizeof(*numbers));
    if (!numbers || event_rank_texts(d->values, d->distinct, s->order, s->to) < 0) {
        mem_free(numbers);
        return err_set(e, ERR_NOMEM, "no memory to sort events by %zu identities", pairs);
    }
    n = number_pairs(s, d, s->order, numbers, pairs);
    if (n <= s->n / RUN_ROWS) {
        uint32_t *old = s->runs;

        s->runs = s->to;
        s->to = old;
        s->nruns = n;
    }
    mem_free(numbers);
    return 0;
}

/* --- sorting --- */

static void flip(struct sorting *s)
{
    uint32_t *old = s->order;

    s->order = s->to;
    s->to = old;
}

/* Stably, by the byte of the times that begins at bit `shift`. */
static void sort_by_byte(struct sorting *s, int64_t first, unsigned shift)
{
    uint32_t starts[257] = { 0 };

    for (size_t i = 0; i < s->n; i++)
        starts[(((uint64_t)s->times[i] - (uint64_t)first) >> shift & 0xff) + 1]++;
    for (size_t i = 1; i < 257; i++)
        starts[i] += starts[i - 1];
    for (size_t i = 0; i < s->n; i++) {
        uint32_t row = s->order[i];

        s->to[starts[((uint64_t)s->times[row] - (uint64_t)first) >> shift & 0xff]++] = row;
    }
    flip(s);
}

static void sort_by_time(struct sorting *s)
{
    int64_t first = s->times[0], last = s->times[0];
    bool sorted = true;

    for (size_t i = 1; i < s->n; i++) {
        sorted &= s->times[i - 1] <= s->times[i];
        first = s->times[i] < first ? s->times[i] : first;
        last = s->times[i] > last ? s->times[i] : last;
    }
    for (unsigned shift = 0; !sorted && shift < 64 && ((uint64_t)last - (uint64_t)first) >> shift; shift += 8)
        sort_by_byte(s, first, shift);
}

static int sort_by_run(struct sorting *s, struct err *e)
{
    uint32_t *starts = mem_zalloc(((size_t)s->nruns + 1) * sizeof(*starts));

    if (!starts)
        return err_set(e, ERR_NOMEM, "no memory to sort events of %u identities", s->nruns);
    for (size_t i = 0; i < s->n; i++)
        starts[s->runs[i] + 1]++;
    for (size_t i = 1; i <= s->nruns; i++)
        starts[i] += starts[i - 1];
    for (size_t i = 0; i < s->n; i++)
        s->to[starts[s->runs[s->order[i]]]++] = s->order[i];
    flip(s);
    mem_free(starts);
    return 0;
}

static void apply(const struct sorting *s, uint32_t *v)
{
    for (size_t i = 0; i < s->n; i++)
        s->to[i] = v[s->order[i]];
    memcpy(v, s->to, s->n * sizeof(*v));
}

static int find_runs(struct sorting *s, struct event_gather *g, struct err *e)
{
    struct event_coded d;
    int rc = event_gather_times(g, s->times, e);

    for (size_t i = 0; rc == 0 && i < identities[g->kind].n; i++) {
        rc = event_gather_column(g, (struct event_field){ identities[g->kind].columns[i], STR_NULL }, &d, e);
        if (rc == 0)
            rc = split_runs(s, &d, e);
    }
    return rc;
}

int event_sort(struct event_gather *g, uint32_t *from, uint32_t *rows, struct err *e)
{
    struct sorting s;
    int rc = sorting_init(&s, g->n, e);

    if (rc < 0)
        return rc;
    rc = find_runs(&s, g, e);
    for (size_t i = 0; i < s.n; i++)
        s.order[i] = (uint32_t)i;
    if (rc == 0) {
        sort_by_time(&s);
        rc = sort_by_run(&s, e);
    }
    if (rc == 0) {
        apply(&s, from);
        apply(&s, rows);
    }
    mem_free(s.memory);
    return rc;
}
