/* red_spans.c: spans to requests.
 *
 *   kind                  reporter     source                        destination
 *   server, consumer      destination  the parent span's service     the span's service
 *   client, producer      source       the span's service            the service of a span below, or who is learned
 *                                                                     to be at that host; else what attributes call it
 *   internal, unset       not counted
 *
 * A request that passes a sidecar is told by two spans of one service, one below the other; the one at the border
 * counts: of two that serve the upper, of two that call the lower. Zipkin's libraries give both ends of a call one
 * id: the server's span counts as below the other then.
 *
 * Who serves often tells before who calls. Such a request is counted at once, as from "unknown": what is committed is
 * counted, and a counter cannot be put right later. When the caller's span comes it counts the call between the two,
 * as the source; that the other count is the same request's two counters of our own tell (SPAN_CALLERS_AWAITED, _FOUND),
 * each in the transaction of the span that it speaks of, and the graph takes it off. After a restart nobody is awaited:
 * a request whose two spans came before and after it stays as it was counted.
 *
 * Source: OpenTelemetry's semantic conventions, attributes of HTTP, RPC, database and messaging spans, in their
 * present and former names; Envoy's tags. */

#include "collector/access_log_complete.h"
#include "collector/red-internal.h"

#include "base/num.h"

/* --- attributes --- */

/* In the order of their names, as a row's attributes are. */
#define TAGS(T)                                                                                                        \
    T(DB_SYSTEM, "db.system")                                                                                          \
    T(DB_SYSTEM_NAME, "db.system.name")                                                                                \
    T(GRPC_STATUS, "grpc.status_code")                                                                                 \
    T(HTTP_REQUEST_SIZE, "http.request.body.size") T(HTTP_REQUEST_LENGTH, "http.request_content_length")               \
        T(HTTP_RESPONSE_SIZE, "http.response.body.size") T(HTTP_RESPONSE_CODE, "http.response.status_code")            \
            T(HTTP_RESPONSE_LENGTH, "http.response_content_length") T(HTTP_STATUS, "http.status_code")                 \
                T(HTTP_URL, "http.url") T(ISTIO_SERVICE, "istio.canonical_service")                                    \
                    T(ISTIO_NAMESPACE, "istio.namespace") T(MESSAGING_SYSTEM, "messaging.system")                      \
                        T(NET_PEER_NAME, "net.peer.name") T(PEER_SERVICE, "peer.service")                              \
                            T(REQUEST_SIZE, "request_size") T(RESPONSE_FLAGS, "response_flags")                        \
                                T(RESPONSE_SIZE, "response_size") T(RPC_GRPC_STATUS, "rpc.grpc.status_code")           \
                                    T(RPC_SYSTEM, "rpc.system") T(SERVER_ADDRESS, "server.address")                    \
                                        T(SERVICE_NAMESPACE, "service.namespace")                                      \
                                            T(UPSTREAM_CLUSTER, "upstream_cluster") T(URL_FULL, "url.full")

#define TAG_ENUM(id, name) TAG_##id,
#define TAG_NAME(id, name) STR_INIT(name),
enum tag { TAGS(TAG_ENUM) NTAGS };
static const struct str tag_names[NTAGS] = {TAGS(TAG_NAME)};

enum { MEMO = 128 };

/* Which tag each attribute of the row before was: rows of one sender have the same names, at the same place even. */
struct memo {
    struct str name[MEMO];
    int tag[MEMO]; /* -1: none */
    size_t n;
};

static bool has_names(const struct memo *m, struct labels l)
{
    if (m->n != l.n)
        return false;
    for (size_t i = 0; i < l.n; i++)
        if (m->name[i].p != l.v[i].name.p || m->name[i].n != l.v[i].name.n)
            return false;
    return true;
}

