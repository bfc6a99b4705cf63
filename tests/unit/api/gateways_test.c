/* gateways_test.c: which objects make a workload a gateway. */
#include "api/gateways-internal.h"

#include "base/mem.h"
#include "store/catalog.h"
#include "tests/unit/unit.h"

#include <ftw.h>
#include <stdio.h>
#include <unistd.h>

#define DEPLOYMENT(labels) "{\"spec\":{\"template\":{\"metadata\":{\"labels\":{" labels "}}}}}"
#define POD(owner, labels) "{\"metadata\":{\"labels\":{" labels "},\"ownerReferences\":[{\"kind\":\"Deployment\",\"name\":\"" owner "\"}]}}"
#define GATEWAY(selector, hosts) "{\"spec\":{\"selector\":{" selector "},\"servers\":[{\"hosts\":[" hosts "]}]}}"

struct object {
    const char *kind, *ns, *name, *body;
};

static const struct {
    struct object objects[4];
    const char *want; /* "NAMESPACE/WORKLOAD app host host; …", '>' before those of egress */
} cases[] = {
    { { { "Deployment", "d", "web", DEPLOYMENT("\"app\":\"web\"") } }, "" },
    { { { "Deployment", "i", "gw", DEPLOYMENT("\"app\":\"gw\",\"istio\":\"ingressgateway\"") } }, "i/gw gw; " },
    { { { "Deployment", "i", "gw", DEPLOYMENT("\"operator.istio.io/component\":\"IngressGateways\"") } }, "i/gw ; " },
    { { { "Deployment", "i", "out", DEPLOYMENT("\"app\":\"out\",\"istio\":\"egressgateway\"") } }, ">i/out out; " },
    { { { "Deployment", "i", "own", DEPLOYMENT("\"app\":\"own\",\"edge\":\"yes\"") },
        { "Gateway", "d", "one", GATEWAY("\"edge\":\"yes\"", "\"a.org\",\"b.org\"") },
        { "Gateway", "d", "two", GATEWAY("\"edge\":\"yes\"", "\"b.org\",\"c.org\"") } },
      "i/own own a.org b.org c.org; " },
    { { { "Deployment", "i", "own", DEPLOYMENT("\"edge\":\"no\"") }, { "Gateway", "d", "one", GATEWAY("\"edge\":\"yes\"", "\"a.org\"") } },
      "" },
    { { { "Deployment", "d", "web", DEPLOYMENT("\"app\":\"web\"") }, { "Gateway", "d", "any", GATEWAY("", "\"a.org\"") } }, "" },
    { { { "Pod", "i", "gw-1", POD("gw", "\"app\":\"gw\",\"istio\":\"ingressgateway\"") },
        { "Pod", "i", "gw-2", POD("gw", "\"app\":\"gw\",\"istio\":\"ingressgateway\"") },
        { "Gateway", "d", "one", GATEWAY("\"istio\":\"ingressgateway\"", "\"a.org\"") } },
      "i/gw gw a.org; " },
    { { { "Deployment", "i", "bad", "{\"spec\":7}" }, { "Gateway", "i", "bad", "[1" }, { "Pod", "i", "bad", "{\"metadata\":{}}" } }, "" },
};

static char dir[64];
static struct store *st;

static int remove_one(const char *path, const struct stat *s, int type, struct FTW *at)
{
    (void)s;
    (void)type;
    (void)at;
    return remove(path);
}

static void setup(void)
{
    struct err e = ERR_INIT;

    strcpy(dir, "/tmp/vigla-gateways-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    st = store_open(dir, NULL, &e);
    ck_assert_msg(st != NULL, "%s", e.msg);
}

static void teardown(void)
{
    store_close(st);
    nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void put(const struct object *o, bool remove)
{
    struct catalog_change c = { { str_of(o->kind), str_of(o->ns), str_of(o->name) }, str_of(o->body), remove };
    struct err e = ERR_INIT;
    uint64_t revision;

    ck_assert_msg(catalog_apply(st, &c, 1, 0, &revision, &e) == 0, "%s", e.msg);
}

static void expect(struct gateways *w, const char *want)
{
    struct arena a = ARENA_INIT(1 << 20);
    struct buf got = BUF_INIT(1 << 16);
    const struct graph_gateway *v;
    struct err e = ERR_INIT;
    size_t n;

    ck_assert_msg(gateways_list(w, st, &a, &v, &n, &e) == 0, "%s", e.msg);
    for (size_t i = 0; i < n; i++) {
        buf_printf(&got, "%s%.*s/%.*s %.*s", v[i].egress ? ">" : "", STR_ARG(v[i].ns), STR_ARG(v[i].workload), STR_ARG(v[i].app));
        for (size_t k = 0; k < v[i].nhosts; k++)
            buf_printf(&got, " %.*s", STR_ARG(v[i].hosts[k]));
        buf_puts(&got, "; ");
    }
    buf_putc(&got, '\0');
    ck_assert_str_eq(got.p, want);
    buf_free(&got);
    arena_free(&a);
}

START_TEST(finds_gateways)
{
    struct gateways *w = gateways_new();

    expect(w, ""); /* an empty catalog */
    for (size_t i = 0; i < COUNT(cases[_i].objects) && cases[_i].objects[i].kind; i++)
        put(&cases[_i].objects[i], false);
    expect(w, cases[_i].want);
    expect(w, cases[_i].want); /* what is kept is the same */
    put(&cases[_i].objects[0], true);
    if (!cases[_i].objects[1].kind)
        expect(w, "");
    gateways_free(w);
}
END_TEST

START_TEST(survives_failing_allocations)
{
    bool failed = true;

    for (size_t i = 0; i < 3; i++)
        put(&cases[4].objects[i], false);
    for (size_t n = 1; failed; n++) {
        struct gateways *w = gateways_new();
        struct arena a = ARENA_INIT(1 << 20);
        const struct graph_gateway *v;
        struct err e = ERR_INIT;
        size_t found;
        int rc;

        mem_fail_at(n);
        rc = gateways_list(w, st, &a, &v, &found, &e);
        failed = mem_has_failed();
        mem_fail_at(0);
        ck_assert(rc == 0 || rc == ERR_NOMEM || failed);
        expect(w, cases[4].want);
        arena_free(&a);
        gateways_free(w);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("api gateways");
    TCase *t = tcase_create("gateways");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, finds_gateways, 0, COUNT(cases));
    tcase_add_test(t, survives_failing_allocations);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
