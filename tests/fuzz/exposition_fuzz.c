/* Any page, in both formats: what is read, written in the plainest form and read again is the same: labels, value bit
 * for bit, time. And a line's series is cut the same way whether or not there is more behind its value. */
#include "base/buf.h"
#include "collector/exposition.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

enum { MOST_TEXT = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put_quoted(struct buf *b, struct str s)
{
    buf_putc(b, '"');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"' || s.p[i] == '\\')
            buf_putc(b, '\\');
        if (s.p[i] == '\n')
            buf_puts(b, "\\n");
        else
            buf_putc(b, s.p[i]);
    }
    buf_putc(b, '"');
}

static void put_line(struct buf *b, const struct label *v, size_t n, const struct exposition_item *item)
{
    buf_putc(b, '{');
    put_quoted(b, v[0].value);
    for (size_t i = 1; i < n; i++) {
        buf_putc(b, ',');
        put_quoted(b, v[i].name);
        buf_putc(b, '=');
        put_quoted(b, v[i].value);
    }
    if (isfinite(item->value))
        buf_printf(b, "} %.17g", item->value);
    else
        buf_printf(b, "} %s", isnan(item->value) ? "NaN" : item->value > 0 ? "+Inf" : "-Inf");
    if (item->has_time)
        buf_printf(b, " %" PRId64, item->t_ms);
}

static bool same_value(double a, double b)
{
    return isnan(a) ? isnan(b) : memcmp(&a, &b, sizeof(a)) == 0;
}

static void reads_back(struct arena *a, const struct label *v, size_t n, const struct exposition_item *item)
{
    struct buf line = BUF_INIT(4 * MOST_TEXT);
    struct exposition x;
    struct exposition_item again;
    struct label *w;
    size_t m;

    put_line(&line, v, n, item);
    exposition_init(&x, EXPOSITION_TEXT, buf_view(&line));
    if (!buf_failed(&line) && exposition_next(&x, &again, NULL) != 1)
        abort();
    if (!buf_failed(&line) && exposition_series(&x, again.series, a, &w, &m, NULL) == 0) {
        if (m != n || again.has_time != item->has_time || !same_value(again.value, item->value) ||
            (item->has_time && again.t_ms != item->t_ms))
            abort();
        for (size_t i = 0; i < n; i++)
            if (!str_eq(v[i].name, w[i].name) || !str_eq(v[i].value, w[i].value))
                abort();
    } else if (!buf_failed(&line) && a->used < a->max / 2) {
        abort();
    }
    buf_free(&line);
}

/* A series that parses is cut at the same place with another value, and with a time, behind it. */
static void cuts_the_same(struct str series)
{
    static const char *const tails[] = { " 1", "\t1 2", " NaN  -3 " };

    for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
        struct buf line = BUF_INIT(2 * MOST_TEXT);
        struct exposition x;
        struct exposition_item item;

        buf_str(&line, series);
        buf_puts(&line, tails[i]);
        exposition_init(&x, EXPOSITION_TEXT, buf_view(&line));
        if (!buf_failed(&line) && (exposition_next(&x, &item, NULL) != 1 || !str_eq(item.series, series)))
            abort();
        buf_free(&line);
    }
}

static void read_page(enum exposition_format format, struct str text)
{
    struct arena a = ARENA_INIT(16 << 20);
    struct exposition x;
    struct exposition_item item;
    struct label *v;
    size_t n;

    exposition_init(&x, format, text);
    while (exposition_next(&x, &item, NULL) == 1) {
        if (item.kind != EXPOSITION_SAMPLE) {
            exposition_name(&a, item.metric);
            exposition_text(&a, item.text);
        } else if (exposition_series(&x, item.series, &a, &v, &n, NULL) == 0) {
            reads_back(&a, v, n, &item);
            cuts_the_same(item.series);
        }
    }
    arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > MOST_TEXT)
        return 0;
    read_page(EXPOSITION_TEXT, (struct str){ (const char *)data, size });
    read_page(EXPOSITION_OPENMETRICS, (struct str){ (const char *)data, size });
    return 0;
}
