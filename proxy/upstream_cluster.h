/* upstream_cluster.h: one cluster as one worker sees it: its hosts, and which of them may be chosen now.
 *
 * Hosts outlive views: one that is in the next snapshot too keeps its connections. Those of names come and go as their
 * addresses do (names.h), without a snapshot; a request holds the host it has chosen. All of it belongs to one worker
 * but what circuit.h says is shared. */
#ifndef PROXY_UPSTREAM_CLUSTER_H
#define PROXY_UPSTREAM_CLUSTER_H

#include "proxy/circuit.h"
#include "proxy/conn.h"
#include "proxy/lb.h"
#include "proxy/names.h"
#include "proxy/tls_link.h"

struct view;
struct http1_upstream;
struct http2_upstream;
struct health_checker;
struct upstream_waiter;

/* One address of one cluster. */
struct upstream_host {
    size_t refs;                  /* views, connections, requests, those that wait */
    size_t views;                 /* 0: no view names it any more, its connections are not kept */
    struct worker *w;
    struct str key;               /* cluster name, address, how connections are secured */
    struct sockaddr_storage addr;
    socklen_t addr_n;
    char text[CONN_ADDR_TEXT];    /* "127.0.0.1:80" */
    struct tls_target *tls;       /* NULL: plain text */
    struct tls_session session;   /* to be resumed by the next connection */
    struct circuit *circuit;      /* the cluster's */
    struct circuit_host *shared;  /* what all workers know of it; NULL: nobody asked for that yet */
    struct health_checker *checker; /* asks whether it is well; NULL: none of this worker does */
    uint32_t active;              /* requests and TCP connections under way */
    uint32_t conns;               /* of this worker */
    struct http1_upstream *idle;  /* connections without a request, the last used first */
    struct http2_upstream *http2; /* all connections, the newest first */
    struct upstream_waiter *first_waiter, *last_waiter; /* for a connection */
    bool wake_listed, waking;
    struct upstream_host *wake_next; /* of the worker's */
};

/* What a slot of the balancer is. */
struct upstream_slot {
    struct upstream_host *host;
    const struct endpoint *endpoint; /* NULL: the cluster's own name, which the snapshot has no endpoint for */
};

enum { UPSTREAM_MOST_MET = 64 };

struct upstream_cluster {
    struct view *view;
    const struct cluster *cluster;
    struct circuit *circuit;
    struct tls_target *tls;       /* of those endpoints that are reached by TLS; NULL: there are none */
    struct name **names;          /* of endpoints without an address, and of a passthrough cluster's own host */
    size_t nnames;
    unsigned names_generation;    /* the sum of theirs, as of which the slots are */
    struct arena arena;           /* of the slots, while there are names: they come and go without a snapshot */
    struct upstream_host **met;   /* hosts that requests named (upstream_named), kept for their connections */
    size_t nmet;
    struct upstream_slot *slots;  /* as lb.slots */
    size_t nslots;
    struct lb lb;
    unsigned epoch;               /* the circuit's when `lb` was updated */
    int64_t look_again_ns;        /* when time alone changes which slots count; INT64_MAX: never */
};

/* Whether hosts of it are known by names, which are to be looked up. */
bool upstream_cluster_has_names(const struct cluster *c);
/* Opens `c` for a view, whose circuits and names are the worker's. 0 or ERR_NOMEM: to be closed all the same. */
int upstream_cluster_open(struct upstream_cluster *u, struct view *v, const struct cluster *c);
/* Zeroed storage may be closed, too. */
void upstream_cluster_close(struct upstream_cluster *u);
/* Takes the addresses that its names have now. */
void upstream_follow_names(struct upstream_cluster *u);
/* For a request or connection: the balancer, once it knows what has changed since the last time. */
struct lb *upstream_lb(struct upstream_cluster *u, int64_t now_ns);

/* Whether some of its names have never been answered: a host may still come. */
bool upstream_is_asking(const struct upstream_cluster *u);
/* Whether the host of a request says where it goes: the cluster has no hosts of its own. */
bool upstream_goes_by_request(const struct upstream_cluster *u);
bool upstream_parse_address(struct name_address *out, struct str ip);
/* The slot whose address is the request's host, or -1. */
long upstream_slot_at(const struct upstream_cluster *u, struct str ip);
/* Where a request's `host` at `port` is, by the name's addresses or as an address itself; a reference. `which` is
 * counted round. NULL: no such address, no memory, or one of our own listeners: it would come back to us. */
struct upstream_host *upstream_named(struct upstream_cluster *u, struct str host, const struct name_addresses *a,
                                     size_t which, uint16_t port);

struct upstream_host *upstream_host_get(struct upstream_host *h);
void upstream_host_put(struct upstream_host *h); /* NULL is accepted */

#endif
