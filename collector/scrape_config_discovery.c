/* scrape_config_discovery.c: groups of targets, and where further ones are found. */
#include "base/err.h"
#include "collector/scrape_config-internal.h"

#include <stddef.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct written_discovery {
    struct conf_texts files;
    struct str url;
    int64_t refresh_ms;
    struct http_written http;
};

static const struct conf_field file_fields[] = {
    { "files", CONF_TEXTS, offsetof(struct written_discovery, files) },
    { "refresh_interval", CONF_DURATION, offsetof(struct written_discovery, refresh_ms) },
};

static const struct conf_field http_fields[] = {
    { "url", CONF_TEXT, offsetof(struct written_discovery, url) },
    { "refresh_interval", CONF_DURATION, offsetof(struct written_discovery, refresh_ms) },
    HTTP_FIELDS(struct written_discovery, http),
};

static int no_memory(const struct conf *c, struct err *e)
{
    return err_set(e, ERR_NOMEM, "%s: no memory", c->file);
}

struct str conf_path(const struct conf *c, struct str path)
{
    const char *slash = strrchr(c->file, '/');

    if (!slash || (path.n && *path.p == '/'))
        return arena_str(c->arena, path);
    return arena_printf(c->arena, "%.*s%.*s", (int)(slash + 1 - c->file), c->file, STR_ARG(path));
}

/* --- targets --- */

static int read_group(const struct conf *c, const struct yaml_node *node, struct target_group *g, struct err *e)
{
    struct {
        struct conf_texts targets;
        const struct yaml_node *labels;
    } w = { { NULL, 0 }, NULL };
    const struct conf_field fields[] = {
        { "targets", CONF_TEXTS, (size_t)((char *)&w.targets - (char *)&w) },
        { "labels", CONF_NODE, (size_t)((char *)&w.labels - (char *)&w) },
    };
    struct label *v;
    int rc = conf_read(c, node, fields, COUNT(fields), &w, e);

    if (rc < 0)
        return rc;
    if (w.labels && w.labels->kind != YAML_MAP)
        return conf_fail(c, w.labels, e, "should be a map of names and values");
    g->targets = w.targets.v;
    g->ntargets = w.targets.n;
    v = arena_array(c->arena, w.labels ? w.labels->n + 1 : 1, sizeof(*v));
    if (!v)
        return no_memory(c, e);
    g->labels.v = v;
    for (size_t i = 0; w.labels && i < w.labels->n; i++) {
        const struct yaml_node *l = &w.labels->items[i];

        if (l->kind == YAML_LIST || l->kind == YAML_MAP)
            return conf_fail(c, l, e, "should be one value");
        v[i] = (struct label){ arena_str(c->arena, l->key), arena_str(c->arena, l->text) };
        if (!v[i].name.p || !v[i].value.p)
            return no_memory(c, e);
        if (l->key.n == 0)
            return conf_fail(c, l, e, "\"\" is not a valid label name");
        g->labels.n++;
    }
    return 0;
}

int target_groups_read(const struct conf *c, const struct yaml_node *list, const struct target_group **groups, size_t *n,
                       struct err *e)
{
    const struct yaml_node *found;
    struct target_group *v;
    int rc = conf_list(c, list, &found, e);

    *groups = NULL;
    *n = 0;
    if (rc < 0 || !found || found->n == 0)
        return rc;
    v = arena_array(c->arena, found->n, sizeof(*v));
    if (!v)
        return no_memory(c, e);
    for (size_t i = 0; rc == 0 && i < found->n; i++)
        rc = read_group(c, &found->items[i], &v[i], e);
    *groups = v;
    *n = found->n;
    return rc;
}

static int read_file_discovery(const struct conf *c, const struct yaml_node *node, struct discovery_config *d,
                               struct err *e)
{
    struct written_discovery w = { .refresh_ms = 300000 };
    int rc = conf_read(c, node, file_fields, COUNT(file_fields), &w, e);

    if (rc < 0)
        return rc;
    if (w.files.n == 0)
        return conf_fail(c, node, e, "file service discovery config must contain at least one path name");
    for (size_t i = 0; i < w.files.n; i++) {
        struct str path = w.files.v[i];

        if (!str_ends(path, STR(".json")) && !str_ends(path, STR(".yml")) && !str_ends(path, STR(".yaml")))
            return conf_fail(c, node, e,
                             "path name \"%.*s\" is not valid for file discovery: should end in .json, .yml or .yaml",
                             STR_ARG(path));
        w.files.v[i] = conf_path(c, path);
        if (!w.files.v[i].p)
            return no_memory(c, e);
    }
    *d = (struct discovery_config){ .kind = DISCOVERY_FILE, .files = w.files, .refresh_ms = w.refresh_ms };
    return 0;
}

static int read_http_discovery(const struct conf *c, const struct yaml_node *node, struct discovery_config *d,
                               struct err *e)
{
    struct written_discovery w = { .refresh_ms = 60000, .http = HTTP_WRITTEN_INIT };
    int rc = conf_read(c, node, http_fields, COUNT(http_fields), &w, e);

    if (rc < 0)
        return rc;
    if (w.url.n == 0)
        return conf_fail(c, node, e, "URL is missing");
    if (!str_starts(w.url, STR("http://")) && !str_starts(w.url, STR("https://")))
        return conf_fail(c, node, e, "URL scheme must be 'http' or 'https'");
    *d = (struct discovery_config){ .kind = DISCOVERY_HTTP, .url = w.url, .refresh_ms = w.refresh_ms };
    return http_settings_read(c, node, &w.http, &d->http, e);
}

int discovery_configs_read(const struct conf *c, const struct yaml_node *statics, const struct yaml_node *file_list,
                           const struct yaml_node *http_list, struct scrape_job *job, struct err *e)
{
    const struct yaml_node *files, *https;
    struct discovery_config *v;
    size_t n = 0;
    int rc = conf_list(c, file_list, &files, e);

    if (rc == 0)
        rc = conf_list(c, http_list, &https, e);
    if (rc < 0)
        return rc;
    v = arena_array(c->arena, 1 + (files ? files->n : 0) + (https ? https->n : 0), sizeof(*v));
    if (!v)
        return no_memory(c, e);
    v[n].kind = DISCOVERY_STATIC;
    rc = target_groups_read(c, statics, &v[n].groups, &v[n].ngroups, e);
    n++;
    for (size_t i = 0; rc == 0 && files && i < files->n; i++)
        rc = read_file_discovery(c, &files->items[i], &v[n++], e);
    for (size_t i = 0; rc == 0 && https && i < https->n; i++)
        rc = read_http_discovery(c, &https->items[i], &v[n++], e);
    for (size_t i = 1; rc == 0 && i < n; i++)
        if (v[i].refresh_ms < 1)
            v[i].refresh_ms = 1000;
    job->discovery = v;
    job->ndiscovery = n;
    return rc;
}
