/* StreamMetricsMessage. Property: every series that is taken has a name, and labels in order. */
#include "collector/envoy-internal.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str message = { (const char *)data, size };
    struct arena a = ARENA_INIT(64 << 20);
    struct envoy_node *node = NULL;
    struct otlp_refused items = { 0 };
    struct err e = ERR_INIT;
    struct batch b;

    batch_init(&b, &a);
    if (envoy_identifier(message, &node, &e) == 0 && envoy_metrics_decode(message, node, 1, &b, &items, &e) == 0)
        for (size_t s = 0; s < b.nseries; s++) {
            struct labels l = b.series[s].labels;

            if (labels_get(l, STR("__name__")).n == 0)
                abort();
            for (size_t i = 0; i < l.n; i++)
                if (l.v[i].value.n == 0 || !str_is_utf8(l.v[i].value) || (i && str_cmp(l.v[i - 1].name, l.v[i].name) >= 0))
                    abort();
        }
    arena_free(&a);
    envoy_node_release(node);
    return 0;
}
