/* kiali_test.c: Kiali's own cases, where they lie beside the project ($CONFORMANCE_DIR, else ../shared/conformance).
 *
 * Vectors in, graph JSON out, to be equal to the last byte of each value; and counts in, health out. */
#include "graph/graph-internal.h"
#include "tests/unit/unit.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/regex.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>

static json_t *load(const char *file)
{
    const char *dir = getenv("CONFORMANCE_DIR");
    char path[4096];
    json_error_t e;
    json_t *j;

    snprintf(path, sizeof(path), "%s/kiali/%s", dir ? dir : "../shared/conformance", file);
    j = json_load_file(path, 0, &e);
    if (!j)
        printf("skipped: %s is not here (CONFORMANCE_DIR)\n", path);
    return j;
}

static struct str text(const json_t *j)
{
    return json_is_string(j) ? (struct str){ json_string_value(j), json_string_length(j) } : STR_NULL;
}

static double number(const json_t *j)
{
    return json_is_string(j) ? atof(json_string_value(j)) : json_number_value(j);
}

/* ---- graphs ---------------------------------------------------------------------------------------------------- */

static const struct {
    const char *file;
    enum graph_type type;
    bool inject, idle;
} graphs[] = {
    { "graph/test_workload_graph.json", GRAPH_WORKLOAD, false, false },
    { "graph/test_app_graph.json", GRAPH_APP, false, false },
    { "graph/test_mc_source_graph.json", GRAPH_VERSIONED_APP, true, true },
    { "graph/test_workload_node_graph.json", GRAPH_WORKLOAD, false, false },
    { "graph/test_service_node_graph.json", GRAPH_WORKLOAD, false, false },
};

static struct labels read_labels(struct arena *a, json_t *metric, const char *reporter)
{
    struct label *v = arena_array(a, json_object_size(metric) + 1, sizeof(*v));
    const char *name;
    json_t *value;
    size_t n = 0;

    ck_assert_ptr_nonnull(v);
    json_object_foreach(metric, name, value)
        v[n++] = (struct label){ str_of(name), text(value) };
    v[n++] = (struct label){ STR("reporter"), str_of(reporter) };
    ck_assert_int_eq(labels_normalise(v, &n, NULL), 0);
    return (struct labels){ v, n };
}

static void read_input(struct graph *g, struct ledger *l, json_t *input)
{
    const char *query = json_string_value(json_object_get(input, "query"));
    const char *reporter = strstr(query, "reporter=\"source\"") ? "source" : "destination";
    enum metric m = strstr(query, "istio_requests_total") ? METRIC_REQUESTS : METRIC_TCP_RECEIVED;
    json_t *row;
    size_t i;

    json_array_foreach(json_object_get(input, "vector"), i, row)
        ck_assert_int_eq(graph_read(g, l, m, read_labels(l->a, json_object_get(row, "metric"), reporter),
                                    number(json_object_get(row, "value")) * g->seconds),
                         0);
}

static char *answer(json_t *root, size_t row)
{
    struct str bookinfo = STR("bookinfo"), declared[16];
    struct graph_options o = { .from_ms = 1523363475000,
                               .to_ms = 1523364075000,
                               .type = graphs[row].type,
                               .inject_service_nodes = graphs[row].inject,
                               .include_idle_edges = graphs[row].idle,
                               .namespaces = &bookinfo,
                               .nnamespaces = 1,
                               .declared = declared };
    struct arena a = ARENA_INIT(0);
    struct buf out = BUF_INIT(1 << 24);
    struct err e = ERR_INIT;
    struct ledger l;
    struct graph *g;
    json_t *j;
    size_t i;

    json_array_foreach(json_object_get(json_object_get(root, "context"), "accessibleNamespaces"), i, j)
        declared[o.ndeclared++] = text(json_object_get(j, "namespace"));
    ledger_init(&l, &a);
    g = graph_new(&o, &e);
    ck_assert_ptr_nonnull(g);
    json_array_foreach(json_object_get(root, "inputs"), i, j)
        read_input(g, &l, j);
    ck_assert_msg(graph_finish(g, &l, &e) == 0, "%s", e.msg);
    ck_assert_int_eq(graph_export(g, GRAPH_KIALI_PLAIN, &out, &e), 0);
    graph_free(g);
    ledger_fini(&l);
    arena_free(&a);
    buf_putc(&out, '\0');
    return buf_take(&out, NULL);
}

START_TEST(draws_kialis_graphs)
{
    json_t *root = load(graphs[_i].file), *got, *want;
    char *ours, *dump;

    if (!root)
        return;
    ours = answer(root, (size_t)_i);
    got = json_loads(ours, 0, NULL);
    want = json_object_get(root, "expected");
    dump = json_dumps(want, JSON_COMPACT);
    ck_assert_msg(json_equal(got, want), "%s\ngot  %s\nwant %s", graphs[_i].file, ours, dump);
    free(dump);
    mem_free(ours);
    json_decref(got);
    json_decref(root);
}
END_TEST

/* ---- health ---------------------------------------------------------------------------------------------------- */

static struct regex *pattern(struct arena *a, const json_t *j)
{
    struct regex *re = text(j).n ? regex_compile(a, text(j), REGEX_FULL, NULL) : NULL;

    ck_assert(re || !text(j).n);
    return re;
}

static struct health_rule *read_rules(struct arena *a, json_t *list)
{
    struct health_rule *rules = arena_array(a, json_array_size(list) + 1, sizeof(*rules));
    json_t *j, *t;
    size_t i, k;

