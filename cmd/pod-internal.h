/* pod-internal.h: one replica of a Deployment as local processes: the application, and its sidecar.
 *
 *   ANNOUNCED ── pod_run ──▶ STARTING ── all ports answer, sidecar ready ──▶ READY
 *       (the server knows it)    ▲                                             │ the application ends:
 *                                └──────── back-off, started again ◀───────────┘ not ready, told to the server
 *   any ── pod_end ──▶ ENDING (no endpoint any more; after a second SIGTERM, after five more SIGKILL) ──▶ ENDED
 *
 * Addresses (docs/protocols.md, "Pods"): one number, held against other platforms on this machine by a bound socket,
 * gives all of a Pod's addresses. */
#ifndef CMD_POD_INTERNAL_H
#define CMD_POD_INTERNAL_H

#include "base/arena.h"
#include "base/buf.h"
#include "cmd/images-internal.h"
#include "cmd/podlog-internal.h"
#include "cmd/process-internal.h"
#include "mesh/object.h"

enum pod_state { POD_ANNOUNCED, POD_STARTING, POD_READY, POD_ENDING, POD_ENDED };

/* What all Pods of a platform share. */
struct pod_setting {
    struct event_base *base;
    struct podlog *log;
    const char *server;     /* URL */
    const char *bin;        /* folder of vigla and vigla-proxy */
    const char *state;      /* folder for what Pods keep */
    const char *gateway_bind;
    const char *port_map;   /* of gateways: "80=8080" */
};

enum { POD_PORTS = 16, POD_MOST = 30000 };

struct pod {
    struct pod *next;
    const struct pod_setting *set;
    struct arena arena;            /* its strings */
    struct str name, ns, deployment, account, container, image_name;
    uint64_t template_hash;
    struct labels labels;
    const struct image *image;     /* of the platform's map */
    uint16_t ports[POD_PORTS];     /* container ports */
    size_t nports;
    struct str moved_ports;        /* of its sidecar: "80=10080,443=10443" */
    unsigned number;               /* its addresses */
    int reservation;               /* the socket that holds the number */
    bool injected;
    enum pod_state state;
    bool announced;                /* the server has this object at all */
    bool changed;                  /* the server has not yet been told of the present state */
    bool sidecar_ready;
    int64_t created_ms, started_ms, next_start_ms, ending_ms; /* created: wall clock; the others monotonic */
    unsigned restarts, backoff;
    struct process app, sidecar;
    char **env;                    /* the application's */
};

/* The port that stands for `port` on loopback: ports below 1024 need root. */
uint16_t pod_host_port(uint16_t port);
/* Takes what it needs from the Deployment's template. `services` are all objects, of which the Services of its
 * namespace name addresses in its environment. NULL: ERR_NOTFOUND (the image is not in the map), ERR_NOMEM, ERR_IO. */
struct pod *pod_new(const struct pod_setting *set, const struct mesh_object *deployment, bool injected,
                    const struct images *images, const struct mesh_objects *objects, struct err *e);
void pod_free(struct pod *p);

/* Once the server knows it: starts the processes. */
void pod_run(struct pod *p);
/* Looks after it; to be called a few times a second. */
void pod_tick(struct pod *p);
/* A child ended: true when it was one of this Pod's. */
bool pod_child_ended(struct pod *p, pid_t pid, int status);
void pod_end(struct pod *p);
/* At once, without the second's grace. */
void pod_end_now(struct pod *p);
/* The v1 Pod object. */
void pod_object(const struct pod *p, struct buf *json);

#endif
