#include "mesh/base64-internal.h"

static int digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;

    return at ? (int)(at - digits) : -1;
}

static bool is_line_end(char c)
{
    return c == '\n' || c == '\r';
}

bool base64_decode(struct arena *a, struct str s, struct str *out)
{
    char *to = arena_alloc(a, s.n + 1);
    size_t digits = 0, padding = 0, n = 0;
    unsigned bits = 0, have = 0;

    *out = (struct str){ to, 0 };
    for (size_t i = 0; to && i < s.n; i++) {
        int d = digit(s.p[i]);

        if (is_line_end(s.p[i]))
            continue;
        if (s.p[i] == '=') {
            padding++;
            continue;
        }
        if (d < 0 || padding)
            return false;
        digits++;
        bits = bits << 6 | (unsigned)d;
        have += 6;
        if (have >= 8) {
            have -= 8;
            to[n++] = (char)(bits >> have & 0xff);
        }
    }
    out->n = n;
    return digits % 4 != 1 && padding <= 2;
}
