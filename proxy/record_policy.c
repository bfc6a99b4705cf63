/* record_policy.c: what Telemetry resources keep out of the log, the traces and the metrics, and what labels they give
 * these: their expressions (mesh/cel.h) are evaluated over the record, and header fields that its owner still has. */
#include "mesh/snapshot.h"
#include "proxy/record.h"

#include "base/num.h"
#include "proxy/texts.h"

enum { MOST_TEXTS = 64 * 1024 };

/* What expressions are about. */
struct view_of_record {
    const struct record *rec;
    const struct record_context *context;
};

const struct telemetry_policy *record_policy(const struct proxy_snapshot *s, const struct listener *l)
{
    return l->direction == LISTENER_INBOUND ? &s->server : &s->client;
}

/* ---- attributes ---- */

static const struct cel_value none;

static struct cel_value text(struct str s)
{
    return s.n ? (struct cel_value){ .kind = CEL_STRING, .s = s } : none;
}

/* Negative numbers are unset. */
static struct cel_value number(int64_t v)
{
    return v >= 0 ? (struct cel_value){ .kind = CEL_INT, .i = v } : none;
}

static struct cel_value parsed(struct str s)
{
    uint64_t v;

    return num_u64(s, &v) && v <= INT64_MAX ? number((int64_t)v) : none;
}

static struct cel_value port_of(struct str address)
{
    size_t n = address.n;

    while (n > 0 && address.p[n - 1] != ':')
        n--;
    return n ? parsed(str_from(address, n)) : none;
}

/* Up to the mark that begins the query, or behind it. */
static struct cel_value part_of_path(struct str path, bool query)
{
    ptrdiff_t mark = str_chr(path, '?');

    if (query)
        return mark < 0 ? none : text(str_from(path, (size_t)mark + 1));
    return text((struct str){ path.p, mark < 0 ? path.n : (size_t)mark });
}

static struct str header(const void *of, enum cel_map m, struct str name)
{
    const struct record_context *c = ((const struct view_of_record *)of)->context;

    return c->header ? c->header(c->of, m, name) : STR_NULL;
}

static struct cel_value of_request(const struct view_of_record *v, enum cel_attribute a)
{
    const struct access_log *l = &v->rec->log;

    switch (a) {
    case CEL_REQUEST_PATH:
        return text(l->path);
    case CEL_REQUEST_URL_PATH:
        return part_of_path(l->path, false);
    case CEL_REQUEST_QUERY:
        return part_of_path(l->path, true);
    case CEL_REQUEST_HOST:
        return text(l->authority);
    case CEL_REQUEST_SCHEME:
        return text(header(v, CEL_REQUEST_HEADERS, STR(":scheme")));
    case CEL_REQUEST_METHOD:
        return text(l->method);
    case CEL_REQUEST_REFERER:
        return text(header(v, CEL_REQUEST_HEADERS, STR("referer")));
    case CEL_REQUEST_USERAGENT:
        return text(l->user_agent);
    case CEL_REQUEST_ID:
        return text(l->request_id);
    case CEL_REQUEST_PROTOCOL:
        return text(l->protocol);
    case CEL_REQUEST_SIZE:
        return number(l->bytes_received);
    case CEL_REQUEST_TOTAL_SIZE:
        return number((int64_t)v->rec->request_bytes);
    default:
        return none;
    }
}

static struct cel_value of_response(const struct record *rec, enum cel_attribute a)
{
    const struct access_log *l = &rec->log;

    switch (a) {
    case CEL_RESPONSE_CODE:
        return l->response_code > 0 ? number(l->response_code) : none;
    case CEL_RESPONSE_CODE_DETAILS:
        return text(l->response_code_details);
    case CEL_RESPONSE_GRPC_STATUS:
        return parsed(l->grpc_response_status);
    case CEL_RESPONSE_SIZE:
        return number(l->bytes_sent);
    case CEL_RESPONSE_TOTAL_SIZE:
        return number((int64_t)rec->response_bytes);
    default:
        return none;
    }
}

/* The rest: both ends, the connections between them, and the way. */
static struct cel_value of_ends(const struct view_of_record *v, enum cel_attribute a)
{
    const struct access_log *l = &v->rec->log;

