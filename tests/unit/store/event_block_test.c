/* A block holds the rows that were picked, whatever they are, sorted; its filters never deny what is there; bytes that
 * are not ours are refused. */
#include "base/mem.h"
#include "store/event_chunk-internal.h"
#include "store/event_filter-internal.h"
#include "tests/unit/store/event_parts.h"
#include "tests/unit/store/event_rows.h"

enum { MOST_SOURCES = 64 };

/* A batch, cut into chunks, and picks of some of their rows. */
struct scene {
    struct arena a;
    struct rng r;
    struct batch b;
    enum event_kind kind;
    int64_t unit;
    struct buf bytes[MOST_SOURCES];
    struct event_source *sources[MOST_SOURCES];
    uint32_t *rows[MOST_SOURCES];
    size_t n[MOST_SOURCES], nsources, picked;
};

static struct scene *scene_new(uint64_t seed, enum event_kind kind, int64_t unit)
{
    struct scene *s = calloc(1, sizeof(*s));

    ck_assert_ptr_nonnull(s);
    s->r = rng_of(seed);
    s->kind = kind;
    s->unit = unit;
    batch_init(&s->b, &s->a);
    return s;
}

static void scene_free(struct scene *s)
{
    for (size_t i = 0; i < MOST_SOURCES; i++)
        buf_free(&s->bytes[i]);
    arena_free(&s->a);
    free(s);
}

/* Rows [first, first + n) become a chunk, of which one row in `leave` is not picked (0: all are). */
static void add_chunk(struct scene *s, size_t first, size_t n, size_t leave)
{
    size_t i = s->nsources++;
    struct err e = ERR_INIT;

    ck_assert_uint_lt(i, MOST_SOURCES);
    s->bytes[i] = (struct buf)BUF_INIT(1 << 30);
    ck_assert_int_eq(event_chunk_encode(&s->b.events[s->kind], s->kind, first, n, &s->bytes[i], &e), 0);
    s->sources[i] = event_chunk_open(buf_view(&s->bytes[i]), &s->a, &e);
    ck_assert_msg(s->sources[i], "%s", e.msg);
    s->rows[i] = arena_alloc(&s->a, n * sizeof(uint32_t));
    ck_assert_ptr_nonnull(s->rows[i]);
    for (uint32_t k = 0; k < n; k++)
        if (!leave || rng_below(&s->r, leave))
            s->rows[i][s->n[i]++] = k;
    s->picked += s->n[i];
}

static void cut(struct scene *s, size_t most, size_t leave)
{
    size_t total = s->b.events[s->kind].n, at = 0;

    while (at < total) {
        size_t n = 1 + rng_below(&s->r, most);

        n = n > total - at || s->nsources == MOST_SOURCES - 1 ? total - at : n;
        add_chunk(s, at, n, leave);
        at += n;
    }
}

static struct event_source *build(struct scene *s, struct parts *p, struct event_built *built)
{
    struct event_picks picks = { s->sources, (const uint32_t *const *)s->rows, s->n, s->nsources };
    struct event_source *block;
    struct err e = ERR_INIT;

    ck_assert_msg(event_build(&picks, parts_put, p, built, &e) == 0, "%s", e.msg);
    ck_assert_uint_eq(built->rows, s->picked);
    ck_assert_uint_eq(built->bytes, p->bytes);
    ck_assert_uint_eq(built->parts, p->n);
    ck_assert_uint_eq(p->last, 0);
    ck_assert_msg(event_block_verify(buf_view(&p->v[0]), parts_read, p, &e) == 0, "%s", e.msg);
    block = event_block_open(buf_view(&p->v[0]), parts_read, p, &s->a, &e);
    ck_assert_msg(block, "%s", e.msg);
    ck_assert(block->first_ns == built->first_ns && block->last_ns == built->last_ns && block->n == built->rows &&
              block->kind == s->kind);
    return block;
}

