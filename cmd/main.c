/* main.c: vigla: one word chooses the command. */
#include "cmd/command-internal.h"

#include "base/log.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct command *const commands[] = {
    &command_serve,  &command_mesh,         &command_apply, &command_delete, &command_get,   &command_describe,
    &command_pods,   &command_proxy_status, &command_logs,  &command_traces, &command_query, &command_graph,
    &command_export, &command_analyze,
    &command_check,
};

enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static void print_help(FILE *out)
{
    fputs("vigla: the lookout of a service mesh\n\nusage: vigla [-n NAMESPACE] COMMAND [OPTION]...\n\n", out);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(out, "  %-14s %s\n", commands[i]->name, commands[i]->summary);
    fputs("\nvigla COMMAND --help says more. A first start, with a sample application: make up\n", out);
}

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(name, commands[i]->name) == 0)
            return commands[i];
    return NULL;
}

/* The session's options may stand before the command: `vigla -n guestbook apply …`. Returns where the command is. */
static int leading_options(struct session *s, int argc, char **argv)
{
    int i = 1;

    for (; i + 1 < argc && argv[i][0] == '-'; i += 2) {
        if (strcmp(argv[i], "-n") == 0 || strcmp(argv[i], "--namespace") == 0)
            s->ns = argv[i + 1];
        else if (strcmp(argv[i], "--server") == 0)
            s->server = argv[i + 1];
        else if (strcmp(argv[i], "-o") == 0 || strcmp(argv[i], "--output") == 0)
            s->output_word = argv[i + 1];
        else
            break;
    }
    return i;
}

int main(int argc, char **argv)
{
    const char *server = getenv("VIGLA_SERVER");
    struct session s = { .server = server && *server ? server : "http://127.0.0.1:20001", .output_word = "table" };
    const struct command *c;
    int at;

    log_init("vigla", LOG_INFO);
    s.colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
    at = leading_options(&s, argc, argv);
    if (at >= argc) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[at], "--version") == 0 || strcmp(argv[at], "version") == 0) {
        puts("vigla " VIGLA_VERSION);
        return EXIT_WELL;
    }
    if (strcmp(argv[at], "--help") == 0 || strcmp(argv[at], "-h") == 0 || strcmp(argv[at], "help") == 0) {
        if (at + 1 == argc) {
            print_help(stdout);
            return EXIT_WELL;
        }
        c = find(argv[at + 1]);
        if (!c)
            return command_usage("%s: no such command (vigla --help lists them)", argv[at + 1]);
        return c->run(&s, 2, (char *[]){ argv[at + 1], (char[]){ "--help" }, NULL });
    }
    c = find(argv[at]);
    if (!c)
        return command_usage("%s: no such command (vigla --help lists them)", argv[at]);
    return c->run(&s, argc - at, argv + at);
}
