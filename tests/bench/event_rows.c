/* event_rows.c: synthetic access logs of a mesh of 24 services, the same rows in each form.
 *
 *   event_rows otlp|rowbinary|jsonl ROWS ROWS_PER_BODY [START_NS [SEED]]
 *
 * otlp and rowbinary: bodies, each behind its length (8 bytes, little-endian); otlp is an ExportLogsServiceRequest as
 * Envoy's OpenTelemetry access logger ships Istio's labels, one resource and scope for each body. jsonl: one object in a
 * line. About 1,000 rows a second; request and trace ids are random, the other columns depend on the edge, the path and
 * chance as in a mesh: few distinct values for most, long tails for durations and sizes. */
#include "base/buf.h"
#include "base/pb.h"
#include "tests/bench/mesh_rows.h"

#include <stdlib.h>

enum { EDGES = 60 };

struct row {
    int64_t time_ns, duration_us, upstream_us, bytes_sent, bytes_received, code;
    const char *method, *flags, *agent, *reporter;
    char path[96], request_id[40], trace_id[36], upstream_host[32], remote[32], pod[32];
    char source[24], destination[24], service[64], cluster[96], authority[32];
    uint8_t id[16], trace[16];
    const char *ns, *name;
};

static const char *const agents[] = {
    "Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/119.0", "Go-http-client/2.0", "python-requests/2.31.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15", "curl/8.4.0", "okhttp/4.12.0",
    "grpc-go/1.59.0", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/119.0.0.0 Safari/537.36",
};
static void random_ids(struct row *r)
{
    for (int i = 0; i < 2; i++) {
        uint64_t a = next(), b = next();

        memcpy(r->id + 8 * i, &a, 8);
        memcpy(r->trace + 8 * i, &b, 8);
    }
    r->id[6] = (uint8_t)(0x40 | (r->id[6] & 0x0f));
    r->id[8] = (uint8_t)(0x80 | (r->id[8] & 0x3f));
    hex(r->trace_id, r->trace, 16);
    hex(r->request_id, r->id, 4);
    r->request_id[8] = r->request_id[13] = r->request_id[18] = r->request_id[23] = '-';
    hex(r->request_id + 9, r->id + 4, 2);
    r->request_id[13] = '-';
    hex(r->request_id + 14, r->id + 6, 2);
    r->request_id[18] = '-';
    hex(r->request_id + 19, r->id + 8, 2);
    r->request_id[23] = '-';
    hex(r->request_id + 24, r->id + 10, 6);
}

static void make(struct row *r, int64_t time_ns)
{
    uint64_t edge = below(1 + below(EDGES)), service = (edge * 7 + 1) % SERVICES, caller = (edge * 5) % SERVICES;
    uint64_t pod = below(PODS), port = 1 + below(28000);

    caller = caller == service ? (caller + 1) % SERVICES : caller;
    r->time_ns = time_ns;
    r->reporter = below(2) ? "destination" : "source";
    r->ns = "shop";
    r->name = names[service];
    r->method = below(10) < 7 ? "GET" : below(3) ? "POST" : "PUT";
    r->agent = agents[(caller + below(2)) % 8];
    r->code = code_of();
    r->flags = r->code == 503 ? (below(2) ? "UF" : "UH") : r->code == 504 ? "UT" : r->code == 429 ? "RL" : "";
    r->upstream_us = (int64_t)tailed(2000 + 500 * (double)service, 0.6);
    r->duration_us = r->upstream_us + 300 + (int64_t)below(400);
    r->bytes_sent = r->code == 204 ? 0 : (int64_t)tailed(900 + 200 * (double)service, 0.5);
    r->bytes_received = r->method[0] == 'G' ? 0 : (int64_t)tailed(300, 0.5);
    path_of(r->path, sizeof(r->path), service);
    random_ids(r);
    snprintf(r->source, sizeof(r->source), "%s-v1", names[caller]);
    snprintf(r->destination, sizeof(r->destination), "%s-v%d", names[service], pod == 2 ? 2 : 1);
    snprintf(r->service, sizeof(r->service), "%s.shop.svc.cluster.local", names[service]);
    snprintf(r->authority, sizeof(r->authority), "%s.shop:8080", names[service]);
    snprintf(r->cluster, sizeof(r->cluster), "outbound|8080||%s.shop.svc.cluster.local", names[service]);
    snprintf(r->upstream_host, sizeof(r->upstream_host), "10.1.%" PRIu64 ".%" PRIu64 ":8080", service, 10 + pod);
    snprintf(r->remote, sizeof(r->remote), "10.1.%" PRIu64 ".%" PRIu64 ":%" PRIu64, caller, 10 + below(PODS), 32768 + port);
    snprintf(r->pod, sizeof(r->pod), "%s-%" PRIu64, names[service], pod);
}

