#include "proxy/options.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/num.h"
#include "proxy/http_url-internal.h"

#include <getopt.h>
#include <unistd.h>

const char options_usage[] =
    "usage: vigla-proxy (--gateway NAME.NAMESPACE | --workload NAME.NAMESPACE) [options]\n"
    "\n"
    "  --config FILE|DIR       Istio and Kubernetes YAML; may be given several times; SIGHUP reads it again\n"
    "  --control URL           take the configuration from a vigla server\n"
    "  --cache FILE            keep the server's last configuration here, for a start without the server\n"
    "  --gateway NAME.NS       act as the workload that Gateways select\n"
    "  --workload NAME.NS      act as this workload's sidecar\n"
    "  --pod NAME              which Pod of the workload this is\n"
    "  --labels k=v,...        the workload's labels (a gateway's default: istio=ingressgateway)\n"
    "  --bind IP               where outbound listeners, or a gateway's, listen (default 127.0.0.1)\n"
    "  --outbound-net CIDR     an address of its own for each service, out of this network\n"
    "  --app-address IP        where the application listens; opens inbound listeners on the Pod's address\n"
    "  --port-map P=Q,...      a listener for port P opens on port Q\n"
    "  --proxy-protocol        a gateway's connections begin with PROXY protocol's header, version 1 or 2\n"
    "  --cert-dir DIR          the workload's cert-chain.pem, key.pem and root-cert.pem, for the mesh's mutual TLS;\n"
    "                          they are read again when they change\n"
    "  --jwks-ca FILE          authorities for keys of tokens that are fetched by https (default: the system's)\n"
    "  --admin HOST:PORT       Envoy's admin paths\n"
    "  --telemetry URL|none    ship logs, metrics and spans there by OTLP/HTTP (default: --control's URL)\n"
    "  --access-log FILE|-|none\n"
    "  --access-log-format text|json|FORMAT|FILE\n"
    "                          Istio's default line as text or JSON; or a format with Envoy's operators, a text as\n"
    "                          '[%START_TIME%] %RESPONSE_CODE%' or JSON as '{\"code\": \"%RESPONSE_CODE%\"}'; or a\n"
    "                          file with one\n"
    "  --trace-sampling PCT    of the traces that start here (default 100)\n"
    "  --dns-refresh DURATION  how often names of hosts are looked up again (default 30s)\n"
    "  --threads N             default: one for each core\n"
    "  --io-uring on|off       system calls of many connections in one, where the kernel lets us (default on)\n"
    "  --head-time DURATION    for a request's head, from its first byte (default 60s)\n"
    "  --keep-alive-time DURATION\n"
    "                          how long a client's connection rests between requests (default 1h)\n"
    "  --stream-idle-time DURATION\n"
    "                          for a request of which nothing moves (default 5m)\n"
    "  --drain-time DURATION   for what is under way at the end (default 4s)\n"
    "  --pid-file FILE         has the number of the process in force\n"
    "  --upgrade-timeout DURATION\n"
    "                          SIGUSR2 starts the program anew, to take over the sockets: so long it may take to be\n"
    "                          ready (default 30s)\n"
    "  --upgrade-drain DURATION\n"
    "                          so long the process before it may go on with its connections (default 15m)\n"
    "  --log-level debug|info|warn|error\n"
    "  --help, --version\n";

enum option_id {
    OPT_CONFIG = 256, OPT_CONTROL, OPT_CACHE, OPT_GATEWAY, OPT_WORKLOAD, OPT_POD, OPT_LABELS, OPT_BIND,
    OPT_OUTBOUND_NET, OPT_APP_ADDRESS, OPT_PORT_MAP, OPT_PROXY_PROTOCOL, OPT_CERT_DIR, OPT_JWKS_CA, OPT_ADMIN,
    OPT_TELEMETRY, OPT_ACCESS_LOG, OPT_ACCESS_LOG_FORMAT, OPT_TRACE_SAMPLING, OPT_THREADS, OPT_DNS_REFRESH,
    OPT_IO_URING, OPT_HEAD_TIME, OPT_KEEP_ALIVE_TIME, OPT_STREAM_IDLE_TIME, OPT_DRAIN_TIME, OPT_PID_FILE,
    OPT_UPGRADE_TIMEOUT, OPT_UPGRADE_DRAIN, OPT_LOG_LEVEL, OPT_HELP, OPT_VERSION
};

