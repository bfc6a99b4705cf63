/* server.h: the workers, their listening sockets, and the snapshot in force. For the main thread. */
#ifndef PROXY_SERVER_H
#define PROXY_SERVER_H

#include "base/err.h"
#include "proxy/worker.h"

struct server;

/* Starts the workers; they listen nowhere yet. rings[i] is worker i's. NULL: ERR_NOMEM, ERR_IO. */
struct server *server_start(const struct worker_settings *settings, struct record_ring **rings, size_t nworkers,
                            struct err *e);
/* Opens the listeners that are new, tells every worker, and makes it the snapshot in force (takes over the reference).
 * All or nothing: ERR_IO names the listener that cannot be opened, and everything is as before (the reference stays
 * the caller's). */
int server_apply(struct server *s, struct snapshot_ref *ref, struct err *e);
/* 0: none yet. */
uint64_t server_version(const struct server *s);
/* The snapshot in force, with a reference that server_put gives back. Any thread. */
const struct proxy_snapshot *server_get(void *server);
void server_put(void *server, const struct proxy_snapshot *snapshot);
/* Ends the workers: they stop accepting, finish what is under way, and are gone. */
void server_drain(struct server *s);
void server_free(struct server *s);

#endif
