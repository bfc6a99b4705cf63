/* logql_template-internal.h: Go's text templates, as far as line_format and label_format need them (docs/logql.md). */
#ifndef QUERY_LOGQL_TEMPLATE_INTERNAL_H
#define QUERY_LOGQL_TEMPLATE_INTERNAL_H

#include "query/logql_scan-internal.h"

struct template;

/* Labels that it names are added to the query's. NULL with the error set, at byte `at` of the query. */
struct template *template_parse(struct scanner *sc, size_t at, struct str text);
struct str template_text(const struct template *t);

/* What a template is about. */
struct template_row {
    struct str (*label)(void *arg, size_t index); /* the value of one of the query's names */
    void *arg;
    struct str line;
    int64_t time_ns;
    struct arena *scratch; /* for what it makes on its way */
};

/* Appends the text. ERR_INVALID: what cannot be done with these values; ERR_NOMEM. */
int template_run(const struct template *t, const struct template_row *row, struct buf *out, struct err *e);

#endif
