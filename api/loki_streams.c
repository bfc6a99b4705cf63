/* loki_streams.c: streams as Loki's JSON has them.
 *
 * Structured metadata and what parsers have found have two shapes there. A client that sends
 * `X-Loki-Response-Encoding-Flags: categorize-labels` gets them as third element of each entry; for any other they are
 * merged into the stream's labels, so that a stream of the answer is a stream of the store and one set of them. */
#include "api/loki-internal.h"

#include "base/strmap.h"

#include <inttypes.h>

/* One stream of the answer: entries of one set of labels, in a list. */
struct shown {
    struct labels labels;
    const struct logql_entry **entries;
    size_t n, cap;
};

struct shown_streams {
    struct shown *v;
    size_t n, cap;
    struct strmap by_labels; /* to the index + 1 */
};

/* Both sets as one; where both have a name the first counts. */
static int merge(struct arena *a, struct labels first, struct labels second, struct labels *out)
{
    struct label *v = arena_array(a, first.n + second.n + 1, sizeof(*v));
    size_t i = 0, k = 0, n = 0;

    if (!v)
        return ERR_NOMEM;
    while (i < first.n || k < second.n) {
        int c = i == first.n ? 1 : k == second.n ? -1 : str_cmp(first.v[i].name, second.v[k].name);

        v[n++] = c <= 0 ? first.v[i] : second.v[k];
        i += c <= 0;
        k += c >= 0;
    }
    *out = (struct labels){ v, n };
    return 0;
}

static struct shown *shown_of(struct shown_streams *s, struct arena *a, struct labels labels)
{
    struct buf key = BUF_INIT(1 << 24);
    struct str name;
    uintptr_t at;

    labels_print(&key, labels);
    name = buf_failed(&key) ? STR_NULL : arena_str(a, buf_view(&key));
    buf_free(&key);
    if (!name.p)
        return NULL;
    at = (uintptr_t)strmap_get(&s->by_labels, name);
    if (at)
        return &s->v[at - 1];
    if (arena_grow(a, &s->v, &s->cap, s->n + 1, sizeof(*s->v)) < 0 ||
        strmap_put(&s->by_labels, name, (void *)(uintptr_t)(s->n + 1), NULL) < 0)
        return NULL;
    s->v[s->n] = (struct shown){ .labels = labels };
    return &s->v[s->n++];
}

static int regroup(struct arena *a, const struct logql_stream *streams, size_t n, struct shown_streams *out)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < streams[i].n; k++) {
            const struct logql_entry *entry = &streams[i].entries[k];
            struct labels labels;
            struct shown *s;

            if (merge(a, entry->parsed, streams[i].labels, &labels) < 0 || merge(a, labels, entry->metadata, &labels) < 0)
                return ERR_NOMEM;
            s = shown_of(out, a, labels);
            if (!s || arena_grow(a, &s->entries, &s->cap, s->n + 1, sizeof(*s->entries)) < 0)
                return ERR_NOMEM;
            s->entries[s->n++] = entry;
        }
    return 0;
}

/* ,{"structuredMetadata":{…},"parsed":{…}} */
static void put_categories(struct buf *b, const struct logql_entry *entry)
{
    buf_puts(b, ",{");
    if (entry->metadata.n) {
        buf_puts(b, "\"structuredMetadata\":");
        json_labels(b, entry->metadata);
    }
    if (entry->parsed.n) {
        buf_puts(b, entry->metadata.n ? ",\"parsed\":" : "\"parsed\":");
        json_labels(b, entry->parsed);
    }
    buf_putc(b, '}');
}

static void put_entry(struct buf *b, const struct logql_entry *entry, bool categorised)
{
    buf_printf(b, "[\"%" PRId64 "\",", entry->time_ns);
    buf_json(b, entry->line);
    if (categorised)
        put_categories(b, entry);
    buf_putc(b, ']');
}

static void open_stream(struct buf *b, struct labels l, bool first)
{
    buf_puts(b, first ? "{\"stream\":" : ",{\"stream\":");
    json_labels(b, l);
    buf_puts(b, ",\"values\":[");
}

static int put_merged(struct buf *b, struct arena *a, const struct logql_stream *streams, size_t n)
{
    struct shown_streams all = { .by_labels = STRMAP_INIT };
    int rc = regroup(a, streams, n, &all);

    strmap_free(&all.by_labels);
    for (size_t i = 0; rc == 0 && i < all.n; i++) {
        open_stream(b, all.v[i].labels, i == 0);
        for (size_t k = 0; k < all.v[i].n; k++) {
            buf_puts(b, k ? "," : "");
            put_entry(b, all.v[i].entries[k], false);
        }
        buf_puts(b, "]}");
    }
    return rc;
}

static void put_categorised(struct buf *b, const struct logql_stream *streams, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        open_stream(b, streams[i].labels, i == 0);
        for (size_t k = 0; k < streams[i].n; k++) {
            buf_puts(b, k ? "," : "");
            put_entry(b, &streams[i].entries[k], true);
        }
        buf_puts(b, "]}");
    }
}

int loki_put_streams(struct buf *b, struct arena *a, const struct logql_stream *streams, size_t n, bool categorised)
{
    int rc = 0;

    buf_putc(b, '[');
    if (categorised)
        put_categorised(b, streams, n);
    else
        rc = put_merged(b, a, streams, n);
    buf_putc(b, ']');
    return rc;
}
