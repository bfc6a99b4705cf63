/* logql_fuzz.c: whatever LogQL's parser accepts runs: against an empty store it finds nothing, and no error. */
#include "query/logql.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* An empty store for the whole run; its directory is removed at once, what SQLite has open stays usable. */
static struct store *empty_store(void)
{
    static struct store *st;
    char dir[] = "/tmp/vigla-fuzz-XXXXXX";
    struct err e = ERR_INIT;

    if (st)
        return st;
    if (!mkdtemp(dir) || !(st = store_open(dir, NULL, &e))) {
        fprintf(stderr, "%s: %s\n", dir, e.msg);
        abort();
    }
    return st;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = ARENA_INIT(1 << 24);
    struct err e = ERR_INIT;
    struct logql_window w = { 0, 1000, 10, size & 1 };
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
