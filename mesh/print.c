/* print.c: an object's tree back to text: JSON for programs, YAML for people.
 *
 * Invariant  What is printed reads back as the same tree: a string stays a string (it is quoted wherever it would look
 *            like something else), a number keeps its digits where JSON knows them. */
#include "mesh/object.h"


#include <math.h>

static size_t skip_digits(struct str s, size_t at)
{
    while (at < s.n && s.p[at] >= '0' && s.p[at] <= '9')
        at++;
    return at;
}

/* RFC 8259: -? (0 | [1-9][0-9]*) (\. [0-9]+)? ([eE] [-+]? [0-9]+)? */
static bool is_json_number(struct str s)
{
    size_t at = s.n && s.p[0] == '-', from = at;

    at = skip_digits(s, at);
    if (at == from || (s.p[from] == '0' && at > from + 1))
        return false;
    if (at < s.n && s.p[at] == '.') {
        from = ++at;
        at = skip_digits(s, at);
        if (at == from)
            return false;
    }
    if (at < s.n && (s.p[at] | 32) == 'e') {
        at++;
        at += at < s.n && (s.p[at] == '-' || s.p[at] == '+');
        from = at;
        at = skip_digits(s, at);
        if (at == from)
            return false;
    }
    return at == s.n;
}

/* What libyaml does not read as it stands, or takes for a line's end. */
static bool must_escape(unsigned c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 || c == 0xfeff || c == 0xfffe ||
           c == 0xffff;
}

/* The character at s.p[at], whose bytes are counted in *n. The reader lets only well-formed UTF-8 in. */
static unsigned char_at(struct str s, size_t at, size_t *n)
{
    unsigned char c = (unsigned char)s.p[at];
    unsigned v = c;

    *n = c < 0xc0 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    if (*n > s.n - at)
        *n = 1;
    if (*n > 1)
        v = c & (0x7fu >> *n);
    for (size_t i = 1; i < *n; i++)
        v = v << 6 | ((unsigned char)s.p[at + i] & 0x3f);
    return v;
}

static void print_string(struct buf *b, struct str s)
{
    size_t n;

    buf_putc(b, '"');
    for (size_t i = 0; i < s.n; i += n) {
        unsigned c = char_at(s, i, &n);

        if (c == '"' || c == '\\')
            buf_printf(b, "\\%c", (char)c);
        else if (c == '\n')
            buf_puts(b, "\\n");
        else if (must_escape(c))
            buf_printf(b, "\\u%04x", c);
        else
            buf_put(b, s.p + i, n);
    }
    buf_putc(b, '"');
}

static void print_number(struct buf *b, const struct yaml_node *n)
{
    if (is_json_number(n->text))
        buf_str(b, n->text);
    else if (isfinite(n->number))
        buf_double(b, n->number);
    else
        print_string(b, n->text); /* .inf and .nan have no number in JSON */
}

static void print_scalar(struct buf *b, const struct yaml_node *n)
{
    if (n->kind == YAML_NULL)
        buf_puts(b, "null");
    else if (n->kind == YAML_BOOL)
        buf_puts(b, n->boolean ? "true" : "false");
    else if (n->kind == YAML_NUMBER)
        print_number(b, n);
    else
        print_string(b, n->text);
}

static void print_json(struct buf *b, const struct yaml_node *n)
{
    if (n->kind != YAML_LIST && n->kind != YAML_MAP) {
        print_scalar(b, n);
        return;
    }
    buf_putc(b, n->kind == YAML_MAP ? '{' : '[');
    for (size_t i = 0; i < n->n; i++) {
        if (i)
            buf_putc(b, ',');
        if (n->kind == YAML_MAP) {
            print_string(b, n->items[i].key);
            buf_putc(b, ':');
        }
        print_json(b, &n->items[i]);
    }
    buf_putc(b, n->kind == YAML_MAP ? '}' : ']');
}

void mesh_object_json(struct buf *b, const struct mesh_object *o)
{
    print_json(b, o->root);
}

/* Words that YAML 1.1 readers, which kubectl is one of, take for booleans. */
static bool is_old_boolean(struct str s)
{
    static const char *const words[] = { "y", "n", "yes", "no", "on", "off" };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (str_ieq(s, str_of(words[i])))
            return true;
    return false;
}

