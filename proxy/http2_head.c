/* http2_head.c: header blocks of HTTP/2 as heads, and back.
 *
 * What leaves a proxy as HTTP/1 must not be able to say something else there than it said in HTTP/2 (RFC 9113 10.3):
 * targets, authorities and names are held to HTTP/1's grammar, which is narrower than nghttp2's checks. */
#include "proxy/http2-internal.h"

#include "base/mem.h"
#include "proxy/http1_parser.h"
#include "proxy/trailers.h"

void http2_block_begin(struct http2_block *b)
{
    buf_free(&b->bytes);
    *b = (struct http2_block){ .bytes = BUF_INIT(HTTP_MOST_HEAD) };
}

void http2_block_free(struct http2_block *b)
{
    buf_free(&b->bytes);
}

static struct http_span put(struct http2_block *b, struct str s)
{
    struct http_span at = { (uint16_t)b->bytes.n, (uint16_t)s.n };

    buf_str(&b->bytes, s);
    b->too_large = b->too_large || buf_failed(&b->bytes);
    return at;
}

static bool in_class(struct str s, unsigned class)
{
    for (size_t i = 0; i < s.n; i++)
        if (!(http1_class[(unsigned char)s.p[i]] & class))
            return false;
    return s.n > 0;
}

static void add_pseudo(struct http2_block *b, struct str name, struct str value)
{
    struct http_head *h = &b->head;

    if (str_eqz(name, ":method")) {
        b->bad = b->bad || !http1_is_token(value) || value.n > HTTP1_LONGEST_METHOD;
        h->method = put(b, value);
    } else if (str_eqz(name, ":path")) {
        b->bad = b->bad || !in_class(value, HTTP1_TARGET) || (value.p[0] != '/' && !str_eqz(value, "*"));
        h->path = put(b, value);
    } else if (str_eqz(name, ":authority")) {
        b->bad = b->bad || !http1_is_authority(value);
        h->authority = put(b, value);
    } else if (str_eqz(name, ":scheme")) {
        h->https = str_ieq(value, STR("https"));
    } else if (str_eqz(name, ":status")) {
        for (size_t i = 0; i < value.n; i++) /* three digits: nghttp2 has looked */
            h->status = (uint16_t)(h->status * 10 + (value.p[i] - '0'));
    } else {
        b->bad = true;
    }
}

/* Host beside :authority must say the same; alone it stands for it (RFC 9113 8.3.1). */
static void add_host(struct http2_block *b, struct str value)
{
    struct http_head *h = &b->head;

    b->bad = b->bad || b->has_host || !http1_is_authority(value);
    b->has_host = true;
    if (h->authority.n == 0)
        h->authority = put(b, value);
    else if (!str_ieq((struct str){ b->bytes.p + h->authority.at, h->authority.n }, value))
        b->bad = true;
}

void http2_block_add(struct http2_block *b, struct str name, struct str value)
{
    struct http_head *h = &b->head;
    enum http_id id;

    if (b->too_large || b->bad)
        return;
    if (name.n && name.p[0] == ':') {
        add_pseudo(b, name, value);
        return;
    }
    id = http_id_of(name);
    if (id == HTTP_HOST) {
        add_host(b, value);
        return;
    }
    b->bad = !http1_is_token(name) || (value.n && !in_class(value, HTTP1_VALUE)) ||
             (id == HTTP_OTHER && http1_is_like_framing(name));
    if (h->nfields == HTTP_MOST_FIELDS || b->bytes.n + name.n + value.n > HTTP_MOST_HEAD) {
        b->too_large = true;
        return;
    }
    b->cookies += str_eqz(name, "cookie");
    if (id && !h->first[id])
        h->first[id] = (uint8_t)(h->nfields + 1);
    h->fields[h->nfields++] = (struct http_field){ put(b, name), put(b, value), (uint8_t)id };
}

/* HTTP/2 may split a cookie to compress it better; HTTP/1 has one field (RFC 9113 8.2.3). */
static void join_cookies(struct http2_block *b)
{
    struct http_head *h = &b->head;
    struct http_field *first = NULL;
    struct http_span all = { (uint16_t)b->bytes.n, 0 };
    size_t kept = 0;

    memset(h->first, 0, sizeof(h->first));
    for (size_t i = 0; i < h->nfields; i++) {
        struct http_field f = h->fields[i];
        bool cookie = str_eqz((struct str){ b->bytes.p + f.name.at, f.name.n }, "cookie");
        struct str value = { b->bytes.p + f.value.at, f.value.n };

        if (cookie && b->bytes.n + value.n + 2 > HTTP_MOST_HEAD) {
            b->too_large = true;
            return;
        }
        if (cookie) {
            char *to = buf_reserve(&b->bytes, value.n + 2); /* may move what `value` is in */

            if (!to) {
                b->too_large = true;
                return;
            }
            if (first)
                buf_puts(&b->bytes, "; ");
            buf_put(&b->bytes, b->bytes.p + f.value.at, f.value.n);
        }
        if (cookie && first)
            continue;
        h->fields[kept] = f;
        if (cookie)
            first = &h->fields[kept];
        kept++;
        if (f.id && !h->first[f.id])
            h->first[f.id] = (uint8_t)kept;
    }
    all.n = (uint16_t)(b->bytes.n - all.at);
    first->value = all;
    h->nfields = kept;
}

