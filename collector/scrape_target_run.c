/* scrape_target_run.c: the life of one target: due, fetched, stored, ended. States: scrape-internal.h. */
#include "collector/scrape-internal.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    TOLERANCE_MS = 2, /* a scrape that comes so little off its time is written down at its time: that packs better */
    RETRY_MS = 1000
};

static double stale_marker(void)
{
    static const uint64_t bits = SAMPLE_STALE_BITS;
    double v;

    memcpy(&v, &bits, sizeof(v));
    return v;
}

/* --- when --- */

static void set_timer(struct target *t, int64_t ms)
{
    struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

    event_add(t->timer, &tv);
}

void target_plan(struct target *t)
{
    int64_t now = clock_now_ms();

    t->tick_ms = target_next(t->spec.hash, t->spec.interval_ms, now);
    set_timer(t, t->tick_ms - now);
}

/* Returns the tick that was due. A clock that was set moves the ticks along. */
static int64_t next_tick(struct target *t)
{
    int64_t now = clock_now_ms(), due = t->tick_ms;

    t->tick_ms += t->spec.interval_ms;
    if (t->tick_ms <= now || t->tick_ms - now > t->spec.interval_ms)
        target_plan(t);
    else
        set_timer(t, t->tick_ms - now);
    return due;
}

/* --- the end of a scrape --- */

static void set_status(struct target *t, const char *error, int64_t scrape_ms, double duration_s)
{
    enum scrape_health before = t->health, now = error ? SCRAPE_DOWN : SCRAPE_UP;

    pthread_mutex_lock(&t->owner->lock);
    t->health = now;
    snprintf(t->last_error, sizeof(t->last_error), "%s", error ? error : "");
    t->last_scrape_ms = scrape_ms;
    t->last_duration_s = duration_s;
    t->owner->stats.scrapes++;
    t->owner->stats.failures += error != NULL;
    pthread_mutex_unlock(&t->owner->lock);
    if (error && before != SCRAPE_DOWN)
        log_warn("scrape: %.*s: %s: %s", STR_ARG(t->pool->job->name), t->spec.url.p, error);
    else if (!error && before == SCRAPE_DOWN)
        log_info("scrape: %.*s: %s: well again", STR_ARG(t->pool->job->name), t->spec.url.p);
}

/* The scrape was good, but its rows are not stored. */
static void set_not_stored(struct target *t, const char *error)
{
    enum scrape_health before = t->health;

    pthread_mutex_lock(&t->owner->lock);
    t->owner->stats.failures += before != SCRAPE_DOWN;
    t->owner->stats.not_stored++;
    t->health = SCRAPE_DOWN;
    snprintf(t->last_error, sizeof(t->last_error), "not stored: %s", error);
    pthread_mutex_unlock(&t->owner->lock);
    if (before != SCRAPE_DOWN || !t->pool)
        log_warn("scrape: %s: not stored: %s", t->spec.url.p, error);
}

static int add_stale(void *arg, struct scrape_series *s)
{
    struct target *t = arg;

    return rows_add(&t->rows, s->labels, &s->id, t->scrape_ms, stale_marker());
}

static void stored(void *arg, int rc, const struct err *e)
{
    struct target *t = arg;
    struct scrape *s = t->owner;
    uint64_t one = 1;

    t->stored_rc = rc;
    t->stored_error = rc < 0 && e ? *e : (struct err)ERR_INIT;
    pthread_mutex_lock(&s->box);
    t->next_stored = s->stored;
    s->stored = t;
    pthread_mutex_unlock(&s->box);
    if (write(s->wake_fd, &one, sizeof(one)) < 0)
        return; /* it is full of wakings */
}

/* Hands the rows to the store. ERR_*: it has not taken them. */
static int submit(struct target *t, struct err *e)
{
    int rc;

    rows_finish(&t->rows);
    batch_init(&t->batch, &t->batch_arena);
    t->batch.series = t->rows.series;
    t->batch.nseries = t->rows.n;
    t->batch.bytes = t->rows.n * (sizeof(*t->rows.series) + sizeof(*t->rows.samples));
    if (metadata_add(&t->metadata, &t->batch) < 0)
        return err_set(e, ERR_NOMEM, "no memory for metadata");
    t->state = TARGET_STORING;
    t->owner->storing++;
    rc = store_submit(t->owner->store, &t->batch, stored, t, e);
    if (rc < 0) {
        t->state = TARGET_IDLE;
        t->owner->storing--;
    }
    return rc;
}

