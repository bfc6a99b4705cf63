/* snapshot_tls.c: how connections are secured: modes, certificates, keys and the names that peers must have.
 *
 * Certificates are files that the proxy reads, or what a Secret of the proxy's namespace holds. The authorities of a
 * mutual mode may be in a Secret of their own, NAME-cacert, so that who may replace a key need not see it (Istio). */
#include "base/strmap.h"
#include "mesh/snapshot-internal.h"

enum { TLS_LOWEST = 12, TLS_HIGHEST = 13 };

static struct pem in_file(struct str path)
{
    return (struct pem){ STR_NULL, path };
}

static struct pem as_text(struct str text)
{
    return (struct pem){ text, STR_NULL };
}

/* By a credentialName, which may have the scheme "kubernetes://". */
static const struct secret *find_secret(const struct draft *d, struct str name)
{
    static const struct str scheme = STR_INIT("kubernetes://");

    return mesh_secret(d->mesh, d->ns, str_starts(name, scheme) ? str_from(name, scheme.n) : name);
}

/* Of a credentialName: NAME-cacert's or else NAME's authorities and revoked certificates. False: there are none. */
static bool find_ca(struct draft *d, struct str name, struct pem *ca, struct pem *crl)
{
    const struct secret *own = find_secret(d, draft_printf(d, "%.*s-cacert", STR_ARG(name)));

    if (!own || !own->ca.n)
        own = find_secret(d, name);
    if (!own || !own->ca.n)
        return false;
    *ca = as_text(own->ca);
    *crl = as_text(own->crl);
    return true;
}

/* ---- what we connect to ---- */

struct str draft_cluster_sni(struct draft *d, const struct cluster *c)
{
    return draft_printf(d, "outbound_.%u_.%.*s_.%.*s", c->port, STR_ARG(c->subset), STR_ARG(c->host));
}

/* The different mesh identities of those who run there. */
static void take_principals(struct draft *d, struct cluster *c, const struct str *more, size_t nmore)
{
    struct strmap seen = STRMAP_INIT;
    struct str *v = draft_alloc(d, c->nendpoints + nmore, sizeof(*v));
    size_t n = 0;

    for (size_t i = 0; v && i < c->nendpoints + nmore && !d->nomem; i++) {
        struct str name = i < nmore ? more[i] : c->endpoints[i - nmore].workload->principal;

        if (!name.n || strmap_get(&seen, name))
            continue;
        d->nomem = strmap_put(&seen, name, d, NULL) < 0;
        v[n++] = name;
    }
    strmap_free(&seen);
    c->tls.names = v;
    c->tls.nnames = n;
}

static void secure_in_mesh(struct draft *d, struct cluster *c, const struct cluster_tls *from)
{
    take_principals(d, c, from->names, from->nnames);
    c->tls.sni = from->policy && from->policy->sni.n ? from->policy->sni : draft_cluster_sni(d, c);
}

static void secure_by_files(struct cluster *c, const struct dr_tls *t)
{
    c->tls.own = (struct tls_pair){ in_file(t->client_certificate), in_file(t->private_key) };
    c->tls.ca = in_file(t->ca_certificates);
    c->tls.crl = in_file(t->ca_crl);
}

static void secure_by_secret(struct draft *d, struct cluster *c, const struct dr_tls *t)
{
    const struct secret *s = find_secret(d, t->credential_name);
    bool ca = find_ca(d, t->credential_name, &c->tls.ca, &c->tls.crl);

    if (t->mode == DR_TLS_MUTUAL && s)
        c->tls.own = (struct tls_pair){ as_text(s->certificate), as_text(s->key) };
    c->tls.missing = t->mode == DR_TLS_MUTUAL ? !s || !s->certificate.n || !s->key.n : !ca && !t->insecure;
}

void draft_secure_cluster(struct draft *d, struct cluster *c, const struct cluster_tls *from)
{
    static const enum tls_client_mode modes[] = { TLS_CLIENT_OFF, TLS_CLIENT_SIMPLE, TLS_CLIENT_MUTUAL,
                                                  TLS_CLIENT_ISTIO };
    const struct dr_tls *t = from->policy;

    c->tls.mode = t ? modes[t->mode] : from->external ? TLS_CLIENT_OFF : TLS_CLIENT_AUTO;
    if (c->tls.mode == TLS_CLIENT_AUTO || c->tls.mode == TLS_CLIENT_ISTIO) {
        secure_in_mesh(d, c, from);
        return;
    }
    if (c->tls.mode == TLS_CLIENT_OFF)
        return;
    c->tls.sni = t->sni;
    c->tls.names = t->names.n ? t->names.v : from->names;
    c->tls.nnames = t->names.n ? t->names.n : from->nnames;
    c->tls.insecure = t->insecure;
    if (t->credential_name.n && from->by_secret)
        secure_by_secret(d, c, t);
    else
        secure_by_files(c, t);
}

