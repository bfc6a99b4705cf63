#include "base/access_log.h"

#include "base/clock.h"

#define INFO_S(field) { STR_INIT(#field), true, offsetof(struct access_log, field) },
#define INFO_I(field) { STR_INIT(#field), false, offsetof(struct access_log, field) },
const struct access_log_field_info access_log_fields[ACCESS_LOG_NFIELDS] = { ACCESS_LOG_FIELDS(INFO_S, INFO_I) };

void access_log_init(struct access_log *l)
{
    memset(l, 0, sizeof(*l));
#define UNSET_S(field)
#define UNSET_I(field) l->field = -1;
    ACCESS_LOG_FIELDS(UNSET_S, UNSET_I)
}

int access_log_field_index(struct str name)
{
    for (int i = 0; i < ACCESS_LOG_NFIELDS; i++)
        if (str_eq(access_log_fields[i].name, name))
            return i;
    return -1;
}

static bool must_escape(unsigned char c)
{
    return c < 0x20 || c == 0x7f || c == '"' || c == '\\';
}

void access_log_escaped(struct buf *b, struct str s)
{
    if (s.n == 0) {
        buf_putc(b, '-');
        return;
    }
    for (size_t from = 0, at = 0; from < s.n; from = ++at) {
        while (at < s.n && !must_escape((unsigned char)s.p[at]))
            at++;
        buf_put(b, s.p + from, at - from);
        if (at < s.n)
            buf_printf(b, "\\x%02x", (unsigned char)s.p[at]);
    }
}

static void quoted(struct buf *b, struct str s)
{
    buf_putc(b, '"');
    access_log_escaped(b, s);
    buf_putc(b, '"');
}

/* Envoy prints 0 for a count that was never set. */
static void count(struct buf *b, int64_t v)
{
    buf_i64(b, v < 0 ? 0 : v);
    buf_putc(b, ' ');
}

static void number(struct buf *b, int64_t v)
{
    if (v < 0)
        buf_putc(b, '-');
    else
        buf_i64(b, v);
}

static int64_t us_to_ms(int64_t us)
{
    return us < 0 ? -1 : us / 1000;
}

static void start_time(struct buf *b, const struct access_log *l)
{
    char when[CLOCK_TEXT];

    clock_rfc3339_ms(when, l->start_ns / 1000000);
    buf_puts(b, when);
}

void access_log_text(struct buf *b, const struct access_log *l)
{
    const struct str after[] = { l->upstream_cluster,           l->upstream_local_address,
                                 l->downstream_local_address,   l->downstream_remote_address,
                                 l->requested_server_name,      l->route_name };
    const struct str identity[] = { l->x_forwarded_for, l->user_agent, l->request_id, l->authority, l->upstream_host };

    buf_putc(b, '[');
    start_time(b, l);
    buf_puts(b, "] \"");
    access_log_escaped(b, l->method);
    buf_putc(b, ' ');
    access_log_escaped(b, l->path);
    buf_putc(b, ' ');
    access_log_escaped(b, l->protocol);
    buf_puts(b, "\" ");
    count(b, l->response_code);
    access_log_escaped(b, l->response_flags);
    buf_putc(b, ' ');
    access_log_escaped(b, l->response_code_details);
    buf_putc(b, ' ');
    access_log_escaped(b, l->connection_termination_details);
    buf_putc(b, ' ');
    quoted(b, l->upstream_transport_failure_reason);
    buf_putc(b, ' ');
    count(b, l->bytes_received);
    count(b, l->bytes_sent);
    number(b, us_to_ms(l->duration_us));
    buf_putc(b, ' ');
    number(b, us_to_ms(l->upstream_service_time_us));
    for (size_t i = 0; i < sizeof(identity) / sizeof(identity[0]); i++) {
        buf_putc(b, ' ');
        quoted(b, identity[i]);
    }
    for (size_t i = 0; i < sizeof(after) / sizeof(after[0]); i++) {
        buf_putc(b, ' ');
        access_log_escaped(b, after[i]);
    }
    buf_putc(b, '\n');
}

static void json_text(struct buf *b, const char *key, struct str s)
{
    buf_printf(b, ",\"%s\":", key);
    if (s.n)
        buf_json(b, s);
    else
        buf_puts(b, "null");
}

static void json_number(struct buf *b, const char *key, int64_t v)
{
    buf_printf(b, ",\"%s\":", key);
    if (v < 0)
        buf_puts(b, "null");
    else
        buf_i64(b, v);
}

void access_log_json(struct buf *b, const struct access_log *l)
{
    buf_puts(b, "{\"start_time\":\"");
    start_time(b, l);
    buf_putc(b, '"');
#define JSON(field) json_text(b, #field, l->field)
    JSON(method);
    JSON(path);
    JSON(protocol);
    json_number(b, "response_code", l->response_code < 0 ? 0 : l->response_code);
    JSON(response_flags);
    JSON(response_code_details);
    JSON(connection_termination_details);
    json_number(b, "bytes_received", l->bytes_received);
    json_number(b, "bytes_sent", l->bytes_sent);
    json_number(b, "duration", us_to_ms(l->duration_us));
    json_number(b, "upstream_service_time", us_to_ms(l->upstream_service_time_us));
    JSON(x_forwarded_for);
    JSON(user_agent);
    JSON(request_id);
    JSON(authority);
    JSON(upstream_host);
    JSON(upstream_cluster);
    JSON(upstream_local_address);
    JSON(downstream_local_address);
    JSON(downstream_remote_address);
    JSON(requested_server_name);
    JSON(route_name);
    JSON(upstream_transport_failure_reason);
#undef JSON
    buf_puts(b, "}\n");
}
