#include "proxy/telemetry.h"

#include "base/log.h"
#include "tests/unit/proxy/look.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct workload self = {
    .pod = STR_INIT("gateway-0"),
    .name = STR_INIT("istio-ingressgateway"),
    .ns = STR_INIT("istio-system"),
    .app = STR_INIT("gateway"),
    .version = STR_INIT("unknown"),
    .canonical_service = STR_INIT("gateway"),
    .canonical_revision = STR_INIT("latest"),
    .principal = STR_INIT("unknown"),
    .cluster = STR_INIT("Kubernetes"),
    .ip = STR_INIT("127.0.0.1"),
};

/* --- a snapshot with one of each ---------------------------------------------------------------------------------- */

static const struct workload frontend = { .pod = STR_INIT("frontend-v1-0"), .name = STR_INIT("frontend-v1") };
static const struct endpoint endpoints[] = {
    { .ip = STR_INIT("127.10.0.4"), .port = 10080, .container_port = 80, .weight = 3, .workload = &frontend }
};
static const struct health_check check = { .kind = HEALTH_CHECK_HTTP, .timeout_ms = 1000, .interval_ms = 5000, .no_traffic_ms = 60000,
                                           .unhealthy_threshold = 3, .healthy_threshold = 2, .path = STR_INIT("/healthz") };
static const struct cluster clusters[] = {
    { .name = STR_INIT("outbound|80|v1|frontend.guestbook.svc.cluster.local"), .endpoints = endpoints, .nendpoints = 1,
      .lb = LB_ROUND_ROBIN, .connect_timeout_ms = 10000, .max_connections = UINT32_MAX, .max_pending = 1024 },
    { .name = STR_INIT("outbound|80|v2|frontend.guestbook.svc.cluster.local"), .connect_timeout_ms = 1500,
      .lb = LB_MAGLEV, .check = &check,
      .tls = { .mode = TLS_CLIENT_MUTUAL, .sni = STR_INIT("far.example"), .own = { { STR_INIT("our chain"), { NULL, 0 } },
      { STR_INIT("our secret"), { NULL, 0 } } }, .ca = { { NULL, 0 }, STR_INIT("/ca.pem") } } },
};
static const struct destination one[] = { { &clusters[0], clusters[0].name, 100, { 0 } } };
static const struct destination two[] = { { &clusters[0], clusters[0].name, 30, { 0 } },
                                          { &clusters[1], clusters[1].name, 70, { 0 } } };
static const struct string_match prefix = { STRING_PREFIX, STR_INIT("/v2"), NULL, true };
static const struct string_match pattern = { STRING_REGEX, STR_INIT("/a+\"b"), NULL, false };
static const struct key_match headers[] = { { STR_INIT("source"), { STRING_EXACT, STR_INIT("terminal"), NULL, false }, false },
                                            { STR_INIT("x"), { STRING_PRESENT, { NULL, 0 }, NULL, false }, true } };
static const struct route routes[] = {
    { .name = STR_INIT("v2"), .match = { .uri = &prefix, .headers = headers, .nheaders = 2 }, .destinations = two,
      .ndestinations = 2, .rewrite = true, .rewrite_uri = STR_INIT("/"), .timeout_ms = 2000,
      .fault = { .delay_ppm = 1000000, .delay_ms = 10000, .abort_ppm = 5, .abort_status = 503 },
      .retry = { .attempts = 2, .per_try_timeout_ms = 250 } },
    { .name = STR_INIT("moved"), .match = { .uri = &pattern }, .action = ROUTE_REDIRECT,
      .redirect = { .uri = STR_INIT("/new"), .status = 301 } },
    { .name = STR_INIT("direct"), .action = ROUTE_DIRECT, .direct_status = 418, .direct_body = STR_INIT("teapot") },
    { .name = STR_INIT("default"), .destinations = one, .ndestinations = 1 },
};
static const struct str domains[] = { STR_INIT("guestbook.lvh.me"), STR_INIT("*") };
static const struct virtual_host hosts[] = { { .name = STR_INIT("guestbook.lvh.me:8080"), .domains = domains,
                                               .ndomains = 2, .routes = routes, .nroutes = 4 } };
