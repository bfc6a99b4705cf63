/* serve.c: vigla serve: opens the store, starts the API, waits for a signal. */
#include "api/api.h"
#include "base/buf.h"
#include "base/log.h"
#include "cmd/command-internal.h"
#include "store/store.h"

#include <inttypes.h>
#include <signal.h>
#include <string.h>

struct settings {
    const char *data, *listen, *durability, *log_level;
    int64_t retention_ms, query_timeout_ms, query_lookback_ms, query_max_samples, threads;
    size_t max_body, queue;
    bool admin;
};

static const char details[] =
    "When it is ready it prints `ready http://HOST:PORT`. SIGTERM or Ctrl-C: what was taken in is stored, then it ends.\n"
    "An answer of 2xx to a sender means that its data is in SQLite.";

static int check(struct settings *o, struct store_options *store, struct api_options *api, char host[64],
                 struct err *e)
{
    if (!o->data)
        return err_set(e, ERR_INVALID, "serve: --data DIR is missing: where should the data live?");
    if (strcmp(o->durability, "process") != 0 && strcmp(o->durability, "power") != 0)
        return err_set(e, ERR_INVALID, "serve: --durability %s: should be process or power", o->durability);
    if (o->threads > 256)
        return err_set(e, ERR_RANGE, "serve: --threads %" PRId64 ": should be 256 at most", o->threads);
    if (log_level_parse(o->log_level) < 0)
        return err_set(e, ERR_INVALID, "serve: --log-level %s: should be debug, info, warn or error", o->log_level);
    if (address_parse(o->listen, host, &api->port, e) < 0)
        return err_wrap(e, "serve: --listen");
    log_set_level((enum log_level)log_level_parse(o->log_level));
    store->durability = strcmp(o->durability, "power") == 0 ? STORE_POWER : STORE_PROCESS;
    store->retention_ms = o->retention_ms;
    store->queue_bytes = o->queue;
    api->host = host;
    api->threads = (unsigned)o->threads;
    api->max_body = o->max_body;
    api->admin = o->admin;
    api->retention_ms = o->retention_ms;
    api->limits = (struct promql_limits){ o->query_lookback_ms, o->query_timeout_ms, (uint64_t)o->query_max_samples };
    return 0;
}

/* Blocks the signals that end us, for this thread and those it starts, and returns the set to wait on. */
static sigset_t block_signals(void)
{
    sigset_t stop;

    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    pthread_sigmask(SIG_BLOCK, &stop, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    return stop;
}

static int serve(const char *data, const struct store_options *store_options, const struct api_options *api_options)
{
    struct err e = ERR_INIT;
    sigset_t stop = block_signals();
    struct store *st = store_open(data, store_options, &e);
    struct api *api;
    int sig;

    if (!st)
        return command_fail(EXIT_FAILED, &e);
    api = api_start(st, api_options, &e);
    if (!api) {
        store_close(st);
        return command_fail(EXIT_FAILED, &e);
    }
    printf("ready http://%s%s%s:%u\n", strchr(api_options->host, ':') ? "[" : "", api_options->host,
           strchr(api_options->host, ':') ? "]" : "", api_port(api));
    fflush(stdout);
    sigwait(&stop, &sig);
    log_info("%s: storing what was taken in", sig == SIGINT ? "interrupted" : "asked to end");
    api_stop(api, 3000);
    store_close(st);
    return EXIT_WELL;
}

static int run(struct session *s, int argc, char **argv)
{
    struct settings o = { .listen = "127.0.0.1:20001", .durability = "process", .log_level = "info",
                          .retention_ms = 15LL * 86400000, .query_timeout_ms = 120000, .query_lookback_ms = 300000,
                          .query_max_samples = 50000000, .threads = 4, .max_body = 32u << 20, .queue = 64u << 20 };
    const struct option options[] = {
        { "data", 0, OPTION_TEXT, "DIR", "where the data lives; made when missing", &o.data },
        { "listen", 0, OPTION_TEXT, "HOST:PORT", "127.0.0.1:20001; port 0 picks a free one", &o.listen },
        { "retention", 0, OPTION_DURATION, "TIME", "15d; how long data is kept, 0: for ever", &o.retention_ms },
        { "durability", 0, OPTION_TEXT, "process|power", "process; what an acknowledgement survives", &o.durability },
        { "max-body", 0, OPTION_SIZE, "SIZE", "32MiB; the largest request, unpacked", &o.max_body },
        { "queue", 0, OPTION_SIZE, "SIZE", "64MiB; of batches that wait to be stored", &o.queue },
        { "threads", 0, OPTION_NUMBER, "N", "4; for requests", &o.threads },
        { "query-timeout", 0, OPTION_DURATION, "TIME", "2m", &o.query_timeout_ms },
        { "query-lookback", 0, OPTION_DURATION, "TIME", "5m; how old a sample an instant may use", &o.query_lookback_ms },
        { "query-max-samples", 0, OPTION_NUMBER, "N", "50000000; in memory for one query", &o.query_max_samples },
        { "enable-admin-api", 0, OPTION_FLAG, NULL, "allow /api/v1/admin/tsdb/...", &o.admin },
        { "log-level", 0, OPTION_TEXT, "LEVEL", "info; debug, info, warn or error", &o.log_level },
    };
    struct store_options store = { 0 };
    struct api_options api = { 0 };
    struct err e = ERR_INIT;
    char host[64];
    int rc = command_options(s, &command_serve, options, sizeof(options) / sizeof(options[0]), details, &argc, argv);

    if (rc >= 0)
        return rc;
    if (argc > 1)
        return command_usage("serve: %s: takes options only", argv[1]);
    if (check(&o, &store, &api, host, &e) < 0)
        return command_fail(EXIT_USAGE, &e);
    return serve(o.data, &store, &api);
}

const struct command command_serve = { "serve", "--data DIR [OPTION]...", "run the server", run };
