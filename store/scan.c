/* scan.c: cursors over blocks, in step with a list of series.
 *
 * A block's directory names its series in page order, and so does the list of wanted series. Both are walked once, side
 * by side: opening a scan notes for each block which of the wanted series it has and where (its stops); reading goes
 * from series to series, and each block whose next stop is that series decodes one column.
 *
 *     wanted   a   b   c   d   e
 *     block 1  a.0     c.0     e.1      page.column
 *     block 2      b.0 c.0 d.1
 *     head         b           e
 *
 * Pieces of a series that lie one behind the other are handed out as they are, without a copy. Where they overlap, all
 * of the series is merged by time, the piece of higher rank winning. */
#include "store/scan-internal.h"

#include "base/mem.h"
#include "store/bits-internal.h"
#include "store/page-internal.h"

#include <stdlib.h>

enum { AHEAD = 2 }; /* series, whose chunks are fetched meanwhile: each lies somewhere else in memory */

/* Where a block has one of the wanted series. */
struct stop {
    uint32_t at; /* place in ids */
    uint32_t page, column;
};

struct cursor {
    struct block *block;
    struct block_page *pages;
    struct stop *stops; /* by rising `at` */
    size_t n, next;
    struct page_reader *reader;
    struct buf bytes;
    size_t charged;
    uint32_t open; /* page in the reader + 1; 0: none */
};

/* rank: who wins; heads above all blocks. */
struct piece {
    struct sample_columns c;
    uint64_t rank;
};

struct mixed {
    int64_t t;
    double v;
    uint64_t rank;
};

struct scan {
    struct scan_input in;
    struct arena *a;
    size_t next, to; /* places in ids */
    struct cursor *cursors;
    size_t ncursors;
    struct {
        struct partition *partition;
        struct block_reader *reader;
    } *readers;      /* one for each partition that has a cursor */
    size_t nreaders;

    /* Of the current series. */
    struct piece *pieces; /* room for ncursors + SCAN_HEADS + 1 */
    size_t npieces, given;
    int64_t *head_t[SCAN_HEADS], *mix_t;
    double *head_v[SCAN_HEADS], *mix_v;
    size_t head_cap[SCAN_HEADS], mix_cap, charged; /* charged: of these arrays */
    struct mixed *mix;
};

static int no_room(const struct arena *a, struct err *e)
{
    if (a->max && a->used > a->max / 2)
        return err_set(e, ERR_LIMIT, "the query needs more than the %zu bytes of memory it may use", a->max);
    return err_set(e, ERR_NOMEM, "no memory to read samples");
}

static void release(void *arg)
{
    struct scan *s = arg;

    for (size_t i = 0; i < s->ncursors; i++) {
        page_reader_free(s->cursors[i].reader);
        buf_free(&s->cursors[i].bytes);
    }
    for (size_t i = 0; i < s->nreaders; i++)
        block_reader_give(s->in.store, s->readers[i].reader);
    for (size_t i = 0; i < SCAN_HEADS; i++) {
        mem_free(s->head_t[i]);
        mem_free(s->head_v[i]);
    }
    mem_free(s->mix_t);
    mem_free(s->mix_v);
    mem_free(s->mix);
}

static struct scan *new_scan(const struct scan_input *in, size_t cursors, struct arena *a, struct err *e)
{
    struct scan *s = ARENA_NEW(a, struct scan);

    if (s) {
        s->in = *in;
        s->a = a;
        s->to = in->n;
        s->cursors = arena_array(a, cursors + 1, sizeof(*s->cursors));
        s->readers = arena_array(a, cursors + 1, sizeof(*s->readers));
        s->pieces = arena_array(a, cursors + SCAN_HEADS + 1, sizeof(*s->pieces));
    }
    if (!s || !s->cursors || !s->readers || !s->pieces || arena_on_free(a, release, s) < 0) {
        no_room(a, e);
        return NULL;
    }
    return s;
}

