/* websocket_fuzz.c: frames of any bytes: no message is larger than allowed, and in pieces they come to the same. The first
 * byte says whether the peer masks, and how large the pieces are. */
#include "api/websocket.h"

#include <stdlib.h>

enum { MOST = 4096 };

/* Appends all messages, and what is wrong at the end. */
static void read_pieces(const uint8_t *data, size_t size, size_t piece, bool masked, struct buf *out)
{
    struct websocket_reader r;
    int rc = 0;

    websocket_reader_init(&r, masked, MOST);
    for (size_t at = 0; rc >= 0 && at < size; at += piece) {
        struct websocket_message m;
        struct err e = ERR_INIT;
        unsigned code = 0;
        size_t n = size - at < piece ? size - at : piece;

        if (websocket_feed(&r, data + at, n) < 0)
            break;
        while ((rc = websocket_next(&r, &m, &code, &e)) > 0) {
            if (m.payload.n > MOST)
                abort();
            buf_printf(out, "%d %zu ", m.op, m.payload.n);
            buf_str(out, m.payload);
        }
        if (rc < 0)
            buf_printf(out, "%u %s", code, e.msg);
    }
    websocket_reader_free(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf whole = BUF_INIT(1 << 22), pieces = BUF_INIT(1 << 22);

    if (size == 0 || size > 60000)
        return 0;
    read_pieces(data + 1, size - 1, size, data[0] & 1, &whole);
    read_pieces(data + 1, size - 1, (data[0] >> 1) + 1u, data[0] & 1, &pieces);
    if (!str_eq(buf_view(&whole), buf_view(&pieces)))
        abort();
    buf_free(&whole);
    buf_free(&pieces);
    return 0;
}
