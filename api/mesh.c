/* mesh.c: the paths below /api/mesh: objects in and out, the snapshot for proxies.
 *
 * A change is checked together with all that is stored, before any of it is: one mesh_build decides, here and in every
 * proxy. */

#include "api/mesh-internal.h"
#include "base/clock.h"
#include "base/num.h"
#include "mesh/mesh.h"

#include <inttypes.h>

enum { LONGEST_WAIT_MS = 60000, DEFAULT_HISTORY = 100, MOST_HISTORY = 10000 };

static const char *const severities[] = { [MESH_INFO] = "info", [MESH_WARNING] = "warning", [MESH_ERROR] = "error" };

/* One change from request to catalog. */
struct change {
    struct request *rq;
    struct mesh_problems problems;
    struct mesh_objects objects; /* of the request */
    struct mesh_merge merge;
    struct catalog_document *documents;
    size_t ndocuments;
    uint64_t revision; /* that the documents are of */
    struct str file;
};

/* --- problems --- */

static void put_problem(struct buf *b, const struct mesh_problem *p)
{
    buf_printf(b, "{\"severity\":\"%s\",\"file\":", severities[p->severity]);
    buf_json(b, p->file);
    buf_printf(b, ",\"line\":%d,\"column\":%d,\"object\":", p->line, p->column);
    buf_json(b, p->object);
    buf_puts(b, ",\"path\":");
    buf_json(b, p->path);
    buf_puts(b, ",\"message\":");
    buf_json(b, p->message);
    buf_putc(b, '}');
}

/* Of what is stored only errors are told: its warnings were told to whoever applied it. */
static void put_problems(struct change *c)
{
    struct buf *b = &c->rq->out;
    bool first = true;

    buf_puts(b, "\"problems\":[");
    for (size_t i = 0; i < c->problems.n; i++) {
        const struct mesh_problem *p = &c->problems.v[i];

        if (p->severity != MESH_ERROR && !str_eq(p->file, c->file))
            continue;
        buf_puts(b, first ? "" : ",");
        put_problem(b, p);
        first = false;
    }
    buf_putc(b, ']');
}

static void refuse(struct change *c)
{
    reply_json(c->rq, 422);
    buf_printf(&c->rq->out, "{\"error\":\"%zu error%s: nothing was changed\",", c->problems.errors,
               c->problems.errors == 1 ? "" : "s");
    put_problems(c);
    buf_puts(&c->rq->out, "}\n");
}

/* --- reading --- */

static int list_documents(struct change *c, struct str kind, struct err *e)
{
    c->revision = catalog_revision(c->rq->api->store);
    return catalog_list(c->rq->api->store, kind, c->revision, &c->rq->arena, &c->documents, &c->ndocuments, e);
}

/* A kind by any of its names; an empty word is any kind. */
static int read_kind(struct str word, struct str *kind, struct err *e)
{
    const struct mesh_kind *k = word.n ? mesh_kind_find(word) : NULL;

    *kind = k ? str_of(k->kind) : STR_NULL;
    return word.n && !k ? err_set(e, ERR_NOTFOUND, "no kind \"%.*s\" is known", STR_ARG(word)) : 0;
}

static struct str read_namespace(struct str s)
{
    return str_eqz(s, "-") ? STR_NULL : s;
}

static void put_document(struct buf *b, const struct catalog_document *d, bool history)
{
    buf_puts(b, "{\"kind\":");
    buf_json(b, d->key.kind);
    buf_puts(b, ",\"namespace\":");
    buf_json(b, d->key.ns);
    buf_puts(b, ",\"name\":");
    buf_json(b, d->key.name);
    buf_printf(b, ",\"createdMs\":%" PRId64 ",\"changedMs\":%" PRId64 ",\"revision\":%" PRIu64, d->created_ms,
               d->changed_ms, d->revision);
    if (history)
        buf_printf(b, ",\"deleted\":%s", d->deleted ? "true" : "false");
    buf_puts(b, ",\"object\":");
    buf_str(b, d->body.n ? d->body : STR("null")); /* it is JSON already */
    buf_putc(b, '}');
}

struct filter {
    struct str kind, ns, name;
    bool any_ns; /* no namespace was named */
};

static int read_filter(struct request *rq, struct filter *f, struct err *e)
{
    struct str ns = request_parameter(rq, "namespace");

    f->any_ns = ns.n == 0;
    f->ns = read_namespace(ns);
    f->name = request_parameter(rq, "name");
    return read_kind(request_parameter(rq, "kind"), &f->kind, e);
}

