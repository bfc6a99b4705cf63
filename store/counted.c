/* counted.c: increments to totals.
 *
 * Problem    Who counts log lines cannot know what was counted before: it may have been started anew, its batch may be
 *            refused, and several of its kind may count at once.
 * Idea       It sends increments, and the one committer adds them up: a total changes with the transaction that has the
 *            rows it counts, and is taken back with it. After a start totals begin at zero, which a reader of counters
 *            takes for the reset it is: the zero is stored, so that the first increment counts, too. */
#include "store/counted-internal.h"

#include "base/mem.h"
#include "store/index-internal.h"

enum { FIRST_CAP = 64 };

static size_t place_of(const struct counted *c, uint32_t id)
{
    size_t at = (id * UINT32_C(2654435769)) & (c->cap - 1);

    while (c->v[at].id && c->v[at].id != id)
        at = (at + 1) & (c->cap - 1);
    return at;
}

/* Twice the room, without series that are gone. */
static int make_room(struct counted *c, const struct series_index *ix)
{
    struct counted old = *c;
    size_t cap = c->cap ? 2 * c->cap : FIRST_CAP;
    struct counted_series *v;

    if (4 * (c->n + 1) <= 3 * c->cap)
        return 0;
    v = mem_zalloc(cap * sizeof(*v));
    if (!v)
        return ERR_NOMEM;
    c->v = v;
    c->cap = cap;
    c->n = 0;
    for (size_t i = 0; i < old.cap; i++)
        if (old.v[i].id && (old.v[i].group == c->group || index_has(ix, old.v[i].id))) {
            v[place_of(c, old.v[i].id)] = old.v[i];
            c->n++;
        }
    mem_free(old.v);
    return 0;
}

/* Takes the place's series out, and closes the gap: those behind it that started before it move up. */
static void take_out(struct counted *c, size_t gap)
{
    size_t at = gap;

    c->n--;
    for (;;) {
        size_t home;

        at = (at + 1) & (c->cap - 1);
        if (c->v[at].id == 0)
            break;
        home = (c->v[at].id * UINT32_C(2654435769)) & (c->cap - 1);
        if (((at - home) & (c->cap - 1)) >= ((at - gap) & (c->cap - 1))) {
            c->v[gap] = c->v[at];
            gap = at;
        }
    }
    c->v[gap].id = 0;
}

void counted_begin(struct counted *c, int64_t now_ms)
{
    c->group++;
    c->ntouched = 0;
    c->last_ms = now_ms > c->last_ms ? now_ms : c->last_ms;
}

int counted_add(struct counted *c, const struct series_index *ix, uint32_t id, double increment,
                const struct counted_series **out, struct err *e)
{
    struct counted_series *s;

    if (make_room(c, ix) < 0 ||
        mem_grow(&c->touched, &c->touched_cap, c->ntouched + 1, sizeof(*c->touched)) < 0)
        return err_set(e, ERR_NOMEM, "no memory for what was counted");
    s = &c->v[place_of(c, id)];
    if (s->id == 0) {
        *s = (struct counted_series){ .id = id, .fresh = true };
        c->n++;
    }
    if (s->group != c->group) {
        s->group = c->group;
        s->before = s->total;
        c->touched[c->ntouched++] = id;
    }
    s->total += increment;
    *out = s;
    return 0;
}

void counted_keep(struct counted *c)
{
    for (size_t i = 0; i < c->ntouched; i++)
        c->v[place_of(c, c->touched[i])].fresh = false;
    c->ntouched = 0;
}

void counted_undo(struct counted *c)
{
    for (size_t i = 0; i < c->ntouched; i++) {
        size_t at = place_of(c, c->touched[i]);

        if (c->v[at].fresh)
            take_out(c, at); /* its number may be given to another */
        else
            c->v[at].total = c->v[at].before;
    }
    c->ntouched = 0;
}

void counted_fini(struct counted *c)
{
    mem_free(c->v);
    mem_free(c->touched);
}
