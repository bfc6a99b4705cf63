/* red_case.h: RED over a store in a directory of its own, a batch, and what was added to it as text. */
#ifndef TESTS_UNIT_COLLECTOR_RED_CASE_H
#define TESTS_UNIT_COLLECTOR_RED_CASE_H

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "collector/red-internal.h"
#include "tests/unit/collector/dump.h"
#include "tests/unit/unit.h"

#include <ftw.h>
#include <stdio.h>
#include <unistd.h>

struct fixture {
    char dir[64];
    struct store *store;
    struct red *red;
    struct arena arena;
    struct batch batch;
    struct buf text;
};

static inline int unlink_one(const char *path, const struct stat *sb, int type, struct FTW *at)
{
    (void)sb;
    (void)type;
    (void)at;
    return remove(path);
}

static inline void begin(struct fixture *f)
{
    struct err e = ERR_INIT;

    strcpy(f->dir, "/tmp/vigla-red-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(f->dir));
    f->store = store_open(f->dir, NULL, &e);
    ck_assert_msg(f->store != NULL, "%s", e.msg);
    f->red = red_new(f->store, &e);
    ck_assert_msg(f->red != NULL, "%s", e.msg);
    f->arena = (struct arena)ARENA_INIT(64 << 20);
    f->text = (struct buf)BUF_INIT(16 << 20);
    batch_init(&f->batch, &f->arena);
}

static inline void end(struct fixture *f)
{
    red_free(f->red);
    store_close(f->store);
    arena_free(&f->arena);
    buf_free(&f->text);
    nftw(f->dir, unlink_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* A row from "column=value column=value"; what is no column is an attribute. */
static inline void add_row(struct batch *b, enum event_kind kind, const char *row)
{
    struct label *attributes = arena_array(b->arena, 16, sizeof(*attributes));
    struct str rest = arena_str(b->arena, str_of(row));
    size_t n = 0;

    ck_assert_ptr_nonnull(attributes);
    while (rest.p) {
        struct str value = str_cut(&rest, ' '), name = str_cut(&value, '=');
        int column = event_column_index(kind, name);
        union event_value v = {.s = value};

        if (column < 0) {
            attributes[n++] = (struct label){name, value};
            continue;
        }
        if (!event_tables[kind].columns[column].is_text)
            ck_assert(num_i64(value, &v.i));
        ck_assert_int_eq(batch_set_event(b, kind, column, v), 0);
    }
    ck_assert_int_eq(labels_normalise(attributes, &n, NULL), 0);
    ck_assert_int_eq(batch_end_event(b, kind, 1700000000000000000, (struct labels){attributes, n}), 0);
}

/* The increments of one metric, a line each, without the labels that say "unknown". */
static inline const char *increments(struct fixture *f, const char *metric)
{
    buf_reset(&f->text);
    for (size_t i = 0; i < f->batch.nseries; i++) {
        const struct batch_series *s = &f->batch.series[i];
        struct label room[40], v[40];
        struct labels all = batch_series_labels(s, room), l = {v, 0};

        if (!str_eqz(labels_get(all, STR("__name__")), metric))
            continue;
        ck_assert(s->increments);
        ck_assert_uint_eq(s->n, 1);
        for (size_t k = 1; k < all.n; k++) {
            ck_assert_int_lt(str_cmp(all.v[k - 1].name, all.v[k].name), 0);
            if (!str_eqz(all.v[k].value, "unknown"))
                v[l.n++] = all.v[k];
        }
        labels_print(&f->text, l);
        buf_puts(&f->text, " ");
        buf_double(&f->text, s->samples[0].v);
        buf_putc(&f->text, '\n');
    }
    return f->text.n ? buf_cstr(&f->text) : "";
}

/* A sample of istio_requests_total of now; labels as "name=value name=value". */
static inline void has_metric(struct fixture *f, const char *labels)
{
    struct arena a = ARENA_INIT(1 << 20);
    struct label v[16] = {{STR("__name__"), STR("istio_requests_total")}};
    struct sample sample = {clock_now_ms(), 1};
    struct batch_series s = {.labels = {v, 1}, .samples = &sample, .n = 1};
    struct str rest = str_of(labels);
    struct err e = ERR_INIT;
    struct batch b;

    while (rest.p) {
        struct str value = str_cut(&rest, ' '), name = str_cut(&value, '=');

        v[s.labels.n++] = (struct label){name, value};
    }
    ck_assert_int_eq(labels_normalise(v, &s.labels.n, &e), 0);
    batch_init(&b, &a);
    ck_assert_int_eq(batch_add_series(&b, &s), 0);
    ck_assert_msg(store_commit(f->store, &b, &e) == 0, "%s", e.msg);
    arena_free(&a);
}

#endif
