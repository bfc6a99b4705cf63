/* envoy_rate_limit.c: Envoy's local_ratelimit filters, and what virtual hosts and routes say of them.
 *
 * Sources: envoyproxy.io/docs: extensions.filters.http.local_ratelimit.v3.LocalRateLimit,
 * extensions.filters.network.local_ratelimit.v3.LocalRateLimit, type.v3.TokenBucket. There is no runtime here: a
 * RuntimeFractionalPercent is its default. What is not said is Envoy's default: a filter without filter_enabled counts
 * nothing, and one without filter_enforced refuses nothing. */
#include "mesh/envoy_filter-internal.h"
#include "mesh/model-internal.h"

#include <stdlib.h>

enum {
    LEAST_INTERVAL_MS = 50,
    MILLION = 1000000,
    TOO_MANY_REQUESTS = 429,
    LEAST_REFUSAL = 400, /* a status below it is as good as none: Envoy's rule */
    MOST_DESCRIPTORS = 256
};

/* ---- a filter and the type of its configuration ---- */

struct envoy_typed {
    const struct yaml_node *at;
    struct str type, type_url;
    const struct yaml_node *value;
};

/* "type.googleapis.com/a.b.C" → "a.b.C" */
static struct str type_name(struct str url)
{
    struct str rest = url;

    while (rest.p && str_chr(rest, '/') >= 0)
        str_cut(&rest, '/');
    return rest.p ? rest : url;
}

static bool is_struct(struct str type)
{
    return str_eqz(type, "udpa.type.v1.TypedStruct") || str_eqz(type, "xds.type.v3.TypedStruct");
}

/* The message of that type that an Any holds, directly or as a TypedStruct; NULL: it is of another, which has been
 * told. */
static const struct yaml_node *typed_message(struct check *c, const struct yaml_node *any, const char *type)
{
    const struct yaml_node *value = any;
    struct str name = type_name(yaml_text(check_get(any, "@type")));

    if (is_struct(name)) {
        name = type_name(yaml_text(check_get(any, "typeUrl")));
        value = check_get(any, "value");
        if (!value)
            check_error(c, any, "value", "missing: the configuration");
    }
    if (value && str_eqz(name, type))
        return value;
    check_warn(c, any, NULL, "not applied: of filters' configurations %s is, not \"%.*s\"", type, STR_ARG(name));
    return NULL;
}

struct envoy_named_filter {
    const struct yaml_node *at;
    struct str name;
    const struct yaml_node *typed;
};

static const struct field filter_fields[] = {
    REQUIRED(STRING, envoy_named_filter, name, "name"),
    FIELD(ANY, envoy_named_filter, typed, "typedConfig"),
    END_OF_FIELDS,
};
static const struct message filter_message = { sizeof(struct envoy_named_filter), filter_fields, MESSAGE_FOREIGN,
                                               NULL };

/* A patch's value as a filter; sets its name. NULL as typed_message. */
static const struct yaml_node *filter_config(struct check *c, const struct yaml_node *value, const char *type,
                                             struct rate_limit_filter *to)
{
    const struct envoy_named_filter *f = check_new(c, &filter_message, value);

    if (!f)
        return NULL;
    to->name = f->name;
    if (f->typed)
        return typed_message(c, f->typed, type);
    check_warn(c, f->at, "typedConfig", "this patch is not applied: a filter without configuration is none of ours");
    return NULL;
}

/* ---- parts ---- */

struct envoy_bucket {
    const struct yaml_node *at;
    uint32_t max_tokens, tokens_per_fill;
    int64_t fill_interval;
    struct token_bucket bucket;
};

