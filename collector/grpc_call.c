#include "collector/grpc-internal.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdio.h>

enum { TIMEOUT_NONE = -1, TIMEOUT_MALFORMED = -2, SLOWEST = 64 << 10 /* bytes per second of a long message */ };

static struct grpc_count *count_of(const struct grpc_call *call)
{
    return &call->server->counts[call->method ? call->method - grpc_methods : GRPC_METHODS];
}

struct grpc_call *grpc_call_new(struct grpc_conn *c, int32_t id)
{
    struct grpc_call *call;

    if (atomic_load(&c->server->ncalls) >= GRPC_MOST_CALLS)
        return NULL;
    call = mem_zalloc(sizeof(*call));
    if (!call)
        return NULL;
    call->server = c->server;
    call->conn = c;
    call->id = id;
    call->timeout_ns = TIMEOUT_NONE;
    call->in = (struct grpc_deframer)GRPC_DEFRAMER_INIT(c->server->options.max_message);
    call->next = c->calls;
    call->link = &c->calls;
    if (call->next)
        call->next->link = &call->next;
    c->calls = call;
    c->ncalls++;
    atomic_fetch_add(&c->server->ncalls, 1);
    return call;
}

static void call_free(struct grpc_call *call)
{
    if (call->deadline)
        event_free(call->deadline);
    if (call->state)
        call->method->release(call->state);
    grpc_batch_free(call->gathering);
    atomic_fetch_sub(&call->server->bytes, call->in.body.n);
    grpc_deframer_fini(&call->in);
    buf_free(&call->out);
    buf_free(&call->text);
    buf_free(&call->details);
    atomic_fetch_sub(&call->server->ncalls, 1);
    mem_free(call);
}

/* Of a call that has no answer any more; what a stream brought whole is stored all the same: nobody brings it again. */
static void drop_gathering(struct grpc_call *call)
{
    if (call->method && call->method->streams)
        return;
    grpc_batch_free(call->gathering);
    call->gathering = NULL;
}

/* --- the request --- */

static const struct grpc_method *find_method(struct str path)
{
    for (size_t i = 0; i < GRPC_METHODS; i++)
        if (str_eqz(path, grpc_methods[i].path))
            return &grpc_methods[i];
    return NULL;
}

/* "application/grpc", also with "+proto" and parameters. */
static bool is_grpc_type(struct str value)
{
    struct str name = STR("application/grpc"), rest;

    if (value.n < name.n || !str_ieq((struct str){ value.p, name.n }, name))
        return false;
    rest = str_from(value, name.n);
    return rest.n == 0 || rest.p[0] == ';' || str_eqz(rest, "+proto") || str_starts(rest, STR("+proto;"));
}

int grpc_call_header(struct grpc_call *call, struct str name, struct str value)
{
    call->header_bytes += name.n + value.n + 32; /* as RFC 9113, 6.5.2 counts */
    if (call->header_bytes > GRPC_MOST_HEADERS)
        return ERR_LIMIT;
    if (call->started) /* trailers */
        return 0;
    if (str_eqz(name, ":method"))
        call->is_post = str_eqz(value, "POST");
    else if (str_eqz(name, ":path"))
        call->method = find_method(value);
    else if (str_eqz(name, "content-type"))
        call->is_grpc = is_grpc_type(value);
    else if (str_eqz(name, "grpc-timeout"))
        call->timeout_ns = grpc_timeout_parse(value, &call->timeout_ns, NULL) < 0 ? TIMEOUT_MALFORMED : call->timeout_ns;
    else if (str_eqz(name, "grpc-encoding")) {
        call->packed = str_eqz(value, "gzip") || str_eqz(value, "deflate");
        call->unknown_encoding = !call->packed && !str_eqz(value, "identity");
    }
    return 0;
}

static void deadline_passed(evutil_socket_t fd, short what, void *arg)
{
    struct grpc_call *call = arg;
    struct grpc_conn *c = call->conn;

    (void)fd;
    (void)what;
    grpc_call_fail(call, GRPC_DEADLINE_EXCEEDED, false, "the call's time has run out");
    if (c)
        grpc_conn_flush(c);
}

static int set_deadline(struct grpc_call *call)
{
    const struct timeval after = { call->timeout_ns / 1000000000, call->timeout_ns % 1000000000 / 1000 };

    if (call->timeout_ns == TIMEOUT_NONE || call->timeout_ns > INT64_C(86400000000000))
        return 0;
    call->deadline = event_new(call->server->base, -1, 0, deadline_passed, call);
    return call->deadline && event_add(call->deadline, &after) == 0 ? 0 : ERR_NOMEM;
}

/* An answer in HTTP alone, for who does not speak gRPC. */
static void refuse_http(struct grpc_call *call, const char *status)
{
    const nghttp2_nv fields[] = { { (uint8_t *)(uintptr_t)":status", (uint8_t *)(uintptr_t)status, 7, 3, 0 } };

    call->answered = true;
    call->status = GRPC_UNKNOWN;
    atomic_fetch_add(&count_of(call)->calls[GRPC_UNKNOWN], 1);
    if (nghttp2_submit_response(call->conn->session, call->id, fields, 1, NULL) < 0)
        call->conn->broken = true;
}

