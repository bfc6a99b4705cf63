/* http1_parser.c: one pass for the lines, one for what is in them.
 *
 * find_end() looks for the empty line and remembers where it stopped, so a head that comes byte by byte is scanned
 * once. It already refuses what cannot become a message (a bare LF, a first byte that starts no method), so that
 * garbage is answered at once and not after a timeout. Only a complete head is parsed: no state between the bytes of
 * a line, and the result does not depend on how the bytes were cut. */
#include "proxy/http1_parser.h"

#include <arpa/inet.h>

/* Bit 0: tchar. Bit 1: in a field's value. Bit 2: in a request target. Bit 3: in a registered name
 * (RFC 3986), but for the comma: two names where fields of one name are joined. */
const uint8_t http1_class[256] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    2, 15, 6, 3, 15, 15, 15, 15, 14, 14, 15, 15, 6, 15, 15, 6,
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 6, 14, 6, 14, 6, 6,
    6, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15,
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 6, 6, 6, 7, 15,
    7, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15,
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 6, 7, 6, 15, 0,
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
};

static bool in_class(struct str s, unsigned class)
{
    for (size_t i = 0; i < s.n; i++)
        if (!(http1_class[(unsigned char)s.p[i]] & class))
            return false;
    return true;
}

bool http1_is_token(struct str s)
{
    return s.n > 0 && in_class(s, HTTP1_TCHAR);
}

bool http1_is_like_framing(struct str name)
{
    static const struct str names[] = { STR_INIT("content-length"), STR_INIT("transfer-encoding") };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t at = 0;

        while (name.n == names[i].n && at < name.n &&
               (name.p[at] == '_' ? names[i].p[at] == '-' : (name.p[at] | 0x20) == names[i].p[at]))
            at++;
        if (at == names[i].n)
            return true;
    }
    return false;
}

static enum http1_result refuse(struct http_head *h, unsigned status, const char *why)
{
    h->refused = (uint16_t)status;
    h->why = why;
    return HTTP1_REFUSED;
}

/* Whether bytes at the start of a message can still become its first line. */
static bool may_start(struct str s, bool response)
{
    static const char version[] = "HTTP/1.";
    size_t n = 0;

    if (s.n && s.p[0] == '\r')
        return !response && (s.n == 1 || s.p[1] == '\n');
    if (response)
        return memcmp(s.p, version, s.n < sizeof(version) - 1 ? s.n : sizeof(version) - 1) == 0;
    while (n < s.n && n <= HTTP1_LONGEST_METHOD && http1_class[(unsigned char)s.p[n]] & HTTP1_TCHAR)
        n++;
    return n == s.n ? n <= HTTP1_LONGEST_METHOD : n > 0 && n <= HTTP1_LONGEST_METHOD && s.p[n] == ' ';
}

/* Whether a request line has a version at its end. */
static bool ends_well(struct str line)
{
    return line.n > 9 && memcmp(line.p + line.n - 9, " HTTP/", 6) == 0;
}

static enum http1_result find_end(struct http1_scan *s, struct str in, bool response, struct http_head *h)
{
    size_t limit = in.n < HTTP_MOST_HEAD ? in.n : HTTP_MOST_HEAD;

    h->refused = 0;
    while (s->at < limit || s->at == 0) {
        const char *lf;
        size_t end;

        if (s->line == s->start && in.n > s->start && !may_start(str_from(in, s->start), response))
            return refuse(h, 400, "the first line is none of HTTP/1");
        lf = s->at < limit ? memchr(in.p + s->at, '\n', limit - s->at) : NULL;
        if (!lf)
            break;
        end = (size_t)(lf - in.p);
        if (end == s->line || in.p[end - 1] != '\r')
            return refuse(h, 400, "a line ends with LF alone");
        if (end - 1 > s->line) {
            if (s->line == s->start && !response && !ends_well((struct str){ in.p + s->line, end - 1 - s->line }))
                return refuse(h, 400, "the request line is not METHOD TARGET VERSION");
            s->line = end + 1;
        } else if (s->line > s->start) {
            h->base = in.p;
            h->size = end + 1;
            return HTTP1_DONE;
        } else {
            if (++s->empty_lines > 2)
                return refuse(h, 400, "too many empty lines before the message");
            s->start = s->line = end + 1;
        }
        s->at = end + 1;
    }
    s->at = limit;
    if (limit < HTTP_MOST_HEAD)
        return HTTP1_MORE;
    return s->line == s->start ? refuse(h, 414, "the request target is larger than 60 KiB") :
                                 refuse(h, 431, "the head is larger than 60 KiB");
}

