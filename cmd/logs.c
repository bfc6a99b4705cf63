/* logs.c: vigla logs: log lines of a Pod, or what LogQL finds, once or as they come. */
#include "base/clock.h"
#include "cmd/logs-internal.h"

#include <inttypes.h>
#include <string.h>

static const char details[] =
    "POD stands for its lines; -c istio-proxy for its proxy's access log. LOGQL begins with { or is a metric query:\n"
    "  vigla logs '{kind=\"access_log\"} | status >= 500' --since 10m\n"
    "  vigla logs '{app=\"web\"} |= \"error\"' -f\n"
    "  vigla logs 'sum by (workload) (count_over_time({kind=\"log\"}[5m]))'\n"
    "Forms: raw, the lines alone (a Pod's default); table, with time and labels (LogQL's); jsonl, an object for each line;\n"
    "json, the server's answer. Lines come oldest first; --limit keeps the newest ones, --forward the oldest.\n"
    "Exit codes: 0 well, also when there are no lines; 1 the server refuses or is not there; 2 wrong usage.";

/* A selector is taken as it is; a Pod's name stands for its lines. */
static void selector(struct buf *b, const char *what, const char *container, const char *ns)
{
    bool proxy = container && strcmp(container, "istio-proxy") == 0;

    if (strpbrk(what, "{(")) {
        buf_puts(b, what);
        return;
    }
    buf_printf(b, "{kind=\"%s\"", proxy ? "access_log" : "log");
    if (ns) {
        buf_puts(b, ",namespace=");
        buf_json(b, str_of(ns));
    }
    buf_puts(b, "} | pod=");
    buf_json(b, str_of(what));
    if (!proxy) { /* without -c: the application's lines, not the sidecar's own */
        buf_puts(b, container ? " | container=" : " | container!=");
        buf_json(b, str_of(container ? container : "istio-proxy"));
    }
}

struct wanted {
    const char *what, *query;
    int64_t from_ns, limit;
    bool forward, as_json;
};

/* Numbers are asked for as they are now. */
static bool is_metric(const char *query)
{
    return query[strspn(query, " \t\r\n(")] != '{';
}

static void query_path(struct buf *path, const struct wanted *w)
{
    if (is_metric(w->query)) {
        buf_puts(path, "/loki/api/v1/query?query=");
        client_escape(path, w->query);
        return;
    }
    buf_printf(path, "/loki/api/v1/query_range?direction=%s&limit=%" PRId64 "&start=%" PRId64 "&end=%" PRId64 "&query=",
               w->forward ? "forward" : "backward", w->limit, w->from_ns, clock_now_ns() + 1000000000);
    client_escape(path, w->query);
}

/* The answer's lines, or its numbers. */
static int print_body(const json_t *body, struct log_printer *p, struct err *e)
{
    const json_t *data = json_object_get(body, "data");
    const char *type = json_string_value(json_object_get(data, "resultType"));

    if (type && strcmp(type, "streams") == 0)
        return logs_print(p, json_object_get(data, "result"), e);
    p->last_ns = -1; /* something was printed */
    return result_print(body, OUTPUT_TABLE) == EXIT_WELL ? 0 : err_set(e, ERR_IO, "logs: the answer cannot be printed");
}

static int print_once(struct session *s, const struct wanted *w, struct log_printer *p, struct err *e)
{
    struct buf path = BUF_INIT(256 * 1024);
    json_t *body;
    int rc;

    query_path(&path, w);
    if (w->as_json) {
        rc = client_print(s->server, buf_cstr(&path), stdout, e);
        p->last_ns = -1;
    } else {
        body = client_json(s->server, &(struct client_call){ .method = "GET", .path = buf_cstr(&path),
                                                             .header = "X-Loki-Response-Encoding-Flags: categorize-labels",
                                                             .timeout_ms = 120000 }, e);
        rc = body ? print_body(body, p, e) : e->code;
        json_decref(body);
    }
    buf_free(&path);
    return rc;
}

