#include "base/labels.h"

#include <stdlib.h>

struct str labels_get(struct labels l, struct str name)
{
    for (size_t i = 0; i < l.n; i++)
        if (str_eq(l.v[i].name, name))
            return l.v[i].value;
    return STR_NULL;
}

/* Sets from one store share their texts. */
static bool same_text(struct str a, struct str b)
{
    return a.p == b.p && a.n == b.n;
}

int labels_cmp(struct labels a, struct labels b)
{
    for (size_t i = 0; i < a.n && i < b.n; i++) {
        int c = same_text(a.v[i].name, b.v[i].name) ? 0 : str_cmp(a.v[i].name, b.v[i].name);

        if (c == 0 && !same_text(a.v[i].value, b.v[i].value))
            c = str_cmp(a.v[i].value, b.v[i].value);
        if (c)
            return c;
    }
    return (a.n > b.n) - (a.n < b.n);
}

uint64_t labels_hash(struct labels l)
{
    uint64_t h = 0x9e3779b97f4a7c15u;

    for (size_t i = 0; i < l.n; i++) {
        h = (h ^ str_hash(l.v[i].name)) * 0xff51afd7ed558ccdu;
        h = (h ^ (h >> 32) ^ str_hash(l.v[i].value)) * 0xc4ceb9fe1a85ec53u;
    }
    return h ^ (h >> 29);
}

static int by_name(const void *a, const void *b)
{
    const struct label *x = a, *y = b;

    return str_cmp(x->name, y->name);
}

int labels_normalise(struct label *v, size_t *n, struct err *e)
{
    size_t kept = 0;

    for (size_t i = 0; i < *n; i++)
        if (v[i].value.n)
            v[kept++] = v[i];
    if (kept > 1)
        qsort(v, kept, sizeof(*v), by_name);
    for (size_t i = 1; i < kept; i++)
        if (str_eq(v[i - 1].name, v[i].name))
            return err_set(e, ERR_INVALID, "label \"%.*s\" stands twice", STR_ARG(v[i].name));
    *n = kept;
    return 0;
}

struct labels labels_copy(struct arena *a, struct labels l)
{
    struct label *v = arena_array(a, l.n ? l.n : 1, sizeof(*v));

    if (!v)
        return (struct labels){ NULL, 0 };
    for (size_t i = 0; i < l.n; i++) {
        v[i].name = arena_str(a, l.v[i].name);
        v[i].value = arena_str(a, l.v[i].value);
        if (!v[i].name.p || !v[i].value.p)
            return (struct labels){ NULL, 0 };
    }
    return (struct labels){ v, l.n };
}

bool labels_contain(struct labels l, struct labels want)
{
    for (size_t i = 0; i < want.n; i++)
        if (!str_eq(labels_get(l, want.v[i].name), want.v[i].value))
            return false;
    return true;
}

/* A double-quoted Go string, in which control characters and quotes are escaped. */
static void print_quoted(struct buf *b, struct str s)
{
    buf_putc(b, '"');
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (c == '"' || c == '\\')
            buf_printf(b, "\\%c", c);
        else if (c == '\n' || c == '\t' || c == '\r')
            buf_printf(b, "\\%c", c == '\n' ? 'n' : c == '\t' ? 't' : 'r');
        else if ((unsigned char)c < 0x20 || c == 0x7f)
            buf_printf(b, "\\x%02x", (unsigned char)c);
        else
            buf_putc(b, c);
    }
    buf_putc(b, '"');
}

static bool plain_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';

        if (!letter && !(i && c >= '0' && c <= '9'))
            return false;
    }
    return s.n > 0;
}

void labels_print(struct buf *b, struct labels l)
{
    buf_putc(b, '{');
    for (size_t i = 0; i < l.n; i++) {
        if (i)
            buf_puts(b, ", ");
        if (plain_name(l.v[i].name))
            buf_str(b, l.v[i].name);
        else
            print_quoted(b, l.v[i].name);
        buf_putc(b, '=');
        print_quoted(b, l.v[i].value);
    }
    buf_putc(b, '}');
}
