/* health_rpc.h: one call of grpc.health.v1.Health/Check, over a host's connections of HTTP/2: the same that requests
 * take, so it is among the circuit's, too. */
#ifndef PROXY_HEALTH_RPC_H
#define PROXY_HEALTH_RPC_H

#include "proxy/health_check.h"
#include "proxy/upstream.h"

struct health_rpc;

/* Told once, and never from health_rpc_start. `why` is for the log. */
typedef void health_rpc_done(void *arg, enum health_answer answer, const char *why);

/* Ends by itself once `done` has been told. NULL: errno says why; EAGAIN and EDQUOT: limits leave no room for it. */
struct health_rpc *health_rpc_start(struct upstream_host *h, const struct cluster *c, struct str from,
                                    health_rpc_done *done, void *arg);
/* Gives it up: nothing is told. NULL is accepted. */
void health_rpc_stop(struct health_rpc *r);

#endif
