/* serve.c: vigla serve: opens the store, starts the API, waits for a signal.
 *
 * Every option may stand in the file of --config under its own name; the command line wins. SIGHUP and POST /-/reload
 * read the file again: a bad one is refused and the old settings stay; the log level and what is scraped change at
 * once, the rest of what changed is told to need a restart. */
#include "api/api.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/command-internal.h"
#include "cmd/settings-internal.h"
#include "collector/grpc.h"
#include "collector/red.h"
#include "collector/scrape.h"
#include "collector/syslog.h"
#include "collector/tail.h"
#include "store/store.h"

#include <signal.h>
#include <string.h>

enum { GIVE_BACK_SECONDS = 5, MUCH_KEPT = 12 << 20, CACHE_IDLE_MS = 5 * 60 * 1000, STOP_API_MS = 3000,
       STOP_GRPC_MS = 1000 };

static const char default_grpc[] = "127.0.0.1:4317";

static const char details[] =
    "When it is ready it prints `ready http://HOST:PORT`. SIGTERM or Ctrl-C: what was taken in is stored, then it "
    "ends.\n"
    "An answer of 2xx to a sender means that its data is in SQLite.";

static int translate(const struct settings *o, struct store_options *store, struct api_options *api, char host[64],
                     struct err *e)
{
    if (address_parse(o->listen, host, &api->port, e) < 0)
        return err_wrap(e, "serve: --listen");
    store->durability = strcmp(o->durability, "power") == 0 ? STORE_POWER : STORE_PROCESS;
    store->retention_ms = o->retention_ms;
    store->queue_bytes = o->queue;
    store->directory_bytes = o->memory_limit / 64;
    api->host = host;
    api->threads = (unsigned)o->threads;
    api->max_body = o->max_body;
    api->max_memory = o->memory_limit;
    api->admin = o->admin;
    api->retention_ms = o->retention_ms;
    api->limits = (struct promql_limits){ .lookback_ms = o->query_lookback_ms, .timeout_ms = o->query_timeout_ms,
                                          .max_samples = (uint64_t)o->query_max_samples };
    return 0;
}

/* Blocks the signals that end us, for this thread and those it starts, and returns the set to wait on. */
static sigset_t block_signals(void)
{
    sigset_t stop;

    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    sigaddset(&stop, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &stop, NULL);
    signal(SIGPIPE, SIG_IGN);
    return stop;
}

/* The signal that ends us; meanwhile settings are read again when asked, and memory that is not used is given back. */
static void wait_for_the_end(struct settings_file *file, struct promql_cache *cache, struct api *api,
                             const sigset_t *signals)
{
    const struct timespec pause = { GIVE_BACK_SECONDS, 0 };
    int sig;

    while ((sig = sigtimedwait(signals, NULL, &pause)) < 0 || sig == SIGHUP) {
        struct err e = ERR_INIT;

        if (sig < 0) {
            promql_cache_trim(cache, CACHE_IDLE_MS);
            api_give_back(api);
            mem_give_back(MUCH_KEPT);
        } else if (settings_reload(file, &e) < 0) {
            log_error("reload refused, the old settings stay: %s", e.msg);
        }
    }
    log_info("%s: storing what was taken in", sig == SIGINT ? "interrupted" : "asked to end");
}

/* What brings data beside the API. */
struct receivers {
    struct red *red;
    struct scrape *scrape;
    struct grpc_server *grpc; /* NULL: it is turned off, or another program has the default port */
    struct syslog *syslog;    /* NULL: nobody is to be listened to */
    struct tail *tail;        /* NULL: no file is to be followed */
};

static int start_grpc(struct receivers *r, struct store *st, const struct settings *o, struct err *e)
{
    struct grpc_options with = { .red = r->red, .max_message = o->max_body, .max_bytes = o->memory_limit / 16,
                                 .max_memory = o->memory_limit / 4 };
    const char *address = o->otlp_grpc ? o->otlp_grpc : default_grpc;
    char host[64];

    if (strcmp(address, "none") == 0)
        return 0;
    if (address_parse(address, host, &with.port, e) < 0)
        return err_wrap(e, "serve: --otlp-grpc");
    with.host = host;
    r->grpc = grpc_start(st, &with, e);
    if (r->grpc) {
        log_info("OTLP and Envoy by gRPC: %s port %u", host, grpc_port(r->grpc));
        return 0;
    }
    if (o->otlp_grpc || e->code != ERR_CONFLICT)
        return e->code;
    log_warn("%s; going on without it (serve --otlp-grpc HOST:PORT, or none)", e->msg);
    return 0;
}

