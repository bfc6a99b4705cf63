/* event_build_stub.c: stands in for the building and reading of blocks of rows until that is there. */
#include "store/event_build-internal.h"

static int missing(struct err *e)
{
    return err_set(e, ERR_UNSUPPORTED, "blocks of rows are not there yet");
}

int event_build(const struct event_picks *p, int (*put)(void *arg, uint32_t no, struct str body, struct err *e), void *arg,
                struct event_built *out, struct err *e)
{
    (void)p;
    (void)put;
    (void)arg;
    (void)out;
    return missing(e);
}

struct event_source *event_block_open(struct str directory, event_part_read *read, void *arg, struct arena *a, struct err *e)
{
    (void)directory;
    (void)read;
    (void)arg;
    (void)a;
    missing(e);
    return NULL;
}

struct event_source *event_block_again(const struct event_source *s, event_part_read *read, void *arg, struct arena *a,
                                       struct err *e)
{
    (void)s;
    (void)read;
    (void)arg;
    (void)a;
    missing(e);
    return NULL;
}

int event_block_verify(struct str directory, event_part_read *read, void *arg, struct err *e)
{
    (void)directory;
    (void)read;
    (void)arg;
    return missing(e);
}
