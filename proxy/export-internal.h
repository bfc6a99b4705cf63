/* export-internal.h: numbered batches on their way to the server, kept until they are acknowledged. One thread. */
#ifndef PROXY_EXPORT_INTERNAL_H
#define PROXY_EXPORT_INTERNAL_H

#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

struct event_base;
struct exporter;

enum export_signal { EXPORT_LOGS, EXPORT_METRICS, EXPORT_TRACES, EXPORT_SIGNALS };

extern const char *const export_signal_names[EXPORT_SIGNALS];

struct export_options {
    const char *url;
    struct str sender;      /* "POD.NAMESPACE" */
    size_t buffer_bytes;    /* of all batches not acknowledged */
};

struct export_stats {       /* since the start, but the last two */
    uint64_t batches, bytes, records;  /* acknowledged */
    uint64_t retries;
    uint64_t dropped_full;             /* records: there was no room for them, or no memory */
    uint64_t dropped_refused;          /* records: the server refused the batch for good */
    uint64_t dropped_rejected;         /* records: the server left them out of a batch (partial success) */
    size_t waiting_batches, waiting_bytes;
};

/* Copies the options. NULL: ERR_PARSE, ERR_UNSUPPORTED (the URL), ERR_NOMEM. */
struct exporter *exporter_new(struct event_base *base, const struct export_options *o, struct err *e);
void exporter_free(struct exporter *x);

/* Whether a batch would find room. Metrics may take a quarter of the buffer: they are cumulative, and what waits costs
 * them only resolution; logs and traces would lose facts. */
bool exporter_has_room(const struct exporter *x, enum export_signal s, size_t bytes);
/* Takes a copy of head and records, one behind the other, as the signal's next batch; n is the number of records.
 * ERR_BUSY, ERR_NOMEM: not taken; the records are counted as dropped, unless it is metrics: theirs come again. */
int exporter_put(struct exporter *x, enum export_signal s, struct str head, struct str records, size_t n);

/* Counts records that did not get into a batch. */
void exporter_lost(struct exporter *x, enum export_signal s, size_t records);

/* The proxy ends: what waits for its next try is tried at once, and then often. */
void exporter_hurry(struct exporter *x);
bool exporter_is_empty(const struct exporter *x);
const struct export_stats *exporter_stats(const struct exporter *x, enum export_signal s);
size_t exporter_used(const struct exporter *x);

#endif
