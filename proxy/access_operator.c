/* access_operator.c: the operators of access log formats, one line each.
 *
 * Envoy's operators for what this proxy never knows (metadata, filter state, …) are
 * here, too, and always unset: a format that is at work with Istio works here. What is not Envoy's is refused. */
#include "proxy/access_format-internal.h"

#include "base/clock.h"
#include "base/num.h"
#include "base/rand.h"
#include "proxy/access_time.h"
#include "proxy/response_flags.h"

#include <stdio.h>

static struct access_value unset(void)
{
    return (struct access_value){ .text = STR_NULL };
}

static struct access_value text_of(struct str s)
{
    return (struct access_value){ .text = s };
}

/* Negative numbers are unset. */
static struct access_value number_of(int64_t v)
{
    return v < 0 ? unset() : (struct access_value){ .is_number = true, .number = v };
}

static const void *field(const struct access_use *u, const struct access_rendering *r)
{
    return (const char *)&r->rec->log + access_log_fields[u->op->field].offset;
}

static struct str text_field(const struct access_use *u, const struct access_rendering *r)
{
    struct str s;

    memcpy(&s, field(u, r), sizeof(s));
    return s;
}

static int64_t number_field(const struct access_use *u, const struct access_rendering *r)
{
    int64_t v;

    memcpy(&v, field(u, r), sizeof(v));
    return v;
}

static struct access_value text(const struct access_use *u, struct access_rendering *r)
{
    return text_of(text_field(u, r));
}

/* Envoy has 0 for a count that was never set. */
static struct access_value count(const struct access_use *u, struct access_rendering *r)
{
    int64_t v = number_field(u, r);

    return number_of(v < 0 ? 0 : v);
}

static struct access_value milliseconds(const struct access_use *u, struct access_rendering *r)
{
    int64_t us = number_field(u, r);

    return number_of(us < 0 ? us : us / 1000);
}

static struct access_value nothing(const struct access_use *u, struct access_rendering *r)
{
    (void)u, (void)r;
    return unset();
}

/* --- times --- */

_Static_assert((int)ACCESS_VALUE_SCRATCH >= (int)CLOCK_TEXT, "a time finds room");

static struct access_value time_text(const struct access_use *u, struct access_rendering *r, int64_t ns)
{
    if (u->argument.n)
        return text_of(access_time_text(r->scratch, sizeof(r->scratch), u->argument, ns));
    clock_rfc3339_ms(r->scratch, ns / 1000000);
    return text_of(str_of(r->scratch));
}

static struct access_value start_time(const struct access_use *u, struct access_rendering *r)
{
    return time_text(u, r, r->rec->log.start_ns);
}

static struct access_value emit_time(const struct access_use *u, struct access_rendering *r)
{
    return time_text(u, r, clock_now_ns());
}

static struct access_value request_duration(const struct access_use *u, struct access_rendering *r)
{
    (void)u;
    return number_of(r->rec->request_us < 0 ? -1 : r->rec->request_us / 1000);
}

/* From the request's first byte to the response's, in us; -1: no response came. */
static int64_t first_byte_us(const struct record *rec)
{
    return rec->request_us < 0 || rec->log.upstream_service_time_us < 0 ?
               -1 : rec->request_us + rec->log.upstream_service_time_us;
}

static struct access_value response_duration(const struct access_use *u, struct access_rendering *r)
{
    int64_t us = first_byte_us(r->rec);

    (void)u;
    return number_of(us < 0 ? us : us / 1000);
}

static struct access_value response_tx_duration(const struct access_use *u, struct access_rendering *r)
{
    int64_t us = first_byte_us(r->rec);

    (void)u;
    return number_of(us < 0 ? us : (r->rec->log.duration_us - us) / 1000);
}

