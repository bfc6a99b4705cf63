#include "proxy/health_check.h"

#include "base/log.h"
#include "base/mem.h"
#include "proxy/health_rpc.h"
#include "proxy/http1_parser.h"
#include "proxy/proxy_header.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"

#include <errno.h>

enum {
    TURN_MS = 100,                 /* before another look for a place among those under way */
    MOST_ANSWER = CONN_MOST_IN     /* bytes of a TCP answer that are looked at */
};

struct probe;

/* One host's. */
struct health_checker {
    struct health_checker *next;
    struct worker *w;
    struct upstream_host *host;    /* a reference */
    const struct cluster *cluster; /* of the newest view */
    uint64_t generation;           /* of the last view that has it */
    struct health_count count;
    struct event timer;            /* the next check, or the end of the one under way */
    struct probe *probe;           /* the check under way; NULL: there is none, or it is `rpc` */
    struct health_rpc *rpc;
};

/* One check's connection. */
struct probe {
    struct conn c;
    struct health_checker *of;     /* NULL: its answer is nobody's any more */
    struct http1_scan scan;
    char announcement[PROXY_HEADER_MOST_OUT];
};

/* ---- what answers mean ---- */

static bool within(const struct status_range *v, size_t n, unsigned status)
{
    for (size_t i = 0; i < n; i++)
        if (status >= v[i].from && status < v[i].to)
            return true;
    return false;
}

enum health_answer health_of_status(const struct health_check *check, unsigned status)
{
    if (check->nexpected ? within(check->expected, check->nexpected, status) : status == 200)
        return HEALTH_GOOD;
    return within(check->retriable, check->nretriable, status) ? HEALTH_NO_ANSWER : HEALTH_BAD;
}

bool health_has_parts(const struct health_check *check, struct str bytes)
{
    for (size_t i = 0; i < check->nreceive; i++) {
        ptrdiff_t at = str_find(bytes, check->receive[i]);

        if (at < 0)
            return false;
        bytes = str_from(bytes, (size_t)at + check->receive[i].n);
    }
    return true;
}

enum host_health health_count(struct health_count *n, const struct health_check *check, enum host_health was,
                              enum health_answer answer)
{
    bool turns;

    if (answer == HEALTH_GOOD) {
        n->bad = 0;
        turns = was == HOST_UNCHECKED || (was == HOST_FAILED && ++n->good >= check->healthy_threshold);
        return turns ? HOST_WELL : was;
    }
    n->good = 0;
    turns = was == HOST_UNCHECKED ||
            (was == HOST_WELL && (answer == HEALTH_BAD || ++n->bad >= check->unhealthy_threshold));
    return turns ? HOST_FAILED : was;
}

int64_t health_pause_ms(const struct health_check *check, enum host_health is, enum health_answer answer, bool called)
{
    bool well = is == HOST_WELL, good = answer == HEALTH_GOOD;

    if (!called)
        return well && good ? check->no_traffic_healthy_ms : check->no_traffic_ms;
    if (well != good)
        return good ? check->healthy_edge_ms : check->unhealthy_edge_ms;
    return good ? check->interval_ms : check->unhealthy_interval_ms;
}

/* ---- one check ---- */

static int64_t with_jitter(struct health_checker *k, int64_t ms)
{
    const struct health_check *check = k->cluster->check;
    uint64_t most = (uint64_t)check->jitter_ms + (uint64_t)ms * check->jitter_percent / 100;

    return ms + (int64_t)(most ? rng_below(&k->w->rng, most + 1) : 0);
}

static void set_timer(struct health_checker *k, int64_t ms)
{
    struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

    event_add(&k->timer, &tv);
}

/* Ends the check that is under way; a host that has answered may say the rest of it before it is cut off. */
static void leave_probe(struct health_checker *k, bool answered)
{
    struct probe *p = k->probe;

    k->w->checks.nprobes -= p || k->rpc;
    health_rpc_stop(k->rpc);
    k->rpc = NULL;
    if (!p)
        return;
    k->probe = NULL;
    p->of = NULL;
    if (answered)
        conn_linger(&p->c);
    else
        conn_close(&p->c);
}

static void count_answer(struct circuit *c, enum health_answer answer)
{
    if (answer == HEALTH_GOOD)
        atomic_fetch_add(&c->checks_good, 1);
    else
        atomic_fetch_add(&c->checks_failed, 1);
    if (answer == HEALTH_NO_ANSWER)
        atomic_fetch_add(&c->checks_unanswered, 1);
}

/* `why`: what it answered; for the log. */
static void conclude(struct health_checker *k, enum health_answer answer, const char *why)
{
    struct circuit_host *host = k->host->shared;
    struct circuit *circuit = k->host->circuit;
    enum host_health was = atomic_load(&host->health), is = health_count(&k->count, k->cluster->check, was, answer);

    leave_probe(k, answer != HEALTH_NO_ANSWER);
    count_answer(circuit, answer);
    if (is != was) {
        k->count = (struct health_count){ 0, 0 };
        atomic_store(&host->health, is);
        atomic_fetch_add(&circuit->epoch, 1);
        log_info("%.*s: %.*s %s its health check: %s", STR_ARG(circuit->name), STR_ARG(host->address),
                 is == HOST_WELL ? "passes" : "fails", why);
    }
    set_timer(k, with_jitter(k, health_pause_ms(k->cluster->check, is, answer, atomic_load(&circuit->called))));
}

