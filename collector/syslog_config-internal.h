#ifndef COLLECTOR_SYSLOG_CONFIG_INTERNAL_H
#define COLLECTOR_SYSLOG_CONFIG_INTERNAL_H

#include "collector/log_source.h"
#include "collector/syslog_config.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

struct syslog_listen {
    struct str name;  /* as it is written, for messages */
    bool is_datagram; /* else a stream; a listener for both is two of these */
    union {
        struct sockaddr any;
        struct sockaddr_in6 six;
        struct sockaddr_in four;
        struct sockaddr_un local;
    } at;
    socklen_t length;
    unsigned mode;    /* of a unix socket */
};

/* Empty fits all. */
struct syslog_match {
    struct str app, host, facility;
};

struct syslog_route {
    struct syslog_match match;
    struct log_source *source;
};

struct syslog_config {
    struct arena arena;
    uint64_t fingerprint;
    struct syslog_listen *listeners;
    size_t nlisteners, listeners_cap;
    struct syslog_route *routes; /* the last one fits all */
    size_t nroutes;
    uint64_t max_message, max_connections;
};

#endif