static int add_reports(struct target *t, const struct page_counts *counts, bool up, double duration_s)
{
    const double values[REPORT_ALL] = {
        [REPORT_UP] = up,
        [REPORT_DURATION] = duration_s,
        [REPORT_SCRAPED] = (double)counts->scraped,
        [REPORT_KEPT] = (double)counts->kept,
        [REPORT_ADDED] = (double)counts->added,
        [REPORT_TIMEOUT] = (double)t->spec.timeout_ms / 1000,
        [REPORT_SAMPLE_LIMIT] = (double)t->pool->job->limits.samples,
        [REPORT_BODY_BYTES] = t->call.too_large ? -1 : (double)t->call.body.n,
    };
    bool extra = t->pool->job->extra_metrics;
    int rc = 0;

    for (int i = 0; rc == 0 && i < REPORT_ALL; i++)
        if (i < REPORT_BASIC || extra)
            rc = rows_add(&t->rows, t->report[i], NULL, t->scrape_ms, values[i]);
        else if (t->extra && t->reported)
            rc = rows_add(&t->rows, t->report[i], NULL, t->scrape_ms, stale_marker());
    t->extra = extra;
    return rc;
}

/* After page_read, or without a page: adds what belongs to the scrape, and stores it. */
static void finish(struct target *t, const struct page_counts *counts, const char *error)
{
    double duration_s = (double)(clock_mono_ns() - t->begun_ns) / 1e9;
    struct err e = ERR_INIT;
    int rc;

    if (error)
        t->rows.n = 0;
    rc = cache_end(&t->cache, !error, add_stale, t);
    if (rc == 0)
        rc = add_reports(t, counts, !error, duration_s);
    set_status(t, error, t->scrape_ms, duration_s);
    if (rc < 0)
        err_set(&e, rc, "no memory for samples");
    else
        rc = submit(t, &e);
    if (rc < 0) {
        cache_undo(&t->cache);
        set_not_stored(t, e.msg);
    }
}

/* --- fetching --- */

/* What the page is written in; -1: nothing that is read here. */
static int page_format(const struct scrape_job *job, const char *type, char *why, size_t n)
{
    struct str rest = str_of(type), media = str_trim(str_cut(&rest, ';'));

    if (str_ieq(media, STR("application/openmetrics-text")))
        return EXPOSITION_OPENMETRICS;
    if (str_ieq(media, STR("text/plain")))
        return EXPOSITION_TEXT;
    if (job->fallback != SCRAPE_NONE)
        return job->fallback == SCRAPE_OPENMETRICS ? EXPOSITION_OPENMETRICS : EXPOSITION_TEXT;
    if (media.n == 0)
        snprintf(why, n, "non-compliant scrape target sending blank Content-Type and no fallback_scrape_protocol "
                         "specified for target");
    else
        snprintf(why, n, "received unsupported Content-Type \"%.100s\" and no fallback_scrape_protocol specified "
                         "for target", type);
    return -1;
}

static const char *status_word(long status)
{
    static const struct {
        long status;
        const char *word;
    } words[] = {
        { 301, " Moved Permanently" }, { 302, " Found" },            { 307, " Temporary Redirect" },
        { 400, " Bad Request" },       { 401, " Unauthorized" },     { 403, " Forbidden" },
        { 404, " Not Found" },         { 405, " Method Not Allowed" }, { 406, " Not Acceptable" },
        { 429, " Too Many Requests" }, { 500, " Internal Server Error" }, { 502, " Bad Gateway" },
        { 503, " Service Unavailable" }, { 504, " Gateway Timeout" },
    };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (words[i].status == status)
            return words[i].word;
    return "";
}

/* Counts lines that stood twice; the first page of them is told. */
static void tell_doubles(struct target *t, uint64_t doubles)
{
    if (doubles) {
        pthread_mutex_lock(&t->owner->lock);
        t->owner->stats.doubles += doubles;
        pthread_mutex_unlock(&t->owner->lock);
    }
    if (doubles && !t->doubles)
        log_warn("scrape: %.*s: %s: %" PRIu64 " lines are of series that stand on the page already: left out",
                 STR_ARG(t->pool->job->name), t->spec.url.p, doubles);
    t->doubles = doubles > 0;
}

/* ERR_*: the page as a whole is not to be used. */
static int read_answer(struct target *t, struct page_counts *counts, struct err *e)
{
    const struct page_reader reader = { t->pool->job, t->spec.labels, &t->cache, &t->metadata, &t->rows };
    char why[300];
    int format, rc;

    if (t->call.status != 200)
        return err_set(e, ERR_INVALID, "server returned HTTP status %ld%s", t->call.status, status_word(t->call.status));
    format = page_format(t->pool->job, http_call_type(&t->call), why, sizeof(why));
    if (format < 0)
        return err_set(e, ERR_INVALID, "%s", why);
    rc = page_read(&reader, (enum exposition_format)format, buf_view(&t->call.body), t->scrape_ms, counts, e);
    tell_doubles(t, counts->doubles);
    return rc;
}

static void begin_page(struct target *t)
{
    if (t->forget)
        cache_forget_entries(&t->cache);
    t->forget = false;
    t->rows.n = 0;
    cache_begin(&t->cache);
}

