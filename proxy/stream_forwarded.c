/* stream_forwarded.c: whose request it is, behind the proxies that it came by, and what the next hop is told of that.
 *
 *   X-Forwarded-For: 192.0.2.7, 203.0.113.5, 10.1.0.2        the gateway's peer: 10.1.0.9
 *                    ^anybody's  ^client     ^a proxy's peer
 *
 * With two trusted proxies in front of the gateway (Istio's numTrustedProxies) the second address from the end was
 * written by the first of them, and is the client's; what stands before it may be a lie. Source: Envoy's documentation
 * of x-forwarded-for, use_remote_address and xff_num_trusted_hops, which are what Istio's gateways have. */
#include "proxy/stream-internal.h"

#include "proxy/policy.h"

/* Several fields are one list (RFC 9110 5.3). */
static struct str joined_xff(struct stream *s)
{
    const struct http_head *h = &s->head;
    struct str all = http_value(h, HTTP_X_FORWARDED_FOR);

    for (size_t i = h->first[HTTP_X_FORWARDED_FOR]; i && i < h->nfields; i++)
        if (h->fields[i].id == HTTP_X_FORWARDED_FOR)
            all = arena_printf(&s->arena, "%.*s,%.*s", STR_ARG(all), STR_ARG(http_text(h, h->fields[i].value)));
    return all;
}

/* The n-th address from the end, n > 0; empty: there are fewer. */
static struct str nth_from_end(struct str list, uint32_t n)
{
    for (;;) {
        size_t at = list.n;

        while (at > 0 && list.p[at - 1] != ',')
            at--;
        if (--n == 0)
            return str_trim(str_from(list, at));
        if (at == 0)
            return STR_NULL;
        list.n = at - 1;
    }
}

/* A list with fewer addresses did not come by all of the trusted proxies: its client is who connects. */
static void find_client(struct stream *s)
{
    uint32_t trusted = s->cl->wl->l->trusted_proxies;
    struct str ip = trusted ? nth_from_end(s->xff, trusted) : STR_NULL;

    if (policy_ip_parse(ip).known) {
        s->client_ip = ip;
        s->client_named = true;
    }
}

void stream_find_client(struct stream *s)
{
    struct str ip = s->cl->peer->remote_ip;

    s->xff = joined_xff(s);
    s->client_ip = ip;
    if (s->l->direction != LISTENER_GATEWAY)
        return;
    find_client(s); /* the mesh's edge: who called is added to what the caller says */
    s->xff = s->xff.n == 0 ? ip : arena_printf(&s->arena, "%.*s,%.*s", STR_ARG(s->xff), STR_ARG(ip));
}

/* RFC 1918, RFC 4193 and our own machine. */
static bool is_internal(struct str text)
{
    static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff }, loopback[16] = { [15] = 1 };
    struct policy_ip ip = policy_ip_parse(text);
    const uint8_t *b = ip.b + 12;

    if (!ip.known)
        return true;
    if (memcmp(ip.b, mapped, sizeof(mapped)) != 0)
        return (ip.b[0] & 0xfe) == 0xfc || memcmp(ip.b, loopback, sizeof(loopback)) == 0;
    return b[0] == 10 || b[0] == 127 || (b[0] == 172 && (b[1] & 0xf0) == 16) || (b[0] == 192 && b[1] == 168);
}

void stream_add_forwarded(struct stream *s, struct fields *f)
{
    static const struct str external = STR_INIT("x-envoy-external-address");
    struct str scheme = s->cl->peer->https ? STR("https") : STR("http"); /* and not what the target claims */
    bool proto_trusted = s->l->direction != LISTENER_GATEWAY || s->cl->wl->l->trusted_proxies > 0;

    if (!proto_trusted || !s->head.first[HTTP_X_FORWARDED_PROTO])
        fields_put(f, HTTP_X_FORWARDED_PROTO, scheme);
    if (s->l->direction != LISTENER_GATEWAY)
        return;
    fields_put(f, HTTP_X_FORWARDED_FOR, s->xff);
    fields_remove(f, STR("x-envoy-original-path")); /* only the mesh itself says so */
    if (is_internal(s->client_ip))
        fields_remove(f, external);
    else
        fields_set(f, external, s->client_ip);
}
