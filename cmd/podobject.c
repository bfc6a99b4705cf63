/* podobject.c: a Pod as Kubernetes writes it, for the server. */
#include "cmd/pod-internal.h"

#include "base/clock.h"
#include "cmd/podspec-internal.h"

static void member(struct buf *b, const char *key, struct str value, const char *after)
{
    buf_printf(b, "\"%s\":", key);
    buf_json(b, value);
    buf_puts(b, after);
}

static void metadata(const struct pod *p, struct buf *b)
{
    char created[CLOCK_TEXT];

    clock_rfc3339(created, p->created_ms / 1000 * 1000000000);
    buf_puts(b, "\"metadata\":{");
    member(b, "name", p->name, ",");
    member(b, "namespace", p->ns, ",");
    member(b, "creationTimestamp", str_of(created), ",\"labels\":{");
    for (size_t i = 0; i < p->labels.n; i++) {
        buf_puts(b, i ? "," : "");
        buf_json(b, p->labels.v[i].name);
        buf_putc(b, ':');
        buf_json(b, p->labels.v[i].value);
    }
    buf_puts(b, "},\"annotations\":{\"vigla.dev/platform\":\"local\",\"vigla.dev/host-ports\":\"");
    for (size_t i = 0, n = 0; i < p->nports; i++)
        if (pod_host_port(p->ports[i]) != p->ports[i])
            buf_printf(b, "%s%u=%u", n++ ? "," : "", p->ports[i], pod_host_port(p->ports[i]));
    buf_puts(b, "\"},\"ownerReferences\":[{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",");
    member(b, "name", p->deployment, "}]},");
}

static void spec(const struct pod *p, struct buf *b)
{
    buf_puts(b, "\"spec\":{");
    member(b, "serviceAccountName", p->account, ",\"containers\":[{");
    member(b, "name", p->container, ",");
    member(b, "image", p->image_name, ",\"ports\":[");
    for (size_t i = 0; i < p->nports; i++)
        buf_printf(b, "%s{\"containerPort\":%u}", i ? "," : "", p->ports[i]);
    buf_puts(b, "]}");
    if (p->injected)
        buf_puts(b, ",{\"name\":\"istio-proxy\",\"image\":\"vigla-proxy\"}");
    buf_puts(b, "]},");
}

static void container_status(struct buf *b, struct str name, bool ready, unsigned restarts)
{
    buf_puts(b, "{");
    member(b, "name", name, "");
    buf_printf(b, ",\"ready\":%s,\"restartCount\":%u}", ready ? "true" : "false", restarts);
}

void pod_object(const struct pod *p, struct buf *b)
{
    bool ready = p->state == POD_READY, gateway = p->image->gateway;
    char address[INET_ADDRSTRLEN];

    podspec_address(address, 10, p->number);
    buf_puts(b, "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",");
    metadata(p, b);
    spec(p, b);
    buf_printf(b, "\"status\":{\"phase\":\"%s\",\"podIP\":\"%s\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"%s\"}],",
               p->state == POD_ANNOUNCED ? "Pending" : "Running", address, ready ? "True" : "False");
    buf_puts(b, "\"containerStatuses\":[");
    container_status(b, p->container, gateway ? p->sidecar_ready : ready, p->restarts);
    if (p->injected) {
        buf_putc(b, ',');
        container_status(b, STR("istio-proxy"), p->sidecar_ready, 0);
    }
    buf_puts(b, "]}}");
}
