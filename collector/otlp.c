#include "collector/otlp-internal.h"

#include "base/mem.h"

#include <stdio.h>

enum { REQUEST_RESOURCES = 1, RESOURCE_RESOURCE = 1, RESOURCE_SCOPES = 2, SCOPE_SCOPE = 1, SCOPE_ITEMS = 2 };
enum { RESOURCE_ATTRIBUTES = 1, SCOPE_NAME = 1, SCOPE_VERSION = 2 }; /* Resource, InstrumentationScope */

typedef int item_fn(struct otlp_context *c, struct str message, struct err *e);

static item_fn *const item_functions[3] = {
    [OTLP_LOGS] = otlp_log_record,
    [OTLP_METRICS] = otlp_metric,
    [OTLP_TRACES] = otlp_span,
};

/* Calls fn for every field `number` of the message, which must be bytes. */
static int each(struct str message, uint32_t number, item_fn *fn, struct otlp_context *c, struct err *e)
{
    struct pb_reader r = pb_reader(message);
    struct pb_field f;
    int rc;

    while ((rc = pb_next(&r, &f, e)) == 1) {
        if (f.number != number)
            continue;
        if ((rc = pb_want(&f, PB_BYTES, e)) < 0 || (rc = fn(c, f.bytes, e)) < 0)
            return rc;
    }
    return rc;
}

bool otlp_is_fault_of_item(int rc)
{
    return rc == ERR_INVALID || rc == ERR_RANGE || rc == ERR_LIMIT || rc == ERR_UNSUPPORTED;
}

/* The sentence goes into a protobuf string, which must be UTF-8; it may quote what is not, and be cut anywhere. */
static void keep_reason(struct otlp_refused *refused, const char *why)
{
    snprintf(refused->why, sizeof(refused->why), "%.*s", (int)sizeof(refused->why) - 1, why);
    if (str_is_utf8(str_of(refused->why)))
        return;
    for (char *c = refused->why; *c; c++)
        if ((unsigned char)*c >= 0x80)
            *c = '?';
}

int otlp_settle(struct otlp_context *c, int rc, uint64_t n, const char *what, struct err *why, struct err *e)
{
    if (rc == 0) {
        c->refused->accepted += n;
        return 0;
    }
    err_wrap(why, "%s %llu", what, (unsigned long long)(c->refused->accepted + c->refused->n + 1));
    if (!otlp_is_fault_of_item(rc)) {
        if (e)
            *e = *why;
        return rc;
    }
    if (c->refused->n == 0)
        keep_reason(c->refused, why->msg);
    c->refused->n += n;
    return 0;
}

int otlp_origin_fault(const struct otlp_context *c, struct err *e)
{
    if (c->resource.rc) {
        *e = c->resource.why;
        return c->resource.rc;
    }
    return c->scope_rc ? err_set(e, c->scope_rc, "the scope's name or version is not UTF-8") : 0;
}

int otlp_get_number(const struct pb_field *f, enum pb_type type, uint64_t *v, struct err *e)
{
    *v = f->u;
    return pb_want(f, type, e);
}

int otlp_get_bytes(const struct pb_field *f, struct str *v, struct err *e)
{
    *v = f->bytes;
    return pb_want(f, PB_BYTES, e);
}

int otlp_get_attribute(struct otlp_context *c, const struct pb_field *f, struct err *e)
{
    int rc = pb_want(f, PB_BYTES, e);

    return rc < 0 ? rc : otlp_attribute_add(c->arena, &c->attributes, f->bytes, e);
}

int otlp_time(uint64_t ns, int64_t *out, struct err *e)
{
    *out = (int64_t)ns;
    if (ns > INT64_MAX)
        return err_set(e, ERR_RANGE, "time %llu ns lies beyond the year 2262", (unsigned long long)ns);
    return 0;
}

void otlp_put_absent(struct label *v, size_t *n, struct str name, struct str value)
{
    for (size_t i = 0; i < *n; i++)
        if (str_eq(v[i].name, name))
            return;
    v[(*n)++] = (struct label){ name, value };
}

