#include "collector/syslog_config-internal.h"

#include "base/mem.h"
#include "base/num.h"
#include "collector/conf-internal.h"

#include <arpa/inet.h>
#include <stddef.h>

enum {
    MOST_MEMORY = 64 << 20, MOST_LISTENERS = 64, MOST_ROUTES = 1000, LEAST_MESSAGE = 480, MOST_MESSAGE = 8 << 20,
    USUAL_MESSAGE = 64 << 10, USUAL_CONNECTIONS = 1000, USUAL_MODE = 0660
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static int no_memory(const struct conf *c, struct err *e)
{
    return err_set(e, ERR_NOMEM, "%s: no memory", c->file);
}

/* --- listeners --- */

/* HOST:PORT with a numeric host. */
static bool read_address(struct str text, struct syslog_listen *l)
{
    char host[INET6_ADDRSTRLEN];
    size_t colon = text.n;
    struct str name;
    uint64_t port;

    while (colon > 0 && text.p[colon - 1] != ':')
        colon--;
    if (colon == 0 || !num_u64(str_from(text, colon), &port) || port > 65535)
        return false;
    name = (struct str){ text.p, colon - 1 };
    if (name.n >= 2 && name.p[0] == '[' && name.p[name.n - 1] == ']')
        name = (struct str){ name.p + 1, name.n - 2 };
    if (str_eqz(name, "localhost"))
        name = STR("127.0.0.1");
    if (name.n >= sizeof(host))
        return false;
    memcpy(host, name.p, name.n);
    host[name.n] = '\0';
    memset(&l->at, 0, sizeof(l->at));
    if (inet_pton(AF_INET, host, &l->at.four.sin_addr) == 1) {
        l->at.four.sin_family = AF_INET;
        l->at.four.sin_port = htons((uint16_t)port);
        l->length = sizeof(l->at.four);
        return true;
    }
    l->at.six.sin6_family = AF_INET6;
    l->at.six.sin6_port = htons((uint16_t)port);
    l->length = sizeof(l->at.six);
    return inet_pton(AF_INET6, host, &l->at.six.sin6_addr) == 1;
}

static int add_listener(const struct conf *c, struct syslog_config *s, const struct syslog_listen *l, struct err *e)
{
    if (s->nlisteners == MOST_LISTENERS)
        return err_set(e, ERR_LIMIT, "%s: more than %d syslog listeners", c->file, MOST_LISTENERS);
    if (arena_grow(c->arena, &s->listeners, &s->listeners_cap, s->nlisteners + 1, sizeof(*s->listeners)) < 0)
        return no_memory(c, e);
    s->listeners[s->nlisteners++] = *l;
    return 0;
}

static int add_address(const struct conf *c, struct syslog_config *s, struct str address, bool udp, bool tcp,
                       struct err *e)
{
    struct syslog_listen l = { .name = arena_str(c->arena, address) };
    int rc = 0;

    if (!l.name.p)
        return no_memory(c, e);
    if (!read_address(l.name, &l))
        return err_set(e, ERR_INVALID, "\"%.*s\": should be HOST:PORT with an address in digits, as in 127.0.0.1:5514",
                       STR_ARG(address));
    l.is_datagram = true;
    if (udp)
        rc = add_listener(c, s, &l, e);
    l.is_datagram = false;
    return rc == 0 && tcp ? add_listener(c, s, &l, e) : rc;
}

struct written_listener {
    struct str address, protocol, path, mode;
};

static const struct conf_field listener_fields[] = {
    { "address", CONF_TEXT, offsetof(struct written_listener, address) },
    { "protocol", CONF_TEXT, offsetof(struct written_listener, protocol) },
    { "unix", CONF_TEXT, offsetof(struct written_listener, path) },
    { "mode", CONF_TEXT, offsetof(struct written_listener, mode) },
};

static bool read_mode(struct str text, unsigned *mode)
{
    *mode = text.n ? 0 : USUAL_MODE;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '7' || i > 4)
            return false;
        *mode = *mode * 8 + (unsigned)(text.p[i] - '0');
    }
    return *mode <= 0777;
}

static int add_unix(const struct conf *c, struct syslog_config *s, const struct yaml_node *node,
                    const struct written_listener *w, struct err *e)
{
    struct syslog_listen l = { .name = w->path, .length = sizeof(l.at.local) };

    l.is_datagram = w->protocol.n == 0 || str_eqz(w->protocol, "datagram");
    if (!l.is_datagram && !str_eqz(w->protocol, "stream"))
        return conf_fail(c, node, e, "protocol \"%.*s\": should be datagram or stream", STR_ARG(w->protocol));
    if (w->path.n >= sizeof(l.at.local.sun_path))
        return conf_fail(c, node, e, "unix: the path has %zu bytes, at most %zu", w->path.n,
                         sizeof(l.at.local.sun_path) - 1);
    if (!read_mode(w->mode, &l.mode))
        return conf_fail(c, node, e, "mode \"%.*s\": should be octal, as in \"0660\"", STR_ARG(w->mode));
    l.at.local.sun_family = AF_UNIX;
    memcpy(l.at.local.sun_path, w->path.p, w->path.n);
    return add_listener(c, s, &l, e);
}

