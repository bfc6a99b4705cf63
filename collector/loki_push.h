/* loki_push.h: Loki's push request in: log lines by streams.
 *
 * Source: grafana.com/docs/loki/latest/reference/loki-http-api (Ingest logs), logproto's PushRequest; limits and the
 * texts of refusals as Loki 3 has them by default (30 labels a stream, as Loki 2). Lines may be as old as they want.
 *
 * A label named as a column of `log` goes there; any other becomes an attribute of the line. Names that mean the same
 * (service_name, level, deployment …) fill an empty column, too, and stay what they are: a query by them finds the line.
 * Where a line's structured metadata has the name of one of its stream's labels the label counts. Thread-safe. */
#ifndef COLLECTOR_LOKI_PUSH_H
#define COLLECTOR_LOKI_PUSH_H

#include "base/err.h"
#include "collector/push.h"
#include "store/batch.h"

enum loki_encoding { LOKI_PROTOBUF, LOKI_JSON };

/* `body` is unpacked; strings of the batch point into it. 0: the batch holds all lines that are good. ERR_PARSE: it is no
 * such request. ERR_NOMEM. */
int loki_push_decode(enum loki_encoding encoding, struct str body, struct batch *b, struct push_outcome *o, struct err *e);

#endif