static struct block_reader *reader_of(struct scan *s, struct partition *p, struct err *e)
{
    for (size_t i = 0; i < s->nreaders; i++)
        if (s->readers[i].partition == p)
            return s->readers[i].reader;
    s->readers[s->nreaders].partition = p;
    s->readers[s->nreaders].reader = block_reader_take(s->in.store, p, e);
    return s->readers[s->nreaders].reader ? s->readers[s->nreaders++].reader : NULL;
}

/* --- which series stand where --- */

/* From a series' number to its place in ids: a bit for each number, and for each word of bits how many come before. */
struct places {
    uint64_t *bits;
    uint32_t *before;
    uint32_t *at; /* by rank among the wanted numbers */
    uint32_t end;
};

static bool rises(const uint32_t *ids, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (ids[i - 1] >= ids[i])
            return false;
    return true;
}

static int make_places(const struct scan_input *in, struct arena *a, struct places *p)
{
    size_t words = bits_words(in->end);
    uint32_t sum = 0;

    p->end = in->end;
    p->bits = arena_array(a, words, sizeof(*p->bits));
    p->before = arena_array(a, words, sizeof(*p->before));
    p->at = arena_array(a, in->n + 1, sizeof(*p->at));
    if (!p->bits || !p->before || !p->at)
        return ERR_NOMEM;
    for (size_t i = 0; i < in->n; i++) {
        bits_set(p->bits, in->ids[i]);
        p->at[i] = (uint32_t)i;
    }
    for (size_t w = 0; w < words; w++) {
        p->before[w] = sum;
        sum += (uint32_t)__builtin_popcountll(p->bits[w]);
    }
    if (!rises(in->ids, in->n))
        for (size_t i = 0; i < in->n; i++) {
            uint32_t id = in->ids[i];
            uint64_t below = p->bits[id / 64] & (((uint64_t)1 << (id % 64)) - 1);

            p->at[p->before[id / 64] + (uint32_t)__builtin_popcountll(below)] = (uint32_t)i;
        }
    return 0;
}

/* False: not wanted. */
static bool place_of(const struct places *p, uint32_t id, uint32_t *at)
{
    uint64_t word, bit = (uint64_t)1 << (id % 64);

    if (id >= p->end)
        return false;
    word = p->bits[id / 64];
    if (!(word & bit))
        return false;
    *at = p->at[p->before[id / 64] + (uint32_t)__builtin_popcountll(word & (bit - 1))];
    return true;
}

static int by_place(const void *a, const void *b)
{
    const struct stop *x = a, *y = b;

    return (x->at > y->at) - (x->at < y->at);
}

/* What a block that cannot be read does to the scan: 0 when the rest is to be served. */
static int unreadable(const struct scan *s, struct cursor *c, struct err *why, struct err *e)
{
    if (why->code == ERR_CORRUPT)
        blocks_set_aside(s->in.store, c->block, why);
    if (why->code == ERR_CORRUPT && s->in.skip_damaged) {
        c->next = c->n;
        return 0;
    }
    err_wrap(why, "block %llu", (unsigned long long)c->block->rank);
    if (e)
        *e = *why;
    return why->code;
}

static size_t find_stops(const struct scan_input *in, const struct block_directory *d, const struct places *places,
                         struct stop *out)
{
    bool sorted = true;
    size_t n = 0;

    for (size_t p = 0; p < d->n; p++) {
        const struct block_page *page = &d->pages[p];

        if (page->first > in->to_ms || page->last < in->from_ms)
            continue;
        for (uint32_t i = 0; i < page->n; i++) {
            struct stop *stop = &out[n];

            if (!place_of(places, d->ids[page->first_column + i], &stop->at))
                continue;
            stop->page = (uint32_t)p;
            stop->column = i;
            sorted &= n == 0 || out[n - 1].at < stop->at;
            n++;
        }
    }
    if (!sorted) /* written under another order; right all the same */
        qsort(out, n, sizeof(*out), by_place);
    return n;
}

