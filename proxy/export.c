/* export.c: exactly once to the server, together with the server.
 *
 * Each signal is a sender of its own with its own numbers 1, 2, 3, … and its own connection; the server stores a
 * sender's last number with the batch and recognises one that comes again (docs/protocols.md, Telemetry).
 *
 * Invariants  1. A batch has its number and its bytes from the moment it is taken until the server answered for it.
 *             2. At most the first batch of a queue is under way.
 *             3. `used` is the sum of all batches kept, and never more than the ceiling: a batch that does not fit is
 *                not taken, and has no number.
 *
 *   EMPTY --put--> SENDING --200; 400, 413--> next batch, or EMPTY
 *                   ^   |
 *              timer|   | 429, 503, any other answer, none
 *                  WAITING        exponential back-off with jitter, or what Retry-After says */
#include "proxy/export-internal.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/pb.h"
#include "base/rand.h"
#include "proxy/http_client-internal.h"

#include <event2/event.h>
#include <stdio.h>

enum {
    FIRST_DELAY_MS = 100,
    LONGEST_DELAY_MS = 5000,
    METRICS_SHARE = 4 /* a quarter of the buffer */
};

const char *const export_signal_names[EXPORT_SIGNALS] = { "logs", "metrics", "traces" };

struct batch {
    struct batch *next;
    uint64_t number;
    size_t records, n;
    char bytes[];
};

struct sender {
    struct exporter *exporter;
    enum export_signal signal;
    struct http_client *client;
    struct event *timer;             /* pending while WAITING */
    struct batch *first, **end;
    bool under_way;
    uint64_t last_number;
    unsigned failures;               /* in a row */
    struct export_stats stats;
};

struct exporter {
    char name[512];                  /* "POD.NAMESPACE/INCARNATION" */
    size_t used, max;
    bool hurry;
    struct rng rng;
    struct sender senders[EXPORT_SIGNALS];
};

static void send_first(struct sender *s)
{
    char path[32], headers[768];

    snprintf(path, sizeof(path), "/v1/%s", export_signal_names[s->signal]);
    snprintf(headers, sizeof(headers),
             "Content-Type: application/x-protobuf\r\nVigla-Sender: %s/%s\r\nVigla-Batch: %llu\r\n", s->exporter->name,
             export_signal_names[s->signal], (unsigned long long)s->first->number);
    s->under_way = true;
    http_client_post(s->client, path, headers, (struct str){ s->first->bytes, s->first->n });
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    send_first(arg);
}

static int64_t delay_ms(const struct sender *s, struct rng *rng)
{
    int64_t longest = FIRST_DELAY_MS;

    for (unsigned i = 1; i < s->failures && longest < LONGEST_DELAY_MS; i++)
        longest *= 2;
    if (longest > LONGEST_DELAY_MS)
        longest = LONGEST_DELAY_MS;
    return longest / 2 + (int64_t)rng_below(rng, (uint64_t)longest / 2 + 1);
}

static void try_again_in(struct sender *s, int64_t ms)
{
    event_add(s->timer, &(struct timeval){ ms / 1000, ms % 1000 * 1000 });
}

static void failed(struct sender *s, const struct http_reply *r)
{
    const char *signal = export_signal_names[s->signal];
    int64_t ms;

    s->failures++;
    s->stats.retries++;
    if (s->failures == 1 && r->status)
        log_warn("telemetry: %s: the server answered %d; trying again until it takes batch %llu", signal, r->status,
                 (unsigned long long)s->first->number);
    else if (s->failures == 1)
        log_warn("telemetry: %s: %s; trying again until the server takes batch %llu", signal, r->e->msg,
                 (unsigned long long)s->first->number);
    ms = delay_ms(s, &s->exporter->rng);
    if (s->exporter->hurry)
        ms = FIRST_DELAY_MS;
    else if (r->retry_after_ms > ms)
        ms = r->retry_after_ms;
    try_again_in(s, ms);
}

/* The server answered for the first batch: it goes. */
static void settle(struct sender *s)
{
    struct batch *b = s->first;

    s->first = b->next;
    if (!s->first)
        s->end = &s->first;
    s->stats.waiting_batches--;
    s->stats.waiting_bytes -= b->n;
    s->exporter->used -= b->n;
    mem_free(b);
}

/* Records that the server left out: ExportXServiceResponse { 1: partial_success { 1: rejected, 2: why } }. */
static uint64_t rejected(struct str body, struct str *why)
{
    struct pb_reader r = pb_reader(body), inside;
    struct pb_field f, g;
    uint64_t n = 0;

    *why = STR_NULL;
    while (pb_next(&r, &f, NULL) == 1) {
        if (f.number != 1 || f.type != PB_BYTES)
            continue;
        inside = pb_reader(f.bytes);
        while (pb_next(&inside, &g, NULL) == 1) {
            if (g.number == 1 && g.type == PB_VARINT)
                n = g.u;
            else if (g.number == 2 && g.type == PB_BYTES)
                *why = g.bytes;
        }
    }
    return n;
}

