/* loki_push.c: from a stream's labels and a line to a row of `log`; what is refused, and in which words. */
#include "collector/loki_push-internal.h"

#include "base/mem.h"
#include "collector/severity.h"

void loki_label_add(struct loki_labels *l, struct str name, struct str value)
{
    if (l->n < sizeof(l->v) / sizeof(l->v[0]))
        l->v[l->n++] = (struct label){ name, value };
}

/* --- labels to columns --- */

/* The column of that name, apart from the line itself. */
static int column_of(struct str name)
{
    int column = event_column_index(EVENT_LOG, name);

    return column == LOG_body || column == LOG_severity_number ? -1 : column;
}

/* Other names of what the columns hold: of Kubernetes' metadata as fluent-bit, Promtail, Alloy and OpenTelemetry write
 * it, of OpenTelemetry's resources in Loki's spelling, and of Grafana's links to traces. */
static int column_by_alias(struct str name)
{
    static const struct {
        struct str name;
        enum event_log_column column;
    } aliases[] = {
        { STR_INIT("service_name"), LOG_service },
        { STR_INIT("level"), LOG_severity },
        { STR_INIT("detected_level"), LOG_severity },
        { STR_INIT("severity_text"), LOG_severity },
        { STR_INIT("k8s_namespace_name"), LOG_namespace },
        { STR_INIT("kubernetes_namespace_name"), LOG_namespace },
        { STR_INIT("pod_name"), LOG_pod },
        { STR_INIT("k8s_pod_name"), LOG_pod },
        { STR_INIT("kubernetes_pod_name"), LOG_pod },
        { STR_INIT("container_name"), LOG_container },
        { STR_INIT("k8s_container_name"), LOG_container },
        { STR_INIT("kubernetes_container_name"), LOG_container },
        { STR_INIT("deployment"), LOG_workload },
        { STR_INIT("k8s_deployment_name"), LOG_workload },
        { STR_INIT("app_kubernetes_io_name"), LOG_app },
        { STR_INIT("kubernetes_labels_app"), LOG_app },
        { STR_INIT("service_version"), LOG_version },
        { STR_INIT("traceID"), LOG_trace_id },
        { STR_INIT("traceId"), LOG_trace_id },
        { STR_INIT("traceid"), LOG_trace_id },
        { STR_INIT("spanID"), LOG_span_id },
        { STR_INIT("spanId"), LOG_span_id },
        { STR_INIT("spanid"), LOG_span_id },
    };

    for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++)
        if (str_eq(name, aliases[i].name))
            return (int)aliases[i].column;
    return -1;
}

/* Fills empty columns from `from`; what has no column of its own name goes to to[0..*n). */
static void place(const struct loki_labels *from, union event_value *columns, struct label *to, size_t *n)
{
    for (size_t i = 0; i < from->n; i++) {
        int column = column_of(from->v[i].name);

        if (column < 0)
            to[(*n)++] = from->v[i];
        else if (columns[column].s.n == 0)
            columns[column].s = from->v[i].value;
    }
    for (size_t i = 0; i < from->n; i++) {
        int column = column_by_alias(from->v[i].name);

        if (column >= 0 && columns[column].s.n == 0)
            columns[column].s = from->v[i].value;
    }
    columns[LOG_severity_number].i = severity_number(columns[LOG_severity].s);
}

/* --- streams --- */

/* As Loki prints a stream in its messages; those hold no more than some hundred bytes of it. */
static int print_stream(struct loki_push *p, struct err *e)
{
    size_t n = p->labels.n;

    buf_reset(&p->scratch);
    labels_print(&p->scratch, (struct labels){ p->labels.v, n });
    p->text = buf_failed(&p->scratch) ? STR_NULL : arena_str(p->batch->arena, buf_view(&p->scratch));
    return p->text.p ? 0 : err_set(e, ERR_NOMEM, "no memory for a stream");
}

static int check_label(const struct loki_push *p, const struct label *l, struct err *why)
{
    if (l->name.n > LOKI_LONGEST_NAME)
        return err_set(why, ERR_LIMIT, "stream '%.200s' has label name too long: '%.*s'", p->text.p,
                       (int)(l->name.n < 200 ? l->name.n : 200), l->name.p);
    if (l->value.n > LOKI_LONGEST_VALUE)
        return err_set(why, ERR_LIMIT, "stream '%.200s' has label value too long: '%.*s'", p->text.p,
                       (int)(l->value.n < 200 ? l->value.n : 200), l->value.p);
    if (!str_is_utf8(l->name) || !str_is_utf8(l->value))
        return err_set(why, ERR_INVALID, "a stream's label is not UTF-8");
    return 0;
}

static int check_stream(struct loki_push *p, struct err *why)
{
    struct loki_labels *l = &p->labels;
    int rc = 0;

    if (l->n == 0)
        return err_set(why, ERR_INVALID, "error at least one label pair is required per stream");
    if (l->n > LOKI_MOST_LABELS)
        return err_set(why, ERR_LIMIT, "stream '%.300s' has more than %d label names", p->text.p, LOKI_MOST_LABELS);
    for (size_t i = 0; rc == 0 && i < l->n; i++)
        rc = check_label(p, &l->v[i], why);
    return rc;
}