static struct http_span span(const struct http_head *h, struct str s)
{
    return (struct http_span){ (uint16_t)(s.p - h->base), (uint16_t)s.n };
}

/* "HTTP/1.0" or "HTTP/1.1", and what comes behind it is read like that (RFC 9110 2.5). 0, or the status that refuses
 * it. */
static unsigned parse_version(struct http_head *h, struct str v)
{
    if (v.n != 8 || memcmp(v.p, "HTTP/", 5) != 0 || v.p[6] != '.')
        return 400;
    if (v.p[5] < '0' || v.p[5] > '9' || v.p[7] < '0' || v.p[7] > '9')
        return 400;
    if (v.p[5] != '1')
        return 505;
    h->version = v.p[7] == '0' ? HTTP_VERSION_10 : HTTP_VERSION_11;
    return 0;
}

static bool is_ipv6(struct str s)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;

    if (s.n >= sizeof(text) || memchr(s.p, '\0', s.n))
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    return inet_pton(AF_INET6, text, &address) == 1;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

static bool is_name(struct str s)
{
    if (s.n == 0 || s.n > 255 || !in_class(s, HTTP1_HOSTCHAR))
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '%' && (s.n - i < 3 || !is_hex(s.p[i + 1]) || !is_hex(s.p[i + 2])))
            return false;
    return true;
}

/* Empty, or ":" and a number; ":" alone is fine, too. */
static bool is_port(struct str s)
{
    unsigned long n = 0;

    if (s.n == 0)
        return true;
    if (s.p[0] != ':' || s.n > 6)
        return false;
    for (size_t i = 1; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        n = n * 10 + (unsigned long)(s.p[i] - '0');
    }
    return n <= UINT16_MAX;
}

bool http1_is_authority(struct str s)
{
    bool ipv6 = s.n && s.p[0] == '[';
    ptrdiff_t at = str_chr(s, ipv6 ? ']' : ':');

    if (ipv6)
        return at > 0 && is_ipv6((struct str){ s.p + 1, (size_t)at - 1 }) && is_port(str_from(s, (size_t)at + 1));
    return at < 0 ? is_name(s) : is_name((struct str){ s.p, (size_t)at }) && is_port(str_from(s, (size_t)at));
}

static size_t length_of_authority(struct str s)
{
    size_t n = 0;

    while (n < s.n && s.p[n] != '/' && s.p[n] != '?')
        n++;
    return n;
}

/* "http://host:port/path?query" */
static bool parse_absolute(struct http_head *h, struct str t)
{
    size_t scheme = h->https ? 8 : 7;
    struct str rest = str_from(t, scheme), authority = { rest.p, length_of_authority(rest) };

    if (!http1_is_authority(authority))
        return false;
    h->authority = span(h, authority);
    h->path = span(h, str_from(rest, authority.n));
    return true;
}

static bool parse_target(struct http_head *h, struct str t)
{
    if (t.n == 0 || !in_class(t, HTTP1_TARGET))
        return false;
    if (t.p[0] == '/' || (str_eqz(t, "*") && str_eqz(http_text(h, h->method), "OPTIONS"))) {
        h->path = span(h, t);
        return true;
    }
    h->https = t.n > 8 && str_ieq((struct str){ t.p, 8 }, STR("https://"));
    return (h->https || (t.n > 7 && str_ieq((struct str){ t.p, 7 }, STR("http://")))) && parse_absolute(h, t);
}

static enum http1_result parse_request_line(struct http_head *h, struct str line)
{
    struct str rest = line, method = str_cut(&rest, ' '), target = rest.p ? str_cut(&rest, ' ') : STR_NULL;
    unsigned status;

