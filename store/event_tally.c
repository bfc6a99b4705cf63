/* event_tally.c: counting over all sources: each source by itself (event_count.c), on all cores; each thread has groups of
 * its own, which are added up in the end. */
#include "store/event_count-internal.h"
#include "store/event_crew-internal.h"
#include "store/event_room-internal.h"

enum { MOST_STEPS = 1 << 20 };

struct tally {
    struct store *st;
    struct event_counting counting;
    struct event_sources sources;
    struct event_room room;
    struct arena arenas[EVENT_CREW_MOST]; /* of the groups */
    struct event_groups groups[EVENT_CREW_MOST];
};

static int check_field(enum event_kind kind, struct event_field f, struct err *e)
{
    const struct event_table *t = &event_tables[kind];

    if (f.column >= 0 && (size_t)f.column >= t->n)
        return err_set(e, ERR_INVALID, "%.*s: column %d, should be less than %zu", STR_ARG(t->name), f.column, t->n);
    return 0;
}

static int check_measure(const struct event_tally *t, struct err *e)
{
    const struct event_table *table = &event_tables[t->rows.kind];
    bool text = t->measure == EVENT_BYTES;

    if (t->measure == EVENT_COUNT)
        return 0;
    if (t->column < 0 || (size_t)t->column >= table->n || table->columns[t->column].is_text != text)
        return err_set(e, ERR_INVALID, "%.*s: column %d is no %s", STR_ARG(table->name), t->column,
                       text ? "text" : "number");
    return 0;
}

static int check_steps(const struct event_tally *t, size_t *steps, struct err *e)
{
    uint64_t range = (uint64_t)t->rows.to_ns - (uint64_t)t->rows.from_ns;

    *steps = 1;
    if (t->step_ns < 0)
        return err_set(e, ERR_INVALID, "a step of %lld ns, should be above 0", (long long)t->step_ns);
    if (t->step_ns == 0 || t->rows.from_ns >= t->rows.to_ns)
        return 0;
    if ((range - 1) / (uint64_t)t->step_ns >= MOST_STEPS)
        return err_set(e, ERR_LIMIT, "more than %d steps", MOST_STEPS);
    *steps = (size_t)((range - 1) / (uint64_t)t->step_ns) + 1;
    return 0;
}

/* One source, on any thread. */
static int count_source(void *arg, size_t member, size_t i, struct err *e)
{
    struct tally *t = arg;
    struct arena a = event_room_arena(&t->room);
    struct event_source *s = event_source_again(t->sources.v[i], &a, e);
    int rc = s ? event_count(&t->counting, s, &t->groups[member], e) : e->code;

    if (rc == ERR_CORRUPT) {
        event_source_damaged(t->st, t->sources.v[i], e);
        rc = 0;
    }
    arena_free(&a);
    return rc;
}

static void begin_groups(struct tally *t, const struct event_groups *like)
{
    for (size_t i = 0; i < EVENT_CREW_MOST; i++) {
        t->arenas[i] = event_room_arena(&t->room);
        t->groups[i] = *like;
        t->groups[i].a = &t->arenas[i];
    }
}

static int count_all(struct tally *t, struct event_groups *total, struct err *e)
{
    uint64_t rows = 0;
    int rc;

    for (size_t i = 0; i < t->sources.n; i++)
        rows += t->sources.v[i]->n;
    begin_groups(t, total);
    rc = event_crew_run(event_crew_size(rows), t->sources.n, count_source, t, e);
    for (size_t i = 0; rc == 0 && i < EVENT_CREW_MOST; i++)
        rc = event_groups_add(total, &t->groups[i], e);
    for (size_t i = 0; i < EVENT_CREW_MOST; i++)
        arena_free(&t->arenas[i]);
    return rc;
}

/* What the query says, checked; the key's types into is_text. */
static int prepare(const struct event_tally *q, struct arena *a, struct tally *t, struct event_groups *total,
                   struct err *e)
{
    enum event_kind kind = q->rows.kind;
    bool *is_text = arena_array(a, q->nby, sizeof(*is_text));
    int rc = is_text ? check_measure(q, e) : err_set(e, ERR_NOMEM, "no memory to count events");

    *total = (struct event_groups){ .a = a, .is_text = is_text, .nby = q->nby, .most = q->most_groups };
    if (rc == 0)
        rc = check_steps(q, &total->nsteps, e);
    for (size_t i = 0; rc == 0 && i < q->nby; i++) {
        rc = check_field(kind, q->by[i], e);
        if (rc == 0)
            is_text[i] = q->by[i].column < 0 || event_tables[kind].columns[q->by[i].column].is_text;
    }
    t->counting = (struct event_counting){ .by = q->by, .nby = q->nby, .step_ns = q->step_ns, .measure = q->measure,
                                           .column = q->column };
    rc = rc < 0 ? rc : event_wanted_make(&q->rows, a, &t->counting.rows, e);
    t->counting.rows.nneedles = 0;
    return rc;
}

static int tally(struct tally *t, const struct event_tally *q, struct arena *a, struct event_groups *total, struct err *e)
{
    int rc = prepare(q, a, t, total, e);

    if (rc < 0 || q->rows.from_ns >= q->rows.to_ns)
        return rc;
    rc = event_sources_hold(t->st, q->rows.kind, q->rows.from_ns, q->rows.to_ns, 0, a, &t->sources, e);
    if (rc < 0)
        return rc;
    event_room_init(&t->room, a);
    rc = count_all(t, total, e);
    event_sources_release(t->st, &t->sources);
    return rc;
}

int events_tally(struct store *st, const struct event_tally *q, struct arena *a, struct event_group **groups, size_t *n,
                 struct err *e)
{
    struct tally t = { .st = st };
    struct event_groups total = { .n = 0 };
    int rc;

    event_room_init(&t.room, a);
    rc = event_room_error(&t.room, tally(&t, q, a, &total, e), e);
    *groups = rc == 0 ? total.v : NULL;
    *n = rc == 0 ? total.n : 0;
    return rc;
}
