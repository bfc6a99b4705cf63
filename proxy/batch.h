/* batch.h: system calls of many connections in one, by io_uring(7); one by one where the kernel or its administrator
 * does not have that.
 *
 * Nothing is under way between calls: each recv and send is made as if by MSG_DONTWAIT, and what came of it is known
 * when the function returns. So buffers are the caller's, and the order of things is as without io_uring. */
#ifndef PROXY_BATCH_H
#define PROXY_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { BATCH_MOST = 32 };

struct batch;

struct batch_call {
    int fd;
    void *p;                     /* what is sent is only read */
    size_t n;
    ssize_t result;              /* as the call's, or -errno */
};

/* For the calling thread alone. Never fails: NULL, which the others accept, does without io_uring; *why says why (0:
 * nothing did). */
struct batch *batch_new(int *why);
void batch_free(struct batch *b);
/* n <= BATCH_MOST */
void batch_recv(struct batch *b, struct batch_call *v, size_t n);
void batch_send(struct batch *b, struct batch_call *v, size_t n);

#endif
