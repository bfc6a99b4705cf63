/* main.c: the flags, the signals, and who is told what.
 *
 * The main thread configures (files, the server's words, the cache), the workers serve, telemetry tells.
 *
 *   STARTING --first snapshot--> in force --SIGTERM--> stop
 *                                 |    ^
 *                          SIGUSR2|    |the successor has failed
 *                                 v    |
 *                             handing over --the successor is ready--> retired --last connection, SIGTERM--> stop */
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "proxy/config.h"
#include "proxy/control.h"
#include "proxy/handover.h"
#include "proxy/options.h"
#include "proxy/rate_limit.h"
#include "proxy/server.h"
#include "proxy/supervisor.h"
#include "proxy/takeover.h"
#include "proxy/telemetry.h"

#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

enum {
    RING_BYTES = 4 * 1024 * 1024,
    MOST_CACHE = 32 * 1024 * 1024,
    HOUSEKEEPING_S = 2,        /* between looks at files of certificates, and at snapshots of before */
    RETIRED_MS = 10,           /* between looks at whether telemetry has told its last */
    RETIRED_LATER_MS = 200,    /* and whether the last connection is gone */
    FLUSH_MS = 700,            /* for telemetry, of the five seconds that an end may take */
    CACHE_AFTER_S = 3          /* a server that does not answer so long counts as away at start */
};

struct app {
    struct options o;
    char **argv;
    struct arena arena;
    struct event_base *base;
    struct circuits *circuits;
    struct rate_limits *limits;
    struct names *names;
    struct lb_tables *tables;
    struct worker_settings settings;
    struct record_ring **rings;
    struct server *server;
    struct telemetry *telemetry;
    struct control *control;
    struct jwks_store *jwks;
    struct tls_store *tls;
    struct takeover *takeover; /* NULL: nobody was before us, or he is gone */
    struct handover *handover; /* NULL: nobody is about to follow */
    struct event *signals[5], *cache_timer, *housekeeping, *retired_timer;
    uint64_t file_version;     /* counts the readings of --config without --control */
    bool ready, failed;
    bool retired;              /* a successor is in force */
};

static int start_telemetry(struct app *a, struct err *e)
{
    const struct proxy_snapshot *s = server_get(a->server);
    struct telemetry_options t = { .url = a->o.telemetry, .access_log = a->o.access_log,
                                   .access_log_json = a->o.access_log_json,
                                   .access_format = a->o.access_format, .admin_host = a->o.admin_host,
                                   .admin_port = a->o.admin_port, .rings = a->rings, .nrings = a->o.threads,
                                   .snapshot_get = server_get, .snapshot_put = server_put, .snapshot_arg = a->server,
                                   .inherited = takeover_sockets(a->takeover), .held = a->takeover != NULL,
                                   .circuits = a->circuits, .limits = a->limits };

    a->telemetry = telemetry_start(&s->self, &t, e);
    server_put(a->server, s);
    return a->telemetry ? 0 : ERR_IO;
}

/* The process before this one has told its last. */
static void on_told(void *arg)
{
    struct app *a = arg;

    telemetry_release(a->telemetry);
    takeover_free(a->takeover);
    a->takeover = NULL;
}

/* With the first snapshot. */
static int come_into_force(struct app *a, struct err *e)
{
    if (start_telemetry(a, e) < 0)
        return e->code;
    a->ready = true;
    telemetry_set_ready(a->telemetry, true);
    supervisor_write_pid(a->o.pid_file);
    server_inherit(a->server, NULL);
    if (a->takeover && takeover_ready(a->takeover, a->base, on_told, a, e) < 0)
        return e->code;
    if (!a->takeover)
        supervisor_tell_ready();
    puts("ready");
    fflush(stdout);
    return 0;
}

/* Makes a snapshot the one in force; the first one makes the proxy ready. */
static int apply(struct app *a, struct snapshot_ref *ref, struct err *e)
{
    if (server_apply(a->server, ref, e) < 0) {
        snapshot_ref_put(ref);
        return ERR_INVALID;
    }
    log_info("version %llu: %zu listeners, %zu clusters", (unsigned long long)ref->snapshot->version,
             ref->snapshot->nlisteners, ref->snapshot->nclusters);
    if (!a->ready && come_into_force(a, e) < 0) {
        log_error("%s", e->msg);
        a->failed = true;
        event_base_loopbreak(a->base);
    }
    return 0;
}