static int resource_field(struct otlp_context *c, const struct pb_field *f, void *out, struct err *e)
{
    int rc;

    if (f->number != RESOURCE_ATTRIBUTES)
        return 0;
    rc = pb_want(f, PB_BYTES, e);
    return rc < 0 ? rc : otlp_attribute_add(c->arena, out, f->bytes, e);
}

static int read_resource(struct otlp_context *c, struct str message, struct err *e)
{
    c->resource.attributes.n = 0;
    return otlp_read(c, message, 0, resource_field, &c->resource.attributes, e);
}

static int name_resource(struct otlp_resource *r, struct arena *a, struct err *e)
{
    const struct otlp_attributes *l = &r->attributes;
    struct str ns = otlp_attribute_get(l, "service.namespace");

    r->service = otlp_attribute_get(l, "service.name");
    r->instance = otlp_attribute_get(l, "service.instance.id");
    r->pod = otlp_attribute_get(l, "k8s.pod.name");
    r->ns = otlp_attribute_get(l, "k8s.namespace.name");
    r->workload = otlp_attribute_get(l, "k8s.deployment.name");
    r->container = otlp_attribute_get(l, "k8s.container.name");
    r->app = otlp_attribute_get(l, "app");
    r->version = otlp_attribute_get(l, "service.version");
    r->job = r->service;
    if (r->service.n && ns.n) {
        r->job = arena_printf(a, "%.*s/%.*s", STR_ARG(ns), STR_ARG(r->service));
        if (!r->job.p)
            return err_set(e, ERR_NOMEM, "no memory for a resource");
    }
    return 0;
}

static int scope_field(struct otlp_context *c, struct str message, struct err *e)
{
    struct pb_reader r = pb_reader(message);
    struct pb_field f;
    int rc;

    c->scope_name = c->scope_version = STR_NULL;
    c->scope_rc = 0;
    while ((rc = pb_next(&r, &f, e)) == 1) {
        if (f.number != SCOPE_NAME && f.number != SCOPE_VERSION)
            continue;
        if ((rc = pb_want(&f, PB_BYTES, e)) < 0)
            return rc;
        if (!str_is_utf8(f.bytes))
            c->scope_rc = ERR_INVALID;
        *(f.number == SCOPE_NAME ? &c->scope_name : &c->scope_version) = f.bytes;
    }
    return rc;
}

struct envelope {
    struct otlp_context c; /* first: a callback's context is the envelope */
    enum otlp_signal signal;
    struct red *red;  /* NULL: nothing is counted */
    size_t uncounted; /* rows from there on are not counted yet */
};

/* --- counting rows: all but those of the bundled proxy, which counts by itself --- */

static enum event_kind counted_kind(const struct envelope *x)
{
    return x->signal == OTLP_LOGS ? EVENT_ACCESS_LOG : EVENT_SPAN;
}

static int count_rows(struct envelope *x, struct err *e)
{
    size_t first = x->uncounted;

    if (!x->red || x->signal == OTLP_METRICS)
        return 0;
    x->uncounted = x->c.batch->events[counted_kind(x)].n;
    return x->signal == OTLP_LOGS ? red_access_logs(x->red, x->c.batch, first, e)
                                  : red_spans(x->red, x->c.batch, first, e);
}

static void pass_rows(struct envelope *x)
{
    x->uncounted = x->c.batch->events[counted_kind(x)].n;
}

/* --- scopes and resources --- */

static bool is_own_scope(const struct envelope *x)
{
    static const struct str scopes[3] = {
        [OTLP_LOGS] = STR_INIT("vigla.access_log"),
        [OTLP_TRACES] = STR_INIT("vigla.proxy"),
    };
    struct str own = scopes[x->signal];

    return own.n && str_eq(x->c.scope_name, own);
}

/* How many items the message has, as its first ones let expect. To count them would be to wait for a part of each, which
 * is not in the cache yet. */