/* Points of a request's way by Envoy's names, D of the client's side and U of the host's, received and sent. */
static const struct {
    struct str name;
    enum { BEGAN, WAS_COMPLETE, WAS_ANSWERED, ENDED, UNKNOWN } at;
} points[] = {
    { STR_INIT("DS_RX_BEG"), BEGAN },        { STR_INIT("DS_RX_END"), WAS_COMPLETE },
    { STR_INIT("US_TX_BEG"), UNKNOWN },      { STR_INIT("US_TX_END"), UNKNOWN },
    { STR_INIT("US_RX_BEG"), WAS_ANSWERED }, { STR_INIT("US_RX_END"), ENDED },
    { STR_INIT("DS_TX_BEG"), WAS_ANSWERED }, { STR_INIT("DS_TX_END"), ENDED },
};

/* -1: there is none of that name. */
static int find_point(struct str name)
{
    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++)
        if (str_eq(points[i].name, name))
            return (int)i;
    return -1;
}

/* Since the request began; negative: not known. */
static int64_t point_us(const struct record *rec, struct str name)
{
    switch (points[find_point(name)].at) {
    case BEGAN:
        return 0;
    case WAS_COMPLETE:
        return rec->request_us;
    case WAS_ANSWERED:
        return first_byte_us(rec);
    case ENDED:
        return rec->log.duration_us;
    case UNKNOWN:
        break;
    }
    return -1;
}

static bool is_span_of_points(struct str s)
{
    struct str from = str_cut(&s, ':'), to = s.p ? str_cut(&s, ':') : STR_NULL;

    return find_point(from) >= 0 && find_point(to) >= 0 && s.p &&
           (str_eqz(s, "ms") || str_eqz(s, "us") || str_eqz(s, "ns"));
}

static struct access_value common_duration(const struct access_use *u, struct access_rendering *r)
{
    struct str unit = u->argument, first = str_cut(&unit, ':'), last = str_cut(&unit, ':');
    int64_t from = point_us(r->rec, first), to = point_us(r->rec, last);

    if (from < 0 || to < from)
        return unset();
    return number_of(str_eqz(unit, "ms") ? (to - from) / 1000 : str_eqz(unit, "us") ? to - from : (to - from) * 1000);
}

/* --- sizes --- */

static struct access_value without_body(uint64_t all, int64_t body)
{
    return number_of((int64_t)all > body && body >= 0 ? (int64_t)all - body : 0);
}

static struct access_value request_headers_bytes(const struct access_use *u, struct access_rendering *r)
{
    (void)u;
    return without_body(r->rec->request_bytes, r->rec->log.bytes_received);
}

static struct access_value response_headers_bytes(const struct access_use *u, struct access_rendering *r)
{
    (void)u;
    return without_body(r->rec->response_bytes, r->rec->log.bytes_sent);
}

static struct access_value attempts(const struct access_use *u, struct access_rendering *r)
{
    (void)u;
    return number_of(r->rec->tries);
}

/* --- addresses --- */

/* The colon before the port; -1: there is no port. */
static ptrdiff_t port_at(struct str address)
{
    for (size_t n = address.n; n-- > 0;)
        if (address.p[n] == ':')
            return (ptrdiff_t)n;
    return -1;
}

static struct access_value ip_of(struct str s)
{
    ptrdiff_t at = port_at(s);

    if (at >= 0)
        s.n = (size_t)at;
    if (s.n > 2 && s.p[0] == '[') /* IPv6 */
        s = (struct str){ s.p + 1, s.n - 2 };
    return text_of(s);
}

static struct access_value port_of(struct str s)
{
    ptrdiff_t at = port_at(s);
    uint64_t v;

    return at >= 0 && num_u64(str_from(s, (size_t)at + 1), &v) && v <= UINT16_MAX ? number_of((int64_t)v) : unset();
}

static struct access_value ip(const struct access_use *u, struct access_rendering *r)
{
    return ip_of(text_field(u, r));
}

static struct access_value port(const struct access_use *u, struct access_rendering *r)
{
    return port_of(text_field(u, r));
}

static struct str direct_peer(const struct record *rec)
{
    return rec->direct_remote_address.n ? rec->direct_remote_address : rec->log.downstream_remote_address;
}

static struct access_value direct(const struct access_use *u, struct access_rendering *r)
{
    (void)u;
    return text_of(direct_peer(r->rec));
}

