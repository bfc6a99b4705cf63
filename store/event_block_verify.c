/* event_block_verify.c: whether all of a block can be read. */
#include "store/event_block-internal.h"

#include "store/event_filter-internal.h"

static int verify_frames(struct event_view *v, struct err *e)
{
    struct event_frame f = { 0 };
    int rc = 0;

    for (size_t row = 0; rc == 0 && row < v->n; row = f.first + f.n)
        rc = event_view_frame(v, row, &f, e);
    return rc;
}

static int verify_counts(struct sealed_view *v, struct err *e)
{
    uint32_t *counts = arena_array(v->view.arena, v->view.distinct, sizeof(*counts));

    if (!counts)
        return sealed_no_memory(v->block, e);
    event_count_codes(v->view.codes8, v->view.codes16, v->view.n, counts);
    return memcmp(counts, v->view.counts, v->view.distinct * sizeof(*counts)) ? sealed_malformed(v->column, "counts", e)
                                                                              : 0;
}

static int verify_filter(struct sealed *b, const struct sealed_column *c, struct err *e)
{
    uint8_t bits[EVENT_FILTER_SLICE];
    size_t n;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < event_filter_slices(c->filter_bytes); i++)
        rc = sealed_slice_read(b, c, i, bits, &n, e);
    return rc;
}

static int verify_column(struct sealed *b, const struct sealed_column *c, struct arena *a, struct err *e)
{
    struct sealed_view *v = NULL;
    int rc = sealed_view_new(b, c, a, &v, e);

    rc = rc == 0 ? sealed_view_rows(v, e) : rc;
    if (rc == 0 && v->view.form == EVENT_FORM_TEXTS)
        rc = verify_frames(&v->view, e);
    if (rc == 0 && v->view.form == EVENT_FORM_DICT)
        rc = verify_counts(v, e);
    return rc == 0 ? verify_filter(b, c, e) : rc;
}

int event_block_verify(struct str directory, event_part_read *read, void *arg, struct err *e)
{
    struct arena all = ARENA_INIT(0), one = ARENA_INIT(0);
    struct event_source *s = event_block_open(directory, read, arg, &all, e);
    struct sealed *b = (struct sealed *)s;
    struct sealed_view *sets;
    int rc = s ? 0 : e ? e->code : ERR_CORRUPT;

    for (size_t i = 0; rc == 0 && i < b->directory->ncolumns; i++) {
        rc = verify_column(b, &b->directory->columns[i], &one, e);
        arena_free(&one);
    }
    if (rc == 0 && b->directory->overflow)
        rc = sealed_overflow_read(b, &sets, e);
    arena_free(&all);
    return rc;
}
