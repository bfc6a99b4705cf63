/* policies.c: the lists of Istio's security and telemetry kinds, which are read and sorted alike. */
#include "mesh/model-internal.h"

#include <stdlib.h>

/* Any of struct policies' lists. */
struct list {
    void *v;
    size_t n, cap;
};

static int by_age(const void *a, const void *b)
{
    return object_age_cmp(((const struct policy_head *)a)->object, ((const struct policy_head *)b)->object);
}

static int by_name(const void *a, const void *b)
{
    const struct mesh_object *x = ((const struct policy_head *)a)->object, *y = ((const struct policy_head *)b)->object;
    int c = str_cmp(x->ns, y->ns);

    return c ? c : str_cmp(x->name, y->name);
}

static const struct {
    const char *kind;
    const struct message *message;
    size_t list; /* where in struct policies */
    int (*order)(const void *a, const void *b);
} kinds[] = {
    { "PeerAuthentication", &peer_authentication_message, offsetof(struct policies, peers), by_age },
    { "RequestAuthentication", &request_authentication_message, offsetof(struct policies, requests), by_age },
    { "AuthorizationPolicy", &authorization_policy_message, offsetof(struct policies, authorizations), by_name },
    { "Telemetry", &telemetry_message, offsetof(struct policies, telemetries), by_age },
};

enum { NKINDS = sizeof(kinds) / sizeof(kinds[0]) };

const struct message *policies_add(struct check *c, struct policies *p, void **to)
{
    size_t kind = 0;
    struct list l;
    char *place;

    while (kind + 1 < NKINDS && !str_eqz(c->object->kind, kinds[kind].kind))
        kind++;
    place = (char *)p + kinds[kind].list;
    memcpy(&l, place, sizeof(l));
    if (arena_grow(c->arena, &l.v, &l.cap, l.n + 1, kinds[kind].message->size) < 0) {
        c->nomem = true;
        return NULL;
    }
    *to = (char *)l.v + l.n++ * kinds[kind].message->size;
    ((struct policy_head *)*to)->object = c->object;
    memcpy(place, &l, sizeof(l));
    return kinds[kind].message;
}

void policies_sort(struct policies *p)
{
    for (size_t i = 0; i < NKINDS; i++) {
        struct list l;

        memcpy(&l, (const char *)p + kinds[i].list, sizeof(l));
        if (l.n > 1)
            qsort(l.v, l.n, kinds[i].message->size, kinds[i].order);
    }
}

void policies_each(const struct policies *p, void (*fn)(void *arg, const struct policy_head *head), void *arg)
{
    for (size_t i = 0; i < NKINDS; i++) {
        struct list l;

        memcpy(&l, (const char *)p + kinds[i].list, sizeof(l));
        for (size_t k = 0; k < l.n; k++)
            fn(arg, (const struct policy_head *)(const void *)((const char *)l.v + k * kinds[i].message->size));
    }
}
