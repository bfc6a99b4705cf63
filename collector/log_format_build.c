/* log_format_build.c: a format grows by literals and fields. */
#include "collector/log_format-internal.h"

bool log_builder_init(struct log_builder *b, struct arena *a, struct str text, struct err *e)
{
    *b = (struct log_builder){ .arena = a, .literal = BUF_INIT(LOG_FORMAT_MOST_TEXT) };
    if (text.n > LOG_FORMAT_MOST_TEXT) {
        err_set(e, ERR_LIMIT, "a format of %zu bytes, at most %d", text.n, LOG_FORMAT_MOST_TEXT);
        return false;
    }
    b->format = ARENA_NEW(a, struct log_format);
    if (!b->format) {
        err_set(e, ERR_NOMEM, "no memory for a format");
        return false;
    }
    b->format->kind = EVENT_ACCESS_LOG;
    b->format->request_protocol = STR("http");
    return true;
}

const struct log_known *log_known_find(const struct log_known *table, struct str name)
{
    for (; table->name.n; table++)
        if (str_eq(table->name, name))
            return table;
    return NULL;
}

static int take_literal(struct log_builder *b, struct str *to, struct err *e)
{
    *to = arena_str(b->arena, buf_view(&b->literal));
    if (!to->p || buf_failed(&b->literal))
        return err_set(e, ERR_NOMEM, "no memory for a format");
    buf_reset(&b->literal);
    return 0;
}

int log_builder_field(struct log_builder *b, struct str name, struct str attribute, const struct log_known *known,
                      struct err *e)
{
    struct log_format *f = b->format;
    struct log_field to = { .meaning = known ? known->meaning : LOG_ATTRIBUTE, .column = known ? known->column : -1,
                            .pattern = known ? known->pattern : NULL, .weak = known && known->weak };

    if (f->n == LOG_FORMAT_MOST_FIELDS)
        return err_set(e, ERR_LIMIT, "more than %d fields", LOG_FORMAT_MOST_FIELDS);
    if (!f->json && f->n && b->literal.n == 0 && to.meaning != LOG_PATH)
        return err_set(e, ERR_INVALID, "%.*s%.*s: nothing stands between them, so that no line could be cut there",
                       STR_ARG(f->fields[f->n - 1].name), STR_ARG(name));
    to.name = arena_str(b->arena, name);
    to.attribute = arena_str(b->arena, known && known->attribute.n ? known->attribute : attribute);
    if (!to.name.p || !to.attribute.p || arena_grow(b->arena, &f->fields, &f->cap, f->n + 1, sizeof(*f->fields)) < 0)
        return err_set(e, ERR_NOMEM, "no memory for a format");
    if (take_literal(b, &to.before, e) < 0)
        return ERR_NOMEM;
    f->fields[f->n++] = to;
    return 0;
}

static bool fills(const struct log_field *f, int column)
{
    if (f->meaning == LOG_REQUEST)
        return column == ACCESS_LOG_method || column == ACCESS_LOG_path || column == ACCESS_LOG_protocol;
    return f->column == column;
}

/* Whether a field has a better claim to the column of field i. */
static bool has_better(const struct log_format *f, size_t i)
{
    for (size_t k = 0; k < f->n; k++)
        if (k != i && fills(&f->fields[k], f->fields[i].column) && (!f->fields[k].weak || k < i))
            return true;
    return false;
}

/* What is left of a field that has no column: the shape of its text. */
static enum log_meaning without_column(enum log_meaning m)
{
    switch (m) {
    case LOG_LAST:
    case LOG_SECONDS:
        return LOG_LIST;
    case LOG_COUNT:
    case LOG_MILLISECONDS:
        return LOG_NUMBER;
    default:
        return LOG_ATTRIBUTE;
    }
}

/* Columns go to the strong, and among the weak to the first. */
static void settle_columns(struct log_format *f)
{
    for (size_t i = f->n; i-- > 0;)
        if (f->fields[i].weak && has_better(f, i)) {
            f->fields[i].meaning = without_column(f->fields[i].meaning);
            f->fields[i].column = -1;
        }
}

struct log_format *log_builder_end(struct log_builder *b, int rc, struct err *e)
{
    if (rc == 0 && b->format->n == 0)
        rc = err_set(e, ERR_INVALID, "there is no field in it");
    if (rc == 0)
        rc = take_literal(b, &b->format->end, e);
    buf_free(&b->literal);
    if (rc < 0)
        return NULL;
    settle_columns(b->format);
    return b->format;
}
