/* event_chunk_fuzz.c: what opens as a chunk can be read to its end without harm; when all of it can, joining it gives
 * one with the same rows.
 *
 * The input is a chunk without its checksum and length, which are put right. */
#include "store/event_chunk-internal.h"

#include "tests/fuzz/event_read_all.h"

#include <endian.h>

enum { MOST_MEMORY = 64 << 20, LENGTH_AT = 16, SUMMED = 8 };

static void must_join(struct event_source *s, struct arena *a)
{
    struct buf out = BUF_INIT(MOST_MEMORY);
    struct event_chunk_head head;
    struct event_source *joined;

    if (event_chunk_join(&s, 1, &out, NULL) < 0 || event_chunk_check(buf_view(&out), &head, NULL) < 0)
        abort();
    joined = event_chunk_open(buf_view(&out), a, NULL);
    if (!joined || read_all(s, joined) < 0)
        abort();
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes = { NULL, size + SUMMED };
    char *copy = malloc(bytes.n);
    struct arena a = ARENA_INIT(MOST_MEMORY);
    struct event_chunk_head head;
    struct event_source *s;
    uint64_t sum;
    uint32_t length = htole32((uint32_t)bytes.n);

    if (!copy)
        return 0;
    if (size)
        memcpy(copy + SUMMED, data, size);
    if (bytes.n >= LENGTH_AT + sizeof(length))
        memcpy(copy + LENGTH_AT, &length, sizeof(length));
    sum = htole64(str_hash_stable((struct str){ copy + SUMMED, size }));
    memcpy(copy, &sum, sizeof(sum));
    bytes.p = copy;
    if (event_chunk_check(bytes, &head, NULL) == 0) {
        s = event_chunk_open(bytes, &a, NULL);
        if (s && read_all(s, NULL) == 0)
            must_join(s, &a);
    }
    arena_free(&a);
    free(copy);
    return 0;
}
