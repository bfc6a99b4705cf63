/* loki_push-internal.h: what the two encodings of a push request share: a stream is begun, then come its lines. */
#ifndef COLLECTOR_LOKI_PUSH_INTERNAL_H
#define COLLECTOR_LOKI_PUSH_INTERNAL_H

#include "collector/loki_push.h"

enum {
    LOKI_MOST_LABELS = 30,            /* of a stream */
    LOKI_LONGEST_NAME = 1024,
    LOKI_LONGEST_VALUE = 2048,
    LOKI_LONGEST_LINE = 256 << 10,
    LOKI_MOST_METADATA = 128,         /* of a line */
    LOKI_MOST_METADATA_BYTES = 64 << 10
};

/* Names and values that arrive one by one, with a place for one too many, so that who counts them can say so. */
struct loki_labels {
    struct label v[LOKI_MOST_METADATA + 1];
    size_t n;
};

struct loki_push {
    struct batch *batch;
    struct push_outcome *outcome;
    struct buf scratch;
    struct loki_labels labels, metadata;  /* of the stream and the line at work */
    /* of the stream at work: */
    struct str text;                      /* its labels, printed */
    union event_value columns[LOG_NCOLUMNS];
    struct labels attributes;             /* the labels without a column */
    int rc;                               /* not 0: its lines are refused */
    struct err why;
};

/* Adds a label; what is beyond the most that count is passed over. */
void loki_label_add(struct loki_labels *l, struct str name, struct str value);

/* p->labels are those of a new stream, in any order. What is wrong with them is told by each of its lines. ERR_NOMEM. */
int loki_stream(struct loki_push *p, struct err *e);
/* The stream's labels could not be read: `text` is what came instead of them. */
void loki_stream_unread(struct loki_push *p, struct str text, const struct err *why);
/* One line with p->metadata. Refused lines are counted; ERR_NOMEM. */
int loki_line(struct loki_push *p, int64_t time_ns, struct str line, struct err *e);

/* --- loki_labels.c --- */

/* Reads {a="b", c="d"}: strings as Go writes them, in quotes or in back quotes. Names and values are views of `text` or
 * in `a`. ERR_PARSE names the place as Loki does ("1:5: …"); ERR_NOMEM. */
int loki_labels_parse(struct str text, struct arena *a, struct loki_labels *out, struct err *e);

/* --- by encoding --- */

int loki_push_json(struct loki_push *p, struct str body, struct err *e);
int loki_push_protobuf(struct loki_push *p, struct str body, struct err *e);

#endif
