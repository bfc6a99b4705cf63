/* logql_rows.h: a store of log lines for tests of LogQL. */
#ifndef TESTS_UNIT_QUERY_LOGQL_ROWS_H
#define TESTS_UNIT_QUERY_LOGQL_ROWS_H

#include "query/logql.h"
#include "tests/unit/unit.h"

#include <ftw.h>
#include <stdio.h>
#include <unistd.h>

static const int64_t ROWS_BASE_MS = 1700000000000;

struct log_store {
    char dir[48];
    struct store *st;
    struct arena arena;
    struct batch batch;
};

static inline void log_store_open(struct log_store *s)
{
    struct err e = ERR_INIT;

    *s = (struct log_store){ .dir = "/tmp/vigla-logql-rows-XXXXXX", .arena = ARENA_INIT(0) };
    ck_assert_ptr_nonnull(mkdtemp(s->dir));
    s->st = store_open(s->dir, NULL, &e);
    ck_assert_msg(s->st != NULL, "%s", e.msg);
    batch_init(&s->batch, &s->arena);
}

/* A line `ms` after the base, of an app, with one attribute `user`. Texts must outlive the commit. */
static inline void log_store_add(struct log_store *s, int64_t ns, const char *app, const char *body, const char *user)
{
    union event_value *v = arena_array(&s->arena, LOG_NCOLUMNS, sizeof(*v));
    struct label *l = arena_array(&s->arena, 1, sizeof(*l));
    struct event ev = { ROWS_BASE_MS * 1000000 + ns, v, { l, *user ? 1 : 0 } };

    *l = (struct label){ STR("user"), str_of(user) };
    v[LOG_app].s = str_of(app);
    v[LOG_body].s = str_of(body);
    ck_assert_int_eq(batch_add_event(&s->batch, EVENT_LOG, &ev), 0);
}

static inline void log_store_commit(struct log_store *s)
{
    struct err e = ERR_INIT;

    ck_assert_msg(store_commit(s->st, &s->batch, &e) == 0, "%s", e.msg);
}

static inline int log_store_remove(const char *path, const struct stat *sb, int type, struct FTW *at)
{
    (void)sb;
    (void)type;
    (void)at;
    return remove(path);
}

static inline void log_store_close(struct log_store *s)
{
    store_close(s->st);
    nftw(s->dir, log_store_remove, 8, FTW_DEPTH | FTW_PHYS);
    arena_free(&s->arena);
}

#endif
