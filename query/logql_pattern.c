#include "query/logql_pattern-internal.h"

static bool name_char(char c, bool first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (!first && c >= '0' && c <= '9');
}

/* The length of <name> at the start of s; 0: it is literal text. */
static size_t capture_length(struct str s)
{
    size_t n = 1;

    if (s.n < 3 || s.p[0] != '<')
        return 0;
    while (n < s.n && name_char(s.p[n], n == 1))
        n++;
    return n > 1 && n < s.n && s.p[n] == '>' ? n + 1 : 0;
}

static int add(struct pattern *p, struct arena *a, size_t *cap, struct pattern_part part, struct err *e)
{
    if (arena_grow(a, &p->parts, cap, p->n + 1, sizeof(part)) < 0)
        return err_set(e, ERR_NOMEM, "query: no memory to parse it");
    p->parts[p->n++] = part;
    return 0;
}

static int check_capture(const struct pattern *p, struct str name, bool named, struct err *e)
{
    if (p->n && p->parts[p->n - 1].is_capture)
        return err_set(e, ERR_PARSE, "invalid pattern: found consecutive capture '<%.*s>', should have text between "
                       "captures", STR_ARG(name));
    if (!named && !str_eqz(name, "_"))
        return err_set(e, ERR_PARSE, "invalid pattern: '<%.*s>' should be <_>: a line filter has no names",
                       STR_ARG(name));
    for (size_t i = 0; i < p->n; i++)
        if (p->parts[i].is_capture && p->parts[i].text.n && str_eq(p->parts[i].text, name))
            return err_set(e, ERR_PARSE, "invalid pattern: duplicate capture name (%.*s)", STR_ARG(name));
    return 0;
}

static bool has_name(const struct pattern *p)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->parts[i].is_capture && p->parts[i].text.n)
            return true;
    return false;
}

struct pattern *pattern_parse(struct arena *a, struct str text, bool named, struct err *e)
{
    struct pattern *p = ARENA_NEW(a, struct pattern);
    size_t cap = 0, from = 0, at = 0;
    int rc = 0;

    if (!p) {
        err_set(e, ERR_NOMEM, "query: no memory to parse it");
        return NULL;
    }
    p->text = text;
    while (rc == 0 && at < text.n) {
        size_t n = capture_length(str_from(text, at));
        struct str name = { text.p + at + 1, n > 2 ? n - 2 : 0 };

        if (n == 0) {
            at++;
            continue;
        }
        if (at > from)
            rc = add(p, a, &cap, (struct pattern_part){ false, { text.p + from, at - from } }, e);
        if (rc == 0)
            rc = check_capture(p, name, named, e);
        if (rc == 0)
            rc = add(p, a, &cap, (struct pattern_part){ true, str_eqz(name, "_") ? STR_NULL : name }, e);
        from = at += n;
    }
    if (rc == 0 && at > from)
        rc = add(p, a, &cap, (struct pattern_part){ false, { text.p + from, at - from } }, e);
    if (rc == 0 && named && !has_name(p))
        rc = err_set(e, ERR_PARSE, "invalid pattern: at least one capture is required, as in <status>");
    return rc < 0 ? NULL : p;
}

bool pattern_test(const struct pattern *p, struct str line)
{
    bool open = false; /* a capture waits for its end */

    if (line.n == 0 || p->n == 0)
        return line.n == 0 && p->n == 0;
    for (size_t i = 0; i < p->n; i++) {
        struct str text = p->parts[i].text;
        ptrdiff_t at = 0;

        if (p->parts[i].is_capture) {
            open = true;
            continue;
        }
        if (i + 1 == p->n)
            return str_ends(line, text) && (open ? line.n > text.n : line.n == text.n);
        if (open)
            at = line.n ? str_find(str_from(line, 1), text) : -1;
        if (at < 0 || (!open && !str_starts(line, text)))
            return false;
        line = str_from(line, (size_t)at + open + text.n);
        open = false;
    }
    return line.n > 0;
}

size_t pattern_capture(const struct pattern *p, struct str line, struct str *values)
{
    size_t i = 0;

    if (line.n == 0)
        return 0;
    if (p->n && !p->parts[0].is_capture) {
        if (!str_starts(line, p->parts[0].text))
            return 0;
        line = str_from(line, p->parts[0].text.n);
        i = 1;
    }
    for (; i < p->n; i += 2) {
        ptrdiff_t at = i + 1 < p->n ? str_find(line, p->parts[i + 1].text) : -1;

        values[i] = at < 0 ? line : (struct str){ line.p, (size_t)at };
        if (at < 0)
            return i + 1;
        line = str_from(line, (size_t)at + p->parts[i + 1].text.n);
    }
    return p->n;
}