    if (!rest.p || !http1_is_token(method))
        return refuse(h, 400, "the request line is not METHOD TARGET VERSION");
    status = parse_version(h, rest);
    if (status)
        return refuse(h, status, "the version is not HTTP/1");
    h->method = span(h, method);
    if (str_eqz(method, "CONNECT"))
        return refuse(h, 501, "CONNECT is not offered");
    if (!parse_target(h, target))
        return refuse(h, 400, "the request target is no path or http URI");
    return HTTP1_DONE;
}

static enum http1_result parse_status_line(struct http_head *h, struct str line)
{
    struct str rest = line, version = str_cut(&rest, ' '), code = rest.p ? str_cut(&rest, ' ') : STR_NULL;

    if (parse_version(h, version) != 0 || code.n != 3)
        return refuse(h, 502, "the status line is not VERSION CODE REASON");
    for (size_t i = 0; i < 3; i++) {
        if (code.p[i] < '0' || code.p[i] > '9')
            return refuse(h, 502, "the status code is no number of three digits");
        h->status = (uint16_t)(h->status * 10 + (code.p[i] - '0'));
    }
    if (h->status < 100 || h->status > 599 || (rest.p && !in_class(rest, HTTP1_VALUE)))
        return refuse(h, 502, "the status line is not VERSION CODE REASON");
    h->reason = rest.p ? span(h, rest) : (struct http_span){ 0, 0 };
    return HTTP1_DONE;
}

static enum http1_result parse_field(struct http_head *h, struct str line)
{
    struct http_field *f;
    struct str value;
    size_t n = 0;

    while (n < line.n && http1_class[(unsigned char)line.p[n]] & HTTP1_TCHAR)
        n++;
    if (n == 0 || n == line.n || line.p[n] != ':')
        return refuse(h, 400, "a field is not NAME: VALUE");
    value = str_trim(str_from(line, n + 1));
    if (!in_class(value, HTTP1_VALUE))
        return refuse(h, 400, "a field's value has a control character");
    if (h->nfields == HTTP_MOST_FIELDS)
        return refuse(h, 431, "more than 100 fields");
    f = &h->fields[h->nfields++];
    f->name = (struct http_span){ (uint16_t)(line.p - h->base), (uint16_t)n };
    f->value = span(h, value);
    f->id = http_id_of((struct str){ line.p, n });
    if (f->id == HTTP_OTHER && http1_is_like_framing((struct str){ line.p, n }))
        return refuse(h, 400, "a field that may be read as one of the framing");
    if (f->id && !h->first[f->id])
        h->first[f->id] = (uint8_t)h->nfields;
    return HTTP1_DONE;
}

static enum http1_result parse_lines(struct http_head *h, const struct http1_scan *s, bool response)
{
    struct str rest = { h->base + s->start, h->size - s->start - 2 };
    enum http1_result r = HTTP1_DONE;
    bool first = true;

    h->nfields = 0;
    h->status = 0;
    h->https = h->nominates = h->upgrade = false;
    h->authority = (struct http_span){ 0, 0 };
    memset(h->first, 0, sizeof(h->first));
    while (r == HTTP1_DONE && rest.n) {
        struct str line = str_cut(&rest, '\n');

        line.n--; /* the CR: find_end has seen to it */
        if (!first)
            r = parse_field(h, line);
        else
            r = response ? parse_status_line(h, line) : parse_request_line(h, line);
        first = false;
    }
    return r;
}

/* How often a field stands there, from its first on. */
static unsigned count_of(const struct http_head *h, enum http_id id)
{
    unsigned n = 0;

    if (h->first[id])
        for (size_t i = h->first[id] - 1u; i < h->nfields; i++)
            n += h->fields[i].id == id;
    return n;
}

static void parse_connection(struct http_head *h)
{
    bool close = false, keep = false;

    if (h->first[HTTP_CONNECTION])
        for (size_t i = h->first[HTTP_CONNECTION] - 1u; i < h->nfields; i++) {
            struct str rest = http_text(h, h->fields[i].value);

            while (h->fields[i].id == HTTP_CONNECTION && rest.p) {
                struct str option = str_trim(str_cut(&rest, ','));

                if (str_ieq(option, STR("close")))
                    close = true;
                else if (str_ieq(option, STR("keep-alive")))
                    keep = true;
                else if (str_ieq(option, STR("upgrade")))
                    h->upgrade = true;
                else if (option.n && !str_ieq(option, STR("te"))) /* is for one hop in any case */
                    h->nominates = true;
            }
        }
    h->keep_alive = !close && (h->version == HTTP_VERSION_11 || keep);
}

