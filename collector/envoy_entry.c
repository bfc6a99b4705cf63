/* envoy_entry.c: an entry of Envoy's access log, field by field.
 *
 * Tables say where each field goes: into a column of access_log, into an attribute of the field's own name, or into what
 * envoy_identity.c draws conclusions from. Times and durations that are attributes are in microseconds (NAME_us). */
#include "collector/envoy-internal.h"

#include "collector/otlp-internal.h"

enum kind {
    TEXT,        /* string */
    COUNT,       /* a varint, or a UInt32Value */
    REAL,        /* double */
    FLAG,        /* bool */
    NAMES,       /* an enum: `more` is its names */
    ADDRESS, DURATION,
    TIME,        /* start_time */
    MESSAGE,     /* `more` is its table */
    MAP,         /* of strings: attributes "PREFIX.KEY" */
    TAGS,        /* of strings: a column of that name, else an attribute */
    METADATA,    /* core.v3.Metadata */
    STATE,       /* map of Any: filter state */
    FLAGS,       /* ResponseFlags */
    CERTIFICATE  /* CertificateProperties of the peer or ours */
};

enum { ATTRIBUTE = -1, LONGEST_NAME = 1024, LONGEST_TEXT = 1 << 20 };
#define COLUMN(name) ACCESS_LOG_##name

struct field {
    uint32_t number;
    enum kind kind;
    int column;       /* or ATTRIBUTE */
    const char *name; /* of the attribute, or the prefix of attributes */
    const void *more;
    size_t n;         /* of what `more` points to */
    size_t keep;      /* offset in struct envoy_entry of an int64_t, uint64_t or struct str that keeps it, too; 0: none */
};

#define ROWS(table) (table), sizeof(table) / sizeof((table)[0])
#define KEEP(member) offsetof(struct envoy_entry, member)

