/* discovery-internal.h: where targets come from: groups that stand in the configuration, in files, or at a server.
 *
 * One thread: the loop's. */
#ifndef COLLECTOR_DISCOVERY_INTERNAL_H
#define COLLECTOR_DISCOVERY_INTERNAL_H

#include "collector/scrape_config-internal.h"
#include "collector/scrape_http-internal.h"

/* What one file or server said last. */
struct discovery_source {
    struct arena arena;
    struct str name; /* path or URL */
    uint64_t hash;   /* of the text */
    const struct target_group *groups;
    size_t n;
    bool found;      /* by the round under way */
    bool failing;    /* as told in the log */
    struct discovery_source *next;
};

struct discovery {
    const struct discovery_config *config;
    struct event_base *base;
    struct http_client *client;
    void (*changed)(void *arg);
    void *arg;
    struct discovery_source *sources; /* FILE, HTTP */
    struct event *timer;              /* of the next round */
    int inotify;                      /* FILE: -1 when there is none */
    struct event *told;               /* FILE: a folder has changed */
    struct http_call call;            /* HTTP */
};

/* Starts; changed(arg) is called from the loop whenever the groups are others than before. The first round of files has
 * ended when this returns. `config` must live as long, or until discovery_rebase. NULL: ERR_NOMEM. */
struct discovery *discovery_start(const struct discovery_config *config, struct event_base *base,
                                  struct http_client *client, void (*changed)(void *arg), void *arg, struct err *e);
void discovery_stop(struct discovery *d);
/* The same configuration in another place, and another arg. */
void discovery_rebase(struct discovery *d, const struct discovery_config *config, void *arg);
/* Walks the groups: *at is zeroed before the first; NULL at the end. */
struct discovery_walk {
    const struct discovery_source *source;
    size_t at;
    bool begun;
};
const struct target_group *discovery_next(const struct discovery *d, struct discovery_walk *w);

/* --- between the files of discovery --- */

/* Takes a text, YAML or JSON, for the groups of `name`, each of which gets the label `meta`=name. 1: they changed; 0;
 * ERR_*: the text is bad, and the old groups stay. */
int discovery_take(struct discovery *d, struct str name, struct str meta, struct str text, struct err *e);
struct discovery_source *discovery_find(struct discovery *d, struct str name);
/* NULL: no memory. */
struct discovery_source *discovery_add(struct discovery *d, struct str name);
/* Logs a failure when it is new, and its end. */
void discovery_tell(struct discovery_source *s, const struct err *e);
void discovery_source_free(struct discovery_source *s);

/* Files: looks for them now, and watches their folders. */
int discovery_files_start(struct discovery *d, struct err *e);
void discovery_files_stop(struct discovery *d);
void discovery_files_round(struct discovery *d);

#endif