static void check_bucket(struct check *c, void *message)
{
    struct envoy_bucket *b = message;

    if (check_get(b->at, "maxTokens") && b->max_tokens == 0)
        check_error(c, b->at, "maxTokens", "must be at least 1");
    if (!check_get(b->at, "tokensPerFill"))
        b->tokens_per_fill = 1;
    else if (b->tokens_per_fill == 0)
        check_error(c, b->at, "tokensPerFill", "must be at least 1");
    if (check_get(b->at, "fillInterval") && b->fill_interval < LEAST_INTERVAL_MS)
        check_error(c, b->at, "fillInterval", "must be at least %d ms", LEAST_INTERVAL_MS);
    b->bucket = (struct token_bucket){ .most = b->max_tokens, .per_fill = b->tokens_per_fill,
                                       .interval_ms = b->fill_interval };
}

static const struct field bucket_fields[] = {
    REQUIRED(COUNT, envoy_bucket, max_tokens, "maxTokens"),
    FIELD(COUNT, envoy_bucket, tokens_per_fill, "tokensPerFill"),
    REQUIRED(DURATION, envoy_bucket, fill_interval, "fillInterval"),
    END_OF_FIELDS,
};
static const struct message bucket_message = { sizeof(struct envoy_bucket), bucket_fields, MESSAGE_FOREIGN,
                                               check_bucket };

struct envoy_percent {
    const struct yaml_node *at;
    uint32_t numerator;
    int denominator;
};

struct envoy_runtime {
    const struct yaml_node *at;
    struct envoy_percent *value;
    struct str key;
};

static const char *const denominators[] = { "HUNDRED", "TEN_THOUSAND", "MILLION", NULL };
static const struct field percent_fields[] = {
    FIELD(COUNT, envoy_percent, numerator, "numerator"),
    FIELD_OF(ENUM, envoy_percent, denominator, "denominator", denominators),
    END_OF_FIELDS,
};
static const struct message percent_message = { sizeof(struct envoy_percent), percent_fields, MESSAGE_FOREIGN, NULL };
static const struct field runtime_fields[] = {
    REQUIRED_OF(MESSAGE, envoy_runtime, value, "defaultValue", &percent_message),
    FIELD(STRING, envoy_runtime, key, "runtimeKey"),
    END_OF_FIELDS,
};
static const struct message runtime_message = { sizeof(struct envoy_runtime), runtime_fields, MESSAGE_FOREIGN, NULL };

static uint32_t ppm_of(const struct envoy_runtime *r)
{
    static const uint32_t unit[] = { MILLION / 100, MILLION / 10000, 1 };
    uint64_t ppm = r && r->value ? (uint64_t)r->value->numerator * unit[r->value->denominator] : 0;

    return ppm < MILLION ? (uint32_t)ppm : MILLION;
}

struct envoy_entry {
    const struct yaml_node *at;
    struct str key, value;
};

struct envoy_descriptor {
    const struct yaml_node *at;
    LIST_OF(struct envoy_entry) entries;
    struct envoy_bucket *bucket;
};

static void check_entry(struct check *c, void *message)
{
    const struct envoy_entry *e = message;

    if (check_get(e->at, "key") && e->key.n == 0)
        check_error(c, e->at, "key", "must not be empty");
    if (e->value.n == 0)
        check_warn(c, e->at, "value", "an empty value stands for itself alone: no buckets are made for others");
}

static const struct field entry_fields[] = {
    REQUIRED(STRING, envoy_entry, key, "key"),
    FIELD(STRING, envoy_entry, value, "value"),
    END_OF_FIELDS,
};
static const struct message entry_message = { sizeof(struct envoy_entry), entry_fields, MESSAGE_FOREIGN, check_entry };

static void check_descriptor(struct check *c, void *message)
{
    const struct envoy_descriptor *d = message;

    if (check_get(d->at, "entries") && d->entries.n == 0)
        check_error(c, d->at, "entries", "must not be empty");
    if (d->entries.n > RATE_LIMIT_MOST_ENTRIES)
        check_error(c, d->at, "entries", "%zu entries: a descriptor has at most %d", d->entries.n,
                    RATE_LIMIT_MOST_ENTRIES);
}