static struct access_value direct_ip(const struct access_use *u, struct access_rendering *r)
{
    (void)u;
    return ip_of(direct_peer(r->rec));
}

static struct access_value direct_port(const struct access_use *u, struct access_rendering *r)
{
    (void)u;
    return port_of(direct_peer(r->rec));
}

/* --- TLS --- */

static struct access_value tls_text(const struct access_use *u, struct access_rendering *r)
{
    return text_of(r->tls[u->op->tls][u->op->field]);
}

static struct access_value tls_time(const struct access_use *u, struct access_rendering *r)
{
    uint64_t s;

    return num_u64(r->tls[u->op->tls][u->op->field], &s) && s < INT64_MAX / 1000000000 ?
               time_text(u, r, (int64_t)s * 1000000000) : unset();
}

/* --- protocols, flags and status --- */

static struct access_value upstream_protocol(const struct access_use *u, struct access_rendering *r)
{
    (void)u;
    if (r->rec->log.upstream_host.n == 0 || r->rec->kind != RECORD_HTTP)
        return unset();
    return text_of(r->rec->upstream_http2 ? STR("HTTP/2") : STR("HTTP/1.1"));
}

static struct access_value long_flags(const struct access_use *u, struct access_rendering *r)
{
    struct str rest = r->rec->log.response_flags;
    size_t n = 0;

    (void)u;
    while (rest.n) {
        struct str name = response_flag_name(str_cut(&rest, ','));

        if (n + 1 + name.n > sizeof(r->scratch))
            break;
        if (n)
            r->scratch[n++] = ',';
        memcpy(r->scratch + n, name.p, name.n);
        n += name.n;
    }
    return text_of((struct str){ r->scratch, n });
}

static const struct {
    struct str camel, snake;
} grpc_codes[] = {
    { STR_INIT("OK"), STR_INIT("OK") },
    { STR_INIT("Canceled"), STR_INIT("CANCELLED") },
    { STR_INIT("Unknown"), STR_INIT("UNKNOWN") },
    { STR_INIT("InvalidArgument"), STR_INIT("INVALID_ARGUMENT") },
    { STR_INIT("DeadlineExceeded"), STR_INIT("DEADLINE_EXCEEDED") },
    { STR_INIT("NotFound"), STR_INIT("NOT_FOUND") },
    { STR_INIT("AlreadyExists"), STR_INIT("ALREADY_EXISTS") },
    { STR_INIT("PermissionDenied"), STR_INIT("PERMISSION_DENIED") },
    { STR_INIT("ResourceExhausted"), STR_INIT("RESOURCE_EXHAUSTED") },
    { STR_INIT("FailedPrecondition"), STR_INIT("FAILED_PRECONDITION") },
    { STR_INIT("Aborted"), STR_INIT("ABORTED") },
    { STR_INIT("OutOfRange"), STR_INIT("OUT_OF_RANGE") },
    { STR_INIT("Unimplemented"), STR_INIT("UNIMPLEMENTED") },
    { STR_INIT("Internal"), STR_INIT("INTERNAL") },
    { STR_INIT("Unavailable"), STR_INIT("UNAVAILABLE") },
    { STR_INIT("DataLoss"), STR_INIT("DATA_LOSS") },
    { STR_INIT("Unauthenticated"), STR_INIT("UNAUTHENTICATED") },
};

static bool is_grpc_form(struct str s)
{
    return str_eqz(s, "CAMEL_STRING") || str_eqz(s, "SNAKE_STRING") || str_eqz(s, "NUMBER");
}

static struct access_value grpc_number(const struct access_use *u, struct access_rendering *r)
{
    uint64_t code;

    (void)u;
    return num_u64(r->rec->log.grpc_response_status, &code) && code <= UINT32_MAX ? number_of((int64_t)code) : unset();
}

static struct access_value grpc_status(const struct access_use *u, struct access_rendering *r)
{
    struct access_value v = grpc_number(u, r);

