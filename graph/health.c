/* health.c: from how requests ended to Healthy, Degraded or Failure, by Kiali's rules.
 *
 * A tolerance says which codes of which protocol and direction are failures, and at what share of that protocol's
 * requests (per cent) the thing is degraded or failing. The worst verdict over tolerances, protocols and directions
 * counts. A share of 0 is always healthy, so that a threshold of 0 means "any failure". Latency is no part of it. */
#include "graph/graph-internal.h"

#include "base/regex.h"

static const struct {
    const char *code, *protocol;
    double degraded, failure;
} defaults[] = {
    { "5XX", "http", 0, 10 },
    { "4XX", "http", 10, 20 },
    { "^[1-9]$|^1[0-6]$", "grpc", 0, 10 },
    { "^-$", "http|grpc", 0, 10 },
};

enum { DEFAULTS = sizeof(defaults) / sizeof(defaults[0]) };

const char *health_name(enum health h)
{
    static const char *const names[] = { "NA", "Healthy", "Not Ready", "Degraded", "Failure" };

    return names[h];
}

enum health health_worse(enum health a, enum health b)
{
    return b > a ? b : a;
}

/* "5XX" → "5[0-9][0-9]". */
static struct str expand_digits(struct arena *a, struct str code)
{
    static const char digit[] = "[0-9]";
    char *p = arena_alloc(a, code.n * (sizeof(digit) - 1) + 1);
    size_t n = 0;

    if (!p)
        return STR_NULL;
    for (size_t i = 0; i < code.n; i++) {
        if (code.p[i] == 'X' || code.p[i] == 'x') {
            memcpy(p + n, digit, sizeof(digit) - 1);
            n += sizeof(digit) - 1;
        } else {
            p[n++] = code.p[i];
        }
    }
    return (struct str){ p, n };
}

int health_tolerance_init(struct health_tolerance *t, struct arena *a, struct str code, struct str protocol,
                          struct str direction, double degraded, double failure, struct err *e)
{
    struct str digits = expand_digits(a, code);

    *t = (struct health_tolerance){ .degraded = degraded, .failure = failure };
    if (!digits.p)
        return err_set(e, ERR_NOMEM, "health: no memory for a tolerance");
    t->code = regex_compile(a, digits, REGEX_FULL, e);
    t->protocol = t->code ? regex_compile(a, protocol, REGEX_FULL, e) : NULL;
    t->direction = t->protocol ? regex_compile(a, direction, REGEX_FULL, e) : NULL;
    return t->direction ? 0 : err_wrap(e, "health: tolerance for code %.*s", STR_ARG(code));
}

struct health_rule *health_default(struct arena *a, struct err *e)
{
    struct health_rule *r = ARENA_NEW(a, struct health_rule);

    if (r)
        r->tolerances = arena_array(a, DEFAULTS, sizeof(*r->tolerances));
    if (!r || !r->tolerances) {
        err_set(e, ERR_NOMEM, "health: no memory for the default rule");
        return NULL;
    }
    for (; r->n < DEFAULTS; r->n++)
        if (health_tolerance_init(&r->tolerances[r->n], a, str_of(defaults[r->n].code), str_of(defaults[r->n].protocol),
                                  STR(".*"), defaults[r->n].degraded, defaults[r->n].failure, e) < 0)
            return NULL;
    return r;
}

const struct health_rule *health_rule_for(const struct health_rule *rules, size_t n, struct str ns, struct str kind,
                                          struct str name)
{
    for (size_t i = 0; i < n; i++) {
        const struct health_rule *r = &rules[i];

        if ((!r->ns || regex_match(r->ns, ns)) && (!r->kind || regex_match(r->kind, kind)) &&
            (!r->name || regex_match(r->name, name)))
            return r;
    }
    return n ? &rules[n - 1] : NULL;
}

static enum health judge_share(double percent, double degraded, double failure)
{
    if (!(percent > 0))
        return HEALTH_HEALTHY;
    if (percent >= failure)
        return HEALTH_FAILURE;
    return percent >= degraded ? HEALTH_DEGRADED : HEALTH_HEALTHY;
}

static bool same_group(const struct health_count *a, const struct health_count *b)
{
    return strcmp(a->direction, b->direction) == 0 && str_eq(a->protocol, b->protocol);
}

/* The verdict on the counts of first's protocol and direction. */
static enum health judge_group(const struct health_tolerance *t, const struct health_count *first,
                               const struct health_count *end)
{
    double all = 0, failed = 0;

    for (const struct health_count *c = first; c < end; c++) {
        if (!same_group(first, c))
            continue;
        all += c->count;
        if (regex_match(t->code, c->code))
            failed += c->count;
    }
    return all > 0 ? judge_share(failed / all * 100, t->degraded, t->failure) : HEALTH_NA;
}

static enum health judge_tolerance(const struct health_tolerance *t, const struct health_count *c, size_t n)
{
    enum health worst = HEALTH_NA;

    for (size_t i = 0; i < n; i++) {
        size_t j = 0;

        while (!same_group(&c[j], &c[i]))
            j++;
        if (j == i && regex_match(t->direction, str_of(c[i].direction)) && regex_match(t->protocol, c[i].protocol))
            worst = health_worse(worst, judge_group(t, &c[i], c + n));
    }
    return worst;
}

enum health health_of(const struct health_rule *rule, const struct health_count *c, size_t n)
{
    enum health worst = HEALTH_NA;
    double ratio;

    if (rule && rule->n) {
        for (size_t i = 0; i < rule->n; i++)
            worst = health_worse(worst, judge_tolerance(&rule->tolerances[i], c, n));
        return worst;
    }
    ratio = health_error_ratio(c, n);
    return ratio < 0 ? HEALTH_NA : judge_share(ratio * 100, 0.1, 10);
}

double health_error_ratio(const struct health_count *c, size_t n)
{
    double all = 0, failed = 0;

    for (size_t i = 0; i < n; i++) {
        all += c[i].count;
        if (c[i].code.n == 3 && (c[i].code.p[0] == '4' || c[i].code.p[0] == '5'))
            failed += c[i].count;
    }
    return all > 0 ? failed / all : -1;
}

enum health health_of_replicas(const struct health_replicas *r)
{
    if (!r)
        return HEALTH_NA;
    if (r->desired == 0)
        return HEALTH_NOT_READY;
    if (r->available == 0 || (r->available == r->desired && r->available != r->current))
        return HEALTH_FAILURE;
    if (r->available < r->desired || (r->synced >= 0 && r->synced < r->desired))
        return HEALTH_DEGRADED;
    return HEALTH_HEALTHY;
}
