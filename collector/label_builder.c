#include "collector/label_builder.h"

#include <stdlib.h>

static struct label *find(const struct label_builder *b, struct str name)
{
    for (size_t i = 0; i < b->n; i++)
        if (str_eq(b->v[i].name, name))
            return &b->v[i];
    return NULL;
}

struct str label_builder_get(const struct label_builder *b, struct str name)
{
    const struct label *l = find(b, name);

    return l ? l->value : STR_NULL;
}

int label_builder_set(struct label_builder *b, struct str name, struct str value)
{
    struct label *l = find(b, name);

    if (value.n == 0) {
        label_builder_del(b, name);
        return 0;
    }
    if (l) {
        l->value = value;
        return 0;
    }
    if (arena_grow(b->arena, &b->v, &b->cap, b->n + 1, sizeof(*b->v)) < 0)
        return ERR_NOMEM;
    b->v[b->n++] = (struct label){ name, value };
    return 0;
}

int label_builder_default(struct label_builder *b, struct str name, struct str value)
{
    return find(b, name) ? 0 : label_builder_set(b, name, value);
}

void label_builder_del(struct label_builder *b, struct str name)
{
    struct label *l = find(b, name);

    if (l)
        *l = b->v[--b->n];
}

void label_builder_del_prefix(struct label_builder *b, struct str prefix)
{
    size_t kept = 0;

    for (size_t i = 0; i < b->n; i++)
        if (!str_starts(b->v[i].name, prefix))
            b->v[kept++] = b->v[i];
    b->n = kept;
}

static int by_name(const void *a, const void *b)
{
    const struct label *x = a, *y = b;

    return str_cmp(x->name, y->name);
}

struct labels label_builder_view(struct label_builder *b)
{
    if (b->n > 1)
        qsort(b->v, b->n, sizeof(*b->v), by_name);
    return (struct labels){ b->v, b->n };
}
