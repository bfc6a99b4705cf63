/* lb_tables.h: tables of consistent hashing (lb_table.h), each made once for all workers and all snapshots.
 *
 * To fill a table takes milliseconds, in which a worker serves nobody, and most snapshots change nothing of it. A table
 * is known by all that it is made of, so who asks for the same gets the same. Any thread. */
#ifndef PROXY_LB_TABLES_H
#define PROXY_LB_TABLES_H

#include "proxy/lb_table.h"

struct lb_tables;

/* NULL: no memory. */
struct lb_tables *lb_tables_new(void);
/* Every table has been put. NULL is accepted. */
void lb_tables_free(struct lb_tables *all);
/* As lb_table_init, with a reference. NULL: no memory. */
const struct lb_table *lb_tables_get(struct lb_tables *all, enum lb_policy policy, uint32_t size,
                                     const struct str *keys, const uint32_t *weights, size_t n);
void lb_tables_put(struct lb_tables *all, const struct lb_table *t); /* NULL is accepted */

#endif
