/* syslog.h: the syslog receiver: RFC 3164 and 5424 over UDP, TCP (RFC 6587) and unix sockets.
 *
 * One thread on libevent. Messages become rows by the declared source that fits them first (syslog_config.h,
 * log_source.h), gathered into batches. When the store does not keep up, nobody is read: TCP and stream sockets push
 * back on their senders, and no message that was read is lost; of datagrams the kernel drops what its buffer does
 * not hold, which is counted and told.
 *
 * All functions are thread-safe, apart from start and stop. */
#ifndef COLLECTOR_SYSLOG_H
#define COLLECTOR_SYSLOG_H

#include "collector/syslog_config.h"
#include "store/store.h"

struct red;
struct syslog;

/* Takes `config` over, also on failure. The store and `red` must live longer; red may be NULL: nothing is counted.
 * NULL: ERR_IO names the address that could not be had, ERR_NOMEM. */
struct syslog *syslog_start(struct store *st, struct red *red, struct syslog_config *config, struct err *e);
/* Reads no more, stores what was read, and frees. NULL is fine. */
void syslog_stop(struct syslog *s);
/* The port of the i-th listener, when it has one (port 0 in its address picks a free one); 0: it has not. */
uint16_t syslog_port(const struct syslog *s, size_t i);

/* Since the start, for /metrics. */
struct syslog_stats {
    uint64_t datagrams, stream;     /* messages by how they came */
    uint64_t dropped;               /* datagrams that the kernel dropped */
    uint64_t malformed, cut;        /* messages whose header is none; that were too long */
    uint64_t unmatched;             /* lines that did not follow their declared format */
    uint64_t connections, refused;  /* open now; turned away because there were too many */
    uint64_t not_stored;            /* messages that the store will not have, whatever is tried */
};
void syslog_stats(const struct syslog *s, struct syslog_stats *out);

#endif
