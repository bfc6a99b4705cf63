/* What EnvoyFilters bring to a sidecar's and a gateway's listeners, hosts and routes, and what is told of the rest. */
#include "tests/unit/mesh/policy_help.h"

#include <inttypes.h>

#define F_IN(ns, name, more) \
    "---\napiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {name: " name ", namespace: " ns \
    "}\nspec:\n" more "  configPatches:\n"
#define F F_IN("istio-system", "f", "")

#define TYPE   "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"
#define BUCKET "{max_tokens: 10, tokens_per_fill: 5, fill_interval: 60s}"
#define ON     "{default_value: {numerator: 50}}, filter_enforced: {default_value: {numerator: 1, denominator: TEN_THOUSAND}}"
#define LIMIT(prefix, more) "{'@type': " TYPE ", stat_prefix: " prefix ", token_bucket: " BUCKET ", filter_enabled: " ON more "}"
#define FILTER(config) "{name: envoy.filters.http.local_ratelimit, typed_config: " config "}"
#define PATCH(to, match, op, value) \
    "  - {applyTo: " to ", match: {" match "}, patch: {operation: " op ", value: " value "}}\n"
#define HTTP(match, op, prefix) PATCH("HTTP_FILTER", match, op, FILTER(LIMIT(prefix, "")))
#define ROUTE(match, value)     PATCH("HTTP_ROUTE", "routeConfiguration: {" match "}", "MERGE", value)
#define HOST(match, value)      PATCH("VIRTUAL_HOST", "routeConfiguration: {" match "}", "MERGE", value)
#define OWN(prefix)             "typed_per_filter_config: {envoy.filters.http.local_ratelimit: " LIMIT(prefix, "") "}"
#define ACTIONS(list)           "rate_limits: [{actions: [" list "]}]"
#define SUB(name) "listener: {filterChain: {filter: {name: envoy.filters.network.http_connection_manager, subFilter: " \
                  "{name: " name "}}}}"

static void put_bucket(struct buf *b, const struct token_bucket *t)
{
    if (t->most)
        buf_printf(b, " %u/%u/%" PRId64 "ms", t->most, t->per_fill, t->interval_ms);
    ck_assert_int_eq(t->key.n > 0, t->most > 0);
}

static void put_actions(struct buf *b, const struct rate_limit_actions *v, size_t n)
{
    static const char *const sources[] = { "generic", "header", "query", "headers", "parameters", "ip", "cluster" };

    for (size_t i = 0; i < n; i++) {
        buf_puts(b, " [");
        for (size_t k = 0; k < v[i].n; k++) {
            const struct rate_limit_action *a = &v[i].v[k];

            buf_printf(b, "%s%s%.*s:%.*s=%s%.*s%s", k ? " " : "", a->negate ? "!" : "", STR_ARG(a->key), STR_ARG(a->name),
                       sources[a->source], STR_ARG(a->value), a->skip_if_absent ? "?" : "");
            for (size_t m = 0; m < a->nmatches; m++) {
                buf_printf(b, " %s%.*s ", a->matches[m].invert ? "!" : "", STR_ARG(a->matches[m].name));
                put_match(b, "", &a->matches[m].value);
            }
        }
        buf_puts(b, "]");
    }
}

static void put_limit(struct buf *b, const struct proxy_snapshot *s, const struct rate_limit *l)
{
    ck_assert_ptr_eq(s->rate_limits[l->index], l);
    buf_printf(b, " %.*s", STR_ARG(l->stat_prefix));
    put_bucket(b, &l->bucket);
    for (size_t i = 0; i < l->ndescriptors; i++) {
        buf_puts(b, " (");
        for (size_t k = 0; k < l->descriptors[i].nentries; k++)
            buf_printf(b, "%s%.*s=%.*s", k ? "," : "", STR_ARG(l->descriptors[i].entries[k].key),
                       STR_ARG(l->descriptors[i].entries[k].value));
        put_bucket(b, &l->descriptors[i].bucket);
        buf_puts(b, ")");
    }
    buf_printf(b, " on=%u,%u", l->enabled_ppm, l->enforced_ppm);
    if (l->status != 429 && !l->of_connections)
        buf_printf(b, " status=%u", l->status);
    for (size_t i = 0; i < l->nheaders; i++)
        buf_printf(b, " %s%.*s:%.*s", l->headers[i].op == HEADER_SET ? "=" : "+", STR_ARG(l->headers[i].name),
                   STR_ARG(l->headers[i].value));
    buf_printf(b, "%s%s%s%s", l->tells ? " tells" : "", l->spares_bucket ? " spares" : "",
               l->inherit == RATE_LIMIT_INCLUDE ? " include" : "", l->inherit == RATE_LIMIT_IGNORE ? " ignore" : "");
    put_actions(b, l->actions, l->nactions);
}

