/* guard.c: a server on loopback is within reach of every web page the user opens.
 *
 * Rebinding    A page's own name may be made to resolve to 127.0.0.1; its requests then come with that name in Host. On
 *              loopback only loopback's names are answered, and names without a dot, which no stranger can register:
 *              they come from the machine's own files.
 * Cross-site   A page may post to us without reading the answer. What changes state is refused when Origin is not
 *              ours. */

#include "api/http-internal.h"

#include <arpa/inet.h>

bool address_is_loopback(struct str address)
{
    char text[64];
    struct in_addr v4;
    struct in6_addr v6;

    if (address.n == 0 || address.n >= sizeof(text))
        return false;
    memcpy(text, address.p, address.n);
    text[address.n] = '\0';
    if (inet_pton(AF_INET, text, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, text, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

/* "localhost:20001" → "localhost", "[::1]:80" → "::1" */
static struct str without_port(struct str host)
{
    ptrdiff_t colon;

    if (host.n && host.p[0] == '[') {
        colon = str_chr(host, ']');
        return colon < 0 ? STR_NULL : (struct str){ host.p + 1, (size_t)colon - 1 };
    }
    colon = str_chr(host, ':');
    return colon < 0 ? host : (struct str){ host.p, (size_t)colon };
}

bool host_is_loopback(struct str host, struct str bound)
{
    struct str name = without_port(str_trim(host));

    return address_is_loopback(name) || str_eq(name, bound) ||
           (name.n && str_chr(name, '.') < 0 && str_chr(name, ':') < 0) || str_ieq(name, STR("localhost."));
}

bool origin_is_own(struct str origin, struct str host)
{
    ptrdiff_t at = str_find(origin, STR("://"));

    return at > 0 && str_ieq(str_from(origin, (size_t)at + 3), str_trim(host));
}
