#include "collector/tail_config-internal.h"

#include "base/mem.h"
#include "collector/conf-internal.h"

#include <stddef.h>

enum { MOST_MEMORY = 64 << 20, MOST_ENTRIES = 1000, USUAL_LINE = 64 << 10, LEAST_LINE = 256, MOST_LINE = 8 << 20 };

struct written {
    struct conf_texts paths;
    struct str begin;
    uint64_t max_line;
};

static const struct conf_field fields[] = {
    { "paths", CONF_TEXTS, offsetof(struct written, paths) },
    { "begin", CONF_TEXT, offsetof(struct written, begin) },
    { "max_line", CONF_SIZE, offsetof(struct written, max_line) },
};
static const char *const own_keys[] = { "paths", "begin", "max_line", NULL };

static int no_memory(const struct conf *c, struct err *e)
{
    return err_set(e, ERR_NOMEM, "%s: no memory", c->file);
}

/* From the configuration file's folder, as other paths in it. */
static const char *absolute(const struct conf *c, struct str path)
{
    const char *slash = strrchr(c->file, '/');

    if (path.p[0] == '/' || !slash)
        return arena_cstr(c->arena, path);
    return arena_printf(c->arena, "%.*s/%.*s", (int)(slash - c->file), c->file, STR_ARG(path)).p;
}

static int read_path(const struct conf *c, const struct yaml_node *node, struct str text, struct tail_path *p,
                     struct err *e)
{
    const char *slash, *name;

    if (text.n == 0)
        return conf_fail(c, node, e, "paths: a path is empty");
    p->glob = absolute(c, text);
    if (!p->glob)
        return no_memory(c, e);
    slash = strrchr(p->glob, '/');
    name = slash ? slash + 1 : p->glob;
    p->stem = (struct str){ name, strcspn(name, "*?[\\") };
    p->folder =
        slash ? arena_cstr(c->arena, (struct str){p->glob, (size_t)(slash - p->glob) + (slash == p->glob)}) : ".";
    if (!p->folder)
        return no_memory(c, e);
    if (strpbrk(p->folder, "*?[\\"))
        p->folder = NULL;
    return 0;
}

/* The members that are read here; log_source_read has looked at the others. */
static int read_own(const struct conf *c, const struct yaml_node *node, struct written *w, struct err *e)
{
    for (size_t i = 0; i < sizeof(own_keys) / sizeof(own_keys[0]) - 1; i++) {
        const struct yaml_node *member = yaml_get(node, own_keys[i]);
        struct yaml_node one = { .kind = YAML_MAP, .n = 1, .items = NULL };
        struct yaml_node copy;
        int rc;

        if (!member)
            continue;
        copy = *member;
        one.items = &copy;
        rc = conf_read(c, &one, fields, sizeof(fields) / sizeof(fields[0]), w, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int read_entry(const struct conf *c, const struct yaml_node *node, struct tail_entry *x, struct err *e)
{
    struct written w = { .max_line = USUAL_LINE };
    int rc;

    x->source = log_source_read(c, node, own_keys, e);
    if (!x->source)
        return e->code;
    rc = read_own(c, node, &w, e);
    if (rc < 0)
        return rc;
    if (w.paths.n == 0)
        return conf_fail(c, node, e, "paths: should be a list of files to follow, as in [/var/log/nginx/access.log]");
    if (w.begin.n && !str_eqz(w.begin, "start") && !str_eqz(w.begin, "end"))
        return conf_fail(c, node, e, "begin: \"%.*s\": should be start or end", STR_ARG(w.begin));
    if (w.max_line < LEAST_LINE || w.max_line > MOST_LINE)
        return conf_fail(c, node, e, "max_line: should be 256 bytes to 8MiB");
    x->from_end = str_eqz(w.begin, "end");
    x->max_line = w.max_line;
    x->paths = arena_array(c->arena, w.paths.n, sizeof(*x->paths));
    if (!x->paths)
        return no_memory(c, e);
    while (rc == 0 && x->npaths < w.paths.n) {
        rc = read_path(c, node, w.paths.v[x->npaths], &x->paths[x->npaths], e);
        x->npaths++;
    }
    return rc;
}

static int read_config(const struct conf *c, const struct yaml_node *node, struct tail_config *t, struct err *e)
{
    const struct yaml_node *list;
    int rc = conf_list(c, node, &list, e);

    if (rc < 0 || !list)
        return rc;
    if (list->n > MOST_ENTRIES)
        return conf_fail(c, node, e, "%zu entries, at most %d", list->n, MOST_ENTRIES);
    t->fingerprint = conf_fingerprint(node, 0);
    t->entries = arena_array(c->arena, list->n + 1, sizeof(*t->entries));
    if (!t->entries)
        return no_memory(c, e);
    while (rc == 0 && t->n < list->n) {
        rc = read_entry(c, &list->items[t->n], &t->entries[t->n], e);
        t->n++;
    }
    return rc;
}

struct tail_config *tail_config_read(const char *file, const struct yaml_node *root, struct err *e)
{
    struct tail_config *t = mem_zalloc(sizeof(*t));
    struct conf c = { file, t ? &t->arena : NULL };

    if (!t) {
        err_set(e, ERR_NOMEM, "%s: no memory", file);
        return NULL;
    }
    t->arena = (struct arena)ARENA_INIT(MOST_MEMORY);
    if (read_config(&c, yaml_get(root, "file_tail"), t, e) == 0)
        return t;
    tail_config_free(t);
    return NULL;
}

void tail_config_free(struct tail_config *c)
{
    if (!c)
        return;
    arena_free(&c->arena);
    mem_free(c);
}

uint64_t tail_config_fingerprint(const struct tail_config *c)
{
    return c->fingerprint;
}

size_t tail_config_entries(const struct tail_config *c)
{
    return c->n;
}
