/* promql_script.h: test cases as text: samples to load, queries, and what they must answer.
 *
 *   load 5m
 *     metric{a="b"} 0+10x10 _ stale 7        first value, +step, x times; _ leaves a gap
 *   at 50m sum(metric)                       an instant query
 *     {} 100
 *   from 0 to 10m step 5m metric             a range query: a value or _ for each step
 *     metric{a="b"} 0 10 20
 *   at 1m metric + on() metric
 *     fails: duplicate series                a part of the message
 *   at 1m topk(2, metric)
 *     ordered                                the rows come in this order
 *     info: might not be a counter           a part of an annotation (warns: alike); without, there must be none
 */
#ifndef TESTS_UNIT_QUERY_PROMQL_SCRIPT_H
#define TESTS_UNIT_QUERY_PROMQL_SCRIPT_H

#include "base/clock.h"
#include "base/num.h"
#include "query/promql.h"
#include "tests/unit/unit.h"

#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

struct script {
    struct arena arena; /* of the case */
    char dir[40];
    struct store *st;
    const char *text;   /* for messages */
    int line;
};

static inline void script_open(struct script *sc, const char *text)
{
    struct err e = ERR_INIT;

    *sc = (struct script){ .arena = ARENA_INIT(0), .text = text };
    strcpy(sc->dir, "/tmp/vigla-promql-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(sc->dir));
    sc->st = store_open(sc->dir, NULL, &e);
    ck_assert_msg(sc->st != NULL, "%s", e.msg);
}

static inline int script_unlink(const char *path, const struct stat *sb, int type, struct FTW *at)
{
    (void)sb;
    (void)type;
    (void)at;
    return remove(path);
}

static inline void script_close(struct script *sc)
{
    arena_free(&sc->arena); /* what it read of the store ends before the store */
    store_close(sc->st);
    nftw(sc->dir, script_unlink, 8, FTW_DEPTH | FTW_PHYS);
}

static inline struct str script_word(struct str *rest)
{
    struct str w;

    *rest = str_trim(*rest);
    w = *rest;
    for (w.n = 0; w.n < rest->n && rest->p[w.n] != ' ';)
        w.n++;
    *rest = str_trim(str_from(*rest, w.n));
    return w;
}

static inline int64_t script_ms(const struct script *sc, struct str s)
{
    int64_t ms = 0;
    bool minus = str_starts(s, STR("-"));

    ck_assert_msg(duration_parse(str_from(s, minus), &ms, NULL) == 0, "%.30s: line %d: time \"%.*s\"", sc->text, sc->line,
                  STR_ARG(s));
    return minus ? -ms : ms;
}

/* name{a="b", c="d"} in front of *rest. */
static inline struct labels script_labels(struct script *sc, struct str *rest)
{
    struct label *v = arena_array(&sc->arena, 16, sizeof(*v));
    size_t n = 0, i = 0;

    *rest = str_trim(*rest);
    while (i < rest->n && rest->p[i] != '{' && rest->p[i] != ' ')
        i++;
    if (i)
        v[n++] = (struct label){ STR("__name__"), { rest->p, i } };
    *rest = str_from(*rest, i);
    if (!rest->n || rest->p[0] != '{') {
        ck_assert_int_eq(labels_normalise(v, &n, NULL), 0);
        return (struct labels){ v, n };
    }
    *rest = str_from(*rest, 1);
    while (*rest->p != '}') {
        struct str name = { rest->p, (size_t)str_chr(*rest, '=') };

        *rest = str_from(*rest, name.n + 2);
        v[n].name = str_trim(name);
        v[n].value = (struct str){ rest->p, (size_t)str_chr(*rest, '"') };
        *rest = str_trim(str_from(*rest, v[n++].value.n + 1));
        if (*rest->p == ',')
            *rest = str_from(*rest, 1);
    }
    *rest = str_from(*rest, 1);
    ck_assert_int_eq(labels_normalise(v, &n, NULL), 0);
    return (struct labels){ v, n };
}

static inline double script_stale(void)
{
    uint64_t bits = SAMPLE_STALE_BITS;
    double v;

    memcpy(&v, &bits, sizeof(v));
    return v;
}

/* One word of a series: a number, 0+10x5, 7x3, _, _x4, stale. Adds its samples. */
static inline void script_values(const struct script *sc, struct str word, int64_t gap, int64_t *t, struct sample *out,
                                 size_t *n)
{
    ptrdiff_t x = str_chr(word, 'x');
    struct str head = x >= 0 ? (struct str){ word.p, (size_t)x } : word, first = head;
    double v = 0, step = 0;
    int64_t times = 0;
    size_t sign = 1;

    if (x >= 0)
        ck_assert(num_i64(str_from(word, (size_t)x + 1), &times));
    while (sign < head.n && !((head.p[sign] == '+' || head.p[sign] == '-') && head.p[sign - 1] != 'e'))
        sign++;
    first.n = sign < head.n ? sign : head.n;
    if (sign < head.n)
        ck_assert(num_double(str_from(head, sign + (head.p[sign] == '+')), &step));
    if (str_eq(first, STR("_")) && x >= 0)
        times--;
    if (str_eq(first, STR("stale")))
        v = script_stale();
    else if (!str_eq(first, STR("_")))
        ck_assert_msg(num_double(first, &v), "%.30s: line %d: value \"%.*s\"", sc->text, sc->line, STR_ARG(word));
    for (int64_t i = 0; i <= times; i++, *t += gap) {
        if (str_eq(first, STR("_")))
            continue;
        out[(*n)++] = (struct sample){ *t, v };
        v += step;
    }
}

static inline void script_load(struct script *sc, struct batch *b, struct str line, int64_t gap)
{
    enum { MOST = 4000 };
    struct batch_series s = { .labels = script_labels(sc, &line) };
    struct sample *samples = arena_array(&sc->arena, MOST, sizeof(*samples));
    int64_t t = 0;

    for (line = str_trim(line); line.n;)
        script_values(sc, script_word(&line), gap, &t, samples, &s.n);
    ck_assert_uint_le(s.n, MOST);
    s.samples = samples;
    ck_assert_int_eq(batch_add_series(b, &s), 0);
}

/* --- queries ----------------------------------------------------------------------------------------------------- */

struct script_query {
    struct str text;
    struct promql_window w;
    struct promql_value *value;
    struct err e;
    size_t rows;         /* expected so far */
    bool ordered, fails, wants_info, wants_warning;
};

static inline void script_ask(struct script *sc, struct script_query *q)
{
    struct promql_expr *x = promql_parse(&sc->arena, q->text, &q->e);

    q->value = x ? promql_eval(sc->st, x, q->w, NULL, &sc->arena, &q->e) : NULL;
}

static inline bool script_same(double want, double got)
{
    if (isnan(want) || isnan(got))
        return isnan(want) && isnan(got);
    return want == got || fabs(want - got) <= 1e-9 * fmax(fabs(want), fabs(got));
}

static inline const struct promql_series *script_find(const struct script_query *q, struct labels l)
{
    for (size_t i = 0; q->value && i < q->value->n; i++)
        if ((!q->ordered || i == q->rows) && labels_cmp(q->value->series[i].labels, l) == 0)
            return &q->value->series[i];
    return NULL;
}

static inline void script_row(struct script *sc, struct script_query *q, struct str line)
{
    const struct promql_series *s = script_find(q, script_labels(sc, &line));
    size_t at = 0;
    int64_t t = q->w.start_ms;

    ck_assert_msg(s != NULL, "%.30s: line %d: %.*s: no such series in the answer (%s)", sc->text, sc->line,
                  STR_ARG(q->text), q->e.msg);
    for (line = str_trim(line); line.n; t += q->w.step_ms) {
        struct str word = script_word(&line);
        bool there = at < s->n && (s->t[at] == t || (q->value->type == PROMQL_MATRIX && !q->w.step_ms));
        double want;

        if (str_eq(word, STR("_"))) {
            ck_assert_msg(!there, "%.30s: line %d: a value at %lld", sc->text, sc->line, (long long)t);
            continue;
        }
        ck_assert(num_double(word, &want));
        ck_assert_msg(there, "%.30s: line %d: no value at %lld", sc->text, sc->line, (long long)t);
        ck_assert_msg(script_same(want, s->v[at]), "%.30s: line %d: %.*s: %.17g, want %.17g", sc->text, sc->line,
                      STR_ARG(q->text), s->v[at], want);
        at++;
    }
    ck_assert_msg(at == s->n, "%.30s: line %d: %zu values, want %zu", sc->text, sc->line, s->n, at);
    q->rows++;
}

static inline bool script_among(struct str want, const struct str *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_find(list[i], want) >= 0)
            return true;
    return false;
}