/* Digits alone, and no more of them than fit an int64. */
static bool parse_length(struct str s, uint64_t *n)
{
    *n = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        *n = *n * 10 + (uint64_t)(s.p[i] - '0');
    }
    return s.n > 0 && s.n <= 18;
}

static enum http1_result parse_framing(struct http_head *h, unsigned bad)
{
    h->framing = HTTP_NO_BODY;
    h->length = 0;
    if (h->first[HTTP_TRANSFER_ENCODING]) {
        if (h->first[HTTP_CONTENT_LENGTH])
            return refuse(h, bad, "both Content-Length and Transfer-Encoding");
        if (h->version == HTTP_VERSION_10)
            return refuse(h, bad, "Transfer-Encoding in HTTP/1.0");
        if (count_of(h, HTTP_TRANSFER_ENCODING) > 1)
            return refuse(h, bad, "Transfer-Encoding more than once");
        if (!str_ieq(http_value(h, HTTP_TRANSFER_ENCODING), STR("chunked")))
            return refuse(h, bad == 400 ? 501 : bad, "a transfer coding other than chunked");
        h->framing = HTTP_STREAMED;
    } else if (h->first[HTTP_CONTENT_LENGTH]) {
        if (count_of(h, HTTP_CONTENT_LENGTH) > 1)
            return refuse(h, bad, "Content-Length more than once");
        if (!parse_length(http_value(h, HTTP_CONTENT_LENGTH), &h->length))
            return refuse(h, bad, "Content-Length is no number");
        h->framing = HTTP_LENGTH;
    }
    return HTTP1_DONE;
}

static enum http1_result parse_host(struct http_head *h)
{
    unsigned n = count_of(h, HTTP_HOST);
    struct str host = http_value(h, HTTP_HOST);

    if (n > 1)
        return refuse(h, 400, "Host more than once");
    if (n == 0 && h->version == HTTP_VERSION_11)
        return refuse(h, 400, "Host is missing");
    if (n == 1 && !http1_is_authority(host))
        return refuse(h, 400, "Host is no host");
    if (n == 1 && h->authority.n == 0)
        h->authority = span(h, host);
    return HTTP1_DONE;
}

enum http1_result http1_request(struct http1_scan *s, struct str in, struct http_head *h)
{
    enum http1_result r = find_end(s, in, false, h);

    if (r == HTTP1_DONE)
        r = parse_lines(h, s, false);
    if (r == HTTP1_DONE)
        r = parse_host(h);
    if (r == HTTP1_DONE)
        r = parse_framing(h, 400);
    if (r == HTTP1_DONE)
        parse_connection(h);
    return r;
}

/* Which responses have a body, whatever their fields say (RFC 9112 6.3). */
static enum http1_result frame_response(struct http_head *h, bool to_head)
{
    bool announced = h->framing == HTTP_STREAMED || h->length > 0;

    parse_connection(h);
    if (announced && h->status < 200)
        return refuse(h, 502, "an informational response with a body");
    if (announced && h->status == 204)
        h->keep_alive = false; /* the body may come later, in front of the next response */
    if (to_head || h->status < 200 || h->status == 204 || h->status == 304)
        h->framing = HTTP_NO_BODY;
    else if (h->framing == HTTP_NO_BODY)
        h->framing = HTTP_UNTIL_CLOSE;
    return HTTP1_DONE;
}

enum http1_result http1_response(struct http1_scan *s, struct str in, bool to_head, struct http_head *h)
{
    enum http1_result r = find_end(s, in, true, h);

    if (r == HTTP1_DONE)
        r = parse_lines(h, s, true);
    if (r == HTTP1_DONE)
        r = parse_framing(h, 502);
    if (r == HTTP1_DONE)
        r = frame_response(h, to_head);
    if (r == HTTP1_REFUSED)
        h->refused = 502;
    return r;
}
