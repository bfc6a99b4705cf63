/* StreamAccessLogsMessage. Property: rows that are taken are what the store takes, and counts tell of all entries. */
#include "collector/envoy-internal.h"

#include <stdlib.h>

static void check_row(const struct event_rows *r, size_t row)
{
    struct labels l = r->attributes[row];

    for (size_t i = 0; i < l.n; i++)
        if (l.v[i].name.n == 0 || l.v[i].value.n == 0 || !str_is_utf8(l.v[i].name) || !str_is_utf8(l.v[i].value) ||
            (i && str_cmp(l.v[i - 1].name, l.v[i].name) >= 0))
            abort();
    for (int c = 0; c < ACCESS_LOG_NFIELDS; c++)
        if (r->columns[c] && access_log_fields[c].is_text ? !str_is_utf8(r->columns[c][row].s)
                                                          : r->columns[c] && r->columns[c][row].i < -1)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str message = { (const char *)data, size };
    struct arena a = ARENA_INIT(64 << 20);
    struct envoy_node *node = NULL;
    struct otlp_refused items = { 0 };
    struct err e = ERR_INIT;
    struct batch b;

    batch_init(&b, &a);
    if (envoy_identifier(message, &node, &e) == 0 && envoy_log_decode(message, node, NULL, &b, &items, &e) == 0) {
        if (items.accepted != b.events[EVENT_ACCESS_LOG].n || (items.n > 0) != (items.why[0] != '\0'))
            abort();
        for (size_t i = 0; i < b.events[EVENT_ACCESS_LOG].n; i++)
            check_row(&b.events[EVENT_ACCESS_LOG], i);
    }
    arena_free(&a);
    envoy_node_release(node);
    return 0;
}
