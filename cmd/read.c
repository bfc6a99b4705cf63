/* read.c: vigla query, graph, export: the stored telemetry on a terminal. vigla logs: logs.c. */
#include "base/clock.h"
#include "cmd/client-internal.h"
#include "cmd/command-internal.h"
#include "cmd/logs-internal.h"
#include "cmd/table-internal.h"
#include "mesh/object.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static const char *text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));

    return s ? s : "";
}

/* The answer as it came (a picture, JSON), or decoded for another form. */
static int print_answer(struct session *s, struct buf *path, int (*print)(const json_t *body, enum output form))
{
    struct err e = ERR_INIT;
    json_t *body;
    int rc;

    if (!print || s->output == OUTPUT_JSON)
        return client_print(s->server, buf_cstr(path), stdout, &e) < 0 ? command_fail(EXIT_FAILED, &e) : EXIT_WELL;
    body = client_json(s->server, &(struct client_call){ .method = "GET", .path = buf_cstr(path) }, &e);
    if (!body)
        return command_fail(EXIT_FAILED, &e);
    if (s->output == OUTPUT_YAML)
        rc = document_print(body, s->output, stdout) < 0 ? EXIT_FAILED : EXIT_WELL;
    else
        rc = print(body, s->output);
    json_decref(body);
    return rc;
}

/* --- query ------------------------------------------------------------------------------------------------------ */

static void print_labels(struct buf *b, const json_t *metric)
{
    const char *key;
    json_t *value;
    bool first = true;

    buf_puts(b, text(metric, "__name__"));
    buf_putc(b, '{');
    json_object_foreach((json_t *)(uintptr_t)metric, key, value) {
        if (strcmp(key, "__name__") == 0)
            continue;
        buf_printf(b, "%s%s=", first ? "" : ", ", key);
        buf_json(b, str_of(json_string_value(value)));
        first = false;
    }
    buf_putc(b, '}');
}

static void add_point(struct table *t, const char *series, const json_t *point)
{
    char when[CLOCK_TEXT];

    clock_rfc3339(when, (int64_t)llround(json_number_value(json_array_get(point, 0)) * 1e3) * 1000000);
    table_row(t, (const char *[]){ series, when, json_string_value(json_array_get(point, 1)) });
}

int result_print(const json_t *body, enum output form)
{
    static const char *const headings[] = { "SERIES", "TIME", "VALUE" };
    struct table *t = table_new(headings, 3);
    const json_t *data = json_object_get(body, "data"), *result = json_object_get(data, "result"), *series, *point;
    size_t i, p;
    int rc;

    if (!t)
        return EXIT_FAILED;
    if (json_is_number(json_array_get(result, 0)))
        add_point(t, text(data, "resultType"), result);
    else
        json_array_foreach(result, i, series) {
            struct buf name = BUF_INIT(64 * 1024);

            print_labels(&name, json_object_get(series, "metric"));
            if (json_object_get(series, "value"))
                add_point(t, buf_cstr(&name), json_object_get(series, "value"));
            json_array_foreach(json_object_get(series, "values"), p, point)
                add_point(t, buf_cstr(&name), point);
            buf_free(&name);
        }
    rc = table_print(t, form, stdout) < 0 ? EXIT_FAILED : EXIT_WELL;
    table_free(t);
    return rc;
}

static int run_query(struct session *s, int argc, char **argv)
{
    const char *time = NULL, *start = NULL, *end = NULL, *step = NULL;
    const struct option options[] = {
        { "time", 0, OPTION_TEXT, "T", "of an instant query: RFC 3339 or seconds (now)", &time },
        { "start", 0, OPTION_TEXT, "T", "of a range query", &start },
        { "end", 0, OPTION_TEXT, "T", "of a range query", &end },
        { "step", 0, OPTION_TEXT, "TIME", "of a range query: 15s", &step },
    };
    int rc = command_options(s, &command_query, options, 4, NULL, &argc, argv);
    struct buf path = BUF_INIT(64 * 1024);

    if (rc >= 0)
        return rc;
    if (argc != 2 || !start != !end)
        return command_usage("query: say what: vigla query PROMQL [--time T | --start T --end T --step TIME]");
    buf_puts(&path, start ? "/api/v1/query_range" : "/api/v1/query");
    client_parameter(&path, "query", argv[1]);
    client_parameter(&path, "time", time);
    client_parameter(&path, "start", start);
    client_parameter(&path, "end", end);
    client_parameter(&path, "step", start && !step ? "15s" : step);
    rc = print_answer(s, &path, result_print);
    buf_free(&path);
    return rc;
}

/* --- graph and export ------------------------------------------------------------------------------------------- */

struct view {
    const char *format, *window, *at, *type;
};

#define VIEW_OPTIONS(v)                                                                                            \
    { "window", 0, OPTION_TEXT, "TIME", "10m; how far back", &(v).window },                                        \
    { "at", 0, OPTION_TEXT, "T", "the window's end: RFC 3339 or seconds (now)", &(v).at },                         \
    { "type", 0, OPTION_TEXT, "TYPE", "workload, app, versionedApp or service", &(v).type }

