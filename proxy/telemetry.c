/* telemetry.c: the thread beside the workers.
 *
 * Problem    A worker must not wait, for the disk, the server or a lock, to tell what it has done.
 * Idea       It leaves records in its ring and goes on. This thread comes by every tick, a quarter of the flush
 *            interval, takes all there is from all rings, counts it, writes the access log with one write, and collects
 *            OTLP records; at every flush these leave as batches.
 * Order      Rings are merged by the time at which the answers ended, so that the lines of a log file stand in the
 *            order of the answers though several workers gave them.
 * Threads    Other threads reach this one by some atomics, looked at once in a tick: no lock, no wake-up.
 * Successor  When another process takes over, the series of this one end with its last word as itself; the successor
 *            waits for that (`held`) and begins them anew, as after any restart. */
#include "proxy/telemetry.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "proxy/admin-internal.h"
#include "proxy/otlp-internal.h"
#include "proxy/telemetry-internal.h"

#include <event2/event.h>
#include <signal.h>
#include <unistd.h>

enum {
    DEFAULT_BUFFER = 32 << 20,
    DEFAULT_FLUSH_MS = 200,
    TICKS_PER_FLUSH = 4,
    BUSY_RECORDS = 64,         /* after so many in a tick the next one comes soon: the rings stay short, and in the
                                * cache */
    BUSY_TICK_MS = 10,
    STOPPING_TICK_MS = 5,
    REST_TICKS = 10,           /* without a record: then memory is given back */
    MUCH_KEPT = 512 << 10,
    REPORT_ALL_S = 60,
    MOST_LABEL_SETS = 10000,
    MOST_PER_TICK = 50000,      /* records; then the network has its turn */
    BATCH_RECORDS = 1000,
    BATCH_BYTES = 1 << 20,
    BATCH_CEILING = 32 << 20,   /* with the largest record on top */
    LINE_CEILING = 16 << 20
};

static int64_t ended_ns(const struct record *rec)
{
    return rec->log.start_ns + (rec->log.duration_us > 0 ? rec->log.duration_us * 1000 : 0);
}

/* The ring whose oldest record ended first, or nrings when all are empty. */
static size_t next_ring(struct telemetry *t)
{
    size_t best = t->o.nrings;

    for (size_t i = 0; i < t->o.nrings; i++) {
        if (!t->has_peeked[i])
            t->has_peeked[i] = record_ring_peek(t->o.rings[i], &t->peeked[i]);
        if (t->has_peeked[i] && (best == t->o.nrings || ended_ns(&t->peeked[i]) < ended_ns(&t->peeked[best])))
            best = i;
    }
    return best;
}

static void seal(struct telemetry *t, enum export_signal signal, struct str scope, struct open_batch *open)
{
    if (open->n == 0)
        return;
    buf_reset(&t->head);
    otlp_request_head(&t->head, buf_view(&t->resource), scope, open->records.n);
    if (buf_failed(&t->head))
        exporter_lost(t->exporter, signal, open->n);
    else /* it counts by itself what it does not take */
        exporter_put(t->exporter, signal, buf_view(&t->head), buf_view(&open->records), open->n);
    buf_reset(&open->records);
    open->n = 0;
}

static void seal_logs(struct telemetry *t)
{
    seal(t, EXPORT_LOGS, STR("vigla.access_log"), &t->logs);
}

static void seal_spans(struct telemetry *t)
{
    seal(t, EXPORT_TRACES, STR("vigla.proxy"), &t->spans);
}

static bool is_full(const struct open_batch *b)
{
    return b->n >= BATCH_RECORDS || b->records.n >= BATCH_BYTES;
}

/* Keeps what was appended since `before` as one more record, or takes it back when there was no memory for it. */
static void added(struct telemetry *t, enum export_signal signal, struct open_batch *b, size_t before)
{
    if (!buf_failed(&b->records)) {
        b->n++;
        return;
    }
    b->records.failed = false;
    b->records.n = before;
    exporter_lost(t->exporter, signal, 1);
}

static void ship_log(struct telemetry *t, const struct record *rec, struct str line)
{
    size_t before = t->logs.records.n;

    otlp_log(&t->logs.records, rec, line);
    added(t, EXPORT_LOGS, &t->logs, before);
    if (is_full(&t->logs))
        seal_logs(t);
}

