/* What a client may send on a connection of HTTP/2: frames behind the preface. A whole gateway is behind them, with a
 * route to a host of HTTP/1 that is played here, so that what goes on is looked at, too.
 *
 * Properties: whatever comes, what the host gets are requests of HTTP/1 that our own strict parser takes (RFC 9113
 * 10.3: nothing may be smuggled by the way from one version to the other). When both sides have gone, no connection and
 * no request is left.
 *
 * The first byte says how the input is cut, its highest bit that the client goes away before it has its answers. */
#include "base/log.h"
#include "base/mem.h"
#include "proxy/circuit.h"
#include "proxy/config.h"
#include "proxy/http1_body.h"
#include "proxy/http2_server.h"
#include "proxy/lb_tables.h"
#include "proxy/names.h"
#include "proxy/rate_limit.h"
#include "proxy/stream.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <unistd.h>

enum { MOST_TURNS = 4000, MOST_HOST_CONNS = 128 };

/* ---- the host ---- */

struct host_conn {
    int fd;
    struct buf in;
    bool in_body, head;
    struct http1_scan scan;
    struct http1_body body;
};

static int host_fd;
static struct host_conn host_conns[MOST_HOST_CONNS];
static size_t nhost_conns;

static unsigned open_host(void)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof(a);

    host_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (bind(host_fd, (struct sockaddr *)&a, n) < 0 || listen(host_fd, MOST_HOST_CONNS) < 0 ||
        getsockname(host_fd, (struct sockaddr *)&a, &n) < 0)
        abort();
    return ntohs(a.sin_port);
}

static void answer(struct host_conn *c)
{
    static const char with[] = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n";
    static const char without[] = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n";

    if (write(c->fd, c->head ? without : with, c->head ? sizeof(without) - 1 : sizeof(with) - 1) < 0)
        return; /* given up meanwhile */
}

/* Takes a head, or what is there of a body. False: more is needed. */
static bool take(struct host_conn *c)
{
    struct str rest = buf_view(&c->in), data;
    struct http_head h;

    if (!c->in_body) {
        switch (http1_request(&c->scan, rest, &h)) {
        case HTTP1_REFUSED:
            abort();
        case HTTP1_MORE:
            return false;
        case HTTP1_DONE:
            c->head = str_eqz(http_text(&h, h.method), "HEAD");
            c->in_body = true;
            c->scan = (struct http1_scan){ 0 };
            http1_body_init(&c->body, h.framing, h.length);
            buf_drain(&c->in, h.size);
            return true;
        }
    }
    switch (http1_body_next(&c->body, &rest, &data)) {
    case HTTP1_BODY_BAD:
        abort();
    case HTTP1_BODY_END:
        c->in_body = false;
        answer(c);
        break;
    default:
        break;
    }
    buf_drain(&c->in, c->in.n - rest.n);
    return !c->in_body || c->in.n > 0;
}

