/* answer.c: from a handler's answer to the wire: packing, pieces, headers.
 *
 * An answer is one of three things:
 *
 *   rq->out      bytes, packed as a whole where the client likes it
 *   rq->fixed    bytes that somebody else owns
 *   pieces       a large result: its value is kept (in the arena) and encoded in pieces while it is sent
 *
 *      worker      handler ─ reply_pieces: the first piece; when that is all, it is an answer like any other
 *      I/O thread  read_piece() ◀─ libmicrohttpd, whenever the socket takes more: encode ─▶ pack ─▶ socket
 *
 * Invariant  One piece of each kind (plain, packed) is in memory, however large the answer. The values of all answers
 *            under way are bounded together (ANSWERS): a slow reader holds on to his. */
#include "api/answer-internal.h"

#include "base/mem.h"
#include "base/zip.h"

#include <assert.h>

enum {
    SMALLEST_PACKED = 1024, /* below a packet there is nothing to win */
    ANSWERS = 1 << 30,
    BLOCK = 64 << 10,
    ZSTD_LEVEL = 1
};

struct pieces {
    bool (*more)(void *state, struct buf *out);
    void *state;
    struct zip *zip;   /* NULL: as they are */
    struct buf packed; /* of the piece in rq->out */
    size_t sent;       /* bytes of the piece */
    size_t held;       /* counted in api->answer_bytes */
    bool last;         /* the piece is the last one */
};

/* --- pieces --- */

void reply_pieces(struct request *rq, bool (*more)(void *state, struct buf *out), void *state)
{
    struct pieces *p;

    if (!more(state, &rq->out) || buf_failed(&rq->out))
        return;
    p = ARENA_NEW(&rq->arena, struct pieces);
    if (!p) {
        rq->out.failed = true;
        return;
    }
    p->more = more;
    p->state = state;
    p->packed = (struct buf)BUF_INIT(LARGEST_ANSWER);
    p->held = rq->arena.used;
    rq->pieces = p;
    if (atomic_fetch_add(&rq->api->answer_bytes, p->held) + p->held > ANSWERS) {
        answer_free(rq);
        reply_text(rq, 503, "too many large answers at one time: try again later");
        reply_header(rq, MHD_HTTP_HEADER_RETRY_AFTER, "1");
    }
}

static struct buf *current(struct request *rq)
{
    return rq->pieces->zip ? &rq->pieces->packed : &rq->out;
}

static bool pack_piece(struct request *rq)
{
    struct pieces *p = rq->pieces;

    if (!p->zip)
        return true;
    buf_reset(&p->packed);
    return zip_put(p->zip, buf_view(&rq->out), p->last, &p->packed, NULL) == 0;
}

static bool next_piece(struct request *rq)
{
    struct pieces *p = rq->pieces;

    buf_reset(&rq->out);
    p->sent = 0;
    p->last = !p->more(p->state, &rq->out);
    return !buf_failed(&rq->out) && pack_piece(rq);
}

static size_t copy_piece(struct request *rq, char *to, size_t most)
{
    struct pieces *p = rq->pieces;
    size_t left = current(rq)->n - p->sent, n = left < most ? left : most;

    if (n)
        memcpy(to, current(rq)->p + p->sent, n);
    p->sent += n;
    return n;
}

static ssize_t read_piece(void *cls, uint64_t position, char *to, size_t most)
{
    struct request *rq = cls;
    struct pieces *p = rq->pieces;
    unsigned more = 1; /* pieces to fill up with: they take time, and other connections wait */
    size_t n;

    (void)position;
    n = copy_piece(rq, to, most);
    while (n == 0 || (n < most && more--)) { /* what is left over of a piece is not sent alone */
        if (p->last)
            return n ? (ssize_t)n : MHD_CONTENT_READER_END_OF_STREAM;
        if (!next_piece(rq))
            return MHD_CONTENT_READER_END_WITH_ERROR; /* the answer is seen to be cut */
        n += copy_piece(rq, to + n, most - n);
    }
    return (ssize_t)n;
}

void answer_free(struct request *rq)
{
    struct pieces *p = rq->pieces;

    if (!p)
        return;
    rq->pieces = NULL;
    zip_close(p->zip);
    buf_free(&p->packed);
    atomic_fetch_sub(&rq->api->answer_bytes, p->held);
}

/* --- packing --- */

static const char *const coding_names[CODINGS] = { [CODING_GZIP] = "gzip", [CODING_ZSTD] = "zstd" };

