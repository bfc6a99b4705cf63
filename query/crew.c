/* crew.c: several threads for one query.
 *
 * Threads are started for a query that is worth milliseconds, and end with it: that costs some 20 µs each, and nothing
 * has to be kept, woken or shut down. The calling thread does the first part's work.
 *
 * Only expressions with one selector are split, in which each row comes of one series: a window function over a range
 * selector, functions and operators value by value. Anything that looks at several rows, or makes some of nothing, is not
 * (splittable()). */
#include "query/crew-internal.h"

#include "query/function-internal.h"

#include <pthread.h>
#include <sched.h>

/* Series × (values + what reading a series costs), about 10 ns each: below that a thread is not worth its start. */
enum { WORTH = 100000, PER_SERIES = 64 };

size_t crew_size(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;

    return n < 1 ? 1 : n > CREW_MOST ? CREW_MOST : (size_t)n;
}

/* --- what can be split ------------------------------------------------------------------------------------------- */

/* A number that no series has a part in. */
static bool plain_scalar(const struct node *n)
{
    bool plain = true;

    switch (n->kind) {
    case NODE_NUMBER:
    case NODE_STRING:
        return true;
    case NODE_PAREN:
        return plain_scalar(n->paren);
    case NODE_UNARY:
        return plain_scalar(n->unary.inner);
    case NODE_BINARY:
        return plain_scalar(n->binary.l) && plain_scalar(n->binary.r);
    case NODE_CALL:
        for (size_t i = 0; i < n->call.n; i++)
            plain &= plain_scalar(n->call.args[i]);
        return plain && n->type == PROMQL_SCALAR;
    case NODE_SELECTOR:
    case NODE_SUBQUERY:
    case NODE_AGGREGATE:
    case NODE_DERIVED:
        break;
    }
    return false;
}

static bool splittable(const struct node *n)
{
    size_t series = 0;

    switch (n->kind) {
    case NODE_PAREN:
        return splittable(n->paren);
    case NODE_UNARY:
        return splittable(n->unary.inner);
    case NODE_SELECTOR:
        return true;
    case NODE_BINARY:
        return (plain_scalar(n->binary.l) && splittable(n->binary.r)) ||
               (splittable(n->binary.l) && plain_scalar(n->binary.r));
    case NODE_CALL:
        if (n->call.fn->kind != FUNCTION_MAP && n->call.fn->kind != FUNCTION_WINDOW)
            return false;
        for (size_t i = 0; i < n->call.n; i++) {
            if (plain_scalar(n->call.args[i]))
                continue;
            if (!splittable(n->call.args[i]))
                return false;
            series++;
        }
        return series == 1;
    case NODE_NUMBER:
    case NODE_STRING:
    case NODE_SUBQUERY:
    case NODE_AGGREGATE:
    case NODE_DERIVED:
        break;
    }
    return false;
}

/* --- the crew ---------------------------------------------------------------------------------------------------- */

static void disband(void *arg)
{
    struct crew *c = arg;

    for (size_t i = 0; i < CREW_MOST; i++)
        arena_free(&c->members[i].arena);
}

/* What the query may still use is divided among the members. */
static struct crew *hire(struct eval *ev, size_t n)
{
    struct crew *c = ARENA_NEW(ev->a, struct crew);

    if (!c)
        return NULL;
    c->members = arena_array(ev->a, CREW_MOST, sizeof(*c->members));
    if (!c->members || arena_on_free(ev->a, disband, c) < 0)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        c->members[i].arena.budget = ev->a->budget;
        c->members[i].arena.max = ev->a->max ? (ev->a->max - ev->a->used) / n + 1 : 0;
    }
    return c;
}

static int ready(struct eval *ev, const struct grid *g, const struct node *n, struct crew_member *m,
                 struct series_set *part)
{
    int rc;

    m->ev = *ev;
    m->ev.a = &m->arena;
    m->ev.e = &m->e;
    m->ev.given = part;
    m->ev.threads = 1;
    m->ev.work = 0;
    m->g = g;
    m->ev.warnings = m->ev.infos = (struct annotations){ NULL, 0, 0 };
    rc = n->type == PROMQL_MATRIX ? samples_open(&m->ev, g, n, &m->l, &m->samples) : eval_open(&m->ev, g, n, &m->in);
    if (rc < 0)
        ev->failed = err_set(ev->e, rc, "%s", m->e.msg);
    return rc;
}

int crew_split(struct eval *ev, const struct grid *g, const struct node *n, size_t values, struct crew **out)
{
    struct arena *arenas[CREW_MOST];
    struct series_set *set = ev->opened, *parts[CREW_MOST];
    size_t most = ev->threads < CREW_MOST ? ev->threads : CREW_MOST;
    struct crew *c;
    int rc;

    *out = NULL;
    if (most < 2 || !splittable(n) || !set || series_count(set) * (values + PER_SERIES) < WORTH)
        return 0;
    c = hire(ev, most);
    if (!c)
        return eval_nomem(ev);
    for (size_t i = 0; i < most; i++)
        arenas[i] = &c->members[i].arena;
    rc = series_split(set, most, arenas, parts, &c->n, ev->e);
    if (rc < 0 || (c->n == 1 && parts[0] == set))
        return rc;
    for (size_t i = 0; rc == 0 && i < c->n; i++)
        rc = ready(ev, g, n, &c->members[i], parts[i]);
    *out = c;
    return rc;
}

struct shift_work {
    struct crew_member *member;
    int (*fn)(struct crew_member *m);
};

static void *work(void *arg)
{
    struct shift_work *w = arg;

    w->member->rc = w->fn(w->member);
    return NULL;
}

/* What a member leaves behind: its memory counts as the query's, its annotations are said once more. */
static int take_over(struct eval *ev, struct crew_member *m)
{
    ev->a->used += m->arena.used;
    annotate_all(ev, &m->ev);
    if (m->rc < 0 && !ev->failed)
        ev->failed = err_set(ev->e, m->rc, "%s", m->e.msg);
    return ev->failed;
}

int crew_run(struct eval *ev, struct crew *c, int (*fn)(struct crew_member *m))
{
    struct shift_work w[CREW_MOST];
    pthread_t threads[CREW_MOST];
    bool started[CREW_MOST] = { false };

    for (size_t i = 0; i < c->n; i++)
        w[i] = (struct shift_work){ &c->members[i], fn };
    for (size_t i = 1; i < c->n; i++)
        started[i] = pthread_create(&threads[i], NULL, work, &w[i]) == 0;
    work(&w[0]);
    for (size_t i = 1; i < c->n; i++) {
        if (started[i])
            pthread_join(threads[i], NULL);
        else
            work(&w[i]); /* no thread to be had: it is done here */
    }
    for (size_t i = 0; i < c->n; i++)
        take_over(ev, &c->members[i]);
    return ev->failed;
}
