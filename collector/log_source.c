#include "collector/log_source.h"

#include "base/buf.h"
#include "base/log.h"
#include "collector/access_log_complete.h"
#include "collector/log_party-internal.h"

#include <stdatomic.h>
#include <stddef.h>

enum { MOST_LABELS = 32, SHOWN = 200 };

struct own {
    struct str workload, ns, app, version, pod, service;
};

struct log_source {
    const struct log_format *format; /* NULL: none */
    struct own own;
    struct str reporter;    /* empty: the line's cluster says it (Istio) */
    struct str own_service; /* of access logs: `service`, when the sender is the destination */
    struct log_party *source, *destination;
    struct label labels[MOST_LABELS];
    size_t nlabels;
    _Atomic uint64_t lines, unmatched;
};

/* --- reading --- */

struct written {
    struct own own;
    struct str reporter;
    const struct yaml_node *format, *source, *destination, *labels;
};

static const struct conf_field fields[] = {
    { "workload", CONF_TEXT, offsetof(struct written, own.workload) },
    { "namespace", CONF_TEXT, offsetof(struct written, own.ns) },
    { "app", CONF_TEXT, offsetof(struct written, own.app) },
    { "version", CONF_TEXT, offsetof(struct written, own.version) },
    { "pod", CONF_TEXT, offsetof(struct written, own.pod) },
    { "service", CONF_TEXT, offsetof(struct written, own.service) },
    { "reporter", CONF_TEXT, offsetof(struct written, reporter) },
    { "format", CONF_NODE, offsetof(struct written, format) },
    { "source", CONF_NODE, offsetof(struct written, source) },
    { "destination", CONF_NODE, offsetof(struct written, destination) },
    { "labels", CONF_NODE, offsetof(struct written, labels) },
};

static const struct log_format *read_json(const struct conf *c, const struct yaml_node *node, struct err *e)
{
    const struct yaml_node *access_log = yaml_get(node, "access_log"), *log = yaml_get(node, "log");

    if (node->kind != YAML_NULL && (node->kind != YAML_MAP || node->n != 1 || (!access_log && !log))) {
        err_set(e, ERR_INVALID,
                "should be one map, {access_log: {KEY: COLUMN …}} or {log: {KEY: COLUMN …}}, or nothing");
        return NULL;
    }
    return log_format_json(c->arena, access_log ? EVENT_ACCESS_LOG : EVENT_LOG, access_log ? access_log : log, e);
}

static const struct log_format *compile(const struct conf *c, const struct yaml_node *node, struct err *e)
{
    static const struct {
        const char *key;
        struct log_format *(*compile)(struct arena *a, struct str text, struct err *e);
    } dialects[] = { { "nginx", log_format_nginx }, { "haproxy", log_format_haproxy }, { "envoy", log_format_envoy } };

    for (size_t i = 0; i < sizeof(dialects) / sizeof(dialects[0]); i++)
        if (str_eqz(node->key, dialects[i].key))
            return dialects[i].compile(c->arena, yaml_text(node), e);
    if (str_eqz(node->key, "json"))
        return read_json(c, node, e);
    if (str_eqz(node->key, "envoy_json"))
        return log_format_envoy_json(c->arena,
                                     node->kind == YAML_NULL || str_eqz(yaml_text(node), "istio") ? NULL : node, e);
    err_set(e, ERR_INVALID, "should be nginx, haproxy, envoy, envoy_json or json");
    return NULL;
}

static int read_format(const struct conf *c, const struct yaml_node *node, struct log_source *s, struct err *e)
{
    struct err why = ERR_INIT;

    if (!node)
        return 0;
    if (node->kind != YAML_MAP || node->n != 1)
        return conf_fail(c, node, e, "should be a map of one member, as in {nginx: combined}");
    s->format = compile(c, &node->items[0], &why);
    if (!s->format)
        return conf_fail(c, &node->items[0], e, "%s", why.msg);
    return 0;
}

