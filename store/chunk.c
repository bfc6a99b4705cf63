/* chunk.c: the samples of one series over a span of time, as bytes.
 *
 *      0  u64  checksum (XXH3) of all that follows
 *      8  u8   version, 1
 *      9  u8   values: 0 = whole numbers, 1 = bits
 *     10  u8   packing of the columns: 0 = none, 1 = zstd
 *     11  u8   0
 *     12  u32  number of samples
 *     16  u32  length of the columns, unpacked
 *     20       the columns: times, then values
 *
 * Integers are little-endian. Times: the first, then the first difference, then differences of differences, each
 * zigzag and varint; all modulo 2^64, so that any int64 goes. Values that are all whole (counters, mostly) are stored
 * as differences, zigzag and varint. Otherwise each value's bits are XORed with those before, and the eight bytes of
 * the results are laid out as eight planes, so that zstd meets the like bytes of neighbours side by side. NaN, with any
 * payload, and -0 are not whole: every value comes back bit for bit.
 *
 * Whatever the decoder reads is checked before it is believed: the checksum against rot, the rest against malice. */
#include "store/chunk-internal.h"

#include "base/zip.h"
#include "store/varint-internal.h"

#include <endian.h>

enum { HEADER = 20, VERSION = 1, WHOLE = 0, BITS = 1, PLAIN = 0, ZSTD = 1, LEVEL = 3 };
enum { COLUMNS_MAX = CHUNK_SAMPLES * 2 * VARINT_MAX };

/* Up to 2^53 doubles hold each whole number exactly. */
static bool whole(double v)
{
    return v >= -0x1p53 && v <= 0x1p53 && double_bits((double)(int64_t)v) == double_bits(v);
}

static bool all_whole(const double *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!whole(v[i]))
            return false;
    return true;
}

static void put_times(struct buf *b, const int64_t *t, size_t n)
{
    uint64_t before = 0, step = 0;

    for (size_t i = 0; i < n; i++) {
        uint64_t now = (uint64_t)t[i], d = now - before;

        varint_put(b, zigzag(i < 2 ? d : d - step));
        step = d;
        before = now;
    }
}

static void put_whole(struct buf *b, const double *v, size_t n)
{
    uint64_t before = 0;

    for (size_t i = 0; i < n; i++) {
        uint64_t now = (uint64_t)(int64_t)v[i];

        varint_put(b, zigzag(now - before));
        before = now;
    }
}

static void put_bits(struct buf *b, const double *v, size_t n)
{
    uint8_t *to = (uint8_t *)buf_reserve(b, n * 8);
    uint64_t before = 0;

    if (!to)
        return;
    for (size_t i = 0; i < n; i++) {
        uint64_t x = double_bits(v[i]) ^ before;

        before = double_bits(v[i]);
        for (size_t plane = 0; plane < 8; plane++)
            to[plane * n + i] = (uint8_t)(x >> (56 - 8 * plane));
    }
    b->n += n * 8;
}

static void put_header(char *to, uint8_t values, uint8_t packing, size_t n, size_t raw)
{
    uint8_t kinds[4] = { VERSION, values, packing, 0 };
    uint32_t count = htole32((uint32_t)n), length = htole32((uint32_t)raw);

    memcpy(to + 8, kinds, 4);
    memcpy(to + 12, &count, 4);
    memcpy(to + 16, &length, 4);
}

static uint64_t checksum(const char *chunk, size_t n)
{
    return htole64(str_hash_stable((struct str){ chunk + 8, n - 8 }));
}

int chunk_encode(const int64_t *t, const double *v, size_t n, struct buf *out, struct err *e)
{
    struct buf columns = BUF_INIT(COLUMNS_MAX);
    bool ints = all_whole(v, n);
    uint8_t packing = ZSTD;
    size_t start = out->n;
    uint64_t sum;

    put_times(&columns, t, n);
    if (ints)
        put_whole(&columns, v, n);
    else
        put_bits(&columns, v, n);
    if (buf_reserve(out, HEADER))
        out->n += HEADER;
    if (buf_failed(&columns) || buf_failed(out) || zstd_pack(buf_view(&columns), LEVEL, out, NULL) < 0) {
        buf_free(&columns);
        return err_set(e, ERR_NOMEM, "no memory for a chunk of %zu samples", n);
    }
    if (out->n - start - HEADER >= columns.n) {
        out->n = start + HEADER;
        buf_str(out, buf_view(&columns)); /* fits: the packed form was not shorter */
        packing = PLAIN;
    }
    put_header(out->p + start, ints ? WHOLE : BITS, packing, n, columns.n);
    sum = checksum(out->p + start, out->n - start);
    memcpy(out->p + start, &sum, 8);
    buf_free(&columns);
    return 0;
}

