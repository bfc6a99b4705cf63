#include "base/zip.h"

#include "base/mem.h"
#include "base/rand.h"
#include "tests/unit/unit.h"

static int zstd_pack_3(struct str in, struct buf *out, struct err *e)
{
    return zstd_pack(in, 3, out, e);
}

static const struct format {
    const char *name;
    int (*pack)(struct str in, struct buf *out, struct err *e);
    int (*unpack)(struct str in, struct buf *out, struct err *e);
} formats[] = { { "gzip", gzip_pack, gzip_unpack }, { "zstd", zstd_pack_3, zstd_unpack },
              { "snappy", snappy_pack, snappy_unpack } };

static const size_t sizes[] = { 0, 1, 100, 65535, 65536, 65537, 131072, 300000 };

enum { CASES = 3 * COUNT(sizes), FRAMED = 2 /* of the formats: several of them in a row are one */ };

static struct buf plain(size_t n)
{
    struct buf b = BUF_INIT(1 << 20);
    struct rng r = { { 1, 2, 3, 4 } };

    for (size_t i = 0; i < n; i++)
        buf_putc(&b, (char)(i % 16 < 8 ? 'z' : 'a' + rng_below(&r, 4)));
    return b;
}

START_TEST(round_trip)
{
    const struct format *f = &formats[_i % 3];
    struct buf in = plain(sizes[_i / 3]), packed = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);
    struct err e = ERR_INIT;

    ck_assert_int_eq(f->pack(buf_view(&in), &packed, &e), 0);
    if (in.n > 1000)
        ck_assert_uint_lt(packed.n, in.n / 2);
    buf_puts(&out, "before ");
    ck_assert_msg(f->unpack(buf_view(&packed), &out, &e) == 0, "%s: %s", f->name, e.msg);
    ck_assert(str_eq(str_from(buf_view(&out), 7), buf_view(&in)));
    buf_free(&in);
    buf_free(&packed);
    buf_free(&out);
}
END_TEST

/* A ceiling of just the size lets it through, one byte less does not. */
START_TEST(the_ceiling_is_exact)
{
    const struct format *f = &formats[_i % 3];
    struct buf in = plain(sizes[_i / 3]), packed = BUF_INIT(1 << 20), exact = BUF_INIT(in.n), less = BUF_INIT(in.n - 1);
    struct err e = ERR_INIT;

    if (in.n > 1) {
        ck_assert_int_eq(f->pack(buf_view(&in), &packed, &e), 0);
        ck_assert_msg(f->unpack(buf_view(&packed), &exact, &e) == 0, "%s %zu: %s", f->name, in.n, e.msg);
        ck_assert_int_eq(f->unpack(buf_view(&packed), &less, &e), ERR_LIMIT);
        ck_assert_uint_le(less.n, less.max);
    }
    buf_free(&in);
    buf_free(&packed);
    buf_free(&exact);
    buf_free(&less);
}
END_TEST

START_TEST(every_cut_is_seen)
{
    const struct format *f = &formats[_i];
    struct buf in = plain(1000), packed = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);

    ck_assert_int_eq(f->pack(buf_view(&in), &packed, NULL), 0);
    for (size_t n = 0; n < packed.n; n++) {
        struct err e = ERR_INIT;

        buf_reset(&out);
        ck_assert_msg(f->unpack((struct str){ packed.p, n }, &out, &e) == ERR_PARSE, "%s cut at %zu", f->name, n);
        ck_assert_str_ne(e.msg, "");
    }
    buf_free(&in);
    buf_free(&packed);
    buf_free(&out);
}
END_TEST

START_TEST(garbage_is_refused)
{
    const struct format *f = &formats[_i];
    struct buf packed = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);

    ck_assert_int_eq(f->unpack(STR("this is no such file, and long enough"), &out, NULL), ERR_PARSE);
    ck_assert_int_eq(f->pack(STR("text"), &packed, NULL), 0);
    buf_puts(&packed, "and something behind it");
    ck_assert_int_eq(f->unpack(buf_view(&packed), &out, NULL), ERR_PARSE);
    buf_free(&packed);
    buf_free(&out);
}
END_TEST

