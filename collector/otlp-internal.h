/* otlp-internal.h: what the files of the OTLP receiver share.
 *
 * A body goes through three steps: JSON is first rewritten as protobuf by the table of messages (otlp_json.c); the
 * envelope Export…Request > Resource… > Scope… > item, the same for all three signals, is walked in otlp.c; each
 * signal turns one item into rows or series (otlp_logs.c, otlp_metrics.c, otlp_traces.c). So there is one decoder.
 *
 * Rows are written column by column as their fields are read; nothing of a record is copied, and nothing is kept for it
 * beside them but what has no column (otlp_rows.c). */
#ifndef COLLECTOR_OTLP_INTERNAL_H
#define COLLECTOR_OTLP_INTERNAL_H

#include "base/pb.h"
#include "base/strmap.h"
#include "collector/otlp.h"

enum {
    OTLP_MOST_ATTRIBUTES = 128, /* of one item, and of one resource */
    OTLP_MOST_DEPTH = 32,       /* of arrays and maps in a value */
    OTLP_MOST_BOUNDS = 1024,    /* of a histogram, quantiles of a summary */
    OTLP_LONGEST_LABEL = 16384  /* bytes of a metric's name, a label's name or value */
};

/* --- The messages we read, as opentelemetry-proto declares them (otlp_schema.c) --- */

enum otlp_type {
    OTLP_STRING, OTLP_BYTES, OTLP_HEX, OTLP_BOOL, OTLP_INT64, OTLP_UINT32, OTLP_UINT64, OTLP_SINT32, OTLP_ENUM,
    OTLP_FIXED32, OTLP_FIXED64, OTLP_SFIXED64, OTLP_DOUBLE, OTLP_MESSAGE
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

struct otlp_context;

struct otlp_attributes {
    struct label v[OTLP_MOST_ATTRIBUTES];
    size_t n;
};

/* The key and the AnyValue of a KeyValue; empty when they are not there. ERR_PARSE; ERR_INVALID: the key is not
 * UTF-8. */
int otlp_read_pair(struct str key_value, struct str *key, struct str *any_value, struct err *e);
/* Adds one KeyValue. ERR_LIMIT beyond OTLP_MOST_ATTRIBUTES. */
int otlp_attribute_add(struct arena *a, struct otlp_attributes *list, struct str key_value, struct err *e);
/* The last value of that key, or STR_NULL. */
struct str otlp_attribute_get(const struct otlp_attributes *list, const char *key);
/* Lower-case hexadecimal of an id of `want` bytes; STR_NULL when its length is another or it is all zero. ERR_NOMEM. */
int otlp_id(struct arena *a, struct str bytes, size_t want, struct str *out, struct err *e);

/* --- Attributes of log records and spans, as they come (otlp_pairs.c) --- */

struct otlp_repeats;

/* A key that has come in this request, with all that is known of it. */
struct otlp_key {
    struct str name;
    int column;                   /* of access_log; OTLP_NO_COLUMN, OTLP_IGNORED */
    bool is_text;                 /* its values are, or it has no column */
    int64_t factor;               /* of a number, to the column's unit */
    struct otlp_key *after;       /* the key that came after it last: most records have the same keys in the same order */
    struct otlp_repeats *repeats; /* NULL, or texts that came with it */
    unsigned before_repeats;      /* how often it comes until it gets them; 0: it has had them, or never gets them */
};

enum { OTLP_NO_COLUMN = -1, OTLP_IGNORED = -2 };

struct otlp_pair {
    const struct otlp_key *key;
    struct str text; /* p NULL: no value, or a number */
    int64_t number;
    bool is_number;
};

/* Reads those of the item's next fields that are attributes (by the tag of their field, of one byte) of the keys that are
 * expected, with short texts; what stands then at *r is something else, or is to be read with care. */
void otlp_get_expected(struct otlp_context *c, struct pb_reader *r, uint8_t tag);
/* Reads a KeyValue among the item's attributes. A text that has come before is the same view again. ERR_LIMIT beyond
 * OTLP_MOST_ATTRIBUTES. */
int otlp_get_pair(struct otlp_context *c, const struct pb_field *f, struct err *e);
/* The key of that name. NULL: no memory. */
struct otlp_key *otlp_key(struct otlp_context *c, struct str name);
/* The pair's value as text. ERR_NOMEM. */
int otlp_pair_text(struct arena *a, const struct otlp_pair *p, struct str *out, struct err *e);

/* --- Rows (otlp_rows.c) --- */

/* How the attributes of the row before were put in order. Most rows have the same keys; then theirs need no sorting. */
struct otlp_order {
    bool is_valid; /* for this resource and scope */
    const struct otlp_key *keys[OTLP_MOST_ATTRIBUTES + 1]; /* as they came */
    size_t nkeys;
    struct label fixed[OTLP_MOST_ATTRIBUTES + 2]; /* of resource and scope, without those that have a column */
    size_t nfixed;
    /* Where each comes from, in the order of their names: a key's index, or beyond nkeys a fixed one's. */
    uint16_t from[2 * OTLP_MOST_ATTRIBUTES + 3];
    size_t n;
    struct labels shared; /* nkeys 0: all rows have this one */
};

/* The attributes of a row: v[0..n), of which of two with one key the last counts, and those of its resource and scope
 * that have no column and are not among them; normalised. n <= OTLP_MOST_ATTRIBUTES + 1. ERR_NOMEM. */
int otlp_row_attributes(struct otlp_context *c, enum event_kind kind, const struct otlp_pair *v, size_t n,
                        struct labels *out, struct err *e);
/* Makes room for the rows that the scope still has. ERR_NOMEM. */
int otlp_expect_rows(struct otlp_context *c, enum event_kind kind, struct err *e);
/* Sets a column of the row that is being made; an empty text leaves it unset. ERR_NOMEM. */
static inline int otlp_set_text(struct otlp_context *c, enum event_kind kind, int column, struct str text);
static inline int otlp_set_number(struct otlp_context *c, enum event_kind kind, int column, int64_t number);

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
    bool is_own_scope;                 /* the bundled proxy's */
    size_t expected;                   /* items of the scope for which there is no room yet */
    struct otlp_attributes attributes; /* of the data point at work */
    struct strmap keys;                /* struct otlp_key by name */
    size_t nrepeating;                 /* keys with repeats */
    struct otlp_key before_first, *last_key;
    struct otlp_pair pairs[OTLP_MOST_ATTRIBUTES]; /* of the log record or span at work */
    size_t npairs;
    struct otlp_order order[EVENT_KINDS];
    struct otlp_point *point; /* NULL until the first one */
};

