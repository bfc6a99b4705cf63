/* stream_record.c: what is told about a request when it is over. */
#include "proxy/stream-internal.h"

#include "proxy/identity.h"
#include "proxy/texts.h"
#include "proxy/tls_told.h"

#include <stdio.h>

enum { LONGEST_OPERATION = 512 };

/* "frontend.guestbook.svc.cluster.local:80/v2*": the service and the part of the path that the route matched. */
static struct str operation(const struct stream *s, char out[LONGEST_OPERATION])
{
    const struct cluster *c = s->cluster ? s->cluster->cluster : NULL;
    const struct string_match *uri = s->route ? s->route->match.uri : NULL;
    bool exact = uri && (uri->kind == STRING_EXACT || uri->kind == STRING_REGEX);
    struct str host = c && c->host.n ? c->host : s->rq.authority, path = uri && uri->value.n ? uri->value : STR("/");
    int n;

    if (c && c->host.n)
        n = snprintf(out, LONGEST_OPERATION, "%.*s:%u%.*s%s", STR_ARG(host), c->port, STR_ARG(path), exact ? "" : "*");
    else
        n = snprintf(out, LONGEST_OPERATION, "%.*s%.*s%s", STR_ARG(host), STR_ARG(path), exact ? "" : "*");
    return (struct str){ out, n < LONGEST_OPERATION ? (size_t)n : LONGEST_OPERATION - 1 };
}

static void fill_request(struct access_log *l, const struct stream *s)
{
    const struct http_head *h = &s->head;
    struct str original;

    if (h->method.n == 0)
        return; /* it was none */
    original = http_value(h, HTTP_X_ENVOY_ORIGINAL_PATH);
    l->method = s->rq.method;
    l->path = original.n && s->l->direction != LISTENER_GATEWAY ? original :
              s->target.p                                       ? s->target :
                                                                  http_text(h, h->path);
    l->protocol = http_version_text(h->version);
    l->x_forwarded_for = s->xff;
    l->user_agent = http_value(h, HTTP_USER_AGENT);
    l->request_id = s->request_id;
    l->authority = s->authority;
    if (s->trace.sampled) {
        l->trace_id = (struct str){ s->trace.trace_id, 32 };
        l->span_id = (struct str){ s->trace.span_id, 16 };
    }
}

static void fill_upstream(struct access_log *l, const struct stream *s)
{
    const char *local = s->up && s->up->local[0] ? s->up->local : s->up_local;

    if (s->cluster)
        l->upstream_cluster = s->cluster->cluster->name;
    else if (s->destination)
        l->upstream_cluster = s->destination->cluster_name;
    if (s->host)
        l->upstream_host = str_of(s->host->text);
    l->upstream_local_address = str_of(local);
    l->upstream_transport_failure_reason = str_of(s->flags & FLAG_UF ? s->transport_failure : NULL);
    if (s->upstream_ns)
        l->upstream_service_time_us = (s->upstream_ns - s->request_done_ns) / 1000;
}

/* Named header fields and tags, copied one behind the other: few proxies are told to have any. */
static void fill_texts(struct record *r, const struct stream *s, struct buf *headers, struct buf *tags, struct buf *tls)
{
    const struct log_headers *wanted = s->w->settings->log_headers;

    if ((wanted->downstream_tls || wanted->upstream_tls) && !r->no_log) {
        tls_told_put(tls, s->cl->peer->tls->told, wanted->downstream_tls);
        tls_told_put(tls, s->up_peer ? s->up_peer->told : STR_NULL, wanted->upstream_tls);
    }
    r->tls = buf_view(tls);
    if (wanted->request.n + wanted->response.n + wanted->trailers.n && !r->no_log)
        stream_tell_headers(s, headers);
    if (s->telemetry->ntags && r->log.trace_id.n && !r->no_span)
        stream_tell_tags(s, r, tags);
    r->headers = buf_view(headers);
    r->span_tags = buf_view(tags);
}

/* As Envoy has it: an address that is told has no port. */
static struct str client_text(const struct stream *s, char out[CONN_ADDR_TEXT])
{
    bool v6 = str_chr(s->client_ip, ':') >= 0;
    int n = snprintf(out, CONN_ADDR_TEXT, "%s%.*s%s:0", v6 ? "[" : "", STR_ARG(s->client_ip), v6 ? "]" : "");

    return (struct str){ out, n < CONN_ADDR_TEXT ? (size_t)n : CONN_ADDR_TEXT - 1 };
}

void stream_record(struct stream *s)
{
    char flags[RESPONSE_FLAGS_TEXT], name[LONGEST_OPERATION], client[CONN_ADDR_TEXT];
    struct buf headers = BUF_INIT(TEXTS_MOST), tags = BUF_INIT(TEXTS_MOST), tls = BUF_INIT(TEXTS_MOST);
    struct buf metric_tags = BUF_INIT(TEXTS_MOST);
    struct record r = { .kind = RECORD_HTTP, .request_bytes = s->request_bytes, .response_bytes = s->response_bytes,
                        .request_messages = s->asked.messages, .response_messages = s->answered.messages,
                        .tries = s->tries, .upstream_http2 = s->cluster && stream_speaks_http2(s) };
    struct access_log *l = &r.log;

    access_log_init(l);
    l->start_ns = worker_wall_ns(s->w, s->started_ns);
    fill_request(l, s);
    fill_upstream(l, s);
    identity_fill(l, s->view->snapshot, &(struct identity){
        .on = s->l, .peer = s->cl->peer, .cluster = s->cluster ? s->cluster->cluster : NULL, .endpoint = s->endpoint,
        .upstream = s->up_peer, .authority = s->rq.authority });
    l->response_code = s->status;
    l->response_flags = response_flags_text(flags, s->flags);
    l->response_code_details = str_of(s->details);
    l->bytes_received = (int64_t)s->bytes_received;
    l->bytes_sent = (int64_t)s->bytes_sent;
    l->duration_us = (s->w->now_ns - s->started_ns) / 1000;
    l->downstream_local_address = str_of(s->cl->peer->local);
    l->downstream_remote_address = str_of(s->cl->peer->remote);
    if (s->client_named) {
        r.direct_remote_address = l->downstream_remote_address;
        l->downstream_remote_address = client_text(s, client);
    }
    l->route_name = s->route ? s->route->name : STR_NULL;
    l->requested_server_name = s->cl->peer->sni;
    l->request_protocol = s->grpc ? STR("grpc") : STR("http");
    l->grpc_response_status = s->grpc_status;
    r.parent_span_id = str_of(s->trace.parent_id);
    r.request_us = s->request_done ? (s->request_done_ns - s->started_ns) / 1000 : -1;
    r.span_is_client = s->l->direction != LISTENER_INBOUND;
    record_obey(&r, s->telemetry, &(struct record_context){ stream_told_header, s, s->cl->peer->tls->proved },
                &metric_tags);
    if (l->trace_id.n && !r.no_span)
        r.operation = operation(s, name);
    fill_texts(&r, s, &headers, &tags, &tls);
    record_ring_push(s->w->ring, &r);
    buf_free(&headers);
    buf_free(&tags);
    buf_free(&tls);
    buf_free(&metric_tags);
}
