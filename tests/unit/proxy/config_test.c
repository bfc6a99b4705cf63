/* config_test.c: the command line, files and directories, and a configuration with every allocation failing once. */
#include "base/file.h"
#include "base/mem.h"
#include "proxy/config.h"
#include "proxy/options.h"
#include "proxy/record.h"
#include "tests/unit/unit.h"

#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

enum { MOST_ARGS = 16 };

static int parse(struct options *o, struct arena *a, const char *line, struct err *e)
{
    char *argv[MOST_ARGS + 2];
    struct str rest = str_of(line);
    int argc = 0;

    argv[argc++] = arena_cstr(a, STR("vigla-proxy"));
    while (rest.p && argc <= MOST_ARGS)
        argv[argc++] = arena_cstr(a, str_cut(&rest, ' '));
    argv[argc] = NULL;
    return options_parse(o, a, argc, argv, e);
}

static const struct {
    const char *line, *msg; /* a part of the message; NULL: good */
} lines[] = {
    { "--config x --gateway gw.istio-system", NULL },
    { "--config x --workload a.b --labels app=a,version=v1 --port-map 80=8080,443=8443 --port-map 81=8081", NULL },
    { "--control http://h:1 --workload a.b --admin 127.0.0.1:15000 --threads 3 --trace-sampling 0.5", NULL },
    { "--help", NULL },
    { "--config x", "--gateway or --workload is missing" },
    { "--workload a.b", "--config or --control is missing" },
    { "--config x --workload a", "NAME.NAMESPACE" },
    { "--config x --workload a.b --gateway c.d", "once" },
    { "--config x --workload a.b --labels app", "NAME=VALUE" },
    { "--config x --workload a.b --labels a=1,a=2", "--labels" },
    { "--config x --workload a.b --port-map 80", "PORT=PORT" },
    { "--config x --workload a.b --port-map 80=0", "PORT=PORT" },
    { "--config x --workload a.b --port-map 80=65536", "PORT=PORT" },
    { "--config x --workload a.b --admin 15000", "HOST:PORT" },
    { "--config x --workload a.b --threads 0", "1 to 64" },
    { "--config x --workload a.b --trace-sampling 101", "0 to 100" },
    { "--config x --workload a.b --trace-sampling nan", "0 to 100" },
    { "--config x --workload a.b --access-log-format xml", "text, json, a format" },
    { "--config x --workload a.b --access-log-format %PROTOCOL%", NULL },
    { "--config x --workload a.b --access-log-format {\"code\":\"%RESPONSE_CODE%\"}", NULL },
    { "--config x --workload a.b --access-log-format %PROTOCOLS%", "%PROTOCOLS%: there is no such operator" },
    { "--config x --workload a.b --drain-time 5", "--drain-time" },
    { "--config x --workload a.b --head-time 5", "--head-time" },
    { "--config x --workload a.b --stream-idle-time 0s", "--stream-idle-time \"0s\": should be more than 0" },
    { "--config x --workload a.b --log-level loud", "debug, info, warn or error" },
    { "--config x --workload a.b --nonsense", "--nonsense: no such option" },
    { "--config x --workload a.b more", "\"more\": not an option" },
    { "--config", "lacks its value" },
};

START_TEST(parses_command_lines)
{
    struct arena a = ARENA_INIT(1 << 20);
    struct err e = ERR_INIT;
    struct options o;
    int rc = parse(&o, &a, lines[_i].line, &e);

    ck_assert_msg((rc == 0) == (lines[_i].msg == NULL), "%s: %d (%s)", lines[_i].line, rc, e.msg);
    if (lines[_i].msg)
        ck_assert_msg(strstr(e.msg, lines[_i].msg), "%s: \"%s\" should say \"%s\"", lines[_i].line, e.msg, lines[_i].msg);
    arena_free(&a);
}
END_TEST

START_TEST(keeps_what_was_said)
{
    struct arena a = ARENA_INIT(1 << 20);
    struct err e = ERR_INIT;
    struct options o;

    ck_assert_int_eq(parse(&o, &a, lines[1].line, &e), 0);
    ck_assert(str_eqz(o.identity.name, "a") && str_eqz(o.identity.ns, "b"));
    ck_assert(str_eqz(labels_get(o.identity.labels, STR("version")), "v1"));
    ck_assert_uint_eq(o.identity.nports, 3);
    ck_assert_uint_eq(o.identity.ports[2].from, 81);
    ck_assert_uint_eq(o.identity.ports[2].to, 8081);
    ck_assert_int_eq(parse(&o, &a, lines[0].line, &e), 0);
    ck_assert(str_eqz(labels_get(o.identity.labels, STR("istio")), "ingressgateway"));
    ck_assert_int_eq(parse(&o, &a, lines[2].line, &e), 0);
    ck_assert_str_eq(o.telemetry, "http://h:1");
    ck_assert_uint_eq(o.sampling_ppm, 5000);
    ck_assert_uint_eq(o.admin_port, 15000);
    arena_free(&a);
}
END_TEST

