/* exposition_number-internal.h: a sample's number. */
#ifndef COLLECTOR_EXPOSITION_NUMBER_INTERNAL_H
#define COLLECTOR_EXPOSITION_NUMBER_INTERNAL_H

#include "base/str.h"

/* What Prometheus reads: Go's decimal forms, NaN, Inf and Infinity in any case; neither hexadecimal nor "_". False for
 * anything else, and for what is too large for a double. */
bool exposition_number(struct str s, double *v);

#endif