static void put_rules(struct buf *b, const struct proxy_snapshot *s, const char *what, struct str name,
                      const struct rate_limit_rules *r)
{
    if (!r)
        return;
    buf_printf(b, "%s %.*s:", what, STR_ARG(name));
    for (size_t i = 0; i < r->nfilters; i++)
        put_limit(b, s, r->filters[i].limit);
    put_actions(b, r->actions, r->nactions);
    buf_putc(b, '\n');
}

static void put_limits(struct buf *b, const struct proxy_snapshot *s, const struct listener *l)
{
    static const char *const directions[] = { "out", "in", "gate" };

    for (size_t i = 0; i < l->nlimits; i++) {
        buf_printf(b, "%s %u %c", directions[l->direction], l->port, "FAL"[l->limits[i].place]);
        put_limit(b, s, l->limits[i].limit);
        buf_putc(b, '\n');
    }
    for (size_t i = 0; i < l->nconnection_limits; i++) {
        buf_printf(b, "%s %u tcp", directions[l->direction], l->port);
        put_limit(b, s, l->connection_limits[i]);
        buf_putc(b, '\n');
    }
    for (size_t i = 0; i < l->nhosts; i++) {
        put_rules(b, s, "host", l->hosts[i].name, l->hosts[i].limits);
        for (size_t k = 0; k < l->hosts[i].nroutes; k++)
            put_rules(b, s, "route", l->hosts[i].routes[k].name, l->hosts[i].routes[k].limits);
    }
}

#define SIZES " 10/5/60000ms on=500000,100"