static const char *const tls_versions[] = { "", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3" };
static const char *const protocols[] = { "", "HTTP/1.0", "HTTP/1.1", "HTTP/2", "HTTP/3" };
static const char *const methods[] = { "", "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH" };
static const char *const types[] = {
    "", "TcpUpstreamConnected", "TcpPeriodic", "TcpConnectionEnd", "DownstreamStart", "DownstreamPeriodic", "DownstreamEnd",
    "UpstreamPoolReady", "UpstreamPeriodic", "UpstreamEnd", "DownstreamTunnelSuccessfullyEstablished",
    "UdpTunnelUpstreamConnected", "UdpPeriodic", "UdpSessionEnd",
};

static const struct field tls_fields[] = {
    { 1, NAMES, ATTRIBUTE, "tls_version", ROWS(tls_versions), 0 },
    { 2, COUNT, ATTRIBUTE, "tls_cipher_suite", NULL, 0, 0 },
    { 3, TEXT, COLUMN(requested_server_name), NULL, NULL, 0, 0 },
    { 4, CERTIFICATE, ATTRIBUTE, "tls_local", NULL, 0, KEEP(local_spiffe) },
    { 5, CERTIFICATE, ATTRIBUTE, "tls_peer", NULL, 0, KEEP(peer_spiffe) },
    { 6, TEXT, ATTRIBUTE, "tls_session_id", NULL, 0, 0 },
    { 7, TEXT, ATTRIBUTE, "tls_ja3_fingerprint", NULL, 0, 0 },
    { 8, TEXT, ATTRIBUTE, "tls_ja4_fingerprint", NULL, 0, 0 },
};

static const struct field common_fields[] = {
    { 1, REAL, ATTRIBUTE, "sample_rate", NULL, 0, 0 },
    { 2, ADDRESS, COLUMN(downstream_remote_address), NULL, NULL, 0, 0 },
    { 3, ADDRESS, COLUMN(downstream_local_address), NULL, NULL, 0, 0 },
    { 4, MESSAGE, ATTRIBUTE, NULL, ROWS(tls_fields), 0 },
    { 5, TIME, ATTRIBUTE, NULL, NULL, 0, KEEP(start_ns) },
    { 6, DURATION, ATTRIBUTE, "time_to_last_rx_byte_us", NULL, 0, KEEP(last_down_rx_ns) },
    { 7, DURATION, ATTRIBUTE, "time_to_first_upstream_tx_byte_us", NULL, 0, 0 },
    { 8, DURATION, ATTRIBUTE, "time_to_last_upstream_tx_byte_us", NULL, 0, KEEP(last_up_tx_ns) },
    { 9, DURATION, ATTRIBUTE, "time_to_first_upstream_rx_byte_us", NULL, 0, KEEP(first_up_rx_ns) },
    { 10, DURATION, ATTRIBUTE, "time_to_last_upstream_rx_byte_us", NULL, 0, 0 },
    { 11, DURATION, ATTRIBUTE, "time_to_first_downstream_tx_byte_us", NULL, 0, 0 },
    { 12, DURATION, ATTRIBUTE, "time_to_last_downstream_tx_byte_us", NULL, 0, KEEP(last_down_tx_ns) },
    { 13, ADDRESS, COLUMN(upstream_host), NULL, NULL, 0, 0 },
    { 14, ADDRESS, COLUMN(upstream_local_address), NULL, NULL, 0, 0 },
    { 15, TEXT, COLUMN(upstream_cluster), NULL, NULL, 0, 0 },
    { 16, FLAGS, COLUMN(response_flags), NULL, NULL, 0, 0 },
    { 17, METADATA, ATTRIBUTE, "metadata", NULL, 0, 0 },
    { 18, TEXT, COLUMN(upstream_transport_failure_reason), NULL, NULL, 0, 0 },
    { 19, TEXT, COLUMN(route_name), NULL, NULL, 0, 0 },
    { 20, ADDRESS, ATTRIBUTE, "downstream_direct_remote_address", NULL, 0, 0 },
    { 21, STATE, ATTRIBUTE, "filter_state", NULL, 0, 0 },
    { 22, TAGS, ATTRIBUTE, NULL, NULL, 0, 0 },
    { 23, DURATION, ATTRIBUTE, NULL, NULL, 0, KEEP(duration_ns) },
    { 24, COUNT, ATTRIBUTE, "upstream_request_attempt_count", NULL, 0, 0 },
    { 25, TEXT, COLUMN(connection_termination_details), NULL, NULL, 0, 0 },
    { 26, TEXT, ATTRIBUTE, "stream_id", NULL, 0, 0 },
    { 27, FLAG, ATTRIBUTE, "intermediate_log_entry", NULL, 0, 0 },
    { 28, TEXT, ATTRIBUTE, "downstream_transport_failure_reason", NULL, 0, 0 },
    { 29, COUNT, ATTRIBUTE, "downstream_wire_bytes_sent", NULL, 0, 0 },
    { 30, COUNT, ATTRIBUTE, "downstream_wire_bytes_received", NULL, 0, 0 },
    { 31, COUNT, ATTRIBUTE, "upstream_wire_bytes_sent", NULL, 0, 0 },
    { 32, COUNT, ATTRIBUTE, "upstream_wire_bytes_received", NULL, 0, 0 },
    { 33, NAMES, ATTRIBUTE, "access_log_type", ROWS(types), KEEP(type) },
};

static const struct field request_fields[] = {
    { 1, NAMES, COLUMN(method), NULL, ROWS(methods), 0 },
    { 2, TEXT, ATTRIBUTE, "scheme", NULL, 0, 0 },
    { 3, TEXT, COLUMN(authority), NULL, NULL, 0, 0 },
    { 4, COUNT, ATTRIBUTE, "port", NULL, 0, 0 },
    { 5, TEXT, COLUMN(path), NULL, NULL, 0, KEEP(path) },
    { 6, TEXT, COLUMN(user_agent), NULL, NULL, 0, 0 },
    { 7, TEXT, ATTRIBUTE, "referer", NULL, 0, 0 },
    { 8, TEXT, COLUMN(x_forwarded_for), NULL, NULL, 0, 0 },
    { 9, TEXT, COLUMN(request_id), NULL, NULL, 0, 0 },
    { 10, TEXT, ATTRIBUTE, NULL, NULL, 0, KEEP(original_path) },
    { 11, COUNT, ATTRIBUTE, "request_headers_bytes", NULL, 0, 0 },
    { 12, COUNT, COLUMN(bytes_received), NULL, NULL, 0, 0 },
    { 13, MAP, ATTRIBUTE, "request_headers", NULL, 0, 0 },
    { 14, COUNT, ATTRIBUTE, "upstream_header_bytes_sent", NULL, 0, 0 },
    { 15, COUNT, ATTRIBUTE, "downstream_header_bytes_received", NULL, 0, 0 },
};

static const struct field response_fields[] = {
    { 1, COUNT, COLUMN(response_code), NULL, NULL, 0, 0 },
    { 2, COUNT, ATTRIBUTE, "response_headers_bytes", NULL, 0, 0 },
    { 3, COUNT, COLUMN(bytes_sent), NULL, NULL, 0, 0 },
    { 4, MAP, ATTRIBUTE, "response_headers", NULL, 0, 0 },
    { 5, MAP, ATTRIBUTE, "response_trailers", NULL, 0, 0 },
    { 6, TEXT, COLUMN(response_code_details), NULL, NULL, 0, 0 },
    { 7, COUNT, ATTRIBUTE, "upstream_header_bytes_received", NULL, 0, 0 },
    { 8, COUNT, ATTRIBUTE, "downstream_header_bytes_sent", NULL, 0, 0 },
};

static const struct field connection_fields[] = {
    { 1, COUNT, COLUMN(bytes_received), NULL, NULL, 0, 0 },
    { 2, COUNT, COLUMN(bytes_sent), NULL, NULL, 0, 0 },
};

static const struct field http_fields[] = {
    { 1, MESSAGE, ATTRIBUTE, NULL, ROWS(common_fields), 0 },
    { 2, NAMES, COLUMN(protocol), NULL, ROWS(protocols), 0 },
    { 3, MESSAGE, ATTRIBUTE, NULL, ROWS(request_fields), 0 },
    { 4, MESSAGE, ATTRIBUTE, NULL, ROWS(response_fields), 0 },
};

static const struct field tcp_fields[] = {
    { 1, MESSAGE, ATTRIBUTE, NULL, ROWS(common_fields), 0 },
    { 2, MESSAGE, ATTRIBUTE, NULL, ROWS(connection_fields), 0 },
};

/* Envoy's short flags by ResponseFlags' field numbers. */
static const char *const short_flags[] = {
    NULL, "LH", "UH", "UT", "LR", "UR", "UF", "UC", "UO", "NR", "DI", "FI", "RL", "UAEX", "RLSE", "DC", "URX", "SI", "IH",
    "DPE", "UMSDR", "RFCF", "NFCF", "DT", "UPE", "NC", "OM", "DF", "DR", "UDO",
};

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, "no memory for an entry of an access log");
}

