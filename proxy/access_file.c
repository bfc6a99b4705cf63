#include "proxy/access_file-internal.h"

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { MOST_WAITING = 8 << 20, WRITE_EARLY = 1 << 20 };

struct access_file {
    char *path;              /* NULL: stdout */
    int fd;
    struct buf waiting;      /* whole lines, but for the first when a write ended in its middle */
    uint64_t lines;          /* in it */
    bool failing;            /* the last write failed, and was reported */
    struct access_file_stats stats;
};

static int open_file(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
}

struct access_file *access_file_open(const char *path, struct err *e)
{
    struct access_file *f = mem_zalloc(sizeof(*f));

    if (!f) {
        err_set(e, ERR_NOMEM, "access log: no memory");
        return NULL;
    }
    f->waiting = (struct buf)BUF_INIT(MOST_WAITING);
    f->fd = STDOUT_FILENO;
    if (strcmp(path, "-") == 0)
        return f;
    f->path = mem_strdup(path);
    f->fd = f->path ? open_file(path) : -1;
    if (f->fd < 0) {
        if (f->path)
            err_set(e, ERR_IO, "access log %s: open: %m", path);
        else
            err_set(e, ERR_NOMEM, "access log: no memory");
        access_file_close(f);
        return NULL;
    }
    return f;
}

void access_file_close(struct access_file *f)
{
    if (!f)
        return;
    if (f->fd >= 0)
        access_file_flush(f);
    if (f->path && f->fd >= 0)
        close(f->fd);
    buf_free(&f->waiting);
    mem_free(f->path);
    mem_free(f);
}

void access_file_line(struct access_file *f, struct str line)
{
    if (f->waiting.n >= WRITE_EARLY && !f->failing)
        access_file_flush(f);
    if (line.n > MOST_WAITING - f->waiting.n) {
        f->stats.dropped++;
        return;
    }
    buf_str(&f->waiting, line);
    if (buf_failed(&f->waiting)) { /* no memory: nothing of the line is in, and the next may find some */
        f->waiting.failed = false;
        f->stats.dropped++;
        return;
    }
    f->lines++;
}

static void report_failure(struct access_file *f)
{
    f->stats.errors++;
    if (!f->failing)
        log_error("access log %s: write: %m; its lines are kept until it works again, or there are too many",
                  f->path ? f->path : "on stdout");
    f->failing = true;
}

static uint64_t count_lines(struct str s)
{
    uint64_t n = 0;

    for (ptrdiff_t at; (at = str_chr(s, '\n')) >= 0; n++)
        s = str_from(s, (size_t)at + 1);
    return n;
}

void access_file_flush(struct access_file *f)
{
    while (f->waiting.n) {
        ssize_t n = write(f->fd, f->waiting.p, f->waiting.n);
        uint64_t lines;

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            report_failure(f);
            return;
        }
        lines = (size_t)n == f->waiting.n ? f->lines : count_lines((struct str){ f->waiting.p, (size_t)n });
        f->lines -= lines;
        f->stats.lines += lines;
        buf_drain(&f->waiting, (size_t)n);
        if (f->failing)
            log_info("access log %s: writing works again", f->path ? f->path : "on stdout");
        f->failing = false;
    }
}

void access_file_reopen(struct access_file *f)
{
    int fd;

    if (!f->path)
        return;
    access_file_flush(f);
    fd = open_file(f->path);
    if (fd < 0) {
        log_error("access log %s: open again: %m; writing goes on to the old file", f->path);
        return;
    }
    close(f->fd);
    f->fd = fd;
}

const struct access_file_stats *access_file_stats(const struct access_file *f)
{
    return &f->stats;
}