/* Both lists are sorted: one walk. */
static void find_tags(struct memo *m, struct labels l)
{
    size_t tag = 0;

    m->n = l.n;
    for (size_t i = 0; i < l.n; i++) {
        int c = 1;

        while (tag < NTAGS && (c = str_cmp(tag_names[tag], l.v[i].name)) < 0)
            tag++;
        m->name[i] = l.v[i].name;
        m->tag[i] = c == 0 ? (int)tag : -1;
    }
}

/* Attributes beyond the memo's room, the last by name, are not looked at. */
static void read_tags(struct memo *m, struct labels l, struct str out[NTAGS])
{
    memset(out, 0, NTAGS * sizeof(*out));
    if (l.n > MEMO)
        l.n = MEMO;
    if (!has_names(m, l))
        find_tags(m, l);
    for (size_t i = 0; i < l.n; i++)
        if (m->tag[i] >= 0)
            out[m->tag[i]] = l.v[i].value;
}

/* The first of them that says something; Envoy writes "-" for what is not there. */
static struct str first_of(const struct str tags[NTAGS], const enum tag *which, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (tags[which[i]].n && !str_eqz(tags[which[i]], "-"))
            return tags[which[i]];
    return STR_NULL;
}

#define FIRST_OF(tags, ...)                                                                                            \
    first_of(tags, (const enum tag[]){__VA_ARGS__}, sizeof((const enum tag[]){__VA_ARGS__}) / sizeof(enum tag))

/* --- a row --- */

struct spans {
    struct red *red;
    struct batch *batch;
    const struct red_known *known;
    struct red_counts counts;
    size_t first;
    struct memo memo;
    const struct red_party *kept; /* of the last row: spans come service by service */
};

enum side { SERVES, CALLS, INSIDE };

static struct str column(const struct spans *s, size_t row, enum event_span_column c)
{
    return batch_event(s->batch, EVENT_SPAN, row, (int)c).s;
}

static enum side side_of(const struct spans *s, size_t row)
{
    struct str kind = column(s, row, SPAN_kind);

    if (str_eqz(kind, "server") || str_eqz(kind, "consumer"))
        return SERVES;
    return str_eqz(kind, "client") || str_eqz(kind, "producer") ? CALLS : INSIDE;
}

/* Istio calls its proxies' spans NAME.NAMESPACE, and names the service in a tag. */
static struct red_party party_of(const struct spans *s, size_t row, const struct str tags[NTAGS])
{
    struct red_party p = {.ns = column(s, row, SPAN_namespace),
                          .workload = column(s, row, SPAN_workload),
                          .app = column(s, row, SPAN_app),
                          .version = column(s, row, SPAN_version)};

    p.service = FIRST_OF(tags, TAG_ISTIO_SERVICE);
    if (!p.service.n)
        p.service = column(s, row, SPAN_service);
    if (!p.ns.n)
        p.ns = FIRST_OF(tags, TAG_ISTIO_NAMESPACE, TAG_SERVICE_NAMESPACE);
    if (!p.workload.n)
        p.workload = p.service;
    if (!p.app.n)
        p.app = p.service;
    return p;
}

/* --- who is at the other end --- */

/* The host of scheme://user@host:port/path. */
static struct str host_of_url(struct str url)
{
    ptrdiff_t scheme = str_find(url, STR("://"));
    struct str rest = scheme < 0 ? STR_NULL : str_from(url, (size_t)scheme + 3), authority = str_cut(&rest, '/');
    ptrdiff_t user = str_chr(authority, '@');

    authority = user < 0 ? authority : str_from(authority, (size_t)user + 1);
    return authority.n && authority.p[0] == '[' ? authority : str_cut(&authority, ':');
}

/* The host of Istio's DIRECTION|PORT|SUBSET|HOST. */
static struct str host_of_cluster(struct str cluster)
{
    struct str part = STR_NULL;

    if (!str_starts(cluster, STR("outbound|")))
        return STR_NULL;
    while (cluster.p)
        part = str_cut(&cluster, '|');
    return part;
}

