/* load_balancer.c: a policy's loadBalancer: which endpoint a request goes to, and which localities come first. */
#include "mesh/hosts-internal.h"
#include "mesh/locality-internal.h"
#include "mesh/model-internal.h"
#include "mesh/names-internal.h"

static const struct field cookie_fields[] = {
    REQUIRED(STRING, dr_cookie, name, "name"),
    FIELD(STRING, dr_cookie, path, "path"),
    FIELD(DURATION, dr_cookie, ttl, "ttl"),
    FIELD(ANY, dr_cookie, attributes, "attributes"),
    END_OF_FIELDS,
};
static const struct message cookie_message = { sizeof(struct dr_cookie), cookie_fields, false, NULL };

static const struct field ring_fields[] = {
    FIELD(NUMBER, dr_hash_table, size, "minimumRingSize"),
    END_OF_FIELDS,
};
static const struct message ring_message = { sizeof(struct dr_hash_table), ring_fields, false, NULL };

static bool is_prime(uint64_t n)
{
    for (uint64_t d = 2; d * d <= n; d++)
        if (n % d == 0)
            return false;
    return n > 1;
}

static void check_maglev(struct check *c, void *message)
{
    enum { MOST_TABLE = 5000011 }; /* Envoy's */
    struct dr_hash_table *t = message;

    if (check_get(t->at, "tableSize") && !(t->size >= 0 && t->size <= MOST_TABLE && is_prime((uint64_t)t->size)))
        check_error(c, t->at, "tableSize", "must be a prime number up to %d", MOST_TABLE);
}

static const struct field maglev_fields[] = {
    FIELD(NUMBER, dr_hash_table, size, "tableSize"),
    END_OF_FIELDS,
};
static const struct message maglev_message = { sizeof(struct dr_hash_table), maglev_fields, false, check_maglev };

static void check_hash(struct check *c, void *message)
{
    enum { MOST_RING = 8388608 }; /* Envoy's */
    static const char *const keys[] = { "httpHeaderName", "httpCookie", "useSourceIp", "httpQueryParameterName", NULL };
    static const char *const tables[] = { "ringHash", "maglev", NULL };
    struct dr_hash *h = message;

    check_count_of(c, h->at, 1, 1, keys);
    check_count_of(c, h->at, 0, 1, tables);
    if (h->header.n && !name_is_header(h->header))
        check_error(c, h->at, "httpHeaderName", "\"%.*s\" is no header name", STR_ARG(h->header));
    h->header = host_lower(c->arena, h->header);
    if (!h->header.p)
        c->nomem = true;
    if (h->ring && h->ring->size > MOST_RING)
        check_error(c, h->ring->at, "minimumRingSize", "must be at most %d", MOST_RING);
    else if (h->minimum_ring_size > MOST_RING)
        check_error(c, h->at, "minimumRingSize", "must be at most %d", MOST_RING);
}

static const struct field hash_fields[] = {
    FIELD(STRING, dr_hash, header, "httpHeaderName"),
    FIELD_OF(MESSAGE, dr_hash, cookie, "httpCookie", &cookie_message),
    FIELD(BOOL, dr_hash, source_ip, "useSourceIp"),
    FIELD(STRING, dr_hash, query, "httpQueryParameterName"),
    FIELD_OF(MESSAGE, dr_hash, ring, "ringHash", &ring_message),
    FIELD_OF(MESSAGE, dr_hash, maglev, "maglev", &maglev_message),
    FIELD(NUMBER, dr_hash, minimum_ring_size, "minimumRingSize"),
    END_OF_FIELDS,
};
static const struct message hash_message = { sizeof(struct dr_hash), hash_fields, false, check_hash };

static const struct field warmup_fields[] = {
    FIELD(DURATION, dr_warmup, duration, "duration"),
    FIELD(NUMBER, dr_warmup, percent, "minimumPercent"),
    FIELD(NUMBER, dr_warmup, aggression, "aggression"),
    END_OF_FIELDS,
};

static void check_warmup(struct check *c, void *message)
{
    struct dr_warmup *w = message;

    if (w->percent < 0 || w->percent > 100)
        check_error(c, w->at, "minimumPercent", "must be from 0 to 100");
    if (check_get(w->at, "aggression") && w->aggression < 1)
        check_error(c, w->at, "aggression", "must be 1 or more");
}

static const struct message warmup_message = { sizeof(struct dr_warmup), warmup_fields, false, check_warmup };

/* ---- localityLbSetting ---- */

/* Whether one name of a locality has a part "*" that is not its last, or an empty one. */
static bool bad_locality(struct str s)
{
    struct str rest = s;

    while (rest.p) {
        struct str part = str_cut(&rest, '/');

        if (part.n == 0 || (str_eqz(part, "*") && rest.p))
            return true;
    }
    return false;
}