static void ship_span(struct telemetry *t, const struct record *rec)
{
    const struct otlp_span_origin origin = { t->node_id, &t->self };
    size_t before = t->spans.records.n;

    if (otlp_span(&t->spans.records, rec, &origin))
        added(t, EXPORT_TRACES, &t->spans, before);
    if (is_full(&t->spans))
        seal_spans(t);
}

/* Istio's two defaults are not printed by formats: that takes a third more instructions (9,400 a line in the place of
 * 7,100), and the text is what the server gets with each record, whatever the file has. */
static void log_to_file(struct telemetry *t, const struct record *rec)
{
    const struct access_format_context with = { t->self.pod, &t->rng };

    if (!t->o.access_format && !t->o.access_log_json) {
        access_file_line(t->file, buf_view(&t->line));
        return;
    }
    buf_reset(&t->own_line);
    if (t->o.access_format)
        access_format_render(t->o.access_format, &t->own_line, rec, &with);
    else
        access_log_json(&t->own_line, &rec->log);
    if (!buf_failed(&t->own_line))
        access_file_line(t->file, buf_view(&t->own_line));
}

static void tell_log(struct telemetry *t, const struct record *rec)
{
    struct str line;

    buf_reset(&t->line);
    access_log_text(&t->line, &rec->log);
    if (buf_failed(&t->line)) {
        if (t->exporter)
            exporter_lost(t->exporter, EXPORT_LOGS, 1);
        return;
    }
    if (t->file)
        log_to_file(t, rec);
    line = buf_view(&t->line);
    if (t->exporter)
        ship_log(t, rec, (struct str){ line.p, line.n - 1 });
}

static void take(struct telemetry *t, const struct record *rec, int64_t now_ns)
{
    bool is_end = rec->kind == RECORD_HTTP || rec->kind == RECORD_TCP_CLOSE;

    t->records++;
    metrics_record(t->metrics, rec, now_ns);
    if (is_end && !rec->no_log && (t->file || t->exporter))
        tell_log(t, rec);
    if (rec->kind == RECORD_HTTP && t->exporter)
        ship_span(t, rec);
}

/* Returns how many records it took: MOST_PER_TICK: there is more. */
static size_t drain(struct telemetry *t)
{
    int64_t now_ns = clock_now_ns();
    size_t n = 0;

    for (; n < MOST_PER_TICK; n++) {
        size_t i = next_ring(t);

        if (i == t->o.nrings)
            break;
        take(t, &t->peeked[i], now_ns);
        record_ring_pop(t->o.rings[i]);
        t->has_peeked[i] = false;
    }
    if (t->file)
        access_file_flush(t->file);
    return n;
}

/* A batch that finds no room leaves its series changed, and a later batch carries them. */
static void flush_metrics(struct telemetry *t, int64_t now_ns)
{
    struct buf *records = &t->line; /* free between records */

    while (exporter_has_room(t->exporter, EXPORT_METRICS, 1)) {
        size_t n;

        buf_reset(records);
        n = metrics_batch(t->metrics, now_ns, BATCH_BYTES, records);
        if (n == 0)
            break;
        buf_reset(&t->head);
        otlp_request_head(&t->head, buf_view(&t->resource), STR("vigla.proxy"), records->n);
        if (buf_failed(&t->head) ||
            exporter_put(t->exporter, EXPORT_METRICS, buf_view(&t->head), buf_view(records), n) < 0)
            break;
        metrics_taken(t->metrics, now_ns);
    }
}

static void flush(struct telemetry *t)
{
    int64_t now_ns = clock_now_ns(), mono_ns = clock_mono_ns();

    t->flush_at_ns = mono_ns + t->o.flush_ms * 1000000;
    if (!t->exporter)
        return;
    if (mono_ns >= t->report_all_at_ns) {
        metrics_touch_all(t->metrics);
        t->report_all_at_ns = mono_ns + (int64_t)REPORT_ALL_S * 1000000000;
    }
    seal_logs(t);
    seal_spans(t);
    flush_metrics(t, now_ns);
}

static void next_tick(struct telemetry *t, int64_t ms)
{
    event_add(t->tick, &(struct timeval){ ms / 1000, ms % 1000 * 1000 });
}

/* Whether nothing is left to do, or no time. */
static bool is_done(struct telemetry *t, int64_t stop_by_ns, bool drained)
{
    if (clock_mono_ns() >= stop_by_ns)
        return true;
    return drained && (!t->exporter || (exporter_is_empty(t->exporter) && !metrics_has_changed(t->metrics)));
}

/* Under the name of an instance of its own from here on. Without memory for that the series go on, and what is counted
 * in them stays behind the successor's. */