/* Of the file's listeners and the option's. */
static int start_syslog(struct receivers *r, struct store *st, struct settings_file *file, struct err *e)
{
    struct syslog_config *config = file->inputs.syslog;
    const char *address = file->now.syslog;

    if (address && strcmp(address, "none") != 0 && syslog_config_listen(config, address, e) < 0)
        return err_wrap(e, "serve: --syslog");
    if (syslog_config_listeners(config) == 0)
        return 0;
    file->inputs.syslog = NULL;
    r->syslog = syslog_start(st, r->red, config, e);
    return r->syslog ? 0 : e->code;
}

static int start_tail(struct receivers *r, struct store *st, struct settings_file *file, struct err *e)
{
    struct tail_config *config = file->inputs.tail;

    if (tail_config_entries(config) == 0)
        return 0;
    file->inputs.tail = NULL;
    r->tail = tail_start(st, r->red, config, e);
    return r->tail ? 0 : e->code;
}

/* In the end stop_receivers, also after a failure. */
static int start_receivers(struct receivers *r, struct store *st, struct settings_file *file, struct err *e)
{
    *r = (struct receivers){ .red = red_new(st, e), .scrape = scrape_start(st, file->inputs.scrape, e) };
    file->inputs.scrape = NULL;
    if (!r->red || !r->scrape)
        return e->code;
    if (start_grpc(r, st, &file->now, e) < 0 || start_syslog(r, st, file, e) < 0)
        return e->code;
    return start_tail(r, st, file, e);
}

static void stop_receivers(struct receivers *r)
{
    syslog_stop(r->syslog);
    tail_stop(r->tail);
    grpc_stop(r->grpc, STOP_GRPC_MS);
    scrape_stop(r->scrape);
    red_free(r->red);
}

static void rescrape(void *arg, struct scrape_config *config)
{
    scrape_apply(arg, config);
}

/* Serves what the store holds until a signal ends it. */
static int serve_store(struct settings_file *file, struct store *st, const struct api_options *options,
                       const sigset_t *signals)
{
    struct err e = ERR_INIT;
    bool six = strchr(options->host, ':') != NULL;
    struct api_options with = *options;
    struct receivers receivers;
    struct api *api = NULL;

    if (start_receivers(&receivers, st, file, &e) == 0) {
        file->rescrape = rescrape;
        file->rescrape_arg = receivers.scrape;
        with.scrape = receivers.scrape;
        with.grpc = receivers.grpc;
        with.red = receivers.red;
        with.syslog = receivers.syslog;
        with.tail = receivers.tail;
        api = api_start(st, &with, &e);
    }
    if (!api) {
        stop_receivers(&receivers);
        return command_fail(EXIT_FAILED, &e);
    }
    printf("ready http://%s%s%s:%u\n", six ? "[" : "", options->host, six ? "]" : "", api_port(api));
    fflush(stdout);
    wait_for_the_end(file, options->limits.cache, api, signals);
    api_stop(api, STOP_API_MS);
    stop_receivers(&receivers);
    return EXIT_WELL;
}

static int serve(struct settings_file *file, const struct store_options *store_options,
                 const struct api_options *api_options)
{
    struct err e = ERR_INIT;
    sigset_t signals = block_signals();
    struct store *st = store_open(file->now.data, store_options, &e);
    struct api_options with = *api_options;
    int rc;

    if (!st)
        return command_fail(EXIT_FAILED, &e);
    if (file->now.query_cache) /* without memory for it: as if there were none */
        with.limits.cache = promql_cache_new(file->now.query_cache);
    rc = serve_store(file, st, &with, &signals);
    promql_cache_free(with.limits.cache);
    store_close(st);
    return rc;
}

static int reload(void *arg, struct err *e)
{
    return settings_reload(arg, e);
}

static int run(struct session *s, int argc, char **argv)
{
    struct settings_file file;
    struct option options[SETTINGS_OPTIONS];
    struct store_options store = { 0 };
    struct api_options api = { .reload = reload, .reload_arg = &file };
    struct err e = ERR_INIT;
    char host[64];
    int rc;

    settings_init(&file);
    settings_options(&file.now, options);
    rc = settings_find_file(&file, argc, argv, &e);
    if (rc == 0)
        rc = settings_read(&file, &e);
    if (rc < 0)
        return command_fail(EXIT_USAGE, &e);
    rc = command_options(s, &command_serve, options, SETTINGS_OPTIONS, details, &argc, argv);
    if (rc >= 0)
        return rc;
    if (argc > 1)
        return command_usage("serve: %s: takes options only", argv[1]);
    if (settings_check(&file.now, &e) < 0 || translate(&file.now, &store, &api, host, &e) < 0)
        return command_fail(EXIT_USAGE, &e);
    log_set_level((enum log_level)log_level_parse(file.now.log_level));
    api.config = buf_cstr(&file.text);
    mem_keep();
    rc = serve(&file, &store, &api);
    settings_fini(&file);
    return rc;
}

const struct command command_serve = { "serve", "--data DIR [OPTION]...", "run the server", run };