static int read_labels(const struct conf *c, const struct yaml_node *node, struct log_source *s, struct err *e)
{
    if (!node)
        return 0;
    if (node->kind != YAML_MAP || node->n > MOST_LABELS)
        return conf_fail(c, node, e, "should be a map of at most %d names and values", MOST_LABELS);
    for (size_t i = 0; i < node->n; i++) {
        struct label l = { arena_str(c->arena, node->items[i].key), arena_str(c->arena, yaml_text(&node->items[i])) };

        if (!l.name.p || !l.value.p)
            return err_set(e, ERR_NOMEM, "%s: no memory", c->file);
        if (l.name.n == 0 || l.value.n == 0)
            return conf_fail(c, &node->items[i], e, "should have a name and one value");
        s->labels[s->nlabels++] = l;
    }
    return 0;
}

/* The members that are ours alone: the others are somebody else's to read. */
static int pick_own(const struct conf *c, const struct yaml_node *node, const char *const *also, struct yaml_node *out,
                    struct err *e)
{
    *out = *node;
    if (node->kind != YAML_MAP)
        return conf_fail(c, node, e, "should be a map");
    out->items = arena_array(c->arena, node->n + 1, sizeof(*out->items));
    out->n = 0;
    if (!out->items)
        return err_set(e, ERR_NOMEM, "%s: no memory", c->file);
    for (size_t i = 0; i < node->n; i++) {
        const char *const *k = also;

        while (*k && !str_eqz(node->items[i].key, *k))
            k++;
        if (!*k)
            out->items[out->n++] = node->items[i];
    }
    return 0;
}

static int read_source(const struct conf *c, const struct yaml_node *node, const char *const *also,
                       struct log_source *s, struct err *e)
{
    struct written w = { .own = { STR_NULL } };
    struct yaml_node mine;
    int rc = pick_own(c, node, also, &mine, e);

    if (rc == 0)
        rc = conf_read(c, &mine, fields, sizeof(fields) / sizeof(fields[0]), &w, e);
    if (rc == 0 && w.reporter.n && !str_eqz(w.reporter, "source") && !str_eqz(w.reporter, "destination"))
        rc = conf_fail(c, yaml_get(node, "reporter"), e, "\"%.*s\": should be source or destination",
                       STR_ARG(w.reporter));
    s->own = w.own;
    if (rc == 0)
        rc = read_format(c, w.format, s, e);
    s->reporter = w.reporter;
    if (rc == 0 && s->format && w.reporter.n == 0 && !log_format_names_reporter(s->format))
        s->reporter = STR("source");
    if (str_eqz(s->reporter, "destination"))
        s->own_service = w.own.service;
    if (rc == 0)
        rc = log_party_read(c, w.source, s->format, &s->source, e);
    if (rc == 0)
        rc = log_party_read(c, w.destination, s->format, &s->destination, e);
    return rc < 0 ? rc : read_labels(c, w.labels, s, e);
}

struct log_source *log_source_read(const struct conf *c, const struct yaml_node *node, const char *const *also,
                                   struct err *e)
{
    struct log_source *s = ARENA_NEW(c->arena, struct log_source);

    if (!s) {
        err_set(e, ERR_NOMEM, "%s: no memory", c->file);
        return NULL;
    }
    return !node || read_source(c, node, also, s, e) == 0 ? s : NULL;
}

/* --- access logs: who --- */

static void set(union event_value *v, struct str text)
{
    if (text.n)
        v->s = text;
}

static void set_default(union event_value *v, struct str text)
{
    if (v->s.n == 0)
        v->s = text;
}

/* A host that is no service of Kubernetes' names no namespace: the service is where its workload is. */
static struct str service_namespace(const struct str who[LOG_PARTS])
{
    struct str name, ns;

    service_of_host(who[LOG_PART_service], &name, &ns);
    return who[LOG_PART_service].n == 0 || ns.n ? STR_NULL : who[LOG_PART_namespace];
}

