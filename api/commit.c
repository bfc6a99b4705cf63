#include "api/http-internal.h"

struct commit {
    struct request *rq;
    void (*answer)(void *arg, int rc, const struct err *e);
    void *arg;
};

/* On the committer's thread. */
static void committed(void *arg, int rc, const struct err *e)
{
    const struct commit *c = arg;

    c->answer(c->arg, rc, e);
    request_let_go(c->rq);
}

void request_commit(struct request *rq, struct batch *b, void (*answer)(void *arg, int rc, const struct err *e),
                    void *arg)
{
    struct commit *c = ARENA_NEW(&rq->arena, struct commit);
    struct err e = ERR_INIT;

    if (!c) {
        answer(arg, err_set(&e, ERR_NOMEM, "no memory to wait for the commit"), &e);
        return;
    }
    *c = (struct commit){ rq, answer, arg };
    request_suspend(rq);
    if (store_submit(rq->api->store, b, committed, c, &e) < 0)
        committed(c, e.code, &e);
}
