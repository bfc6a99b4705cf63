/* logql_functions_text.c: functions of templates that make texts. Their names and the order of their arguments are those
 * of Go's strings package (ToUpper, Replace) and of Sprig (upper, replace), which Loki offers side by side. */
#include "query/expand-internal.h"
#include "query/logql_function-internal.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>

static int nomem(const struct template_call *c)
{
    return err_set(c->e, ERR_NOMEM, "template: no memory");
}

static int give(struct value *out, struct str s)
{
    *out = (struct value){ .type = VALUE_TEXT, .s = s };
    return 0;
}

static int give_bool(struct value *out, bool b)
{
    *out = (struct value){ .type = VALUE_BOOL, .i = b };
    return 0;
}

/* The buffer's bytes in the scratch; frees it. */
static int give_buf(const struct template_call *c, struct buf *b, struct value *out)
{
    struct str s = buf_failed(b) ? STR_NULL : arena_str(c->row->scratch, buf_view(b));

    buf_free(b);
    return s.p ? give(out, s) : err_set(c->e, ERR_INVALID, "template: a text of more than %d bytes", FUNCTION_MOST_TEXT);
}

/* Argument i as a text. */
static struct str text(const struct template_call *c, size_t i)
{
    return value_text(&c->args[i], c->row->scratch);
}

/* Argument i as a whole number, which it should be. */
static int number(const struct template_call *c, size_t i, int64_t *v)
{
    if (value_int(&c->args[i], v))
        return 0;
    return err_set(c->e, ERR_INVALID, "template: argument %zu should be a whole number", i + 1);
}

/* --- case --- */

static int map_case(const struct template_call *c, struct value *out, int (*f)(int))
{
    struct str s = text(c, 0);
    char *to = arena_alloc(c->row->scratch, s.n + 1);

    if (!to)
        return nomem(c);
    for (size_t i = 0; i < s.n; i++)
        to[i] = (unsigned char)s.p[i] < 0x80 ? (char)f(s.p[i]) : s.p[i];
    return give(out, (struct str){ to, s.n });
}

static int to_lower(const struct template_call *c, struct value *out)
{
    return map_case(c, out, tolower);
}

static int to_upper(const struct template_call *c, struct value *out)
{
    return map_case(c, out, toupper);
}

static int title(const struct template_call *c, struct value *out)
{
    struct str s = text(c, 0);
    char *to = arena_alloc(c->row->scratch, s.n + 1);
    bool begins = true;

    if (!to)
        return nomem(c);
    for (size_t i = 0; i < s.n; i++) {
        to[i] = begins && (unsigned char)s.p[i] < 0x80 ? (char)toupper(s.p[i]) : s.p[i];
        begins = strchr(" \t\n-_", s.p[i]) && s.p[i];
    }
    return give(out, (struct str){ to, s.n });
}

/* --- trimming --- */

static bool one_of(char c, struct str set)
{
    return str_chr(set, c) >= 0;
}

static struct str cut(struct str s, struct str set, bool left, bool right)
{
    while (left && s.n && one_of(s.p[0], set))
        s = str_from(s, 1);
    while (right && s.n && one_of(s.p[s.n - 1], set))
        s.n--;
    return s;
}

static const struct str blanks = STR_INIT(" \t\n\v\f\r");

static int trim_space(const struct template_call *c, struct value *out)
{
    return give(out, cut(text(c, 0), blanks, true, true));
}

static int trim(const struct template_call *c, struct value *out)
{
    return give(out, cut(text(c, 0), text(c, 1), true, true));
}

static int trim_left(const struct template_call *c, struct value *out)
{
    return give(out, cut(text(c, 0), text(c, 1), true, false));
}

static int trim_right(const struct template_call *c, struct value *out)
{
    return give(out, cut(text(c, 0), text(c, 1), false, true));
}

static int trim_all(const struct template_call *c, struct value *out)
{
    return give(out, cut(text(c, 1), text(c, 0), true, true));
}

static int without_prefix(struct str s, struct str prefix, struct value *out)
{
    return give(out, str_starts(s, prefix) ? str_from(s, prefix.n) : s);
}