/* --- OTLP --- */

static void put_text(struct buf *b, const char *key, const char *value)
{
    size_t pair = pb_open(b, 6), any;

    if (!value[0]) /* Envoy's formatter writes "-" for what is not there */
        value = "-";
    pb_put_str(b, 1, str_of(key));
    any = pb_open(b, 2);
    pb_put_str(b, 1, str_of(value));
    pb_close(b, any);
    pb_close(b, pair);
}

static void put_number(struct buf *b, const char *key, int64_t value)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRId64, value);
    put_text(b, key, text);
}

static void otlp_row(struct buf *b, const struct row *r)
{
    size_t record = pb_open(b, 2);

    pb_put_fixed64(b, 1, (uint64_t)r->time_ns);
    put_text(b, "reporter", r->reporter);
    put_text(b, "method", r->method);
    put_text(b, "path", r->path);
    put_text(b, "protocol", "HTTP/1.1");
    put_number(b, "response_code", r->code);
    put_text(b, "response_flags", r->flags);
    put_number(b, "bytes_received", r->bytes_received);
    put_number(b, "bytes_sent", r->bytes_sent);
    put_number(b, "duration_us", r->duration_us);
    put_number(b, "upstream_service_time_us", r->upstream_us);
    put_text(b, "user_agent", r->agent);
    put_text(b, "request_id", r->request_id);
    put_text(b, "authority", r->authority);
    put_text(b, "upstream_host", r->upstream_host);
    put_text(b, "upstream_cluster", r->cluster);
    put_text(b, "downstream_remote_address", r->remote);
    put_text(b, "route_name", "default");
    put_text(b, "trace_id", r->trace_id);
    put_text(b, "pod", r->pod);
    put_text(b, "namespace", r->ns);
    put_text(b, "source_workload", r->source);
    put_text(b, "destination_workload", r->destination);
    put_text(b, "destination_service", r->service);
    put_text(b, "destination_service_name", r->name);
    pb_close(b, record);
}

static void otlp_open(struct buf *b, size_t marks[2])
{
    size_t scope;

    marks[0] = pb_open(b, 1);
    marks[1] = pb_open(b, 2);
    scope = pb_open(b, 1);
    pb_put_str(b, 1, STR("vigla.access_log"));
    pb_close(b, scope);
}

/* --- ClickHouse --- */

static void put_varint_text(struct buf *b, const char *s)
{
    pb_raw_varint(b, strlen(s));
    buf_puts(b, s);
}

static void put_raw(struct buf *b, const void *p, size_t n)
{
    buf_str(b, (struct str){ p, n });
}

