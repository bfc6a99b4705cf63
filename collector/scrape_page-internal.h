/* scrape_page-internal.h: one page of a target to the series and samples of a batch. */
#ifndef COLLECTOR_SCRAPE_PAGE_INTERNAL_H
#define COLLECTOR_SCRAPE_PAGE_INTERNAL_H

#include "collector/scrape_cache-internal.h"
#include "collector/scrape_config-internal.h"
#include "collector/scrape_metadata-internal.h"
#include "store/batch.h"

/* What is to be stored; the arrays are kept from page to page. */
struct page_rows {
    struct batch_series *series; /* labels point into the cache */
    struct sample *samples;      /* samples[i] is that of series[i] */
    uint32_t **ids;              /* where the store's number of series[i] is kept; NULL: nowhere */
    size_t n, series_cap, samples_cap, ids_cap;
};

struct page_counts {
    uint64_t scraped, kept, added; /* lines; those that relabelling kept; series that were new */
    uint64_t doubles;              /* lines whose series had been there already, left out */
};

struct page_reader {
    const struct scrape_job *job;
    struct labels target; /* the labels that each series of the target carries */
    struct scrape_cache *cache;
    struct scrape_metadata *metadata;
    struct page_rows *rows;
};

/* Reads the page between cache_begin and cache_end, and adds its rows. now_ms: for samples without a time of their own.
 * 0, or what makes the page fail as a whole: ERR_PARSE (names the line), ERR_LIMIT, ERR_INVALID, ERR_NOMEM; rows and
 * cache hold a part of the page then. */
int page_read(const struct page_reader *r, enum exposition_format format, struct str body, int64_t now_ms,
              struct page_counts *counts, struct err *e);
/* `id`: see page_rows. 0 or ERR_NOMEM. */
int rows_add(struct page_rows *rows, struct labels labels, uint32_t *id, int64_t t_ms, double v);
/* Lets each series point to its sample: after the last rows_add. */
void rows_finish(struct page_rows *rows);
/* Keeps the numbers that the store has given: after it has taken the rows. */
void rows_keep_ids(struct page_rows *rows);
void rows_free(struct page_rows *rows);

#endif