    if (!v.is_number || str_eqz(u->argument, "NUMBER"))
        return v;
    if (v.number >= (int64_t)(sizeof(grpc_codes) / sizeof(grpc_codes[0])))
        return text_of(r->rec->log.grpc_response_status);
    return text_of(str_eqz(u->argument, "SNAKE_STRING") ? grpc_codes[v.number].snake : grpc_codes[v.number].camel);
}

static bool is_whitespace_rule(struct str s)
{
    return str_eqz(s, "ALLOW_WHITESPACES");
}

/* --- who --- */

static struct access_value hostname(const struct access_use *u, struct access_rendering *r)
{
    (void)u;
    return text_of(r->with->hostname);
}

static struct access_value unique_id(const struct access_use *u, struct access_rendering *r)
{
    (void)u;
    rng_uuid4(r->with->rng, r->scratch);
    return text_of((struct str){ r->scratch, 36 });
}

static struct access_value variable(const struct access_use *u, struct access_rendering *r)
{
    (void)r;
    return text_of(u->argument);
}

/* --- headers --- */

static struct access_value header(const struct access_use *u, struct access_rendering *r)
{
    struct access_value v = unset();

    for (int i = 0; i < 2 && !v.is_number && v.text.n == 0; i++) {
        if (u->known[i])
            v = u->known[i]->value(&(struct access_use){ .op = u->known[i] }, r);
        else if (u->slot[i] >= 0)
            v = text_of(r->headers[u->slot[i]]);
    }
    return v;
}

static struct access_value header_without_query(const struct access_use *u, struct access_rendering *r)
{
    struct access_value v = header(u, r);
    ptrdiff_t mark = str_chr(v.text, '?');

    if (mark >= 0)
        v.text.n = (size_t)mark;
    return v;
}

