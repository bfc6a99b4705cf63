/* get.c: vigla get, describe, pods, proxy-status: what the server knows of the mesh. */
#include "base/clock.h"
#include "cmd/client-internal.h"
#include "cmd/command-internal.h"
#include "cmd/table-internal.h"
#include "mesh/object.h"

#include <inttypes.h>
#include <string.h>

static const char *text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));

    return s ? s : "";
}

/* "3m" or "2d4h": the two largest units since `ms`. */
static void age(char out[CLOCK_TEXT], json_int_t ms)
{
    int64_t s = ms ? (clock_now_ms() - ms) / 1000 : 0;

    if (s < 120)
        s = s < 0 ? 0 : s;
    else if (s < 7200)
        s -= s % 60;
    else
        s -= s % 3600;
    duration_text(out, s * 1000);
}

static json_t *list_objects(struct session *s, const char *kind, struct err *e)
{
    struct buf path = BUF_INIT(4096);
    json_t *body;

    buf_puts(&path, "/api/mesh/objects?kind=");
    client_escape(&path, kind);
    if (s->ns) {
        buf_puts(&path, "&namespace=");
        client_escape(&path, s->ns);
    }
    body = client_json(s->server, &(struct client_call){ .method = "GET", .path = buf_cstr(&path) }, e);
    buf_free(&path);
    return body;
}

static void object_path(struct session *s, struct buf *path, const char *kind, const char *name)
{
    const struct mesh_kind *known = mesh_kind_find(str_of(kind));

    buf_puts(path, "/api/mesh/objects/");
    client_escape(path, kind);
    buf_putc(path, '/');
    client_escape(path, known && !known->namespaced ? "-" : s->ns ? s->ns : "default");
    buf_putc(path, '/');
    client_escape(path, name);
}

static int print_list(struct session *s, const json_t *items)
{
    static const char *const headings[] = { "NAMESPACE", "NAME", "KIND", "AGE", "VERSION" };
    struct table *t = table_new(headings, 5);
    const json_t *item;
    size_t i;

    if (!t)
        return EXIT_FAILED;
    json_array_foreach(items, i, item) {
        char since[CLOCK_TEXT], revision[24];

        age(since, json_integer_value(json_object_get(item, "createdMs")));
        snprintf(revision, sizeof(revision), "%" JSON_INTEGER_FORMAT,
                 json_integer_value(json_object_get(item, "revision")));
        table_row(t, (const char *[]){ text(item, "namespace"), text(item, "name"), text(item, "kind"), since,
                                       revision });
    }
    table_print(t, s->output, stdout);
    table_free(t);
    return EXIT_WELL;
}

static int unknown_kind(const char *command, const char *kind)
{
    return command_usage("%s: %s: no such kind (virtualservice, destinationrule, gateway, service, pod, ...)", command, kind);
}

static int get_one(struct session *s, const char *kind, const char *name)
{
    struct buf path = BUF_INIT(4096);
    struct err e = ERR_INIT;
    int rc;

    object_path(s, &path, kind, name);
    buf_puts(&path, s->output == OUTPUT_JSON ? "" : "?format=yaml");
    if (buf_failed(&path))
        rc = command_usage("get: %s: the name is too long", name);
    else if (client_print(s->server, buf_cstr(&path), stdout, &e) < 0)
        rc = command_fail(EXIT_FAILED, &e);
    else
        rc = EXIT_WELL;
    buf_free(&path);
    return rc;
}

static int get_kind(struct session *s, const char *kind)
{
    struct err e = ERR_INIT;
    json_t *body = list_objects(s, kind, &e);
    int rc;

    if (!body)
        return command_fail(EXIT_FAILED, &e);
    if (output_is_document(s->output))
        rc = document_print(body, s->output, stdout) < 0 ? EXIT_FAILED : EXIT_WELL;
    else if (json_array_size(json_object_get(body, "items")) == 0)
        rc = (fprintf(stderr, "No %s%s%s.\n", kind, s->ns ? " in namespace " : "", s->ns ? s->ns : ""), EXIT_WELL);
    else
        rc = print_list(s, json_object_get(body, "items"));
    json_decref(body);
    return rc;
}

