/* page.h: the guestbook's one page. */
#ifndef DEMO_GUESTBOOK_PAGE_H
#define DEMO_GUESTBOOK_PAGE_H

#include "base/buf.h"

/* version is "v1", "v2" or "v3"; the page is self-contained: no other file, no other host. */
void page_print(struct buf *b, const char *version);

#endif
