/* authorization_rule.c: the rules of an AuthorizationPolicy: who (from), what (to) and what else (when).
 *
 * What is not offered must not open a door: Istio's experimental attributes make a rule that allows never hold, and are
 * left out of any other, which then holds more often. That is also how Istio takes what it cannot build. */
#include "mesh/condition-internal.h"
#include "mesh/hosts-internal.h"
#include "mesh/kinds-internal.h"
#include "mesh/names-internal.h"
#include "mesh/policy-internal.h"

/* ---- fields ---- */

enum { PRINCIPALS, REQUEST_PRINCIPALS, NAMESPACES, SERVICE_ACCOUNTS, TRUST_DOMAINS, IP_BLOCKS, REMOTE_IP_BLOCKS };
enum { HOSTS, PORTS, METHODS, PATHS };

struct attribute {
    const char *is, *is_not; /* the fields' names */
    enum policy_key key;
};

static const struct attribute source_attributes[AUTH_SOURCE_FIELDS] = {
    [PRINCIPALS] = { "principals", "notPrincipals", POLICY_PRINCIPAL },
    [REQUEST_PRINCIPALS] = { "requestPrincipals", "notRequestPrincipals", POLICY_REQUEST_PRINCIPAL },
    [NAMESPACES] = { "namespaces", "notNamespaces", POLICY_NAMESPACE },
    [SERVICE_ACCOUNTS] = { "serviceAccounts", "notServiceAccounts", POLICY_SERVICE_ACCOUNT },
    [TRUST_DOMAINS] = { "trustDomains", "notTrustDomains", POLICY_TRUST_DOMAIN },
    [IP_BLOCKS] = { "ipBlocks", "notIpBlocks", POLICY_PEER_IP },
    [REMOTE_IP_BLOCKS] = { "remoteIpBlocks", "notRemoteIpBlocks", POLICY_REMOTE_IP },
};
static const struct attribute operation_attributes[AUTH_OPERATION_FIELDS] = {
    [HOSTS] = { "hosts", "notHosts", POLICY_HOST },
    [PORTS] = { "ports", "notPorts", POLICY_DESTINATION_PORT },
    [METHODS] = { "methods", "notMethods", POLICY_METHOD },
    [PATHS] = { "paths", "notPaths", POLICY_PATH },
};
static const struct attribute when_attribute = { "values", "notValues", 0 };

#define LISTS(message, i, is_name, is_not_name)                                                                        \
    FIELD(STRINGS, message, fields[i].is, is_name), FIELD(STRINGS, message, fields[i].is_not, is_not_name)

static bool has_any(const struct auth_lists *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (v[i].is.n || v[i].is_not.n)
            return true;
    return false;
}

static void check_source(struct check *c, void *message)
{
    const struct auth_source *s = message;

    if (!has_any(s->fields, AUTH_SOURCE_FIELDS))
        check_error(c, s->at, NULL, "must not be empty: without `from` any source is meant");
    if (has_any(&s->fields[SERVICE_ACCOUNTS], 1) &&
        (has_any(&s->fields[PRINCIPALS], 1) || has_any(&s->fields[NAMESPACES], 1)))
        check_error(c, s->at, NULL, "service accounts cannot be given with principals or namespaces");
}

static const struct field source_fields[] = {
    LISTS(auth_source, PRINCIPALS, "principals", "notPrincipals"),
    LISTS(auth_source, REQUEST_PRINCIPALS, "requestPrincipals", "notRequestPrincipals"),
    LISTS(auth_source, NAMESPACES, "namespaces", "notNamespaces"),
    LISTS(auth_source, SERVICE_ACCOUNTS, "serviceAccounts", "notServiceAccounts"),
    LISTS(auth_source, TRUST_DOMAINS, "trustDomains", "notTrustDomains"),
    LISTS(auth_source, IP_BLOCKS, "ipBlocks", "notIpBlocks"),
    LISTS(auth_source, REMOTE_IP_BLOCKS, "remoteIpBlocks", "notRemoteIpBlocks"),
    END_OF_FIELDS,
};
static const struct message source_message = { sizeof(struct auth_source), source_fields, false, check_source };
static const struct field from_fields[] = {
    REQUIRED_OF(MESSAGE, auth_from, source, "source", &source_message),
    END_OF_FIELDS,
};
static const struct message from_message = { sizeof(struct auth_from), from_fields, false, NULL };

static void check_operation(struct check *c, void *message)
{
    const struct auth_operation *o = message;

    if (!has_any(o->fields, AUTH_OPERATION_FIELDS))
        check_error(c, o->at, NULL, "must not be empty: without `to` any operation is meant");
}

static const struct field operation_fields[] = {
    LISTS(auth_operation, HOSTS, "hosts", "notHosts"),
    LISTS(auth_operation, PORTS, "ports", "notPorts"),
    LISTS(auth_operation, METHODS, "methods", "notMethods"),
    LISTS(auth_operation, PATHS, "paths", "notPaths"),
    END_OF_FIELDS,
};
static const struct message operation_message = { sizeof(struct auth_operation), operation_fields, false,
                                                  check_operation };
