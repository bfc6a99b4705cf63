/* push_request.h: Loki's PushRequest, written for tests. */
#ifndef TESTS_UNIT_COLLECTOR_PUSH_REQUEST_H
#define TESTS_UNIT_COLLECTOR_PUSH_REQUEST_H

#include "base/labels.h"
#include "base/pb.h"

static inline void put_entry(struct buf *out, int64_t ns, struct str line, struct labels metadata)
{
    size_t entry = pb_open(out, 2), mark = pb_open(out, 1);

    pb_put_varint(out, 1, (uint64_t)(ns / 1000000000));
    pb_put_varint(out, 2, (uint64_t)(ns % 1000000000));
    pb_close(out, mark);
    pb_put_str(out, 2, line);
    for (size_t i = 0; i < metadata.n; i++) {
        mark = pb_open(out, 3);
        pb_put_str(out, 1, metadata.v[i].name);
        pb_put_str(out, 2, metadata.v[i].value);
        pb_close(out, mark);
    }
    pb_close(out, entry);
}

/* A stream of one line. */
static inline void put_stream(struct buf *out, struct str labels, int64_t ns, struct str line, struct labels metadata)
{
    size_t stream = pb_open(out, 1);

    pb_put_str(out, 1, labels);
    put_entry(out, ns, line, metadata);
    pb_close(out, stream);
}

#endif
