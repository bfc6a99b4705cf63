/* dependencies.c: who calls whom, from spans alone.
 *
 * Problem    A span names its parent by id; the parent may come before or after it, in any block.
 * Idea       A hash join: one reading puts the service of each span under a hash of its id into a table, another looks
 *            for each span's caller in it. Ids are read as hashes (events_strips), never as text.
 * Halves     A span of kind `server` and any other of the same id (Zipkin's shared spans) are two entries. A server's span
 *            looks for the other half first; everybody else for the server's half of its parent, and then the other. This
 *            is how traces.c parts them.
 * Bound      64 MiB, whatever the range has: of more than PASS_SPANS spans, the traces are divided by their hash, and the
 *            spans are read twice for each part. An entry is 8 bytes: of a key it has the bits that its place does not
 *            tell. */
#include "query/dependencies-internal.h"

#include "base/mem.h"
#include "base/strmap.h"

#include <stdlib.h>

enum {
    PASS_SPANS = 1 << 22,
    FIRST_SLOTS = 4096,
    SERVICE_BITS = 20,
    MOST_SERVICES = (1 << SERVICE_BITS) - 1,
    AHEAD = 16, /* a look into the table is a cache miss: its memory is fetched so many rows before */
    KEYS = 3
};

/* A key's high bits, and the service's number + 1; 0: empty. */
typedef uint64_t entry;

struct dependencies {
    struct arena *a;
    struct event_strips *spans;
    entry *table; /* owned; open addressing */
    size_t mask, used;
    uint64_t most_spans, parts, part;
    struct strmap numbers; /* service to its number + 1 */
    struct str *services;
    size_t nservices, services_cap;
    struct strmap pairs; /* caller and callee, as two numbers, to their line in the result */
    struct trace_dependency *v;
    size_t n, cap;
};

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, "no memory for the dependencies");
}

/* --- keys --- */

/* 0: there is no such span. */
static uint64_t key_of(uint64_t trace, uint64_t span, bool server)
{
    uint64_t h = (trace + server) * UINT64_C(0x9e3779b97f4a7c15) ^ span;

    if (!span)
        return 0;
    h = (h ^ h >> 32) * UINT64_C(0xd6e8feb86659fd93);
    h = (h ^ h >> 29) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 32;
}

static entry *slot_of(const struct dependencies *d, uint64_t key)
{
    size_t at = key & d->mask;

    while (d->table[at] && (d->table[at] ^ key) >> SERVICE_BITS)
        at = (at + 1) & d->mask;
    return &d->table[at];
}

/* --- a strip of spans --- */

/* What of a strip is looked at, by row. */
struct strip {
    const uint64_t *trace, *span, *parent;
    const uint32_t *service, *kind;
    size_t n;
    bool *is_server;          /* by kind */
    uint32_t *service_number; /* by service */
};

static int number_of(struct dependencies *d, struct str service, uint32_t *number, struct err *e)
{
    uintptr_t known = (uintptr_t)strmap_get(&d->numbers, service);

    if (!known) {
        if (d->nservices == MOST_SERVICES)
            return err_set(e, ERR_LIMIT, "more than %d services have spans", MOST_SERVICES);
        service = arena_str(d->a, service);
        if (!service.p || arena_grow(d->a, &d->services, &d->services_cap, d->nservices + 1, sizeof(service)) < 0 ||
            strmap_put(&d->numbers, service, (void *)(d->nservices + 1), NULL) < 0)
            return no_memory(e);
        d->services[d->nservices++] = service;
        known = d->nservices;
    }
    *number = (uint32_t)(known - 1);
    return 0;
}

static int take_strip(struct dependencies *d, const struct event_strip *from, struct arena *a, struct strip *s,
                      struct err *e)
{
    const struct event_codes *service = &from->codes[SPAN_service], *kind = &from->codes[SPAN_kind];
    int rc = 0;