/* --- where values go --- */

int envoy_entry_put(struct envoy_entry *x, const char *prefix, struct str name, struct str value, struct err *e)
{
    if (value.n == 0 || (name.n == 0 && !prefix))
        return 0;
    if (x->attributes.n == ENVOY_MOST_ATTRIBUTES)
        return err_set(e, ERR_LIMIT, "more than %d attributes", ENVOY_MOST_ATTRIBUTES);
    if (name.n > LONGEST_NAME || value.n > LONGEST_TEXT)
        return err_set(e, ERR_LIMIT, "an attribute of %zu bytes of name, %zu of value, at most %d and %d", name.n, value.n,
                       LONGEST_NAME, LONGEST_TEXT);
    if (prefix)
        name = arena_printf(x->arena, "%s.%.*s", prefix, STR_ARG(name));
    name = name.p ? envoy_text(x->arena, name) : name;
    value = envoy_text(x->arena, value);
    return name.p && value.p && label_builder_default(&x->attributes, name, value) == 0 ? 0 : no_memory(e);
}

static int put_text(struct envoy_entry *x, const struct field *f, struct str value, struct err *e)
{
    if (value.n > LONGEST_TEXT)
        return err_set(e, ERR_LIMIT, "a text of %zu bytes, at most %d", value.n, LONGEST_TEXT);
    value = envoy_text(x->arena, value);
    if (!value.p)
        return no_memory(e);
    if (f->keep)
        *(struct str *)(void *)((char *)x + f->keep) = value;
    if (f->column >= 0)
        x->v[f->column].s = value;
    else if (f->name)
        return envoy_entry_put(x, NULL, str_of(f->name), value, e);
    return 0;
}

static int put_number(struct envoy_entry *x, const struct field *f, uint64_t value, struct err *e)
{
    struct str text;

    if (value > INT64_MAX)
        return err_set(e, ERR_RANGE, "%s: %llu is too large", f->name ? f->name : "a count", (unsigned long long)value);
    if (f->column >= 0) {
        x->v[f->column].i = (int64_t)value;
        return 0;
    }
    text = arena_printf(x->arena, "%llu", (unsigned long long)value);
    return text.p ? envoy_entry_put(x, NULL, str_of(f->name), text, e) : no_memory(e);
}

