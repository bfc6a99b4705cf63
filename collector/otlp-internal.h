/* otlp-internal.h: what the files of the OTLP receiver share.
 *
 * A body goes through three steps: JSON is first rewritten as protobuf by the table of messages (otlp_json.c); the
 * envelope Export…Request > Resource… > Scope… > item, the same for all three signals, is walked in otlp.c; each
 * signal turns one item into rows or series (otlp_logs.c, otlp_metrics.c, otlp_traces.c). So there is one decoder. */
#ifndef COLLECTOR_OTLP_INTERNAL_H
#define COLLECTOR_OTLP_INTERNAL_H

#include "base/pb.h"
#include "collector/otlp.h"

enum {
    OTLP_MOST_ATTRIBUTES = 128, /* of one item, and of one resource */
    OTLP_MOST_DEPTH = 32,       /* of arrays and maps in a value */
    OTLP_MOST_BOUNDS = 1024,    /* of a histogram, quantiles of a summary */
    OTLP_LONGEST_LABEL = 16384  /* bytes of a metric's name, a label's name or value */
};

/* --- The messages we read, as opentelemetry-proto declares them (otlp_schema.c) --- */

enum otlp_type {
    OTLP_STRING, OTLP_BYTES, OTLP_HEX, OTLP_BOOL, OTLP_INT64, OTLP_UINT32, OTLP_ENUM, OTLP_FIXED32, OTLP_FIXED64,
    OTLP_SFIXED64, OTLP_DOUBLE, OTLP_MESSAGE
}; /* HEX: bytes that OTLP's JSON writes in hexadecimal instead of base64 */

struct otlp_field {
    struct str name; /* as in the .proto file; lowerCamelCase in JSON */
    uint32_t number;
    enum otlp_type type;
    bool repeated;
    bool oneof; /* of the message's one `oneof`: the last one that is set counts */
    const struct otlp_message *message;
};

struct otlp_message {
    const struct otlp_field *fields;
    size_t n;
};

extern const struct otlp_message otlp_requests[3]; /* by enum otlp_signal */
extern const struct otlp_message otlp_span_event, otlp_span_link;

/* Appends the JSON text as protobuf; unknown members are passed over. ERR_PARSE, ERR_NOMEM. */
int otlp_json_to_pb(const struct otlp_message *m, struct str json, struct buf *out, struct err *e);
/* Appends the message as OTLP JSON; unknown fields are left out. ERR_PARSE, ERR_LIMIT (nested too deeply). */
int otlp_pb_to_json(const struct otlp_message *m, struct str message, struct buf *out, struct err *e);

/* --- Values and attributes (otlp_value.c) --- */

/* ERR_INVALID when it is not UTF-8; `what` names it. */
int otlp_text(struct str s, const char *what, struct err *e);

/* An AnyValue as text: strings as they are (a view), numbers in decimal, bytes in base64, arrays and maps as JSON.
 * ERR_PARSE; ERR_INVALID, ERR_LIMIT: this value is refused. */
int otlp_value_text(struct arena *a, struct str any_value, struct str *out, struct err *e);

struct otlp_attributes {
    struct label v[OTLP_MOST_ATTRIBUTES];
    size_t n;
};

/* Adds one KeyValue. ERR_LIMIT beyond OTLP_MOST_ATTRIBUTES. */
int otlp_attribute_add(struct arena *a, struct otlp_attributes *list, struct str key_value, struct err *e);
/* The last value of that key, or STR_NULL. */
struct str otlp_attribute_get(const struct otlp_attributes *list, const char *key);
/* Lower-case hexadecimal of an id of `want` bytes; STR_NULL when its length is another or it is all zero. ERR_NOMEM. */
int otlp_id(struct arena *a, struct str bytes, size_t want, struct str *out, struct err *e);

void otlp_base64(struct buf *out, struct str bytes);
void otlp_hex(struct buf *out, struct str bytes);

/* --- Context of one request --- */

struct otlp_resource {
    struct otlp_attributes attributes;
    struct str service, instance, pod, ns, workload, app, version, container; /* from the attributes */
    struct str job;                                                           /* "namespace/name" or name */
    int rc;                                                                   /* not 0: its items are refused */
    struct err why;
};

struct otlp_point; /* otlp_metrics.c's workspace */

struct otlp_context {
    struct batch *batch;
    struct arena *arena;
    struct otlp_refused *refused;
    struct otlp_resource resource;
    struct str scope_name, scope_version;
    int scope_rc; /* not 0: the scope's items are refused */
    struct otlp_attributes attributes; /* of the item at work */
    struct otlp_point *point;          /* NULL until the first one */
};

/* What an item's decoding came to: 0 counts n items as taken; a fault of the item counts them as refused, for the
 * reason "WHAT NUMBER: …"; anything else (ERR_PARSE, ERR_NOMEM) is returned and ends the request. */
int otlp_settle(struct otlp_context *c, int rc, uint64_t n, const char *what, struct err *why, struct err *e);
/* Not 0 when the item's resource or scope is at fault, and so all its items. */
int otlp_origin_fault(const struct otlp_context *c, struct err *e);

/* One LogRecord, Metric, Span: settled inside; what is returned ends the request. */
int otlp_log_record(struct otlp_context *c, struct str message, struct err *e);
int otlp_metric(struct otlp_context *c, struct str message, struct err *e);
int otlp_span(struct otlp_context *c, struct str message, struct err *e);

/* Calls field(c, f, out, e) for each field of an item's message, to its end even after a fault of the item, as what
 * follows may be no protobuf at all. Returns the fatal error, or the first fault, or 0. */
int otlp_read(struct otlp_context *c, struct str message,
              int (*field)(struct otlp_context *c, const struct pb_field *f, void *out, struct err *e), void *out,
              struct err *e);
int otlp_get_number(const struct pb_field *f, enum pb_type type, uint64_t *v, struct err *e);
int otlp_get_bytes(const struct pb_field *f, struct str *v, struct err *e);
/* A KeyValue among the item's attributes. */
int otlp_get_attribute(struct otlp_context *c, const struct pb_field *f, struct err *e);

/* Adds a label unless v[0..*n) has one of that name. */
void otlp_put_absent(struct label *v, size_t *n, struct str name, struct str value);

/* Nanoseconds as the store has them. ERR_RANGE after the year 2262. */
int otlp_time(uint64_t ns, int64_t *out, struct err *e);

/* The attributes of a row: those of the item, of its resource and scope that have no column, normalised; the item's
 * win. ERR_NOMEM. */
int otlp_row_attributes(struct otlp_context *c, enum event_kind kind, struct labels *out, struct err *e);

/* --- Names as Prometheus wants them (otlp_name.c) --- */

struct otlp_naming {
    bool monotonic; /* "_total" */
    bool gauge;     /* unit "1" is "_ratio" */
};

/* The metric's name with unit and suffix; ERR_INVALID when nothing is left of it, ERR_NOMEM. */
int otlp_metric_name(struct arena *a, struct str name, struct str unit, struct otlp_naming how, struct str *out,
                     struct err *e);
/* A label's name: characters outside [a-zA-Z0-9_] become '_', a leading digit or underscore gets "key". */
int otlp_label_name(struct arena *a, struct str key, struct str *out, struct err *e);

#endif