static void set_destination(union event_value *v, const struct str who[LOG_PARTS])
{
    set(&v[ACCESS_LOG_destination_service_namespace], service_namespace(who));
    set(&v[ACCESS_LOG_destination_workload], who[LOG_PART_workload]);
    set(&v[ACCESS_LOG_destination_workload_namespace], who[LOG_PART_namespace]);
    set(&v[ACCESS_LOG_destination_app], who[LOG_PART_app]);
    set(&v[ACCESS_LOG_destination_version], who[LOG_PART_version]);
    set(&v[ACCESS_LOG_destination_principal], who[LOG_PART_principal]);
    set(&v[ACCESS_LOG_destination_cluster], who[LOG_PART_cluster]);
    set(&v[ACCESS_LOG_destination_service], who[LOG_PART_service]);
    set(&v[ACCESS_LOG_destination_service_name], who[LOG_PART_service_name]);
    set(&v[ACCESS_LOG_destination_service_namespace], who[LOG_PART_service_namespace]);
}

static void set_source(union event_value *v, const struct str who[LOG_PARTS])
{
    set(&v[ACCESS_LOG_source_workload], who[LOG_PART_workload]);
    set(&v[ACCESS_LOG_source_workload_namespace], who[LOG_PART_namespace]);
    set(&v[ACCESS_LOG_source_app], who[LOG_PART_app]);
    set(&v[ACCESS_LOG_source_version], who[LOG_PART_version]);
    set(&v[ACCESS_LOG_source_principal], who[LOG_PART_principal]);
    set(&v[ACCESS_LOG_source_cluster], who[LOG_PART_cluster]);
}

/* Who the declared parties are, and the sender. What follows from these (the sender is one end of the request,
 * canonical services, a cluster's name) is filled in by red_access_logs, as for all access logs. */
static void set_parties(const struct log_source *s, struct log_line *l)
{
    struct str source[LOG_PARTS] = { STR_NULL }, destination[LOG_PARTS] = { STR_NULL };
    union event_value *v = l->values;

    set(&v[ACCESS_LOG_reporter], s->reporter);
    set(&v[ACCESS_LOG_destination_service], s->own_service);
    if (s->source)
        log_party_find(s->source, l, source);
    if (s->destination)
        log_party_find(s->destination, l, destination);
    set_default(&v[ACCESS_LOG_pod], s->own.pod);
    set_default(&v[ACCESS_LOG_namespace], s->own.ns);
    set_default(&v[ACCESS_LOG_workload], s->own.workload);
    set_default(&v[ACCESS_LOG_app], s->own.app);
    set_default(&v[ACCESS_LOG_version], s->own.version);
    set_source(v, source);
    set_destination(v, destination);
}

/* --- lines --- */

struct str log_clean(struct arena *a, struct str text)
{
    struct buf clean = BUF_INIT(3 * text.n + 1);
    struct str copy;

    if (str_is_utf8(text))
        return text.p ? text : STR("");
    buf_utf8(&clean, text);
    copy = buf_failed(&clean) ? STR_NULL : arena_str(a, buf_view(&clean));
    buf_free(&clean);
    return copy;
}

static const struct {
    const char *word;
    int number;
} severities[] = {
    { "trace", 1 }, { "debug", 5 }, { "info", 9 }, { "information", 9 }, { "informational", 9 }, { "notice", 10 },
    { "warn", 13 }, { "warning", 13 }, { "err", 17 }, { "error", 17 }, { "crit", 18 }, { "critical", 18 },
    { "alert", 19 }, { "fatal", 21 }, { "panic", 21 }, { "emerg", 21 }, { "emergency", 21 },
};

static int severity_of(struct str word)
{
    for (size_t i = 0; i < sizeof(severities) / sizeof(severities[0]); i++)
        if (str_ieq(word, str_of(severities[i].word)))
            return severities[i].number;
    return 0;
}