    *s = (struct strip){ from->hashes[SPAN_trace_id], from->hashes[SPAN_span_id], from->hashes[SPAN_parent_span_id],
                         service->rows,               kind->rows,                 from->n,
                         arena_array(a, kind->n, sizeof(bool)), arena_array(a, service->n, sizeof(uint32_t)) };
    if (!s->is_server || !s->service_number)
        return no_memory(e);
    for (size_t i = 0; i < kind->n; i++)
        s->is_server[i] = str_eqz(kind->values[i], "server");
    for (size_t i = 0; rc == 0 && i < service->n; i++)
        rc = number_of(d, service->values[i], &s->service_number[i], e);
    return rc;
}

/* Reads all spans once: each(d, s) for one strip after the other. */
static int read_all(struct dependencies *d, int (*each)(struct dependencies *d, const struct strip *s, struct err *e),
                    struct err *e)
{
    struct event_strip from;
    int rc;

    events_strips_rewind(d->spans);
    while ((rc = events_strips_next(d->spans, &from, e)) == 1) {
        struct arena a = ARENA_INIT(0); /* bounded by a source's rows */
        struct strip s;

        rc = take_strip(d, &from, &a, &s, e);
        if (rc == 0)
            rc = each(d, &s, e);
        arena_free(&a);
        if (rc < 0)
            break;
    }
    return rc;
}

static bool is_part(const struct dependencies *d, uint64_t trace)
{
    return d->parts == 1 || (trace >> 32) % d->parts == d->part;
}

/* --- the first reading: services by span --- */

static uint64_t own_key(const struct dependencies *d, const struct strip *s, size_t i)
{
    return is_part(d, s->trace[i]) ? key_of(s->trace[i], s->span[i], s->is_server[s->kind[i]]) : 0;
}

static int put_spans(struct dependencies *d, const struct strip *s, struct err *e)
{
    uint64_t keys[AHEAD];

    for (size_t i = 0; i < s->n + AHEAD; i++) {
        uint64_t key = i < AHEAD ? 0 : keys[i % AHEAD];

        if (key) {
            entry *slot = slot_of(d, key);

            if (!*slot && ++d->used > d->mask / 8 * 7)
                return err_set(e, ERR_LIMIT, "one trace has more than %llu spans: ask for a shorter time",
                               (unsigned long long)d->most_spans);
            *slot = key >> SERVICE_BITS << SERVICE_BITS | (s->service_number[s->service[i - AHEAD]] + 1);
        }
        if (i < s->n) {
            keys[i % AHEAD] = own_key(d, s, i);
            __builtin_prefetch(&d->table[keys[i % AHEAD] & d->mask], 1);
        } else {
            keys[i % AHEAD] = 0;
        }
    }
    return 0;
}

/* --- the second reading: callers --- */

/* Where the span's caller may be, in this order. */
static void caller_keys(const struct dependencies *d, const struct strip *s, size_t i, uint64_t keys[KEYS])
{
    bool server = s->is_server[s->kind[i]];

    memset(keys, 0, KEYS * sizeof(*keys));
    if (!is_part(d, s->trace[i]))
        return;
    keys[0] = server ? key_of(s->trace[i], s->span[i], false) : 0;
    keys[1] = key_of(s->trace[i], s->parent[i], true);
    keys[2] = key_of(s->trace[i], s->parent[i], false);
}

static int count(struct dependencies *d, uint32_t caller, uint32_t callee, struct err *e)
{
    const uint32_t pair[2] = { caller, callee };
    struct str key = { (const char *)pair, sizeof(pair) };
    uintptr_t line = (uintptr_t)strmap_get(&d->pairs, key);

    if (!line) {
        key = arena_str(d->a, key);
        if (!key.p || arena_grow(d->a, &d->v, &d->cap, d->n + 1, sizeof(*d->v)) < 0 ||
            strmap_put(&d->pairs, key, (void *)(d->n + 1), NULL) < 0)
            return no_memory(e);
        d->v[d->n++] = (struct trace_dependency){ d->services[caller], d->services[callee], 0 };
        line = d->n;
    }
    d->v[line - 1].calls++;
    return 0;
}

