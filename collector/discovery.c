#include "collector/discovery-internal.h"

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdio.h>

enum { MOST_SOURCE = 64 << 20, MOST_ANSWER = 8 << 20, LONGEST_WAIT_MS = 60000 };

/* --- sources --- */

struct discovery_source *discovery_find(struct discovery *d, struct str name)
{
    for (struct discovery_source *s = d->sources; s; s = s->next)
        if (str_eq(s->name, name))
            return s;
    return NULL;
}

void discovery_source_free(struct discovery_source *s)
{
    arena_free(&s->arena);
    mem_free(s);
}

struct discovery_source *discovery_add(struct discovery *d, struct str name)
{
    struct discovery_source *s = mem_zalloc(sizeof(*s) + name.n + 1);

    if (!s)
        return NULL;
    memcpy(s + 1, name.p, name.n);
    s->name = (struct str){ (const char *)(s + 1), name.n };
    s->arena = (struct arena)ARENA_INIT(MOST_SOURCE);
    s->next = d->sources;
    d->sources = s;
    return s;
}

void discovery_tell(struct discovery_source *s, const struct err *e)
{
    if (e && !s->failing)
        log_warn("discovery: %s", e->msg);
    else if (!e && s->failing)
        log_info("discovery: %.*s: good again", STR_ARG(s->name));
    s->failing = e != NULL;
}

/* Groups whose labels have one more. */
static int add_meta(struct arena *a, struct target_group *groups, size_t n, struct label meta)
{
    for (size_t i = 0; i < n; i++) {
        struct labels old = groups[i].labels;
        struct label *v = arena_array(a, old.n + 1, sizeof(*v));

        if (!v)
            return ERR_NOMEM;
        if (old.n)
            memcpy(v, old.v, old.n * sizeof(*v));
        v[old.n] = meta;
        groups[i].labels = (struct labels){ v, old.n + 1 };
    }
    return 0;
}

static int read_groups(struct arena *a, struct discovery_source *s, struct str meta, struct str text,
                       const struct target_group **groups, size_t *n, struct err *e)
{
    const struct conf c = { s->name.p, a };
    const struct yaml_node *root;
    struct target_group *copy;
    int rc = yaml_read_one(a, s->name.p, text, &root, e);

    if (rc == 0)
        rc = target_groups_read(&c, root, groups, n, e);
    if (rc < 0)
        return rc;
    copy = arena_array(a, *n + 1, sizeof(*copy));
    if (copy && *n)
        memcpy(copy, *groups, *n * sizeof(*copy));
    if (!copy || add_meta(a, copy, *n, (struct label){ meta, s->name }) < 0)
        return err_set(e, ERR_NOMEM, "%s: no memory", s->name.p);
    *groups = copy;
    return 0;
}

int discovery_take(struct discovery *d, struct str name, struct str meta, struct str text, struct err *e)
{
    struct discovery_source *s = discovery_find(d, name);
    struct arena a = ARENA_INIT(MOST_SOURCE);
    const struct target_group *groups = NULL;
    uint64_t hash = str_hash(text);
    size_t n = 0;
    int rc;

    if (!s && !(s = discovery_add(d, name)))
        return err_set(e, ERR_NOMEM, "%.*s: no memory", STR_ARG(name));
    s->found = true;
    if (s->groups && s->hash == hash) {
        discovery_tell(s, NULL);
        return 0;
    }
    rc = read_groups(&a, s, meta, text, &groups, &n, e);
    if (rc < 0) {
        arena_free(&a);
        discovery_tell(s, e);
        return rc;
    }
    arena_free(&s->arena);
    s->arena = a;
    s->groups = groups;
    s->n = n;
    s->hash = hash;
    discovery_tell(s, NULL);
    return 1;
}

/* --- the rounds --- */

static void set_timer(struct discovery *d, int64_t ms)
{
    struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

    event_add(d->timer, &tv);
}

