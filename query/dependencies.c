/* dependencies.c: who calls whom, from spans alone.
 *
 * Problem    A span names its parent by id; the parent may come before or after it, in any block.
 * Idea       One pass, newest first: each span puts the service it belongs to under a hash of its id into a table, and
 *            leaves behind whom it looks for. Afterwards each looks.
 * Halves     A span of kind `server` and any other of the same id (Zipkin's shared spans) are two entries. A server's span
 *            looks for the other half first; everybody else for the server's half of its parent, and then the other. This
 *            is how traces.c parts them.
 * Bound      TRACE_MOST_DEPENDENT spans: the table is 32 MiB, what is left behind 24 MiB. */
#include "query/traces.h"

#include "base/mem.h"
#include "base/strmap.h"

#include <stdlib.h>

enum { BLOCK_CALLS = 4096, FIRST_SLOTS = 4096, MOST_SERVICES = 1 << 20 };

struct half {
    uint64_t key; /* 0: empty */
    uint32_t service;
};

/* What a span looks for: its caller, at the first of these keys that is there. */
struct call {
    uint64_t keys[3];
    uint32_t service;
};

struct calls {
    struct calls *next;
    size_t n;
    struct call v[BLOCK_CALLS];
};

struct dependencies {
    struct arena *a;
    struct half *halves; /* owned: open addressing */
    size_t nhalves, slots;
    struct calls *calls;
    struct strmap numbers; /* service to its number + 1 */
    struct str *services;
    size_t nservices, services_cap;
    struct strmap pairs; /* caller and callee, as two numbers, to their line in the result */
    struct trace_dependency *v;
    size_t n, cap;
};

static uint64_t key_of(struct str trace, struct str span, bool server)
{
    char text[80];
    size_t n = 0;

    if (span.n == 0 || trace.n + span.n + 1 > sizeof(text))
        return 0;
    memcpy(text, trace.p, trace.n);
    n = trace.n;
    memcpy(text + n, span.p, span.n);
    n += span.n;
    text[n++] = server ? 's' : 'c';
    return str_hash((struct str){ text, n }) | 1;
}

static struct half *slot_of(const struct dependencies *d, uint64_t key)
{
    size_t at = (key >> 1) & (d->slots - 1);

    while (d->halves[at].key && d->halves[at].key != key)
        at = (at + 1) & (d->slots - 1);
    return &d->halves[at];
}

static int grow_halves(struct dependencies *d, struct err *e)
{
    struct half *old = d->halves;
    size_t n = d->slots;

    if (2 * d->nhalves < d->slots)
        return 0;
    d->slots = n ? 2 * n : FIRST_SLOTS;
    d->halves = mem_zalloc(d->slots * sizeof(*d->halves));
    if (!d->halves) {
        mem_free(old);
        return err_set(e, ERR_NOMEM, "no memory for the dependencies");
    }
    for (size_t i = 0; i < n; i++)
        if (old[i].key)
            *slot_of(d, old[i].key) = old[i];
    mem_free(old);
    return 0;
}

static int add_half(struct dependencies *d, uint64_t key, uint32_t service, struct err *e)
{
    struct half *h;

    if (grow_halves(d, e) < 0)
        return ERR_NOMEM;
    h = slot_of(d, key);
    d->nhalves += h->key == 0;
    *h = (struct half){ key, service };
    return 0;
}

static int number_of(struct dependencies *d, struct str service, uint32_t *number, struct err *e)
{
    uintptr_t known = (uintptr_t)strmap_get(&d->numbers, service);

    if (!known) {
        if (d->nservices == MOST_SERVICES)
            return err_set(e, ERR_LIMIT, "more than %d services have spans", MOST_SERVICES);
        service = arena_str(d->a, service);
        if (!service.p || arena_grow(d->a, &d->services, &d->services_cap, d->nservices + 1, sizeof(service)) < 0 ||
            strmap_put(&d->numbers, service, (void *)(d->nservices + 1), NULL) < 0)
            return err_set(e, ERR_NOMEM, "no memory for the dependencies");
        d->services[d->nservices++] = service;
        known = d->nservices;
    }
    *number = (uint32_t)(known - 1);
    return 0;
}

