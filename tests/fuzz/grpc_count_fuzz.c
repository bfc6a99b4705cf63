/* grpc_count_fuzz.c: however a body is cut, as many messages are counted as when it comes whole, and no more than could
 * stand in it. The first byte is the size of the pieces. */
#include "proxy/grpc_count.h"

#include <stdlib.h>

static uint64_t count(struct str body, size_t piece)
{
    struct grpc_count c = { 0 };

    for (size_t at = 0; at < body.n; at += piece) {
        struct str rest = str_from(body, at);

        grpc_count_data(&c, (struct str){ rest.p, rest.n < piece ? rest.n : piece });
    }
    return c.messages;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str body;
    uint64_t whole;

    if (size < 2)
        return 0;
    body = (struct str){ (const char *)data + 1, size - 1 };
    whole = count(body, body.n);
    if (whole != count(body, data[0] ? data[0] : 1) || whole > (body.n + 4) / 5)
        abort();
    return 0;
}