/* --config's files, and behind them what the server says (p NULL: nothing). */
static int configure(struct app *a, struct str name, struct str said, uint64_t version, struct err *e)
{
    struct arena texts_arena = ARENA_INIT(0);
    struct config_text *texts = NULL;
    struct snapshot_ref *ref = NULL;
    size_t n = 0, cap;
    int rc = config_read(&texts_arena, a->o.configs, a->o.nconfigs, &texts, &n, e);

    cap = n;
    if (rc == 0 && said.p) {
        rc = arena_grow(&texts_arena, &texts, &cap, n + 1, sizeof(*texts));
        if (rc == 0)
            texts[n++] = (struct config_text){ name, said };
    }
    if (rc == 0)
        ref = config_build(&a->o.identity, texts, n, version, e);
    arena_free(&texts_arena);
    return ref ? apply(a, ref, e) : e->code ? e->code : ERR_NOMEM;
}

static int configure_from_files(struct app *a, struct err *e)
{
    return configure(a, STR_NULL, STR_NULL, ++a->file_version, e);
}

/* The cache is the server's stream behind one line that says its version: a comment to YAML. */
static void write_cache(struct app *a, uint64_t version, struct str body)
{
    struct buf b = BUF_INIT(MOST_CACHE + 64);
    struct err e = ERR_INIT;

    if (!a->o.cache)
        return;
    buf_printf(&b, "# vigla-version %llu\n", (unsigned long long)version);
    buf_str(&b, body);
    if (buf_failed(&b) || file_write_atomic(a->o.cache, buf_view(&b), &e) < 0)
        log_warn("--cache %s: %s", a->o.cache, e.msg);
    buf_free(&b);
}

/* Not an error when it is not there. */
static void use_cache(struct app *a)
{
    struct buf b = BUF_INIT(MOST_CACHE + 64);
    struct str rest, line, word = STR("# vigla-version ");
    struct err e = ERR_INIT;
    uint64_t version = 0;

    if (a->ready || !a->o.cache || file_read(a->o.cache, &b, &e) < 0) {
        buf_free(&b);
        return;
    }
    rest = buf_view(&b);
    line = str_cut(&rest, '\n');
    if (!str_starts(line, word) || !num_u64(str_from(line, word.n), &version))
        log_warn("--cache %s: its first line is not \"# vigla-version N\"", a->o.cache);
    else if (configure(a, str_of(a->o.cache), buf_view(&b), version, &e) < 0)
        log_warn("--cache %s: %s", a->o.cache, e.msg);
    else
        log_info("the server is away: started with version %llu of %s", (unsigned long long)version, a->o.cache);
    buf_free(&b);
}

static int on_version(void *arg, uint64_t version, struct str body, struct err *e)
{
    struct app *a = arg;
    int rc = configure(a, STR("server"), body.p ? body : STR(""), version, e);

    if (rc < 0)
        log_error("version %llu is refused: %s", (unsigned long long)version, e->msg);
    else
        write_cache(a, version, body);
    return rc;
}

static void on_away(void *arg, const char *why)
{
    struct app *a = arg;

    log_warn("%s: %s", a->o.control, why);
    use_cache(a);
}

static void on_cache_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    use_cache(arg);
}

static void on_housekeeping(evutil_socket_t fd, short what, void *arg)
{
    struct app *a = arg;

    (void)fd, (void)what;
    tls_store_check(a->tls);
    if (a->server)
        server_tidy(a->server);
}

static int keep_house(struct app *a)
{
    struct timeval tv = { HOUSEKEEPING_S, 0 };

    a->housekeeping = event_new(a->base, -1, EV_PERSIST, on_housekeeping, a);
    return a->housekeeping && event_add(a->housekeeping, &tv) == 0 ? 0 : ERR_NOMEM;
}

/* ---- the process after this one ---- */

static void on_successor_failed(void *arg, const char *why)
{
    struct app *a = arg;

    log_error("the new process has not taken over: %s; this one goes on", why);
    handover_free(a->handover);
    a->handover = NULL;
}

static void look_again(struct app *a, int64_t ms)
{
    event_add(a->retired_timer, &(struct timeval){ ms / 1000, ms % 1000 * 1000 });
}

static void on_successor_ready(void *arg, pid_t pid)
{
    struct app *a = arg;

    log_info("process %ld has taken over; this one ends with its last connection", (long)pid);
    a->retired = true;
    supervisor_tell_successor(pid);
    control_stop(a->control);
    a->control = NULL;
    server_retire(a->server, a->o.upgrade_drain_ms * 1000000);
    telemetry_hand_over(a->telemetry);
    look_again(a, RETIRED_MS);
}

