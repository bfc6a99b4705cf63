#include "mesh/hosts-internal.h"
#include "mesh/model-internal.h"
#include "mesh/names-internal.h"

#include <stdint.h>

/* ---- outlierDetection, tls ---- */

static void check_outlier(struct check *c, void *message)
{
    static const char *const times[] = { "interval", "baseEjectionTime" };
    struct dr_outlier *o = message;

    if (o->min_percent < 0 || o->min_percent > 100)
        check_error(c, o->at, "minHealthPercent", "must be from 0 to 100");
    if (o->max_percent < 0 || o->max_percent > 100)
        check_error(c, o->at, "maxEjectionPercent", "must be from 0 to 100");
    if (check_get(o->at, "consecutiveErrors"))
        check_warn(c, o->at, "consecutiveErrors", "is not applied any more, nor does Istio: give consecutive5xxErrors "
                   "or consecutiveGatewayErrors");
    if (check_get(o->at, "consecutiveLocalOriginFailures") && !o->split)
        check_error(c, o->at, "consecutiveLocalOriginFailures", "needs splitExternalLocalOriginErrors: true");
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
        if (check_get(o->at, times[i]) && (i ? o->ejection_time : o->interval) == 0)
            check_error(c, o->at, times[i], "must be at least 1ms");
    for (size_t i = 0; i < o->codes.n; i++)
        if (o->codes.v[i] < 100 || o->codes.v[i] > 599)
            check_error(c, check_get(o->at, "outlierDetectionHttpErrorCodes"), NULL, "%u is no HTTP status",
                        o->codes.v[i]);
}

static const struct field outlier_fields[] = {
    FIELD(INT, dr_outlier, errors, "consecutiveErrors"),
    FIELD(BOOL, dr_outlier, split, "splitExternalLocalOriginErrors"),
    FIELD(COUNT, dr_outlier, local_failures, "consecutiveLocalOriginFailures"),
    FIELD(COUNT, dr_outlier, gateway_errors, "consecutiveGatewayErrors"),
    FIELD(COUNT, dr_outlier, errors_5xx, "consecutive5xxErrors"),
    FIELD(DURATION, dr_outlier, interval, "interval"),
    FIELD(DURATION, dr_outlier, ejection_time, "baseEjectionTime"),
    FIELD(INT, dr_outlier, max_percent, "maxEjectionPercent"),
    FIELD(INT, dr_outlier, min_percent, "minHealthPercent"),
    FIELD(COUNTS, dr_outlier, codes, "outlierDetectionHttpErrorCodes"),
    END_OF_FIELDS,
};
static const struct message outlier_message = { sizeof(struct dr_outlier), outlier_fields, false, check_outlier };

static void check_mutual(struct check *c, const struct dr_tls *t)
{
    static const char *const files[] = { "clientCertificate", "privateKey" };
    bool named = t->credential_name.n > 0;

    if (named && (t->client_certificate.n || t->private_key.n || t->ca_certificates.n))
        check_error(c, t->at, "credentialName", "must not be given with certificate files");
    for (int i = 0; i < 2 && !named && t->mode == DR_TLS_MUTUAL; i++)
        if (!(i ? t->private_key.n : t->client_certificate.n))
            check_error(c, t->at, files[i], "missing: mode MUTUAL needs it, or a credentialName");
}

static void check_tls(struct check *c, void *message)
{
    struct dr_tls *t = message;
    bool given = t->client_certificate.n || t->private_key.n || t->ca_certificates.n || t->names.n ||
                 t->credential_name.n;

    if (t->mode == DR_TLS_ISTIO_MUTUAL && given)
        check_error(c, t->at, "mode", "ISTIO_MUTUAL brings its own certificates: give none");
    if (t->mode == DR_TLS_SIMPLE || t->mode == DR_TLS_MUTUAL)
        check_mutual(c, t);
    if (t->insecure && (t->ca_certificates.n || t->names.n || (t->mode == DR_TLS_SIMPLE && t->credential_name.n)))
        check_error(c, t->at, "insecureSkipVerify", "must not be given with what is to be verified: caCertificates, "
                    "subjectAltNames or credentialName");
}

