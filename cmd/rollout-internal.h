/* rollout-internal.h: what of a set of objects runs and what routes, and waiting until it runs. */
#ifndef CMD_ROLLOUT_INTERNAL_H
#define CMD_ROLLOUT_INTERNAL_H

#include "base/buf.h"
#include "mesh/object.h"

struct rollout {
    struct arena arena;
    struct mesh_objects objects;
    struct buf workloads, routes; /* streams: Kubernetes' objects, Istio's objects */
    bool in_two_steps;            /* there are Deployments, and routes */
};

void rollout_init(struct rollout *r);
/* 0; ERR_PARSE (the server will say what is wrong with the stream), ERR_NOMEM. */
int rollout_split(struct rollout *r, struct str stream, const char *ns);
/* Returns when every Deployment has its replicas ready, or after wait_ms; tells on stderr which is not. */
void rollout_wait(const struct rollout *r, const char *server, int64_t wait_ms);
void rollout_fini(struct rollout *r);

#endif