static void acknowledged(struct sender *s, const struct http_reply *r)
{
    const struct batch *b = s->first;
    struct str why;
    uint64_t lost = rejected(r->body, &why);

    if (lost > b->records)
        lost = b->records;
    if (lost && s->stats.dropped_rejected == 0)
        log_warn("telemetry: %s: the server left out %llu records of batch %llu: %.*s", export_signal_names[s->signal],
                 (unsigned long long)lost, (unsigned long long)b->number, (int)(why.n < 300 ? why.n : 300),
                 why.n ? why.p : "");
    if (s->failures)
        log_info("telemetry: %s: the server takes batches again", export_signal_names[s->signal]);
    s->stats.dropped_rejected += lost;
    s->stats.batches++;
    s->stats.bytes += b->n;
    s->stats.records += b->records - lost;
}

static void refused(struct sender *s, const struct http_reply *r)
{
    if (s->stats.dropped_refused == 0)
        log_error("telemetry: %s: the server refused batch %llu with %d: %.*s", export_signal_names[s->signal],
                  (unsigned long long)s->first->number, r->status, (int)(r->body.n < 300 ? r->body.n : 300),
                  r->body.n ? r->body.p : "");
    s->stats.dropped_refused += s->first->records;
}

static void on_reply(void *arg, const struct http_reply *r)
{
    struct sender *s = arg;

    s->under_way = false;
    if (r->status >= 200 && r->status < 300) {
        acknowledged(s, r);
    } else if (r->status == 400 || r->status == 413) {
        refused(s, r);
    } else {
        failed(s, r);
        return;
    }
    s->failures = 0;
    settle(s);
    if (s->first)
        send_first(s);
}

static int sender_init(struct sender *s, struct exporter *x, enum export_signal signal, struct event_base *base,
                       const struct http_url *url, struct err *e)
{
    s->exporter = x;
    s->signal = signal;
    s->end = &s->first;
    s->client = http_client_new(base, url, on_reply, s);
    s->timer = evtimer_new(base, on_timer, s);
    if (!s->client || !s->timer)
        return err_set(e, ERR_NOMEM, "telemetry: no memory for a sender");
    return 0;
}

struct exporter *exporter_new(struct event_base *base, const struct export_options *o, struct err *e)
{
    struct exporter *x = mem_zalloc(sizeof(*x));
    struct http_url url;
    char incarnation[17];
    int rc = 0;

    if (!x) {
        err_set(e, ERR_NOMEM, "telemetry: no memory for senders");
        return NULL;
    }
    rng_seed(&x->rng);
    rng_hex(&x->rng, incarnation, 16);
    snprintf(x->name, sizeof(x->name), "%.*s/%s", STR_ARG(o->sender), incarnation);
    x->max = o->buffer_bytes;
    rc = http_url_parse_base(o->url, &url, e);
    for (int i = 0; i < EXPORT_SIGNALS && rc == 0; i++)
        rc = sender_init(&x->senders[i], x, (enum export_signal)i, base, &url, e);
    if (rc < 0) {
        exporter_free(x);
        return NULL;
    }
    return x;
}

void exporter_free(struct exporter *x)
{
    if (!x)
        return;
    for (int i = 0; i < EXPORT_SIGNALS; i++) {
        struct sender *s = &x->senders[i];

        http_client_free(s->client);
        if (s->timer)
            event_free(s->timer);
        while (s->first)
            settle(s);
    }
    mem_free(x);
}

bool exporter_has_room(const struct exporter *x, enum export_signal s, size_t bytes)
{
    const struct export_stats *stats = &x->senders[s].stats;

    if (s == EXPORT_METRICS &&
        (bytes > x->max / METRICS_SHARE || stats->waiting_bytes > x->max / METRICS_SHARE - bytes))
        return false;
    return bytes <= x->max && x->used <= x->max - bytes;
}

int exporter_put(struct exporter *x, enum export_signal signal, struct str head, struct str records, size_t n)
{
    struct sender *s = &x->senders[signal];
    size_t bytes = head.n + records.n;
    bool room = exporter_has_room(x, signal, bytes);
    struct batch *b = room ? mem_alloc(sizeof(*b) + bytes) : NULL;

    if (!b) {
        if (signal != EXPORT_METRICS)
            exporter_lost(x, signal, n);
        return room ? ERR_NOMEM : ERR_BUSY;
    }
    b->next = NULL;
    b->number = ++s->last_number;
    b->records = n;
    b->n = bytes;
    memcpy(b->bytes, head.p, head.n);
    memcpy(b->bytes + head.n, records.p, records.n);
    *s->end = b;
    s->end = &b->next;
    x->used += b->n;
    s->stats.waiting_batches++;
    s->stats.waiting_bytes += b->n;
    if (!s->under_way && !evtimer_pending(s->timer, NULL))
        send_first(s);
    return 0;
}

void exporter_lost(struct exporter *x, enum export_signal s, size_t records)
{
    x->senders[s].stats.dropped_full += records;
}

void exporter_hurry(struct exporter *x)
{
    if (x->hurry)
        return;
    x->hurry = true;
    for (int i = 0; i < EXPORT_SIGNALS; i++)
        if (evtimer_pending(x->senders[i].timer, NULL))
            try_again_in(&x->senders[i], 0);
}

bool exporter_is_empty(const struct exporter *x)
{
    return x->used == 0;
}

const struct export_stats *exporter_stats(const struct exporter *x, enum export_signal s)
{
    return &x->senders[s].stats;
}

size_t exporter_used(const struct exporter *x)
{
    return x->used;
}