/* The columns in the order of events.py's table. A UUID is two little-endian halves there. */
static void rowbinary_row(struct buf *b, const struct row *r)
{
    uint32_t seconds = (uint32_t)(r->time_ns / 1000000000);
    uint16_t code = (uint16_t)r->code;
    uint8_t uuid[16];

    for (int i = 0; i < 8; i++) {
        uuid[i] = r->id[7 - i];
        uuid[8 + i] = r->id[15 - i];
    }
    put_raw(b, &seconds, 4);
    put_raw(b, &r->time_ns, 8);
    put_varint_text(b, r->reporter);
    put_varint_text(b, r->method);
    put_varint_text(b, r->path);
    put_varint_text(b, "HTTP/1.1");
    put_raw(b, &code, 2);
    put_varint_text(b, r->flags);
    put_raw(b, &r->bytes_received, 8);
    put_raw(b, &r->bytes_sent, 8);
    put_raw(b, &r->duration_us, 8);
    put_raw(b, &r->upstream_us, 8);
    put_varint_text(b, r->agent);
    put_raw(b, uuid, 16);
    put_varint_text(b, r->authority);
    put_varint_text(b, r->upstream_host);
    put_varint_text(b, r->cluster);
    put_varint_text(b, r->remote);
    put_varint_text(b, "default");
    put_raw(b, r->trace, 16);
    put_varint_text(b, r->pod);
    put_varint_text(b, r->ns);
    put_varint_text(b, r->source);
    put_varint_text(b, r->destination);
    put_varint_text(b, r->service);
    put_varint_text(b, r->name);
}

/* --- JSON lines --- */

static void jsonl_row(struct buf *b, const struct row *r)
{
    buf_printf(b,
               "{\"time\":%" PRId64 ",\"reporter\":\"%s\",\"method\":\"%s\",\"path\":\"%s\",\"protocol\":\"HTTP/1.1\","
               "\"response_code\":%" PRId64 ",\"response_flags\":\"%s\",\"bytes_received\":%" PRId64 ",\"bytes_sent\":%" PRId64
               ",\"duration_us\":%" PRId64 ",\"upstream_service_time_us\":%" PRId64 ",",
               r->time_ns, r->reporter, r->method, r->path, r->code, r->flags, r->bytes_received, r->bytes_sent,
               r->duration_us, r->upstream_us);
    buf_printf(b,
               "\"user_agent\":\"%s\",\"request_id\":\"%s\",\"authority\":\"%s\",\"upstream_host\":\"%s\","
               "\"upstream_cluster\":\"%s\",\"downstream_remote_address\":\"%s\",\"route_name\":\"default\",",
               r->agent, r->request_id, r->authority, r->upstream_host, r->cluster, r->remote);
    buf_printf(b,
               "\"trace_id\":\"%s\",\"pod\":\"%s\",\"namespace\":\"%s\",\"source_workload\":\"%s\","
               "\"destination_workload\":\"%s\",\"destination_service\":\"%s\",\"destination_service_name\":\"%s\"}\n",
               r->trace_id, r->pod, r->ns, r->source, r->destination, r->service, r->name);
}

static bool flush(struct buf *b, bool framed)
{
    uint64_t n = b->n;

    if (buf_failed(b) || (framed && fwrite(&n, sizeof(n), 1, stdout) != 1) || fwrite(b->p, 1, b->n, stdout) != b->n)
        return false;
    buf_reset(b);
    return true;
}

int main(int argc, char **argv)
{
    bool otlp = argc > 1 && strcmp(argv[1], "otlp") == 0, json = argc > 1 && strcmp(argv[1], "jsonl") == 0;
    uint64_t rows = argc > 3 ? strtoull(argv[2], NULL, 10) : 0, per_body = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
    int64_t time_ns = argc > 4 ? strtoll(argv[4], NULL, 10) : INT64_C(1790000000000000000);
    struct buf b = BUF_INIT(1 << 30);
    struct row r;

    if (!rows || !per_body) {
        fprintf(stderr, "usage: event_rows otlp|rowbinary|jsonl ROWS ROWS_PER_BODY [START_NS [SEED]]\n");
        return 2;
    }
    state = argc > 5 ? strtoull(argv[5], NULL, 10) : 1;
    for (uint64_t i = 0; i < rows;) {
        size_t marks[2] = { 0, 0 };
        uint64_t end = i + per_body < rows ? i + per_body : rows;

        if (otlp)
            otlp_open(&b, marks);
        for (; i < end; i++) {
            time_ns += (int64_t)below(2000000);
            make(&r, time_ns);
            (otlp ? otlp_row : json ? jsonl_row : rowbinary_row)(&b, &r);
        }
        for (int k = 1; otlp && k >= 0; k--)
            pb_close(&b, marks[k]);
        if (!flush(&b, !json))
            return 1;
    }
    buf_free(&b);
    return 0;
}
