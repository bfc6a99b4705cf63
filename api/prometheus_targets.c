/* prometheus_targets.c: Prometheus' HTTP API: what is scraped. */

#include "api/prometheus-internal.h"

void prometheus_targets(struct request *rq)
{
    prometheus_begin(rq);
    buf_puts(&rq->out, "{\"activeTargets\":[],\"droppedTargets\":[],\"droppedTargetCounts\":{}}}");
}

void prometheus_scrape_pools(struct request *rq)
{
    prometheus_begin(rq);
    buf_puts(&rq->out, "{\"scrapePools\":[]}}");
}