static int add_call(struct dependencies *d, const struct call *c, struct err *e)
{
    if (!d->calls || d->calls->n == BLOCK_CALLS) {
        struct calls *more = arena_alloc(d->a, sizeof(*more));

        if (!more)
            return err_set(e, ERR_NOMEM, "no memory for the dependencies");
        more->next = d->calls;
        more->n = 0;
        d->calls = more;
    }
    d->calls->v[d->calls->n++] = *c;
    return 0;
}

static int take_span(struct dependencies *d, const struct event_page *p, size_t i, struct err *e)
{
    struct str trace = p->columns[SPAN_trace_id][i].s, id = p->columns[SPAN_span_id][i].s;
    struct str parent = p->columns[SPAN_parent_span_id][i].s;
    bool server = str_eqz(p->columns[SPAN_kind][i].s, "server");
    struct call c = { .keys = { server ? key_of(trace, id, false) : 0, key_of(trace, parent, true),
                                key_of(trace, parent, false) } };
    uint64_t own = key_of(trace, id, server);
    int rc = number_of(d, p->columns[SPAN_service][i].s, &c.service, e);

    if (rc == 0 && own)
        rc = add_half(d, own, c.service, e);
    return rc < 0 || (!server && parent.n == 0) ? rc : add_call(d, &c, e);
}

static int read_spans(struct dependencies *d, struct store *st, int64_t from_ns, int64_t to_ns, struct err *e)
{
    struct event_query q = { .kind = EVENT_SPAN,
                             .from_ns = from_ns,
                             .to_ns = to_ns,
                             .columns = (uint64_t)1 << SPAN_trace_id | (uint64_t)1 << SPAN_span_id |
                                        (uint64_t)1 << SPAN_parent_span_id | (uint64_t)1 << SPAN_kind |
                                        (uint64_t)1 << SPAN_service,
                             .newest_first = true,
                             .limit = TRACE_MOST_DEPENDENT };
    struct event_cursor *c = events_open(st, &q, d->a, e);
    struct event_page page = { 0 };
    int rc;

    if (!c)
        return e->code;
    while ((rc = events_next(c, &page, e)) == 1) {
        for (size_t i = 0; rc >= 0 && i < page.n; i++)
            rc = take_span(d, &page, i, e);
        if (rc < 0)
            break;
    }
    events_close(c);
    return rc;
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
            return err_set(e, ERR_NOMEM, "no memory for the dependencies");
        d->v[d->n++] = (struct trace_dependency){ d->services[caller], d->services[callee], 0 };
        line = d->n;
    }
    d->v[line - 1].calls++;
    return 0;
}

/* Calls inside of one service are none, nor are those of nobody. */
static int count_call(struct dependencies *d, const struct call *c, struct err *e)
{
    for (size_t i = 0; i < 3; i++) {
        const struct half *caller = c->keys[i] && d->slots ? slot_of(d, c->keys[i]) : NULL;

        if (!caller || !caller->key)
            continue;
        if (caller->service == c->service || !d->services[caller->service].n || !d->services[c->service].n)
            return 0;
        return count(d, caller->service, c->service, e);
    }
    return 0;
}

static int count_calls(struct dependencies *d, struct err *e)
{
    for (const struct calls *block = d->calls; block; block = block->next)
        for (size_t i = 0; i < block->n; i++)
            if (count_call(d, &block->v[i], e) < 0)
                return ERR_NOMEM;
    return 0;
}

static int by_services(const void *a, const void *b)
{
    const struct trace_dependency *x = a, *y = b;
    int order = str_cmp(x->parent, y->parent);

    return order ? order : str_cmp(x->child, y->child);
}

int traces_dependencies(struct store *st, int64_t from_ns, int64_t to_ns, struct arena *a, struct trace_dependency **out,
                        size_t *n, struct err *e)
{
    struct dependencies d = { .a = a, .numbers = STRMAP_INIT, .pairs = STRMAP_INIT };
    int rc = read_spans(&d, st, from_ns, to_ns, e);

    if (rc == 0)
        rc = count_calls(&d, e);
    if (rc == 0 && d.n)
        qsort(d.v, d.n, sizeof(*d.v), by_services);
    *out = d.v;
    *n = d.n;
    mem_free(d.halves);
    strmap_free(&d.numbers);
    strmap_free(&d.pairs);
    return rc;
}
