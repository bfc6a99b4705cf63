/* tcp.c: two sockets, what comes in here goes out there.
 *
 * Each side stops being read while the other has CONN_HIGH bytes unsent. A half that its sender closed is closed
 * towards the receiver when everything before it is sent; it is over when both are, or when one side fails. */
#include "proxy/tcp.h"

#include "base/mem.h"
#include "proxy/admit.h"
#include "proxy/downstream.h"
#include "proxy/http2_server.h"
#include "proxy/identity.h"
#include "proxy/outlier.h"
#include "proxy/response_flags.h"
#include "proxy/proxy_header.h"
#include "proxy/rate_limit.h"
#include "proxy/router.h"
#include "proxy/texts.h"
#include "proxy/tls_told.h"
#include "proxy/upstream.h"

#include <errno.h>
#include <unistd.h>

enum { LOOK_MS = 5 };

static const int64_t report_ns = INT64_C(5000000000);

struct tcp;

struct tcp_side {
    struct conn c;
    struct tcp *t;
    struct tcp_side *other;
};

struct tcp {
    struct tcp_side down, up;
    unsigned conns;              /* whose memory is still in use */
    struct worker *w;
    struct worker_listener *wl;
    struct view *view;
    const struct listener *l;
    struct peer *peer;
    const struct destination *destination;
    struct upstream_cluster *cluster;
    const struct endpoint *endpoint;
    struct upstream_host *host;
    char up_local[CONN_ADDR_TEXT];
    unsigned flags;
    const char *details, *transport_failure;
    char *denied;                /* who has denied it, where `details` says that */
    char announcement[PROXY_HEADER_MOST_OUT];
    bool opened, over, counted;  /* counted: among the circuit's connections */
    struct event look;           /* while a name's first answer is waited for */
    bool looking;
    int64_t looking_until_ns;
    int64_t started_ns, active_ns;
    uint64_t received, sent, received_told, sent_told;
};

static struct tcp_side *of(struct conn *c)
{
    return (struct tcp_side *)c;
}

static void fill_tls(struct record *r, const struct tcp *t, struct buf *b)
{
    const struct log_headers *wanted = t->w->settings->log_headers;
    const struct tls_link *up = t->up.t ? t->up.c.tls : NULL;

    if (r->kind != RECORD_TCP_CLOSE || !(wanted->downstream_tls || wanted->upstream_tls))
        return;
    tls_told_put(b, t->peer->tls->told, wanted->downstream_tls);
    tls_told_put(b, up && up->peer ? up->peer->told : STR_NULL, wanted->upstream_tls);
    r->tls = buf_view(b);
}

static void record(struct tcp *t, enum record_kind kind)
{
    char flags[RESPONSE_FLAGS_TEXT];
    struct buf tls = BUF_INIT(TEXTS_MOST), tags = BUF_INIT(TEXTS_MOST);
    struct record r = { .kind = kind, .received_delta = t->received - t->received_told,
                        .sent_delta = t->sent - t->sent_told };
    struct access_log *l = &r.log;

    t->received_told = t->received;
    t->sent_told = t->sent;
    access_log_init(l);
    l->start_ns = worker_wall_ns(t->w, t->started_ns);
    identity_fill(l, t->view->snapshot, &(struct identity){
        .on = t->l, .peer = t->peer, .cluster = t->cluster ? t->cluster->cluster : NULL, .endpoint = t->endpoint,
        .upstream = t->up.t && t->up.c.tls ? t->up.c.tls->peer : NULL });
    l->response_code = 0;
    l->response_flags = response_flags_text(flags, t->flags);
    l->response_code_details = str_of(t->details);
    l->bytes_received = (int64_t)t->received;
    l->bytes_sent = (int64_t)t->sent;
    l->duration_us = (t->w->now_ns - t->started_ns) / 1000;
    if (t->cluster)
        l->upstream_cluster = t->cluster->cluster->name;
    else if (t->destination)
        l->upstream_cluster = t->destination->cluster_name;
    if (t->host)
        l->upstream_host = str_of(t->host->text);
    l->upstream_local_address = str_of(t->up_local);
    l->upstream_transport_failure_reason = str_of(t->transport_failure);
    l->downstream_local_address = str_of(t->peer->local);
    l->downstream_remote_address = str_of(t->peer->remote);
    l->requested_server_name = t->peer->sni;
    l->request_protocol = STR("tcp");
    r.request_us = -1;
    record_obey(&r, record_policy(t->view->snapshot, t->l), &(struct record_context){ .mutual = t->peer->tls->proved },
                &tags);
    fill_tls(&r, t, &tls);
    record_ring_push(t->w->ring, &r);
    buf_free(&tls);
    buf_free(&tags);
}

