/* command-internal.h: what the subcommands of vigla share. */
#ifndef CMD_COMMAND_INTERNAL_H
#define CMD_COMMAND_INTERNAL_H

#include "base/err.h"
#include "cmd/options-internal.h"

#include <stdbool.h>

enum output { OUTPUT_TABLE, OUTPUT_JSON, OUTPUT_YAML, OUTPUT_CSV };

/* Options that stand before or behind any subcommand. */
struct session {
    const char *server;    /* URL */
    const char *ns;        /* -n; NULL: all, or "default" where one is needed */
    const char *output_word;
    const char *forms;     /* what -o takes, when it is not "table, json, yaml or csv": the command sets it, and reads
                            * output_word itself */
    enum output output;
    bool colour;           /* stdout is a terminal and NO_COLOR is not set */
};

enum { EXIT_WELL = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct command {
    const char *name;
    const char *arguments; /* "[-f FILE]..." */
    const char *summary;   /* one line */
    /* argv[0] is the command's name. Returns an exit code; has said on stderr what went wrong. */
    int (*run)(struct session *s, int argc, char **argv);
};

/* Parses the command's own options together with the session's, answers --help and returns -1 to go on, or the exit
 * code to end with. `details` may be NULL. */
int command_options(struct session *s, const struct command *c, const struct option *own, size_t n, const char *details,
                    int *argc, char **argv);
/* "vigla: WHERE: WHAT" on stderr; returns `code`. */
int command_fail(int code, const struct err *e);
int command_usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The subcommands, each in a file of its own kind. */
extern const struct command command_serve, command_apply, command_delete, command_analyze, command_get, command_describe,
    command_pods, command_proxy_status, command_check, command_query, command_logs, command_traces,
    command_graph, command_export, command_mesh;

#endif