/* Which row of the batch each row of the block is: times tell. */
static const uint32_t *order_of(struct scene *s, struct event_source *block)
{
    uint32_t *order = arena_alloc(&s->a, block->n * sizeof(*order));
    const int64_t *ns;

    ck_assert_ptr_nonnull(order);
    ck_assert_int_eq(block->ops->times(block, &ns, NULL), 0);
    for (size_t i = 0; i < block->n; i++)
        order[i] = row_of_time(ns[i], s->unit);
    return order;
}

/* The batch with the block's rows alone, in the block's order. */
static struct event_rows reordered(struct scene *s, const uint32_t *order, size_t n)
{
    const struct event_rows *all = &s->b.events[s->kind];
    struct event_rows r = { .n = n };

    r.time_ns = arena_array(&s->a, n, sizeof(*r.time_ns));
    r.attributes = arena_array(&s->a, n, sizeof(*r.attributes));
    for (size_t i = 0; i < n; i++) {
        r.time_ns[i] = all->time_ns[order[i]];
        r.attributes[i] = all->attributes[order[i]];
    }
    for (size_t c = 0; c < EVENT_MAX_COLUMNS; c++) {
        r.columns[c] = all->columns[c] ? arena_array(&s->a, n, sizeof(union event_value)) : NULL;
        for (size_t i = 0; r.columns[c] && i < n; i++)
            r.columns[c][i] = all->columns[c][order[i]];
    }
    return r;
}

static const struct {
    size_t rows, attributes, names, most, leave;
} sizes[] = {
    { 1, 3, 3, 1, 0 }, { 5, 0, 0, 2, 0 }, { 300, 4, 6, 20, 3 }, { 900, 3, 400, 100, 0 }, { 2500, 2, 4, 900, 5 },
    { 400, 9, 3000, 60, 4 },
};

START_TEST(comes_back)
{
    size_t size = (size_t)_i / EVENT_KINDS % COUNT(sizes);
    struct scene *s = scene_new((uint64_t)_i, (enum event_kind)(_i % EVENT_KINDS), units[_i % 4]);
    struct parts *p = parts_new(), *again = parts_new();
    struct event_source *block;
    struct event_built built;
    struct event_rows want;

    add_random_rows(&s->r, &s->b, s->kind, sizes[size].rows, sizes[size].attributes, sizes[size].names, s->unit);
    cut(s, sizes[size].most, sizes[size].leave);
    if (s->picked == 0) {
        s->rows[0][0] = 0;
        s->n[0] = s->picked = 1;
    }
    block = build(s, p, &built);
    want = reordered(s, order_of(s, block), block->n);
    must_hold(block, &want, NULL);
    must_hold(event_block_again(block, parts_read, p, &s->a, NULL), &want, NULL);

    /* And a block of the block is the same. */
    s->nsources = 1;
    s->sources[0] = block;
    s->rows[0] = arena_alloc(&s->a, block->n * sizeof(uint32_t));
    s->n[0] = block->n;
    for (uint32_t i = 0; i < block->n; i++)
        s->rows[0][i] = i;
    must_hold(build(s, again, &built), &want, NULL);
    parts_free(p);
    parts_free(again);
    scene_free(s);
}
END_TEST

static union event_value text(struct str s)
{
    return (union event_value){ .s = s };
}

/* Numbers in texts come back as they were written: padded, long, beside what is no number. */
static const char *const numbered[] = {
    "/orders/%d/items/%05d", "2024-01-%02d 09:00:%03d: took %dms", "%d", "a%db", "0%d", "00", "18446744073709551616/%d",
    "000000000000000000%d", "123456789012345678%d",
    "%d.%d.%d.%d.%d.%d.%d.%d.%d.%d.%d.%d.%d.%d.%d.%d.%d.%d.%d.%d.%d.%d.%d.%d.%d",
    "\xff%d\xc3", "no number",
};

