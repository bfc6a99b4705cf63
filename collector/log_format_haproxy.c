/* log_format_haproxy.c: HAProxy's log-format. */
#include "collector/log_format-internal.h"

#define COLUMN(c) ACCESS_LOG_##c, NULL, false
#define WEAK(c) ACCESS_LOG_##c, NULL, true
#define NONE -1, NULL, false
#define TIME(pattern) -1, (pattern), false

/* Aliases of sample expressions, with the field names of the manual's tables. Of those without a zone the zone is
 * ours. */
static const struct log_known aliases[] = {
    { STR_INIT("ci"), LOG_TEXT, COLUMN(downstream_remote_address), STR_INIT("") },
    { STR_INIT("cp"), LOG_NUMBER, NONE, STR_INIT("client_port") },
    { STR_INIT("tr"), LOG_STARTED, TIME("%d/%b/%Y:%T.%3f"), STR_INIT("") },
    { STR_INIT("trg"), LOG_STARTED, TIME("%d/%b/%Y:%T %z"), STR_INIT("") },
    { STR_INIT("trl"), LOG_STARTED, TIME("%d/%b/%Y:%T %z"), STR_INIT("") },
    { STR_INIT("t"), LOG_STARTED, TIME("%d/%b/%Y:%T.%3f"), STR_INIT("") },
    { STR_INIT("T"), LOG_STARTED, TIME("%d/%b/%Y:%T %z"), STR_INIT("") },
    { STR_INIT("Tl"), LOG_STARTED, TIME("%d/%b/%Y:%T %z"), STR_INIT("") },
    { STR_INIT("Ts"), LOG_STARTED, TIME("%s"), STR_INIT("") },
    { STR_INIT("ms"), LOG_SKIPPED, NONE, STR_INIT("") },
    { STR_INIT("f"), LOG_ATTRIBUTE, NONE, STR_INIT("frontend_name") },
    { STR_INIT("ft"), LOG_ATTRIBUTE, NONE, STR_INIT("frontend_name") },
    { STR_INIT("b"), LOG_TEXT, COLUMN(upstream_cluster), STR_INIT("") },
    { STR_INIT("s"), LOG_TEXT, WEAK(upstream_host), STR_INIT("server_name") },
    { STR_INIT("si"), LOG_TEXT, COLUMN(upstream_host), STR_INIT("") },
    { STR_INIT("sp"), LOG_NUMBER, NONE, STR_INIT("server_port") },
    { STR_INIT("bi"), LOG_TEXT, COLUMN(upstream_local_address), STR_INIT("") },
    { STR_INIT("bp"), LOG_NUMBER, NONE, STR_INIT("backend_source_port") },
    { STR_INIT("fi"), LOG_TEXT, COLUMN(downstream_local_address), STR_INIT("") },
    { STR_INIT("fp"), LOG_NUMBER, NONE, STR_INIT("frontend_port") },
    { STR_INIT("TR"), LOG_NUMBER, NONE, STR_INIT("TR") },
    { STR_INIT("Tw"), LOG_NUMBER, NONE, STR_INIT("Tw") },
    { STR_INIT("Tc"), LOG_NUMBER, NONE, STR_INIT("Tc") },
    { STR_INIT("Tr"), LOG_MILLISECONDS, COLUMN(upstream_service_time_us), STR_INIT("") },
    { STR_INIT("Ta"), LOG_MILLISECONDS, COLUMN(duration_us), STR_INIT("") },
    { STR_INIT("Tt"), LOG_MILLISECONDS, WEAK(duration_us), STR_INIT("Tt") },
    { STR_INIT("Tu"), LOG_MILLISECONDS, WEAK(duration_us), STR_INIT("Tu") },
    { STR_INIT("ST"), LOG_COUNT, COLUMN(response_code), STR_INIT("") },
    { STR_INIT("B"), LOG_COUNT, COLUMN(bytes_sent), STR_INIT("") },
    { STR_INIT("U"), LOG_COUNT, COLUMN(bytes_received), STR_INIT("") },
    { STR_INIT("CC"), LOG_ATTRIBUTE, NONE, STR_INIT("captured_request_cookie") },
    { STR_INIT("CS"), LOG_ATTRIBUTE, NONE, STR_INIT("captured_response_cookie") },
    { STR_INIT("tsc"), LOG_TERMINATION, NONE, STR_INIT("termination_state") },
    { STR_INIT("ts"), LOG_TERMINATION, NONE, STR_INIT("termination_state") },
    { STR_INIT("ac"), LOG_NUMBER, NONE, STR_INIT("actconn") },
    { STR_INIT("fc"), LOG_NUMBER, NONE, STR_INIT("feconn") },
    { STR_INIT("bc"), LOG_NUMBER, NONE, STR_INIT("beconn") },
    { STR_INIT("sc"), LOG_NUMBER, NONE, STR_INIT("srv_conn") },
    { STR_INIT("rc"), LOG_NUMBER, NONE, STR_INIT("retries") },
    { STR_INIT("sq"), LOG_NUMBER, NONE, STR_INIT("srv_queue") },
    { STR_INIT("bq"), LOG_NUMBER, NONE, STR_INIT("backend_queue") },
    { STR_INIT("hr"), LOG_CAPTURES, NONE, STR_INIT("captured_request_headers") },
    { STR_INIT("hs"), LOG_CAPTURES, NONE, STR_INIT("captured_response_headers") },
    { STR_INIT("hrl"), LOG_ATTRIBUTE, NONE, STR_INIT("captured_request_headers") },
    { STR_INIT("hsl"), LOG_ATTRIBUTE, NONE, STR_INIT("captured_response_headers") },
    { STR_INIT("r"), LOG_REQUEST, NONE, STR_INIT("") },
    { STR_INIT("HM"), LOG_TEXT, COLUMN(method), STR_INIT("") },
    { STR_INIT("HU"), LOG_TEXT, COLUMN(path), STR_INIT("") },
    { STR_INIT("HPO"), LOG_TEXT, WEAK(path), STR_INIT("HPO") },
    { STR_INIT("HP"), LOG_TEXT, WEAK(path), STR_INIT("HP") },
    { STR_INIT("HV"), LOG_TEXT, COLUMN(protocol), STR_INIT("") },
    { STR_INIT("HQ"), LOG_ATTRIBUTE, NONE, STR_INIT("query_string") },
    { STR_INIT("H"), LOG_ATTRIBUTE, NONE, STR_INIT("hostname") },
    { STR_INIT("ID"), LOG_TEXT, COLUMN(request_id), STR_INIT("") },
    { STR_INIT("sslc"), LOG_ATTRIBUTE, NONE, STR_INIT("ssl_ciphers") },
    { STR_INIT("sslv"), LOG_ATTRIBUTE, NONE, STR_INIT("ssl_version") },
    { STR_INIT("lc"), LOG_NUMBER, NONE, STR_INIT("log_counter") },
    { STR_INIT("pid"), LOG_NUMBER, NONE, STR_INIT("pid") },
    { STR_INIT("rt"), LOG_NUMBER, NONE, STR_INIT("request_counter") },
    { STR_INIT("Td"), LOG_NUMBER, NONE, STR_INIT("Td") },
    { STR_INIT("Th"), LOG_NUMBER, NONE, STR_INIT("Th") },
    { STR_INIT("Ti"), LOG_NUMBER, NONE, STR_INIT("Ti") },
    { STR_INIT("Tq"), LOG_NUMBER, NONE, STR_INIT("Tq") },
    { STR_INIT(""), LOG_SKIPPED, NONE, STR_INIT("") },
};

