/* events_store.h: a store with rows, for tests of what is read out of events. */
#ifndef TESTS_UNIT_QUERY_EVENTS_STORE_H
#define TESTS_UNIT_QUERY_EVENTS_STORE_H

#include "base/mem.h"
#include "store/store.h"
#include "tests/unit/unit.h"

#include <ftw.h>
#include <stdio.h>
#include <unistd.h>

struct events_store {
    char dir[64];
    struct store *st;
    struct arena arena; /* of the batch */
    struct batch batch; /* to be filled, then committed */
};

static inline void events_store_open(struct events_store *s)
{
    struct err e = ERR_INIT;

    strcpy(s->dir, "/tmp/vigla-query-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(s->dir));
    s->st = store_open(s->dir, NULL, &e);
    ck_assert_msg(s->st != NULL, "%s", e.msg);
    s->arena = (struct arena)ARENA_INIT(256 << 20);
    batch_init(&s->batch, &s->arena);
}

/* Commits the batch; the next one is empty. */
static inline void events_store_commit(struct events_store *s)
{
    struct err e = ERR_INIT;

    ck_assert_msg(store_commit(s->st, &s->batch, &e) == 0, "%s", e.msg);
    batch_init(&s->batch, &s->arena);
}

static inline int events_store_unlink(const char *path, const struct stat *sb, int type, struct FTW *at)
{
    (void)sb;
    (void)type;
    (void)at;
    return remove(path);
}

static inline void events_store_close(struct events_store *s)
{
    store_close(s->st);
    arena_free(&s->arena);
    nftw(s->dir, events_store_unlink, 8, FTW_DEPTH | FTW_PHYS);
}

#endif
