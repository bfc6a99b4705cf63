/* relabel_fold.c: lowercase and uppercase of UTF-8, character by character, as the C library's tables have it. */
#include "collector/relabel-internal.h"

#include <locale.h>
#include <wctype.h>

/* The character at p, of which n bytes are there, and its length; a byte that begins none stands for itself. */
static size_t decode(const char *p, size_t n, wint_t *c)
{
    unsigned char first = (unsigned char)*p;
    size_t length = first < 0xc2 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;

    if (length == 1 || length > n || !str_is_utf8((struct str){ p, length })) {
        *c = first;
        return 1;
    }
    *c = first & (0x7fu >> length);
    for (size_t i = 1; i < length; i++)
        *c = *c << 6 | ((unsigned char)p[i] & 0x3f);
    return length;
}

static void put(struct buf *b, wint_t c)
{
    if (c < 0x800) {
        buf_putc(b, (char)(0xc0 | c >> 6));
    } else if (c < 0x10000) {
        buf_putc(b, (char)(0xe0 | c >> 12));
        buf_putc(b, (char)(0x80 | (c >> 6 & 0x3f)));
    } else {
        buf_putc(b, (char)(0xf0 | c >> 18));
        buf_putc(b, (char)(0x80 | (c >> 12 & 0x3f)));
        buf_putc(b, (char)(0x80 | (c >> 6 & 0x3f)));
    }
    buf_putc(b, (char)(0x80 | (c & 0x3f)));
}

void relabel_fold(struct buf *b, struct str s, bool upper)
{
    locale_t locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);

    for (size_t i = 0; i < s.n;) {
        wint_t c, folded;
        size_t length = decode(s.p + i, s.n - i, &c);

        folded = c;
        if (c < 0x80)
            folded = upper == (c >= 'a') && ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ? c ^ 0x20 : c;
        else if (length > 1 && locale)
            folded = upper ? towupper_l(c, locale) : towlower_l(c, locale);
        if (folded == c)
            buf_put(b, s.p + i, length);
        else if (folded < 0x80)
            buf_putc(b, (char)folded);
        else
            put(b, folded);
        i += length;
    }
    if (locale)
        freelocale(locale);
}
