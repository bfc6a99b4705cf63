#include "proxy/jwt_cache.h"

#include "base/mem.h"

enum { WAYS = 4, SETS = JWT_CACHE_TOKENS / WAYS };

struct slot {
    uint64_t hash, used; /* used: the cache's turn then; 0: empty */
    struct jwt *token;
    struct jwks *keys;
};

struct jwt_cache {
    uint64_t turn;
    struct slot slots[SETS][WAYS];
};

struct jwt_cache *jwt_cache_new(void)
{
    return mem_zalloc(sizeof(struct jwt_cache));
}

static void drop(struct slot *s)
{
    jwt_put(s->token);
    jwks_put(s->keys);
    *s = (struct slot){ 0 };
}

void jwt_cache_free(struct jwt_cache *c)
{
    for (size_t i = 0; c && i < SETS; i++)
        for (size_t k = 0; k < WAYS; k++)
            drop(&c->slots[i][k]);
    mem_free(c);
}

struct jwt *jwt_cache_find(struct jwt_cache *c, struct str text, const struct jwks *keys)
{
    uint64_t hash;
    struct slot *set;

    if (!c || text.n > JWT_CACHE_LONGEST_TOKEN)
        return NULL;
    hash = str_hash(text);
    set = c->slots[hash % SETS];
    for (size_t i = 0; i < WAYS; i++)
        /* the hash only finds: what counts is the text */
        if (set[i].used && set[i].hash == hash && set[i].keys == keys && str_eq(set[i].token->text, text)) {
            set[i].used = ++c->turn;
            return set[i].token;
        }
    return NULL;
}

void jwt_cache_put(struct jwt_cache *c, struct jwt *t, struct jwks *keys)
{
    struct slot *set, *oldest;
    uint64_t hash;

    if (!c || t->text.n > JWT_CACHE_LONGEST_TOKEN)
        return;
    hash = str_hash(t->text);
    set = c->slots[hash % SETS];
    oldest = set;
    for (size_t i = 1; i < WAYS; i++)
        if (set[i].used < oldest->used)
            oldest = &set[i];
    drop(oldest);
    *oldest = (struct slot){ .hash = hash, .used = ++c->turn, .token = jwt_get(t), .keys = jwks_get(keys) };
}
