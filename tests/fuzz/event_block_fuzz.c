/* event_block_fuzz.c: what opens as a block can be read to its end without harm; when all of it can, a block of its
 * rows has the same rows.
 *
 * The input is a directory without its checksum, which is put right; the block's bytes; and how many these are, a
 * little-endian u32. */
#include "base/buf.h"
#include "base/mem.h"
#include "store/event_build-internal.h"
#include "tests/fuzz/event_read_all.h"

#include <endian.h>

enum { MOST_MEMORY = 64 << 20, SUMMED = 8, PARTS = 2048 };

struct parts {
    struct buf v[PARTS];
};

static int put(void *arg, uint32_t no, struct str body, struct err *e)
{
    struct parts *p = arg;

    (void)e;
    if (no >= PARTS)
        return -1;
    p->v[no] = (struct buf)BUF_INIT(MOST_MEMORY);
    buf_str(&p->v[no], body);
    return 0;
}

static int get(void *arg, uint32_t no, size_t at, size_t n, void *to, struct err *e)
{
    struct parts *p = arg;

    if (no >= PARTS || at > p->v[no].n || n > p->v[no].n - at)
        return err_set(e, ERR_CORRUPT, "no such part");
    memcpy(to, p->v[no].p + at, n);
    return 0;
}

/* The block's bytes of the input. */
static int get_bytes(void *arg, uint32_t no, size_t at, size_t n, void *to, struct err *e)
{
    const struct str *bytes = arg;

    if (no != 1 || at > bytes->n || n > bytes->n - at)
        return err_set(e, ERR_CORRUPT, "no such part");
    memcpy(to, bytes->p + at, n);
    return 0;
}

/* Rows may come in another order: sorted by identity and time. A block of the new block is the same. */
static struct event_source *rebuild(struct event_source *s, struct parts *p, struct arena *a)
{
    uint32_t *rows = arena_alloc(a, s->n * sizeof(*rows));
    const uint32_t *const picked[] = { rows };
    struct event_picks picks = { &s, picked, &s->n, 1 };
    struct event_built built;

    for (uint32_t i = 0; rows && i < s->n; i++)
        rows[i] = i;
    if (!rows || event_build(&picks, put, p, &built, NULL) < 0)
        return NULL;
    if (built.rows != s->n || event_block_verify(buf_view(&p->v[0]), get, p, NULL) < 0)
        abort();
    return event_block_open(buf_view(&p->v[0]), get, p, a, NULL);
}

static void must_rebuild(struct event_source *s)
{
    struct parts *p = mem_zalloc(2 * sizeof(*p));
    struct arena a = ARENA_INIT(0);
    struct event_source *once = p ? rebuild(s, &p[0], &a) : NULL, *twice = once ? rebuild(once, &p[1], &a) : NULL;

    if (twice && read_all(once, twice) < 0)
        abort();
    for (size_t i = 0; p && i < 2 * PARTS; i++)
        buf_free(&p[i / PARTS].v[i % PARTS]);
    arena_free(&a);
    mem_free(p);
}

/* Cuts the block's bytes off the directory's. */
static struct str cut_bytes(struct str *directory)
{
    uint32_t n = 0;

    if (directory->n < sizeof(n))
        return STR_NULL;
    directory->n -= sizeof(n);
    memcpy(&n, directory->p + directory->n, sizeof(n));
    n = le32toh(n);
    if (n > directory->n)
        return STR_NULL;
    directory->n -= n;
    return (struct str){ directory->p + directory->n, n };
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str directory = { (const char *)data, size }, bytes = cut_bytes(&directory);
    char *copy = malloc(directory.n + SUMMED);
    struct arena a = ARENA_INIT(MOST_MEMORY);
    struct event_source *s;
    uint64_t sum;

    if (!copy)
        return 0;
    if (directory.n)
        memcpy(copy + SUMMED, directory.p, directory.n);
    sum = htole64(str_hash_stable((struct str){ copy + SUMMED, directory.n }));
    memcpy(copy, &sum, sizeof(sum));
    s = event_block_open((struct str){ copy, directory.n + SUMMED }, get_bytes, &bytes, &a, NULL);
    if (s && read_all(s, NULL) == 0)
        must_rebuild(s);
    arena_free(&a);
    free(copy);
    return 0;
}