static void view_path(struct buf *path, const struct session *s, const struct view *v)
{
    client_parameter(path, "window", v->window);
    client_parameter(path, "to", v->at);
    client_parameter(path, "graphType", v->type);
    client_parameter(path, "namespaces", s->ns);
}

static void number(char out[32], const json_t *o, const char *key, int decimals)
{
    const json_t *v = json_object_get(o, key);

    if (json_is_number(v))
        snprintf(out, 32, "%.*f", decimals, json_number_value(v));
    else
        snprintf(out, 32, "-");
}

static void node_name(char out[256], const json_t *nodes, const char *id)
{
    static const char *const keys[] = { "workload", "app", "service" };
    const json_t *node;
    size_t i;

    snprintf(out, 256, "unknown");
    json_array_foreach(nodes, i, node) {
        const json_t *data = json_object_get(node, "data");

        if (strcmp(text(data, "id"), id) != 0)
            continue;
        for (size_t k = 0; k < 3; k++)
            if (*text(data, keys[k])) {
                snprintf(out, 256, "%s.%s%s", text(data, keys[k]), text(data, "namespace"), k == 2 ? " (service)" : "");
                return;
            }
    }
}

static int print_graph(const json_t *body, enum output form)
{
    static const char *const headings[] = { "FROM", "TO", "PROTOCOL", "REQUESTS", "RPS", "ERRORS", "P50 MS", "P95 MS",
                                            "P99 MS", "BYTES OUT", "BYTES BACK" };
    const json_t *elements = json_object_get(body, "elements"), *nodes = json_object_get(elements, "nodes"), *edge;
    struct table *t = table_new(headings, 11);
    size_t i;

    if (!t)
        return EXIT_FAILED;
    json_array_foreach(json_object_get(elements, "edges"), i, edge) {
        const json_t *data = json_object_get(edge, "data"), *v = json_object_get(data, "vigla");
        char from[256], to[256], cell[8][32];
        bool tcp = strcmp(text(json_object_get(data, "traffic"), "protocol"), "tcp") == 0;

        node_name(from, nodes, text(data, "source"));
        node_name(to, nodes, text(data, "target"));
        number(cell[0], v, tcp ? "connections" : "requests", 0);
        number(cell[1], v, "rps", 2);
        number(cell[2], v, "errors", 0);
        number(cell[3], v, "p50", 1);
        number(cell[4], v, "p95", 1);
        number(cell[5], v, "p99", 1);
        number(cell[6], v, "receivedBytes", 0);
        number(cell[7], v, "sentBytes", 0);
        table_row(t, (const char *[]){ from, to, text(json_object_get(data, "traffic"), "protocol"), cell[0],
                                       tcp ? "-" : cell[1], tcp ? "-" : cell[2], tcp ? "-" : cell[3],
                                       tcp ? "-" : cell[4], tcp ? "-" : cell[5], cell[6], cell[7] });
    }
    table_print(t, form, stdout);
    table_free(t);
    return EXIT_WELL;
}

static int export_topology(struct session *s, const struct view *v)
{
    struct buf path = BUF_INIT(16 * 1024);
    int rc;

    buf_puts(&path, "/api/topology");
    client_parameter(&path, "format", v->format);
    view_path(&path, s, v);
    rc = print_answer(s, &path, NULL);
    buf_free(&path);
    return rc;
}

static int run_graph(struct session *s, int argc, char **argv)
{
    struct view v = { .window = "10m" };
    const struct option options[] = {
        { "format", 0, OPTION_TEXT, "FORMAT", "dot, svg, png, graphml, mermaid, csv, json or cytoscape instead of a table",
          &v.format },
        VIEW_OPTIONS(v),
    };
    int rc = command_options(s, &command_graph, options, 4, NULL, &argc, argv);
    struct buf path = BUF_INIT(16 * 1024);

    if (rc >= 0)
        return rc;
    if (argc != 1)
        return command_usage("graph: %s: takes options only", argv[1]);
    if (v.format)
        return export_topology(s, &v);
    buf_puts(&path, "/api/graph");
    view_path(&path, s, &v);
    rc = print_answer(s, &path, print_graph);
    buf_free(&path);
    return rc;
}

static int run_export(struct session *s, int argc, char **argv)
{
    struct view v = { .window = "10m", .format = "dot" };
    const struct option options[] = {
        { "format", 0, OPTION_TEXT, "FORMAT", "dot; svg, png, graphml, mermaid, csv, json or cytoscape", &v.format },
        VIEW_OPTIONS(v),
    };
    int rc = command_options(s, &command_export, options, 4, NULL, &argc, argv);

    if (rc >= 0)
        return rc;
    if (argc != 2 || strcmp(argv[1], "topology") != 0)
        return command_usage("export: say what: vigla export topology [--format FORMAT]");
    return export_topology(s, &v);
}

const struct command command_query = { "query", "PROMQL [--time T | --start T --end T --step TIME]", "ask for metrics in PromQL", run_query };
const struct command command_graph = { "graph", "[OPTION]...", "print the service graph", run_graph };
const struct command command_export = { "export", "topology [OPTION]...", "write the service graph in other tools' formats", run_export };
