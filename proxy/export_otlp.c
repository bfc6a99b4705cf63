#include "proxy/otlp-internal.h"

#include "base/pb.h"
#include "proxy/texts.h"

#include <stdio.h>

enum {
    SPAN_ATTRIBUTES = 9,
    LONGEST_URL_PATH = 256, /* Envoy's default for the tag http.url */
    CLEAN_TEXT = 16 << 20   /* more than a line of the longest texts, each byte replaced by three */
};

static size_t varint_size(uint64_t v)
{
    return v < 0x80 ? 1 : (size_t)(63 - __builtin_clzll(v)) / 7 + 1;
}

static char *varint(char *to, uint64_t v)
{
    while (v >= 0x80) {
        *to++ = (char)(v | 0x80);
        v >>= 7;
    }
    *to++ = (char)v;
    return to;
}

static char *head(char *to, uint32_t number, enum pb_type type, uint64_t length_or_value)
{
    return varint(varint(to, (uint64_t)number << 3 | type), length_or_value);
}

static char *bytes(char *to, uint32_t number, struct str s)
{
    to = head(to, number, PB_BYTES, s.n);
    if (s.n)
        memcpy(to, s.p, s.n);
    return to + s.n;
}

/* Up to the AnyValue's inside, which takes `inner` bytes. All lengths are known beforehand, so nothing is moved: a
 * record has some forty attributes, and this is most of what telemetry does for it. */
static char *open_attribute(struct buf *b, uint32_t number, struct str key, size_t inner)
{
    size_t pair = 1 + varint_size(key.n) + key.n + 1 + varint_size(inner) + inner;
    char *to = buf_reserve(b, 10 + varint_size(pair) + pair);

    if (!to)
        return NULL;
    to = head(to, number, PB_BYTES, pair);
    to = bytes(to, 1, key);
    return head(to, 2, PB_BYTES, inner);
}

/* Protobuf's strings are UTF-8, and one that is not spoils the whole batch; a path may be any bytes. */
static struct str clean(struct buf *scratch, struct str s)
{
    if (str_is_utf8(s))
        return s;
    buf_utf8(scratch, s);
    return buf_view(scratch);
}

void otlp_text(struct buf *b, uint32_t number, struct str key, struct str value)
{
    struct buf scratch = BUF_INIT(CLEAN_TEXT);
    struct str v = clean(&scratch, value);
    char *to = open_attribute(b, number, key, 1 + varint_size(v.n) + v.n);

    if (to)
        b->n = (size_t)(bytes(to, 1, v) - b->p);
    b->failed |= scratch.failed;
    buf_free(&scratch);
}

static void put_utf8(struct buf *b, uint32_t number, struct str s)
{
    struct buf scratch = BUF_INIT(CLEAN_TEXT);

    pb_put_str(b, number, clean(&scratch, s));
    b->failed |= scratch.failed;
    buf_free(&scratch);
}

void otlp_int(struct buf *b, uint32_t number, struct str key, int64_t value)
{
    char *to = open_attribute(b, number, key, 1 + varint_size((uint64_t)value));

    if (to)
        b->n = (size_t)(head(to, 3, PB_VARINT, (uint64_t)value) - b->p);
}

static struct str known_or(struct str s, struct str other)
{
    return s.n == 0 || str_eq(s, STR("unknown")) ? other : s;
}

void otlp_resource(struct buf *b, const struct workload *self, const char *suffix)
{
    struct buf joined = BUF_INIT(4096);

    buf_printf(&joined, "%.*s.%.*s", STR_ARG(known_or(self->app, self->name)), STR_ARG(self->ns));
    otlp_text(b, 1, STR("service.name"), buf_view(&joined));
    buf_reset(&joined);
    buf_printf(&joined, "%.*s.%.*s%s", STR_ARG(self->pod), STR_ARG(self->ns), suffix);
    otlp_text(b, 1, STR("service.instance.id"), buf_view(&joined));
    b->failed |= joined.failed;
    buf_free(&joined);
    otlp_text(b, 1, STR("service.version"), self->version);
    otlp_text(b, 1, STR("app"), self->app);
    otlp_text(b, 1, STR("k8s.pod.name"), self->pod);
    otlp_text(b, 1, STR("k8s.namespace.name"), self->ns);
    otlp_text(b, 1, STR("k8s.deployment.name"), self->name);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The id's n bytes; a shorter text (B3's 64-bit trace ids) is filled with zeros in front. False: not such an id. */