static void become_predecessor(struct telemetry *t)
{
    struct metrics *anew = metrics_new(MOST_LABEL_SETS);
    struct buf resource = BUF_INIT(BATCH_BYTES);
    char suffix[32];

    admin_stop_accepting(t->admin);
    while (drain(t) == MOST_PER_TICK)
        continue;
    flush(t);
    if (t->exporter && metrics_has_changed(t->metrics))
        log_warn("telemetry: no room for the last metrics: the server is away for too long");
    snprintf(suffix, sizeof(suffix), "/%ld", (long)getpid());
    otlp_resource(&resource, &t->self, suffix);
    if (anew && !buf_failed(&resource)) {
        metrics_free(t->metrics);
        buf_free(&t->resource);
        t->metrics = anew;
        t->resource = resource;
    } else {
        metrics_free(anew);
        buf_free(&resource);
    }
    atomic_store(&t->handover, HANDED_OVER);
}

static int64_t tick_after(const struct telemetry *t, size_t taken)
{
    int64_t interval = t->o.flush_ms / TICKS_PER_FLUSH;

    if (taken == MOST_PER_TICK)
        return 0;
    if (taken >= BUSY_RECORDS && interval > BUSY_TICK_MS)
        return BUSY_TICK_MS;
    return interval > 0 ? interval : 1;
}

/* What a busy time has needed is too much for a proxy at rest. */
static void rest(struct telemetry *t, size_t taken)
{
    if (taken) {
        t->rested = 0;
        return;
    }
    if (t->rested == REST_TICKS || ++t->rested < REST_TICKS)
        return;
    if (t->logs.n == 0)
        buf_free(&t->logs.records);
    if (t->spans.n == 0)
        buf_free(&t->spans.records);
    buf_free(&t->head);
    buf_free(&t->line);
    mem_give_back(MUCH_KEPT);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct telemetry *t = arg;
    int64_t stop_by_ns = atomic_load(&t->stop_by_ns);
    size_t taken;

    (void)fd;
    (void)what;
    if (atomic_exchange(&t->reopen, false) && t->file)
        access_file_reopen(t->file);
    if (atomic_load(&t->handover) == HAND_OVER)
        become_predecessor(t);
    taken = atomic_load(&t->held) && !stop_by_ns ? 0 : drain(t);
    if (stop_by_ns || clock_mono_ns() >= t->flush_at_ns)
        flush(t);
    rest(t, taken);
    if (stop_by_ns && t->exporter)
        exporter_hurry(t->exporter);
    if (stop_by_ns && is_done(t, stop_by_ns, taken < MOST_PER_TICK))
        event_base_loopbreak(t->base);
    else
        next_tick(t, stop_by_ns && taken < MOST_PER_TICK ? STOPPING_TICK_MS : tick_after(t, taken));
}

static void *run(void *arg)
{
    struct telemetry *t = arg;
    sigset_t all;

    sigfillset(&all); /* signals are the main thread's; SIGPIPE of an admin connection stays pending and harms nobody */
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    event_base_dispatch(t->base);
    return NULL;
}

static int copy_text(struct arena *a, struct str *s)
{
    *s = arena_str(a, *s);
    return s->p ? 0 : ERR_NOMEM;
}

static int copy_self(struct telemetry *t, const struct workload *self)
{
    struct workload *w = &t->self;
    struct str *texts[] = { &w->pod, &w->name, &w->ns, &w->app, &w->version, &w->canonical_service,
                            &w->canonical_revision, &w->principal, &w->cluster, &w->ip };

    *w = *self;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (copy_text(&t->arena, texts[i]) < 0)
            return ERR_NOMEM;
    t->node_id = arena_printf(&t->arena, "sidecar~%.*s~%.*s.%.*s~%.*s.svc.cluster.local", STR_ARG(w->ip),
                              STR_ARG(w->pod), STR_ARG(w->ns), STR_ARG(w->ns));
    return t->node_id.p ? 0 : ERR_NOMEM;
}

static int start_export(struct telemetry *t, struct err *e)
{
    struct export_options o = { .url = t->o.url, .buffer_bytes = t->o.buffer_bytes };

    if (!t->o.url)
        return 0;
    o.sender = arena_printf(&t->arena, "%.*s.%.*s", STR_ARG(t->self.pod), STR_ARG(t->self.ns));
    otlp_resource(&t->resource, &t->self, "");
    if (!o.sender.p || buf_failed(&t->resource))
        return err_set(e, ERR_NOMEM, "telemetry: no memory");
    t->exporter = exporter_new(t->base, &o, e);
    return t->exporter ? 0 : ERR_INVALID;
}

