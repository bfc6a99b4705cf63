/* event_pieces.h: random rows, encoded as chunks and blocks, which take the place of a store's for what reads events; and
 * the same rows as they are, to compare with.
 *
 * event_sources_hold and what belongs to it are defined here, so that a test says which rows stand in which piece, damages
 * one, and sees what was read of it. */
#ifndef TESTS_UNIT_STORE_EVENT_PIECES_H
#define TESTS_UNIT_STORE_EVENT_PIECES_H

#include "base/mem.h"
#include "base/rand.h"
#include "store/event_build-internal.h"
#include "store/event_chunk-internal.h"
#include "tests/unit/unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

enum { MOST_PIECES = 32, MOST_PARTS = 256, MOST_ROWS = 20000 };

struct model_row {
    int64_t t;
    union event_value v[EVENT_MAX_COLUMNS];
    struct labels attributes;
};

struct piece {
    struct str chunk;           /* n 0: a block, whose parts these are */
    struct str parts[MOST_PARTS];
    size_t first, n;            /* its rows in the model */
    _Atomic size_t reads, damaged;
};

static struct {
    enum event_kind kind;
    int row_column;             /* a number column that has the row's number */
    struct arena arena;
    struct rng rng;
    struct model_row *rows;
    size_t n;
    struct piece *pieces;
    size_t npieces;
    _Atomic size_t held;        /* event_sources_hold without release */
} model;

/* --- random rows --- */

static inline size_t below(size_t n)
{
    return (size_t)rng_below(&model.rng, n);
}

static inline struct str random_id(bool dashes, bool odd)
{
    char id[40];

    if (dashes)
        rng_uuid4(&model.rng, id);
    else
        rng_hex(&model.rng, id, 32);
    return arena_printf(&model.arena, odd ? "req-%s" : "%s", id);
}

static inline struct str random_words(void)
{
    static const char *const words[] = { "cart", "checkout", "GET", "timeout", "user_7", "caf\xc3\xa9", "x", "/api/v1", "=" };
    struct str s = STR("");

    for (size_t n = below(6); n > 0; n--)
        s = arena_printf(&model.arena, "%.*s%s%s", STR_ARG(s), words[below(COUNT(words))], below(3) ? " " : "");
    return arena_printf(&model.arena, "%.*s%zu", STR_ARG(s), below(100000));
}

/* Columns differ in how many values they have, and which. */
static inline struct str random_text(size_t column)
{
    switch (column % 8) {
    case 0:
        return STR("");
    case 1:
        return STR("same");
    case 2:
        return arena_printf(&model.arena, "value-%zu", below(5));
    case 3:
        return arena_printf(&model.arena, "v%zu", below(700));
    case 4:
        return below(20) ? random_id(true, below(30) == 0) : STR("");
    case 5:
        return below(10) ? random_id(false, false) : STR("");
    case 6:
        return below(10) ? random_words() : STR("");
    default:
        return below(2) ? arena_printf(&model.arena, "%zu", below(20)) : STR("");
    }
}

static inline int64_t random_number(size_t column)
{
    switch (column % 4) {
    case 0:
        return (int64_t)below(4) * 100 + 200;
    case 1:
        return (int64_t)below(100000) - 500;
    case 2:
        return 0;
    default:
        return below(3) ? (int64_t)below(10) : -1;
    }
}

static inline struct labels random_attributes(void)
{
    static const char *const names[] = { "code", "team", "trace" };
    struct label *v = arena_array(&model.arena, COUNT(names), sizeof(*v));
    size_t n = 0;

    for (size_t i = 0; i < COUNT(names); i++)
        if (below(3) == 0) {
            v[n].name = str_of(names[i]);
            v[n++].value = i == 0 ? arena_printf(&model.arena, below(5) ? "%zu" : "x%zu", below(50)) : random_text(i + 1);
        }
    return (struct labels){ v, n };
}

static inline void add_row(int64_t t)
{
    const struct event_table *table = &event_tables[model.kind];
    struct model_row *r = &model.rows[model.n];

    r->t = t;
    for (size_t c = 0; c < table->n; c++)
        if (table->columns[c].is_text)
            r->v[c].s = random_text(c);
        else
            r->v[c].i = random_number(c);
    r->v[model.row_column].i = (int64_t)model.n++;
    r->attributes = random_attributes();
}

static inline void model_init(enum event_kind kind, uint64_t seed)
{
    static const int row_columns[EVENT_KINDS] = { ACCESS_LOG_bytes_sent, LOG_severity_number, SPAN_duration_ns };

    mem_keep(); /* columns come and go by the megabyte */
    memset(&model, 0, sizeof(model));
    model.kind = kind;
    model.row_column = row_columns[kind];
    model.arena = (struct arena)ARENA_INIT(0);
    for (size_t i = 0; i < 4; i++)
        model.rng.s[i] = seed * 0x9e3779b97f4a7c15 + i + 1;
    model.rows = arena_array(&model.arena, MOST_ROWS, sizeof(*model.rows));
    model.pieces = arena_array(&model.arena, MOST_PIECES, sizeof(*model.pieces));
}