static bool get_times(struct bytes *r, int64_t *t, size_t n)
{
    uint64_t before = 0, step = 0, u;

    for (size_t i = 0; i < n; i++) {
        if (!varint_get(r, &u))
            return false;
        step = unzigzag(u) + (i < 2 ? 0 : step);
        before += step;
        t[i] = (int64_t)before;
        if (i && t[i] <= t[i - 1])
            return false;
    }
    return true;
}

static bool get_whole(struct bytes *r, double *v, size_t n)
{
    uint64_t before = 0, u;

    for (size_t i = 0; i < n; i++) {
        if (!varint_get(r, &u))
            return false;
        before += unzigzag(u);
        v[i] = (double)(int64_t)before;
    }
    return true;
}

static bool get_bits(struct bytes *r, double *v, size_t n)
{
    uint64_t bits = 0;

    if (bytes_left(r) < n * 8)
        return false;
    for (size_t i = 0; i < n; i++) {
        uint64_t x = 0;

        for (size_t plane = 0; plane < 8; plane++)
            x = x << 8 | r->p[plane * n + i];
        bits ^= x;
        v[i] = bits_double(bits);
    }
    r->p += n * 8;
    return true;
}

static int get_columns(struct str columns, uint8_t values, int64_t *t, double *v, size_t n, struct err *e)
{
    struct bytes r = bytes_of(columns);

    if (!get_times(&r, t, n))
        return err_set(e, ERR_CORRUPT, "chunk: times cut short or not rising");
    if (!(values == WHOLE ? get_whole(&r, v, n) : get_bits(&r, v, n)))
        return err_set(e, ERR_CORRUPT, "chunk: values cut short");
    if (bytes_left(&r))
        return err_set(e, ERR_CORRUPT, "chunk: %zu bytes behind the values", bytes_left(&r));
    return 0;
}

static int unpack(struct str packed, size_t raw, struct buf *columns, struct err *e)
{
    int rc = zstd_unpack(packed, columns, e);

    if (rc == ERR_NOMEM)
        return rc;
    if (rc < 0 || columns->n != raw)
        return err_set(e, ERR_CORRUPT, "chunk: columns do not unpack to %zu bytes", raw);
    return 0;
}

int chunk_decode(struct str bytes, int64_t *t, double *v, size_t *n, struct err *e)
{
    uint64_t sum;
    uint32_t count, raw;
    uint8_t kinds[4];
    struct buf columns;
    int rc;

    *n = 0;
    if (bytes.n <= HEADER)
        return err_set(e, ERR_CORRUPT, "chunk: %zu bytes, too short", bytes.n);
    memcpy(&sum, bytes.p, 8);
    memcpy(kinds, bytes.p + 8, 4);
    memcpy(&count, bytes.p + 12, 4);
    memcpy(&raw, bytes.p + 16, 4);
    count = le32toh(count);
    raw = le32toh(raw);
    if (sum != checksum(bytes.p, bytes.n))
        return err_set(e, ERR_CORRUPT, "chunk: checksum wrong");
    if (kinds[0] != VERSION || kinds[1] > BITS || kinds[2] > ZSTD || kinds[3])
        return err_set(e, ERR_CORRUPT, "chunk: version %u, kinds %u %u %u unknown", kinds[0], kinds[1], kinds[2],
                       kinds[3]);
    if (count == 0 || count > CHUNK_SAMPLES || raw > COLUMNS_MAX)
        return err_set(e, ERR_CORRUPT, "chunk: %u samples in %u bytes, should be 1 to %d", count, raw, CHUNK_SAMPLES);
    bytes = str_from(bytes, HEADER);
    columns = (struct buf)BUF_INIT(raw);
    if (kinds[2] == ZSTD)
        rc = unpack(bytes, raw, &columns, e);
    else
        rc = bytes.n == raw ? 0 : err_set(e, ERR_CORRUPT, "chunk: %zu bytes of columns, should be %u", bytes.n, raw);
    if (rc == 0)
        rc = get_columns(kinds[2] == ZSTD ? buf_view(&columns) : bytes, kinds[1], t, v, count, e);
    buf_free(&columns);
    if (rc == 0)
        *n = count;
    return rc;
}