/* What the host's outlier detection learns. */
static void tell(const struct tcp *t, enum outlier_result r)
{
    const struct outlier_detection *rules = &t->cluster->cluster->outlier;
    struct outlier o = { rules, t->cluster->circuit, t->host->shared, t->cluster->nslots, t->w->now_ns };

    if (rules->on && t->host->shared)
        outlier_ended(&o, r);
}

static void open_told(struct tcp *t)
{
    if (!t->opened)
        record(t, RECORD_TCP_OPEN);
    t->opened = true;
}

static void stop_looking(struct tcp *t)
{
    if (t->looking)
        event_del(&t->look);
    t->looking = false;
}

/* The connection is over; what is unsent still goes out. */
static void finish(struct tcp *t)
{
    if (t->over)
        return;
    t->over = true;
    stop_looking(t);
    open_told(t);
    record(t, RECORD_TCP_CLOSE);
    if (t->host)
        t->host->active--;
    if (t->counted)
        circuit_give(&t->cluster->circuit->connections);
    conn_linger(&t->down.c);
    if (t->up.t)
        conn_linger(&t->up.c);
}

static size_t on_data(struct conn *c, struct str bytes)
{
    struct tcp_side *side = of(c);
    struct tcp *t = side->t;
    struct conn *to = &side->other->c;

    if (t->looking) { /* it waits here, too */
        conn_pause(c);
        return 0;
    }
    *(side == &t->down ? &t->received : &t->sent) += bytes.n;
    t->active_ns = t->w->now_ns;
    conn_write_pieces(to, &bytes, 1);
    if (conn_is_full(to))
        conn_pause(c);
    return bytes.n;
}

static struct conn *through(struct conn *c, uint64_t *most)
{
    *most = UINT64_MAX;
    return &of(c)->other->c;
}

static void on_passed(struct conn *c, size_t n)
{
    struct tcp_side *side = of(c);

    *(side == &side->t->down ? &side->t->received : &side->t->sent) += n;
    side->t->active_ns = side->t->w->now_ns;
}

static void on_eof(struct conn *c)
{
    struct tcp_side *side = of(c);

    if (side->other->c.eof_seen || side->t->looking)
        finish(side->t);
    else
        conn_shut(&side->other->c);
}

static void on_error(struct conn *c, int err)
{
    struct tcp_side *side = of(c);
    struct tcp *t = side->t;

    if (c->connecting) {
        t->flags |= FLAG_UF;
        t->transport_failure = conn_tls_failure(c) ? conn_tls_failure(c) : upstream_why(err);
        tell(t, err == ETIMEDOUT ? OUTLIER_TIMEOUT : OUTLIER_RESET);
    }
    finish(t);
    conn_close(c);
}

static void on_connected(struct conn *c)
{
    struct tcp *t = of(c)->t;

    conn_local_text(c, t->up_local);
    tell(t, OUTLIER_CONNECTED);
    open_told(t);
}

static void on_drained(struct conn *c)
{
    conn_resume(&of(c)->other->c);
}

