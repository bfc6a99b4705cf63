/* What Telemetries say of a proxy's two sides, and which of them has the last word. */
#include "tests/unit/mesh/policy_help.h"

#define T_IN(ns, name, year) \
    "---\napiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {name: " name ", namespace: " ns \
    ", creationTimestamp: '" year "-01-01T00:00:00Z'}\nspec:\n"
#define MESH     T_IN("istio-system", "m", "2020")
#define NS       T_IN("shop", "n", "2020")
#define WORKLOAD T_IN("shop", "w", "2020") "  selector: {matchLabels: {app: web}}\n"
#define LOG(entries)     "  accessLogging: [" entries "]\n"
#define TRACE(entries)   "  tracing: [" entries "]\n"
#define METRICS(entries) "  metrics: [{overrides: [" entries "]}]\n"

static void put_side(struct buf *b, const char *name, const struct telemetry_policy *p)
{
    static const char *const kinds[] = { "literal", "env", "header", "format" };

    buf_puts(b, name);
    if (p->sampling_ppm >= 0)
        buf_printf(b, " sampling=%d", p->sampling_ppm);
    buf_printf(b, "%s%s%s", p->no_spans ? " no-spans" : "", p->no_propagation ? " no-propagation" : "",
               p->no_istio_tags ? " no-tags" : "");
    for (size_t i = 0; i < p->ntags; i++)
        buf_printf(b, " %.*s=%s:%.*s|%.*s", STR_ARG(p->tags[i].name), kinds[p->tags[i].kind], STR_ARG(p->tags[i].value),
                   STR_ARG(p->tags[i].otherwise));
    if (p->no_access_log)
        buf_puts(b, " no-log");
    if (p->nlog_filters)
        buf_printf(b, " filters=%zu", p->nlog_filters);
    for (size_t i = 0; i < p->nmetric_tags; i++)
        buf_printf(b, " %s%.*s/%x", p->metric_tags[i].value ? "" : "-", STR_ARG(p->metric_tags[i].name), p->metric_tags[i].metrics);
    for (size_t i = 0; i < p->nresponse_headers; i++)
        buf_printf(b, " asks=%.*s", STR_ARG(p->response_headers[i]));
    if (p->metrics_off)
        buf_printf(b, " off=%x", p->metrics_off);
}

