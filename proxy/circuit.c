#include "proxy/circuit.h"

#include "base/mem.h"

#include <string.h>

struct circuits {
    pthread_mutex_t lock;  /* guards `by_name` and the circuits' refs */
    struct strmap by_name;
};

struct circuits *circuits_new(void)
{
    struct circuits *cs = mem_zalloc(sizeof(*cs));

    if (cs)
        pthread_mutex_init(&cs->lock, NULL);
    return cs;
}

void circuits_free(struct circuits *cs)
{
    if (!cs)
        return;
    strmap_free(&cs->by_name);
    pthread_mutex_destroy(&cs->lock);
    mem_free(cs);
}

static void free_circuit(struct circuit *c)
{
    strmap_free(&c->hosts);
    pthread_mutex_destroy(&c->lock);
    mem_free(c);
}

static struct circuit *new_circuit(struct circuits *cs, struct str name)
{
    struct circuit *c = mem_zalloc(sizeof(*c) + name.n);

    if (!c)
        return NULL;
    memcpy(c + 1, name.p, name.n);
    c->name = (struct str){ (const char *)(c + 1), name.n };
    c->all = cs;
    pthread_mutex_init(&c->lock, NULL);
    if (strmap_put(&cs->by_name, c->name, c, NULL) < 0) {
        free_circuit(c);
        return NULL;
    }
    return c;
}

static struct circuit *get(struct circuits *cs, struct str cluster, bool make)
{
    struct circuit *c;

    pthread_mutex_lock(&cs->lock);
    c = strmap_get(&cs->by_name, cluster);
    if (!c && make)
        c = new_circuit(cs, cluster);
    if (c)
        c->refs++;
    pthread_mutex_unlock(&cs->lock);
    return c;
}

struct circuit *circuit_get(struct circuits *cs, struct str cluster)
{
    return get(cs, cluster, true);
}

struct circuit *circuit_find(struct circuits *cs, struct str cluster)
{
    return get(cs, cluster, false);
}

void circuit_put(struct circuit *c)
{
    struct circuits *cs = c ? c->all : NULL;
    bool last;

    if (!c)
        return;
    pthread_mutex_lock(&cs->lock);
    last = --c->refs == 0;
    if (last)
        strmap_del(&cs->by_name, c->name);
    pthread_mutex_unlock(&cs->lock);
    if (last)
        free_circuit(c);
}

void circuits_each(struct circuits *cs, void (*each)(void *arg, struct circuit *c), void *arg)
{
    const struct strmap_slot *slot;
    size_t at = 0;

    pthread_mutex_lock(&cs->lock);
    while ((slot = strmap_next(&cs->by_name, &at)))
        each(arg, slot->value);
    pthread_mutex_unlock(&cs->lock);
}

int64_t circuit_ejected_until(struct circuit *c, struct str address)
{
    const struct circuit_host *h;
    int64_t until_ns;

    pthread_mutex_lock(&c->lock);
    h = strmap_get(&c->hosts, address);
    until_ns = h ? atomic_load(&h->ejected_until_ns) : 0;
    pthread_mutex_unlock(&c->lock);
    return until_ns;
}

enum host_health circuit_health(struct circuit *c, struct str address)
{
    const struct circuit_host *h;
    enum host_health health;

    pthread_mutex_lock(&c->lock);
    h = strmap_get(&c->hosts, address);
    health = h ? atomic_load(&h->health) : HOST_UNCHECKED;
    pthread_mutex_unlock(&c->lock);
    return health;
}

static struct circuit_host *new_host(struct circuit *c, struct str address, int64_t now_ns)
{
    struct circuit_host *h = mem_zalloc(sizeof(*h) + address.n);

    if (!h)
        return NULL;
    memcpy(h + 1, address.p, address.n);
    h->address = (struct str){ (const char *)(h + 1), address.n };
    h->born_ns = now_ns;
    if (strmap_put(&c->hosts, h->address, h, NULL) < 0) {
        mem_free(h);
        return NULL;
    }
    return h;
}

struct circuit_host *circuit_host_get(struct circuit *c, struct str address, int64_t now_ns)
{
    struct circuit_host *h;

    pthread_mutex_lock(&c->lock);
    h = strmap_get(&c->hosts, address);
    if (!h)
        h = new_host(c, address, now_ns);
    if (h)
        h->refs++;
    pthread_mutex_unlock(&c->lock);
    return h;
}

void circuit_host_put(struct circuit *c, struct circuit_host *h)
{
    if (!h)
        return;
    pthread_mutex_lock(&c->lock);
    if (--h->refs == 0) {
        strmap_del(&c->hosts, h->address);
        mem_free(h);
    }
    pthread_mutex_unlock(&c->lock);
}

uint32_t circuit_most_retries(const struct circuit *c, uint32_t max, uint32_t budget_percent, uint32_t least)
{
    uint64_t active, most;

    if (budget_percent == 0)
        return max;
    active = (uint64_t)atomic_load_explicit(&c->requests, memory_order_relaxed) +
             atomic_load_explicit(&c->pending, memory_order_relaxed);
    most = active * budget_percent / 100;
    most = most > least ? most : least;
    return most < UINT32_MAX ? (uint32_t)most : UINT32_MAX;
}