/* %[expression]: those that say what a column says. */
static const struct log_known expressions[] = {
    { STR_INIT("unique-id"), LOG_TEXT, WEAK(request_id), STR_INIT("") },
    { STR_INIT("src"), LOG_TEXT, WEAK(downstream_remote_address), STR_INIT("") },
    { STR_INIT("dst"), LOG_TEXT, WEAK(downstream_local_address), STR_INIT("") },
    { STR_INIT("status"), LOG_COUNT, WEAK(response_code), STR_INIT("") },
    { STR_INIT("be_name"), LOG_TEXT, WEAK(upstream_cluster), STR_INIT("") },
    { STR_INIT("srv_name"), LOG_TEXT, WEAK(upstream_host), STR_INIT("") },
    { STR_INIT("ssl_fc_sni"), LOG_TEXT, WEAK(requested_server_name), STR_INIT("") },
    { STR_INIT(""), LOG_SKIPPED, NONE, STR_INIT("") },
};

static const struct {
    const char *name, *format;
} presets[] = {
    { "httplog", "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs "
                 "%{+Q}r" },
    { "tcplog", "%ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt %B %ts %ac/%fc/%bc/%sc/%rc %sq/%bq" },
    { "httpslog", "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs "
                  "%{+Q}r %[fc_err]/%[ssl_fc_err,hex]/%[ssl_c_err]/%[ssl_c_ca_err]/%[ssl_fc_is_resumed] "
                  "%[ssl_fc_sni]/%sslv/%sslc" },
};

