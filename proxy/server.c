/* server.c: which sockets are open, and the switch from one snapshot to the next.
 *
 * The main thread opens sockets, so that a port which is taken is found before anything has changed; the workers own
 * them from then on and close them. `open` only remembers which there are. Readers on other threads (the admin port)
 * borrow snapshots: `lent` has each one that somebody may still hold. */
#include "proxy/server.h"

#include "base/log.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <unistd.h>

enum { BACKLOG = 4096 };

struct open_listener {
    char key[80]; /* "127.0.0.1 80" */
};

struct lent {
    struct snapshot_ref *ref;
    size_t times;
    struct lent *next;
};

struct server {
    struct worker **workers;
    size_t nworkers;
    struct open_listener *open;
    size_t nopen;
    pthread_mutex_t lock;         /* guards `current` and `lent` */
    struct snapshot_ref *current;
    struct lent *lent;
};

static void listener_key(struct open_listener *o, const struct listener *l)
{
    snprintf(o->key, sizeof(o->key), "%.*s %u", STR_ARG(l->ip), l->bind_port);
}

static bool is_open(const struct server *s, const struct listener *l)
{
    struct open_listener o;

    listener_key(&o, l);
    for (size_t i = 0; i < s->nopen; i++)
        if (strcmp(s->open[i].key, o.key) == 0)
            return true;
    return false;
}