static int64_t next_look_ns(const struct tcp *t)
{
    int64_t most_ms = t->cluster ? t->cluster->cluster->max_connection_ms : 0;
    int64_t report = t->w->now_ns + report_ns, end = t->started_ns + most_ms * 1000000;

    return most_ms > 0 && end < report ? end : report;
}

/* Every five seconds: what passed since the last time is told. */
static void on_deadline(struct conn *c)
{
    struct tcp *t = of(c)->t;
    const struct cluster *cluster = t->cluster->cluster;

    if (cluster->max_connection_ms > 0 && t->w->now_ns - t->started_ns >= cluster->max_connection_ms * 1000000) {
        t->flags |= FLAG_DT;
        t->details = "max_connection_duration";
        finish(t);
        return;
    }
    if (cluster->idle_timeout_ms > 0 && t->w->now_ns - t->active_ns > cluster->idle_timeout_ms * 1000000) {
        finish(t);
        return;
    }
    if (t->received != t->received_told || t->sent != t->sent_told)
        record(t, RECORD_TCP_BYTES);
    c->deadline_ns = next_look_ns(t);
}

static void destroy(struct conn *c)
{
    struct tcp *t = of(c)->t;

    if (--t->conns > 0)
        return;
    stop_looking(t);
    mem_free(t->denied);
    upstream_host_put(t->host);
    view_put(t->view);
    worker_listener_put(t->wl);
    peer_put(t->peer);
    mem_free(t);
}

static const struct conn_ops tcp_ops = { .data = on_data, .through = through, .passed = on_passed, .eof = on_eof,
                                         .error = on_error, .connected = on_connected, .drained = on_drained,
                                         .deadline = on_deadline, .destroy = destroy };

/* For as long as connecting may take; as stream_host.c has it. False: that time is over. */
static bool look_again(struct tcp *t)
{
    if (!t->looking)
        t->looking_until_ns = t->w->now_ns + t->cluster->cluster->connect_timeout_ms * 1000000;
    if (t->w->now_ns >= t->looking_until_ns)
        return false;
    t->looking = true;
    event_add(&t->look, &(struct timeval){ 0, LOOK_MS * 1000 });
    return true;
}

/* TCP has nothing to wait for: its client would, without a word. */
static bool take_connection(struct tcp *t)
{
    struct circuit *circuit = t->cluster->circuit;
    uint32_t most = t->cluster->cluster->max_connections;

    t->counted = circuit_take(&circuit->connections, most, &circuit->connection_overflows);
    if (!t->counted)
        t->flags = FLAG_UO;
    return t->counted;
}

/* Chooses a host and dials it. -1: flags and details are set. 1: it waits for a name's first answer. */
static int dial(struct tcp *t, struct conn_socket *out)
{
    long slot;

    if (!t->destination)
        t->destination = router_pick(t->l->tcp, t->l->ntcp, t->l->tcp_total_weight, &t->w->rng);
    t->cluster = t->destination ? view_cluster(t->view, t->destination->cluster) : NULL;
    if (!t->cluster) {
        t->flags = t->destination ? FLAG_NC : FLAG_NR;
        return -1;
    }
    slot = lb_pick(upstream_lb(t->cluster, t->w->now_ns), &t->w->rng, NULL, 0);
    if (slot < 0 && upstream_is_asking(t->cluster) && look_again(t))
        return 1;
    if (slot < 0) {
        t->flags = FLAG_UH;
        return -1;
    }
    if (!take_connection(t))
        return -1;
    t->endpoint = t->cluster->slots[slot].endpoint;
    t->host = upstream_host_get(t->cluster->slots[slot].host);
    t->host->active++;
    if (upstream_dial(t->host, t->cluster->cluster, t->view->snapshot->self.ip, TLS_BYTES, out) == 0)
        return 0;
    t->flags = FLAG_UF;
    t->transport_failure = upstream_why(errno);
    tell(t, OUTLIER_RESET);
    return -1;
}

