/* worker_listener.c: a socket that accepts for one of a snapshot's listeners, and what that listener needs beside it: keys
 * of tokens, contexts of TLS. It follows from one snapshot to the next. */
#include "proxy/worker-internal.h"

#include "base/log.h"
#include "base/mem.h"
#include "proxy/incoming.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

enum {
    ACCEPTS_AT_ONCE = 32,
    ACCEPT_PAUSE_MS = 100 /* when the process is out of descriptors */
};

struct worker_listener *worker_listener_get(struct worker_listener *wl)
{
    wl->refs++;
    return wl;
}

static void close_sources(struct worker *w, struct jwks_source **sources, size_t n)
{
    for (size_t i = 0; sources && i < n; i++)
        jwks_store_close(w->settings->jwks, sources[i]);
    mem_free(sources);
}

/* Without memory the keys stay awaited, and tokens refused. */
static void open_sources(struct worker_listener *wl)
{
    const struct jwt_auth *auth = &wl->auth;

    wl->sources = wl->w->settings->jwks ? mem_zalloc(auth->nrules * sizeof(*wl->sources)) : NULL;
    wl->keys_seen = UINT64_MAX;
    for (size_t i = 0; wl->sources && i < auth->nrules; i++)
        if (auth->keys[i].state == JWT_KEYS_STATE_AWAITED) {
            wl->sources[i] = jwks_store_open(wl->w->settings->jwks, auth->rules[i].jwks_uri,
                                             auth->rules[i].discovery);
            if (!wl->sources[i])
                log_error("listener %.*s: no room for the keys of %.*s", STR_ARG(wl->l->name),
                          STR_ARG(auth->rules[i].jwks_uri));
        }
}

void worker_listener_read_keys(struct worker_listener *wl)
{
    struct jwks_store *store = wl->w->settings->jwks;
    uint64_t changes = store ? jwks_store_changes(store) : 0;

    if (!wl->sources || changes == wl->keys_seen)
        return;
    wl->keys_seen = changes;
    for (size_t i = 0; i < wl->auth.nrules; i++)
        if (wl->sources[i])
            jwks_store_read(store, wl->sources[i], &wl->auth.keys[i]);
}

static void close_auth(struct jwt_auth *auth)
{
    for (size_t i = 0; auth->keys && i < auth->nrules; i++)
        jwt_keys_fini(&auth->keys[i]);
    mem_free(auth->keys);
    *auth = (struct jwt_auth){ .rules = NULL };
}

/* The rules of a snapshot, with the keys that their texts have. Without memory for them every request counts as one
 * without a token: policies that ask for one refuse it. */
static void open_auth(struct worker_listener *wl)
{
    const struct listener_policy *p = &wl->l->policy;
    struct worker *w = wl->w;
    struct err e;

    close_sources(w, wl->sources, wl->auth.nrules); /* the store finds them again */
    wl->sources = NULL;
    close_auth(&wl->auth);
    if (p->njwt == 0)
        return;
    if (!w->jwt_cache)
        w->jwt_cache = jwt_cache_new();
    wl->auth = (struct jwt_auth){ .rules = p->jwt, .keys = mem_zalloc(p->njwt * sizeof(*wl->auth.keys)),
                                  .nrules = p->njwt, .cache = w->jwt_cache };
    if (!wl->auth.keys) {
        log_error("listener %.*s: no memory for the keys of tokens", STR_ARG(wl->l->name));
        wl->auth.nrules = 0;
    }
    for (size_t i = 0; i < wl->auth.nrules; i++) {
        jwt_keys_init(&wl->auth.keys[i], &p->jwt[i], &e);
        if (wl->auth.keys[i].state == JWT_KEYS_STATE_NONE)
            log_error("listener %.*s: tokens of %.*s: %s", STR_ARG(wl->l->name), STR_ARG(p->jwt[i].issuer), e.msg);
    }
    open_sources(wl);
}

static bool serves_http(const struct listener *l)
{
    return l->protocol != PROTOCOL_TCP;
}

/* The contexts of a listener's chains, and the mesh's. One that there is no memory for refuses its handshakes. */
static void take_contexts(struct worker_listener *wl)
{
    const struct listener *l = wl->l;
    struct tls_store *store = wl->w->settings->tls;
    bool ok = true;

    wl->chain_tls = l->nchains ? mem_zalloc(l->nchains * sizeof(struct tls_context *)) : NULL;
    wl->nchain_tls = wl->chain_tls ? l->nchains : 0;
    for (size_t i = 0; i < wl->nchain_tls; i++) {
        const struct listener_chain *c = &l->chains[i];

        wl->chain_tls[i] = c->tls ? tls_store_server(store, c->tls, serves_http(c->serve), NULL) : NULL;
        ok = ok && (!c->tls || wl->chain_tls[i]);
    }
    wl->mesh_tls = NULL;
    if (l->direction == LISTENER_INBOUND && l->policy.mtls != MTLS_OFF && tls_store_has_identity(store)) {
        wl->mesh_tls = tls_store_inbound(store, NULL);
        ok = ok && wl->mesh_tls;
    }
    if (!ok || wl->nchain_tls < l->nchains)
        log_error("listener %.*s: no memory for its TLS", STR_ARG(l->name));
}

