/* Jaeger's Batch in Thrift. Property: each span taken has ids of full length, text that is UTF-8 and attributes in order. */
#include "collector/jaeger_thrift.h"

#include <stdlib.h>

static void check_row(const struct batch *b, size_t row)
{
    struct labels l = b->events[EVENT_SPAN].attributes[row];

    if (batch_event(b, EVENT_SPAN, row, SPAN_trace_id).s.n != 32 || batch_event(b, EVENT_SPAN, row, SPAN_span_id).s.n != 16 ||
        batch_event(b, EVENT_SPAN, row, SPAN_duration_ns).i < 0 || b->events[EVENT_SPAN].time_ns[row] <= 0)
        abort();
    for (int c = 0; c < SPAN_NCOLUMNS; c++)
        if (event_tables[EVENT_SPAN].columns[c].is_text && !str_is_utf8(batch_event(b, EVENT_SPAN, row, c).s))
            abort();
    for (size_t i = 0; i < l.n; i++)
        if (!str_is_utf8(l.v[i].value) || l.v[i].value.n == 0 || (i && str_cmp(l.v[i - 1].name, l.v[i].name) >= 0))
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = ARENA_INIT(64 << 20);
    struct push_outcome o;
    struct batch b;

    batch_init(&b, &a);
    if (jaeger_thrift_decode((struct str){ (const char *)data, size }, &b, &o, NULL) == 0) {
        if (o.accepted != b.events[EVENT_SPAN].n || (o.refused && !o.why[0]))
            abort();
        for (size_t i = 0; i < b.events[EVENT_SPAN].n; i++)
            check_row(&b, i);
    }
    arena_free(&a);
    return 0;
}
