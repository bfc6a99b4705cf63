#include "base/zip.h"

#include "base/mem.h"

#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

enum { STEP = 64 * 1024, GZIP_OR_ZLIB = 15 + 32, GZIP_ONLY = 15 + 16 };

/* Room for at least one byte, at most a step; NULL at the ceiling. */
static char *room(struct buf *out, size_t *n)
{
    *n = out->max - out->n < STEP ? out->max - out->n : STEP;
    return *n ? buf_reserve(out, *n) : NULL;
}

static int too_large(const struct buf *out, struct err *e)
{
    if (out->n < out->max)
        return err_set(e, ERR_NOMEM, "no memory to unpack into");
    return err_set(e, ERR_LIMIT, "unpacks to more than the %zu bytes allowed", out->max);
}

static int inflate_all(z_stream *z, struct buf *out, struct err *e)
{
    for (;;) {
        size_t n;
        char *to = room(out, &n);
        int rc;

        if (!to)
            return too_large(out, e);
        z->next_out = (Bytef *)to;
        z->avail_out = (uInt)n;
        rc = inflate(z, Z_NO_FLUSH);
        out->n += n - z->avail_out;
        if (rc == Z_STREAM_END && z->avail_in == 0)
            return 0;
        if (rc == Z_STREAM_END) /* a gzip file may be several, one behind the other */
            rc = inflateReset(z);
        if (rc == Z_BUF_ERROR || (rc == Z_OK && z->avail_in == 0 && z->avail_out))
            return err_set(e, ERR_PARSE, "gzip: cut short");
        if (rc != Z_OK)
            return err_set(e, ERR_PARSE, "gzip: %s", z->msg ? z->msg : "malformed");
    }
}

int gzip_unpack(struct str in, struct buf *out, struct err *e)
{
    z_stream z = { 0 };
    int rc;

    if (in.n > UINT32_MAX)
        return err_set(e, ERR_LIMIT, "gzip: more than 4 GiB");
    if (inflateInit2(&z, GZIP_OR_ZLIB) != Z_OK)
        return err_set(e, ERR_NOMEM, "gzip: no memory");
    z.next_in = (Bytef *)(uintptr_t)in.p;
    z.avail_in = (uInt)in.n;
    rc = inflate_all(&z, out, e);
    inflateEnd(&z);
    return rc;
}

