/* What DestinationRules say of upstreams: balancing, pools, health, localities; and what nobody says. */
#include "tests/unit/mesh/mesh_help.h"

#define POD(name, labels, ip)                                                                                          \
    "---\napiVersion: v1\nkind: Pod\nmetadata: {name: " name ", labels: {" labels "}}\n"                                 \
    "spec: {nodeName: node-" name ", containers: [{name: main}]}\n"                                                    \
    "status: {podIP: " ip ", conditions: [{type: Ready, status: 'True'}]}\n"
#define PLACE(region, zone) "topology.kubernetes.io/region: " region ", topology.kubernetes.io/zone: " zone
#define MESH                                                                                                           \
    "apiVersion: v1\nkind: Node\nmetadata: {name: node-a3, labels: {" PLACE("eu", "eu-2") "}}\n"                        \
    POD("me", "app: me, tier: x, " PLACE("eu", "eu-1"), "127.10.0.9")                                                  \
    POD("a1", "app: a, tier: x, " PLACE("eu", "eu-1"), "127.10.0.1")                                                   \
    POD("a2", "app: a, istio-locality: eu.eu-1.rack", "127.10.0.2")                                                    \
    POD("a3", "app: a, tier: x", "127.10.0.3")                                                                         \
    POD("a4", "app: a, " PLACE("us", "us-1"), "127.10.0.4") POD("a5", "app: a, " PLACE("asia", "asia-1"), "127.10.0.5") \
    "---\napiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec:\n  selector: {app: a}\n  ports:\n"                   \
    "  - {name: http, port: 80}\n  - {name: grpc-x, port: 81}\n  - {name: tcp, port: 82}\n  - {name: other, port: 83}\n"  \
    "  - {name: h2c, port: 84, appProtocol: kubernetes.io/h2c}\n  - {name: web, port: 85, appProtocol: grpc-web}\n"
#define RULE(name, spec)                                                                                               \
    "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: " name "}\nspec:\n  host: s\n" spec "\n"

static void put_number(struct buf *b, const char *name, uint64_t v, uint64_t usual)
{
    if (v != usual)
        buf_printf(b, " %s=%llu", name, (unsigned long long)v);
}

static void put_hash(struct buf *b, const struct cluster *c)
{
    static const char *const kinds[] = { "header", "cookie", "source", "query" };

    buf_printf(b, " %s:%.*s/%u", kinds[c->hash.kind], STR_ARG(c->hash.name), c->hash.table);
    if (c->hash.kind == LB_HASH_COOKIE)
        buf_printf(b, ",%.*s,%lld", STR_ARG(c->hash.path), (long long)c->hash.ttl_ms);
}

/* What differs from Istio's defaults, in words. */
static const char *cluster_text(struct world *w, const struct cluster *c)
{
    static const char *const policies[] = { "least", "round", "random", "ring", "maglev" };
    struct buf *b = &w->text;

    buf_reset(b);
    buf_puts(b, policies[c->lb]);
    if (c->lb >= LB_RING_HASH)
        put_hash(b, c);
    buf_printf(b, "%s%s%s", c->passthrough ? " passthrough" : "", c->http2 ? " http2" : "",
               c->client_protocol ? " client-protocol" : "");
    put_number(b, "warmup", (uint64_t)c->warmup_ms, 0);
    put_number(b, "warmup-percent", c->warmup_percent, 10);
    put_number(b, "warmup-tenths", (uint64_t)(c->warmup_aggression * 10), 10);
    put_number(b, "connect", (uint64_t)c->connect_timeout_ms, 10000);
    put_number(b, "idle", (uint64_t)c->idle_timeout_ms, 3600000);
    put_number(b, "lifetime", (uint64_t)c->max_connection_ms, 0);
    put_number(b, "connections", c->max_connections, UINT32_MAX);
    put_number(b, "pending", c->max_pending, UINT32_MAX);
    put_number(b, "requests", c->max_requests, UINT32_MAX);
    put_number(b, "retries", c->max_retries, UINT32_MAX);
    put_number(b, "per-connection", c->max_requests_per_connection, 0);
    put_number(b, "streams", c->max_streams, INT32_MAX);
    put_number(b, "budget", c->retry_budget_percent, 0);
    put_number(b, "budget-least", c->retry_budget_min, 0);
    put_number(b, "proxy-protocol", c->proxy_protocol, 0);
    if (c->keepalive)
        buf_printf(b, " keepalive=%u/%lld/%lld", c->keepalive_probes, (long long)c->keepalive_idle_ms,
                   (long long)c->keepalive_interval_ms);
    if (c->ping_interval_ms)
        buf_printf(b, " ping=%lld/%lld", (long long)c->ping_interval_ms, (long long)c->ping_timeout_ms);
    if (c->outlier.on)
        buf_printf(b, " outlier=%u/%u/%u%s %lld/%lld %u%%/%u%%+%zu", c->outlier.consecutive_5xx,
                   c->outlier.consecutive_gateway, c->outlier.consecutive_local, c->outlier.split ? "split" : "",
                   (long long)c->outlier.interval_ms, (long long)c->outlier.base_ejection_ms,
                   c->outlier.max_ejection_percent, c->outlier.min_health_percent, c->outlier.ncodes);
    return world_text(w);
}