static int put_count(struct envoy_entry *x, const struct field *f, const struct pb_field *v, struct err *e)
{
    struct pb_reader r;
    struct pb_field inner;
    uint64_t n = v->u;
    int rc = 0;

    if (v->type == PB_BYTES) { /* a wrapper: an empty one holds 0 */
        n = 0;
        r = pb_reader(v->bytes);
        while ((rc = pb_next(&r, &inner, e)) == 1)
            if (inner.number == 1)
                n = inner.u;
    } else {
        rc = pb_want(v, PB_VARINT, e);
    }
    return rc < 0 ? rc : put_number(x, f, n, e);
}

static int put_name(struct envoy_entry *x, const struct field *f, uint64_t value, struct err *e)
{
    const char *const *names = f->more;

    if (f->keep)
        *(uint64_t *)(void *)((char *)x + f->keep) = value;
    if (value < f->n) {
        const struct field text = { .column = f->column, .name = f->name };

        return put_text(x, &text, str_of(names[value]), e);
    }
    return 0; /* newer than we are */
}

static int put_duration(struct envoy_entry *x, const struct field *f, struct str message, struct err *e)
{
    int64_t ns;
    int rc = envoy_time(message, &ns, e);

    if (rc < 0)
        return rc;
    ns = ns < 0 ? 0 : ns; /* clocks that were set */
    if (f->keep)
        *(int64_t *)(void *)((char *)x + f->keep) = ns;
    return f->name ? put_number(x, f, (uint64_t)ns / 1000, e) : 0;
}

static int put_address(struct envoy_entry *x, const struct field *f, struct str message, struct err *e)
{
    struct str text = STR_NULL;
    int rc = envoy_address(x->arena, message, &text, e);

    return rc < 0 ? rc : put_text(x, f, text.p ? text : STR(""), e);
}

static int put_real(struct envoy_entry *x, const struct field *f, double value, struct err *e)
{
    struct str text = arena_printf(x->arena, "%.15g", value);

    return text.p ? put_text(x, f, text, e) : no_memory(e);
}

static int put_flags(struct envoy_entry *x, struct str message, struct err *e)
{
    bool set[sizeof(short_flags) / sizeof(short_flags[0])] = { false };
    struct buf b = BUF_INIT(256);
    struct pb_reader r = pb_reader(message);
    struct pb_field f;
    int rc;

    while ((rc = pb_next(&r, &f, e)) == 1)
        if (f.number < sizeof(set) / sizeof(set[0]))
            set[f.number] = f.type == PB_BYTES || f.u; /* 13 is a message that says why */
    for (size_t i = 1; rc == 0 && i < sizeof(set) / sizeof(set[0]); i++)
        if (set[i]) {
            buf_puts(&b, b.n ? "," : "");
            buf_puts(&b, short_flags[i]);
        }
    if (rc == 0 && b.n) {
        x->v[ACCESS_LOG_response_flags].s = arena_str(x->arena, buf_view(&b));
        if (!x->v[ACCESS_LOG_response_flags].s.p)
            rc = no_memory(e);
    }
    buf_free(&b);
    return rc;
}