static const struct {
    const char *what, *in;
    enum proxy_role role;
    const char *said;
} cases[] = {
    /* where a filter goes */
    { "ahead of all", F HTTP("context: SIDECAR_INBOUND", "INSERT_BEFORE", "p"), PROXY_SIDECAR, "in 8080 F p" SIZES "\n" },
    { "before the router", F HTTP("context: SIDECAR_INBOUND, " SUB("envoy.filters.http.router"), "INSERT_BEFORE", "p"),
      PROXY_SIDECAR, "in 8080 L p" SIZES "\n" },
    { "behind authorization", F HTTP("context: SIDECAR_INBOUND, " SUB("envoy.filters.http.rbac"), "INSERT_AFTER", "p"),
      PROXY_SIDECAR, "in 8080 A p" SIZES "\n" },
    { "by class", F "  - {applyTo: HTTP_FILTER, match: {context: SIDECAR_INBOUND}, patch: {operation: ADD, filterClass: STATS, "
      "value: " FILTER(LIMIT("p", "")) "}}\n", PROXY_SIDECAR, "in 8080 L p" SIZES "\n" },
    { "a later one is put ahead of an earlier, but never of another place", F HTTP("context: SIDECAR_INBOUND", "INSERT_FIRST",
      "a") HTTP("context: SIDECAR_INBOUND, " SUB("envoy.filters.http.router"), "INSERT_BEFORE", "l")
      HTTP("context: SIDECAR_INBOUND", "INSERT_BEFORE", "b"), PROXY_SIDECAR,
      "in 8080 F b" SIZES "\nin 8080 F a" SIZES "\nin 8080 L l" SIZES "\n" },
    { "both sides", F HTTP("", "INSERT_FIRST", "p"), PROXY_SIDECAR, "out 80 F p" SIZES "\nin 8080 F p" SIZES "\n" },
    { "a gateway", F HTTP("context: GATEWAY", "INSERT_FIRST", "p"), PROXY_GATEWAY, "gate 80 F p" SIZES "\n" },
    { "not a sidecar's", F HTTP("context: GATEWAY", "INSERT_FIRST", "p"), PROXY_SIDECAR, "" },
    { "its port", F HTTP("listener: {portNumber: 80}", "INSERT_FIRST", "p"), PROXY_SIDECAR, "out 80 F p" SIZES "\n" },
    { "its name", F HTTP("listener: {name: virtualInbound}", "INSERT_FIRST", "p"), PROXY_SIDECAR, "in 8080 F p" SIZES "\n" },
    { "the name of a port on all addresses", F HTTP("listener: {name: 0.0.0.0_80}", "INSERT_FIRST", "p"), PROXY_SIDECAR,
      "out 80 F p" SIZES "\n" },

    /* what a filter is */
    { "all of it", F PATCH("HTTP_FILTER", "context: GATEWAY", "INSERT_FIRST", FILTER(LIMIT("p", ", status: {code: 503}, "
      "response_headers_to_add: [{append: false, header: {key: X-A, value: b}}, {header: {key: x-c, value: d}}, {header: {key: e, "
      "value: f}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}], enable_x_ratelimit_headers: DRAFT_VERSION_03, "
      "always_consume_default_token_bucket: false, vh_rate_limits: INCLUDE, rate_limits: [{actions: [{remote_address: {}}]}], "
      "descriptors: [{entries: [{key: k, value: v}], token_bucket: {max_tokens: 9, tokens_per_fill: 2, fill_interval: 1s}}, "
      "{entries: [{key: a, value: b}, {key: c, value: d}], token_bucket: {max_tokens: 1, fill_interval: 0.6s}}]"))),
      PROXY_GATEWAY, "gate 80 F p 10/5/60000ms (a=b,c=d 1/1/600ms) (k=v 9/2/1000ms) on=500000,100 status=503 =x-a:b +x-c:d =e:f "
      "tells spares include [remote_address:=ip]\n" },
    { "a TypedStruct", F PATCH("HTTP_FILTER", "context: GATEWAY", "INSERT_FIRST", FILTER("{'@type': "
      "type.googleapis.com/xds.type.v3.TypedStruct, type_url: " TYPE ", value: {stat_prefix: p}}")), PROXY_GATEWAY,
      "gate 80 F p on=0,0\n" },
    { "a status that is none", F PATCH("HTTP_FILTER", "context: GATEWAY", "INSERT_FIRST", FILTER(LIMIT("p",
      ", status: {code: 200}"))), PROXY_GATEWAY, "gate 80 F p" SIZES "\n" },
    { "of connections", F PATCH("NETWORK_FILTER", "context: SIDECAR_INBOUND", "INSERT_FIRST", "{name: n, typed_config: {'@type': "
      "type.googleapis.com/envoy.extensions.filters.network.local_ratelimit.v3.LocalRateLimit, stat_prefix: c, token_bucket: "
      BUCKET "}}"), PROXY_SIDECAR, "in 8080 tcp c 10/5/60000ms on=1000000,1000000\nin 9000 tcp c 10/5/60000ms "
      "on=1000000,1000000\n" },

    /* hosts and routes */
    { "a host's, by the service's port", F HOST("vhost: {name: 'inbound|http|80'}", "{" OWN("h") "}"), PROXY_SIDECAR,
      "host inbound|http|80: h" SIZES "\n" },
    { "not by the container's", F HOST("vhost: {name: 'inbound|http|8080'}", "{" OWN("h") "}"), PROXY_SIDECAR, "" },
    { "a route's", F ROUTE("portNumber: 8080, vhost: {route: {name: default, action: ROUTE}}", "{" OWN("r") "}"), PROXY_SIDECAR,
      "route default: r" SIZES "\n" },
    { "of another action", F ROUTE("vhost: {route: {action: REDIRECT}}", "{" OWN("r") "}"), PROXY_SIDECAR, "" },
    { "by the configuration's name", F ROUTE("name: 'inbound|8080||'", "{" OWN("r") "}"), PROXY_SIDECAR,
      "route default: r" SIZES "\n" },
    { "the last of one filter counts, actions add up", F ROUTE("portNumber: 8080", "{" OWN("a") ", route: {"
      ACTIONS("{generic_key: {descriptor_value: x}}") "}}") ROUTE("portNumber: 8080", "{" OWN("b") ", route: {"
      ACTIONS("{destination_cluster: {}}") "}}"), PROXY_SIDECAR,
      "route default: b" SIZES " [generic_key:=genericx] [destination_cluster:=cluster]\n" },
    { "actions", F HOST("portNumber: 8080", "{rate_limits: [{stage: 0, actions: [{request_headers: {header_name: X-U, "
      "descriptor_key: u, skip_if_absent: true}}, {query_parameters: {query_parameter_name: Q, descriptor_key: q}}]}, {actions: "
      "[{header_value_match: {descriptor_value: v, expect_match: false, headers: [{name: ':path', string_match: {prefix: /x, "
      "ignore_case: true}}, {name: a, string_match: {suffix: .z}}, {name: b, present_match: true, invert_match: true}, {name: c}, "
      "{name: d, exact_match: e}]}}]}, {actions: [{query_parameter_value_match: {descriptor_key: k, descriptor_value: w, "
      "query_parameters: [{name: P, string_match: {contains: y}}]}}]}]}"), PROXY_SIDECAR,
      "host inbound|http|80: [u:x-u=header? q:Q=query] [!header_match:=headersv :path i^/x  a ~.z  !b ?  c ?  d =e ] [k:=parametersw "
      "P ~y ]\n" },

    /* whom it is for */
    { "another namespace's", F_IN("other", "f", "") HTTP("", "INSERT_FIRST", "p"), PROXY_SIDECAR, "" },
    { "its own namespace's", F_IN("shop", "f", "") HTTP("context: GATEWAY", "INSERT_FIRST", "p"), PROXY_GATEWAY,
      "gate 80 F p" SIZES "\n" },
    { "the root namespace's, for some workloads", F_IN("istio-system", "f", "  workloadSelector: {labels: {app: web}}\n")
      HTTP("context: SIDECAR_INBOUND", "INSERT_FIRST", "p"), PROXY_SIDECAR, "in 8080 F p" SIZES "\n" },
    { "for others", F_IN("istio-system", "f", "  workloadSelector: {labels: {app: other}}\n") HTTP("", "INSERT_FIRST", "p"),
      PROXY_SIDECAR, "" },
    { "for what is not a workload", F_IN("shop", "f", "  targetRefs: [{kind: Service, name: web}]\n")
      HTTP("", "INSERT_FIRST", "p"), PROXY_SIDECAR, "" },
    { "the order: the root's, then by priority, then by name", F_IN("shop", "b", "") ROUTE("portNumber: 8080", "{" OWN("b") "}")
      F_IN("istio-system", "z", "  priority: 10\n") ROUTE("portNumber: 8080", "{" OWN("z") "}")
      F_IN("shop", "a", "") ROUTE("portNumber: 8080", "{" OWN("a") "}"), PROXY_SIDECAR, "route default: b" SIZES "\n" },
    { "a lower priority comes first", F_IN("shop", "b", "  priority: -1\n") ROUTE("portNumber: 8080", "{" OWN("b") "}")
      F_IN("shop", "a", "") ROUTE("portNumber: 8080", "{" OWN("a") "}"), PROXY_SIDECAR, "route default: a" SIZES "\n" },
};

