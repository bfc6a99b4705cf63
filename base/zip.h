/* zip.h: gzip, zstd and snappy with a bound on what comes out. */
#ifndef BASE_ZIP_H
#define BASE_ZIP_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/* Appends the unpacked bytes to `out`, whose ceiling bounds them. ERR_PARSE: not that format, or cut;
 * ERR_LIMIT: more than out's ceiling; ERR_NOMEM. gzip_unpack reads zlib's format too. */
int gzip_unpack(struct str in, struct buf *out, struct err *e);
int zstd_unpack(struct str in, struct buf *out, struct err *e);
/* For many small frames of known size: exactly n bytes to `to`, or ERR_PARSE; ERR_NOMEM. */
int zstd_unpack_exact(struct str in, void *to, size_t n, struct err *e);
int gzip_pack(struct str in, struct buf *out, struct err *e);
int zstd_pack(struct str in, int level, struct buf *out, struct err *e);
/* Snappy's block format (not the framed one): the length that stands in front is checked before memory is taken. */
int snappy_unpack(struct str in, struct buf *out, struct err *e);
int snappy_pack(struct str in, struct buf *out, struct err *e);

/* For packing many pieces: what zstd needs for one is kept for the next. With `step`, not 0, statistics are taken anew
 * after each so many bytes, for what changes on the way. Appends to `out`. The caller frees it; NULL: ERR_NOMEM. */
struct zstd_packer;
struct zstd_packer *zstd_packer_new(struct err *e);
int zstd_packer_pack(struct zstd_packer *p, struct str in, int level, size_t step, struct buf *out, struct err *e);
void zstd_packer_free(struct zstd_packer *p); /* NULL is fine */

enum zip_format { ZIP_GZIP, ZIP_ZSTD };

/* Packing piece by piece. The caller closes it; NULL: ERR_NOMEM. */
struct zip;
struct zip *zip_open(enum zip_format format, struct err *e);
/* Appends what `in` comes to; the bytes are complete with the `last` piece. ERR_NOMEM. */
int zip_put(struct zip *z, struct str in, bool last, struct buf *out, struct err *e);
void zip_close(struct zip *z);

#endif