/* The names in a certificate: "PREFIX_subject", "PREFIX_issuer", "PREFIX_uri", "PREFIX_dns" with commas. */
static int put_certificate(struct envoy_entry *x, const struct field *f, struct str message, struct err *e)
{
    static const char *const names[] = { NULL, "uri", "dns" };
    struct buf lists[3] = { BUF_INIT(0), BUF_INIT(1 << 16), BUF_INIT(1 << 16) };
    struct str *first = (struct str *)(void *)((char *)x + f->keep), text[4] = { STR_NULL };
    struct pb_reader r = pb_reader(message), inner;
    struct pb_field v, san;
    int rc;

    while ((rc = pb_next(&r, &v, e)) == 1) {
        if (v.number > 3)
            continue;
        if ((rc = pb_want(&v, PB_BYTES, e)) < 0)
            break;
        text[v.number] = v.bytes;
        if (v.number != 1)
            continue;
        inner = pb_reader(v.bytes);
        while ((rc = pb_next(&inner, &san, e)) == 1) {
            if (san.number > 2)
                continue;
            if ((rc = pb_want(&san, PB_BYTES, e)) < 0)
                break;
            buf_puts(&lists[san.number], lists[san.number].n ? "," : "");
            buf_str(&lists[san.number], san.bytes);
            if (first->n == 0 && str_starts(san.bytes, STR("spiffe://")))
                *first = envoy_text(x->arena, san.bytes);
        }
        if (rc < 0)
            break;
    }
    for (size_t i = 1; rc == 0 && i < 3; i++) {
        struct str name = arena_printf(x->arena, "%s_%s", f->name, names[i]), list = arena_str(x->arena, buf_view(&lists[i]));

        rc = name.p && list.p ? envoy_entry_put(x, NULL, name, list, e) : no_memory(e);
    }
    for (size_t i = 2; rc == 0 && i < 4; i++) {
        struct str name = arena_printf(x->arena, "%s_%s", f->name, i == 2 ? "subject" : "issuer");

        rc = name.p ? envoy_entry_put(x, NULL, name, text[i], e) : no_memory(e);
    }
    buf_free(&lists[1]);
    buf_free(&lists[2]);
    return rc;
}

/* --- maps --- */

static void note_header(struct envoy_entry *x, const char *map, struct str name, struct str value)
{
    static const struct {
        const char *map, *name;
        size_t keep;
    } kept[] = {
        { "request_headers", "content-type", KEEP(content_type) },
        { "request_headers", "traceparent", KEEP(traceparent) },
        { "request_headers", "x-b3-traceid", KEEP(b3_trace) },
        { "request_headers", "x-b3-spanid", KEEP(b3_span) },
        { "response_trailers", "grpc-status", KEEP(v[ACCESS_LOG_grpc_response_status].s) },
        { "response_headers", "grpc-status", KEEP(v[ACCESS_LOG_grpc_response_status].s) },
    };

    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
        if (strcmp(map, kept[i].map) == 0 && str_eqz(name, kept[i].name) && str_is_utf8(value))
            *(struct str *)(void *)((char *)x + kept[i].keep) = value;
}

/* What a Telemetry resource or a proxy's configuration says itself goes before what we conclude. */
static int put_tag(struct envoy_entry *x, struct str name, struct str value, struct err *e)
{
    int column = access_log_field_index(name);

    if (column < 0 || !access_log_fields[column].is_text)
        return envoy_entry_put(x, NULL, name, value, e);
    return str_eqz(value, "-") ? 0 : put_text(x, &(struct field){ .column = column }, value, e);
}

static int put_state(struct envoy_entry *x, struct str key, struct str any, struct err *e)
{
    struct str name = str_starts(key, STR("wasm.")) ? str_from(key, 5) : key, type, value, text;
    struct envoy_workload *peer = str_eqz(name, "upstream_peer")     ? &x->upstream
                                  : str_eqz(name, "downstream_peer") ? &x->downstream
                                                                     : NULL;
    int rc = envoy_entry(any, &type, &value, e);

    if (rc == 0 && peer && str_ends(type, STR("/google.protobuf.Struct")))
        return envoy_workload_read(x->arena, value, peer, e);
    if (rc == 0)
        rc = envoy_any_text(x->arena, any, &text, e);
    return rc < 0 ? rc : envoy_entry_put(x, "filter_state", key, text, e);
}

/* filter_metadata as JSON, typed_filter_metadata as Any has it. */
static int put_metadata(struct envoy_entry *x, struct str message, struct err *e)
{
    struct pb_reader r = pb_reader(message);
    struct str key, value, text;
    struct pb_field f;
    int rc;

    while ((rc = pb_next(&r, &f, e)) == 1) {
        if (f.number > 2)
            continue;
        if ((rc = pb_want(&f, PB_BYTES, e)) < 0 || (rc = envoy_entry(f.bytes, &key, &value, e)) < 0)
            return rc;
        rc = f.number == 1 ? envoy_struct_json(x->arena, value, &text, e) : envoy_any_text(x->arena, value, &text, e);
        if (rc < 0 || (rc = envoy_entry_put(x, "metadata", key, text, e)) < 0)
            return rc;
    }
    return rc;
}

