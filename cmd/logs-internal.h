/* logs-internal.h: what vigla logs prints, and from where it comes. */
#ifndef CMD_LOGS_INTERNAL_H
#define CMD_LOGS_INTERNAL_H

#include "cmd/client-internal.h"
#include "cmd/command-internal.h"

#include <stdbool.h>

/* --- logs_print.c --- */

enum log_form { LOG_RAW, LOG_TABLE, LOG_JSONL };

struct log_printer {
    enum log_form form;
    bool labels, colour;
    int64_t last_ns;  /* of the newest line printed; 0: none yet */
};

/* Prints the lines of `streams` (Loki's list of them) by time. 0; ERR_NOMEM; ERR_IO: nobody takes what is printed. */
int logs_print(struct log_printer *p, const json_t *streams, struct err *e);

/* --- logs_follow.c --- */

struct log_follow {
    const char *server, *query; /* query: LogQL */
    int64_t from_ns, limit;     /* of the past; limit 0: nothing of it */
};

/* Prints what comes until the server refuses, or forever: a lost connection is made again. ERR_*. */
int logs_follow(const struct log_follow *f, struct log_printer *p, struct err *e);

/* --- read.c --- */

/* A query's numbers as a table. An exit code. */
int result_print(const json_t *body, enum output form);

#endif