static void answered(struct http_call *call, const char *error)
{
    struct discovery *d = call->arg;
    struct str type = str_of(error ? "" : http_call_type(call));
    struct discovery_source *s = discovery_find(d, d->config->url);
    struct err e = ERR_INIT;
    int rc;

    set_timer(d, d->config->refresh_ms);
    if (error)
        rc = err_set(&e, ERR_IO, "%s", error);
    else if (call->status != 200)
        rc = err_set(&e, ERR_INVALID, "%s: server returned HTTP status %ld", d->config->url.p, call->status);
    else if (!str_starts(type, STR("application/json")))
        rc = err_set(&e, ERR_INVALID, "%s: unsupported content type \"%.*s\": should be application/json",
                     d->config->url.p, STR_ARG(type));
    else
        rc = discovery_take(d, d->config->url, STR("__meta_url"), buf_view(&call->body), &e);
    if (rc < 0 && s)
        discovery_tell(s, &e);
    if (rc == 1)
        d->changed(d->arg);
}

static void ask(struct discovery *d)
{
    char header[80];
    const struct http_request rq = {
        .url = d->config->url.p, .settings = &d->config->http, .accept = "application/json", .body_bytes = MOST_ANSWER,
        .timeout_ms = d->config->refresh_ms < LONGEST_WAIT_MS ? d->config->refresh_ms : LONGEST_WAIT_MS,
        .gzip = true, .extra_header = header,
    };
    struct err e = ERR_INIT;

    snprintf(header, sizeof(header), "X-Prometheus-Refresh-Interval-Seconds: %g", (double)d->config->refresh_ms / 1000);
    if (http_call_start(d->client, &d->call, &rq, &e) < 0) {
        discovery_tell(discovery_find(d, d->config->url), &e);
        set_timer(d, d->config->refresh_ms);
    }
}

static void round_is_due(evutil_socket_t fd, short what, void *arg)
{
    struct discovery *d = arg;

    (void)fd;
    (void)what;
    if (d->config->kind == DISCOVERY_HTTP) {
        ask(d);
        return;
    }
    discovery_files_round(d);
    set_timer(d, d->config->refresh_ms);
}

static int start(struct discovery *d, struct err *e)
{
    d->timer = event_new(d->base, -1, 0, round_is_due, d);
    if (!d->timer)
        return err_set(e, ERR_NOMEM, "no memory for discovery");
    if (d->config->kind == DISCOVERY_FILE) {
        set_timer(d, d->config->refresh_ms);
        return discovery_files_start(d, e);
    }
    d->call.done = answered;
    d->call.arg = d;
    if (!discovery_add(d, d->config->url))
        return err_set(e, ERR_NOMEM, "no memory for discovery");
    set_timer(d, 0);
    return 0;
}

struct discovery *discovery_start(const struct discovery_config *config, struct event_base *base,
                                  struct http_client *client, void (*changed)(void *arg), void *arg, struct err *e)
{
    struct discovery *d = mem_zalloc(sizeof(*d));

    if (!d) {
        err_set(e, ERR_NOMEM, "no memory for discovery");
        return NULL;
    }
    *d = (struct discovery){ .config = config, .base = base, .client = client, .inotify = -1 };
    d->changed = changed;
    d->arg = arg;
    if (config->kind != DISCOVERY_STATIC && start(d, e) < 0) {
        discovery_stop(d);
        return NULL;
    }
    return d;
}

void discovery_stop(struct discovery *d)
{
    if (!d)
        return;
    http_call_fini(&d->call);
    discovery_files_stop(d);
    if (d->timer)
        event_free(d->timer);
    while (d->sources) {
        struct discovery_source *next = d->sources->next;

        discovery_source_free(d->sources);
        d->sources = next;
    }
    mem_free(d);
}

void discovery_rebase(struct discovery *d, const struct discovery_config *config, void *arg)
{
    d->config = config;
    d->arg = arg;
}

const struct target_group *discovery_next(const struct discovery *d, struct discovery_walk *w)
{
    if (d->config->kind == DISCOVERY_STATIC)
        return w->at < d->config->ngroups ? &d->config->groups[w->at++] : NULL;
    if (!w->begun) {
        w->begun = true;
        w->source = d->sources;
    }
    while (w->source && w->at >= w->source->n) {
        w->source = w->source->next;
        w->at = 0;
    }
    return w->source ? &w->source->groups[w->at++] : NULL;
}
