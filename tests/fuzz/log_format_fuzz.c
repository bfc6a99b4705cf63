/* A format and lines: the first byte says which dialect, the first line is the format, each other one a line of it.
 * Nothing may crash, and
 *   - a line that follows is matched the same again;
 *   - its texts are UTF-8 when the line is, its attributes have names and values, and a text field that a reference
 *     finds is there. */
#include "base/buf.h"
#include "collector/log_format.h"

#include <stdlib.h>

enum { MOST_INPUT = 1 << 14 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct log_format *compile_yaml(struct arena *a, struct str text, unsigned kind)
{
    const struct yaml_node *root;

    if (yaml_read_one(a, "f", text, &root, NULL) < 0)
        return NULL;
    if (kind == 0)
        return log_format_envoy_json(a, root, NULL);
    return log_format_json(a, kind == 1 ? EVENT_LOG : EVENT_ACCESS_LOG, root, NULL);
}

static struct log_format *compile(struct arena *a, unsigned dialect, struct str text)
{
    struct err e = ERR_INIT;

    switch (dialect % 6) {
    case 0:
        return log_format_nginx(a, text, &e);
    case 1:
        return log_format_haproxy(a, text, &e);
    case 2:
        return log_format_envoy(a, text, &e);
    default:
        return compile_yaml(a, text, dialect % 6 - 3);
    }
}

static void check_text(struct str s, bool clean)
{
    if (clean && !str_is_utf8(s))
        abort();
}

static void check_line(const struct log_format *f, struct str line, struct arena *a)
{
    const struct event_table *t = &event_tables[log_format_kind(f)];
    static struct log_line one, two;
    bool clean = str_is_utf8(line);
    int rc = log_format_match(f, line, 0, a, &one);

    if (rc != 1)
        return;
    if (log_format_match(f, line, 0, a, &two) != 1 || one.time_ns != two.time_ns || one.nattributes != two.nattributes)
        abort();
    for (size_t i = 0; i < t->n; i++) {
        if (t->columns[i].is_text ? !str_eq(one.values[i].s, two.values[i].s) : one.values[i].i != two.values[i].i)
            abort();
        if (t->columns[i].is_text)
            check_text(one.values[i].s, clean);
    }
    for (size_t i = 0; i < one.nattributes; i++) {
        if (one.attributes[i].value.n == 0)
            abort();
        check_text(one.attributes[i].value, clean);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = { (const char *)data + 1, size ? size - 1 : 0 };
    struct arena a = ARENA_INIT(32 << 20);
    struct log_reference where;
    struct log_format *f;
    struct str format;

    if (size == 0 || size > MOST_INPUT)
        return 0;
    format = str_cut(&rest, '\n');
    f = compile(&a, data[0] & 0x0f, format);
    if (f)
        (void)log_format_find(f, format, &where);
    while (f && rest.p)
        check_line(f, str_cut(&rest, '\n'), &a);
    arena_free(&a);
    return 0;
}
