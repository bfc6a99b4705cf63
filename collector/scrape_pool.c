/* scrape_pool.c: the targets of one job, and how they follow what discovery tells.
 *
 * Targets are the same when labels and URL are. pool_settle makes the list that should be, sorted by hash, and walks it
 * beside the list that is: who stands in both goes on undisturbed, with all it has cached. A new target whose labels an
 * ending one had (its address moved) inherits its series, so that these do not become stale in between. */
#include "collector/scrape-internal.h"

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST_TARGETS_MEMORY = 256 << 20 };

static void groups_changed(void *arg)
{
    struct pool *p = arg;

    p->stale = true;
    event_active(p->owner->settle, EV_TIMEOUT, 0);
}

static void stop_discovery(struct discovery **v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        discovery_stop(v[i]);
    mem_free(v);
}

/* One of the old that asks the same server: what that has said holds until it says something else. (Files are read
 * at once, so they need not be kept.) */
static struct discovery *take_same(struct discovery **old, size_t n, const struct discovery_config *config)
{
    for (size_t i = 0; config->kind == DISCOVERY_HTTP && i < n; i++) {
        struct discovery *d = old[i];

        if (!d || d->config->kind != DISCOVERY_HTTP || !str_eq(d->config->url, config->url))
            continue;
        old[i] = NULL;
        return d;
    }
    return NULL;
}

static void start_discovery(struct pool *p)
{
    const struct scrape_job *job = p->job;
    struct discovery **old = p->discovery;
    size_t nold = p->ndiscovery;
    struct err e = ERR_INIT;

    p->ndiscovery = 0;
    p->discovery = mem_zalloc(job->ndiscovery * sizeof(struct discovery *));
    for (size_t i = 0; p->discovery && i < job->ndiscovery; i++) {
        struct discovery *d = take_same(old, nold, &job->discovery[i]);

        if (d)
            discovery_rebase(d, &job->discovery[i], p);
        else
            d = discovery_start(&job->discovery[i], p->owner->base, p->owner->client, groups_changed, p, &e);
        if (d)
            p->discovery[p->ndiscovery++] = d;
    }
    if (!p->discovery || p->ndiscovery < job->ndiscovery)
        log_error("scrape: %.*s: no memory for its discovery: some targets are missing", STR_ARG(job->name));
    stop_discovery(old, nold);
}

struct pool *pool_new(struct scrape *s, const struct scrape_job *job)
{
    struct pool *p = mem_zalloc(sizeof(*p));

    if (!p)
        return NULL;
    p->owner = s;
    p->job = job;
    start_discovery(p);
    return p;
}

void pool_set_job(struct pool *p, const struct scrape_job *job)
{
    bool same = p->job->fingerprint == job->fingerprint && p->ndiscovery == job->ndiscovery;

    pthread_mutex_lock(&p->owner->lock);
    p->job = job;
    pthread_mutex_unlock(&p->owner->lock);
    if (same) {
        for (size_t i = 0; i < p->ndiscovery; i++)
            discovery_rebase(p->discovery[i], &job->discovery[i], p);
        return;
    }
    start_discovery(p);
    for (struct target *t = p->targets; t; t = t->next)
        t->forget = true;
    p->stale = true;
}

/* --- what should be --- */

struct wanted {
    struct arena arena;   /* of the specs */
    struct target_spec *v;
    size_t n, cap;
    struct arena dropped_arena;
    struct labels *dropped;
    size_t ndropped, dropped_cap, all_dropped;
};

static int want_dropped(const struct scrape_job *job, struct wanted *w, struct labels discovered)
{
    w->all_dropped++;
    if (job->limits.dropped_targets && w->ndropped >= job->limits.dropped_targets)
        return 0;
    if (arena_grow(&w->dropped_arena, &w->dropped, &w->dropped_cap, w->ndropped + 1, sizeof(*w->dropped)) < 0)
        return ERR_NOMEM;
    w->dropped[w->ndropped] = labels_copy(&w->dropped_arena, discovered);
    return w->dropped[w->ndropped++].v ? 0 : ERR_NOMEM;
}

static int want_target(const struct scrape_job *job, struct wanted *w, const struct target_group *g, struct str address)
{
    struct target_spec spec;
    struct err e = ERR_INIT;
    int rc = target_resolve(job, g, address, &w->arena, &spec, &e);

    if (rc == 0)
        return want_dropped(job, w, spec.discovered);
    if (rc == ERR_INVALID) {
        log_warn("scrape: %.*s: target \"%.*s\": %s", STR_ARG(job->name), STR_ARG(address), e.msg);
        return 0;
    }
    if (rc < 0 || arena_grow(&w->arena, &w->v, &w->cap, w->n + 1, sizeof(*w->v)) < 0)
        return ERR_NOMEM;
    w->v[w->n++] = spec;
    return 0;
}

