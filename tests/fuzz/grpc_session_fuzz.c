/* What a peer may send on a connection: HTTP/2 frames behind the preface, and gRPC in them. Instead of a store there is one
 * that answers when the input is at its end, before or after the connection has gone, as the first byte says.
 *
 * Property: in the end nothing is counted as in memory, and no call or connection is left. */
#include "base/log.h"
#include "collector/grpc-internal.h"

#include <stdlib.h>

static struct grpc_batch *held; /* by the store */

static int hold(struct store *st, struct batch *b, void (*done)(void *arg, int rc, const struct err *e), void *arg,
                struct err *e)
{
    struct grpc_batch *t = arg;

    (void)st;
    (void)b;
    (void)done;
    (void)e;
    t->next = held;
    held = t;
    return 0;
}

static struct grpc_server *server(void)
{
    static struct grpc_server *s;

    if (s)
        return s;
    log_init("fuzz", LOG_ERROR);
    s = calloc(1, sizeof(*s));
    s->options = (struct grpc_options){ .max_message = 1 << 16, .max_bytes = 1 << 20, .max_memory = 8 << 20,
                                        .max_connections = 4, .max_calls = 16, .stall_ms = 1000, .idle_ms = 1000 };
    s->budget.max = s->options.max_memory;
    s->waiting_end = &s->waiting;
    s->submit = hold;
    s->base = event_base_new();
    if (!s->base || grpc_h2_init(s, NULL) < 0)
        abort();
    return s;
}

static void answer(struct grpc_server *s, int rc)
{
    while (held) {
        struct grpc_batch *t = held;

        held = t->next;
        s->storing--;
        t->rc = rc;
        grpc_batch_stored(t);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct grpc_server *s = server();
    struct grpc_conn *c = grpc_conn_open(s, -1);
    const uint8_t *out;
    uint8_t how = size ? data[0] : 0;

    if (!c)
        abort();
    if (size) {
        data++;
        size--;
    }
    if (nghttp2_session_mem_recv(c->session, (const uint8_t *)NGHTTP2_CLIENT_MAGIC, NGHTTP2_CLIENT_MAGIC_LEN) >= 0 &&
        nghttp2_session_mem_recv(c->session, data, size) >= 0)
        while (nghttp2_session_mem_send(c->session, &out) > 0)
            ;
    if (how & 1)
        answer(s, how & 2 ? ERR_CLOSED : 0);
    while (nghttp2_session_mem_send(c->session, &out) > 0)
        ;
    grpc_conn_free(c);
    answer(s, 0);
    if (s->conns || s->storing || s->waiting || atomic_load(&s->bytes) || atomic_load(&s->ncalls) || atomic_load(&s->nconns))
        abort();
    return 0;
}
