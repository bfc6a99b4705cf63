/* problem-internal.h: how the folder's own files report what is wrong. */
#ifndef MESH_PROBLEM_INTERNAL_H
#define MESH_PROBLEM_INTERNAL_H

#include "mesh/problem.h"

#include <stdarg.h>

/* Adds one problem: `at` gives all but the message; texts are copied. An error counts even where there is no memory to
 * keep it. Returns 0 or ERR_NOMEM. */
int problem_add(struct mesh_problems *p, const struct mesh_problem *at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
int problem_vadd(struct mesh_problems *p, const struct mesh_problem *at, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));
/* Whether one more of this severity would be kept: who must work for a problem's place asks first. */
bool problem_kept(const struct mesh_problems *p, enum mesh_severity severity);

#endif