/* What nobody writes: a cursor has one column of a series. */
static bool has_twice(const struct stop *stops, size_t n)
{
    bool twice = false;

    for (size_t i = 1; i < n; i++)
        twice |= stops[i - 1].at == stops[i].at;
    return twice;
}

static int add_cursor(struct scan *s, struct block *b, const struct places *places, struct err *e)
{
    struct arena scratch = ARENA_INIT(s->a->max);
    struct cursor *c = &s->cursors[s->ncursors];
    struct block_reader *r;
    struct err why = ERR_INIT;
    struct block_directory d;
    struct stop *stops;
    int rc;

    *c = (struct cursor){ .block = b, .bytes = BUF_INIT(PAGE_BYTES_MAX) };
    r = reader_of(s, b->partition, &why);
    rc = r ? block_directory(r, b, &scratch, &d, &why) : why.code;
    if (rc < 0) {
        arena_free(&scratch);
        return unreadable(s, c, &why, e);
    }
    stops = arena_array(&scratch, (size_t)b->series + 1, sizeof(*stops));
    if (stops)
        c->n = find_stops(&s->in, &d, places, stops);
    if (has_twice(stops, c->n)) {
        arena_free(&scratch);
        err_set(&why, ERR_CORRUPT, "the directory has a series twice");
        return unreadable(s, c, &why, e);
    }
    if (c->n) {
        c->stops = arena_array(s->a, c->n, sizeof(*c->stops));
        c->pages = arena_array(s->a, d.n, sizeof(*c->pages));
    }
    if (!stops || (c->n && (!c->stops || !c->pages)))
        rc = no_room(s->a, e);
    if (rc == 0 && c->n) {
        memcpy(c->stops, stops, c->n * sizeof(*c->stops));
        memcpy(c->pages, d.pages, d.n * sizeof(*c->pages));
        s->ncursors++;
    }
    arena_free(&scratch);
    return rc;
}

struct scan *scan_open(const struct scan_input *in, struct arena *a, struct err *e)
{
    struct scan *s = new_scan(in, in->nblocks, a, e);
    struct arena scratch = ARENA_INIT(a->max);
    struct places places = { 0 };
    int rc = s ? 0 : ERR_NOMEM;

    if (rc == 0 && in->nblocks && in->n && make_places(in, &scratch, &places) < 0)
        rc = no_room(a, e);
    for (size_t i = 0; rc == 0 && in->n && i < in->nblocks; i++)
        if (in->blocks[i]->first <= in->to_ms && in->blocks[i]->last >= in->from_ms)
            rc = add_cursor(s, in->blocks[i], &places, e);
    arena_free(&scratch);
    return rc < 0 ? NULL : s;
}

