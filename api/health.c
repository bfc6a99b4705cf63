#include "api/http-internal.h"

#include "base/log.h"

void health_healthy(struct request *rq)
{
    reply_text(rq, 200, "Vigla is Healthy.");
}

/* Whoever can ask gets an answer from a server that is ready: it listens only after the store has been opened. */
void health_ready(struct request *rq)
{
    reply_text(rq, 200, "Vigla is Ready.");
}

void health_reload(struct request *rq)
{
    const struct api_options *o = &rq->api->options;
    struct err e = ERR_INIT;

    if (!o->reload) {
        reply_text(rq, 501, "this server was started without a configuration file: there is nothing to read again");
    } else if (o->reload(o->reload_arg, &e) < 0) {
        log_error("reload: %s", e.msg);
        reply_text(rq, 500, "failed to reload config: %s", e.msg);
    } else {
        reply_text(rq, 200, "the configuration has been read again");
    }
}
