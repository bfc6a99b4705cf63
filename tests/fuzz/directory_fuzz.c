/* directory_fuzz.c: a directory that decodes encodes to one that decodes to the same; one made from any pages comes
 * back.
 *
 * The input is tried twice: as a directory with its checksum put right (else nothing would pass), and as pages. */
#include "store/directory-internal.h"

#include <endian.h>
#include <stdlib.h>

enum { MOST = 1 << 16 };

static const struct directory_sums most = { .pages = MOST, .series = MOST };

/* `w` holds what `d` says, or nobody knows what it should hold (d NULL). */
static void must_come_back(const struct directory_writer *w, const struct block_directory *d)
{
    struct buf b = BUF_INIT(SIZE_MAX);
    struct arena a = ARENA_INIT(0);
    struct block_directory again;
    struct directory_sums sums;

    if (directory_encode(w, &b, NULL) < 0 || directory_decode(buf_view(&b), &most, &a, &again, &sums, NULL) < 0)
        abort();
    if (sums.pages != w->sums.pages || sums.series != w->sums.series || sums.samples != w->sums.samples ||
        sums.bytes != w->sums.bytes || sums.first != w->sums.first || sums.last != w->sums.last)
        abort();
    if (d && (again.n != d->n || (d->n && memcmp(again.pages, d->pages, d->n * sizeof(d->pages[0]))) ||
              (sums.series && memcmp(again.ids, d->ids, sums.series * sizeof(d->ids[0])))))
        abort();
    buf_free(&b);
    arena_free(&a);
}

static void as_directory(const uint8_t *data, size_t size)
{
    char *copy = malloc(size + 8);
    struct arena a = ARENA_INIT(0);
    struct directory_writer w;
    struct block_directory d;
    struct directory_sums sums;
    uint64_t sum;

    if (!copy)
        return;
    if (size)
        memcpy(copy + 8, data, size);
    sum = htole64(str_hash_stable((struct str){ copy + 8, size }));
    memcpy(copy, &sum, 8);
    if (directory_decode((struct str){ copy, size + 8 }, &most, &a, &d, &sums, NULL) == 0) {
        directory_init(&w);
        for (size_t i = 0; i < d.n; i++)
            if (directory_add(&w, &d.pages[i], d.ids + d.pages[i].first_column, NULL) < 0)
                abort(); /* what can be read could have been written */
        must_come_back(&w, &d);
        directory_fini(&w);
    }
    arena_free(&a);
    free(copy);
}

/* A page from each 32 bytes. */
static void as_pages(const uint8_t *data, size_t size)
{
    struct directory_writer w;

    directory_init(&w);
    for (; size >= 32 && w.sums.pages < MOST / 8; data += 32, size -= 32) {
        struct block_page p = { .n = 1 + data[0] % 4 };
        uint32_t ids[4];
        uint16_t n;

        memcpy(ids, data, sizeof(ids));
        memcpy(&n, data + 4, 2);
        memcpy(&p.first, data + 16, 8);
        memcpy(&p.last, data + 24, 8);
        p.samples = n;
        p.length = (uint32_t)n + 1;
        p.part = w.sums.parts + (data[1] % 2 || w.sums.parts == 0);
        p.offset = p.part > w.sums.parts ? 0 : 1;
        directory_add(&w, &p, ids, NULL); /* some are refused */
    }
    must_come_back(&w, NULL);
    directory_fini(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    as_directory(data, size);
    as_pages(data, size);
    return 0;
}
