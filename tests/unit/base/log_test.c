#include "base/log.h"

#include "base/clock.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What log_at wrote to stderr while fn ran; static, until the next call. */
static const char *stderr_of(void (*fn)(void))
{
    static char text[8192];
    int ends[2], saved = dup(STDERR_FILENO);
    ssize_t n;

    ck_assert_int_eq(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    fn();
    dup2(saved, STDERR_FILENO);
    close(saved);
    n = read(ends[0], text, sizeof(text) - 1);
    close(ends[0]);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static void one_of_each(void)
{
    log_debug("d");
    log_info("i %d", 1);
    log_warn("w");
    log_error("e");
}

static const struct {
    enum log_level level;
    const char *lines;
} levels[] = {
    { LOG_DEBUG, "diwe" }, { LOG_INFO, "iwe" }, { LOG_WARN, "we" }, { LOG_ERROR, "e" },
};

START_TEST(drops_what_is_below_the_level)
{
    const char *text;

    log_init("test", LOG_INFO);
    log_set_level(levels[_i].level);
    ck_assert_int_eq(log_get_level(), levels[_i].level);
    text = stderr_of(one_of_each);
    for (const char *c = levels[_i].lines; *c; c++) {
        struct str line = str_of(text), time;
        int64_t ns;
        char tail[64];

        line = str_cut(&line, '\n');
        time = str_cut(&line, ' ');
        ck_assert_int_eq(clock_parse_rfc3339(time, &ns, NULL), 0);
        snprintf(tail, sizeof(tail), "%-5s test: %c%s",
                 *c == 'd' ? "debug" : *c == 'i' ? "info" : *c == 'w' ? "warn" : "error", *c, *c == 'i' ? " 1" : "");
        ck_assert_msg(str_eqz(line, tail), "%.*s", STR_ARG(line));
        text = strchr(text, '\n') + 1;
    }
    ck_assert_str_eq(text, "");
}
END_TEST

static void one_long_line(void)
{
    char text[3000];

    memset(text, 'x', sizeof(text));
    log_error("%.*s", (int)sizeof(text), text);
    log_error("a text\nof\rtwo lines");
}

START_TEST(an_event_is_one_line)
{
    const char *text, *end;

    log_init("test", LOG_INFO);
    text = stderr_of(one_long_line);
    end = strchr(text, '\n');
    ck_assert_ptr_nonnull(end);
    ck_assert_int_lt(end - text, 1024);
    ck_assert_ptr_nonnull(strstr(end, "a text of two lines\n"));
    ck_assert_ptr_null(strchr(strchr(end + 1, '\n') + 1, '\n'));
}
END_TEST

static const struct {
    const char *word;
    int level;
} words[] = { { "debug", LOG_DEBUG }, { "info", LOG_INFO }, { "warn", LOG_WARN }, { "error", LOG_ERROR },
              { "", -1 },             { "Info", -1 },       { "warning", -1 } };

START_TEST(reads_levels)
{
    ck_assert_int_eq(log_level_parse(words[_i].word), words[_i].level);
    if (words[_i].level >= 0)
        ck_assert_str_eq(log_level_word((enum log_level)words[_i].level), words[_i].word);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("log");
    TCase *t = tcase_create("log");

    tcase_add_loop_test(t, drops_what_is_below_the_level, 0, COUNT(levels));
    tcase_add_test(t, an_event_is_one_line);
    tcase_add_loop_test(t, reads_levels, 0, COUNT(words));
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
