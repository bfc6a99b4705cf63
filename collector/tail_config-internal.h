#ifndef COLLECTOR_TAIL_CONFIG_INTERNAL_H
#define COLLECTOR_TAIL_CONFIG_INTERNAL_H

#include "collector/log_source.h"
#include "collector/tail_config.h"

struct tail_path {
    const char *glob;
    const char *folder; /* NULL: it has wildcards of its own */
    struct str stem;    /* what the names of its files begin with, rotated ones too */
};

struct tail_entry {
    struct tail_path *paths;
    size_t npaths;
    bool from_end;
    uint64_t max_line;
    struct log_source *source;
};

struct tail_config {
    struct arena arena;
    uint64_t fingerprint;
    struct tail_entry *entries;
    size_t n;
};

#endif
