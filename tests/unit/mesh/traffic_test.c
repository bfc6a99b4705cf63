/* Every kind at once, with failing memory: each shortage is told, and nothing half made is given out. */
#include "base/mem.h"
#include "tests/unit/mesh/mesh_help.h"

#include <stdio.h>

static const struct {
    const char *path;
    enum proxy_role role;
    const char *who;
} cases[] = {
    { "tests/fuzz/corpus/mesh/traffic.yaml", PROXY_SIDECAR, "web-0.default" },
    { "tests/fuzz/corpus/mesh/traffic.yaml", PROXY_GATEWAY, "gate.default" },
    { "tests/fuzz/corpus/mesh/policies.yaml", PROXY_SIDECAR, "web-1.default" },
    { "tests/fuzz/corpus/mesh/policies.yaml", PROXY_GATEWAY, "gate.default" },
};

static char *read_text(const char *path)
{
    enum { MOST = 1 << 16 };
    char *text = calloc(1, MOST);
    FILE *f = fopen(path, "r");
    size_t n;

    ck_assert_msg(f != NULL && text != NULL, "%s", path);
    n = fread(text, 1, MOST - 1, f);
    ck_assert(n > 0 && n < MOST - 1);
    fclose(f);
    return text;
}

static int parse_build_snapshot(struct world *w, const char *text, const struct proxy_identity *id, size_t *listeners)
{
    struct proxy_snapshot *s = NULL;
    int rc = world_parse(w, text);

    if (rc == 0) {
        w->mesh = mesh_build(&w->arena, &w->objects, &w->problems, &w->e);
        rc = w->mesh ? 0 : w->e.code;
    }
    if (rc == 0) {
        s = mesh_snapshot(&w->arena, w->mesh, id, 1, &w->e);
        rc = s ? 0 : w->e.code;
    }
    *listeners = s ? s->nlisteners : 0;
    return rc;
}

static struct proxy_identity who(int i)
{
    struct proxy_identity id = identity(cases[i].role, cases[i].who);

    if (id.role == PROXY_SIDECAR)
        id.app_address = STR("127.11.0.1");
    return id;
}

START_TEST(survives_failing_allocations)
{
    struct proxy_identity id = who(_i);
    char *text = read_text(cases[_i].path);
    int failed = 1;

    for (long i = 1; failed; i++) {
        struct world w;
        size_t listeners;
        int rc;

        world_init(&w);
        mem_fail_at(i);
        rc = parse_build_snapshot(&w, text, &id, &listeners);
        failed = mem_has_failed();
        mem_fail_at(0);
        ck_assert_msg(rc == (failed ? ERR_NOMEM : 0), "%ld: %d %s %s", i, rc, w.e.msg, world_problems(&w));
        ck_assert_uint_eq(listeners > 0, !failed);
        world_fini(&w);
    }
    free(text);
}
END_TEST

/* Arenas take memory by the block: a ceiling that comes nearer makes single allocations fail, too. */
START_TEST(survives_any_ceiling)
{
    struct proxy_identity id = who(_i);
    char *text = read_text(cases[_i].path);
    size_t listeners = 0, failures = 0;

    for (size_t max = 4096; listeners == 0 && max < 8 << 20; max += 976) {
        struct world w;
        int rc;

        world_init(&w);
        w.arena.max = max;
        rc = parse_build_snapshot(&w, text, &id, &listeners);
        ck_assert_msg(rc == (listeners ? 0 : ERR_NOMEM), "%zu: %d %s", max, rc, w.e.msg);
        failures += rc < 0;
        world_fini(&w);
    }
    ck_assert_uint_gt(listeners, 0);
    ck_assert_uint_gt(failures, 40);
    free(text);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("mesh/traffic");
    TCase *t = tcase_create("traffic");

    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, survives_failing_allocations, 0, COUNT(cases));
    tcase_add_loop_test(t, survives_any_ceiling, 0, COUNT(cases));
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
