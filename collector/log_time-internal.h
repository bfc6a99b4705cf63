/* log_time-internal.h: times as log lines write them, by a pattern in strftime's letters. */
#ifndef COLLECTOR_LOG_TIME_INTERNAL_H
#define COLLECTOR_LOG_TIME_INTERNAL_H

#include "base/str.h"

#include <stdint.h>

struct log_time {
    int64_t ns;     /* since the epoch */
    bool precise;   /* there was a fraction of the second */
};

/* %Y %m %d %e %b %H %M %S %F %T %z %Z %s (seconds since the epoch), %f and %1f to %9f (fraction), %%; other bytes
 * stand for themselves. %z takes +0100, +01:00 and Z. A text without zone and without %s is local time; %b is
 * English. A text without a year is in that year which brings it closest to now_ns. False: the text does not follow
 * the pattern, or is no time. */
bool log_time_parse(const char *pattern, struct str text, int64_t now_ns, struct log_time *out);
/* Whether log_time_parse knows all letters of the pattern; else *at is where it does not. */
bool log_time_pattern(const char *pattern, size_t *at);
/* What senders write without being asked: RFC 3339, or seconds, milliseconds, microseconds or nanoseconds since the
 * epoch, told apart by their size. */
bool log_time_guess(struct str text, struct log_time *out);

#endif
