/* logql_fuzz.c: whatever LogQL's parser accepts runs: against an empty store it finds nothing, and no error. */
#include "query/logql.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* An empty store for the whole run. */
static struct store *st;
static char dir[] = "/tmp/vigla-fuzz-XXXXXX";

static int remove_one(const char *path, const struct stat *sb, int type, struct FTW *at)
{
    (void)sb;
    (void)type;
    (void)at;
    return remove(path);
}

static void close_store(void)
{
    store_close(st);
    nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static struct store *empty_store(void)
{
    struct err e = ERR_INIT;

    if (st)
        return st;
    if (!mkdtemp(dir) || !(st = store_open(dir, NULL, &e))) {
        fprintf(stderr, "%s: %s\n", dir, e.msg);
        abort();
    }
    atexit(close_store);
    return st;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = ARENA_INIT(1 << 24);
    struct err e = ERR_INIT;
    struct logql_window w = { .to_ns = 1000, .limit = 10, .newest_first = size & 1 };
    struct logql_expr *x = logql_parse(&a, (struct str){ (const char *)data, size }, &e);
    struct logql_stream *streams;
    size_t n;

    if (!x && e.code != ERR_PARSE && e.code != ERR_NOMEM)
        abort();
    if (x && (logql_lines(empty_store(), x, w, &a, &streams, &n, &e) < 0 || n)) {
        fprintf(stderr, "%s\n", e.msg);
        abort();
    }
    arena_free(&a);
    return 0;
}
