/* apply.c: vigla apply and delete: objects to the server, and waiting until the proxies have them. */
#include "base/clock.h"
#include "cmd/client-internal.h"
#include "cmd/command-internal.h"
#include "cmd/rollout-internal.h"
#include "cmd/source-internal.h"
#include "mesh/object.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The server saw one stream; the place it names is told in the file it came from. */
static void print_problem(FILE *out, const json_t *p, const struct sources *list)
{
    const char *object = json_string_value(json_object_get(p, "object"));
    const char *path = json_string_value(json_object_get(p, "path"));
    int64_t line;
    const struct source *from = sources_place(list, json_integer_value(json_object_get(p, "line")), &line);

    fprintf(out, "%s:%" PRId64 ": %s: %s%s%s%s%s\n", from ? from->name : "-", line,
            json_string_value(json_object_get(p, "severity")), object ? object : "", object && *object ? ": " : "",
            path ? path : "", path && *path ? ": " : "", json_string_value(json_object_get(p, "message")));
}

static void print_problems(FILE *out, const json_t *problems, const struct sources *list)
{
    const json_t *p;
    size_t i;

    json_array_foreach(problems, i, p)
        print_problem(out, p, list);
}

/* "virtualservice.networking.istio.io/guestbook configured", as kubectl says it. */
static void print_results(const json_t *results)
{
    const json_t *r;
    size_t i;

    json_array_foreach(results, i, r) {
        const char *word = json_string_value(json_object_get(r, "kind"));
        const struct mesh_kind *kind = mesh_kind_find(str_of(word));

        for (const char *p = word; p && *p; p++)
            putchar(*p >= 'A' && *p <= 'Z' ? *p | 0x20 : *p);
        printf("%s%s/%s %s\n", kind && *kind->group ? "." : "", kind ? kind->group : "",
               json_string_value(json_object_get(r, "name")), json_string_value(json_object_get(r, "action")));
    }
}

/* How many connected proxies have not acknowledged `version`; -1: the server does not say. Prints rejections. */
static int proxies_behind(const char *server, json_int_t version, bool *rejected)
{
    struct err e = ERR_INIT;
    json_t *body = client_json(server, &(struct client_call){ .method = "GET", .path = "/api/mesh/proxies" }, &e);
    const json_t *p;
    size_t i;
    int behind = 0;

    if (!body)
        return -1;
    json_array_foreach(json_object_get(body, "items"), i, p) {
        if (json_integer_value(json_object_get(p, "rejected")) >= version) {
            fprintf(stderr, "vigla: proxy %s keeps its old configuration: %s\n",
                    json_string_value(json_object_get(p, "node")), json_string_value(json_object_get(p, "error")));
            *rejected = true;
        } else {
            behind += json_integer_value(json_object_get(p, "version")) < version;
        }
    }
    json_decref(body);
    return behind;
}

static int wait_for_proxies(const char *server, json_int_t version, int64_t wait_ms)
{
    int64_t until = clock_mono_ns() + wait_ms * 1000000;
    bool rejected = false;
    int behind;

    while ((behind = proxies_behind(server, version, &rejected)) > 0 && clock_mono_ns() < until)
        usleep(20000);
    if (rejected)
        return EXIT_FAILED;
    if (behind > 0)
        fprintf(stderr, "vigla: %d %s not yet switched to version %" JSON_INTEGER_FORMAT "\n", behind,
                behind == 1 ? "proxy has" : "proxies have", version);
    return EXIT_WELL;
}

struct apply {
    struct session *s;
    struct option_list files;
    bool dry_run;
    int64_t wait_ms;
};

/* `quiet`: says nothing when it goes well. */
static int put(const struct apply *a, struct str stream, const struct sources *list, bool dry_run, bool quiet,
               json_int_t *version, struct err *e)
{
    struct buf path = BUF_INIT(4096);
    struct client_reply reply;
    json_t *body;
    int rc;

    buf_puts(&path, "/api/mesh/objects?namespace=");
    client_escape(&path, a->s->ns ? a->s->ns : "default");
    buf_puts(&path, dry_run ? "&dryRun=true" : "");
    rc = client_call(a->s->server, &(struct client_call){ .method = "PUT", .path = buf_cstr(&path), .body = stream },
                     &reply, e);
    buf_free(&path);
    if (rc < 0)
        return rc;
    body = json_loadb(reply.body.p ? reply.body.p : "", reply.body.n, 0, NULL);
    if (!quiet || reply.status >= 400)
        print_problems(stderr, json_object_get(body, "problems"), list);
    if (reply.status >= 400) {
        const char *why = json_string_value(json_object_get(body, "error"));

        rc = err_set(e, ERR_INVALID, "apply: %s", why ? why : "the server refused it");
    } else {
        *version = json_integer_value(json_object_get(body, "version"));
        if (!quiet)
            print_results(json_object_get(body, "results"));
    }
    json_decref(body);
    buf_free(&reply.body);
    return rc;
}

/* What runs comes before what sends traffic there: the whole is checked first, then the Deployments and Services are
 * applied, and when the new Pods are ready the routes follow, so that no request goes to a version that is not up yet. */
