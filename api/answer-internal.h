/* answer-internal.h: from a handler's answer to the wire. */
#ifndef API_ANSWER_INTERNAL_H
#define API_ANSWER_INTERNAL_H

#include "api/http-internal.h"

enum { LARGEST_ANSWER = 512 << 20 }; /* bytes in one buffer */

/* What is left to do with an answer before it is sent: on the worker, where there is one, as packing takes time. */
void answer_finish(struct request *rq);
/* On the I/O thread. MHD_NO: the connection is closed. */
enum MHD_Result answer_send(struct request *rq);
/* Gives back what the answer held besides the arena. */
void answer_free(struct request *rq);

#endif
