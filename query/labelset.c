#include "query/labelset-internal.h"

static bool named(struct str name, const struct str *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(names[i], name))
            return true;
    return false;
}

struct labels labels_select(struct labels l, const struct str *names, size_t n, bool keep, struct label *out)
{
    size_t kept = 0;

    for (size_t i = 0; i < l.n; i++)
        if (named(l.v[i].name, names, n) == keep)
            out[kept++] = l.v[i];
    return (struct labels){ out, kept };
}

struct labels labels_without_name(struct labels l, struct label *out)
{
    static const struct str reserved[] = { STR_INIT("__name__"), STR_INIT("__type__"), STR_INIT("__unit__") };

    return labels_select(l, reserved, 3, false, out);
}

struct labels labels_with(struct arena *a, struct labels l, struct str name, struct str value)
{
    struct label *v = arena_array(a, l.n + 1, sizeof(*v));
    size_t n = 0, i = 0;

    if (!v)
        return (struct labels){ NULL, 0 };
    for (; i < l.n && str_cmp(l.v[i].name, name) < 0; i++)
        v[n++] = l.v[i];
    if (value.n)
        v[n++] = (struct label){ name, value };
    for (; i < l.n; i++)
        if (!str_eq(l.v[i].name, name))
            v[n++] = l.v[i];
    return (struct labels){ v, n };
}

/* --- picking ----------------------------------------------------------------------------------------------------- */

int label_picker_init(struct label_picker *p, struct arena *a, const struct str *names, size_t n, bool keep)
{
    struct str *all;

    *p = (struct label_picker){ .names = names, .n = n, .keep = keep };
    if (keep)
        return 0;
    all = arena_array(a, n + 1, sizeof(*all));
    if (!all)
        return ERR_NOMEM;
    if (n)
        memcpy(all, names, n * sizeof(*all));
    all[n] = STR("__name__");
    p->names = all;
    p->n = n + 1;
    return 0;
}

static bool same_string(struct str a, struct str b)
{
    return a.p == b.p && a.n == b.n;
}

static bool same_shape(const struct label_picker *p, struct labels l)
{
    if (l.n != p->nshape)
        return false;
    for (size_t i = 0; i < l.n; i++)
        if (!same_string(l.v[i].name, p->shape[i]))
            return false;
    return true;
}

static int learn_shape(struct label_picker *p, struct arena *a, struct labels l)
{
    if (arena_grow(a, &p->shape, &p->shape_cap, l.n, sizeof(*p->shape)) < 0 ||
        arena_grow(a, &p->places, &p->places_cap, l.n, sizeof(*p->places)) < 0 ||
        arena_grow(a, &p->out, &p->out_cap, l.n, sizeof(*p->out)) < 0)
        return ERR_NOMEM;
    p->nshape = l.n;
    p->nplaces = 0;
    for (size_t i = 0; i < l.n; i++) {
        p->shape[i] = l.v[i].name;
        if (named(l.v[i].name, p->names, p->n) == p->keep)
            p->places[p->nplaces++] = (uint32_t)i;
    }
    return 0;
}

int label_pick(struct label_picker *p, struct arena *a, struct labels l, struct labels *out)
{
    if (!same_shape(p, l) && learn_shape(p, a, l) < 0)
        return ERR_NOMEM;
    for (size_t i = 0; i < p->nplaces; i++)
        p->out[i] = l.v[p->places[i]];
    *out = (struct labels){ p->out, p->nplaces };
    return 0;
}

/* --- order and tables -------------------------------------------------------------------------------------------- */

int labels_order(struct labels a, struct labels b)
{
    size_t i = 0;

    while (i < a.n && i < b.n && same_string(a.v[i].name, b.v[i].name) && same_string(a.v[i].value, b.v[i].value))
        i++;
    return labels_cmp((struct labels){ a.v + i, a.n - i }, (struct labels){ b.v + i, b.n - i });
}

/* Whether they are the same strings in memory, which is quickly seen. */
static bool identical(struct labels a, struct labels b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (!same_string(a.v[i].value, b.v[i].value) || !same_string(a.v[i].name, b.v[i].name))
            return false;
    return true;
}

/* The slot that holds the key, or the empty one where it would go. */
static uint32_t *slot_of(const struct label_map *m, struct labels l, uint64_t hash)
{
    size_t i = hash & (m->nslots - 1);

    while (m->slots[i] && (m->hashes[m->slots[i] - 1] != hash || labels_order(m->keys[m->slots[i] - 1], l) != 0))
        i = (i + 1) & (m->nslots - 1);
    return &m->slots[i];
}

static int grow_slots(struct label_map *m, struct arena *a)
{
    size_t n = m->nslots ? m->nslots * 2 : 32;
    uint32_t *slots = arena_array(a, n, sizeof(*slots));

    if (!slots)
        return ERR_NOMEM;
    m->slots = slots;
    m->nslots = n;
    for (size_t i = 0; i < m->n; i++)
        *slot_of(m, m->keys[i], m->hashes[i]) = (uint32_t)i + 1;
    return 0;
}

bool label_map_find(const struct label_map *m, struct labels l, size_t *number)
{
    uint32_t slot = m->nslots ? *slot_of(m, l, labels_hash(l)) : 0;

    if (!slot)
        return false;
    *number = slot - 1;
    return true;
}

int label_map_add(struct label_map *m, struct arena *a, struct labels l, size_t *number)
{
    struct label *copy;
    uint64_t hash;
    uint32_t *slot;

    *number = m->last;
    if (m->n && identical(m->keys[m->last], l))
        return 0;
    if (m->n * 2 >= m->nslots && grow_slots(m, a) < 0)
        return ERR_NOMEM;
    hash = labels_hash(l);
    slot = slot_of(m, l, hash);
    if (*slot) {
        m->last = *number = *slot - 1;
        return 0;
    }
    if (m->n >= UINT32_MAX - 1 || arena_grow(a, &m->keys, &m->cap, m->n + 1, sizeof(*m->keys)) < 0 ||
        arena_grow(a, &m->hashes, &m->hashes_cap, m->n + 1, sizeof(*m->hashes)) < 0)
        return ERR_NOMEM;
    copy = arena_array(a, l.n ? l.n : 1, sizeof(*copy));
    if (!copy)
        return ERR_NOMEM;
    if (l.n)
        memcpy(copy, l.v, l.n * sizeof(*copy));
    m->last = *number = m->n;
    m->keys[m->n] = (struct labels){ copy, l.n };
    m->hashes[m->n++] = hash;
    *slot = (uint32_t)m->n;
    return 1;
}