/* The listener's policies, of which those that need HTTP never allow and always deny by the rest of what they ask. */
static bool admitted(struct tcp *t)
{
    const struct listener_policy *p = &t->wl->l->policy;
    struct policy_facts facts;
    struct policy_verdict verdict;

    if (p->npolicies == 0)
        return true;
    admit_facts(&facts, t->peer, t->wl->l);
    policy_decide(p, &facts, &verdict);
    if (verdict.allowed)
        return true;
    t->denied = mem_alloc(POLICY_DETAILS);
    if (t->denied)
        policy_details(&verdict, t->denied);
    t->details = t->denied;
    return false;
}

static bool within_limits(struct tcp *t)
{
    const struct listener *l = t->wl->l;

    for (size_t i = 0; i < l->nconnection_limits; i++) {
        if (rate_limit_ask_connection(&t->view->limiters[l->connection_limits[i]->index], t->w->now_ns))
            continue;
        t->flags |= FLAG_URX;
        t->details = "local_ratelimit_close_over_rate_limit";
        return false;
    }
    return true;
}

/* The host is told whose connection it is. */
static void announce(struct tcp *t)
{
    unsigned version = t->cluster->cluster->proxy_protocol;

    if (version)
        t->up.c.preamble = proxy_header_write(t->announcement, version, str_of(t->peer->remote),
                                                str_of(t->peer->local));
}

static void go_on(struct tcp *t)
{
    bool waited = t->looking;
    struct conn_socket up;
    int rc = dial(t, &up);

    if (rc < 0)
        finish(t);
    if (rc != 0)
        return;
    stop_looking(t);
    t->down.c.deadline_ns = next_look_ns(t);
    t->up.t = t;
    t->up.other = &t->down;
    t->conns = 2;
    conn_open_connecting(&t->up.c, t->w, up, &tcp_ops, t->cluster->cluster->connect_timeout_ms);
    announce(t);
    if (waited)
        conn_resume(&t->down.c);
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
    struct tcp *t = arg;
    struct worker *w = t->w;

    (void)fd, (void)what;
    worker_enter(w);
    go_on(t);
    worker_leave(w);
}

void tcp_new(const struct incoming *in)
{
    struct worker *w = in->wl->w;
    struct peer *peer = peer_new(in);
    struct tcp *t = peer ? mem_zalloc(sizeof(*t)) : NULL;
    struct conn_socket down = in->socket;

    if (!t) {
        peer_put(peer);
        conn_socket_close(w, &down);
        return;
    }
    t->w = w;
    t->wl = worker_listener_get(in->wl);
    t->view = view_get(in->wl->view);
    t->l = in->serve;
    t->started_ns = t->active_ns = w->now_ns;
    t->peer = peer;
    t->down.t = t;
    t->down.other = &t->up;
    t->conns = 1;
    t->up.c.fd = -1;
    conn_open(&t->down.c, w, down, &tcp_ops);
    event_assign(&t->look, w->base, -1, 0, on_look, t);
    if (!within_limits(t) || !admitted(t)) {
        finish(t);
        return;
    }
    go_on(t);
    if (in->first.n && !t->over)
        conn_feed(&t->down.c, in->first);
}

/* --- HTTP or not ------------------------------------------------------------------------------------------------ */

enum { SNIFF_MS = 100, LONGEST_METHOD = 8 };

enum tcp_guess tcp_guess(struct str first)
{
    static const struct str methods[] = { STR_INIT("GET"), STR_INIT("HEAD"), STR_INIT("POST"), STR_INIT("PUT"),
                                          STR_INIT("DELETE"), STR_INIT("OPTIONS"), STR_INIT("PATCH"), STR_INIT("TRACE"),
                                          STR_INIT("CONNECT") };
    ptrdiff_t space = str_chr(first, ' '), end = str_chr(first, '\n');
    struct str word = { first.p, space < 0 ? first.n : (size_t)space }, target = str_from(first, word.n + 1);
    struct str preface = STR(HTTP2_PREFACE);
    bool known = false;

