/* Loki's push requests, unpacked: 'j' and JSON, or protobuf.
 *
 * Property: lines that were taken, written as JSON with all that is known of them as labels, are taken again and give the
 * same rows; what is stored is UTF-8. */
#include "collector/loki_push.h"
#include "tests/unit/collector/dump.h"

#include <stdlib.h>

enum { MOST_LABELS = 30, LONGEST_VALUE = 2048, LONGEST_LINE = 256 << 10 }; /* Loki's own limits for a stream's labels */

struct labels_out {
    struct buf *out;
    size_t n;
    bool fits;
};

static void put(struct labels_out *l, struct str name, struct str value)
{
    l->fits = l->fits && l->n < MOST_LABELS && value.n <= LONGEST_VALUE && name.n <= LONGEST_VALUE / 2;
    buf_puts(l->out, l->n++ ? "," : "");
    buf_json(l->out, name);
    buf_putc(l->out, ':');
    buf_json(l->out, value);
}

/* False: as labels of a stream this would be too much. */
static bool put_row(struct buf *out, const struct batch *b, size_t row)
{
    struct labels attributes = b->events[EVENT_LOG].attributes[row];
    struct labels_out l = { out, 0, true };
    struct str line = batch_event(b, EVENT_LOG, row, LOG_body).s;

    buf_puts(out, row ? ",{\"stream\":{" : "{\"stream\":{");
    for (int c = 0; c < LOG_NCOLUMNS; c++)
        if (c != LOG_body && c != LOG_severity_number && batch_event(b, EVENT_LOG, row, c).s.n)
            put(&l, event_tables[EVENT_LOG].columns[c].name, batch_event(b, EVENT_LOG, row, c).s);
    for (size_t i = 0; i < attributes.n; i++) {
        if (!str_is_utf8(attributes.v[i].name) || !str_is_utf8(attributes.v[i].value))
            abort();
        put(&l, attributes.v[i].name, attributes.v[i].value);
    }
    buf_printf(out, "},\"values\":[[\"%lld\",", (long long)b->events[EVENT_LOG].time_ns[row]);
    buf_json(out, line);
    buf_puts(out, "]]}");
    return l.fits && line.n <= LONGEST_LINE;
}

static bool put_rows(struct buf *out, const struct batch *b)
{
    bool fits = true;

    buf_puts(out, "{\"streams\":[");
    for (size_t i = 0; i < b->events[EVENT_LOG].n; i++)
        fits = put_row(out, b, i) && fits;
    buf_puts(out, "]}");
    return fits && !buf_failed(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = { (const char *)data, size };
    bool json = size && data[0] == 'j';
    struct buf one = BUF_INIT(64 << 20), two = BUF_INIT(64 << 20), again = BUF_INIT(64 << 20);
    struct arena a = ARENA_INIT(64 << 20);
    struct push_outcome o;
    struct batch b, c;

    batch_init(&b, &a);
    batch_init(&c, &a);
    if (loki_push_decode(json ? LOKI_JSON : LOKI_PROTOBUF, json ? str_from(input, 1) : input, &b, &o, NULL) == 0) {
        if (o.accepted != b.events[EVENT_LOG].n)
            abort();
        dump_batch(&one, &b);
        if (put_rows(&again, &b)) {
            if (loki_push_decode(LOKI_JSON, buf_view(&again), &c, &o, NULL) < 0 || o.refused)
                abort();
            dump_batch(&two, &c);
            if (!str_eq(buf_view(&one), buf_view(&two)))
                abort();
        }
    }
    buf_free(&one);
    buf_free(&two);
    buf_free(&again);
    arena_free(&a);
    return 0;
}
