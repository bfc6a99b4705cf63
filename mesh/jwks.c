/* jwks.c: a JSON Web Key Set (RFC 7517) as text: whether a proxy can read it, before one has to. */
#include "mesh/policy-internal.h"

/* What a key of each kind cannot be without. */
static const struct {
    const char *type;
    const char *members[4];
} kinds[] = {
    { "RSA", { "n", "e" } },
    { "EC", { "crv", "x", "y" } },
    { "OKP", { "crv", "x" } },
    { "oct", { "k" } },
};

static void check_key(struct check *c, const struct yaml_node *at, size_t i, const struct yaml_node *key)
{
    struct str type = yaml_text(yaml_get(key, "kty"));

    if (key->kind != YAML_MAP || !type.n) {
        check_error(c, at, "jwks", "keys[%zu] is no key: it has no \"kty\"", i);
        return;
    }
    for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
        for (size_t m = 0; str_eqz(type, kinds[k].type) && kinds[k].members[m]; m++)
            if (!yaml_text(yaml_get(key, kinds[k].members[m])).n)
                check_error(c, at, "jwks", "keys[%zu]: a key of type %.*s has \"%s\"", i, STR_ARG(type),
                            kinds[k].members[m]);
    if (yaml_get(key, "d"))
        check_warn(c, at, "jwks", "keys[%zu] holds its private part, \"d\": who reads this can sign tokens; the public "
                   "part is enough", i);
}

void jwks_check(struct check *c, const struct yaml_node *at, struct str text)
{
    const struct yaml_node *root = NULL, *keys;
    struct err e = ERR_INIT;

    if (yaml_read_one(c->arena, "jwks", text, &root, &e) < 0) {
        if (e.code == ERR_NOMEM)
            c->nomem = true;
        else
            check_error(c, at, "jwks", "is no JSON: %s", e.msg);
        return;
    }
    keys = yaml_get(root, "keys");
    if (!keys || keys->kind != YAML_LIST) {
        check_error(c, at, "jwks", "is no set of keys: an object with the list \"keys\"");
        return;
    }
    for (size_t i = 0; i < keys->n; i++)
        check_key(c, at, i, &keys->items[i]);
    if (keys->n == 0)
        check_warn(c, at, "jwks", "there is no key in it: every token of this issuer is refused");
}
