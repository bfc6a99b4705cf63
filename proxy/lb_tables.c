#include "proxy/lb_tables.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/strmap.h"

#include <pthread.h>

enum { MOST_KEY = 64 * 1024 * 1024, MOST_TABLE = 512 * 1024 * 1024 };

struct shared_table {
    struct lb_table table; /* the first member */
    struct arena arena;
    struct buf key;
    size_t refs;           /* under the lock */
};

struct lb_tables {
    pthread_mutex_t lock;  /* guards `by_key` and the tables' refs */
    struct strmap by_key;  /* what a table is made of → struct shared_table */
};

struct lb_tables *lb_tables_new(void)
{
    struct lb_tables *all = mem_zalloc(sizeof(*all));

    if (all)
        pthread_mutex_init(&all->lock, NULL);
    return all;
}

void lb_tables_free(struct lb_tables *all)
{
    if (!all)
        return;
    strmap_free(&all->by_key);
    pthread_mutex_destroy(&all->lock);
    mem_free(all);
}

/* All that it is made of, each text behind its size: two that differ have two keys. */
static void put_key(struct buf *b, enum lb_policy policy, uint32_t size, const struct str *keys,
                    const uint32_t *weights, size_t n)
{
    const uint32_t head[] = { (uint32_t)policy, size };

    buf_put(b, head, sizeof(head));
    for (size_t i = 0; i < n; i++) {
        const uint32_t about[] = { weights[i], (uint32_t)keys[i].n };

        buf_put(b, about, sizeof(about));
        buf_str(b, keys[i]);
    }
}

static struct shared_table *find(struct lb_tables *all, struct str key)
{
    struct shared_table *t;

    pthread_mutex_lock(&all->lock);
    t = strmap_get(&all->by_key, key);
    if (t)
        t->refs++;
    pthread_mutex_unlock(&all->lock);
    return t;
}

static void free_table(struct shared_table *t)
{
    arena_free(&t->arena);
    buf_free(&t->key);
    mem_free(t);
}

/* Another thread may have made the same meanwhile: then that one counts. NULL: no memory. */
static struct shared_table *share(struct lb_tables *all, struct shared_table *t)
{
    struct shared_table *other;
    int rc = 0;

    pthread_mutex_lock(&all->lock);
    other = strmap_get(&all->by_key, buf_view(&t->key));
    if (other)
        other->refs++;
    else
        rc = strmap_put(&all->by_key, buf_view(&t->key), t, NULL);
    pthread_mutex_unlock(&all->lock);
    if (!other && rc == 0)
        return t;
    free_table(t);
    return other;
}

const struct lb_table *lb_tables_get(struct lb_tables *all, enum lb_policy policy, uint32_t size,
                                     const struct str *keys, const uint32_t *weights, size_t n)
{
    struct shared_table *t = NULL;
    struct buf key = BUF_INIT(MOST_KEY);

    put_key(&key, policy, size, keys, weights, n);
    if (!buf_failed(&key))
        t = find(all, buf_view(&key));
    if (t || buf_failed(&key) || !(t = mem_zalloc(sizeof(*t)))) {
        buf_free(&key);
        return t ? &t->table : NULL;
    }
    *t = (struct shared_table){ .arena = ARENA_INIT(MOST_TABLE), .key = key, .refs = 1 };
    if (lb_table_init(&t->table, &t->arena, policy, size, keys, weights, n) < 0) {
        free_table(t);
        return NULL;
    }
    t = share(all, t);
    return t ? &t->table : NULL;
}

void lb_tables_put(struct lb_tables *all, const struct lb_table *table)
{
    struct shared_table *t;
    bool last;

    if (!table)
        return;
    t = (struct shared_table *)(uintptr_t)table;
    pthread_mutex_lock(&all->lock);
    last = --t->refs == 0;
    if (last)
        strmap_del(&all->by_key, buf_view(&t->key));
    pthread_mutex_unlock(&all->lock);
    if (last)
        free_table(t);
}