START_TEST(places_limits)
{
    const struct proxy_snapshot *s;
    struct world w;

    world_init(&w);
    s = policy_snapshot(&w, cases[_i].in, cases[_i].role);
    buf_reset(&w.text);
    for (size_t i = 0; i < s->nlisteners; i++)
        put_limits(&w.text, s, &s->listeners[i]);
    ck_assert_msg(strcmp(world_text(&w), cases[_i].said) == 0, "%s:\n%s", cases[_i].what, w.text.p);
    world_fini(&w);
}
END_TEST

/* A bucket's key is the same from one snapshot to the next, and with another size, place or patch another. */
START_TEST(keys_name_buckets)
{
    static const char text[] = F HTTP("", "INSERT_FIRST", "p") HTTP("context: SIDECAR_INBOUND", "INSERT_FIRST", "q");
    const struct proxy_snapshot *s;
    struct buf first = BUF_INIT(4096), now = BUF_INIT(4096);
    struct world w;

    for (int again = 0; again < 2; again++) {
        world_init(&w);
        s = policy_snapshot(&w, text, PROXY_SIDECAR);
        ck_assert_uint_eq(s->nrate_limits, 3);
        buf_reset(&now);
        for (size_t i = 0; i < s->nrate_limits; i++) {
            struct str key = s->rate_limits[i]->bucket.key;

            ck_assert_int_gt(str_find(key, STR("10/5/60000")), -1);
            ck_assert_int_lt(str_find(buf_view(&now), key), 0);
            buf_printf(&now, "%.*s\n", STR_ARG(key));
        }
        if (!again)
            buf_str(&first, buf_view(&now));
        world_fini(&w);
    }
    ck_assert(str_eq(buf_view(&first), buf_view(&now)));
    buf_free(&first);
    buf_free(&now);
}
END_TEST

