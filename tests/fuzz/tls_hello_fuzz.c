/* tls_hello_fuzz.c: what a hello asks for does not depend on the pieces it comes in: not on where the bytes are cut, and
 * not on how its message is divided among records. */
#include "proxy/tls_hello.h"

#include <stdlib.h>

static bool same(const struct tls_hello *a, const struct tls_hello *b)
{
    return str_eq(tls_hello_name(a), tls_hello_name(b)) && a->mesh == b->mesh;
}

/* Each prefix is not yet enough, or says the same. */
static void check_prefixes(struct str whole, const struct tls_hello *want)
{
    struct tls_hello h;

    for (size_t n = 0; n < whole.n; n++) {
        enum tls_hello_result r = tls_hello_read((struct str){ whole.p, n }, &h);

        if (r == TLS_HELLO_BAD || (r == TLS_HELLO_DONE && !same(&h, want)))
            abort();
    }
}

/* The first record's bytes in two records. */
static void check_division(struct str whole, size_t at, const struct tls_hello *want)
{
    size_t n = (size_t)(uint8_t)whole.p[3] << 8 | (uint8_t)whole.p[4];
    char *divided = malloc(whole.n + 5);
    struct tls_hello h;

    if (!divided)
        return;
    at = 1 + at % n;
    memcpy(divided, whole.p, 5 + at);
    divided[3] = (char)(at >> 8);
    divided[4] = (char)at;
    memcpy(divided + 5 + at, whole.p, 3);
    divided[8 + at] = (char)((n - at) >> 8);
    divided[9 + at] = (char)(n - at);
    memcpy(divided + 10 + at, whole.p + 5 + at, whole.n - 5 - at);
    if (at < n && (tls_hello_read((struct str){ divided, whole.n + 5 }, &h) != TLS_HELLO_DONE || !same(&h, want)) &&
        !(h.why && str_eqz(STR("it is in too many pieces"), h.why)))
        abort();
    free(divided);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str whole = { (const char *)data, size };
    struct tls_hello h;

    if (tls_hello_read(whole, &h) != TLS_HELLO_DONE)
        return 0;
    for (size_t i = 0; i < h.name_n; i++)
        if (h.name[i] <= ' ' || h.name[i] >= 127 || (h.name[i] >= 'A' && h.name[i] <= 'Z'))
            abort();
    if (size < 2048)
        check_prefixes(whole, &h);
    check_division(whole, size, &h);
    return 0;
}