static void put_contexts(struct tls_context **v, size_t n, struct tls_context *mesh)
{
    for (size_t i = 0; i < n; i++)
        tls_context_put(v[i]);
    mem_free(v);
    tls_context_put(mesh);
}

/* The old ones go after the new ones have come: those that are the same stay. */
static void open_tls(struct worker_listener *wl)
{
    struct tls_context **old = wl->chain_tls, *mesh = wl->mesh_tls;
    size_t n = wl->nchain_tls;

    take_contexts(wl);
    put_contexts(old, n, mesh);
}

void worker_listener_put(struct worker_listener *wl)
{
    if (--wl->refs > 0)
        return;
    wl->w->nlistening--;
    close_sources(wl->w, wl->sources, wl->auth.nrules);
    close_auth(&wl->auth);
    put_contexts(wl->chain_tls, wl->nchain_tls, wl->mesh_tls);
    view_put(wl->view);
    mem_free(wl);
}

static void accept_again(evutil_socket_t fd, short what, void *arg)
{
    struct worker_listener *wl = arg;

    (void)fd, (void)what;
    if (!wl->gone)
        event_add(&wl->ev, NULL);
    worker_listener_put(wl);
}

/* Out of descriptors or memory: the listening socket stays readable, and without a pause the loop would spin. */
static void pause_accepting(struct worker_listener *wl)
{
    struct timeval tv = { 0, ACCEPT_PAUSE_MS * 1000 };

    log_warn("%s: accept: %m", wl->local);
    if (event_base_once(wl->w->base, -1, EV_TIMEOUT, accept_again, worker_listener_get(wl), &tv) < 0) {
        worker_listener_put(wl);
        return;
    }
    event_del(&wl->ev);
}

static void accept_all(struct worker_listener *wl, int most)
{
    for (int i = 0; i < most; i++) {
        struct sockaddr_storage peer;
        socklen_t n = sizeof(peer);
        int fd = accept4(wl->fd, (struct sockaddr *)&peer, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            incoming_accept(wl, fd, &peer);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            pause_accepting(wl);
            return;
        } else if (errno != ECONNABORTED && errno != EINTR) {
            return;
        }
    }
}

static void on_accept(evutil_socket_t fd, short what, void *arg)
{
    struct worker_listener *wl = arg;
    struct worker *w = wl->w;

    (void)fd, (void)what;
    worker_enter(w);
    accept_all(wl, ACCEPTS_AT_ONCE);
    worker_leave(w);
}

void worker_listener_stop(struct worker_listener *wl)
{
    wl->gone = true;
    event_del(&wl->ev);
    close(wl->fd);
    wl->fd = -1;
}

/* What is in the kernel's queue was accepted in the clients' eyes: it is served before the socket closes. */
void worker_listener_close(struct worker_listener *wl)
{
    accept_all(wl, INT16_MAX);
    worker_listener_stop(wl);
}

void worker_listener_open(struct worker *w, struct view *v, const struct listener *l, int fd)
{
    struct worker_listener *wl = mem_zalloc(sizeof(*wl));

    if (!wl) {
        log_error("listener %.*s: no memory", STR_ARG(l->name));
        close(fd);
        return;
    }
    *wl = (struct worker_listener){ .w = w, .refs = 1, .fd = fd, .view = view_get(v), .l = l, .next = w->listeners };
    snprintf(wl->local, sizeof(wl->local), str_chr(l->ip, ':') < 0 ? "%.*s:%u" : "[%.*s]:%u", STR_ARG(l->ip),
             l->bind_port);
    wl->wildcard = str_eqz(l->ip, "0.0.0.0") || str_eqz(l->ip, "::");
    w->listeners = wl;
    w->nlistening++;
    open_auth(wl);
    open_tls(wl);
    event_assign(&wl->ev, w->base, fd, EV_READ | EV_PERSIST, on_accept, wl);
    event_add(&wl->ev, NULL);
}

void worker_listener_renew(struct worker_listener *wl, struct view *v, const struct listener *l)
{
    view_put(wl->view);
    wl->view = view_get(v);
    wl->l = l;
    wl->generation++;
    open_auth(wl);
    open_tls(wl);
}
