/* escape.c: names are whatever somebody deployed; each format has its own way of being broken by them.
 *
 * Every text is read as code points (a byte that is not UTF-8 is U+FFFD), control characters are dropped or replaced,
 * and what the format gives a meaning is written in the format's own escape. */
#include "graph/graph-internal.h"

enum { NOT_A_CHARACTER = 0xFFFD };

static uint32_t take(struct str *s, size_t n, uint32_t c)
{
    s->p += n;
    s->n -= n;
    return c;
}

uint32_t utf8_next(struct str *s)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    unsigned char first = (unsigned char)s->p[0];
    size_t n = first < 0x80 ? 1 : first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC0 ? 2 : 0;
    uint32_t c;

    if (n == 1)
        return take(s, 1, first);
    if (n == 0 || first > 0xF4 || s->n < n)
        return take(s, 1, NOT_A_CHARACTER);
    c = first & (0x7Fu >> n);
    for (size_t i = 1; i < n; i++) {
        unsigned char next = (unsigned char)s->p[i];

        if ((next & 0xC0) != 0x80)
            return take(s, 1, NOT_A_CHARACTER);
        c = c << 6 | (next & 0x3F);
    }
    if (c < least[n] || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF))
        return take(s, 1, NOT_A_CHARACTER);
    return take(s, n, c);
}

void utf8_put(struct buf *b, uint32_t c)
{
    if (c < 0x80) {
        buf_putc(b, (char)c);
    } else if (c < 0x800) {
        buf_putc(b, (char)(0xC0 | c >> 6));
        buf_putc(b, (char)(0x80 | (c & 0x3F)));
    } else if (c < 0x10000) {
        buf_putc(b, (char)(0xE0 | c >> 12));
        buf_putc(b, (char)(0x80 | (c >> 6 & 0x3F)));
        buf_putc(b, (char)(0x80 | (c & 0x3F)));
    } else {
        buf_putc(b, (char)(0xF0 | c >> 18));
        buf_putc(b, (char)(0x80 | (c >> 12 & 0x3F)));
        buf_putc(b, (char)(0x80 | (c >> 6 & 0x3F)));
        buf_putc(b, (char)(0x80 | (c & 0x3F)));
    }
}

/* Control characters, C1 ones too, and the two that XML does not know. */
static bool is_control(uint32_t c)
{
    return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0xFFFE || c == 0xFFFF;
}

/* Graphviz reads a backslash and HTML entities in labels; and a string must not end early. */
void escape_dot(struct buf *b, struct str s)
{
    while (s.n) {
        uint32_t c = utf8_next(&s);

        if (c == '\n')
            buf_puts(b, "\\n");
        else if (is_control(c))
            buf_putc(b, ' ');
        else if (c == '"' || c == '\\')
            buf_printf(b, "\\%c", (char)c);
        else if (c == '&')
            buf_puts(b, "&amp;");
        else
            utf8_put(b, c);
    }
}

void escape_xml(struct buf *b, struct str s)
{
    while (s.n) {
        uint32_t c = utf8_next(&s);

        if (is_control(c) && c != '\t' && c != '\n')
            utf8_put(b, NOT_A_CHARACTER);
        else if (c == '<')
            buf_puts(b, "&lt;");
        else if (c == '>')
            buf_puts(b, "&gt;");
        else if (c == '&')
            buf_puts(b, "&amp;");
        else if (c == '"')
            buf_puts(b, "&quot;");
        else if (c == '\'')
            buf_puts(b, "&apos;");
        else if (c == '\t' || c == '\n')
            buf_printf(b, "&#%u;", (unsigned)c); /* or an attribute would turn it into a blank */
        else
            utf8_put(b, c);
    }
}

static bool is_plain(uint32_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c >= 0xA0 ||
           (c < 0x80 && c > 0 && strchr(" -_./:,()%@+=", (int)c));
}

/* Mermaid's own entities, #60; for '<', for everything that it, Markdown or HTML might read as more than text. */
void escape_mermaid(struct buf *b, struct str s)
{
    while (s.n) {
        uint32_t c = utf8_next(&s);

        if (c == '\n')
            buf_puts(b, "<br/>");
        else if (is_control(c))
            buf_putc(b, ' ');
        else if (is_plain(c))
            utf8_put(b, c);
        else
            buf_printf(b, "#%u;", (unsigned)c);
    }
}

/* RFC 4180; a field that a spreadsheet would take for a formula starts with an apostrophe. */
void escape_csv(struct buf *b, struct str s)
{
    bool quote = false;

    for (size_t i = 0; i < s.n; i++)
        quote |= s.p[i] == '"' || s.p[i] == ',' || s.p[i] == '\n' || s.p[i] == '\r';
    if (quote)
        buf_putc(b, '"');
    if (s.n && strchr("=+-@\t\r", s.p[0]) && s.p[0])
        buf_putc(b, '\'');
    while (s.n) {
        uint32_t c = utf8_next(&s);

        if (c == '"')
            buf_puts(b, "\"\"");
        else
            utf8_put(b, is_control(c) && c != '\n' ? ' ' : c);
    }
    if (quote)
        buf_putc(b, '"');
}
