#include "base/mem.h"
#include "base/zip.h"
#include "store/directory-internal.h"
#include "store/page-internal.h"
#include "tests/unit/unit.h"

#include <endian.h>

static const struct directory_sums any = { .pages = DIRECTORY_PAGES, .series = DIRECTORY_SERIES };

static void add(struct directory_writer *w, struct block_page page, const uint32_t *ids)
{
    struct err e = ERR_INIT;

    ck_assert_msg(directory_add(w, &page, ids, &e) == 0, "%s", e.msg);
}

/* As directory_decode, which must do. */
static void decode(const struct buf *b, struct arena *a, struct block_directory *d, struct directory_sums *s)
{
    struct err e = ERR_INIT;

    ck_assert_msg(directory_decode(buf_view(b), &any, a, d, s, &e) == 0, "%s", e.msg);
}

START_TEST(comes_back)
{
    static const uint32_t ids[3][4] = { { 1, 2, 3, UINT32_MAX }, { 7, 6, 5, 5 }, { UINT32_MAX, 1, 1u << 31, 99 } };
    const struct block_page pages[] = {
        { .n = 4, .samples = 4, .part = 1, .offset = 0, .length = 100, .first = INT64_MIN, .last = INT64_MAX },
        { .n = 3, .samples = 90, .part = 1, .offset = 100, .length = 1, .first = INT64_MAX, .last = INT64_MAX },
        { .n = 4, .samples = PAGE_SAMPLES, .part = 2, .offset = 0, .length = PAGE_BYTES_MAX, .first = -5, .last = 5 },
    };
    struct directory_writer w;
    struct buf b = BUF_INIT(1 << 20);
    struct arena a = ARENA_INIT(0);
    struct block_directory d;
    struct directory_sums s;

    directory_init(&w);
    for (size_t i = 0; i < COUNT(pages); i++)
        add(&w, pages[i], ids[i]);
    ck_assert_int_eq(directory_encode(&w, &b, NULL), 0);
    decode(&b, &a, &d, &s);
    ck_assert_uint_eq(d.n, 3);
    for (size_t i = 0; i < d.n; i++) {
        const struct block_page *p = &d.pages[i];

        ck_assert_mem_eq(d.ids + p->first_column, ids[i], p->n * sizeof(ids[0][0]));
        ck_assert(p->n == pages[i].n && p->samples == pages[i].samples && p->part == pages[i].part &&
                  p->offset == pages[i].offset && p->length == pages[i].length && p->first == pages[i].first &&
                  p->last == pages[i].last);
    }
    ck_assert(s.pages == 3 && s.series == 11 && s.parts == 2 && s.samples == 94 + PAGE_SAMPLES &&
              s.bytes == 101 + PAGE_BYTES_MAX && s.first == INT64_MIN && s.last == INT64_MAX);
    directory_fini(&w);
    buf_free(&b);
    arena_free(&a);
}
END_TEST

/* Runs of neighbours, which are read eight at a time, with breaks at every place. */
START_TEST(runs_come_back)
{
    uint32_t ids[100];
    struct directory_writer w;
    struct buf b = BUF_INIT(1 << 20);
    struct arena a = ARENA_INIT(0);
    struct block_directory d;
    struct directory_sums s;

    for (uint32_t i = 0; i < 100; i++)
        ids[i] = 1 + i + (i >= (uint32_t)_i ? 500 : 0) + (i >= 2 * (uint32_t)_i ? UINT32_MAX - 1000 : 0);
    directory_init(&w);
    add(&w, (struct block_page){ .n = 100, .samples = 100, .part = 1, .length = 5 }, ids);
    ck_assert_int_eq(directory_encode(&w, &b, NULL), 0);
    decode(&b, &a, &d, &s);
    ck_assert_mem_eq(d.ids, ids, sizeof(ids));
    directory_fini(&w);
    buf_free(&b);
    arena_free(&a);
}
END_TEST