/* --- files --------------------------------------------------------------------------------------------------------- */

static char folder[64];

static void write_file(const char *name, const char *text)
{
    char path[128];
    struct err e = ERR_INIT;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    ck_assert_msg(file_write_atomic(path, str_of(text), &e) == 0, "%s", e.msg);
}

static void make_folder(void)
{
    snprintf(folder, sizeof(folder), "/tmp/vigla-config-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    write_file("b.yaml", "b");
    write_file("a.yml", "a");
    write_file("c.json", "c");
    write_file("d.txt", "d");
    write_file(".e.yaml", "e");
}

static void remove_folder(void)
{
    DIR *d = opendir(folder);
    struct dirent *entry;

    while (d && (entry = readdir(d)))
        unlinkat(dirfd(d), entry->d_name, 0);
    if (d)
        closedir(d);
    rmdir(folder);
}

START_TEST(reads_directories_in_order)
{
    const char *paths[] = { folder };
    struct arena a = ARENA_INIT(1 << 20);
    struct config_text *texts;
    struct err e = ERR_INIT;
    size_t n;

    ck_assert_int_eq(config_read(&a, paths, 1, &texts, &n, &e), 0);
    ck_assert_uint_eq(n, 3);
    ck_assert(str_eqz(texts[0].text, "a") && str_eqz(texts[1].text, "b") && str_eqz(texts[2].text, "c"));
    ck_assert(str_ends(texts[0].name, STR("/a.yml")));
    arena_free(&a);
}
END_TEST

START_TEST(names_the_missing_file)
{
    const char *paths[] = { "/nowhere/x.yaml" };
    struct arena a = ARENA_INIT(1 << 20);
    struct config_text *texts;
    struct err e = ERR_INIT;
    size_t n;

    ck_assert_int_eq(config_read(&a, paths, 1, &texts, &n, &e), ERR_NOTFOUND);
    ck_assert_ptr_nonnull(strstr(e.msg, "/nowhere/x.yaml"));
    arena_free(&a);
}
END_TEST

/* A format in a file outlives the reading of it: nothing points into the file's bytes. */
START_TEST(reads_formats_from_files)
{
    struct arena a = ARENA_INIT(1 << 20);
    struct buf line = BUF_INIT(1 << 16);
    struct record rec = { .kind = RECORD_HTTP };
    struct err e = ERR_INIT;
    struct options o;
    char command[160];

    write_file("format.txt", "{\"at\": \"%START_TIME(%s.%3f)%\", \"code\": \"%RESPONSE_CODE%\"}\n");
    snprintf(command, sizeof(command), "--config x --workload a.b --access-log-format %s/format.txt", folder);
    ck_assert_msg(parse(&o, &a, command, &e) == 0, "%s", e.msg);
    access_log_init(&rec.log);
    rec.log.start_ns = 1700000000123456789;
    rec.log.response_code = 404;
    access_format_render(o.access_format, &line, &rec, &(struct access_format_context){ STR_INIT("x"), NULL });
    ck_assert_msg(str_eqz(buf_view(&line), "{\"at\":\"1700000000.123\",\"code\":404}\n"), "%.*s", STR_ARG(buf_view(&line)));
    buf_free(&line);
    arena_free(&a);
}
END_TEST

/* --- configurations ------------------------------------------------------------------------------------------------ */

static const char world[] =
    "apiVersion: v1\nkind: Service\nmetadata: {name: app, namespace: default}\n"
    "spec: {selector: {app: app}, ports: [{name: http, port: 80}]}\n---\n"
    "apiVersion: v1\nkind: Pod\nmetadata: {name: app-1, namespace: default, labels: {app: app}}\n"
    "spec: {containers: [{name: c, ports: [{containerPort: 80}]}]}\n"
    "status: {podIP: 127.0.0.2, conditions: [{type: Ready, status: \"True\"}]}\n---\n"
    "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: gw, namespace: default}\n"
    "spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [\"*\"]}]}\n";

static struct proxy_identity identity(void)
{
    static const struct label label = { STR_INIT("istio"), STR_INIT("ingressgateway") };

    return (struct proxy_identity){ .role = PROXY_GATEWAY, .name = STR("gw"), .ns = STR("istio-system"),
                                    .labels = { &label, 1 }, .bind = STR("127.0.0.1") };
}

START_TEST(builds_a_snapshot)
{
    struct proxy_identity id = identity();
    struct config_text texts[] = { { STR("world.yaml"), str_of(world) } };
    struct err e = ERR_INIT;
    struct snapshot_ref *ref = config_build(&id, texts, 1, 7, &e);

    ck_assert_msg(ref, "%s", e.msg);
    ck_assert_uint_eq(ref->snapshot->version, 7);
    ck_assert_uint_eq(ref->snapshot->nlisteners, 1);
    ck_assert_uint_eq(ref->snapshot->nclusters, 1);
    snapshot_ref_put(snapshot_ref_get(ref));
    snapshot_ref_put(ref);
}
END_TEST

/* mesh/ leaves variables as they are; the proxy has an environment. */
START_TEST(reads_variables_into_tags)
{
    static const char telemetry[] =
        "---\napiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {name: t, namespace: istio-system}\n"
        "spec: {tracing: [{customTags: {a: {environment: {name: VIGLA_TAG_TEST}}, b: {environment: {name: VIGLA_NO_SUCH, "
        "defaultValue: none}}, c: {header: {name: X-C}}, d: {literal: {value: fixed}}}}]}\n";
    const struct config_text texts[] = { { STR("w.yaml"), str_of(world) }, { STR("t.yaml"), str_of(telemetry) } };
    struct proxy_identity id = identity();
    struct err e = ERR_INIT;
    struct snapshot_ref *ref;
    const struct span_tag *tags;

    setenv("VIGLA_TAG_TEST", "here", 1);
    ref = config_build(&id, texts, 2, 1, &e);
    ck_assert_msg(ref != NULL, "%s", e.msg);
    ck_assert_uint_eq(ref->snapshot->client.ntags, 4);
    tags = ref->snapshot->client.tags;
    ck_assert(tags[0].kind == SPAN_TAG_LITERAL && str_eqz(tags[0].value, "here"));
    ck_assert(tags[1].kind == SPAN_TAG_LITERAL && tags[1].value.n == 0 && str_eqz(tags[1].otherwise, "none"));
    ck_assert(tags[2].kind == SPAN_TAG_HEADER && str_eqz(tags[2].value, "x-c"));
    ck_assert(tags[3].kind == SPAN_TAG_LITERAL && str_eqz(tags[3].value, "fixed"));
    snapshot_ref_put(ref);
}
END_TEST

START_TEST(refuses_by_name)
{
    struct proxy_identity id = identity();
    struct config_text texts[] = { { STR("world.yaml"), str_of(world) }, { STR("bad.yaml"), STR("kind: [\n") } };
    struct err e = ERR_INIT;

    ck_assert_ptr_null(config_build(&id, texts, 2, 1, &e));
    ck_assert_msg(strstr(e.msg, "bad.yaml"), "%s", e.msg);
}
END_TEST

START_TEST(survives_failed_allocations)
{
    struct proxy_identity id = identity();
    struct config_text texts[] = { { STR("world.yaml"), str_of(world) } };

    for (long n = 1;; n++) {
        struct err e = ERR_INIT;
        struct snapshot_ref *ref;
        int failed;

        mem_fail_at(n);
        ref = config_build(&id, texts, 1, 7, &e);
        failed = mem_has_failed();
        mem_fail_at(0);
        ck_assert_msg(!ref == !!failed, "allocation %ld: %s", n, ref ? "no complaint" : e.msg);
        ck_assert(ref || e.code < 0);
        snapshot_ref_put(ref);
        if (!failed)
            return;
    }
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("config");
    TCase *command_line = tcase_create("options"), *files = tcase_create("files"), *mesh = tcase_create("config");

    tcase_add_loop_test(command_line, parses_command_lines, 0, COUNT(lines));
    tcase_add_test(command_line, keeps_what_was_said);
    suite_add_tcase(s, command_line);
    tcase_add_checked_fixture(files, make_folder, remove_folder);
    tcase_add_test(files, reads_directories_in_order);
    tcase_add_test(files, names_the_missing_file);
    tcase_add_test(files, reads_formats_from_files);
    suite_add_tcase(s, files);
    tcase_add_test(mesh, builds_a_snapshot);
    tcase_add_test(mesh, reads_variables_into_tags);
    tcase_add_test(mesh, refuses_by_name);
    tcase_add_test(mesh, survives_failed_allocations);
    suite_add_tcase(s, mesh);
    return s;
}

UNIT_MAIN(make_suite)
