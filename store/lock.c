#include "store/lock-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* Why flock: the kernel drops it with the process, also after kill -9, so a stale file never locks anybody out; and,
 * unlike fcntl's locks, it holds between two opens in one process. The pid inside is only for the message. */

static int refused(int fd, const char *dir, struct err *e)
{
    char pid[24] = "";
    ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);

    pid[n > 0 ? n : 0] = '\0';
    pid[strcspn(pid, " \n")] = '\0';
    return err_set(e, ERR_CONFLICT, "%s: in use by the server with process id %s (stop it or choose another directory)",
                   dir, pid[0] ? pid : "unknown");
}

int lock_take(const char *dir, struct err *e)
{
    char path[PATH_MAX], pid[24];
    int n = snprintf(path, sizeof(path), "%s/LOCK", dir), fd, rc;

    if (n < 0 || (size_t)n >= sizeof(path))
        return err_set(e, ERR_IO, "%s: path too long", dir);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set(e, ERR_IO, "%s: open: %m", path);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        rc = errno == EWOULDBLOCK ? refused(fd, dir, e) : err_set(e, ERR_IO, "%s: flock: %m", path);
        close(fd);
        return rc;
    }
    n = snprintf(pid, sizeof(pid), "%-20ld\n", (long)getpid());
    (void)!pwrite(fd, pid, (size_t)n, 0); /* over the one before: a full disk mostly has room; else it is not named */
    return fd;
}

void lock_drop(int fd)
{
    if (fd >= 0)
        close(fd);
}
