/* push.h: what became of a pushed body whose rest is good. Its items are log lines or spans. */
#ifndef COLLECTOR_PUSH_H
#define COLLECTOR_PUSH_H

#include "base/err.h"

#include <stdint.h>

struct push_outcome {
    uint64_t accepted; /* in the batch */
    uint64_t refused;
    char why[512];     /* the first reason of a refusal; empty: none */
};

/* Counts n items as refused, for the reason that `why` says. */
void push_refuse(struct push_outcome *o, uint64_t n, const struct err *why);

#endif