static void check_distribute(struct check *c, void *message)
{
    struct dr_distribute *d = message;
    uint64_t sum = 0;

    if (d->from.n && bad_locality(d->from))
        check_error(c, d->at, "from", "\"%.*s\" is no locality, as in region/zone/*", STR_ARG(d->from));
    for (size_t i = 0; i < d->to.n; i++) {
        const struct named_number *to = &d->to.v[i];

        sum += to->value;
        if (bad_locality(to->at->key))
            check_error(c, to->at, NULL, "\"%.*s\" is no locality, as in region/zone/*", STR_ARG(to->at->key));
        else if (to->value == 0 || to->value > 100)
            check_error(c, to->at, NULL, "must be from 1 to 100");
        for (size_t k = 0; k < i; k++)
            if (locality_within(to->at->key, d->to.v[k].at->key) || locality_within(d->to.v[k].at->key, to->at->key))
                check_error(c, to->at, NULL, "\"%.*s\" and \"%.*s\" overlap", STR_ARG(to->at->key),
                            STR_ARG(d->to.v[k].at->key));
    }
    if (check_get(d->at, "to") && sum != 100)
        check_error(c, d->at, "to", "the weights' sum must be 100, not %llu", (unsigned long long)sum);
}

static const struct field distribute_fields[] = {
    FIELD(STRING, dr_distribute, from, "from"),
    FIELD(NUMBERS, dr_distribute, to, "to"),
    END_OF_FIELDS,
};
static const struct message distribute_message = { sizeof(struct dr_distribute), distribute_fields, false,
                                                   check_distribute };

static void check_failover(struct check *c, void *message)
{
    struct dr_failover *f = message;

    if (str_eq(f->from, f->to))
        check_error(c, f->at, "to", "must be another region than from");
    if (str_chr(f->from, '/') >= 0 || str_chr(f->from, '*') >= 0)
        check_error(c, f->at, "from", "\"%.*s\" must be a region alone", STR_ARG(f->from));
    if (str_chr(f->to, '/') >= 0 || str_chr(f->to, '*') >= 0)
        check_error(c, f->at, "to", "\"%.*s\" must be a region alone", STR_ARG(f->to));
}

static const struct field failover_fields[] = {
    FIELD(STRING, dr_failover, from, "from"),
    FIELD(STRING, dr_failover, to, "to"),
    END_OF_FIELDS,
};
static const struct message failover_message = { sizeof(struct dr_failover), failover_fields, false, check_failover };

static void check_locality(struct check *c, void *message)
{
    struct dr_locality *l = message;

    if (l->distribute.n && l->failover.n)
        check_error(c, l->at, "failover", "only one of distribute, failover may be given");
    for (size_t i = 0; l->failover.n && i < l->priority.n; i++)
        if (str_starts(l->priority.v[i], STR("topology.")))
            check_error(c, l->at, "failoverPriority", "\"%.*s\" and failover say where to go, both",
                        STR_ARG(l->priority.v[i]));
}

static const struct field locality_fields[] = {
    FIELD_OF(MESSAGES, dr_locality, distribute, "distribute", &distribute_message),
    FIELD_OF(MESSAGES, dr_locality, failover, "failover", &failover_message),
    FIELD(STRINGS, dr_locality, priority, "failoverPriority"),
    FIELD(BOOL, dr_locality, enabled, "enabled"),
    END_OF_FIELDS,
};
static const struct message locality_message = { sizeof(struct dr_locality), locality_fields, false, check_locality };

/* ---- the whole ---- */

static void check_balancer(struct check *c, void *message)
{
    static const char *const kinds[] = { "simple", "consistentHash", NULL };
    static const char *const places[] = { "localityLbSetting", "zoneAwareLbSetting", NULL };
    struct dr_balancer *b = message;

    check_count_of(c, b->at, 0, 1, kinds);
    check_count_of(c, b->at, 0, 1, places);
    if (b->zone)
        check_warn(c, b->at, "zoneAwareLbSetting", "kept, not applied yet: localityLbSetting is");
    if (b->warmup && !check_get(b->warmup->at, "duration"))
        check_error(c, b->warmup->at, "duration", "missing: how long, as in 60s");
}

static const char *const simple_words[] = { "UNSPECIFIED", "LEAST_CONN",    "RANDOM", "PASSTHROUGH",
                                            "ROUND_ROBIN", "LEAST_REQUEST", NULL };
static const struct field balancer_fields[] = {
    FIELD_OF(ENUM, dr_balancer, simple, "simple", simple_words),
    FIELD_OF(MESSAGE, dr_balancer, hash, "consistentHash", &hash_message),
    FIELD_OF(MESSAGE, dr_balancer, locality, "localityLbSetting", &locality_message),
    FIELD(ANY, dr_balancer, zone, "zoneAwareLbSetting"),
    FIELD(DURATION, dr_balancer, warmup_duration, "warmupDurationSecs"),
    FIELD_OF(MESSAGE, dr_balancer, warmup, "warmup", &warmup_message),
    END_OF_FIELDS,
};
const struct message dr_balancer_message = { sizeof(struct dr_balancer), balancer_fields, false, check_balancer };