#define FIELD(operator, how, log_field)                                                                       \
    { STR_INIT(operator), ARGUMENT_NONE, how, ACCESS_LOG_##log_field, 0, NULL, NULL, SIDE_NONE }
#define OWN(operator, how) { STR_INIT(operator), ARGUMENT_NONE, how, 0, 0, NULL, NULL, SIDE_NONE }
#define CHECKED(operator, how, log_field, is_right, right)                                                    \
    { STR_INIT(operator), ARGUMENT_OPTIONAL, how, ACCESS_LOG_##log_field, 0, is_right, right, SIDE_NONE }
#define HEADERS(operator, how, of) { STR_INIT(operator), ARGUMENT_HEADERS, how, 0, of, NULL, NULL, SIDE_NONE }
#define NEVER(operator) { STR_INIT(operator), ARGUMENT_NONE, nothing, 0, 0, NULL, NULL, SIDE_NONE }
#define NEVER_OF(operator) { STR_INIT(operator), ARGUMENT_IGNORED, nothing, 0, 0, NULL, NULL, SIDE_NONE }
/* What TLS says (TIME: a time), on both sides. */
#define TLS(operator, of) TLS_ON("DOWNSTREAM_" operator, DOWNSTREAM, of), TLS_ON("UPSTREAM_" operator, UPSTREAM, of)
#define TLS_ON(operator, side, of) \
    { STR_INIT(operator), ARGUMENT_NONE, tls_text, TLS_TOLD_##of, 0, NULL, NULL, SIDE_##side }
#define TLS_TIME(operator, of) \
    TLS_TIME_ON("DOWNSTREAM_" operator, DOWNSTREAM, of), TLS_TIME_ON("UPSTREAM_" operator, UPSTREAM, of)
#define TLS_TIME_ON(operator, side, of) \
    { STR_INIT(operator), ARGUMENT_OPTIONAL, tls_time, TLS_TOLD_##of, 0, access_time_is_form, time_forms, SIDE_##side }

static const char time_forms[] = "a time's form by strftime's letters, with %3f, %6f or %9f for fractions";

static const struct access_operator operators[] = {
    CHECKED("START_TIME", start_time, path, access_time_is_form, time_forms),
    CHECKED("EMIT_TIME", emit_time, path, access_time_is_form, time_forms),
    FIELD("PROTOCOL", text, protocol),
    OWN("UPSTREAM_PROTOCOL", upstream_protocol),
    FIELD("RESPONSE_CODE", count, response_code),
    CHECKED("RESPONSE_CODE_DETAILS", text, response_code_details, is_whitespace_rule, "ALLOW_WHITESPACES"),
    FIELD("CONNECTION_TERMINATION_DETAILS", text, connection_termination_details),
    FIELD("RESPONSE_FLAGS", text, response_flags),
    OWN("RESPONSE_FLAGS_LONG", long_flags),
    OWN("REQUEST_HEADERS_BYTES", request_headers_bytes),
    OWN("RESPONSE_HEADERS_BYTES", response_headers_bytes),
    FIELD("BYTES_RECEIVED", count, bytes_received),
    FIELD("BYTES_SENT", count, bytes_sent),
    FIELD("DURATION", milliseconds, duration_us),
    OWN("REQUEST_DURATION", request_duration),
    OWN("RESPONSE_DURATION", response_duration),
    OWN("RESPONSE_TX_DURATION", response_tx_duration),
    { STR_INIT("COMMON_DURATION"), ARGUMENT_NEEDED, common_duration, 0, 0, is_span_of_points, "START:END:ms, us or ns",
      SIDE_NONE },
    OWN("UPSTREAM_REQUEST_ATTEMPT_COUNT", attempts),
    FIELD("UPSTREAM_HOST", text, upstream_host),
    FIELD("UPSTREAM_CLUSTER", text, upstream_cluster),
    FIELD("UPSTREAM_CLUSTER_RAW", text, upstream_cluster),
    FIELD("UPSTREAM_LOCAL_ADDRESS", text, upstream_local_address),
    FIELD("UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", ip, upstream_local_address),
    FIELD("UPSTREAM_LOCAL_PORT", port, upstream_local_address),
    FIELD("UPSTREAM_REMOTE_ADDRESS", text, upstream_host),
    FIELD("UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", ip, upstream_host),
    FIELD("UPSTREAM_REMOTE_PORT", port, upstream_host),
    FIELD("UPSTREAM_TRANSPORT_FAILURE_REASON", text, upstream_transport_failure_reason),
    FIELD("DOWNSTREAM_REMOTE_ADDRESS", text, downstream_remote_address),
    FIELD("DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", ip, downstream_remote_address),
    FIELD("DOWNSTREAM_REMOTE_PORT", port, downstream_remote_address),
    OWN("DOWNSTREAM_DIRECT_REMOTE_ADDRESS", direct),
    OWN("DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT", direct_ip),
    OWN("DOWNSTREAM_DIRECT_REMOTE_PORT", direct_port),
    FIELD("DOWNSTREAM_LOCAL_ADDRESS", text, downstream_local_address),
    FIELD("DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", ip, downstream_local_address),
    FIELD("DOWNSTREAM_LOCAL_PORT", port, downstream_local_address),
    HEADERS("REQ", header, MESSAGE_REQUEST),
    HEADERS("REQ_WITHOUT_QUERY", header_without_query, MESSAGE_REQUEST),
    HEADERS("RESP", header, MESSAGE_RESPONSE),
    HEADERS("TRAILER", header, MESSAGE_TRAILERS),
    FIELD("ROUTE_NAME", text, route_name),
    FIELD("REQUESTED_SERVER_NAME", text, requested_server_name),
    OWN("HOSTNAME", hostname),
    { STR_INIT("ENVIRONMENT"), ARGUMENT_VARIABLE, variable, 0, 0, NULL, NULL, SIDE_NONE },
    FIELD("TRACE_ID", text, trace_id),
    FIELD("SPAN_ID", text, span_id),
    FIELD("STREAM_ID", text, request_id),
    OWN("UNIQUE_ID", unique_id),
    CHECKED("GRPC_STATUS", grpc_status, grpc_response_status, is_grpc_form, "CAMEL_STRING, SNAKE_STRING or NUMBER"),
    OWN("GRPC_STATUS_NUMBER", grpc_number),
    TLS("TLS_VERSION", VERSION),
    TLS("TLS_CIPHER", CIPHER),
    TLS("TLS_SESSION_ID", SESSION_ID),
    TLS("PEER_SUBJECT", PEER_SUBJECT),
    TLS("PEER_ISSUER", PEER_ISSUER),
    TLS("PEER_SERIAL", PEER_SERIAL),
    TLS("PEER_FINGERPRINT_1", PEER_FINGERPRINT_1),
    TLS("PEER_FINGERPRINT_256", PEER_FINGERPRINT_256),
    TLS("PEER_CERT", PEER_CERT),
    TLS_TIME("PEER_CERT_V_START", PEER_V_START),
    TLS_TIME("PEER_CERT_V_END", PEER_V_END),
    TLS("PEER_URI_SAN", PEER_URI_SAN),
    TLS("PEER_DNS_SAN", PEER_DNS_SAN),
    TLS("PEER_IP_SAN", PEER_IP_SAN),
    TLS("PEER_EMAIL_SAN", PEER_EMAIL_SAN),
    TLS("LOCAL_SUBJECT", LOCAL_SUBJECT),
    TLS("LOCAL_URI_SAN", LOCAL_URI_SAN),
    TLS("LOCAL_DNS_SAN", LOCAL_DNS_SAN),
    TLS("LOCAL_IP_SAN", LOCAL_IP_SAN),
    TLS("LOCAL_EMAIL_SAN", LOCAL_EMAIL_SAN),
    NEVER("ACCESS_LOG_TYPE"),
    NEVER("CONNECTION_ID"),
    NEVER("DOWNSTREAM_HANDSHAKE_DURATION"),
    NEVER("DOWNSTREAM_TRANSPORT_FAILURE_REASON"),
    NEVER("FILTER_CHAIN_NAME"),
    NEVER("LOCAL_REPLY_BODY"),
    NEVER("UPSTREAM_CONNECTION_ID"),
    NEVER("VIRTUAL_CLUSTER_NAME"),
    NEVER_OF("CEL"),
    NEVER_OF("CLUSTER_METADATA"),
    NEVER_OF("DYNAMIC_METADATA"),
    NEVER_OF("FILTER_STATE"),
    NEVER_OF("METADATA"),
    NEVER_OF("UPSTREAM_FILTER_STATE"),
    NEVER_OF("UPSTREAM_METADATA"),
};

const struct access_operator *access_operator(struct str name)
{
    for (size_t i = 0; i < sizeof(operators) / sizeof(operators[0]); i++)
        if (str_eq(operators[i].name, name))
            return &operators[i];
    return NULL;
}

/* The path before rewriting is the log's own field, and asked for as an alternative: X-ENVOY-ORIGINAL-PATH?:PATH. */
static const struct access_operator original_path = FIELD("X-ENVOY-ORIGINAL-PATH", text, path);

static const struct access_operator request_headers[] = {
    FIELD(":METHOD", text, method),
    FIELD(":AUTHORITY", text, authority),
    FIELD("USER-AGENT", text, user_agent),
    FIELD("X-REQUEST-ID", text, request_id),
    FIELD("X-FORWARDED-FOR", text, x_forwarded_for),
};

static const struct access_operator response_headers[] = {
    FIELD(":STATUS", count, response_code),
    FIELD("X-ENVOY-UPSTREAM-SERVICE-TIME", milliseconds, upstream_service_time_us),
};

static const struct access_operator *find_header(const struct access_operator *all, size_t n, struct str name)
{
    for (size_t i = 0; i < n; i++)
        if (str_ieq(all[i].name, name))
            return &all[i];
    return NULL;
}

const struct access_operator *access_known_header(enum access_message m, struct str name, struct str other)
{
    if (m == MESSAGE_REQUEST && str_ieq(name, original_path.name) && str_ieq(other, STR(":PATH")))
        return &original_path;
    if (m == MESSAGE_REQUEST)
        return find_header(request_headers, sizeof(request_headers) / sizeof(request_headers[0]), name);
    if (m == MESSAGE_RESPONSE)
        return find_header(response_headers, sizeof(response_headers) / sizeof(response_headers[0]), name);
    return NULL;
}
