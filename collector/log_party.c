#include "collector/log_party-internal.h"

#include "base/num.h"
#include "base/strmap.h"

#include <arpa/inet.h>

enum { MOST_ENTRIES = 100000, MOST_NETWORKS = 4096 };

static const struct str part_names[LOG_PARTS] = {
    STR_INIT("workload"), STR_INIT("namespace"),    STR_INIT("app"),
    STR_INIT("version"),  STR_INIT("principal"),    STR_INIT("cluster"),
    STR_INIT("service"),  STR_INIT("service_name"), STR_INIT("service_namespace"),
};

struct value {
    struct str text; /* empty: see `from` */
    bool is_field;
    struct log_reference from;
};

struct identity {
    struct value parts[LOG_PARTS];
};

/* An IPv4 address is kept as the IPv6 address that maps it. */
struct network {
    uint8_t address[16];
    unsigned bits;
    const struct identity *is;
};

struct log_party {
    struct identity base;
    bool has_by;
    struct log_reference by;
    struct strmap exact; /* key → struct identity */
    struct network *networks; /* the longest prefix first */
    size_t nnetworks, networks_cap;
    const struct identity *otherwise; /* NULL: none */
};

/* --- addresses --- */

static bool parse_address(struct str s, uint8_t out[16], unsigned *width)
{
    char text[INET6_ADDRSTRLEN];

    if (s.n >= 2 && s.p[0] == '[' && s.p[s.n - 1] == ']')
        s = (struct str){ s.p + 1, s.n - 2 };
    if (s.n == 0 || s.n >= sizeof(text))
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    *width = 128;
    if (inet_pton(AF_INET6, text, out) == 1)
        return true;
    *width = 32;
    memset(out, 0, 10);
    memset(out + 10, 0xff, 2);
    return inet_pton(AF_INET, text, out + 12) == 1;
}

/* With a port behind it, or without. */
static bool address_of(struct str s, uint8_t out[16])
{
    unsigned width;
    size_t colon = s.n;

    if (parse_address(s, out, &width))
        return true;
    while (colon > 0 && s.p[colon - 1] != ':')
        colon--;
    return colon > 0 && parse_address((struct str){ s.p, colon - 1 }, out, &width);
}

/* "10.0.0.0/8", "10.1.2.3": an address is a network of one. */
static bool parse_network(struct str s, struct network *n)
{
    struct str address = str_cut(&s, '/');
    unsigned width;
    uint64_t bits;

    if (!parse_address(address, n->address, &width))
        return false;
    bits = width;
    if (s.p && (!num_u64(s, &bits) || bits > width))
        return false;
    n->bits = (unsigned)bits + (128 - width);
    return true;
}

static bool contains(const struct network *n, const uint8_t address[16])
{
    unsigned bytes = n->bits / 8, rest = n->bits % 8;

    return memcmp(n->address, address, bytes) == 0 &&
           (rest == 0 || ((n->address[bytes] ^ address[bytes]) >> (8 - rest)) == 0);
}

/* --- reading --- */

static int no_memory(const struct conf *c, struct err *e)
{
    return err_set(e, ERR_NOMEM, "%s: no memory", c->file);
}

static int read_reference(const struct conf *c, const struct yaml_node *node, const struct log_format *f,
                          struct log_reference *out, struct err *e)
{
    if (!f)
        return conf_fail(c, node, e, "\"%.*s\" is a field, and there is no format that would have one",
                         STR_ARG(yaml_text(node)));
    if (!log_format_find(f, yaml_text(node), out))
        return conf_fail(c, node, e, "\"%.*s\": the format has no such field, nor is it a column of text",
                         STR_ARG(yaml_text(node)));
    return 0;
}

static int read_value(const struct conf *c, const struct yaml_node *node, const struct log_format *f, struct value *out,
                      struct err *e)
{
    const struct yaml_node *field = yaml_get(node, "field");
    struct str text = yaml_text(node);

    out->is_field = field || (text.n > 1 && (text.p[0] == '$' || text.p[0] == '%'));
    if (out->is_field)
        return read_reference(c, field ? field : node, f, &out->from, e);
    if (node->kind == YAML_MAP || node->kind == YAML_LIST)
        return conf_fail(c, node, e, "should be a text, or {field: NAME}");
    out->text = arena_str(c->arena, text);
    return out->text.p ? 0 : no_memory(c, e);
}

static int part_of(struct str key)
{
    for (int i = 0; i < LOG_PARTS; i++)
        if (str_eq(part_names[i], key))
            return i;
    return -1;
}

/* A map of parts, or a scalar, which is the workload. */
static int read_identity(const struct conf *c, const struct yaml_node *node, const struct log_format *f,
                         struct identity *to, struct err *e)
{
    int rc = 0;

    if (node->kind == YAML_LIST)
        return conf_fail(c, node, e, "should be a workload's name, or a map with workload, namespace, service …");
    if (node->kind != YAML_MAP || yaml_get(node, "field"))
        return read_value(c, node, f, &to->parts[LOG_PART_workload], e);
    for (size_t i = 0; rc == 0 && i < node->n; i++) {
        int part = part_of(node->items[i].key);

        if (part < 0)
            return conf_fail(c, &node->items[i], e,
                             "unknown field: should be workload, namespace, app, version, principal, cluster, service, "
                             "service_name or service_namespace");
        rc = read_value(c, &node->items[i], f, &to->parts[part], e);
    }
    return rc;
}

