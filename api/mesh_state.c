/* mesh_state.c: who is told what, and when.
 *
 * The catalog is the truth; the view is its text at one version, made once and sent to every proxy. A question that
 * cannot be answered yet rests as a suspended connection in a list; one thread wakes the list when the version changes,
 * and each entry when its time is up:
 *
 *   mesh_state_ask ── another version ──────────────────────────────────────→ 200
 *        └── the same ── waiters ── mesh_state_refresh: another version ────→ 200
 *                              └─── deadline, or the server stops ─────────→ 304 */

#include "api/mesh-internal.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/strmap.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { LARGEST_VIEW = 256 << 20, MOST_PROXIES = 10000, LONGEST_ERROR = 1024 };

#define FORGOTTEN_MS 600000 /* a proxy that has not asked for so long is gone */

struct waiter {
    struct waiter *next;
    struct request *rq;
    uint64_t version, rejected;
    int64_t deadline_ns; /* monotonic */
};

struct proxy {
    char *node, *error;
    uint64_t version, rejected;
    int64_t connected_ms, seen_ms;
};

struct mesh_state {
    struct store *store;
    pthread_mutex_t changes; /* held while the catalog is changed */
    pthread_mutex_t lock;    /* guards what follows; taken after `changes` */
    pthread_cond_t news;
    struct mesh_view *view;
    struct waiter *waiters;
    struct strmap proxies;
    bool stopping, started;
    pthread_t thread;
};

/* --- the view --- */

static void view_release(void *arg)
{
    struct mesh_view *v = arg;

    if (!v || atomic_fetch_sub(&v->references, 1) > 1)
        return;
    buf_free(&v->stream);
    mem_free(v);
}

/* Other things may live in the catalog, too. */
static bool is_mesh_kind(struct str kind)
{
    const struct mesh_kind *k = mesh_kind_find(kind);

    return k && str_eqz(kind, k->kind);
}

static int read_view(struct store *st, struct mesh_view **out, struct err *e)
{
    struct arena a = ARENA_INIT(LARGEST_VIEW);
    struct mesh_view *v = mem_zalloc(sizeof(*v));
    struct catalog_document *d;
    size_t n;
    int rc;

    *out = v;
    if (!v)
        return err_set(e, ERR_NOMEM, "no memory for the mesh");
    atomic_init(&v->references, 1);
    v->stream = (struct buf)BUF_INIT(LARGEST_VIEW);
    v->version = catalog_revision(st);
    rc = catalog_list(st, STR_NULL, v->version, &a, &d, &n, e);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        if (!is_mesh_kind(d[i].key.kind))
            continue;
        if (v->stream.n)
            buf_puts(&v->stream, "---\n");
        buf_str(&v->stream, d[i].body);
        buf_putc(&v->stream, '\n');
    }
    if (rc == 0 && buf_failed(&v->stream))
        rc = err_set(e, ERR_NOMEM, "no memory for the mesh, or it takes more than %d MiB", LARGEST_VIEW >> 20);
    arena_free(&a);
    return rc;
}

/* --- waiting --- */

static bool is_news(const struct mesh_view *v, uint64_t version, uint64_t rejected)
{
    return v->version != version && (rejected == 0 || v->version != rejected);
}

/* Called with the lock: the view cannot go away before it is referenced. */
static void reply_view(struct request *rq, struct mesh_view *v)
{
    struct str number = arena_printf(&rq->arena, "%" PRIu64, v->version);

    reply_begin(rq, 200, "application/yaml");
    reply_header(rq, "Vigla-Version", number.p);
    if (v->stream.n == 0)
        return;
    atomic_fetch_add(&v->references, 1);
    rq->fixed = buf_view(&v->stream);
    rq->release = view_release;
    rq->owner = v;
}

static void reply_nothing_new(struct request *rq)
{
    reply_begin(rq, 304, NULL);
}

/* Takes who need not wait any longer off the list, and says when the next one's time is up. Called with the lock. */
static struct waiter *take_due(struct mesh_state *s, int64_t *next_ns)
{
    int64_t now = clock_mono_ns();
    struct waiter *due = NULL, **at = &s->waiters;

