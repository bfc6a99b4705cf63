#include "proxy/supervisor.h"

#include "base/file.h"
#include "base/log.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { MOST_PID = 32 };

static struct str own_pid(char text[MOST_PID])
{
    int n = snprintf(text, MOST_PID, "%ld\n", (long)getpid());

    return (struct str){ text, (size_t)n };
}

void supervisor_write_pid(const char *path)
{
    struct err e = ERR_INIT;
    char text[MOST_PID];

    if (path && file_write_atomic(path, own_pid(text), &e) < 0)
        log_error("--pid-file %s: %s", path, e.msg);
}

void supervisor_remove_pid(const char *path)
{
    struct buf b = BUF_INIT(MOST_PID);
    char text[MOST_PID];

    if (path && file_read(path, &b, NULL) == 0 && str_eq(buf_view(&b), own_pid(text)))
        unlink(path);
    buf_free(&b);
}

/* A name that begins with @ is not one of a file, but of Linux's abstract namespace. */
static void notify(const char *text)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    const char *path = getenv("NOTIFY_SOCKET");
    size_t n = path ? strlen(path) : 0;
    int fd;

    if (n == 0 || n >= sizeof(to.sun_path))
        return;
    memcpy(to.sun_path, path, n);
    if (path[0] == '@')
        to.sun_path[0] = '\0';
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || sendto(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT, (const struct sockaddr *)&to,
                         (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0)
        log_warn("NOTIFY_SOCKET %s: %m", path);
    if (fd >= 0)
        close(fd);
}

void supervisor_tell_ready(void)
{
    notify("READY=1");
}

void supervisor_tell_successor(pid_t pid)
{
    char text[64];

    snprintf(text, sizeof(text), "MAINPID=%ld", (long)pid);
    notify(text);
}
