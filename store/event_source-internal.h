/* event_source-internal.h: rows of one table that stand together, column by column: a chunk of a head, or a sealed
 * block.
 *
 * What a query reads is a list of these. A source says without I/O how many rows it has, when they were, and of each
 * column a summary by which most sources are passed over; a column's bytes are read when a query names it. A source and
 * what was loaded from it belong to one thread (two threads that read the same chunk or block open a source each) and
 * live in the arena they were opened in.
 *
 * Rows    At most EVENT_SOURCE_ROWS, numbered from 0. In a block they are sorted by identity (event_build-internal.h),
 *         then time; in a chunk as they came. Their times are a column like others.
 * Errors  ERR_IO, ERR_CORRUPT (the bytes are not believed, whoever wrote them), ERR_NOMEM. */
#ifndef STORE_EVENT_SOURCE_INTERNAL_H
#define STORE_EVENT_SOURCE_INTERNAL_H

#include "base/arena.h"
#include "base/err.h"
#include "store/events.h"

enum { EVENT_SOURCE_ROWS = 65536 };

/* The form of a column in memory. */
enum event_form {
    EVENT_FORM_CONST, /* one value in every row, which may be the unset one */
    EVENT_FORM_DICT,  /* distinct values, and a code for each row; texts or numbers */
    EVENT_FORM_INTS,  /* numbers */
    EVENT_FORM_IDS,   /* texts that are hexadecimal ids, as bytes: UUIDs, trace ids, span ids */
    EVENT_FORM_TEXTS  /* texts one behind the other */
};

/* What is known of a column without reading it. */
struct event_summary {
    enum event_form form;
    bool is_text;
    bool has_unset;        /* some rows may be unset */
    bool filtered;         /* there is a filter, or shelves of ids: may_hold is worth asking */
    uint32_t distinct;     /* DICT: how many values; CONST: 1; else 0 = not known */
    uint32_t id_length;    /* IDS: of each text that is set, where it is known that none has another form; else 0 */
    int64_t min, max;      /* numbers: of all rows, the unset ones included */
    uint64_t bytes;        /* stored */
};

struct event_view {
    enum event_form form;
    bool is_text;
    size_t n;
    /* CONST: values[0]. DICT: `distinct` values, each once, and how many rows have each. */
    const union event_value *values;
    const uint32_t *counts;
    size_t distinct;
    /* DICT, after event_view_rows: codes[0..n), indices into values, 1 byte each (codes8) or 2 (codes16). */
    const uint8_t *codes8;
    const uint16_t *codes16;
    /* INTS, after event_view_rows. */
    const int64_t *ints;
    /* IDS, after event_view_rows: `width` bytes a row, 8 or 16, all zero for a row that is unset; printed as lower-case
     * hexadecimal, with dashes when it is a UUID. Rows whose text has another form are in `odd`, by rising row. */
    const uint8_t *ids;
    size_t width;
    bool uuid;
    const struct event_odd {
        uint32_t row;
        struct str text;
    } *odd;
    size_t nodd;
    struct event_texts *texts; /* TEXTS: event_view_text and event_view_frame read them */
    struct arena *arena;       /* where what is loaded lives: the source's, or open_apart's */
};

struct event_source;

struct event_source_ops {
    /* NULL: the source has no such column: unset in all rows. No I/O. */
    const struct event_summary *(*summary)(struct event_source *s, struct event_field f);
    /* *may false: no row's value equals `value` (IDS, DICT), or no row's text has all tokens that a text containing
     * `value` must have whole (TEXTS; event_filter-internal.h). True where nothing is known. */
    int (*may_hold)(struct event_source *s, struct event_field f, struct str value, bool *may, struct err *e);
    /* The column without its rows: of DICT the values, of others nothing. *v NULL: not there. */
    int (*open)(struct event_source *s, struct event_field f, struct event_view **v, struct err *e);
    /* The same, but the view is the caller's own and lives in `a`: for who reads columns once, one by one. */
    int (*open_apart)(struct event_source *s, struct event_field f, struct arena *a, struct event_view **v,
                      struct err *e);
    /* And its rows. Does nothing the second time. */
    int (*rows)(struct event_source *s, struct event_view *v, struct err *e);
    int (*times)(struct event_source *s, const int64_t **ns, struct err *e); /* n of them */
    /* Names of the attributes that some row has. Those come first that have a column; where names are very many, others
     * follow, whose values stand together as packed label sets, row by row (open finds them there). */
    int (*attributes)(struct event_source *s, const struct str **names, size_t *n, struct err *e);
    /* For who takes rows apart and together again: how many of the names have a column, and the label sets of the
     * others, with their rows. *sets NULL: there are none. */
    int (*overflow)(struct event_source *s, size_t *columns, struct event_view **sets, struct err *e);
};

struct event_source {
    const struct event_source_ops *ops;
    enum event_kind kind;
    size_t n;
    int64_t first_ns, last_ns; /* of its rows, both inclusive */
    struct arena *arena;       /* where all that is loaded lives */
    const struct event_origin *origin; /* where its bytes are; set and read by event_sources.c alone */
};

/* The text of row `row`: a view into what is loaded, or printed into the source's arena; it stays as long as the arena.
 * A frame of TEXTS that this reads stays loaded, too: for rows that are wanted, not for a scan. ERR_CORRUPT. */
int event_view_text(struct event_view *v, size_t row, struct str *text, struct err *e);
/* Any form, texts and numbers, rows loaded. */
int event_view_value(struct event_view *v, size_t row, union event_value *value, struct err *e);

/* Rows of TEXTS that stand together: the text of row first + i is bytes[at[i]] to bytes[at[i + 1]]. */
struct event_frame {
    size_t first, n;
    const char *bytes;
    const uint32_t *at; /* n + 1 of them, at[0] is 0 */
};

/* For scans of TEXTS: the frame that row `row` < n stands in. It is valid until the next event_view_frame of this view,
 * which uses its memory again; the next frame begins with row first + n. */
int event_view_frame(struct event_view *v, size_t row, struct event_frame *f, struct err *e);

/* --- what there is to read (event_sources.c) --- */

/* All sources of a table that may have rows in [from_ns, to_ns), as they are at one moment: no row is in two of them,
 * none that was committed is missing. They are held until event_sources_release. */
struct event_sources {
    struct event_source **v;
    size_t n;
    uint64_t last;           /* what events_last said at that moment */
    struct event_hold *hold; /* the engine's own */
};

/* `after`: as event_query.after. */
int event_sources_hold(struct store *st, enum event_kind kind, int64_t from_ns, int64_t to_ns, uint64_t after,
                       struct arena *a, struct event_sources *out, struct err *e);
/* Another source for the same rows, whose loads live in `a`: for another thread. */
struct event_source *event_source_again(const struct event_source *s, struct arena *a, struct err *e);
/* A source whose bytes proved wrong: the block is set aside, named in the log, counted; a query goes on without. */
void event_source_damaged(struct store *st, struct event_source *s, const struct err *why);
void event_sources_release(struct store *st, struct event_sources *s);

#endif
