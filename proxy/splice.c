#include "proxy/splice.h"

#include "base/mem.h"
#include "proxy/conn-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { MOST_SPARE = 8 };

static struct splice_pipe *make_pipe(struct worker *w)
{
    struct splice_pipe *p = mem_zalloc(sizeof(*p));
    int ends[2];

    if (!p || pipe2(ends, O_NONBLOCK | O_CLOEXEC) < 0) {
        mem_free(p);
        return NULL;
    }
    fcntl(ends[1], F_SETPIPE_SZ, SPLICE_PIPE); /* a smaller one is only slower */
    p->rd = ends[0];
    p->wr = ends[1];
    w->npipes++;
    return p;
}

static struct splice_pipe *take_pipe(struct worker *w)
{
    struct splice_pipe *p = w->spare_pipes;

    if (!p)
        return w->npipes < SPLICE_MOST_PIPES ? make_pipe(w) : NULL;
    w->spare_pipes = p->next;
    w->nspare_pipes--;
    return p;
}

static void destroy_pipe(struct worker *w, struct splice_pipe *p)
{
    close(p->rd);
    close(p->wr);
    mem_free(p);
    w->npipes--;
}

/* From both its ends: `from` has waited for that. A pipe with bytes in it is of no use to others. */
static void release(struct worker *w, struct splice_pipe *p)
{
    if (p->from) {
        p->from->feeds = NULL;
        conn_look(p->from);
    }
    p->to->fed_by = NULL;
    if (p->n || w->nspare_pipes == MOST_SPARE) {
        destroy_pipe(w, p);
        return;
    }
    *p = (struct splice_pipe){ .rd = p->rd, .wr = p->wr, .next = w->spare_pipes };
    w->spare_pipes = p;
    w->nspare_pipes++;
}

static bool is_open_for_bulk(const struct conn *to)
{
    return to->fd >= 0 && !to->tls && !to->connecting && to->writable && !to->shut_when_sent && conn_unsent(to) == 0;
}

enum splice_result splice_pass(struct conn *from, struct conn *to, uint64_t most, size_t *n)
{
    struct worker *w = from->w;
    struct splice_pipe *p;
    ssize_t got;

    if (from->feeds)
        return SPLICE_WAITS;
    p = is_open_for_bulk(to) ? take_pipe(w) : NULL;
    if (!p)
        return SPLICE_NOT;
    got = splice(from->fd, NULL, p->wr, NULL, most < SPLICE_PIPE ? (size_t)most : SPLICE_PIPE,
                 SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    p->from = from;
    p->to = to;
    from->feeds = to->fed_by = p;
    if (got <= 0) {
        int saved = errno;

        release(w, p);
        errno = saved;
        return got == 0 ? SPLICE_END : SPLICE_ERROR;
    }
    p->n = *n = (size_t)got;
    if (splice_flush(to) < 0)
        poller_list(&w->poller, to); /* whose turn meets the failure again, and tells its owner */
    return SPLICE_DONE;
}

int splice_flush(struct conn *to)
{
    struct splice_pipe *p = to->fed_by;
    ssize_t sent = splice(p->rd, NULL, to->fd, NULL, p->n, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

    if (sent < 0 && errno != EAGAIN && errno != EINTR)
        return -1;
    p->n -= sent > 0 ? (size_t)sent : 0;
    if (p->n) {
        to->writable = false;
        return 0;
    }
    release(to->w, p);
    return 0;
}

void splice_part(struct conn *from)
{
    if (from->feeds)
        from->feeds->from = NULL;
    from->feeds = NULL;
}

void splice_forget(struct conn *c)
{
    splice_part(c);
    if (c->fed_by)
        release(c->w, c->fed_by);
}

void splice_free_all(struct worker *w)
{
    struct splice_pipe *p;

    while ((p = w->spare_pipes)) {
        w->spare_pipes = p->next;
        destroy_pipe(w, p);
    }
}
