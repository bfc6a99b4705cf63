/* exposition.h: Prometheus' text format 0.0.4 and OpenMetrics 1.0, line by line over one buffer.
 *
 * Sources: prometheus.io/docs/instrumenting/exposition_formats, openmetrics.io; names in quotes as Prometheus 3 writes
 * them ({"my.name", "a.b"="c"}); numbers as Go reads them.
 *
 * A line is cut into series, value and time without a look at its labels: who has met the bytes of `series` before
 * knows what they say, and the bytes of one series never change. Who has not calls exposition_series, which parses
 * them and alone refuses what is malformed in them. Nothing is allocated for a line; all strings are views of the text.
 * Native histograms have no text form; exemplars are handed over as they stand. */
#ifndef COLLECTOR_EXPOSITION_H
#define COLLECTOR_EXPOSITION_H

#include "base/arena.h"
#include "base/err.h"
#include "base/labels.h"

#include <stdint.h>

enum exposition_format { EXPOSITION_TEXT, EXPOSITION_OPENMETRICS };

enum exposition_kind { EXPOSITION_SAMPLE, EXPOSITION_HELP, EXPOSITION_TYPE, EXPOSITION_UNIT };

struct exposition {
    enum exposition_format format;
    const char *at, *end;
    size_t line; /* of the item last returned, from 1 */
    bool ended;  /* "# EOF" has been read */
};

struct exposition_item {
    enum exposition_kind kind;
    struct str series;    /* SAMPLE: name and labels, as they stand */
    double value;
    bool has_time;
    int64_t t_ms;
    struct str exemplar;  /* OpenMetrics: what stands behind " # "; STR_NULL when there is none */
    struct str metric;    /* HELP, TYPE, UNIT: whose, as it stands (perhaps in quotes) */
    struct str text;      /* HELP: escaped (exposition_text); TYPE: "counter", untyped is "unknown"; UNIT */
};

void exposition_init(struct exposition *x, enum exposition_format format, struct str text);
/* 1: *item is the next; 0: the end; ERR_PARSE names the line and what would be right there. */
int exposition_next(struct exposition *x, struct exposition_item *item, struct err *e);
/* The labels of `series`, of the item last returned: __name__ first; neither sorted nor free of empty or double ones
 * (labels_normalise). The array is in `a`; strings are views of the text, or in `a`. ERR_PARSE names the line,
 * ERR_NOMEM. */
int exposition_series(const struct exposition *x, struct str series, struct arena *a, struct label **v, size_t *n,
                      struct err *e);
/* A metric's name or help text without its quotes and escapes: itself where there are none, else in `a` (p NULL: no
 * memory). */
struct str exposition_name(struct arena *a, struct str metric);
struct str exposition_text(struct arena *a, struct str text);

#endif
