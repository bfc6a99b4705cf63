/* buf.h: bytes that grow, born with a ceiling.
 *
 * Errors stick: after a failed put every further put does nothing, and buf_failed says so once at the end. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
    char *p; /* owned; NULL while empty */
    size_t n, cap, max;
    bool failed;
};

#define BUF_INIT(max_bytes) { NULL, 0, 0, (max_bytes), false }

void buf_put(struct buf *b, const void *p, size_t n);
void buf_str(struct buf *b, struct str s);
void buf_puts(struct buf *b, const char *s);
void buf_putc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_i64(struct buf *b, int64_t v);
void buf_u64(struct buf *b, uint64_t v);
/* The shortest decimal form that reads back as the same double; NaN, +Inf, -Inf as Prometheus writes them. */
void buf_double(struct buf *b, double v);
/* Bytes that are not UTF-8 become U+FFFD. */
void buf_utf8(struct buf *b, struct str s);
/* As a JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. */
void buf_json(struct buf *b, struct str s);
/* buf_json's common case, for who has made room: puts s.n + 2 bytes to `to`. False: something in s wants more than
 * that; what has been written is to be overwritten. */
bool json_plain(char *to, struct str s);
/* Makes room for n more bytes and returns where they go (then add to b->n), or NULL. */
char *buf_reserve(struct buf *b, size_t n);

/* Makes the buffer, which is empty, large enough for n bytes and a NUL, and no larger: for who knows how many will
 * come. Without memory for it nothing has changed. */
void buf_expect(struct buf *b, size_t n);

static inline bool buf_failed(const struct buf *b)
{
    return b->failed;
}

static inline struct str buf_view(const struct buf *b)
{
    return (struct str){ b->p, b->n };
}

/* The bytes with a NUL behind them, which does not count; NULL when failed. Valid until the next change. */
const char *buf_cstr(struct buf *b);
/* Empties, and forgets a failure; the memory stays. */
void buf_reset(struct buf *b);
/* Drops the first n bytes. */
void buf_drain(struct buf *b, size_t n);
/* Frees the memory; the buffer is as new. */
void buf_free(struct buf *b);
/* Hands the bytes over, NUL-terminated, to be freed by mem_free; NULL when failed. The buffer is as new. */
char *buf_take(struct buf *b, size_t *n);

#endif