static inline void model_fini(void)
{
    ck_assert_uint_eq(model.held, 0);
    arena_free(&model.arena);
}

/* --- pieces --- */

static inline struct str encode_chunk(size_t first, size_t n)
{
    struct arena a = ARENA_INIT(0);
    struct buf out = BUF_INIT(1 << 30);
    struct err e = ERR_INIT;
    struct batch b;
    struct str bytes;

    batch_init(&b, &a);
    for (size_t i = first; i < first + n; i++) {
        const struct event ev = { model.rows[i].t, model.rows[i].v, model.rows[i].attributes };

        ck_assert_int_eq(batch_add_event(&b, model.kind, &ev), 0);
    }
    ck_assert_msg(event_chunk_encode(&b.events[model.kind], model.kind, 0, n, &out, &e) == 0, "%s", e.msg);
    bytes = arena_str(&model.arena, buf_view(&out));
    buf_free(&out);
    arena_free(&a);
    return bytes;
}

static inline int put_part(void *arg, uint32_t no, struct str body, struct err *e)
{
    struct piece *p = arg;

    (void)e;
    ck_assert_uint_lt(no, MOST_PARTS);
    p->parts[no] = arena_str(&model.arena, body);
    return 0;
}

static inline int read_part(void *arg, uint32_t no, size_t at, size_t n, void *to, struct err *e)
{
    struct piece *p = arg;

    p->reads++;
    if (no >= MOST_PARTS || at > p->parts[no].n || n > p->parts[no].n - at)
        return err_set(e, ERR_CORRUPT, "part %u: no %zu bytes at %zu", no, n, at);
    if (n)
        memcpy(to, p->parts[no].p + at, n);
    return 0;
}

/* The rows [first, first + n) as another piece. */
static inline struct piece *add_piece(size_t first, size_t n, bool block)
{
    struct piece *p = &model.pieces[model.npieces++];
    struct arena a = ARENA_INIT(0);
    struct err e = ERR_INIT;

    ck_assert_uint_le(model.npieces, MOST_PIECES);
    p->first = first;
    p->n = n;
    p->chunk = encode_chunk(first, n);
    if (block) {
        struct event_source *s = event_chunk_open(p->chunk, &a, &e);
        uint32_t *rows = arena_array(&a, n, sizeof(*rows));
        const uint32_t *const picked = rows;
        struct event_picks picks = { &s, &picked, &n, 1 };
        struct event_built built;

        for (size_t i = 0; i < n; i++)
            rows[i] = (uint32_t)i;
        ck_assert_msg(s && event_build(&picks, put_part, p, &built, &e) == 0, "%s", e.msg);
        p->chunk = STR_NULL;
    }
    arena_free(&a);
    return p;
}

/* Pieces of all sizes, mostly one behind the other in time, some late. */
static inline void random_pieces(size_t pieces, size_t most_rows)
{
    int64_t at = 1000;

    for (size_t i = 0; i < pieces; i++) {
        size_t first = model.n, n = 1 + below(below(2) ? most_rows : 5), span = 1 + below(2000);
        int64_t begin = below(5) ? at : (int64_t)below((size_t)at);

        for (size_t r = 0; r < n; r++)
            add_row(begin + (int64_t)below(span));
        add_piece(first, n, below(2) == 0);
        at += (int64_t)below(span);
    }
}

static inline struct event_source *open_piece(struct piece *p, struct arena *a, struct err *e)
{
    return p->chunk.n ? event_chunk_open(p->chunk, a, e) : event_block_open(p->parts[0], read_part, p, a, e);
}

/* --- in the place of event_sources.c --- */

struct event_hold {
    size_t places[MOST_PIECES]; /* of the sources, in model.pieces */
    struct event_source *sources[MOST_PIECES];
    size_t n;
};

static struct event_hold *holds[16]; /* those of the present queries */

static inline struct piece *piece_of(const struct event_source *s)
{
    for (size_t h = 0; h < COUNT(holds); h++)
        for (size_t i = 0; holds[h] && i < holds[h]->n; i++)
            if (holds[h]->sources[i] == s)
                return &model.pieces[holds[h]->places[i]];
    ck_abort_msg("a source that is not held");
}

int event_sources_hold(struct store *st, enum event_kind kind, int64_t from_ns, int64_t to_ns, uint64_t after,
                       struct arena *a, struct event_sources *out, struct err *e)
{
    struct event_hold *h = ARENA_NEW(a, struct event_hold);
    struct err why = ERR_INIT;
    size_t slot = 0;

    (void)st;
    (void)after;
    ck_assert_int_eq(kind, model.kind);
    if (!h)
        return err_set(e, ERR_NOMEM, "no memory");
    for (size_t i = 0; i < model.npieces; i++) {
        struct event_source *s = open_piece(&model.pieces[i], a, &why);

        if (!s)
            return err_set(e, why.code, "%s", why.msg);
        if (s->last_ns < from_ns || s->first_ns >= to_ns)
            continue;
        h->sources[h->n] = s;
        h->places[h->n++] = i;
    }
    while (holds[slot])
        slot++;
    holds[slot] = h;
    model.held++;
    *out = (struct event_sources){ .v = h->sources, .n = h->n, .hold = h };
    return 0;
}

