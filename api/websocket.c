#include "api/websocket.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

enum { LONGEST_CONTROL = 125, LONGEST_HEADER = 14 };

void websocket_reader_init(struct websocket_reader *r, bool masked, size_t max_bytes)
{
    *r = (struct websocket_reader){ .in = BUF_INIT(max_bytes + (64 << 10)), .message = BUF_INIT(max_bytes),
                                    .control = BUF_INIT(LONGEST_CONTROL), .masked = masked };
}

void websocket_reader_free(struct websocket_reader *r)
{
    buf_free(&r->in);
    buf_free(&r->message);
    buf_free(&r->control);
}

int websocket_feed(struct websocket_reader *r, const void *p, size_t n)
{
    buf_put(&r->in, p, n);
    return buf_failed(&r->in) ? ERR_NOMEM : 0;
}

/* --- reading ----------------------------------------------------------------------------------------------------- */

struct frame {
    bool fin, masked;
    enum websocket_op op;
    uint64_t length;
    size_t header; /* bytes before the payload */
    uint8_t mask[4];
};

static int fail(unsigned *code, unsigned with, int rc, struct err *e, const char *why)
{
    *code = with;
    return err_set(e, rc, "websocket: %s", why);
}

/* 1: the header is whole. 0: more bytes are needed. */
static int read_header(struct str in, struct frame *f)
{
    const uint8_t *p = (const uint8_t *)in.p;
    size_t extra, at = 2;

    if (in.n < 2)
        return 0;
    *f = (struct frame){ .fin = p[0] >> 7, .op = (enum websocket_op)(p[0] & 15), .masked = p[1] >> 7,
                         .length = p[1] & 127 };
    extra = f->length == 126 ? 2 : f->length == 127 ? 8 : 0;
    f->header = 2 + extra + (f->masked ? 4 : 0);
    if (in.n < f->header)
        return 0;
    if (extra)
        f->length = 0;
    for (size_t i = 0; i < extra; i++)
        f->length = f->length << 8 | p[at++];
    if (f->masked)
        memcpy(f->mask, p + at, 4);
    return 1;
}

static bool is_control(enum websocket_op op)
{
    return op >= WEBSOCKET_CLOSE;
}

static bool known(enum websocket_op op)
{
    return op <= WEBSOCKET_BINARY || (op >= WEBSOCKET_CLOSE && op <= WEBSOCKET_PONG);
}

/* What must hold of a frame before its payload is waited for. */
static int check_frame(const struct websocket_reader *r, const struct frame *f, uint8_t first, unsigned *code,
                       struct err *e)
{
    bool open = r->op != WEBSOCKET_CONTINUATION;

    if (first & 0x70)
        return fail(code, WEBSOCKET_PROTOCOL_ERROR, ERR_PARSE, e, "a reserved bit is set, and no extension was agreed on");
    if (!known(f->op))
        return fail(code, WEBSOCKET_PROTOCOL_ERROR, ERR_PARSE, e, "an opcode that is not defined");
    if (f->masked != r->masked)
        return fail(code, WEBSOCKET_PROTOCOL_ERROR, ERR_PARSE, e,
                    r->masked ? "a client's frame must be masked" : "a server's frame must not be masked");
    if (is_control(f->op) && (!f->fin || f->length > LONGEST_CONTROL))
        return fail(code, WEBSOCKET_PROTOCOL_ERROR, ERR_PARSE, e,
                    "a control frame should be whole, of 125 bytes at most");
    if (!is_control(f->op) && (f->op == WEBSOCKET_CONTINUATION) != open)
        return fail(code, WEBSOCKET_PROTOCOL_ERROR, ERR_PARSE, e,
                    open ? "a message begins inside of another" : "a continuation of nothing");
    if (!is_control(f->op) && f->length > r->message.max - r->message.n)
        return fail(code, WEBSOCKET_TOO_LARGE, ERR_LIMIT, e, "a message is too large");
    return 0;
}

static void put_unmasked(struct buf *b, const struct frame *f, const char *payload)
{
    char *to = f->length ? buf_reserve(b, (size_t)f->length) : NULL;

    for (size_t i = 0; to && i < f->length; i++)
        to[i] = (char)(payload[i] ^ (f->masked ? f->mask[i % 4] : 0));
    if (to)
        b->n += (size_t)f->length;
}

/* 1: *m is a message; 0: the frame was a part of one. */
static int take_frame(struct websocket_reader *r, const struct frame *f, const char *payload,
                      struct websocket_message *m, unsigned *code, struct err *e)
{
    struct buf *to = is_control(f->op) ? &r->control : &r->message;

