/* syslog_frame.h: messages out of a stream of bytes: RFC 6587, octet counting and newlines, each message by its own.
 *
 *     "29 <34>1 2003-10-11T22:14:15Z - a" …      a digit: the count of bytes, a blank, the message
 *     "<34>Oct 11 22:14:15 app: text\n" …        anything else: up to the newline
 *
 * A message longer than `max` is cut there, and the rest of it passed over. Pure: who reads the bytes keeps them. */
#ifndef COLLECTOR_SYSLOG_FRAME_H
#define COLLECTOR_SYSLOG_FRAME_H

#include "base/str.h"

struct syslog_framer {
    size_t max;      /* bytes of a message */
    size_t skip;     /* bytes to pass over: the rest of a message that was counted */
    bool skip_line;  /* to the next newline */
};

enum { SYSLOG_FRAME_OVERHEAD = 16 }; /* what a buffer needs beside `max` */

struct syslog_frame {
    size_t used; /* bytes of the input that are done with, also when there is no message */
    struct str message;
    bool cut;    /* it was longer */
};

/* Looks for the first message in `in`; `end`: nothing follows, what is left is a message. True: there is one; false:
 * more is needed. It never asks for more than max + SYSLOG_FRAME_OVERHEAD bytes. */
bool syslog_frame_next(struct syslog_framer *f, struct str in, bool end, struct syslog_frame *out);

#endif