static void drop_host_conn(size_t i)
{
    struct linger at_once = { .l_onoff = 1 }; /* no port stays taken for a while */

    setsockopt(host_conns[i].fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close(host_conns[i].fd);
    buf_free(&host_conns[i].in);
    http1_body_free(&host_conns[i].body);
    host_conns[i] = host_conns[--nhost_conns];
}

/* True: something came. */
static bool serve_host(void)
{
    char piece[16384];
    bool any = false;
    int fd;

    while (nhost_conns < MOST_HOST_CONNS && (fd = accept4(host_fd, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        host_conns[nhost_conns++] = (struct host_conn){ .fd = fd, .in = BUF_INIT(1 << 22) };
        any = true;
    }
    for (size_t i = nhost_conns; i-- > 0;) {
        ssize_t n = read(host_conns[i].fd, piece, sizeof(piece));

        if (n > 0) {
            buf_put(&host_conns[i].in, piece, (size_t)n);
            while (take(&host_conns[i]))
                ;
            any = true;
        } else if (n == 0) {
            drop_host_conn(i);
        }
    }
    return any;
}

/* ---- the gateway ---- */

static const char config[] =
    "apiVersion: v1\nkind: Service\nmetadata: {name: app, namespace: d}\n"
    "spec: {selector: {app: app}, ports: [{name: http, port: %u, targetPort: %u}]}\n---\n"
    "apiVersion: v1\nkind: Pod\nmetadata: {name: app-1, namespace: d, labels: {app: app}}\n"
    "spec: {containers: [{name: c}]}\n"
    "status: {podIP: 127.0.0.1, conditions: [{type: Ready, status: \"True\"}]}\n---\n"
    "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: gw, namespace: d}\n"
    "spec: {selector: {istio: ingressgateway},"
    " servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [\"*\"]}]}\n---\n"
    "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: vs, namespace: d}\n"
    "spec:\n  hosts: [\"*\"]\n  gateways: [gw]\n  http:\n"
    "  - {match: [{uri: {prefix: /direct}}], directResponse: {status: 200, body: {string: hello}}}\n"
    "  - {match: [{uri: {prefix: /moved}}], redirect: {uri: /new, authority: b}}\n"
    "  - {match: [{uri: {prefix: /old}}], rewrite: {uri: /new}, route: [{destination: {host: app}}]}\n"
    "  - {route: [{destination: {host: app}}], retries: {attempts: 0}, corsPolicy: {allowOrigins: [{exact: o}]}}\n";

static struct worker *new_worker(void)
{
    static const struct log_headers no_headers;
    static struct worker_settings settings = { .log_headers = &no_headers, .header_timeout_ns = INT64_C(60000000000),
                                               .keep_alive_ns = INT64_C(60000000000),
                                               .stream_idle_ns = INT64_C(60000000000) };
    struct worker *w;
    struct err e = ERR_INIT;

    settings.circuits = circuits_new();
    settings.names = names_new(60000, NULL);
    settings.limits = rate_limits_new();
    settings.tables = lb_tables_new();
    settings.tls = tls_store_new(NULL, &e);
    if (!settings.circuits || !settings.names || !settings.limits || !settings.tables || !settings.tls)
        abort();
    w = worker_new(0, &settings, record_ring_new(1 << 20), &e);
    if (!w)
        abort();
    return w;
}

static struct worker_listener *gateway(void)
{
    static struct worker_listener *wl;
    static const struct label select[] = { { STR_INIT("istio"), STR_INIT("ingressgateway") } };
    struct proxy_identity id = { .role = PROXY_GATEWAY, .name = STR("gw"), .ns = STR("d"), .bind = STR("127.0.0.1"),
                                 .labels = { (struct label *)(uintptr_t)select, 1 } };
    static struct buf text = BUF_INIT(1 << 16);
    struct config_text t = { .name = STR("config") };
    struct snapshot_ref *ref;
    struct err e = ERR_INIT;
    unsigned port;

    if (wl)
        return wl;
    log_init("fuzz", LOG_ERROR);
    port = open_host();
    buf_printf(&text, config, port, port);
    t.text = buf_view(&text);
    ref = config_build(&id, &t, 1, 1, &e);
    if (!ref || ref->snapshot->nlisteners != 1)
        abort();
    wl = calloc(1, sizeof(*wl));
    *wl = (struct worker_listener){ .w = new_worker(), .refs = 1, .fd = -1 };
    wl->view = view_new(wl->w, ref, NULL);
    wl->l = &ref->snapshot->listeners[0];
    return wl;
}

/* Until nobody has anything to say. */
static void turn(struct worker *w, int client)
{
    char piece[16384];
    struct record rec;

    for (int i = 0, quiet = 0; i < MOST_TURNS && quiet < 2; i++) {
        bool any = false;

        event_base_loop(w->base, EVLOOP_NONBLOCK);
        any = serve_host();
        while (client >= 0 && read(client, piece, sizeof(piece)) > 0)
            any = true;
        quiet = any ? 0 : quiet + 1;
    }
    while (record_ring_peek(w->ring, &rec))
        record_ring_pop(w->ring);
}

static void send_in_pieces(struct worker *w, int client, struct str bytes, size_t piece)
{
    while (bytes.n) {
        ssize_t n = write(client, bytes.p, bytes.n < piece ? bytes.n : piece);

        if (n <= 0)
            return; /* the gateway has hung up, or does not read */
        bytes = str_from(bytes, (size_t)n);
        turn(w, client);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char start[] = HTTP2_PREFACE "\0\0\0\4\0\0\0\0\0";
    struct worker_listener *wl = gateway();
    struct worker *w = wl->w;
    struct incoming in = { .wl = wl, .serve = wl->l, .remote.ss_family = AF_INET, .local.ss_family = AF_INET };
    struct str bytes = { (const char *)data, size };
    uint8_t how = size ? data[0] : 0;
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) < 0)
        abort();
    in.socket = (struct conn_socket){ .fd = ends[0] };
    worker_enter(w);
    http2_server_new(&in);
    worker_leave(w);
    send_in_pieces(w, ends[1], (struct str){ start, sizeof(start) - 1 }, sizeof(start));
    send_in_pieces(w, ends[1], str_from(bytes, size > 0), how & 0x7f ? 1 + (size_t)(how & 0x7f) * 64 : 1 << 20);
    if (!(how & 0x80))
        turn(w, ends[1]);
    close(ends[1]);
    turn(w, -1);
    while (nhost_conns)
        drop_host_conn(nhost_conns - 1);
    turn(w, -1);
    if (w->nconns || wl->refs != 1)
        abort();
    return 0;
}