static bool pack_whole(struct request *rq, enum coding coding)
{
    struct buf packed = BUF_INIT(LARGEST_ANSWER);
    int rc = coding == CODING_ZSTD ? zstd_pack(buf_view(&rq->out), ZSTD_LEVEL, &packed, NULL)
                                   : gzip_pack(buf_view(&rq->out), &packed, NULL);

    if (rc < 0) {
        buf_free(&packed);
        return false;
    }
    buf_free(&rq->out);
    rq->out = packed;
    return true;
}

static bool pack_pieces(struct request *rq, enum coding coding)
{
    rq->pieces->zip = zip_open(coding == CODING_ZSTD ? ZIP_ZSTD : ZIP_GZIP, NULL);
    if (!rq->pieces->zip)
        return false;
    if (!pack_piece(rq))
        rq->out.failed = true;
    return true;
}

static void pack(struct request *rq)
{
    enum coding coding = accept_coding(str_of(request_header(rq, MHD_HTTP_HEADER_ACCEPT_ENCODING)));

    reply_header(rq, MHD_HTTP_HEADER_VARY, MHD_HTTP_HEADER_ACCEPT_ENCODING);
    if (coding == CODING_NONE || rq->out.n < SMALLEST_PACKED)
        return;
    if (rq->pieces ? pack_pieces(rq, coding) : pack_whole(rq, coding))
        reply_header(rq, MHD_HTTP_HEADER_CONTENT_ENCODING, coding_names[coding]);
}

void answer_finish(struct request *rq)
{
    assert(rq->status);
    rq->finished = true;
    if (rq->out.n && !buf_failed(&rq->out))
        pack(rq);
    if (!buf_failed(&rq->out))
        return;
    answer_free(rq);
    rq->nheaders = 0;
    reply_text(rq, 503, "the answer takes more than the %d MiB allowed, or there is no memory for it",
               LARGEST_ANSWER >> 20);
}

/* --- sending --- */

static struct MHD_Response *response_of(struct request *rq)
{
    struct MHD_Response *r;
    char *bytes;
    size_t n;

    if (rq->upgrade)
        return MHD_create_response_for_upgrade(rq->upgrade, rq->owner);
    if (rq->pieces) {
        r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, read_piece, rq, NULL);
        if (r && rq->is_head) /* or else libmicrohttpd sends the end of a chunked body that was not there */
            MHD_set_response_options(r, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END);
        return r;
    }
    if (rq->fixed.p) {
        r = MHD_create_response_from_buffer_with_free_callback_cls(rq->fixed.n, (void *)(uintptr_t)rq->fixed.p,
                                                                   rq->release, rq->owner);
        if (r)
            rq->release = NULL; /* now the response's */
        return r;
    }
    bytes = buf_take(&rq->out, &n);
    if (!bytes)
        return NULL;
    r = MHD_create_response_from_buffer_with_free_callback(n, bytes, mem_free);
    if (!r)
        mem_free(bytes);
    return r;
}

/* As Prometheus has it: any page may read its API. What changes anything is refused to them (ROUTE_CHANGES). */
static void add_cors(const struct request *rq, struct MHD_Response *r)
{
    if (!str_starts(rq->path, STR("/api/v1/")) || !request_header(rq, MHD_HTTP_HEADER_ORIGIN) ||
        (rq->route && rq->route->flags & ROUTE_CHANGES))
        return;
    MHD_add_response_header(r, MHD_HTTP_HEADER_ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    MHD_add_response_header(r, MHD_HTTP_HEADER_ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, OPTIONS");
    MHD_add_response_header(r, MHD_HTTP_HEADER_ACCESS_CONTROL_ALLOW_HEADERS,
                            "Accept, Authorization, Content-Type, Origin");
    MHD_add_response_header(r, MHD_HTTP_HEADER_ACCESS_CONTROL_EXPOSE_HEADERS, "Date");
}

enum MHD_Result answer_send(struct request *rq)
{
    struct MHD_Response *r = response_of(rq);
    enum MHD_Result sent = MHD_NO;

    if (!r)
        return MHD_NO;
    if (rq->content_type)
        MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, rq->content_type);
    MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
    for (size_t i = 0; i < rq->nheaders; i++)
        MHD_add_response_header(r, rq->headers[i].name, rq->headers[i].value);
    add_cors(rq, r);
    if (atomic_load(&rq->api->stopping))
        MHD_add_response_header(r, MHD_HTTP_HEADER_CONNECTION, "close");
    sent = MHD_queue_response(rq->connection, rq->status, r);
    MHD_destroy_response(r);
    return sent;
}