static inline void script_expect(struct script *sc, struct script_query *q, struct str line)
{
    if (str_starts(line, STR("fails: "))) {
        q->fails = true;
        ck_assert_msg(!q->value && str_find(str_of(q->e.msg), str_from(line, 7)) >= 0, "%.30s: line %d: %.*s: \"%s\"",
                      sc->text, sc->line, STR_ARG(q->text), q->e.msg);
        return;
    }
    ck_assert_msg(q->value != NULL, "%.30s: line %d: %.*s: %s", sc->text, sc->line, STR_ARG(q->text), q->e.msg);
    if (str_eq(line, STR("ordered"))) {
        q->ordered = true;
    } else if (str_starts(line, STR("info: "))) {
        q->wants_info = true;
        ck_assert_msg(script_among(str_from(line, 6), q->value->infos, q->value->ninfos), "%.30s: line %d: no such info",
                      sc->text, sc->line);
    } else if (str_starts(line, STR("warns: "))) {
        q->wants_warning = true;
        ck_assert_msg(script_among(str_from(line, 7), q->value->warnings, q->value->nwarnings),
                      "%.30s: line %d: no such warning", sc->text, sc->line);
    } else {
        script_row(sc, q, line);
    }
}

static inline void script_end(struct script *sc, struct script_query *q)
{
    if (!q->text.n || q->fails)
        return;
    ck_assert_msg(q->value != NULL, "%.30s: line %d: %.*s: %s", sc->text, sc->line, STR_ARG(q->text), q->e.msg);
    ck_assert_msg(q->value->type == PROMQL_STRING || q->rows == q->value->n, "%.30s: before line %d: %.*s: %zu series, want %zu",
                  sc->text, sc->line, STR_ARG(q->text), q->value->n, q->rows);
    ck_assert_msg((q->value->ninfos == 0 || q->wants_info) && (q->value->nwarnings == 0 || q->wants_warning),
                  "%.30s: before line %d: %.*s: an annotation nobody wants", sc->text, sc->line, STR_ARG(q->text));
}