#define BALANCER(s) RULE("r", "  trafficPolicy: {loadBalancer: {" s "}}")
#define TCP(s)      RULE("r", "  trafficPolicy: {connectionPool: {tcp: {" s "}}}")
#define HTTP(s)     RULE("r", "  trafficPolicy: {connectionPool: {http: {" s "}}}")
#define OUTLIER(s)  RULE("r", "  trafficPolicy: {outlierDetection: {" s "}}")

static const struct {
    const char *rules, *cluster, *said;
} policies[] = {
    { "", "80||", "least" },
    { "", "81||", "least http2" },
    { "", "82||", "least" },
    { "", "83||", "least client-protocol" },
    { "", "84||", "least http2" },
    { "", "85||", "least" },

    { BALANCER("simple: LEAST_CONN"), "80||", "least" },
    { BALANCER("simple: ROUND_ROBIN"), "80||", "round" },
    { BALANCER("simple: RANDOM"), "80||", "random" },
    { BALANCER("simple: PASSTHROUGH"), "80||", "least passthrough" },
    { BALANCER("consistentHash: {httpHeaderName: X-User}"), "80||", "ring header:x-user/1024" },
    { BALANCER("consistentHash: {useSourceIp: true, minimumRingSize: 64}"), "80||", "ring source:/64" },
    { BALANCER("consistentHash: {httpQueryParameterName: q, ringHash: {minimumRingSize: 2048}}"), "80||", "ring query:q/2048" },
    { BALANCER("consistentHash: {httpCookie: {name: u}, maglev: {}}"), "80||", "maglev cookie:u/65537,,-1" },
    { BALANCER("consistentHash: {httpCookie: {name: u, path: /x, ttl: 0s}, maglev: {tableSize: 1009}}"), "80||",
      "maglev cookie:u/1009,/x,0" },
    { BALANCER("consistentHash: {httpCookie: {name: u, ttl: 60s}}"), "80||", "ring cookie:u/1024,,60000" },
    { BALANCER("simple: RANDOM, warmup: {duration: 60s}"), "80||", "random warmup=60000" },
    { BALANCER("warmup: {duration: 60s, minimumPercent: 0, aggression: 1.5}"), "80||",
      "least warmup=60000 warmup-percent=0 warmup-tenths=15" },
    { BALANCER("warmupDurationSecs: 30s"), "80||", "least warmup=30000" },

    { TCP("maxConnections: 5, connectTimeout: 30ms, idleTimeout: 2s, maxConnectionDuration: 1h"), "80||",
      "least connect=30 idle=2000 lifetime=3600000 connections=5" },
    { TCP("idleTimeout: 0s, maxConnections: 0"), "80||", "least idle=0" },
    { TCP("tcpKeepalive: {}"), "82||", "least keepalive=0/0/0" },
    { TCP("tcpKeepalive: {probes: 3, time: 7200s, interval: 75s}"), "82||", "least keepalive=3/7200000/75000" },
    { HTTP("http1MaxPendingRequests: 1, http2MaxRequests: 2, maxRequestsPerConnection: 3, maxRetries: 4, idleTimeout: 5s, "
           "maxConcurrentStreams: 6"), "80||", "least idle=5000 pending=1 requests=2 retries=4 per-connection=3 streams=6" },
    { HTTP("http2KeepAlive: {interval: 10s, timeout: 5s}"), "81||", "least http2 ping=10000/5000" },
    { HTTP("h2UpgradePolicy: UPGRADE"), "80||", "least http2" },
    { HTTP("h2UpgradePolicy: UPGRADE"), "82||", "least" },
    { HTTP("useClientProtocol: true"), "80||", "least client-protocol" },
    { HTTP("useClientProtocol: true"), "81||", "least client-protocol" },
    { RULE("r", "  trafficPolicy: {connectionPool: {tcp: {idleTimeout: 2s}, http: {idleTimeout: 3s}}}"), "80||",
      "least idle=3000" },

    { OUTLIER(""), "80||", "least outlier=5/0/5 10000/30000 10%/0%+0" },
    { OUTLIER("consecutive5xxErrors: 0, consecutiveGatewayErrors: 3, interval: 1s, baseEjectionTime: 2s, maxEjectionPercent: "
              "100, minHealthPercent: 50, splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 7, "
              "outlierDetectionHttpErrorCodes: [500, 503]"),
      "80||", "least outlier=0/3/7split 1000/2000 100%/50%+2" },
    { RULE("r", "  trafficPolicy: {proxyProtocol: {}}"), "82||", "least proxy-protocol=1" },
    { RULE("r", "  trafficPolicy: {proxyProtocol: {version: V2}}"), "82||", "least proxy-protocol=2" },
    { RULE("r", "  trafficPolicy: {retryBudget: {}}"), "80||", "least budget=20 budget-least=3" },
    { RULE("r", "  trafficPolicy: {retryBudget: {percent: 50, minRetryConcurrency: 0}}"), "80||", "least budget=50" },

    /* which of several counts */
    { RULE("r", "  trafficPolicy: {outlierDetection: {}, proxyProtocol: {}, portLevelSettings: [{port: {number: 80}, "
                "loadBalancer: {simple: RANDOM}}]}"), "80||", "random proxy-protocol=1" },
    { RULE("r", "  trafficPolicy: {outlierDetection: {}, portLevelSettings: [{port: {number: 80}, loadBalancer: {simple: "
                "RANDOM}}]}\n  subsets: [{name: v1, trafficPolicy: {connectionPool: {tcp: {maxConnections: 1}}}}]"),
      "80|v1|", "random connections=1" },
    { RULE("b", "  workloadSelector: {matchLabels: {app: me}}\n  trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}")
      RULE("a", "  trafficPolicy: {loadBalancer: {simple: RANDOM}}"), "80||", "round" },
    { RULE("b", "  workloadSelector: {matchLabels: {app: you}}\n  trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}")
      RULE("a", "  trafficPolicy: {loadBalancer: {simple: RANDOM}}"), "80||", "random" },
};

