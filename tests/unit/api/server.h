/* server.h: a server on a free port over a store of its own, for each test. */
#ifndef TESTS_UNIT_API_SERVER_H
#define TESTS_UNIT_API_SERVER_H

#include "api/api.h"
#include "base/buf.h"
#include "tests/unit/api/client.h"
#include "tests/unit/unit.h"

#include <ftw.h>
#include <stdio.h>

struct server {
    char dir[64];
    struct store *store;
    struct api *api;
    uint16_t port;
};

enum { MAX_BODY = 64 * 1024 };

static inline int server_remove(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static inline void server_start(struct server *s, const struct api_options *more)
{
    struct api_options o = more ? *more : (struct api_options){ 0 };
    struct err e = ERR_INIT;

    strcpy(s->dir, "/tmp/vigla-api-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(s->dir));
    s->store = store_open(s->dir, NULL, &e);
    ck_assert_msg(s->store != NULL, "%s", e.msg);
    o.host = "127.0.0.1";
    if (!o.max_body)
        o.max_body = MAX_BODY;
    s->api = api_start(s->store, &o, &e);
    ck_assert_msg(s->api != NULL, "%s", e.msg);
    s->port = api_port(s->api);
}

static inline void server_stop(struct server *s)
{
    api_stop(s->api, 2000);
    store_close(s->store);
    nftw(s->dir, server_remove, 8, FTW_DEPTH | FTW_PHYS);
}

static inline struct answer server_get(const struct server *s, const char *path)
{
    return client_ask(s->port, "GET", path, "", STR_NULL);
}

/* Asks, and checks status and a part of the answer. */
static inline void server_expect(const struct server *s, const char *method, const char *path, const char *headers,
                                 const char *body, int status, const char *part)
{
    struct answer a = client_ask(s->port, method, path, headers, body ? str_of(body) : STR_NULL);

    ck_assert_msg(a.status == status && strstr(a.bytes, part), "%s %s: should be %d with %s, is %s", method, path, status,
                  part, a.bytes ? a.bytes : "(nothing)");
    answer_free(&a);
}

#endif