    *next_ns = INT64_MAX;
    while (*at) {
        struct waiter *w = *at;
        bool news = is_news(s->view, w->version, w->rejected);

        if (!news && now < w->deadline_ns && !s->stopping) {
            if (w->deadline_ns < *next_ns)
                *next_ns = w->deadline_ns;
            at = &w->next;
            continue;
        }
        if (news)
            reply_view(w->rq, s->view);
        else
            reply_nothing_new(w->rq);
        *at = w->next;
        w->next = due;
        due = w;
    }
    return due;
}

static void *wake(void *arg)
{
    struct mesh_state *s = arg;
    struct waiter *due, *w;
    int64_t next_ns;
    bool ending;

    do {
        pthread_mutex_lock(&s->lock);
        due = take_due(s, &next_ns);
        ending = s->stopping;
        if (!due && !ending) {
            struct timespec until = { next_ns / 1000000000, next_ns % 1000000000 };

            pthread_cond_timedwait(&s->news, &s->lock, &until);
        }
        pthread_mutex_unlock(&s->lock);
        while ((w = due)) {
            due = w->next; /* it lives in the request, which is gone after this */
            request_let_go(w->rq);
        }
    } while (!ending);
    return NULL;
}

/* --- proxies --- */

static void proxy_free(struct proxy *p)
{
    if (!p)
        return;
    mem_free(p->node);
    mem_free(p->error);
    mem_free(p);
}

static void forget_gone(struct mesh_state *s, int64_t now_ms)
{
    const struct strmap_slot *slot;
    size_t at = 0;

    while ((slot = strmap_next(&s->proxies, &at))) {
        struct proxy *p = slot->value;

        if (now_ms - p->seen_ms > FORGOTTEN_MS) {
            strmap_del(&s->proxies, slot->key);
            proxy_free(p);
        }
    }
}

static char *copy(struct str s, size_t most)
{
    char *p = mem_alloc((s.n < most ? s.n : most) + 1);

    if (p)
        snprintf(p, (s.n < most ? s.n : most) + 1, "%.*s", STR_ARG(s));
    return p;
}

static struct proxy *proxy_of(struct mesh_state *s, struct str node, int64_t now_ms)
{
    struct proxy *p = strmap_get(&s->proxies, node);

    if (p || s->proxies.n >= MOST_PROXIES)
        return p;
    forget_gone(s, now_ms);
    p = mem_zalloc(sizeof(*p));
    if (p)
        p->node = copy(node, node.n);
    if (!p || !p->node || strmap_put(&s->proxies, (struct str){ p->node, node.n }, p, NULL) < 0) {
        proxy_free(p);
        return NULL;
    }
    p->connected_ms = now_ms;
    return p;
}

/* Without memory a proxy is not listed; it is answered all the same. */
static void note_proxy(struct mesh_state *s, const struct mesh_report *r)
{
    int64_t now_ms = clock_now_ms();
    struct proxy *p = r->node.n ? proxy_of(s, r->node, now_ms) : NULL;

    if (!p)
        return;
    p->seen_ms = now_ms;
    p->version = r->version;
    p->rejected = r->rejected;
    mem_free(p->error);
    p->error = r->rejected ? copy(r->error, LONGEST_ERROR) : NULL;
}

static int by_node(const void *a, const void *b)
{
    return strcmp((*(struct proxy *const *)a)->node, (*(struct proxy *const *)b)->node);
}

static void print_proxy(struct buf *out, const struct proxy *p)
{
    buf_puts(out, "{\"node\":");
    buf_json(out, str_of(p->node));
    buf_printf(out, ",\"version\":%" PRIu64 ",\"rejected\":%" PRIu64 ",\"error\":", p->version, p->rejected);
    buf_json(out, str_of(p->error));
    buf_printf(out, ",\"connectedMs\":%" PRId64 ",\"lastSeenMs\":%" PRId64 "}", p->connected_ms, p->seen_ms);
}

