/* log_format_envoy.c: Envoy's and Istio's access log formats, by their operators. */
#include "collector/log_format-internal.h"
#include "collector/log_time-internal.h"

#define COLUMN(c) ACCESS_LOG_##c, NULL, false, STR_INIT("")
#define WEAK(c) ACCESS_LOG_##c, NULL, true, STR_INIT("")

static const struct log_known operators[] = {
    { STR_INIT("PROTOCOL"), LOG_TEXT, COLUMN(protocol) },
    { STR_INIT("RESPONSE_CODE"), LOG_COUNT, COLUMN(response_code) },
    { STR_INIT("RESPONSE_FLAGS"), LOG_TEXT, COLUMN(response_flags) },
    { STR_INIT("RESPONSE_CODE_DETAILS"), LOG_TEXT, COLUMN(response_code_details) },
    { STR_INIT("CONNECTION_TERMINATION_DETAILS"), LOG_TEXT, COLUMN(connection_termination_details) },
    { STR_INIT("UPSTREAM_TRANSPORT_FAILURE_REASON"), LOG_TEXT, COLUMN(upstream_transport_failure_reason) },
    { STR_INIT("BYTES_RECEIVED"), LOG_COUNT, COLUMN(bytes_received) },
    { STR_INIT("BYTES_SENT"), LOG_COUNT, COLUMN(bytes_sent) },
    { STR_INIT("DURATION"), LOG_MILLISECONDS, COLUMN(duration_us) },
    { STR_INIT("UPSTREAM_HOST"), LOG_TEXT, COLUMN(upstream_host) },
    { STR_INIT("UPSTREAM_REMOTE_ADDRESS"), LOG_TEXT, WEAK(upstream_host) },
    { STR_INIT("UPSTREAM_CLUSTER"), LOG_TEXT, COLUMN(upstream_cluster) },
    { STR_INIT("UPSTREAM_CLUSTER_RAW"), LOG_TEXT, WEAK(upstream_cluster) },
    { STR_INIT("UPSTREAM_LOCAL_ADDRESS"), LOG_TEXT, COLUMN(upstream_local_address) },
    { STR_INIT("DOWNSTREAM_LOCAL_ADDRESS"), LOG_TEXT, COLUMN(downstream_local_address) },
    { STR_INIT("DOWNSTREAM_REMOTE_ADDRESS"), LOG_TEXT, COLUMN(downstream_remote_address) },
    { STR_INIT("DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT"), LOG_TEXT, WEAK(downstream_remote_address) },
    { STR_INIT("DOWNSTREAM_DIRECT_REMOTE_ADDRESS"), LOG_TEXT, WEAK(downstream_remote_address) },
    { STR_INIT("DOWNSTREAM_PEER_URI_SAN"), LOG_TEXT, COLUMN(source_principal) },
    { STR_INIT("REQUESTED_SERVER_NAME"), LOG_TEXT, COLUMN(requested_server_name) },
    { STR_INIT("ROUTE_NAME"), LOG_TEXT, COLUMN(route_name) },
    { STR_INIT("GRPC_STATUS"), LOG_TEXT, COLUMN(grpc_response_status) },
    { STR_INIT("GRPC_STATUS_NUMBER"), LOG_TEXT, WEAK(grpc_response_status) },
    { STR_INIT("TRACE_ID"), LOG_TEXT, COLUMN(trace_id) },
    { STR_INIT(""), LOG_SKIPPED, COLUMN(reporter) },
};

/* Headers, of REQ(X?Y) by X, and of RESP; in lower case. */
static const struct log_known request_headers[] = {
    { STR_INIT(":method"), LOG_TEXT, COLUMN(method) },
    { STR_INIT("x-envoy-original-path"), LOG_TEXT, COLUMN(path) },
    { STR_INIT(":path"), LOG_TEXT, WEAK(path) },
    { STR_INIT(":authority"), LOG_TEXT, COLUMN(authority) },
    { STR_INIT("host"), LOG_TEXT, WEAK(authority) },
    { STR_INIT("user-agent"), LOG_TEXT, COLUMN(user_agent) },
    { STR_INIT("x-forwarded-for"), LOG_TEXT, COLUMN(x_forwarded_for) },
    { STR_INIT("x-request-id"), LOG_TEXT, COLUMN(request_id) },
    { STR_INIT("x-b3-traceid"), LOG_TEXT, WEAK(trace_id) },
    { STR_INIT("x-b3-spanid"), LOG_TEXT, COLUMN(span_id) },
    { STR_INIT("traceparent"), LOG_TRACEPARENT, -1, NULL, false, STR_INIT("") },
    { STR_INIT(""), LOG_SKIPPED, COLUMN(reporter) },
};
static const struct log_known response_headers[] = {
    { STR_INIT("x-envoy-upstream-service-time"), LOG_MILLISECONDS, COLUMN(upstream_service_time_us) },
    { STR_INIT("grpc-status"), LOG_TEXT, WEAK(grpc_response_status) },
    { STR_INIT(""), LOG_SKIPPED, COLUMN(reporter) },
};

static const struct {
    const char *name, *format;
} presets[] = {
    { "istio", "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% "
               "%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "
               "\"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% "
               "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" "
               "\"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\" %UPSTREAM_CLUSTER_RAW% "
               "%UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% "
               "%REQUESTED_SERVER_NAME% %ROUTE_NAME%" },
    { "envoy", "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% "
               "%RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "
               "\"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" "
               "\"%UPSTREAM_HOST%\"" },
};

static struct str lower(struct arena *a, struct str s)
{
    char *to = arena_alloc(a, s.n + 1);

