/* traces.c: vigla traces: a list of the traces that are asked for, or one of them as a tree.
 *
 *   vigla traces --service frontend.shop     TRACE  STARTED  DURATION  SPANS  ERRORS  SERVICES  BEGINS WITH
 *   vigla traces 4bf92f…                     each span below its parent, with its times and where they lie in the trace's */
#include "base/clock.h"
#include "base/num.h"
#include "cmd/client-internal.h"
#include "cmd/command-internal.h"
#include "cmd/table-internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    STATUS_ERROR = 2,
    MOST_DEPTH = 100,  /* of the tree that is drawn: what lies deeper stands beside its parent */
    LONGEST_LABEL = 1024,
    BAR_CELLS = 24
};

/* A span of the server's answer: texts are the document's. */
struct span {
    const char *trace, *id, *parent, *name, *service;
    int64_t start_ns, end_ns;
    bool error, drawn;
};

struct spans {
    struct span *v; /* owned */
    size_t n, cap;
};

static const char *text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));

    return s ? s : "";
}

static int64_t nanoseconds(const json_t *o, const char *key)
{
    int64_t v = 0;

    num_i64(str_of(text(o, key)), &v);
    return v;
}

/* --- the answer --- */

static const char *service_of(const json_t *resource)
{
    const json_t *attribute;
    size_t i;

    json_array_foreach(json_object_get(resource, "attributes"), i, attribute)
        if (strcmp(text(attribute, "key"), "service.name") == 0)
            return text(json_object_get(attribute, "value"), "stringValue");
    return "";
}

static int add_span(struct spans *all, const json_t *span, const char *service)
{
    if (all->n == all->cap) {
        size_t cap = all->cap ? 2 * all->cap : 256;
        struct span *v = realloc(all->v, cap * sizeof(*v));

        if (!v)
            return ERR_NOMEM;
        all->v = v;
        all->cap = cap;
    }
    all->v[all->n++] = (struct span){
        .trace = text(span, "traceId"),
        .id = text(span, "spanId"),
        .parent = text(span, "parentSpanId"),
        .name = text(span, "name"),
        .service = service,
        .start_ns = nanoseconds(span, "startTimeUnixNano"),
        .end_ns = nanoseconds(span, "endTimeUnixNano"),
        .error = json_integer_value(json_object_get(json_object_get(span, "status"), "code")) == STATUS_ERROR,
    };
    return 0;
}

/* By trace, and then by time; of two that begin together the longer one first. */
static int by_trace(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    int order = strcmp(x->trace, y->trace);

    if (order == 0 && x->start_ns != y->start_ns)
        order = x->start_ns < y->start_ns ? -1 : 1;
    return order ? order : (x->end_ns < y->end_ns) - (x->end_ns > y->end_ns);
}

static int collect(const json_t *body, struct spans *all)
{
    const json_t *resources = json_object_get(json_object_get(body, "result"), "resourceSpans"), *resource, *scope, *span;
    size_t r, s, i;

    json_array_foreach(resources, r, resource)
        json_array_foreach(json_object_get(resource, "scopeSpans"), s, scope)
            json_array_foreach(json_object_get(scope, "spans"), i, span)
                if (add_span(all, span, service_of(json_object_get(resource, "resource"))) < 0)
                    return ERR_NOMEM;
    if (all->n)
        qsort(all->v, all->n, sizeof(*all->v), by_trace);
    return 0;
}

/* How many of the spans from `v` on are of one trace. */
static size_t trace_length(const struct span *v, size_t n)
{
    size_t length = 1;

    while (length < n && strcmp(v[length].trace, v[0].trace) == 0)
        length++;
    return length;
}

static int64_t trace_end(const struct span *v, size_t n)
{
    int64_t end = v[0].end_ns;

    for (size_t i = 1; i < n; i++)
        if (v[i].end_ns > end)
            end = v[i].end_ns;
    return end;
}

static void print_duration(char out[32], int64_t ns)
{
    if (ns < 1000000)
        snprintf(out, 32, "%.4gus", (double)ns / 1e3);
    else if (ns < 1000000000)
        snprintf(out, 32, "%.4gms", (double)ns / 1e6);
    else
        snprintf(out, 32, "%.4gs", (double)ns / 1e9);
}

/* --- the list --- */

struct listed {
    const struct span *v;
    size_t n;
};