#define W "warning: spec.configPatches[0]"
#define E "error: spec.configPatches[0]"
#define CHECKED(match, what) \
    PATCH("CLUSTER", match, "MERGE", "{health_checks: [{timeout: 1s, interval: 5s, unhealthy_threshold: 3, healthy_threshold: 2, " \
          what "}]}")
#define CHECK(what)     CHECKED("", what)
#define AT_CHECK(place) place ".patch.value.health_checks[0]"
#define CONFIG E ".patch.value.typed_config"

static const struct {
    const char *in, *said;
} problems[] = {
    /* patches that are not applied */
    { F "  - {applyTo: LISTENER, patch: {operation: ADD, value: {}}}\n", W ".applyTo: this patch is not applied: those of "
      "HTTP_FILTER, NETWORK_FILTER, VIRTUAL_HOST, HTTP_ROUTE, CLUSTER may be\n" },
    { F "  - {applyTo: CLUSTER, patch: {operation: ADD, value: {}}}\n", W ".patch.operation: this patch is not applied: clusters "
      "are only merged here\n" },
    { F PATCH("HTTP_FILTER", "proxy: {proxyVersion: x}", "INSERT_FIRST", "{}"), W ".match.proxy: this patch is not applied: no "
      "proxy here has a version of Istio's, nor is a waypoint\n" },
    { F PATCH("HTTP_FILTER", "listener: {filterChain: {sni: x}}", "INSERT_FIRST", "{}"), W ".match.listener.filterChain.sni: this "
      "patch is not applied: nothing here is told apart by that\n" },
    { F PATCH("HTTP_FILTER", SUB("envoy.filters.http.lua"), "INSERT_BEFORE", "{}"), W ".match.listener.filterChain.filter.subFilter"
      ".name: this patch is not applied: there is no such filter here\n" },
    { F PATCH("HTTP_FILTER", SUB("envoy.filters.http.router"), "INSERT_AFTER", "{}"), W ".match.listener.filterChain.filter."
      "subFilter.name: this patch is not applied: behind the router no filter is reached\n" },
    { F PATCH("HTTP_FILTER", "", "ADD", "{}"), W ".patch.operation: this patch is not applied: it adds a filter behind the router, "
      "where none is reached\n" },
    { F PATCH("HTTP_FILTER", "", "MERGE", "{}"), W ".patch.operation: this patch is not applied: filters are only inserted or added "
      "here\n" },
    { F PATCH("HTTP_FILTER", "", "INSERT_FIRST", "{name: l, typed_config: {'@type': type.googleapis.com/a.Lua}}"),
      W ".patch.value.typed_config: not applied: of filters' configurations envoy.extensions.filters.http.local_ratelimit.v3."
      "LocalRateLimit is, not \"a.Lua\"\n" },
    { F PATCH("NETWORK_FILTER", "listener: {filterChain: {filter: {name: envoy.filters.network.http_connection_manager}}}",
      "INSERT_BEFORE", "{}"), W ".match.listener.filterChain.filter.name: this patch is not applied: connections are limited where "
      "they are TCP's, ahead of envoy.filters.network.tcp_proxy\n" },
    { F_IN("shop", "f", "  targetRefs: [{kind: Service, name: web}]\n") HTTP("", "INSERT_FIRST", "p"),
      "warning: spec.targetRefs: nothing of this is applied: filters are for workloads by workloadSelector here\n" },

    /* fields that are not */
    { F PATCH("HTTP_FILTER", "", "INSERT_FIRST", FILTER(LIMIT("p", ", local_cluster_rate_limit: {}, filterEnforce: x"))),
      W ".patch.value.typed_config.local_cluster_rate_limit: not applied\n"
      W ".patch.value.typed_config.filterEnforce: unknown field, not applied: did you mean \"filterEnforced\"?\n" },
    { F PATCH("HTTP_FILTER", "", "INSERT_FIRST", FILTER(LIMIT("p", ", response_headers_to_add: [{header: {key: a, value: "
      "'%PROTOCOL%'}}]"))), W ".patch.value.typed_config.response_headers_to_add[0].header.value: is sent as it stands: no "
      "%OPERATOR% is applied\n" },
    { F HOST("", "{rate_limits: [{actions: [{generic_key: {descriptor_value: a}}, {metadata: {}}]}]}"),
      W ".patch.value.rate_limits[0].actions[1].metadata: not applied\n"
      W ".patch.value.rate_limits[0].actions[1]: no descriptor is made of these actions: this one is not known here\n" },
    { F HOST("", "{rate_limits: [{stage: 1, actions: [{remote_address: {}}]}], cors: {}}"),
      W ".patch.value.rate_limits[0].stage: not applied, nor are these actions: limits have stage 0 here\n"
      W ".patch.value.cors: not applied\n" },

    { F CHECK("custom_health_check: {}"), AT_CHECK(W) ".custom_health_check: not applied: checks are by HTTP, TCP and gRPC\n" },
    { F CHECK("tcp_health_check: {}, alt_port: 80, event_service: {}"), AT_CHECK(W) ".event_service: not applied\n"
      AT_CHECK(W) ".alt_port: no check is made: it would be at the port of requests\n" },
    { F CHECK("http_health_check: {path: /, codec_client_type: HTTP2}"), AT_CHECK(W) ".http_health_check.codec_client_type: no "
      "check is made: it would be by HTTP/1\n" },
    { F PATCH("CLUSTER", "", "MERGE", "{lb_policy: RANDOM}"), W ".patch.value.lb_policy: not applied\n" },

    /* what Istio or Envoy refuses */
    { F PATCH("CLUSTER", "", "MERGE", "{health_checks: [{tcp_health_check: {}, http_health_check: {path: a b, host: 'a b', method: "
      "CONNECT, expected_statuses: [{start: 200, end: 200}]}, timeout: 0s}]}"),
      AT_CHECK(E) ".http_health_check.expected_statuses[0]: must be a range of statuses from 100 to 599: `end` is the first that is "
      "not in it\n" AT_CHECK(E) ".http_health_check.path: must be a path as it is asked for: it begins with '/' and has no blanks\n"
      AT_CHECK(E) ".http_health_check.host: \"a b\" is no host name\n" AT_CHECK(E) ".http_health_check.method: must not be CONNECT\n"
      AT_CHECK(E) ".interval: missing\n" AT_CHECK(E) ".unhealthyThreshold: missing\n" AT_CHECK(E) ".healthyThreshold: missing\n"
      AT_CHECK(E) ".tcp_health_check: only one of httpHealthCheck, tcpHealthCheck, grpcHealthCheck, customHealthCheck may be given\n"
      AT_CHECK(E) ".timeout: must be at least 1 ms\n" },
    { F CHECK("tcp_health_check: {send: {text: '5'}}"), AT_CHECK(E) ".tcp_health_check.send.text: must be bytes in hexadecimal "
      "digits, as in 50494e47\n" },
    { F "  - {patch: {operation: MERGE, value: {}}}\n", E ".applyTo: missing: what is patched, as in HTTP_FILTER\n" },
    { F "  - {applyTo: HTTP_FILTER}\n", E ".patch: missing: what is done\n" },
    { F "  - {applyTo: HTTP_FILTER, patch: {operation: MERGE}}\n", E ".patch.value: missing\n" },
    { F PATCH("HTTP_ROUTE", "listener: {}", "MERGE", "{}"), E ".match.listener: does not go with this applyTo\n" },
    { F PATCH("HTTP_FILTER", "", "INSERT_FIRST", FILTER("{'@type': x/" "envoy.extensions.filters.http.local_ratelimit.v3."
      "LocalRateLimit, stat_prefix: p, token_bucket: {max_tokens: 0, fill_interval: 10ms}}")),
      CONFIG ".token_bucket.max_tokens: must be at least 1\n" CONFIG ".token_bucket.fill_interval: must be at least 50 ms\n" },
    { F PATCH("HTTP_FILTER", "", "INSERT_FIRST", FILTER("{'@type': " TYPE ", stat_prefix: 'a \"b', filter_enabled: {default_value: "
      "{numerator: 1}}}")), CONFIG ".stat_prefix: must be a word, without quotes and backslashes\n"
      CONFIG ".tokenBucket: missing: how many requests are let through\n" },
    { F PATCH("HTTP_FILTER", "", "INSERT_FIRST", FILTER(LIMIT("p", ", descriptors: [{entries: []}]"))),
      CONFIG ".descriptors[0].tokenBucket: missing\n" CONFIG ".descriptors[0].entries: must not be empty\n" },
    { F HOST("", "{rate_limits: [{actions: [{generic_key: {descriptor_value: a}, remote_address: {}}]}]}"),
      E ".patch.value.rate_limits[0].actions[0].remote_address: only one of genericKey, requestHeaders, queryParameters, "
      "headerValueMatch, queryParameterValueMatch, remoteAddress, destinationCluster may be given\n" },
    { F HOST("", "{rate_limits: [{actions: [{header_value_match: {descriptor_value: a, headers: [{name: b, string_match: {safe_regex: "
      "{regex: '('}}}]}}]}]}"), E ".patch.value.rate_limits[0].actions[0].header_value_match.headers[0].string_match.safe_regex.regex: "
      "regular expression \"(\": at 1: missing closing parenthesis\n" },
};

