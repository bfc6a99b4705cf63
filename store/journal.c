/* journal.c: what one batch wrote, in the form that is quick to write and to replay.
 *
 *     u8    kind, 1
 *     …     for each series: its number less that of the series before (zigzag), how many samples follow, and for each
 *           sample its time less that of the sample before (of whatever series; zigzag) and its value
 *     u64   checksum (XXH3) of all before
 *
 * Numbers are varints. A value is one too: a whole number of up to 2^53 is (zigzag << 1), anything else is 1 and eight
 * bytes of bits. Batches name series in much the same order and with one time, so that a counter's sample takes three
 * to five bytes. There is no zstd here: a record lives for minutes, and its sealed form is packed. */
#include "store/journal-internal.h"

#include "base/mem.h"
#include "store/varint-internal.h"

#include <endian.h>

enum { SAMPLES = 1, SUM = 8, SAMPLE_MAX = 2 * VARINT_MAX + 8, STEP = 512 };

static uint8_t *write_value(uint8_t *to, double v)
{
    uint64_t bits;

    if (v >= -0x1p53 && v <= 0x1p53 && double_bits((double)(int64_t)v) == double_bits(v))
        return varint_write(to, zigzag((uint64_t)(int64_t)v) << 1);
    *to++ = 1;
    bits = htole64(double_bits(v));
    memcpy(to, &bits, 8);
    return to + 8;
}

static bool read_value(struct bytes *r, double *v)
{
    uint64_t u;

    if (!varint_get(r, &u))
        return false;
    if (!(u & 1)) {
        *v = (double)(int64_t)unzigzag(u >> 1);
        return true;
    }
    if (u != 1 || bytes_left(r) < 8)
        return false;
    memcpy(&u, r->p, 8);
    r->p += 8;
    *v = bits_double(le64toh(u));
    return true;
}

static void seal(struct buf *b, size_t start)
{
    uint64_t sum;

    if (buf_failed(b))
        return;
    sum = htole64(str_hash_stable((struct str){ b->p + start, b->n - start }));
    buf_put(b, &sum, SUM);
}

void journal_begin(struct journal_writer *w, struct buf *b)
{
    *w = (struct journal_writer){ b, b->n, 0, 0 };
    buf_putc(b, SAMPLES);
}

void journal_series(struct journal_writer *w, uint32_t id, size_t n)
{
    uint8_t *start = (uint8_t *)buf_reserve(w->b, 2 * VARINT_MAX), *to = start;

    if (!to)
        return;
    to = varint_write(to, zigzag(id - w->series));
    to = varint_write(to, n);
    w->b->n += (size_t)(to - start);
    w->series = id;
}

void journal_samples(struct journal_writer *w, const struct sample *s, size_t n)
{
    while (n) {
        size_t step = n < STEP ? n : STEP;
        uint8_t *start = (uint8_t *)buf_reserve(w->b, step * SAMPLE_MAX), *to = start;

        if (!to)
            return;
        for (size_t i = 0; i < step; i++) {
            to = varint_write(to, zigzag((uint64_t)s[i].t - w->t));
            to = write_value(to, s[i].v);
            w->t = (uint64_t)s[i].t;
        }
        w->b->n += (size_t)(to - start);
        s += step;
        n -= step;
    }
}

void journal_end(struct journal_writer *w)
{
    seal(w->b, w->start);
}

static int cut_short(struct err *e)
{
    return err_set(e, ERR_CORRUPT, "cut short");
}

static int read_samples(struct bytes *r, journal_visit *visit, void *arg, struct err *e)
{
    struct sample *s = NULL;
    uint64_t id = 0, t = 0, d, n;
    size_t cap = 0;
    int rc = 0;

    while (rc == 0 && bytes_left(r)) {
        if (!varint_get(r, &d) || !varint_get(r, &n) || n > bytes_left(r) / 2) {
            rc = cut_short(e); /* a sample takes two bytes at least, so `n` is bounded by the record */
            break;
        }
        id += unzigzag(d);
        if (mem_grow(&s, &cap, n, sizeof(*s)) < 0) {
            rc = err_set(e, ERR_NOMEM, "no memory for %llu samples", (unsigned long long)n);
            break;
        }
        for (size_t i = 0; i < n && rc == 0; i++) {
            if (!varint_get(r, &d) || !read_value(r, &s[i].v))
                rc = cut_short(e);
            t += unzigzag(d);
            s[i].t = (int64_t)t;
        }
        if (rc == 0)
            rc = id <= UINT32_MAX ? visit(arg, (uint32_t)id, s, n, e) : err_set(e, ERR_CORRUPT, "series number too large");
    }
    mem_free(s);
    return rc;
}

int journal_read(struct str record, journal_visit *visit, void *arg, struct err *e)
{
    struct bytes r;
    uint64_t sum;

    if (record.n <= SUM)
        return cut_short(e);
    memcpy(&sum, record.p + record.n - SUM, SUM);
    record.n -= SUM;
    if (le64toh(sum) != str_hash_stable(record))
        return err_set(e, ERR_CORRUPT, "checksum wrong");
    r = bytes_of(record);
    if (*r.p++ != SAMPLES)
        return err_set(e, ERR_CORRUPT, "kind %u unknown, should be 1", (unsigned char)record.p[0]);
    return read_samples(&r, visit, arg, e);
}
