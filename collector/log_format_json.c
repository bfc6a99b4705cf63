/* log_format_json.c: lines that are JSON objects: a member is a field by its key. Members that are objects or arrays
 * stay text. */
#include "base/num.h"
#include "collector/json-internal.h"
#include "collector/log_format-internal.h"

enum { MOST_LEVELS = 32 };

/* --- compiling --- */

/* Of a table's columns, "time", and "duration" in milliseconds as Istio has it. */
static bool column_meaning(enum event_kind kind, struct str column, struct log_known *out)
{
    int at = event_column_index(kind, column);

    *out = (struct log_known){ .meaning = LOG_TEXT, .column = at };
    if (str_eqz(column, "time") || str_eqz(column, "start_time")) {
        out->meaning = LOG_STARTED;
        return true;
    }
    if (kind == EVENT_ACCESS_LOG && str_eqz(column, "duration")) {
        *out = (struct log_known){ .meaning = LOG_MILLISECONDS, .column = ACCESS_LOG_duration_us };
        return true;
    }
    if (kind == EVENT_ACCESS_LOG && str_eqz(column, "upstream_service_time")) {
        *out = (struct log_known){ .meaning = LOG_MILLISECONDS, .column = ACCESS_LOG_upstream_service_time_us };
        return true;
    }
    if (at >= 0 && !event_tables[kind].columns[at].is_text)
        out->meaning = LOG_COUNT;
    return at >= 0;
}

static int add_column(struct log_builder *b, struct str key, struct str column, struct err *e)
{
    struct log_known known;

    if (!column_meaning(b->format->kind, column, &known))
        return err_set(e, ERR_INVALID, "%.*s: \"%.*s\" is no column of %.*s, nor \"time\"", STR_ARG(key),
                       STR_ARG(column), STR_ARG(event_tables[b->format->kind].name));
    return log_builder_field(b, key, key, &known, e);
}

static struct log_format *new_json(struct log_builder *b, struct arena *a, enum event_kind kind, struct err *e)
{
    if (!log_builder_init(b, a, STR_NULL, e))
        return NULL;
    b->format->json = true;
    b->format->kind = kind;
    return b->format;
}

static int check_map(const struct yaml_node *map, struct err *e)
{
    if (map->kind != YAML_MAP)
        return err_set(e, ERR_INVALID, "should be a map of keys");
    for (size_t i = 0; i < map->n; i++)
        if (map->items[i].kind == YAML_LIST)
            return err_set(e, ERR_INVALID, "%.*s: should be one value", STR_ARG(map->items[i].key));
    return 0;
}

static int add_istio_keys(struct log_builder *b, struct err *e)
{
    static const char *const keys[] = {
        "start_time", "method", "path", "protocol", "response_code", "response_flags", "response_code_details",
        "connection_termination_details", "upstream_transport_failure_reason", "bytes_received", "bytes_sent",
        "duration", "upstream_service_time", "x_forwarded_for", "user_agent", "request_id", "authority",
        "upstream_host", "upstream_cluster", "upstream_local_address", "downstream_local_address",
        "downstream_remote_address", "requested_server_name", "route_name", "trace_id" };
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sizeof(keys) / sizeof(keys[0]); i++)
        rc = add_column(b, str_of(keys[i]), str_of(keys[i]), e);
    return rc;
}

/* A value that is one operator is what the operator is; another one (text around it, a map) is an attribute. */
static int add_operator(struct log_builder *b, const struct yaml_node *member, struct err *e)
{
    struct str text = yaml_text(member), inner = str_from(text, 1);
    struct log_known known = { .meaning = LOG_ATTRIBUTE, .column = -1 };
    int rc = 0;

    inner.n -= inner.n > 0;
    if (text.n > 2 && text.p[0] == '%' && text.p[text.n - 1] == '%' &&
        (str_chr(inner, '%') < 0 || str_starts(inner, STR("START_TIME("))))
        rc = log_envoy_operator(b->arena, inner, &known, e);
    if (rc == 0)
        rc = log_builder_field(b, member->key, member->key, &known, e);
    else
        err_wrap(e, "%.*s", STR_ARG(member->key));
    return rc;
}

struct log_format *log_format_envoy_json(struct arena *a, const struct yaml_node *map, struct err *e)
{
    struct log_builder b;
    int rc = 0;

    if (!new_json(&b, a, EVENT_ACCESS_LOG, e))
        return NULL;
    b.format->names_reporter = true;
    if (!map)
        return log_builder_end(&b, add_istio_keys(&b, e), e);
    rc = check_map(map, e);
    for (size_t i = 0; rc == 0 && i < map->n; i++)
        rc = add_operator(&b, &map->items[i], e);
    return log_builder_end(&b, rc, e);
}

