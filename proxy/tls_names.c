/* tls_names.c: who a certificate says its holder is. */
#include "proxy/tls.h"

#include <openssl/x509v3.h>

static const struct str scheme = STR_INIT("spiffe://");

static struct str text_of(const ASN1_STRING *s)
{
    return (struct str){ (const char *)ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s) };
}

/* A text that goes into headers, logs and comparisons: nothing else is an identity, whoever signed it. */
static bool is_printable(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || (unsigned char)s.p[i] >= 127)
            return false;
    return s.n > 0;
}

struct str tls_identity(const GENERAL_NAMES *names)
{
    struct str found = STR_NULL;

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

        if (name->type != GEN_URI)
            continue;
        if (found.p)
            return STR_NULL;
        found = text_of(name->d.uniformResourceIdentifier);
    }
    return is_printable(found) && str_starts(found, scheme) ? found : STR_NULL;
}

bool tls_is_of_domain(struct str identity, struct str trust_domain)
{
    struct str rest = str_from(identity, scheme.n);

    return trust_domain.n && str_starts(identity, scheme) && str_starts(rest, trust_domain) &&
           rest.n > trust_domain.n && rest.p[trust_domain.n] == '/';
}

static bool has_uri(const GENERAL_NAMES *names, struct str want)
{
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

        if (name->type == GEN_URI && str_eq(text_of(name->d.uniformResourceIdentifier), want))
            return true;
    }
    return false;
}

static bool has_address(X509 *certificate, struct str want)
{
    char text[64];

    if (want.n >= sizeof(text))
        return false;
    memcpy(text, want.p, want.n);
    text[want.n] = '\0';
    return X509_check_ip_asc(certificate, text, 0) == 1;
}

bool tls_has_name(X509 *certificate, const GENERAL_NAMES *alternative, const struct str *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (names[i].n && (has_uri(alternative, names[i]) || has_address(certificate, names[i]) ||
                           X509_check_host(certificate, names[i].p, names[i].n, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT,
                                           NULL) == 1))
            return true;
    return false;
}
