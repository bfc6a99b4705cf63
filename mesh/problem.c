#include "mesh/problem-internal.h"

#include "base/err.h"

#include <stdio.h>

enum { LONGEST_MESSAGE = 1024 };

void mesh_problems_init(struct mesh_problems *p, struct arena *a)
{
    *p = (struct mesh_problems){ .arena = a };
}

bool problem_kept(const struct mesh_problems *p, enum mesh_severity severity)
{
    if (p->n < MESH_MOST_PROBLEMS)
        return true;
    for (size_t i = 0; severity == MESH_ERROR && i < p->n; i++)
        if (p->v[i].severity != MESH_ERROR)
            return true;
    return false;
}

/* Room for one more. In a full list an error takes the place of the last that is none: errors are to be mended. */
static struct mesh_problem *room(struct mesh_problems *p, enum mesh_severity severity)
{
    if (p->n < MESH_MOST_PROBLEMS)
        return arena_grow(p->arena, &p->v, &p->cap, p->n + 1, sizeof(*p->v)) == 0 ? &p->v[p->n++] : NULL;
    for (size_t i = p->n; severity == MESH_ERROR && i-- > 0;) {
        if (p->v[i].severity == MESH_ERROR)
            continue;
        memmove(p->v + i, p->v + i + 1, (p->n - 1 - i) * sizeof(*p->v));
        return &p->v[p->n - 1];
    }
    return NULL;
}

static bool keep(struct arena *a, struct str *s)
{
    if (s->n)
        *s = arena_str(a, *s);
    return s->p || s->n == 0;
}

int problem_vadd(struct mesh_problems *p, const struct mesh_problem *at, const char *fmt, va_list ap)
{
    char text[LONGEST_MESSAGE];
    struct mesh_problem kept = *at, *to;
    int n;

    if (at->severity == MESH_ERROR)
        p->errors++;
    if (!problem_kept(p, at->severity))
        return 0;
    n = vsnprintf(text, sizeof(text), fmt, ap);
    n = n < 0 ? 0 : n < LONGEST_MESSAGE ? n : LONGEST_MESSAGE - 1;
    kept.message = arena_str(p->arena, (struct str){ text, (size_t)n });
    if (!kept.message.p || !keep(p->arena, &kept.file) || !keep(p->arena, &kept.object) || !keep(p->arena, &kept.path))
        return ERR_NOMEM;
    to = room(p, at->severity);
    if (!to)
        return ERR_NOMEM;
    *to = kept;
    return 0;
}

int problem_add(struct mesh_problems *p, const struct mesh_problem *at, const char *fmt, ...)
{
    va_list ap;
    int rc;

    va_start(ap, fmt);
    rc = problem_vadd(p, at, fmt, ap);
    va_end(ap);
    return rc;
}

void mesh_problem_print(struct buf *b, const struct mesh_problem *p)
{
    static const char *const words[] = { "info", "warning", "error" };

    buf_str(b, p->file);
    if (p->line)
        buf_printf(b, ":%d", p->line);
    buf_printf(b, ": %s: ", words[p->severity]);
    if (p->object.n) {
        buf_str(b, p->object);
        buf_puts(b, ": ");
    }
    if (p->path.n) {
        buf_str(b, p->path);
        buf_puts(b, ": ");
    }
    buf_str(b, p->message);
}
