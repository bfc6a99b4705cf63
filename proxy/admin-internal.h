/* admin-internal.h: Envoy's admin port, served on telemetry's loop. */
#ifndef PROXY_ADMIN_INTERNAL_H
#define PROXY_ADMIN_INTERNAL_H

#include "base/buf.h"
#include "base/err.h"

struct admin;
struct proxy_snapshot;
struct telemetry;

/* Listens at the options' admin_host and admin_port. NULL: ERR_IO, ERR_NOMEM. */
struct admin *admin_new(struct telemetry *t, struct err *e);
/* The listening socket, which stays the admin port's; -1, of NULL: none. */
int admin_socket(const struct admin *a);
/* Accepts no more; who is being answered is answered. NULL is accepted. */
void admin_stop_accepting(struct admin *a);
void admin_free(struct admin *a);

/* One request's answer; the page prints into `body`. */
struct admin_reply {
    int status;
    const char *type;
    struct buf body;
};

/* What a page may look at. */
struct admin_request {
    struct telemetry *telemetry;
    bool is_post;
    struct str query; /* behind the '?' */
};

/* Answers for method, path and query: the port without its sockets. */
void admin_answer(struct telemetry *t, struct str method, struct str target, struct admin_reply *r);
/* The value of `key` in a query string, decoded, as a copy in `out`. False: not there. */
bool admin_query(struct str query, const char *key, struct buf *out);

/* proxy/admin_stats.c: the proxy's own numbers, beside Istio's metrics. */
void admin_prometheus(struct telemetry *t, struct buf *b);
void admin_stats(struct telemetry *t, struct buf *b);

/* proxy/admin_config.c: the snapshot in force, in Envoy's words; NULL: there is none yet. */
void admin_config_dump(struct telemetry *t, const struct proxy_snapshot *s, struct buf *b);
void admin_clusters(struct telemetry *t, const struct proxy_snapshot *s, struct buf *b);
void admin_listeners(const struct proxy_snapshot *s, struct buf *b);

#endif
