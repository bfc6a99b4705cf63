/* options.h: the command line. */
#ifndef PROXY_OPTIONS_H
#define PROXY_OPTIONS_H

#include "base/arena.h"
#include "base/err.h"
#include "mesh/snapshot.h"
#include "proxy/access_format.h"

enum { OPTIONS_MOST_CONFIGS = 64, OPTIONS_MOST_THREADS = 64 };

struct options {
    const char *configs[OPTIONS_MOST_CONFIGS];
    size_t nconfigs;
    struct proxy_identity identity;
    const char *control, *cache;       /* NULL: none */
    const char *cert_dir;              /* NULL: none */
    const char *telemetry;             /* NULL: ships nothing */
    const char *admin_host;            /* NULL: none */
    uint16_t admin_port;
    const char *access_log;            /* NULL: none */
    bool access_log_json;
    const struct access_format *access_format; /* NULL: text or JSON as Istio has it */
    size_t threads;
    int64_t head_ms, keep_alive_ms, stream_idle_ms; /* of clients: worker.h */
    int64_t drain_ms;
    bool io_uring;
    int64_t upgrade_timeout_ms, upgrade_drain_ms;
    const char *pid_file;              /* NULL: none */
    int64_t dns_refresh_ms;
    uint32_t sampling_ppm;
    int log_level;
    bool help, version;
};

/* Texts live in `a` or in argv. ERR_INVALID: the message says which option and what would be right. */
int options_parse(struct options *o, struct arena *a, int argc, char **argv, struct err *e);
extern const char options_usage[];

#endif