static bool ready(const json_t *pod)
{
    const json_t *condition;
    size_t i;

    json_array_foreach(json_object_get(json_object_get(pod, "status"), "conditions"), i, condition)
        if (strcmp(text(condition, "type"), "Ready") == 0)
            return strcmp(text(condition, "status"), "True") == 0;
    return false;
}

static int print_pods(struct session *s)
{
    static const char *const headings[] = { "NAMESPACE", "NAME", "READY", "RESTARTS", "AGE", "IP" };
    struct table *t = table_new(headings, 6);
    struct err e = ERR_INIT;
    json_t *body = t ? list_objects(s, "Pod", &e) : NULL;
    const json_t *item;
    size_t i;

    if (!body) {
        table_free(t);
        return command_fail(EXIT_FAILED, &e);
    }
    json_array_foreach(json_object_get(body, "items"), i, item) {
        const json_t *pod = json_object_get(item, "object"), *status = json_object_get(pod, "status"), *container;
        size_t c, up = 0, all = 0;
        json_int_t restarts = 0;
        char since[CLOCK_TEXT], share[24], count[24];

        json_array_foreach(json_object_get(status, "containerStatuses"), c, container) {
            up += json_is_true(json_object_get(container, "ready"));
            all++;
            restarts += json_integer_value(json_object_get(container, "restartCount"));
        }
        age(since, json_integer_value(json_object_get(item, "createdMs")));
        if (all)
            snprintf(share, sizeof(share), "%zu/%zu", up, all);
        else
            snprintf(share, sizeof(share), "%s", ready(pod) ? "yes" : "no");
        snprintf(count, sizeof(count), "%" JSON_INTEGER_FORMAT, restarts);
        table_row(t, (const char *[]){ text(item, "namespace"), text(item, "name"), share, count, since,
                                       text(status, "podIP") });
    }
    if (output_is_document(s->output))
        document_print(body, s->output, stdout);
    else
        table_print(t, s->output, stdout);
    table_free(t);
    json_decref(body);
    return EXIT_WELL;
}

static int run_pods(struct session *s, int argc, char **argv)
{
    int rc = command_options(s, &command_pods, NULL, 0, NULL, &argc, argv);

    if (rc >= 0)
        return rc;
    return argc == 1 ? print_pods(s) : command_usage("pods: %s: takes options only", argv[1]);
}

static int run_get(struct session *s, int argc, char **argv)
{
    int rc = command_options(s, &command_get, NULL, 0,
                             "KIND is any name of a kind: virtualservice, vs, VirtualService, services, pods, ...", &argc,
                             argv);

    if (rc >= 0)
        return rc;
    if (argc < 2 || argc > 3)
        return command_usage("get: say what: vigla get KIND [NAME]");
    if (!mesh_kind_find(str_of(argv[1])))
        return unknown_kind("get", argv[1]);
    if (argc == 3)
        return get_one(s, argv[1], argv[2]);
    if (strcmp(mesh_kind_find(str_of(argv[1]))->kind, "Pod") == 0)
        return print_pods(s);
    return get_kind(s, argv[1]);
}

static json_t *history(struct session *s, const char *kind, const char *name, struct err *e)
{
    const struct mesh_kind *known = mesh_kind_find(str_of(kind));
    struct buf path = BUF_INIT(4096);
    json_t *body;

    buf_puts(&path, "/api/mesh/history?limit=10&kind=");
    client_escape(&path, kind);
    buf_puts(&path, "&namespace=");
    client_escape(&path, known && !known->namespaced ? "" : s->ns ? s->ns : "default");
    buf_puts(&path, "&name=");
    client_escape(&path, name);
    body = client_json(s->server, &(struct client_call){ .method = "GET", .path = buf_cstr(&path) }, e);
    buf_free(&path);
    return body;
}

