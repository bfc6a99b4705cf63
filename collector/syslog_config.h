/* syslog_config.h: what the configuration file says of syslog.
 *
 *     syslog:
 *       listeners:
 *       - address: 127.0.0.1:5514          # HOST:PORT; protocol: udp, tcp or both (which is meant when it says nothing)
 *       - unix: /run/vigla/syslog.sock     # protocol: datagram (meant) or stream
 *         mode: "0666"                     # of the socket file; 0660 is meant
 *       max_message: 64KiB                 # the rest is cut off
 *       max_connections: 1000
 *       sources:                           # the first that fits takes the message; its other keys: log_source.h
 *       - match: {app: nginx, host: web-1} # what it says of itself; what is left out fits all. Also: facility
 *         format: {nginx: combined}
 *
 * `syslog: HOST:PORT` is the option of that name (serve --syslog), one listener without sources. */
#ifndef COLLECTOR_SYSLOG_CONFIG_H
#define COLLECTOR_SYSLOG_CONFIG_H

#include "base/yaml.h"

struct syslog_config;

/* The caller owns the result. NULL: ERR_INVALID with file, line and key, ERR_NOMEM. */
struct syslog_config *syslog_config_read(const char *file, const struct yaml_node *root, struct err *e);
/* One more listener, UDP and TCP at HOST:PORT. ERR_INVALID, ERR_NOMEM. */
int syslog_config_listen(struct syslog_config *c, const char *address, struct err *e);
void syslog_config_free(struct syslog_config *c); /* NULL is fine */
/* A number for what the file says: another one says something else. */
uint64_t syslog_config_fingerprint(const struct syslog_config *c);
size_t syslog_config_listeners(const struct syslog_config *c);

#endif
