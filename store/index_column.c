/* index_column.c: for one label name, which value each series has: built when a query first asks for the name.
 *
 * Problem  Lists of series for each value make a needle quick, but they cost four bytes for each label of each series,
 *          must be merged and intersected, and say nothing about a label that is absent.
 * Idea     The numbers are cut into stripes of 4,096. A stripe's column for a name is a dictionary of the pairs that
 *          occur there and a code for each series, mostly a byte. A matcher looks at the dictionary: most stripes fall
 *          out or stay whole by that alone, in the others a table of 256 answers is looked up by code. Absence is a
 *          code like another, so all matchers work the same way, and results come in order by themselves.
 * Cost     Ten nanoseconds for each series to build, once; one or two bytes for each series and name that is asked for.
 * Keeping  A column is never changed. Adds do not touch columns: the stripe that has grown is built again when asked
 *          for. Removals do not either: the stripe's bits say who is there. What takes part in a rollback is dropped.
 * Bound    When all columns take more than column_max, the names unused for the longest time lose theirs. */
#include "store/index_state-internal.h"

#include "base/mem.h"

/* What is needed to build columns of one name. */
struct builder {
    struct pair_cursor cursor;
    uint16_t *code_of; /* by pair.local: its code and one, 0 = none yet */
    uint32_t pairs[STRIPE];
    uint16_t codes[STRIPE];
    uint32_t distinct;
    uint32_t absent; /* the code of pair 0 and one */
};

static uint16_t code_of(struct builder *b, uint32_t pair)
{
    const struct texts *t = &b->cursor.ix->texts;

    if (pair) {
        uint16_t *code = &b->code_of[pair_at(t, pair)->local];

        if (!*code) {
            b->pairs[b->distinct++] = pair;
            *code = (uint16_t)b->distinct;
        }
        return *code - 1;
    }
    if (!b->absent) {
        b->pairs[b->distinct++] = 0;
        b->absent = b->distinct;
    }
    return (uint16_t)(b->absent - 1);
}

static void forget_codes(struct builder *b)
{
    for (uint32_t i = 0; i < b->distinct; i++)
        if (b->pairs[i])
            b->code_of[pair_at(&b->cursor.ix->texts, b->pairs[i])->local] = 0;
    b->distinct = 0;
    b->absent = 0;
}

static size_t column_size(uint32_t n, uint32_t distinct, uint32_t width)
{
    return sizeof(struct column) + distinct * sizeof(uint32_t) + (size_t)n * width;
}

static struct column *column_build(struct builder *b, uint32_t stripe, uint32_t n)
{
    const uint64_t *present = b->cursor.ix->stripes[stripe]->present;
    uint32_t width;
    struct column *c;

    for (uint32_t i = 0; i < n; i++)
        b->codes[i] = present[i / 64] >> i % 64 & 1 ? code_of(b, pair_cursor_get(&b->cursor, stripe * STRIPE + i)) : 0;
    width = b->distinct <= 1 ? 0 : b->distinct <= 256 ? 1 : 2;
    c = mem_alloc(column_size(n, b->distinct, width));
    if (c) {
        uint8_t *codes = (uint8_t *)(c->pairs + b->distinct);

        *c = (struct column){ n, b->distinct, width };
        memcpy(c->pairs, b->pairs, b->distinct * sizeof(*b->pairs));
        if (width == 2)
            memcpy(codes, b->codes, n * sizeof(*b->codes));
        for (uint32_t i = 0; width == 1 && i < n; i++)
            codes[i] = (uint8_t)b->codes[i];
    }
    forget_codes(b);
    return c;
}

static void column_drop(struct series_index *ix, struct column **c)
{
    if (!*c)
        return;
    atomic_fetch_sub(&ix->column_bytes, column_size((*c)->n, (*c)->distinct, (*c)->width));
    mem_free(*c);
    *c = NULL;
}

static void name_drop(struct series_index *ix, struct name *nm)
{
    for (size_t i = 0; i < nm->ncolumns; i++)
        column_drop(ix, &nm->columns[i]);
    atomic_fetch_sub(&ix->column_bytes, nm->ncolumns * sizeof(struct column *));
    mem_free(nm->columns);
    nm->columns = NULL;
    nm->ncolumns = 0;
}

/* Numbers of the stripe that were given. */
static uint32_t given(const struct series_index *ix, size_t stripe)
{
    size_t left = ix->end - (stripe << STRIPE_SHIFT);

    return left < STRIPE ? (uint32_t)left : STRIPE;
}

