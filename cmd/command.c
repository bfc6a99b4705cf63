#include "cmd/command-internal.h"

#include <stdarg.h>
#include <string.h>

static int read_output(struct session *s)
{
    static const char *const words[] = { "table", "json", "yaml", "csv" };

    for (int i = 0; i < 4; i++)
        if (strcmp(s->output_word, words[i]) == 0) {
            s->output = (enum output)i;
            return 0;
        }
    return command_usage("-o %s: should be table, json, yaml or csv", s->output_word);
}

int command_options(struct session *s, const struct command *c, const struct option *own, size_t n, const char *details,
                    int *argc, char **argv)
{
    const struct option shared[] = {
        { "server", 0, OPTION_TEXT, "URL", "the server to talk to (http://127.0.0.1:20001, or $VIGLA_SERVER)", &s->server },
        { "namespace", 'n', OPTION_TEXT, "NAME", "work in this namespace", &s->ns },
        { "output", 'o', OPTION_TEXT, "FORM", s->forms ? s->forms : "table, json, yaml or csv", &s->output_word },
    };
    struct option all[48];
    struct err e = ERR_INIT;
    bool help = false;

    if (n)
        memcpy(all, own, n * sizeof(*own));
    memcpy(all + n, shared, sizeof(shared));
    n += sizeof(shared) / sizeof(shared[0]);
    all[n++] = (struct option){ "help", 'h', OPTION_FLAG, NULL, "say this", &help };
    if (options_parse(all, n, argc, argv, &e) < 0) {
        err_wrap(&e, "%s", c->name);
        return command_fail(EXIT_USAGE, &e);
    }
    if (help) {
        printf("%s\n\nusage: vigla %s%s%s\n\n", c->summary, c->name, *c->arguments ? " " : "", c->arguments);
        options_help(stdout, all, n);
        if (details)
            printf("\n%s\n", details);
        return EXIT_WELL;
    }
    return !s->forms && read_output(s) ? EXIT_USAGE : -1;
}

int command_fail(int code, const struct err *e)
{
    fprintf(stderr, "vigla: %s\n", e->msg);
    return code;
}

int command_usage(const char *fmt, ...)
{
    va_list ap;

    fputs("vigla: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    return EXIT_USAGE;
}
