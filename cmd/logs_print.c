/* logs_print.c: lines of several streams, by time. */
#include "base/clock.h"
#include "base/num.h"
#include "cmd/logs-internal.h"

#include <stdlib.h>

struct line {
    int64_t ns;
    size_t order; /* as it came: lines of one time stay in their order */
    const char *text;
    const json_t *stream, *categories;
};

static int by_time(const void *a, const void *b)
{
    const struct line *x = a, *y = b;

    if (x->ns != y->ns)
        return x->ns < y->ns ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

/* --- forms ------------------------------------------------------------------------------------------------------- */

/* Control characters of a line must not steer the terminal. */
static void put_text(struct buf *b, const char *text, bool to_terminal)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (to_terminal && (*p < 0x20 || *p == 0x7f) && *p != '\t')
            buf_printf(b, "\\x%02x", *p);
        else
            buf_putc(b, (char)*p);
    }
}

static void put_labels(struct buf *b, const json_t *labels)
{
    const char *key;
    json_t *value;
    bool first = true;

    buf_putc(b, '{');
    json_object_foreach((json_t *)(uintptr_t)labels, key, value) {
        buf_printf(b, "%s%s=", first ? "" : ", ", key);
        buf_json(b, str_of(json_string_value(value)));
        first = false;
    }
    buf_putc(b, '}');
}

static void put_table(struct buf *b, const struct log_printer *p, const struct line *l)
{
    const char *dim = p->colour ? "\033[2m" : "", *cyan = p->colour ? "\033[36m" : "", *plain = p->colour ? "\033[0m" : "";
    char when[CLOCK_TEXT];

    clock_rfc3339_ms(when, l->ns / 1000000);
    buf_printf(b, "%s%s%s ", dim, when, plain);
    if (p->labels) {
        buf_puts(b, cyan);
        put_labels(b, l->stream);
        buf_printf(b, "%s ", plain);
    }
    put_text(b, l->text, p->colour);
}

static void put_json(struct buf *b, const char *key, const json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT);

    buf_printf(b, ",\"%s\":%s", key, text ? text : "null");
    free(text);
}

/* {"time":…,"line":…,"labels":{…},"metadata":{…},"parsed":{…}} */
static void put_jsonl(struct buf *b, const struct log_printer *p, const struct line *l)
{
    const json_t *metadata = json_object_get(l->categories, "structuredMetadata");
    const json_t *parsed = json_object_get(l->categories, "parsed");
    char when[CLOCK_TEXT];

    clock_rfc3339(when, l->ns);
    buf_printf(b, "{\"time\":\"%s\",\"line\":", when);
    buf_json(b, str_of(l->text));
    if (p->labels)
        put_json(b, "labels", l->stream);
    if (p->labels && metadata)
        put_json(b, "metadata", metadata);
    if (p->labels && parsed)
        put_json(b, "parsed", parsed);
    buf_putc(b, '}');
}

static int print_line(const struct log_printer *p, const struct line *l, struct err *e)
{
    struct buf b = BUF_INIT(16 << 20);
    size_t n;

    if (p->form == LOG_TABLE)
        put_table(&b, p, l);
    else if (p->form == LOG_JSONL)
        put_jsonl(&b, p, l);
    else
        put_text(&b, l->text, p->colour);
    buf_putc(&b, '\n');
    n = fwrite(b.p, 1, b.n, stdout);
    if (buf_failed(&b) || n < b.n) {
        buf_free(&b);
        return err_set(e, ERR_IO, "logs: a line cannot be written: %m");
    }
    buf_free(&b);
    return 0;
}

/* --- streams ----------------------------------------------------------------------------------------------------- */

static size_t count(const json_t *streams)
{
    const json_t *stream;
    size_t n = 0, i;

    json_array_foreach(streams, i, stream)
        n += json_array_size(json_object_get(stream, "values"));
    return n;
}

static void collect(const json_t *streams, struct line *lines)
{
    const json_t *stream, *value;
    size_t n = 0, i, v;

    json_array_foreach(streams, i, stream)
        json_array_foreach(json_object_get(stream, "values"), v, value) {
            const char *ns = json_string_value(json_array_get(value, 0));
            const char *text = json_string_value(json_array_get(value, 1));

            lines[n] = (struct line){ 0, n, text ? text : "", json_object_get(stream, "stream"), json_array_get(value, 2) };
            num_i64(str_of(ns ? ns : ""), &lines[n].ns);
            n++;
        }
}

int logs_print(struct log_printer *p, const json_t *streams, struct err *e)
{
    size_t n = count(streams);
    struct line *lines = calloc(n ? n : 1, sizeof(*lines));
    int rc = 0;

    if (!lines)
        return err_set(e, ERR_NOMEM, "logs: no memory for %zu lines", n);
    collect(streams, lines);
    qsort(lines, n, sizeof(*lines), by_time);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = print_line(p, &lines[i], e);
        if (lines[i].ns > p->last_ns)
            p->last_ns = lines[i].ns;
    }
    fflush(stdout);
    free(lines);
    return rc;
}
