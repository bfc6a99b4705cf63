/* rest.c: when senders pause, the database gives back what it took for them: pages of journal records that are sealed,
 * and the WAL. While they send, both are used again and again; at rest they would be a good part of a small
 * directory. */
#include "store/store-internal.h"

#include "base/clock.h"
#include "base/log.h"

enum { FREE_PAGES = 16 /* may stay */ };

/* 1: there is more to do. */
static int step(struct store *st, struct err *e)
{
    struct rest *r = &st->rest;
    int64_t before = r->free_pages, pages = 0;
    int rc = db_number(st->db, "PRAGMA freelist_count", &pages, e);

    r->free_pages = pages;
    if (rc == 0 && pages > FREE_PAGES && pages < before) {
        rc = db_exec(st->db, "PRAGMA incremental_vacuum(64)", e);
        return rc < 0 ? rc : 1;
    }
    if (rc == 0)
        db_checkpoint(st->db);
    return rc;
}

bool rest_tick(struct store *st)
{
    struct rest *r = &st->rest;
    int64_t now_ms = clock_mono_ns() / 1000000;
    uint64_t changes = db_changes(st->db);
    struct err e = ERR_INIT;
    int rc;

    if (changes != r->changes)
        *r = (struct rest){ .changes = changes, .since_ms = now_ms, .free_pages = INT64_MAX };
    if (r->done || now_ms - r->since_ms < st->tuning.pause_ms)
        return false;
    rc = step(st, &e);
    if (rc < 0) /* no harm: after the next change again */
        log_error("giving back space: %s", e.msg);
    r->done = rc <= 0;
    return rc > 0;
}
