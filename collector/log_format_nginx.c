/* log_format_nginx.c: nginx's log_format. */
#include "collector/log_format-internal.h"

#define COLUMN(c) ACCESS_LOG_##c, NULL, false, STR_INIT("")
#define WEAK(c) ACCESS_LOG_##c, NULL, true, STR_INIT("")
#define TIME(pattern) -1, (pattern), false, STR_INIT("")

/* Variables that have a column; all others are attributes by their own names. The last lines are of what is often
 * added: the otel module, the ingress controller. */
static const struct log_known variables[] = {
    { STR_INIT("remote_addr"), LOG_TEXT, COLUMN(downstream_remote_address) },
    { STR_INIT("time_local"), LOG_ENDED, TIME("%d/%b/%Y:%T %z") },
    { STR_INIT("time_iso8601"), LOG_ENDED, TIME("%FT%T%z") },
    { STR_INIT("msec"), LOG_ENDED, TIME("%s.%3f") },
    { STR_INIT("request"), LOG_REQUEST, TIME(NULL) },
    { STR_INIT("request_method"), LOG_TEXT, WEAK(method) },
    { STR_INIT("request_uri"), LOG_PATH, COLUMN(path) },
    { STR_INIT("uri"), LOG_PATH, WEAK(path) },
    { STR_INIT("document_uri"), LOG_PATH, WEAK(path) },
    { STR_INIT("server_protocol"), LOG_TEXT, WEAK(protocol) },
    { STR_INIT("status"), LOG_COUNT, COLUMN(response_code) },
    { STR_INIT("body_bytes_sent"), LOG_COUNT, COLUMN(bytes_sent) },
    { STR_INIT("bytes_sent"), LOG_COUNT, WEAK(bytes_sent) },
    { STR_INIT("request_length"), LOG_COUNT, COLUMN(bytes_received) },
    { STR_INIT("bytes_received"), LOG_COUNT, WEAK(bytes_received) },
    { STR_INIT("request_time"), LOG_SECONDS, COLUMN(duration_us) },
    { STR_INIT("session_time"), LOG_SECONDS, WEAK(duration_us) },
    { STR_INIT("upstream_header_time"), LOG_SECONDS, COLUMN(upstream_service_time_us) },
    { STR_INIT("upstream_response_time"), LOG_SECONDS, WEAK(upstream_service_time_us) },
    { STR_INIT("upstream_connect_time"), LOG_LIST, TIME(NULL) },
    { STR_INIT("upstream_status"), LOG_LIST, TIME(NULL) },
    { STR_INIT("upstream_response_length"), LOG_LIST, TIME(NULL) },
    { STR_INIT("upstream_bytes_sent"), LOG_LIST, TIME(NULL) },
    { STR_INIT("upstream_bytes_received"), LOG_LIST, TIME(NULL) },
    { STR_INIT("upstream_addr"), LOG_LAST, COLUMN(upstream_host) },
    { STR_INIT("proxy_host"), LOG_TEXT, COLUMN(upstream_cluster) },
    { STR_INIT("host"), LOG_TEXT, COLUMN(authority) },
    { STR_INIT("http_host"), LOG_TEXT, WEAK(authority) },
    { STR_INIT("ssl_server_name"), LOG_TEXT, COLUMN(requested_server_name) },
    { STR_INIT("ssl_preread_server_name"), LOG_TEXT, WEAK(requested_server_name) },
    { STR_INIT("http_user_agent"), LOG_TEXT, COLUMN(user_agent) },
    { STR_INIT("http_x_forwarded_for"), LOG_TEXT, COLUMN(x_forwarded_for) },
    { STR_INIT("proxy_add_x_forwarded_for"), LOG_TEXT, WEAK(x_forwarded_for) },
    { STR_INIT("http_x_request_id"), LOG_TEXT, COLUMN(request_id) },
    { STR_INIT("request_id"), LOG_TEXT, WEAK(request_id) },
    { STR_INIT("http_traceparent"), LOG_TRACEPARENT, TIME(NULL) },
    { STR_INIT("http_x_b3_traceid"), LOG_TEXT, WEAK(trace_id) },
    { STR_INIT("http_x_b3_spanid"), LOG_TEXT, WEAK(span_id) },
    { STR_INIT("otel_trace_id"), LOG_TEXT, COLUMN(trace_id) },
    { STR_INIT("otel_span_id"), LOG_TEXT, COLUMN(span_id) },
    { STR_INIT("req_id"), LOG_TEXT, WEAK(request_id) },
    { STR_INIT("proxy_upstream_name"), LOG_TEXT, WEAK(upstream_cluster) },
    { STR_INIT(""), LOG_SKIPPED, TIME(NULL) },
};

static const struct str combined = STR_INIT("$remote_addr - $remote_user [$time_local] \"$request\" $status "
                                            "$body_bytes_sent \"$http_referer\" \"$http_user_agent\"");

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static struct str skip_blanks(struct str s)
{
    while (s.n && is_blank(s.p[0]))
        s = str_from(s, 1);
    return s;
}

