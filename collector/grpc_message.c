/* grpc_message.c: one message from its last byte to the store's answer.
 *
 * The message of a call with one answer is refused when the store has no room, and the sender comes again. A call that
 * streams has nobody to come again: its message waits, and with it the call's window, which pushes the sender back. */
#include "collector/grpc-internal.h"

#include "base/mem.h"
#include "base/zip.h"

static struct grpc_count *count_of(const struct grpc_call *call)
{
    return &call->server->counts[call->method - grpc_methods];
}

/* Unpacks *body, which is replaced. Its size is bounded by that of a message, whatever the ratio. */
static int unpack(const struct grpc_call *call, struct buf *body, struct err *e)
{
    struct buf plain = BUF_INIT(call->server->options.max_message);
    int rc = gzip_unpack(buf_view(body), &plain, e);

    buf_free(body);
    *body = plain;
    if (rc == ERR_LIMIT)
        rc = err_set(e, ERR_LIMIT, "a message of more than %zu bytes when unpacked", plain.max);
    return rc;
}

/* What the peer has sent was counted as it came; what it has become may be more. */
static int charge(struct grpc_message *m, size_t before, struct err *e)
{
    struct grpc_server *s = m->call->server;

    m->charged = before;
    if (m->body.n <= before)
        return 0;
    if (m->body.n - before > s->options.max_bytes - atomic_load(&s->bytes))
        return err_set(e, ERR_BUSY, "too many bytes are in memory already, at most %zu", s->options.max_bytes);
    atomic_fetch_add(&s->bytes, m->body.n - before);
    m->charged = m->body.n;
    return 0;
}

struct grpc_message *grpc_message_new(struct grpc_call *call, struct buf *body, bool packed)
{
    struct grpc_server *s = call->server;
    struct grpc_message *m = mem_zalloc(sizeof(*m));
    size_t before = body->n;
    struct err e = ERR_INIT;
    int rc = 0;

    atomic_fetch_add(&count_of(call)->messages, 1);
    if (!m) {
        err_set(&e, ERR_NOMEM, "no memory for a message");
        atomic_fetch_sub(&s->bytes, before);
        buf_free(body);
        grpc_call_fail_error(call, &e);
        return NULL;
    }
    m->call = call;
    m->arena = (struct arena)ARENA_INIT(8 * s->options.max_message);
    m->arena.budget = &s->budget;
    if (packed && !call->packed) {
        m->charged = before;
        buf_free(body);
        grpc_message_free(m);
        grpc_call_fail(call, GRPC_INTERNAL, false, "a compressed message in a call without grpc-encoding");
        return NULL;
    }
    if (packed)
        rc = unpack(call, body, &e);
    m->body = *body;
    *body = (struct buf)BUF_INIT(0);
    if (charge(m, before, &e) < 0 && rc == 0)
        rc = e.code;
    if (rc < 0) {
        grpc_message_free(m);
        grpc_call_fail_error(call, &e);
        return NULL;
    }
    return m;
}

void grpc_message_free(struct grpc_message *m)
{
    if (!m)
        return;
    atomic_fetch_sub(&m->call->server->bytes, m->charged);
    arena_free(&m->arena);
    buf_free(&m->body);
    mem_free(m);
}

/* Frees the message, and perhaps its call. */
static void leave(struct grpc_message *m)
{
    struct grpc_call *call = m->call;

    call->outstanding--;
    grpc_message_free(m);
    grpc_call_settle(call);
}

static void fail(struct grpc_message *m, struct err *e)
{
    if (e->code == ERR_NOMEM && m->arena.used > m->arena.max / 2)
        e->code = ERR_LIMIT; /* it would need as much the next time */
    grpc_call_fail_error(m->call, e);
    leave(m);
}

static void succeed(struct grpc_message *m)
{
    atomic_fetch_add(&count_of(m->call)->accepted, m->items.accepted);
    atomic_fetch_add(&count_of(m->call)->refused, m->items.n);
    if (!m->call->method->streams)
        grpc_call_succeed(m->call, m);
    leave(m);
}

static bool is_empty(const struct batch *b)
{
    size_t n = b->nseries + b->nmetadata;

    for (int kind = 0; kind < EVENT_KINDS; kind++)
        n += b->events[kind].n;
    return n == 0;
}

static int decode(struct grpc_message *m, struct err *e)
{
    int rc;

    if (m->decoded)
        return 0;
    batch_init(&m->batch, &m->arena);
    rc = m->call->method->take(m, e);
    m->decoded = rc == 0;
    return rc;
}

/* Whether the same message may find room later, and nobody but us can bring it again. */
static bool should_wait(const struct grpc_message *m, int rc)
{
    return m->call->method->streams &&
           (rc == ERR_BUSY || rc == ERR_FULL || (rc == ERR_NOMEM && m->arena.used <= m->arena.max / 2));
}

bool grpc_message_retry(struct grpc_message *m)
{
    struct err e = ERR_INIT;
    int rc = decode(m, &e);

    if (rc == 0 && is_empty(&m->batch)) {
        succeed(m);
        return true;
    }
    if (rc == 0)
        rc = grpc_server_submit(m, &e);
    if (rc < 0 && should_wait(m, rc)) {
        if (!m->decoded)
            arena_free(&m->arena);
        return false;
    }
    if (rc < 0)
        fail(m, &e);
    return true;
}

void grpc_message_process(struct grpc_message *m)
{
    m->call->outstanding++;
    if ((m->call->method->streams && m->call->server->waiting) || !grpc_message_retry(m))
        grpc_server_wait(m);
}

void grpc_message_stored(struct grpc_message *m)
{
    if (m->rc == 0)
        succeed(m);
    else if (should_wait(m, m->rc))
        grpc_server_wait(m);
    else
        fail(m, &m->err);
}
