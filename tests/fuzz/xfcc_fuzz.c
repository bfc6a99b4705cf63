/* xfcc_fuzz.c: what is read is read the same from what is written of it. */
#include "proxy/xfcc.h"

#include <stdlib.h>

static bool same_names(const struct str *a, size_t na, const struct str *b, size_t nb)
{
    for (size_t i = 0; i < na && na == nb; i++)
        if (!str_eq(a[i], b[i]))
            return false;
    return na == nb;
}

static void check(struct arena *a, const struct xfcc_element *e)
{
    struct str text = xfcc_format(a, e);
    const struct xfcc_element *v;
    size_t n;

    if (!text.p || text.n == 0 || text.n > XFCC_MOST_BYTES)
        return; /* quotes and slashes take more room than they had; an element of unknown pairs has no text */
    if (xfcc_parse(a, text, &v, &n, NULL) != 0 || n != 1)
        abort();
    if (!str_eq(e->by, v->by) || !str_eq(e->hash, v->hash) || !str_eq(e->cert, v->cert) ||
        !str_eq(e->chain, v->chain) || !str_eq(e->subject, v->subject) ||
        !same_names(e->uris, e->nuris, v->uris, v->nuris) ||
        !same_names(e->dns, e->ndns, v->dns, v->ndns))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = ARENA_INIT(1 << 24);
    const struct xfcc_element *v;
    size_t n;

    if (xfcc_parse(&a, (struct str){ (const char *)data, size }, &v, &n, NULL) == 0)
        for (size_t i = 0; i < n; i++)
            check(&a, &v[i]);
    arena_free(&a);
    return 0;
}