START_TEST(tells_problems)
{
    struct world w;

    world_init(&w);
    ck_assert_int_eq(world_parse(&w, problems[_i].in), 0);
    mesh_build(&w.arena, &w.objects, &w.problems, NULL);
    ck_assert_str_eq(world_said(&w), problems[_i].said);
    world_fini(&w);
}
END_TEST

/* ---- health checks ---- */

#define HTTP_CHECK "http_health_check: {path: /z}"

static const struct {
    const char *what, *in;
    enum proxy_role role;
    const char *said; /* the clusters that are checked, and how */
} checks[] = {
    { "all of them", F CHECK(HTTP_CHECK), PROXY_SIDECAR, "in|8080: GET /z\nin|9000: GET /z\nout|80|other: GET /z\nout|80|web: GET "
      "/z\nout|9000|db: GET /z\n" },
    { "by service", F CHECKED("cluster: {service: web.shop.svc.cluster.local}", HTTP_CHECK), PROXY_GATEWAY, "out|80|web: GET /z\n" },
    { "by port", F CHECKED("context: SIDECAR_OUTBOUND, cluster: {portNumber: 9000}", HTTP_CHECK), PROXY_SIDECAR,
      "out|9000|db: GET /z\n" },
    { "by side", F CHECKED("context: SIDECAR_INBOUND", "tcp_health_check: {}"), PROXY_SIDECAR, "in|8080: tcp\nin|9000: tcp\n" },
    { "not a gateway's", F CHECKED("context: SIDECAR_OUTBOUND", HTTP_CHECK), PROXY_GATEWAY, "" },
    { "by name alone", F CHECKED("cluster: {name: 'outbound|9000||db.shop.svc.cluster.local', portNumber: 1}", HTTP_CHECK),
      PROXY_GATEWAY, "out|9000|db: GET /z\n" },
    { "by subset", F CHECKED("cluster: {subset: v1}", HTTP_CHECK), PROXY_GATEWAY, "" },
    { "the last counts", F CHECKED("cluster: {portNumber: 9000}", HTTP_CHECK) CHECKED("cluster: {portNumber: 9000}",
      "tcp_health_check: {send: {text: '4142'}, receive: [{text: '43'}]}"), PROXY_GATEWAY, "out|9000|db: tcp AB C\n" },
    { "by gRPC", F CHECKED("cluster: {portNumber: 9000}", "grpc_health_check: {service_name: s, authority: a}"), PROXY_GATEWAY,
      "out|9000|db: grpc s a\n" },
    { "all of it", F CHECKED("cluster: {portNumber: 9000}", "http_health_check: {path: /z, host: h, method: HEAD, expected_statuses: "
      "[{start: 200, end: '300'}], retriable_statuses: [{start: 500, end: 501}], request_headers_to_add: [{header: {key: X-A, value: "
      "b}}]}"), PROXY_GATEWAY, "out|9000|db: HEAD /z h 200-300 500-501? +x-a:b\n" },
};