static const char *const tls_modes[] = { "DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL", NULL };
static const struct field tls_fields[] = {
    FIELD_OF(ENUM, dr_tls, mode, "mode", tls_modes),
    FIELD(STRING, dr_tls, client_certificate, "clientCertificate"),
    FIELD(STRING, dr_tls, private_key, "privateKey"),
    FIELD(STRING, dr_tls, ca_certificates, "caCertificates"),
    FIELD(STRING, dr_tls, credential_name, "credentialName"),
    FIELD(STRINGS, dr_tls, names, "subjectAltNames"),
    FIELD(STRING, dr_tls, sni, "sni"),
    FIELD(BOOL, dr_tls, insecure, "insecureSkipVerify"),
    FIELD(STRING, dr_tls, ca_crl, "caCrl"),
    END_OF_FIELDS,
};
static const struct message tls_message = { sizeof(struct dr_tls), tls_fields, false, check_tls };

/* ---- retryBudget, proxyProtocol ---- */

static void check_budget(struct check *c, void *message)
{
    struct dr_budget *b = message;

    if (check_get(b->at, "percent") && (b->percent < 0 || b->percent > 100))
        check_error(c, b->at, "percent", "must be from 0 to 100");
    if (b->interval)
        check_warn(c, b->at, "budgetInterval", "kept, not applied yet: the requests under way are what counts");
}

static const struct field budget_fields[] = {
    FIELD(NUMBER, dr_budget, percent, "percent"),
    FIELD(COUNT, dr_budget, least, "minRetryConcurrency"),
    FIELD(DURATION, dr_budget, interval, "budgetInterval"),
    END_OF_FIELDS,
};
static const struct message budget_message = { sizeof(struct dr_budget), budget_fields, false, check_budget };

static const char *const proxy_versions[] = { "V1", "V2", NULL };
static const struct field proxy_protocol_fields[] = {
    FIELD_OF(ENUM, dr_proxy_protocol, version, "version", proxy_versions),
    END_OF_FIELDS,
};
static const struct message proxy_protocol_message = { sizeof(struct dr_proxy_protocol), proxy_protocol_fields, false,
                                                       NULL };

/* ---- the whole ---- */

#define POLICY_FIELDS                                                                                                  \
    FIELD_OF(MESSAGE, dr_policy, balancer, "loadBalancer", &dr_balancer_message),                                      \
        FIELD_OF(MESSAGE, dr_policy, pool, "connectionPool", &dr_pool_message),                                        \
        FIELD_OF(MESSAGE, dr_policy, outlier, "outlierDetection", &outlier_message),                                   \
        FIELD_OF(MESSAGE, dr_policy, tls, "tls", &tls_message)

static const struct field port_policy_fields[] = {
    REQUIRED_OF(MESSAGE, dr_policy, port, "port", &vs_port_message),
    POLICY_FIELDS,
    END_OF_FIELDS,
};
static const struct message port_policy_message = { sizeof(struct dr_policy), port_policy_fields, false, NULL };

/* Whether it names where to go when endpoints ail, which is known by outlierDetection alone. */
static bool fails_over(const struct dr_balancer *b)
{
    return b && b->locality && (b->locality->failover.n || b->locality->priority.n);
}

static void check_policy(struct check *c, void *message)
{
    static const char *const parts[] = { "loadBalancer", "connectionPool", "outlierDetection", "tls",
                                         "portLevelSettings", "tunnel", "proxyProtocol", "retryBudget", NULL };
    struct dr_policy *p = message;

    check_count_of(c, p->at, 1, 8, parts);
    if (p->tunnel)
        check_warn(c, p->at, "tunnel", "kept, not applied yet: connections go straight to the destination");
    if (fails_over(p->balancer) && !p->outlier)
        check_warn(c, p->balancer->at, "localityLbSetting", "failover has no effect without outlierDetection");
}