static int put_in_order(const struct apply *a, const struct sources *list, json_int_t *version, struct err *e)
{
    struct rollout r;
    int rc;

    rollout_init(&r);
    rc = rollout_split(&r, list->joined, a->s->ns ? a->s->ns : "default");
    if (rc < 0 || a->dry_run || a->wait_ms == 0 || !r.in_two_steps) {
        rc = put(a, list->joined, list, a->dry_run, false, version, e);
    } else {
        rc = put(a, list->joined, list, true, true, version, e);
        if (rc == 0)
            rc = put(a, buf_view(&r.workloads), list, false, false, version, e);
        if (rc == 0)
            rollout_wait(&r, a->s->server, a->wait_ms);
        if (rc == 0)
            rc = put(a, buf_view(&r.routes), list, false, false, version, e);
    }
    rollout_fini(&r);
    return rc;
}

static int run_apply(struct session *s, int argc, char **argv)
{
    struct apply a = { .s = s, .wait_ms = 10000 };
    const struct option options[] = {
        { "filename", 'f', OPTION_LIST, "FILE|DIR|-", "what to apply; may be repeated; - is standard input", &a.files },
        { "dry-run", 0, OPTION_FLAG, NULL, "check only", &a.dry_run },
        { "wait", 0, OPTION_DURATION, "TIME", "10s; for Pods to be ready and proxies to switch, 0: not", &a.wait_ms },
    };
    struct sources list = SOURCES_INIT;
    struct err e = ERR_INIT;
    json_int_t version = 0;
    int rc = command_options(s, &command_apply, options, 3, NULL, &argc, argv);

    if (rc >= 0)
        return rc;
    if (a.files.n == 0 || argc > 1)
        return command_usage("apply: say what to apply: -f FILE, -f DIR or -f -");
    rc = sources_read(&list, &a.files, &e);
    if (rc == 0)
        rc = put_in_order(&a, &list, &version, &e);
    sources_free(&list);
    if (rc < 0)
        return command_fail(EXIT_FAILED, &e);
    return a.dry_run || a.wait_ms == 0 ? EXIT_WELL : wait_for_proxies(s->server, version, a.wait_ms);
}

static int remove_object(struct session *s, const char *kind, const char *ns, const char *name, struct err *e)
{
    struct buf path = BUF_INIT(4096);
    json_t *body;

    buf_puts(&path, "/api/mesh/objects/");
    client_escape(&path, kind);
    buf_putc(&path, '/');
    client_escape(&path, ns && *ns ? ns : "-");
    buf_putc(&path, '/');
    client_escape(&path, name);
    body = client_json(s->server, &(struct client_call){ .method = "DELETE", .path = buf_cstr(&path) }, e);
    buf_free(&path);
    if (!body)
        return err_wrap(e, "delete %s %s", kind, name);
    json_decref(body);
    printf("%s \"%s\" deleted\n", kind, name);
    return 0;
}

/* Deletes every object that the files name; one that is not there is told and does not stop the rest. */
static int delete_files(struct session *s, const struct option_list *files, struct err *e)
{
    struct sources list = SOURCES_INIT;
    struct arena arena = ARENA_INIT(64 << 20);
    struct mesh_objects objects = { 0 };
    struct mesh_problems problems;
    int rc = sources_read(&list, files, e);

    mesh_problems_init(&problems, &arena);
    for (size_t i = 0; rc == 0 && i < list.n; i++)
        rc = mesh_parse(&arena, str_of(list.v[i].name), list.v[i].text, str_of(s->ns ? s->ns : "default"), &objects,
                        &problems);
    if (rc == 0 && problems.errors) {
        struct buf said = BUF_INIT(1 << 20);

        for (size_t i = 0; i < problems.n; i++) {
            mesh_problem_print(&said, &problems.v[i]);
            buf_putc(&said, '\n');
        }
        fwrite(said.p, 1, said.n, stderr);
        buf_free(&said);
        rc = err_set(e, ERR_INVALID, "delete: %zu error%s: nothing was deleted", problems.errors,
                     problems.errors == 1 ? "" : "s");
    }
    for (size_t i = objects.n; rc == 0 && i-- > 0;) {
        const char *kind = arena_cstr(&arena, objects.v[i].kind), *name = arena_cstr(&arena, objects.v[i].name);
        const char *ns = arena_cstr(&arena, objects.v[i].ns);

        rc = kind && name && ns ? remove_object(s, kind, ns, name, e) : err_set(e, ERR_NOMEM, "no memory");
        if (rc == ERR_NOTFOUND) {
            fprintf(stderr, "vigla: %s\n", e->msg);
            rc = 0;
        }
    }
    arena_free(&arena);
    sources_free(&list);
    return rc;
}

static int run_delete(struct session *s, int argc, char **argv)
{
    struct option_list files = { .n = 0 };
    const struct option options[] = {
        { "filename", 'f', OPTION_LIST, "FILE|DIR|-", "delete the objects that these files name", &files },
    };
    struct err e = ERR_INIT;
    int rc = command_options(s, &command_delete, options, 1, NULL, &argc, argv);

    if (rc >= 0)
        return rc;
    if (files.n == 0 && argc != 3)
        return command_usage("delete: say what: KIND NAME, or -f FILE");
    if (files.n) {
        rc = delete_files(s, &files, &e);
    } else {
        const struct mesh_kind *kind = mesh_kind_find(str_of(argv[1]));

        rc = remove_object(s, argv[1], kind && !kind->namespaced ? NULL : s->ns ? s->ns : "default", argv[2], &e);
    }
    return rc < 0 ? command_fail(EXIT_FAILED, &e) : EXIT_WELL;
}

const struct command command_apply = { "apply", "-f FILE|DIR|- [OPTION]...", "check objects and put them in force",
                                       run_apply };
const struct command command_delete = { "delete", "KIND NAME | -f FILE", "delete objects", run_delete };