void mesh_state_print_proxies(struct mesh_state *s, struct buf *out)
{
    const struct strmap_slot *slot;
    struct proxy **all;
    size_t at = 0, n = 0;

    pthread_mutex_lock(&s->lock);
    forget_gone(s, clock_now_ms());
    all = mem_alloc((s->proxies.n + 1) * sizeof(struct proxy *));
    while (all && (slot = strmap_next(&s->proxies, &at)))
        all[n++] = slot->value;
    if (n)
        qsort(all, n, sizeof(*all), by_node);
    buf_putc(out, '[');
    for (size_t i = 0; i < n; i++) {
        buf_puts(out, i ? "," : "");
        print_proxy(out, all[i]);
    }
    buf_putc(out, ']');
    out->failed |= !all;
    pthread_mutex_unlock(&s->lock);
    mem_free(all);
}

void mesh_state_ask(struct mesh_state *s, struct request *rq, const struct mesh_report *r, int64_t wait_ms)
{
    struct waiter *w = ARENA_NEW(&rq->arena, struct waiter);

    pthread_mutex_lock(&s->lock);
    note_proxy(s, r);
    if (is_news(s->view, r->version, r->rejected)) {
        reply_view(rq, s->view);
    } else if (wait_ms <= 0 || s->stopping || !w) {
        reply_nothing_new(rq);
    } else {
        *w = (struct waiter){ s->waiters, rq, r->version, r->rejected, clock_mono_ns() + wait_ms * 1000000 };
        s->waiters = w;
        request_suspend(rq);
        pthread_cond_signal(&s->news);
    }
    pthread_mutex_unlock(&s->lock);
}

/* --- the state --- */

struct mesh_state *mesh_state_new(struct store *st, struct err *e)
{
    struct mesh_state *s = mem_zalloc(sizeof(*s));
    pthread_condattr_t attributes;

    if (!s) {
        err_set(e, ERR_NOMEM, "no memory for the mesh");
        return NULL;
    }
    s->store = st;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&s->changes, NULL);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->news, &attributes);
    pthread_condattr_destroy(&attributes);
    if (read_view(st, &s->view, e) < 0) {
        err_wrap(e, "mesh");
        goto fail;
    }
    s->started = pthread_create(&s->thread, NULL, wake, s) == 0;
    if (s->started)
        return s;
    err_set(e, ERR_NOMEM, "mesh: cannot start a thread");
fail:
    mesh_state_free(s);
    return NULL;
}

void mesh_state_stop(struct mesh_state *s)
{
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_cond_signal(&s->news);
    pthread_mutex_unlock(&s->lock);
}

void mesh_state_free(struct mesh_state *s)
{
    const struct strmap_slot *slot;
    size_t at = 0;

    if (!s)
        return;
    mesh_state_stop(s);
    if (s->started)
        pthread_join(s->thread, NULL);
    while ((slot = strmap_next(&s->proxies, &at)))
        proxy_free(slot->value);
    strmap_free(&s->proxies);
    view_release(s->view);
    pthread_cond_destroy(&s->news);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->changes);
    mem_free(s);
}

void mesh_state_lock(struct mesh_state *s)
{
    pthread_mutex_lock(&s->changes);
}

void mesh_state_unlock(struct mesh_state *s)
{
    pthread_mutex_unlock(&s->changes);
}

int mesh_state_refresh(struct mesh_state *s, struct err *e)
{
    struct mesh_view *v, *old = NULL;
    int rc = read_view(s->store, &v, e);

    if (rc == 0) {
        pthread_mutex_lock(&s->lock);
        old = s->view;
        s->view = v;
        pthread_cond_signal(&s->news);
        pthread_mutex_unlock(&s->lock);
        v = old;
    }
    view_release(v);
    return rc;
}

uint64_t mesh_state_version(struct mesh_state *s)
{
    uint64_t version;

    pthread_mutex_lock(&s->lock);
    version = s->view->version;
    pthread_mutex_unlock(&s->lock);
    return version;
}
