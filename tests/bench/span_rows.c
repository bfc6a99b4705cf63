/* span_rows.c: synthetic spans of a mesh of 24 services, in traces of about 8.
 *
 *   span_rows otlp SPANS SPANS_PER_BODY [START_NS [SEED]]      bodies, each behind its length (8 bytes, little-endian)
 *   span_rows about SPANS SPANS_PER_BODY [START_NS [SEED]]     "TRACE SPANS NS": the trace in the midst, how many spans it
 *                                                              has, and how long after START_NS the last span begins
 *
 * A trace is a request to the frontend and up to six calls below it: each a client's span and a server's, with the
 * attributes of OpenTelemetry's conventions for HTTP. A body is an ExportTraceServiceRequest with one resource for each
 * Pod, as a collector that batches would send it. About 1,000 spans a second; ids are random. */
#include "base/buf.h"
#include "base/pb.h"
#include "tests/bench/mesh_rows.h"

#include <stdlib.h>

enum { MOST_HOPS = 6, MOST_IN_TRACE = 1 + 2 * MOST_HOPS, SERVER = 2, CLIENT = 3, ERROR = 2 };

struct span {
    uint8_t trace[16], id[8], parent[8];
    bool has_parent;
    int64_t start_ns, end_ns, code;
    uint64_t service, pod, callee;
    int kind;
    const char *method;
    char path[96];
};

static void random_bytes(uint8_t *to, size_t n)
{
    for (; n; n -= 8, to += 8) {
        uint64_t v = next();

        memcpy(to, &v, 8);
    }
}

static void begin_span(struct span *s, const struct span *parent, uint64_t service, int kind)
{
    random_bytes(s->id, sizeof(s->id));
    s->has_parent = parent != NULL;
    if (parent) {
        memcpy(s->trace, parent->trace, sizeof(s->trace));
        memcpy(s->parent, parent->id, sizeof(s->parent));
    } else {
        random_bytes(s->trace, sizeof(s->trace));
    }
    s->service = s->callee = service;
    s->kind = kind;
}

static void make_request(struct span *s, int64_t start_ns)
{
    s->pod = below(PODS);
    s->code = code_of();
    s->method = below(10) < 7 ? "GET" : below(3) ? "POST" : "PUT";
    s->start_ns = start_ns;
    s->end_ns = start_ns + (int64_t)(tailed(2e6 + 5e5 * (double)s->service, 0.6));
    path_of(s->path, sizeof(s->path), s->service);
}

/* A call out of a server's span: what the client saw, and what the other server did. */
static void make_call(struct span *client, struct span *server, const struct span *from)
{
    uint64_t callee = (from->service * 7 + 1 + below(4)) % SERVICES;

    begin_span(client, from, from->service, CLIENT);
    begin_span(server, client, callee, SERVER);
    make_request(server, from->start_ns + 200000 + (int64_t)below(3000000));
    client->pod = from->pod;
    client->callee = callee;
    client->code = server->code;
    client->method = server->method;
    memcpy(client->path, server->path, sizeof(client->path));
    client->start_ns = server->start_ns - 150000 - (int64_t)below(100000);
    client->end_ns = server->end_ns + 150000 + (int64_t)below(100000);
}

static size_t make_trace(struct span *v, int64_t start_ns)
{
    size_t n = 1;

    begin_span(&v[0], NULL, 0, SERVER);
    make_request(&v[0], start_ns);
    for (uint64_t hops = 1 + below(MOST_HOPS); hops; hops--, n += 2)
        make_call(&v[n], &v[n + 1], &v[below((n + 1) / 2) * 2]); /* servers' spans are the even ones */
    return n;
}

/* --- OTLP --- */

static void put_attribute(struct buf *b, uint32_t field, const char *key, const char *text, int64_t number)
{
    size_t pair = pb_open(b, field), any;

    pb_put_str(b, 1, str_of(key));
    any = pb_open(b, 2);
    if (text)
        pb_put_str(b, 1, str_of(text));
    else
        pb_put_varint(b, 3, (uint64_t)number);
    pb_close(b, any);
    pb_close(b, pair);
}

static void put_address(struct buf *b, uint64_t service)
{
    char text[64];

    snprintf(text, sizeof(text), "%s.shop.svc.cluster.local", names[service]);
    put_attribute(b, 9, "server.address", text, 0);
    put_attribute(b, 9, "server.port", NULL, 8080);
}

static void put_name(struct buf *b, const struct span *s)
{
    char text[64];

    snprintf(text, sizeof(text), "%s /api/v1/%s", s->method, nouns[s->callee % 8]);
    pb_put_str(b, 5, str_of(text));
}