static const struct option long_options[] = {
    { "config", required_argument, NULL, OPT_CONFIG },
    { "control", required_argument, NULL, OPT_CONTROL },
    { "cache", required_argument, NULL, OPT_CACHE },
    { "gateway", required_argument, NULL, OPT_GATEWAY },
    { "workload", required_argument, NULL, OPT_WORKLOAD },
    { "pod", required_argument, NULL, OPT_POD },
    { "labels", required_argument, NULL, OPT_LABELS },
    { "bind", required_argument, NULL, OPT_BIND },
    { "outbound-net", required_argument, NULL, OPT_OUTBOUND_NET },
    { "app-address", required_argument, NULL, OPT_APP_ADDRESS },
    { "port-map", required_argument, NULL, OPT_PORT_MAP },
    { "proxy-protocol", no_argument, NULL, OPT_PROXY_PROTOCOL },
    { "cert-dir", required_argument, NULL, OPT_CERT_DIR },
    { "jwks-ca", required_argument, NULL, OPT_JWKS_CA },
    { "admin", required_argument, NULL, OPT_ADMIN },
    { "telemetry", required_argument, NULL, OPT_TELEMETRY },
    { "access-log", required_argument, NULL, OPT_ACCESS_LOG },
    { "access-log-format", required_argument, NULL, OPT_ACCESS_LOG_FORMAT },
    { "trace-sampling", required_argument, NULL, OPT_TRACE_SAMPLING },
    { "threads", required_argument, NULL, OPT_THREADS },
    { "dns-refresh", required_argument, NULL, OPT_DNS_REFRESH },
    { "io-uring", required_argument, NULL, OPT_IO_URING },
    { "head-time", required_argument, NULL, OPT_HEAD_TIME },
    { "keep-alive-time", required_argument, NULL, OPT_KEEP_ALIVE_TIME },
    { "stream-idle-time", required_argument, NULL, OPT_STREAM_IDLE_TIME },
    { "drain-time", required_argument, NULL, OPT_DRAIN_TIME },
    { "pid-file", required_argument, NULL, OPT_PID_FILE },
    { "upgrade-timeout", required_argument, NULL, OPT_UPGRADE_TIMEOUT },
    { "upgrade-drain", required_argument, NULL, OPT_UPGRADE_DRAIN },
    { "log-level", required_argument, NULL, OPT_LOG_LEVEL },
    { "help", no_argument, NULL, OPT_HELP },
    { "version", no_argument, NULL, OPT_VERSION },
    { NULL, 0, NULL, 0 },
};

static int bad(struct err *e, const char *option, const char *value, const char *right)
{
    return err_set(e, ERR_INVALID, "--%s \"%s\": should be %s", option, value, right);
}

static int parse_identity(struct proxy_identity *id, enum proxy_role role, const char *option, const char *value,
                          struct err *e)
{
    struct str ns = str_of(value), name = str_cut(&ns, '.');

    if (id->name.n)
        return err_set(e, ERR_INVALID, "--%s \"%s\": --gateway or --workload, once", option, value);
    if (name.n == 0 || ns.n == 0)
        return bad(e, option, value, "NAME.NAMESPACE");
    id->role = role;
    id->name = name;
    id->ns = ns;
    return 0;
}

static int parse_labels(struct labels *to, struct arena *a, const char *value, struct err *e)
{
    struct str rest = str_of(value);
    struct label *v = NULL;
    size_t n = 0, cap = 0;

    while (rest.p) {
        struct str pair = str_cut(&rest, ','), name = str_cut(&pair, '=');

        if (name.n == 0 || !pair.p)
            return bad(e, "labels", value, "NAME=VALUE, with commas between several");
        if (arena_grow(a, &v, &cap, n + 1, sizeof(*v)) < 0)
            return err_set(e, ERR_NOMEM, "--labels: no memory");
        v[n++] = (struct label){ name, pair };
    }
    if (labels_normalise(v, &n, e) < 0)
        return err_wrap(e, "--labels");
    *to = (struct labels){ v, n };
    return 0;
}

static bool parse_port(struct str s, uint16_t *port)
{
    uint64_t v;

    if (!num_u64(s, &v) || v == 0 || v > UINT16_MAX)
        return false;
    *port = (uint16_t)v;
    return true;
}

/* Adds to those of earlier --port-map. */
static int parse_port_map(struct proxy_identity *id, struct arena *a, const char *value, struct err *e)
{
    struct str rest = str_of(value);
    struct port_map *v = NULL;
    size_t n = id->nports, cap = 0;

    if (arena_grow(a, &v, &cap, n + 1, sizeof(*v)) < 0)
        return err_set(e, ERR_NOMEM, "--port-map: no memory");
    if (n)
        memcpy(v, id->ports, n * sizeof(*v));
    while (rest.p) {
        struct str pair = str_cut(&rest, ','), from = str_cut(&pair, '=');

        if (arena_grow(a, &v, &cap, n + 1, sizeof(*v)) < 0)
            return err_set(e, ERR_NOMEM, "--port-map: no memory");
        if (!parse_port(from, &v[n].from) || !pair.p || !parse_port(pair, &v[n].to))
            return bad(e, "port-map", value, "PORT=PORT, with commas between several");
        n++;
    }
    id->ports = v;
    id->nports = n;
    return 0;
}

