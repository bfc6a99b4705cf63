#include "proxy/http1_write.h"

void http1_write_length(struct buf *b, uint64_t n)
{
    buf_puts(b, "content-length: ");
    buf_u64(b, n);
    buf_puts(b, "\r\n");
}

/* The line in front of a chunk of n bytes. */
static struct str chunk_line(char line[18], size_t n)
{
    static const char digits[] = "0123456789abcdef";
    char *at = line + 16;

    at[0] = '\r';
    at[1] = '\n';
    do
        *--at = digits[n & 15];
    while (n >>= 4);
    return (struct str){ at, (size_t)(line + 18 - at) };
}

void http1_write_data(struct conn *c, struct str bytes, bool chunked)
{
    char line[18];
    struct str pieces[3] = { { line, 0 }, bytes, STR("\r\n") };

    if (!chunked) {
        conn_write_pieces(c, &bytes, 1);
    } else if (bytes.n) { /* an empty chunk would be the last one */
        pieces[0] = chunk_line(line, bytes.n);
        conn_write_pieces(c, pieces, 3);
    }
}