static void put_check(struct buf *b, const struct cluster *c)
{
    const struct health_check *h = c->check;
    bool out = str_starts(c->name, STR("outbound|"));

    ck_assert(h->timeout_ms == 1000 && h->interval_ms == 5000 && h->unhealthy_interval_ms == 5000 && h->no_traffic_ms == 60000 &&
              h->unhealthy_threshold == 3 && h->healthy_threshold == 2);
    buf_printf(b, "%s|%u%s%.*s: ", out ? "out" : "in", c->port, out ? "|" : "", STR_ARG(out ? c->service : STR("")));
    if (h->kind == HEALTH_CHECK_HTTP)
        buf_printf(b, "%.*s %.*s%s%.*s", STR_ARG(h->method), STR_ARG(h->path), h->host.n ? " " : "", STR_ARG(h->host));
    else if (h->kind == HEALTH_CHECK_GRPC)
        buf_printf(b, "grpc %.*s %.*s", STR_ARG(h->service), STR_ARG(h->host));
    else
        buf_printf(b, "tcp%s%.*s", h->send.n ? " " : "", STR_ARG(h->send));
    for (size_t i = 0; i < h->nreceive; i++)
        buf_printf(b, " %.*s", STR_ARG(h->receive[i]));
    for (size_t i = 0; i < h->nexpected; i++)
        buf_printf(b, " %u-%u", h->expected[i].from, h->expected[i].to);
    for (size_t i = 0; i < h->nretriable; i++)
        buf_printf(b, " %u-%u?", h->retriable[i].from, h->retriable[i].to);
    for (size_t i = 0; i < h->nheaders; i++)
        buf_printf(b, " %s%.*s:%.*s", h->headers[i].op == HEADER_SET ? "=" : "+", STR_ARG(h->headers[i].name),
                   STR_ARG(h->headers[i].value));
    buf_putc(b, '\n');
}

