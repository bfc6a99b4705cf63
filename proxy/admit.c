#include "proxy/admit.h"

/* "127.0.0.1:80", "[::1]:80": the address alone. */
static struct str address_of(struct str text)
{
    size_t n = text.n;

    while (n > 0 && text.p[n - 1] != ':')
        n--;
    if (n > 0)
        text.n = n - 1;
    if (text.n > 1 && text.p[0] == '[')
        text = (struct str){ text.p + 1, text.n - 2 };
    return text;
}

void admit_facts(struct policy_facts *f, const struct peer *peer, const struct listener *l)
{
    *f = (struct policy_facts){ .principal = peer->tls->principal, .sni = peer->sni, .destination_port = l->port };
    f->peer_ip = policy_ip_parse(peer->sender_ip);
    f->remote_ip = policy_ip_parse(peer->remote_ip);
    f->destination_ip = policy_ip_parse(address_of(str_of(peer->local)));
}

static struct str last_of(struct str xff)
{
    size_t n = xff.n;

    while (n > 0 && xff.p[n - 1] != ',')
        n--;
    return str_trim(str_from(xff, n));
}

struct str admit_remote_text(struct str xff, struct str otherwise)
{
    struct str text = last_of(xff);

    return policy_ip_parse(text).known ? text : otherwise;
}

void admit_remote(struct policy_facts *f, struct str xff)
{
    struct policy_ip ip = policy_ip_parse(last_of(xff));

    if (ip.known)
        f->remote_ip = ip;
}