static bool passes(const struct filter *f, struct catalog_key k)
{
    return mesh_kind_find(k.kind) && (!f->kind.n || str_eq(f->kind, k.kind)) && (f->any_ns || str_eq(f->ns, k.ns)) &&
           (!f->name.n || str_eq(f->name, k.name));
}

static size_t put_items(struct buf *b, const struct catalog_document *d, size_t n, const struct filter *f, size_t limit,
                        bool history)
{
    size_t put = 0;

    buf_puts(b, "\"items\":[");
    for (size_t i = 0; i < n && put < limit; i++) {
        if (!passes(f, d[i].key))
            continue;
        buf_puts(b, put++ ? ",\n" : "\n");
        put_document(b, &d[i], history);
    }
    buf_puts(b, "]}\n");
    return put;
}

void mesh_list(struct request *rq)
{
    struct change c = { .rq = rq };
    struct filter f;
    struct err e = ERR_INIT;

    if (read_filter(rq, &f, &e) < 0 || list_documents(&c, f.kind, &e) < 0) {
        reply_error(rq, &e);
        return;
    }
    reply_json(rq, 200);
    buf_printf(&rq->out, "{\"version\":%" PRIu64 ",", c.revision);
    put_items(&rq->out, c.documents, c.ndocuments, &f, SIZE_MAX, false);
}

void mesh_get_history(struct request *rq)
{
    struct catalog_document *d;
    struct catalog_key key = { 0 };
    struct filter f;
    struct err e = ERR_INIT;
    uint64_t limit;
    size_t n;
    bool one;
    int rc;

    rc = read_filter(rq, &f, &e);
    if (rc == 0)
        rc = request_limit(rq, "limit", DEFAULT_HISTORY, &limit, &e);
    if (rc == 0) {
        limit = limit < MOST_HISTORY ? limit : MOST_HISTORY;
        one = f.kind.n && f.name.n && !f.any_ns;
        if (one)
            key = (struct catalog_key){ f.kind, f.ns, f.name };
        rc = catalog_history(rq->api->store, key, one ? (size_t)limit : MOST_HISTORY, &rq->arena, &d, &n, &e);
    }
    if (rc < 0) {
        reply_error(rq, &e);
        return;
    }
    reply_json(rq, 200);
    buf_putc(&rq->out, '{');
    put_items(&rq->out, d, n, &f, (size_t)limit, true);
}

/* /KIND/NAMESPACE/NAME of the path. */
static int read_key(struct request *rq, struct catalog_key *k, struct err *e)
{
    *k = (struct catalog_key){ .ns = read_namespace(rq->arguments[1]), .name = rq->arguments[2] };
    return read_kind(rq->arguments[0], &k->kind, e);
}

static const struct catalog_document *find_document(struct change *c, struct catalog_key k, struct err *e)
{
    for (size_t i = 0; i < c->ndocuments; i++) {
        const struct catalog_key *own = &c->documents[i].key;

        if (str_eq(own->name, k.name) && str_eq(own->ns, k.ns) && str_eq(own->kind, k.kind))
            return &c->documents[i];
    }
    err_set(e, ERR_NOTFOUND, "%.*s %.*s%s%.*s is not there", STR_ARG(k.kind), STR_ARG(k.ns), k.ns.n ? "/" : "",
            STR_ARG(k.name));
    return NULL;
}

static bool wants_yaml(struct request *rq)
{
    return str_eqz(request_parameter(rq, "format"), "yaml") ||
           str_find(str_of(request_header(rq, MHD_HTTP_HEADER_ACCEPT)), STR("yaml")) >= 0;
}

static int put_yaml(struct request *rq, const struct catalog_document *d, struct err *e)
{
    struct mesh_objects objects = { 0 };
    struct mesh_problems problems;

    mesh_problems_init(&problems, &rq->arena);
    if (mesh_parse(&rq->arena, STR("(stored)"), d->body, d->key.ns, &objects, &problems) < 0)
        return err_set(e, ERR_NOMEM, "no memory for an object");
    if (objects.n != 1)
        return err_set(e, ERR_CORRUPT, "%.*s %.*s: what is stored is no object", STR_ARG(d->key.kind),
                       STR_ARG(d->key.name));
    reply_begin(rq, 200, "application/yaml");
    mesh_object_yaml(&rq->out, &objects.v[0]);
    return 0;
}

void mesh_get(struct request *rq)
{
    const struct catalog_document *d = NULL;
    struct change c = { .rq = rq };
    struct catalog_key key;
    struct err e = ERR_INIT;

    if (read_key(rq, &key, &e) == 0 && list_documents(&c, key.kind, &e) == 0)
        d = find_document(&c, key, &e);
    if (!d || (wants_yaml(rq) && put_yaml(rq, d, &e) < 0)) {
        reply_error(rq, &e);
        return;
    }
    if (rq->status)
        return;
    reply_json(rq, 200);
    buf_str(&rq->out, d->body);
    buf_putc(&rq->out, '\n');
}

