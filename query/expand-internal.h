/* expand-internal.h: what a replacement makes of a regular expression's match: label_replace, LogQL's templates. */
#ifndef QUERY_EXPAND_INTERNAL_H
#define QUERY_EXPAND_INTERNAL_H

#include "base/buf.h"

enum { EXPAND_GROUPS = 64 };

/* Go's Regexp.Expand: $name, ${name}, $$. `pattern` is the expression's text, groups[0..n) what it has captured. */
void expand_groups(struct buf *out, struct str pattern, struct str template, const struct str *groups, unsigned n);

#endif
