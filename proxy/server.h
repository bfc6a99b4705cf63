/* server.h: the workers, their listening sockets, and the snapshot in force. For the main thread. */
#ifndef PROXY_SERVER_H
#define PROXY_SERVER_H

#include "base/err.h"
#include "proxy/inherited.h"
#include "proxy/worker.h"

struct server;

/* Starts the workers; they listen nowhere yet. rings[i] is worker i's. NULL: ERR_NOMEM, ERR_IO. */
struct server *server_start(const struct worker_settings *settings, struct record_ring **rings, size_t nworkers,
                            struct err *e);
/* Opens the listeners that are new, tells every worker, and makes it the snapshot in force (takes over the reference).
 * All or nothing: ERR_IO names the listener that cannot be opened, and everything is as before (the reference stays
 * the caller's). */
int server_apply(struct server *s, struct snapshot_ref *ref, struct err *e);
/* Frees snapshots that nobody uses any more; to be called now and then. */
void server_tidy(struct server *s);
/* 0: none yet. */
uint64_t server_version(const struct server *s);
/* The snapshot in force, with a reference that server_put gives back. Any thread. */
const struct proxy_snapshot *server_get(void *server);
void server_put(void *server, const struct proxy_snapshot *snapshot);
/* Sockets for listeners to come, from the process before this one; NULL: none (any more). The caller's; what a listener
 * wants is taken from there. */
void server_inherit(struct server *s, struct inherited *in);
/* The listening sockets, for another process; they stay the workers'. Returns how many there are; fills in `most`. */
size_t server_sockets(const struct server *s, int *fds, size_t most);
/* Another process accepts on them: the workers go on with the connections they have, for `within_ns` at most. */
void server_retire(struct server *s, int64_t within_ns);
/* Whether all workers have ended, by server_retire. */
bool server_has_ended(struct server *s);
/* Ends the workers: they stop accepting, finish what is under way, and are gone. */
void server_drain(struct server *s);
void server_free(struct server *s);

#endif