static int expect_items(struct str message, size_t *n, struct err *e)
{
    enum { FIRST = 32, MOST = 8192 };
    struct pb_reader r = pb_reader(message);
    struct pb_field f;
    size_t bytes;
    int rc;

    *n = 0;
    while (*n < FIRST && (rc = pb_next(&r, &f, e)) == 1)
        *n += f.number == SCOPE_ITEMS;
    if (*n < FIRST)
        return rc;
    bytes = message.n - (size_t)(r.end - r.p);
    *n = message.n / (bytes / FIRST + 1) + message.n / bytes; /* some more: to move rows costs more than room for them */
    *n = *n < MOST ? *n : MOST;
    return 0;
}

/* The scope, as far as it stands before the items: behind them nobody puts it, and to look there is to wait for a part of
 * each item, which is not in the cache yet. */
static int leading_scope(struct otlp_context *c, struct str message, struct err *e)
{
    struct pb_reader r = pb_reader(message);
    struct pb_field f;
    int rc;

    while ((rc = pb_next(&r, &f, e)) == 1 && f.number != SCOPE_ITEMS)
        if (f.number == SCOPE_SCOPE && ((rc = pb_want(&f, PB_BYTES, e)) < 0 || (rc = scope_field(c, f.bytes, e)) < 0))
            break;
    return rc < 0 ? rc : 0;
}

/* The items, up to a scope that comes behind one all the same: then *late. `late` NULL: it has been read, wherever it
 * stands. */
static int items(struct envelope *x, struct str message, bool *late, struct err *e)
{
    item_fn *const fn = item_functions[x->signal];
    struct pb_reader r = pb_reader(message);
    bool begun = false;
    struct pb_field f;
    int rc;

    while ((rc = pb_next(&r, &f, e)) == 1) {
        if (late && begun && f.number == SCOPE_SCOPE) {
            *late = true;
            return 0;
        }
        if (f.number != SCOPE_ITEMS)
            continue;
        begun = true;
        if ((rc = pb_want(&f, PB_BYTES, e)) < 0 || (rc = fn(&x->c, f.bytes, e)) < 0)
            return rc;
    }
    return rc;
}

/* The items of the scope that has been read. */
static int items_of(struct envelope *x, struct str message, bool *late, struct err *e)
{
    struct otlp_context *c = &x->c;
    int rc = expect_items(message, &c->expected, e);

    if (rc < 0)
        return rc;
    for (int kind = 0; kind < EVENT_KINDS; kind++)
        c->order[kind].is_valid = false;
    c->is_own_scope = is_own_scope(x);
    if (c->is_own_scope && (rc = count_rows(x, e)) < 0)
        return rc;
    rc = items(x, message, late, e);
    if (c->is_own_scope && !(late && *late))
        pass_rows(x);
    return rc;
}

/* Log records come in the largest numbers, and what they have become can be taken back: they are read as if the scope
 * stood before them. */
static int log_records(struct envelope *x, struct str message, bool *late, struct err *e)
{
    struct otlp_context *c = &x->c;
    const struct otlp_refused refused = *c->refused;
    size_t rows[EVENT_KINDS];
    int rc;

    for (int kind = 0; kind < EVENT_KINDS; kind++)
        rows[kind] = c->batch->events[kind].n;
    rc = leading_scope(c, message, e);
    if (rc == 0)
        rc = items_of(x, message, late, e);
    if (rc < 0 || !*late)
        return rc;
    for (int kind = 0; kind < EVENT_KINDS; kind++)
        batch_drop_events(c->batch, (enum event_kind)kind, rows[kind]);
    *c->refused = refused;
    return 0;
}

static void forget_scope(struct otlp_context *c)
{
    c->scope_name = c->scope_version = STR_NULL;
    c->scope_rc = 0;
}

