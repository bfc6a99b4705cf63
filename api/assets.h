/* assets.h: the console's files, embedded: the table is made by web/embed.py. */
#ifndef API_ASSETS_H
#define API_ASSETS_H

#include <stddef.h>

struct web_asset {
    const char *path; /* "/index.html" */
    const char *content_type;
    const unsigned char *bytes;
    size_t n;
    const unsigned char *gzip; /* NULL: does not get smaller */
    size_t gzip_n;
    const char *etag; /* with its quotes */
};

extern const struct web_asset web_assets[];
extern const size_t web_assets_n;

#endif