static struct probe *of(struct conn *c)
{
    return (struct probe *)c;
}

static size_t on_http(struct probe *p, struct str bytes)
{
    struct health_checker *k = p->of;
    struct http_head h;

    switch (http1_response(&p->scan, bytes, str_eqz(k->cluster->check->method, "HEAD"), &h)) {
    case HTTP1_MORE:
        return 0;
    case HTTP1_REFUSED:
        conclude(k, HEALTH_NO_ANSWER, "its answer is no HTTP/1");
        return bytes.n;
    case HTTP1_DONE:
        break;
    }
    p->scan = (struct http1_scan){ 0 };
    if (h.status < 200)
        return h.size;
    conclude(k, health_of_status(k->cluster->check, h.status), http_reason(h.status));
    return bytes.n;
}

static size_t on_data(struct conn *c, struct str bytes)
{
    struct health_checker *k = of(c)->of;
    size_t used = 0;

    while (of(c)->of && k->cluster->check->kind == HEALTH_CHECK_HTTP && used < bytes.n) {
        size_t n = on_http(of(c), str_from(bytes, used));

        if (n == 0)
            return used;
        used += n;
    }
    if (!of(c)->of)
        return bytes.n;
    if (k->cluster->check->kind == HEALTH_CHECK_HTTP)
        return used; /* interim answers: the one that counts follows */
    if (health_has_parts(k->cluster->check, bytes))
        conclude(k, HEALTH_GOOD, "it answers as it should");
    else if (bytes.n >= MOST_ANSWER)
        conclude(k, HEALTH_NO_ANSWER, "its answer is another, and long");
    return of(c)->of ? 0 : bytes.n;
}

static void on_eof(struct conn *c)
{
    if (of(c)->of)
        conclude(of(c)->of, HEALTH_NO_ANSWER, "it closed the connection without an answer");
    else
        conn_close(c);
}

static void on_error(struct conn *c, int err)
{
    const char *tls = conn_tls_failure(c);

    if (of(c)->of)
        conclude(of(c)->of, HEALTH_NO_ANSWER, tls ? tls : upstream_why(err));
    conn_close(c);
}

static void on_connected(struct conn *c)
{
    struct health_checker *k = of(c)->of;

    if (k && k->cluster->check->kind == HEALTH_CHECK_TCP && k->cluster->check->nreceive == 0)
        conclude(k, HEALTH_GOOD, "it takes connections");
}

static void on_drained(struct conn *c)
{
    (void)c;
}

static void on_drain(struct conn *c)
{
    if (c->w->draining)
        conn_close(c);
}

static void destroy(struct conn *c)
{
    mem_free(of(c));
}

/* The cluster's name would be Envoy's choice, but is no name of a host's: those who read strictly refuse it. */
struct str health_host(const struct cluster *c)
{
    return c->check->host.n ? c->check->host : c->host.n ? c->host : STR("localhost");
}

static void put_request(struct probe *p)
{
    const struct health_check *check = p->of->cluster->check;
    struct buf *b = conn_out(&p->c);
    struct fields f = { .n = 0 };

    if (check->kind == HEALTH_CHECK_TCP) {
        if (check->send.n)
            conn_write(&p->c, check->send);
        return;
    }
    fields_add(&f, STR("user-agent"), STR("Envoy/HC"));
    fields_apply(&f, check->headers, check->nheaders, NULL);
    fields_set(&f, STR("connection"), STR("close"));
    buf_printf(b, "%.*s %.*s HTTP/1.1\r\nhost: %.*s\r\n", STR_ARG(check->method), STR_ARG(check->path),
               STR_ARG(health_host(p->of->cluster)));
    fields_write(b, &f);
    buf_puts(b, "\r\n");
}

static void on_rpc(void *arg, enum health_answer answer, const char *why)
{
    struct health_checker *k = arg;

    k->rpc = NULL;
    k->w->checks.nprobes--;
    conclude(k, answer, why);
}

/* Where limits leave no room for it, the host is known to be busy, and nothing else. */
static void start_rpc(struct health_checker *k)
{
    k->rpc = health_rpc_start(k->host, k->cluster, k->w->view->snapshot->self.ip, on_rpc, k);
    if (k->rpc) {
        k->w->checks.nprobes++;
        set_timer(k, k->cluster->check->timeout_ms);
    } else if (errno == EAGAIN || errno == EDQUOT) {
        set_timer(k, with_jitter(k, k->cluster->check->interval_ms));
    } else {
        conclude(k, HEALTH_NO_ANSWER, upstream_why(errno));
    }
}

