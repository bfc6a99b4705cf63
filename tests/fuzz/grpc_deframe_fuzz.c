/* gRPC's messages in a stream of bytes. Property: however the bytes are cut, the messages are the same, and so is the end.
 * The first byte is the size of the pieces. */
#include "collector/grpc_wire-internal.h"

#include <stdlib.h>

static int deframe(struct str all, size_t piece, struct buf *out)
{
    struct grpc_deframer d = GRPC_DEFRAMER_INIT(4096);
    int rc = 0;

    while (rc == 0 && all.n) {
        struct str in = { all.p, all.n < piece ? all.n : piece };
        struct buf body;
        bool packed;

        all = str_from(all, in.n);
        while ((rc = grpc_deframe(&d, &in, &body, &packed, NULL)) == 1) {
            buf_printf(out, "%d %zu:", packed, body.n);
            buf_str(out, buf_view(&body));
            buf_free(&body);
        }
    }
    buf_printf(out, "%d", rc == 0 && grpc_deframer_midway(&d));
    grpc_deframer_fini(&d);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf one = BUF_INIT(16 << 20), two = BUF_INIT(16 << 20);

    if (size > 1) {
        struct str all = { (const char *)data + 1, size - 1 };

        if (deframe(all, all.n, &one) != deframe(all, (size_t)data[0] + 1, &two) || !str_eq(buf_view(&one), buf_view(&two)))
            abort();
    }
    buf_free(&one);
    buf_free(&two);
    return 0;
}
