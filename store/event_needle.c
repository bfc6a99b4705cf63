/* event_needle.c: a text that is in one column or another.
 *
 * Each column is asked as for a condition of its own (event_select.c), so what its summary, its filter or its distinct
 * values say saves its rows; what is found is put together. */
#include "store/event_select-internal.h"

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, "no memory to select events");
}

/* The rows of which the field contains the text. */
static int select_field(const struct event_needle *needle, const struct event_wanted *w, struct event_source *s,
                        struct event_field f, struct event_selection *out, struct err *e)
{
    const struct event_summary *summary = s->ops->summary(s, f);
    bool whole = f.column < 0 || (summary && summary->form == EVENT_FORM_IDS);
    const struct event_condition c = { .column = f.column, .attribute = f.attribute, .op = EVENT_CONTAINS,
                                       .value = { .s = str_from(needle->text, whole ? 0 : needle->skip) } };
    const struct event_wanted one = { .kind = w->kind, .from_ns = w->from_ns, .to_ns = w->to_ns, .conditions = &c, .n = 1 };

    return event_select(&one, s, out, e);
}

/* Marks them; *all: they are all. */
static void mark(const struct event_selection *found, bool *hit, bool *all)
{
    *all |= found->n && !found->rows;
    for (size_t i = 0; !*all && i < found->n; i++)
        hit[found->rows[i]] = true;
}

static int keep_marked(const bool *hit, struct event_source *s, struct event_selection *rows, struct err *e)
{
    uint32_t *kept = rows->rows ? rows->rows : arena_alloc(s->arena, rows->n * sizeof(*kept));
    size_t n = 0;

    if (!kept)
        return no_memory(e);
    for (size_t i = 0; i < rows->n; i++) {
        uint32_t row = event_selection_row(rows, i);

        kept[n] = row;
        n += hit[row];
    }
    *rows = (struct event_selection){ n, kept };
    return 0;
}

int event_needle_narrow(const struct event_needle *needle, const struct event_wanted *w, struct event_source *s,
                        struct event_selection *rows, struct err *e)
{
    const struct event_table *t = &event_tables[w->kind];
    bool *hit = arena_array(s->arena, s->n, sizeof(*hit)), all = false;
    struct event_selection found;
    int rc = hit ? 0 : no_memory(e);

    for (size_t i = 0; rc == 0 && !all && i < t->n; i++)
        if ((needle->columns >> i & 1) && t->columns[i].is_text) {
            rc = select_field(needle, w, s, (struct event_field){ (int)i, STR_NULL }, &found, e);
            if (rc == 0)
                mark(&found, hit, &all);
        }
    if (rc == 0 && !all && needle->attribute.n) {
        rc = select_field(needle, w, s, (struct event_field){ -1, needle->attribute }, &found, e);
        if (rc == 0)
            mark(&found, hit, &all);
    }
    return rc < 0 || all ? rc : keep_marked(hit, s, rows, e);
}