static int read_listener(const struct conf *c, const struct yaml_node *node, struct syslog_config *s, struct err *e)
{
    struct written_listener w = { .protocol = STR_NULL };
    struct err why = ERR_INIT;
    bool udp, tcp;
    int rc = conf_read(c, node, listener_fields, COUNT(listener_fields), &w, e);

    if (rc < 0)
        return rc;
    if ((w.address.n > 0) == (w.path.n > 0))
        return conf_fail(c, node, e, "should have one of address and unix");
    if (w.path.n)
        return add_unix(c, s, node, &w, e);
    udp = w.protocol.n == 0 || str_eqz(w.protocol, "both") || str_eqz(w.protocol, "udp");
    tcp = w.protocol.n == 0 || str_eqz(w.protocol, "both") || str_eqz(w.protocol, "tcp");
    if (!udp && !tcp)
        return conf_fail(c, node, e, "protocol \"%.*s\": should be udp, tcp or both", STR_ARG(w.protocol));
    rc = add_address(c, s, w.address, udp, tcp, &why);
    return rc < 0 ? conf_fail(c, node, e, "address %s", why.msg) : 0;
}

/* --- sources --- */

static const struct conf_field match_fields[] = {
    { "app", CONF_TEXT, offsetof(struct syslog_match, app) },
    { "host", CONF_TEXT, offsetof(struct syslog_match, host) },
    { "facility", CONF_TEXT, offsetof(struct syslog_match, facility) },
};

static int read_routes(const struct conf *c, const struct yaml_node *node, struct syslog_config *s, struct err *e)
{
    static const char *const also[] = { "match", NULL };
    const struct yaml_node *list;
    int rc = conf_list(c, node, &list, e);
    size_t n = list ? list->n : 0;

    if (rc < 0)
        return rc;
    if (n > MOST_ROUTES)
        return conf_fail(c, node, e, "%zu sources, at most %d", n, MOST_ROUTES);
    s->routes = arena_array(c->arena, n + 1, sizeof(*s->routes));
    if (!s->routes)
        return no_memory(c, e);
    for (size_t i = 0; i < n; i++) {
        struct syslog_route *r = &s->routes[s->nroutes++];

        r->source = log_source_read(c, &list->items[i], also, e);
        if (!r->source)
            return e->code;
        rc = conf_read(c, yaml_get(&list->items[i], "match"), match_fields, COUNT(match_fields), &r->match, e);
        if (rc < 0)
            return rc;
    }
    s->routes[s->nroutes].source = log_source_read(c, NULL, also, e);
    return s->routes[s->nroutes++].source ? 0 : e->code;
}

/* --- the whole --- */

struct written {
    const struct yaml_node *listeners, *sources;
    uint64_t max_message, max_connections;
};

static const struct conf_field fields[] = {
    { "listeners", CONF_NODE, offsetof(struct written, listeners) },
    { "sources", CONF_NODE, offsetof(struct written, sources) },
    { "max_message", CONF_SIZE, offsetof(struct written, max_message) },
    { "max_connections", CONF_COUNT, offsetof(struct written, max_connections) },
};

static int read_map(const struct conf *c, const struct yaml_node *node, struct syslog_config *s, struct err *e)
{
    struct written w = { .max_message = USUAL_MESSAGE, .max_connections = USUAL_CONNECTIONS };
    const struct yaml_node *list = NULL;
    int rc = conf_read(c, node, fields, COUNT(fields), &w, e);

    if (rc == 0 && (w.max_message < LEAST_MESSAGE || w.max_message > MOST_MESSAGE))
        rc = conf_fail(c, node, e, "max_message: should be %d bytes to 8MiB", LEAST_MESSAGE);
    if (rc == 0 && (w.max_connections < 1 || w.max_connections > 100000))
        rc = conf_fail(c, node, e, "max_connections: should be 1 to 100000");
    if (rc == 0)
        rc = conf_list(c, w.listeners, &list, e);
    for (size_t i = 0; rc == 0 && list && i < list->n; i++)
        rc = read_listener(c, &list->items[i], s, e);
    s->max_message = w.max_message;
    s->max_connections = w.max_connections;
    return rc < 0 ? rc : read_routes(c, w.sources, s, e);
}

struct syslog_config *syslog_config_read(const char *file, const struct yaml_node *root, struct err *e)
{
    const struct yaml_node *node = yaml_get(root, "syslog");
    struct syslog_config *s = mem_zalloc(sizeof(*s));
    struct conf c = { file, s ? &s->arena : NULL };

    if (!s) {
        err_set(e, ERR_NOMEM, "%s: no memory", file);
        return NULL;
    }
    s->arena = (struct arena)ARENA_INIT(MOST_MEMORY);
    node = node && node->kind == YAML_MAP ? node : NULL;
    s->fingerprint = node ? conf_fingerprint(node, 0) : 0;
    if (read_map(&c, node, s, e) == 0)
        return s;
    syslog_config_free(s);
    return NULL;
}

int syslog_config_listen(struct syslog_config *c, const char *address, struct err *e)
{
    const struct conf none = { "--syslog", &c->arena };

    return add_address(&none, c, str_of(address), true, true, e);
}

void syslog_config_free(struct syslog_config *c)
{
    if (!c)
        return;
    arena_free(&c->arena);
    mem_free(c);
}

uint64_t syslog_config_fingerprint(const struct syslog_config *c)
{
    return c->fingerprint;
}

size_t syslog_config_listeners(const struct syslog_config *c)
{
    return c->nlisteners;
}