START_TEST(places_checks)
{
    const struct proxy_snapshot *s;
    struct world w;

    world_init(&w);
    s = policy_snapshot(&w, checks[_i].in, checks[_i].role);
    buf_reset(&w.text);
    for (size_t i = 0; i < s->nclusters; i++)
        if (s->clusters[i].check)
            put_check(&w.text, &s->clusters[i]);
    ck_assert_msg(strcmp(world_text(&w), checks[_i].said) == 0, "%s:\n%s", checks[_i].what, w.text.p);
    world_fini(&w);
}
END_TEST

/* More than fits is refused, each with its bound. */
START_TEST(bounds_lists)
{
    struct buf b = BUF_INIT(1 << 20);
    struct world w;

    world_init(&w);
    buf_puts(&b, F "  - applyTo: VIRTUAL_HOST\n    patch: {operation: MERGE, value: {rate_limits: [");
    for (int i = 0; i < 17; i++) {
        buf_puts(&b, i ? ", {actions: [" : "{actions: [");
        for (int k = 0; k < 9; k++)
            buf_printf(&b, "%s{generic_key: {descriptor_value: a}}", k ? ", " : "");
        buf_puts(&b, "]}");
    }
    buf_puts(&b, "]}}\n");
    ck_assert_int_eq(world_parse(&w, arena_cstr(&w.arena, buf_view(&b))), 0);
    ck_assert_ptr_null(mesh_build(&w.arena, &w.objects, &w.problems, NULL));
    ck_assert_uint_eq(w.problems.errors, 18);
    buf_free(&b);
    world_fini(&w);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("mesh/envoy_filter");
    TCase *t = tcase_create("envoy_filter");

    tcase_add_loop_test(t, places_limits, 0, COUNT(cases));
    tcase_add_test(t, keys_name_buckets);
    tcase_add_loop_test(t, tells_problems, 0, COUNT(problems));
    tcase_add_loop_test(t, places_checks, 0, COUNT(checks));
    tcase_add_test(t, bounds_lists);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