static int by_newest(const void *a, const void *b)
{
    const struct listed *x = a, *y = b;

    return (x->v->start_ns < y->v->start_ns) - (x->v->start_ns > y->v->start_ns);
}

/* The services of a trace, each once, as they come. */
static void print_services(struct buf *b, const struct listed *t)
{
    for (size_t i = 0; i < t->n; i++) {
        bool known = false;

        for (size_t k = 0; k < i && !known; k++)
            known = strcmp(t->v[k].service, t->v[i].service) == 0;
        if (!known)
            buf_printf(b, "%s%s", b->n ? "," : "", t->v[i].service);
    }
}

static void list_trace(struct table *t, const struct listed *l)
{
    struct buf services = BUF_INIT(64 * 1024);
    char when[CLOCK_TEXT], duration[32], spans[24], errors[24];
    size_t failed = 0;

    for (size_t i = 0; i < l->n; i++)
        failed += l->v[i].error;
    clock_rfc3339_ms(when, l->v->start_ns / 1000000);
    print_duration(duration, trace_end(l->v, l->n) - l->v->start_ns);
    snprintf(spans, sizeof(spans), "%zu", l->n);
    snprintf(errors, sizeof(errors), "%zu", failed);
    print_services(&services, l);
    table_row(t, (const char *[]){ l->v->trace, when, duration, spans, errors, buf_cstr(&services), l->v->name });
    buf_free(&services);
}

static int print_list(const struct spans *all, enum output form)
{
    static const char *const headings[] = { "TRACE", "STARTED", "DURATION", "SPANS", "ERRORS", "SERVICES", "BEGINS WITH" };
    struct table *t = table_new(headings, sizeof(headings) / sizeof(headings[0]));
    struct listed *list = calloc(all->n ? all->n : 1, sizeof(*list));
    size_t n = 0;
    int rc = t && list ? 0 : ERR_NOMEM;

    for (size_t i = 0; rc == 0 && i < all->n; i += list[n++].n)
        list[n] = (struct listed){ &all->v[i], trace_length(&all->v[i], all->n - i) };
    if (n)
        qsort(list, n, sizeof(*list), by_newest);
    for (size_t i = 0; rc == 0 && i < n; i++)
        list_trace(t, &list[i]);
    if (rc == 0)
        rc = table_print(t, form, stdout);
    free(list);
    table_free(t);
    return rc;
}

/* --- the tree --- */

struct row {
    const struct span *span;
    char label[LONGEST_LABEL]; /* branches and service */
};

struct tree {
    struct span *v; /* by parent, then time */
    size_t n;
    const char **ids; /* sorted */
    struct row *rows;
    size_t nrows;
    char branches[MOST_DEPTH * 8];
};

static int by_parent(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    int order = strcmp(x->parent, y->parent);

    return order ? order : by_trace(a, b);
}