START_TEST(is_small)
{
    enum { PAGES = 100, COLUMNS = 100 };
    struct directory_writer w;
    struct buf b = BUF_INIT(1 << 20);
    uint32_t ids[COLUMNS];

    directory_init(&w);
    for (uint32_t i = 0; i < PAGES; i++) {
        for (uint32_t k = 0; k < COLUMNS; k++) /* histograms of 20 series, in an order of their own */
            ids[k] = 1 + ((i * COLUMNS + k) / 20 * 37 % 500) * 20 + k % 20;
        add(&w, (struct block_page){ .n = COLUMNS, .samples = COLUMNS * 240, .part = 1 + i / 50, .length = 17000,
                                     .offset = i % 50 * 17000, .first = 5, .last = 5 + 239 * 30000 }, ids);
    }
    ck_assert_int_eq(directory_encode(&w, &b, NULL), 0);
    ck_assert_uint_lt(b.n, PAGES * COLUMNS / 2); /* half a byte for each series */
    directory_fini(&w);
    buf_free(&b);
}
END_TEST

/* --- bytes that are not ours, with a checksum that is --- */

static void put_u32(struct buf *b, uint32_t v)
{
    v = htole32(v);
    buf_put(b, &v, 4);
}

static const struct {
    const char *what;
    uint8_t version, packing;
    uint32_t pages, series, raw;
    const char *columns;
    size_t n;
    const char *msg;
} bad[] = {
    /* one page: length 5 and begins a part, series, samples, first, last less first; then series */
#define COLUMNS(s) s, sizeof(s) - 1
    { "fine", 1, 0, 1, 1, 6, COLUMNS("\x0b\x01\x01\x00\x00\x02"), NULL },
    { "version", 2, 0, 1, 1, 6, COLUMNS("\x0b\x01\x01\x00\x00\x02"), "directory: version 2, packing 0 unknown" },
    { "packing", 1, 2, 1, 1, 6, COLUMNS("\x0b\x01\x01\x00\x00\x02"), "directory: version 1, packing 2 unknown" },
    { "no zstd", 1, 1, 1, 1, 6, COLUMNS("\x0b\x01\x01\x00\x00\x02"), "directory: columns do not unpack" },
    { "length", 1, 0, 1, 1, 7, COLUMNS("\x0b\x01\x01\x00\x00\x02"), "directory: columns of 6 bytes, should be 7" },
    { "raw", 1, 0, 1, 1, 60, COLUMNS("\x0b\x01\x01\x00\x00\x02"), "directory: columns of 60 bytes, too long" },
    { "pages", 1, 0, 1u << 20, 1, 6, COLUMNS("\x0b\x01\x01\x00\x00\x02"),
      "directory: 1048576 pages, 1 series, should be 1048575 and 16777216" },
    { "series", 1, 0, 1, (1u << 24) + 1, 6, COLUMNS("\x0b\x01\x01\x00\x00\x02"),
      "directory: 1 pages, 16777217 series, should be 1048575 and 16777216" },
    { "no part", 1, 0, 1, 1, 6, COLUMNS("\x0a\x01\x01\x00\x00\x02"),
      "directory: page 0 stands in part 0, behind part 0" },
    { "no bytes", 1, 0, 1, 1, 6, COLUMNS("\x01\x01\x01\x00\x00\x02"),
      "directory: page 0 of 0 bytes, should be 1 to 1048576" },
    { "no columns", 1, 0, 1, 1, 6, COLUMNS("\x0b\x00\x01\x00\x00\x02"), "directory: page 0 has 1 samples of 0 series" },
    { "no samples", 1, 0, 1, 1, 6, COLUMNS("\x0b\x01\x00\x00\x00\x02"), "directory: page 0 has 0 samples of 1 series" },
    { "times", 1, 0, 1, 1, 15, COLUMNS("\x0b\x01\x01\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x02"),
      "directory: page 0 ends before it begins" },
    { "cut", 1, 0, 1, 1, 4, COLUMNS("\x0b\x01\x01\x00"), "directory: pages cut short or out of range" },
    { "no series", 1, 0, 1, 1, 5, COLUMNS("\x0b\x01\x01\x00\x00"), "directory: series cut short or out of range" },
    { "series 0", 1, 0, 1, 1, 6, COLUMNS("\x0b\x01\x01\x00\x00\x00"), "directory: series cut short or out of range" },
    { "series -1", 1, 0, 1, 1, 6, COLUMNS("\x0b\x01\x01\x00\x00\x01"), "directory: series cut short or out of range" },
    { "series 2^32", 1, 0, 1, 1, 10, COLUMNS("\x0b\x01\x01\x00\x00\x80\x80\x80\x80\x20"),
      "directory: series cut short or out of range" },
    { "more series", 1, 0, 1, 2, 7, COLUMNS("\x0b\x01\x01\x00\x00\x02\x02"),
      "directory: 1 series in pages, should be 2" },
    { "behind", 1, 0, 1, 1, 7, COLUMNS("\x0b\x01\x01\x00\x00\x02\x02"), "directory: 1 bytes behind the series" },
};

