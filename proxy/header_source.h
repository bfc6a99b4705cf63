/* header_source.h: the fields of a request, whatever holds them: what policies and tokens are looked up in. */
#ifndef PROXY_HEADER_SOURCE_H
#define PROXY_HEADER_SOURCE_H

#include "base/str.h"

struct header_source {
    /* The value of the field called `name` (lower case) number n, from 0 on; p NULL: there are not so many. It is asked
     * for :authority (by `host`, too), :method and :path as well. Values live as long as the request. */
    struct str (*nth)(const void *of, struct str name, size_t n);
    const void *of;
};

static inline struct str header_nth(const struct header_source *h, struct str name, size_t n)
{
    return h->nth ? h->nth(h->of, name, n) : STR_NULL;
}

#endif
