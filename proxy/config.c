#include "proxy/config.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "proxy/access_format.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { MOST_FILE = 8 * 1024 * 1024, MOST_FILES = 4096 };

struct reading {
    struct arena *a;
    struct config_text *v;
    size_t n, cap;
};

static int read_one(struct reading *r, const char *path, struct err *e)
{
    struct buf b = BUF_INIT(MOST_FILE);
    int rc = file_read(path, &b, e);

    if (rc == 0 && arena_grow(r->a, &r->v, &r->cap, r->n + 1, sizeof(*r->v)) < 0)
        rc = err_set(e, ERR_NOMEM, "%s: no memory", path);
    if (rc == 0) {
        struct config_text *t = &r->v[r->n];

        *t = (struct config_text){ arena_str(r->a, str_of(path)), arena_str(r->a, buf_view(&b)) };
        if (t->name.p && t->text.p)
            r->n++;
        else
            rc = err_set(e, ERR_NOMEM, "%s: no memory", path);
    }
    buf_free(&b);
    return rc;
}

static int is_config(const struct dirent *d)
{
    struct str name = str_of(d->d_name);

    return d->d_name[0] != '.' &&
           (str_ends(name, STR(".yaml")) || str_ends(name, STR(".yml")) || str_ends(name, STR(".json")));
}

static int read_dir(struct reading *r, const char *path, struct err *e)
{
    struct dirent **entries = NULL;
    int n = scandir(path, &entries, is_config, alphasort), rc = 0;

    if (n < 0)
        return err_set(e, ERR_IO, "%s: %m", path);
    for (int i = 0; i < n; i++) {
        struct str file = arena_printf(r->a, "%s/%s", path, entries[i]->d_name);

        if (rc == 0 && r->n >= MOST_FILES)
            rc = err_set(e, ERR_LIMIT, "%s: more than %d files", path, MOST_FILES);
        if (rc == 0)
            rc = file.p ? read_one(r, file.p, e) : err_set(e, ERR_NOMEM, "%s: no memory", path);
        free(entries[i]);
    }
    free(entries);
    return rc;
}

int config_read(struct arena *a, const char *const *paths, size_t npaths, struct config_text **texts, size_t *n,
                struct err *e)
{
    struct reading r = { .a = a };
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < npaths; i++) {
        struct stat st;

        if (stat(paths[i], &st) < 0)
            rc = err_set(e, errno == ENOENT ? ERR_NOTFOUND : ERR_IO, "%s: %m", paths[i]);
        else
            rc = S_ISDIR(st.st_mode) ? read_dir(&r, paths[i], e) : read_one(&r, paths[i], e);
    }
    *texts = r.v;
    *n = r.n;
    return rc;
}

static void tell_problems(const struct mesh_problems *p, struct err *e)
{
    bool first = true;

    for (size_t i = 0; i < p->n; i++) {
        struct buf b = BUF_INIT(4096);

        mesh_problem_print(&b, &p->v[i]);
        while (b.n && b.p[b.n - 1] == '\n')
            b.n--;
        log_at(p->v[i].severity == MESH_ERROR ? LOG_ERROR : LOG_DEBUG, "%.*s", STR_ARG(buf_view(&b)));
        if (p->v[i].severity == MESH_ERROR && first) {
            err_set(e, ERR_INVALID, "%.*s", STR_ARG(buf_view(&b)));
            first = false;
        }
        buf_free(&b);
    }
}

/* mesh/ knows no environment: tags of spans that are a variable's value become literal ones here. */
static int read_variable(struct arena *a, struct span_tag *t)
{
    char *name = arena_cstr(a, t->value);

    if (!name)
        return ERR_NOMEM;
    t->kind = SPAN_TAG_LITERAL;
    t->value = str_of(getenv(name)); /* nobody sets variables while the proxy runs */
    return 0;
}

/* Nor operators. A format that is wrong costs its tag. */
static int compile_format(struct arena *a, struct span_tag *t)
{
    struct err why = ERR_INIT;

    t->format = access_format_compile(a, t->value, &why);
    if (!t->format && why.code != ERR_NOMEM)
        log_warn("Telemetry: the tag \"%.*s\" is left out of spans: %s", STR_ARG(t->name), why.msg);
    return t->format ? 0 : why.code == ERR_NOMEM ? ERR_NOMEM : 0;
}

static int read_tags(struct arena *a, struct telemetry_policy *p)
{
    struct span_tag *tags = arena_array(a, p->ntags, sizeof(*tags));

    if (p->ntags && !tags)
        return ERR_NOMEM;
    for (size_t i = 0; i < p->ntags; i++) {
        tags[i] = p->tags[i];
        if ((tags[i].kind == SPAN_TAG_ENVIRONMENT && read_variable(a, &tags[i]) < 0) ||
            (tags[i].kind == SPAN_TAG_FORMAT && compile_format(a, &tags[i]) < 0))
            return ERR_NOMEM;
        p->some_formats = p->some_formats || tags[i].kind == SPAN_TAG_FORMAT;
    }
    p->tags = tags;
    return 0;
}

static struct proxy_snapshot *read_variables(struct arena *a, struct proxy_snapshot *s, struct err *e)
{
    if (s && (read_tags(a, &s->client) < 0 || read_tags(a, &s->server) < 0)) {
        err_set(e, ERR_NOMEM, "no memory for a configuration");
        return NULL;
    }
    return s;
}

struct snapshot_ref *config_build(const struct proxy_identity *id, const struct config_text *texts, size_t n,
                                  uint64_t version, struct err *e)
{
    struct snapshot_ref *ref = snapshot_ref_new();
    struct mesh_objects objects = { NULL, 0, 0 };
    struct mesh_problems problems;
    struct mesh *mesh = NULL;

    if (!ref) {
        err_set(e, ERR_NOMEM, "no memory for a configuration");
        return NULL;
    }
    mesh_problems_init(&problems, &ref->arena);
    for (size_t i = 0; i < n; i++)
        if (mesh_parse(&ref->arena, texts[i].name, texts[i].text, STR("default"), &objects, &problems) < 0) {
            err_set(e, ERR_NOMEM, "%.*s: no memory", STR_ARG(texts[i].name));
            goto fail;
        }
    if (problems.errors == 0) /* else the references of what did not parse would be reported, too */
        mesh = mesh_build(&ref->arena, &objects, &problems, e);
    tell_problems(&problems, e);
    ref->snapshot = mesh ? read_variables(&ref->arena, mesh_snapshot(&ref->arena, mesh, id, version, e), e) : NULL;
    if (ref->snapshot)
        return ref;
fail:
    snapshot_ref_put(ref);
    return NULL;
}
