#include "store/event_filter_build-internal.h"

#include "base/mem.h"

enum { MOST_HASHES = 1 << 20, FIRST_CAP = 1 << 13 };

static void place_hash(struct event_hashes *h, uint64_t hash)
{
    size_t i = (size_t)hash & (h->cap - 1);

    while (h->slots[i] && h->slots[i] != hash)
        i = (i + 1) & (h->cap - 1);
    h->n += h->slots[i] == 0;
    h->slots[i] = hash;
}

static int grow(struct event_hashes *h, size_t cap)
{
    struct event_hashes larger = { .cap = cap };

    larger.slots = mem_zalloc(larger.cap * sizeof(*larger.slots));
    if (!larger.slots)
        return ERR_NOMEM;
    for (size_t i = 0; i < h->cap; i++)
        if (h->slots[i])
            place_hash(&larger, h->slots[i]);
    mem_free(h->slots);
    *h = larger;
    return 0;
}

static int add(struct event_hashes *h, uint64_t hash)
{
    if (h->too_many)
        return 0;
    if (2 * h->n >= h->cap && grow(h, h->cap ? 2 * h->cap : FIRST_CAP) < 0)
        return ERR_NOMEM;
    place_hash(h, hash);
    h->too_many = h->n > MOST_HASHES;
    return 0;
}

/* Tokens of the text from `at` on. */
static int add_tokens(struct event_hashes *h, struct str text, size_t at)
{
    struct str token;
    bool inner;
    int rc = 0;

    while (rc == 0 && !h->too_many && (token = event_token_next(text, &at, &inner)).n)
        if (event_token_counts(token))
            rc = add(h, event_filter_hash(token));
    return rc;
}

/* Neighbours begin alike: tokens that end before they part were added with the text before. */
static int add_texts(struct event_hashes *h, const struct event_coded *d)
{
    struct str before = STR_NULL;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < d->n; i++) {
        struct str text = d->values[i].s;

        rc = add_tokens(h, text, event_token_begin(text, str_common(before, text)));
        before = text;
    }
    return rc;
}

int event_hashes_of(struct event_hashes *h, const struct event_coded *d, struct err *e)
{
    int rc = 0;

    *h = (struct event_hashes){ 0 };
    for (size_t i = 0; rc == 0 && d->form == EVENT_FORM_DICT && i < d->distinct; i++)
        rc = add(h, event_filter_hash(d->values[i].s));
    if (d->form == EVENT_FORM_TEXTS)
        rc = add_texts(h, d);
    return rc < 0 ? err_set(e, rc, "no memory for a filter of %zu values", h->n) : 0;
}

void event_hashes_fini(struct event_hashes *h)
{
    mem_free(h->slots);
    h->slots = NULL;
}

void event_hashes_filter(const struct event_hashes *h, uint8_t *bits, size_t bytes)
{
    for (size_t i = 0; i < h->cap; i++)
        if (h->slots[i])
            event_filter_set(bits, bytes, h->slots[i]);
}
