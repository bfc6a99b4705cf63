/* relabel_read.c: rules from YAML, with the checks that Prometheus makes, in its words. */
#include "collector/conf-internal.h"
#include "collector/relabel-internal.h"

#include <stddef.h>

/* What a rule says before defaults: p NULL where it says nothing. */
struct written {
    struct conf_texts source;
    struct str separator, regex, target, replacement, action;
    uint64_t modulus;
};

static const struct conf_field fields[] = {
    { "source_labels", CONF_TEXTS, offsetof(struct written, source) },
    { "separator", CONF_TEXT, offsetof(struct written, separator) },
    { "regex", CONF_TEXT, offsetof(struct written, regex) },
    { "modulus", CONF_COUNT, offsetof(struct written, modulus) },
    { "target_label", CONF_TEXT, offsetof(struct written, target) },
    { "replacement", CONF_TEXT, offsetof(struct written, replacement) },
    { "action", CONF_TEXT, offsetof(struct written, action) },
};

static const char *const names[RELABEL_ACTIONS] = {
    [RELABEL_REPLACE] = "replace",     [RELABEL_KEEP] = "keep",           [RELABEL_DROP] = "drop",
    [RELABEL_KEEPEQUAL] = "keepequal", [RELABEL_DROPEQUAL] = "dropequal", [RELABEL_HASHMOD] = "hashmod",
    [RELABEL_LABELMAP] = "labelmap",   [RELABEL_LABELDROP] = "labeldrop", [RELABEL_LABELKEEP] = "labelkeep",
    [RELABEL_LOWERCASE] = "lowercase", [RELABEL_UPPERCASE] = "uppercase",
};

static unsigned bit(enum relabel_action action)
{
    return 1u << action;
}

static bool differs(struct str written, struct str by_default)
{
    return written.p && !str_eq(written, by_default);
}

static int find_action(const struct conf *c, const struct yaml_node *node, const struct written *w,
                       enum relabel_action *action, struct err *e)
{
    *action = RELABEL_REPLACE;
    if (!w->action.p)
        return 0;
    for (unsigned i = 0; i < RELABEL_ACTIONS; i++)
        if (str_ieq(w->action, str_of(names[i]))) {
            *action = (enum relabel_action)i;
            return 0;
        }
    return conf_fail(c, node, e, "unknown relabel action \"%.*s\"", STR_ARG(w->action));
}

static int check(const struct conf *c, const struct yaml_node *node, const struct written *w,
                 enum relabel_action action, struct err *e)
{
    unsigned is = bit(action), folds = bit(RELABEL_LOWERCASE) | bit(RELABEL_UPPERCASE);
    unsigned equals = bit(RELABEL_KEEPEQUAL) | bit(RELABEL_DROPEQUAL);
    unsigned filters = bit(RELABEL_LABELDROP) | bit(RELABEL_LABELKEEP);
    const char *name = names[action];
    bool other = differs(w->replacement, STR("$1")) || differs(w->separator, STR(";")) || w->modulus;

    if (action == RELABEL_HASHMOD && w->modulus == 0)
        return conf_fail(c, node, e, "relabel configuration for hashmod requires non-zero modulus");
    if ((is & (bit(RELABEL_REPLACE) | bit(RELABEL_HASHMOD) | folds | equals)) && w->target.n == 0)
        return conf_fail(c, node, e, "relabel configuration for %s action requires 'target_label' value", name);
    if ((is & (bit(RELABEL_REPLACE) | bit(RELABEL_HASHMOD) | folds | equals)) && !str_is_utf8(w->target))
        return conf_fail(c, node, e, "\"%.*s\" is invalid 'target_label' for %s action", STR_ARG(w->target), name);
    if ((is & (folds | equals)) && differs(w->replacement, STR("$1")))
        return conf_fail(c, node, e, "'replacement' can not be set for %s action", name);
    if (action == RELABEL_LABELMAP && w->replacement.p && w->replacement.n == 0)
        return conf_fail(c, node, e, "\"\" is invalid 'replacement' for labelmap action");
    if ((is & equals) && (other || differs(w->regex, STR("(.*)"))))
        return conf_fail(c, node, e,
                         "%s action requires only 'source_labels' and `target_label`, and no other fields", name);
    if ((is & filters) && (other || w->source.v || w->target.n))
        return conf_fail(c, node, e, "%s action requires only 'regex', and no other fields", name);
    return 0;
}

static int read_rule(const struct conf *c, const struct yaml_node *node, struct relabel_rule *r, struct err *e)
{
    struct written w = { .modulus = 0 };
    struct err why = ERR_INIT;
    int rc = conf_read(c, node, fields, sizeof(fields) / sizeof(fields[0]), &w, e);

    if (rc == 0)
        rc = find_action(c, node, &w, &r->action, e);
    if (rc == 0)
        rc = check(c, node, &w, r->action, e);
    if (rc < 0)
        return rc;
    r->source = w.source.v;
    r->nsource = w.source.n;
    r->separator = w.separator.p ? w.separator : STR(";");
    r->target = w.target;
    r->replacement = w.replacement.p ? w.replacement : STR("$1");
    r->modulus = w.modulus;
    r->regex = regex_compile(c->arena, w.regex.p ? w.regex : STR("(.*)"), REGEX_FULL | REGEX_DOTALL, &why);
    if (!r->regex && why.code == ERR_NOMEM)
        return err_set(e, ERR_NOMEM, "%s: no memory", c->file);
    return r->regex ? 0 : conf_fail(c, yaml_get(node, "regex"), e, "%s", why.msg);
}

int relabel_read(struct arena *a, const char *file, const struct yaml_node *list, struct relabel_rules *out,
                 struct err *e)
{
    const struct conf c = { file, a };
    const struct yaml_node *rules;
    struct relabel_rule *v;
    int rc = conf_list(&c, list, &rules, e);

    *out = (struct relabel_rules){ NULL, 0 };
    if (rc < 0 || !rules || rules->n == 0)
        return rc;
    v = arena_array(a, rules->n, sizeof(*v));
    if (!v)
        return err_set(e, ERR_NOMEM, "%s: no memory", file);
    for (size_t i = 0; rc == 0 && i < rules->n; i++)
        rc = read_rule(&c, &rules->items[i], &v[i], e);
    *out = (struct relabel_rules){ v, rules->n };
    return rc;
}
