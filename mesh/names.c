#include "mesh/names-internal.h"

#include "base/num.h"

#include <arpa/inet.h>
#include <stdio.h>

enum { LONGEST_LABEL = 63, LONGEST_NAME = 253 };

static bool is_lower(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_alnum(char c)
{
    return is_lower(c) || (c >= 'A' && c <= 'Z');
}

bool name_is_label(struct str s)
{
    if (s.n == 0 || s.n > LONGEST_LABEL || !is_lower(s.p[0]) || !is_lower(s.p[s.n - 1]))
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!is_lower(s.p[i]) && s.p[i] != '-')
            return false;
    return true;
}

bool name_is_subdomain(struct str s)
{
    struct str rest = s;

    if (s.n == 0 || s.n > LONGEST_NAME)
        return false;
    while (rest.p)
        if (!name_is_label(str_cut(&rest, '.')))
            return false;
    return true;
}

bool name_is_label_value(struct str s)
{
    if (s.n == 0)
        return true;
    if (s.n > LONGEST_LABEL || !is_alnum(s.p[0]) || !is_alnum(s.p[s.n - 1]))
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!is_alnum(s.p[i]) && s.p[i] != '-' && s.p[i] != '_' && s.p[i] != '.')
            return false;
    return true;
}

bool name_is_label_key(struct str s)
{
    ptrdiff_t slash = str_chr(s, '/');
    struct str name = slash < 0 ? s : str_from(s, (size_t)slash + 1);

    return name.n && name_is_label_value(name) && (slash < 0 || name_is_subdomain((struct str){ s.p, (size_t)slash }));
}

bool name_is_header(struct str s)
{
    if (s.n && s.p[0] == ':')
        s = str_from(s, 1);
    for (size_t i = 0; i < s.n; i++)
        if (!is_alnum(s.p[i]) && !(s.p[i] && strchr("!#$%&'*+-.^_`|~@", s.p[i])))
            return false;
    return s.n > 0;
}

bool host_ipv4(struct str s, uint32_t *ip)
{
    char text[INET_ADDRSTRLEN];
    struct in_addr in;

    if (s.n == 0 || s.n >= sizeof(text) || memchr(s.p, '\0', s.n))
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    if (inet_pton(AF_INET, text, &in) != 1)
        return false;
    *ip = ntohl(in.s_addr);
    return true;
}

static bool host_ipv6(struct str s, struct in6_addr *ip)
{
    char text[INET6_ADDRSTRLEN];

    if (s.n == 0 || s.n >= sizeof(text) || memchr(s.p, '\0', s.n))
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    return inet_pton(AF_INET6, text, ip) == 1;
}

bool host_is_ip(struct str s)
{
    struct in6_addr in6;
    uint32_t ip;

    return host_ipv4(s, &ip) || host_ipv6(s, &in6);
}

bool host_net(struct str s, uint32_t *net, uint32_t *mask)
{
    ptrdiff_t slash = str_chr(s, '/');
    uint64_t bits = 32;

    if (slash >= 0 && (!num_u64(str_from(s, (size_t)slash + 1), &bits) || bits > 32))
        return false;
    if (!host_ipv4(slash < 0 ? s : (struct str){ s.p, (size_t)slash }, net))
        return false;
    *mask = bits ? UINT32_MAX << (32 - bits) : 0;
    *net &= *mask;
    return true;
}

bool net_parse(struct str s, uint8_t ip[16], uint8_t *bits)
{
    enum { MAPPED = 96 }; /* bits before an IPv4 address */
    ptrdiff_t slash = str_chr(s, '/');
    struct str address = slash < 0 ? s : (struct str){ s.p, (size_t)slash };
    uint64_t n = 128;
    struct in6_addr in6;
    uint32_t in4;
    bool old = host_ipv4(address, &in4);

    if (old)
        in6 = (struct in6_addr){ .s6_addr = { [10] = 255, [11] = 255, [12] = (uint8_t)(in4 >> 24),
                                              [13] = (uint8_t)(in4 >> 16), [14] = (uint8_t)(in4 >> 8),
                                              [15] = (uint8_t)in4 } };
    else if (!host_ipv6(address, &in6))
        return false;
    if (slash >= 0 && (!num_u64(str_from(s, (size_t)slash + 1), &n) || n > (old ? 128 - MAPPED : 128)))
        return false;
    *bits = (uint8_t)(slash >= 0 && old ? n + MAPPED : n);
    for (unsigned i = 0; i < 16; i++) {
        unsigned keep = *bits > 8 * i ? *bits - 8 * i : 0;

        ip[i] = keep >= 8 ? in6.s6_addr[i] : (uint8_t)(in6.s6_addr[i] & ~(255u >> keep));
    }
    return true;
}

/* One label of a host: underscores are not in the books, and in use all the same. */
static bool host_label(struct str s)
{
    if (s.n == 0 || s.n > LONGEST_LABEL || s.p[0] == '-' || s.p[s.n - 1] == '-')
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!is_alnum(s.p[i]) && s.p[i] != '-' && s.p[i] != '_')
            return false;
    return true;
}

bool host_is_valid(struct str s)
{
    struct str rest = s;

    if (s.n == 0 || s.n > LONGEST_NAME)
        return false;
    if (str_eqz(s, "*") || host_is_ip(s))
        return true;
    if (s.p[0] == '*')
        rest = str_from(s, s.n > 1 && (s.p[1] == '.' || s.p[1] == '-') ? 2 : 1);
    if (rest.n && rest.p[rest.n - 1] == '.')
        rest.n--;
    while (rest.p)
        if (!host_label(str_cut(&rest, '.')))
            return false;
    return true;
}