START_TEST(applies_policies)
{
    struct world w;
    struct proxy_identity id = identity(PROXY_SIDECAR, "me.default");
    struct buf text = BUF_INIT(1 << 16), name = BUF_INIT(1 << 10);

    world_init(&w);
    buf_printf(&text, MESH "%s", policies[_i].rules);
    buf_putc(&text, '\0');
    buf_printf(&name, "outbound|%ss.default.svc.cluster.local", policies[_i].cluster);
    buf_putc(&name, '\0');
    world_build(&w, text.p);
    ck_assert_msg(w.problems.n == 0, "%s", world_problems(&w));
    ck_assert_str_eq(cluster_text(&w, cluster_named(world_snapshot(&w, &id), name.p)), policies[_i].said);
    buf_free(&text);
    buf_free(&name);
    world_fini(&w);
}
END_TEST

/* "a1*1 a2*1/1": weights and, behind "/", priorities */
static const char *places_text(struct world *w, const struct cluster *c)
{
    buf_reset(&w->text);
    for (size_t i = 0; i < c->nendpoints; i++) {
        buf_printf(&w->text, "%s%.*s*%u", i ? " " : "", STR_ARG(c->endpoints[i].workload->pod), c->endpoints[i].weight);
        put_number(&w->text, "/", c->endpoints[i].priority, 0);
    }
    return world_text(w);
}

#define LOCALITY(s) BALANCER("localityLbSetting: {" s "}")
#define FAILOVER(s) RULE("r", "  trafficPolicy: {outlierDetection: {}, loadBalancer: {localityLbSetting: {" s "}}}")