static int without_suffix(struct str s, struct str suffix, struct value *out)
{
    return give(out, str_ends(s, suffix) ? (struct str){ s.p, s.n - suffix.n } : s);
}

static int go_trim_prefix(const struct template_call *c, struct value *out)
{
    return without_prefix(text(c, 0), text(c, 1), out);
}

static int go_trim_suffix(const struct template_call *c, struct value *out)
{
    return without_suffix(text(c, 0), text(c, 1), out);
}

static int trim_prefix(const struct template_call *c, struct value *out)
{
    return without_prefix(text(c, 1), text(c, 0), out);
}

static int trim_suffix(const struct template_call *c, struct value *out)
{
    return without_suffix(text(c, 1), text(c, 0), out);
}

/* --- searching --- */

static int contains(const struct template_call *c, struct value *out)
{
    return give_bool(out, str_find(text(c, 1), text(c, 0)) >= 0);
}

static int has_prefix(const struct template_call *c, struct value *out)
{
    return give_bool(out, str_starts(text(c, 1), text(c, 0)));
}

static int has_suffix(const struct template_call *c, struct value *out)
{
    return give_bool(out, str_ends(text(c, 1), text(c, 0)));
}

static int replace_text(const struct template_call *c, struct str s, struct str old, struct str new, int64_t most,
                        struct value *out)
{
    struct buf b = BUF_INIT(FUNCTION_MOST_TEXT);
    ptrdiff_t at;

    while (old.n && most-- && (at = str_find(s, old)) >= 0) {
        buf_put(&b, s.p, (size_t)at);
        buf_str(&b, new);
        s = str_from(s, (size_t)at + old.n);
    }
    buf_str(&b, s);
    return give_buf(c, &b, out);
}

static int go_replace(const struct template_call *c, struct value *out)
{
    int64_t most;
    int rc = number(c, 3, &most);

    return rc < 0 ? rc : replace_text(c, text(c, 0), text(c, 1), text(c, 2), most, out);
}

static int replace(const struct template_call *c, struct value *out)
{
    return replace_text(c, text(c, 2), text(c, 0), text(c, 1), -1, out);
}

/* Calls for each match; the text between is copied. `literal`: the replacement is taken as it is. */
static int replace_matches(const struct template_call *c, bool literal, struct value *out)
{
    struct str s = text(c, 1), with = text(c, 2), groups[EXPAND_GROUPS];
    unsigned n = regex_groups(c->re) + 1;
    struct buf b = BUF_INIT(FUNCTION_MOST_TEXT);
    size_t at = 0, copied = 0;

    n = n > EXPAND_GROUPS ? EXPAND_GROUPS : n;
    while (at <= s.n && !buf_failed(&b) && regex_capture_from(c->re, s, at, groups, n)) {
        size_t from = (size_t)(groups[0].p - (s.p ? s.p : groups[0].p)), to = from + groups[0].n;

        buf_put(&b, s.p + copied, from - copied);
        if (literal)
            buf_str(&b, with);
        else
            expand_groups(&b, c->pattern, with, groups, n);
        copied = to;
        at = to + (groups[0].n == 0);
    }
    buf_str(&b, str_from(s, copied));
    return give_buf(c, &b, out);
}

static int regex_replace(const struct template_call *c, struct value *out)
{
    return replace_matches(c, false, out);
}

static int regex_replace_literal(const struct template_call *c, struct value *out)
{
    return replace_matches(c, true, out);
}

static int count(const struct template_call *c, struct value *out)
{
    struct str s = text(c, 1), match;
    size_t at = 0;
    int64_t n = 0;

    for (; at <= s.n && regex_capture_from(c->re, s, at, &match, 1); n++)
        at = (size_t)(match.p - (s.p ? s.p : match.p)) + match.n + (match.n == 0);
    *out = (struct value){ .type = VALUE_INT, .i = n };
    return 0;
}

/* --- parts and padding --- */