static int print_history(const json_t *body)
{
    const json_t *item;
    size_t i;

    puts("\nVersions:");
    json_array_foreach(json_object_get(body, "items"), i, item) {
        char when[CLOCK_TEXT];

        clock_rfc3339(when, json_integer_value(json_object_get(item, "changedMs")) * 1000000);
        printf("  %-6" JSON_INTEGER_FORMAT " %s%s\n", json_integer_value(json_object_get(item, "revision")), when,
               json_is_true(json_object_get(item, "deleted")) ? "  deleted" : "");
    }
    return EXIT_WELL;
}

/* For programs: {"object": …, "versions": […]}. */
static int print_described(struct session *s, const char *kind, const char *name, json_t *versions)
{
    struct buf path = BUF_INIT(4096);
    struct err e = ERR_INIT;
    json_t *object, *both = NULL;
    int rc;

    object_path(s, &path, kind, name);
    object = client_json(s->server, &(struct client_call){ .method = "GET", .path = buf_cstr(&path) }, &e);
    buf_free(&path);
    if (!object)
        return command_fail(EXIT_FAILED, &e);
    both = json_pack("{s:o, s:O}", "object", object, "versions", json_object_get(versions, "items"));
    rc = both && document_print(both, s->output, stdout) == 0 ? EXIT_WELL : EXIT_FAILED;
    json_decref(both);
    return rc;
}

static int run_describe(struct session *s, int argc, char **argv)
{
    int rc = command_options(s, &command_describe, NULL, 0, NULL, &argc, argv);
    struct err e = ERR_INIT;
    json_t *versions;

    if (rc >= 0)
        return rc;
    if (argc != 3)
        return command_usage("describe: say what: vigla describe KIND NAME");
    if (!mesh_kind_find(str_of(argv[1])))
        return unknown_kind("describe", argv[1]);
    if (!output_is_document(s->output) && (rc = get_one(s, argv[1], argv[2])) > 0)
        return rc;
    versions = history(s, argv[1], argv[2], &e);
    if (!versions)
        return command_fail(EXIT_FAILED, &e);
    rc = output_is_document(s->output) ? print_described(s, argv[1], argv[2], versions) : print_history(versions);
    json_decref(versions);
    return rc;
}

static int run_proxy_status(struct session *s, int argc, char **argv)
{
    static const char *const headings[] = { "PROXY", "STATE", "VERSION", "LAST SEEN", "ERROR" };
    int rc = command_options(s, &command_proxy_status, NULL, 0, NULL, &argc, argv);
    struct err e = ERR_INIT;
    struct table *t;
    json_t *body;
    const json_t *item;
    size_t i;

    if (rc >= 0)
        return rc;
    if (argc > 1)
        return command_usage("proxy-status: %s: takes options only", argv[1]);
    t = table_new(headings, 5);
    body = t ? client_json(s->server, &(struct client_call){ .method = "GET", .path = "/api/mesh/proxies" }, &e) : NULL;
    if (!body) {
        table_free(t);
        return command_fail(EXIT_FAILED, &e);
    }
    json_array_foreach(json_object_get(body, "items"), i, item) {
        char version[24], since[CLOCK_TEXT];
        json_int_t at = json_integer_value(json_object_get(item, "version"));
        bool behind = at < json_integer_value(json_object_get(body, "version"));

        snprintf(version, sizeof(version), "%" JSON_INTEGER_FORMAT, at);
        age(since, json_integer_value(json_object_get(item, "lastSeenMs")));
        table_row(t, (const char *[]){ text(item, "node"), *text(item, "error") ? "REJECTED" : behind ? "STALE" : "SYNCED",
                                       version, since, text(item, "error") });
    }
    if (output_is_document(s->output))
        document_print(body, s->output, stdout);
    else
        table_print(t, s->output, stdout);
    table_free(t);
    json_decref(body);
    return EXIT_WELL;
}

const struct command command_get = { "get", "KIND [NAME]", "list objects, or print one", run_get };
const struct command command_describe = { "describe", "KIND NAME", "print an object and its versions", run_describe };
const struct command command_pods = { "pods", "", "list what runs", run_pods };
const struct command command_proxy_status = { "proxy-status", "", "which configuration each proxy has", run_proxy_status };