static int put_pair(struct envoy_entry *x, const struct field *f, struct str message, struct err *e)
{
    struct str key, value;
    int rc = envoy_entry(message, &key, &value, e);

    if (rc < 0)
        return rc;
    if (f->kind == TAGS)
        return put_tag(x, key, value, e);
    if (f->kind == STATE)
        return put_state(x, key, value, e);
    note_header(x, f->name, key, value);
    return envoy_entry_put(x, f->name, key, value, e);
}

/* --- reading --- */

static int read_message(struct envoy_entry *x, const struct field *fields, size_t n, struct str message, struct err *e);

static enum pb_type wire_type(const struct field *f, const struct pb_field *v)
{
    switch (f->kind) {
    case COUNT:
        return v->type == PB_BYTES ? PB_BYTES : PB_VARINT;
    case FLAG:
    case NAMES:
        return PB_VARINT;
    case REAL:
        return PB_FIXED64;
    default:
        return PB_BYTES;
    }
}

static int take(struct envoy_entry *x, const struct field *f, const struct pb_field *v, struct err *e)
{
    int rc = pb_want(v, wire_type(f, v), e);

    if (rc < 0)
        return rc;
    switch (f->kind) {
    case TEXT:
        return put_text(x, f, v->bytes, e);
    case COUNT:
        return put_count(x, f, v, e);
    case REAL:
        return put_real(x, f, pb_double(v), e);
    case FLAG:
        x->intermediate = v->u != 0; /* the only one there is */
        return v->u ? put_text(x, f, STR("true"), e) : 0;
    case NAMES:
        return put_name(x, f, v->u, e);
    case ADDRESS:
        return put_address(x, f, v->bytes, e);
    case DURATION:
        return put_duration(x, f, v->bytes, e);
    case TIME:
        return envoy_time(v->bytes, &x->start_ns, e);
    case MESSAGE:
        x->tls = x->tls || f->more == tls_fields;
        return read_message(x, f->more, f->n, v->bytes, e);
    case MAP:
    case TAGS:
    case STATE:
        return put_pair(x, f, v->bytes, e);
    case METADATA:
        return put_metadata(x, v->bytes, e);
    case FLAGS:
        return put_flags(x, v->bytes, e);
    case CERTIFICATE:
        return put_certificate(x, f, v->bytes, e);
    }
    return 0;
}

/* As deep as the tables are: an entry, its common part, TLS. A fault of the entry does not keep the rest from being
 * read: it may be no protobuf at all. */
static int read_message(struct envoy_entry *x, const struct field *fields, size_t n, struct str message, struct err *e)
{
    struct pb_reader r = pb_reader(message);
    struct err here = ERR_INIT;
    struct pb_field v;
    int rc, fault = 0;

    while ((rc = pb_next(&r, &v, &here)) == 1) {
        if (v.number == 0 || v.number > n)
            continue;
        rc = take(x, &fields[v.number - 1], &v, &here); /* tables have each number once, from 1 on */
        if (rc == ERR_RANGE || rc == ERR_LIMIT) {
            fault = rc;
            *e = here;
        } else if (rc < 0) {
            break;
        }
    }
    if (rc < 0)
        *e = here;
    return rc < 0 ? rc : fault;
}

int envoy_entry_read(struct envoy_entry *x, struct arena *a, const struct envoy_node *node, bool is_tcp,
                     struct str message, struct err *e)
{
    int rc;

    memset(x, 0, sizeof(*x));
    x->arena = a;
    x->node = node;
    x->is_tcp = is_tcp;
    x->attributes = (struct label_builder)LABEL_BUILDER_INIT(a);
    x->duration_ns = x->last_down_tx_ns = x->last_down_rx_ns = x->last_up_tx_ns = x->first_up_rx_ns = -1;
    for (int i = 0; i < ACCESS_LOG_NFIELDS; i++)
        if (!access_log_fields[i].is_text)
            x->v[i].i = -1;
    if (is_tcp)
        rc = read_message(x, ROWS(tcp_fields), message, e);
    else
        rc = read_message(x, ROWS(http_fields), message, e);
    return rc < 0 ? rc : envoy_entry_conclude(x, e);
}

bool envoy_entry_counts(const struct envoy_entry *x)
{
    enum { NOT_SET = 0, TCP_CONNECTION_END = 3, DOWNSTREAM_END = 6, UDP_SESSION_END = 13 };

    return !x->intermediate && (x->type == NOT_SET || x->type == TCP_CONNECTION_END || x->type == DOWNSTREAM_END ||
                                x->type == UDP_SESSION_END);
}