static int parse_admin(struct options *o, struct arena *a, const char *value, struct err *e)
{
    struct str s = str_of(value);
    const char *colon = strrchr(value, ':');
    uint64_t port;

    if (!colon || colon == value || !num_u64(str_of(colon + 1), &port) || port > UINT16_MAX)
        return bad(e, "admin", value, "HOST:PORT");
    s.n = (size_t)(colon - value);
    o->admin_host = arena_cstr(a, s);
    o->admin_port = (uint16_t)port;
    return o->admin_host ? 0 : err_set(e, ERR_NOMEM, "--admin: no memory");
}

static int parse_threads(struct options *o, const char *value, struct err *e)
{
    uint64_t v;

    if (!num_u64(str_of(value), &v) || v == 0 || v > OPTIONS_MOST_THREADS)
        return bad(e, "threads", value, "a number from 1 to 64");
    o->threads = (size_t)v;
    return 0;
}

static int parse_io_uring(struct options *o, const char *value, struct err *e)
{
    o->io_uring = strcmp(value, "on") == 0;
    return o->io_uring || strcmp(value, "off") == 0 ? 0 : bad(e, "io-uring", value, "on or off");
}

/* A time that something may take: without one it would never be done. */
static int parse_positive(int64_t *ms, const char *option, const char *value, struct err *e)
{
    if (duration_parse(str_of(value), ms, e) < 0)
        return err_wrap(e, "--%s", option);
    return *ms > 0 ? 0 : bad(e, option, value, "more than 0");
}

static int parse_sampling(struct options *o, const char *value, struct err *e)
{
    double v;

    if (!num_double(str_of(value), &v) || !(v >= 0 && v <= 100))
        return bad(e, "trace-sampling", value, "a percentage from 0 to 100");
    o->sampling_ppm = (uint32_t)(v * 10000 + 0.5);
    return 0;
}

/* What has no operator is a file's name. */
static int parse_log_format(struct options *o, struct arena *a, const char *value, struct err *e)
{
    struct buf file = BUF_INIT(ACCESS_FORMAT_MOST);
    bool is_file = !strchr(value, '%');
    int rc = 0;

    o->access_format = NULL;
    o->access_log_json = strcmp(value, "json") == 0;
    if (o->access_log_json || strcmp(value, "text") == 0)
        return 0;
    if (is_file)
        rc = file_read(value, &file, e);
    if (rc == 0) {
        o->access_format = access_format_compile(a, is_file ? buf_view(&file) : str_of(value), e);
        rc = o->access_format ? 0 : e->code;
    }
    buf_free(&file);
    if (rc == ERR_NOTFOUND)
        return bad(e, "access-log-format", value, "text, json, a format with %OPERATORS%, or a file with one");
    return rc < 0 ? err_wrap(e, "--access-log-format") : 0;
}

static int parse_log(struct options *o, struct arena *a, int id, const char *value, struct err *e)
{
    if (id == OPT_ACCESS_LOG) {
        o->access_log = strcmp(value, "none") == 0 ? NULL : value;
        return 0;
    }
    if (id == OPT_ACCESS_LOG_FORMAT)
        return parse_log_format(o, a, value, e);
    o->log_level = log_level_parse(value);
    return o->log_level >= 0 ? 0 : bad(e, "log-level", value, "debug, info, warn or error");
}

