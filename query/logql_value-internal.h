/* logql_value-internal.h: numbers, sizes and addresses as LogQL reads them in labels, literals and lines. */
#ifndef QUERY_LOGQL_VALUE_INTERNAL_H
#define QUERY_LOGQL_VALUE_INTERNAL_H

#include "query/logql-internal.h"

/* 10KB, 1.5MiB, 12B; false for anything else. */
bool logql_bytes(struct str s, double *v);
/* Go's durations and Prometheus' ("1.5s", "1d"), in seconds. */
bool logql_duration(struct str s, double *seconds);
/* In that measure: a duration's text gives seconds; bytes may be a plain number. False: it is none. */
bool logql_measure(struct str s, enum measure measure, double *v);
bool logql_compare(enum event_op op, double l, double r);

/* An address, "10.0.0.0/8" or "10.0.0.1-10.0.0.9"; IPv6, too. False: it is none of them. */
bool ip_range_parse(struct str s, struct ip_range *r);
/* Whether s as a whole is an address in the range. */
bool ip_matches(const struct ip_range *r, struct str s);
/* Whether one stands anywhere in the line. */
bool ip_found(const struct ip_range *r, struct str line);

#endif