/* ---- what we serve ---- */

/* "[A|B]" of equal preference is A, then B. */
static struct str cipher_list(struct draft *d, const struct str *v, size_t n)
{
    size_t len = n, at = 0;
    char *to;

    for (size_t i = 0; i < n; i++)
        len += v[i].n;
    to = draft_alloc(d, len + 1, 1);
    for (size_t i = 0; to && i < n; i++) {
        for (size_t k = 0; k < v[i].n; k++)
            if (v[i].p[k] != '[' && v[i].p[k] != ']')
                to[at++] = v[i].p[k] == '|' ? ':' : v[i].p[k];
        if (i + 1 < n)
            to[at++] = ':';
    }
    return (struct str){ to, to ? at : 0 };
}

static void add_secret_pair(struct draft *d, struct str name, struct tls_pair *v, size_t *n)
{
    const struct secret *s = find_secret(d, name);

    if (s && s->certificate.n && s->key.n)
        v[(*n)++] = (struct tls_pair){ as_text(s->certificate), as_text(s->key) };
}

static void take_pairs(struct draft *d, struct tls_server *to, const struct gw_tls *t)
{
    struct tls_pair *v = draft_alloc(d, t->certificates.n + t->credential_names.n + 1, sizeof(*v));

    to->pairs = v;
    if (!v)
        return;
    if (t->credential_name.n)
        add_secret_pair(d, t->credential_name, v, &to->npairs);
    for (size_t i = 0; i < t->credential_names.n; i++)
        add_secret_pair(d, t->credential_names.v[i], v, &to->npairs);
    for (size_t i = 0; i < t->certificates.n; i++)
        v[to->npairs++] = (struct tls_pair){ in_file(t->certificates.v[i].server_certificate),
                                             in_file(t->certificates.v[i].private_key) };
    if (t->server_certificate.n)
        v[to->npairs++] = (struct tls_pair){ in_file(t->server_certificate), in_file(t->private_key) };
}

static void take_ca(struct draft *d, struct tls_server *to, const struct gw_tls *t)
{
    if (t->ca_credential_name.n)
        find_ca(d, t->ca_credential_name, &to->ca, &to->crl);
    else if (t->credential_name.n)
        find_ca(d, t->credential_name, &to->ca, &to->crl);
    else if (t->credential_names.n)
        find_ca(d, t->credential_names.v[0], &to->ca, &to->crl);
    else if (t->ca_certificates.n)
        to->ca = in_file(t->ca_certificates);
    else if (t->certificates.n)
        to->ca = in_file(t->certificates.v[0].ca_certificates);
    if (t->ca_crl.n)
        to->crl = in_file(t->ca_crl);
}

const struct tls_server *draft_tls_server(struct draft *d, const struct gw_tls *t)
{
    struct tls_server *to = draft_alloc(d, 1, sizeof(*to));

    if (!to)
        return NULL;
    to->mode = t->mode == GW_MODE_MUTUAL            ? TLS_SERVER_MUTUAL
               : t->mode == GW_MODE_OPTIONAL_MUTUAL ? TLS_SERVER_OPTIONAL_MUTUAL
               : t->mode == GW_MODE_ISTIO_MUTUAL    ? TLS_SERVER_ISTIO
                                                    : TLS_SERVER_SIMPLE;
    if (to->mode != TLS_SERVER_ISTIO)
        take_pairs(d, to, t);
    if (to->mode == TLS_SERVER_MUTUAL || to->mode == TLS_SERVER_OPTIONAL_MUTUAL)
        take_ca(d, to, t);
    to->names = t->names.v;
    to->nnames = t->names.n;
    to->max_version = t->max_version ? (uint8_t)(t->max_version + 9) : TLS_HIGHEST;
    to->min_version = t->min_version                  ? (uint8_t)(t->min_version + 9)
                      : to->max_version < TLS_LOWEST ? to->max_version
                                                     : TLS_LOWEST;
    to->ciphers = cipher_list(d, t->ciphers.v, t->ciphers.n);
    return to;
}
