/* batch.h: one message from a sender, decoded: committed as a whole or not at all.
 *
 * Filled by one thread in an arena of the caller's, which must live until the commit has ended. Strings are views: a
 * receiver points into the message it decodes. */
#ifndef STORE_BATCH_H
#define STORE_BATCH_H

#include "base/arena.h"
#include "base/err.h"
#include "store/event.h"
#include "store/sample.h"

/* What a series has beside labels that it shares with others, as the buckets of a histogram do. */
struct batch_own {
    struct str metric; /* __name__ */
    struct str le;     /* empty: it has none */
};

struct batch_series {
    struct labels labels; /* with __name__; sorted, unique (labels_normalise) */
    /* NULL, or the rest of the labels: those above are without __name__ and `le` then, and may be shared. */
    const struct batch_own *own;
    /* The label fields of a remote write TimeSeries as they came, from the first field's tag to the last one's end; n 0:
     * there are none. store_recognise knows many series by them, and these need no labels. */
    struct str raw;
    /* When the counter began at zero, ms; 0 = not known. When it is later than the newest sample stored before, the
     * store puts a zero sample there, so that increase() sees the first increment (OpenTelemetry's start time). */
    int64_t start_ms;
    const struct sample *samples;
    size_t n;
    /* The store's number for it, 0: not known. Set by store_recognise and by a commit that returned 0; a sender that keeps
     * it spares the store the look-up of its labels, which must be given all the same. */
    uint32_t id;
    /* The samples' values are increments, and their times mean nothing: the store adds them to what it has counted for this
     * series since it was opened, and keeps the sum as a sample of the time of the commit, behind a zero for a counter that
     * is new (counted.c). So who counts events need not know what was counted before, and what is not committed was not
     * counted. A series should get its samples in this way or in the other. */
    bool increments;
};

/* What a metric is, for /api/v1/metadata. */
struct batch_metadata {
    struct str metric, type, help, unit; /* type: counter gauge histogram summary unknown */
};

/* An example behind a sample of the series (exemplars.h). Both label sets are sorted and unique. */
struct batch_exemplar {
    struct labels series, labels;
    struct sample sample;
};

/* Rows of one table, column by column. */
struct event_rows {
    size_t n, cap;
    int64_t *time_ns;                              /* when each began */
    union event_value *columns[EVENT_MAX_COLUMNS]; /* NULL: unset in every row */
    struct labels *attributes;                     /* normalised */
};

struct batch {
    struct arena *arena;
    /* A sender that numbers its batches: one with number <= the last committed of that sender is answered as
     * committed and not applied again. Empty sender: not numbered. */
    struct str sender;
    uint64_t number; /* from 1 */
    bool lasting;    /* the number is kept for a year after the last batch, not for a week: the sender is a file */

    struct batch_series *series;
    size_t nseries, series_cap;
    struct batch_metadata *metadata;
    size_t nmetadata, metadata_cap;
    struct batch_exemplar *exemplars;
    size_t nexemplars, exemplars_cap;
    struct event_rows events[EVENT_KINDS];
    size_t bytes; /* an estimate of what it holds, for the committer's queue */
};

void batch_init(struct batch *b, struct arena *a);
/* All return 0 or ERR_NOMEM. The values, samples and strings are not copied. */
int batch_add_series(struct batch *b, const struct batch_series *s);
/* Room for n series more: else it grows by itself. */
int batch_reserve_series(struct batch *b, size_t n);
/* All labels of a series: its own put between the shared ones, in `room` for labels.n + 2. */
struct labels batch_series_labels(const struct batch_series *s, struct label *room);
int batch_add_metadata(struct batch *b, const struct batch_metadata *m);
int batch_add_exemplar(struct batch *b, const struct batch_exemplar *x);
int batch_add_event(struct batch *b, enum event_kind kind, const struct event *ev);

/* A row without a struct event: batch_set_event any of its columns, then batch_end_event. A row that is not ended does not
 * count, and batch_drop_event must take back what was set of it. */
int batch_reserve_events(struct batch *b, enum event_kind kind, size_t n); /* n rows more: else it grows by itself */
static inline int batch_set_event(struct batch *b, enum event_kind kind, int column, union event_value v);
int batch_set_first(struct batch *b, enum event_kind kind, int column, union event_value v); /* where there is no room yet */
int batch_end_event(struct batch *b, enum event_kind kind, int64_t time_ns, struct labels attributes);
void batch_drop_event(struct batch *b, enum event_kind kind);
/* Takes back all rows but the first n. */
void batch_drop_events(struct batch *b, enum event_kind kind, size_t n);
/* Sets a column of a row that has been ended. */
int batch_change_event(struct batch *b, enum event_kind kind, size_t row, int column, union event_value v);
/* A column's value in row `row`, which may be the one not ended yet. */
union event_value batch_event(const struct batch *b, enum event_kind kind, size_t row, int column);

/* Called for each of some forty fields of ten million rows. */
static inline int batch_set_event(struct batch *b, enum event_kind kind, int column, union event_value v)
{
    struct event_rows *r = &b->events[kind];

    if (r->n == r->cap || !r->columns[column])
        return batch_set_first(b, kind, column, v);
    r->columns[column][r->n] = v;
    if (event_tables[kind].columns[column].is_text)
        b->bytes += v.s.n;
    return 0;
}

/* The same for a column of texts. */
static inline int batch_set_event_text(struct batch *b, enum event_kind kind, int column, struct str text)
{
    struct event_rows *r = &b->events[kind];

    if (r->n == r->cap || !r->columns[column])
        return batch_set_first(b, kind, column, (union event_value){ .s = text });
    r->columns[column][r->n].s = text;
    b->bytes += text.n;
    return 0;
}

#endif
