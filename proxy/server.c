/* server.c: which sockets are open, and the switch from one snapshot to the next.
 *
 * The main thread opens sockets, so that a port which is taken is found before anything has changed; the workers own
 * them from then on and close them. `open` only remembers which there are, and their numbers for a process that takes
 * them over. Readers on other threads (the admin port) borrow snapshots: `lent` has each one that somebody may still
 * hold, and frees it when nobody does.
 *
 * A listener has a socket for each worker, or more when the process before this one had more workers: no socket whose
 * queue may hold connections is left without somebody who accepts, so a worker may have several of one listener. */
#include "proxy/server.h"

#include "base/log.h"
#include "base/mem.h"

#include "proxy/options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <unistd.h>

enum { BACKLOG = 4096, MOST_WAIT_MS = 1000 };

struct open_listener {
    char key[80]; /* "127.0.0.1 80" */
    size_t n;
    int fds[OPTIONS_MOST_THREADS]; /* the workers', the i-th that of worker i % nworkers */
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
    struct inherited *inherited;  /* the caller's; NULL: none */
};

static void listener_key(struct open_listener *o, const struct listener *l)
{
    snprintf(o->key, sizeof(o->key), "%.*s %u", STR_ARG(l->ip), l->bind_port);
}

static const struct open_listener *find_open(const struct server *s, const char *key)
{
    for (size_t i = 0; i < s->nopen; i++)
        if (strcmp(s->open[i].key, key) == 0)
            return &s->open[i];
    return NULL;
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
static int open_socket(const struct sockaddr_storage *ss, socklen_t n, bool shared)
{
    int fd = socket(ss->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1, saved;

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* what is accepted inherits it */
    if (shared)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    if (bind(fd, (const struct sockaddr *)ss, n) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static bool are_up_to_date(const struct server *s)
{
    for (size_t i = 0; i < s->nworkers; i++)
        if (!worker_is_up_to_date(s->workers[i]))
            return false;
    return true;
}

/* SO_REUSEPORT would share the port with another proxy of the same user without a word, so a socket without it tries
 * the port first. Who has it may be a worker that has yet to hear that its listener is gone: that is a matter of
 * moments. */
static bool is_free(const struct server *s, const struct sockaddr_storage *ss, socklen_t n)
{
    int fd = -1;

    for (int waited_ms = 0; waited_ms < MOST_WAIT_MS; waited_ms++) {
        bool last = are_up_to_date(s);

        fd = open_socket(ss, n, false);
        if (fd >= 0 || errno != EADDRINUSE || last)
            break;
        usleep(1000);
        errno = EADDRINUSE;
    }
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* A socket for each worker: first those of the process before this one. All are shared, for one that comes after this
 * one may have more workers. */
static int open_all(const struct server *s, const struct listener *l, struct open_listener *o)
{
    struct sockaddr_storage ss;
    socklen_t n;

    if (parse_addr(l, &ss, &n) < 0) {
        errno = EADDRNOTAVAIL;
        return -1;
    }
    o->n = inherited_take(s->inherited, (const struct sockaddr *)&ss, o->fds, OPTIONS_MOST_THREADS);
    if (o->n == 0 && !is_free(s, &ss, n))
        return -1;
    while (o->n < s->nworkers) {
        o->fds[o->n] = open_socket(&ss, n, true);
        if (o->fds[o->n] < 0)
            return -1;
        o->n++;
    }
    return 0;
}

static void close_all(const struct open_listener *o)
{
    for (size_t i = 0; i < o->n; i++)
        close(o->fds[i]);
}

static int refuse_listener(const struct listener *l, struct err *e)
{
    const char *hint = errno == EACCES ? " (ports below 1024 need root, or --port-map)" :
                       errno == EADDRINUSE ? " (another program listens there)" : "";

    return err_set(e, ERR_IO, "listener %.*s: %.*s:%u: %m%s", STR_ARG(l->name), STR_ARG(l->ip), l->bind_port, hint);
}

/* What will be open: of before, or new. is_new[i] says of open[i]. */
static int open_new(const struct server *s, const struct proxy_snapshot *snapshot, struct open_listener *open,
                    bool *is_new, struct err *e)
{
    for (size_t i = 0; i < snapshot->nlisteners; i++) {
        const struct open_listener *before;

        listener_key(&open[i], &snapshot->listeners[i]);
        before = find_open(s, open[i].key);
        is_new[i] = !before;
        if (before) {
            open[i] = *before;
        } else if (open_all(s, &snapshot->listeners[i], &open[i]) < 0) {
            refuse_listener(&snapshot->listeners[i], e);
            for (size_t k = 0; k <= i; k++)
                if (is_new[k])
                    close_all(&open[k]);
            return ERR_IO;
        }
    }
    return 0;
}

/* Worker `index`'s share of the new sockets. `room` has a place for each. */
static void switch_worker(struct server *s, size_t index, struct snapshot_ref *ref, const struct open_listener *open,
                          const bool *is_new, struct worker_socket *room)
{
    size_t n = 0;

    for (size_t i = 0; i < ref->snapshot->nlisteners; i++)
        for (size_t k = index; is_new[i] && k < open[i].n; k += s->nworkers)
            room[n++] = (struct worker_socket){ i, open[i].fds[k] };
    if (worker_switch(s->workers[index], ref, room, n) == 0)
        return;
    log_error("worker %zu: no memory for version %llu", index, (unsigned long long)ref->snapshot->version);
    for (size_t i = 0; i < n; i++)
        close(room[i].fd);
}

/* Takes out those that nobody holds any more, neither workers nor borrowers; under the lock. To free some MiB takes
 * milliseconds: a worker never has to, and nobody waits for the lock meanwhile. */
static struct lent *take_unused(struct server *s)
{
    struct lent **at = &s->lent, *unused = NULL;

    while (*at) {
        struct lent *l = *at;

        if (l->times > 0 || l->ref == s->current || !snapshot_ref_is_last(l->ref)) {
            at = &l->next;
            continue;
        }
        *at = l->next;
        l->next = unused;
        unused = l;
    }
    return unused;
}

static void free_lent(struct lent *l)
{
    while (l) {
        struct lent *next = l->next;

        snapshot_ref_put(l->ref);
        mem_free(l);
        l = next;
    }
}

void server_tidy(struct server *s)
{
    struct lent *unused;

    pthread_mutex_lock(&s->lock);
    unused = take_unused(s);
    pthread_mutex_unlock(&s->lock);
    free_lent(unused);
}

static void lend(struct server *s, struct lent *lent, struct snapshot_ref *ref)
{
    pthread_mutex_lock(&s->lock);
    *lent = (struct lent){ .ref = ref, .next = s->lent };
    s->lent = lent;
    s->current = ref;
    pthread_mutex_unlock(&s->lock);
    server_tidy(s);
}

int server_apply(struct server *s, struct snapshot_ref *ref, struct err *e)
{
    size_t n = ref->snapshot->nlisteners;
    struct worker_socket *room = mem_zalloc((n * OPTIONS_MOST_THREADS + 1) * sizeof(*room));
    struct open_listener *open = mem_zalloc((n + 1) * sizeof(*open));
    bool *is_new = mem_zalloc((n + 1) * sizeof(*is_new));
    struct lent *lent = mem_zalloc(sizeof(*lent));
    int rc = 0;

    if (!room || !open || !is_new || !lent)
        rc = err_set(e, ERR_NOMEM, "no memory for %zu listeners", n);
    if (rc == 0)
        rc = open_new(s, ref->snapshot, open, is_new, e);
    if (rc == 0) {
        for (size_t i = 0; i < s->nworkers; i++)
            switch_worker(s, i, ref, open, is_new, room);
        mem_free(s->open);
        s->open = open;
        s->nopen = n;
        lend(s, lent, ref);
    } else {
        mem_free(open);
        mem_free(lent);
    }
    mem_free(room);
    mem_free(is_new);
    return rc;
}

void server_inherit(struct server *s, struct inherited *in)
{
    s->inherited = in;
}

size_t server_sockets(const struct server *s, int *fds, size_t most)
{
    size_t n = 0;

    for (size_t i = 0; i < s->nopen; i++)
        for (size_t k = 0; k < s->open[i].n; k++, n++)
            if (n < most)
                fds[n] = s->open[i].fds[k];
    return n;
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

void server_retire(struct server *s, int64_t within_ns)
{
    s->nopen = 0; /* the sockets are another process's */
    for (size_t i = 0; i < s->nworkers; i++)
        worker_retire(s->workers[i], within_ns);
}

bool server_has_ended(struct server *s)
{
    while (s->nworkers > 0 && worker_try_join(s->workers[s->nworkers - 1]))
        s->nworkers--;
    return s->nworkers == 0;
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
    free_lent(s->lent);
    pthread_mutex_destroy(&s->lock);
    mem_free(s->workers);
    mem_free(s->open);
    mem_free(s);
}