START_TEST(several_in_a_row_are_one)
{
    const struct format *f = &formats[_i];
    struct buf packed = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);

    ck_assert_int_eq(f->pack(STR("one, "), &packed, NULL), 0);
    ck_assert_int_eq(f->pack(STR(""), &packed, NULL), 0);
    ck_assert_int_eq(f->pack(STR("two"), &packed, NULL), 0);
    ck_assert_int_eq(f->unpack(buf_view(&packed), &out, NULL), 0);
    ck_assert(str_eqz(buf_view(&out), "one, two"));
    buf_free(&packed);
    buf_free(&out);
}
END_TEST

START_TEST(zlib_is_read_too)
{
    static const struct str zlib = STR_INIT("\x78\x9c\x4b\xcc\xaf\x02\x00\x02\x7e\x01\x4b");
    struct buf out = BUF_INIT(100);
    struct err e = ERR_INIT;

    ck_assert_msg(gzip_unpack(zlib, &out, &e) == 0, "%s", e.msg);
    ck_assert(str_eqz(buf_view(&out), "aoz"));
    buf_free(&out);
}
END_TEST

static const size_t pieces[] = { 1, 7, 1000, 65536, 300000 };

/* Packed piece by piece, with an empty last one now and then, it unpacks to the same. */
START_TEST(pieces_are_one)
{
    enum zip_format format = _i % 2 ? ZIP_ZSTD : ZIP_GZIP;
    size_t step = pieces[_i / 2], length = step < 10 ? 3000 : 300000;
    struct buf in = plain(length), packed = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);
    struct zip *z = zip_open(format, NULL);

    ck_assert_ptr_nonnull(z);
    for (size_t at = 0; at < in.n; at += step)
        ck_assert_int_eq(zip_put(z, (struct str){ in.p + at, in.n - at < step ? in.n - at : step }, false, &packed, NULL), 0);
    ck_assert_int_eq(zip_put(z, STR_NULL, true, &packed, NULL), 0);
    zip_close(z);
    ck_assert_int_eq((format == ZIP_ZSTD ? zstd_unpack : gzip_unpack)(buf_view(&packed), &out, NULL), 0);
    ck_assert(str_eq(buf_view(&out), buf_view(&in)));
    buf_free(&in);
    buf_free(&packed);
    buf_free(&out);
}
END_TEST

START_TEST(pieces_keep_the_ceiling)
{
    struct buf in = plain(300000), packed = BUF_INIT(1000);
    struct zip *z = zip_open(_i ? ZIP_ZSTD : ZIP_GZIP, NULL);

    ck_assert_int_eq(zip_put(z, buf_view(&in), true, &packed, NULL), ERR_NOMEM);
    zip_close(z);
    buf_free(&in);
    buf_free(&packed);
    mem_fail_at(1);
    ck_assert_ptr_null(zip_open(ZIP_GZIP, NULL));
    mem_fail_at(0);
}
END_TEST

START_TEST(says_when_memory_is_short)
{
    const struct format *f = &formats[_i];

    for (long n = 1;; n++) {
        struct buf packed = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20), in = plain(200000);
        bool failed;
        int rc;

        mem_fail_at(n);
        rc = f->pack(buf_view(&in), &packed, NULL);
        if (rc == 0)
            rc = f->unpack(buf_view(&packed), &out, NULL);
        failed = mem_has_failed();
        mem_fail_at(0);
        ck_assert_int_eq(rc, failed ? ERR_NOMEM : 0);
        buf_free(&in);
        buf_free(&packed);
        buf_free(&out);
        if (!failed)
            break;
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("zip");
    TCase *t = tcase_create("zip");

    tcase_set_timeout(t, 30);
    tcase_add_loop_test(t, round_trip, 0, CASES);
    tcase_add_loop_test(t, the_ceiling_is_exact, 0, CASES);
    tcase_add_loop_test(t, every_cut_is_seen, 0, COUNT(formats));
    tcase_add_loop_test(t, garbage_is_refused, 0, COUNT(formats));
    tcase_add_loop_test(t, several_in_a_row_are_one, 0, FRAMED);
    tcase_add_test(t, zlib_is_read_too);
    tcase_add_loop_test(t, pieces_are_one, 0, 2 * COUNT(pieces));
    tcase_add_loop_test(t, pieces_keep_the_ceiling, 0, 2);
    tcase_add_loop_test(t, says_when_memory_is_short, 0, COUNT(formats));
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
