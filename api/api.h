/* api.h: the one port: HTTP on libmicrohttpd, a pool of threads; decode, call, encode. */
#ifndef API_API_H
#define API_API_H

#include "base/err.h"
#include "query/promql.h"
#include "store/store.h"

struct api;
struct red;
struct scrape;
struct grpc_server;
struct syslog;
struct tail;

struct api_options {
    const char *host; /* a numeric address to listen on */
    uint16_t port;    /* 0 picks a free one */
    unsigned threads; /* 0 = 4 */
    size_t max_body;  /* bytes, after unpacking too; 0 = 32 MiB → 413 */
    size_t max_memory; /* of all requests and queries together; 0 = 2 GiB → 503; one alone may take half of it */
    bool admin;       /* /api/v1/admin/tsdb/... */
    struct promql_limits limits;
    int64_t retention_ms; /* as told by /api/v1/status */
    struct scrape *scrape; /* for /api/v1/targets; NULL: nothing is scraped. It is stopped after the API */
    struct red *red;       /* counts access logs and spans; NULL: they are not counted. It is freed after the API */
    struct grpc_server *grpc; /* for /metrics; NULL: there is none. It is stopped after the API */
    struct syslog *syslog; /* for /metrics, likewise */
    struct tail *tail;     /* likewise */
    const char *config;   /* the configuration file's text, for /api/v1/status/config; NULL = "" */
    struct labels flags;  /* for /api/v1/status/flags */
    /* POST /-/reload: reads the configuration again. NULL: the path says that there is nothing to reload. */
    int (*reload)(void *arg, struct err *e);
    void *reload_arg;
};

/* Listens and serves; the caller owns the result and keeps the store open longer. NULL: ERR_IO names the address. */
struct api *api_start(struct store *st, const struct api_options *o, struct err *e);
uint16_t api_port(const struct api *api);
/* Now and then: memory that is kept for requests to come is freed. */
void api_give_back(struct api *api);
/* Takes no new requests, lets those under way end (at most timeout_ms), then frees. A query that still runs then is
 * waited for: nothing can take the store away from under it. */
void api_stop(struct api *api, int64_t timeout_ms);

#endif