static void describe_line(const struct log_source *s, const struct log_origin *o, struct log_line *l)
{
    union event_value *v = l->values;

    set_default(&v[LOG_severity], o->severity);
    if (v[LOG_severity_number].i == 0)
        v[LOG_severity_number].i = severity_of(v[LOG_severity].s);
    if (v[LOG_severity_number].i == 0)
        v[LOG_severity_number].i = o->severity_number;
    set_default(&v[LOG_pod], s->own.pod);
    set_default(&v[LOG_namespace], s->own.ns);
    set_default(&v[LOG_workload], s->own.workload);
    set_default(&v[LOG_app], s->own.app);
    set_default(&v[LOG_version], s->own.version);
    set_default(&v[LOG_service], s->own.service);
    set_default(&v[LOG_service], o->service);
}

static void be_plain(struct str line, struct log_line *l)
{
    const struct event_table *t = &event_tables[EVENT_LOG];

    l->kind = EVENT_LOG;
    l->time_ns = 0;
    l->nattributes = 0;
    for (size_t i = 0; i < t->n; i++)
        l->values[i] = event_unset(EVENT_LOG, &t->columns[i]);
    l->values[LOG_body].s = line;
}

/* --- rows --- */

static void put(struct label *v, size_t *n, struct str name, struct str value)
{
    if (name.n == 0 || value.n == 0)
        return;
    for (size_t i = 0; i < *n; i++)
        if (str_eq(v[i].name, name))
            return;
    v[(*n)++] = (struct label){ name, value };
}

/* The line's own win over what is declared, and that over the carrier's. */
static int make_attributes(const struct log_source *s, const struct log_origin *o, const struct log_line *l,
                           struct arena *a, struct labels *out, struct err *e)
{
    size_t from_carrier = l->kind == EVENT_LOG ? o->n : o->nshared, n = 0;
    struct label *v = arena_array(a, l->nattributes + s->nlabels + from_carrier + 1, sizeof(*v));

    if (!v)
        return err_set(e, ERR_NOMEM, "no memory for a row's attributes");
    for (size_t i = 0; i < l->nattributes; i++)
        put(v, &n, l->attributes[i].name, l->attributes[i].value);
    for (size_t i = 0; i < s->nlabels; i++)
        put(v, &n, s->labels[i].name, s->labels[i].value);
    for (size_t i = 0; i < from_carrier; i++)
        put(v, &n, o->attributes[i].name, o->attributes[i].value);
    *out = (struct labels){ v, n };
    return labels_normalise(v, &out->n, e);
}

/* Of lines that do not follow their format the first one is shown: the format may be wrong. */
static void tell_unmatched(struct log_source *s, struct str line)
{
    if (atomic_fetch_add(&s->unmatched, 1) == 0)
        log_warn("a line does not follow its declared format and is kept as a log line (others like it are counted, "
                 "not told): %.*s",
                 (int)(line.n < SHOWN ? line.n : SHOWN), line.p);
}

int log_source_add(struct log_source *s, const struct log_origin *o, struct str line, struct batch *b, struct err *e)
{
    struct log_line l;
    struct event row;
    int rc = s->format ? log_format_match(s->format, line, o->now_ns, b->arena, &l) : 0;

    atomic_fetch_add(&s->lines, 1);
    if (rc < 0)
        return err_set(e, rc, "no memory for a line");
    if (rc == 0) {
        if (s->format)
            tell_unmatched(s, line);
        be_plain(line, &l);
    }
    if (l.kind == EVENT_ACCESS_LOG) {
        set_parties(s, &l);
    } else {
        describe_line(s, o, &l);
        set_default(&l.values[LOG_body], line); /* JSON without a message */
    }
    row.time_ns = l.time_ns ? l.time_ns : o->time_ns ? o->time_ns : o->now_ns;
    row.values = l.values;
    rc = make_attributes(s, o, &l, b->arena, &row.attributes, e);
    if (rc == 0 && batch_add_event(b, l.kind, &row) < 0)
        rc = err_set(e, ERR_NOMEM, "no memory for a line");
    return rc;
}

void log_source_stats(const struct log_source *s, struct log_source_stats *out)
{
    out->lines = atomic_load(&s->lines);
    out->unmatched = atomic_load(&s->unmatched);
}
