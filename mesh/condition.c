/* condition.c: the words of an authorization policy as a proxy compares them.
 *
 * A word is exact, "prefix*", "*suffix" or "*" for anything at all; a star elsewhere is a star. Addresses are nets,
 * ports numbers, and a path may be a template. Where Istio takes a word that can never hold, it is refused or told of:
 * in a policy that denies, what never holds opens a door. */
#include "mesh/condition-internal.h"

#include "base/num.h"
#include "mesh/hosts-internal.h"
#include "mesh/names-internal.h"

bool condition_is_http(enum policy_key key)
{
    switch (key) {
    case POLICY_REQUEST_PRINCIPAL:
    case POLICY_AUDIENCE:
    case POLICY_PRESENTER:
    case POLICY_CLAIM:
    case POLICY_HOST:
    case POLICY_METHOD:
    case POLICY_PATH:
    case POLICY_HEADER:
        return true;
    default:
        return false;
    }
}

/* ---- words ---- */

static struct policy_value word_value(struct str s)
{
    if (str_eqz(s, "*"))
        return (struct policy_value){ .kind = POLICY_PRESENT };
    if (s.p[0] == '*')
        return (struct policy_value){ POLICY_SUFFIX, str_from(s, 1) };
    if (s.p[s.n - 1] == '*')
        return (struct policy_value){ POLICY_PREFIX, { s.p, s.n - 1 } };
    return (struct policy_value){ POLICY_EXACT, s };
}

/* A namespace has no stars: one that is neither at the beginning nor at the end could not be meant. */
static struct policy_value namespace_value(struct check *c, const struct yaml_node *at, struct str s)
{
    struct policy_value v = word_value(s);

    if (str_chr(v.text, '*') >= 0)
        check_error(c, at, NULL, "\"%.*s\": one '*' may stand, at the beginning or at the end", STR_ARG(s));
    return v;
}

/* "NAMESPACE/NAME", or a name in the policy's own namespace. */
static struct policy_value account_value(struct check *c, const struct yaml_node *at, struct str s)
{
    struct str name = s, ns = str_cut(&name, '/');

    if (!name.p) {
        name = ns;
        ns = c->object->ns;
    }
    if (!ns.n || !name.n || str_chr(name, '/') >= 0 || str_chr(s, '*') >= 0)
        check_error(c, at, NULL, "\"%.*s\" is no service account: NAMESPACE/NAME, or NAME in the policy's namespace, "
                    "without '*'", STR_ARG(s));
    return (struct policy_value){ POLICY_EXACT, check_printf(c, "%.*s/%.*s", STR_ARG(ns), STR_ARG(name)) };
}

static struct policy_value principal_value(struct check *c, const struct yaml_node *at, struct str s)
{
    if (str_starts(s, STR("spiffe://")))
        check_warn(c, at, NULL, "\"%.*s\" is nobody's: a principal is written without spiffe://, as in "
                   "cluster.local/ns/NAMESPACE/sa/NAME", STR_ARG(s));
    return word_value(s);
}

static struct policy_value host_value(struct check *c, struct str s)
{
    struct policy_value v = word_value(s);

    v.text = host_lower(c->arena, v.text);
    c->nomem = c->nomem || !v.text.p;
    return v;
}

static struct policy_value port_value(struct check *c, const struct yaml_node *at, struct str s)
{
    uint64_t port = 0;

    if (!num_u64(s, &port) || port > UINT16_MAX)
        check_error(c, at, NULL, "\"%.*s\" is no port: a number from 0 to 65535", STR_ARG(s));
    return (struct policy_value){ POLICY_EXACT, check_printf(c, "%u", (unsigned)port) };
}

/* ---- paths ---- */

static bool is_template(struct str s)
{
    return str_find(s, STR("{*}")) >= 0 || str_find(s, STR("{**}")) >= 0;
}

static void check_template(struct check *c, const struct yaml_node *at, struct str s)
{
    struct str rest = str_from(s, 1);
    bool ended = false;

    if (s.p[0] != '/')
        check_error(c, at, NULL, "\"%.*s\": a path template begins with '/'", STR_ARG(s));
    while (s.p[0] == '/' && rest.p) {
        struct str segment = str_cut(&rest, '/');
        bool one = str_eqz(segment, "{*}"), any = str_eqz(segment, "{**}");

        if (ended && (one || any)) {
            check_error(c, at, NULL, "\"%.*s\": no {*} nor {**} may come after {**}", STR_ARG(s));
            return;
        }
        if (!one && !any &&
            (str_chr(segment, '*') >= 0 || str_chr(segment, '{') >= 0 || str_chr(segment, '}') >= 0)) {
            check_error(c, at, NULL, "\"%.*s\": a path template's segments are {*}, {**}, or text without '*', '{' and "
                        "'}'", STR_ARG(s));
            return;
        }
        ended = ended || any;
    }
}

static struct policy_value path_value(struct check *c, const struct yaml_node *at, struct str s)
{
    if (!is_template(s))
        return word_value(s);
    check_template(c, at, s);
    return (struct policy_value){ POLICY_TEMPLATE, s };
}

/* ---- all of them ---- */

static struct policy_value value_of(struct check *c, const struct yaml_node *at, enum policy_key key, struct str s)
{
    switch (key) {
    case POLICY_NAMESPACE:
        return namespace_value(c, at, s);
    case POLICY_SERVICE_ACCOUNT:
        return account_value(c, at, s);
    case POLICY_PRINCIPAL:
        return principal_value(c, at, s);
    case POLICY_HOST:
        return host_value(c, s);
    case POLICY_DESTINATION_PORT:
        return port_value(c, at, s);
    case POLICY_PATH:
        return path_value(c, at, s);
    default:
        return word_value(s);
    }
}

static void read_net(struct check *c, const struct yaml_node *at, struct str s, struct policy_net *net)
{
    if (!net_parse(s, net->ip, &net->bits))
        check_error(c, at, NULL, "\"%.*s\" is no address nor net, as in 10.1.0.0/16 or 2001:db8::/32", STR_ARG(s));
}

static bool is_net(enum policy_key key)
{
    return key == POLICY_PEER_IP || key == POLICY_REMOTE_IP || key == POLICY_DESTINATION_IP;
}

void condition_read(struct check *c, const struct yaml_node *at, const struct str *v, size_t n,
                    struct policy_condition *to)
{
    struct policy_net *nets = check_alloc(c, is_net(to->key) ? n : 0, sizeof(*nets));
    struct policy_value *values = check_alloc(c, is_net(to->key) ? 0 : n, sizeof(*values));

    for (size_t i = 0; nets && values && i < n; i++) {
        if (v[i].n == 0 && at->items[i].kind == YAML_STRING)
            check_error(c, &at->items[i], NULL, "must not be empty");
        else if (v[i].n && is_net(to->key))
            read_net(c, &at->items[i], v[i], &nets[to->nnets++]);
        else if (v[i].n)
            values[to->nvalues++] = value_of(c, &at->items[i], to->key, v[i]);
    }
    to->nets = nets;
    to->values = values;
}