static void put_span(struct buf *b, const struct span *s)
{
    size_t span = pb_open(b, 2), status;

    pb_put_str(b, 1, (struct str){(const char *)s->trace, sizeof(s->trace)});
    pb_put_str(b, 2, (struct str){(const char *)s->id, sizeof(s->id)});
    if (s->has_parent)
        pb_put_str(b, 4, (struct str){(const char *)s->parent, sizeof(s->parent)});
    put_name(b, s);
    pb_put_varint(b, 6, (uint64_t)s->kind);
    pb_put_fixed64(b, 7, (uint64_t)s->start_ns);
    pb_put_fixed64(b, 8, (uint64_t)s->end_ns);
    put_attribute(b, 9, "http.request.method", s->method, 0);
    put_attribute(b, 9, s->kind == SERVER ? "url.path" : "url.full", s->path, 0);
    put_attribute(b, 9, "http.response.status_code", NULL, s->code);
    put_attribute(b, 9, "network.protocol.version", "1.1", 0);
    put_address(b, s->callee);
    if (s->code >= 500) {
        status = pb_open(b, 15);
        pb_put_varint(b, 3, ERROR);
        pb_close(b, status);
    }
    pb_close(b, span);
}

static void put_resource(struct buf *b, uint64_t service, uint64_t pod)
{
    size_t resource = pb_open(b, 1);
    char text[32];

    snprintf(text, sizeof(text), "%s-%" PRIu64, names[service], pod);
    put_attribute(b, 1, "service.name", names[service], 0);
    put_attribute(b, 1, "service.namespace", "shop", 0);
    put_attribute(b, 1, "service.version", pod == 2 ? "v2" : "v1", 0);
    put_attribute(b, 1, "k8s.namespace.name", "shop", 0);
    put_attribute(b, 1, "k8s.pod.name", text, 0);
    put_attribute(b, 1, "telemetry.sdk.language", "go", 0);
    pb_close(b, resource);
}

static void put_pod(struct buf *b, const struct span *v, size_t n, uint64_t service, uint64_t pod)
{
    size_t resource = pb_open(b, 1), spans, scope;

    put_resource(b, service, pod);
    spans = pb_open(b, 2);
    scope = pb_open(b, 1);
    pb_put_str(b, 1, STR("go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"));
    pb_close(b, scope);
    for (size_t i = 0; i < n; i++)
        if (v[i].service == service && v[i].pod == pod)
            put_span(b, &v[i]);
    pb_close(b, spans);
    pb_close(b, resource);
}

static bool write_body(const struct span *v, size_t n)
{
    struct buf b = BUF_INIT(1 << 30);
    uint64_t length;
    bool good;

    for (uint64_t service = 0; service < SERVICES; service++)
        for (uint64_t pod = 0; pod < PODS; pod++)
            put_pod(&b, v, n, service, pod);
    length = b.n;
    good = !buf_failed(&b) && fwrite(&length, sizeof(length), 1, stdout) == 1 && fwrite(b.p, 1, b.n, stdout) == b.n;
    buf_free(&b);
    return good;
}

/* --- the whole --- */

static void tell_about(const struct span *trace, size_t n)
{
    char id[33];

    hex(id, trace->trace, sizeof(trace->trace));
    printf("%s %zu ", id, n);
}

int main(int argc, char **argv)
{
    bool about = argc > 1 && strcmp(argv[1], "about") == 0;
    uint64_t spans = argc > 3 ? strtoull(argv[2], NULL, 10) : 0, per_body = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
    int64_t start_ns = argc > 4 ? strtoll(argv[4], NULL, 10) : INT64_C(1790000000000000000), time_ns = start_ns;
    struct span *v = per_body ? calloc(per_body + MOST_IN_TRACE, sizeof(*v)) : NULL;
    bool told = !about;

    if (!spans || !v) {
        fprintf(stderr, "usage: span_rows otlp|about SPANS SPANS_PER_BODY [START_NS [SEED]]\n");
        return 2;
    }
    state = argc > 5 ? strtoull(argv[5], NULL, 10) : 1;
    for (uint64_t made = 0; made < spans;) {
        size_t n = 0;

        while (n < per_body && made + n < spans) {
            size_t more;

            time_ns += (int64_t)below(16000000);
            more = make_trace(v + n, time_ns);
            if (!told && made + n >= spans / 2) {
                tell_about(v + n, more);
                told = true;
            }
            n += more;
        }
        made += n;
        if (!about && !write_body(v, n))
            return 1;
    }
    if (about)
        printf("%" PRId64 "\n", time_ns - start_ns);
    free(v);
    return 0;
}
