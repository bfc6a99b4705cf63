/* log_format.c: a line is cut by the literals of its format.
 *
 * A field ends where the literal behind it begins. When that literal also stands inside of the field (the colons of
 * an IPv6 address, a quote in a path), the first place need not be the right one: fields whose texts have a shape
 * (numbers, times) tell, and the next place is tried. The steps are counted, so that no line costs more than its
 * share. */
#include "collector/log_format-internal.h"

enum { MOST_STEPS = 2000 };

struct cutting {
    const struct log_format *f;
    struct str line;
    struct str *fields;
    unsigned steps;
};

static bool is_optional(const struct log_field *f)
{
    return f->meaning == LOG_CAPTURES;
}

static bool stands_at(struct str line, size_t at, struct str literal)
{
    return line.n - at >= literal.n && (literal.n == 0 || memcmp(line.p + at, literal.p, literal.n) == 0);
}

static bool follows(struct cutting *c, size_t i, size_t at);

/* Field i begins at `at` and ends where the literal before field k stands. */
static bool ends_before(struct cutting *c, size_t i, size_t k, size_t at)
{
    const struct log_field *next = &c->f->fields[k];
    struct str needle = next->before.n ? next->before : STR("/"); /* log_builder_field sees to it */

    for (size_t end = at; c->steps < MOST_STEPS; end++) {
        ptrdiff_t found = str_find(str_from(c->line, end), needle);

        if (found < 0)
            return false;
        c->steps++;
        end += (size_t)found;
        c->fields[i] = (struct str){ c->line.p + at, end - at };
        if (log_value_fits(&c->f->fields[i], c->fields[i]) && follows(c, i + 1, end))
            return true;
    }
    return false;
}

/* Field i is the last one that is there: it ends before the end of the format. */
static bool ends_at_end(struct cutting *c, size_t i, size_t at)
{
    size_t end = c->line.n - c->f->end.n; /* log_format_match has looked */

    if (end < at)
        return false;
    c->fields[i] = (struct str){ c->line.p + at, end - at };
    return log_value_fits(&c->f->fields[i], c->fields[i]) && follows(c, i + 1, end);
}

static bool field_from(struct cutting *c, size_t i, size_t at)
{
    size_t k = i;

    do {
        if (++k == c->f->n)
            return ends_at_end(c, i, at);
        if (ends_before(c, i, k, at))
            return true;
    } while (is_optional(&c->f->fields[k]));
    return false;
}

/* Whether the line from `at` on is the literal before field i, field i, and so on. */
static bool follows(struct cutting *c, size_t i, size_t at)
{
    const struct log_field *f = &c->f->fields[i];

    if (i == c->f->n)
        return at + c->f->end.n == c->line.n;
    if (stands_at(c->line, at, f->before) && field_from(c, i, at + f->before.n))
        return true;
    if (!is_optional(f) || c->steps >= MOST_STEPS)
        return false;
    c->fields[i] = STR_NULL;
    return follows(c, i + 1, at);
}

static void clear(const struct log_format *f, struct log_line *l)
{
    const struct event_table *t = &event_tables[f->kind];

    l->kind = f->kind;
    l->time_ns = 0;
    l->at_end = l->precise = false;
    l->nattributes = 0;
    for (size_t i = 0; i < t->n; i++)
        l->values[i] = event_unset(f->kind, &t->columns[i]);
    for (size_t i = 0; i < f->n; i++)
        l->fields[i] = STR_NULL;
    if (f->kind == EVENT_ACCESS_LOG)
        l->values[ACCESS_LOG_request_protocol].s = f->request_protocol;
}

static int text_match(const struct log_format *f, struct str line, int64_t now_ns, struct arena *a,
                      struct log_line *out)
{
    struct cutting c = { f, line, out->fields, 0 };
    int rc = 1;

    if (!str_ends(line, f->end) || !follows(&c, 0, 0))
        return 0;
    for (size_t i = 0; rc == 1 && i < f->n; i++)
        rc = log_value_set(f, i, out->fields[i], now_ns, a, out);
    return rc;
}

/* A line is written when the request has ended; a row has the time when it began. Of a time in whole seconds no part
 * of a second is taken off: nobody knows whether it would not be the second before. */
static void set_begin(struct log_line *l)
{
    enum { US_PER_S = 1000000 };
    int64_t us = l->values[ACCESS_LOG_duration_us].i;

    if (us > 0 && us < INT64_MAX / 1000)
        l->time_ns -= (l->precise ? us : us / US_PER_S * US_PER_S) * 1000;
}

int log_format_match(const struct log_format *f, struct str line, int64_t now_ns, struct arena *a, struct log_line *out)
{
    int rc;

    clear(f, out);
    rc = f->json ? log_json_match(f, line, now_ns, a, out) : text_match(f, line, now_ns, a, out);
    if (rc == 1 && out->at_end && f->kind == EVENT_ACCESS_LOG)
        set_begin(out);
    if (rc == 1 && f->finish)
        f->finish(f, out);
    return rc;
}

enum event_kind log_format_kind(const struct log_format *f)
{
    return f->kind;
}

bool log_format_names_reporter(const struct log_format *f)
{
    return f->names_reporter;
}

static bool is_one_text(const struct log_field *f)
{
    return f->column >= 0 && (f->meaning == LOG_TEXT || f->meaning == LOG_LAST || f->meaning == LOG_PATH);
}

bool log_format_find(const struct log_format *f, struct str name, struct log_reference *out)
{
    *out = (struct log_reference){ -1, -1 };
    for (size_t i = 0; i < f->n; i++)
        if (str_eq(f->fields[i].name, name)) {
            if (is_one_text(&f->fields[i]))
                out->column = f->fields[i].column;
            out->field = (int)i;
            return true;
        }
    out->column = event_column_index(f->kind, name);
    return out->column >= 0 && event_tables[f->kind].columns[out->column].is_text;
}

struct str log_line_text(const struct log_line *l, struct log_reference r)
{
    struct str s = r.column >= 0 ? l->values[r.column].s : l->fields[r.field];

    return str_eqz(s, "-") ? STR_NULL : s;
}