/* What the span's attributes call the one it calls. */
static struct str peer_name(const struct str tags[NTAGS])
{
    struct str name = FIRST_OF(tags, TAG_PEER_SERVICE);

    if (!name.n)
        name = host_of_cluster(tags[TAG_UPSTREAM_CLUSTER]);
    if (!name.n)
        name = FIRST_OF(tags, TAG_SERVER_ADDRESS, TAG_NET_PEER_NAME);
    if (!name.n)
        name = host_of_url(FIRST_OF(tags, TAG_URL_FULL, TAG_HTTP_URL));
    return name.n ? name : FIRST_OF(tags, TAG_DB_SYSTEM_NAME, TAG_DB_SYSTEM, TAG_MESSAGING_SYSTEM);
}

static void put_source(struct red_request *q, const struct red_party *p)
{
    q->label[ACCESS_LOG_source_workload] = p->workload;
    q->label[ACCESS_LOG_source_workload_namespace] = p->ns;
    q->label[ACCESS_LOG_source_app] = p->app;
    q->label[ACCESS_LOG_source_version] = p->version;
    q->label[ACCESS_LOG_source_canonical_service] = p->service;
    q->label[ACCESS_LOG_source_canonical_revision] = p->version;
    q->label[ACCESS_LOG_source_cluster] = p->ns.n ? STR("Kubernetes") : STR_NULL;
}

static void put_destination(struct red_request *q, const struct red_party *p)
{
    q->label[ACCESS_LOG_destination_workload] = p->workload;
    q->label[ACCESS_LOG_destination_workload_namespace] = p->ns;
    q->label[ACCESS_LOG_destination_app] = p->app;
    q->label[ACCESS_LOG_destination_version] = p->version;
    q->label[ACCESS_LOG_destination_canonical_service] = p->service;
    q->label[ACCESS_LOG_destination_canonical_revision] = p->version;
    q->label[ACCESS_LOG_destination_service] = q->label[ACCESS_LOG_destination_service_name] = p->service;
    q->label[ACCESS_LOG_destination_service_namespace] = p->ns;
    q->label[ACCESS_LOG_destination_cluster] = p->ns.n ? STR("Kubernetes") : STR_NULL;
}

static const struct red_party *keep_party(struct spans *s, const struct red_party *p)
{
    const struct red_party *k = s->kept;

    if (!k || !str_eq(k->service, p->service) || !str_eq(k->ns, p->ns) || !str_eq(k->workload, p->workload) ||
        !str_eq(k->app, p->app) || !str_eq(k->version, p->version))
        s->kept = red_peers_party(s->red->peers, p);
    return s->kept;
}

static bool same_service(const struct red_party *a, const struct red_party *b)
{
    return a && b && str_eq(a->service, b->service) && str_eq(a->ns, b->ns);
}

/* False: a span of the same service further out is the one that counts. */
static bool put_caller(const struct spans *s, size_t row, struct red_request *q, const struct red_party *own,
                       bool *is_awaited)
{
    const struct red_peers *peers = s->red->peers;
    struct str trace = column(s, row, SPAN_trace_id), parent = column(s, row, SPAN_parent_span_id);
    const struct red_party *above = red_peers_find(peers, RED_OTHER, trace, column(s, row, SPAN_span_id));

    if (!above) /* else the caller's half of a span that both share */
        above = red_peers_find(peers, RED_SERVER, trace, parent);
    if (same_service(above, own))
        return false;
    if (!above)
        above = red_peers_find(peers, RED_OTHER, trace, parent);
    if (above)
        put_source(q, above);
    *is_awaited = !above && parent.n;
    return true;
}

static bool put_called(const struct spans *s, size_t row, struct red_request *q, const struct red_party *own,
                       struct str name)
{
    struct red_peers *peers = s->red->peers;
    struct str trace = column(s, row, SPAN_trace_id), span = column(s, row, SPAN_span_id);
    const struct red_party *below = red_peers_find(peers, RED_SERVED_BELOW, trace, span);