static const struct tls_pair pair = { { { NULL, 0 }, STR_INIT("/chain.pem") }, { STR_INIT("our secret"), { NULL, 0 } } };
static const struct tls_server secured = { .mode = TLS_SERVER_MUTUAL, .pairs = &pair, .npairs = 1, .min_version = 12,
                                           .max_version = 13, .ca = { STR_INIT("an authority"), { NULL, 0 } } };
static const struct str server_names[] = { STR_INIT("a.example"), STR_INIT("*.b.example") };
static const struct listener behind = { .protocol = PROTOCOL_HTTP, .hosts = hosts, .nhosts = 1 };
static const struct listener passed_on = { .protocol = PROTOCOL_TCP, .tcp = one, .ntcp = 1 };
static const struct listener_chain chains[] = { { server_names, 2, &secured, &behind },
                                                { &server_names[1], 1, NULL, &passed_on } };
static const struct rate_limit limit = { .stat_prefix = STR_INIT("limiter"),
                                         .bucket = { STR_INIT("key"), .most = 10, .per_fill = 5, .interval_ms = 60000 } };
static const struct rate_limit *const connection_limits[] = { &limit };
static const struct rate_limit_filter limits[] = { { .name = STR_INIT("local"), .limit = &limit } };
static const struct listener listeners[] = {
    { .name = STR_INIT("0.0.0.0_8080"), .ip = STR_INIT("127.0.0.1"), .bind_port = 8080, .port = 80,
      .direction = LISTENER_GATEWAY, .protocol = PROTOCOL_HTTP, .hosts = hosts, .nhosts = 1, .limits = limits,
      .nlimits = 1 },
    { .name = STR_INIT("127.64.3.5_6379"), .ip = STR_INIT("127.64.3.5"), .bind_port = 6379, .port = 6379,
      .protocol = PROTOCOL_TCP, .tcp = one, .ntcp = 1, .connection_limits = connection_limits, .nconnection_limits = 1 },
    { .name = STR_INIT("0.0.0.0_8443"), .ip = STR_INIT("127.0.0.1"), .bind_port = 8443, .port = 443,
      .direction = LISTENER_GATEWAY, .protocol = PROTOCOL_HTTP, .chains = chains, .nchains = 2 },
    { .name = STR_INIT("127.10.0.4_80"), .ip = STR_INIT("127.10.0.4"), .bind_port = 80, .port = 80,
      .direction = LISTENER_INBOUND, .protocol = PROTOCOL_SNIFF, .hosts = hosts, .nhosts = 1, .tcp = one, .ntcp = 1,
      .policy = { .mtls = MTLS_PERMISSIVE } },
};
static const struct proxy_snapshot snapshot = { .version = 7, .listeners = listeners, .nlisteners = 4,
                                                .clusters = clusters, .nclusters = 2 };

static const struct proxy_snapshot *snapshot_get(void *held)
{
    ++*(int *)held;
    return &snapshot;
}

static void snapshot_put(void *held, const struct proxy_snapshot *s)
{
    ck_assert_ptr_eq(s, &snapshot);
    --*(int *)held;
}

/* --- the house ---------------------------------------------------------------------------------------------------- */

static struct record_ring *ring;
static struct telemetry *telemetry;
static uint16_t port;
static int held; /* snapshots; looked at when the thread has ended */

static uint16_t free_port(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t n = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, n), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    close(fd);
    return ntohs(at.sin_port);
}

static void setup(void)
{
    struct err e = ERR_INIT;
    struct telemetry_options o = { .admin_host = "127.0.0.1", .flush_ms = 20, .rings = &ring, .nrings = 1,
                                   .url = "http://127.0.0.1:1", .access_log = "/dev/null",
                                   .snapshot_get = snapshot_get, .snapshot_put = snapshot_put, .snapshot_arg = &held };

    log_init("admin_test", LOG_ERROR);
    held = 0;
    ring = record_ring_new(1 << 16);
    o.admin_port = port = free_port();
    telemetry = telemetry_start(&self, &o, &e);
    ck_assert_msg(telemetry != NULL, "%s", e.msg);
}