static void start_probe(struct health_checker *k)
{
    static const struct conn_ops ops = { .data = on_data, .eof = on_eof, .error = on_error, .connected = on_connected,
                                         .drained = on_drained, .deadline = conn_close, .drain = on_drain,
                                         .destroy = destroy };
    struct str from = k->w->view->snapshot->self.ip;
    unsigned proxy_protocol = k->cluster->proxy_protocol;
    struct conn_socket socket;
    struct probe *p = mem_zalloc(sizeof(*p));

    if (!p || upstream_dial(k->host, k->cluster, from, TLS_HTTP1, &socket) < 0) {
        mem_free(p);
        conclude(k, HEALTH_NO_ANSWER, upstream_why(errno));
        return;
    }
    p->of = k;
    k->probe = p;
    k->w->checks.nprobes++;
    conn_open_connecting(&p->c, k->w, socket, &ops, k->cluster->check->timeout_ms);
    if (proxy_protocol)
        p->c.preamble = proxy_header_write(p->announcement, proxy_protocol, STR_NULL, STR_NULL);
    put_request(p);
    set_timer(k, k->cluster->check->timeout_ms);
}

static void start_check(struct health_checker *k)
{
    atomic_fetch_add(&k->host->circuit->checks, 1);
    if (k->cluster->check->kind == HEALTH_CHECK_GRPC)
        start_rpc(k);
    else
        start_probe(k);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct health_checker *k = arg;
    struct worker *w = k->w;

    (void)fd, (void)what;
    worker_enter(w);
    if (k->probe || k->rpc)
        conclude(k, HEALTH_NO_ANSWER, "no answer in time");
    else if (w->checks.nprobes < HEALTH_MOST_PROBES)
        start_check(k);
    else
        set_timer(k, TURN_MS);
    worker_leave(w);
}

/* ---- who is checked ---- */

/* Nobody would ever find it well. */
static void give_up(const struct upstream_host *h)
{
    atomic_store(&h->shared->health, HOST_WELL);
    log_error("%.*s: %s is not checked: no memory", STR_ARG(h->circuit->name), h->text);
}

static void start(struct worker *w, struct upstream_host *h, const struct cluster *c)
{
    struct health_checker *k = mem_zalloc(sizeof(*k));
    int64_t jitter_ms = c->check->initial_jitter_ms;

    if (!k) {
        give_up(h);
        return;
    }
    *k = (struct health_checker){ .w = w, .host = upstream_host_get(h), .cluster = c, .next = w->checks.first,
                                  .generation = w->checks.generation };
    h->checker = k;
    w->checks.first = k;
    event_assign(&k->timer, w->base, -1, 0, on_timer, k);
    set_timer(k, jitter_ms > 0 ? (int64_t)rng_below(&w->rng, (uint64_t)jitter_ms + 1) : 0);
}

/* A host that is checked again one day begins anew. */
static void stop(struct health_checker *k)
{
    leave_probe(k, false);
    event_del(&k->timer);
    atomic_store(&k->host->shared->health, HOST_UNCHECKED);
    k->host->checker = NULL;
    upstream_host_put(k->host);
    mem_free(k);
}

static void keep_checked(struct worker *w, struct upstream_cluster *u)
{
    for (size_t i = 0; i < u->nslots; i++) {
        struct health_checker *k = u->slots[i].host->checker;

        if (k) {
            k->cluster = u->cluster;
            k->generation = w->checks.generation;
        }
    }
}

static void stop_others(struct worker *w)
{
    struct health_checker **at = &w->checks.first;

    while (*at) {
        struct health_checker *k = *at;

        if (k->generation == w->checks.generation) {
            at = &k->next;
            continue;
        }
        *at = k->next;
        stop(k);
    }
}

static void start_new(struct worker *w, struct upstream_cluster *u)
{
    for (size_t i = 0; i < u->nslots; i++)
        if (!u->slots[i].host->checker)
            start(w, u->slots[i].host, u->cluster);
}

static void each_checked(struct worker *w, struct view *v,
                         void (*each)(struct worker *w, struct upstream_cluster *u))
{
    for (size_t i = 0; i < v->snapshot->nclusters; i++) {
        const struct cluster *c = &v->snapshot->clusters[i];
        struct upstream_cluster *u = c->check ? view_cluster(v, c) : NULL;

        if (u)
            each(w, u);
    }
}

void health_checks_follow(struct worker *w, struct view *v)
{
    if (w->index != 0 || w->draining)
        return;
    w->checks.generation++;
    each_checked(w, v, keep_checked);
    stop_others(w);
    each_checked(w, v, start_new);
}

/* Looks at its names, and at the hosts that they have now. */
static void follow_names(struct worker *w, struct upstream_cluster *u)
{
    if (u->nnames == 0)
        return;
    upstream_follow_names(u);
    w->checks.names += u->names_generation;
}

void health_checks_tick(struct worker *w)
{
    unsigned before = w->checks.names;

    if (w->index != 0 || !w->view || w->draining)
        return;
    w->checks.names = 0;
    each_checked(w, w->view, follow_names);
    if (w->checks.names != before)
        health_checks_follow(w, w->view);
}

void health_checks_stop(struct worker *w)
{
    w->checks.generation++;
    stop_others(w);
}