int gzip_pack(struct str in, struct buf *out, struct err *e)
{
    z_stream z = { 0 };
    size_t n;
    char *to;
    int rc;

    if (in.n > UINT32_MAX / 2)
        return err_set(e, ERR_LIMIT, "gzip: more than 2 GiB");
    if (deflateInit2(&z, 1, Z_DEFLATED, GZIP_ONLY, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return err_set(e, ERR_NOMEM, "gzip: no memory");
    n = deflateBound(&z, in.n);
    to = buf_reserve(out, n);
    if (!to) {
        deflateEnd(&z);
        return err_set(e, ERR_NOMEM, "gzip: no memory for %zu bytes", n);
    }
    z.next_in = (Bytef *)(uintptr_t)in.p;
    z.avail_in = (uInt)in.n;
    z.next_out = (Bytef *)to;
    z.avail_out = (uInt)n;
    rc = deflate(&z, Z_FINISH);
    out->n += n - z.avail_out;
    deflateEnd(&z);
    return rc == Z_STREAM_END ? 0 : err_set(e, ERR_NOMEM, "gzip: ended early");
}

int zstd_unpack(struct str in, struct buf *out, struct err *e)
{
    ZSTD_DStream *z = ZSTD_createDStream();
    ZSTD_inBuffer from = { in.p, in.n, 0 };
    size_t left = 1;
    int rc = 0;

    if (!z)
        return err_set(e, ERR_NOMEM, "zstd: no memory");
    while (rc == 0 && (left || from.pos < from.size)) { /* zstd files may be several frames, too */
        size_t n;
        char *p = room(out, &n);
        ZSTD_outBuffer to = { p, n, 0 };

        if (!p) {
            rc = too_large(out, e);
            break;
        }
        left = ZSTD_decompressStream(z, &to, &from);
        out->n += to.pos;
        if (ZSTD_isError(left))
            rc = err_set(e, ERR_PARSE, "zstd: %s", ZSTD_getErrorName(left));
        else if (left && from.pos == from.size && to.pos < to.size)
            rc = err_set(e, ERR_PARSE, "zstd: cut short");
    }
    ZSTD_freeDStream(z);
    return rc;
}

int zstd_unpack_exact(struct str in, void *to, size_t n, struct err *e)
{
    size_t got = ZSTD_decompress(to, n, in.p, in.n);

    if (ZSTD_isError(got))
        return err_set(e, ZSTD_getErrorCode(got) == ZSTD_error_memory_allocation ? ERR_NOMEM : ERR_PARSE, "zstd: %s",
                       ZSTD_getErrorName(got));
    return got == n ? 0 : err_set(e, ERR_PARSE, "zstd: unpacks to %zu bytes, should be %zu", got, n);
}

int zstd_pack(struct str in, int level, struct buf *out, struct err *e)
{
    size_t bound = ZSTD_compressBound(in.n), n;
    char *to = buf_reserve(out, bound);

    if (!to)
        return err_set(e, ERR_NOMEM, "zstd: no memory for %zu bytes", bound);
    n = ZSTD_compress(to, bound, in.p, in.n, level);
    if (ZSTD_isError(n))
        return err_set(e, ERR_NOMEM, "zstd: %s", ZSTD_getErrorName(n));
    out->n += n;
    return 0;
}

/* A context of zstd's under a name of ours. */
static ZSTD_CCtx *context_of(struct zstd_packer *p)
{
    return (ZSTD_CCtx *)p;
}

struct zstd_packer *zstd_packer_new(struct err *e)
{
    struct zstd_packer *p = (struct zstd_packer *)ZSTD_createCCtx();

    if (!p)
        err_set(e, ERR_NOMEM, "zstd: no memory");
    return p;
}

void zstd_packer_free(struct zstd_packer *p)
{
    ZSTD_freeCCtx(context_of(p));
}

/* A step is a block of the frame. Returns zstd's errors. */
static size_t pack_steps(ZSTD_CCtx *z, struct str in, size_t step, ZSTD_outBuffer *to)
{
    size_t left = 0;

    for (size_t at = 0; at < in.n && !ZSTD_isError(left); at += step) {
        size_t n = in.n - at < step ? in.n - at : step;
        ZSTD_inBuffer from = { in.p + at, n, 0 };

        do
            left = ZSTD_compressStream2(z, to, &from, at + n == in.n ? ZSTD_e_end : ZSTD_e_flush);
        while (left && !ZSTD_isError(left));
    }
    return left;
}

int zstd_packer_pack(struct zstd_packer *p, struct str in, int level, size_t step, struct buf *out, struct err *e)
{
    ZSTD_CCtx *z = context_of(p);
    size_t steps = step ? in.n / step + 1 : 1, bound = ZSTD_compressBound(in.n) + steps * ZSTD_compressBound(0), n;
    char *to = buf_reserve(out, bound);

    if (!to)
        return err_set(e, ERR_NOMEM, "zstd: no memory for %zu bytes", bound);
    if (step == 0 || in.n <= step) {
        n = ZSTD_compressCCtx(z, to, bound, in.p, in.n, level);
    } else {
        ZSTD_outBuffer all = { to, bound, 0 };

        ZSTD_CCtx_reset(z, ZSTD_reset_session_and_parameters);
        ZSTD_CCtx_setParameter(z, ZSTD_c_compressionLevel, level);
        ZSTD_CCtx_setPledgedSrcSize(z, in.n);
        n = pack_steps(z, in, step, &all);
        n = ZSTD_isError(n) ? n : all.pos;
    }
    if (ZSTD_isError(n))
        return err_set(e, ERR_NOMEM, "zstd: %s", ZSTD_getErrorName(n));
    out->n += n;
    return 0;
}

/* --- piece by piece --- */

struct zip {
    enum zip_format format;
    z_stream gzip;
    ZSTD_CCtx *zstd;
};

/* The quickest levels: what is packed so is on its way. zstd's window is kept small, as a peer must hold it, too. */
enum { LEVEL = 1, ZSTD_WINDOW_LOG = 19 };

struct zip *zip_open(enum zip_format format, struct err *e)
{
    struct zip *z = mem_zalloc(sizeof(*z));
    bool ready = false;

    if (z) {
        z->format = format;
        if (format == ZIP_GZIP)
            ready = deflateInit2(&z->gzip, LEVEL, Z_DEFLATED, GZIP_ONLY, 8, Z_DEFAULT_STRATEGY) == Z_OK;
        else
            ready = (z->zstd = ZSTD_createCCtx()) != NULL &&
                    !ZSTD_isError(ZSTD_CCtx_setParameter(z->zstd, ZSTD_c_compressionLevel, LEVEL)) &&
                    !ZSTD_isError(ZSTD_CCtx_setParameter(z->zstd, ZSTD_c_windowLog, ZSTD_WINDOW_LOG));
    }
    if (ready)
        return z;
    err_set(e, ERR_NOMEM, "no memory to pack with");
    zip_close(z);
    return NULL;
}

static int gzip_put(z_stream *z, struct str in, bool last, struct buf *out)
{
    z->next_in = (Bytef *)(uintptr_t)in.p;
    z->avail_in = (uInt)in.n;
    do {
        size_t n;
        char *to = room(out, &n);

        if (!to)
            return ERR_NOMEM;
        z->next_out = (Bytef *)to;
        z->avail_out = (uInt)n;
        if (deflate(z, last ? Z_FINISH : Z_NO_FLUSH) == Z_STREAM_ERROR)
            return ERR_NOMEM;
        out->n += n - z->avail_out;
    } while (z->avail_out == 0); /* it had room to spare: all is out */
    return 0;
}

static int zstd_put(ZSTD_CCtx *z, struct str in, bool last, struct buf *out)
{
    ZSTD_inBuffer from = { in.p, in.n, 0 };
    size_t left;

    do {
        size_t n;
        char *p = room(out, &n);
        ZSTD_outBuffer to = { p, n, 0 };

        if (!p)
            return ERR_NOMEM;
        left = ZSTD_compressStream2(z, &to, &from, last ? ZSTD_e_end : ZSTD_e_continue);
        out->n += to.pos;
        if (ZSTD_isError(left))
            return ERR_NOMEM;
    } while (last ? left > 0 : from.pos < from.size);
    return 0;
}

int zip_put(struct zip *z, struct str in, bool last, struct buf *out, struct err *e)
{
    int rc = ERR_NOMEM;

    if (in.n <= UINT32_MAX)
        rc = z->format == ZIP_GZIP ? gzip_put(&z->gzip, in, last, out) : zstd_put(z->zstd, in, last, out);
    return rc < 0 ? err_set(e, rc, "no memory to pack into") : 0;
}

void zip_close(struct zip *z)
{
    if (!z)
        return;
    if (z->format == ZIP_GZIP)
        deflateEnd(&z->gzip);
    ZSTD_freeCCtx(z->zstd);
    mem_free(z);
}