/* Keeps the list in order, the longest prefix first. */
static int add_network(const struct conf *c, struct log_party *p, struct network n, struct err *e)
{
    size_t at = p->nnetworks;

    if (p->nnetworks == MOST_NETWORKS)
        return err_set(e, ERR_LIMIT, "%s: a table has more than %d addresses and networks", c->file, MOST_NETWORKS);
    if (arena_grow(c->arena, &p->networks, &p->networks_cap, p->nnetworks + 1, sizeof(*p->networks)) < 0)
        return no_memory(c, e);
    for (; at > 0 && p->networks[at - 1].bits < n.bits; at--)
        p->networks[at] = p->networks[at - 1];
    p->networks[at] = n;
    p->nnetworks++;
    return 0;
}

static int add_entry(const struct conf *c, struct log_party *p, const struct yaml_node *node,
                     const struct log_format *f, struct err *e)
{
    struct identity *is = ARENA_NEW(c->arena, struct identity);
    struct str key = arena_str(c->arena, node->key);
    struct network n = { .is = is };
    int rc = is && key.p ? read_identity(c, node, f, is, e) : no_memory(c, e);

    if (rc < 0)
        return rc;
    if (strmap_put(&p->exact, key, is, NULL) < 0)
        return no_memory(c, e);
    return parse_network(key, &n) ? add_network(c, p, n, e) : 0;
}

static int read_table(const struct conf *c, struct log_party *p, const struct yaml_node *node,
                      const struct log_format *f, struct err *e)
{
    int rc = 0;

    if (node->kind != YAML_MAP)
        return conf_fail(c, node, e, "should be a map: text, address or network → who that is");
    if (node->n > MOST_ENTRIES)
        return conf_fail(c, node, e, "%zu entries, at most %d", node->n, MOST_ENTRIES);
    for (size_t i = 0; rc == 0 && i < node->n; i++)
        rc = add_entry(c, p, &node->items[i], f, e);
    return rc;
}

static int read_otherwise(const struct conf *c, struct log_party *p, const struct yaml_node *node,
                          const struct log_format *f, struct err *e)
{
    struct identity *is = ARENA_NEW(c->arena, struct identity);

    if (!is)
        return no_memory(c, e);
    p->otherwise = is;
    return read_identity(c, node, f, is, e);
}

static void forget_table(void *arg)
{
    strmap_free(arg);
}

static int read_member(const struct conf *c, struct log_party *p, const struct yaml_node *node,
                       const struct log_format *f, struct err *e)
{
    int part = part_of(node->key);

    if (part >= 0)
        return read_value(c, node, f, &p->base.parts[part], e);
    if (str_eqz(node->key, "by")) {
        p->has_by = true;
        return read_reference(c, node, f, &p->by, e);
    }
    if (str_eqz(node->key, "table"))
        return read_table(c, p, node, f, e);
    if (str_eqz(node->key, "default"))
        return read_otherwise(c, p, node, f, e);
    return conf_fail(c, node, e,
                     "unknown field: should be by, table, default, workload, namespace, app, version, principal, "
                     "cluster, service, service_name or service_namespace");
}

int log_party_read(const struct conf *c, const struct yaml_node *node, const struct log_format *f,
                   struct log_party **out, struct err *e)
{
    struct log_party *p;
    int rc = 0;

    *out = NULL;
    if (!node || node->kind == YAML_NULL)
        return 0;
    p = ARENA_NEW(c->arena, struct log_party);
    if (!p || arena_on_free(c->arena, forget_table, &p->exact) < 0)
        return no_memory(c, e);
    if (node->kind != YAML_MAP)
        return conf_fail(c, node, e, "should be a map, as in {workload: shop}");
    for (size_t i = 0; rc == 0 && i < node->n; i++)
        rc = read_member(c, p, &node->items[i], f, e);
    if (rc == 0 && p->has_by != (p->exact.n > 0))
        rc = conf_fail(c, node, e, "`by` and `table` need each other");
    *out = p;
    return rc;
}

/* --- finding --- */

static const struct identity *look_up(const struct log_party *p, struct str key)
{
    const struct identity *is = key.n ? strmap_get(&p->exact, key) : NULL;
    uint8_t address[16];

    if (is || p->nnetworks == 0 || !address_of(key, address))
        return is ? is : p->otherwise;
    for (size_t i = 0; i < p->nnetworks; i++)
        if (contains(&p->networks[i], address))
            return p->networks[i].is;
    return p->otherwise;
}

static void say(const struct identity *is, const struct log_line *l, struct str out[LOG_PARTS])
{
    for (int i = 0; i < LOG_PARTS; i++) {
        struct str s = is->parts[i].is_field ? log_line_text(l, is->parts[i].from) : is->parts[i].text;

        if (s.n)
            out[i] = s;
    }
}

void log_party_find(const struct log_party *p, const struct log_line *l, struct str out[LOG_PARTS])
{
    const struct identity *is;

    say(&p->base, l, out);
    is = p->has_by ? look_up(p, log_line_text(l, p->by)) : NULL;
    if (is)
        say(is, l, out);
}