static size_t stops_before(const struct cursor *c, size_t at)
{
    size_t lo = 0, hi = c->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (c->stops[mid].at < at)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

struct scan *scan_part(const struct scan *whole, size_t from, size_t to, struct arena *a, struct err *e)
{
    struct scan *s = new_scan(&whole->in, whole->ncursors, a, e);

    if (!s)
        return NULL;
    s->next = from;
    s->to = to;
    for (size_t i = 0; i < whole->ncursors; i++) {
        const struct cursor *w = &whole->cursors[i];
        size_t first = stops_before(w, from), n = stops_before(w, to) - first;

        if (n && !reader_of(s, w->block->partition, e))
            return NULL;
        if (n)
            s->cursors[s->ncursors++] = (struct cursor){ .block = w->block, .pages = w->pages, .stops = w->stops + first,
                                                         .n = n, .bytes = BUF_INIT(PAGE_BYTES_MAX) };
    }
    return s;
}

/* --- reading --- */

static void trim(const struct scan *s, struct sample_columns *c)
{
    size_t from, to;

    if (c->n == 0 || (c->t[0] >= s->in.from_ms && c->t[c->n - 1] <= s->in.to_ms))
        return;
    from = sample_first_from(c->t, c->n, s->in.from_ms);
    to = s->in.to_ms == INT64_MAX ? c->n : sample_first_from(c->t, c->n, s->in.to_ms + 1);
    c->t += from;
    c->v += from;
    c->n = to > from ? to - from : 0;
}

/* What is held elsewhere counts as the arena's, too; *charged of it does already. */
static int charge(struct scan *s, size_t held, size_t *charged)
{
    if (held <= *charged)
        return 0;
    if (arena_charge(s->a, held - *charged) < 0)
        return ERR_NOMEM;
    *charged = held;
    return 0;
}

static int charge_arrays(struct scan *s)
{
    size_t held = s->mix_cap * (sizeof(*s->mix_t) + sizeof(*s->mix_v) + sizeof(*s->mix));

    for (size_t h = 0; h < SCAN_HEADS; h++)
        held += s->head_cap[h] * (sizeof(*s->head_t[h]) + sizeof(*s->head_v[h]));
    return charge(s, held, &s->charged);
}

static int open_page(struct scan *s, struct cursor *c, uint32_t page, struct err *e)
{
    struct block_reader *r = reader_of(s, c->block->partition, e); /* there since the cursor was made */
    size_t columns;
    int rc;

    if (!c->reader && !(c->reader = page_reader_new()))
        return err_set(e, ERR_NOMEM, "no memory to read a page");
    c->open = 0;
    rc = block_page(r, c->block, &c->pages[page], &c->bytes, e);
    if (rc == 0)
        rc = page_open(c->reader, buf_view(&c->bytes), &columns, e);
    if (rc == 0 && charge(s, page_reader_bytes(c->reader) + c->bytes.cap, &c->charged) < 0)
        rc = no_room(s->a, e);
    if (rc == 0 && columns != c->pages[page].n)
        rc = err_set(e, ERR_CORRUPT, "%zu columns, the directory has %u", columns, c->pages[page].n);
    if (rc == 0)
        c->open = page + 1;
    return rc;
}

static int read_stop(struct scan *s, struct cursor *c, const struct stop *stop, struct err *e)
{
    struct piece *p = &s->pieces[s->npieces];
    struct err why = ERR_INIT;
    int rc = c->open == stop->page + 1 ? 0 : open_page(s, c, stop->page, &why);

    if (rc == 0)
        rc = page_column(c->reader, stop->column, &p->c, &why);
    if (rc < 0) {
        err_wrap(&why, "page %u", stop->page);
        return unreadable(s, c, &why, e);
    }
    trim(s, &p->c);
    p->rank = c->block->rank;
    s->npieces += p->c.n != 0;
    return 0;
}

static int read_head(struct scan *s, size_t h, const struct head_view *view, struct err *e)
{
    size_t most = (size_t)view->n + view->n_late, cap = s->head_cap[h];
    struct piece *p = &s->pieces[s->npieces];
    size_t first;

    if (mem_grow(&s->head_t[h], &cap, most, sizeof(*s->head_t[h])) < 0 ||
        mem_grow(&s->head_v[h], &s->head_cap[h], most, sizeof(*s->head_v[h])) < 0 ||
        head_read(view, s->in.from_ms, s->in.to_ms, s->head_t[h], s->head_v[h], &first, &p->c.n) < 0)
        return err_set(e, ERR_NOMEM, "no memory to read %zu samples", most);
    if (charge_arrays(s) < 0)
        return no_room(s->a, e);
    p->c.kind = SAMPLE_FLOAT;
    p->c.t = s->head_t[h] + first;
    p->c.v = s->head_v[h] + first;
    p->rank = UINT64_MAX - SCAN_HEADS + h;
    s->npieces += p->c.n != 0;
    return 0;
}

static int by_time(const void *a, const void *b)
{
    const struct mixed *x = a, *y = b;

    if (x->t != y->t)
        return x->t < y->t ? -1 : 1;
    return (x->rank > y->rank) - (x->rank < y->rank);
}

/* Sorts the pieces by their beginning; false when some overlap. */
static bool line_up(struct scan *s)
{
    bool apart = true;

    for (size_t i = 1; i < s->npieces; i++) {
        struct piece p = s->pieces[i];
        size_t k = i;

        for (; k && s->pieces[k - 1].c.t[0] > p.c.t[0]; k--)
            s->pieces[k] = s->pieces[k - 1];
        s->pieces[k] = p;
    }
    for (size_t i = 1; apart && i < s->npieces; i++)
        apart = s->pieces[i - 1].c.t[s->pieces[i - 1].c.n - 1] < s->pieces[i].c.t[0];
    return apart;
}

/* Makes one piece of all of them. */
static int merge(struct scan *s, struct err *e)
{
    size_t total = 0, n = 0, cap = s->mix_cap, vcap = s->mix_cap;

    for (size_t i = 0; i < s->npieces; i++)
        total += s->pieces[i].c.n;
    if (mem_grow(&s->mix_t, &cap, total, sizeof(*s->mix_t)) < 0 ||
        mem_grow(&s->mix_v, &vcap, total, sizeof(*s->mix_v)) < 0 ||
        mem_grow(&s->mix, &s->mix_cap, total, sizeof(*s->mix)) < 0)
        return err_set(e, ERR_NOMEM, "no memory to merge %zu samples", total);
    if (charge_arrays(s) < 0)
        return no_room(s->a, e);
    total = 0;
    for (size_t i = 0; i < s->npieces; i++)
        for (size_t k = 0; k < s->pieces[i].c.n; k++)
            s->mix[total++] = (struct mixed){ s->pieces[i].c.t[k], s->pieces[i].c.v[k], s->pieces[i].rank };
    qsort(s->mix, total, sizeof(*s->mix), by_time);
    for (size_t i = 0; i < total; i++) {
        if (i + 1 < total && s->mix[i + 1].t == s->mix[i].t)
            continue;
        s->mix_t[n] = s->mix[i].t;
        s->mix_v[n++] = s->mix[i].v;
    }
    s->pieces[0].c = (struct sample_columns){ SAMPLE_FLOAT, s->mix_t, s->mix_v, n };
    s->npieces = 1;
    return 0;
}

static const struct head_view *view_of(const struct scan *s, size_t h, size_t at)
{
    const struct head_view *v = s->in.views[h] ? &s->in.views[h][at] : NULL;

    return v && v->n ? v : NULL;
}

/* Moves every cursor that stands on this series past it; its samples become pieces. */
static int read_series(struct scan *s, size_t at, struct err *e)
{
    int rc = 0;

    s->npieces = s->given = 0;
    for (size_t i = 0; rc == 0 && i < s->ncursors; i++) {
        struct cursor *c = &s->cursors[i];

        if (c->next < c->n && c->stops[c->next].at == at)
            rc = read_stop(s, c, &c->stops[c->next++], e);
    }
    for (size_t h = 0; rc == 0 && h < SCAN_HEADS; h++) {
        if (at + AHEAD < s->to && view_of(s, h, at + AHEAD))
            head_view_prefetch(view_of(s, h, at + AHEAD));
        if (view_of(s, h, at))
            rc = read_head(s, h, view_of(s, h, at), e);
    }
    return rc < 0 || line_up(s) ? rc : merge(s, e);
}

int scan_next(struct scan *s, size_t *at, struct err *e)
{
    while (s->next < s->to) {
        int rc;

        *at = s->next++;
        rc = read_series(s, *at, e);
        if (rc < 0 || s->npieces)
            return rc < 0 ? rc : 1;
    }
    return 0;
}

bool scan_samples(struct scan *s, struct sample_columns *out)
{
    if (s->given == s->npieces)
        return false;
    *out = s->pieces[s->given++].c;
    return true;
}