void target_fetched(struct http_call *call, const char *error)
{
    struct target *t = call->arg;
    struct page_counts counts = { 0, 0, 0, 0 };
    struct err e = ERR_INIT;

    t->state = TARGET_IDLE;
    begin_page(t);
    if (!error && read_answer(t, &counts, &e) < 0)
        error = e.msg;
    finish(t, &counts, error);
}

static void fail_at_once(struct target *t, const char *error)
{
    const struct page_counts none = { 0, 0, 0, 0 };

    begin_page(t);
    t->call.body.n = 0;
    t->call.too_large = false;
    finish(t, &none, error);
}

static void begin_scrape(struct target *t, int64_t due_ms)
{
    const struct scrape_job *job = t->pool->job;
    int64_t now = clock_now_ms();
    char header[80];
    const struct http_request rq = {
        .url = t->spec.url.p, .settings = &job->http, .accept = job->accept.p, .timeout_ms = t->spec.timeout_ms,
        .body_bytes = job->limits.body_bytes, .gzip = job->compression, .extra_header = header,
    };
    struct err e = ERR_INIT;

    t->scrape_ms = llabs(now - due_ms) <= TOLERANCE_MS ? due_ms : now;
    t->begun_ns = clock_mono_ns();
    if (t->pool->over_limit[0]) {
        fail_at_once(t, t->pool->over_limit);
        return;
    }
    snprintf(header, sizeof(header), "X-Prometheus-Scrape-Timeout-Seconds: %g", (double)t->spec.timeout_ms / 1000);
    if (http_call_start(t->owner->client, &t->call, &rq, &e) < 0)
        fail_at_once(t, e.msg);
    else
        t->state = TARGET_FETCHING;
}

/* --- ending --- */

static void unlink_ending(struct target *t)
{
    struct target **at = &t->owner->ending;

    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
}

/* Stale markers for all that is alive; when there is nothing, or the store has it, that was its end. */
static void say_farewell(struct target *t)
{
    struct err e = ERR_INIT;
    int rc;

    t->scrape_ms = clock_now_ms();
    begin_page(t);
    rc = cache_end(&t->cache, false, add_stale, t);
    for (int i = 0; rc == 0 && t->reported && i < (t->extra ? REPORT_ALL : REPORT_BASIC); i++)
        rc = rows_add(&t->rows, t->report[i], NULL, t->scrape_ms, stale_marker());
    if (rc == 0 && t->rows.n == 0) {
        unlink_ending(t);
        target_free(t);
        return;
    }
    if (rc == 0)
        rc = submit(t, &e);
    t->farewell = rc == 0;
    if (rc < 0) {
        cache_undo(&t->cache);
        set_not_stored(t, e.msg[0] ? e.msg : "no memory for stale markers");
        set_timer(t, RETRY_MS);
    }
}

void target_end(struct target *t)
{
    event_del(t->timer);
    http_call_fini(&t->call);
    t->pool = NULL;
    t->next = t->owner->ending;
    t->owner->ending = t;
    if (t->state == TARGET_STORING)
        return; /* target_stored goes on */
    t->state = TARGET_IDLE;
    say_farewell(t);
}

/* What comes after the store's answer to a target that is ending. */
static void go_on_ending(struct target *t, bool well)
{
    if (!t->farewell) {
        say_farewell(t);
    } else if (well) {
        unlink_ending(t);
        target_free(t);
    } else {
        t->farewell = false;
        set_timer(t, RETRY_MS);
    }
}

void target_stored(struct target *t)
{
    bool well = t->stored_rc >= 0;

    t->owner->storing--;
    t->state = TARGET_IDLE;
    metadata_stored(&t->metadata, well);
    arena_free(&t->batch_arena);
    if (well) {
        pthread_mutex_lock(&t->owner->lock);
        t->owner->stats.samples += t->rows.n;
        pthread_mutex_unlock(&t->owner->lock);
        t->reported = true;
        rows_keep_ids(&t->rows);
        cache_trim(&t->cache);
        metadata_trim(&t->metadata, t->cache.page);
    } else {
        cache_undo(&t->cache);
        set_not_stored(t, t->stored_error.msg);
    }
    if (!t->pool) {
        go_on_ending(t, well);
    } else if (t->late) {
        t->late = false;
        begin_scrape(t, clock_now_ms());
    }
}

void target_due(evutil_socket_t fd, short what, void *arg)
{
    struct target *t = arg;
    int64_t due;

    (void)fd;
    (void)what;
    if (!t->pool) {
        say_farewell(t);
        return;
    }
    due = next_tick(t);
    if (t->state == TARGET_IDLE) {
        begin_scrape(t, due);
        return;
    }
    t->late = true;
    pthread_mutex_lock(&t->owner->lock);
    t->owner->stats.late++;
    pthread_mutex_unlock(&t->owner->lock);
}
