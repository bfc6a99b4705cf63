/* index_text.c: names and values, each kept once, and the pairs they make, numbered as they come.
 *
 * Texts come from outside, so tables that look them up hash with the process' own seed; what is to be the same in every
 * process (pair.hash) does not serve a table. Whatever is made can be taken back from the end (texts_rollback). */
#include "store/index_state-internal.h"

#include "base/mem.h"

enum { TEXT_BLOCK = 1 << 16, FIRST_SLOTS = 64 };

/* --- the bytes --- */

static char *text_room(struct texts *t, size_t n)
{
    struct text_block *b = t->blocks;
    char *at;

    if (!b || b->size - b->used < n) {
        size_t size = n > TEXT_BLOCK ? n : TEXT_BLOCK;

        b = mem_alloc(sizeof(*b) + size);
        if (!b)
            return NULL;
        *b = (struct text_block){ t->blocks, t->taken, 0, size };
        t->blocks = b;
        t->held += sizeof(*b) + size;
    }
    at = b->bytes + b->used;
    b->used += n;
    t->taken += n;
    return at;
}

static const char *text_keep(struct texts *t, struct str s)
{
    char *at = text_room(t, s.n);

    if (at && s.n)
        memcpy(at, s.p, s.n);
    return at;
}

static void text_forget(struct texts *t, size_t taken)
{
    while (t->blocks && t->blocks->start >= taken) {
        struct text_block *b = t->blocks;

        t->blocks = b->older;
        t->held -= sizeof(*b) + b->size;
        mem_free(b);
    }
    if (t->blocks)
        t->blocks->used = taken - t->blocks->start;
    t->taken = taken;
}

/* --- the tables --- */

static uint64_t slot(uint32_t hash, uint32_t id)
{
    return (uint64_t)hash << 32 | id;
}

static void slot_put(struct text_table *t, uint64_t s)
{
    size_t i = (s >> 32) & (t->cap - 1);

    while (t->slots[i])
        i = (i + 1) & (t->cap - 1);
    t->slots[i] = s;
}

static int table_reserve(struct text_table *t)
{
    struct text_table to = { NULL, t->n, t->cap ? t->cap * 2 : FIRST_SLOTS };

    if (t->n + 1 <= t->cap / 4 * 3)
        return 0;
    to.slots = mem_zalloc(to.cap * sizeof(*to.slots));
    if (!to.slots)
        return ERR_NOMEM;
    for (size_t i = 0; i < t->cap; i++)
        if (t->slots[i])
            slot_put(&to, t->slots[i]);
    mem_free(t->slots);
    *t = to;
    return 0;
}

static void table_add(struct text_table *t, uint32_t hash, uint32_t id)
{
    slot_put(t, slot(hash, id));
    t->n++;
}

/* Closes the gap: each entry behind it that may move up does. */
static void table_drop(struct text_table *t, uint32_t hash, uint32_t id)
{
    size_t mask = t->cap - 1, gap = hash & mask;

    while (t->slots[gap] != slot(hash, id))
        gap = (gap + 1) & mask;
    for (size_t i = (gap + 1) & mask; t->slots[i]; i = (i + 1) & mask) {
        size_t from_home = (i - (t->slots[i] >> 32)) & mask, from_gap = (i - gap) & mask;

        if (from_home < from_gap)
            continue;
        t->slots[gap] = t->slots[i];
        gap = i;
    }
    t->slots[gap] = 0;
    t->n--;
}

static uint32_t name_slot_hash(struct str name)
{
    return (uint32_t)(str_hash(name) >> 32);
}

static uint32_t pair_slot_hash(uint32_t name, struct str value)
{
    return (uint32_t)((str_hash(value) + name) * 0x9e3779b97f4a7c15u >> 32);
}

static uint32_t name_search(const struct texts *t, uint32_t hash, struct str name)
{
    const struct text_table *tt = &t->name_table;

    for (size_t i = hash & (tt->cap - 1); tt->cap && tt->slots[i]; i = (i + 1) & (tt->cap - 1))
        if (tt->slots[i] >> 32 == hash && str_eq(t->names[(uint32_t)tt->slots[i]].text, name))
            return (uint32_t)tt->slots[i];
    return 0;
}

static uint32_t pair_search(const struct texts *t, uint32_t hash, uint32_t name, struct str value)
{
    const struct text_table *tt = &t->pair_table;

    for (size_t i = hash & (tt->cap - 1); tt->cap && tt->slots[i]; i = (i + 1) & (tt->cap - 1)) {
        const struct pair *p;

        if (tt->slots[i] >> 32 != hash)
            continue;
        p = pair_at(t, (uint32_t)tt->slots[i]);
        if (p->name == name && str_eq(pair_value(p), value))
            return (uint32_t)tt->slots[i];
    }
    return 0;
}

uint32_t name_find(const struct texts *t, struct str name)
{
    return name_search(t, name_slot_hash(name), name);
}

