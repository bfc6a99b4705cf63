#include "proxy/poller.h"

#include "base/mem.h"
#include "proxy/worker.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { NEWS_AT_ONCE = 128 };

static void take_news(struct poller *p)
{
    struct epoll_event news[NEWS_AT_ONCE];
    int n = epoll_wait(p->fd, news, NEWS_AT_ONCE, 0);

    for (int i = 0; i < n; i++) {
        struct conn *c = p->conns[news[i].data.fd];

        if (!c)
            continue;
        conn_news(c, (news[i].events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0,
                  (news[i].events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0,
                  (news[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0, (news[i].events & EPOLLERR) != 0);
        poller_list(p, c);
    }
}

/* For the next few, and of them for those who want it. */
static void read_ahead(struct poller *p)
{
    struct batch_call calls[BATCH_MOST];
    struct conn *c = p->round, *of[BATCH_MOST];
    struct worker *w = c->w;
    size_t n = 0;

    for (size_t i = 0; c && i < BATCH_MOST; c = c->turn_next, i++) {
        c->seen = true;
        if (!conn_reads_ahead(c))
            continue;
        calls[n] = (struct batch_call){ .fd = c->fd, .p = w->ahead[n].bytes, .n = CONN_AHEAD };
        of[n++] = c;
    }
    if (n < 2)
        return;
    batch_recv(w->batch, calls, n);
    for (size_t i = 0; i < n; i++) {
        w->ahead[i].n = calls[i].result;
        of[i]->ahead = &w->ahead[i];
    }
}

/* Those that are listed now; who is listed meanwhile is the next time's. One that is closed meanwhile is no more. */
static void give_turns(struct poller *p)
{
    struct worker *w = p->first ? p->first->w : NULL;
    struct conn *c;

    p->round = p->first;
    p->first = p->last = NULL;
    while (p->round) {
        p->turning = true;
        read_ahead(p);
        while ((c = p->round) && c->seen) {
            poller_unlist(p, c);
            conn_turn(c);
        }
        p->turning = false;
        worker_leave(w);
    }
}

static void on_news(evutil_socket_t fd, short what, void *arg)
{
    struct poller *p = arg;

    (void)fd, (void)what;
    take_news(p);
    give_turns(p);
    poller_rouse(p);
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
    struct poller *p = arg;

    (void)fd, (void)what;
    p->roused = false;
    give_turns(p);
    poller_rouse(p);
}

int poller_init(struct poller *p, struct event_base *base)
{
    p->fd = epoll_create1(EPOLL_CLOEXEC);
    if (p->fd < 0)
        return -1;
    p->news = event_new(base, p->fd, EV_READ | EV_PERSIST, on_news, p);
    p->again = event_new(base, -1, 0, on_again, p);
    if (p->news && p->again && event_add(p->news, NULL) == 0)
        return 0;
    errno = ENOMEM;
    return -1;
}

void poller_free(struct poller *p)
{
    if (p->news) {
        event_free(p->news);
        close(p->fd);
    }
    if (p->again)
        event_free(p->again);
    mem_free(p->conns);
    *p = (struct poller){ .fd = -1 };
}

static bool make_room(struct poller *p, int fd)
{
    size_t before = p->nconns;

    if ((size_t)fd < before)
        return true;
    if (mem_grow(&p->conns, &p->nconns, (size_t)fd + 1, sizeof(struct conn *)) < 0)
        return false;
    for (size_t i = before; i < p->nconns; i++)
        p->conns[i] = NULL;
    return true;
}

int poller_add(struct poller *p, struct conn *c)
{
    struct epoll_event all = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data = { .fd = c->fd } };

    if (!make_room(p, c->fd)) {
        errno = ENOMEM;
        return -1;
    }
    if (epoll_ctl(p->fd, EPOLL_CTL_ADD, c->fd, &all) < 0)
        return -1;
    p->conns[c->fd] = c;
    return 0;
}

void poller_assign(struct poller *p, int fd, struct conn *c)
{
    if ((size_t)fd < p->nconns)
        p->conns[fd] = c;
}

void poller_list(struct poller *p, struct conn *c)
{
    if (c->listed)
        return;
    c->listed = true;
    c->turn_next = NULL;
    c->turn_prev = p->last;
    *(p->last ? &p->last->turn_next : &p->first) = c;
    p->last = c;
}

void poller_unlist(struct poller *p, struct conn *c)
{
    if (!c->listed)
        return;
    c->listed = c->seen = false;
    *(c->turn_prev ? &c->turn_prev->turn_next : p->round == c ? &p->round : &p->first) = c->turn_next;
    if (c->turn_next)
        c->turn_next->turn_prev = c->turn_prev;
    else if (p->last == c)
        p->last = c->turn_prev;
}

void poller_rouse(struct poller *p)
{
    if (!p->first || p->turning || p->roused)
        return;
    p->roused = event_add(p->again, &(struct timeval){ 0, 0 }) == 0;
}
