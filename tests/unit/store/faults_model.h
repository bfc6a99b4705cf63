/* faults_model.h: what a store should hold: for each series and time the value, and two kinds of other things. Whatever is
 * read is compared with all of it, bit by bit; times that rise strictly are there once. */
#ifndef TESTS_UNIT_STORE_FAULTS_MODEL_H
#define TESTS_UNIT_STORE_FAULTS_MODEL_H

#include "base/num.h"
#include "store/catalog.h"
#include "store/events.h"
#include "tests/unit/store/fixture.h"

enum { SERIES = 20, DAYS = 2, SLOTS = 10 };
#define FIRST_DAY ((int64_t)10000 * PARTITION_MS) /* past: two blocks of it are enough to be merged */

/* --- the model --- */

struct cell {
    bool there;
    double v;
};

struct model {
    struct cell cells[SERIES][DAYS][SLOTS];
    bool logs[DAYS][SLOTS], document;
};

static struct model model;

/* What is being done, and may show before it is acknowledged: all of it or nothing, or any part (`parts`). */
static struct {
    bool any, parts;
    struct model then; /* with all of it */
} doubt;

static int64_t time_of(int day, int slot)
{
    return FIRST_DAY + day * PARTITION_MS + slot * 1000;
}

static bool same_cell(const struct cell *a, const struct cell *b)
{
    return a->there == b->there && (!a->there || memcmp(&a->v, &b->v, sizeof(a->v)) == 0);
}

/* Which fault is being tried, for messages. */
static char trying[96];

/* --- reading --- */

static void read_series(struct series_set *set, struct labels l, struct model *out)
{
    struct sample_columns c;
    int64_t s, last = INT64_MIN;
    struct err e = ERR_INIT;
    int rc;

    ck_assert(num_i64(labels_get(l, STR("i")), &s) && s >= 0 && s < SERIES);
    while ((rc = series_samples(set, &c, &e)) == 1)
        for (size_t i = 0; i < c.n; i++) {
            int64_t since = c.t[i] - FIRST_DAY;
            int64_t day = since / PARTITION_MS, slot = since % PARTITION_MS / 1000;

            if (c.t[i] <= last || day < 0 || day >= DAYS || slot >= SLOTS || time_of((int)day, (int)slot) != c.t[i])
                ck_abort_msg("%s: series %lld: time %lld after %lld", trying, (long long)s, (long long)c.t[i],
                             (long long)last);
            last = c.t[i];
            out->cells[s][day][slot] = (struct cell){ true, c.v[i] };
        }
    ck_assert_msg(rc == 0, "%s", e.msg);
}

/* 0, or why not everything could be read. */
static int read_samples(struct store *from, struct model *out, struct err *e)
{
    struct arena a = ARENA_INIT(0);
    struct matcher m = { MATCH_EQ, STR("__name__"), STR("m"), NULL };
    const struct series_query q = { .matchers = &m, .n = 1, .from_ms = INT64_MIN, .to_ms = INT64_MAX };
    struct series_set *set = series_open(from, &q, &a, e);
    struct labels l;
    int rc = set ? 0 : e->code;

    while (rc == 0 && (rc = series_next(set, &l, e)) == 1) {
        read_series(set, l, out);
        rc = 0;
    }
    arena_free(&a);
    return rc;
}

/* Who has samples about the first day: by names, by values, by series. */
static int read_labels(struct store *from, struct err *e)
{
    const struct series_query q = { .from_ms = FIRST_DAY, .to_ms = FIRST_DAY + PARTITION_MS / 2, .labels_only = true };
    struct arena a = ARENA_INIT(0);
    struct series_set *set = series_open(from, &q, &a, e);
    struct labels l;
    struct str *v;
    size_t n;
    int rc = set ? 0 : e->code;

    while (rc == 0 && (rc = series_next(set, &l, e)) == 1)
        rc = 0;
    if (rc == 0)
        rc = series_label_names(from, &q, &a, &v, &n, e);
    if (rc == 0)
        rc = series_label_values(from, &q, STR("i"), &a, &v, &n, e);
    arena_free(&a);
    return rc;
}