START_TEST(numbers_in_texts_come_back)
{
    enum { ROWS = 4000 };
    struct scene *s = scene_new(11, EVENT_LOG, 1);
    struct parts *p = parts_new();
    struct event_built built;
    struct event_source *block;
    struct event_rows want;

    for (size_t i = 0; i < ROWS; i++) {
        struct buf text = BUF_INIT(1 << 16);

        for (const char *f = numbered[rng_below(&s->r, COUNT(numbered))]; *f; f++) {
            if (*f != '%') {
                buf_putc(&text, *f);
                continue;
            }
            buf_printf(&text, f[1] == '0' ? "%0*d" : "%*d", f[1] == '0' ? f[2] - '0' : 0, (int)rng_below(&s->r, 2000));
            f += f[1] == '0' ? 3 : 1;
        }
        batch_set_event(&s->b, EVENT_LOG, LOG_body, (union event_value){ .s = arena_str(&s->a, buf_view(&text)) });
        batch_end_event(&s->b, EVENT_LOG, random_time(&s->r, i, 1), (struct labels){ NULL, 0 });
        buf_free(&text);
    }
    cut(s, 1500, 0);
    block = build(s, p, &built);
    ck_assert_uint_le(built.bytes, ROWS * 30); /* 90 bytes a text as they are */
    want = reordered(s, order_of(s, block), block->n);
    must_hold(block, &want, NULL);
    parts_free(p);
    scene_free(s);
}
END_TEST

static void set(struct scene *s, int column, union event_value v)
{
    ck_assert_int_eq(batch_set_event(&s->b, EVENT_ACCESS_LOG, column, v), 0);
}

static uint64_t bytes_of(struct event_source *block, int column)
{
    return block->ops->summary(block, (struct event_field){ column, STR_NULL })->bytes;
}

/* Of what differs little from what stands beside it, or is mostly the same, only that is written: durations beside
 * those of the upstream, rare sizes, paths that begin alike, ids that not every row has. */
START_TEST(what_is_alike_takes_little)
{
    enum { ROWS = 6000 };
    struct scene *s = scene_new(13, EVENT_ACCESS_LOG, 1000);
    struct parts *p = parts_new();
    struct event_built built;
    struct event_source *block;
    struct event_rows want;
    static const char zeros[64]; /* texts may have any bytes, and each may be what the next begins with */
    size_t ids = 0;

    for (size_t i = 0; i < ROWS; i++) {
        int64_t upstream = i % 50 ? (int64_t)rng_below(&s->r, 100000) : -1;
        size_t n = 4 + rng_below(&s->r, 60);

        set(s, ACCESS_LOG_upstream_service_time_us, (union event_value){ .i = upstream });
        set(s, ACCESS_LOG_duration_us, (union event_value){ .i = upstream + 300 + (int64_t)rng_below(&s->r, 250) });
        set(s, ACCESS_LOG_bytes_received, (union event_value){ .i = i % 4 ? 0 : (int64_t)rng_below(&s->r, 4000) });
        set(s, ACCESS_LOG_path, text(arena_printf(&s->a, "/a/long/path/to/what/is/asked/%lu", rng_below(&s->r, 1000))));
        set(s, ACCESS_LOG_method, text((struct str){ zeros, n }));
        if (rng_below(&s->r, 2)) {
            set(s, ACCESS_LOG_request_id, text(random_id(&s->r, &s->a, 0)));
            ids++;
        }
        batch_end_event(&s->b, EVENT_ACCESS_LOG, random_time(&s->r, i, 1000), (struct labels){ NULL, 0 });
    }
    cut(s, 2000, 0);
    block = build(s, p, &built);
    ck_assert_uint_le(bytes_of(block, ACCESS_LOG_upstream_service_time_us), ROWS * 9 / 4);
    ck_assert_uint_le(bytes_of(block, ACCESS_LOG_duration_us), ROWS * 3 / 2);
    ck_assert_uint_le(bytes_of(block, ACCESS_LOG_bytes_received), ROWS * 3 / 5);
    ck_assert_uint_le(bytes_of(block, ACCESS_LOG_path), ROWS * 2);
    ck_assert_uint_le(bytes_of(block, ACCESS_LOG_request_id), ids * 16 + ROWS / 4);
    want = reordered(s, order_of(s, block), block->n);
    must_hold(block, &want, NULL);
    parts_free(p);
    scene_free(s);
}
END_TEST