static int add_common_keys(struct log_builder *b, struct err *e)
{
    static const char *const common[][2] = {{"message", "body"},    {"msg", "body"},          {"log", "body"},
                                            {"level", "severity"},  {"severity", "severity"}, {"lvl", "severity"},
                                            {"time", "time"},       {"ts", "time"},           {"timestamp", "time"},
                                            {"@timestamp", "time"}, {"trace_id", "trace_id"}, {"traceId", "trace_id"},
                                            {"span_id", "span_id"}, {"spanId", "span_id"}};
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sizeof(common) / sizeof(common[0]); i++)
        rc = add_column(b, str_of(common[i][0]), str_of(common[i][1]), e);
    return rc;
}

struct log_format *log_format_json(struct arena *a, enum event_kind kind, const struct yaml_node *columns,
                                   struct err *e)
{
    struct log_builder b;
    int rc;

    if (!new_json(&b, a, kind, e))
        return NULL;
    if (!columns && kind == EVENT_LOG)
        return log_builder_end(&b, add_common_keys(&b, e), e);
    rc = columns ? check_map(columns, e) : err_set(e, ERR_INVALID, "should be a map: key of the line → column");
    for (size_t i = 0; rc == 0 && i < columns->n; i++)
        rc = add_column(&b, columns->items[i].key, yaml_text(&columns->items[i]), e);
    return log_builder_end(&b, rc, e);
}

/* --- matching --- */

static ptrdiff_t find_key(const struct log_format *f, struct str key)
{
    for (size_t i = 0; i < f->n; i++)
        if (str_eq(f->fields[i].name, key))
            return (ptrdiff_t)i;
    return -1;
}

static int read_string(struct json_reader *r, struct buf *scratch, struct arena *a, struct str *out)
{
    if (json_string(r, scratch, NULL) < 0)
        return buf_failed(scratch) ? ERR_NOMEM : 0;
    *out = arena_str(a, buf_view(scratch));
    return out->p ? 1 : ERR_NOMEM;
}

/* A member's value as text; null is none. */
static int read_value(struct json_reader *r, struct buf *scratch, struct arena *a, struct str *out)
{
    char c = json_peek(r);
    const char *from = r->p;

    *out = STR_NULL;
    if (c == '"')
        return read_string(r, scratch, a, out);
    if (json_word(r, STR("null")))
        return 1;
    if (json_skip(r, scratch, MOST_LEVELS, NULL) < 0)
        return 0;
    *out = (struct str){ from, (size_t)(r->p - from) };
    return 1;
}

/* Numbers of a JSON line may be written as 12.0 or 1.2e1. */
static struct str whole(struct arena *a, enum log_meaning meaning, struct str text)
{
    double v;

    if ((meaning != LOG_COUNT && meaning != LOG_MILLISECONDS) || !num_double(text, &v) || !(v >= 0 && v < 9e15))
        return text;
    return str_chr(text, '.') < 0 && str_chr(text, 'e') < 0 && str_chr(text, 'E') < 0 ?
               text :
               arena_printf(a, "%lld", (long long)(v + 0.5));
}

static int read_member(const struct log_format *f, struct json_reader *r, struct buf *scratch, int64_t now_ns,
                       struct arena *a, struct log_line *out)
{
    struct str key, value;
    int rc = read_string(r, scratch, a, &key);
    ptrdiff_t i;

    if (rc != 1)
        return rc;
    if (json_want(r, ':', NULL) < 0)
        return 0;
    rc = read_value(r, scratch, a, &value);
    if (rc != 1)
        return rc;
    i = find_key(f, key);
    if (i < 0 && out->nattributes == LOG_FORMAT_MOST_FIELDS)
        return 0; /* the line is kept as it is rather than in part */
    if (i < 0) {
        log_line_attribute(out, key, value);
        return 1;
    }
    out->fields[i] = value;
    value = whole(a, f->fields[i].meaning, value);
    return log_value_set(f, (size_t)i, value, now_ns, a, out);
}

int log_json_match(const struct log_format *f, struct str line, int64_t now_ns, struct arena *a, struct log_line *out)
{
    struct json_reader r = json_reader(line);
    struct buf scratch = BUF_INIT(line.n + 16);
    bool first = true;
    int rc = json_take(&r, '{'), more = 0;

    while (rc == 1 && (more = json_more(&r, '}', &first, NULL)) == 1)
        rc = read_member(f, &r, &scratch, now_ns, a, out);
    if (rc == 1 && (more < 0 || json_peek(&r) != '\0' || r.p != r.end))
        rc = 0;
    buf_free(&scratch);
    return rc;
}