static const struct field descriptor_fields[] = {
    REQUIRED_OF(MESSAGES, envoy_descriptor, entries, "entries", &entry_message),
    REQUIRED_OF(MESSAGE, envoy_descriptor, bucket, "tokenBucket", &bucket_message),
    END_OF_FIELDS,
};
static const struct message descriptor_message = { sizeof(struct envoy_descriptor), descriptor_fields, MESSAGE_FOREIGN,
                                                   check_descriptor };

/* ---- LocalRateLimit of requests ---- */

struct envoy_status {
    const struct yaml_node *at;
    uint32_t code;
};

struct envoy_limit {
    const struct yaml_node *at;
    struct str type, stat_prefix;
    struct envoy_status *status;
    struct envoy_bucket *bucket;
    struct envoy_runtime *enabled, *enforced;
    LIST_OF(struct envoy_header_option) headers;
    LIST_OF(struct envoy_descriptor) descriptors;
    LIST_OF(struct envoy_actions) actions;
    int tells, inherit;
    bool always_default;
};

static void check_status(struct check *c, void *message)
{
    const struct envoy_status *s = message;

    if (s->code > 599)
        check_error(c, s->at, "code", "must be a status of HTTP, from 400 to 599");
}

static const struct field status_fields[] = {
    REQUIRED(COUNT, envoy_status, code, "code"),
    END_OF_FIELDS,
};
static const struct message status_message = { sizeof(struct envoy_status), status_fields, MESSAGE_FOREIGN,
                                               check_status };

/* It becomes a part of metrics' names and a label's value. */
static void check_prefix(struct check *c, const struct yaml_node *at, struct str prefix)
{
    bool plain = true;

    for (size_t i = 0; i < prefix.n; i++)
        plain = plain && (unsigned char)prefix.p[i] > ' ' && prefix.p[i] != '"' && prefix.p[i] != '\\';
    if (check_get(at, "statPrefix") && (prefix.n == 0 || !plain))
        check_error(c, at, "statPrefix", "must be a word, without quotes and backslashes");
}

static void check_limit(struct check *c, void *message)
{
    const struct envoy_limit *l = message;

    check_prefix(c, l->at, l->stat_prefix);
    if (l->descriptors.n > MOST_DESCRIPTORS)
        check_error(c, l->at, "descriptors", "%zu descriptors: at most %d", l->descriptors.n, MOST_DESCRIPTORS);
    if (l->enabled && !l->bucket)
        check_error(c, l->at, "tokenBucket", "missing: how many requests are let through");
}

static const char *const tells[] = { "OFF", "DRAFT_VERSION_03", NULL };
static const char *const inherits[] = { "OVERRIDE", "INCLUDE", "IGNORE", NULL };
static const struct field limit_fields[] = {
    FIELD(STRING, envoy_limit, type, "@type"),
    REQUIRED(STRING, envoy_limit, stat_prefix, "statPrefix"),
    FIELD_OF(MESSAGE, envoy_limit, status, "status", &status_message),
    FIELD_OF(MESSAGE, envoy_limit, bucket, "tokenBucket", &bucket_message),
    FIELD_OF(MESSAGE, envoy_limit, enabled, "filterEnabled", &runtime_message),
    FIELD_OF(MESSAGE, envoy_limit, enforced, "filterEnforced", &runtime_message),
    FIELD_OF(MESSAGES, envoy_limit, headers, "responseHeadersToAdd", &envoy_header_option_message),
    FIELD_OF(MESSAGES, envoy_limit, descriptors, "descriptors", &descriptor_message),
    FIELD_OF(MESSAGES, envoy_limit, actions, "rateLimits", &envoy_actions_message),
    FIELD_OF(ENUM, envoy_limit, tells, "enableXRatelimitHeaders", tells),
    FIELD_OF(ENUM, envoy_limit, inherit, "vhRateLimits", inherits),
    FIELD(BOOL, envoy_limit, always_default, "alwaysConsumeDefaultTokenBucket"),
    END_OF_FIELDS,
};
static const struct message limit_message = { sizeof(struct envoy_limit), limit_fields, MESSAGE_FOREIGN, check_limit };

