/* prometheus_targets.c: Prometheus' HTTP API: what is scraped, and what it says of its metrics. */

#include "api/prometheus-internal.h"

#include "base/clock.h"
#include "base/num.h"
#include "collector/scrape.h"

static const char *health_text(enum scrape_health health)
{
    return health == SCRAPE_UP ? "up" : health == SCRAPE_DOWN ? "down" : "unknown";
}

/* All of it in the request's arena. Without a scraper there is nothing. */
static int read_targets(struct request *rq, struct scrape_targets *all)
{
    struct err e = ERR_INIT;

    *all = (struct scrape_targets){ 0 };
    if (!rq->api->options.scrape || scrape_targets(rq->api->options.scrape, &rq->arena, all, &e) == 0)
        return 0;
    prometheus_fail_store(rq, &e);
    return e.code;
}

static void put_duration(struct buf *b, const char *name, int64_t ms)
{
    char text[CLOCK_TEXT];

    duration_text(text, ms);
    buf_printf(b, ",\"%s\":\"%s\"", name, text);
}

static void put_target(struct buf *b, const struct scrape_target *t)
{
    char last[CLOCK_TEXT] = "0001-01-01T00:00:00Z"; /* as Go prints a time that is not set */

    if (t->last_scrape_ms)
        clock_rfc3339(last, t->last_scrape_ms * 1000000);
    buf_puts(b, "{\"discoveredLabels\":");
    json_labels(b, t->discovered);
    buf_puts(b, ",\"labels\":");
    json_labels(b, t->labels);
    buf_puts(b, ",\"scrapePool\":");
    buf_json(b, t->pool);
    buf_puts(b, ",\"scrapeUrl\":");
    buf_json(b, t->url);
    buf_puts(b, ",\"globalUrl\":");
    buf_json(b, t->url);
    buf_puts(b, ",\"lastError\":");
    buf_json(b, t->last_error);
    buf_printf(b, ",\"lastScrape\":\"%s\",\"lastScrapeDuration\":", last);
    buf_double(b, t->last_duration_s);
    buf_printf(b, ",\"health\":\"%s\"", health_text(t->health));
    put_duration(b, "scrapeInterval", t->interval_ms);
    put_duration(b, "scrapeTimeout", t->timeout_ms);
    buf_putc(b, '}');
}

static bool is_chosen(const struct request *rq, struct str pool)
{
    struct str chosen = request_parameter(rq, "scrapePool");

    return chosen.n == 0 || str_eq(chosen, pool);
}

static void put_active(struct request *rq, const struct scrape_targets *all)
{
    size_t written = 0;

    for (size_t i = 0; i < all->nactive; i++)
        if (is_chosen(rq, all->active[i].pool)) {
            buf_puts(&rq->out, written++ ? "," : "");
            put_target(&rq->out, &all->active[i]);
        }
}

static void put_dropped(struct request *rq, const struct scrape_targets *all)
{
    size_t written = 0;

    for (size_t i = 0; i < all->ndropped; i++)
        if (is_chosen(rq, all->dropped[i].pool)) {
            buf_puts(&rq->out, written++ ? ",{\"discoveredLabels\":" : "{\"discoveredLabels\":");
            json_labels(&rq->out, all->dropped[i].discovered);
            buf_puts(&rq->out, ",\"scrapePool\":");
            buf_json(&rq->out, all->dropped[i].pool);
            buf_putc(&rq->out, '}');
        }
}

void prometheus_targets(struct request *rq)
{
    struct str state = request_parameter(rq, "state");
    bool all_states = state.n == 0 || str_ieq(state, STR("any"));
    struct scrape_targets all;

    if (read_targets(rq, &all) < 0)
        return;
    prometheus_begin(rq);
    buf_puts(&rq->out, "{\"activeTargets\":[");
    if (all_states || str_ieq(state, STR("active")))
        put_active(rq, &all);
    buf_puts(&rq->out, "],\"droppedTargets\":[");
    if (all_states || str_ieq(state, STR("dropped")))
        put_dropped(rq, &all);
    buf_puts(&rq->out, "],\"droppedTargetCounts\":{");
    for (size_t i = 0; i < all.npools; i++) {
        buf_puts(&rq->out, i ? "," : "");
        buf_json(&rq->out, all.pools[i].name);
        buf_printf(&rq->out, ":%zu", all.pools[i].dropped);
    }
    buf_puts(&rq->out, "}}}");
}

void prometheus_scrape_pools(struct request *rq)
{
    struct scrape_targets all;

    if (read_targets(rq, &all) < 0)
        return;
    prometheus_begin(rq);
    buf_puts(&rq->out, "{\"scrapePools\":[");
    for (size_t i = 0; i < all.npools; i++) {
        buf_puts(&rq->out, i ? "," : "");
        buf_json(&rq->out, all.pools[i].name);
    }
    buf_puts(&rq->out, "]}}");
}

/* --- what targets say of their metrics --- */

static bool labels_match(const struct matcher *m, size_t n, struct labels l)
{
    return n == 0 || matchers_match(m, n, l);
}

static void put_metric(struct buf *b, const struct scrape_metric *m, bool names_metric)
{
    buf_puts(b, "{\"target\":");
    json_labels(b, m->target);
    if (names_metric) {
        buf_puts(b, ",\"metric\":");
        buf_json(b, m->metadata.metric);
    }
    buf_puts(b, ",\"type\":");
    buf_json(b, m->metadata.type);
    buf_puts(b, ",\"help\":");
    buf_json(b, m->metadata.help);
    buf_puts(b, ",\"unit\":");
    buf_json(b, m->metadata.unit);
    buf_putc(b, '}');
}

/* `match_target` (all of them when it is absent), `metric`, `limit`. */
void prometheus_targets_metadata(struct request *rq)
{
    struct str target = request_parameter(rq, "match_target"), metric = request_parameter(rq, "metric");
    struct str text = request_parameter(rq, "limit");
    struct scrape_metric *v = NULL;
    struct matcher *matchers = NULL;
    struct err e = ERR_INIT;
    size_t n = 0, nmatchers = 0;
    int64_t limit = -1, written = 0;

    if (text.n && !num_i64(text, &limit)) {
        prometheus_fail(rq, 400, "bad_data", "limit must be a number");
        return;
    }
    if (target.n && promql_parse_selector(&rq->arena, target, &matchers, &nmatchers, &e) < 0) {
        prometheus_fail_parameter(rq, "match_target", &e);
        return;
    }
    if (rq->api->options.scrape && scrape_metadata(rq->api->options.scrape, metric, &rq->arena, &v, &n, &e) < 0) {
        prometheus_fail_store(rq, &e);
        return;
    }
    prometheus_begin(rq);
    buf_putc(&rq->out, '[');
    for (size_t i = 0; i < n && (limit < 0 || written < limit); i++)
        if (labels_match(matchers, nmatchers, v[i].target)) {
            buf_puts(&rq->out, written++ ? "," : "");
            put_metric(&rq->out, &v[i], metric.n == 0);
        }
    buf_puts(&rq->out, "]}");
}
