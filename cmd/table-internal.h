/* table-internal.h: rows for people (aligned columns) and for programs (CSV, RFC 4180); whole answers for programs (JSON,
 * YAML). */
#ifndef CMD_TABLE_INTERNAL_H
#define CMD_TABLE_INTERNAL_H

#include "cmd/command-internal.h"

#include <jansson.h>

struct table;

/* `headings` has `columns` entries and outlives the table. NULL: no memory. */
struct table *table_new(const char *const *headings, size_t columns);
/* Copies the cells; NULL is an empty one. No memory shows in table_print. */
void table_row(struct table *t, const char *const *cells);
/* Prints as TABLE or CSV; 0 or ERR_NOMEM. */
int table_print(const struct table *t, enum output form, FILE *out);
/* Whether `form` prints the server's answer itself and not a table of it. */
static inline bool output_is_document(enum output form)
{
    return form == OUTPUT_JSON || form == OUTPUT_YAML;
}
/* The document as JSON or YAML; 0 or ERR_*. */
int document_print(const json_t *body, enum output form, FILE *out);
void table_free(struct table *t);

#endif
