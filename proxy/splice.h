/* splice.h: bulk from one plain socket to another, by the kernel alone (splice(2)), through a pipe of the worker's.
 *
 *   from ---> pipe ---> to
 *
 * While something is in the pipe, `from` is not read: who reads slowly slows its sender down. What is in the pipe goes
 * out in front of what is in to's buffer, and counts as unsent. */
#ifndef PROXY_SPLICE_H
#define PROXY_SPLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conn;
struct worker;

enum {
    SPLICE_LEAST = 32 * 1024,   /* what comes in pieces as large as this, and has as much to follow, is bulk */
    SPLICE_PIPE = 256 * 1024,
    SPLICE_MOST_PIPES = 64      /* of a worker: connections beyond that go the usual way */
};

struct splice_pipe {
    int rd, wr;
    size_t n;                    /* in it */
    struct conn *from, *to;      /* from NULL: it is gone */
    struct splice_pipe *next;    /* spare */
};

enum splice_result {
    SPLICE_NOT,                  /* nothing was done: it is to be read */
    SPLICE_DONE,                 /* *n bytes have left `from`; there may be more */
    SPLICE_WAITS,                /* for `to` to take what is in the pipe, or to close; then `from` has a turn */
    SPLICE_END,                  /* as read() returning 0 */
    SPLICE_ERROR                 /* errno, EAGAIN included */
};

/* At most `most` bytes. */
enum splice_result splice_pass(struct conn *from, struct conn *to, uint64_t most, size_t *n);
/* Sends what is in the pipe towards `to`. 0, or -1 with errno; what the socket does not take waits. */
int splice_flush(struct conn *to);
/* Nothing more of `from` goes where its bytes have gone: what is in the pipe still does. */
void splice_part(struct conn *from);
/* The connection is closed. */
void splice_forget(struct conn *c);
void splice_free_all(struct worker *w);

#endif