static const struct {
    const char *what, *in, *said;
} cases[] = {
    { "nothing said", "", "client; server" },
    { "an empty one", NS "  {}\n", "client; server" },

    /* logs */
    { "on", NS LOG("{}"), "client; server" },
    { "off", NS LOG("{disabled: true}"), "client no-log; server no-log" },
    { "off on a side", NS LOG("{match: {mode: CLIENT}, disabled: true}"), "client no-log; server" },
    { "on again", MESH LOG("{disabled: true}") WORKLOAD LOG("{match: {mode: SERVER}}"), "client no-log; server" },
    { "a filter", NS LOG("{filter: {expression: 'response.code >= 400'}}"), "client filters=1; server filters=1" },
    { "a filter with other blanks", NS LOG("{filter: {expression: ' response.code>=500 '}}"),
      "client filters=1; server filters=1" },
    { "what filters ask of answers", NS LOG("{filter: {expression: \"response.headers['x-a'] == 'b'\"}, match: {mode: CLIENT}}"),
      "client filters=1 asks=x-a; server" },
    { "of two providers the more", NS LOG("{providers: [{name: a}], filter: {expression: response.code >= 500}}, {providers: "
      "[{name: b}], filter: {expression: response.code >= 400}}"), "client filters=2; server filters=2" },
    { "of two providers the one without a filter", NS LOG("{providers: [{name: a}]}, {filter: {expression: response.code >= "
      "400}}"), "client; server" },
    { "of two providers the one that is on", NS LOG("{providers: [{name: a}], disabled: true}, {filter: {expression: "
      "response.code >= 400}}"), "client filters=1; server filters=1" },
    { "the last word is whole", MESH LOG("{filter: {expression: response.code >= 400}}") NS LOG("{disabled: true}") WORKLOAD
      LOG("{}"), "client; server" },
    { "who does not speak of logs changes none", MESH LOG("{disabled: true}") NS TRACE("{disableSpanReporting: true}"),
      "client no-spans no-log; server no-spans no-log" },

    /* traces: each field of its own */
    { "sampling", MESH TRACE("{randomSamplingPercentage: 12.5}"), "client sampling=125000; server sampling=125000" },
    { "sampling to the last ppm", MESH TRACE("{randomSamplingPercentage: 0.0001}"), "client sampling=1; server sampling=1" },
    { "fields add up", MESH TRACE("{randomSamplingPercentage: 1}") NS TRACE("{disableSpanReporting: true, match: {mode: "
      "SERVER}}") WORKLOAD TRACE("{enableIstioTags: false, disableContextPropagation: true}"),
      "client sampling=10000 no-propagation no-tags; server sampling=10000 no-spans no-propagation no-tags" },
    { "fields are taken back", MESH TRACE("{randomSamplingPercentage: 1, disableSpanReporting: true, enableIstioTags: false}")
      NS TRACE("{randomSamplingPercentage: 0, disableSpanReporting: false, enableIstioTags: true}"),
      "client sampling=0; server sampling=0" },
    { "tags", NS TRACE("{customTags: {d: {literal: {value: x}}, a: {environment: {name: E, defaultValue: y}}, c: {header: {name: "
      "X-H}}, b: {formatter: {value: '%PROTOCOL%'}}}, match: {mode: CLIENT}}"),
      "client a=env:E|y b=format:%PROTOCOL%| c=header:x-h| d=literal:x|; server" },
    { "tags are one field", MESH TRACE("{customTags: {a: {literal: {value: x}}}}") NS
      TRACE("{customTags: {b: {literal: {value: y}}}}"), "client b=literal:y|; server b=literal:y|" },

    /* metrics */
    { "all off", NS METRICS("{disabled: true}"), "client off=3ff; server off=3ff" },
    { "one off on a side", NS METRICS("{match: {metric: REQUEST_COUNT, mode: SERVER}, disabled: true}, {match: {metric: "
      "GRPC_RESPONSE_MESSAGES}, disabled: true}"), "client off=200; server off=201" },
    { "one on again", MESH METRICS("{disabled: true}") NS METRICS("{match: {metric: REQUEST_DURATION}, disabled: false}"),
      "client off=3fd; server off=3fd" },
    { "no word of it", NS METRICS("{match: {metric: REQUEST_COUNT}}"), "client; server" },
    { "tags", MESH METRICS("{tagOverrides: {host: {value: request.host}}}") NS METRICS("{match: {metric: REQUEST_COUNT, mode: CLIENT}, "
      "tagOverrides: {source_app: {operation: REMOVE}, 1.code: {value: bad-one}, the.code: {value: \"response.headers.c | 'none'\"}}}"),
      "client host/3ff -source_app/1 the_code/1 asks=c; server host/3ff" },
    { "a metric that is none of Istio's", NS METRICS("{match: {customMetric: x}, disabled: true}"), "client; server" },

    /* whom it is for */
    { "another namespace's", T_IN("other", "o", "2020") LOG("{disabled: true}"), "client; server" },
    { "another workload's", T_IN("shop", "o", "2020") "  selector: {matchLabels: {app: other}}\n" LOG("{disabled: true}"),
      "client; server" },
    { "the root namespace has no say on single workloads elsewhere", T_IN("istio-system", "o", "2020")
      "  selector: {matchLabels: {app: web}}\n" LOG("{disabled: true}"), "client; server" },
    { "its Service's", T_IN("shop", "s", "2020") "  targetRef: {kind: Service, name: web}\n" LOG("{disabled: true}"),
      "client no-log; server no-log" },
    { "the oldest of a namespace's", T_IN("shop", "a", "2021") LOG("{disabled: true}") NS LOG("{}"), "client; server" },
    { "the oldest of a workload's", T_IN("shop", "a", "2019") "  selector: {matchLabels: {version: v1}}\n" LOG("{disabled: true}")
      WORKLOAD LOG("{}"), "client no-log; server no-log" },
};

START_TEST(adds_up)
{
    struct world w;
    const struct proxy_snapshot *s;

    world_init(&w);
    s = policy_snapshot(&w, cases[_i].in, PROXY_SIDECAR);
    buf_reset(&w.text);
    put_side(&w.text, "client", &s->client);
    put_side(&w.text, "; server", &s->server);
    ck_assert_msg(strcmp(world_text(&w), cases[_i].said) == 0, "%s: %s", cases[_i].what, w.text.p);
    world_fini(&w);
}
END_TEST

