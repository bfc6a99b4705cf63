#define XXH_INLINE_ALL
#include "base/str.h"

#include <pthread.h>
#include <sys/random.h>
#include <time.h>
#include <xxhash.h>

static uint64_t hash_seed;
static pthread_once_t hash_once = PTHREAD_ONCE_INIT;

static void draw_seed(void)
{
    if (getrandom(&hash_seed, sizeof(hash_seed), 0) != (ssize_t)sizeof(hash_seed))
        hash_seed = (uint64_t)time(NULL) * 0x9e3779b97f4a7c15u;
}

uint64_t str_hash(struct str s)
{
    pthread_once(&hash_once, draw_seed);
    return XXH3_64bits_withSeed(s.p, s.n, hash_seed);
}

uint64_t str_hash_stable(struct str s)
{
    return XXH3_64bits(s.p, s.n);
}

int str_cmp(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;

    return c ? c : (a.n > b.n) - (a.n < b.n);
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

bool str_ieq(struct str a, struct str b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (lower(a.p[i]) != lower(b.p[i]))
            return false;
    return true;
}

bool str_starts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

bool str_ends(struct str s, struct str suffix)
{
    return s.n >= suffix.n && (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

ptrdiff_t str_chr(struct str s, char c)
{
    const char *at = s.n ? memchr(s.p, c, s.n) : NULL;

    return at ? at - s.p : -1;
}

ptrdiff_t str_find(struct str s, struct str needle)
{
    const char *at;

    if (needle.n == 0)
        return 0;
    at = s.n ? memmem(s.p, s.n, needle.p, needle.n) : NULL;
    return at ? at - s.p : -1;
}

static bool blank(char c)
{
    return c == ' ' || c == '\t';
}

struct str str_trim(struct str s)
{
    while (s.n && blank(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n && blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

struct str str_from(struct str s, size_t at)
{
    if (at > s.n)
        at = s.n;
    return (struct str){ s.p ? s.p + at : NULL, s.n - at };
}

size_t str_common(struct str a, struct str b)
{
    size_t most = a.n < b.n ? a.n : b.n, n = 0;
    uint64_t x, y;

    for (; most - n >= sizeof(x); n += sizeof(x)) {
        memcpy(&x, a.p + n, sizeof(x));
        memcpy(&y, b.p + n, sizeof(y));
        if (x != y)
            break;
    }
    while (n < most && a.p[n] == b.p[n])
        n++;
    return n;
}

struct str str_cut(struct str *rest, char sep)
{
    struct str all = *rest;
    ptrdiff_t at = str_chr(all, sep);

    if (at < 0) {
        *rest = STR_NULL;
        return all;
    }
    *rest = str_from(all, (size_t)at + 1);
    return (struct str){ all.p, (size_t)at };
}

/* Length of the well-formed sequence at p, of which `left` bytes are there; 0 when it is not well formed. */
static size_t utf8_sequence(const unsigned char *p, size_t left)
{
    unsigned char c = p[0], low = 0x80, high = 0xbf;
    size_t n;

    if (c < 0x80)
        return 1;
    if (c < 0xc2 || c > 0xf4)
        return 0;
    n = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    if (left < n)
        return 0;
    if (c == 0xe0)
        low = 0xa0;
    else if (c == 0xed)
        high = 0x9f;
    else if (c == 0xf0)
        low = 0x90;
    else if (c == 0xf4)
        high = 0x8f;
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

enum { EIGHT = sizeof(uint64_t) };
static const uint64_t not_ascii = 0x8080808080808080u;

static uint64_t eight_at(const unsigned char *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

/* Where ASCII ends at the latest, n where there is nothing else, as in most texts: in steps of eight, the last of
 * which may look at some a second time. */
static size_t skip_ascii(const unsigned char *p, size_t n)
{
    size_t at = 0;

    for (; at + EIGHT <= n; at += EIGHT)
        if (eight_at(p + at) & not_ascii)
            return at;
    if (n >= EIGHT)
        return eight_at(p + n - EIGHT) & not_ascii ? at : n;
    while (at < n && p[at] < 0x80)
        at++;
    return at;
}

bool str_is_utf8(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    size_t at = skip_ascii(p, s.n);

    while (at < s.n) {
        size_t n = utf8_sequence(p + at, s.n - at);

        if (n == 0)
            return false;
        at += n;
    }
    return true;
}
