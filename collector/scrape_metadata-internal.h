/* scrape_metadata-internal.h: what a target says about its metrics: type, help, unit.
 *
 * Written by the scrape thread, read by others under its lock. */
#ifndef COLLECTOR_SCRAPE_METADATA_INTERNAL_H
#define COLLECTOR_SCRAPE_METADATA_INTERNAL_H

#include "base/strmap.h"
#include "collector/exposition.h"
#include "store/batch.h"

#include <pthread.h>

struct metric_info {
    struct batch_metadata m; /* its texts lie behind this, in one piece of memory */
    uint32_t seen;           /* the last page that said something about it */
    bool stored;
};

struct scrape_metadata {
    pthread_mutex_t lock;
    struct strmap map; /* metric → struct metric_info */
    size_t unstored;
};

void metadata_init(struct scrape_metadata *m);
void metadata_fini(struct scrape_metadata *m);
/* A HELP, TYPE or UNIT line of page `page`. 0 or ERR_NOMEM. */
int metadata_take(struct scrape_metadata *m, uint32_t page, const struct exposition_item *item);
/* Adds what is not stored yet to the batch; the texts live until the next page. 0 or ERR_NOMEM. */
int metadata_add(struct scrape_metadata *m, struct batch *b);
/* The batch has been stored, or has not. */
void metadata_stored(struct scrape_metadata *m, bool well);
/* Forgets what the page `page` did not name, when it is much. */
void metadata_trim(struct scrape_metadata *m, uint32_t page);

#endif
