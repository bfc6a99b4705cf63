/* snappy.c: Snappy's block format, as remote write and Loki's push use it. Apart from zip.c, so that a program without
 * it (the proxy) does not load libsnappy and the C++ library behind it. */
#include "base/zip.h"

#include <snappy-c.h>

int snappy_unpack(struct str in, struct buf *out, struct err *e)
{
    size_t n, room;
    char *to;

    /* The block says itself how long it will be: checked before anything is allocated. */
    if (!in.n || snappy_uncompressed_length(in.p, in.n, &n) != SNAPPY_OK)
        return err_set(e, ERR_PARSE, "snappy: no length in front, should be the block format");
    room = out->max - out->n;
    if (n > room)
        return err_set(e, ERR_LIMIT, "unpacks to %zu bytes, more than the %zu allowed", n, room);
    if (n == 0) /* not worth memory, and yet to be checked */
        return snappy_validate_compressed_buffer(in.p, in.n) == SNAPPY_OK ? 0 : err_set(e, ERR_PARSE, "snappy: malformed");
    to = buf_reserve(out, n);
    if (!to)
        return err_set(e, ERR_NOMEM, "snappy: no memory for %zu bytes", n);
    if (snappy_uncompress(in.p, in.n, to, &n) != SNAPPY_OK)
        return err_set(e, ERR_PARSE, "snappy: malformed or cut short");
    out->n += n;
    return 0;
}

int snappy_pack(struct str in, struct buf *out, struct err *e)
{
    size_t n = snappy_max_compressed_length(in.n);
    char *to = buf_reserve(out, n);

    if (!to || snappy_compress(in.n ? in.p : "", in.n, to, &n) != SNAPPY_OK)
        return err_set(e, ERR_NOMEM, "snappy: no memory for %zu bytes", n);
    out->n += n;
    return 0;
}
