#include "cmd/source-internal.h"
#include "tests/unit/unit.h"

#include "base/file.h"

#include <string.h>
#include <unistd.h>

static char folder[64];

static void put(const char *name, const char *text)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    ck_assert_int_eq(file_write_atomic(path, str_of(text), NULL), 0);
}

static void make_folder(void)
{
    strcpy(folder, "/tmp/vigla-source-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void remove_folder(void)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf %s", folder);
    ck_assert_int_eq(system(command), 0);
}

START_TEST(joins_a_folder_and_finds_places_again)
{
    struct option_list names = { { folder }, 1 };
    struct sources s = SOURCES_INIT;
    struct err e = ERR_INIT;
    const struct source *from;
    int64_t line;

    put("b.yaml", "b: 1\nb: 2\n");
    put("a.yml", "a: 1\na: 2"); /* no newline at its end */
    put("c.txt", "no");
    put(".d.yaml", "no");
    ck_assert_msg(sources_read(&s, &names, &e) == 0, "%s", e.msg);
    ck_assert_uint_eq(s.n, 2);
    ck_assert(str_eq(s.joined, STR("a: 1\na: 2\n---\nb: 1\nb: 2\n")));
    from = sources_place(&s, 2, &line);
    ck_assert_ptr_nonnull(strstr(from->name, "/a.yml"));
    ck_assert_int_eq(line, 2);
    from = sources_place(&s, 5, &line);
    ck_assert_ptr_nonnull(strstr(from->name, "/b.yaml"));
    ck_assert_int_eq(line, 2);
    sources_free(&s);
}
END_TEST

START_TEST(names_what_is_missing)
{
    struct option_list names = { { "/no/such/file.yaml" }, 1 };
    struct sources s = SOURCES_INIT;
    struct err e = ERR_INIT;

    ck_assert_int_eq(sources_read(&s, &names, &e), ERR_NOTFOUND);
    ck_assert_str_eq(e.msg, "/no/such/file.yaml: No such file or directory");
    names.v[0] = folder;
    ck_assert_int_eq(sources_read(&s, &names, &e), ERR_NOTFOUND);
    ck_assert_ptr_nonnull(strstr(e.msg, "no *.yaml, *.yml or *.json in this folder"));
    sources_free(&s);
}
END_TEST

static Suite *source_suite(void)
{
    Suite *s = suite_create("source");
    TCase *t = tcase_create("source");

    tcase_add_checked_fixture(t, make_folder, remove_folder);
    tcase_add_test(t, joins_a_folder_and_finds_places_again);
    tcase_add_test(t, names_what_is_missing);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(source_suite)
