/* catalog.h: versioned documents: the mesh's objects, saved views, settings.
 *
 * Each change, of one or of many documents together, makes one revision; earlier ones stay readable. */
#ifndef STORE_CATALOG_H
#define STORE_CATALOG_H

#include "store/store.h"

struct catalog_key {
    struct str kind, ns, name; /* "VirtualService", "guestbook", "frontend"; ns empty for what has none */
};

struct catalog_document {
    struct catalog_key key;
    struct str body;    /* empty when deleted */
    bool deleted;
    int64_t created_ms; /* when the document first came (again, after a deletion) */
    int64_t changed_ms;
    uint64_t revision;  /* that made this version */
};

struct catalog_change {
    struct catalog_key key;
    struct str body;
    bool remove;
};

/* Applies all or nothing, as one revision, whose number is *revision. A body equal to the present one is no change;
 * when nothing changes *revision is the present one. `expect` not 0: ERR_CONFLICT when the present revision is another.
 * ERR_NOTFOUND: a removal of what is not there. Committed when it returns 0. */
int catalog_apply(struct store *st, const struct catalog_change *changes, size_t n, uint64_t expect,
                  uint64_t *revision, struct err *e);
/* The present revision; 0 while empty. */
uint64_t catalog_revision(struct store *st);
/* The documents as of `revision` (0 = now), without deleted ones, by kind, ns, name. kind empty = all kinds. */
int catalog_list(struct store *st, struct str kind, uint64_t revision, struct arena *a, struct catalog_document **out,
                 size_t *n, struct err *e);
/* All versions of one document, or of all (key.kind empty), newest first, at most `limit`. */
int catalog_history(struct store *st, struct catalog_key key, size_t limit, struct arena *a,
                    struct catalog_document **out, size_t *n, struct err *e);

#endif
