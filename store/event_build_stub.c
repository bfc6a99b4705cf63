/* event_build_stub.c: stands in for the building and reading of blocks of rows until that is there: a chunk in part 0. */
#include "store/event_build-internal.h"

#include "store/event_chunk-internal.h"

static int copy_row(struct event_source *s, uint32_t row, struct batch *b, struct err *e)
{
    const struct event_table *t = &event_tables[s->kind];
    const struct str *names;
    const int64_t *ns;
    size_t n, nl = 0;
    struct label *l;
    int rc = s->ops->times(s, &ns, e);

    for (size_t c = 0; rc == 0 && c < t->n; c++) {
        struct event_view *v;
        union event_value value;

        rc = s->ops->open(s, (struct event_field){ (int)c, STR_NULL }, &v, e);
        if (rc < 0 || !v)
            continue;
        rc = s->ops->rows(s, v, e);
        if (rc == 0)
            rc = event_view_value(v, row, &value, e);
        if (rc == 0)
            rc = batch_set_event(b, s->kind, (int)c, value);
    }
    if (rc == 0)
        rc = s->ops->attributes(s, &names, &n, e);
    if (rc < 0)
        return rc;
    l = arena_array(b->arena, n + 1, sizeof(*l));
    for (size_t i = 0; rc == 0 && i < n; i++) {
        struct event_view *v;
        struct str text = STR_NULL;

        rc = s->ops->open(s, (struct event_field){ -1, names[i] }, &v, e);
        if (rc < 0 || !v)
            continue;
        rc = s->ops->rows(s, v, e);
        if (rc == 0)
            rc = event_view_text(v, row, &text, e);
        if (text.n)
            l[nl++] = (struct label){ names[i], text };
    }
    return rc < 0 ? rc : batch_end_event(b, s->kind, ns[row], (struct labels){ l, nl });
}

int event_build(const struct event_picks *p, int (*put)(void *arg, uint32_t no, struct str body, struct err *e), void *arg,
                struct event_built *out, struct err *e)
{
    struct arena a = ARENA_INIT(0);
    struct batch b;
    struct buf bytes = BUF_INIT(1 << 30);
    struct event_chunk_head head;
    int rc = 0;

    batch_init(&b, &a);
    for (size_t i = 0; i < p->nsources; i++)
        for (size_t k = 0; rc == 0 && k < p->n[i]; k++)
            rc = copy_row(p->sources[i], p->rows[i][k], &b, e);
    if (rc == 0)
        rc = event_chunk_encode(&b.events[p->sources[0]->kind], p->sources[0]->kind, 0, b.events[p->sources[0]->kind].n,
                                &bytes, e);
    if (rc == 0)
        rc = event_chunk_check(buf_view(&bytes), &head, e);
    if (rc == 0)
        rc = put(arg, 0, buf_view(&bytes), e);
    if (rc == 0)
        *out = (struct event_built){ head.rows, bytes.n, head.first_ns, head.last_ns, 1 };
    buf_free(&bytes);
    arena_free(&a);
    if (rc == ERR_NOMEM)
        err_set(e, ERR_NOMEM, "no memory");
    return rc;
}

struct event_source *event_block_open(struct str directory, event_part_read *read, void *arg, struct arena *a, struct err *e)
{
    struct event_chunk_head head;

    (void)read;
    (void)arg;
    if (event_chunk_check(directory, &head, e) < 0)
        return NULL;
    return event_chunk_open(directory, a, e);
}

struct event_source *event_block_again(const struct event_source *s, event_part_read *read, void *arg, struct arena *a,
                                       struct err *e)
{
    size_t n = 64;
    char *p = arena_alloc(a, 1 << 26);
    uint32_t length;

    (void)s;
    if (read(arg, 0, 0, n = 36, p, e) < 0)
        return NULL;
    memcpy(&length, p + 16, 4);
    if (read(arg, 0, 0, length, p, e) < 0)
        return NULL;
    return event_block_open((struct str){ p, length }, read, arg, a, e);
}

int event_block_verify(struct str directory, event_part_read *read, void *arg, struct err *e)
{
    struct event_chunk_head head;

    (void)read;
    (void)arg;
    return event_chunk_check(directory, &head, e);
}
