/* logql_extract.c: | logfmt, | pattern, | regexp, | decolorize. */
#include "query/logql_pattern-internal.h"
#include "query/logql_pipeline-internal.h"

/* --- logfmt ------------------------------------------------------------------------------------------------------ */

/* One key of a line: key=value, key="quoted \"value\"", or key alone. */
struct pair {
    struct str key, value;
    bool has_value, quoted;
    const char *wrong; /* what strict parsing says of it */
};

static bool blank(char c)
{
    return (unsigned char)c <= ' ';
}

/* A value in quotes at *rest; false: it does not end. */
static bool quoted_value(struct str *rest, struct pair *pr)
{
    size_t n = 1;

    while (n < rest->n && rest->p[n] != '"')
        n += rest->p[n] == '\\' ? 2 : 1;
    if (n >= rest->n)
        return false;
    pr->value = (struct str){ rest->p + 1, n - 1 };
    pr->quoted = memchr(pr->value.p, '\\', pr->value.n) != NULL;
    *rest = str_from(*rest, n + 1);
    return true;
}

static void bare_value(struct str *rest, struct pair *pr)
{
    size_t n = 0;

    while (n < rest->n && !blank(rest->p[n]) && rest->p[n] != '"' && rest->p[n] != '=')
        n++;
    pr->value = (struct str){ rest->p, n };
    if (n < rest->n && !blank(rest->p[n])) {
        pr->wrong = rest->p[n] == '"' ? "unexpected '\"' in a value" : "unexpected '=' in a value";
        while (n < rest->n && !blank(rest->p[n]))
            n++;
    }
    *rest = str_from(*rest, n);
}

/* The next pair; false at the end. */
static bool next_pair(struct str *rest, struct pair *pr)
{
    size_t n = 0;

    *pr = (struct pair){ .wrong = NULL };
    while (rest->n && blank(rest->p[0]))
        *rest = str_from(*rest, 1);
    if (rest->n == 0)
        return false;
    while (n < rest->n && !blank(rest->p[n]) && rest->p[n] != '=' && rest->p[n] != '"')
        n++;
    pr->key = (struct str){ rest->p, n };
    if (n == 0 || (n < rest->n && rest->p[n] == '"')) {
        pr->wrong = n < rest->n && rest->p[n] == '"' ? "unexpected '\"' in a key" : "unexpected '='";
        while (n < rest->n && !blank(rest->p[n]))
            n++;
        *rest = str_from(*rest, n);
        return true;
    }
    *rest = str_from(*rest, n);
    pr->has_value = rest->n && rest->p[0] == '=';
    if (!pr->has_value)
        return true;
    *rest = str_from(*rest, 1);
    if (rest->n && rest->p[0] == '"') {
        if (!quoted_value(rest, pr)) {
            pr->wrong = "a quoted value does not end";
            *rest = STR_NULL;
        }
    } else {
        bare_value(rest, pr);
    }
    return true;
}

/* Without its backslashes; \n, \t and \r are what they say. */
static struct str unquote(struct pipeline *p, struct str s)
{
    char *to = arena_alloc(&p->scratch, s.n + 1);
    size_t n = 0;

    for (size_t i = 0; to && i < s.n; i++) {
        char c = s.p[i];

        if (c == '\\' && i + 1 < s.n) {
            c = s.p[++i];
            c = c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
        }
        to[n++] = c;
    }
    return (struct str){ to, n };
}

static int take_label(struct pipeline *p, struct str name, const struct pair *pr)
{
    struct str value = pr->quoted ? unquote(p, pr->value) : pr->value;

    if (!name.p || (pr->quoted && !value.p))
        return ERR_NOMEM;
    return pipeline_extract(p, name, value.p ? value : STR(""));
}

static int take_pair(struct pipeline *p, const struct extractor *x, const struct pair *pr)
{
    int rc = 0;

    if (pr->value.n == 0 && !x->keep_empty)
        return 0;
    if (x->n == 0)
        return take_label(p, label_name_of(p, pr->key), pr);
    for (size_t i = 0; rc == 0 && i < x->n; i++)
        if (str_eq(x->v[i].path, pr->key))
            rc = take_label(p, x->v[i].name, pr);
    return rc;
}

int extract_logfmt(struct pipeline *p, const struct extractor *x)
{
    struct str rest = pipeline_line(p);
    struct pair pr;
    int rc = 0;

    while (rc == 0 && next_pair(&rest, &pr)) {
        if (pr.wrong && x->strict) {
            pipeline_fail(p, STR("LogfmtParserErr"), str_of(pr.wrong));
            return 0;
        }
        if (!pr.wrong)
            rc = take_pair(p, x, &pr);
    }
    return rc;
}

/* --- pattern and regexp ------------------------------------------------------------------------------------------ */

int extract_pattern(struct pipeline *p, const struct pattern *pattern)
{
    struct str *values = arena_array(&p->scratch, pattern->n + 1, sizeof(*values));
    size_t n;
    int rc = 0;

    if (!values)
        return ERR_NOMEM;
    n = pattern_capture(pattern, pipeline_line(p), values);
    for (size_t i = 0; rc == 0 && i < n; i++)
        if (pattern->parts[i].is_capture && pattern->parts[i].text.n)
            rc = pipeline_extract(p, pattern->parts[i].text, values[i]);
    return rc;
}

int extract_regexp(struct pipeline *p, const struct capture_names *c)
{
    struct str groups[64];
    int rc = 0;

    if (!regex_capture(c->re, pipeline_line(p), groups, c->n))
        return 0;
    for (size_t i = 1; rc == 0 && i < c->n; i++)
        if (c->names[i].n && groups[i].p)
            rc = pipeline_extract(p, c->names[i], groups[i]);
    return rc;
}

/* --- decolorize -------------------------------------------------------------------------------------------------- */

/* The length of a control sequence at the start of s (ECMA-48: ESC [ parameters, then a letter); 0: none. */
static size_t sequence_length(struct str s)
{
    size_t n = 2;

    if (s.n < 3 || s.p[0] != 0x1b || s.p[1] != '[')
        return 0;
    while (n < s.n && s.p[n] >= 0x20 && s.p[n] < 0x40)
        n++;
    return n < s.n && s.p[n] >= 0x40 && s.p[n] <= 0x7e ? n + 1 : 0;
}

int extract_decolorize(struct pipeline *p)
{
    struct str line = pipeline_line(p);
    size_t n = 0;
    char *to;

    if (str_chr(line, 0x1b) < 0)
        return 0;
    to = arena_alloc(&p->scratch, line.n + 1);
    if (!to)
        return ERR_NOMEM;
    for (size_t i = 0; i < line.n;) {
        size_t length = sequence_length(str_from(line, i));

        if (length == 0)
            to[n++] = line.p[i++];
        i += length;
    }
    p->line = (struct str){ to, n };
    return 0;
}