    if (!to)
        return STR_NULL;
    for (size_t i = 0; i < s.n; i++)
        to[i] = (char)(s.p[i] >= 'A' && s.p[i] <= 'Z' ? s.p[i] + 32 : s.p[i]);
    to[s.n] = '\0';
    return (struct str){ to, s.n };
}

/* A header of the request or the answer: "X?Y", X of them first. */
static int header(struct arena *a, struct str name, struct str argument, struct log_known *out, struct err *e)
{
    bool request = str_eqz(name, "REQ");
    struct str header = lower(a, argument), first;
    const struct log_known *known;

    if (!header.p)
        return err_set(e, ERR_NOMEM, "no memory for a format");
    first = str_cut(&header, '?');
    if (first.n == 0)
        return err_set(e, ERR_INVALID, "%%%.*s()%%: a header's name is missing", STR_ARG(name));
    known = log_known_find(request ? request_headers : response_headers, first);
    if (known) {
        *out = *known;
        return 0;
    }
    out->attribute = arena_printf(a, request ? "req.%.*s" : "resp.%.*s", STR_ARG(first));
    return out->attribute.p ? 0 : err_set(e, ERR_NOMEM, "no memory for a format");
}

static int start_time(struct arena *a, struct str pattern, struct log_known *out, struct err *e)
{
    size_t at = 0;

    out->meaning = LOG_STARTED;
    if (pattern.n == 0)
        return 0;
    out->pattern = arena_cstr(a, pattern);
    if (!out->pattern)
        return err_set(e, ERR_NOMEM, "no memory for a format");
    if (!log_time_pattern(out->pattern, &at))
        return err_set(e, ERR_UNSUPPORTED,
                       "%%START_TIME(%.*s)%%: \"%.2s\": should be one of %%Y %%m %%d %%e %%b %%H %%M %%S "
                       "%%F %%T %%s %%f %%3f %%z",
                       STR_ARG(pattern), out->pattern + at);
    return 0;
}

int log_envoy_operator(struct arena *a, struct str operator, struct log_known *out, struct err *e)
{
    struct str rest = operator, name = str_cut(&rest, '('), argument = STR_NULL;
    const struct log_known *known;

    *out = (struct log_known){ .meaning = LOG_ATTRIBUTE, .column = -1 };
    if (rest.p) {
        size_t end = rest.n;

        while (end > 0 && rest.p[end - 1] != ')')
            end--;
        if (end == 0)
            return err_set(e, ERR_INVALID, "%%%.*s%%: its parenthesis does not end", STR_ARG(operator));
        argument = (struct str){ rest.p, end - 1 };
    } else {
        rest = name; /* %NAME:10% cuts a text short */
        name = str_cut(&rest, ':');
    }
    if (name.n == 0)
        return err_set(e, ERR_INVALID, "%%%.*s%%: should be %%OPERATOR%% or %%OPERATOR(argument)%%", STR_ARG(operator));
    if (str_eqz(name, "START_TIME"))
        return start_time(a, argument, out, e);
    if (str_eqz(name, "REQ") || str_eqz(name, "RESP"))
        return header(a, name, argument, out, e);
    known = log_known_find(operators, name);
    if (known)
        *out = *known;
    else
        out->attribute = lower(a, operator);
    return known || out->attribute.p ? 0 : err_set(e, ERR_NOMEM, "no memory for a format");
}

/* The length of the operator at the start of s with its percent signs; 0: it does not end. */
static size_t operator_length(struct str s)
{
    ptrdiff_t parenthesis = str_chr(s, '('), percent = str_chr(str_from(s, 1), '%'), end;

    if (parenthesis < 0 || (percent >= 0 && percent + 1 < parenthesis))
        return percent < 0 ? 0 : (size_t)percent + 2;
    end = str_chr(str_from(s, (size_t)parenthesis), ')'); /* an argument may have percent signs: START_TIME */
    if (end < 0)
        return 0;
    end += parenthesis;
    percent = str_chr(str_from(s, (size_t)end), '%');
    return percent < 0 ? 0 : (size_t)(end + percent) + 1;
}

static int read_format(struct log_builder *b, struct str s, struct err *e)
{
    int rc = 0;

    while (rc == 0 && s.n) {
        struct log_known known;
        size_t n;

        if (s.p[0] != '%' || str_starts(s, STR("%%"))) {
            buf_putc(&b->literal, s.p[0]);
            s = str_from(s, s.p[0] == '%' ? 2 : 1);
            continue;
        }
        n = operator_length(s);
        if (n < 3)
            return err_set(e, ERR_INVALID, "\"%.*s\": should be %%OPERATOR%%, and %%%% for a percent sign",
                           (int)(s.n < 20 ? s.n : 20), s.p);
        rc = log_envoy_operator(b->arena, (struct str){ s.p + 1, n - 2 }, &known, e);
        if (rc == 0)
            rc = log_builder_field(b, (struct str){ s.p, n }, STR_NULL, &known, e);
        s = str_from(s, n);
    }
    return rc;
}

struct log_format *log_format_envoy(struct arena *a, struct str text, struct err *e)
{
    struct log_builder b;

    if (!log_builder_init(&b, a, text, e))
        return NULL;
    for (size_t i = 0; i < sizeof(presets) / sizeof(presets[0]); i++)
        if (str_eqz(text, presets[i].name))
            text = str_of(presets[i].format);
    while (text.n && (text.p[text.n - 1] == '\n' || text.p[text.n - 1] == '\r')) /* a line's end is no part of it */
        text.n--;
    b.format->names_reporter = true;
    return log_builder_end(&b, read_format(&b, text, e), e);
}