static const struct field to_fields[] = {
    REQUIRED_OF(MESSAGE, auth_to, operation, "operation", &operation_message),
    END_OF_FIELDS,
};
static const struct message to_message = { sizeof(struct auth_to), to_fields, false, NULL };

static void check_when(struct check *c, void *message)
{
    const struct auth_when *w = message;

    if (!has_any(&w->values, 1))
        check_error(c, w->at, NULL, "at least one of values or notValues must be given");
}

static const struct field when_fields[] = {
    REQUIRED(STRING, auth_when, key, "key"),
    FIELD(STRINGS, auth_when, values.is, "values"),
    FIELD(STRINGS, auth_when, values.is_not, "notValues"),
    END_OF_FIELDS,
};
static const struct message when_message = { sizeof(struct auth_when), when_fields, false, check_when };

static void check_rule(struct check *c, void *message)
{
    const struct auth_rule *r = message;

    if (check_get(r->at, "from") && r->from.n == 0)
        check_error(c, r->at, "from", "must not be empty: without it any source is meant");
    if (check_get(r->at, "to") && r->to.n == 0)
        check_error(c, r->at, "to", "must not be empty: without it any operation is meant");
}

static const struct field rule_fields[] = {
    FIELD_OF(MESSAGES, auth_rule, from, "from", &from_message),
    FIELD_OF(MESSAGES, auth_rule, to, "to", &to_message),
    FIELD_OF(MESSAGES, auth_rule, when, "when", &when_message),
    END_OF_FIELDS,
};
const struct message auth_rule_message = { sizeof(struct auth_rule), rule_fields, false, check_rule };

/* ---- keys of `when` ---- */

struct when_key {
    const char *name;
    enum policy_key key;
    bool of_map; /* a name in brackets follows */
};

static const struct when_key when_keys[] = {
    { "request.headers", POLICY_HEADER, true },
    { "request.auth.principal", POLICY_REQUEST_PRINCIPAL, false },
    { "request.auth.audiences", POLICY_AUDIENCE, false },
    { "request.auth.presenter", POLICY_PRESENTER, false },
    { "request.auth.claims", POLICY_CLAIM, true },
    { "source.ip", POLICY_PEER_IP, false },
    { "remote.ip", POLICY_REMOTE_IP, false },
    { "source.namespace", POLICY_NAMESPACE, false },
    { "source.principal", POLICY_PRINCIPAL, false },
    { "source.serviceAccount", POLICY_SERVICE_ACCOUNT, false },
    { "source.trustDomain", POLICY_TRUST_DOMAIN, false },
    { "destination.ip", POLICY_DESTINATION_IP, false },
    { "destination.port", POLICY_DESTINATION_PORT, false },
    { "connection.sni", POLICY_SNI, false },
};

static const struct {
    const char *name, *instead;
} old_keys[] = {
    { "destination.namespace", "the policy's own namespace is meant" },
    { "destination.labels", "use the policy's selector" },
    { "destination.name", "use the policy's selector" },
    { "destination.user", "use the policy's selector" },
};

static const char experimental[] = "experimental.envoy.filters.";

/* "request.auth.claims[a][b]" → "request.auth.claims", "[a][b]" */
static struct str split_key(struct str key, struct str *brackets)
{
    ptrdiff_t at = str_chr(key, '[');

    *brackets = at < 0 ? STR_NULL : str_from(key, (size_t)at);
    return at < 0 ? key : (struct str){ key.p, (size_t)at };
}

static const struct when_key *find_key(struct str name)
{
    for (size_t i = 0; i < sizeof(when_keys) / sizeof(when_keys[0]); i++)
        if (str_eqz(name, when_keys[i].name))
            return &when_keys[i];
    return NULL;
}

static void unknown_key(struct check *c, const struct auth_when *w, struct str name)
{
    const char *near = NULL;

    for (size_t i = 0; i < sizeof(old_keys) / sizeof(old_keys[0]); i++) {
        if (str_eqz(name, old_keys[i].name)) {
            check_error(c, w->at, "key", "\"%.*s\" is no longer asked for: %s", STR_ARG(w->key), old_keys[i].instead);
            return;
        }
    }
    for (size_t i = 0; i < sizeof(when_keys) / sizeof(when_keys[0]) && !near; i++)
        if (word_near(name, str_of(when_keys[i].name)))
            near = when_keys[i].name;
    if (near)
        check_error(c, w->at, "key", "unknown attribute \"%.*s\": did you mean \"%s\"?", STR_ARG(w->key), near);
    else
        check_error(c, w->at, "key", "unknown attribute \"%.*s\"", STR_ARG(w->key));
}

/* "[a][b]" → "a\1b"; p is NULL for what is no such thing. */
static struct str claim_path(struct check *c, struct str brackets)
{
    char *to = check_alloc(c, brackets.n + 1, 1);
    size_t n = 0;

