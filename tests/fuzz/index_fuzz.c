/* index_fuzz.c: a record either changes nothing or makes an index that can be written down and made again.
 *
 * The input is tried twice: as the body of a record, and as what a record of additions unpacks to, with a head and keys
 * that fit (else nearly nothing would pass). Its first four bytes say the kind and how many series, names and pairs. */
#include "base/str.h"
#include "base/zip.h"
#include "store/index-internal.h"
#include "store/varint-internal.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

static struct str seal(struct buf *record, char kind, struct str body)
{
    uint64_t sum = htole64(str_hash_stable(body));

    buf_reset(record);
    buf_putc(record, kind);
    buf_put(record, &sum, sizeof(sum));
    buf_str(record, body);
    return buf_view(record);
}

static void must_be_the_same(struct series_index *x, struct series_index *y)
{
    struct arena a = ARENA_INIT(0);
    uint32_t *ids;
    size_t n;

    if (index_end(x) != index_end(y) || index_count(x) != index_count(y) ||
        index_select(x, NULL, 0, &a, &ids, &n) < 0 || n != index_count(x))
        abort();
    for (size_t i = 0; i < n; i++)
        if (!index_has(y, ids[i]) || index_order(x, ids[i]) != index_order(y, ids[i]) ||
            labels_cmp(index_labels(x, ids[i], &a), index_labels(y, ids[i], &a)) != 0)
            abort();
    arena_free(&a);
}

static void must_come_back(struct series_index *ix, struct index_mark start)
{
    struct buf once = BUF_INIT(1 << 24), twice = BUF_INIT(1 << 24);
    struct series_index *again = index_new();

    index_log(ix, start, &once);
    if (!again || buf_failed(&once) || index_replay(again, buf_view(&once), NULL) < 0)
        abort();
    must_be_the_same(ix, again);
    index_log(again, start, &twice);
    if (!str_eq(buf_view(&once), buf_view(&twice)))
        abort();
    index_free(again);
    buf_free(&once);
    buf_free(&twice);
}

static void try_record(struct str record)
{
    struct series_index *ix = index_new();
    struct index_mark start, after;

    if (!ix)
        return;
    start = index_mark(ix);
    if (index_replay(ix, record, NULL) == 0) {
        must_come_back(ix, start);
        index_rollback(ix, start);
    }
    after = index_mark(ix);
    if (memcmp(&start, &after, sizeof(start)) || index_count(ix))
        abort();
    index_free(ix);
}

static void as_additions(struct buf *record, const uint8_t *data, size_t size)
{
    struct buf body = BUF_INIT(1 << 24);

    varint_put(&body, 1);
    varint_put(&body, 0);
    varint_put(&body, 0);
    for (int i = 1; i < 4; i++)
        varint_put(&body, data[i]);
    varint_put(&body, size - 4);
    for (unsigned i = 0; i < data[1]; i++) {
        uint64_t key[2] = { i, (uint64_t)i * 0x9e3779b97f4a7c15u };

        buf_put(&body, key, sizeof(key));
    }
    if (zstd_pack((struct str){ (const char *)data + 4, size - 4 }, 1, &body, NULL) == 0)
        try_record(seal(record, 1, buf_view(&body)));
    buf_free(&body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf record = BUF_INIT(1 << 24);

    if (size < 4)
        return 0;
    as_additions(&record, data, size);
    try_record(seal(&record, (char)data[0], (struct str){ (const char *)data + 1, size - 1 }));
    try_record((struct str){ (const char *)data, size });
    buf_free(&record);
    return 0;
}
