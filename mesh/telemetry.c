/* telemetry.c: what a Telemetry says of access logs, traces and metrics.
 *
 * Providers  Istio's are its operator's, each with a log or a tracer of its own. A proxy here has one of each: an entry
 *            goes for it whichever provider it names, and what it names is told.
 * Filters    are expressions of a language of their own (CEL). The one that everybody writes, `response.code >= N`, is
 *            understood; with any other all is logged, and that is told, too. */
#include "mesh/hosts-internal.h"
#include "mesh/names-internal.h"
#include "mesh/policy-internal.h"


#include <stdlib.h>

static const char *const modes[] = { "CLIENT_AND_SERVER", "CLIENT", "SERVER", NULL };
static const struct field match_fields[] = {
    FIELD_OF(ENUM, telemetry_match, mode, "mode", modes),
    END_OF_FIELDS,
};
static const struct message match_message = { sizeof(struct telemetry_match), match_fields, false, NULL };

static void check_provider(struct check *c, void *message)
{
    const struct telemetry_provider *p = message;

    if (!p->name.n)
        check_error(c, p->at, "name", "missing: the provider's name");
    else
        check_info(c, p->at, "name", "providers are not told apart: this goes for what the proxy has, not for \"%.*s\" "
                   "alone", STR_ARG(p->name));
}

static const struct field provider_fields[] = {
    FIELD(STRING, telemetry_provider, name, "name"),
    END_OF_FIELDS,
};
static const struct message provider_message = { sizeof(struct telemetry_provider), provider_fields, false,
                                                 check_provider };

/* ---- accessLogging ---- */

static void check_filter(struct check *c, void *message)
{
    struct telemetry_filter *f = message;
    struct err why = ERR_INIT;

    if (!str_trim(f->expression).n) {
        check_error(c, f->at, "expression", "missing: which requests are logged, as in response.code >= 400");
        return;
    }
    f->compiled = cel_compile(c->arena, f->expression, CEL_BOOL, &why);
    if (!f->compiled && why.code == ERR_NOMEM)
        c->nomem = true;
    else if (!f->compiled)
        check_error(c, f->at, "expression", "\"%.*s\": %s", STR_ARG(f->expression), why.msg);
}

static const struct field filter_fields[] = {
    FIELD(STRING, telemetry_filter, expression, "expression"),
    END_OF_FIELDS,
};
static const struct message filter_message = { sizeof(struct telemetry_filter), filter_fields, false, check_filter };
static const struct field log_fields[] = {
    FIELD_OF(MESSAGE, telemetry_log, match, "match", &match_message),
    FIELD_OF(MESSAGES, telemetry_log, providers, "providers", &provider_message),
    FIELD(BOOL, telemetry_log, disabled, "disabled"),
    FIELD_OF(MESSAGE, telemetry_log, filter, "filter", &filter_message),
    END_OF_FIELDS,
};
static const struct message log_message = { sizeof(struct telemetry_log), log_fields, false, NULL };

/* ---- tracing ---- */

static const struct field tag_value_fields[] = {
    FIELD(STRING, telemetry_tag_value, value, "value"),
    END_OF_FIELDS,
};
static const struct message tag_value_message = { sizeof(struct telemetry_tag_value), tag_value_fields, false, NULL };
static const struct field tag_name_fields[] = {
    FIELD(STRING, telemetry_tag_value, name, "name"),
    FIELD(STRING, telemetry_tag_value, otherwise, "defaultValue"),
    END_OF_FIELDS,
};
static const struct message tag_name_message = { sizeof(struct telemetry_tag_value), tag_name_fields, false, NULL };

static void check_tag(struct check *c, void *message)
{
    static const char *const forms[] = { "literal", "environment", "header", "formatter", NULL };
    struct telemetry_tag *t = message;

    check_count_of(c, t->at, 1, 1, forms);
    if (t->at->key.n == 0)
        check_error(c, t->at, NULL, "a tag's name must not be empty");
    if (t->literal && !t->literal->value.n)
        check_error(c, t->literal->at, "value", "must not be empty");
    if (t->formatter && !t->formatter->value.n)
        check_error(c, t->formatter->at, "value", "must not be empty");
    if (t->environment && !t->environment->name.n)
        check_error(c, t->environment->at, "name", "missing: the name of the environment variable");
    if (t->header && !name_is_header(t->header->name))
        check_error(c, t->header->at, "name", "\"%.*s\" is no header name", STR_ARG(t->header->name));
}