static void teardown(void)
{
    telemetry_stop(telemetry, 0);
    record_ring_free(ring);
    ck_assert_int_eq(held, 0);
}

static int dial(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = { htonl(INADDR_LOOPBACK) } };
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    ck_assert_int_eq(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    return fd;
}

/* Sends the bytes and reads to the end. */
static void exchange(struct str request, struct buf *answer)
{
    int fd = dial();
    ssize_t n;

    ck_assert_int_eq(send(fd, request.p, request.n, MSG_NOSIGNAL), (ssize_t)request.n);
    buf_reset(answer);
    while ((n = recv(fd, buf_reserve(answer, 65536), 65536, 0)) > 0)
        answer->n += (size_t)n;
    close(fd);
}

static void get(const char *method, const char *target, struct buf *answer)
{
    char request[512];
    int n = snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\nHost: x\r\n\r\n", method, target);

    exchange((struct str){ request, (size_t)n }, answer);
}

static bool has(const struct buf *b, const char *text)
{
    return str_find(buf_view(b), str_of(text)) >= 0;
}

static const struct {
    const char *method, *target, *status, *has, *has_too;
} pages[] = {
    { "GET", "/", " 200 OK\r\n", "/config_dump: ", "Connection: close\r\n" },
    { "GET", "/help", " 200 OK\r\n", "/stats/prometheus: ", "Content-Length: " },
    { "GET", "/ready", " 503 Service", "\r\n\r\nPRE_INITIALIZING\n", "" },
    { "HEAD", "/ready", " 503 Service", "Content-Length: 17\r\n", "\r\n\r\n" },
    { "GET", "/server_info", " 200 OK\r\n", "\"state\":\"PRE_INITIALIZING\"", "sidecar~127.0.0.1~gateway-0.istio-system~" },
    { "GET", "/stats", " 200 OK\r\n", "vigla_proxy_records_total: 0\n", "vigla_telemetry_buffer_bytes: " },
    { "GET", "/stats?filter=ring=.0", " 200 OK\r\n", "\r\n\r\nvigla_proxy_records_dropped_total{ring=\"0\"}: 0\n", "" },
    { "GET", "/stats?filter=%5Eistio_b.*", " 200 OK\r\n", "\r\n\r\nistio_build{", "" },
    { "GET", "/stats?x=1&filter=(", " 400 Bad", "regular expression", "" },
    { "GET", "/stats?format=prometheus", " 200 OK\r\n", "# TYPE istio_requests_total counter", "version=0.0.4" },
    { "GET", "/stats/prometheus", " 200 OK\r\n", "# TYPE istio_build gauge\nistio_build{component=\"proxy\",tag=\"",
      "vigla_telemetry_dropped_total{signal=\"logs\",reason=\"buffer_full\"} 0\n" },
    { "GET", "/clusters", " 200 OK\r\n",
      "outbound|80|v1|frontend.guestbook.svc.cluster.local::127.10.0.4:10080::weight::3\n",
      "::default_priority::max_pending_requests::1024\n" },
    { "GET", "/listeners", " 200 OK\r\n", "0.0.0.0_8080::127.0.0.1:8080\n", "127.64.3.5_6379::127.64.3.5:6379\n" },
    { "GET", "/config_dump", " 200 OK\r\n", "application/json", "envoy.admin.v3.RoutesConfigDump" },
    { "GET", "/logging", " 200 OK\r\n", "main: error\n", "active loggers:\n" },
    { "GET", "/logging?level=info", " 405 ", "use POST", "" },
    { "POST", "/logging?level=loud", " 400 ", "level \"loud\": should be one of", "" },
    { "POST", "/logging?level=warning", " 200 ", "main: warn\n", "" },
    { "GET", "/nothing", " 404 ", "/help", "" },
    { "GET", "/ready/", " 404 ", "", "" },
    { "DELETE", "/ready", " 405 ", "", "" },
};