static int substr(const struct template_call *c, struct value *out)
{
    struct str s = text(c, 2);
    int64_t from, to;
    int rc = number(c, 0, &from);

    if (rc == 0)
        rc = number(c, 1, &to);
    if (rc < 0)
        return rc;
    from = from < 0 ? 0 : from > (int64_t)s.n ? (int64_t)s.n : from;
    to = to < 0 || to > (int64_t)s.n ? (int64_t)s.n : to < from ? from : to;
    return give(out, (struct str){ s.p + from, (size_t)(to - from) });
}

/* The first n bytes, or the last -n. */
static int trunc_text(const struct template_call *c, struct value *out)
{
    struct str s = text(c, 1);
    int64_t n;
    int rc = number(c, 0, &n);

    if (rc < 0)
        return rc;
    if (n >= 0 && n < (int64_t)s.n)
        s.n = (size_t)n;
    else if (n < 0 && n > -(int64_t)s.n)
        s = str_from(s, s.n - (size_t)-n);
    return give(out, s);
}

static int align(const struct template_call *c, bool left, struct value *out)
{
    struct str s = text(c, 1);
    struct buf b = BUF_INIT(FUNCTION_MOST_TEXT);
    int64_t n;
    int rc = number(c, 0, &n);

    if (rc < 0)
        return rc;
    if (n < 0 || n > FUNCTION_MOST_TEXT)
        return err_set(c->e, ERR_INVALID, "template: a width should be from 0 to %d", FUNCTION_MOST_TEXT);
    if (s.n >= (size_t)n)
        return give(out, left ? (struct str){ s.p, (size_t)n } : str_from(s, s.n - (size_t)n));
    if (left)
        buf_str(&b, s);
    for (size_t i = s.n; i < (size_t)n; i++)
        buf_putc(&b, ' ');
    if (!left)
        buf_str(&b, s);
    return give_buf(c, &b, out);
}

static int align_left(const struct template_call *c, struct value *out)
{
    return align(c, true, out);
}

static int align_right(const struct template_call *c, struct value *out)
{
    return align(c, false, out);
}

static int indent_lines(const struct template_call *c, bool newline, struct value *out)
{
    struct str s = text(c, 1);
    struct buf b = BUF_INIT(FUNCTION_MOST_TEXT);
    int64_t n;
    int rc = number(c, 0, &n);

    if (rc < 0)
        return rc;
    if (newline)
        buf_putc(&b, '\n');
    do {
        struct str line = str_cut(&s, '\n');

        for (int64_t i = 0; i < n && !buf_failed(&b); i++)
            buf_putc(&b, ' ');
        buf_str(&b, line);
        if (s.p)
            buf_putc(&b, '\n');
    } while (s.p);
    return give_buf(c, &b, out);
}

static int indent(const struct template_call *c, struct value *out)
{
    return indent_lines(c, false, out);
}

static int nindent(const struct template_call *c, struct value *out)
{
    return indent_lines(c, true, out);
}

static int repeat(const struct template_call *c, struct value *out)
{
    struct str s = text(c, 1);
    struct buf b = BUF_INIT(FUNCTION_MOST_TEXT);
    int64_t n;
    int rc = number(c, 0, &n);

    if (rc < 0)
        return rc;
    for (int64_t i = 0; s.n && i < n && !buf_failed(&b); i++)
        buf_str(&b, s);
    return give_buf(c, &b, out);
}

static int default_to(const struct template_call *c, struct value *out)
{
    *out = value_true(&c->args[1]) ? c->args[1] : c->args[0];
    return 0;
}

static int line(const struct template_call *c, struct value *out)
{
    return give(out, c->row->line);
}

/* --- encodings --- */

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int b64enc(const struct template_call *c, struct value *out)
{
    struct str s = text(c, 0);
    struct buf b = BUF_INIT(FUNCTION_MOST_TEXT);

    for (size_t i = 0; i < s.n; i += 3) {
        unsigned v = 0;

        for (size_t k = 0; k < 3; k++)
            v = v << 8 | (i + k < s.n ? (unsigned char)s.p[i + k] : 0u);
        for (size_t k = 0; k < 4; k++)
            buf_putc(&b, i + k < s.n + 1 ? base64[v >> (18 - 6 * k) & 63] : '=');
    }
    return give_buf(c, &b, out);
}