    json_array_foreach(list, i, j) {
        json_t *tolerances = json_object_get(j, "tolerance");

        rules[i].ns = pattern(a, json_object_get(j, "namespace"));
        rules[i].kind = pattern(a, json_object_get(j, "kind"));
        rules[i].name = pattern(a, json_object_get(j, "name"));
        rules[i].tolerances = arena_array(a, json_array_size(tolerances) + 1, sizeof(struct health_tolerance));
        json_array_foreach(tolerances, k, t)
            ck_assert_int_eq(health_tolerance_init(&rules[i].tolerances[rules[i].n++], a,
                                                   text(json_object_get(t, "code")),
                                                   text(json_object_get(t, "protocol")),
                                                   text(json_object_get(t, "direction")),
                                                   number(json_object_get(t, "degraded")),
                                                   number(json_object_get(t, "failure")), NULL),
                             0);
    }
    return rules;
}

enum { MAX = 64 };

static size_t read_counts(json_t *requests, struct health_count *c)
{
    static const char *const directions[] = { "inbound", "outbound" };
    const char *protocol, *code;
    json_t *codes, *count;
    size_t n = 0;

    for (size_t d = 0; d < 2; d++)
        json_object_foreach(json_object_get(requests, directions[d]), protocol, codes)
            json_object_foreach(codes, code, count)
                c[n++] = (struct health_count){ directions[d], str_of(protocol), str_of(code), number(count) };
    ck_assert_uint_le(n, MAX);
    return n;
}

static enum health read_replicas(const json_t *j)
{
    struct health_replicas r;
    json_t *synced;

    if (!json_is_object(j))
        return health_of_replicas(NULL);
    synced = json_object_get(j, "syncedProxies");
    r = (struct health_replicas){ (int)number(json_object_get(j, "desiredReplicas")),
                                  (int)number(json_object_get(j, "currentReplicas")),
                                  (int)number(json_object_get(j, "availableReplicas")),
                                  synced ? (int)number(synced) : -1 };
    return health_of_replicas(&r);
}

static enum health judge(struct arena *a, json_t *c)
{
    struct health_count counts[MAX];
    json_t *rate = json_object_get(c, "rate"), *health = json_object_get(c, "health"), *j;
    const struct health_rule *rule;
    enum health h;
    size_t i;

    if (!json_is_object(health))
        return HEALTH_NA;
    rule = health_rule_for(read_rules(a, rate), json_array_size(rate), text(json_object_get(c, "namespace")),
                           text(json_object_get(c, "kind")), text(json_object_get(c, "name")));
    h = health_of(rule, counts, read_counts(json_object_get(health, "requests"), counts));
    h = health_worse(h, read_replicas(json_object_get(health, "workloadStatus")));
    json_array_foreach(json_object_get(health, "workloadStatuses"), i, j)
        h = health_worse(h, read_replicas(j));
    return h;
}

START_TEST(judges_as_kiali)
{
    json_t *root = load("health/calculator.json"), *c;
    size_t i;

    json_array_foreach(json_object_get(root, "cases"), i, c) {
        struct arena a = ARENA_INIT(0);

        ck_assert_msg(str_eqz(text(json_object_get(c, "expected")), health_name(judge(&a, c))), "%s: %s",
                      text(json_object_get(c, "test")).p, health_name(judge(&a, c)));
        arena_free(&a);
    }
    json_decref(root);
}
END_TEST

START_TEST(judges_replicas_and_ratios_as_kiali)
{
    json_t *replicas = load("health/workload_status.json"), *ratios = load("health/error_ratio.json"), *c;
    struct health_count counts[MAX];
    size_t i;

    json_array_foreach(json_object_get(replicas, "cases"), i, c)
        ck_assert_str_eq(health_name(read_replicas(json_object_get(c, "workloadStatus"))),
                         text(json_object_get(c, "expected")).p);
    json_array_foreach(json_object_get(ratios, "cases"), i, c)
        ck_assert_double_eq_tol(health_error_ratio(counts, read_counts(json_object_get(c, "health"), counts)),
                                number(json_object_get(c, "expected")), 1e-9);
    json_decref(replicas);
    json_decref(ratios);
}
END_TEST

static enum health named(struct str name)
{
    for (enum health h = HEALTH_NA; h <= HEALTH_FAILURE; h++)
        if (str_eqz(name, health_name(h)))
            return h;
    return HEALTH_NA;
}

START_TEST(takes_the_worse_as_kiali)
{
    json_t *root = load("health/merge.json"), *c;
    size_t i;

    json_array_foreach(json_object_get(root, "merge"), i, c)
        ck_assert_str_eq(health_name(health_worse(named(text(json_object_get(c, "a"))), named(text(json_object_get(c, "b"))))),
                         text(json_object_get(c, "expected")).p);
    json_array_foreach(json_object_get(root, "priority"), i, c)
        ck_assert_int_eq(named(text(json_object_get(c, "status"))), (int)number(json_object_get(c, "expected")));
    json_decref(root);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("kiali");
    TCase *t = tcase_create("conformance");

    tcase_add_loop_test(t, draws_kialis_graphs, 0, COUNT(graphs));
    tcase_add_test(t, judges_as_kiali);
    tcase_add_test(t, judges_replicas_and_ratios_as_kiali);
    tcase_add_test(t, takes_the_worse_as_kiali);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
