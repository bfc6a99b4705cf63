#include "base/mem.h"
#include "mesh/kinds-internal.h"
#include "mesh/names-internal.h"
#include "tests/unit/mesh/mesh_help.h"

static const struct {
    const char *in, *problems;
    size_t objects;
} parses[] = {
    { "apiVersion: v1\nkind: Namespace\nmetadata: {name: guestbook}\n", "", 1 },
    { "", "", 0 },
    { "---\n# nothing\n---\n", "", 0 },
    { "just text\n", "f.yaml:1: error: an object is a map with apiVersion, kind and metadata, not a scalar\n", 0 },
    { "kind: Pod\n", "f.yaml:1: error: apiVersion: missing: an object has apiVersion, kind and metadata\n"
                     "f.yaml:1: error: Pod default/: metadata: must be a map with a name\n", 0 },
    { "apiVersion: v1\nkind: Pod\nmetadata: {}\n",
      "f.yaml:3: error: Pod default/: metadata.name: missing: every object has a name\n", 0 },
    { "apiVersion: v1\nkind: Pod\nmetadata: {name: A_b}\n",
      "f.yaml:3: error: Pod default/A_b: metadata.name: \"A_b\" is no name: small letters, digits, '-' and '.', "
      "at most 253\n", 0 },
    { "apiVersion: v1\nkind: Pod\nmetadata: {name: 7}\n",
      "f.yaml:3: error: metadata.name: must be a string: write \"7\" in quotes\n", 0 },
    { "apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: {version: 1.0, 'x y': z}}\n",
      "f.yaml:3: error: Pod default/a: metadata.labels: \"version\" must be a string: put its value in quotes\n"
      "f.yaml:3: error: Pod default/a: metadata.labels: \"x y\" is no label name: letters, digits, '-', '_' and '.', at "
      "most 63, perhaps behind a prefix/\n", 0 },
    { "apiVersion: v1\nkind: Pod\nmetadata: {name: a, creationTimestamp: yesterday}\n",
      "f.yaml:3: error: Pod default/a: metadata.creationTimestamp: time \"yesterday\": not RFC 3339, as in "
      "2006-01-02T15:04:05Z\n", 0 },
    { "apiVersion: networking.istio.io/v2\nkind: VirtualService\nmetadata: {name: a}\n",
      "f.yaml:1: error: VirtualService default/a: apiVersion: \"networking.istio.io/v2\" is not a version of "
      "VirtualService: networking.istio.io/v1, v1beta1 or v1alpha3\n", 0 },
    { "apiVersion: v1\nkind: VirtualService\nmetadata: {name: a}\n",
      "f.yaml:1: error: VirtualService default/a: apiVersion: \"v1\" has no kind VirtualService: networking.istio.io/v1, "
      "v1beta1 or v1alpha3 has\n", 0 },
    { "apiVersion: networking.istio.com/v1\nkind: VirtualService\nmetadata: {name: a}\n",
      "f.yaml:1: error: VirtualService default/a: apiVersion: \"networking.istio.com/v1\" is not known: VirtualService is "
      "of networking.istio.io/v1, v1beta1 or v1alpha3\n", 0 },
    { "apiVersion: extensions/v1beta1\nkind: Deployment\nmetadata: {name: a}\n",
      "f.yaml:1: error: Deployment default/a: apiVersion: \"extensions/v1beta1\" is not known: Deployment is of apps/v1\n",
      0 },
    { "apiVersion: networking.istio.io/v1\nkind: VirtualServce\nmetadata: {name: a}\n",
      "f.yaml:2: error: VirtualServce default/a: kind: \"networking.istio.io/v1\" has no kind \"VirtualServce\": did you "
      "mean VirtualService?\n", 0 },
    { "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: a}\n",
      "f.yaml:1: warning: Gateway default/a: kind: kept, not applied: \"Gateway\" of \"gateway.networking.k8s.io/v1\" is "
      "not a kind of the mesh\n", 1 },
    { "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Namespace, metadata: {name: a}}\n- 5\n"
      "- {apiVersion: v1, kind: Namespace, metadata: {name: b}}\n",
      "f.yaml:5: error: items: must be a list of objects\n", 2 },
};

START_TEST(parses_objects)
{
    struct world w;

    world_init(&w);
    ck_assert_int_eq(world_parse(&w, parses[_i].in), 0);
    ck_assert_str_eq(world_problems(&w), parses[_i].problems);
    ck_assert_uint_eq(w.objects.n, parses[_i].objects);
    world_fini(&w);
}
END_TEST

START_TEST(fills_in_what_every_object_has)
{
    struct world w;
    const struct mesh_object *o;

    world_init(&w);
    world_parse(&w, "\n---\napiVersion: v1\nkind: Service\nmetadata:\n  name: a\n  labels: {b: '2', a: '1'}\n"
                    "  creationTimestamp: \"2024-01-02T00:00:00Z\"\n---\n"
                    "apiVersion: v1\nkind: Namespace\nmetadata: {name: n, namespace: x}\n");
    ck_assert_uint_eq(w.objects.n, 2);
    o = &w.objects.v[0];
    ck_assert(str_eqz(o->ns, "default"));
    ck_assert(str_eqz(yaml_text(yaml_path(o->root, "metadata.namespace")), "default"));
    ck_assert(str_eqz(o->labels.v[0].name, "a"));
    ck_assert_int_eq(o->created_ms, 1704153600000);
    ck_assert_int_eq(o->line, 3);
    ck_assert_uint_eq(w.objects.v[1].ns.n, 0);
    world_fini(&w);
}
END_TEST

