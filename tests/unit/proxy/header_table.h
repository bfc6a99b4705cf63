/* header_table.h: a header_source over a table, for tests. */
#ifndef TESTS_UNIT_PROXY_HEADER_TABLE_H
#define TESTS_UNIT_PROXY_HEADER_TABLE_H

#include "proxy/header_source.h"

/* The last of a table has no name. */
struct header {
    struct str name, value;
};

static inline struct str header_table_nth(const void *of, struct str name, size_t n)
{
    for (const struct header *h = of; h->name.p; h++)
        if (str_ieq(h->name, name) && n-- == 0)
            return h->value.p ? h->value : STR("");
    return STR_NULL;
}

static inline struct header_source header_table(const struct header *table)
{
    return (struct header_source){ header_table_nth, table };
}

#endif
