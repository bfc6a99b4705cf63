/* config.h: from files, or the server's words, to a snapshot. For the main thread: it reads and checks at length. */
#ifndef PROXY_CONFIG_H
#define PROXY_CONFIG_H

#include "base/err.h"
#include "proxy/snapshot_ref.h"

struct config_text {
    struct str name, text; /* the name is a file's, or what stands for it in messages */
};

/* Reads every file, and every *.yaml, *.yml and *.json of every directory, in the order of their names, into `a`.
 * ERR_NOTFOUND, ERR_IO, ERR_LIMIT: names the file. */
int config_read(struct arena *a, const char *const *paths, size_t npaths, struct config_text **texts, size_t *n,
                struct err *e);
/* Checks it all and computes the snapshot. What is wrong goes to the log, line by line; `e` has the first of it. */
struct snapshot_ref *config_build(const struct proxy_identity *id, const struct config_text *texts, size_t n,
                                  uint64_t version, struct err *e);

#endif