static bool is_word_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("-_./", c));
}

/* Whether a string may stand without quotes: on the safe side, and never as something else. */
static bool is_plain(struct str s)
{
    struct yaml_node n = { .text = s };

    if (s.n == 0 || s.n > 200 || s.p[0] == '-' || s.p[0] == '.' || is_old_boolean(s))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        bool inner = i > 0 && i + 1 < s.n;
        bool blank = inner && s.p[i] == ' ' && s.p[i + 1] != '#' && s.p[i - 1] != ':';
        bool colon = inner && s.p[i] == ':' && s.p[i + 1] != ' ' && !(s.p[0] >= '0' && s.p[0] <= '9');

        if (!is_word_byte(s.p[i]) && !blank && !colon)
            return false;
    }
    yaml_resolve(&n);
    return n.kind == YAML_STRING && !(s.p[0] >= '0' && s.p[0] <= '9');
}

/* Whether a string of several lines may stand as a block ("|"): printable ASCII or UTF-8 without odd line ends, the
 * first line not empty nor indented, one line end at the end at most. */
static bool is_block(struct str s)
{
    if (s.n < 2 || !memchr(s.p, '\n', s.n) || s.p[0] == ' ' || s.p[0] == '\n' || s.p[0] == '\t' ||
        (s.p[s.n - 1] == '\n' && s.p[s.n - 2] == '\n'))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if ((c < 0x20 && c != '\n') || c >= 0x7f)
            return false;
    }
    return true;
}

static void indent(struct buf *b, int level)
{
    for (int i = 0; i < level; i++)
        buf_puts(b, "  ");
}

static void print_block(struct buf *b, struct str s, int level)
{
    bool ended = s.p[s.n - 1] == '\n';
    struct str rest = ended ? (struct str){ s.p, s.n - 1 } : s;

    buf_puts(b, ended ? "|\n" : "|-\n");
    while (rest.p) {
        struct str line = str_cut(&rest, '\n');

        if (line.n) {
            indent(b, level);
            buf_str(b, line);
        }
        buf_putc(b, '\n');
    }
}

static void print_word(struct buf *b, struct str s)
{
    if (is_plain(s))
        buf_str(b, s);
    else
        print_string(b, s);
}

static void print_yaml(struct buf *b, const struct yaml_node *n, int level, bool in_list);

/* What follows "key:" or "-", with the line's end. */
static void print_value(struct buf *b, const struct yaml_node *n, int level, bool in_list)
{
    bool nested = n->kind == YAML_LIST || n->kind == YAML_MAP;

    if (nested && n->n && in_list && n->kind == YAML_MAP) {
        buf_putc(b, ' ');
        print_yaml(b, n, level, true);
    } else if (nested && n->n) {
        buf_putc(b, '\n');
        print_yaml(b, n, level, false);
    } else if (nested) {
        buf_puts(b, n->kind == YAML_MAP ? " {}\n" : " []\n");
    } else if (n->kind == YAML_STRING && is_block(n->text)) {
        buf_putc(b, ' ');
        print_block(b, n->text, level);
    } else {
        buf_putc(b, ' ');
        if (n->kind == YAML_STRING)
            print_word(b, n->text);
        else
            print_scalar(b, n);
        buf_putc(b, '\n');
    }
}

/* A map's members or a list's elements, each on lines of its own; `continued`: the first stands behind a "- ". */
static void print_yaml(struct buf *b, const struct yaml_node *n, int level, bool continued)
{
    for (size_t i = 0; i < n->n; i++) {
        const struct yaml_node *child = &n->items[i];

        if (i || !continued)
            indent(b, level);
        if (n->kind == YAML_LIST) {
            buf_putc(b, '-');
            print_value(b, child, level + 1, true);
        } else {
            print_word(b, child->key);
            buf_putc(b, ':');
            print_value(b, child, child->kind == YAML_LIST ? level : level + 1, false);
        }
    }
}

void mesh_object_yaml(struct buf *b, const struct mesh_object *o)
{
    print_yaml(b, o->root, 0, false);
}
