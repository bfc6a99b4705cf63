#include "collector/scrape_metadata-internal.h"

#include "base/mem.h"

enum { SPARE = 1000 };

void metadata_init(struct scrape_metadata *m)
{
    *m = (struct scrape_metadata){ .map = STRMAP_INIT };
    pthread_mutex_init(&m->lock, NULL);
}

void metadata_fini(struct scrape_metadata *m)
{
    const struct strmap_slot *slot;
    size_t at = 0;

    while ((slot = strmap_next(&m->map, &at)))
        mem_free(slot->value);
    strmap_free(&m->map);
    pthread_mutex_destroy(&m->lock);
}

static struct str put(char **to, struct str s)
{
    struct str copy = { *to, s.n };

    if (s.n)
        memcpy(*to, s.p, s.n);
    *to += s.n;
    return copy;
}

static struct metric_info *new_info(const struct batch_metadata *m)
{
    struct metric_info *info = mem_zalloc(sizeof(*info) + m->metric.n + m->type.n + m->help.n + m->unit.n);
    char *to;

    if (!info)
        return NULL;
    to = (char *)(info + 1);
    info->m = (struct batch_metadata){ put(&to, m->metric), put(&to, m->type), put(&to, m->help), put(&to, m->unit) };
    return info;
}

/* In place of `old`, or new. Only the lock's holder may see it change. */
static int replace(struct scrape_metadata *m, struct metric_info *old, const struct batch_metadata *now, uint32_t page)
{
    struct metric_info *info = new_info(now);
    int rc = info ? 0 : ERR_NOMEM;

    if (rc < 0)
        return rc;
    info->seen = page;
    pthread_mutex_lock(&m->lock);
    if (old)
        strmap_del(&m->map, old->m.metric); /* its key is part of it */
    rc = strmap_put(&m->map, info->m.metric, info, NULL);
    pthread_mutex_unlock(&m->lock);
    m->unstored += !(old && !old->stored);
    mem_free(rc < 0 ? info : old);
    return rc;
}

static bool differs(const struct batch_metadata *a, const struct batch_metadata *b)
{
    return !str_eq(a->type, b->type) || !str_eq(a->help, b->help) || !str_eq(a->unit, b->unit);
}

int metadata_take(struct scrape_metadata *m, uint32_t page, const struct exposition_item *item)
{
    struct arena a = ARENA_INIT(0); /* a line at most */
    struct batch_metadata now = { .metric = exposition_name(&a, item->metric), .type = STR("unknown") };
    struct str text = item->kind == EXPOSITION_HELP ? exposition_text(&a, item->text) : item->text;
    struct metric_info *old = now.metric.p ? strmap_get(&m->map, now.metric) : NULL;
    int rc = now.metric.p && text.p ? 0 : ERR_NOMEM;

    if (old)
        now = old->m;
    if (item->kind == EXPOSITION_HELP)
        now.help = text;
    else if (item->kind == EXPOSITION_TYPE)
        now.type = text;
    else
        now.unit = text;
    if (rc == 0 && now.metric.n && (!old || differs(&now, &old->m)))
        rc = replace(m, old, &now, page);
    else if (old)
        old->seen = page;
    arena_free(&a);
    return rc;
}

int metadata_add(struct scrape_metadata *m, struct batch *b)
{
    const struct strmap_slot *slot;
    size_t at = 0;

    while (m->unstored && (slot = strmap_next(&m->map, &at))) {
        const struct metric_info *info = slot->value;

        if (!info->stored && batch_add_metadata(b, &info->m) < 0)
            return ERR_NOMEM;
    }
    return 0;
}

void metadata_stored(struct scrape_metadata *m, bool well)
{
    const struct strmap_slot *slot;
    size_t at = 0;

    if (!well || m->unstored == 0)
        return;
    while ((slot = strmap_next(&m->map, &at)))
        ((struct metric_info *)slot->value)->stored = true;
    m->unstored = 0;
}

void metadata_trim(struct scrape_metadata *m, uint32_t page)
{
    const struct strmap_slot *slot;
    size_t at = 0, seen = 0;

    if (m->map.n <= SPARE || m->unstored)
        return;
    while ((slot = strmap_next(&m->map, &at)))
        seen += ((const struct metric_info *)slot->value)->seen == page;
    if (m->map.n <= seen + seen / 2 + SPARE)
        return;
    pthread_mutex_lock(&m->lock);
    for (at = 0; (slot = strmap_next(&m->map, &at));) {
        struct metric_info *info = slot->value;

        if (info->seen != page) {
            strmap_del(&m->map, info->m.metric);
            mem_free(info);
        }
    }
    pthread_mutex_unlock(&m->lock);
}