static int b64dec(const struct template_call *c, struct value *out)
{
    struct str s = text(c, 0);
    struct buf b = BUF_INIT(FUNCTION_MOST_TEXT);
    unsigned v = 0, bits = 0;

    while (s.n && s.p[s.n - 1] == '=')
        s.n--;
    for (size_t i = 0; i < s.n; i++) {
        const char *at = s.p[i] ? strchr(base64, s.p[i]) : NULL;

        if (!at) {
            buf_free(&b);
            return err_set(c->e, ERR_INVALID, "template: b64dec: byte %zu is no base64", i + 1);
        }
        v = v << 6 | (unsigned)(at - base64);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            buf_putc(&b, (char)(v >> bits));
        }
    }
    return give_buf(c, &b, out);
}

static int urlencode(const struct template_call *c, struct value *out)
{
    struct str s = text(c, 0);
    struct buf b = BUF_INIT(FUNCTION_MOST_TEXT);

    for (size_t i = 0; i < s.n; i++) {
        unsigned char ch = (unsigned char)s.p[i];

        if (isalnum(ch) || (ch && strchr("-_.~", ch)))
            buf_putc(&b, (char)ch);
        else if (ch == ' ')
            buf_putc(&b, '+');
        else
            buf_printf(&b, "%%%02X", ch);
    }
    return give_buf(c, &b, out);
}

static int hex_digit(char ch)
{
    return ch >= '0' && ch <= '9' ? ch - '0' : (ch | 32) >= 'a' && (ch | 32) <= 'f' ? (ch | 32) - 'a' + 10 : -1;
}

