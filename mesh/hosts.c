#include "mesh/hosts-internal.h"

#include "mesh/names-internal.h"

static const struct str service_suffix = STR_INIT(".svc." CLUSTER_DOMAIN);

struct str host_lower(struct arena *a, struct str s)
{
    char *p = arena_cstr(a, s);

    for (size_t i = 0; p && i < s.n; i++)
        if (p[i] >= 'A' && p[i] <= 'Z')
            p[i] |= 32;
    return (struct str){ p, p ? s.n : 0 };
}

struct str host_resolve(struct arena *a, struct str host, struct str ns)
{
    struct str low = host_lower(a, host);

    if (!low.p || low.n == 0 || str_chr(low, '.') >= 0 || host_is_wild(low) || host_is_ip(low))
        return low;
    return arena_printf(a, "%.*s.%.*s%s", STR_ARG(low), STR_ARG(ns), service_suffix.p);
}

bool host_service(struct str host, struct str *name, struct str *ns)
{
    struct str rest = host;

    if (!str_ends(host, service_suffix))
        return false;
    rest.n -= service_suffix.n;
    *name = str_cut(&rest, '.');
    *ns = rest;
    return rest.p && name->n && ns->n && str_chr(rest, '.') < 0;
}

bool host_is_wild(struct str host)
{
    return host.n && host.p[0] == '*';
}

bool host_within(struct str host, struct str pattern)
{
    struct str suffix;

    if (!host_is_wild(pattern))
        return str_eq(host, pattern);
    suffix = str_from(pattern, 1);
    if (host_is_wild(host))
        return str_ends(str_from(host, 1), suffix);
    return host.n > suffix.n && str_ends(host, suffix);
}

int host_specific_cmp(struct str a, struct str b)
{
    bool wild_a = host_is_wild(a), wild_b = host_is_wild(b);

    if (wild_a != wild_b)
        return wild_a ? 1 : -1;
    return (a.n < b.n) - (a.n > b.n);
}