static int parse_option(struct options *o, struct arena *a, int id, char *value, struct err *e)
{
    switch (id) {
    case OPT_CONFIG:
        if (o->nconfigs == OPTIONS_MOST_CONFIGS)
            return bad(e, "config", value, "one of at most 64; name a directory");
        o->configs[o->nconfigs++] = value;
        return 0;
    case OPT_CONTROL:
        o->control = value;
        return 0;
    case OPT_CACHE:
        o->cache = value;
        return 0;
    case OPT_GATEWAY:
        return parse_identity(&o->identity, PROXY_GATEWAY, "gateway", value, e);
    case OPT_WORKLOAD:
        return parse_identity(&o->identity, PROXY_SIDECAR, "workload", value, e);
    case OPT_POD:
        o->identity.pod = str_of(value);
        return 0;
    case OPT_LABELS:
        return parse_labels(&o->identity.labels, a, value, e);
    case OPT_BIND:
        o->identity.bind = str_of(value);
        return 0;
    case OPT_OUTBOUND_NET:
        o->identity.outbound_net = str_of(value);
        return 0;
    case OPT_APP_ADDRESS:
        o->identity.app_address = str_of(value);
        return 0;
    case OPT_PROXY_PROTOCOL:
        o->identity.proxy_protocol = true;
        return 0;
    case OPT_PORT_MAP:
        return parse_port_map(&o->identity, a, value, e);
    case OPT_CERT_DIR:
        o->cert_dir = value;
        return 0;
    case OPT_JWKS_CA:
        o->jwks_ca = value;
        return 0;
    case OPT_ADMIN:
        return parse_admin(o, a, value, e);
    case OPT_TELEMETRY:
        o->telemetry = value;
        return 0;
    case OPT_TRACE_SAMPLING:
        return parse_sampling(o, value, e);
    case OPT_THREADS:
        return parse_threads(o, value, e);
    case OPT_DNS_REFRESH:
        return parse_positive(&o->dns_refresh_ms, "dns-refresh", value, e);
    case OPT_IO_URING:
        return parse_io_uring(o, value, e);
    case OPT_UPGRADE_TIMEOUT:
        return parse_positive(&o->upgrade_timeout_ms, "upgrade-timeout", value, e);
    case OPT_UPGRADE_DRAIN:
        return parse_positive(&o->upgrade_drain_ms, "upgrade-drain", value, e);
    case OPT_PID_FILE:
        o->pid_file = value;
        return 0;
    case OPT_HEAD_TIME:
        return parse_positive(&o->head_ms, "head-time", value, e);
    case OPT_KEEP_ALIVE_TIME:
        return parse_positive(&o->keep_alive_ms, "keep-alive-time", value, e);
    case OPT_STREAM_IDLE_TIME:
        return parse_positive(&o->stream_idle_ms, "stream-idle-time", value, e);
    case OPT_DRAIN_TIME:
        return duration_parse(str_of(value), &o->drain_ms, e) < 0 ? err_wrap(e, "--drain-time") : 0;
    case OPT_HELP:
        o->help = true;
        return 0;
    case OPT_VERSION:
        o->version = true;
        return 0;
    case '?':
        return err_set(e, ERR_INVALID, "no such option (vigla-proxy --help lists them)");
    case ':':
        return err_set(e, ERR_INVALID, "an option lacks its value (vigla-proxy --help lists them)");
    default:
        return parse_log(o, a, id, value, e);
    }
}

static void set_defaults(struct options *o)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    *o = (struct options){ .head_ms = 60000, .keep_alive_ms = 3600000, .stream_idle_ms = 300000, .drain_ms = 4000,
                           .upgrade_timeout_ms = 30000, .upgrade_drain_ms = 15 * 60 * 1000, .dns_refresh_ms = 30000,
                           .sampling_ppm = 1000000, .log_level = LOG_INFO, .io_uring = true };
    o->threads = cores < 1 ? 1 : cores > OPTIONS_MOST_THREADS ? OPTIONS_MOST_THREADS : (size_t)cores;
    o->identity.bind = STR("127.0.0.1");
}

int options_parse(struct options *o, struct arena *a, int argc, char **argv, struct err *e)
{
    static const struct label gateway_label = { STR_INIT("istio"), STR_INIT("ingressgateway") };
    struct http_url url;
    int id, rc;

    set_defaults(o);
    optind = 1;
    while ((id = getopt_long(argc, argv, ":", long_options, NULL)) != -1) {
        rc = parse_option(o, a, id, optarg, e);
        if (rc < 0)
            return rc == ERR_NOMEM ? rc : err_wrap(e, "%s", id == '?' || id == ':' ? argv[optind - 1] : "command line");
    }
    if (o->help || o->version)
        return 0;
    if (optind < argc)
        return err_set(e, ERR_INVALID, "\"%s\": not an option (vigla-proxy --help lists them)", argv[optind]);
    if (o->identity.name.n == 0)
        return err_set(e, ERR_INVALID, "command line: --gateway or --workload is missing");
    if (o->identity.proxy_protocol && o->identity.role != PROXY_GATEWAY)
        return err_set(e, ERR_INVALID, "--proxy-protocol: only with --gateway");
    if (o->nconfigs == 0 && !o->control)
        return err_set(e, ERR_INVALID, "command line: --config or --control is missing");
    if (o->identity.role == PROXY_GATEWAY && o->identity.labels.n == 0)
        o->identity.labels = (struct labels){ &gateway_label, 1 };
    if (!o->telemetry)
        o->telemetry = o->control;
    else if (strcmp(o->telemetry, "none") == 0)
        o->telemetry = NULL;
    if (o->control && http_url_parse_base(o->control, &url, e) < 0)
        return err_wrap(e, "--control");
    if (o->telemetry && http_url_parse_base(o->telemetry, &url, e) < 0)
        return err_wrap(e, "--telemetry");
    return 0;
}
