/* lookup.c: what a proxy asks of its snapshot for every request: whose host is this, whose address.
 *
 * Problem    A port's listener has a virtual host for each service, and each has six names: looking at all of them is
 *            thousands of comparisons a request in a mesh of some hundred services.
 * Idea       One sorted list of the names beside the hosts, shared by all listeners of the port. An exact name is one
 *            binary search; only a host that misses is looked for by its suffixes, the longest first, and only where
 *            there are wildcards at all. The host "*" is not in the list: it is the last of its listener. */
#include "mesh/snapshot-internal.h"

#include <stdlib.h>

struct host_entry {
    struct str domain;
    size_t host;
};

struct host_index {
    struct host_entry *v; /* sorted */
    size_t n, wild;       /* wild: how many begin with "*" */
};

enum { LONGEST_HOST = 255 };

static int by_domain(const void *x, const void *y)
{
    return str_cmp(((const struct host_entry *)x)->domain, ((const struct host_entry *)y)->domain);
}

static bool is_any(const struct virtual_host *vh)
{
    return vh->ndomains == 1 && str_eqz(vh->domains[0], "*");
}

const struct host_index *draft_host_index(struct draft *d, const struct virtual_host *hosts, size_t n)
{
    struct host_index *x = draft_alloc(d, 1, sizeof(*x));
    size_t names = 0;

    for (size_t i = 0; i < n; i++)
        names += hosts[i].ndomains;
    if (x)
        x->v = draft_alloc(d, names, sizeof(*x->v));
    if (d->nomem)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; !is_any(&hosts[i]) && k < hosts[i].ndomains; k++) {
            x->v[x->n++] = (struct host_entry){ hosts[i].domains[k], i };
            x->wild += hosts[i].domains[k].n && hosts[i].domains[k].p[0] == '*';
        }
    }
    if (x->n > 1)
        qsort(x->v, x->n, sizeof(*x->v), by_domain);
    return x;
}

static const struct virtual_host *find(const struct listener *l, struct str domain)
{
    const struct host_entry key = { .domain = domain };
    const struct host_entry *e = bsearch(&key, l->index->v, l->index->n, sizeof(key), by_domain);

    return e ? &l->hosts[e->host] : NULL;
}

/* "Example.com:80" → "Example.com", "[::1]:80" → "::1" */
static struct str without_port(struct str authority)
{
    ptrdiff_t end;

    if (authority.n && authority.p[0] == '[') {
        end = str_chr(authority, ']');
        return end < 0 ? authority : (struct str){ authority.p + 1, (size_t)end - 1 };
    }
    end = str_chr(authority, ':');
    return end < 0 ? authority : (struct str){ authority.p, (size_t)end };
}

const struct virtual_host *listener_host(const struct listener *l, struct str authority)
{
    const struct virtual_host *last = l->nhosts ? &l->hosts[l->nhosts - 1] : NULL, *found = NULL;
    struct str host = without_port(authority);
    char low[LONGEST_HOST];

    if (l->index && l->index->n && host.n && host.n <= LONGEST_HOST) {
        for (size_t i = 0; i < host.n; i++)
            low[i] = host.p[i] >= 'A' && host.p[i] <= 'Z' ? (char)(host.p[i] | 32) : host.p[i];
        found = find(l, (struct str){ low, host.n });
        for (size_t at = 0; l->index->wild && !found && at + 1 < host.n; at++) {
            low[at] = '*';
            found = find(l, (struct str){ low + at, host.n - at });
        }
    }
    return found ? found : last && is_any(last) ? last : NULL;
}

static bool serves(const struct listener_chain *c, struct str name)
{
    for (size_t i = 0; i < c->nserver_names; i++) {
        struct str known = c->server_names[i];
        bool wild = known.n > 1 && known.p[0] == '*';

        if (wild ? name.n >= known.n && str_ends(name, str_from(known, 1)) : str_eq(name, known))
            return true;
    }
    return c->nserver_names == 0;
}

const struct listener_chain *listener_chain(const struct listener *l, struct str server_name)
{
    for (size_t i = 0; i < l->nchains; i++)
        if (serves(&l->chains[i], server_name))
            return &l->chains[i];
    return NULL;
}

static int by_ip(const void *key, const void *item)
{
    return str_cmp(*(const struct str *)key, ((const struct workload *)item)->ip);
}

const struct workload *snapshot_workload(const struct proxy_snapshot *s, struct str ip)
{
    const struct workload *w = s->nworkloads ? bsearch(&ip, s->workloads, s->nworkloads, sizeof(*w), by_ip) : NULL;

    while (w && w > s->workloads && str_eq(w[-1].ip, ip))
        w--;
    return w;
}