START_TEST(answers_as_envoy)
{
    struct buf b = BUF_INIT(1 << 22);

    get(pages[_i].method, pages[_i].target, &b);
    ck_assert_msg(str_starts(buf_view(&b), STR("HTTP/1.1 ")) && has(&b, pages[_i].status) && has(&b, pages[_i].has) &&
                      has(&b, pages[_i].has_too),
                  "%s %s: %.*s", pages[_i].method, pages[_i].target, STR_ARG(buf_view(&b)));
    if (strcmp(pages[_i].method, "HEAD") == 0)
        ck_assert(str_ends(buf_view(&b), STR("\r\n\r\n")));
    buf_free(&b);
}
END_TEST

/* What is not HTTP is told so, or gets nothing; the port goes on serving. */
static const struct {
    const char *request, *status;
} nonsense[] = {
    { "GET\r\n\r\n", " 400 " },
    { "GET / FTP/1.0\r\n\r\n", " 400 " },
    { "GET relative HTTP/1.1\r\n\r\n", " 400 " },
    { "\r\n\r\n", " 400 " },
    { "GET /ready HTTP/1.1\r\n\r\nGET /ready HTTP/1.1\r\n\r\n", " 503 " },
};

START_TEST(nonsense_is_refused)
{
    struct buf b = BUF_INIT(1 << 20);

    exchange(str_of(nonsense[_i].request), &b);
    ck_assert_msg(has(&b, nonsense[_i].status), "%s: %.*s", nonsense[_i].request, STR_ARG(buf_view(&b)));
    get("GET", "/help", &b);
    ck_assert(has(&b, " 200 OK"));
    buf_free(&b);
}
END_TEST

START_TEST(heads_are_bounded)
{
    struct buf b = BUF_INIT(1 << 20), long_head = BUF_INIT(1 << 20);

    buf_puts(&long_head, "GET / HTTP/1.1\r\nX: ");
    for (int i = 0; i < 20000; i++)
        buf_putc(&long_head, 'x');
    exchange(buf_view(&long_head), &b);
    ck_assert_msg(has(&b, " 431 "), "%.*s", STR_ARG(buf_view(&b)));
    buf_free(&b);
    buf_free(&long_head);
}
END_TEST

START_TEST(connections_are_bounded)
{
    struct buf b = BUF_INIT(1 << 20);
    int open[100];

    for (size_t i = 0; i < COUNT(open); i++)
        open[i] = dial(); /* and says nothing */
    for (size_t i = 0; i < COUNT(open); i++)
        close(open[i]);
    for (int i = 0; i < 100 && !has(&b, " 200 OK"); i++) {
        usleep(10000);
        get("GET", "/help", &b);
    }
    ck_assert(has(&b, " 200 OK"));
    buf_free(&b);
}
END_TEST

START_TEST(ready_follows)
{
    struct buf b = BUF_INIT(1 << 20);

    telemetry_set_ready(telemetry, true);
    get("GET", "/ready", &b);
    ck_assert(has(&b, " 200 OK") && has(&b, "\r\n\r\nLIVE\n"));
    telemetry_set_ready(telemetry, false);
    get("GET", "/ready", &b);
    ck_assert(has(&b, " 503 ") && has(&b, "\r\n\r\nDRAINING\n"));
    buf_free(&b);
}
END_TEST

