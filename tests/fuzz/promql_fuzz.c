/* promql_fuzz.c: what PromQL's parser accepts prints to a text that it accepts, and that prints to itself. */
#include "query/promql.h"

#include <stdio.h>
#include <stdlib.h>

static bool print(struct str text, struct buf *out)
{
    struct arena a = ARENA_INIT(1 << 24);
    struct err e = ERR_INIT;
    struct promql_expr *x = promql_parse(&a, text, &e);

    if (x)
        promql_print(out, x);
    else if (e.code != ERR_PARSE && e.code != ERR_NOMEM)
        abort();
    arena_free(&a);
    return x != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = { (const char *)data, size };
    struct buf once = BUF_INIT(1 << 20), twice = BUF_INIT(1 << 20);

    if (size <= 4096 && print(text, &once) && !buf_failed(&once)) {
        if (!print(buf_view(&once), &twice) || !str_eq(buf_view(&once), buf_view(&twice))) {
            fprintf(stderr, "%.*s\n%.*s\n", STR_ARG(buf_view(&once)), STR_ARG(buf_view(&twice)));
            abort();
        }
    }
    buf_free(&once);
    buf_free(&twice);
    return 0;
}