/* One word of nginx.conf, quoted or not, appended to `to`; the rest is returned, with p NULL when a quote is
 * missing. */
static struct str take_word(struct str s, struct buf *to)
{
    char quote = s.p[0] == '\'' || s.p[0] == '"' ? s.p[0] : '\0';
    size_t i = quote ? 1 : 0;

    for (; i < s.n && (quote ? s.p[i] != quote : !is_blank(s.p[i]) && s.p[i] != ';'); i++) {
        if (s.p[i] == '\\' && i + 1 < s.n && strchr("\"'\\", s.p[i + 1]))
            i++;
        buf_putc(to, s.p[i]);
    }
    if (quote && i == s.n)
        return STR_NULL;
    return str_from(s, i + (quote ? 1 : 0));
}

/* The directive's words: its name is skipped, the pieces of the string are put together. */
static int read_directive(struct str s, struct buf *text, enum log_escape *escape, struct err *e)
{
    struct buf word = BUF_INIT(LOG_FORMAT_MOST_TEXT);
    int n = 0;

    for (s = skip_blanks(s); s.n && s.p[0] != ';'; s = skip_blanks(s)) {
        struct str w;

        buf_reset(&word);
        s = take_word(s, &word);
        w = buf_view(&word);
        if (!s.p)
            break;
        n++;
        if (n == 3 && str_starts(w, STR("escape=")))
            *escape = str_eqz(str_from(w, 7), "none") ? LOG_PLAIN : LOG_BACKSLASH;
        else if (n > 2)
            buf_str(text, w);
    }
    buf_free(&word);
    if (!s.p)
        return err_set(e, ERR_INVALID, "the directive log_format has a quote that does not end");
    return buf_failed(text) ? err_set(e, ERR_NOMEM, "no memory for a format") : 0;
}

static bool is_name(char c)
{
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* A variable at the start of s: $name or ${name}. Its length with all of that, 0: it is none. */
static size_t variable(struct str s, struct str *name)
{
    bool braces = s.n > 1 && s.p[1] == '{';
    size_t from = braces ? 2 : 1, n = from;

    while (n < s.n && is_name(s.p[n]))
        n++;
    *name = (struct str){ s.p + from, n - from };
    if (n == from || (braces && (n == s.n || s.p[n] != '}')))
        return 0;
    return n + braces;
}

/* References name a variable without braces, whichever way the format writes it. */
static int add_variable(struct log_builder *b, struct str name, struct err *e)
{
    struct str written = arena_printf(b->arena, "$%.*s", STR_ARG(name));

    if (!written.p)
        return err_set(e, ERR_NOMEM, "no memory for a format");
    if (str_eqz(name, "session_time")) /* the stream module's */
        b->format->request_protocol = STR("tcp");
    return log_builder_field(b, written, name, log_known_find(variables, name), e);
}

static int read_format(struct log_builder *b, struct str s, struct err *e)
{
    int rc = 0;

    while (rc == 0 && s.n) {
        struct str name;
        size_t n = s.p[0] == '$' ? variable(s, &name) : 0;

        if (s.p[0] == '$' && n == 0)
            return err_set(e, ERR_INVALID, "\"%.*s\": no variable's name follows the '$'", (int)(s.n < 20 ? s.n : 20),
                           s.p);
        if (n)
            rc = add_variable(b, name, e);
        else
            buf_putc(&b->literal, s.p[0]);
        s = str_from(s, n ? n : 1);
    }
    return rc;
}

/* 499: the client went away. 504: the upstream did not answer in time. */
static void finish(const struct log_format *f, struct log_line *l)
{
    int64_t code = l->values[ACCESS_LOG_response_code].i;

    (void)f;
    if (code == 499)
        l->values[ACCESS_LOG_response_flags].s = STR("DC");
    else if (code == 504 && l->values[ACCESS_LOG_upstream_host].s.n)
        l->values[ACCESS_LOG_response_flags].s = STR("UT");
}

struct log_format *log_format_nginx(struct arena *a, struct str text, struct err *e)
{
    struct buf joined = BUF_INIT(LOG_FORMAT_MOST_TEXT);
    enum log_escape escape = LOG_BACKSLASH;
    struct log_builder b;
    int rc = 0;

    if (!log_builder_init(&b, a, text, e))
        return NULL;
    text = skip_blanks(text);
    if (str_eqz(text, "combined"))
        text = combined;
    else if (str_starts(text, STR("log_format "))) {
        rc = read_directive(text, &joined, &escape, e);
        text = buf_view(&joined);
    }
    b.format->escape = escape;
    b.format->finish = finish;
    if (rc == 0)
        rc = read_format(&b, text, e);
    buf_free(&joined);
    return log_builder_end(&b, rc, e);
}