    if (same_service(red_peers_find(peers, RED_SENT_BELOW, trace, span), own))
        return false;
    if (below)
        red_peers_learn(peers, own->ns, name, below);
    else
        below = red_peers_at(peers, own->ns, name);
    if (below) {
        put_destination(q, below);
    } else {
        q->label[ACCESS_LOG_destination_service] = name;
        service_of_host(name, &q->label[ACCESS_LOG_destination_service_name],
                        &q->label[ACCESS_LOG_destination_service_namespace]);
    }
    return true;
}

/* --- how it went --- */

static double size_of(struct str text)
{
    int64_t v;

    return num_i64(text, &v) && v >= 0 ? (double)v : -1;
}

/* Where no answer's code is told, or none that is an error though the span's status is: 500 for an error, else 200. */
static void put_result(const struct spans *s, size_t row, struct red_request *q, const struct str tags[NTAGS])
{
    bool failed = batch_event(s->batch, EVENT_SPAN, row, SPAN_status).i == 2;
    struct str code = FIRST_OF(tags, TAG_HTTP_RESPONSE_CODE, TAG_HTTP_STATUS);
    struct str status = FIRST_OF(tags, TAG_RPC_GRPC_STATUS, TAG_GRPC_STATUS);
    bool is_grpc = status.n || str_eqz(tags[TAG_RPC_SYSTEM], "grpc");
    int64_t v;

    q->is_http = true;
    if (!num_i64(code, &v) || v < 0 || v > 999 || (failed && !is_grpc && v > 0 && v < 400))
        code = failed && !is_grpc ? STR("500") : STR("200");
    if (is_grpc && !status.n)
        status = failed ? STR("2") : STR("0"); /* UNKNOWN, OK */
    q->label[ACCESS_LOG_response_code] = code;
    q->label[ACCESS_LOG_grpc_response_status] = status;
    q->label[ACCESS_LOG_request_protocol] = is_grpc ? STR("grpc") : STR("http");
    q->label[ACCESS_LOG_response_flags] = FIRST_OF(tags, TAG_RESPONSE_FLAGS);
    q->observed[0] = (double)batch_event(s->batch, EVENT_SPAN, row, SPAN_duration_ns).i / 1e6;
    q->observed[1] = size_of(FIRST_OF(tags, TAG_HTTP_REQUEST_SIZE, TAG_HTTP_REQUEST_LENGTH, TAG_REQUEST_SIZE));
    q->observed[2] = size_of(FIRST_OF(tags, TAG_HTTP_RESPONSE_SIZE, TAG_HTTP_RESPONSE_LENGTH, TAG_RESPONSE_SIZE));
}

/* --- two passes: remember all, then count --- */

static void note_span(const struct spans *s, size_t row, const struct red_party *party)
{
    struct red_peers *peers = s->red->peers;
    struct str trace = column(s, row, SPAN_trace_id), parent = column(s, row, SPAN_parent_span_id);
    enum side side = side_of(s, row);

    red_peers_note(peers, side == SERVES ? RED_SERVER : RED_OTHER, trace, column(s, row, SPAN_span_id), party);
    if (side != INSIDE)
        red_peers_note(peers, side == SERVES ? RED_SERVED_BELOW : RED_SENT_BELOW, trace, parent, party);
    if (side == SERVES)
        red_peers_note(peers, RED_SERVED_BELOW, trace, column(s, row, SPAN_span_id), party);
}

/* Of a label set that has been forgotten since, nothing can be told any more. */
static bool is_kept(const struct spans *s, const struct red_awaiting *w)
{
    return s->counts.sets && w->sets == s->counts.sets->number;
}

