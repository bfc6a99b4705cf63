/* jaeger_batch.h: Thrift's binary protocol, written for tests. */
#ifndef TESTS_UNIT_COLLECTOR_JAEGER_BATCH_H
#define TESTS_UNIT_COLLECTOR_JAEGER_BATCH_H

#include "base/buf.h"

static inline void put_big(struct buf *b, uint64_t v, int n)
{
    while (n--)
        buf_putc(b, (char)(v >> 8 * n));
}

static inline void put_head(struct buf *b, int type, int id)
{
    put_big(b, (uint64_t)type, 1);
    put_big(b, (uint64_t)id, 2);
}

static inline void put_i64(struct buf *b, int id, int64_t v)
{
    put_head(b, 10, id);
    put_big(b, (uint64_t)v, 8);
}

static inline void put_i32(struct buf *b, int id, int32_t v)
{
    put_head(b, 8, id);
    put_big(b, (uint32_t)v, 4);
}

static inline void put_bytes(struct buf *b, int id, const char *s)
{
    put_head(b, 11, id);
    put_big(b, strlen(s), 4);
    buf_puts(b, s);
}

static inline void put_structs(struct buf *b, int id, uint32_t n)
{
    put_head(b, 15, id);
    put_big(b, 12, 1);
    put_big(b, n, 4);
}

static inline void put_text_tag(struct buf *b, const char *key, const char *value)
{
    put_bytes(b, 1, key);
    put_i32(b, 2, 0);
    put_bytes(b, 3, value);
    put_big(b, 0, 1);
}

static inline void put_bool_tag(struct buf *b, const char *key, bool v)
{
    put_bytes(b, 1, key);
    put_i32(b, 2, 2);
    put_head(b, 2, 5);
    put_big(b, v, 1);
    put_big(b, 0, 1);
}

static inline void put_long_tag(struct buf *b, const char *key, int64_t v)
{
    put_bytes(b, 1, key);
    put_i32(b, 2, 3);
    put_i64(b, 6, v);
    put_big(b, 0, 1);
}

/* A Batch of one span, with one of each thing; the process stands behind it. */
static inline void put_jaeger_batch(struct buf *b, int64_t span_id)
{
    put_structs(b, 2, 1);
    put_i64(b, 1, 0x463ac35c9f6413ad);
    put_i64(b, 2, 0x5af7183fb1d4cf5f);
    put_i64(b, 3, span_id);
    put_i64(b, 4, 0);
    put_bytes(b, 5, "get /");
    put_structs(b, 6, 2);
    put_i32(b, 1, 0); /* CHILD_OF */
    put_i64(b, 2, 0x463ac35c9f6413ad);
    put_i64(b, 3, 0x5af7183fb1d4cf5f);
    put_i64(b, 4, 1);
    put_big(b, 0, 1);
    put_i32(b, 1, 1); /* FOLLOWS_FROM */
    put_i64(b, 2, 2);
    put_i64(b, 3, 0);
    put_i64(b, 4, 3);
    put_big(b, 0, 1);
    put_i32(b, 7, 1);
    put_i64(b, 8, 5000);
    put_i64(b, 9, 7);
    put_structs(b, 10, 4);
    put_text_tag(b, "span.kind", "server");
    put_bool_tag(b, "error", true);
    put_long_tag(b, "http.status_code", 503);
    put_text_tag(b, "host", "own");
    put_structs(b, 11, 1);
    put_i64(b, 1, 5001);
    put_structs(b, 2, 2);
    put_text_tag(b, "event", "asked");
    put_text_tag(b, "whom", "back");
    put_big(b, 0, 1);
    put_big(b, 0, 1); /* of the span */
    put_head(b, 12, 1);
    put_bytes(b, 1, "front");
    put_structs(b, 2, 2);
    put_text_tag(b, "host", "of the process");
    put_text_tag(b, "k8s.pod.name", "p");
    put_big(b, 0, 1);
    put_big(b, 0, 1); /* of the batch */
}

#endif
