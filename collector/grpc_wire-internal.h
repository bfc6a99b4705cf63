/* grpc_wire-internal.h: gRPC's own small formats inside of HTTP/2. No I/O.
 *
 * Source: github.com/grpc/grpc, doc/PROTOCOL-HTTP2.md and doc/statuscodes.md; google/rpc/status.proto, error_details.proto. */
#ifndef COLLECTOR_GRPC_WIRE_INTERNAL_H
#define COLLECTOR_GRPC_WIRE_INTERNAL_H

#include "base/buf.h"
#include "base/err.h"
#include "collector/grpc.h"

/* A message on the wire, "length-prefixed": it begins and ends anywhere in DATA frames.
 *
 *     0        1             5
 *     +--------+-------------+----------------+
 *     | packed | length (BE) | length bytes … |       packed: 0 as it is, 1 by the call's grpc-encoding
 *     +--------+-------------+----------------+ */
enum { GRPC_PREFIX = 5 };

struct grpc_deframer {
    size_t max;                 /* bytes of one message */
    uint8_t prefix[GRPC_PREFIX];
    size_t have;                /* bytes of the prefix */
    bool packed;                /* once `have` is GRPC_PREFIX, as are length and body */
    size_t length;
    struct buf body;            /* what has come of it; owned */
};

#define GRPC_DEFRAMER_INIT(max_message) { .max = (max_message) }

/* Moves bytes from *in. 1: a message is complete; its body is moved to *body, for the caller to free. 0: *in is used up.
 * ERR_PARSE: no prefix of a message. ERR_LIMIT: too long, found before memory is taken. ERR_NOMEM. */
int grpc_deframe(struct grpc_deframer *d, struct str *in, struct buf *body, bool *packed, struct err *e);
/* Whether the end would come in the midst of a message. */
bool grpc_deframer_midway(const struct grpc_deframer *d);
void grpc_deframer_fini(struct grpc_deframer *d);

/* "100m" → 100 ms in ns: at most eight digits and one of H M S m u n. ERR_PARSE. */
int grpc_timeout_parse(struct str s, int64_t *ns, struct err *e);
/* A grpc-message: what is neither printable ASCII nor '%' as itself stands as %XX. */
void grpc_percent_encode(struct buf *out, struct str s);
/* What an error means to a caller, and whether the same may go well a little later. */
enum grpc_status grpc_status_of(int rc, bool *again);
/* A grpc-status-details-bin: google.rpc.Status with RetryInfo, in base64 without padding. */
void grpc_retry_details(struct buf *out, enum grpc_status status, struct str message, int64_t delay_ms);

#endif