/* Calls inside of one service are none, nor are those of nobody. */
static int count_call(struct dependencies *d, const uint64_t keys[KEYS], uint32_t callee, struct err *e)
{
    for (size_t i = 0; i < KEYS; i++) {
        entry found = keys[i] ? *slot_of(d, keys[i]) : 0;
        uint32_t caller = (uint32_t)(found & MOST_SERVICES) - 1;

        if (!found)
            continue;
        if (caller == callee || !d->services[caller].n || !d->services[callee].n)
            return 0;
        return count(d, caller, callee, e);
    }
    return 0;
}

static int count_calls(struct dependencies *d, const struct strip *s, struct err *e)
{
    uint64_t keys[AHEAD][KEYS];
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < s->n + AHEAD; i++) {
        uint64_t *at = keys[i % AHEAD];

        if (i >= AHEAD)
            rc = count_call(d, at, s->service_number[s->service[i - AHEAD]], e);
        if (i >= s->n)
            continue;
        caller_keys(d, s, i, at);
        for (size_t k = 0; k < KEYS; k++)
            __builtin_prefetch(&d->table[at[k] & d->mask], 0);
    }
    return rc;
}

/* --- the whole --- */

/* Room for the spans of one part and as many again, since traces are not alike. */
static int make_table(struct dependencies *d, struct err *e)
{
    uint64_t spans = events_strips_most(d->spans);
    size_t slots = FIRST_SLOTS;

    d->parts = spans / d->most_spans + 1;
    while (slots < 2 * spans / d->parts)
        slots *= 2;
    d->mask = slots - 1;
    d->table = mem_zalloc(slots * sizeof(*d->table));
    return d->table ? 0 : no_memory(e);
}

static int join(struct dependencies *d, struct err *e)
{
    int rc = make_table(d, e);

    for (; rc == 0 && d->part < d->parts; d->part++) {
        if (d->part)
            memset(d->table, 0, (d->mask + 1) * sizeof(*d->table));
        d->used = 0;
        rc = read_all(d, put_spans, e);
        if (rc == 0)
            rc = read_all(d, count_calls, e);
    }
    return rc;
}

static int by_services(const void *a, const void *b)
{
    const struct trace_dependency *x = a, *y = b;
    int order = str_cmp(x->parent, y->parent);

    return order ? order : str_cmp(x->child, y->child);
}

int dependencies_find(struct store *st, int64_t from_ns, int64_t to_ns, uint64_t most_spans, struct arena *a,
                      struct trace_dependency **out, size_t *n, struct err *e)
{
    const struct event_strips_query q = { .kind = EVENT_SPAN,
                                          .from_ns = from_ns,
                                          .to_ns = to_ns,
                                          .hashed = (uint64_t)1 << SPAN_trace_id | (uint64_t)1 << SPAN_span_id |
                                                    (uint64_t)1 << SPAN_parent_span_id,
                                          .coded = (uint64_t)1 << SPAN_kind | (uint64_t)1 << SPAN_service };
    struct dependencies d = { .a = a, .most_spans = most_spans, .numbers = STRMAP_INIT, .pairs = STRMAP_INIT };
    struct err mine = ERR_INIT, *why = e ? e : &mine;
    int rc;

    d.spans = events_strips_open(st, &q, a, why);
    rc = d.spans ? join(&d, why) : why->code;
    events_strips_close(d.spans);
    if (rc == 0 && d.n)
        qsort(d.v, d.n, sizeof(*d.v), by_services);
    *out = d.v;
    *n = d.n;
    mem_free(d.table);
    strmap_free(&d.numbers);
    strmap_free(&d.pairs);
    return rc;
}

int traces_dependencies(struct store *st, int64_t from_ns, int64_t to_ns, struct arena *a, struct trace_dependency **out,
                        size_t *n, struct err *e)
{
    return dependencies_find(st, from_ns, to_ns, PASS_SPANS, a, out, n, e);
}
