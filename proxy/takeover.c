#include "proxy/takeover.h"

#include "base/mem.h"
#include "proxy/takeover-internal.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

enum { PATIENCE_S = 10, TOLD_S = 5 };

struct takeover {
    int link;
    struct inherited *sockets;
    struct event *told_event;
    void (*told)(void *arg);
    void *arg;
};

/* The next message, which has to be there soon. */
static int receive(struct takeover *t, struct takeover_message *m, struct err *e)
{
    int rc = takeover_receive(t->link, m);

    if (rc > 0)
        return 0;
    if (rc == 0)
        return err_set(e, ERR_IO, "the process before this one is gone");
    return err_set(e, ERR_IO, "the process before this one: %s", errno == EAGAIN ? "it says nothing" : strerror(errno));
}

static int receive_sockets(struct takeover *t, struct err *e)
{
    struct takeover_message m;
    int rc = receive(t, &m, e);

    if (rc == 0 && strcmp(m.text, TAKEOVER_HELLO) != 0)
        rc = err_set(e, ERR_PARSE, "the process before this one says \"%s\": should be \"%s\"", m.text, TAKEOVER_HELLO);
    while (rc == 0) {
        rc = receive(t, &m, e);
        if (rc < 0 || strcmp(m.text, TAKEOVER_GO) == 0)
            break;
        if (strcmp(m.text, TAKEOVER_SOCKET) != 0)
            rc = err_set(e, ERR_PARSE, "the process before this one says \"%s\": should be a socket", m.text);
        else if (m.fd < 0)
            rc = err_set(e, ERR_IO,
                         "the process before this one: a socket did not come through (descriptors: ulimit -n)");
        else
            rc = inherited_add(t->sockets, m.fd, e);
    }
    return rc;
}

int takeover_start(struct takeover **out, struct err *e)
{
    struct timeval patience = { PATIENCE_S, 0 };
    struct takeover *t;
    int rc;

    *out = NULL;
    if (!getenv(TAKEOVER_ENV))
        return 0;
    unsetenv(TAKEOVER_ENV); /* one that takes over from this one is told anew */
    t = mem_zalloc(sizeof(*t));
    if (!t)
        return err_set(e, ERR_NOMEM, "no memory to take over");
    t->link = TAKEOVER_FD;
    t->sockets = inherited_new();
    fcntl(t->link, F_SETFD, FD_CLOEXEC);
    setsockopt(t->link, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    rc = t->sockets ? receive_sockets(t, e) : err_set(e, ERR_NOMEM, "no memory to take over");
    if (rc < 0) {
        takeover_free(t);
        return rc;
    }
    *out = t;
    return 0;
}

struct inherited *takeover_sockets(struct takeover *t)
{
    return t ? t->sockets : NULL;
}

/* Told, gone, or silent for too long: all the same from here on. */
static void on_told(evutil_socket_t fd, short what, void *arg)
{
    struct takeover *t = arg;

    (void)fd, (void)what;
    t->told(t->arg);
}

int takeover_ready(struct takeover *t, struct event_base *base, void (*told)(void *arg), void *arg, struct err *e)
{
    struct timeval patience = { TOLD_S, 0 };

    t->told = told;
    t->arg = arg;
    t->told_event = event_new(base, t->link, EV_READ, on_told, t);
    if (!t->told_event || event_add(t->told_event, &patience) < 0)
        return err_set(e, ERR_NOMEM, "no memory to take over");
    inherited_free(t->sockets);
    t->sockets = NULL;
    takeover_send(t->link, TAKEOVER_READY, -1); /* one that is gone counts as told: the event finds the end */
    return 0;
}

void takeover_free(struct takeover *t)
{
    if (!t)
        return;
    if (t->told_event)
        event_free(t->told_event);
    inherited_free(t->sockets);
    if (t->link >= 0)
        close(t->link);
    mem_free(t);
}
