/* scrape_pool.c: the targets of one job, and how they follow what discovery tells.
 *
 * pool_settle makes the list that should be, sorted by the hash of labels and URL, and walks it beside the list that is:
 * who stands in both goes on undisturbed, with all it has cached. One whose labels are in the new list with another URL
 * has moved: it goes on there, so that its series do not become stale in between. */
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

/* Who stands in both lists, both sorted by hash, takes its place in slots[0..w->n); returns the others of the old list. */
static struct target *match(struct target *old, const struct wanted *w, struct target **slots)
{
    struct target *gone = NULL;

    for (size_t i = 0; old;) {
        struct target *next = old->next;

        while (i < w->n && w->v[i].hash < old->spec.hash)
            i++;
        if (i < w->n && w->v[i].hash == old->spec.hash) {
            slots[i] = old;
        } else {
            old->next = gone;
            gone = old;
        }
        old = next;
    }
    return gone;
}

/* Takes one with the same labels out of the list. */
static struct target *take_moved(struct target **gone, const struct target_spec *spec)
{
    for (; *gone; gone = &(*gone)->next) {
        struct target *t = *gone;

        if (t->spec.labels_hash != spec->labels_hash || labels_cmp(t->spec.labels, spec->labels) != 0)
            continue;
        *gone = t->next;
        return t;
    }
    return NULL;
}

/* The list that will be, and how long it is; those of the old one that have no place in it go to *gone. `slots` is
 * scratch: w->n zeroes. */
static struct target *merge(struct pool *p, const struct wanted *w, struct target **slots, struct target **gone,
                            size_t *n)
{
    struct target *first = NULL, **end = &first;

    *gone = match(p->targets, w, slots);
    *n = 0;
    for (size_t i = 0; i < w->n; i++) {
        struct target *t = slots[i] ? slots[i] : take_moved(gone, &w->v[i]);

        if (t) {
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
    return first;
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
    struct target *gone, *targets, **slots = NULL;
    struct arena old = p->dropped_arena;
    size_t n;

    p->stale = false;
    if (want(p, &w) < 0 || !(slots = arena_array(&w.arena, w.n + 1, sizeof(struct target *)))) {
        log_error("scrape: %.*s: no memory for its targets: they stay as they are", STR_ARG(p->job->name));
        arena_free(&w.arena);
        arena_free(&w.dropped_arena);
        return;
    }
    check_limit(p, w.n);
    pthread_mutex_lock(&p->owner->lock);
    targets = merge(p, &w, slots, &gone, &n);
    p->targets = targets;
    p->ntargets = n;
    p->dropped_arena = w.dropped_arena;
    p->dropped = w.dropped;
    p->ndropped = w.ndropped;
    p->all_dropped = w.all_dropped;
    pthread_mutex_unlock(&p->owner->lock);
    end_all(gone);
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
