/* event_parts.h: a block's parts in memory. */
#ifndef TESTS_EVENT_PARTS_H
#define TESTS_EVENT_PARTS_H

#include "store/event_build-internal.h"
#include "tests/unit/unit.h"

#include "base/buf.h"

enum { PARTS = 4096 };

struct parts {
    struct buf v[PARTS];
    bool there[PARTS];
    size_t bytes, reads, n;
    uint32_t last;
};

static struct parts *parts_new(void)
{
    struct parts *p = calloc(1, sizeof(*p));

    ck_assert_ptr_nonnull(p);
    for (size_t i = 0; i < PARTS; i++)
        p->v[i] = (struct buf)BUF_INIT(1 << 30);
    return p;
}

static void parts_free(struct parts *p)
{
    for (size_t i = 0; i < PARTS; i++)
        buf_free(&p->v[i]);
    free(p);
}

static int parts_put(void *arg, uint32_t no, struct str body, struct err *e)
{
    struct parts *p = arg;

    (void)e;
    if (no >= PARTS || p->there[no])
        ck_abort_msg("part %u", no);
    p->there[no] = true;
    p->last = no;
    p->n++;
    p->bytes += body.n;
    buf_str(&p->v[no], body);
    return buf_failed(&p->v[no]) ? ERR_NOMEM : 0;
}

static int parts_read(void *arg, uint32_t no, size_t at, size_t n, void *to, struct err *e)
{
    struct parts *p = arg;

    p->reads++;
    if (no >= PARTS || !p->there[no] || at > p->v[no].n || n > p->v[no].n - at)
        return err_set(e, ERR_CORRUPT, "part %u has no bytes %zu to %zu", no, at, at + n);
    memcpy(to, p->v[no].p + at, n);
    return 0;
}

#endif
