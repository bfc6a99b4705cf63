#include "cmd/table-internal.h"
#include "tests/unit/unit.h"

#include <string.h>

static const char *const headings[] = { "NAME", "VALUE" };

static void print(enum output form, char *out, size_t n)
{
    struct table *t = table_new(headings, 2);
    FILE *f = fmemopen(out, n, "w");

    table_row(t, (const char *[]){ "short", "1" });
    table_row(t, (const char *[]){ "grün, \"und\" lang", NULL });
    ck_assert_int_eq(table_print(t, form, f), 0);
    fclose(f);
    table_free(t);
}

START_TEST(aligns_by_what_a_terminal_shows)
{
    char out[512] = "";

    print(OUTPUT_TABLE, out, sizeof(out));
    ck_assert_str_eq(out, "NAME               VALUE\n"
                          "short              1\n"
                          "grün, \"und\" lang   \n");
}
END_TEST

START_TEST(quotes_csv)
{
    char out[512] = "";

    print(OUTPUT_CSV, out, sizeof(out));
    ck_assert_str_eq(out, "NAME,VALUE\r\nshort,1\r\n\"grün, \"\"und\"\" lang\",\r\n");
}
END_TEST

static Suite *table_suite(void)
{
    Suite *s = suite_create("table");
    TCase *t = tcase_create("table");

    tcase_add_test(t, aligns_by_what_a_terminal_shows);
    tcase_add_test(t, quotes_csv);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(table_suite)
