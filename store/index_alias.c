/* index_alias.c: second keys for series, in the same table as the first ones: a sender that spells its labels its own
 * way still finds its series with one search.
 *
 * An alias is a cache entry: forgetting one costs the sender a sort. So there are never more than series, they are not
 * logged, and the last one takes the place of one that goes. */
#include "store/index_state-internal.h"

#include "base/mem.h"

static struct index_key *key_at(const struct aliases *al, uint32_t at)
{
    return &al->chunks[at >> STRIPE_SHIFT]->key[at & (STRIPE - 1)];
}

static int reserve(struct aliases *al)
{
    size_t chunk = al->n >> STRIPE_SHIFT;

    if (chunk < al->nchunks)
        return 0;
    if (mem_grow(&al->chunks, &al->cap, chunk + 1, sizeof(struct alias_chunk *)) < 0)
        return ERR_NOMEM;
    al->chunks[chunk] = mem_alloc(sizeof(**al->chunks));
    if (!al->chunks[chunk])
        return ERR_NOMEM;
    al->nchunks++;
    return 0;
}

void index_alias(struct series_index *ix, struct index_key key, uint32_t id)
{
    struct aliases *al = &ix->aliases;

    if (!index_has(ix, id) || al->n >= ix->count || table_find(ix, key) || reserve(al) < 0)
        return;
    *key_at(al, al->n) = key;
    *alias_id(al, al->n) = id;
    if (table_put(ix, key, al->n | ALIAS_BIT) == 0)
        al->n++;
}

static void drop(struct series_index *ix, uint32_t at)
{
    struct aliases *al = &ix->aliases;
    uint32_t last = al->n - 1;

    table_take(ix, *key_at(al, at), at | ALIAS_BIT);
    if (at != last) {
        table_change(ix, *key_at(al, last), last | ALIAS_BIT, at | ALIAS_BIT);
        *key_at(al, at) = *key_at(al, last);
        *alias_id(al, at) = *alias_id(al, last);
    }
    al->n = last;
}

void aliases_sweep(struct series_index *ix)
{
    struct aliases *al = &ix->aliases;

    for (uint32_t at = al->n; at-- > 0;)
        if (al->n > ix->count || !index_has(ix, *alias_id(al, at)))
            drop(ix, at);
}

size_t aliases_bytes(const struct series_index *ix)
{
    return ix->aliases.nchunks * sizeof(**ix->aliases.chunks) + ix->aliases.cap * sizeof(struct alias_chunk *);
}

void aliases_fini(struct series_index *ix)
{
    for (size_t i = 0; i < ix->aliases.nchunks; i++)
        mem_free(ix->aliases.chunks[i]);
    mem_free(ix->aliases.chunks);
}
