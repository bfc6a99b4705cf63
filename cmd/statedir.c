#include "cmd/statedir-internal.h"

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

enum { END_S = 10 };

/* The file with our process id, locked for as long as we live: a lock cannot outlive a kill -9 as a number does, which
 * may be another process' by then. */
static int open_pid(const char *state, int flags, struct err *e)
{
    char path[PATH_MAX + 16];
    int fd;

    snprintf(path, sizeof(path), "%s/platform.pid", state);
    fd = open(path, O_RDWR | O_CLOEXEC | flags, 0644);
    return fd >= 0 ? fd : err_set(e, ERR_IO, "%s: %m", path);
}

int statedir_hold(const char *state, struct err *e)
{
    int fd = open_pid(state, O_CREAT, e);

    if (fd < 0)
        return fd;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        close(fd);
        return err_set(e, ERR_CONFLICT, "mesh up: %s: another mesh runs there (--state DIR for a second one)", state);
    }
    if (ftruncate(fd, 0) == 0 && dprintf(fd, "%d\n", (int)getpid()) > 0)
        return fd;
    close(fd);
    return err_set(e, ERR_IO, "mesh up: %s/platform.pid: %m", state);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    remove(path);
    return 0;
}

void statedir_remove_pods(const char *state)
{
    char path[PATH_MAX + 16];

    snprintf(path, sizeof(path), "%s/pods", state);
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int statedir_end(const char *state, struct err *e)
{
    char digits[24] = "";
    int fd = open_pid(state, 0, e), rc;

    if (fd < 0 || flock(fd, LOCK_SH | LOCK_NB) == 0 || read(fd, digits, sizeof(digits) - 1) <= 0 || atoi(digits) <= 1 ||
        kill(atoi(digits), SIGTERM) < 0) {
        rc = err_set(e, ERR_NOTFOUND, "mesh down: %s: nothing runs there (--state DIR, as mesh up had it)", state);
    } else {
        rc = err_set(e, ERR_TIMEOUT, "mesh down: %s: process %d does not end", state, atoi(digits));
        for (int i = 0; i < END_S * 10 && rc < 0; i++) {
            usleep(100000);
            rc = flock(fd, LOCK_SH | LOCK_NB) == 0 ? 0 : rc;
        }
    }
    if (fd >= 0)
        close(fd);
    return rc;
}
