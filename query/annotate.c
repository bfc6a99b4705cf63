/* annotate.c: what a query has to say beside its answer.
 *
 * Each text is said once, however often it comes up, with the place in the query where it did last. Annotations are an
 * aid: where there is no memory for one it is left out. */
#include "query/eval-internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { MOST = 256 };

/* The one with this text, a new one when it was not there, or NULL. */
static struct annotation *find(struct eval *ev, struct annotations *list, struct str text, bool *fresh)
{
    *fresh = false;
    for (size_t i = 0; i < list->n; i++)
        if (str_eq(list->v[i].text, text))
            return &list->v[i];
    *fresh = true;
    if (!text.p || list->n == MOST || arena_grow(ev->a, &list->v, &list->cap, list->n + 1, sizeof(*list->v)) < 0)
        return NULL;
    return &list->v[list->n++];
}

static void add(struct eval *ev, struct annotations *list, struct annotation said)
{
    bool fresh;
    struct annotation *a = find(ev, list, said.text, &fresh);

    if (!a)
        return;
    if (!fresh) {
        said.first = a->first < said.first ? a->first : said.first;
        said.last = a->last > said.last ? a->last : said.last;
        said.low = fmin(a->low, said.low);
        said.high = fmax(a->high, said.high);
        said.worst = fmax(a->worst, said.worst);
        said.samples += a->samples;
    }
    *a = said;
}

static void say(struct eval *ev, struct annotations *list, const struct node *n, const char *fmt, va_list ap)
{
    char text[400];

    vsnprintf(text, sizeof(text), fmt, ap);
    add(ev, list, (struct annotation){ .text = arena_str(ev->a, str_of(text)), .at = n->span.from });
}

void annotate_warning(struct eval *ev, const struct node *n, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    say(ev, &ev->warnings, n, fmt, ap);
    va_end(ap);
}

void annotate_info(struct eval *ev, const struct node *n, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    say(ev, &ev->infos, n, fmt, ap);
    va_end(ap);
}

void annotate_all(struct eval *ev, const struct eval *from)
{
    for (size_t i = 0; i < from->warnings.n; i++)
        add(ev, &ev->warnings, from->warnings.v[i]);
    for (size_t i = 0; i < from->infos.n; i++)
        add(ev, &ev->infos, from->infos.v[i]);
}

/* The fewest digits that read back as v, with an exponent as Go's %g has it: below 1e-4 and from 1e21 on, or from as
 * many digits as there are, at least 6. */
const char *annotate_number(double v, char text[ANNOTATE_NUMBER])
{
    char digits[40];
    int n = 1, exponent;

    if (!isfinite(v)) {
        snprintf(text, ANNOTATE_NUMBER, "%s", isnan(v) ? "NaN" : v > 0 ? "+Inf" : "-Inf");
        return text;
    }
    for (; n <= 17; n++) {
        snprintf(digits, sizeof(digits), "%.*e", n - 1, v);
        if (strtod(digits, NULL) == v)
            break;
    }
    exponent = atoi(strchr(digits, 'e') + 1);
    if (exponent < -4 || exponent >= 21)
        snprintf(text, ANNOTATE_NUMBER, "%s", digits);
    else
        snprintf(text, ANNOTATE_NUMBER, "%.*f", n - 1 > exponent ? n - 1 - exponent : 0, v);
    return text;
}

void annotate_quantile(struct eval *ev, const struct node *n, double q)
{
    char text[ANNOTATE_NUMBER];

    annotate_warning(ev, n, "quantile value should be between 0 and 1, got %s", annotate_number(q, text));
}

void annotate_monotonicity(struct eval *ev, const struct node *n, struct str metric, int64_t now, double low,
                           double high, double worst)
{
    struct str text = STR("input to histogram_quantile needed to be fixed for monotonicity (see "
                          "https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)");

    if (metric.n)
        text = arena_printf(ev->a, "%.*s for metric name \"%.*s\"", STR_ARG(text), STR_ARG(metric));
    add(ev, &ev->infos, (struct annotation){ text, n->span.from, now, now, low, high, worst, 1 });
}

/* --- as texts ---------------------------------------------------------------------------------------------------- */

static const char *utc(int64_t ms, char text[40])
{
    time_t t = (time_t)(ms / 1000);
    struct tm tm;

    text[0] = '\0';
    if (gmtime_r(&t, &tm))
        strftime(text, 40, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return text;
}

static struct str details(struct eval *ev, const struct annotation *a)
{
    char low[ANNOTATE_NUMBER], high[ANNOTATE_NUMBER], from[40], to[40];

    if (a->samples == 0)
        return STR("");
    return arena_printf(ev->a, ", from buckets %s to %s, with a max diff of %.2g, over %llu samples from %s to %s",
                        annotate_number(a->low, low), annotate_number(a->high, high), a->worst,
                        (unsigned long long)a->samples, utc(a->first, from), utc(a->last, to));
}

static int by_text(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

size_t annotations_print(struct eval *ev, const struct annotations *list, const char *kind, struct str **out)
{
    size_t n = 0;

    *out = arena_array(ev->a, list->n + 1, sizeof(**out));
    for (size_t i = 0; *out && i < list->n; i++) {
        unsigned line, column;

        text_position(ev->text, list->v[i].at, &line, &column);
        (*out)[n] = arena_printf(ev->a, "PromQL %s: %.*s%.*s (%u:%u)", kind, STR_ARG(list->v[i].text),
                                 STR_ARG(details(ev, &list->v[i])), line, column);
        n += (*out)[n].p != NULL;
    }
    if (n > 1)
        qsort(*out, n, sizeof(**out), by_text);
    return n;
}
