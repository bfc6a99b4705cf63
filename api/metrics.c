/* metrics.c: the server's own metrics, in the text format 0.0.4. */

#include "api/http-internal.h"
#include "collector/grpc.h"
#include "collector/scrape.h"
#include "collector/syslog.h"
#include "collector/tail.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static void head(struct buf *b, const char *name, const char *type, const char *help)
{
    buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void whole(struct buf *b, const char *name, const char *type, const char *help, uint64_t v)
{
    head(b, name, type, help);
    buf_printf(b, "%s %" PRIu64 "\n", name, v);
}

static void fraction(struct buf *b, const char *name, const char *type, const char *help, double v)
{
    head(b, name, type, help);
    buf_printf(b, "%s ", name);
    buf_double(b, v);
    buf_putc(b, '\n');
}

/* --- the process --- */

static uint64_t resident_bytes(void)
{
    unsigned long long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");

    if (!f)
        return 0;
    if (fscanf(f, "%*u %llu", &pages) != 1)
        pages = 0;
    fclose(f);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t open_files(void)
{
    DIR *d = opendir("/proc/self/fd");
    uint64_t n = 0;

    if (!d)
        return 0;
    while (readdir(d))
        n++;
    closedir(d);
    return n > 3 ? n - 3 : 0; /* ".", ".." and the directory itself */
}

static double cpu_seconds(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void put_process(struct buf *b, const struct api *api)
{
    struct rlimit files;

    fraction(b, "process_cpu_seconds_total", "counter", "CPU time used, user and system.", cpu_seconds());
    whole(b, "process_resident_memory_bytes", "gauge", "Resident memory.", resident_bytes());
    whole(b, "process_open_fds", "gauge", "Open file descriptors.", open_files());
    if (getrlimit(RLIMIT_NOFILE, &files) == 0)
        whole(b, "process_max_fds", "gauge", "Most file descriptors that may be open.", files.rlim_cur);
    fraction(b, "process_start_time_seconds", "gauge", "When the server began to listen, since the epoch.",
             (double)api->started_ms / 1000);
    head(b, "vigla_build_info", "gauge", "Always 1; the version is a label.");
    buf_puts(b, "vigla_build_info{version=\"" VIGLA_VERSION "\"} 1\n");
}

/* --- HTTP --- */

/* handler="…",method="…" of the i-th route; those without a route come last. A path may have two routes. */
static void put_route(struct buf *b, size_t i)
{
    char methods[64] = "";

    if (i < routes_n)
        route_allow(routes[i].methods, methods, sizeof(methods));
    methods[strcspn(methods, ",")] = '\0';
    buf_printf(b, "handler=\"%s\",method=\"%s\"", i < routes_n ? routes[i].pattern : "none", methods);
}

static void put_counts(struct buf *b, const struct api *api, size_t i)
{
    const struct route_count *c = &api->counts[i];

    for (size_t k = 0; k < HTTP_CODES; k++) {
        uint64_t n = atomic_load_explicit(&c->codes[k], memory_order_relaxed);

        if (n == 0)
            continue;
        buf_puts(b, "vigla_http_requests_total{");
        put_route(b, i);
        buf_puts(b, ",code=\"");
        if (http_codes[k])
            buf_printf(b, "%u", http_codes[k]);
        else
            buf_puts(b, "other");
        buf_printf(b, "\"} %" PRIu64 "\n", n);
    }
}

static uint64_t all_codes(const struct route_count *c)
{
    uint64_t n = 0;

    for (size_t k = 0; k < HTTP_CODES; k++)
        n += atomic_load_explicit(&c->codes[k], memory_order_relaxed);
    return n;
}

static void put_http(struct buf *b, const struct api *api)
{
    head(b, "vigla_http_requests_total", "counter",
         "Requests that have ended, by path, first method of the path and code.");
    for (size_t i = 0; i <= routes_n; i++)
        put_counts(b, api, i);
    head(b, "vigla_http_request_seconds", "summary", "Time from a request's first line to its end.");
    for (size_t i = 0; i <= routes_n; i++) {
        const struct route_count *c = &api->counts[i];
        uint64_t n = all_codes(c);

        if (n == 0)
            continue;
        buf_puts(b, "vigla_http_request_seconds_sum{");
        put_route(b, i);
        buf_puts(b, "} ");
        buf_double(b, (double)atomic_load_explicit(&c->ns, memory_order_relaxed) / 1e9);
        buf_puts(b, "\nvigla_http_request_seconds_count{");
        put_route(b, i);
        buf_printf(b, "} %" PRIu64 "\n", n);
    }
    whole(b, "vigla_http_body_bytes", "gauge", "Bodies of requests that are in memory.", atomic_load(&api->body_bytes));
}

/* --- receivers and store --- */

static void put_receivers(struct buf *b, const struct api *api)
{
    static const char *const signals[3] = { "logs", "metrics", "traces" };

    head(b, "vigla_otlp_items_total", "counter",
         "Log records, data points and spans received by OTLP, by what became of them.");
    for (int i = 0; i < 3; i++)
        buf_printf(b,
                   "vigla_otlp_items_total{signal=\"%s\",result=\"accepted\"} %" PRIu64
                   "\nvigla_otlp_items_total{signal=\"%s\",result=\"refused\"} %" PRIu64 "\n",
                   signals[i], (uint64_t)atomic_load(&api->otlp[i].accepted), signals[i],
                   (uint64_t)atomic_load(&api->otlp[i].refused));
    head(b, "vigla_remote_write_items_total", "counter",
         "What remote write brought, by what became of it: samples stored; samples, native histograms and metadata "
         "refused; exemplars dropped.");
    buf_printf(b,
               "vigla_remote_write_items_total{result=\"accepted\"} %" PRIu64
               "\nvigla_remote_write_items_total{result=\"refused\"} %" PRIu64
               "\nvigla_remote_write_items_total{result=\"exemplar\"} %" PRIu64 "\n",
               (uint64_t)atomic_load(&api->write.samples), (uint64_t)atomic_load(&api->write.refused),
               (uint64_t)atomic_load(&api->write.exemplars));
}

static void put_push(struct buf *b, const struct api *api)
{
    static const char *const names[PUSH_RECEIVERS] = { [PUSH_LOKI] = "loki", [PUSH_ZIPKIN] = "zipkin",
                                                       [PUSH_JAEGER] = "jaeger" };

    head(b, "vigla_push_items_total", "counter", "Log lines pushed as Loki wants them, and spans as Zipkin and Jaeger do.");
    for (int i = 0; i < PUSH_RECEIVERS; i++)
        buf_printf(b,
                   "vigla_push_items_total{receiver=\"%s\",result=\"accepted\"} %" PRIu64
                   "\nvigla_push_items_total{receiver=\"%s\",result=\"refused\"} %" PRIu64 "\n",
                   names[i], (uint64_t)atomic_load(&api->push[i].accepted), names[i],
                   (uint64_t)atomic_load(&api->push[i].refused));
}

static void put_scraping(struct buf *b, struct scrape *scrape)
{
    struct scrape_stats s;

    scrape_stats(scrape, &s);
    whole(b, "vigla_scrapes_total", "counter", "Scrapes that have ended.", s.scrapes);
    whole(b, "vigla_scrape_failures_total", "counter", "Scrapes that failed, or whose samples could not be stored.",
          s.failures);
    whole(b, "vigla_scrapes_not_stored_total", "counter", "Of these, those that the store refused.", s.not_stored);
    whole(b, "vigla_scrapes_late_total", "counter", "Scrapes left out because the one before had not ended.", s.late);
    whole(b, "vigla_scraped_samples_total", "counter", "Samples stored by scraping, reports and stale markers too.",
          s.samples);
    whole(b, "vigla_scraped_doubles_total", "counter", "Lines left out because they stood twice on their page.",
          s.doubles);
}

/* "/PACKAGE.SERVICE/METHOD" as labels. */
static void put_method(struct buf *b, const char *path)
{
    struct str method = str_of(path), service;

    method = path[0] == '/' ? str_from(method, 1) : method;
    service = str_cut(&method, '/');
    buf_printf(b, "service=\"%.*s\",method=\"%.*s\"", STR_ARG(service), STR_ARG(method));
}

static void put_calls(struct buf *b, const struct grpc_stats *s)
{
    head(b, "vigla_grpc_calls_total", "counter", "gRPC calls that have ended, by method and status; given up: CANCELLED.");
    for (size_t i = 0; i <= GRPC_METHODS; i++)
        for (int code = 0; code < GRPC_STATUSES; code++) {
            if (s->methods[i].calls[code] == 0)
                continue;
            buf_puts(b, "vigla_grpc_calls_total{");
            put_method(b, s->methods[i].name);
            buf_printf(b, ",code=\"%s\"} %" PRIu64 "\n", grpc_status_name((enum grpc_status)code),
                       s->methods[i].calls[code]);
        }
}

static void put_items(struct buf *b, const struct grpc_stats *s)
{
    head(b, "vigla_grpc_items_total", "counter",
         "Log records, data points, spans and log entries received by gRPC, by what became of them.");
    for (size_t i = 0; i < GRPC_METHODS; i++)
        for (int refused = 0; refused < 2; refused++) {
            buf_puts(b, "vigla_grpc_items_total{");
            put_method(b, s->methods[i].name);
            buf_printf(b, ",result=\"%s\"} %" PRIu64 "\n", refused ? "refused" : "accepted",
                       refused ? s->methods[i].refused : s->methods[i].accepted);
        }
}

static void put_grpc(struct buf *b, struct grpc_server *grpc)
{
    struct grpc_stats s;

    grpc_stats(grpc, &s);
    put_calls(b, &s);
    head(b, "vigla_grpc_messages_total", "counter", "Complete gRPC messages received, by method.");
    for (size_t i = 0; i < GRPC_METHODS; i++) {
        buf_puts(b, "vigla_grpc_messages_total{");
        put_method(b, s.methods[i].name);
        buf_printf(b, "} %" PRIu64 "\n", s.methods[i].messages);
    }
    put_items(b, &s);
    whole(b, "vigla_grpc_connections", "gauge", "Connections that are open.", s.connections);
    whole(b, "vigla_grpc_calls", "gauge", "Calls under way, and those whose data is still to be stored.", s.calls);
    whole(b, "vigla_grpc_connections_total", "counter", "Connections taken.", s.accepted);
    whole(b, "vigla_grpc_connections_refused_total", "counter", "Connections turned away: there are too many.",
          s.turned_away);
    whole(b, "vigla_grpc_connections_ended_total", "counter",
          "Connections ended for what their peer did, or owed for too long.", s.ended);
    whole(b, "vigla_grpc_message_bytes", "gauge", "Messages that are in memory.", s.bytes);
    whole(b, "vigla_grpc_waiting_messages", "gauge", "Of these, those that the store had no room for yet.", s.waiting);
}

static void put_syslog(struct buf *b, const struct syslog *syslog)
{
    struct syslog_stats s;

    syslog_stats(syslog, &s);
    head(b, "vigla_syslog_messages_total", "counter", "Syslog messages received.");
    buf_printf(b,
               "vigla_syslog_messages_total{transport=\"datagram\"} %" PRIu64
               "\nvigla_syslog_messages_total{transport=\"stream\"} %" PRIu64 "\n",
               s.datagrams, s.stream);
    whole(b, "vigla_syslog_dropped_total", "counter", "Datagrams that the kernel dropped: they came too fast.", s.dropped);
    whole(b, "vigla_syslog_malformed_total", "counter", "Messages whose header is none; kept as text.", s.malformed);
    whole(b, "vigla_syslog_cut_total", "counter", "Messages that were longer than max_message.", s.cut);
    whole(b, "vigla_syslog_unmatched_total", "counter", "Lines that did not follow their declared format; kept as text.",
          s.unmatched);
    whole(b, "vigla_syslog_not_stored_total", "counter", "Messages that the store would not have.", s.not_stored);
    whole(b, "vigla_syslog_connections", "gauge", "Connections that are open.", s.connections);
    whole(b, "vigla_syslog_connections_refused_total", "counter", "Connections turned away: there are too many.",
          s.refused);
}

static void put_tail(struct buf *b, const struct tail *tail)
{
    struct tail_stats s;

    tail_stats(tail, &s);
    whole(b, "vigla_tail_files", "gauge", "Files that are followed.", s.files);
    whole(b, "vigla_tail_lines_total", "counter", "Lines stored.", s.lines);
    whole(b, "vigla_tail_bytes_total", "counter", "Bytes of these.", s.bytes);
    whole(b, "vigla_tail_unmatched_total", "counter", "Lines that did not follow their declared format; kept as text.",
          s.unmatched);
    whole(b, "vigla_tail_truncated_total", "counter", "Files found truncated.", s.truncated);
    whole(b, "vigla_tail_cut_total", "counter", "Lines that were longer than max_line.", s.cut);
    whole(b, "vigla_tail_not_stored_total", "counter", "Lines that the store would not have.", s.not_stored);
}

static void put_cache(struct buf *b, struct promql_cache *cache)
{
    struct promql_cache_stats s;

    promql_cache_stats(cache, &s);
    whole(b, "vigla_query_cache_hits_total", "counter", "Range queries of which some steps were known.", s.hits);
    whole(b, "vigla_query_cache_misses_total", "counter", "Range queries of which none was.", s.misses);
    whole(b, "vigla_query_cache_results", "gauge", "Results that are kept.", s.results);
    whole(b, "vigla_query_cache_bytes", "gauge", "Memory of these.", s.bytes);
}

static void put_store(struct buf *b, struct store *st)
{
    struct store_stats s;

    store_stats(st, &s);
    whole(b, "vigla_store_batches_total", "counter", "Batches committed.", s.batches);
    whole(b, "vigla_store_duplicate_batches_total", "counter", "Batches that had been committed before.", s.duplicates);
    whole(b, "vigla_store_refused_batches_total", "counter", "Batches refused because the queue was full.", s.refused);
    whole(b, "vigla_store_commits_total", "counter", "Transactions committed.", s.commits);
    whole(b, "vigla_store_samples_total", "counter", "Samples committed.", s.samples);
    head(b, "vigla_store_events_total", "counter", "Events committed, by table.");
    for (int kind = 0; kind < EVENT_KINDS; kind++)
        buf_printf(b, "vigla_store_events_total{table=\"%.*s\"} %" PRIu64 "\n", STR_ARG(event_tables[kind].name),
                   s.events[kind]);
    whole(b, "vigla_store_series", "gauge", "Series known.", s.series);
    whole(b, "vigla_store_sealed_samples_total", "counter", "Samples written from memory into blocks.", s.sealed);
    whole(b, "vigla_store_merged_blocks_total", "counter", "Blocks merged into denser ones.", s.merged);
    whole(b, "vigla_store_blocks", "gauge", "Blocks of samples on disk.", s.blocks);
    whole(b, "vigla_store_damaged_blocks", "gauge", "Blocks and files set aside because they are damaged.", s.damaged);
    whole(b, "vigla_store_head_bytes", "gauge", "Memory of samples that are not in blocks yet.", s.head_bytes);
    whole(b, "vigla_store_index_bytes", "gauge", "Memory of the index of series.", s.index_bytes);
    whole(b, "vigla_store_queue_bytes", "gauge", "Batches that wait to be committed.", s.queue_bytes);
    whole(b, "vigla_store_disk_bytes", "gauge", "Size of the data directory.", s.disk_bytes);
}

void metrics_get(struct request *rq)
{
    reply_begin(rq, 200, "text/plain; version=0.0.4; charset=utf-8");
    put_process(&rq->out, rq->api);
    put_http(&rq->out, rq->api);
    put_receivers(&rq->out, rq->api);
    put_push(&rq->out, rq->api);
    if (rq->api->options.scrape)
        put_scraping(&rq->out, rq->api->options.scrape);
    if (rq->api->options.grpc)
        put_grpc(&rq->out, rq->api->options.grpc);
    if (rq->api->options.syslog)
        put_syslog(&rq->out, rq->api->options.syslog);
    if (rq->api->options.tail)
        put_tail(&rq->out, rq->api->options.tail);
    if (rq->api->options.limits.cache)
        put_cache(&rq->out, rq->api->options.limits.cache);
    put_store(&rq->out, rq->api->store);
}