static bool id_bytes(struct str hex, uint8_t *out, size_t n)
{
    size_t pad;

    if (hex.n == 0 || hex.n % 2 || hex.n > 2 * n)
        return false;
    pad = n - hex.n / 2;
    memset(out, 0, pad);
    for (size_t i = 0; i < hex.n; i += 2) {
        int high = hex_digit(hex.p[i]), low = hex_digit(hex.p[i + 1]);

        if (high < 0 || low < 0)
            return false;
        out[pad + i / 2] = (uint8_t)(high << 4 | low);
    }
    return true;
}

void otlp_id(struct buf *b, uint32_t number, struct str hex, size_t n)
{
    uint8_t id[16];

    if (id_bytes(hex, id, n))
        pb_put_str(b, number, (struct str){ (const char *)id, n });
}

/* These five are the resource's, and not said again with each record. */
static bool is_own_identity(int field)
{
    return field == ACCESS_LOG_pod || field == ACCESS_LOG_namespace || field == ACCESS_LOG_workload ||
           field == ACCESS_LOG_app || field == ACCESS_LOG_version;
}

static void log_attributes(struct buf *b, const struct access_log *l)
{
    enum { ATTRIBUTES = 6 };

    for (int i = 0; i < ACCESS_LOG_NFIELDS; i++) {
        const struct access_log_field_info *f = &access_log_fields[i];
        const char *at = (const char *)l + f->offset;
        struct str text;
        int64_t number;

        if (is_own_identity(i))
            continue;
        if (f->is_text) {
            memcpy(&text, at, sizeof(text));
            if (text.n)
                otlp_text(b, ATTRIBUTES, f->name, text);
        } else {
            memcpy(&number, at, sizeof(number));
            if (number >= 0)
                otlp_int(b, ATTRIBUTES, f->name, number);
        }
    }
}

/* As pb_open and pb_close, but with room for a length of two bytes: what logs and spans have, and need not be moved. */
static size_t open_record(struct buf *b)
{
    enum { GUESS = 2 };
    char *to = buf_reserve(b, 1 + GUESS);

    if (to) {
        *to = OTLP_RECORD << 3 | PB_BYTES;
        b->n += 1 + GUESS;
    }
    return b->n;
}

static void close_record(struct buf *b, size_t mark)
{
    enum { GUESS = 2, MOST = 10 };
    size_t length = b->n - mark, n = varint_size(length);

    if (buf_failed(b) || (n != GUESS && !buf_reserve(b, MOST)))
        return;
    if (n != GUESS)
        memmove(b->p + mark - GUESS + n, b->p + mark, length);
    varint(b->p + mark - GUESS, length);
    b->n = mark - GUESS + n + length;
}

void otlp_log(struct buf *b, const struct record *rec, struct str line)
{
    const struct access_log *l = &rec->log;
    size_t log = open_record(b), body;

    pb_put_fixed64(b, 1, (uint64_t)l->start_ns);
    body = pb_open(b, 5);
    put_utf8(b, 1, line);
    pb_close(b, body);
    log_attributes(b, l);
    otlp_id(b, 9, l->trace_id, 16);
    otlp_id(b, 10, l->span_id, 8);
    close_record(b, log);
}

static void tag(struct buf *b, const char *key, struct str value)
{
    otlp_text(b, SPAN_ATTRIBUTES, str_of(key), value.n ? value : STR("-"));
}

static void number_tag(struct buf *b, const char *key, int64_t v)
{
    char text[24];
    int n = snprintf(text, sizeof(text), "%lld", v < 0 ? 0LL : (long long)v);

    tag(b, key, (struct str){ text, (size_t)n });
}

static void url_tag(struct buf *b, const struct access_log *l)
{
    struct buf url = BUF_INIT(128 * 1024);
    struct str path = l->path;

    if (path.n > LONGEST_URL_PATH)
        path.n = LONGEST_URL_PATH;
    buf_puts(&url, "http://");
    buf_str(&url, l->authority);
    buf_str(&url, path);
    if (!buf_failed(&url))
        tag(b, "http.url", buf_view(&url));
    buf_free(&url);
}

static struct str without_port(struct str address)
{
    size_t n = address.n;

    while (n && address.p[n - 1] != ':')
        n--;
    return n ? (struct str){ address.p, n - 1 } : address;
}