/* a / b < c / d without division: the tokens of a bucket by the millisecond. */
static int by_rate(const void *x, const void *y)
{
    const struct token_bucket *a = &((const struct rate_limit_descriptor *)x)->bucket;
    const struct token_bucket *b = &((const struct rate_limit_descriptor *)y)->bucket;
    double left = (double)a->per_fill * (double)b->interval_ms, right = (double)b->per_fill * (double)a->interval_ms;

    return (left > right) - (left < right);
}

static const struct rate_limit_descriptor *compile_descriptors(struct check *c, const struct envoy_limit *l)
{
    struct rate_limit_descriptor *v = check_alloc(c, l->descriptors.n, sizeof(*v));

    for (size_t i = 0; v && i < l->descriptors.n; i++) {
        const struct envoy_descriptor *d = &l->descriptors.v[i];
        struct rate_limit_entry *e = check_alloc(c, d->entries.n, sizeof(*e));

        for (size_t k = 0; e && k < d->entries.n; k++)
            e[k] = (struct rate_limit_entry){ d->entries.v[k].key, d->entries.v[k].value };
        v[i] = (struct rate_limit_descriptor){ .entries = e, .nentries = d->entries.n };
        if (d->bucket)
            v[i].bucket = d->bucket->bucket;
    }
    if (v && l->descriptors.n > 1)
        qsort(v, l->descriptors.n, sizeof(*v), by_rate);
    return v;
}

static unsigned refusal(const struct envoy_status *s)
{
    return s && s->code >= LEAST_REFUSAL ? s->code : TOO_MANY_REQUESTS;
}

static const struct rate_limit *read_limit(struct check *c, const struct yaml_node *at)
{
    const struct envoy_limit *l = check_new(c, &limit_message, at);
    struct rate_limit *to = check_alloc(c, 1, sizeof(*to));

    if (!l || !to)
        return NULL;
    *to = (struct rate_limit){ .stat_prefix = l->stat_prefix,
                               .descriptors = compile_descriptors(c, l),
                               .ndescriptors = l->descriptors.n,
                               .spares_bucket = check_get(at, "alwaysConsumeDefaultTokenBucket") && !l->always_default,
                               .inherit = (enum rate_limit_inherit)l->inherit,
                               .enabled_ppm = ppm_of(l->enabled),
                               .enforced_ppm = ppm_of(l->enforced),
                               .status = refusal(l->status),
                               .headers = envoy_compile_headers(c, l->headers.v, l->headers.n),
                               .nheaders = l->headers.n,
                               .tells = l->tells != 0 };
    if (l->bucket)
        to->bucket = l->bucket->bucket;
    envoy_collect_actions(c, l->actions.v, l->actions.n, &to->actions, &to->nactions);
    return to;
}

#define HTTP_LIMIT "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"

bool envoy_read_limit(struct check *c, const struct yaml_node *value, struct rate_limit_filter *to)
{
    const struct yaml_node *config = filter_config(c, value, HTTP_LIMIT, to);

    to->limit = config ? read_limit(c, config) : NULL;
    return to->limit != NULL;
}

/* ---- of connections ---- */

struct envoy_flag { /* RuntimeFeatureFlag */
    const struct yaml_node *at;
    bool value;
    struct str key;
};

struct envoy_connection_limit {
    const struct yaml_node *at;
    struct str type, stat_prefix;
    struct envoy_bucket *bucket;
    struct envoy_flag *enabled;
};

static void check_connection_limit(struct check *c, void *message)
{
    const struct envoy_connection_limit *l = message;

    check_prefix(c, l->at, l->stat_prefix);
}

static const struct field flag_fields[] = {
    REQUIRED(BOOL, envoy_flag, value, "defaultValue"),
    FIELD(STRING, envoy_flag, key, "runtimeKey"),
    END_OF_FIELDS,
};
static const struct message flag_message = { sizeof(struct envoy_flag), flag_fields, MESSAGE_FOREIGN, NULL };
static const struct field connection_limit_fields[] = {
    FIELD(STRING, envoy_connection_limit, type, "@type"),
    REQUIRED(STRING, envoy_connection_limit, stat_prefix, "statPrefix"),
    REQUIRED_OF(MESSAGE, envoy_connection_limit, bucket, "tokenBucket", &bucket_message),
    FIELD_OF(MESSAGE, envoy_connection_limit, enabled, "runtimeEnabled", &flag_message),
    END_OF_FIELDS,
};
static const struct message connection_limit_message = { sizeof(struct envoy_connection_limit), connection_limit_fields,
                                                         MESSAGE_FOREIGN, check_connection_limit };

