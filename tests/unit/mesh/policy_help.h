/* policy_help.h: a workload with an HTTP and a TCP port, a gateway, and a short text for what each asks of who comes in. */
#ifndef TESTS_UNIT_POLICY_HELP_H
#define TESTS_UNIT_POLICY_HELP_H

#include "tests/unit/mesh/mesh_help.h"

#include <arpa/inet.h>

enum { WEB_PORT = 8080, DB_PORT = 9000, GATE_PORT = 80 };

#define POLICY_WORLD                                                                                                   \
    "apiVersion: v1\nkind: Pod\nmetadata: {name: web-1, namespace: shop, labels: {app: web, version: v1}}\n"           \
    "spec: {containers: [{name: c, ports: [{containerPort: 8080}, {containerPort: 9000}]}]}\n"                         \
    "status: {podIP: 127.10.0.1, conditions: [{type: Ready, status: 'True'}]}\n"                                       \
    "---\napiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\n"                                     \
    "spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}\n"                                \
    "---\napiVersion: v1\nkind: Service\nmetadata: {name: db, namespace: shop}\n"                                      \
    "spec: {selector: {app: web}, ports: [{name: tcp, port: 9000}]}\n"                                                 \
    "---\napiVersion: v1\nkind: Service\nmetadata: {name: other, namespace: shop}\n"                                   \
    "spec: {selector: {app: other}, ports: [{name: http, port: 80, targetPort: 8080}]}\n"                              \
    "---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: gw, namespace: shop}\n"                  \
    "spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: "     \
    "['*']}]}\n---\n"

/* The snapshot of the Pod's sidecar, or of the gateway, with `text` in the world. */
__attribute__((unused)) static const struct proxy_snapshot *policy_snapshot(struct world *w, const char *text,
                                                                            enum proxy_role role)
{
    static const struct label labels[] = { { STR_INIT("gateway.networking.k8s.io/gateway-name"), STR_INIT("gw") },
                                           { STR_INIT("istio"), STR_INIT("ingressgateway") } };
    struct proxy_identity id = identity(role, role == PROXY_GATEWAY ? "gate.shop" : "web-1.shop");
    struct buf all = BUF_INIT(1 << 20);

    if (role == PROXY_GATEWAY)
        id.labels = (struct labels){ labels, COUNT(labels) };
    else
        id.app_address = STR("127.11.0.1");
    buf_puts(&all, POLICY_WORLD);
    buf_puts(&all, text);
    buf_putc(&all, '\0');
    world_build(w, arena_cstr(&w->arena, buf_view(&all)));
    buf_free(&all);
    return world_snapshot(w, &id);
}

/* What the proxy's listener at the port asks: inbound ones for a sidecar. */
__attribute__((unused)) static const struct listener_policy *policy_at(const struct proxy_snapshot *s, uint16_t port)
{
    for (size_t i = 0; i < s->nlisteners; i++)
        if (s->listeners[i].port == port && s->listeners[i].direction != LISTENER_OUTBOUND)
            return &s->listeners[i].policy;
    ck_abort_msg("no listener at %u", port);
}

static void put_net(struct buf *b, const struct policy_net *n)
{
    char text[INET6_ADDRSTRLEN];

    ck_assert_ptr_nonnull(inet_ntop(AF_INET6, n->ip, text, sizeof(text)));
    buf_printf(b, " %s/%u", text, n->bits);
}

static void put_value(struct buf *b, const struct policy_value *v)
{
    static const char *const before[] = { "", "", "*", "*", "~" };

    buf_printf(b, " %s%.*s%s", before[v->kind], STR_ARG(v->text), v->kind == POLICY_PREFIX ? "*" : "");
}

static void put_all(struct buf *b, const char *what, const struct policy_all *a)
{
    static const char *const keys[] = {
        "principal", "namespace", "account", "domain", "user", "audience", "presenter", "claim", "peer", "remote", "to-ip",
        "port", "sni", "host", "method", "path", "header",
    };

    buf_printf(b, " %s(", what);
    for (size_t i = 0; i < a->n; i++) {
        const struct policy_condition *c = &a->v[i];

        buf_printf(b, "%s%s%s", i ? "; " : "", c->negate ? "!" : "", keys[c->key]);
        if (c->name.n)
            buf_printf(b, "[%.*s]", STR_ARG(c->name));
        for (size_t k = 0; k < c->nvalues; k++)
            put_value(b, &c->values[k]);
        for (size_t k = 0; k < c->nnets; k++)
            put_net(b, &c->nets[k]);
    }
    buf_puts(b, ")");
}

/* "DENY ns/name: from(principal a; !namespace b*) to(path /x) when(port 80)", a rule with a policy's name in front each;
 * "http" where only HTTP knows all of it; at last "else deny" or "else allow". */
__attribute__((unused)) static const char *policies_text(struct world *w, const struct listener_policy *p)
{
    static const char *const actions[] = { "DENY", "ALLOW", "AUDIT" };

    buf_reset(&w->text);
    for (size_t i = 0; i < p->npolicies; i++) {
        const struct policy *q = &p->policies[i];

        if (q->nrules == 0)
            buf_printf(&w->text, "%s %.*s/%.*s: never\n", actions[q->action], STR_ARG(q->ns), STR_ARG(q->name));
        for (size_t k = 0; k < q->nrules; k++) {
            const struct policy_rule *r = &q->rules[k];

            buf_printf(&w->text, "%s %.*s/%.*s:", actions[q->action], STR_ARG(q->ns), STR_ARG(q->name));
            for (size_t m = 0; m < r->nfrom; m++)
                put_all(&w->text, "from", &r->from[m]);
            for (size_t m = 0; m < r->nto; m++)
                put_all(&w->text, "to", &r->to[m]);
            if (r->when.n)
                put_all(&w->text, "when", &r->when);
            buf_puts(&w->text, r->http_only ? " http\n" : "\n");
            ck_assert(q->http_only || !r->http_only);
        }
    }
    buf_puts(&w->text, p->default_deny ? "else deny" : "else allow");
    return world_text(w);
}

#endif