/* Rows of one identity stand together, by time; the first column of an identity has the longest runs. */
START_TEST(is_sorted)
{
    enum { ROWS = 3000 };
    struct scene *s = scene_new(3, EVENT_LOG, 1);
    struct parts *p = parts_new();
    struct event_built built;
    struct event_source *block;
    const int64_t *ns;
    size_t runs = 0, namespaces = 0;
    struct str before[2] = { STR_NULL, STR_NULL };

    for (size_t i = 0; i < ROWS; i++) {
        batch_set_event(&s->b, EVENT_LOG, LOG_namespace, text(arena_printf(&s->a, "ns%lu", rng_below(&s->r, 3))));
        batch_set_event(&s->b, EVENT_LOG, LOG_pod, text(arena_printf(&s->a, "pod%lu", rng_below(&s->r, 5))));
        batch_set_event(&s->b, EVENT_LOG, LOG_body, text(arena_printf(&s->a, "body %zu", i)));
        batch_end_event(&s->b, EVENT_LOG, random_time(&s->r, i, 1), (struct labels){ NULL, 0 });
    }
    cut(s, 500, 0);
    block = build(s, p, &built);
    ck_assert_int_eq(block->ops->times(block, &ns, NULL), 0);
    for (size_t i = 0; i < ROWS; i++) {
        struct str now[2];
        bool same;

        event_view_text(open_with_rows(block, (struct event_field){ LOG_namespace, STR_NULL }), i, &now[0], NULL);
        event_view_text(open_with_rows(block, (struct event_field){ LOG_pod, STR_NULL }), i, &now[1], NULL);
        same = i && str_eq(now[0], before[0]) && str_eq(now[1], before[1]);
        MUST(!same || ns[i] > ns[i - 1], "row %zu", i);
        runs += !same;
        namespaces += i == 0 || !str_eq(now[0], before[0]);
        memcpy(before, now, sizeof(before));
    }
    ck_assert_uint_eq(runs, 15);
    ck_assert_uint_eq(namespaces, 3);
    parts_free(p);
    scene_free(s);
}
END_TEST

/* 3000 bodies with two tokens that nobody else has, ids and names. */
static struct event_source *filtered(struct scene *s, struct parts *p)
{
    struct event_built built;

    for (size_t i = 0; i < 3000; i++) {
        batch_set_event(&s->b, EVENT_LOG, LOG_body,
                        text(arena_printf(&s->a, "GET /orders/%zu/x%zu?q=1 done", 1000000 + i * 7, i)));
        batch_set_event(&s->b, EVENT_LOG, LOG_trace_id, text(random_id(&s->r, &s->a, 1)));
        batch_set_event(&s->b, EVENT_LOG, LOG_pod, text(arena_printf(&s->a, "pod-%zu", i / 4)));
        batch_end_event(&s->b, EVENT_LOG, random_time(&s->r, i, 1), (struct labels){ NULL, 0 });
    }
    cut(s, 900, 0);
    return build(s, p, &built);
}

static bool may_hold(struct event_source *block, int column, struct str value)
{
    struct err e = ERR_INIT;
    bool may;

    MUST(block->ops->may_hold(block, (struct event_field){ column, STR_NULL }, value, &may, &e) == 0, "%s", e.msg);
    return may;
}