static const struct field tag_fields[] = {
    FIELD_OF(MESSAGE, telemetry_tag, literal, "literal", &tag_value_message),
    FIELD_OF(MESSAGE, telemetry_tag, environment, "environment", &tag_name_message),
    FIELD_OF(MESSAGE, telemetry_tag, header, "header", &tag_name_message),
    FIELD_OF(MESSAGE, telemetry_tag, formatter, "formatter", &tag_value_message),
    END_OF_FIELDS,
};
static const struct message tag_message = { sizeof(struct telemetry_tag), tag_fields, false, check_tag };

static struct span_tag compile_tag(struct check *c, const struct telemetry_tag *t)
{
    struct span_tag to = { .name = t->at->key };

    if (t->literal) {
        to.value = t->literal->value;
    } else if (t->environment) {
        to.kind = SPAN_TAG_ENVIRONMENT;
        to.value = t->environment->name;
        to.otherwise = t->environment->otherwise;
    } else if (t->header) {
        to.kind = SPAN_TAG_HEADER;
        to.value = host_lower(c->arena, t->header->name);
        to.otherwise = t->header->otherwise;
        c->nomem = c->nomem || !to.value.p;
    } else if (t->formatter) {
        to.kind = SPAN_TAG_FORMAT;
        to.value = t->formatter->value;
    }
    return to;
}

static int by_name(const void *a, const void *b)
{
    return str_cmp(((const struct span_tag *)a)->name, ((const struct span_tag *)b)->name);
}

static void check_trace(struct check *c, void *message)
{
    struct telemetry_trace *t = message;

    if (!(t->sampling >= 0 && t->sampling <= 100))
        check_error(c, t->at, "randomSamplingPercentage", "must be from 0 to 100");
    if (t->providers.n > 1)
        check_warn(c, t->at, "providers", "several providers: Istio supports one");
    if (check_get(t->at, "useRequestIdForTraceSampling"))
        check_info(c, t->at, "useRequestIdForTraceSampling", "not applied: request ids carry no decision here");
    t->span_tags = check_alloc(c, t->tags.n, sizeof(*t->span_tags));
    for (size_t i = 0; t->span_tags && i < t->tags.n; i++)
        t->span_tags[i] = compile_tag(c, &t->tags.v[i]);
    if (t->span_tags && t->tags.n > 1)
        qsort(t->span_tags, t->tags.n, sizeof(*t->span_tags), by_name);
}

static const struct field trace_fields[] = {
    FIELD_OF(MESSAGE, telemetry_trace, match, "match", &match_message),
    FIELD_OF(MESSAGES, telemetry_trace, providers, "providers", &provider_message),
    FIELD(NUMBER, telemetry_trace, sampling, "randomSamplingPercentage"),
    FIELD(BOOL, telemetry_trace, no_spans, "disableSpanReporting"),
    FIELD_OF(MAP, telemetry_trace, tags, "customTags", &tag_message),
    FIELD(BOOL, telemetry_trace, request_id_sampling, "useRequestIdForTraceSampling"),
    FIELD(BOOL, telemetry_trace, istio_tags, "enableIstioTags"),
    FIELD(BOOL, telemetry_trace, no_propagation, "disableContextPropagation"),
    END_OF_FIELDS,
};
static const struct message trace_message = { sizeof(struct telemetry_trace), trace_fields, false, check_trace };

/* ---- metrics ---- */

static const char *const metrics[] = { "ALL_METRICS", "REQUEST_COUNT", "REQUEST_DURATION", "REQUEST_SIZE",
                                       "RESPONSE_SIZE", "TCP_OPENED_CONNECTIONS", "TCP_CLOSED_CONNECTIONS",
                                       "TCP_SENT_BYTES", "TCP_RECEIVED_BYTES", "GRPC_REQUEST_MESSAGES",
                                       "GRPC_RESPONSE_MESSAGES", NULL };
_Static_assert(sizeof(metrics) / sizeof(metrics[0]) == TELEMETRY_METRICS + 2, "all, each, and the end");

static void check_metric(struct check *c, void *message)
{
    static const char *const forms[] = { "metric", "customMetric", NULL };
    struct telemetry_match *m = message;

    check_count_of(c, m->at, 0, 1, forms);
    if (!check_get(m->at, "customMetric"))
        return;
    if (m->custom_metric.n)
        check_warn(c, m->at, "customMetric", "not applied: there is no metric \"%.*s\"", STR_ARG(m->custom_metric));
    else
        check_error(c, m->at, "customMetric", "must not be empty");
}