static const struct {
    const char *what, *rules, *said;
} localities[] = {
    { "nothing said", "", "a1*1 a2*1 a3*1 a4*1 a5*1" },
    { "the default with outlier detection: the nearer first", OUTLIER(""), "a1*1 a2*1 /=1 a3*1 /=2 a4*1 /=3 a5*1 /=3" },
    { "turned off", FAILOVER("enabled: false"), "a1*1 a2*1 a3*1 a4*1 a5*1" },
    { "one region before others", FAILOVER("failover: [{from: eu, to: us}]"), "a1*1 a2*1 /=1 a3*1 /=2 a4*1 /=3 a5*1 /=4" },
    { "another region's failover", FAILOVER("failover: [{from: us, to: eu}]"), "a1*1 a2*1 /=1 a3*1 /=2 a4*1 /=3 a5*1 /=3" },
    { "failover without outlier detection", LOCALITY("failover: [{from: eu, to: us}]"), "a1*1 a2*1 a3*1 a4*1 a5*1" },
    { "by labels", FAILOVER("failoverPriority: [topology.kubernetes.io/region, tier]"),
      "a1*1 a2*1 /=1 a3*1 a4*1 /=2 a5*1 /=2" },
    { "by a label's value", FAILOVER("failoverPriority: ['topology.kubernetes.io/region=asia']"),
      "a1*1 /=1 a2*1 /=1 a3*1 /=1 a4*1 /=1 a5*1" },
    { "shares", LOCALITY("distribute: [{from: 'eu/eu-1/*', to: {'eu/*': 60, us/us-1: 40}}]"), "a1*1 a2*1 a3*1 a4*2" },
    { "shares of others", LOCALITY("distribute: [{from: us, to: {us: 100}}]"), "a1*1 a2*1 a3*1 a4*1 a5*1" },
    { "all to one", LOCALITY("distribute: [{from: eu, to: {asia: 100}}]"), "a5*1" },
};

START_TEST(places_endpoints)
{
    struct world w;
    struct proxy_identity id = identity(PROXY_SIDECAR, "me.default");
    struct buf text = BUF_INIT(1 << 16);
    const struct cluster *c;

    world_init(&w);
    buf_printf(&text, MESH "%s", localities[_i].rules);
    buf_putc(&text, '\0');
    world_build(&w, text.p);
    c = cluster_named(world_snapshot(&w, &id), "outbound|80||s.default.svc.cluster.local");
    ck_assert_msg(strcmp(places_text(&w, c), localities[_i].said) == 0, "%s: %s", localities[_i].what, w.text.p);
    buf_free(&text);
    world_fini(&w);
}
END_TEST

START_TEST(knows_localities)
{
    static const struct {
        const char *ip, *region, *zone, *subzone;
    } rows[] = {
        { "127.10.0.1", "eu", "eu-1", "" },
        { "127.10.0.2", "eu", "eu-1", "rack" },
        { "127.10.0.3", "eu", "eu-2", "" },
    };
    struct world w;
    struct proxy_identity id = identity(PROXY_SIDECAR, "me.default");
    const struct proxy_snapshot *s;

    world_init(&w);
    world_build(&w, MESH);
    s = world_snapshot(&w, &id);
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct workload *who = snapshot_workload(s, str_of(rows[i].ip));

        ck_assert_ptr_nonnull(who);
        ck_assert(str_eqz(who->region, rows[i].region));
        ck_assert(str_eqz(who->zone, rows[i].zone));
        ck_assert(str_eqz(who->subzone, rows[i].subzone));
        ck_assert(!who->mtls);
    }
    world_fini(&w);
}
END_TEST

/* A service's rule is for its own side, too, but for its connection pool alone. */
START_TEST(limits_its_own_application)
{
    struct world w;
    struct proxy_identity id = identity(PROXY_SIDECAR, "a1.default");
    const struct proxy_snapshot *s;

    id.app_address = STR("127.11.0.1");
    world_init(&w);
    world_build(&w, MESH RULE("r", "  trafficPolicy: {loadBalancer: {simple: RANDOM}, outlierDetection: {}, connectionPool: "
                                   "{tcp: {maxConnections: 5}}}"));
    s = world_snapshot(&w, &id);
    ck_assert_str_eq(cluster_text(&w, cluster_named(s, "inbound|80||")),
                     "least connections=5");
    ck_assert_str_eq(cluster_text(&w, cluster_named(s, "inbound|81||")),
                     "least http2 connections=5");
    ck_assert_int_eq((int)cluster_named(s, "inbound|80||")->tls.mode, TLS_CLIENT_OFF);
    world_fini(&w);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("mesh/policy");
    TCase *t = tcase_create("policy");

    tcase_add_loop_test(t, applies_policies, 0, COUNT(policies));
    tcase_add_loop_test(t, places_endpoints, 0, COUNT(localities));
    tcase_add_test(t, knows_localities);
    tcase_add_test(t, limits_its_own_application);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