START_TEST(filters)
{
    struct scene *s = scene_new(4, EVENT_LOG, 1);
    struct parts *p = parts_new();
    struct event_source *block = filtered(s, p);
    const struct event_rows *rows = &s->b.events[EVENT_LOG];
    size_t wrong = 0;

    ck_assert(block->ops->summary(block, (struct event_field){ LOG_body, STR_NULL })->form == EVENT_FORM_TEXTS);
    ck_assert(block->ops->summary(block, (struct event_field){ LOG_trace_id, STR_NULL })->form == EVENT_FORM_IDS);
    ck_assert(block->ops->summary(block, (struct event_field){ LOG_pod, STR_NULL })->form == EVENT_FORM_DICT);
    for (size_t i = 0; i < rows->n; i++) {
        struct str body = rows->columns[LOG_body][i].s;

        MUST(may_hold(block, LOG_trace_id, rows->columns[LOG_trace_id][i].s), "row %zu", i);
        MUST(may_hold(block, LOG_pod, rows->columns[LOG_pod][i].s), "row %zu", i);
        MUST(may_hold(block, LOG_body, body), "row %zu", i);
        for (size_t from = 0; from < body.n; from += 3)
            MUST(may_hold(block, LOG_body, (struct str){ body.p + from, body.n - from - from / 2 % 3 % (body.n - from) }),
                 "row %zu", i);
    }
    for (size_t i = 0; i < 1000; i++) {
        MUST(!may_hold(block, LOG_trace_id, random_id(&s->r, &s->a, 1)), "id %zu", i);
        wrong += may_hold(block, LOG_pod, arena_printf(&s->a, "pod-%zu", 1000 + i));
        wrong += may_hold(block, LOG_body, arena_printf(&s->a, "/orders/%zu/x", 1000001 + i * 7));
        MUST(may_hold(block, LOG_body, arena_printf(&s->a, "%zu", 1000001 + i * 7)), "row %zu",
             i);                                                                             /* part of a token? */
        MUST(may_hold(block, LOG_body, arena_printf(&s->a, ":%zu;", 10 + i)), "row %zu", i); /* too short a number */
    }
    ck_assert_uint_le(wrong, 200);
    ck_assert(!may_hold(block, LOG_span_id, STR("0123456789abcdef"))); /* nobody has one */
    ck_assert(may_hold(block, LOG_trace_id, STR("")));
    parts_free(p);
    scene_free(s);
}
END_TEST

/* What a question costs in reads. */
START_TEST(reads_what_it_needs)
{
    struct scene *s = scene_new(5, EVENT_LOG, 1);
    struct parts *p = parts_new();
    struct event_source *block = filtered(s, p), *again = event_block_again(block, parts_read, p, &s->a, NULL);
    struct event_view *v;

    p->reads = 0;
    again->ops->summary(again, (struct event_field){ LOG_body, STR_NULL });
    ck_assert_uint_eq(p->reads, 0);
    may_hold(again, LOG_trace_id, STR("0123456789abcdef0123456789abcdef"));
    ck_assert_uint_eq(p->reads, 1);
    ck_assert_int_eq(again->ops->open(again, (struct event_field){ LOG_trace_id, STR_NULL }, &v, NULL), 0);
    ck_assert_uint_eq(p->reads, 1);
    open_with_rows(again, (struct event_field){ LOG_trace_id, STR_NULL });
    open_with_rows(again, (struct event_field){ LOG_trace_id, STR_NULL });
    ck_assert_uint_eq(p->reads, 3); /* shelves and keys */
    parts_free(p);
    scene_free(s);
}
END_TEST

/* Long texts, frame by frame, and texts of single rows meanwhile. */
START_TEST(scans_frames)
{
    enum { ROWS = 2000 };
    struct scene *s = scene_new(6, EVENT_LOG, 1);
    struct parts *p = parts_new();
    struct event_built built;
    struct event_source *block;
    struct event_view *v;
    struct event_frame f = { 0 };
    const uint32_t *order;
    size_t frames = 0, before;

    for (size_t i = 0; i < ROWS; i++) {
        size_t n = i % 100 == 5 ? 300000 : rng_below(&s->r, 2000);

        batch_set_event(&s->b, EVENT_LOG, LOG_body, text(random_bytes(&s->r, &s->a, n)));
        batch_end_event(&s->b, EVENT_LOG, random_time(&s->r, i, 1), (struct labels){ NULL, 0 });
    }
    add_chunk(s, 0, ROWS, 0);
    block = build(s, p, &built);
    order = order_of(s, block);
    v = open_with_rows(block, (struct event_field){ LOG_body, STR_NULL });
    before = s->a.used;
    for (size_t row = 0; row < ROWS; row = f.first + f.n, frames++) {
        ck_assert_int_eq(event_view_frame(v, row, &f, NULL), 0);
        ck_assert(f.first == row && f.n > 0);
        for (size_t i = 0; i < f.n; i++) {
            struct str want = s->b.events[EVENT_LOG].columns[LOG_body][order[row + i]].s;

            MUST(str_eq((struct str){ f.bytes + f.at[i], f.at[i + 1] - f.at[i] }, want), "row %zu", row + i);
        }
    }
    ck_assert_uint_ge(frames, 20);
    ck_assert_uint_le(s->a.used - before, 600000); /* no more than the largest one */
    for (size_t i = 0; i < 500; i++) {
        size_t row = rng_below(&s->r, ROWS);
        struct str got, kept = s->b.events[EVENT_LOG].columns[LOG_body][order[row]].s;

        if (i % 3 == 0)
            ck_assert_int_eq(event_view_frame(v, rng_below(&s->r, ROWS), &f, NULL), 0);
        ck_assert_int_eq(event_view_text(v, row, &got, NULL), 0);
        ck_assert_int_eq(event_view_frame(v, rng_below(&s->r, ROWS), &f, NULL), 0);
        ck_assert(str_eq(got, kept));
    }
    parts_free(p);
    scene_free(s);
}
END_TEST