static const struct field metric_match_fields[] = {
    FIELD_OF(ENUM, telemetry_match, metric, "metric", metrics),
    FIELD(STRING, telemetry_match, custom_metric, "customMetric"),
    FIELD_OF(ENUM, telemetry_match, mode, "mode", modes),
    END_OF_FIELDS,
};
static const struct message metric_match_message = { sizeof(struct telemetry_match), metric_match_fields, false,
                                                     check_metric };

/* What a label's name may not have becomes '_', as Envoy has it. */
static struct str label_name(struct check *c, struct str s)
{
    char *to = check_alloc(c, s.n + 1, 1);

    for (size_t i = 0; to && i < s.n; i++) {
        bool letter = ((s.p[i] | 0x20) >= 'a' && (s.p[i] | 0x20) <= 'z') || (i && s.p[i] >= '0' && s.p[i] <= '9');

        to[i] = letter ? s.p[i] : '_';
    }
    return (struct str){ to, to ? s.n : 0 };
}

static void compile_override(struct check *c, struct telemetry_tag_override *o)
{
    struct err why = ERR_INIT;

    o->compiled = cel_compile(c->arena, o->value, CEL_NONE, &why);
    if (!o->compiled && why.code == ERR_NOMEM)
        c->nomem = true;
    else if (!o->compiled) /* Istio's own checks do not look at it */
        check_warn(c, o->at, "value", "not applied: \"%.*s\": %s", STR_ARG(o->value), why.msg);
}

static void check_tag_override(struct check *c, void *message)
{
    struct telemetry_tag_override *o = message;

    if (!o->at->key.n)
        check_error(c, o->at, NULL, "a label's name must not be empty");
    o->label = label_name(c, o->at->key);
    if (o->operation == TAG_UPSERT && !o->value.n)
        check_error(c, o->at, "value", "must be set when operation is UPSERT");
    else if (o->operation == TAG_REMOVE && o->value.n)
        check_error(c, o->at, "value", "may be set only when operation is UPSERT");
    else if (o->operation == TAG_UPSERT)
        compile_override(c, o);
}

static const char *const operations[] = { "UPSERT", "REMOVE", NULL };
static const struct field tag_override_fields[] = {
    FIELD_OF(ENUM, telemetry_tag_override, operation, "operation", operations),
    FIELD(STRING, telemetry_tag_override, value, "value"),
    END_OF_FIELDS,
};
static const struct message tag_override_message = { sizeof(struct telemetry_tag_override), tag_override_fields, false,
                                                     check_tag_override };
static const struct field override_fields[] = {
    FIELD_OF(MESSAGE, telemetry_override, match, "match", &metric_match_message),
    FIELD(BOOL, telemetry_override, disabled, "disabled"),
    FIELD_OF(MAP, telemetry_override, tags, "tagOverrides", &tag_override_message),
    END_OF_FIELDS,
};
static const struct message override_message = { sizeof(struct telemetry_override), override_fields, false, NULL };

static void check_metrics(struct check *c, void *message)
{
    const struct telemetry_metrics *m = message;

    if (check_get(m->at, "reportingInterval"))
        check_info(c, m->at, "reportingInterval", "not applied: the proxy's own interval counts");
}

static const struct field metrics_fields[] = {
    FIELD_OF(MESSAGES, telemetry_metrics, providers, "providers", &provider_message),
    FIELD_OF(MESSAGES, telemetry_metrics, overrides, "overrides", &override_message),
    FIELD(DURATION, telemetry_metrics, interval, "reportingInterval"),
    END_OF_FIELDS,
};
static const struct message metrics_message = { sizeof(struct telemetry_metrics), metrics_fields, false,
                                                check_metrics };

/* ---- the whole ---- */

static void check_telemetry(struct check *c, void *message)
{
    const struct telemetry *t = message;

    policy_scope_check(c, t->at, &t->scope);
    if (t->traces.n > 1)
        check_warn(c, t->at, "tracing", "several entries: Istio supports one");
}

static const struct field telemetry_fields[] = {
    POLICY_SCOPE_FIELDS(telemetry),
    FIELD_OF(MESSAGES, telemetry, traces, "tracing", &trace_message),
    FIELD_OF(MESSAGES, telemetry, metrics, "metrics", &metrics_message),
    FIELD_OF(MESSAGES, telemetry, logs, "accessLogging", &log_message),
    END_OF_FIELDS,
};
const struct message telemetry_message = { sizeof(struct telemetry), telemetry_fields, false, check_telemetry };
