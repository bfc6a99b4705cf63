/* event.h: rows of typed tables: access logs, log lines, spans.
 *
 * A table has fixed columns for what everyone filters on, and a map of attributes for the rest. A row's fixed values
 * stand in the order of the table's columns. */
#ifndef STORE_EVENT_H
#define STORE_EVENT_H

#include "base/access_log.h"
#include "base/labels.h"

#include <stdint.h>

enum event_kind { EVENT_ACCESS_LOG, EVENT_LOG, EVENT_SPAN, EVENT_KINDS };

/* The columns of `log` and `span`; those of `access_log` are the list in base/access_log.h, in its order. */
#define EVENT_LOG_COLUMNS(S, I)                                                                                 \
    S(body) S(severity) I(severity_number)    /* "INFO"; OpenTelemetry's 1 to 24, 0 = unset */                   \
    S(pod) S(namespace) S(workload) S(app) S(version) S(container) S(service) /* service.name */                 \
    S(trace_id) S(span_id)                    /* lower-case hexadecimal */
#define EVENT_SPAN_COLUMNS(S, I)                                                                                \
    S(trace_id) S(span_id) S(parent_span_id)                                                                     \
    S(name) S(kind)                           /* "internal" "server" "client" "producer" "consumer" */           \
    I(duration_ns) I(status) S(status_message) /* 0 unset, 1 ok, 2 error */                                      \
    S(service) S(pod) S(namespace) S(workload) S(app) S(version)                                                 \
    S(events) S(links) S(trace_state)         /* events and links as OTLP JSON arrays, empty when none */

#define EVENT_LOG_ENUM(c) LOG_##c,
#define EVENT_SPAN_ENUM(c) SPAN_##c,
enum event_log_column { EVENT_LOG_COLUMNS(EVENT_LOG_ENUM, EVENT_LOG_ENUM) LOG_NCOLUMNS };
enum event_span_column { EVENT_SPAN_COLUMNS(EVENT_SPAN_ENUM, EVENT_SPAN_ENUM) SPAN_NCOLUMNS };
#undef EVENT_LOG_ENUM
#undef EVENT_SPAN_ENUM

#define EVENT_MAX_COLUMNS 64
_Static_assert((int)ACCESS_LOG_NFIELDS <= EVENT_MAX_COLUMNS, "a bit for each column");

struct event_column {
    struct str name;
    bool is_text; /* else int64 */
};

struct event_table {
    struct str name; /* "access_log", "log", "span" */
    const struct event_column *columns;
    size_t n;
};

extern const struct event_table event_tables[EVENT_KINDS];

/* -1 when the table has no column of that name. */
int event_column_index(enum event_kind kind, struct str name);

union event_value {
    struct str s; /* p NULL or n 0: unset */
    int64_t i;
};

/* A column's value in a row that says nothing of it: the empty text; -1 in an access log, else 0. */
static inline union event_value event_unset(enum event_kind kind, const struct event_column *c)
{
    return c->is_text ? (union event_value){ .s = STR_NULL } : (union event_value){ .i = kind == EVENT_ACCESS_LOG ? -1 : 0 };
}

struct event {
    int64_t time_ns;                 /* when it began */
    const union event_value *values; /* one for each column of its table */
    struct labels attributes;
};

#endif