uint32_t pair_find(const struct texts *t, uint32_t name, struct str value)
{
    return pair_search(t, pair_slot_hash(name, value), name, value);
}

/* --- making --- */

static uint32_t name_make(struct texts *t, uint32_t hash, struct str name)
{
    uint32_t id = t->nnames + 1;
    const char *text;

    if (table_reserve(&t->name_table) < 0 || mem_grow(&t->names, &t->names_cap, (size_t)id + 1, sizeof(*t->names)) < 0)
        return 0;
    text = text_keep(t, name);
    if (!text)
        return 0;
    t->names[id] = (struct name){ .text = { text, name.n }, .hash = str_hash_stable(name) };
    table_add(&t->name_table, hash, id);
    t->nnames = id;
    if (str_eqz(name, "__name__"))
        t->metric = id;
    else if (str_eqz(name, "le"))
        t->le = id;
    return id;
}

uint32_t name_intern(struct texts *t, struct str name)
{
    uint32_t hash = name_slot_hash(name), id = name_search(t, hash, name);

    return id ? id : name_make(t, hash, name);
}

static int reserve_pair(struct texts *t, uint32_t id)
{
    size_t chunk = id >> PAIR_SHIFT;

    if (chunk < t->pair_chunks)
        return 0;
    if (mem_grow(&t->pairs, &t->pair_chunks_cap, chunk + 1, sizeof(struct pair *)) < 0)
        return ERR_NOMEM;
    t->pairs[chunk] = mem_alloc(PAIR_CHUNK * sizeof(struct pair));
    if (!t->pairs[chunk])
        return ERR_NOMEM;
    t->pair_chunks++;
    return 0;
}

static uint64_t what_it_adds(const struct texts *t, uint32_t name, struct str value)
{
    if (name == t->metric)
        return str_hash_stable(value) >> 48;
    return name == t->le ? le_number(value) : pair_hash(t->names[name].hash, value);
}

static uint32_t pair_make(struct texts *t, uint32_t hash, uint32_t name, struct str value)
{
    uint32_t id = t->npairs + 1;
    struct name *nm = &t->names[name];
    const char *text;

    if (id == UINT32_MAX || value.n > UINT32_MAX || table_reserve(&t->pair_table) < 0 || reserve_pair(t, id) < 0 ||
        mem_grow(&nm->pairs, &nm->pairs_cap, (size_t)nm->npairs + 1, sizeof(*nm->pairs)) < 0)
        return 0;
    text = text_keep(t, value);
    if (!text)
        return 0;
    *pair_at(t, id) = (struct pair){ text, (uint32_t)value.n, name, what_it_adds(t, name, value), 0, nm->npairs };
    nm->pairs[nm->npairs++] = id;
    table_add(&t->pair_table, hash, id);
    t->npairs = id;
    return id;
}

uint32_t pair_intern(struct texts *t, uint32_t name, struct str value)
{
    uint32_t hash = pair_slot_hash(name, value), id = pair_search(t, hash, name, value);

    return id ? id : pair_make(t, hash, name, value);
}

/* --- taking back --- */

static void drop_pair(struct texts *t, uint32_t id)
{
    const struct pair *p = pair_at(t, id);

    table_drop(&t->pair_table, pair_slot_hash(p->name, pair_value(p)), id);
    t->names[p->name].npairs--; /* the newest of all is the newest of its name */
}

static void drop_name(struct texts *t, uint32_t id)
{
    struct name *nm = &t->names[id];

    table_drop(&t->name_table, name_slot_hash(nm->text), id);
    mem_free(nm->pairs);
    if (t->metric == id)
        t->metric = 0;
    if (t->le == id)
        t->le = 0;
}

void texts_rollback(struct texts *t, uint32_t nnames, uint32_t npairs, size_t taken)
{
    for (; t->npairs > npairs; t->npairs--)
        drop_pair(t, t->npairs);
    for (; t->nnames > nnames; t->nnames--)
        drop_name(t, t->nnames);
    text_forget(t, taken);
}

size_t texts_bytes(const struct texts *t)
{
    size_t n = t->held + t->names_cap * sizeof(*t->names) + t->pair_chunks * PAIR_CHUNK * sizeof(struct pair) +
               (t->name_table.cap + t->pair_table.cap) * sizeof(uint64_t);

    for (uint32_t i = 1; i <= t->nnames; i++)
        n += t->names[i].pairs_cap * sizeof(*t->names[i].pairs);
    return n;
}

void texts_fini(struct texts *t)
{
    for (uint32_t i = 1; i <= t->nnames; i++)
        mem_free(t->names[i].pairs);
    for (size_t i = 0; i < t->pair_chunks; i++)
        mem_free(t->pairs[i]);
    text_forget(t, 0);
    mem_free(t->names);
    mem_free(t->pairs);
    mem_free(t->name_table.slots);
    mem_free(t->pair_table.slots);
}
