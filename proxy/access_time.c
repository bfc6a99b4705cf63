#include "proxy/access_time.h"

#include <stdio.h>
#include <time.h>

enum { SECOND = 1000000000, DIGITS = 9, PIECE = 64 };

/* strftime's letters that print something of a time without a zone, and no newline. */
static const char plain_letters[] = "aAbBcCdDeFgGhHIjmMpPrRsSTuUVwWxXyYzZ%";

/* One conversion, without its percent sign. */
struct conversion {
    size_t n;       /* its bytes; 0: it is none */
    char letter;    /* 'f': a fraction; 'S' with digits: seconds and a fraction */
    int digits;     /* of the fraction; 0: none */
};

static bool is_digit(char c)
{
    return c >= '1' && c <= '9';
}

static struct conversion read_conversion(struct str s)
{
    if (s.n >= 1 && s.p[0] == 'f')
        return (struct conversion){ 1, 'f', DIGITS };
    if (s.n >= 2 && is_digit(s.p[0]) && s.p[1] == 'f')
        return (struct conversion){ 2, 'f', s.p[0] - '0' };
    if (s.n >= 3 && s.p[0] == 'E' && is_digit(s.p[1]) && s.p[2] == 'S')
        return (struct conversion){ 3, 'S', s.p[1] - '0' };
    if (s.n >= 1 && s.p[0] && strchr(plain_letters, s.p[0]))
        return (struct conversion){ 1, s.p[0], 0 };
    return (struct conversion){ 0 };
}

bool access_time_is_form(struct str form)
{
    for (size_t i = 0; i < form.n; i++) {
        struct conversion c = { 1, 0, 0 };

        if (form.p[i] == '%')
            c = read_conversion(str_from(form, i + 1));
        if (c.n == 0)
            return false;
        if (form.p[i] == '%')
            i += c.n;
    }
    return true;
}

/* The one place for which the compiler cannot check a form: read_conversion has. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static int print_plain(char out[PIECE], char letter, const struct tm *tm)
{
    char format[] = { '%', letter, '\0' };

    return (int)strftime(out, PIECE, format, tm);
}
#pragma GCC diagnostic pop

static size_t print_conversion(char out[PIECE], struct conversion c, const struct tm *tm, time_t seconds, int64_t ns)
{
    char fraction[32];
    int n = 0;

    snprintf(fraction, sizeof(fraction), "%09lld", (long long)ns);
    if (c.letter == 'f')
        n = snprintf(out, PIECE, "%.*s", c.digits, fraction);
    else if (c.digits)
        n = snprintf(out, PIECE, "%02d.%.*s", tm->tm_sec, c.digits, fraction);
    else if (c.letter == 's') /* strftime would take tm for local time */
        n = snprintf(out, PIECE, "%lld", (long long)seconds);
    else if (c.letter == 'z')
        n = snprintf(out, PIECE, "+0000");
    else if (c.letter == 'Z')
        n = snprintf(out, PIECE, "UTC");
    else
        n = print_plain(out, c.letter, tm);
    return n > 0 ? (size_t)n : 0;
}

struct str access_time_text(char *out, size_t n, struct str form, int64_t ns)
{
    int64_t fraction = (ns % SECOND + SECOND) % SECOND;
    time_t seconds = (time_t)((ns - fraction) / SECOND);
    struct tm tm = { .tm_mday = 1 };
    size_t at = 0;

    gmtime_r(&seconds, &tm);
    for (size_t i = 0; i < form.n; i++) {
        char piece[PIECE];
        size_t length = 1;

        piece[0] = form.p[i];
        if (form.p[i] == '%') {
            struct conversion c = read_conversion(str_from(form, i + 1));

            length = print_conversion(piece, c, &tm, seconds, fraction);
            i += c.n;
        }
        if (at + length > n)
            break;
        memcpy(out + at, piece, length);
        at += length;
    }
    return (struct str){ out, at };
}
