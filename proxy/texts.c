#include "proxy/texts.h"

enum { ABSENT = UINT16_MAX };

bool texts_put(struct buf *b, struct str s)
{
    uint16_t n = s.n > TEXTS_LONGEST ? TEXTS_LONGEST : (uint16_t)s.n, length = s.p ? n : ABSENT;
    char *to;

    if (b->n + sizeof(length) + n > TEXTS_MOST)
        return false;
    to = buf_reserve(b, sizeof(length) + n);
    if (!to)
        return false;
    memcpy(to, &length, sizeof(length));
    if (n)
        memcpy(to + sizeof(length), s.p, n);
    b->n += sizeof(length) + n;
    return true;
}

struct str texts_next(struct str *rest)
{
    struct str s;
    uint16_t n;

    if (rest->n < sizeof(n))
        return STR_NULL;
    memcpy(&n, rest->p, sizeof(n));
    *rest = str_from(*rest, sizeof(n));
    if (n == ABSENT)
        return STR_NULL;
    s = (struct str){ rest->p, n };
    *rest = str_from(*rest, n);
    return s;
}
