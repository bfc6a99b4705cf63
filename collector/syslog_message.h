/* syslog_message.h: one syslog message: RFC 5424 and RFC 3164, as they are really sent.
 *
 *     <34>1 2003-10-11T22:14:15.003Z host app 123 ID47 [exampleSDID@32473 iut="3"] text       RFC 5424
 *     <34>Oct 11 22:14:15 host app[123]: text                                                 RFC 3164
 *     <34>Oct 11 22:14:15 app[123]: text                  3164 without a host (HAProxy)
 *     <34>2003-10-11T22:14:15.003+02:00 host app: text    3164 with a time of today (rsyslog)
 *
 * Pure: all texts are views of the message, or live in the arena. */
#ifndef COLLECTOR_SYSLOG_MESSAGE_H
#define COLLECTOR_SYSLOG_MESSAGE_H

#include "base/arena.h"
#include "base/labels.h"

#include <stdint.h>

enum { SYSLOG_MOST_DATA = 64 }; /* parameters of structured data; what is beyond them is left out */

struct syslog_message {
    int priority;     /* facility · 8 + severity; 13 (user.notice) when the message does not say, as RFC 3164 has it */
    int64_t time_ns;  /* 0: not said */
    struct str host, app, procid, msgid; /* empty: not said */
    struct str text;
    struct label data[SYSLOG_MOST_DATA]; /* "exampleSDID@32473.iut" → "3" */
    size_t ndata;
    bool well_formed; /* false: the header is neither's; what was not understood is in `text` */
};

/* now_ns: for the year of an RFC 3164 time, which is local time. 0, ERR_NOMEM. */
int syslog_parse(struct str message, int64_t now_ns, struct arena *a, struct syslog_message *out);

struct str syslog_facility(int priority); /* "local0" */
struct str syslog_severity(int priority); /* "info" */
int syslog_severity_number(int priority); /* OpenTelemetry's, 1 to 24 */

#endif
