#include "proxy/http_url-internal.h"

#include "base/num.h"

#include <stdio.h>

/* Blanks and controls would end up in a request's head. */
static bool is_printable(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || (unsigned char)s.p[i] >= 127)
            return false;
    return true;
}

/* "HOST:PORT" of an authority. `port` stays what it is where none is given. False: it is none. */
static bool split(struct str authority, struct str *host, struct str *port)
{
    ptrdiff_t colon;

    if (authority.n && authority.p[0] == '[') {
        authority = str_from(authority, 1);
        *host = str_cut(&authority, ']');
        if (!authority.p)
            return false;
        if (authority.n && authority.p[0] != ':')
            return false;
        colon = authority.n ? 0 : -1;
    } else {
        colon = str_chr(authority, ':');
        *host = (struct str){ authority.p, colon < 0 ? authority.n : (size_t)colon };
    }
    if (colon >= 0)
        *port = str_from(authority, (size_t)colon + 1);
    return str_chr(*host, '@') < 0;
}

/* False: not of that form. */
static bool parse(struct str url, struct http_url *to)
{
    struct str rest, host, port;
    ptrdiff_t slash;
    size_t end = 0;
    uint64_t number;

    to->secure = str_starts(url, STR("https://"));
    if (!is_printable(url) || (!to->secure && !str_starts(url, STR("http://"))))
        return false;
    rest = str_from(url, to->secure ? 8 : 7);
    rest = str_cut(&rest, '#');
    while (end < rest.n && rest.p[end] != '/' && rest.p[end] != '?')
        end++;
    slash = end < rest.n && rest.p[end] == '/';
    port = to->secure ? STR("443") : STR("80");
    if (!split((struct str){ rest.p, end }, &host, &port) || host.n == 0 || host.n >= sizeof(to->host) ||
        !num_u64(port, &number) || number == 0 || number > UINT16_MAX)
        return false;
    rest = str_from(rest, end);
    if (rest.n + 1 >= sizeof(to->path))
        return false;
    snprintf(to->host, sizeof(to->host), "%.*s", STR_ARG(host));
    snprintf(to->port, sizeof(to->port), "%u", (unsigned)number);
    snprintf(to->path, sizeof(to->path), "%s%.*s", rest.n && !slash ? "/" : "", STR_ARG(rest));
    return true;
}

int http_url_parse(const char *url, struct http_url *to, struct err *e)
{
    if (parse(str_of(url), to))
        return 0;
    return err_set(e, ERR_PARSE, "URL \"%s\": should be http[s]://HOST[:PORT][/PATH]", url);
}

int http_url_parse_base(const char *url, struct http_url *to, struct err *e)
{
    size_t n;

    if (str_starts(str_of(url), STR("https://")))
        return err_set(e, ERR_UNSUPPORTED, "URL \"%s\": https is not offered, use http", url);
    if (!parse(str_of(url), to))
        return err_set(e, ERR_PARSE, "URL \"%s\": should be http://HOST[:PORT][/PATH]", url);
    for (n = strlen(to->path); n && to->path[n - 1] == '/'; n--)
        to->path[n - 1] = '\0';
    return 0;
}

int http_url_follow(const struct http_url *from, struct str location, struct http_url *to, struct err *e)
{
    bool here = location.n && location.p[0] == '/' && !(location.n > 1 && location.p[1] == '/');

    if (here && (!is_printable(location) || location.n >= sizeof(to->path)))
        return err_set(e, ERR_PARSE, "it is sent on to a path that is none, or is too long");
    if (here) {
        struct str path = str_cut(&location, '#');

        *to = *from;
        snprintf(to->path, sizeof(to->path), "%.*s", STR_ARG(path));
        return 0;
    }
    if (!parse(location, to))
        return err_set(e, ERR_PARSE, "it is sent on to \"%.*s\", which should be http[s]://HOST[:PORT][/PATH] or /PATH",
                       STR_ARG(location));
    if (from->secure && !to->secure)
        return err_set(e, ERR_UNSUPPORTED, "it is sent on from https to http, which is not followed");
    return 0;
}

void http_url_put_host(const struct http_url *u, struct buf *b)
{
    bool v6 = strchr(u->host, ':') != NULL;

    buf_printf(b, "%s%s%s", v6 ? "[" : "", u->host, v6 ? "]" : "");
    if (strcmp(u->port, u->secure ? "443" : "80") != 0)
        buf_printf(b, ":%s", u->port);
}