/* --- changing --- */

static int parse_body(struct change *c, struct err *e)
{
    struct request *rq = c->rq;
    struct str ns = request_parameter(rq, "namespace"), file = str_of(request_header(rq, "Vigla-File"));

    mesh_problems_init(&c->problems, &rq->arena);
    c->file = file.n ? file : STR("-");
    if (mesh_parse(&rq->arena, c->file, buf_view(&rq->body), ns.n ? ns : STR("default"), &c->objects, &c->problems) < 0)
        return err_set(e, ERR_NOMEM, "no memory for the objects");
    if (c->objects.n == 0 && c->problems.errors == 0)
        return err_set(e, ERR_INVALID, "there is no object in the body, should be YAML or JSON documents");
    return 0;
}

/* Of two objects of one name the later one counts: the earlier ones leave the list. */
static void drop_repeated(struct mesh_objects *o)
{
    size_t kept = 0;

    for (size_t i = 0; i < o->n; i++) {
        bool repeated = false;

        for (size_t k = i + 1; k < o->n && !repeated; k++)
            repeated = str_eq(o->v[i].name, o->v[k].name) && str_eq(o->v[i].kind, o->v[k].kind) &&
                       str_eq(o->v[i].ns, o->v[k].ns);
        if (!repeated)
            o->v[kept++] = o->v[i];
    }
    o->n = kept;
}

/* Reads what is stored and checks the mesh as it would be. c->problems tells. */
static int check(struct change *c, bool removes, struct err *e)
{
    struct mesh_objects all;
    int rc = list_documents(c, STR_NULL, e);

    if (rc == 0)
        rc = mesh_merge_init(&c->merge, &c->rq->arena, c->documents, c->ndocuments, e);
    for (size_t i = 0; rc == 0 && !removes && i < c->objects.n; i++)
        rc = mesh_merge_complete(&c->merge, &c->objects.v[i], e);
    if (rc == 0)
        rc = mesh_merge_all(&c->merge, &c->objects, removes, &all, e);
    if (rc == 0 && !mesh_build(&c->rq->arena, &all, &c->problems, e) && c->problems.errors == 0)
        rc = e->code ? e->code : err_set(e, ERR_NOMEM, "no memory to check the mesh");
    return rc;
}

static int object_body(struct change *c, const struct mesh_object *o, struct str *body, struct err *e)
{
    struct buf b = BUF_INIT(16 << 20);

    mesh_object_json(&b, o);
    *body = buf_failed(&b) ? STR_NULL : arena_str(&c->rq->arena, buf_view(&b));
    buf_free(&b);
    return body->p ? 0 : err_set(e, ERR_NOMEM, "no memory for an object");
}

static int make_changes(struct change *c, struct catalog_change **out, struct err *e)
{
    struct catalog_change *v = arena_array(&c->rq->arena, c->objects.n + 1, sizeof(*v));

    *out = v;
    if (!v)
        return err_set(e, ERR_NOMEM, "no memory for the change");
    for (size_t i = 0; i < c->objects.n; i++) {
        const struct mesh_object *o = &c->objects.v[i];
        int rc = object_body(c, o, &v[i].body, e);

        if (rc < 0)
            return rc;
        v[i].key = (struct catalog_key){ o->kind, o->ns, o->name };
    }
    return 0;
}

static void put_result(struct buf *b, const struct catalog_change *change, const struct catalog_document *old)
{
    const char *action = !old ? "created" : str_eq(old->body, change->body) ? "unchanged" : "configured";

    buf_puts(b, "{\"kind\":");
    buf_json(b, change->key.kind);
    buf_puts(b, ",\"namespace\":");
    buf_json(b, change->key.ns);
    buf_puts(b, ",\"name\":");
    buf_json(b, change->key.name);
    buf_printf(b, ",\"action\":\"%s\"}", action);
}

static void put_results(struct change *c, const struct catalog_change *changes, uint64_t version)
{
    struct buf *b = &c->rq->out;

    reply_json(c->rq, 200);
    buf_printf(b, "{\"version\":%" PRIu64 ",\"results\":[", version);
    for (size_t i = 0; i < c->objects.n; i++) {
        buf_puts(b, i ? "," : "");
        put_result(b, &changes[i], mesh_merge_find(&c->merge, &c->objects.v[i]));
    }
    buf_puts(b, "],");
    put_problems(c);
    buf_puts(b, "}\n");
}

