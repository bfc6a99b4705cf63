#include "cmd/process-internal.h"
#include "tests/unit/unit.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void keep_line(void *arg, struct str line)
{
    snprintf(arg, 64, "%.*s", STR_ARG(line));
}

/* Its state in /proc, 'X' when it is gone; one that has ended waits there for a parent of the machine's choice. */
static bool lives(long pid)
{
    char path[64], state = 'X';
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
    f = fopen(path, "r");
    if (f && fscanf(f, "%*d %*s %c", &state) != 1)
        state = 'X';
    if (f)
        fclose(f);
    return state != 'X' && state != 'Z';
}

/* A process that starts another: signals reach both, and what it leaves behind when it ends goes, too. */
static const struct { const char *script; int signal; } cases[] = {
    { "sleep 300 & echo $!; wait", SIGTERM },
    { "sleep 300 & echo $!", 0 },
};

START_TEST(takes_its_children_along)
{
    char line[64] = "", sh[] = "sh", c[] = "-c", script[64], path[] = "PATH=/usr/bin:/bin";
    char *argv[] = { sh, c, script, NULL }, *envp[] = { path, NULL };
    struct event_base *base = event_base_new();
    struct process p;
    struct err e = ERR_INIT;
    int status;

    snprintf(script, sizeof(script), "%s", cases[_i].script);
    process_init(&p, keep_line, line);
    ck_assert_msg(process_start(&p, base, argv, envp, "/", &e) == 0, "%s", e.msg);
    while (!*line)
        event_base_loop(base, EVLOOP_ONCE);
    if (cases[_i].signal)
        process_signal(&p, cases[_i].signal);
    ck_assert_int_eq(waitpid(p.pid, &status, 0), p.pid);
    process_ended(&p, status);
    for (int i = 0; i < 500 && lives(atol(line)); i++)
        usleep(10000);
    ck_assert(!lives(atol(line)));
    event_base_free(base);
}
END_TEST

static Suite *process_suite(void)
{
    Suite *s = suite_create("process");
    TCase *t = tcase_create("process");

    tcase_set_timeout(t, 20);
    tcase_add_loop_test(t, takes_its_children_along, 0, COUNT(cases));
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(process_suite)