START_TEST(takes_as_many_rows_as_a_source_may_have)
{
    struct scene *s = scene_new(8, EVENT_SPAN, 1000);
    struct parts *p = parts_new();
    struct event_built built;
    struct event_source *block;
    struct event_rows want;

    for (size_t i = 0; i < EVENT_SOURCE_ROWS; i++) {
        batch_set_event(&s->b, EVENT_SPAN, SPAN_name, text(arena_printf(&s->a, "%zu", i * 3 % 40000)));
        batch_set_event(&s->b, EVENT_SPAN, SPAN_status_message, text(arena_printf(&s->a, "%zu", i)));
        batch_set_event(&s->b, EVENT_SPAN, SPAN_trace_id, text(random_id(&s->r, &s->a, 1)));
        batch_set_event(&s->b, EVENT_SPAN, SPAN_duration_ns, (union event_value){ .i = (int64_t)i * 1000 });
        batch_end_event(&s->b, EVENT_SPAN, random_time(&s->r, i, 1000), (struct labels){ NULL, 0 });
    }
    cut(s, 5000, 0);
    block = build(s, p, &built);
    want = reordered(s, order_of(s, block), block->n);
    must_hold(block, &want, NULL);
    parts_free(p);
    scene_free(s);
}
END_TEST

static int no_put(void *arg, uint32_t no, struct str body, struct err *e)
{
    (void)arg;
    (void)body;
    return no > 2 ? err_set(e, ERR_FULL, "no space") : 0;
}

START_TEST(refuses)
{
    struct scene *s = scene_new(9, EVENT_SPAN, 1);
    struct event_picks picks = { s->sources, (const uint32_t *const *)s->rows, s->n, 0 };
    struct event_built built;
    struct err e = ERR_INIT;

    ck_assert_int_eq(event_build(&picks, no_put, NULL, &built, &e), ERR_INVALID);
    add_random_rows(&s->r, &s->b, EVENT_SPAN, 3000, 0, 0, 1);
    cut(s, 2000, 0);
    picks.nsources = s->nsources;
    ck_assert_int_eq(event_build(&picks, no_put, NULL, &built, &e), ERR_FULL);
    ck_assert_str_eq(e.msg, "no space");
    scene_free(s);
}
END_TEST

/* Any byte of any part that changes is noticed; so is a part that is not there. */
START_TEST(is_summed)
{
    struct scene *s = scene_new(10, EVENT_LOG, 1);
    struct parts *p = parts_new();
    struct event_built built;

    add_random_rows(&s->r, &s->b, EVENT_LOG, 2000, 2, 3, 1);
    add_chunk(s, 0, 2000, 0);
    build(s, p, &built);
    for (size_t no = 0; no < PARTS; no++) {
        for (size_t i = 0; i < p->v[no].n; i += 1 + p->v[no].n / 6) {
            p->v[no].p[i] ^= 4;
            ck_assert_int_eq(event_block_verify(buf_view(&p->v[0]), parts_read, p, NULL), ERR_CORRUPT);
            p->v[no].p[i] ^= 4;
        }
        if (no && p->there[no]) {
            p->v[no].n--;
            ck_assert_int_eq(event_block_verify(buf_view(&p->v[0]), parts_read, p, NULL), ERR_CORRUPT);
            p->v[no].n++;
        }
    }
    ck_assert_int_eq(event_block_verify(buf_view(&p->v[0]), parts_read, p, NULL), 0);
    parts_free(p);
    scene_free(s);
}
END_TEST

