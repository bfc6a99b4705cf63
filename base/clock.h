/* clock.h: times and durations, and their texts.
 *
 * Points in time are int64 since the epoch, in the unit the name says. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

int64_t clock_now_ms(void);
int64_t clock_now_ns(void);
/* Never goes back; only differences mean anything. */
int64_t clock_mono_ns(void);

enum { CLOCK_TEXT = 40 }; /* bytes that hold any of the texts below */

/* "2020-11-25T21:26:18.409Z" with as many decimals as needed: 0, 3, 6 or 9. */
void clock_rfc3339(char out[CLOCK_TEXT], int64_t ns);
/* Always three decimals, as Envoy's %START_TIME% has it. */
void clock_rfc3339_ms(char out[CLOCK_TEXT], int64_t ms);
/* Reads RFC 3339 with zone offset and fraction. ERR_PARSE, ERR_RANGE. */
int clock_parse_rfc3339(struct str s, int64_t *ns, struct err *e);

/* Prometheus' form, whole numbers with units ms s m h d w y in falling order: "1h30m". ERR_PARSE, ERR_RANGE. */
int duration_parse(struct str s, int64_t *ms, struct err *e);
/* Go's and protobuf's form, fractions allowed, units ns us ms s m h: "1.5s", "0.25s", "1h0m5s". */
int duration_parse_go(struct str s, int64_t *ns, struct err *e);
/* The shortest Prometheus form: 5400000 → "1h30m". */
void duration_text(char out[CLOCK_TEXT], int64_t ms);

#endif
