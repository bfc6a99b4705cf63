/* grpc_batch.c: messages from their last byte to the store's answer.
 *
 * The message of a call with one answer is refused when the store has no room, and the sender comes again. A call that
 * streams has nobody to come again: its messages wait, and with them the call's window, which pushes the sender back. */
#include "collector/grpc-internal.h"

#include "base/mem.h"
#include "base/zip.h"

#include <stdio.h>

static struct grpc_count *count_of(const struct grpc_call *call)
{
    return &call->server->counts[call->method - grpc_methods];
}

void grpc_batch_free(struct grpc_batch *t)
{
    if (!t)
        return;
    atomic_fetch_sub(&t->call->server->bytes, t->charged);
    arena_free(&t->arena);
    for (size_t i = 0; i < t->n; i++)
        buf_free(&t->messages[i]);
    mem_free(t->messages);
    mem_free(t);
}

/* --- gathering --- */

/* Unpacks *body, which is replaced. Its size is bounded by that of a message, whatever the ratio. */
static int unpack(const struct grpc_call *call, struct buf *body, struct err *e)
{
    struct buf plain = BUF_INIT(call->server->options.max_message);
    int rc;

    if (!call->packed)
        return err_set(e, ERR_INVALID, "a compressed message in a call without grpc-encoding");
    rc = gzip_unpack(buf_view(body), &plain, e);
    buf_free(body);
    *body = plain;
    if (rc == ERR_LIMIT)
        rc = err_set(e, ERR_LIMIT, "a message of more than %zu bytes when unpacked", plain.max);
    return rc;
}

/* Counts n bytes more as the batch's. */
static int charge(struct grpc_batch *t, size_t n, struct err *e)
{
    struct grpc_server *s = t->call->server;

    if (n > s->options.max_bytes - atomic_load(&s->bytes))
        return err_set(e, ERR_BUSY, "too many bytes of messages are in memory already");
    atomic_fetch_add(&s->bytes, n);
    t->charged += n;
    return 0;
}

static struct grpc_batch *batch_new(struct grpc_call *call)
{
    struct grpc_batch *t = mem_zalloc(sizeof(*t));

    if (!t)
        return NULL;
    t->call = call;
    t->arena = (struct arena)ARENA_INIT(8 * call->server->options.max_message);
    t->arena.budget = &call->server->budget;
    return t;
}

/* What the peer sent has been counted as it came; what it becomes, and our own of it, may be more. */
static int add(struct grpc_call *call, struct buf *body, bool packed, struct err *e)
{
    struct grpc_batch *t = call->gathering;
    size_t came = body->n;

    if (!t)
        t = call->gathering = batch_new(call);
    if (!t) {
        atomic_fetch_sub(&call->server->bytes, came);
        return err_set(e, ERR_NOMEM, "no memory for a message");
    }
    t->charged += came;
    if (packed && unpack(call, body, e) < 0)
        return e->code;
    if (charge(t, (body->n > came ? body->n - came : 0) + sizeof(*body), e) < 0)
        return e->code;
    if (mem_grow(&t->messages, &t->cap, t->n + 1, sizeof(*t->messages)) < 0)
        return err_set(e, ERR_NOMEM, "no memory for a message");
    t->messages[t->n++] = *body;
    *body = (struct buf)BUF_INIT(0);
    return 0;
}

int grpc_batch_add(struct grpc_call *call, struct buf *body, bool packed)
{
    struct err e = ERR_INIT;

    atomic_fetch_add(&count_of(call)->messages, 1);
    if (add(call, body, packed, &e) == 0)
        return 0;
    buf_free(body);
    grpc_call_fail_error(call, &e);
    return e.code;
}

/* --- the end of it --- */

/* Frees the batch, and perhaps its call. */
static void leave(struct grpc_batch *t)
{
    struct grpc_call *call = t->call;

    call->outstanding--;
    grpc_call_give_back(call, &t->window);
    grpc_batch_free(t);
    grpc_call_settle(call);
}

static void fail(struct grpc_batch *t, struct err *e)
{
    if (e->code == ERR_NOMEM && t->arena.used > t->arena.max / 2)
        e->code = ERR_LIMIT; /* it would need as much the next time */
    grpc_call_fail_error(t->call, e);
    leave(t);
}

static void succeed(struct grpc_batch *t)
{
    atomic_fetch_add(&count_of(t->call)->accepted, t->items.accepted);
    atomic_fetch_add(&count_of(t->call)->refused, t->items.n);
    if (t->fault.code)
        grpc_call_fail_error(t->call, &t->fault);
    else if (!t->call->method->streams)
        grpc_call_succeed(t->call, t);
    leave(t);
}

/* --- decoding and storing --- */

static bool is_empty(const struct batch *b)
{
    size_t n = b->nseries + b->nmetadata;

    for (int kind = 0; kind < EVENT_KINDS; kind++)
        n += b->events[kind].n;
    return n == 0;
}

static int decode(struct grpc_batch *t, struct err *e)
{
    int rc = 0;

    if (t->decoded)
        return 0;
    batch_init(&t->batch, &t->arena);
    t->items = (struct otlp_refused){ 0 };
    for (size_t i = 0; i < t->n; i++) {
        rc = t->call->method->take(t, buf_view(&t->messages[i]), e);
        if (rc == ERR_NOMEM || (rc < 0 && i == 0))
            return rc;
        if (rc < 0) {
            t->fault = *e;
            break;
        }
    }
    t->decoded = true;
    return 0;
}

/* Whether the same may find room later, and nobody but us can bring it again. */
static bool should_wait(const struct grpc_batch *t, int rc)
{
    return t->call->method->streams &&
           (rc == ERR_BUSY || rc == ERR_FULL || (rc == ERR_NOMEM && t->arena.used <= t->arena.max / 2));
}

bool grpc_batch_retry(struct grpc_batch *t)
{
    struct err e = ERR_INIT;
    int rc = decode(t, &e);

    if (rc == 0 && is_empty(&t->batch)) {
        succeed(t);
        return true;
    }
    if (rc == 0)
        rc = grpc_server_submit(t, &e);
    if (rc < 0 && should_wait(t, rc)) {
        if (!t->decoded)
            arena_free(&t->arena);
        return false;
    }
    if (rc < 0)
        fail(t, &e);
    return true;
}

void grpc_batch_process(struct grpc_batch *t)
{
    t->call->outstanding++;
    if ((t->call->method->streams && t->call->server->waiting) || !grpc_batch_retry(t))
        grpc_server_wait(t);
}

void grpc_batch_stored(struct grpc_batch *t)
{
    if (t->rc == 0)
        succeed(t);
    else if (should_wait(t, t->rc))
        grpc_server_wait(t);
    else
        fail(t, &t->err);
}