static const struct {
    const char *in, *json, *yaml;
} prints[] = {
    { "apiVersion: v1\nkind: ConfigMap\nmetadata: {namespace: b, name: a}\ndata:\n  text: \"one\\ntwo\\n\"\n"
      "  off: \"off\"\n  n: \"1.5\"\n  empty: ''\n  url: http://x/y?z\n  t: \"tab\\t\\x7f\"\n",
      "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"namespace\":\"b\",\"name\":\"a\"},\"data\":{"
      "\"text\":\"one\\ntwo\\n\",\"off\":\"off\",\"n\":\"1.5\",\"empty\":\"\",\"url\":\"http://x/y?z\","
      "\"t\":\"tab\\u0009\\u007f\"}}",
      "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  namespace: b\n  name: a\ndata:\n  text: |\n    one\n    two\n"
      "  \"off\": \"off\"\n  \"n\": \"1.5\"\n  empty: \"\"\n  url: \"http://x/y?z\"\n  t: \"tab\\u0009\\u007f\"\n" },
    { "apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: b}\n"
      "spec: {ports: [{port: 0x50, name: x}, {port: 8e1}], list: [[1, [2]], [], {}, [{a: b, c: d}]], no: null, yes: True}\n",
      "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"a\",\"namespace\":\"b\"},\"spec\":{\"ports\":["
      "{\"port\":80,\"name\":\"x\"},{\"port\":8e1}],\"list\":[[1,[2]],[],{},[{\"a\":\"b\",\"c\":\"d\"}]],\"no\":null,"
      "\"yes\":true}}",
      "apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n  namespace: b\nspec:\n  ports:\n  - port: 80\n    name: x\n"
      "  - port: 8e1\n  list:\n  -\n    - 1\n    -\n      - 2\n  - []\n  - {}\n  -\n    - a: b\n      c: d\n"
      "  \"no\": null\n  \"yes\": true\n" },
};

START_TEST(prints_and_reads_back)
{
    struct world w;
    struct buf json = BUF_INIT(1 << 16), yaml = BUF_INIT(1 << 16), again = BUF_INIT(1 << 16);

    world_init(&w);
    world_parse(&w, prints[_i].in);
    ck_assert_msg(w.objects.n == 1, "%s", world_problems(&w));
    mesh_object_json(&json, &w.objects.v[0]);
    mesh_object_yaml(&yaml, &w.objects.v[0]);
    buf_putc(&json, '\0');
    buf_putc(&yaml, '\0');
    ck_assert_str_eq(json.p, prints[_i].json);
    ck_assert_str_eq(yaml.p, prints[_i].yaml);
    world_parse(&w, yaml.p);
    world_parse(&w, json.p);
    ck_assert_msg(w.objects.n == 3, "%s", world_problems(&w));
    for (size_t i = 1; i < 3; i++) {
        buf_reset(&again);
        mesh_object_json(&again, &w.objects.v[i]);
        buf_putc(&again, '\0');
        ck_assert_str_eq(again.p, json.p);
    }
    buf_free(&json);
    buf_free(&yaml);
    buf_free(&again);
    world_fini(&w);
}
END_TEST

START_TEST(finds_kinds_by_all_their_names)
{
    ck_assert_str_eq(mesh_kind_find(STR("vs"))->kind, "VirtualService");
    ck_assert_str_eq(mesh_kind_find(STR("VirtualServices"))->kind, "VirtualService");
    ck_assert_str_eq(mesh_kind_find(STR("deployment"))->kind, "Deployment");
    ck_assert_ptr_null(mesh_kind_find(STR("virtual")));
    for (const struct mesh_kind *k = mesh_kinds; k->kind; k++) {
        ck_assert_ptr_eq(mesh_kind_find(str_of(k->plural)), k);
        ck_assert(api_group_known(str_of(k->group)));
    }
}
END_TEST

static const struct {
    const char *a, *b;
    bool near;
} words[] = {
    { "host", "hosts", true },      { "hsots", "hosts", true },    { "HOSTS", "hosts", true },
    { "wieght", "weight", true },   { "weigh", "weight", true },   { "width", "weight", false },
    { "uri", "url", true },         { "to", "tcp", false },        { "timeoutt", "timeout", true },
    { "", "tls", false },           { "tls", "tcp", false },       { "retries", "retry", false },
};

START_TEST(tells_slips_from_other_words)
{
    ck_assert_msg(word_near(str_of(words[_i].a), str_of(words[_i].b)) == words[_i].near, "%s %s", words[_i].a, words[_i].b);
}
END_TEST

START_TEST(survives_failing_allocations)
{
    for (long i = 1;; i++) {
        struct world w;
        int rc, failed;

        world_init(&w);
        mem_fail_at(i);
        rc = world_parse(&w, "apiVersion: v1\nkind: Service\nmetadata: {name: a, labels: {x: 1}}\n---\n"
                             "apiVersion: v2\nkind: Service\nmetadata: {name: b}\n");
        failed = mem_has_failed();
        mem_fail_at(0);
        ck_assert_int_eq(rc, failed ? ERR_NOMEM : 0);
        world_fini(&w);
        if (!failed)
            break;
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("mesh/object");
    TCase *t = tcase_create("object");

    tcase_add_loop_test(t, parses_objects, 0, COUNT(parses));
    tcase_add_test(t, fills_in_what_every_object_has);
    tcase_add_loop_test(t, prints_and_reads_back, 0, COUNT(prints));
    tcase_add_test(t, finds_kinds_by_all_their_names);
    tcase_add_loop_test(t, tells_slips_from_other_words, 0, COUNT(words));
    tcase_add_test(t, survives_failing_allocations);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
