/* percent.h: percent-encoding (RFC 3986, 2.1). */
#ifndef PROXY_PERCENT_H
#define PROXY_PERCENT_H

#include "base/str.h"

/* A hexadecimal digit's value, in either case; -1: it is none. */
static inline int percent_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that an escape of three characters at s.p[at] stands for; -1: there is none. */
static inline int percent_byte(struct str s, size_t at)
{
    if (at + 2 >= s.n || s.p[at] != '%' || percent_digit(s.p[at + 1]) < 0 || percent_digit(s.p[at + 2]) < 0)
        return -1;
    return percent_digit(s.p[at + 1]) * 16 + percent_digit(s.p[at + 2]);
}

/* Letters, digits and - . _ ~: an escape of these means the same as they do (RFC 3986, 2.3). */
static inline bool percent_is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

#endif
