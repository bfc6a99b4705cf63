#include "proxy/metric_tags.h"

#include "proxy/texts.h"

struct tag {
    uint32_t metrics;
    struct str name, value;
};

static bool next_tag(struct str *texts, struct tag *t)
{
    struct str metrics = texts_next(texts);

    if (metrics.n != sizeof(t->metrics))
        return false;
    memcpy(&t->metrics, metrics.p, sizeof(t->metrics));
    t->name = texts_next(texts);
    t->value = texts_next(texts);
    return true;
}

/* The last word on a label counts. */
static void set(struct metric_tags *to, const struct tag *t)
{
    size_t i = 0;

    while (i < to->n && !str_eq(to->v[i].name, t->name))
        i++;
    if (i == METRIC_TAGS_READ_MOST)
        return;
    to->v[i].name = t->name;
    to->v[i].value = t->value;
    if (i == to->n)
        to->n++;
}

uint32_t metric_tags_next(struct str texts, uint32_t *left, struct metric_tags *to)
{
    uint32_t first = *left & -*left, same = *left;
    struct tag t;

    to->n = 0;
    while (next_tag(&texts, &t)) {
        if (t.metrics & first) {
            same &= t.metrics;
            set(to, &t);
        } else {
            same &= ~t.metrics;
        }
    }
    *left &= ~same;
    return same;
}

bool metric_tags_find(const struct metric_tags *t, struct str name, struct str *value)
{
    for (size_t i = 0; i < t->n; i++)
        if (str_eq(t->v[i].name, name)) {
            *value = t->v[i].value;
            return true;
        }
    return false;
}
