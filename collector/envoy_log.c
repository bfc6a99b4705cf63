/* envoy_log.c: StreamAccessLogsMessage to rows of access_log.
 *
 * Envoy may log a request while it is under way, and each try at an upstream. These rows are kept aside until the others
 * have been counted, so that a request counts once. */
#include "collector/envoy-internal.h"

#include "collector/access_log_complete.h"

#include <stdio.h>

enum { MESSAGE_IDENTIFIER = 1, MESSAGE_HTTP = 2, MESSAGE_TCP = 3 };
enum { IDENTIFIER_NODE = 1, IDENTIFIER_LOG_NAME = 2 };

int envoy_identifier(struct str message, struct envoy_node **node, struct err *e)
{
    struct str identifier, sender, log_name;
    struct envoy_node *n;
    int rc = envoy_bytes_field(message, MESSAGE_IDENTIFIER, &identifier, e);

    if (rc < 0 || !identifier.p)
        return rc;
    if ((rc = envoy_bytes_field(identifier, IDENTIFIER_NODE, &sender, e)) < 0 ||
        (rc = envoy_bytes_field(identifier, IDENTIFIER_LOG_NAME, &log_name, e)) < 0)
        return rc;
    n = envoy_node_new(sender, log_name, e);
    if (!n)
        return e->code;
    envoy_node_release(*node);
    *node = n;
    return 0;
}

struct aside {
    struct event ev;
    struct aside *next;
};

struct reading {
    struct envoy_entry *x;
    const struct envoy_node *node;
    struct batch *b;
    struct otlp_refused *items;
    struct aside *aside, **aside_end; /* rows that are not to be counted */
};

static int keep_aside(struct reading *r, const struct event *ev, struct err *e)
{
    struct aside *a = ARENA_NEW(r->b->arena, struct aside);
    union event_value *v = arena_array(r->b->arena, ACCESS_LOG_NFIELDS, sizeof(*v));

    if (!a || !v)
        return err_set(e, ERR_NOMEM, "no memory for an entry of an access log");
    memcpy(v, ev->values, ACCESS_LOG_NFIELDS * sizeof(*v));
    a->ev = *ev;
    a->ev.values = v;
    *r->aside_end = a;
    r->aside_end = &a->next;
    return 0;
}

static int add_entry(struct reading *r, struct err *e)
{
    struct envoy_entry *x = r->x;
    const struct event ev = { x->start_ns, x->v, label_builder_view(&x->attributes) };

    if (!envoy_entry_counts(x))
        return keep_aside(r, &ev, e);
    return batch_add_event(r->b, EVENT_ACCESS_LOG, &ev) < 0 ? err_set(e, ERR_NOMEM, "no memory for an access log") : 0;
}

static int read_entry(struct reading *r, bool is_tcp, struct str message, struct err *e)
{
    struct err why = ERR_INIT;
    int rc = envoy_entry_read(r->x, r->b->arena, r->node, is_tcp, message, &why);

    if (rc == 0 && (rc = add_entry(r, &why)) == 0) {
        r->items->accepted++;
        return 0;
    }
    if (rc != ERR_RANGE && rc != ERR_LIMIT) {
        *e = why;
        return rc;
    }
    if (r->items->n++ == 0)
        snprintf(r->items->why, sizeof(r->items->why), "%.200s", why.msg);
    return 0;
}

/* HTTPAccessLogEntries, TCPAccessLogEntries: the same shape. */
static int read_entries(struct reading *r, bool is_tcp, struct str message, struct err *e)
{
    struct pb_reader reader = pb_reader(message);
    struct pb_field f;
    int rc;

    while ((rc = pb_next(&reader, &f, e)) == 1) {
        if (f.number != 1)
            continue;
        if ((rc = pb_want(&f, PB_BYTES, e)) < 0 || (rc = read_entry(r, is_tcp, f.bytes, e)) < 0)
            return rc;
    }
    return rc;
}

/* As red_access_logs does with those it counts. */
static int complete(struct batch *b, size_t first, struct err *e)
{
    for (size_t row = first; row < b->events[EVENT_ACCESS_LOG].n; row++)
        if (access_log_complete(b, row) < 0)
            return err_set(e, ERR_NOMEM, "no memory for an access log");
    return 0;
}

static int add_aside(struct reading *r, struct err *e)
{
    size_t first = r->b->events[EVENT_ACCESS_LOG].n;

    for (struct aside *a = r->aside; a; a = a->next)
        if (batch_add_event(r->b, EVENT_ACCESS_LOG, &a->ev) < 0)
            return err_set(e, ERR_NOMEM, "no memory for an access log");
    return complete(r->b, first, e);
}

static int read_rows(struct reading *r, struct str message, struct err *e)
{
    struct pb_reader reader = pb_reader(message);
    struct pb_field f;
    int rc;

    while ((rc = pb_next(&reader, &f, e)) == 1) {
        if (f.number != MESSAGE_HTTP && f.number != MESSAGE_TCP)
            continue;
        if ((rc = pb_want(&f, PB_BYTES, e)) < 0 || (rc = read_entries(r, f.number == MESSAGE_TCP, f.bytes, e)) < 0)
            return rc;
    }
    return rc;
}

static int decode(struct reading *r, struct str message, struct red *red, size_t first, struct err *e)
{
    int rc = read_rows(r, message, e);

    if (rc == 0)
        rc = red ? red_access_logs(red, r->b, first, e) : complete(r->b, first, e);
    return rc < 0 ? rc : add_aside(r, e);
}

int envoy_log_decode(struct str message, struct envoy_node *node, struct red *red, struct batch *b,
                     struct otlp_refused *items, struct err *e)
{
    struct reading r = { .x = ARENA_NEW(b->arena, struct envoy_entry), .node = node, .b = b, .items = items };
    size_t first = b->events[EVENT_ACCESS_LOG].n, series = b->nseries;
    struct otlp_refused before = *items;
    int rc;

    r.aside_end = &r.aside;
    if (!node)
        return err_set(e, ERR_INVALID, "the first message of a stream should have an identifier");
    if (!r.x)
        return err_set(e, ERR_NOMEM, "no memory for an access log");
    rc = decode(&r, message, red, first, e);
    if (rc < 0) {
        b->events[EVENT_ACCESS_LOG].n = first;
        b->nseries = series;
        *items = before;
    }
    return rc;
}
