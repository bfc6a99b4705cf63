/* settings-internal.h: the server's settings: one table for the command line and the configuration file. */
#ifndef CMD_SETTINGS_INTERNAL_H
#define CMD_SETTINGS_INTERNAL_H

#include "base/arena.h"
#include "base/buf.h"
#include "cmd/options-internal.h"
#include "collector/scrape_config.h"
#include "collector/syslog_config.h"
#include "collector/tail_config.h"

#include <pthread.h>
#include <stdbool.h>

struct settings {
    const char *config, *data, *listen, *durability, *log_level;
    const char *otlp_grpc; /* NULL: the default, which another program may have */
    const char *syslog;    /* NULL or "none": no listener beside those of the file */
    int64_t retention_ms, query_timeout_ms, query_lookback_ms, query_max_samples, threads;
    size_t max_body, queue, memory_limit, query_cache;
    bool admin;
    uint64_t syslog_says, tail_says; /* fingerprints of what the file says of them */
};

enum { SETTINGS_OPTIONS = 17 };

/* What the file says beside the options. */
struct settings_inputs {
    struct scrape_config *scrape;
    struct syslog_config *syslog; /* without the option's listener */
    struct tail_config *tail;
};

struct settings_file {
    const char *path;      /* NULL: there is none */
    struct arena arena;    /* holds the texts of `now` that came from the file */
    struct settings now;   /* in force */
    struct settings first; /* what the file said at the start, to tell what changed since */
    struct buf text;       /* the file, as it was at the start, without its secrets */
    struct settings_inputs inputs; /* what it says of these at the start; NULL once somebody has taken one */
    void (*rescrape)(void *arg, struct scrape_config *config); /* takes what it says at a reload */
    void *rescrape_arg;
    pthread_mutex_t lock;  /* one reload at a time */
};

/* Defaults. */
void settings_init(struct settings_file *f);
void settings_fini(struct settings_file *f);
void settings_options(struct settings *s, struct option out[SETTINGS_OPTIONS]);
/* Looks for --config among the words, before options are taken. ERR_INVALID: its value is missing. */
int settings_find_file(struct settings_file *f, int argc, char **argv, struct err *e);
/* Reads the file, when there is one, into f->now, f->text and f->inputs. ERR_NOTFOUND, ERR_PARSE, ERR_INVALID name file
 * and line. */
int settings_read(struct settings_file *f, struct err *e);
/* ERR_INVALID, ERR_RANGE: a setting that cannot be. */
int settings_check(const struct settings *s, struct err *e);
/* Reads the file again. On failure nothing changes. Thread-safe. */
int settings_reload(struct settings_file *f, struct err *e);

#endif