struct event_source *event_source_again(const struct event_source *s, struct arena *a, struct err *e)
{
    struct piece *p = piece_of(s);

    return p->chunk.n ? event_chunk_open(p->chunk, a, e) : event_block_again(s, read_part, p, a, e);
}

void event_source_damaged(struct store *st, struct event_source *s, const struct err *why)
{
    (void)st;
    ck_assert_int_eq(why->code, ERR_CORRUPT);
    piece_of(s)->damaged++;
}

void event_sources_release(struct store *st, struct event_sources *s)
{
    (void)st;
    for (size_t i = 0; i < COUNT(holds); i++)
        if (holds[i] == s->hold)
            holds[i] = NULL;
    model.held--;
}

/* --- random conditions, and what they mean --- */

static inline union event_value model_value(const struct model_row *r, struct event_field f)
{
    return f.column >= 0 ? r->v[f.column] : (union event_value){ .s = labels_get(r->attributes, f.attribute) };
}

static inline bool text_field(struct event_field f)
{
    return f.column < 0 || event_tables[model.kind].columns[f.column].is_text;
}

static inline struct event_field random_field(void)
{
    if (below(6) == 0)
        return (struct event_field){ -1, below(2) ? STR("code") : below(2) ? STR("team") : STR("none") };
    return (struct event_field){ .column = (int)below(event_tables[model.kind].n) };
}

static inline struct event_condition random_condition(void)
{
    static const char *const patterns[] = { "value-[123]", ".*cart.*", "", "[a-f0-9-]+", ".*" };
    struct event_field f = random_field();
    union event_value v = model.n ? model_value(&model.rows[below(model.n)], f) : (union event_value){ .s = STR_NULL };
    struct event_condition c = { .column = f.column, .attribute = f.attribute };

    if (!text_field(f)) {
        c.op = (enum event_op)below(EVENT_GE + 1);
        c.value.i = v.i + (below(2) ? 0 : (int64_t)below(3) - 1);
        return c;
    }
    c.op = (enum event_op)below(EVENT_NRE + 1);
    if (c.op >= EVENT_LT && c.op <= EVENT_GE) {
        if (f.column >= 0)
            c.op = EVENT_CONTAINS;
        else
            c.value.i = (int64_t)below(50);
    }
    if (c.op == EVENT_RE || c.op == EVENT_NRE) {
        c.re = regex_compile(&model.arena, str_of(patterns[below(COUNT(patterns))]), below(2) ? REGEX_FULL : 0, NULL);
        ck_assert_ptr_nonnull(c.re);
    } else if (c.op < EVENT_LT || c.op > EVENT_GE) {
        size_t from = below(3) || v.s.n == 0 ? 0 : below(v.s.n), n = below(3) ? v.s.n - from : below(v.s.n - from + 1);

        c.value.s = below(12) ? (struct str){ v.s.p + from, n } : STR("nowhere");
        if (c.value.s.n == 0)
            c.value.s = STR("");
    }
    return c;
}

/* Written once more, in the plainest way. */
static inline bool plain_holds(const struct event_condition *c, const struct model_row *r)
{
    union event_value v = model_value(r, (struct event_field){ c->column, c->attribute });
    bool text = text_field((struct event_field){ c->column, c->attribute });
    double x = (double)v.i, y = (double)c->value.i;
    char number[64];

    if (text && c->op >= EVENT_LT && c->op <= EVENT_GE) {
        char *end = number;

        snprintf(number, sizeof(number), "%.*s", STR_ARG(v.s));
        x = strtod(number, &end);
        if (end == number || *end)
            return false;
    }
    switch (c->op) {
    case EVENT_EQ:
        return text ? str_eq(v.s, c->value.s) : v.i == c->value.i;
    case EVENT_NE:
        return text ? !str_eq(v.s, c->value.s) : v.i != c->value.i;
    case EVENT_LT:
        return x < y;
    case EVENT_LE:
        return x <= y;
    case EVENT_GT:
        return x > y;
    case EVENT_GE:
        return x >= y;
    case EVENT_CONTAINS:
        return str_find(v.s, c->value.s) >= 0;
    case EVENT_LACKS:
        return str_find(v.s, c->value.s) < 0;
    case EVENT_RE:
        return regex_match(c->re, v.s);
    case EVENT_NRE:
        return !regex_match(c->re, v.s);
    }
    return false;
}

static inline bool plain_wanted(const struct event_query *q, const struct model_row *r)
{
    bool all = r->t >= q->from_ns && r->t < q->to_ns;

    for (size_t i = 0; all && i < q->n; i++)
        all = plain_holds(&q->conditions[i], r);
    return all;
}

#endif