/* The first span below `parent`; tree->n: there is none. */
static size_t first_child(const struct tree *t, const char *parent)
{
    size_t low = 0, high = t->n;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (strcmp(t->v[middle].parent, parent) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < t->n && strcmp(t->v[low].parent, parent) == 0 ? low : t->n;
}

static bool is_child(const struct tree *t, size_t i, const char *parent)
{
    return i < t->n && strcmp(t->v[i].parent, parent) == 0;
}

static void draw(struct tree *t, struct span *s, unsigned depth, bool last);

static void draw_children(struct tree *t, const char *parent, unsigned depth)
{
    for (size_t i = first_child(t, parent); is_child(t, i, parent); i++)
        if (!t->v[i].drawn)
            draw(t, &t->v[i], depth, !is_child(t, i + 1, parent));
}

/* One row, and what lies below it. A span that is its own ancestor is drawn once. */
static void draw(struct tree *t, struct span *s, unsigned depth, bool last)
{
    size_t length = strlen(t->branches);
    struct row *r = &t->rows[t->nrows++];

    s->drawn = true;
    r->span = s;
    snprintf(r->label, sizeof(r->label), "%s%s%s", t->branches, depth == 0 ? "" : last ? "└─ " : "├─ ", s->service);
    if (depth && depth < MOST_DEPTH)
        strcat(t->branches, last ? "   " : "│  ");
    if (*s->id)
        draw_children(t, s->id, depth < MOST_DEPTH ? depth + 1 : depth);
    t->branches[length] = '\0';
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool has_parent(const struct tree *t, const struct span *s)
{
    return *s->parent && bsearch(&s->parent, t->ids, t->n, sizeof(*t->ids), by_text);
}

/* First what has no parent here; then what is left, of circles. */
static void draw_all(struct tree *t)
{
    for (int circles = 0; circles < 2; circles++)
        for (size_t i = 0; i < t->n; i++)
            if (!t->v[i].drawn && (circles || !has_parent(t, &t->v[i])))
                draw(t, &t->v[i], 0, true);
}

/* Columns on a terminal: of UTF-8, what begins a character. */
static int width_of(const char *s)
{
    int n = 0;

    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

/* Where the span lies in the whole. */
static void print_bar(struct buf *b, const struct span *s, int64_t start, int64_t end)
{
    double whole = end > start ? (double)(end - start) : 1;
    int from = (int)((double)(s->start_ns - start) / whole * BAR_CELLS);
    int to = (int)((double)(s->end_ns - start) / whole * BAR_CELLS + 0.999);

    from = from < 0 ? 0 : from >= BAR_CELLS ? BAR_CELLS - 1 : from;
    for (int i = 0; i < BAR_CELLS; i++)
        buf_puts(b, i == from || (i > from && i < to) ? "█" : "·");
}

static void print_row(struct buf *b, const struct row *r, int label_width, int name_width, int64_t start, int64_t end,
                      bool colour)
{
    const struct span *s = r->span;
    char duration[32], offset[32];

    print_duration(duration, s->end_ns - s->start_ns);
    print_duration(offset, s->start_ns - start);
    buf_puts(b, s->error && colour ? "\033[31m" : "");
    buf_printf(b, "%s%*s  %s%*s", r->label, label_width - width_of(r->label), "", s->name, name_width - width_of(s->name), "");
    buf_printf(b, "  %9s  +%-9s ", duration, s->start_ns > start ? offset : "0");
    print_bar(b, s, start, end);
    buf_puts(b, s->error ? "  error" : "");
    buf_puts(b, s->error && colour ? "\033[0m\n" : "\n");
}

static int print_rows(const struct tree *t, bool colour)
{
    struct buf b = BUF_INIT(64 << 20);
    int64_t start = t->v[0].start_ns, end = trace_end(t->v, t->n);
    int label = 0, name = 0, rc;
    char when[CLOCK_TEXT], duration[32];

    for (size_t i = 0; i < t->nrows; i++) {
        int l = width_of(t->rows[i].label), n = width_of(t->rows[i].span->name);

        label = l > label ? l : label;
        name = n > name ? n : name;
        start = t->rows[i].span->start_ns < start ? t->rows[i].span->start_ns : start;
    }
    clock_rfc3339_ms(when, start / 1000000);
    print_duration(duration, end - start);
    buf_printf(&b, "trace %s  %s  %s  %zu span%s\n", t->v[0].trace, when, duration, t->n, t->n == 1 ? "" : "s");
    for (size_t i = 0; i < t->nrows; i++)
        print_row(&b, &t->rows[i], label, name, start, end, colour);
    rc = buf_failed(&b) ? ERR_NOMEM : 0;
    if (rc == 0)
        fwrite(b.p, 1, b.n, stdout);
    buf_free(&b);
    return rc;
}

static int print_tree(const struct spans *all, bool colour)
{
    struct tree t = { .v = all->v,
                      .n = all->n,
                      .ids = calloc(all->n ? all->n : 1, sizeof(*t.ids)),
                      .rows = calloc(all->n ? all->n : 1, sizeof(*t.rows)) };
    int rc = t.ids && t.rows ? 0 : ERR_NOMEM;

    if (rc == 0 && all->n) {
        qsort(t.v, t.n, sizeof(*t.v), by_parent);
        for (size_t i = 0; i < t.n; i++)
            t.ids[i] = t.v[i].id;
        qsort(t.ids, t.n, sizeof(*t.ids), by_text);
        draw_all(&t);
        rc = print_rows(&t, colour);
    }
    free(t.ids);
    free(t.rows);
    return rc;
}

/* --- the command --- */

static int print_answer(const struct session *s, const json_t *body, bool one)
{
    struct spans all = { 0 };
    struct err e = ERR_INIT;
    int rc = collect(body, &all);

    if (rc == 0)
        rc = one && s->output == OUTPUT_TABLE ? print_tree(&all, s->colour) : print_list(&all, s->output);
    free(all.v);
    if (rc == 0)
        return EXIT_WELL;
    err_set(&e, ERR_NOMEM, "traces: no memory to show them");
    return command_fail(EXIT_FAILED, &e);
}

static int ask(struct session *s, struct buf *path, bool one)
{
    struct err e = ERR_INIT;
    json_t *body;
    int rc;

    if (s->output == OUTPUT_JSON)
        return client_print(s->server, buf_cstr(path), stdout, &e) < 0 ? command_fail(EXIT_FAILED, &e) : EXIT_WELL;
    body = client_json(s->server, &(struct client_call){ .method = "GET", .path = buf_cstr(path) }, &e);
    if (!body)
        return command_fail(EXIT_FAILED, &e);
    if (s->output == OUTPUT_YAML)
        rc = document_print(body, s->output, stdout) < 0 ? EXIT_FAILED : EXIT_WELL;
    else
        rc = print_answer(s, body, one);
    json_decref(body);
    return rc;
}

struct search {
    const char *service, *operation, *min, *max;
    struct option_list tags;
    int64_t since_ms, limit;
};

static int search_path(struct buf *path, const struct session *s, const struct search *q)
{
    char from[CLOCK_TEXT], limit[24];
    json_t *tags = json_object();
    char *dumped;

    for (size_t i = 0; i < q->tags.n; i++) {
        struct str value = str_of(q->tags.v[i]), key = str_cut(&value, '=');

        if (!value.p || key.n == 0) {
            json_decref(tags);
            return command_usage("traces: --tag %s: should be NAME=VALUE", q->tags.v[i]);
        }
        json_object_setn_new(tags, key.p, key.n, json_stringn(value.p, value.n));
    }
    if (s->ns)
        json_object_set_new(tags, "k8s.namespace.name", json_string(s->ns));
    clock_rfc3339(from, clock_now_ns() - q->since_ms * 1000000);
    snprintf(limit, sizeof(limit), "%" PRId64, q->limit);
    buf_puts(path, "/jaeger/api/v3/traces");
    client_parameter(path, "query.start_time_min", from);
    client_parameter(path, "query.search_depth", limit);
    client_parameter(path, "query.service_name", q->service);
    client_parameter(path, "query.operation_name", q->operation);
    client_parameter(path, "query.duration_min", q->min);
    client_parameter(path, "query.duration_max", q->max);
    dumped = json_object_size(tags) ? json_dumps(tags, JSON_COMPACT) : NULL;
    client_parameter(path, "query.attributes", dumped);
    free(dumped);
    json_decref(tags);
    return 0;
}

static int run_traces(struct session *s, int argc, char **argv)
{
    struct search q = { .since_ms = 3600000, .limit = 20 };
    const struct option options[] = {
        { "service", 0, OPTION_TEXT, "NAME", "with a span of this service", &q.service },
        { "operation", 0, OPTION_TEXT, "NAME", "that has this name", &q.operation },
        { "tag", 0, OPTION_LIST, "NAME=VALUE", "and this attribute; error=true: that failed; may be repeated", &q.tags },
        { "min-duration", 0, OPTION_TEXT, "TIME", "and took as long or longer: 100ms", &q.min },
        { "max-duration", 0, OPTION_TEXT, "TIME", "and took as long or shorter", &q.max },
        { "since", 0, OPTION_DURATION, "TIME", "1h; how far back", &q.since_ms },
        { "limit", 0, OPTION_NUMBER, "N", "20; the newest N traces", &q.limit },
    };
    struct buf path = BUF_INIT(64 * 1024);
    int rc = command_options(s, &command_traces, options, sizeof(options) / sizeof(options[0]), NULL, &argc, argv);

    if (rc >= 0)
        return rc;
    if (argc > 2)
        return command_usage("traces: %s: takes one trace's id, or options to search by", argv[2]);
    if (argc == 2) {
        buf_puts(&path, "/jaeger/api/v3/traces/");
        client_escape(&path, argv[1]);
    } else {
        rc = search_path(&path, s, &q);
    }
    rc = rc > 0 ? rc : ask(s, &path, argc == 2);
    buf_free(&path);
    return rc;
}

const struct command command_traces = { "traces", "[ID]", "list traces, or draw one", run_traces };