    if (str_starts(first, preface) || str_starts(preface, first))
        return first.n < preface.n ? TCP_GUESS_MORE : TCP_GUESS_HTTP;
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        known |= space < 0 ? str_starts(methods[i], word) : str_eq(methods[i], word);
    if (!known)
        return TCP_GUESS_TCP;
    /* Redis' inline commands begin with GET, too: a target and, as soon as the line is there, a version decide. */
    if (target.n && target.p[0] != '/' && target.p[0] != '*' && target.p[0] != 'h' && !str_eqz(word, "CONNECT"))
        return TCP_GUESS_TCP;
    if (end >= 0)
        return str_find((struct str){ first.p, (size_t)end }, STR(" HTTP/1.")) > 0 ? TCP_GUESS_HTTP : TCP_GUESS_TCP;
    return first.n > HTTP_MOST_HEAD / 2 ? TCP_GUESS_HTTP : TCP_GUESS_MORE;
}

struct sniff {
    struct conn c;
    struct worker_listener *wl;
    bool chained;
    struct sockaddr_storage remote, local;
    struct event timer;
};

static void hand_over(struct sniff *f, bool http, struct str first)
{
    struct incoming in = { .wl = f->wl, .serve = incoming_listener(f->wl, f->chained, f->c.tls),
                           .remote = f->remote, .local = f->local, .first = first };

    event_del(&f->timer);
    in.socket = conn_detach(&f->c);
    if (http)
        downstream_new(&in);
    else
        tcp_new(&in);
}

static size_t sniff_data(struct conn *c, struct str bytes)
{
    enum tcp_guess guess = tcp_guess(bytes);

    if (guess == TCP_GUESS_MORE)
        return 0;
    hand_over((struct sniff *)c, guess == TCP_GUESS_HTTP, bytes);
    return bytes.n;
}

static void sniff_end(struct conn *c)
{
    event_del(&((struct sniff *)c)->timer);
    conn_close(c);
}

static void sniff_eof(struct conn *c)
{
    if (c->in)
        hand_over((struct sniff *)c, false, conn_kept(c));
    else
        sniff_end(c);
}

static void sniff_error(struct conn *c, int err)
{
    (void)err;
    sniff_end(c);
}

static void sniff_drained(struct conn *c)
{
    (void)c;
}

static void sniff_destroy(struct conn *c)
{
    worker_listener_put(((struct sniff *)c)->wl);
    mem_free(c);
}

static void on_sniff_timer(evutil_socket_t fd, short what, void *arg)
{
    struct sniff *f = arg;
    struct worker *w = f->c.w;

    (void)fd, (void)what;
    worker_enter(w);
    hand_over(f, false, conn_kept(&f->c));
    worker_leave(w);
}

void tcp_sniff(const struct incoming *in)
{
    static const struct conn_ops ops = { .data = sniff_data, .eof = sniff_eof, .error = sniff_error,
                                         .drained = sniff_drained, .deadline = sniff_end, .destroy = sniff_destroy };
    struct timeval tv = { 0, SNIFF_MS * 1000 };
    struct conn_socket socket = in->socket;
    struct sniff *f = mem_zalloc(sizeof(*f));

    if (!f) {
        conn_socket_close(in->wl->w, &socket);
        return;
    }
    f->wl = worker_listener_get(in->wl);
    f->chained = in->serve != in->wl->l;
    f->remote = in->remote;
    f->local = in->local;
    conn_open(&f->c, in->wl->w, socket, &ops);
    event_assign(&f->timer, in->wl->w->base, -1, 0, on_sniff_timer, f);
    event_add(&f->timer, &tv);
    if (in->first.n)
        conn_feed(&f->c, in->first);
}