static void set_options(struct telemetry *t, const struct telemetry_options *o)
{
    t->o = *o;
    atomic_init(&t->held, o->held);
    if (t->o.buffer_bytes == 0)
        t->o.buffer_bytes = DEFAULT_BUFFER;
    if (t->o.flush_ms <= 0)
        t->o.flush_ms = DEFAULT_FLUSH_MS;
    t->resource = (struct buf)BUF_INIT(BATCH_BYTES);
    t->line = (struct buf)BUF_INIT(LINE_CEILING);
    t->own_line = (struct buf)BUF_INIT(LINE_CEILING);
    t->head = (struct buf)BUF_INIT(2 * BATCH_BYTES);
    t->logs.records = t->spans.records = (struct buf)BUF_INIT(BATCH_CEILING);
}

/* All but the thread. 0 or ERR_*. */
static int prepare(struct telemetry *t, const struct workload *self, struct err *e)
{
    t->started_ns = clock_now_ns();
    rng_seed(&t->rng);
    t->peeked = arena_array(&t->arena, t->o.nrings, sizeof(*t->peeked));
    t->has_peeked = arena_array(&t->arena, t->o.nrings, sizeof(*t->has_peeked));
    t->metrics = metrics_new(MOST_LABEL_SETS);
    t->base = event_base_new();
    t->tick = t->base ? evtimer_new(t->base, on_tick, t) : NULL;
    if (!t->peeked || !t->has_peeked || !t->metrics || !t->tick || copy_self(t, self) < 0)
        return err_set(e, ERR_NOMEM, "telemetry: no memory");
    if (start_export(t, e) < 0)
        return ERR_INVALID;
    if (t->o.access_log && !(t->file = access_file_open(t->o.access_log, e)))
        return ERR_IO;
    if (t->o.admin_host && !(t->admin = admin_new(t, e)))
        return ERR_IO;
    return 0;
}

static void telemetry_free(struct telemetry *t)
{
    admin_free(t->admin);
    exporter_free(t->exporter);
    access_file_close(t->file);
    metrics_free(t->metrics);
    if (t->tick)
        event_free(t->tick);
    if (t->base)
        event_base_free(t->base);
    buf_free(&t->resource);
    buf_free(&t->line);
    buf_free(&t->own_line);
    buf_free(&t->head);
    buf_free(&t->logs.records);
    buf_free(&t->spans.records);
    arena_free(&t->arena);
    mem_free(t);
}

struct telemetry *telemetry_start(const struct workload *self, const struct telemetry_options *o, struct err *e)
{
    struct telemetry *t = mem_zalloc(sizeof(*t));

    if (!t) {
        err_set(e, ERR_NOMEM, "telemetry: no memory");
        return NULL;
    }
    t->arena = (struct arena)ARENA_INIT(0);
    set_options(t, o);
    if (prepare(t, self, e) < 0)
        goto fail;
    next_tick(t, 0);
    if (pthread_create(&t->thread, NULL, run, t) != 0) {
        err_set(e, ERR_IO, "telemetry: no thread: %m");
        goto fail;
    }
    return t;
fail:
    telemetry_free(t);
    return NULL;
}

void telemetry_set_ready(struct telemetry *t, bool ready)
{
    atomic_store(&t->readiness, ready ? READY : DRAINING);
}

int telemetry_admin_socket(const struct telemetry *t)
{
    return admin_socket(t->admin);
}

void telemetry_release(struct telemetry *t)
{
    atomic_store(&t->held, false);
}

void telemetry_hand_over(struct telemetry *t)
{
    atomic_store(&t->handover, HAND_OVER);
}

bool telemetry_has_handed_over(const struct telemetry *t)
{
    return atomic_load(&t->handover) == HANDED_OVER;
}

void telemetry_reopen(struct telemetry *t)
{
    atomic_store(&t->reopen, true);
}

void telemetry_stop(struct telemetry *t, int64_t timeout_ms)
{
    size_t lost;

    if (!t)
        return;
    atomic_store(&t->stop_by_ns, clock_mono_ns() + timeout_ms * 1000000);
    pthread_join(t->thread, NULL);
    lost = t->exporter ? exporter_used(t->exporter) : 0;
    if (lost)
        log_warn("telemetry: stopped with %zu bytes of batches that the server did not acknowledge", lost);
    telemetry_free(t);
}