START_TEST(metrics_are_there)
{
    struct record rec = look_request(1700000000000000000, 200);
    struct buf b = BUF_INIT(1 << 22);

    ck_assert(record_ring_push(ring, &rec));
    for (int i = 0; i < 200 && !has(&b, "istio_requests_total{"); i++) {
        usleep(10000);
        get("GET", "/stats/prometheus", &b);
    }
    ck_assert(has(&b, "istio_requests_total{reporter=\"source\","));
    ck_assert(has(&b, ",le=\"+Inf\"} 1\n"));
    ck_assert(has(&b, "vigla_proxy_records_total 1\n"));
    ck_assert(has(&b, "vigla_access_log_lines_total 1\n"));
    get("GET", "/stats", &b);
    ck_assert(has(&b, "connection_security_policy=\"unknown\"}: 1\n"));
    buf_free(&b);
}
END_TEST

/* Brackets and quotes close, and commas stand between: enough of JSON to see that a reader will take it. */
static bool is_json(struct str s)
{
    char open[64];
    size_t depth = 0;

    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (c == '"') {
            for (i++; i < s.n && s.p[i] != '"'; i++)
                i += s.p[i] == '\\';
            if (i >= s.n || (i + 1 < s.n && (s.p[i + 1] == '"' || s.p[i + 1] == '{' || s.p[i + 1] == '[')))
                return false;
        } else if (c == '{' || c == '[') {
            if (depth == sizeof(open))
                return false;
            open[depth++] = c == '{' ? '}' : ']';
        } else if (c == '}' || c == ']') {
            if (depth == 0 || open[--depth] != c || s.p[i - 1] == ',')
                return false;
        } else if (c == ',' && (s.p[i - 1] == ',' || s.p[i - 1] == '{' || s.p[i - 1] == '[' || s.p[i - 1] == ':')) {
            return false;
        }
    }
    return depth == 0;
}

static const char *const in_dump[] = {
    "\"connect_timeout\":\"1.5s\"",
    "\"lb_policy\":\"ROUND_ROBIN\"",
    "{\"socket_address\":{\"address\":\"127.10.0.4\",\"port_value\":10080}}",
    "\"weighted_clusters\":{\"clusters\":[{\"name\":\"outbound|80|v1|frontend.guestbook.svc.cluster.local\",\"weight\":30},",
    "\"match\":{\"prefix\":\"/v2\",\"case_sensitive\":false,\"headers\":[{\"name\":\"source\",\"string_match\":{\"exact\":\"terminal\"}},"
    "{\"name\":\"x\",\"present_match\":true,\"invert_match\":true}]}",
    "\"safe_regex\":{\"regex\":\"/a+\\\"b\"}",
    "\"timeout\":\"2s\",\"prefix_rewrite\":\"/\"",
    "\"retry_policy\":{\"num_retries\":2,\"per_try_timeout\":\"0.25s\"}",
    "\"delay\":{\"fixed_delay\":\"10s\",\"percentage\":{\"numerator\":1000000,\"denominator\":\"MILLION\"}}",
    "\"abort\":{\"http_status\":503,",
    "\"redirect\":{\"path_redirect\":\"/new\",\"response_code\":301}",
    "\"direct_response\":{\"status\":418,\"body\":{\"inline_string\":\"teapot\"}}",
    "\"domains\":[\"guestbook.lvh.me\",\"*\"]",
    "\"rds\":{\"route_config_name\":\"0.0.0.0_8080\"}",
    "\"traffic_direction\":\"OUTBOUND\"",
    "envoy.filters.network.tcp_proxy",
    "\"lb_policy\":\"MAGLEV\"",
    "\"health_checks\":[{\"timeout\":\"1s\",\"interval\":\"5s\",\"no_traffic_interval\":\"60s\",\"unhealthy_threshold\":3,"
    "\"healthy_threshold\":2,\"http_health_check\":{\"path\":\"/healthz\"}}]",
    "\"http_filters\":[{\"name\":\"local\",\"typed_config\":{\"@type\":\"type.googleapis.com/envoy.extensions.filters.http."
    "local_ratelimit.v3.LocalRateLimit\",\"stat_prefix\":\"limiter\",\"token_bucket\":{\"max_tokens\":10,\"tokens_per_fill\":5,"
    "\"fill_interval\":\"60s\"}}}]",
    "\"filters\":[{\"name\":\"envoy.filters.network.local_ratelimit\",",
    "\"version_info\":\"7\"",
    "\"id\":\"sidecar~127.0.0.1~gateway-0.istio-system~istio-system.svc.cluster.local\"",
};