/* A value as it stands in haproxy.cfg: in "…" and outside of quotes a backslash takes the next byte as it is, '…'
 * takes all. */
static struct str unquote(struct str s, struct buf *to)
{
    char quote = '\0';

    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (quote && c == quote)
            quote = '\0';
        else if (!quote && (c == '"' || c == '\''))
            quote = c;
        else if (c == '\\' && quote != '\'' && i + 1 < s.n)
            buf_putc(to, s.p[++i]);
        else
            buf_putc(to, c);
    }
    return buf_view(to);
}

/* Only a value that is quoted as a whole, or a directive, is haproxy.cfg's text: a bare format may have quotes of
 * its own. */
static struct str bare(struct str s, struct buf *to)
{
    static const char *const directives[] = { "log-format ", "log-format-sd ", "error-log-format " };
    bool whole = s.n >= 2 && (s.p[0] == '"' || s.p[0] == '\'') && s.p[s.n - 1] == s.p[0];

    for (size_t i = 0; i < sizeof(directives) / sizeof(directives[0]); i++)
        if (str_starts(s, str_of(directives[i])))
            return unquote(str_trim(str_from(s, strlen(directives[i]))), to);
    return whole || str_find(s, STR("\\ ")) >= 0 ? unquote(s, to) : s;
}