    if (is_control(f->op))
        buf_reset(&r->control);
    else if (f->op != WEBSOCKET_CONTINUATION)
        r->op = f->op;
    put_unmasked(to, f, payload);
    if (buf_failed(to))
        return fail(code, WEBSOCKET_FAILED, ERR_NOMEM, e, "no memory for a message");
    if (!f->fin)
        return 0;
    *m = (struct websocket_message){ is_control(f->op) ? f->op : r->op, buf_view(to) };
    r->done = !is_control(f->op);
    if (m->op == WEBSOCKET_CLOSE && m->payload.n == 1)
        return fail(code, WEBSOCKET_PROTOCOL_ERROR, ERR_PARSE, e, "a close frame's code has two bytes");
    if (m->op == WEBSOCKET_TEXT && !str_is_utf8(m->payload))
        return fail(code, WEBSOCKET_BAD_DATA, ERR_PARSE, e, "a text message should be UTF-8");
    return 1;
}

int websocket_next(struct websocket_reader *r, struct websocket_message *m, unsigned *code, struct err *e)
{
    int rc = 0;

    if (r->done) {
        buf_reset(&r->message);
        r->op = WEBSOCKET_CONTINUATION;
        r->done = false;
    }
    while (rc == 0) {
        struct str in = buf_view(&r->in);
        struct frame f;

        if (read_header(in, &f) == 0)
            return 0;
        rc = check_frame(r, &f, (uint8_t)in.p[0], code, e);
        if (rc < 0)
            return rc;
        if (in.n - f.header < f.length)
            return 0;
        rc = take_frame(r, &f, in.p + f.header, m, code, e);
        buf_drain(&r->in, f.header + (size_t)f.length);
    }
    return rc;
}

/* --- writing ----------------------------------------------------------------------------------------------------- */

void websocket_put(struct buf *b, enum websocket_op op, struct str payload, const uint8_t *mask)
{
    uint8_t header[LONGEST_HEADER] = { (uint8_t)(0x80 | op), mask ? 0x80 : 0 };
    size_t n = 2, extra = payload.n < 126 ? 0 : payload.n <= UINT16_MAX ? 2 : 8;
    char *to;

    header[1] |= extra == 0 ? (uint8_t)payload.n : extra == 2 ? 126 : 127;
    for (size_t i = extra; i-- > 0;)
        header[n++] = (uint8_t)((uint64_t)payload.n >> (8 * i));
    for (size_t i = 0; mask && i < 4; i++)
        header[n++] = mask[i];
    buf_put(b, header, n);
    if (!mask) {
        buf_str(b, payload);
        return;
    }
    to = payload.n ? buf_reserve(b, payload.n) : NULL;
    for (size_t i = 0; to && i < payload.n; i++)
        to[i] = (char)((uint8_t)payload.p[i] ^ mask[i % 4]);
    if (to)
        b->n += payload.n;
}

void websocket_put_close(struct buf *b, unsigned code, struct str reason, const uint8_t *mask)
{
    char payload[LONGEST_CONTROL] = { (char)(code >> 8), (char)code };
    size_t n = reason.n < sizeof(payload) - 2 ? reason.n : sizeof(payload) - 2;

    while (n && !str_is_utf8((struct str){ reason.p, n }))
        n--;
    if (n)
        memcpy(payload + 2, reason.p, n);
    websocket_put(b, WEBSOCKET_CLOSE, (struct str){ payload, n + 2 }, mask);
}

/* --- handshake --------------------------------------------------------------------------------------------------- */

void websocket_accept(struct str key, char out[WEBSOCKET_KEY_TEXT])
{
    static const char suffix[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* section 1.3 */
    unsigned char digest[SHA_DIGEST_LENGTH];
    char text[64 + sizeof(suffix)];
    size_t n = key.n < 64 ? key.n : 64;

    memcpy(text, key.p, n);
    memcpy(text + n, suffix, sizeof(suffix) - 1);
    SHA1((const unsigned char *)text, n + sizeof(suffix) - 1, digest);
    EVP_EncodeBlock((unsigned char *)out, digest, sizeof(digest));
}

bool websocket_key_is_valid(struct str key)
{
    if (key.n != 24 || !str_ends(key, STR("==")))
        return false;
    for (size_t i = 0; i < 22; i++) {
        char c = key.p[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' || c == '/'))
            return false;
    }
    return true;
}