#define TLS_TYPE(side) "{\"@type\":\"type.googleapis.com/envoy.extensions.transport_sockets.tls.v3." side "TlsContext\","

/* What secures chains and clusters; keys stay at home. */
static const char *const tls_in_dump[] = {
    "{\"filter_chain_match\":{\"transport_protocol\":\"tls\",\"server_names\":[\"a.example\",\"*.b.example\"]},\"filters\":[{\"name\":"
    "\"envoy.filters.network.http_connection_manager\"",
    TLS_TYPE("Downstream") "\"common_tls_context\":{\"tls_params\":{\"tls_minimum_protocol_version\":\"TLSv1_2\","
    "\"tls_maximum_protocol_version\":\"TLSv1_3\"},\"tls_certificates\":[{\"certificate_chain\":{\"filename\":\"/chain.pem\"},"
    "\"private_key\":{\"inline_string\":\"[redacted]\"}}],\"validation_context\":{\"trusted_ca\":{\"inline_string\":\"an authority\"}}},"
    "\"require_client_certificate\":true}",
    "{\"filter_chain_match\":{\"transport_protocol\":\"tls\",\"server_names\":[\"*.b.example\"]},\"filters\":[{\"name\":"
    "\"envoy.filters.network.tcp_proxy\"",
    "{\"filter_chain_match\":{\"transport_protocol\":\"raw_buffer\"},\"filters\":[{\"name\":\"envoy.filters.network.http_connection_manager\"",
    TLS_TYPE("Downstream") "\"common_tls_context\":{\"tls_certificate_sds_secret_configs\":[{\"name\":\"default\"}],",
    TLS_TYPE("Upstream") "\"common_tls_context\":{\"tls_certificates\":[{\"certificate_chain\":{\"inline_string\":\"our chain\"},"
    "\"private_key\":{\"inline_string\":\"[redacted]\"}}],\"validation_context\":{\"trusted_ca\":{\"filename\":\"/ca.pem\"}}},"
    "\"sni\":\"far.example\"}",
    "\"transport_socket_matches\":[{\"name\":\"tlsMode-istio\",\"match\":{\"tlsMode\":\"istio\"},\"transport_socket\":{",
};

START_TEST(config_dump_shows_tls)
{
    struct buf b = BUF_INIT(1 << 20);

    get("GET", "/config_dump", &b);
    for (size_t i = 0; i < COUNT(tls_in_dump); i++)
        ck_assert_msg(has(&b, tls_in_dump[i]), "%s is not in %.*s", tls_in_dump[i], STR_ARG(buf_view(&b)));
    ck_assert(!has(&b, "our secret"));
    buf_free(&b);
}
END_TEST

START_TEST(config_dump_speaks_envoy)
{
    struct buf b = BUF_INIT(1 << 20);

    get("GET", "/config_dump", &b);
    ck_assert(is_json(str_from(buf_view(&b), (size_t)str_find(buf_view(&b), STR("\r\n\r\n")) + 4)));
    for (size_t i = 0; i < COUNT(in_dump); i++)
        ck_assert_msg(has(&b, in_dump[i]), "%s is not in %.*s", in_dump[i], STR_ARG(buf_view(&b)));
    buf_free(&b);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("admin");
    TCase *t = tcase_create("admin");

    tcase_set_timeout(t, 30);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, answers_as_envoy, 0, COUNT(pages));
    tcase_add_loop_test(t, nonsense_is_refused, 0, COUNT(nonsense));
    tcase_add_test(t, heads_are_bounded);
    tcase_add_test(t, connections_are_bounded);
    tcase_add_test(t, ready_follows);
    tcase_add_test(t, metrics_are_there);
    tcase_add_test(t, config_dump_speaks_envoy);
    tcase_add_test(t, config_dump_shows_tls);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