static int by_hash(const void *a, const void *b)
{
    const struct target_spec *x = a, *y = b;

    return (x->hash > y->hash) - (x->hash < y->hash);
}

static int want(struct pool *p, struct wanted *w)
{
    size_t kept = 0;
    int rc = 0;

    for (size_t i = 0; i < p->ndiscovery; i++) {
        struct discovery_walk walk = { NULL, 0, false };
        const struct target_group *g;

        while (rc == 0 && (g = discovery_next(p->discovery[i], &walk)))
            for (size_t k = 0; rc == 0 && k < g->ntargets; k++)
                rc = want_target(p->job, w, g, g->targets[k]);
    }
    if (w->n > 1)
        qsort(w->v, w->n, sizeof(*w->v), by_hash);
    for (size_t i = 0; i < w->n; i++)
        if (kept == 0 || w->v[kept - 1].hash != w->v[i].hash)
            w->v[kept++] = w->v[i];
    w->n = kept;
    return rc;
}

static void check_limit(struct pool *p, size_t n)
{
    uint64_t limit = p->job->limits.targets;

    p->over_limit[0] = '\0';
    if (limit && n > limit)
        snprintf(p->over_limit, sizeof(p->over_limit),
                 "target_limit exceeded (number of targets: %zu, limit: %" PRIu64 ")", n, limit);
}

/* --- what is --- */

/* The next of two sorted lists: moves what is in both to *kept, what is only in the old list to *gone, and makes what
 * is only in the new one. Returns the list that will be; its new members still without a plan (tick_ms 0). */
static struct target *merge(struct pool *p, const struct wanted *w, struct target **gone, size_t *n)
{
    struct target *old = p->targets, *first = NULL, **end = &first;

    *n = 0;
    for (size_t i = 0; i < w->n; i++) {
        struct target *t;

        while (old && old->spec.hash < w->v[i].hash) {
            struct target *next = old->next;

            old->next = *gone;
            *gone = old;
            old = next;
        }
        if (old && old->spec.hash == w->v[i].hash) {
            t = old;
            old = old->next;
            target_update(t, &w->v[i]);
        } else if (!(t = target_new(p, &w->v[i]))) {
            log_error("scrape: %.*s: no memory for target %s", STR_ARG(p->job->name), w->v[i].url.p);
            continue;
        }
        *end = t;
        end = &t->next;
        ++*n;
    }
    *end = NULL;
    while (old) {
        struct target *next = old->next;

        old->next = *gone;
        *gone = old;
        old = next;
    }
    return first;
}

static struct target *with_labels(struct target *first, struct labels l)
{
    for (; first; first = first->next)
        if (labels_cmp(first->spec.labels, l) == 0)
            return first;
    return NULL;
}

static void inherit(struct target *targets, struct target *gone)
{
    for (struct target *t = targets; gone && t; t = t->next) {
        struct target *from = t->tick_ms == 0 ? with_labels(gone, t->spec.labels) : NULL;

        if (from)
            target_inherit(t, from);
    }
}

static void end_all(struct target *gone)
{
    while (gone) {
        struct target *next = gone->next;

        target_end(gone);
        gone = next;
    }
}

void pool_settle(struct pool *p)
{
    struct wanted w = { .arena = ARENA_INIT(MOST_TARGETS_MEMORY), .dropped_arena = ARENA_INIT(MOST_TARGETS_MEMORY) };
    struct target *gone = NULL, *targets;
    struct arena old = p->dropped_arena;
    size_t n;

    p->stale = false;
    if (want(p, &w) < 0) {
        log_error("scrape: %.*s: no memory for its targets: they stay as they are", STR_ARG(p->job->name));
        arena_free(&w.arena);
        arena_free(&w.dropped_arena);
        return;
    }
    check_limit(p, w.n);
    targets = merge(p, &w, &gone, &n);
    pthread_mutex_lock(&p->owner->lock);
    p->targets = targets;
    p->ntargets = n;
    p->dropped_arena = w.dropped_arena;
    p->dropped = w.dropped;
    p->ndropped = w.ndropped;
    p->all_dropped = w.all_dropped;
    pthread_mutex_unlock(&p->owner->lock);
    inherit(targets, gone);
    end_all(gone);
    for (struct target *t = targets; t; t = t->next)
        if (t->tick_ms == 0)
            target_plan(t);
    arena_free(&old);
    arena_free(&w.arena);
}

void pool_end(struct pool *p)
{
    struct target *gone = p->targets;

    pthread_mutex_lock(&p->owner->lock);
    p->targets = NULL;
    p->ntargets = 0;
    pthread_mutex_unlock(&p->owner->lock);
    end_all(gone);
}

void pool_free(struct pool *p)
{
    stop_discovery(p->discovery, p->ndiscovery);
    while (p->targets) {
        struct target *next = p->targets->next;

        target_free(p->targets);
        p->targets = next;
    }
    arena_free(&p->dropped_arena);
    mem_free(p);
}
