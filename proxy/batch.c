#include "proxy/batch.h"

#include "base/mem.h"

#include <errno.h>
#include <liburing.h>
#include <sys/socket.h>

struct batch {
    struct io_uring ring;
    bool broken;
};

struct batch *batch_new(int *why)
{
    struct batch *b = mem_zalloc(sizeof(*b));
    int rc = -ENOMEM;

    if (b)
        rc = io_uring_queue_init(BATCH_MOST, &b->ring,
                                 IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL);
    if (rc == -EINVAL) /* an older kernel does not know these */
        rc = io_uring_queue_init(BATCH_MOST, &b->ring, 0);
    *why = -rc;
    if (rc == 0)
        return b;
    mem_free(b);
    return NULL;
}

void batch_free(struct batch *b)
{
    if (!b)
        return;
    io_uring_queue_exit(&b->ring);
    mem_free(b);
}

static void note(struct batch_call *call, ssize_t result)
{
    call->result = result < 0 ? -errno : result;
}

/* Submits what is prepared, and takes what comes of it: nothing waits for a socket. A ring that fails, as none does,
 * is used no more. */
static void run(struct batch *b, struct batch_call *v, size_t n)
{
    size_t done = 0;

    for (size_t i = 0; i < n; i++)
        v[i].result = -EIO;
    while (done < n) {
        struct io_uring_cqe *cqe;
        int rc = io_uring_peek_cqe(&b->ring, &cqe);

        if (rc == 0) {
            v[cqe->user_data].result = cqe->res;
            io_uring_cqe_seen(&b->ring, cqe);
            done++;
            continue;
        }
        rc = io_uring_submit_and_wait(&b->ring, (unsigned)(n - done));
        if (rc < 0 && rc != -EINTR) {
            b->broken = true;
            return;
        }
    }
}

void batch_recv(struct batch *b, struct batch_call *v, size_t n)
{
    if (!b || b->broken || n < 2) {
        for (size_t i = 0; i < n; i++)
            note(&v[i], recv(v[i].fd, v[i].p, v[i].n, MSG_DONTWAIT));
        return;
    }
    for (size_t i = 0; i < n; i++) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(&b->ring);

        io_uring_prep_recv(sqe, v[i].fd, v[i].p, v[i].n, MSG_DONTWAIT);
        sqe->user_data = i;
    }
    run(b, v, n);
}

void batch_send(struct batch *b, struct batch_call *v, size_t n)
{
    if (!b || b->broken || n < 2) {
        for (size_t i = 0; i < n; i++)
            note(&v[i], send(v[i].fd, v[i].p, v[i].n, MSG_DONTWAIT | MSG_NOSIGNAL));
        return;
    }
    for (size_t i = 0; i < n; i++) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(&b->ring);

        io_uring_prep_send(sqe, v[i].fd, v[i].p, v[i].n, MSG_DONTWAIT | MSG_NOSIGNAL);
        sqe->user_data = i;
    }
    run(b, v, n);
}