bool envoy_read_connection_limit(struct check *c, const struct yaml_node *value, struct rate_limit_filter *to)
{
    const struct yaml_node *config =
        filter_config(c, value, "envoy.extensions.filters.network.local_ratelimit.v3.LocalRateLimit", to);
    const struct envoy_connection_limit *l = check_new(c, &connection_limit_message, config);
    struct rate_limit *limit = l && l->bucket ? check_alloc(c, 1, sizeof(*limit)) : NULL;

    if (!limit)
        return false;
    limit->of_connections = true;
    limit->stat_prefix = l->stat_prefix;
    limit->bucket = l->bucket->bucket;
    limit->enabled_ppm = limit->enforced_ppm = !l->enabled || l->enabled->value ? MILLION : 0;
    to->limit = limit;
    return true;
}

/* ---- what virtual hosts and routes say ---- */

struct envoy_rules { /* of config.route.v3.VirtualHost, Route */
    const struct yaml_node *at, *filters, *route;
    LIST_OF(struct envoy_actions) actions;
};

static const struct field rules_fields[] = {
    FIELD(ANY, envoy_rules, filters, "typedPerFilterConfig"),
    FIELD_OF(MESSAGES, envoy_rules, actions, "rateLimits", &envoy_actions_message),
    END_OF_FIELDS,
};
static const struct field route_rules_fields[] = {
    FIELD(ANY, envoy_rules, filters, "typedPerFilterConfig"),
    FIELD(ANY, envoy_rules, route, "route"),
    END_OF_FIELDS,
};
static const struct field route_action_fields[] = {
    FIELD_OF(MESSAGES, envoy_rules, actions, "rateLimits", &envoy_actions_message),
    END_OF_FIELDS,
};
static const struct message host_rules_message = { sizeof(struct envoy_rules), rules_fields, MESSAGE_FOREIGN, NULL };
static const struct message route_rules_message = { sizeof(struct envoy_rules), route_rules_fields, MESSAGE_FOREIGN,
                                                    NULL };
static const struct message route_action_message = { sizeof(struct envoy_rules), route_action_fields, MESSAGE_FOREIGN,
                                                     NULL };

static void read_own_limits(struct check *c, const struct yaml_node *filters, struct rate_limit_rules *to)
{
    struct rate_limit_filter *v;

    if (filters->kind != YAML_MAP) {
        check_error(c, filters, NULL, "must be a map: a configuration for each filter's name");
        return;
    }
    v = check_alloc(c, filters->n, sizeof(*v));
    for (size_t i = 0; v && i < filters->n; i++) {
        const struct yaml_node *config = typed_message(c, &filters->items[i], HTTP_LIMIT);
        const struct rate_limit *limit = config ? read_limit(c, config) : NULL;

        if (limit)
            v[to->nfilters++] = (struct rate_limit_filter){ .name = filters->items[i].key, .limit = limit };
    }
    to->filters = v;
}

bool envoy_read_rules(struct check *c, const struct yaml_node *value, bool route, struct rate_limit_rules *to)
{
    const struct envoy_rules *r = check_new(c, route ? &route_rules_message : &host_rules_message, value);
    const struct envoy_rules *actions = r && r->route ? check_new(c, &route_action_message, r->route) : r;

    if (!r || !actions)
        return false;
    if (r->filters)
        read_own_limits(c, r->filters, to);
    envoy_collect_actions(c, actions->actions.v, actions->actions.n, &to->actions, &to->nactions);
    return to->nfilters + to->nactions > 0;
}
