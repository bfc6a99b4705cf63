#include "mesh/sticky-internal.h"

#include <stdarg.h>
#include <stdio.h>

enum { LONGEST_TEXT = 1024 };

void *sticky_alloc(struct arena *a, bool *nomem, size_t n, size_t size)
{
    void *p = arena_array(a, n, size);

    if (!p)
        *nomem = true;
    return p;
}

struct str sticky_printf(struct arena *a, bool *nomem, const char *fmt, ...)
{
    char text[LONGEST_TEXT];
    struct str s;
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    n = n < 0 ? 0 : n < LONGEST_TEXT ? n : LONGEST_TEXT - 1;
    s = arena_str(a, (struct str){ text, (size_t)n });
    if (!s.p)
        *nomem = true;
    return s;
}