static size_t stripes_in_use(const struct series_index *ix)
{
    return ((size_t)ix->end + STRIPE - 1) >> STRIPE_SHIFT;
}

static bool complete(const struct series_index *ix, const struct name *nm)
{
    size_t n = stripes_in_use(ix);

    if (nm->ncolumns < n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!nm->columns[i] || nm->columns[i]->n < given(ix, i))
            return false;
    return true;
}

static int grow_list(struct series_index *ix, struct name *nm, size_t n)
{
    struct column **list;

    if (n <= nm->ncolumns)
        return 0;
    list = mem_realloc(nm->columns, n * sizeof(struct column *));
    if (!list)
        return ERR_NOMEM;
    memset(list + nm->ncolumns, 0, (n - nm->ncolumns) * sizeof(struct column *));
    atomic_fetch_add(&ix->column_bytes, (n - nm->ncolumns) * sizeof(struct column *));
    nm->columns = list;
    nm->ncolumns = n;
    return 0;
}

static int build_missing(struct series_index *ix, uint32_t name, struct builder *b)
{
    struct name *nm = &ix->texts.names[name];
    size_t n = stripes_in_use(ix);

    b->cursor = (struct pair_cursor){ .ix = ix, .name = name };
    b->distinct = 0;
    b->absent = 0;
    for (size_t i = 0; i < n; i++) {
        struct column *c;

        if (nm->columns[i] && nm->columns[i]->n == given(ix, i))
            continue;
        c = column_build(b, (uint32_t)i, given(ix, i));
        if (!c)
            return ERR_NOMEM;
        column_drop(ix, &nm->columns[i]);
        nm->columns[i] = c;
        atomic_fetch_add(&ix->column_bytes, column_size(c->n, c->distinct, c->width));
    }
    return 0;
}

static int build(struct series_index *ix, uint32_t name)
{
    struct name *nm = &ix->texts.names[name];
    struct builder *b = mem_alloc(sizeof(*b));
    int rc = ERR_NOMEM;

    if (b) {
        b->code_of = mem_zalloc(nm->npairs * sizeof(*b->code_of));
        if (b->code_of && grow_list(ix, nm, stripes_in_use(ix)) == 0)
            rc = build_missing(ix, name, b);
        mem_free(b->code_of);
    }
    mem_free(b);
    return rc;
}

static void keep_bound(struct series_index *ix)
{
    while (atomic_load(&ix->column_bytes) > ix->column_max) {
        struct name *oldest = NULL;

        for (uint32_t i = 1; i <= ix->texts.nnames; i++) {
            struct name *nm = &ix->texts.names[i];

            if (nm->columns && !nm->pins && (!oldest || nm->used_at < oldest->used_at))
                oldest = nm;
        }
        if (!oldest)
            return;
        name_drop(ix, oldest);
    }
}

struct column *const *columns_pin(struct series_index *ix, uint32_t name)
{
    struct name *nm = &ix->texts.names[name];
    struct column *const *list = NULL;

    pthread_mutex_lock(&ix->lock);
    if (complete(ix, nm) || build(ix, name) == 0) {
        nm->pins++;
        nm->used_at = ++ix->clock;
        list = nm->columns;
        keep_bound(ix);
    }
    pthread_mutex_unlock(&ix->lock);
    return list;
}

void columns_unpin(struct series_index *ix, uint32_t name)
{
    pthread_mutex_lock(&ix->lock);
    ix->texts.names[name].pins--;
    keep_bound(ix);
    pthread_mutex_unlock(&ix->lock);
}

bool columns_ready(struct series_index *ix, uint32_t name)
{
    bool ready;

    pthread_mutex_lock(&ix->lock);
    ready = complete(ix, &ix->texts.names[name]);
    pthread_mutex_unlock(&ix->lock);
    return ready;
}

/* No reader is about: the caller holds the store's lock for writing. */
void columns_rollback(struct series_index *ix, uint32_t id, uint32_t nnames)
{
    for (uint32_t i = 1; i <= ix->texts.nnames; i++) {
        struct name *nm = &ix->texts.names[i];

        if (i > nnames)
            name_drop(ix, nm);
        for (size_t k = id >> STRIPE_SHIFT; k < nm->ncolumns; k++)
            if (nm->columns[k] && (k << STRIPE_SHIFT) + nm->columns[k]->n > id)
                column_drop(ix, &nm->columns[k]);
    }
}

void columns_fini(struct series_index *ix)
{
    for (uint32_t i = 1; i <= ix->texts.nnames; i++)
        name_drop(ix, &ix->texts.names[i]);
}