static const struct field policy_fields[] = {
    POLICY_FIELDS,
    FIELD_OF(MESSAGES, dr_policy, ports, "portLevelSettings", &port_policy_message),
    FIELD(ANY, dr_policy, tunnel, "tunnel"),
    FIELD_OF(MESSAGE, dr_policy, proxy_protocol, "proxyProtocol", &proxy_protocol_message),
    FIELD_OF(MESSAGE, dr_policy, budget, "retryBudget", &budget_message),
    END_OF_FIELDS,
};
static const struct message policy_message = { sizeof(struct dr_policy), policy_fields, false, check_policy };

static const struct field subset_fields[] = {
    REQUIRED(STRING, dr_subset, name, "name"),
    FIELD(LABELS, dr_subset, labels, "labels"),
    FIELD_OF(MESSAGE, dr_subset, policy, "trafficPolicy", &policy_message),
    END_OF_FIELDS,
};

static void check_subset(struct check *c, void *message)
{
    struct dr_subset *s = message;

    if (s->name.n && !name_is_label_value(s->name))
        check_error(c, s->at, "name", "\"%.*s\" is no name: letters, digits, '-', '_' and '.'", STR_ARG(s->name));
}

static const struct message subset_message = { sizeof(struct dr_subset), subset_fields, false, check_subset };
static const struct field selector_fields[] = {
    FIELD(LABELS, dr_selector, labels, "matchLabels"),
    END_OF_FIELDS,
};
static const struct message selector_message = { sizeof(struct dr_selector), selector_fields, false, NULL };

static void check_subset_names(struct check *c, const struct destination_rule *r)
{
    enum { MOST_SUBSETS = 1000 };

    if (r->subsets.n > MOST_SUBSETS) {
        check_error(c, r->at, "subsets", "%zu subsets: more than %d", r->subsets.n, MOST_SUBSETS);
        return;
    }
    for (size_t i = 0; i < r->subsets.n; i++)
        for (size_t k = 0; k < i; k++)
            if (str_eq(r->subsets.v[i].name, r->subsets.v[k].name))
                check_error(c, r->subsets.v[i].at, "name", "subset \"%.*s\" stands twice: also on line %d",
                            STR_ARG(r->subsets.v[i].name), r->subsets.v[k].at->line);
}

static void check_destination_rule(struct check *c, void *message)
{
    struct destination_rule *r = message;

    if (r->host.n == 0 && check_get(r->at, "host"))
        check_error(c, r->at, "host", "must not be empty: the name of a service");
    else if (r->host.n && !host_is_valid(r->host))
        check_error(c, r->at, "host", "\"%.*s\" is no host name", STR_ARG(r->host));
    if (!r->policy && r->subsets.n == 0 && check_get(r->at, "host"))
        check_warn(c, r->at, NULL, "neither trafficPolicy nor subsets: does nothing");
    r->host = host_resolve(c->arena, r->host, c->object->ns);
    if (!r->host.p)
        c->nomem = true;
    check_subset_names(c, r);
}

static const struct field destination_rule_fields[] = {
    REQUIRED(STRING, destination_rule, host, "host"),
    FIELD_OF(MESSAGE, destination_rule, policy, "trafficPolicy", &policy_message),
    FIELD_OF(MESSAGES, destination_rule, subsets, "subsets", &subset_message),
    FIELD(STRINGS, destination_rule, export_to, "exportTo"),
    FIELD_OF(MESSAGE, destination_rule, selector, "workloadSelector", &selector_message),
    END_OF_FIELDS,
};
const struct message destination_rule_message = { sizeof(struct destination_rule), destination_rule_fields, false,
                                                  check_destination_rule };