/* Fields come in any order: first who, then what. */
static int scope_items(struct otlp_context *c, struct str message, struct err *e)
{
    struct envelope *x = (struct envelope *)c;
    bool late = false;
    int rc;

    forget_scope(c);
    if (x->signal == OTLP_LOGS) {
        rc = log_records(x, message, &late, e);
        if (rc < 0 || !late)
            return rc;
        forget_scope(c);
    }
    rc = each(message, SCOPE_SCOPE, scope_field, c, e);
    return rc < 0 ? rc : items_of(x, message, NULL, e);
}

static int resource_items(struct otlp_context *c, struct str message, struct err *e)
{
    struct otlp_resource *r = &c->resource;
    int rc;

    r->attributes.n = 0;
    r->why = (struct err)ERR_INIT;
    rc = each(message, RESOURCE_RESOURCE, read_resource, c, &r->why);
    if (rc == 0)
        rc = name_resource(r, c->arena, &r->why);
    if (rc < 0 && !otlp_is_fault_of_item(rc)) {
        if (e)
            *e = r->why;
        return rc;
    }
    if (rc < 0)
        err_wrap(&r->why, "resource");
    r->rc = rc;
    return each(message, RESOURCE_SCOPES, scope_items, c, e);
}

static void free_buf(void *arg)
{
    buf_free(arg);
}

/* The body as protobuf, in memory that lives as long as the arena. */
static int rewrite_json(enum otlp_signal signal, struct arena *a, struct str *body, struct err *e)
{
    struct buf *b = ARENA_NEW(a, struct buf);

    if (!b || arena_on_free(a, free_buf, b) < 0)
        return err_set(e, ERR_NOMEM, "no memory for the body");
    *b = (struct buf)BUF_INIT(8 * body->n + 64); /* "1," becomes nine bytes in a list of fixed64 */
    if (otlp_json_to_pb(&otlp_requests[signal], *body, b, e) < 0)
        return e ? e->code : ERR_PARSE;
    *body = buf_view(b);
    return 0;
}

int otlp_decode(enum otlp_signal signal, enum otlp_encoding encoding, struct str body, struct red *red, struct batch *b,
                struct otlp_refused *refused, struct err *e)
{
    struct err own = ERR_INIT;
    struct envelope *x;
    int rc = 0;

    if (!e)
        e = &own;
    *refused = (struct otlp_refused){ 0 };
    if (encoding == OTLP_JSON)
        rc = rewrite_json(signal, b->arena, &body, e);
    if (rc < 0)
        return rc;
    x = mem_zalloc(sizeof(*x)); /* some 40 KiB: not on a small thread's stack */
    if (!x)
        return err_set(e, ERR_NOMEM, "no memory to decode a body");
    x->c.batch = b;
    x->c.arena = b->arena;
    x->c.refused = refused;
    x->signal = signal;
    x->red = red;
    pass_rows(x);
    rc = each(body, REQUEST_RESOURCES, resource_items, &x->c, e);
    if (rc == 0)
        rc = count_rows(x, e);
    strmap_free(&x->c.keys);
    mem_free(x);
    return rc;
}

/* --- the answer --- */

void otlp_response(enum otlp_signal signal, enum otlp_encoding encoding, const struct otlp_refused *refused,
                   struct buf *out)
{
    static const char *const counters[3] = {
        [OTLP_LOGS] = "rejectedLogRecords",
        [OTLP_METRICS] = "rejectedDataPoints",
        [OTLP_TRACES] = "rejectedSpans",
    };
    size_t mark;

    if (encoding == OTLP_JSON) {
        buf_putc(out, '{');
        if (refused->n) {
            buf_printf(out, "\"partialSuccess\":{\"%s\":\"%llu\",\"errorMessage\":", counters[signal],
                       (unsigned long long)refused->n);
            buf_json(out, str_of(refused->why));
            buf_putc(out, '}');
        }
        buf_putc(out, '}');
    } else if (refused->n) {
        mark = pb_open(out, 1); /* partial_success */
        pb_put_varint(out, 1, refused->n);
        pb_put_str(out, 2, str_of(refused->why));
        pb_close(out, mark);
    }
}
