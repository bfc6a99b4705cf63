#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STEP = 64 * 1024 };

static int read_all(int fd, const char *path, struct buf *out, struct err *e)
{
    for (;;) {
        char step[STEP];
        ssize_t n = read(fd, step, sizeof(step));

        if (n == 0)
            return 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set(e, ERR_IO, "%s: read: %m", path);
        if ((size_t)n > out->max - out->n)
            return err_set(e, ERR_LIMIT, "%s: larger than the %zu bytes allowed", path, out->max);
        buf_put(out, step, (size_t)n);
        if (buf_failed(out))
            return err_set(e, ERR_NOMEM, "%s: no memory", path);
    }
}

int file_read(const char *path, struct buf *out, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), rc;

    if (fd < 0)
        return err_set(e, errno == ENOENT ? ERR_NOTFOUND : ERR_IO, "%s: open: %m", path);
    rc = read_all(fd, path, out, e);
    close(fd);
    return rc;
}

static int write_all(int fd, struct str s)
{
    while (s.n) {
        ssize_t n = write(fd, s.p, s.n);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        s = str_from(s, (size_t)n);
    }
    return 0;
}

int file_write_atomic(const char *path, struct str bytes, struct err *e)
{
    char tmp[PATH_MAX];
    int n = snprintf(tmp, sizeof(tmp), "%s.new", path), fd, rc = 0;

    if (n < 0 || (size_t)n >= sizeof(tmp))
        return err_set(e, ERR_RANGE, "%s: path too long", path);
    fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set(e, ERR_IO, "%s: open: %m", tmp);
    if (write_all(fd, bytes) < 0 || fsync(fd) < 0)
        rc = err_set(e, ERR_IO, "%s: write: %m", tmp);
    if (close(fd) < 0 && rc == 0)
        rc = err_set(e, ERR_IO, "%s: close: %m", tmp);
    if (rc == 0 && rename(tmp, path) < 0)
        rc = err_set(e, ERR_IO, "%s: rename: %m", path);
    if (rc < 0)
        unlink(tmp);
    return rc;
}

int file_mkdirs(const char *path, struct err *e)
{
    char part[PATH_MAX];
    struct stat st;
    size_t n = strlen(path);

    if (n == 0 || n >= sizeof(part))
        return err_set(e, ERR_RANGE, "%s: path empty or too long", path);
    memcpy(part, path, n + 1);
    for (size_t i = 1; i <= n; i++) {
        if (part[i] != '/' && part[i] != '\0')
            continue;
        part[i] = '\0';
        if (mkdir(part, 0700) < 0 && errno != EEXIST)
            return err_set(e, ERR_IO, "%s: mkdir: %m", part);
        part[i] = i < n ? '/' : '\0';
    }
    if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
        return err_set(e, ERR_IO, "%s: is there, and is no directory", path);
    return 0;
}
