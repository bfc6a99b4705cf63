/* event_attributes.c: rows of maps to columns of values.
 *
 * Idea       Neighbouring rows have the same names in the same order: the name at the same place of the row before is
 *            tried first, and only what differs is looked up. Entries are then sorted by column, by counting. */
#include "store/event_attributes-internal.h"

#include "base/mem.h"
#include "base/strmap.h"
#include "store/pack-internal.h"

enum { NAMES = EVENT_ATTRIBUTE_COLUMNS };

/* The column of a name, NAMES when there are too many. */
static int find_column(struct event_attributes *at, struct strmap *map, struct str name, uint16_t *column)
{
    void *known = strmap_get(map, name);

    if (known) {
        *column = (uint16_t)((struct str *)known - at->names);
        return 0;
    }
    *column = NAMES;
    if (at->n == NAMES)
        return 0;
    *column = (uint16_t)at->n;
    at->names[at->n] = name;
    return strmap_put(map, name, &at->names[at->n++], NULL);
}

static size_t count_labels(const struct labels *maps, size_t n)
{
    size_t total = 0;

    for (size_t i = 0; i < n; i++)
        total += maps[i].n;
    return total;
}

/* Entries row by row, and how many each column has, in starts[column + 1]. */
static int find_columns(struct event_attributes *at, const struct labels *maps, struct event_attribute *entries,
                        struct strmap *map)
{
    const struct event_attribute *before = NULL; /* the entries of the row before */
    size_t nbefore = 0;

    for (size_t row = 0; row < at->rows; row++) {
        const struct labels l = maps[row];

        for (size_t k = 0; k < l.n; k++) {
            struct event_attribute *x = &entries[k];

            *x = (struct event_attribute){ (uint32_t)row, NAMES, &l.v[k] };
            if (k < nbefore && before[k].column < NAMES && str_eq(at->names[before[k].column], l.v[k].name))
                x->column = before[k].column;
            else if (find_column(at, map, l.v[k].name, &x->column) < 0)
                return ERR_NOMEM;
            at->starts[x->column + 1]++;
        }
        before = entries;
        nbefore = l.n;
        entries += l.n;
    }
    return 0;
}

/* Column NAMES, the overflow, comes behind column n - 1, so starts[n] is where the overflow begins. */
static void sort_entries(struct event_attributes *at, const struct event_attribute *entries, size_t total)
{
    uint32_t next[NAMES + 1];

    at->starts[at->n + 1] = at->starts[NAMES + 1];
    for (size_t i = 0; i <= at->n; i++) {
        next[i] = at->starts[i];
        at->starts[i + 1] += at->starts[i];
    }
    for (size_t i = 0; i < total; i++) {
        size_t column = entries[i].column < NAMES ? entries[i].column : at->n;

        at->entries[next[column]++] = entries[i];
    }
}

int event_attributes_init(struct event_attributes *at, const struct labels *maps, size_t n, struct err *e)
{
    size_t total = count_labels(maps, n);
    struct event_attribute *entries;
    struct strmap map = STRMAP_INIT;
    int rc;

    at->rows = n;
    at->n = 0;
    at->entries = NULL;
    at->values = NULL;
    at->overflow = (struct buf)BUF_INIT(UINT32_MAX);
    memset(at->starts, 0, sizeof(at->starts));
    if (total == 0)
        return 0;
    entries = total <= UINT32_MAX ? mem_alloc(total * sizeof(*entries)) : NULL;
    at->entries = entries ? mem_alloc(total * sizeof(*entries)) : NULL;
    at->values = mem_zalloc(n * sizeof(*at->values));
    rc = entries && at->entries && at->values ? find_columns(at, maps, entries, &map) : ERR_NOMEM;
    if (rc == 0)
        sort_entries(at, entries, total);
    strmap_free(&map);
    mem_free(entries);
    return rc < 0 ? err_set(e, rc, "no memory for %zu attributes", total) : 0;
}

void event_attributes_fini(struct event_attributes *at)
{
    mem_free(at->entries);
    mem_free(at->values);
    buf_free(&at->overflow);
}

const union event_value *event_attributes_column(struct event_attributes *at, size_t i)
{
    memset(at->values, 0, at->rows * sizeof(*at->values));
    for (size_t k = at->starts[i]; k < at->starts[i + 1]; k++)
        at->values[at->entries[k].row].s = at->entries[k].label->value;
    return at->values;
}

/* The labels of one row from entry k on; returns the entry behind them. */
static size_t pack_row(struct event_attributes *at, size_t k)
{
    size_t end = at->starts[at->n + 1], first = k, start = at->overflow.n;

    for (; k < end && at->entries[k].row == at->entries[first].row; k++)
        labels_pack(&at->overflow, (struct labels){ at->entries[k].label, 1 });
    at->values[at->entries[first].row].s.n = at->overflow.n - start;
    return k;
}

const union event_value *event_attributes_overflow(struct event_attributes *at)
{
    size_t begin = at->starts[at->n], end = at->starts[at->n + 1], at_byte = 0;

    if (begin == end)
        return NULL;
    memset(at->values, 0, at->rows * sizeof(*at->values));
    for (size_t k = begin; k < end;)
        k = pack_row(at, k);
    for (size_t i = 0; i < at->rows; i++) {
        at->values[i].s.p = at->overflow.p + at_byte;
        at_byte += at->values[i].s.n;
    }
    return buf_failed(&at->overflow) ? NULL : at->values;
}