static int urldecode(const struct template_call *c, struct value *out)
{
    struct str s = text(c, 0);
    struct buf b = BUF_INIT(FUNCTION_MOST_TEXT);

    for (size_t i = 0; i < s.n; i++) {
        int high = s.p[i] == '%' && i + 2 < s.n ? hex_digit(s.p[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(s.p[i + 2]) : -1;

        if (s.p[i] == '%' && low < 0) {
            buf_free(&b);
            return err_set(c->e, ERR_INVALID, "template: urldecode: bad escape at byte %zu", i + 1);
        }
        buf_putc(&b, low >= 0 ? (char)(high << 4 | low) : s.p[i] == '+' ? ' ' : s.p[i]);
        i += low >= 0 ? 2 : 0;
    }
    return give_buf(c, &b, out);
}

/* --- printf --- */

/* Flags, width and precision of a verb, as C has them; false: not offered, or beyond bounds. */
static bool read_directive(struct str *rest, char out[16])
{
    size_t n = 0;

    out[n++] = '%';
    while (rest->n && n < 8 && rest->p[0] && strchr("-+ 0.123456789", rest->p[0])) {
        out[n++] = rest->p[0];
        *rest = str_from(*rest, 1);
    }
    out[n] = '\0';
    return rest->n > 0 && n < 8;
}

/* Three digits of width and three of precision fit: no directive prints more than a thousand bytes and its text. */
static int put_directive(const struct template_call *c, struct buf *b, char directive[16], char verb,
                         const struct value *v)
{
    size_t n = strlen(directive);
    struct str s;
    int64_t i;
    double f;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    switch (verb) {
    case 's':
    case 'v':
        s = value_text(v, c->row->scratch);
        memcpy(directive + n, "s", 2);
        s = arena_str(c->row->scratch, s); /* NUL-terminated */
        if (!s.p)
            return nomem(c);
        buf_printf(b, directive, s.p);
        return 0;
    case 'd':
    case 'x':
        if (!value_int(v, &i))
            break;
        memcpy(directive + n, verb == 'd' ? PRId64 : PRIx64, sizeof(PRId64));
        buf_printf(b, directive, i);
        return 0;
    case 'f':
    case 'g':
    case 'e':
        if (!value_float(v, &f))
            break;
        directive[n] = verb;
        directive[n + 1] = '\0';
        buf_printf(b, directive, f);
        return 0;
    case 'q':
        print_quoted(b, value_text(v, c->row->scratch));
        return 0;
    case 't':
        buf_puts(b, value_true(v) ? "true" : "false");
        return 0;
    default:
        return err_set(c->e, ERR_INVALID, "template: printf: %%%c should be one of s v d x f g e q t", verb);
    }
#pragma GCC diagnostic pop
    return err_set(c->e, ERR_INVALID, "template: printf: %%%c wants a number", verb);
}

static int print_format(const struct template_call *c, struct value *out)
{
    struct str rest = text(c, 0);
    struct buf b = BUF_INIT(FUNCTION_MOST_TEXT);
    size_t next = 1;
    int rc = 0;

    while (rc == 0 && rest.n) {
        char directive[16], ch = rest.p[0];

        rest = str_from(rest, 1);
        if (ch != '%') {
            buf_putc(&b, ch);
            continue;
        }
        if (!read_directive(&rest, directive))
            rc = err_set(c->e, ERR_INVALID, "template: printf: a verb does not end");
        else if (rest.p[0] == '%')
            buf_putc(&b, '%');
        else if (next == c->n)
            rc = err_set(c->e, ERR_INVALID, "template: printf: more verbs than arguments");
        else
            rc = put_directive(c, &b, directive, rest.p[0], &c->args[next++]);
        rest = str_from(rest, 1);
    }
    if (rc == 0)
        return give_buf(c, &b, out);
    buf_free(&b);
    return rc;
}

const struct template_function text_functions[] = {
    { STR_INIT("ToLower"), 1, 1, false, to_lower },
    { STR_INIT("lower"), 1, 1, false, to_lower },
    { STR_INIT("ToUpper"), 1, 1, false, to_upper },
    { STR_INIT("upper"), 1, 1, false, to_upper },
    { STR_INIT("Title"), 1, 1, false, title },
    { STR_INIT("title"), 1, 1, false, title },
    { STR_INIT("Trim"), 2, 2, false, trim },
    { STR_INIT("TrimLeft"), 2, 2, false, trim_left },
    { STR_INIT("TrimRight"), 2, 2, false, trim_right },
    { STR_INIT("TrimPrefix"), 2, 2, false, go_trim_prefix },
    { STR_INIT("TrimSuffix"), 2, 2, false, go_trim_suffix },
    { STR_INIT("TrimSpace"), 1, 1, false, trim_space },
    { STR_INIT("trim"), 1, 1, false, trim_space },
    { STR_INIT("trimAll"), 2, 2, false, trim_all },
    { STR_INIT("trimPrefix"), 2, 2, false, trim_prefix },
    { STR_INIT("trimSuffix"), 2, 2, false, trim_suffix },
    { STR_INIT("Replace"), 4, 4, false, go_replace },
    { STR_INIT("replace"), 3, 3, false, replace },
    { STR_INIT("regexReplaceAll"), 3, 3, true, regex_replace },
    { STR_INIT("regexReplaceAllLiteral"), 3, 3, true, regex_replace_literal },
    { STR_INIT("count"), 2, 2, true, count },
    { STR_INIT("contains"), 2, 2, false, contains },
    { STR_INIT("hasPrefix"), 2, 2, false, has_prefix },
    { STR_INIT("hasSuffix"), 2, 2, false, has_suffix },
    { STR_INIT("substr"), 3, 3, false, substr },
    { STR_INIT("trunc"), 2, 2, false, trunc_text },
    { STR_INIT("alignLeft"), 2, 2, false, align_left },
    { STR_INIT("alignRight"), 2, 2, false, align_right },
    { STR_INIT("indent"), 2, 2, false, indent },
    { STR_INIT("nindent"), 2, 2, false, nindent },
    { STR_INIT("repeat"), 2, 2, false, repeat },
    { STR_INIT("default"), 2, 2, false, default_to },
    { STR_INIT("printf"), 1, FUNCTION_MOST_ARGUMENTS, false, print_format },
    { STR_INIT("b64enc"), 1, 1, false, b64enc },
    { STR_INIT("b64dec"), 1, 1, false, b64dec },
    { STR_INIT("urlencode"), 1, 1, false, urlencode },
    { STR_INIT("urldecode"), 1, 1, false, urldecode },
    { STR_INIT("__line__"), 0, 0, false, line },
};
const size_t text_functions_n = sizeof(text_functions) / sizeof(text_functions[0]);