static int parse_addr(const struct listener *l, struct sockaddr_storage *ss, socklen_t *n)
{
    struct sockaddr_in *v4 = (void *)ss;
    struct sockaddr_in6 *v6 = (void *)ss;
    char ip[INET6_ADDRSTRLEN] = "";

    memset(ss, 0, sizeof(*ss));
    if (l->ip.n < sizeof(ip))
        memcpy(ip, l->ip.p, l->ip.n);
    if (inet_pton(AF_INET, ip, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(l->bind_port);
        *n = sizeof(*v4);
        return 0;
    }
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(l->bind_port);
    *n = sizeof(*v6);
    return inet_pton(AF_INET6, ip, &v6->sin6_addr) == 1 ? 0 : -1;
}

/* `shared`: several sockets of ours on one port. */
static int open_socket(const struct listener *l, bool shared)
{
    struct sockaddr_storage ss;
    socklen_t n;
    int fd, on = 1, saved;

    if (parse_addr(l, &ss, &n) < 0) {
        errno = EADDRNOTAVAIL;
        return -1;
    }
    fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* what is accepted inherits it */
    if (shared)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&ss, n) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

/* A socket for each worker. SO_REUSEPORT would share the port with another proxy of the same user without a word, so
 * one without it tries the port first. */
static int open_all(const struct listener *l, int *fds, size_t n, size_t step)
{
    int first = open_socket(l, false);

    if (first < 0)
        return -1;
    if (n == 1) {
        fds[0] = first;
        return 0;
    }
    close(first);
    for (size_t i = 0; i < n; i++) {
        fds[i * step] = open_socket(l, true);
        if (fds[i * step] < 0)
            return -1;
    }
    return 0;
}

static int refuse_listener(const struct listener *l, struct err *e)
{
    const char *hint = errno == EACCES ? " (ports below 1024 need root, or --port-map)" :
                       errno == EADDRINUSE ? " (another program listens there)" : "";

    return err_set(e, ERR_IO, "listener %.*s: %.*s:%u: %m%s", STR_ARG(l->name), STR_ARG(l->ip), l->bind_port, hint);
}

/* fds[worker][listener] */
static int open_new(struct server *s, const struct proxy_snapshot *snapshot, int *fds, struct err *e)
{
    size_t n = snapshot->nlisteners;

    for (size_t i = 0; i < n * s->nworkers; i++)
        fds[i] = -1;
    for (size_t i = 0; i < n; i++)
        if (!is_open(s, &snapshot->listeners[i]) && open_all(&snapshot->listeners[i], fds + i, s->nworkers, n) < 0) {
            refuse_listener(&snapshot->listeners[i], e);
            for (size_t k = 0; k < n * s->nworkers; k++)
                if (fds[k] >= 0)
                    close(fds[k]);
            return ERR_IO;
        }
    return 0;
}

static void free_lent(struct server *s)
{
    struct lent **at = &s->lent;

    while (*at) {
        struct lent *l = *at;

        if (l->times > 0 || l->ref == s->current) {
            at = &l->next;
            continue;
        }
        *at = l->next;
        snapshot_ref_put(l->ref);
        mem_free(l);
    }
}

int server_apply(struct server *s, struct snapshot_ref *ref, struct err *e)
{
    size_t n = ref->snapshot->nlisteners;
    int *fds = mem_zalloc((n * s->nworkers + 1) * sizeof(*fds));
    struct open_listener *open = mem_zalloc((n + 1) * sizeof(*open));
    struct lent *lent = mem_zalloc(sizeof(*lent));
    int rc = 0;

    if (!fds || !open || !lent)
        rc = err_set(e, ERR_NOMEM, "no memory for %zu listeners", n);
    if (rc == 0)
        rc = open_new(s, ref->snapshot, fds, e);
    if (rc < 0) {
        mem_free(fds);
        mem_free(open);
        mem_free(lent);
        return rc;
    }
    for (size_t i = 0; i < s->nworkers; i++)
        if (worker_switch(s->workers[i], ref, fds + i * n) < 0) {
            log_error("worker %zu: no memory for version %llu", i, (unsigned long long)ref->snapshot->version);
            for (size_t k = 0; k < n; k++)
                if (fds[i * n + k] >= 0)
                    close(fds[i * n + k]);
        }
    for (size_t i = 0; i < n; i++)
        listener_key(&open[i], &ref->snapshot->listeners[i]);
    mem_free(s->open);
    s->open = open;
    s->nopen = n;
    pthread_mutex_lock(&s->lock);
    *lent = (struct lent){ .ref = ref, .next = s->lent };
    s->lent = lent;
    s->current = ref;
    free_lent(s);
    pthread_mutex_unlock(&s->lock);
    mem_free(fds);
    return 0;
}

uint64_t server_version(const struct server *s)
{
    return s->current ? s->current->snapshot->version : 0;
}

const struct proxy_snapshot *server_get(void *server)
{
    struct server *s = server;
    const struct proxy_snapshot *snapshot = NULL;

    pthread_mutex_lock(&s->lock);
    for (struct lent *l = s->lent; l; l = l->next)
        if (l->ref == s->current) {
            l->times++;
            snapshot = l->ref->snapshot;
        }
    pthread_mutex_unlock(&s->lock);
    return snapshot;
}

void server_put(void *server, const struct proxy_snapshot *snapshot)
{
    struct server *s = server;

    pthread_mutex_lock(&s->lock);
    for (struct lent *l = s->lent; l; l = l->next)
        if (l->ref->snapshot == snapshot)
            l->times--;
    free_lent(s);
    pthread_mutex_unlock(&s->lock);
}

struct server *server_start(const struct worker_settings *settings, struct record_ring **rings, size_t nworkers,
                            struct err *e)
{
    struct server *s = mem_zalloc(sizeof(*s));

    if (s)
        s->workers = mem_zalloc(nworkers * sizeof(struct worker *));
    if (!s || !s->workers) {
        mem_free(s);
        err_set(e, ERR_NOMEM, "no memory for the workers");
        return NULL;
    }
    pthread_mutex_init(&s->lock, NULL);
    for (; s->nworkers < nworkers; s->nworkers++) {
        s->workers[s->nworkers] = worker_start(s->nworkers, settings, rings[s->nworkers], e);
        if (!s->workers[s->nworkers]) {
            server_drain(s);
            server_free(s);
            return NULL;
        }
    }
    return s;
}

void server_drain(struct server *s)
{
    for (size_t i = 0; i < s->nworkers; i++)
        worker_drain(s->workers[i]);
    for (size_t i = 0; i < s->nworkers; i++)
        worker_join(s->workers[i]);
    s->nworkers = 0;
}

void server_free(struct server *s)
{
    if (!s)
        return;
    s->current = NULL;
    free_lent(s);
    pthread_mutex_destroy(&s->lock);
    mem_free(s->workers);
    mem_free(s->open);
    mem_free(s);
}