static int await_caller(struct spans *s, size_t row, struct red_set *set, const struct red_party *own)
{
    const struct red_awaiting w = {s->counts.sets ? s->counts.sets->number : 0, set, keep_party(s, own)};

    if (set->is_passing || !w.party)
        return 0;
    red_peers_await(s->red->peers, column(s, row, SPAN_trace_id), column(s, row, SPAN_span_id),
                    column(s, row, SPAN_parent_span_id), &w);
    return red_counts_awaited(&s->counts, set);
}

/* Tells of those that were counted before this span, which calls them, came; a span that serves is that for its own
 * service's further in, and counts instead of them. */
static int tell_awaiting(struct spans *s, size_t row, enum side side, const struct red_party *own)
{
    const struct red_party *served_by = side == SERVES ? keep_party(s, own) : NULL;
    struct red_awaiting w;
    int rc = 0;

    if (side == SERVES && !served_by)
        return 0;
    while (rc == 0 && red_peers_awaiting(s->red->peers, column(s, row, SPAN_trace_id), column(s, row, SPAN_span_id),
                                         served_by, &w))
        if (is_kept(s, &w))
            rc = red_counts_found(&s->counts, w.set);
    return rc;
}

static int count_span(struct spans *s, size_t row, const struct str tags[NTAGS], const struct red_party *own)
{
    enum side side = side_of(s, row);
    struct red_request q = {.label[ACCESS_LOG_reporter] = side == SERVES ? STR("destination") : STR("source")};
    const struct red_reporter who = {q.label[ACCESS_LOG_reporter], own->ns, column(s, row, SPAN_pod), own->workload,
                                     own->service};
    struct red_set *set;
    bool is_awaited = false;

    if (tell_awaiting(s, row, side, own) < 0)
        return ERR_NOMEM;
    if (red_known_elsewhere(s->known, &who, &s->counts.key))
        return 0;
    if (!(side == SERVES ? put_caller(s, row, &q, own, &is_awaited) : put_called(s, row, &q, own, peer_name(tags))))
        return 0;
    if (side == SERVES)
        put_destination(&q, own);
    else
        put_source(&q, own);
    put_result(s, row, &q, tags);
    set = red_counts_add(&s->counts, &q);
    if (!set)
        return ERR_NOMEM;
    return is_awaited ? await_caller(s, row, set, own) : 0;
}

static int count_spans(struct spans *s)
{
    const struct event_rows *rows = &s->batch->events[EVENT_SPAN];
    struct str tags[NTAGS];
    int rc = 0;

    if (!s->red->peers && !(s->red->peers = red_peers_new()))
        return ERR_NOMEM;
    for (size_t row = s->first; row < rows->n; row++) {
        struct red_party own;

        read_tags(&s->memo, rows->attributes[row], tags);
        own = party_of(s, row, tags);
        note_span(s, row, keep_party(s, &own));
    }
    for (size_t row = s->first; rc == 0 && row < rows->n; row++) {
        struct red_party own;

        if (side_of(s, row) == INSIDE)
            continue;
        read_tags(&s->memo, rows->attributes[row], tags);
        own = party_of(s, row, tags);
        rc = count_span(s, row, tags, &own);
    }
    return rc;
}

int red_spans(struct red *r, struct batch *b, size_t first, struct err *e)
{
    struct spans s = {.red = r, .batch = b, .first = first};
    struct red_known *known;
    int rc;

    if (b->events[EVENT_SPAN].n <= first)
        return 0;
    known = red_known_take(r);
    s.known = known;
    red_counts_init(&s.counts, r, b, RED_SPANS_JOB);
    pthread_mutex_lock(&r->peers_lock);
    rc = count_spans(&s);
    pthread_mutex_unlock(&r->peers_lock);
    if (rc == 0)
        rc = red_counts_put(&s.counts);
    red_counts_fini(&s.counts);
    red_known_drop(r, known);
    return rc < 0 ? err_set(e, ERR_NOMEM, "no memory to count spans") : 0;
}
