#include "collector/conf-internal.h"

#include "base/clock.h"
#include "base/num.h"

#include <stdarg.h>
#include <stdio.h>

int conf_fail(const struct conf *c, const struct yaml_node *node, struct err *e, const char *fmt, ...)
{
    char text[400];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (node->key.n)
        return err_set(e, ERR_INVALID, "%s:%d: %.*s: %s", c->file, node->line, STR_ARG(node->key), text);
    return err_set(e, ERR_INVALID, "%s:%d: %s", c->file, node->line, text);
}

static bool scalar(const struct yaml_node *node)
{
    return node->kind != YAML_LIST && node->kind != YAML_MAP;
}

static bool read_size(struct str s, uint64_t *v)
{
    static const char letters[] = "KMGTPE";
    unsigned shift = 0;
    const char *letter;

    if (str_ends(s, STR("B")))
        s.n--;
    if (str_ends(s, STR("i")))
        s.n--;
    letter = s.n ? strchr(letters, s.p[s.n - 1]) : NULL;
    if (letter && *letter) {
        shift = 10 * (unsigned)(letter - letters + 1);
        s.n--;
    }
    if (!num_u64(s, v) || *v > UINT64_MAX >> shift)
        return false;
    *v <<= shift;
    return true;
}

static int read_text(const struct conf *c, struct str text, struct str *to, struct err *e)
{
    *to = arena_str(c->arena, text);
    return to->p ? 0 : err_set(e, ERR_NOMEM, "%s: no memory", c->file);
}

int conf_texts(const struct conf *c, const struct yaml_node *node, struct conf_texts *out, struct err *e)
{
    const struct yaml_node *list;
    int rc = conf_list(c, node, &list, e);

    *out = (struct conf_texts){ NULL, 0 };
    if (rc < 0 || !list || list->n == 0)
        return rc;
    out->v = arena_array(c->arena, list->n, sizeof(*out->v));
    if (!out->v)
        return err_set(e, ERR_NOMEM, "%s: no memory", c->file);
    for (size_t i = 0; rc == 0 && i < list->n; i++) {
        if (!scalar(&list->items[i]))
            return conf_fail(c, &list->items[i], e, "should be one value");
        rc = read_text(c, list->items[i].text, &out->v[out->n++], e);
    }
    return rc;
}

int conf_list(const struct conf *c, const struct yaml_node *node, const struct yaml_node **list, struct err *e)
{
    *list = NULL;
    if (!node || node->kind == YAML_NULL)
        return 0;
    if (node->kind != YAML_LIST)
        return conf_fail(c, node, e, "should be a list");
    *list = node;
    return 0;
}

static int read_duration(const struct conf *c, const struct yaml_node *node, int64_t *to, struct err *e)
{
    struct err why = ERR_INIT;

    if (str_eqz(node->text, "0")) {
        *to = 0;
        return 0;
    }
    if (duration_parse(node->text, to, &why) < 0)
        return conf_fail(c, node, e, "%s", why.msg);
    return 0;
}

static int read_field(const struct conf *c, const struct yaml_node *node, const struct conf_field *f, void *to,
                      struct err *e)
{
    if (f->type == CONF_TEXTS)
        return conf_texts(c, node, to, e);
    if (f->type == CONF_NODE) {
        *(const struct yaml_node **)to = node;
        return 0;
    }
    if (f->type == CONF_IGNORED)
        return 0;
    if (!scalar(node))
        return conf_fail(c, node, e, "should be one value");
    switch (f->type) {
    case CONF_TEXT:
        return read_text(c, node->text, to, e);
    case CONF_BOOL:
        if (node->kind != YAML_BOOL)
            return conf_fail(c, node, e, "\"%.*s\": should be true or false", STR_ARG(node->text));
        *(bool *)to = node->boolean;
        return 0;
    case CONF_DURATION:
        return read_duration(c, node, to, e);
    case CONF_SIZE:
        if (!read_size(node->text, to))
            return conf_fail(c, node, e, "\"%.*s\": should be a size, as in 10MB", STR_ARG(node->text));
        return 0;
    default:
        if (!num_u64(node->text, to))
            return conf_fail(c, node, e, "\"%.*s\": should be a whole number", STR_ARG(node->text));
        return 0;
    }
}

int conf_read(const struct conf *c, const struct yaml_node *map, const struct conf_field *fields, size_t n, void *to,
              struct err *e)
{
    if (!map || map->kind == YAML_NULL)
        return 0;
    if (map->kind != YAML_MAP)
        return conf_fail(c, map, e, "should be a map");
    for (size_t i = 0; i < map->n; i++) {
        const struct yaml_node *node = &map->items[i];
        const struct conf_field *f = NULL;
        int rc = 0;

        for (size_t k = 0; k < n && !f; k++)
            if (str_eqz(node->key, fields[k].key))
                f = &fields[k];
        if (!f)
            return conf_fail(c, node, e, "unknown field");
        if (node->kind != YAML_NULL)
            rc = read_field(c, node, f, (char *)to + f->offset, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

uint64_t conf_mix(uint64_t h, uint64_t v)
{
    return (h ^ v) * 0x9e3779b97f4a7c15u + (h >> 29);
}

/* As deep as the reader lets a tree be. */
uint64_t conf_fingerprint(const struct yaml_node *node, uint64_t h)
{
    h = conf_mix(conf_mix(h, node->kind), str_hash_stable(node->key));
    h = conf_mix(conf_mix(h, str_hash_stable(node->text)), node->n);
    for (size_t i = 0; i < node->n; i++)
        h = conf_fingerprint(&node->items[i], h);
    return h;
}