static void on_retired_timer(evutil_socket_t fd, short what, void *arg)
{
    struct app *a = arg;

    (void)fd, (void)what;
    if (a->handover && telemetry_has_handed_over(a->telemetry)) {
        handover_told(a->handover);
        handover_free(a->handover);
        a->handover = NULL;
    }
    if (!a->handover && server_has_ended(a->server))
        event_base_loopbreak(a->base);
    look_again(a, a->handover ? RETIRED_MS : RETIRED_LATER_MS);
}

static void hand_over(struct app *a)
{
    size_t n = server_sockets(a->server, NULL, 0);
    int *sockets = mem_alloc((n + 1) * sizeof(*sockets)), admin = telemetry_admin_socket(a->telemetry);
    struct handover_options o = { .argv = a->argv, .timeout_ms = a->o.upgrade_timeout_ms, .sockets = sockets,
                                  .ready = on_successor_ready, .failed = on_successor_failed, .arg = a };
    struct err e = ERR_INIT;

    if (sockets) {
        o.nsockets = server_sockets(a->server, sockets, n);
        if (admin >= 0)
            sockets[o.nsockets++] = admin;
        a->handover = handover_start(a->base, &o, &e);
    } else {
        err_set(&e, ERR_NOMEM, "no memory for %zu sockets", n);
    }
    if (a->handover)
        log_info("a new process is started, to take over %zu sockets", o.nsockets);
    else
        log_error("no new process can take over: %s; this one goes on", e.msg);
    mem_free(sockets);
}

static void on_upgrade(struct app *a)
{
    if (a->retired)
        log_warn("SIGUSR2: another process has taken over already");
    else if (a->handover)
        log_warn("SIGUSR2: a new process is starting already");
    else if (!a->ready || a->takeover)
        log_warn("SIGUSR2: this process is not ready yet itself");
    else
        hand_over(a);
}

/* ---- signals ---- */

static void on_signal(evutil_socket_t number, short what, void *arg)
{
    struct app *a = arg;
    struct err e = ERR_INIT;

    (void)what;
    if (number == SIGHUP) {
        if (a->telemetry)
            telemetry_reopen(a->telemetry);
        tls_store_check(a->tls);
        if (!a->retired && !a->o.control && configure_from_files(a, &e) < 0)
            log_error("the old configuration stays: %s", e.msg);
    } else if (number == SIGUSR1) {
        if (a->telemetry)
            telemetry_reopen(a->telemetry);
    } else if (number == SIGUSR2) {
        on_upgrade(a);
    } else {
        event_base_loopbreak(a->base);
    }
}

static int watch_signals(struct app *a)
{
    static const int numbers[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2 };

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        a->signals[i] = evsignal_new(a->base, numbers[i], on_signal, a);
        if (!a->signals[i] || event_add(a->signals[i], NULL) < 0)
            return ERR_NOMEM;
    }
    a->retired_timer = event_new(a->base, -1, 0, on_retired_timer, a);
    return a->retired_timer ? 0 : ERR_NOMEM;
}

static int start_workers(struct app *a, struct err *e)
{
    sigset_t all, before;

    sigfillset(&all); /* signals are the main thread's */
    pthread_sigmask(SIG_BLOCK, &all, &before);
    a->jwks = jwks_store_start(e);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!a->jwks)
        return e->code;
    a->circuits = circuits_new();
    a->limits = rate_limits_new();
    a->names = names_new(a->o.dns_refresh_ms, NULL);
    a->tables = lb_tables_new();
    if (!a->circuits || !a->limits || !a->names || !a->tables)
        return err_set(e, ERR_NOMEM, "no memory for the workers");
    a->settings = (struct worker_settings){ .sampling_ppm = a->o.sampling_ppm,
                                            .log_headers = access_format_headers(a->o.access_format),
                                            .header_timeout_ns = a->o.head_ms * 1000000,
                                            .keep_alive_ns = a->o.keep_alive_ms * 1000000,
                                            .stream_idle_ns = a->o.stream_idle_ms * 1000000,
                                            .drain_ns = a->o.drain_ms * 1000000, .io_uring = a->o.io_uring,
                                            .tls = a->tls, .jwks = a->jwks, .circuits = a->circuits,
                                            .names = a->names, .limits = a->limits, .tables = a->tables };
    a->rings = arena_array(&a->arena, a->o.threads, sizeof(struct record_ring *));
    for (size_t i = 0; a->rings && i < a->o.threads; i++) {
        a->rings[i] = record_ring_new(RING_BYTES);
        if (!a->rings[i])
            return err_set(e, ERR_NOMEM, "no memory for the telemetry ring");
    }
    pthread_sigmask(SIG_BLOCK, &all, &before);
    a->server = a->rings ? server_start(&a->settings, a->rings, a->o.threads, e) : NULL;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (a->server)
        server_inherit(a->server, takeover_sockets(a->takeover));
    return a->server ? 0 : ERR_NOMEM;
}