static bool is_error(const struct access_log *l)
{
    return l->response_code <= 0 || l->response_code >= 500;
}

static void custom_tags(struct buf *b, struct str texts)
{
    while (texts.n) {
        struct str name = texts_next(&texts);

        otlp_text(b, SPAN_ATTRIBUTES, name, texts_next(&texts));
    }
}

/* Envoy's tags, all of them texts as Envoy has them. */
static void span_tags(struct buf *b, const struct record *rec, const struct otlp_span_origin *origin)
{
    const struct access_log *l = &rec->log;

    tag(b, "component", STR("proxy"));
    tag(b, "node_id", origin->node_id);
    tag(b, "guid:x-request-id", l->request_id);
    url_tag(b, l);
    tag(b, "http.method", l->method);
    tag(b, "http.protocol", l->protocol);
    number_tag(b, "http.status_code", l->response_code);
    tag(b, "downstream_cluster", STR("-"));
    tag(b, "user_agent", l->user_agent);
    number_tag(b, "request_size", l->bytes_received);
    number_tag(b, "response_size", l->bytes_sent);
    tag(b, "response_flags", l->response_flags);
    tag(b, "peer.address", without_port(l->downstream_remote_address));
    tag(b, "upstream_cluster", l->upstream_cluster);
    tag(b, "upstream_cluster.name", l->upstream_cluster);
    if (l->upstream_host.n)
        tag(b, "upstream_address", l->upstream_host);
    if (l->grpc_response_status.n)
        tag(b, "grpc.status_code", l->grpc_response_status);
    if (is_error(l))
        tag(b, "error", STR("true"));
    custom_tags(b, rec->span_tags);
    if (rec->no_istio_tags)
        return;
    tag(b, "istio.canonical_service", origin->self->canonical_service);
    tag(b, "istio.canonical_revision", origin->self->canonical_revision);
    tag(b, "istio.mesh_id", STR("cluster.local"));
    tag(b, "istio.namespace", origin->self->ns);
    tag(b, "istio.cluster_id", origin->self->cluster);
}

bool otlp_span(struct buf *b, const struct record *rec, const struct otlp_span_origin *origin)
{
    enum { KIND_SERVER = 2, KIND_CLIENT = 3, STATUS_ERROR = 2 };
    const struct access_log *l = &rec->log;
    int64_t duration_us = l->duration_us < 0 ? 0 : l->duration_us;
    uint8_t trace[16], id[8];
    size_t span, status;

    if (rec->no_span || !id_bytes(l->trace_id, trace, sizeof(trace)) || !id_bytes(l->span_id, id, sizeof(id)))
        return false;
    span = open_record(b);
    pb_put_str(b, 1, (struct str){ (const char *)trace, sizeof(trace) });
    pb_put_str(b, 2, (struct str){ (const char *)id, sizeof(id) });
    otlp_id(b, 4, rec->parent_span_id, 8);
    put_utf8(b, 5, rec->operation.n ? rec->operation : l->upstream_cluster);
    pb_put_varint(b, 6, rec->span_is_client ? KIND_CLIENT : KIND_SERVER);
    pb_put_fixed64(b, 7, (uint64_t)l->start_ns);
    pb_put_fixed64(b, 8, (uint64_t)(l->start_ns + duration_us * 1000));
    span_tags(b, rec, origin);
    if (is_error(l)) {
        status = pb_open(b, 15);
        pb_put_varint(b, 3, STATUS_ERROR);
        pb_close(b, status);
    }
    close_record(b, span);
    return true;
}

void otlp_request_head(struct buf *b, struct str resource, struct str scope, size_t records)
{
    struct str version = STR(VIGLA_VERSION);
    size_t scope_size = 1 + varint_size(scope.n) + scope.n + 1 + varint_size(version.n) + version.n;
    size_t scope_part = 1 + varint_size(scope_size) + scope_size + records;
    size_t resource_part = 1 + varint_size(resource.n) + resource.n + 1 + varint_size(scope_part) + scope_part;
    char *to = buf_reserve(b, 1 + varint_size(resource_part) + resource_part - records);

    if (!to)
        return;
    to = head(to, 1, PB_BYTES, resource_part);
    to = bytes(to, 1, resource);
    to = head(to, 2, PB_BYTES, scope_part);
    to = head(to, 1, PB_BYTES, scope_size);
    to = bytes(to, 1, scope);
    to = bytes(to, 2, version);
    b->n = (size_t)(to - b->p);
}
