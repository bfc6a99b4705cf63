#include "proxy/handover.h"

#include "base/clock.h"
#include "base/mem.h"
#include "proxy/takeover-internal.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOOK_MS = 10 }; /* between looks at whether it has ended */

enum state { SENDING, WAITING, READY, ENDING };

struct handover {
    struct handover_options o;
    enum state state;
    int *sockets;
    size_t sent;
    int link;                  /* our end; -1: closed */
    pid_t pid;                 /* 0: none, or no longer ours to end */
    int64_t end_ns;            /* of our patience, by clock_mono_ns */
    struct event *readable, *writable, *timer;
};

/* ---- the younger process ---- */

/* Ours, and the word that there is a process to take over from. NULL: no memory. */
static char **make_environment(void)
{
    static char entry[] = TAKEOVER_ENV "=3";
    size_t n = 0;
    char **v;

    _Static_assert(TAKEOVER_FD == 3, "the number in `entry`");
    while (environ[n])
        n++;
    v = mem_alloc((n + 2) * sizeof(*v));
    if (!v)
        return NULL;
    v[0] = entry;
    memcpy(v + 1, environ, (n + 1) * sizeof(*v));
    return v;
}

/* It gets no descriptor but the link and the standard three (a connection of ours that it held would never end), and
 * signals as a new process has them. */
static int spawn(struct handover *h, int link, struct err *e)
{
    char **env = make_environment();
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none, defaults;
    int rc;

    if (!env)
        return err_set(e, ERR_NOMEM, "no memory for an environment");
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, link, TAKEOVER_FD);
    posix_spawn_file_actions_addclosefrom_np(&files, TAKEOVER_FD + 1);
    rc = posix_spawnp(&h->pid, h->o.argv[0], &files, &attributes, h->o.argv, env);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    mem_free(env);
    if (rc == 0)
        return 0;
    h->pid = 0;
    return err_set(e, ERR_IO, "%s: %s", h->o.argv[0], strerror(rc));
}

/* Ends it for good. */
static void end_successor(struct handover *h)
{
    kill(h->pid, SIGKILL);
    while (waitpid(h->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    h->pid = 0;
}

static void fail(struct handover *h, const char *why)
{
    if (h->pid)
        end_successor(h);
    event_del(h->writable);
    event_del(h->readable);
    event_del(h->timer);
    h->o.failed(h->o.arg, why);
}

static void fail_with_status(struct handover *h, int status)
{
    char why[64];

    h->pid = 0;
    if (WIFEXITED(status))
        snprintf(why, sizeof(why), "it ended with status %d", WEXITSTATUS(status));
    else
        snprintf(why, sizeof(why), "it was ended by signal %d", WTERMSIG(status));
    fail(h, why);
}

static void wait_for_end(struct handover *h)
{
    struct timeval soon = { 0, LOOK_MS * 1000 };

    event_del(h->writable);
    event_del(h->readable);
    h->state = ENDING;
    event_add(h->timer, &soon);
}

/* ---- the link ---- */

/* The next message: which one `sent` says. Those of sockets that are no longer open are left out. */
static bool send_next(struct handover *h)
{
    size_t n = h->o.nsockets;

    if (h->sent == 0)
        return takeover_send(h->link, TAKEOVER_HELLO, -1);
    if (h->sent <= n)
        return takeover_send(h->link, TAKEOVER_SOCKET, h->sockets[h->sent - 1]) || errno == EBADF;
    return takeover_send(h->link, TAKEOVER_GO, -1);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct handover *h = arg;

    (void)fd, (void)what;
    while (h->sent < h->o.nsockets + 2) {
        if (!send_next(h)) {
            if (errno == EAGAIN || errno == EINTR || errno == ETOOMANYREFS)
                return;
            break; /* the reading side finds the end, and why */
        }
        h->sent++;
    }
    event_del(h->writable);
    h->state = WAITING;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct handover *h = arg;
    struct takeover_message m;
    pid_t successor = h->pid;
    int rc = takeover_receive(fd, &m);

    (void)what;
    if (rc < 0 && errno == EAGAIN)
        return;
    if (rc <= 0) {
        wait_for_end(h);
    } else if (h->state != WAITING || strcmp(m.text, TAKEOVER_READY) != 0) {
        fail(h, "it says what this process does not understand");
    } else {
        h->state = READY;
        h->pid = 0;
        event_del(h->readable);
        event_del(h->timer);
        h->o.ready(h->o.arg, successor);
    }
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct handover *h = arg;
    int status;

    (void)fd, (void)what;
    if (h->state == ENDING && waitpid(h->pid, &status, WNOHANG) == h->pid)
        fail_with_status(h, status);
    else if (h->state == ENDING && clock_mono_ns() < h->end_ns)
        wait_for_end(h);
    else
        fail(h, "it was not ready in time");
}

static int watch(struct handover *h, struct event_base *base)
{
    struct timeval end = { h->o.timeout_ms / 1000, h->o.timeout_ms % 1000 * 1000 };

    h->readable = event_new(base, h->link, EV_READ | EV_PERSIST, on_readable, h);
    h->writable = event_new(base, h->link, EV_WRITE | EV_PERSIST, on_writable, h);
    h->timer = event_new(base, -1, 0, on_timer, h);
    return h->readable && h->writable && h->timer && event_add(h->readable, NULL) == 0 &&
           event_add(h->writable, NULL) == 0 && event_add(h->timer, &end) == 0 ? 0 : ERR_NOMEM;
}

struct handover *handover_start(struct event_base *base, const struct handover_options *o, struct err *e)
{
    struct handover *h = mem_zalloc(sizeof(*h));
    int ends[2] = { -1, -1 };
    int rc = 0;

    if (h)
        h->sockets = mem_alloc((o->nsockets + 1) * sizeof(*h->sockets));
    if (!h || !h->sockets) {
        mem_free(h);
        err_set(e, ERR_NOMEM, "no memory for a handover");
        return NULL;
    }
    h->o = *o;
    h->link = -1;
    h->end_ns = clock_mono_ns() + o->timeout_ms * 1000000;
    memcpy(h->sockets, o->sockets, o->nsockets * sizeof(*h->sockets));
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        rc = err_set(e, ERR_IO, "a pair of sockets cannot be made: %m");
    if (rc == 0) {
        h->link = ends[0];
        evutil_make_socket_nonblocking(h->link);
        rc = spawn(h, ends[1], e);
        close(ends[1]);
    }
    if (rc == 0 && watch(h, base) < 0)
        rc = err_set(e, ERR_NOMEM, "no memory for a handover");
    if (rc == 0)
        return h;
    handover_free(h);
    return NULL;
}

void handover_told(struct handover *h)
{
    takeover_send(h->link, TAKEOVER_TOLD, -1); /* one that does not hear it finds the link closed */
}

void handover_free(struct handover *h)
{
    if (!h)
        return;
    if (h->pid)
        end_successor(h);
    if (h->readable)
        event_free(h->readable);
    if (h->writable)
        event_free(h->writable);
    if (h->timer)
        event_free(h->timer);
    if (h->link >= 0)
        close(h->link);
    mem_free(h->sockets);
    mem_free(h);
}