static int start_control(struct app *a, struct err *e)
{
    const struct proxy_identity *id = &a->o.identity;
    struct str node = arena_printf(&a->arena, "%.*s.%.*s", STR_ARG(id->pod.n ? id->pod : id->name), STR_ARG(id->ns));
    struct control_options o = { .url = a->o.control, .node = node.p, .apply = on_version, .away = on_away, .arg = a };
    struct timeval soon = { CACHE_AFTER_S, 0 };

    if (!node.p)
        return err_set(e, ERR_NOMEM, "no memory for the way to the server");
    a->control = control_start(a->base, &o, e);
    if (!a->control)
        return e->code;
    a->cache_timer = event_new(a->base, -1, 0, on_cache_timer, a);
    return a->cache_timer && event_add(a->cache_timer, &soon) == 0 ? 0 : err_set(e, ERR_NOMEM, "no memory for a timer");
}

static int start(struct app *a, struct err *e)
{
    if (takeover_start(&a->takeover, e) < 0)
        return e->code;
    a->base = event_base_new();
    a->tls = tls_store_new(a->o.cert_dir, e);
    if (!a->tls)
        return e->code;
    if (!a->base || watch_signals(a) < 0 || keep_house(a) < 0)
        return err_set(e, ERR_NOMEM, "no memory for an event loop");
    if (start_workers(a, e) < 0)
        return e->code;
    return a->o.control ? start_control(a, e) : configure_from_files(a, e);
}

/* Workers first: telemetry then ships what they had to say. */
static void stop(struct app *a)
{
    handover_free(a->handover);
    if (a->telemetry)
        telemetry_set_ready(a->telemetry, false);
    control_stop(a->control);
    if (a->server)
        server_drain(a->server);
    if (a->telemetry)
        telemetry_stop(a->telemetry, FLUSH_MS);
    server_free(a->server);
    takeover_free(a->takeover);
    supervisor_remove_pid(a->o.pid_file);
    names_free(a->names);
    lb_tables_free(a->tables);
    circuits_free(a->circuits);
    rate_limits_free(a->limits);
    tls_store_free(a->tls);
    jwks_store_stop(a->jwks);
    for (size_t i = 0; a->rings && i < a->o.threads; i++)
        record_ring_free(a->rings[i]);
    for (size_t i = 0; i < sizeof(a->signals) / sizeof(a->signals[0]); i++)
        if (a->signals[i])
            event_free(a->signals[i]);
    if (a->cache_timer)
        event_free(a->cache_timer);
    if (a->housekeeping)
        event_free(a->housekeeping);
    if (a->retired_timer)
        event_free(a->retired_timer);
    if (a->base)
        event_base_free(a->base);
    libevent_global_shutdown();
    arena_free(&a->arena);
}

/* Each connection takes two descriptors, and the soft limit is often 1024. */
static void raise_descriptor_limit(void)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
        r.rlim_cur = r.rlim_max;
        setrlimit(RLIMIT_NOFILE, &r);
    }
}

int main(int argc, char **argv)
{
    static struct app a;
    struct err e = ERR_INIT;
    int code = EXIT_SUCCESS;

    a.argv = argv;
    log_init("vigla-proxy", LOG_INFO);
    if (options_parse(&a.o, &a.arena, argc, argv, &e) < 0) {
        fprintf(stderr, "vigla-proxy: %s\n", e.msg);
        return 2;
    }
    if (a.o.help || a.o.version) {
        fputs(a.o.help ? options_usage : "vigla-proxy " VIGLA_VERSION "\n", stdout);
        return 0;
    }
    log_set_level((enum log_level)a.o.log_level);
    signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    if (start(&a, &e) < 0) {
        fprintf(stderr, "vigla-proxy: %s\n", e.msg);
        code = EXIT_FAILURE;
    } else if (!a.failed) {
        event_base_dispatch(a.base);
    }
    if (a.failed)
        code = EXIT_FAILURE;
    stop(&a);
    return code;
}
