/* stream_told.c: what a record carries of a message's headers: those that the access log's format names, and those that
 * Telemetry makes tags of spans.
 *
 * A response's head is gone when the record is made: what will be wanted of it is copied when it passes. */
#include "proxy/stream-internal.h"

#include "proxy/texts.h"

/* Values are told apart by their places: one that does not fit leaves its place, unset. */
static void put_in_place(struct buf *b, struct str value)
{
    if (!texts_put(b, value))
        texts_put(b, STR_NULL);
}

static struct str named(const struct fields *f, struct str name)
{
    for (size_t i = 0; i < f->n; i++)
        if (str_ieq(f->v[i].name, name))
            return f->v[i].value.p ? f->v[i].value : STR("");
    return STR_NULL;
}

/* Without memory for them, they are as if they had not come. */
static struct str keep_named(struct stream *s, const struct header_names *names, const struct fields *f)
{
    struct buf b = BUF_INIT(TEXTS_MOST);
    struct str kept;

    for (size_t i = 0; i < names->n; i++)
        put_in_place(&b, named(f, names->v[i]));
    kept = arena_str(&s->arena, buf_view(&b));
    buf_free(&b);
    return kept.p ? kept : STR_NULL;
}

void stream_keep_response(struct stream *s, const struct fields *f)
{
    s->response_headers = keep_named(s, &s->w->settings->log_headers->response, f);
}

void stream_keep_trailers(struct stream *s, const struct fields *f)
{
    s->response_trailers = keep_named(s, &s->w->settings->log_headers->trailers, f);
}

/* Of the request as it went on; what the proxy itself did not change, as it came. */
static struct str request_header(const struct stream *s, struct str name)
{
    const struct http_head *h = &s->head;
    enum http_id id = http_id_of(name);

    if (str_ieq(name, STR(":method")))
        return s->rq.method;
    if (str_ieq(name, STR(":path")))
        return s->path;
    if (str_ieq(name, STR(":authority")) || id == HTTP_HOST)
        return s->authority;
    if (str_ieq(name, STR(":scheme")))
        return s->rq.scheme;
    if (id == HTTP_X_REQUEST_ID)
        return s->request_id;
    if (id == HTTP_X_FORWARDED_FOR)
        return s->xff;
    if (id == HTTP_X_ENVOY_ORIGINAL_PATH && s->target.p && !str_eq(s->path, s->target))
        return s->target;
    for (size_t i = 0; i < h->nfields; i++)
        if (str_ieq(http_text(h, h->fields[i].name), name))
            return http_text(h, h->fields[i].value);
    return STR_NULL;
}

static void put_kept(struct buf *b, const struct header_names *names, struct str kept)
{
    for (size_t i = 0; i < names->n; i++)
        put_in_place(b, texts_next(&kept));
}

void stream_tell_headers(const struct stream *s, struct buf *b)
{
    const struct log_headers *wanted = s->w->settings->log_headers;

    for (size_t i = 0; i < wanted->request.n; i++)
        put_in_place(b, request_header(s, wanted->request.v[i]));
    put_kept(b, &wanted->response, s->response_headers);
    put_kept(b, &wanted->trailers, s->response_trailers);
}

void stream_tell_tags(const struct stream *s, struct buf *b)
{
    for (size_t i = 0; i < s->telemetry->ntags; i++) {
        const struct span_tag *t = &s->telemetry->tags[i];
        struct str value = t->kind == SPAN_TAG_HEADER ? request_header(s, t->value) : t->value;
        size_t before = b->n;

        if (value.n == 0)
            value = t->otherwise;
        if (t->kind != SPAN_TAG_FORMAT && value.n && texts_put(b, t->name) && !texts_put(b, value))
            b->n = before;
    }
}
