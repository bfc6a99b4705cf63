/* relabel-internal.h: one rule, between its reader and its use. */
#ifndef COLLECTOR_RELABEL_INTERNAL_H
#define COLLECTOR_RELABEL_INTERNAL_H

#include "base/buf.h"
#include "base/regex.h"
#include "collector/relabel.h"

enum relabel_action {
    RELABEL_REPLACE, RELABEL_KEEP, RELABEL_DROP, RELABEL_KEEPEQUAL, RELABEL_DROPEQUAL, RELABEL_HASHMOD,
    RELABEL_LABELMAP, RELABEL_LABELDROP, RELABEL_LABELKEEP, RELABEL_LOWERCASE, RELABEL_UPPERCASE, RELABEL_ACTIONS
};

struct relabel_rule {
    enum relabel_action action;
    const struct str *source; /* label names */
    size_t nsource;
    struct str separator, target, replacement;
    struct regex *regex;
    uint64_t modulus;
};

/* Appends s in lower or upper case; what is not UTF-8 stays as it is. */
void relabel_fold(struct buf *b, struct str s, bool upper);

#endif
