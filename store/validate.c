#include "store/rawlabels-internal.h"
#include "store/store-internal.h"

enum {
    MAX_LABELS = INDEX_MAX_LABELS,
    MAX_NAME = 4096,
    MAX_VALUE = 1 << 20,   /* of a label */
    MAX_TEXT = 16 << 20,   /* of an event's column or attribute */
    MAX_SENDER = 1024,
    MAX_SAMPLES = 1 << 22  /* in one batch: what one journal record holds */
};

static int check_label(const struct label *l, const struct label *before, size_t max_value, struct err *e)
{
    if (l->name.n == 0 || l->value.n == 0)
        return err_set(e, ERR_INVALID, "label \"%.*s\": name or value is empty", STR_ARG(l->name));
    if (before && str_cmp(before->name, l->name) >= 0)
        return err_set(e, ERR_INVALID, "label \"%.*s\": twice or not in order", STR_ARG(l->name));
    if (l->name.n > MAX_NAME || l->value.n > max_value)
        return err_set(e, ERR_LIMIT, "label \"%.*s\": %zu bytes of name, %zu of value, at most %d and %zu",
                       (int)(l->name.n < 64 ? l->name.n : 64), l->name.p, l->name.n, l->value.n, MAX_NAME, max_value);
    return 0;
}

static int check_labels(struct labels l, size_t max_value, struct err *e)
{
    int rc = 0;

    if (l.n > MAX_LABELS)
        return err_set(e, ERR_LIMIT, "%zu labels, at most %d", l.n, MAX_LABELS);
    for (size_t i = 0; rc == 0 && i < l.n; i++)
        rc = check_label(&l.v[i], i ? &l.v[i - 1] : NULL, max_value, e);
    return rc;
}

int series_labels_check(struct labels l, struct err *e)
{
    int rc = check_labels(l, MAX_VALUE, e);

    if (rc == 0 && labels_get(l, STR("__name__")).n == 0)
        rc = err_set(e, ERR_INVALID, "label __name__ is missing");
    return rc;
}

/* What is known was checked when it was new. */
static int check_series_labels(const struct batch_series *s, struct err *e)
{
    struct label room[MAX_LABELS];

    if (s->id)
        return 0;
    if (s->own && s->labels.n > MAX_LABELS - 2)
        return err_set(e, ERR_LIMIT, "%zu shared labels, at most %d", s->labels.n, MAX_LABELS - 2);
    return series_labels_check(batch_series_labels(s, room), e);
}

static int check_series(const struct batch *b, struct err *e)
{
    size_t samples = 0;

    for (size_t i = 0; i < b->nseries; i++) {
        const struct batch_series *s = &b->series[i];
        int rc = check_series_labels(s, e);

        if (rc < 0) {
            err_wrap(e, "series %zu", i);
            return rc;
        }
        if (s->n > MAX_SAMPLES - samples)
            return err_set(e, ERR_LIMIT, "more than %d samples in one batch", MAX_SAMPLES);
        samples += s->n;
    }
    return 0;
}

static int check_texts(const struct event_column *c, const union event_value *v, size_t n, struct err *e)
{
    for (size_t i = 0; c->is_text && v && i < n; i++)
        if (v[i].s.n > MAX_TEXT) {
            err_set(e, ERR_LIMIT, "%.*s: %zu bytes, at most %d", STR_ARG(c->name), v[i].s.n, MAX_TEXT);
            err_wrap(e, "row %zu", i);
            return ERR_LIMIT;
        }
    return 0;
}

static int check_rows(enum event_kind kind, const struct event_rows *r, struct err *e)
{
    const struct event_table *t = &event_tables[kind];
    int rc = 0;

    for (size_t c = 0; rc == 0 && c < t->n; c++)
        rc = check_texts(&t->columns[c], r->columns[c], r->n, e);
    for (size_t i = 0; rc == 0 && i < r->n; i++) {
        rc = check_labels(r->attributes[i], MAX_TEXT, e);
        if (rc < 0)
            err_wrap(e, "row %zu", i);
    }
    return rc;
}

static int check_events(const struct batch *b, struct err *e)
{
    int rc = 0;

    for (int kind = 0; rc == 0 && kind < EVENT_KINDS; kind++) {
        rc = check_rows((enum event_kind)kind, &b->events[kind], e);
        if (rc < 0)
            err_wrap(e, "%.*s", STR_ARG(event_tables[kind].name));
    }
    return rc;
}

int batch_validate(const struct batch *b, struct err *e)
{
    int rc;

    if (b->sender.n > MAX_SENDER)
        return err_set(e, ERR_LIMIT, "sender's name: %zu bytes, at most %d", b->sender.n, MAX_SENDER);
    if (b->sender.n && (b->number == 0 || b->number > INT64_MAX))
        return err_set(e, ERR_INVALID, "batch number %llu of sender \"%.*s\": should be 1 to 9223372036854775807",
                       (unsigned long long)b->number, STR_ARG(b->sender));
    for (size_t i = 0; i < b->nmetadata; i++)
        if (b->metadata[i].metric.n == 0 || b->metadata[i].metric.n > MAX_NAME || b->metadata[i].help.n > MAX_VALUE)
            return err_set(e, ERR_INVALID, "metadata %zu: metric name empty, or a text too long", i);
    rc = check_series(b, e);
    return rc < 0 ? rc : check_events(b, e);
}
