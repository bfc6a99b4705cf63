#include "cmd/podspec-internal.h"
#include "tests/unit/unit.h"

#include "base/file.h"
#include "base/mem.h"

#include <string.h>
#include <unistd.h>

static const char images_text[] =
    "images:\n"
    "  web:v1:\n"
    "    command: [\"${BIN}/web\", \"--listen\", \"${APP_ADDRESS}:${PORT_80}\", \"--db=${MY_DB_SERVICE_HOST}:${MY_DB_SERVICE_PORT}\", \"${NOTHING}$x${\"]\n"
    "  docker.io/istio/proxyv2:\n"
    "    gateway: true\n";

static const char objects_text[] =
    "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\n"
    "spec:\n  template:\n    metadata: {labels: {app: web, version: v1}}\n"
    "    spec:\n      serviceAccountName: clerk\n      containers:\n"
    "      - {name: web, image: 'web:v1', env: [{name: COLOUR, value: green}], ports: [{containerPort: 80}]}\n"
    "---\n"
    "apiVersion: v1\nkind: Service\nmetadata: {name: my-db, namespace: shop}\n"
    "spec: {clusterIP: 127.96.0.17, ports: [{port: 443}]}\n";

static char folder[64];
static struct arena arena;
static struct mesh_objects objects;
static struct images images;
static struct pod_setting set;
static struct pod pod;

static void setup(void)
{
    struct mesh_problems problems;
    struct err e = ERR_INIT;
    char path[128];

    strcpy(folder, "/tmp/vigla-podspec-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/images.yaml", folder);
    ck_assert_int_eq(file_write_atomic(path, STR(images_text), NULL), 0);
    images = (struct images)IMAGES_INIT;
    ck_assert_msg(images_read(&images, path, &e) == 0, "%s", e.msg);
    arena = (struct arena)ARENA_INIT(0);
    objects = (struct mesh_objects){ 0 };
    mesh_problems_init(&problems, &arena);
    ck_assert_int_eq(mesh_parse(&arena, STR("test"), STR(objects_text), STR("default"), &objects, &problems), 0);
    ck_assert_uint_eq(problems.errors, 0);
    set = (struct pod_setting){ .server = "http://127.0.0.1:1", .bin = "/opt", .state = folder,
                                .gateway_bind = "127.0.0.1", .port_map = "80=8080" };
    pod = (struct pod){ .set = &set, .arena = ARENA_INIT(0), .number = 252, .injected = true };
    ck_assert_msg(podspec_read(&pod, &objects.v[0], &images, &e) == 0, "%s", e.msg);
    ck_assert_msg(podspec_environment(&pod, &objects.v[0], &objects, &e) == 0, "%s", e.msg);
}

static void teardown(void)
{
    char command[128];

    arena_free(&pod.arena);
    arena_free(&arena);
    images_free(&images);
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    ck_assert_int_eq(system(command), 0);
}

static bool among(char *const *words, const char *word)
{
    for (; *words; words++)
        if (strcmp(*words, word) == 0)
            return true;
    return false;
}

START_TEST(gives_each_pod_its_addresses)
{
    char address[INET_ADDRSTRLEN];

    podspec_address(address, 10, 1);
    ck_assert_str_eq(address, "127.10.0.1");
    podspec_address(address, 11, 250);
    ck_assert_str_eq(address, "127.11.0.250");
    podspec_address(address, 10, 251);
    ck_assert_str_eq(address, "127.10.1.1");
}
END_TEST

START_TEST(fills_environment_and_command)
{
    char **argv = podspec_command(&pod);

    ck_assert(among(pod.env, "COLOUR=green"));
    ck_assert(among(pod.env, "MY_DB_SERVICE_HOST=127.129.2.17"));
    ck_assert(among(pod.env, "MY_DB_SERVICE_PORT=10443"));
    ck_assert(among(pod.env, "PORT_80=10080"));
    ck_assert_str_eq(argv[0], "/opt/web");
    ck_assert_str_eq(argv[2], "127.11.1.2:10080");
    ck_assert_str_eq(argv[3], "--db=127.129.2.17:10443");
    ck_assert_str_eq(argv[4], "$x${");
    ck_assert_ptr_null(argv[5]);
}
END_TEST

START_TEST(starts_a_sidecar_with_its_identity)
{
    char **argv = podspec_sidecar(&pod);

    ck_assert_str_eq(argv[0], "/opt/vigla-proxy");
    ck_assert(among(argv, "web.shop"));
    ck_assert(among(argv, "127.129.2.0/24"));
    ck_assert(among(argv, "443=10443"));
    ck_assert(among(argv, "127.11.1.2"));
}
END_TEST

START_TEST(writes_the_pod_object)
{
    struct buf json = BUF_INIT(1 << 16);
    struct mesh_problems problems;
    struct mesh_objects out = { 0 };

    pod.state = POD_READY;
    pod.sidecar_ready = true;
    pod_object(&pod, &json);
    mesh_problems_init(&problems, &arena);
    ck_assert_int_eq(mesh_parse(&arena, STR("pod"), buf_view(&json), STR("x"), &out, &problems), 0);
    ck_assert_uint_eq(problems.n, 0);
    ck_assert_uint_eq(out.n, 1);
    ck_assert(str_eqz(yaml_text(yaml_path(out.v[0].root, "status.podIP")), "127.10.1.2"));
    ck_assert(str_eqz(yaml_text(yaml_get(yaml_path(out.v[0].root, "metadata.annotations"), "vigla.dev/host-ports")),
                      "80=10080"));
    ck_assert(str_eqz(yaml_text(yaml_path(out.v[0].root, "spec.serviceAccountName")), "clerk"));
    buf_free(&json);
}
END_TEST

START_TEST(finds_images)
{
    ck_assert_ptr_nonnull(images_find(&images, STR("web:v1")));
    ck_assert_ptr_null(images_find(&images, STR("web:v2")));
    ck_assert_ptr_null(images_find(&images, STR("web")));
    ck_assert(images_find(&images, STR("docker.io/istio/proxyv2:1.24"))->gateway);
}
END_TEST

static Suite *podspec_suite(void)
{
    Suite *s = suite_create("podspec");
    TCase *t = tcase_create("podspec");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, gives_each_pod_its_addresses);
    tcase_add_test(t, fills_environment_and_command);
    tcase_add_test(t, starts_a_sidecar_with_its_identity);
    tcase_add_test(t, writes_the_pod_object);
    tcase_add_test(t, finds_images);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(podspec_suite)