START_TEST(bad_bytes_are_refused)
{
    struct buf b = BUF_INIT(1 << 10);
    struct arena a = ARENA_INIT(1 << 20);
    struct block_directory d;
    struct directory_sums s;
    struct err e = ERR_INIT;
    uint64_t sum = 0;
    int rc;

    buf_put(&b, &sum, 8);
    buf_putc(&b, (char)bad[_i].version);
    buf_putc(&b, (char)bad[_i].packing);
    buf_put(&b, "\0\0", 2);
    put_u32(&b, bad[_i].pages);
    put_u32(&b, bad[_i].series);
    put_u32(&b, bad[_i].raw);
    buf_put(&b, bad[_i].columns, bad[_i].n);
    sum = htole64(str_hash_stable(str_from(buf_view(&b), 8)));
    memcpy(b.p, &sum, 8);
    rc = directory_decode(buf_view(&b), &any, &a, &d, &s, &e);
    ck_assert_msg(rc == (bad[_i].msg ? ERR_CORRUPT : 0), "%s: %d (%s)", bad[_i].what, rc, e.msg);
    if (bad[_i].msg)
        ck_assert_str_eq(e.msg, bad[_i].msg);
    for (size_t n = 0; n < b.n; n++) /* cut anywhere: the checksum is wrong */
        ck_assert_int_eq(directory_decode((struct str){ b.p, n }, &any, &a, &d, &s, NULL), ERR_CORRUPT);
    buf_free(&b);
    arena_free(&a);
}
END_TEST

START_TEST(too_many_pages_or_series)
{
    static uint32_t ids[PAGE_COLUMNS];
    struct block_page page = { .n = PAGE_COLUMNS, .samples = PAGE_COLUMNS, .part = 1, .length = 1 };
    struct directory_writer w;

    for (uint32_t i = 0; i < PAGE_COLUMNS; i++)
        ids[i] = i + 1;
    directory_init(&w);
    for (uint32_t i = 0; i < DIRECTORY_SERIES / PAGE_COLUMNS; i++, page.offset++)
        add(&w, page, ids);
    page.n = 1;
    ck_assert_int_eq(directory_add(&w, &page, ids, NULL), ERR_LIMIT);
    directory_fini(&w);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("directory");
    TCase *tc = tcase_create("directory");

    tcase_add_test(tc, comes_back);
    tcase_add_loop_test(tc, runs_come_back, 0, 60);
    tcase_add_test(tc, is_small);
    tcase_add_loop_test(tc, bad_bytes_are_refused, 0, COUNT(bad));
    tcase_add_test(tc, too_many_pages_or_series);
    tcase_set_timeout(tc, 60);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)