/* Flags in braces: +Q quotes, -Q does not; others change how a value is written, not where it ends. */
static bool quoted(struct str flags, bool otherwise)
{
    if (str_find(flags, STR("+Q")) >= 0)
        return true;
    return str_find(flags, STR("-Q")) < 0 && otherwise;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

struct element {
    struct str flags, name, written;
    bool is_expression;
    size_t n; /* bytes of it all */
};

/* The end of the expression that begins at `at`, behind its bracket. */
static size_t expression_end(struct str s, size_t at)
{
    for (size_t depth = 0; at < s.n; at++) {
        if (s.p[at] == '[' || s.p[at] == '(')
            depth++;
        else if (s.p[at] == ')' && depth)
            depth--;
        else if (s.p[at] == ']' && depth-- == 0)
            return at;
    }
    return s.n;
}

/* %{flags}name or %{flags}[expression] at the start of s. */
static int read_element(struct log_builder *b, struct str s, struct element *x, struct err *e)
{
    size_t at = 1, end;
    ptrdiff_t brace = at < s.n && s.p[at] == '{' ? str_chr(s, '}') : 0;

    *x = (struct element){ .flags = STR_NULL };
    if (brace > 0) {
        x->flags = (struct str){ s.p + 2, (size_t)brace - 2 };
        at = (size_t)brace + 1;
    }
    x->is_expression = at < s.n && s.p[at] == '[';
    end = at + x->is_expression;
    if (x->is_expression)
        end = expression_end(s, end);
    else
        while (end < s.n && is_letter(s.p[end]))
            end++;
    x->name = (struct str){ s.p + at + x->is_expression, end - at - x->is_expression };
    if (brace < 0 || x->name.n == 0 || (x->is_expression && end == s.n))
        return err_set(e, ERR_INVALID, "\"%.*s\": should be %%name, %%{flags}name or %%[expression]",
                       (int)(s.n < 20 ? s.n : 20), s.p);
    x->n = end + x->is_expression;
    x->written = arena_printf(b->arena, x->is_expression ? "%%[%.*s]" : "%%%.*s", STR_ARG(x->name));
    return x->written.p ? 0 : err_set(e, ERR_NOMEM, "no memory for a format");
}

static const struct log_known *meaning_of(const struct element *x)
{
    return log_known_find(x->is_expression ? expressions : aliases, x->name);
}

static int add_element(struct log_builder *b, const struct element *x, bool *quote_all, struct err *e)
{
    const struct log_known *known = meaning_of(x);
    bool quote = quoted(x->flags, *quote_all);
    int rc;

    if (!x->is_expression && str_eqz(x->name, "o")) { /* flags for all that follow */
        *quote_all = quote;
        return 0;
    }
    if (!x->is_expression && !known)
        return err_set(e, ERR_INVALID, "%.*s: HAProxy 2.6 has no such alias", STR_ARG(x->written));
    if (quote)
        buf_putc(&b->literal, '"');
    rc = log_builder_field(b, x->written, x->name, known, e);
    if (quote)
        buf_putc(&b->literal, '"');
    return rc;
}

/* Blanks are separators: HAProxy writes one for several, and none at the start of the line. */
static void add_byte(struct log_builder *b, char c)
{
    const struct buf *l = &b->literal;

    if (c != ' ' || (l->n ? l->p[l->n - 1] != ' ' : b->format->n > 0))
        buf_putc(&b->literal, c);
}

static int read_format(struct log_builder *b, struct str s, struct err *e)
{
    bool quote_all = false;
    int rc = 0;

    while (rc == 0 && s.n) {
        struct element x;

        if (s.p[0] != '%' || str_starts(s, STR("%%"))) {
            add_byte(b, s.p[0]);
            s = str_from(s, s.p[0] == '%' ? 2 : 1);
            continue;
        }
        if ((rc = read_element(b, s, &x, e)) == 0)
            rc = add_element(b, &x, &quote_all, e);
        s = str_from(s, rc < 0 ? 0 : x.n);
    }
    return rc;
}

/* A format without anything of a request or its answer is one of connections. */
static bool is_tcp(const struct log_format *f)
{
    static const char *const http[] = { "%ST", "%r", "%HM", "%HU", "%HP" };

    for (size_t i = 0; i < f->n; i++)
        for (size_t k = 0; k < sizeof(http) / sizeof(http[0]); k++)
            if (str_eqz(f->fields[i].name, http[k]))
                return false;
    return true;
}

/* No server was there to be tried: what Envoy calls UH. */
static void finish(const struct log_format *f, struct log_line *l)
{
    struct str *server = &l->values[ACCESS_LOG_upstream_host].s, *flags = &l->values[ACCESS_LOG_response_flags].s;

    (void)f;
    if (!str_eqz(*server, "<NOSRV>"))
        return;
    *server = STR_NULL;
    if (str_eqz(*flags, "UF"))
        *flags = STR("UH");
}

static struct str preset(struct str name)
{
    for (size_t i = 0; i < sizeof(presets) / sizeof(presets[0]); i++)
        if (str_eqz(name, presets[i].name))
            return str_of(presets[i].format);
    return name;
}

struct log_format *log_format_haproxy(struct arena *a, struct str text, struct err *e)
{
    struct buf plain = BUF_INIT(LOG_FORMAT_MOST_TEXT);
    struct log_builder b;
    int rc;

    if (!log_builder_init(&b, a, text, e))
        return NULL;
    rc = read_format(&b, preset(bare(str_trim(text), &plain)), e);
    buf_free(&plain);
    b.format->escape = LOG_HASH;
    b.format->finish = finish;
    if (is_tcp(b.format))
        b.format->request_protocol = STR("tcp");
    return log_builder_end(&b, rc, e);
}
