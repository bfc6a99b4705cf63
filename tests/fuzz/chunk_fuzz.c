/* chunk_fuzz.c: a chunk that decodes encodes to one that decodes to the same; one made from any samples comes back.
 *
 * The input is tried twice: as a chunk with its checksum put right (else nothing would pass), and as samples. */
#include "base/str.h"
#include "store/chunk-internal.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

struct samples {
    int64_t t[CHUNK_SAMPLES];
    double v[CHUNK_SAMPLES];
    size_t n;
};

static void must_come_back(const struct samples *s)
{
    static struct samples again;
    struct buf b = BUF_INIT(1 << 20);

    if (chunk_encode(s->t, s->v, s->n, &b, NULL) < 0 ||
        chunk_decode(buf_view(&b), again.t, again.v, &again.n, NULL) < 0 || again.n != s->n ||
        memcmp(again.t, s->t, s->n * sizeof(s->t[0])) || memcmp(again.v, s->v, s->n * sizeof(s->v[0])))
        abort();
    buf_free(&b);
}

static void as_chunk(const uint8_t *data, size_t size)
{
    static struct samples s;
    char *copy = malloc(size + 8);
    uint64_t sum;

    if (!copy)
        return;
    memcpy(copy + 8, data, size);
    sum = htole64(str_hash_stable((struct str){ copy + 8, size }));
    memcpy(copy, &sum, 8);
    if (chunk_decode((struct str){ copy, size + 8 }, s.t, s.v, &s.n, NULL) == 0)
        must_come_back(&s);
    free(copy);
}

/* Times from steps of four bytes, values from any eight. */
static void as_samples(const uint8_t *data, size_t size)
{
    static struct samples s;

    for (s.n = 0; size >= 12 && s.n < CHUNK_SAMPLES; s.n++, data += 12, size -= 12) {
        uint32_t step;

        memcpy(&step, data, 4);
        memcpy(&s.v[s.n], data + 4, 8);
        s.t[s.n] = (s.n ? s.t[s.n - 1] : INT64_MIN / 2) + (int64_t)step * (step % 7 ? 1 : 1000000) + 1;
    }
    if (s.n)
        must_come_back(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    as_chunk(data, size);
    as_samples(data, size);
    return 0;
}