static inline int otlp_set_text(struct otlp_context *c, enum event_kind kind, int column, struct str text)
{
    return text.n ? batch_set_event_text(c->batch, kind, column, text) : 0;
}

static inline int otlp_set_number(struct otlp_context *c, enum event_kind kind, int column, int64_t number)
{
    return batch_set_event(c->batch, kind, column, (union event_value){ .i = number });
}

/* What an item's decoding came to: 0 counts n items as taken; a fault of the item counts them as refused, for the
 * reason "WHAT NUMBER: …"; anything else (ERR_PARSE, ERR_NOMEM) is returned and ends the request. */
int otlp_settle(struct otlp_context *c, int rc, uint64_t n, const char *what, struct err *why, struct err *e);
/* Not 0 when the item's resource or scope is at fault, and so all its items. */
int otlp_origin_fault(const struct otlp_context *c, struct err *e);

/* One LogRecord, Metric, Span: settled inside; what is returned ends the request. */
int otlp_log_record(struct otlp_context *c, struct str message, struct err *e);
int otlp_metric(struct otlp_context *c, struct str message, struct err *e);
int otlp_span(struct otlp_context *c, struct str message, struct err *e);

/* Whether an item is refused for it, and not the whole request. */
bool otlp_is_fault_of_item(int rc);
/* ERR_INIT for each item, without zeroing all of the message. */
static inline void otlp_no_fault(struct err *e)
{
    e->code = 0;
    e->msg[0] = '\0';
}

/* pb_next behind the attributes that are as expected; `attributes`: their field, at most 15, or 0. */
static inline int otlp_next(struct otlp_context *c, struct pb_reader *r, uint32_t attributes, struct pb_field *f,
                            struct err *e)
{
    if (attributes)
        otlp_get_expected(c, r, (uint8_t)(attributes << 3 | PB_BYTES));
    return pb_next(r, f, e);
}

/* Calls field(c, f, out, e) for each field of an item's message, to its end even after a fault of the item, as what
 * follows may be no protobuf at all. Of attributes of a row, in the field of that number (0: it has none), only for
 * those that otlp_get_expected leaves. Returns the fatal error, or the first fault, or 0. Inline, so that each signal has
 * a loop of its own. */
static inline int otlp_read(struct otlp_context *c, struct str message, uint32_t attributes,
              int (*field)(struct otlp_context *c, const struct pb_field *f, void *out, struct err *e), void *out,
              struct err *e)
{
    struct pb_reader r = pb_reader(message);
    struct err here;
    struct pb_field f;
    int rc, fault = 0;

    otlp_no_fault(&here);
    c->attributes.n = c->npairs = 0;
    c->last_key = &c->before_first;
    while ((rc = otlp_next(c, &r, attributes, &f, &here)) == 1) {
        rc = field(c, &f, out, &here);
        if (rc < 0 && !otlp_is_fault_of_item(rc))
            break;
        if (rc < 0 && !fault) {
            fault = rc;
            *e = here;
        }
    }
    if (rc < 0)
        *e = here;
    return rc < 0 ? rc : fault;
}

int otlp_get_number(const struct pb_field *f, enum pb_type type, uint64_t *v, struct err *e);
int otlp_get_bytes(const struct pb_field *f, struct str *v, struct err *e);
/* A KeyValue among the item's attributes. */
int otlp_get_attribute(struct otlp_context *c, const struct pb_field *f, struct err *e);

/* Adds a label unless v[0..*n) has one of that name. */
void otlp_put_absent(struct label *v, size_t *n, struct str name, struct str value);

/* Nanoseconds as the store has them. ERR_RANGE after the year 2262. */
int otlp_time(uint64_t ns, int64_t *out, struct err *e);

/* --- Parts of data points --- */

/* An exponential histogram's, as it came (otlp_exponential.c). */
struct otlp_exponential {
    int64_t scale;
    uint64_t zero_count;
    struct str positive, negative; /* Buckets */
};

/* What it comes to in buckets with the bounds that its unit has: bounds[0..*nbounds), and counts one more, each for
 * itself. Both have room for OTLP_MOST_BOUNDS. ERR_PARSE. */
int otlp_explicit_buckets(const struct otlp_exponential *x, struct str unit, double *bounds, uint64_t *counts,
                          size_t *nbounds, struct err *e);

/* Where a data point's exemplars belong: to the bucket they fall into, or to its one series. */
struct otlp_exemplar_place {
    size_t first; /* series of the batch */
    const double *bounds;
    size_t nbounds;
    int64_t t_ms; /* of an exemplar without a time */
};

/* Adds an Exemplar; one without a value or without a trace is passed over. ERR_PARSE, ERR_NOMEM. */
int otlp_exemplar(struct otlp_context *c, struct str message, const struct otlp_exemplar_place *at, struct err *e);

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
