/* conn_buf.c: the spare buffers of a worker, and what a connection keeps for its owner. */
#include "proxy/conn-internal.h"

#include "base/mem.h"

enum { MOST_SPARE = 32, MOST_SPARE_BYTES = 16 * 1024 };

/* Never NULL: without memory one that has failed, which the end of the event finds. */
struct conn_buf *conn_take_buf(struct worker *w, size_t most)
{
    struct conn_buf *b = w->spare;

    if (b) {
        w->spare = b->next;
        w->nspare--;
    } else {
        b = mem_zalloc(sizeof(*b));
    }
    if (!b) {
        w->no_buf.buf.failed = true;
        return &w->no_buf;
    }
    b->buf.max = most;
    return b;
}

void conn_give_buf(struct worker *w, struct conn_buf **at)
{
    struct conn_buf *b = *at;

    *at = NULL;
    if (!b || b == &w->no_buf)
        return;
    if (b->buf.cap > MOST_SPARE_BYTES || w->nspare == MOST_SPARE) {
        buf_free(&b->buf);
        mem_free(b);
        return;
    }
    buf_reset(&b->buf);
    b->at = 0;
    b->next = w->spare;
    w->spare = b;
    w->nspare++;
}

void conn_buf_free_all(struct worker *w)
{
    struct conn_buf *b;

    while ((b = w->spare)) {
        w->spare = b->next;
        buf_free(&b->buf);
        mem_free(b);
    }
    w->nspare = 0;
}

void conn_keep(struct conn *c, struct str bytes)
{
    if (bytes.n == 0)
        return;
    if (!c->in)
        c->in = conn_take_buf(c->w, 2 * CONN_MOST_IN);
    buf_str(&c->in->buf, bytes);
}

bool conn_keeping_failed(const struct conn *c)
{
    return c->in && buf_failed(&c->in->buf);
}
