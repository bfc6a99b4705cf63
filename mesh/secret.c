/* secret.c: what a Secret holds of certificates and keys, under Kubernetes' names for them or Istio's. */
#include "mesh/base64-internal.h"
#include "mesh/model-internal.h"

/* By member of struct secret; Istio's own names, of generic Secrets, come first. */
static const struct {
    const char *name;
    size_t member;
    const char *begins;
} keys[] = {
    { "cert", offsetof(struct secret, certificate), "-----BEGIN CERTIFICATE" },
    { "tls.crt", offsetof(struct secret, certificate), "-----BEGIN CERTIFICATE" },
    { "key", offsetof(struct secret, key), "-----BEGIN " },
    { "tls.key", offsetof(struct secret, key), "-----BEGIN " },
    { "cacert", offsetof(struct secret, ca), "-----BEGIN CERTIFICATE" },
    { "ca.crt", offsetof(struct secret, ca), "-----BEGIN CERTIFICATE" },
    { "crl", offsetof(struct secret, crl), "-----BEGIN X509 CRL" },
    { "ca.crl", offsetof(struct secret, crl), "-----BEGIN X509 CRL" },
};

/* The value of one key: stringData as it stands before data, which is in base64. STR_NULL: none. */
static struct str value_of(struct check *c, const char *key, const struct yaml_node **at)
{
    const struct yaml_node *plain = yaml_get(yaml_get(c->object->root, "stringData"), key);
    const struct yaml_node *coded = yaml_get(yaml_get(c->object->root, "data"), key);
    struct str text = STR_NULL;

    *at = plain ? plain : coded;
    if (!*at || (*at)->kind == YAML_NULL)
        return text;
    if ((*at)->kind != YAML_STRING)
        check_error(c, *at, NULL, "must be a string");
    else if (plain)
        text = plain->text;
    else if (!base64_decode(c->arena, coded->text, &text))
        check_error(c, coded, NULL, "is not base64: what is not coded belongs under stringData");
    else if (!text.p)
        c->nomem = true;
    return text;
}

static void check_maps(struct check *c)
{
    static const char *const maps[] = { "data", "stringData" };

    for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
        const struct yaml_node *map = check_get(c->object->root, maps[i]);

        if (map && map->kind != YAML_MAP)
            check_error(c, map, NULL, "must be a map of strings");
    }
}

void secret_read(struct check *c, struct secret *s)
{
    s->object = c->object;
    check_maps(c);
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]) && !c->nomem; i++) {
        const struct yaml_node *at;
        struct str text = value_of(c, keys[i].name, &at), was;

        memcpy(&was, (char *)s + keys[i].member, sizeof(was));
        if (was.n || text.n == 0)
            continue;
        if (str_find(text, str_of(keys[i].begins)) < 0)
            check_warn(c, at, NULL, "is no PEM: \"%s\" is nowhere in it", keys[i].begins);
        memcpy((char *)s + keys[i].member, &text, sizeof(text));
    }
}
