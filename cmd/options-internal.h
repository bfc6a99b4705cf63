/* options-internal.h: command-line options as a table: one row each, with its type, default and help. */
#ifndef CMD_OPTIONS_INTERNAL_H
#define CMD_OPTIONS_INTERNAL_H

#include "base/err.h"
#include "base/str.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum option_type {
    OPTION_FLAG,     /* bool; takes no value */
    OPTION_TEXT,     /* const char * */
    OPTION_LIST,     /* struct option_list; may be repeated */
    OPTION_NUMBER,   /* int64_t, at least 0 */
    OPTION_DURATION, /* int64_t ms; Prometheus' form, "0" too */
    OPTION_SIZE      /* size_t bytes: 512KiB, 2GiB */
};

enum { OPTION_LIST_MAX = 64 };

struct option_list {
    const char *v[OPTION_LIST_MAX];
    size_t n;
};

struct option {
    const char *name;   /* without the dashes */
    char letter;        /* 0: none */
    enum option_type type;
    const char *value;  /* how help calls the value: "DIR" */
    const char *help;   /* with the default, for people */
    void *to;           /* holds the default already */
};

/* Takes the options out of argv[1..*argc) and leaves the rest there, in order; "--" ends options. Values point into
 * argv. ERR_INVALID names the option and what would be right. */
int options_parse(const struct option *o, size_t n, int *argc, char **argv, struct err *e);
/* Sets one by name, as a configuration file does. `value` must outlive the options. */
int options_set(const struct option *o, size_t n, const char *name, const char *value, struct err *e);
void options_help(FILE *out, const struct option *o, size_t n);

/* HOST:PORT with a numeric IPv4 or [IPv6] host; the host without brackets goes to `host`. */
int address_parse(const char *text, char host[64], uint16_t *port, struct err *e);

#endif
