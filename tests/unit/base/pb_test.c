#include "base/pb.h"

#include "base/mem.h"
#include "tests/unit/unit.h"

#include <math.h>

START_TEST(round_trip)
{
    static const uint64_t values[] = { 0, 1, 127, 128, 300, 16383, 16384, UINT32_MAX, (uint64_t)1 << 63, UINT64_MAX };
    struct buf b = BUF_INIT(10000);
    struct pb_reader r;
    struct pb_field f;
    struct err e = ERR_INIT;

    for (size_t i = 0; i < COUNT(values); i++) {
        pb_put_varint(&b, (uint32_t)i + 1, values[i]);
        pb_put_fixed64(&b, 536870911, values[i]);
        pb_put_double(&b, 16, (double)values[i]);
        pb_put_str(&b, 2, STR("text"));
    }
    r = pb_reader(buf_view(&b));
    for (size_t i = 0; i < COUNT(values); i++) {
        ck_assert_int_eq(pb_next(&r, &f, &e), 1);
        ck_assert(f.number == i + 1 && f.type == PB_VARINT && f.u == values[i]);
        ck_assert_int_eq(pb_next(&r, &f, &e), 1);
        ck_assert(f.number == 536870911 && f.type == PB_FIXED64 && f.u == values[i]);
        ck_assert_int_eq(pb_next(&r, &f, &e), 1);
        ck_assert(f.number == 16 && f.type == PB_FIXED64 && pb_double(&f) == (double)values[i]);
        ck_assert_int_eq(pb_next(&r, &f, &e), 1);
        ck_assert(f.number == 2 && f.type == PB_BYTES && str_eqz(f.bytes, "text"));
    }
    ck_assert_int_eq(pb_next(&r, &f, &e), 0);
    ck_assert_int_eq(pb_next(&r, &f, &e), 0);
    buf_free(&b);
}
END_TEST

/* A length's own size changes at 128, 16384, …: the bytes behind the mark must move by as much. */
static const size_t inner_sizes[] = { 0, 1, 124, 125, 126, 127, 128, 200, 16378, 16380, 16381, 16384, 70000 };

START_TEST(nests)
{
    struct buf b = BUF_INIT(1 << 20);
    char *text = calloc(1, inner_sizes[_i] + 1);
    size_t outer, inner;
    struct pb_reader r;
    struct pb_field f;

    outer = pb_open(&b, 1);
    pb_put_varint(&b, 7, 1);
    inner = pb_open(&b, 2);
    pb_put_str(&b, 3, (struct str){ text, inner_sizes[_i] });
    pb_close(&b, inner);
    pb_put_varint(&b, 8, 2);
    pb_close(&b, outer);
    pb_put_varint(&b, 9, 3);
    r = pb_reader(buf_view(&b));
    ck_assert(pb_next(&r, &f, NULL) == 1 && f.number == 1);
    {
        struct pb_reader in = pb_reader(f.bytes), in2;
        struct pb_field g, h;

        ck_assert(pb_next(&in, &g, NULL) == 1 && g.number == 7 && g.u == 1);
        ck_assert(pb_next(&in, &g, NULL) == 1 && g.number == 2);
        in2 = pb_reader(g.bytes);
        ck_assert(pb_next(&in2, &h, NULL) == 1 && h.number == 3 && h.bytes.n == inner_sizes[_i]);
        ck_assert(pb_next(&in2, &h, NULL) == 0);
        ck_assert(pb_next(&in, &g, NULL) == 1 && g.number == 8 && g.u == 2);
        ck_assert(pb_next(&in, &g, NULL) == 0);
    }
    ck_assert(pb_next(&r, &f, NULL) == 1 && f.number == 9 && f.u == 3);
    ck_assert(pb_next(&r, &f, NULL) == 0);
    free(text);
    buf_free(&b);
}
END_TEST