    while (to && brackets.n) {
        ptrdiff_t end = str_chr(brackets, ']');

        if (brackets.p[0] != '[' || end < 2)
            return STR_NULL;
        if (n)
            to[n++] = '\1';
        memcpy(to + n, brackets.p + 1, (size_t)end - 1);
        n += (size_t)end - 1;
        brackets = str_from(brackets, (size_t)end + 1);
    }
    return (struct str){ to, n };
}

/* What stands in the brackets of a map's key. */
static struct str key_name(struct check *c, const struct auth_when *w, const struct when_key *k, struct str brackets)
{
    struct str path = claim_path(c, brackets), name = STR_NULL;

    if (c->nomem)
        return STR_NULL;
    if (k->key == POLICY_CLAIM)
        name = path;
    else if (path.n + 2 == brackets.n && name_is_header(path))
        name = host_lower(c->arena, path);
    if (!name.n)
        check_error(c, w->at, "key", "\"%.*s\": must be %s[NAME]", STR_ARG(w->key), k->name);
    return name;
}

/* ---- compiling ---- */

struct compiler {
    struct check *c;
    bool http_only;
    struct policy_condition *v; /* where the next goes */
    size_t n;
};

static void add(struct compiler *k, const struct yaml_node *at, const char *field, const struct str *v, size_t n,
                struct policy_condition condition)
{
    if (n == 0 || !k->v)
        return;
    condition_read(k->c, check_get(at, field), v, n, &condition);
    k->http_only = k->http_only || condition_is_http(condition.key);
    k->v[k->n++] = condition;
}

static void add_both(struct compiler *k, const struct yaml_node *at, const struct attribute *a,
                     const struct auth_lists *l, struct policy_condition condition)
{
    add(k, at, a->is, l->is.v, l->is.n, condition);
    condition.negate = true;
    add(k, at, a->is_not, l->is_not.v, l->is_not.n, condition);
}

static struct policy_all compile_fields(struct compiler *k, const struct yaml_node *at, const struct attribute *a,
                                        const struct auth_lists *l, size_t n)
{
    k->v = check_alloc(k->c, 2 * n, sizeof(*k->v));
    k->n = 0;
    for (size_t i = 0; i < n; i++)
        add_both(k, at, &a[i], &l[i], (struct policy_condition){ .key = a[i].key });
    return (struct policy_all){ k->v, k->n };
}

/* False: the rule must never hold. */
static bool take_experimental(struct check *c, const struct auth_when *w, enum auth_action action)
{
    struct str name, brackets;

    name = split_key(w->key, &brackets);
    if (name.n < sizeof(experimental) || brackets.n < 3 || brackets.p[brackets.n - 1] != ']')
        check_error(c, w->at, "key", "\"%.*s\": must be %sNAME[KEY]", STR_ARG(w->key), experimental);
    check_warn(c, w->at, "key", "not applied: there are no Envoy filters: %s",
               action == AUTH_ALLOW ? "the rule never holds" : "the rule holds without asking for it");
    return action != AUTH_ALLOW;
}

static bool compile_when(struct compiler *k, const struct auth_rule *r, enum auth_action action, struct policy_all *to)
{
    k->v = check_alloc(k->c, 2 * r->when.n, sizeof(*k->v));
    k->n = 0;
    to->v = k->v;
    for (size_t i = 0; i < r->when.n && !k->c->nomem; i++) {
        const struct auth_when *w = &r->when.v[i];
        struct policy_condition condition = { .name = STR_NULL };
        const struct when_key *key;
        struct str name, brackets;

        if (str_starts(w->key, str_of(experimental))) {
            if (!take_experimental(k->c, w, action))
                return false;
            continue;
        }
        name = split_key(w->key, &brackets);
        key = find_key(name);
        if (!key || (!key->of_map && brackets.n)) {
            if (check_get(w->at, "key"))
                unknown_key(k->c, w, name);
            continue;
        }
        condition.key = key->key;
        if (key->of_map)
            condition.name = key_name(k->c, w, key, brackets);
        add_both(k, w->at, &when_attribute, &w->values, condition);
    }
    to->n = k->n;
    return true;
}

bool auth_compile(struct check *c, const struct auth_rule *r, enum auth_action action, struct policy_rule *to)
{
    struct policy_all *from = check_alloc(c, r->from.n, sizeof(*from));
    struct policy_all *operations = check_alloc(c, r->to.n, sizeof(*operations));
    struct compiler k = { .c = c };
    bool holds;

    for (size_t i = 0; from && i < r->from.n; i++)
        if (r->from.v[i].source)
            from[i] = compile_fields(&k, r->from.v[i].source->at, source_attributes, r->from.v[i].source->fields,
                                     AUTH_SOURCE_FIELDS);
    for (size_t i = 0; operations && i < r->to.n; i++)
        if (r->to.v[i].operation)
            operations[i] = compile_fields(&k, r->to.v[i].operation->at, operation_attributes,
                                           r->to.v[i].operation->fields, AUTH_OPERATION_FIELDS);
    *to = (struct policy_rule){ .from = from, .to = operations, .nfrom = r->from.n, .nto = r->to.n };
    holds = compile_when(&k, r, action, &to->when);
    to->http_only = k.http_only;
    return holds;
}
