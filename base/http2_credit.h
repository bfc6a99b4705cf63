/* http2_credit.h: who floods an HTTP/2 connection. One peer's frames, on one thread; no frame is kept.
 *
 * Problem    Some frames cost whoever gets them work, often an answer, and bring nothing: PING, SETTINGS, PRIORITY,
 *            RST_STREAM, WINDOW_UPDATE, DATA without bytes. RFC 9113 10.5 allows each of them and says that many are a
 *            denial of service; it names no number. As floods they are CVE-2019-9512 (PING), -9513 (PRIORITY),
 *            -9514 (RST_STREAM), -9515 (SETTINGS), -9518 (empty DATA), and CVE-2023-44487 (streams opened and reset).
 * Solution   They are borne with up to a credit, of which each takes 1. It grows with time, and with what does bring
 *            something: a peer that works may send as many as its work asks for, one that does nothing else may not.
 *            Whoever runs out of it is told ENHANCE_YOUR_CALM (RFC 9113 7) and has his connection ended.
 * Elsewhere  CONTINUATION, entries of SETTINGS and header fields are bounded by nghttp2 and by its callers. */
#ifndef BASE_HTTP2_CREDIT_H
#define BASE_HTTP2_CREDIT_H

#include <nghttp2/nghttp2.h>

#include <stdbool.h>
#include <stdint.h>

enum {
    HTTP2_CREDIT_OF_REQUEST = 10,        /* a request, or a call, that begins: its windows, and its end */
    HTTP2_CREDIT_OF_DATA = 2             /* a frame of DATA that goes out may be answered by a WINDOW_UPDATE of each,
                                          * stream and connection */
};

/* All zeros: a connection that begins, which may send as many as ever. */
struct http2_credit {
    double left;               /* in frames */
    int64_t at_ns;             /* when `left` was reckoned, on the monotonic clock; 0: never */
};

/* One frame that has come, by its header. False: the peer floods. */
bool http2_credit_pay(struct http2_credit *k, const nghttp2_frame_hd *frame, int64_t now_ns);
/* The peer has brought something that is worth `frames`. */
void http2_credit_earn(struct http2_credit *k, double frames);

#endif