static int read_logs(struct store *from, struct model *out, struct err *e)
{
    const struct event_query q = { .kind = EVENT_LOG,
                                   .from_ns = INT64_MIN,
                                   .to_ns = INT64_MAX,
                                   .columns = (uint64_t)1 << LOG_body | (uint64_t)1 << LOG_severity_number };
    struct arena a = ARENA_INIT(0);
    struct event_cursor *c = events_open(from, &q, &a, e);
    struct event_page p;
    int rc = c ? 0 : e->code;

    while (rc == 0 && (rc = events_next(c, &p, e)) == 1) {
        for (size_t i = 0; i < p.n; i++) {
            int64_t since = p.time_ns[i] / 1000000 - FIRST_DAY;
            bool *log = &out->logs[since / PARTITION_MS][since % PARTITION_MS / 1000];

            if (*log || p.columns[LOG_severity_number][i].i != since % PARTITION_MS / 1000 ||
                !str_eqz(p.columns[LOG_body][i].s, "a line"))
                ck_abort_msg("%s: a log record twice, or another", trying);
            *log = true;
        }
        rc = 0;
    }
    events_close(c);
    arena_free(&a);
    return rc;
}

static int read_document(struct store *from, struct model *out, struct err *e)
{
    struct arena a = ARENA_INIT(0);
    struct catalog_document *d;
    size_t n = 0;
    int rc = catalog_list(from, STR_NULL, 0, &a, &d, &n, e);

    out->document = n != 0;
    arena_free(&a);
    return rc;
}

/* All there is. ERR_NOMEM only where an allocation may fail, ERR_IO where the disk may. */
static int read_all(struct store *from, struct model *out, struct err *e)
{
    int rc;

    memset(out, 0, sizeof(*out));
    rc = read_samples(from, out, e);
    if (rc == 0)
        rc = read_labels(from, e);
    if (rc == 0)
        rc = read_logs(from, out, e);
    return rc == 0 ? read_document(from, out, e) : rc;
}

/* How many of all cells are as in `a` and not as in `b`. */
static size_t count_unlike(const struct model *got, const struct model *a, const struct model *b)
{
    size_t n = 0;

    for (size_t d = 0; d < DAYS; d++)
        for (size_t k = 0; k < SLOTS; k++) {
            for (size_t s = 0; s < SERIES; s++)
                n += same_cell(&got->cells[s][d][k], &a->cells[s][d][k]) &&
                     !same_cell(&got->cells[s][d][k], &b->cells[s][d][k]);
            n += got->logs[d][k] == a->logs[d][k] && got->logs[d][k] != b->logs[d][k];
        }
    return n;
}

/* (Check writes each of its assertions down: too dear in loops.) */
static void compare(const struct model *got)
{
    const struct model *then = doubt.any ? &doubt.then : &model;

    for (size_t s = 0; s < SERIES; s++)
        for (size_t d = 0; d < DAYS; d++)
            for (size_t k = 0; k < SLOTS; k++) {
                const struct cell *g = &got->cells[s][d][k], *m = &model.cells[s][d][k];

                if (!same_cell(g, m) && !same_cell(g, &then->cells[s][d][k]))
                    ck_abort_msg("%s: series %zu, day %zu, slot %zu: %d %g, should be %d %g", trying, s, d, k, g->there,
                                 g->v, m->there, m->v);
            }
    for (size_t d = 0; d < DAYS; d++)
        for (size_t k = 0; k < SLOTS; k++)
            if (got->logs[d][k] != model.logs[d][k] && got->logs[d][k] != then->logs[d][k])
                ck_abort_msg("%s: log of day %zu, slot %zu", trying, d, k);
    ck_assert_msg(got->document == model.document || got->document == then->document, "%s: document", trying);
    ck_assert_msg(doubt.parts || count_unlike(got, &model, then) == 0 || count_unlike(got, then, &model) == 0,
                  "%s: a part of a batch", trying);
}

#endif