void grpc_call_start(struct grpc_call *call)
{
    call->started = true;
    call->owed_ns = clock_mono_ns();
    if (!call->is_post || !call->is_grpc)
        refuse_http(call, call->is_post ? "415" : "405");
    else if (!call->method)
        grpc_call_fail(call, GRPC_UNIMPLEMENTED, false, "no such method here");
    else if (call->unknown_encoding)
        grpc_call_fail(call, GRPC_UNIMPLEMENTED, false, "grpc-encoding should be identity, gzip or deflate");
    else if (call->timeout_ns == TIMEOUT_MALFORMED)
        grpc_call_fail(call, GRPC_INTERNAL, false, "grpc-timeout should be up to eight digits and one of H M S m u n");
    else if (set_deadline(call) < 0)
        grpc_call_fail(call, GRPC_RESOURCE_EXHAUSTED, true, "no memory for a deadline");
    else if (call->method->streams)
        call->owed_ns = 0;
}

/* --- its messages --- */

static void take_message(struct grpc_call *call, struct buf *body, bool packed)
{
    if (!call->method->streams && call->gathering) {
        atomic_fetch_sub(&call->server->bytes, body->n);
        buf_free(body);
        grpc_call_fail(call, GRPC_INTERNAL, false, "more than one message in a call that takes one");
    } else {
        (void)grpc_batch_add(call, body, packed); /* on failure it has answered */
    }
}

static void deframe(struct grpc_call *call, struct str bytes)
{
    struct grpc_server *s = call->server;
    struct err e = ERR_INIT;
    int rc = 1;

    while (rc == 1 && !call->answered) {
        size_t before = call->in.body.n;
        struct buf body;
        bool packed;

        rc = grpc_deframe(&call->in, &bytes, &body, &packed, &e);
        atomic_fetch_add(&s->bytes, (rc == 1 ? body.n : call->in.body.n) - before);
        if (rc == 1)
            take_message(call, &body, packed);
    }
    if (rc < 0)
        grpc_call_fail_error(call, &e);
}

void grpc_call_give_back(struct grpc_call *call, size_t *n)
{
    if (*n && call->conn && !call->ended && nghttp2_session_consume_stream(call->conn->session, call->id, *n) < 0)
        call->conn->broken = true;
    *n = 0;
}

void grpc_call_data(struct grpc_call *call, struct str bytes)
{
    const struct grpc_server *s = call->server;

    if (call->answered)
        return;
    call->held += bytes.n;
    if (bytes.n > s->options.max_bytes - atomic_load(&s->bytes)) {
        grpc_call_fail(call, GRPC_RESOURCE_EXHAUSTED, true, "too many bytes of messages are in memory already");
        return;
    }
    deframe(call, bytes);
    if (call->method->streams && !grpc_deframer_midway(&call->in))
        call->owed_ns = 0;
    else if (!call->owed_ns)
        call->owed_ns = clock_mono_ns();
    grpc_call_settle(call);
}

void grpc_call_end(struct grpc_call *call)
{
    call->ended = true;
    call->owed_ns = 0;
    if (call->answered)
        return;
    if (grpc_deframer_midway(&call->in))
        grpc_call_fail(call, GRPC_INTERNAL, false, "the stream ended in the midst of a message");
    else if (!call->method->streams && !call->gathering)
        grpc_call_fail(call, GRPC_INTERNAL, false, "the stream ended without a message");
    else
        grpc_call_settle(call);
}

/* Whether it is time for what has gathered: of a call with one message, when the stream has ended well. */
static bool is_ripe(const struct grpc_call *call)
{
    return call->gathering && !call->outstanding && (call->method->streams || call->ended);
}

/* Without recursion: what is processed may be done with at once, and comes back here. */
void grpc_call_settle(struct grpc_call *call)
{
    if (call->settling)
        return;
    call->settling = true;
    while (is_ripe(call)) {
        struct grpc_batch *t = call->gathering;

        call->gathering = NULL;
        t->window = call->held;
        call->held = 0;
        grpc_batch_process(t);
    }
    call->settling = false;
    if (call->outstanding)
        return;
    grpc_call_give_back(call, &call->held); /* of a message that is not complete: it may be longer than the window */
    if (!call->conn)
        call_free(call);
    else if (call->method->streams && call->ended)
        grpc_call_succeed(call, NULL);
    else if (call->method->streams && call->server->stopping)
        grpc_call_stop(call);
}

void grpc_call_closed(struct grpc_call *call)
{
    if (call->next)
        call->next->link = call->link;
    *call->link = call->next;
    if (--call->conn->ncalls == 0)
        call->conn->quiet_ns = clock_mono_ns();
    call->conn = NULL;
    if (!call->answered)
        atomic_fetch_add(&count_of(call)->calls[GRPC_CANCELLED], 1);
    call->answered = true;
    drop_gathering(call);
    grpc_call_settle(call);
}

