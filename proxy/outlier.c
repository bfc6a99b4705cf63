#include "proxy/outlier.h"

#include "base/log.h"

#include <inttypes.h>

static const int64_t longest_ejection_ms = 300000;

static void reset(atomic_uint *row)
{
    if (atomic_load_explicit(row, memory_order_relaxed) != 0)
        atomic_store_explicit(row, 0, memory_order_relaxed);
}

static size_t count_ejected(const struct outlier *o)
{
    const struct strmap_slot *slot;
    size_t n = 0, at = 0;

    while ((slot = strmap_next(&o->circuit->hosts, &at)))
        n += outlier_is_ejected(slot->value, o->now_ns);
    return n;
}

/* How often it has been ejected lately. */
static uint32_t remembered(const struct outlier *o, int64_t until_ns)
{
    int64_t interval_ns = o->rules->interval_ms * 1000000;
    int64_t well = interval_ns > 0 ? (o->now_ns - until_ns) / interval_ns : 0;

    return well < o->host->ejections ? o->host->ejections - (uint32_t)well : 0;
}

static int64_t sentence_ms(const struct outlier *o)
{
    int64_t base = o->rules->base_ejection_ms, most = base > longest_ejection_ms ? base : longest_ejection_ms;

    return o->host->ejections <= most / base ? base * o->host->ejections : most;
}

/* Passed by one of the workers that see the last failure of a row. */
static void pass_sentence(const struct outlier *o, const char *why)
{
    int64_t until_ns = atomic_load(&o->host->ejected_until_ns), ms;
    size_t ejected = count_ejected(o);

    if (until_ns > o->now_ns ||
        (ejected > 0 && (uint64_t)(ejected + 1) * 100 > (uint64_t)o->rules->max_ejection_percent * o->nhosts))
        return;
    o->host->ejections = remembered(o, until_ns) + 1;
    ms = sentence_ms(o);
    atomic_store(&o->host->ejected_until_ns, o->now_ns + ms * 1000000);
    reset(&o->host->errors);
    reset(&o->host->gateway_errors);
    reset(&o->host->local_errors);
    atomic_fetch_add(&o->circuit->ejections_total, 1);
    atomic_fetch_add(&o->circuit->epoch, 1);
    log_info("%.*s: %.*s is ejected for %" PRId64 " ms: %s", STR_ARG(o->circuit->name), STR_ARG(o->host->address), ms,
             why);
}

static void fail(const struct outlier *o, atomic_uint *row, uint32_t threshold, const char *why)
{
    if (threshold == 0 || atomic_fetch_add_explicit(row, 1, memory_order_relaxed) + 1 < threshold)
        return;
    pthread_mutex_lock(&o->circuit->lock);
    pass_sentence(o, why);
    pthread_mutex_unlock(&o->circuit->lock);
}

static bool is_error(const struct outlier_detection *r, unsigned status)
{
    for (size_t i = 0; i < r->ncodes; i++)
        if (r->codes[i] == status)
            return true;
    return r->ncodes == 0 && status >= 500 && status <= 599;
}

static void count_status(const struct outlier *o, unsigned status)
{
    if (status >= 502 && status <= 504)
        fail(o, &o->host->gateway_errors, o->rules->consecutive_gateway, "consecutive gateway errors");
    else
        reset(&o->host->gateway_errors);
    if (is_error(o->rules, status))
        fail(o, &o->host->errors, o->rules->consecutive_5xx, "consecutive errors");
    else
        reset(&o->host->errors);
}

void outlier_answered(const struct outlier *o, unsigned status)
{
    if (o->rules->split)
        reset(&o->host->local_errors);
    count_status(o, status);
}

void outlier_ended(const struct outlier *o, enum outlier_result r)
{
    if (!o->rules->split)
        count_status(o, r == OUTLIER_CONNECTED ? 200 : r == OUTLIER_TIMEOUT ? 504 : 503);
    else if (r == OUTLIER_CONNECTED)
        reset(&o->host->local_errors);
    else
        fail(o, &o->host->local_errors, o->rules->consecutive_local, "consecutive failures to reach it");
}

unsigned outlier_grpc_status(struct str grpc)
{
    static const uint16_t http[] = { 200, 499, 500, 400, 504, 404, 409, 403, 429,
                                     400, 409, 400, 501, 500, 503, 500, 401 };
    size_t code = 0;

    for (size_t i = 0; i < grpc.n; i++) {
        if (grpc.p[i] < '0' || grpc.p[i] > '9' || i == 2)
            return 0;
        code = code * 10 + (size_t)(grpc.p[i] - '0');
    }
    return grpc.n == 0 ? 0 : code < sizeof(http) / sizeof(http[0]) ? http[code] : 500;
}
