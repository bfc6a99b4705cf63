/* page_fuzz.c: a page that decodes encodes to one that decodes to the same; one made from any samples comes back.
 *
 * The input is tried twice: as a page with its checksum put right (else nothing would pass), and as samples. */
#include "base/str.h"
#include "store/page-internal.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

/* Kept from one input to the next, as a server does. */
struct readers {
    struct page_reader *input, *again;
};

static void must_come_back(struct page_reader *r, const struct sample_columns *columns, size_t n)
{
    struct buf b = BUF_INIT(1 << 24);
    struct sample_columns got;
    size_t count;

    if (page_encode(columns, n, &b, NULL) < 0 || page_open(r, buf_view(&b), &count, NULL) < 0 || count != n)
        abort();
    for (size_t i = n; i-- > 0;)
        if (page_column(r, i, &got, NULL) < 0 || got.n != columns[i].n ||
            memcmp(got.t, columns[i].t, got.n * sizeof(*got.t)) || memcmp(got.v, columns[i].v, got.n * sizeof(*got.v)))
            abort();
    buf_free(&b);
}

static void as_page(const struct readers *r, const uint8_t *data, size_t size)
{
    static struct sample_columns columns[PAGE_COLUMNS];
    char *copy = malloc(size + 8);
    uint64_t sum;
    size_t n, read = 0;

    if (!copy)
        abort();
    memcpy(copy + 8, data, size);
    sum = htole64(str_hash_stable((struct str){ copy + 8, size }));
    memcpy(copy, &sum, 8);
    if (page_open(r->input, (struct str){ copy, size + 8 }, &n, NULL) == 0) {
        for (size_t i = 0; i < n; i++)
            read += page_column(r->input, i, &columns[i], NULL) == 0;
        if (read == n)
            must_come_back(r->again, columns, n);
    }
    free(copy);
}

/* Columns of up to 16 samples: a byte says how many, and whether times are those of the column before; a sample is two
 * bytes of time, and of value eight bytes as they are, or two that are scaled or added up. */
static void as_samples(const struct readers *r, const uint8_t *data, size_t size)
{
    static int64_t t[PAGE_SAMPLES];
    static double v[PAGE_SAMPLES];
    static struct sample_columns columns[PAGE_COLUMNS];
    size_t n = 0, at = 0;

    while (size >= 2 + 16 * 10 && n < 256) {
        size_t count = 1 + data[0] % 16;
        bool shared = n && data[0] & 0x40 && columns[n - 1].n == count;
        uint8_t kind = data[1];
        double x = 0;

        data += 2;
        size -= 2;
        columns[n] = (struct sample_columns){ SAMPLE_FLOAT, shared ? columns[n - 1].t : t + at, v + at, count };
        for (size_t i = 0; i < count; i++, at++) {
            uint16_t step, low;

            memcpy(&step, data, 2);
            memcpy(&low, data + 2, 2);
            t[at] = (i ? t[at - 1] : INT64_MIN / 2) + 1 + (int64_t)step * (kind & 0x80 ? 1 << 20 : 1);
            x = kind % 4 == 1 ? low / 100.0 : x + low * (kind & 0x40 ? 4096 : 1);
            if (kind % 4 == 2 && shared)
                x = columns[n - 1].v[i] + low % 16;
            v[at] = x;
            if (kind % 4 == 3)
                memcpy(&v[at], data + 2, 8);
            data += kind % 4 == 3 ? 10 : 4;
            size -= kind % 4 == 3 ? 10 : 4;
        }
        n++;
    }
    if (n)
        must_come_back(r->again, columns, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct readers r;

    if (!r.input)
        r = (struct readers){ page_reader_new(), page_reader_new() };
    if (!r.input || !r.again)
        abort();
    as_page(&r, data, size);
    as_samples(&r, data, size);
    return 0;
}
