/* problem.h: what is wrong with configuration: all of it at once, each with its place. */
#ifndef MESH_PROBLEM_H
#define MESH_PROBLEM_H

#include "base/arena.h"
#include "base/buf.h"

#include <stdbool.h>

enum mesh_severity { MESH_INFO, MESH_WARNING, MESH_ERROR };

struct mesh_problem {
    enum mesh_severity severity;
    struct str file;    /* as it was named to us; "-" for standard input */
    int line, column;   /* from 1; 0 = the file as a whole */
    struct str object;  /* "VirtualService guestbook/frontend"; empty when none is known yet */
    struct str path;    /* "spec.http[0].route[1].weight"; empty for the object as a whole */
    struct str message; /* what is wrong and what would be right */
};

struct mesh_problems {
    struct arena *arena;
    struct mesh_problem *v;
    size_t n, cap;
    size_t errors;
};

enum { MESH_MOST_PROBLEMS = 100 }; /* further ones are counted in `errors`, not kept */

void mesh_problems_init(struct mesh_problems *p, struct arena *a);
/* file:line: severity: object: path: message */
void mesh_problem_print(struct buf *b, const struct mesh_problem *p);

#endif