static inline void script_start(struct script *sc, struct script_query *q, struct str line)
{
    *q = (struct script_query){ 0 };
    if (str_eq(script_word(&line), STR("at"))) {
        q->w.start_ms = q->w.end_ms = script_ms(sc, script_word(&line));
    } else {
        q->w.start_ms = script_ms(sc, script_word(&line));
        script_word(&line); /* to */
        q->w.end_ms = script_ms(sc, script_word(&line));
        script_word(&line); /* step */
        q->w.step_ms = script_ms(sc, script_word(&line));
    }
    q->text = line;
    script_ask(sc, q);
}

static inline void script_commit(struct script *sc, struct batch *b)
{
    struct err e = ERR_INIT;

    if (b->nseries)
        ck_assert_msg(store_commit(sc->st, b, &e) == 0, "%s", e.msg);
    batch_init(b, &sc->arena);
}

static inline void script_run(const char *text)
{
    struct script sc;
    struct script_query q = { 0 };
    struct batch b;
    struct str rest = str_of(text);
    int64_t gap = 0;

    script_open(&sc, text);
    batch_init(&b, &sc.arena);
    while (rest.p) {
        struct str raw = str_cut(&rest, '\n'), line = str_trim(raw);

        sc.line++;
        if (!line.n)
            continue;
        if (raw.p[0] == ' ' && q.text.n) {
            script_expect(&sc, &q, line);
        } else if (raw.p[0] == ' ') {
            script_load(&sc, &b, line, gap);
        } else {
            script_end(&sc, &q);
            script_commit(&sc, &b);
            q = (struct script_query){ 0 };
            if (str_starts(line, STR("load ")))
                gap = script_ms(&sc, str_from(line, 5));
            else
                script_start(&sc, &q, line);
        }
    }
    script_end(&sc, &q);
    script_close(&sc);
}

#endif
