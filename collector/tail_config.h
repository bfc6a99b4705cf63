/* tail_config.h: what the configuration file says of files to follow.
 *
 *     file_tail:
 *     - paths: [/var/log/nginx/access*.log]   # globs, from the configuration file's folder
 *       begin: end                            # of a file that is met for the first time: start (which is meant) or end
 *       max_line: 64KiB                       # the rest is cut off
 *       format: {nginx: combined}             # and what else log_source.h has */
#ifndef COLLECTOR_TAIL_CONFIG_H
#define COLLECTOR_TAIL_CONFIG_H

#include "base/yaml.h"

struct tail_config;

/* The caller owns the result. NULL: ERR_INVALID with file, line and key, ERR_NOMEM. */
struct tail_config *tail_config_read(const char *file, const struct yaml_node *root, struct err *e);
void tail_config_free(struct tail_config *c); /* NULL is fine */
/* A number for what the file says: another one says something else. */
uint64_t tail_config_fingerprint(const struct tail_config *c);
size_t tail_config_entries(const struct tail_config *c);

#endif