void grpc_call_stop(struct grpc_call *call)
{
    if (call->outstanding == 0)
        grpc_call_fail(call, GRPC_UNAVAILABLE, true, "the server is shutting down");
}

/* What a peer owes it must bring within the time for stalls, a long message at SLOWEST. It does not owe while we are the
 * ones who hold it up. */
void grpc_call_sweep(struct grpc_call *call, int64_t now_ns)
{
    int64_t most = call->server->options.stall_ms * 1000000 +
                   (int64_t)(call->in.have == GRPC_PREFIX ? call->in.length : 0) * (1000000000 / SLOWEST);
    char why[96];

    if (!call->owed_ns || call->answered)
        return;
    if (call->outstanding) {
        call->owed_ns = now_ns;
    } else if (now_ns - call->owed_ns > most) {
        snprintf(why, sizeof(why), "the rest of a message did not come within %lld s", (long long)(most / 1000000000));
        grpc_call_fail(call, GRPC_DEADLINE_EXCEEDED, false, why);
    }
}

/* --- the answer --- */

static nghttp2_nv field(const char *name, struct str value)
{
    return (nghttp2_nv){ (uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value.p, strlen(name), value.n, 0 };
}

static size_t status_fields(const struct grpc_call *call, nghttp2_nv *v, char number[8])
{
    size_t n = 0;

    snprintf(number, 8, "%d", (int)call->status);
    v[n++] = field("grpc-status", str_of(number));
    if (call->text.n)
        v[n++] = field("grpc-message", buf_view(&call->text));
    if (call->details.n)
        v[n++] = field("grpc-status-details-bin", buf_view(&call->details));
    return n;
}

static size_t head_fields(nghttp2_nv *v)
{
    v[0] = field(":status", STR("200"));
    v[1] = field("content-type", STR("application/grpc"));
    v[2] = field("grpc-accept-encoding", STR("identity,deflate,gzip"));
    return 3;
}

static ssize_t read_reply(nghttp2_session *session, int32_t id, uint8_t *to, size_t most, uint32_t *flags,
                          nghttp2_data_source *source, void *user)
{
    struct grpc_call *call = source->ptr;
    size_t n = call->out.n - call->out_at;
    nghttp2_nv trailers[3];
    char number[8];

    (void)user;
    n = n < most ? n : most;
    memcpy(to, call->out.p + call->out_at, n);
    call->out_at += n;
    if (call->out_at < call->out.n)
        return (ssize_t)n;
    *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    if (nghttp2_submit_trailer(session, id, trailers, status_fields(call, trailers, number)) < 0)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    return (ssize_t)n;
}

/* Counts, and frees what is of no use any more. False: there is nobody to be answered, or he has been. */
static bool begin_answer(struct grpc_call *call, enum grpc_status status)
{
    if (call->answered || !call->conn)
        return false;
    call->answered = true;
    call->status = status;
    atomic_fetch_add(&count_of(call)->calls[status], 1);
    if (call->deadline)
        event_del(call->deadline);
    atomic_fetch_sub(&call->server->bytes, call->in.body.n);
    grpc_deframer_fini(&call->in);
    drop_gathering(call);
    return true;
}

void grpc_call_fail(struct grpc_call *call, enum grpc_status status, bool again, const char *why)
{
    nghttp2_nv v[6];
    char number[8];
    size_t n;

    if (!begin_answer(call, status))
        return;
    call->text = (struct buf)BUF_INIT(4096);
    call->details = (struct buf)BUF_INIT(4096);
    grpc_percent_encode(&call->text, str_of(why));
    if (again)
        grpc_retry_details(&call->details, status, str_of(why), GRPC_RETRY_MS);
    n = head_fields(v);
    n += status_fields(call, v + n, number);
    if (nghttp2_submit_response(call->conn->session, call->id, v, n, NULL) < 0)
        call->conn->broken = true;
}

void grpc_call_fail_error(struct grpc_call *call, const struct err *e)
{
    bool again;
    enum grpc_status status = grpc_status_of(e->code, &again);

    grpc_call_fail(call, status, again, e->msg);
}

void grpc_call_succeed(struct grpc_call *call, const struct grpc_batch *t)
{
    nghttp2_data_provider source = { { .ptr = call }, read_reply };
    nghttp2_nv v[3];
    size_t length;

    if (call->answered || !call->conn)
        return;
    call->out = (struct buf)BUF_INIT(1 << 16);
    buf_put(&call->out, "\0\0\0\0", GRPC_PREFIX);
    if (t && call->method->reply)
        call->method->reply(t, &call->out);
    if (buf_failed(&call->out)) {
        grpc_call_fail(call, GRPC_RESOURCE_EXHAUSTED, false, "no memory for the answer; the data is stored");
        return;
    }
    length = call->out.n - GRPC_PREFIX;
    call->out.p[3] = (char)(length >> 8); /* it fits in two bytes: see the buffer's ceiling */
    call->out.p[4] = (char)length;
    begin_answer(call, GRPC_OK);
    if (nghttp2_submit_response(call->conn->session, call->id, v, head_fields(v), &source) < 0)
        call->conn->broken = true;
}
