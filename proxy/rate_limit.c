#include "proxy/rate_limit.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/strmap.h"
#include "proxy/router.h"

#include <pthread.h>

enum { MILLION = 1000000 };

struct rate_limits {
    pthread_mutex_t lock;       /* guards the maps and what is in them, but for the atomics */
    struct strmap buckets, counts[2]; /* of requests; of connections */
};

/* ---- buckets ---- */

static uint64_t pack(uint32_t filled, uint32_t tokens)
{
    return (uint64_t)filled << 32 | tokens;
}

/* The state as it is now: what the intervals since it was written have brought is in it. */
static uint64_t filled_up(const struct rate_bucket *b, uint64_t state, int64_t now_ns)
{
    uint32_t filled = (uint32_t)(state >> 32), tokens = (uint32_t)state, now = filled;
    uint32_t gone;

    if (now_ns > b->born_ns)
        now = (uint32_t)((now_ns - b->born_ns) / b->interval_ns);
    gone = now - filled;
    if (gone == 0 || gone > INT32_MAX)
        return state;
    if ((uint64_t)gone * b->per_fill >= b->most - tokens)
        return pack(now, b->most);
    return pack(now, tokens + gone * b->per_fill);
}

bool rate_bucket_take(struct rate_bucket *b, int64_t now_ns)
{
    uint64_t was = atomic_load_explicit(&b->state, memory_order_relaxed), now;

    do {
        now = filled_up(b, was, now_ns);
        if ((uint32_t)now == 0)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&b->state, &was, now - 1, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

uint32_t rate_bucket_left(const struct rate_bucket *b, int64_t now_ns)
{
    return (uint32_t)filled_up(b, atomic_load_explicit(&b->state, memory_order_relaxed), now_ns);
}

int64_t rate_bucket_next_ns(const struct rate_bucket *b, int64_t now_ns)
{
    int64_t age = now_ns > b->born_ns ? now_ns - b->born_ns : 0;

    return b->interval_ns - age % b->interval_ns;
}

/* ---- what all workers share ---- */

struct rate_limits *rate_limits_new(void)
{
    struct rate_limits *all = mem_zalloc(sizeof(*all));

    if (all)
        pthread_mutex_init(&all->lock, NULL);
    return all;
}

void rate_limits_free(struct rate_limits *all)
{
    if (!all)
        return;
    strmap_free(&all->buckets);
    for (int i = 0; i < 2; i++)
        strmap_free(&all->counts[i]);
    pthread_mutex_destroy(&all->lock);
    mem_free(all);
}

void rate_limits_each(struct rate_limits *all, void (*each)(void *arg, const struct rate_limit_counts *c), void *arg)
{
    pthread_mutex_lock(&all->lock);
    for (int i = 0; i < 2; i++) {
        const struct strmap_slot *slot;
        size_t at = 0;

        while ((slot = strmap_next(&all->counts[i], &at)))
            each(arg, slot->value);
    }
    pthread_mutex_unlock(&all->lock);
}

/* Under the lock, as all that follow. */
static struct rate_bucket *new_bucket(struct rate_limits *all, const struct token_bucket *t, int64_t now_ns)
{
    struct rate_bucket *b = mem_zalloc(sizeof(*b) + t->key.n);

    if (!b)
        return NULL;
    memcpy(b + 1, t->key.p, t->key.n);
    b->key = (struct str){ (const char *)(b + 1), t->key.n };
    b->most = t->most;
    b->per_fill = t->per_fill;
    b->interval_ns = t->interval_ms * 1000000;
    b->born_ns = now_ns;
    atomic_init(&b->state, pack(0, t->most));
    if (strmap_put(&all->buckets, b->key, b, NULL) < 0) {
        mem_free(b);
        return NULL;
    }
    return b;
}

static struct rate_bucket *get_bucket(struct rate_limits *all, const struct token_bucket *t, int64_t now_ns)
{
    struct rate_bucket *b = strmap_get(&all->buckets, t->key);

    if (!b)
        b = new_bucket(all, t, now_ns);
    if (b)
        b->refs++;
    return b;
}

static void put_bucket(struct rate_limits *all, struct rate_bucket *b)
{
    if (!b || --b->refs > 0)
        return;
    strmap_del(&all->buckets, b->key);
    mem_free(b);
}

static struct rate_limit_counts *get_counts(struct rate_limits *all, struct str prefix, bool of_connections)
{
    struct rate_limit_counts *c = strmap_get(&all->counts[of_connections], prefix);

    if (!c) {
        c = mem_zalloc(sizeof(*c) + prefix.n);
        if (!c)
            return NULL;
        memcpy(c + 1, prefix.p, prefix.n);
        c->prefix = (struct str){ (const char *)(c + 1), prefix.n };
        c->of_connections = of_connections;
        if (strmap_put(&all->counts[of_connections], c->prefix, c, NULL) < 0) {
            mem_free(c);
            return NULL;
        }
    }
    c->refs++;
    return c;
}

static void put_counts(struct rate_limits *all, struct rate_limit_counts *c)
{
    if (!c || --c->refs > 0)
        return;
    strmap_del(&all->counts[c->of_connections], c->prefix);
    mem_free(c);
}

static bool open_all(struct rate_limiter *r, struct rate_limits *all, int64_t now_ns)
{
    const struct rate_limit *l = r->limit;

    r->counts = get_counts(all, l->stat_prefix, l->of_connections);
    if (l->bucket.most)
        r->bucket = get_bucket(all, &l->bucket, now_ns);
    if (!r->counts || (l->bucket.most && !r->bucket))
        return false;
    for (size_t i = 0; i < l->ndescriptors; i++) {
        r->descriptors[i] = get_bucket(all, &l->descriptors[i].bucket, now_ns);
        if (!r->descriptors[i])
            return false;
    }
    return true;
}

int rate_limiter_open(struct rate_limiter *r, struct rate_limits *all, const struct rate_limit *l,
                      struct arena *a, int64_t now_ns)
{
    bool ok;

    r->descriptors = arena_array(a, l->ndescriptors, sizeof(struct rate_bucket *));
    if (!r->descriptors)
        return ERR_NOMEM;
    r->limit = l;
    pthread_mutex_lock(&all->lock);
    ok = open_all(r, all, now_ns);
    pthread_mutex_unlock(&all->lock);
    return ok ? 0 : ERR_NOMEM;
}

void rate_limiter_close(struct rate_limiter *r, struct rate_limits *all)
{
    if (!r->limit)
        return;
    pthread_mutex_lock(&all->lock);
    put_bucket(all, r->bucket);
    for (size_t i = 0; i < r->limit->ndescriptors; i++)
        put_bucket(all, r->descriptors[i]);
    put_counts(all, r->counts);
    pthread_mutex_unlock(&all->lock);
}

/* ---- descriptors ---- */

/* p NULL: there is no parameter of that name. */
static struct str parameter(struct str query, struct str name)
{
    while (query.p) {
        struct str value = str_cut(&query, '&'), key = str_cut(&value, '=');

        if (str_eq(key, name))
            return value.p ? value : STR("");
    }
    return STR_NULL;
}

static struct str value_of(const struct rate_limit_facts *f, bool query, struct str name)
{
    return query ? parameter(f->query, name) : header_nth(&f->headers, name, 0);
}

/* What is not there matches nothing, inverted or not, but the question whether it is there. */
static bool key_matches(const struct rate_limit_facts *f, bool query, const struct key_match *k)
{
    struct str value = value_of(f, query, k->name);

    if (k->value.kind == STRING_PRESENT)
        return (value.p != NULL) != k->invert;
    return value.p && router_match_string(&k->value, value) != k->invert;
}

static bool all_match(const struct rate_limit_facts *f, const struct rate_limit_action *a)
{
    for (size_t i = 0; i < a->nmatches; i++)
        if (!key_matches(f, a->source == RATE_LIMIT_QUERY_MATCH, &a->matches[i]))
            return false;
    return true;
}

/* What the action finds; p NULL: nothing. */
static struct str find_value(const struct rate_limit_facts *f, const struct rate_limit_action *a)
{
    switch (a->source) {
    case RATE_LIMIT_GENERIC:
        return a->value;
    case RATE_LIMIT_HEADER:
    case RATE_LIMIT_QUERY:
        return value_of(f, a->source == RATE_LIMIT_QUERY, a->name);
    case RATE_LIMIT_HEADER_MATCH:
    case RATE_LIMIT_QUERY_MATCH:
        return all_match(f, a) != a->negate ? a->value : STR_NULL;
    case RATE_LIMIT_REMOTE_ADDRESS:
        return f->remote_ip;
    case RATE_LIMIT_DESTINATION_CLUSTER:
        return f->cluster.n ? f->cluster : STR_NULL;
    }
    return STR_NULL;
}

/* Whether the descriptor that these actions make, if they make one, is just this. */
static bool makes(const struct rate_limit_facts *f, const struct rate_limit_actions *actions,
                  const struct rate_limit_descriptor *d)
{
    size_t n = 0;

    for (size_t i = 0; i < actions->n; i++) {
        const struct rate_limit_action *a = &actions->v[i];
        bool same_key = n < d->nentries && str_eq(a->key, d->entries[n].key);
        struct str value;

        if (!same_key && !a->skip_if_absent)
            return false;
        value = find_value(f, a);
        if (!value.p && a->skip_if_absent)
            continue;
        if (!value.p || !same_key || !str_eq(value, d->entries[n].value))
            return false;
        n++;
    }
    return n == d->nentries;
}

static bool one_makes(const struct rate_limit_facts *f, const struct rate_limit_actions *v, size_t n,
                      const struct rate_limit_descriptor *d)
{
    for (size_t i = 0; i < n; i++)
        if (makes(f, &v[i], d))
            return true;
    return false;
}

/* Whose actions count: the limit's own, or the route's, and the virtual host's. */
static bool is_made(const struct rate_limit *l, const struct rate_limit_facts *f, const struct rate_limit_descriptor *d)
{
    bool has_route = f->route && f->route->nactions;

    if (l->nactions)
        return one_makes(f, l->actions, l->nactions, d);
    if (has_route && one_makes(f, f->route->actions, f->route->nactions, d))
        return true;
    if (!f->host || l->inherit == RATE_LIMIT_IGNORE || (has_route && l->inherit == RATE_LIMIT_OVERRIDE))
        return false;
    return one_makes(f, f->host->actions, f->host->nactions, d);
}

/* ---- asking ---- */

static void count(_Atomic uint64_t *of)
{
    atomic_fetch_add_explicit(of, 1, memory_order_relaxed);
}

static bool happens(struct rng *rng, uint32_t ppm)
{
    return ppm > 0 && (ppm >= MILLION || rng_below(rng, MILLION) < ppm);
}

/* True: there was a token in the bucket, which is the one to be told of from now on where none is yet. */
static bool take(struct rate_bucket *b, int64_t now_ns, const struct rate_bucket **told)
{
    bool taken = rate_bucket_take(b, now_ns);

    if (!taken || !*told)
        *told = b;
    return taken;
}

/* A token of each descriptor's bucket, the slowest first, and then of the common one. */
static bool take_all(const struct rate_limiter *r, const struct rate_limit_facts *facts, int64_t now_ns,
                     const struct rate_bucket **told)
{
    bool found = false;

    for (size_t i = 0; i < r->limit->ndescriptors; i++) {
        if (!is_made(r->limit, facts, &r->limit->descriptors[i]))
            continue;
        found = true;
        if (!take(r->descriptors[i], now_ns, told))
            return false;
    }
    return !r->bucket || (found && r->limit->spares_bucket) || take(r->bucket, now_ns, told);
}

void rate_limit_ask(const struct rate_limiter *r, const struct rate_limit_facts *facts, int64_t now_ns, struct rng *rng,
                    struct rate_limit_verdict *v)
{
    const struct rate_limit *l = r->limit;

    *v = (struct rate_limit_verdict){ .counted = happens(rng, l->enabled_ppm) };
    if (!v->counted)
        return;
    count(&r->counts->enabled);
    v->limited = !take_all(r, facts, now_ns, &v->bucket);
    count(v->limited ? &r->counts->limited : &r->counts->ok);
    v->refused = v->limited && happens(rng, l->enforced_ppm);
    if (v->refused)
        count(&r->counts->enforced);
}

bool rate_limit_ask_connection(const struct rate_limiter *r, int64_t now_ns)
{
    if (!r->limit->enabled_ppm || !r->bucket || rate_bucket_take(r->bucket, now_ns))
        return true;
    count(&r->counts->limited);
    return false;
}