static const struct {
    struct str in;
    const char *msg;
} bad[] = {
    { STR_INIT("\x80"), "protobuf: a field's tag is cut short" },
    { STR_INIT("\x08"), "protobuf: field 1: cut short" },
    { STR_INIT("\x08\x80"), "protobuf: field 1: cut short" },
    { STR_INIT("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), "protobuf: field 1: cut short" }, /* 65 bits */
    { STR_INIT("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "protobuf: field 1: cut short" },
    { STR_INIT("\x09\x01\x02\x03\x04\x05\x06\x07"), "protobuf: field 1: cut short" },
    { STR_INIT("\x0d\x01\x02\x03"), "protobuf: field 1: cut short" },
    { STR_INIT("\x0a\x02x"), "protobuf: field 1: cut short" },
    { STR_INIT("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x"), "protobuf: field 1: cut short" },
    { STR_INIT("\x00"), "protobuf: field number 0, should be 1 to 536870911" },
    { STR_INIT("\x80\x80\x80\x80\x10"), "protobuf: field number 536870912, should be 1 to 536870911" },
    { STR_INIT("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
      "protobuf: field number 2305843009213693951, should be 1 to 536870911" },
    { STR_INIT("\x0b"), "protobuf: field 1: wire type 3, should be 0, 1, 2 or 5" },
    { STR_INIT("\x0c"), "protobuf: field 1: wire type 4, should be 0, 1, 2 or 5" },
    { STR_INIT("\x0e"), "protobuf: field 1: wire type 6, should be 0, 1, 2 or 5" },
};

START_TEST(refuses)
{
    struct pb_reader r = pb_reader(bad[_i].in);
    struct pb_field f;
    struct err e = ERR_INIT;

    ck_assert_int_eq(pb_next(&r, &f, &e), ERR_PARSE);
    ck_assert_str_eq(e.msg, bad[_i].msg);
}
END_TEST

START_TEST(reads_the_rest)
{
    struct pb_reader r = pb_reader(STR("\x0d\x01\x02\x03\x84\x12\x00")), none = pb_reader(STR_NULL);
    struct pb_field f;
    struct err e = ERR_INIT;

    ck_assert_int_eq(pb_next(&none, &f, &e), 0);
    ck_assert_int_eq(pb_next(&r, &f, &e), 1);
    ck_assert(f.type == PB_FIXED32 && f.u == 0x84030201);
    ck_assert_int_eq(pb_want(&f, PB_FIXED32, &e), 0);
    ck_assert_int_eq(pb_want(&f, PB_BYTES, &e), ERR_PARSE);
    ck_assert_str_eq(e.msg, "protobuf: field 1: wire type 5, should be 2");
    ck_assert_int_eq(pb_next(&r, &f, &e), 1);
    ck_assert(f.number == 2 && f.type == PB_BYTES && f.bytes.n == 0);
}
END_TEST

static const struct {
    uint64_t u;
    int64_t v;
} zigzags[] = { { 0, 0 }, { 1, -1 }, { 2, 1 }, { 3, -2 }, { UINT64_MAX - 1, INT64_MAX }, { UINT64_MAX, INT64_MIN } };

START_TEST(zigzag)
{
    ck_assert_int_eq(pb_zigzag(zigzags[_i].u), zigzags[_i].v);
}
END_TEST

START_TEST(doubles_keep_their_bits)
{
    static const double values[] = { 0, -0.0, 1.5, 5e-324, INFINITY };
    struct buf b = BUF_INIT(100);

    for (size_t i = 0; i < COUNT(values); i++) {
        struct pb_reader r;
        struct pb_field f;
        double v;

        buf_reset(&b);
        pb_put_double(&b, 1, values[i]);
        r = pb_reader(buf_view(&b));
        ck_assert_int_eq(pb_next(&r, &f, NULL), 1);
        v = pb_double(&f);
        ck_assert_int_eq(memcmp(&v, &values[i], sizeof(v)), 0);
    }
    buf_free(&b);
}
END_TEST

START_TEST(says_when_memory_is_short)
{
    for (long n = 1;; n++) {
        struct buf b = BUF_INIT(100000);
        size_t outer, inner;
        bool failed;

        mem_fail_at(n);
        outer = pb_open(&b, 1);
        inner = pb_open(&b, 2);
        for (int i = 0; i < 1000; i++)
            pb_put_fixed64(&b, 3, 7);
        pb_close(&b, inner);
        pb_close(&b, outer);
        failed = mem_has_failed();
        mem_fail_at(0);
        ck_assert(buf_failed(&b) == failed);
        buf_free(&b);
        if (!failed)
            break;
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("pb");
    TCase *t = tcase_create("pb");

    tcase_add_test(t, round_trip);
    tcase_add_loop_test(t, nests, 0, COUNT(inner_sizes));
    tcase_add_loop_test(t, refuses, 0, COUNT(bad));
    tcase_add_test(t, reads_the_rest);
    tcase_add_loop_test(t, zigzag, 0, COUNT(zigzags));
    tcase_add_test(t, doubles_keep_their_bits);
    tcase_add_test(t, says_when_memory_is_short);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