int loki_stream(struct loki_push *p, struct err *e)
{
    struct label *own;
    size_t n = 0;

    memset(p->columns, 0, sizeof(p->columns));
    p->attributes = (struct labels){ NULL, 0 };
    p->why = (struct err)ERR_INIT;
    p->rc = labels_normalise(p->labels.v, &p->labels.n, &p->why); /* a name that stands twice */
    if (print_stream(p, e) < 0)
        return ERR_NOMEM;
    if (p->rc < 0)
        p->rc = err_set(&p->why, ERR_INVALID, "stream '%.400s' has duplicate label name", p->text.p);
    else
        p->rc = check_stream(p, &p->why);
    if (p->rc < 0)
        return 0;
    own = arena_array(p->batch->arena, p->labels.n, sizeof(*own));
    if (!own)
        return err_set(e, ERR_NOMEM, "no memory for a stream");
    place(&p->labels, p->columns, own, &n);
    p->attributes = (struct labels){ own, n };
    return 0;
}

void loki_stream_unread(struct loki_push *p, struct str text, const struct err *why)
{
    p->rc = err_set(&p->why, ERR_INVALID, "error parsing labels '%.*s' with error: %.200s",
                    (int)(text.n < 200 ? text.n : 200), text.p ? text.p : "", why->msg);
}

/* --- lines --- */

static int check_line(const struct loki_push *p, struct str line, struct err *why)
{
    const struct loki_labels *m = &p->metadata;
    size_t bytes = 0;

    for (size_t i = 0; i < m->n; i++)
        bytes += m->v[i].name.n + m->v[i].value.n;
    if (line.n > LOKI_LONGEST_LINE)
        return err_set(why, ERR_LIMIT,
                       "Max entry size '%d' bytes exceeded for stream '%.200s' while adding an entry with length '%zu' bytes",
                       LOKI_LONGEST_LINE, p->text.p, line.n);
    if (m->n > LOKI_MOST_METADATA)
        return err_set(why, ERR_LIMIT, "stream '%.200s' has too many structured metadata labels: more than '%d'", p->text.p,
                       LOKI_MOST_METADATA);
    if (bytes > LOKI_MOST_METADATA_BYTES)
        return err_set(why, ERR_LIMIT,
                       "stream '%.200s' has structured metadata too large: '%zu' bytes, limit: '%d' bytes", p->text.p, bytes,
                       LOKI_MOST_METADATA_BYTES);
    for (size_t i = 0; i < m->n; i++)
        if (!str_is_utf8(m->v[i].name) || !str_is_utf8(m->v[i].value))
            return err_set(why, ERR_INVALID, "stream '%.200s' has structured metadata that is not UTF-8", p->text.p);
    return 0;
}

/* Stored text is UTF-8, whatever came. */
static int clean_line(struct loki_push *p, struct str *line, struct err *e)
{
    if (str_is_utf8(*line))
        return 0;
    buf_reset(&p->scratch);
    buf_utf8(&p->scratch, *line);
    *line = buf_failed(&p->scratch) ? STR_NULL : arena_str(p->batch->arena, buf_view(&p->scratch));
    return line->p ? 0 : err_set(e, ERR_NOMEM, "no memory for a line");
}

static bool has(struct labels l, struct str name)
{
    for (size_t i = 0; i < l.n; i++)
        if (str_eq(l.v[i].name, name))
            return true;
    return false;
}

/* The stream's attributes and the line's metadata, of which the first of a name counts. */
static int add_metadata(struct loki_push *p, union event_value *columns, struct labels *out, struct err *e)
{
    struct label *v = arena_array(p->batch->arena, p->attributes.n + p->metadata.n, sizeof(*v));
    size_t n = p->attributes.n, kept = p->attributes.n;

    if (!v)
        return err_set(e, ERR_NOMEM, "no memory for a line");
    if (n)
        memcpy(v, p->attributes.v, n * sizeof(*v));
    place(&p->metadata, columns, v, &n);
    for (size_t i = kept; i < n; i++)
        if (!has((struct labels){ v, kept }, v[i].name))
            v[kept++] = v[i];
    *out = (struct labels){ v, kept };
    return labels_normalise(v, &out->n, e);
}

int loki_line(struct loki_push *p, int64_t time_ns, struct str line, struct err *e)
{
    union event_value columns[LOG_NCOLUMNS];
    struct event ev = { time_ns, columns, p->attributes };
    struct err why = ERR_INIT;

    if (p->rc < 0 || check_line(p, line, &why) < 0) {
        push_refuse(p->outcome, 1, p->rc < 0 ? &p->why : &why);
        return 0;
    }
    memcpy(columns, p->columns, sizeof(columns));
    if (clean_line(p, &line, e) < 0 || (p->metadata.n && add_metadata(p, columns, &ev.attributes, e) < 0))
        return ERR_NOMEM;
    columns[LOG_body].s = line;
    if (batch_add_event(p->batch, EVENT_LOG, &ev) < 0)
        return err_set(e, ERR_NOMEM, "no memory for a line");
    p->outcome->accepted++;
    return 0;
}

int loki_push_decode(enum loki_encoding encoding, struct str body, struct batch *b, struct push_outcome *o, struct err *e)
{
    struct loki_push *p = mem_zalloc(sizeof(*p)); /* some 8 KiB: not on a small thread's stack */
    int rc;

    *o = (struct push_outcome){ 0 };
    if (!p)
        return err_set(e, ERR_NOMEM, "no memory to decode a body");
    p->batch = b;
    p->outcome = o;
    p->scratch = (struct buf)BUF_INIT(4 * body.n + 64); /* a byte that is no UTF-8 becomes three, a quoted one four */
    rc = encoding == LOKI_JSON ? loki_push_json(p, body, e) : loki_push_protobuf(p, body, e);
    buf_free(&p->scratch);
    mem_free(p);
    return rc;
}
