/* process-internal.h: a child process whose output is read line by line, on a libevent loop. */
#ifndef CMD_PROCESS_INTERNAL_H
#define CMD_PROCESS_INTERNAL_H

#include "base/err.h"
#include "base/str.h"

#include <event2/event.h>
#include <stdbool.h>
#include <sys/types.h>

enum { PROCESS_LINE = 8192 }; /* a longer line is cut into several */

struct process {
    pid_t pid;     /* 0: not running */
    int status;    /* of the last end, as waitpid has it */
    void (*on_line)(void *arg, struct str line);
    void *arg;
    struct event *readable;
    int fd;
    size_t held;
    char line[PROCESS_LINE];
};

void process_init(struct process *p, void (*on_line)(void *arg, struct str line), void *arg);
/* Starts argv with exactly the environment envp, in folder `dir`; stdout and stderr come to on_line. The child gets a
 * SIGTERM when we die. argv[0] is looked up in PATH. ERR_IO. */
int process_start(struct process *p, struct event_base *base, char *const *argv, char *const *envp, const char *dir,
                  struct err *e);
/* To be called for a pid that waitpid returned. What it had started and not ended is killed. */
void process_ended(struct process *p, int status);
/* To it and all it has started. */
void process_signal(const struct process *p, int signal);
/* "exit status 3", "killed by signal 9 (Killed)" */
void process_status_text(char out[80], int status);

#endif
