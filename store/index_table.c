/* index_table.c: from a key to a number, at nine bytes for a series.
 *
 * Problem  One table that doubles is half empty on average, is copied while everybody waits, and needs both copies
 *          meanwhile.
 * Idea     The key's upper bits choose one of 1,024 segments, each a small table that doubles alone: at a million
 *          series that moves a thousand entries. Keys are not repeated here: a number leads to its key. So that few
 *          wrong keys are looked at, eight bits of each key stand beside its number, and twelve numbers with their bits
 *          are one cache line, a group: a search reads one line here and one key.
 * Full     A group that is full passes on to the next one and says so (`spilled`): a search goes on only then. The mark
 *          stays when entries leave, so departures are counted (`graves`), and the next growth begins afresh. */
#include "store/index_state-internal.h"

#include "base/mem.h"

enum { LINE = 64 };

_Static_assert(sizeof(struct group) == LINE, "a group is a cache line");

static struct segment *segment_of(const struct series_index *ix, struct index_key key)
{
    return (struct segment *)(uintptr_t)&ix->segments[key.hi >> 54];
}

static uint32_t home(const struct segment *s, struct index_key key)
{
    return (uint32_t)(((key.hi & 0xffffffffu) * s->ngroups) >> 32);
}

static uint8_t tag_of(struct index_key key)
{
    return (uint8_t)key.lo;
}

static uint32_t next(const struct segment *s, uint32_t g)
{
    return g + 1 == s->ngroups ? 0 : g + 1;
}

static struct index_key key_of(const struct series_index *ix, uint32_t id)
{
    return id & ALIAS_BIT ? alias_key(&ix->aliases, id & ~ALIAS_BIT) : stripe_of(ix, id)->key[id & (STRIPE - 1)];
}

static bool same(struct index_key a, struct index_key b)
{
    return a.lo == b.lo && a.hi == b.hi;
}

void index_prefetch(const struct series_index *ix, struct index_key key)
{
    const struct segment *s = segment_of(ix, key);

    if (s->ngroups)
        __builtin_prefetch(&s->groups[home(s, key)]);
}

uint32_t table_find(const struct series_index *ix, struct index_key key)
{
    const struct segment *s = segment_of(ix, key);
    uint8_t tag = tag_of(key);
    uint32_t g;

    if (s->ngroups == 0)
        return 0;
    g = home(s, key);
    for (uint32_t looked = 0; looked < s->ngroups; looked++, g = next(s, g)) {
        const struct group *line = &s->groups[g];

        for (unsigned i = 0; i < GROUP; i++)
            if (line->tag[i] == tag && line->id[i] && same(key_of(ix, line->id[i]), key))
                return line->id[i];
        if (!line->spilled)
            break;
    }
    return 0;
}

/* There is a free slot somewhere. */
static void place(struct segment *s, struct index_key key, uint32_t id)
{
    for (uint32_t g = home(s, key);; g = next(s, g)) {
        struct group *line = &s->groups[g];

        for (unsigned i = 0; i < GROUP; i++) {
            if (line->id[i])
                continue;
            line->id[i] = id;
            line->tag[i] = tag_of(key);
            return;
        }
        line->spilled = 1;
    }
}

static uint32_t room(uint32_t ngroups)
{
    return ngroups * GROUP * 4 / 5;
}

/* The keys of a group lie all over the memory: asked for together, they come together. */
static void prefetch_keys(const struct series_index *ix, const struct group *line)
{
    for (unsigned i = 0; i < GROUP; i++)
        if (line->id[i] && !(line->id[i] & ALIAS_BIT))
            __builtin_prefetch(&stripe_of(ix, line->id[i])->key[line->id[i] & (STRIPE - 1)]);
}

static int rebuild(const struct series_index *ix, struct segment *s, uint32_t ngroups)
{
    void *memory = mem_zalloc((size_t)ngroups * sizeof(struct group) + LINE);
    struct segment to;

    if (!memory)
        return ERR_NOMEM;
    to = (struct segment){ memory, (struct group *)(((uintptr_t)memory + LINE - 1) & ~(uintptr_t)(LINE - 1)), ngroups,
                           s->n, 0 };
    for (uint32_t g = 0; g < s->ngroups; g++) {
        prefetch_keys(ix, &s->groups[next(s, g)]);
        for (unsigned i = 0; i < GROUP; i++)
            if (s->groups[g].id[i])
                place(&to, key_of(ix, s->groups[g].id[i]), s->groups[g].id[i]);
    }
    mem_free(s->memory);
    *s = to;
    return 0;
}

int table_put(struct series_index *ix, struct index_key key, uint32_t id)
{
    struct segment *s = segment_of(ix, key);

    if (s->n + s->graves >= room(s->ngroups)) {
        uint32_t want = s->n >= room(s->ngroups) / 2 ? s->ngroups * 2 + (s->ngroups == 0) : s->ngroups;

        if (rebuild(ix, s, want) < 0)
            return ERR_NOMEM;
    }
    place(s, key, id);
    s->n++;
    return 0;
}

/* The slot that holds `id`, which is there. */
static uint32_t *slot_of(const struct segment *s, struct index_key key, uint32_t id)
{
    for (uint32_t g = home(s, key);; g = next(s, g))
        for (unsigned i = 0; i < GROUP; i++)
            if (s->groups[g].id[i] == id)
                return &s->groups[g].id[i];
}

void table_take(struct series_index *ix, struct index_key key, uint32_t id)
{
    struct segment *s = segment_of(ix, key);

    *slot_of(s, key, id) = 0;
    s->n--;
    s->graves++;
}

void table_change(struct series_index *ix, struct index_key key, uint32_t from, uint32_t to)
{
    *slot_of(segment_of(ix, key), key, from) = to;
}

size_t table_bytes(const struct series_index *ix)
{
    size_t n = 0;

    for (unsigned i = 0; i < SEGMENTS; i++)
        if (ix->segments[i].memory)
            n += ix->segments[i].ngroups * sizeof(struct group) + LINE;
    return n;
}

void table_fini(struct series_index *ix)
{
    for (unsigned i = 0; i < SEGMENTS; i++)
        mem_free(ix->segments[i].memory);
}
