#include "cmd/options-internal.h"
#include "tests/unit/unit.h"

#include <string.h>

struct values {
    bool flag;
    const char *text;
    struct option_list list;
    int64_t number, duration;
    size_t size;
};

static struct values v;

static const struct option table[] = {
    { "flag", 'F', OPTION_FLAG, NULL, "a switch", &v.flag },
    { "text", 't', OPTION_TEXT, "WORD", "a word", &v.text },
    { "file", 'f', OPTION_LIST, "FILE", "files", &v.list },
    { "number", 0, OPTION_NUMBER, "N", "a number", &v.number },
    { "time", 0, OPTION_DURATION, "TIME", "a time", &v.duration },
    { "size", 0, OPTION_SIZE, "SIZE", "a size", &v.size },
};

/* Cuts a command line into words, in place. */
static int split(char *line, char *argv[32])
{
    int argc = 0;

    for (char *word = strtok(line, " "); word && argc < 31; word = strtok(NULL, " "))
        argv[argc++] = word;
    argv[argc] = NULL;
    return argc;
}

START_TEST(takes_options_and_leaves_the_rest)
{
    char line[] = "apply -f a one --file=b --text x -F --number 12 --time=1h30m --size 2GiB two -- -f", *argv[32];
    int argc = split(line, argv);
    struct err e = ERR_INIT;

    memset(&v, 0, sizeof(v));
    ck_assert_msg(options_parse(table, COUNT(table), &argc, argv, &e) == 0, "%s", e.msg);
    ck_assert_int_eq(argc, 4);
    ck_assert_str_eq(argv[1], "one");
    ck_assert_str_eq(argv[2], "two");
    ck_assert_str_eq(argv[3], "-f");
    ck_assert_ptr_null(argv[4]);
    ck_assert(v.flag);
    ck_assert_str_eq(v.text, "x");
    ck_assert_uint_eq(v.list.n, 2);
    ck_assert_str_eq(v.list.v[1], "b");
    ck_assert_int_eq(v.number, 12);
    ck_assert_int_eq(v.duration, 5400000);
    ck_assert_uint_eq(v.size, (size_t)2 << 30);
}
END_TEST

static const struct {
    const char *word, *value, *message;
} refused[] = {
    { "--nothing", "1", "--nothing: no such option (--help lists them)" },
    { "-x", "1", "-x: no such option (--help lists them)" },
    { "--t", "1", "--t: no such option (--help lists them)" },
    { "--number", "-1", "--number -1: should be a whole number" },
    { "--number", "1x", "--number 1x: should be a whole number" },
    { "--time", "5", "--time: duration \"5\": unit missing, one of ms s m h d w y" },
    { "--size", "2GB", "--size 2GB: should be a size, as in 64MiB or 2GiB" },
    { "--size", "99999999999GiB", "--size 99999999999GiB: should be a size, as in 64MiB or 2GiB" },
    { "--text", NULL, "--text: a value is missing: WORD" },
};

START_TEST(refuses_by_name)
{
    char line[128], *argv[32];
    struct err e = ERR_INIT;
    int argc;

    snprintf(line, sizeof(line), "x %s %s", refused[_i].word, refused[_i].value ? refused[_i].value : "");
    argc = split(line, argv);
    ck_assert_int_lt(options_parse(table, COUNT(table), &argc, argv, &e), 0);
    ck_assert_str_eq(e.msg, refused[_i].message);
}
END_TEST

static const struct {
    const char *in, *host;
    int port; /* -1: refused */
} addresses[] = {
    { "127.0.0.1:20001", "127.0.0.1", 20001 }, { "localhost:0", "127.0.0.1", 0 }, { "[::1]:80", "::1", 80 },
    { "127.0.0.1", NULL, -1 },  { ":80", NULL, -1 },  { "127.0.0.1:65536", NULL, -1 }, { "example.com:80", NULL, -1 },
    { "127.0.0.1:", NULL, -1 }, { "[]:80", NULL, -1 },
};

START_TEST(reads_addresses)
{
    struct err e = ERR_INIT;
    char host[64];
    uint16_t port = 0;
    int rc = address_parse(addresses[_i].in, host, &port, &e);

    ck_assert_int_eq(rc == 0, addresses[_i].port >= 0);
    if (rc == 0) {
        ck_assert_str_eq(host, addresses[_i].host);
        ck_assert_int_eq(port, addresses[_i].port);
    } else {
        ck_assert_ptr_nonnull(strstr(e.msg, addresses[_i].in));
    }
}
END_TEST

static Suite *options_suite(void)
{
    Suite *s = suite_create("options");
    TCase *t = tcase_create("options");

    tcase_add_test(t, takes_options_and_leaves_the_rest);
    tcase_add_loop_test(t, refuses_by_name, 0, COUNT(refused));
    tcase_add_loop_test(t, reads_addresses, 0, COUNT(addresses));
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(options_suite)