/* Called with the lock: nothing else changes between reading and writing. */
static int put_locked(struct change *c, bool dry_run, struct err *e)
{
    struct api *api = c->rq->api;
    struct catalog_change *changes;
    uint64_t version;
    int rc = check(c, false, e);

    if (rc < 0)
        return rc;
    if (c->problems.errors) {
        refuse(c);
        return 0;
    }
    version = c->revision;
    if ((rc = make_changes(c, &changes, e)) < 0)
        return rc;
    if (!dry_run) {
        if ((rc = catalog_apply(api->store, changes, c->objects.n, c->revision, &version, e)) < 0 ||
            (rc = mesh_state_refresh(api->mesh, e)) < 0)
            return rc;
    }
    put_results(c, changes, version);
    return 0;
}

void mesh_put(struct request *rq)
{
    struct change c = { .rq = rq };
    struct err e = ERR_INIT;
    bool dry_run;
    int rc = request_bool(rq, "dryRun", false, &dry_run, &e);

    if (rc == 0)
        rc = parse_body(&c, &e);
    if (rc == 0 && c.problems.errors) {
        refuse(&c);
        return;
    }
    if (rc == 0) {
        drop_repeated(&c.objects);
        mesh_state_lock(rq->api->mesh);
        rc = put_locked(&c, dry_run, &e);
        mesh_state_unlock(rq->api->mesh);
    }
    if (rc < 0)
        reply_error(rq, &e);
}

void mesh_validate(struct request *rq)
{
    struct change c = { .rq = rq };
    struct err e = ERR_INIT;
    int rc = parse_body(&c, &e);

    if (rc == 0) {
        drop_repeated(&c.objects);
        rc = check(&c, false, &e);
    }
    if (rc < 0) {
        reply_error(rq, &e);
        return;
    }
    reply_json(rq, 200);
    buf_putc(&rq->out, '{');
    put_problems(&c);
    buf_puts(&rq->out, "}\n");
}

static int delete_locked(struct change *c, struct catalog_key key, struct err *e)
{
    struct catalog_change removal = { .key = key, .remove = true };
    struct api *api = c->rq->api;
    struct mesh_object gone = { .kind = key.kind, .ns = key.ns, .name = key.name };
    uint64_t version;
    int rc;

    mesh_problems_init(&c->problems, &c->rq->arena);
    c->objects = (struct mesh_objects){ &gone, 1, 1 };
    if ((rc = check(c, true, e)) < 0)
        return rc;
    if (!find_document(c, key, e))
        return ERR_NOTFOUND;
    if (c->problems.errors) {
        refuse(c);
        return 0;
    }
    if ((rc = catalog_apply(api->store, &removal, 1, c->revision, &version, e)) < 0 ||
        (rc = mesh_state_refresh(api->mesh, e)) < 0)
        return rc;
    reply_json(c->rq, 200);
    buf_printf(&c->rq->out, "{\"version\":%" PRIu64 "}\n", version);
    return 0;
}

void mesh_delete(struct request *rq)
{
    struct change c = { .rq = rq };
    struct catalog_key key;
    struct err e = ERR_INIT;
    int rc = read_key(rq, &key, &e);

    if (rc == 0) {
        mesh_state_lock(rq->api->mesh);
        rc = delete_locked(&c, key, &e);
        mesh_state_unlock(rq->api->mesh);
    }
    if (rc < 0)
        reply_error(rq, &e);
}

/* --- proxies --- */

void mesh_proxies(struct request *rq)
{
    reply_json(rq, 200);
    buf_printf(&rq->out, "{\"version\":%" PRIu64 ",\"items\":", mesh_state_version(rq->api->mesh));
    mesh_state_print_proxies(rq->api->mesh, &rq->out);
    buf_puts(&rq->out, "}\n");
}

void mesh_get_snapshot(struct request *rq)
{
    struct mesh_report r = { .node = request_parameter(rq, "node"), .error = request_parameter(rq, "error") };
    struct str wait = request_parameter(rq, "wait");
    struct err e = ERR_INIT;
    int64_t ms = 0;
    int rc;

    if ((rc = request_limit(rq, "version", 0, &r.version, &e)) == 0)
        rc = request_limit(rq, "rejected", 0, &r.rejected, &e);
    if (rc == 0 && wait.n && (rc = parse_duration_ms(wait, &ms, &e)) < 0)
        err_wrap(&e, "wait");
    if (rc == 0 && r.node.n > 512)
        rc = err_set(&e, ERR_INVALID, "node: longer than 512 bytes");
    if (rc < 0)
        reply_error(rq, &e);
    else
        mesh_state_ask(rq->api->mesh, rq, &r, ms < LONGEST_WAIT_MS ? ms : LONGEST_WAIT_MS);
}
