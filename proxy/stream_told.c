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

    if (names->n == 0)
        return STR_NULL;
    for (size_t i = 0; i < names->n; i++)
        put_in_place(&b, named(f, names->v[i]));
    kept = arena_str(&s->arena, buf_view(&b));
    buf_free(&b);
    return kept.p ? kept : STR_NULL;
}

static const struct log_headers *wanted_by(const struct span_tag *t)
{
    return access_format_headers(t->kind == SPAN_TAG_FORMAT ? t->format : NULL);
}

void stream_keep_response(struct stream *s, const struct fields *f)
{
    const struct header_names *log = &s->w->settings->log_headers->response;
    const struct header_names rules = { s->telemetry->response_headers, s->telemetry->nresponse_headers };

    if (log->n)
        s->kept.response = keep_named(s, log, f);
    if (rules.n)
        s->kept_for_rules.response = keep_named(s, &rules, f);
    if (!s->telemetry->some_formats || !s->trace.sampled)
        return;
    s->kept_for_tags = arena_array(&s->arena, s->telemetry->ntags, sizeof(*s->kept_for_tags));
    for (size_t i = 0; s->kept_for_tags && i < s->telemetry->ntags; i++)
        s->kept_for_tags[i].response = keep_named(s, &wanted_by(&s->telemetry->tags[i])->response, f);
}

void stream_keep_trailers(struct stream *s, const struct fields *f)
{
    s->kept.trailers = keep_named(s, &s->w->settings->log_headers->trailers, f);
    s->kept_for_rules.trailers = keep_named(s, &(struct header_names){ s->telemetry->response_trailers,
                                                                       s->telemetry->nresponse_trailers }, f);
    for (size_t i = 0; s->kept_for_tags && i < s->telemetry->ntags; i++)
        s->kept_for_tags[i].trailers = keep_named(s, &wanted_by(&s->telemetry->tags[i])->trailers, f);
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

static struct str kept_named(const struct str *names, size_t n, struct str kept, struct str name)
{
    for (size_t i = 0; i < n; i++) {
        struct str value = texts_next(&kept);

        if (str_ieq(names[i], name))
            return value;
    }
    return STR_NULL;
}

struct str stream_told_header(const void *of, enum cel_map m, struct str name)
{
    const struct stream *s = of;
    const struct telemetry_policy *p = s->telemetry;

    if (m == CEL_REQUEST_HEADERS)
        return request_header(s, name);
    if (m == CEL_RESPONSE_HEADERS)
        return kept_named(p->response_headers, p->nresponse_headers, s->kept_for_rules.response, name);
    return kept_named(p->response_trailers, p->nresponse_trailers, s->kept_for_rules.trailers, name);
}

static void put_kept(struct buf *b, const struct header_names *names, struct str kept)
{
    for (size_t i = 0; i < names->n; i++)
        put_in_place(b, texts_next(&kept));
}

static void tell_headers(const struct stream *s, const struct log_headers *wanted, struct kept_headers kept,
                         struct buf *b)
{
    for (size_t i = 0; i < wanted->request.n; i++)
        put_in_place(b, request_header(s, wanted->request.v[i]));
    put_kept(b, &wanted->response, kept.response);
    put_kept(b, &wanted->trailers, kept.trailers);
}

void stream_tell_headers(const struct stream *s, struct buf *b)
{
    tell_headers(s, s->w->settings->log_headers, s->kept, b);
}

/* A line of the format, without its end. */
static void put_format(const struct stream *s, size_t i, const struct record *rec, struct buf *b)
{
    const struct span_tag *t = &s->telemetry->tags[i];
    const struct access_format_context with = { s->view->snapshot->self.pod, &s->w->rng };
    struct buf headers = BUF_INIT(TEXTS_MOST), line = BUF_INIT(TEXTS_MOST);
    struct record own = *rec;
    size_t before = b->n;

    tell_headers(s, wanted_by(t), s->kept_for_tags ? s->kept_for_tags[i] : (struct kept_headers){ STR_NULL, STR_NULL },
                 &headers);
    own.headers = buf_view(&headers);
    own.tls = STR_NULL; /* connections tell what the log's own format asks for */
    access_format_render(t->format, &line, &own, &with);
    if (!buf_failed(&line) && texts_put(b, t->name) && !texts_put(b, (struct str){ line.p, line.n - 1 }))
        b->n = before;
    buf_free(&headers);
    buf_free(&line);
}

void stream_tell_tags(const struct stream *s, const struct record *rec, struct buf *b)
{
    for (size_t i = 0; i < s->telemetry->ntags; i++) {
        const struct span_tag *t = &s->telemetry->tags[i];
        struct str value = t->kind == SPAN_TAG_HEADER ? request_header(s, t->value) : t->value;
        size_t before = b->n;

        if (t->kind == SPAN_TAG_FORMAT) {
            if (t->format)
                put_format(s, i, rec, b);
            continue;
        }
        if (value.n == 0)
            value = t->otherwise;
        if (value.n && texts_put(b, t->name) && !texts_put(b, value))
            b->n = before;
    }
}