static bool parse_length(struct http_head *h)
{
    struct str text = http_value(h, HTTP_CONTENT_LENGTH);
    uint64_t n = 0;

    if (text.n == 0 || text.n > 19)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return false;
        n = n * 10 + (uint64_t)(text.p[i] - '0');
    }
    h->length = n;
    return true;
}

static bool path_suits_method(const struct http_head *h)
{
    return !str_eqz(http_text(h, h->path), "*") || str_eqz(http_text(h, h->method), "OPTIONS");
}

bool http2_block_finish(struct http2_block *b, bool request, bool more)
{
    struct http_head *h = &b->head;

    if (b->cookies > 1 && !b->bad && !b->too_large)
        join_cookies(b);
    if (b->bad || b->too_large)
        return false;
    if (b->bytes.n == 0)
        buf_putc(&b->bytes, '\0'); /* a base is needed even where nothing is said */
    h->base = b->bytes.p;
    h->size = b->bytes.n;
    h->version = HTTP_VERSION_2;
    h->keep_alive = true;
    h->framing = more ? HTTP_STREAMED : HTTP_NO_BODY;
    if (more && h->first[HTTP_CONTENT_LENGTH]) {
        if (!parse_length(h))
            return false;
        h->framing = HTTP_LENGTH;
    }
    if (request && (h->method.n == 0 || !path_suits_method(h)))
        return false;
    return h->base != NULL;
}

struct fields *http2_block_trailers(struct http2_block *b)
{
    struct fields *f = mem_alloc(sizeof(*f) + b->bytes.n);

    if (!f)
        return NULL;
    b->head.base = memcpy(f + 1, b->head.base, b->bytes.n);
    trailers_from_head(f, &b->head);
    return f;
}

/* ---- out ---- */

void http2_list_add(struct http2_list *l, struct str name, struct str value)
{
    static const uint8_t nothing[1];

    if (l->n == sizeof(l->v) / sizeof(l->v[0]))
        return; /* fields are counted before they come here */
    l->v[l->n++] = (nghttp2_nv){ (uint8_t *)(uintptr_t)name.p,
                                 value.n ? (uint8_t *)(uintptr_t)value.p : (uint8_t *)(uintptr_t)nothing, name.n,
                                 value.n, NGHTTP2_NV_FLAG_NONE };
    l->bytes += name.n + value.n + 4;
}

void http2_list_fields(struct http2_list *l, const struct fields *f)
{
    for (size_t i = 0; i < f->n; i++)
        http2_list_add(l, f->v[i].name, f->v[i].value);
}

/* ---- bodies ---- */

enum { MOST_WAITING = CONN_MOST_OUT };

void http2_source_init(struct http2_source *s)
{
    *s = (struct http2_source){ .waiting = BUF_INIT(MOST_WAITING) };
}

void http2_source_free(struct http2_source *s)
{
    buf_free(&s->waiting);
    mem_free(s->trailers);
    s->trailers = NULL;
}

static void wake(struct http2_source *s, nghttp2_session *session, int32_t id)
{
    if (s->stalled)
        nghttp2_session_resume_data(session, id);
    s->stalled = false;
}

bool http2_source_put(struct http2_source *s, nghttp2_session *session, int32_t id, struct str bytes)
{
    if (s->at && s->at == s->waiting.n)
        s->waiting.n = s->at = 0;
    buf_str(&s->waiting, bytes);
    wake(s, session, id);
    return !buf_failed(&s->waiting);
}

static struct http2_list *copy_trailers(const struct fields *f)
{
    size_t bytes = 0;
    struct http2_list *l;
    char *to;

    for (size_t i = 0; i < f->n; i++)
        bytes += f->v[i].name.n + f->v[i].value.n;
    l = mem_alloc(sizeof(*l) + bytes);
    if (!l)
        return NULL;
    l->n = l->bytes = 0;
    to = (char *)(l + 1);
    for (size_t i = 0; i < f->n; i++) {
        struct str name = f->v[i].name, value = f->v[i].value;

        memcpy(to, name.p, name.n);
        if (value.n)
            memcpy(to + name.n, value.p, value.n);
        http2_list_add(l, (struct str){ to, name.n }, (struct str){ to + name.n, value.n });
        to += name.n + value.n;
    }
    return l;
}

bool http2_source_end(struct http2_source *s, nghttp2_session *session, int32_t id, const struct fields *trailers)
{
    if (trailers && trailers->n && !s->trailers) {
        s->trailers = copy_trailers(trailers);
        if (!s->trailers)
            return false;
    }
    s->ended = true;
    wake(s, session, id);
    return true;
}

ssize_t http2_source_read(struct http2_source *s, nghttp2_session *session, int32_t id, uint8_t *to, size_t room,
                          uint32_t *flags)
{
    size_t left = http2_source_left(s), n = left < room ? left : room;

    if (n)
        memcpy(to, s->waiting.p + s->at, n);
    s->at += n;
    if (s->at == s->waiting.n) {
        s->waiting.n = s->at = 0;
        if (s->waiting.cap > CONN_DIRECT * 4)
            buf_free(&s->waiting);
    } else if (s->at >= CONN_LOW) {
        buf_drain(&s->waiting, s->at);
        s->at = 0;
    }
    if (http2_source_left(s))
        return (ssize_t)n;
    if (!s->ended && n == 0) {
        s->stalled = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (!s->ended)
        return (ssize_t)n;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (s->trailers) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        if (nghttp2_submit_trailer(session, id, s->trailers->v, s->trailers->n) < 0)
            return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    return (ssize_t)n;
}
