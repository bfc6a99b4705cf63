/* file.h: small files, whole. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/* Appends the file's bytes to `out`; a file larger than out's ceiling is ERR_LIMIT. ERR_NOTFOUND, ERR_IO. */
int file_read(const char *path, struct buf *out, struct err *e);
/* Replaces the file in one step (write beside it, fsync, rename): readers see the old or the new, never half. */
int file_write_atomic(const char *path, struct str bytes, struct err *e);
/* Creates the directory and its parents, mode 0700 for those it makes. */
int file_mkdirs(const char *path, struct err *e);

#endif