/* Everything that may fail for want of memory: encode, join, build, verify and read. */
static int whole_way(struct scene *s, struct parts *p)
{
    struct arena a = ARENA_INIT(0);
    struct buf chunk = BUF_INIT(1 << 30), joined = BUF_INIT(1 << 30);
    struct event_source *source = NULL, *block = NULL;
    struct event_built built;
    struct event_picks picks = { &source, (const uint32_t *const *)s->rows, s->n, 1 };
    const struct str *names;
    size_t n;
    struct err e = ERR_INIT;
    int rc = event_chunk_encode(&s->b.events[s->kind], s->kind, 0, s->picked, &chunk, &e);

    source = rc == 0 ? event_chunk_open(buf_view(&chunk), &a, &e) : NULL;
    rc = source ? event_chunk_join(&source, 1, &joined, &e) : e.code;
    rc = rc == 0 ? event_build(&picks, parts_put, p, &built, &e) : rc;
    rc = rc == 0 ? event_block_verify(buf_view(&p->v[0]), parts_read, p, &e) : rc;
    block = rc == 0 ? event_block_open(buf_view(&p->v[0]), parts_read, p, &a, &e) : NULL;
    rc = block ? block->ops->attributes(block, &names, &n, &e) : e.code;
    for (int c = 0; rc == 0 && c < (int)event_tables[s->kind].n; c++) {
        struct event_view *v;

        rc = block->ops->open(block, (struct event_field){ c, STR_NULL }, &v, &e);
        rc = rc == 0 && v ? block->ops->rows(block, v, &e) : rc;
    }
    arena_free(&a);
    buf_free(&chunk);
    buf_free(&joined);
    return rc;
}

START_TEST(copes_without_memory)
{
    struct scene *s = scene_new(12, EVENT_LOG, 1);
    int failures = 0;

    add_random_rows(&s->r, &s->b, EVENT_LOG, 80, 2, 3, 1); /* a few: all of it is done anew for each allocation */
    add_chunk(s, 0, 80, 0);
    for (long n = 1;; n++) {
        struct parts *p = parts_new();
        int rc;

        mem_fail_at(n);
        rc = whole_way(s, p);
        if (!mem_has_failed()) {
            mem_fail_at(0);
            ck_assert_int_eq(rc, 0);
            parts_free(p);
            break;
        }
        mem_fail_at(0);
        failures += rc == ERR_NOMEM;
        if (rc != ERR_NOMEM)
            ck_abort_msg("allocation %ld: %d", n, rc);
        parts_free(p);
    }
    ck_assert_int_gt(failures, 100);
    scene_free(s);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("event_block");
    TCase *tc = tcase_create("event_block");

    tcase_add_loop_test(tc, comes_back, 0, (int)(COUNT(sizes) * EVENT_KINDS) * (UNIT_SANITIZED ? 1 : 2));
    tcase_add_test(tc, numbers_in_texts_come_back);
    tcase_add_test(tc, what_is_alike_takes_little);
    tcase_add_test(tc, is_sorted);
    tcase_add_test(tc, filters);
    tcase_add_test(tc, reads_what_it_needs);
    tcase_add_test(tc, scans_frames);
    tcase_add_test(tc, takes_as_many_rows_as_a_source_may_have);
    tcase_add_test(tc, refuses);
    tcase_add_test(tc, is_summed);
    tcase_add_test(tc, copes_without_memory);
    tcase_set_timeout(tc, 60);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)
