/* logql_pipeline-internal.h: one row on its way through a query's stages.
 *
 * A pipeline belongs to one thread and one table. What it says of a row (texts too) is valid until the next row begins. */
#ifndef QUERY_LOGQL_PIPELINE_INTERNAL_H
#define QUERY_LOGQL_PIPELINE_INTERNAL_H

#include "query/logql_row-internal.h"

/* More labels of one row than that are left out. */
enum { PIPELINE_MOST_LABELS = 512 };

/* A label that a stage has made, or taken away (value.p NULL), or that stands in front of one of the row's own. */
struct made_label {
    struct str name, value;
    bool parsed; /* by a parser: the first of a name counts */
};

struct pipeline {
    const struct log_query *q;
    enum event_kind kind;
    const struct stream_labels *streams;
    const struct field *fields; /* what each of the query's names means in this table */
    struct arena scratch;       /* texts of the present row and of some before it */
    struct buf rendered;        /* the line, of tables that have none */
    const struct logql_row *row;
    struct str line;
    bool has_line;
    struct made_label *made;    /* owned */
    size_t nmade, cap;
    struct str error, details;  /* what __error__ and __error_details__ say; empty: all is well */
};

/* ERR_NOMEM. `streams` and what `a` holds must outlive the pipeline. */
int pipeline_init(struct pipeline *p, const struct log_query *q, enum event_kind kind,
                  const struct stream_labels *streams, struct arena *a);
void pipeline_fini(struct pipeline *p);

void pipeline_begin(struct pipeline *p, const struct logql_row *row);
/* Runs the stages [from, to). 1: the row stays; 0: it is filtered out; ERR_NOMEM. */
int pipeline_run(struct pipeline *p, size_t from, size_t to);
struct str pipeline_line(struct pipeline *p);
/* The present value of one of the query's names; of any name. Empty: there is none. */
struct str pipeline_label(struct pipeline *p, size_t index);
struct str pipeline_get(struct pipeline *p, struct str name, const struct field *f);
/* Marks the row: "JSONParserErr" and so on. */
void pipeline_fail(struct pipeline *p, struct str error, struct str details);

/* For stages: a label that a parser has found; NAME_extracted where the stream has one of that name. The texts are not
 * copied. ERR_NOMEM. */
int pipeline_extract(struct pipeline *p, struct str name, struct str value);
/* Sets a label, or takes it away (value.p NULL). ERR_NOMEM. */
int pipeline_set(struct pipeline *p, struct str name, struct str value);
/* Copies into the scratch; p NULL: no memory. */
struct str pipeline_copy(struct pipeline *p, struct str s);

/* The row's labels as they are after the stages, sorted; strings are not copied, arrays are in `a`. v NULL: no memory. */
struct labels pipeline_stream(struct pipeline *p, struct arena *a);
struct labels pipeline_metadata(struct pipeline *p, struct arena *a);
struct labels pipeline_parsed(struct pipeline *p, struct arena *a);

/* --- the parsers: logql_json.c, logql_logfmt.c, logql_extract.c. 0 or ERR_NOMEM; what is wrong with the line is told by
 * pipeline_fail. --- */

int extract_json(struct pipeline *p, const struct extractor *x);
int extract_logfmt(struct pipeline *p, const struct extractor *x);
int extract_pattern(struct pipeline *p, const struct pattern *pattern);
int extract_regexp(struct pipeline *p, const struct capture_names *c);
int extract_unpack(struct pipeline *p);
int extract_decolorize(struct pipeline *p);
/* A text as a label's name: what cannot stand in one becomes "_". In the scratch; p NULL: no memory. */
struct str label_name_of(struct pipeline *p, struct str text);

#endif
