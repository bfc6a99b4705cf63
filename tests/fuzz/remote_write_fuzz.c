/* Remote write's bodies, unpacked; and, when the first byte is 's', in Snappy's block format behind it.
 *
 * Property: what a batch holds, written as a request again, is taken without any refusal and gives the same batch. */

#include "base/zip.h"
#include "collector/remote_write.h"
#include "tests/unit/collector/dump.h"
#include "tests/unit/collector/write_request.h"

#include <stdlib.h>

enum { CEILING = 1 << 20 };

static int decode(struct str message, struct arena *a, struct batch *b, struct remote_write_outcome *o, struct buf *dump)
{
    int rc;

    batch_init(b, a);
    rc = remote_write_decode(message, b, o, NULL);
    if (rc == 0)
        dump_batch(dump, b);
    return rc;
}

static void check(struct str message)
{
    struct buf one = BUF_INIT(64 << 20), two = BUF_INIT(64 << 20), again = BUF_INIT(64 << 20);
    struct arena a = ARENA_INIT(64 << 20);
    struct remote_write_outcome o;
    struct batch b, c;

    if (decode(message, &a, &b, &o, &one) == 0) {
        put_write_request(&again, &b);
        if (decode(buf_view(&again), &a, &c, &o, &two) < 0 || o.refused || !str_eq(buf_view(&one), buf_view(&two)))
            abort();
    }
    buf_free(&one);
    buf_free(&two);
    buf_free(&again);
    arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = { (const char *)data, size };
    struct buf unpacked = BUF_INIT(CEILING);

    if (size && data[0] == 's') {
        if (snappy_unpack(str_from(input, 1), &unpacked, NULL) == 0)
            check(buf_view(&unpacked));
    } else {
        check(input);
    }
    buf_free(&unpacked);
    return 0;
}
