#include "query/eval-internal.h"

#include <stdarg.h>
#include <stdio.h>

enum { MOST = 64 };

/* Annotations are an aid: where there is no memory for one it is left out. */
static void add_text(struct eval *ev, struct annotations *list, struct str s)
{
    for (size_t i = 0; i < list->n; i++)
        if (str_eq(list->v[i], s))
            return;
    if (s.p && list->n < MOST && arena_grow(ev->a, &list->v, &list->cap, list->n + 1, sizeof(s)) == 0)
        list->v[list->n++] = s;
}

static void add(struct eval *ev, struct annotations *list, const char *kind, const struct node *n, const char *fmt,
                va_list ap)
{
    char text[400];
    unsigned line, column;

    vsnprintf(text, sizeof(text), fmt, ap);
    text_position(ev->text, n->span.from, &line, &column);
    add_text(ev, list, arena_printf(ev->a, "PromQL %s: %s (%u:%u)", kind, text, line, column));
}

void annotate_all(struct eval *ev, const struct eval *from)
{
    for (size_t i = 0; i < from->warnings.n; i++)
        add_text(ev, &ev->warnings, from->warnings.v[i]);
    for (size_t i = 0; i < from->infos.n; i++)
        add_text(ev, &ev->infos, from->infos.v[i]);
}

void annotate_warning(struct eval *ev, const struct node *n, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    add(ev, &ev->warnings, "warning", n, fmt, ap);
    va_end(ap);
}

void annotate_info(struct eval *ev, const struct node *n, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    add(ev, &ev->infos, "info", n, fmt, ap);
    va_end(ap);
}

void annotate_quantile(struct eval *ev, const struct node *n, double q)
{
    struct buf text = BUF_INIT(64);

    buf_double(&text, q);
    annotate_warning(ev, n, "quantile value should be between 0 and 1, got %.*s", (int)text.n, text.p ? text.p : "");
    buf_free(&text);
}
