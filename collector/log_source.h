/* log_source.h: where lines come from and what they are: a declared format, and who speaks of whom.
 *
 *     format: {nginx: combined}         # nginx, haproxy, envoy: a preset or a format string; envoy_json, json: a map
 *     workload: edge                    # the sender itself; likewise namespace, app, version, pod, service
 *     reporter: source                  # what it is for the requests it logs (destination: it is the server's side)
 *     source: {…}                       # log_party-internal.h; without it: the sender itself, when it reports as that
 *     destination: {…}
 *     labels: {site: berlin}            # attributes of every row
 *
 * A line that follows the format is a row of its table; any other is a row of `log`, so that nothing is lost. */
#ifndef COLLECTOR_LOG_SOURCE_H
#define COLLECTOR_LOG_SOURCE_H

#include "base/labels.h"
#include "collector/log_format.h"
#include "store/batch.h"

struct conf;
struct log_source; /* lives in the arena of its configuration; thread-safe */

/* Reads the keys above of `node`; a key that is neither one of them nor in also[] (which ends with NULL) is
 * ERR_INVALID. NULL node: lines without a format. NULL: ERR_INVALID with file, line and key, ERR_NOMEM. */
struct log_source *log_source_read(const struct conf *c, const struct yaml_node *node, const char *const *also,
                                   struct err *e);

/* Telemetry is UTF-8: the text itself when it is, else a copy in which other bytes are replaced. p NULL: ERR_NOMEM. */
struct str log_clean(struct arena *a, struct str text);

/* What the carrier says of a line. */
struct log_origin {
    int64_t time_ns;             /* when it was written; 0: not known */
    int64_t now_ns;
    struct str service;          /* the program's name */
    struct str severity;
    int severity_number;         /* OpenTelemetry's 1 to 24; 0: not known */
    const struct label *attributes; /* of lines that become rows of `log`; the first nshared of access logs too */
    size_t n, nshared;
};

/* Adds one row. The line and the origin's texts must live as long as the batch. 0, ERR_NOMEM. */
int log_source_add(struct log_source *s, const struct log_origin *o, struct str line, struct batch *b, struct err *e);

struct log_source_stats {
    uint64_t lines, unmatched; /* unmatched: did not follow the declared format */
};
void log_source_stats(const struct log_source *s, struct log_source_stats *out);

#endif
