/* OTLP bodies: the first byte chooses signal and encoding, the rest is the body.
 *
 * Property: what is taken without any refusal says the same in the other encoding. Protobuf is printed as JSON and JSON
 * rewritten as protobuf by the table of messages; both must decode to the same batch. */

#include "collector/otlp-internal.h"
#include "tests/unit/collector/dump.h"

#include <stdio.h>
#include <stdlib.h>

static int decode(enum otlp_signal signal, enum otlp_encoding encoding, struct str body, struct buf *text, uint64_t *refused)
{
    struct arena a = ARENA_INIT(256 << 20);
    struct otlp_refused r;
    struct batch b;
    int rc;

    batch_init(&b, &a);
    rc = otlp_decode(signal, encoding, body, NULL, &b, &r, NULL);
    *refused = r.n;
    if (rc == 0)
        dump_batch(text, &b);
    arena_free(&a);
    return rc;
}

/* Records without any time get the present one. */
static int has_own_time(struct str dump)
{
    return str_find(dump, STR("log ")) < 0 || str_find(dump, STR(" 17")) < 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf one = BUF_INIT(256 << 20), two = BUF_INIT(256 << 20), other = BUF_INIT(256 << 20);
    uint64_t refused;

    if (size > 0 && data[0] < 6) {
        enum otlp_signal signal = (enum otlp_signal)(data[0] % 3);
        enum otlp_encoding encoding = data[0] < 3 ? OTLP_PROTOBUF : OTLP_JSON;
        struct str body = { (const char *)data + 1, size - 1 };

        if (decode(signal, encoding, body, &one, &refused) == 0 && refused == 0 && has_own_time(buf_view(&one))) {
            int rc = encoding == OTLP_JSON ? otlp_json_to_pb(&otlp_requests[signal], body, &other, NULL)
                                           : otlp_pb_to_json(&otlp_requests[signal], body, &other, NULL);

            if (rc == 0 && (decode(signal, encoding == OTLP_JSON ? OTLP_PROTOBUF : OTLP_JSON, buf_view(&other), &two,
                                   &refused) < 0 ||
                            !str_eq(buf_view(&one), buf_view(&two)))) {
                fprintf(stderr, "%.*s\n--- other encoding:\n%.*s\n", STR_ARG(buf_view(&one)), STR_ARG(buf_view(&two)));
                abort();
            }
        }
    }
    buf_free(&one);
    buf_free(&two);
    buf_free(&other);
    return 0;
}
