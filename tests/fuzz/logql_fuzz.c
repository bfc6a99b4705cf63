/* logql_fuzz.c: whatever LogQL's parser accepts runs over a few rows, as lines or as numbers, or says what is wrong; and
 * what it prints parses again, to what prints the same. */
#include "query/logql.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A store for the whole run. */
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

static void fail(const struct err *e)
{
    fprintf(stderr, "%s\n", e->msg);
    abort();
}

/* A line of each shape that a parser knows, an access log and a span. */
static void add_rows(struct err *e)
{
    static const char *const bodies[] = { "{\"a\":{\"b\":[1,\"x\"]},\"level\":\"error\",\"n\":5}",
                                          "level=info msg=\"a \\\"b\\\"\" d=15ms n=7 bytes=2KB", "10.0.0.1 - \"GET /x\" 200",
                                          "\x1b[31mred\x1b[0m", "{\"_entry\":\"e\",\"k\":\"v\"}" };
    struct arena a = ARENA_INIT(0);
    struct batch b;

    batch_init(&b, &a);
    for (int kind = 0; kind < EVENT_KINDS; kind++)
        for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
            union event_value *v = arena_array(&a, EVENT_MAX_COLUMNS, sizeof(*v));
            struct event ev = { (int64_t)i * 1000000 + 1, v, { NULL, 0 } };

            for (size_t k = 0; k < event_tables[kind].n; k++)
                v[k] = event_tables[kind].columns[k].is_text ? (union event_value){ .s = str_of(bodies[i]) }
                                                             : (union event_value){ .i = (int64_t)i * 100 };
            if (batch_add_event(&b, (enum event_kind)kind, &ev) < 0)
                abort();
        }
    if (store_commit(st, &b, e) < 0)
        fail(e);
    arena_free(&a);
}

static struct store *rows(void)
{
    struct err e = ERR_INIT;

    if (st)
        return st;
    if (!mkdtemp(dir) || !(st = store_open(dir, NULL, &e)))
        fail(&e);
    atexit(close_store);
    add_rows(&e);
    return st;
}

/* What a query may end with that is not our fault. */
static bool excused(int code)
{
    return code == ERR_INVALID || code == ERR_LIMIT || code == ERR_NOMEM || code == ERR_TIMEOUT || code == ERR_PARSE;
}

static void run(const struct logql_expr *x, struct arena *a, bool newest_first)
{
    struct logql_window w = { .to_ns = 1000000000, .limit = 10, .newest_first = newest_first, .timeout_ms = 2000 };
    const struct promql_limits limits = { .timeout_ms = 2000, .max_samples = 100000, .threads = 1 };
    struct logql_stream *streams;
    struct err e = ERR_INIT;
    size_t n;

    if (logql_is_metric(x)) {
        if (!logql_metric(rows(), x, (struct promql_window){ 1, 5, 2 }, &limits, 0, a, &e) && !excused(e.code))
            fail(&e);
    } else if (logql_lines(rows(), x, w, a, &streams, &n, &e) < 0 && !excused(e.code)) {
        fail(&e);
    }
}

static void print_again(const struct logql_expr *x, struct arena *a)
{
    struct buf first = BUF_INIT(1 << 22), second = BUF_INIT(1 << 22);
    struct err e = ERR_INIT;
    struct logql_expr *again;

    logql_print(&first, x);
    again = buf_failed(&first) ? NULL : logql_parse(a, buf_view(&first), &e);
    if (!again && e.code == ERR_PARSE && !strstr(e.msg, "too long") && !strstr(e.msg, "too deeply"))
        fail(&e);
    if (again) {
        logql_print(&second, again);
        if (!str_eq(buf_view(&first), buf_view(&second)))
            fail(&(struct err){ ERR_INVALID, "it prints another query than it was" });
    }
    buf_free(&first);
    buf_free(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = ARENA_INIT(1 << 25);
    struct err e = ERR_INIT;
    struct logql_expr *x = logql_parse(&a, (struct str){ (const char *)data, size }, &e);

    if (!x && e.code != ERR_PARSE && e.code != ERR_NOMEM)
        abort();
    if (x) {
        print_again(x, &a);
        run(x, &a, size & 1);
    }
    arena_free(&a);
    return 0;
}