    switch (a) {
    case CEL_CONNECTION_MTLS:
        return (struct cel_value){ .kind = CEL_BOOL, .i = v->context->mutual };
    case CEL_CONNECTION_SNI:
        return text(l->requested_server_name);
    case CEL_CONNECTION_TERMINATION_DETAILS:
        return text(l->connection_termination_details);
    case CEL_SOURCE_ADDRESS:
        return text(l->downstream_remote_address);
    case CEL_SOURCE_PORT:
        return port_of(l->downstream_remote_address);
    case CEL_SOURCE_PRINCIPAL:
        return text(l->source_principal);
    case CEL_SOURCE_NAMESPACE:
        return text(l->source_workload_namespace);
    case CEL_SOURCE_WORKLOAD:
        return text(l->source_workload);
    case CEL_SOURCE_APP:
        return text(l->source_app);
    case CEL_SOURCE_VERSION:
        return text(l->source_version);
    case CEL_DESTINATION_ADDRESS:
        return text(l->downstream_local_address);
    case CEL_DESTINATION_PORT:
        return port_of(l->downstream_local_address);
    case CEL_DESTINATION_PRINCIPAL:
        return text(l->destination_principal);
    case CEL_DESTINATION_NAMESPACE:
        return text(l->destination_workload_namespace);
    case CEL_DESTINATION_WORKLOAD:
        return text(l->destination_workload);
    case CEL_DESTINATION_APP:
        return text(l->destination_app);
    case CEL_DESTINATION_VERSION:
        return text(l->destination_version);
    case CEL_UPSTREAM_ADDRESS:
        return text(l->upstream_host);
    case CEL_UPSTREAM_PORT:
        return port_of(l->upstream_host);
    case CEL_UPSTREAM_LOCAL_ADDRESS:
        return text(l->upstream_local_address);
    case CEL_UPSTREAM_ATTEMPTS:
        return number(v->rec->tries);
    case CEL_UPSTREAM_FAILURE:
        return text(l->upstream_transport_failure_reason);
    case CEL_XDS_CLUSTER_NAME:
        return text(l->upstream_cluster);
    case CEL_XDS_ROUTE_NAME:
        return text(l->route_name);
    default:
        return none;
    }
}

static struct cel_value attribute(const void *of, enum cel_attribute a)
{
    const struct view_of_record *v = of;

    if (a < CEL_RESPONSE_CODE)
        return of_request(v, a);
    return a < CEL_CONNECTION_MTLS ? of_response(v->rec, a) : of_ends(v, a);
}

/* ---- policies ---- */

static bool passes(const struct telemetry_policy *p, const struct cel_source *s, struct arena *a)
{
    for (size_t i = 0; i < p->nlog_filters; i++)
        if (cel_is_true(cel_evaluate(p->log_filters[i], s, a)))
            return true;
    return p->nlog_filters == 0;
}

/* As Istio has it, what has no value is "unknown". */
static struct str label_of(struct cel_value v, struct arena *a)
{
    struct str s = v.kind == CEL_STRING ? v.s : v.kind == CEL_INT ? arena_printf(a, "%lld", (long long)v.i) :
                   v.kind == CEL_BOOL ? (v.i ? STR("true") : STR("false")) : STR_NULL;

    return s.p ? s : STR("unknown");
}

/* One of three texts is missing in none of them. */
static void put_tag(struct buf *b, const struct metric_tag *t, struct str value)
{
    struct str metrics = { (const char *)&t->metrics, sizeof(t->metrics) };
    size_t before = b->n;

    if (!texts_put(b, metrics) || !texts_put(b, t->name) || !texts_put(b, value))
        b->n = before;
}

void record_obey(struct record *rec, const struct telemetry_policy *p, const struct record_context *context,
                 struct buf *metric_tags)
{
    const struct view_of_record v = { rec, context };
    const struct cel_source source = { attribute, header, &v };
    struct arena a = ARENA_INIT(MOST_TEXTS);

    rec->no_log = p->no_access_log || !passes(p, &source, &a);
    rec->no_span = p->no_spans;
    rec->no_istio_tags = p->no_istio_tags;
    rec->metrics_off = p->metrics_off;
    for (size_t i = 0; i < p->nmetric_tags; i++) {
        const struct metric_tag *t = &p->metric_tags[i];

        put_tag(metric_tags, t, t->value ? label_of(cel_evaluate(t->value, &source, &a), &a) : STR_NULL);
    }
    rec->metric_tags = buf_view(metric_tags);
    arena_free(&a);
}