static const struct {
    const char *in, *said;
} problems[] = {
    { NS LOG("{providers: [{name: otel}]}"), "info: spec.accessLogging[0].providers[0].name: providers are not told apart: this "
                                             "goes for what the proxy has, not for \"otel\" alone\n" },
    { NS LOG("{providers: [{}]}"), "error: spec.accessLogging[0].providers[0].name: missing: the provider's name\n" },
    { NS LOG("{match: {mode: BOTH}}"),
      "error: spec.accessLogging[0].match.mode: \"BOTH\" is not one of CLIENT_AND_SERVER, CLIENT, SERVER\n" },
    { NS LOG("{filter: {expression: ''}}"), "error: spec.accessLogging[0].filter.expression: missing: which requests are "
                                            "logged, as in response.code >= 400\n" },
    { NS LOG("{filter: {expression: connection.mtls}}"),
      "" },
    { NS LOG("{filter: {expression: response.code}}"),
      "error: spec.accessLogging[0].filter.expression: \"response.code\": byte 14: the expression needs a condition, not a number\n" },
    { NS LOG("{filter: {expression: \"request.time > timestamp('2020-01-01')\"}}"),
      "error: spec.accessLogging[0].filter.expression: \"request.time > timestamp('2020-01-01')\": byte 1: \"request.time\" is no "
      "attribute that is offered\n" },
    { NS TRACE("{randomSamplingPercentage: 101}"),
      "error: spec.tracing[0].randomSamplingPercentage: must be from 0 to 100\n" },
    { NS TRACE("{}, {}"), "warning: spec.tracing: several entries: Istio supports one\n" },
    { NS TRACE("{useRequestIdForTraceSampling: true}"), "info: spec.tracing[0].useRequestIdForTraceSampling: not applied: request "
                                                        "ids carry no decision here\n" },
    { NS TRACE("{customTags: {a: {}}}"),
      "error: spec.tracing[0].customTags.a: one of literal, environment, header, formatter must be given\n" },
    { NS TRACE("{customTags: {a: null}}"), "error: spec.tracing[0].customTags.a: must be a map, not null\n" },
    { NS TRACE("{customTags: {a: {literal: {}}}}"), "error: spec.tracing[0].customTags.a.literal.value: must not be empty\n" },
    { NS TRACE("{customTags: {a: {header: {name: 'x y'}}}}"),
      "error: spec.tracing[0].customTags.a.header.name: \"x y\" is no header name\n" },
    { NS TRACE("{customTags: {a: {environment: {defaultValue: x}}}}"),
      "error: spec.tracing[0].customTags.a.environment.name: missing: the name of the environment variable\n" },
    { NS METRICS("{match: {metric: X}}"),
      "error: spec.metrics[0].overrides[0].match.metric: \"X\" is not one of ALL_METRICS, REQUEST_COUNT, REQUEST_DURATION, "
      "REQUEST_SIZE, RESPONSE_SIZE, TCP_OPENED_CONNECTIONS, TCP_CLOSED_CONNECTIONS, TCP_SENT_BYTES, TCP_RECEIVED_BYTES, "
      "GRPC_REQUEST_MESSAGES, GRPC_RESPONSE_MESSAGES\n" },
    { NS METRICS("{match: {metric: REQUEST_COUNT, customMetric: x}}"),
      "error: spec.metrics[0].overrides[0].match.customMetric: only one of metric, customMetric may be given\n"
      "warning: spec.metrics[0].overrides[0].match.customMetric: not applied: there is no metric \"x\"\n" },
    { NS METRICS("{tagOverrides: {a: {operation: REMOVE}}}"), "" },
    { NS METRICS("{tagOverrides: {'': {operation: REMOVE}}}"),
      "error: spec.metrics[0].overrides[0].tagOverrides.: a label's name must not be empty\n" },
    { NS METRICS("{tagOverrides: {a: {value: x}}}"),
      "warning: spec.metrics[0].overrides[0].tagOverrides.a.value: not applied: \"x\": byte 1: \"x\" is no attribute that is offered\n" },
    { NS METRICS("{tagOverrides: {a: {operation: REMOVE, value: x}}}"),
      "error: spec.metrics[0].overrides[0].tagOverrides.a.value: may be set only when operation is UPSERT\n" },
    { NS METRICS("{tagOverrides: {a: {}}}"),
      "error: spec.metrics[0].overrides[0].tagOverrides.a.value: must be set when operation is UPSERT\n" },
    { NS "  metrics: [{reportingInterval: 10s}]\n",
      "info: spec.metrics[0].reportingInterval: not applied: the proxy's own interval counts\n" },
    { NS "  tracin: []\n", "error: spec.tracin: unknown field: did you mean \"tracing\"?\n" },
};

START_TEST(says_what_is_wrong)
{
    struct world w;

    world_init(&w);
    ck_assert_int_eq(world_parse(&w, problems[_i].in), 0);
    mesh_build(&w.arena, &w.objects, &w.problems, &w.e);
    ck_assert_str_eq(world_said(&w), problems[_i].said);
    world_fini(&w);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("mesh/telemetry");
    TCase *t = tcase_create("telemetry");

    tcase_add_loop_test(t, adds_up, 0, COUNT(cases));
    tcase_add_loop_test(t, says_what_is_wrong, 0, COUNT(problems));
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