/* No line came: is there such a Pod at all? */
static int expect_pod(struct session *s, const char *name, struct err *e)
{
    struct buf path = BUF_INIT(16 * 1024);
    json_t *body;
    size_t n;

    buf_puts(&path, "/api/mesh/objects?kind=Pod&name=");
    client_escape(&path, name);
    if (s->ns) {
        buf_puts(&path, "&namespace=");
        client_escape(&path, s->ns);
    }
    body = client_json(s->server, &(struct client_call){ .method = "GET", .path = buf_cstr(&path) }, e);
    buf_free(&path);
    if (!body)
        return e->code;
    n = json_array_size(json_object_get(body, "items"));
    json_decref(body);
    return n ? 0 : err_set(e, ERR_NOTFOUND, "logs: %s: no lines, and no such Pod (vigla pods lists them)", name);
}

/* -o; nothing said is "table" here, as for all commands. */
static int read_form(const struct session *s, bool is_pod, struct log_printer *p, struct wanted *w)
{
    const char *word = s->output_word;

    w->as_json = strcmp(word, "json") == 0;
    p->form = strcmp(word, "raw") == 0 ? LOG_RAW : strcmp(word, "jsonl") == 0 ? LOG_JSONL : LOG_TABLE;
    if (strcmp(word, "table") == 0 && is_pod)
        p->form = LOG_RAW;
    if (w->as_json || p->form != LOG_TABLE || strcmp(word, "table") == 0)
        return EXIT_WELL;
    return command_usage("-o %s: should be table, raw, json or jsonl", word);
}

static int run_logs(struct session *s, int argc, char **argv)
{
    const char *container = NULL;
    int64_t since = 3600000;
    struct wanted w = { .limit = 1000 };
    bool follow = false, no_labels = false;
    const struct option options[] = {
        { "container", 'c', OPTION_TEXT, "NAME", "of the Pod; istio-proxy: its proxy's access log", &container },
        { "since", 0, OPTION_DURATION, "TIME", "1h; how far back", &since },
        { "limit", 0, OPTION_NUMBER, "N", "1000; so many lines at most", &w.limit },
        { "tail", 0, OPTION_NUMBER, "N", "the same", &w.limit },
        { "forward", 0, OPTION_FLAG, NULL, "the oldest lines, not the newest", &w.forward },
        { "no-labels", 0, OPTION_FLAG, NULL, "leave labels out", &no_labels },
        { "follow", 'f', OPTION_FLAG, NULL, "go on with new lines until Ctrl-C", &follow },
    };
    struct log_printer p = { .colour = s->colour };
    struct buf query = BUF_INIT(64 * 1024);
    struct err e = ERR_INIT;
    bool is_pod;
    int rc;

    s->forms = "table, raw, json or jsonl";
    rc = command_options(s, &command_logs, options, sizeof(options) / sizeof(options[0]), details, &argc, argv);
    if (rc >= 0)
        return rc;
    if (argc != 2)
        return command_usage("logs: say whose: vigla logs POD [-c istio-proxy], or vigla logs '{kind=\"access_log\"} |= \"GET\"'");
    w.what = argv[1];
    is_pod = !strpbrk(w.what, "{(");
    if (read_form(s, is_pod, &p, &w) != EXIT_WELL)
        return EXIT_USAGE;
    if (follow && (w.as_json || w.forward))
        return command_usage("logs: -f goes with -o raw, table or jsonl, and not with --forward");
    selector(&query, w.what, container, s->ns);
    w.query = buf_cstr(&query);
    if (!w.query)
        return command_usage("logs: the query is too long");
    w.from_ns = clock_now_ns() - since * 1000000;
    p.labels = !no_labels;
    rc = follow ? logs_follow(&(struct log_follow){ s->server, w.query, w.from_ns, w.limit }, &p, &e)
                : print_once(s, &w, &p, &e);
    if (rc == 0 && !p.last_ns && is_pod)
        rc = expect_pod(s, w.what, &e);
    buf_free(&query);
    return rc < 0 ? command_fail(EXIT_FAILED, &e) : EXIT_WELL;
}

const struct command command_logs = { "logs", "POD [-c istio-proxy] | LOGQL", "print log lines", run_logs };
