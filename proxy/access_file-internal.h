/* access_file-internal.h: the access log as a file, written in batches. One thread. */
#ifndef PROXY_ACCESS_FILE_INTERNAL_H
#define PROXY_ACCESS_FILE_INTERNAL_H

#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

struct access_file;

struct access_file_stats {
    uint64_t lines;   /* written */
    uint64_t dropped; /* for want of room while the file took nothing */
    uint64_t errors;  /* writes that failed */
};

/* "-" is stdout. NULL: ERR_IO, ERR_NOMEM. */
struct access_file *access_file_open(const char *path, struct err *e);
/* Tries to write what is left. */
void access_file_close(struct access_file *f);
/* Takes a whole line, with its newline; access_file_flush writes it. */
void access_file_line(struct access_file *f, struct str line);
/* One write for all lines since the last. What the file does not take is kept, up to a bound, and tried again. */
void access_file_flush(struct access_file *f);
/* After a rotation: what is left goes to the old file, what comes to a new one of that name. When that cannot be
 * opened, the old one stays. */
void access_file_reopen(struct access_file *f);
const struct access_file_stats *access_file_stats(const struct access_file *f);

#endif
