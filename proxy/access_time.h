/* access_time.h: points in time as access log formats write them, in UTC.
 *
 * A form is strftime's, with Envoy's fractions of a second: %3f is milliseconds (1 to 9 digits; %f is 9), %E3S seconds
 * with such a fraction; %s is seconds since the epoch. */
#ifndef PROXY_ACCESS_TIME_H
#define PROXY_ACCESS_TIME_H

#include "base/str.h"

bool access_time_is_form(struct str form);
/* Into `out`, cut to n bytes: whole pieces of the form. */
struct str access_time_text(char *out, size_t n, struct str form, int64_t ns);

#endif
