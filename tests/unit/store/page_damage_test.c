/* page_damage_test.c: pages that are wrong in one place, with a checksum that is right; what is wrong is named. */
#include "store/page-internal.h"
#include "tests/unit/unit.h"

#include "store/page_format-internal.h"

/* A number of the head. */
struct number {
    enum page_field field;
    uint64_t u;
};

/* A page by hand: the numbers in order, each in its field's code; residuals are 1 or 2, a bit each, in any code. */
struct craft {
    uint8_t version, codes;
    uint16_t columns;
    int head_more; /* added to the head's length */
    const char *bodies;
    const struct number *numbers;
    size_t n;
};

static void seal(char *page, size_t n)
{
    uint64_t sum = htole64(str_hash_stable((struct str){ page + 8, n - 8 }));

    memcpy(page, &sum, 8);
}

static void put_numbers(struct bit_writer *w, const struct craft *c)
{
    static struct code_writer codes[FIELDS], residuals;
    struct code_counts counts[FIELDS] = { 0 }, ones_and_twos = { .n = { 0, 1, 1 }, .end = 3 };

    for (size_t i = 0; i < c->n; i++)
        code_count(&counts[c->numbers[i].field], token_of(c->numbers[i].u));
    for (size_t i = 0; i < FIELDS; i++) {
        code_writer_init(&codes[i], &counts[i]);
        code_put_lengths(w, &codes[i].lengths);
    }
    code_writer_init(&residuals, &ones_and_twos);
    for (size_t i = 0; i < c->codes; i++)
        code_put_lengths(w, &residuals.lengths);
    for (size_t i = 0; i < c->n; i++)
        code_put_number(w, &codes[c->numbers[i].field], c->numbers[i].u);
}

static size_t craft(const struct craft *c, char *page)
{
    struct bit_writer w = { (uint8_t *)page + PAGE_HEADER, 0, 0 };
    uint16_t columns = htole16(c->columns);
    uint32_t head;
    size_t n;

    put_numbers(&w, c);
    w.to += w.n > 0;
    n = (size_t)((char *)w.to - page);
    head = htole32((uint32_t)((int)n - PAGE_HEADER + c->head_more));
    page[8] = (char)c->version;
    page[9] = (char)c->codes;
    memcpy(page + 10, &columns, 2);
    memcpy(page + 12, &head, 4);
    memcpy(page + n, c->bodies, strlen(c->bodies));
    n += strlen(c->bodies);
    seal(page, n);
    return n;
}

static int read_all(struct str page, struct err *e)
{
    struct page_reader *r = page_reader_new();
    struct sample_columns got;
    size_t columns;
    int rc = page_open(r, page, &columns, e);

    for (size_t i = 0; rc == 0 && i < columns; i++)
        rc = page_column(r, i, &got, e);
    page_reader_free(r);
    return rc;
}

#define NUMBERS(...) (const struct number[]){ __VA_ARGS__ }, COUNT(((const struct number[]){ __VA_ARGS__ }))
#define PAGE(codes, columns, bodies, ...)                                                                              \
    {                                                                                                                  \
        PAGE_VERSION, codes, columns, 0, bodies, NUMBERS(__VA_ARGS__)                                                  \
    }

#define TIMES(n)                                                                                                       \
    { FIELD_TIME, REFER_NEW }, { FIELD_START, 0 }, { FIELD_PATTERN, REFER_NEW },                                             \
    {                                                                                                                  \
        FIELD_COUNT, (n)-1                                                                                             \
    }
#define REGULAR(n)                                                                                                     \
    TIMES(n), { FIELD_STEP, 2 },                                                                                         \
    {                                                                                                                  \
        FIELD_MODE, 0                                                                                                  \
    }
#define CONSTANT                                                                                                       \
    { FIELD_FORM, 0 }, { FIELD_MODE, MODE_DELTA },                                                                         \
    {                                                                                                                  \
        FIELD_FIRST, 14                                                                                                \
    }

/* clang-format off */
static const struct {
    struct craft page;
    const char *msg; /* how it begins; NULL: all is well */
} crafts[] = {
    { PAGE(0, 1, "", REGULAR(3), CONSTANT), NULL },
    { PAGE(1, 1, "\x05", REGULAR(5), { FIELD_FORM, 0 }, { FIELD_MODE, MODE_BODY }, { FIELD_FIRST, 0 },
           { FIELD_CODE, 0 }, { FIELD_BITS, 8 }),
      NULL },
    { { 2, 0, 1, 0, "", NUMBERS(REGULAR(3), CONSTANT) }, "page: version 2, should be 1" },
    { { 1, 25, 1, 0, "", NUMBERS(REGULAR(3), CONSTANT) }, "page: 25 codes, at most 24" },
    { { 1, 0, 0, 0, "", NUMBERS(REGULAR(3), CONSTANT) }, "page: 0 columns, should be 1 to 1024" },
    { { 1, 0, 1025, 0, "", NUMBERS(REGULAR(3), CONSTANT) }, "page: 1025 columns, should be 1 to 1024" },
    { { 1, 0, 1, 1000, "", NUMBERS(REGULAR(3), CONSTANT) }, "page: head of 1" },
    { PAGE(0, 1, "x", REGULAR(3), CONSTANT), "page: bytes behind the last column" },
    { { 1, 0, 1, 2, "xy", NUMBERS(REGULAR(3), CONSTANT) }, "page: bytes behind the last column" },
    { { 1, 0, 1, -4, "", NUMBERS(REGULAR(3), CONSTANT) }, "page: " },
    { PAGE(0, 2, "", REGULAR(3), CONSTANT, { FIELD_TIME, 2 + 1 }), "page: column 1 of 2: TIME: no such times" },
    { PAGE(0, 1, "", { FIELD_TIME, REFER_SAME }), "page: column 0 of 1: TIME: no such times" },
    { PAGE(0, 1, "", { FIELD_TIME, REFER_NEW }, { FIELD_START, 0 }, { FIELD_PATTERN, 2 }),
      "page: column 0 of 1: PATTERN: no such pattern" },
    { PAGE(0, 1, "", TIMES(PAGE_SAMPLES + 1)), "page: column 0 of 1: COUNT: more samples than a page has" },
    { PAGE(0, 2, "", REGULAR(PAGE_SAMPLES), CONSTANT, { FIELD_TIME, 0 }),
      "page: column 1 of 2: COUNT: more samples than a page has" },
    { PAGE(0, 1, "", TIMES(3), { FIELD_STEP, 2 }, { FIELD_MODE, MODE_PREV }),
      "page: column 0 of 1: MODE: none that times have" },
    { PAGE(0, 1, "", REGULAR(3), { FIELD_FORM, 1 + 3 * 64 }), "page: column 0 of 1: FORM: kind or shift unknown" },
    { PAGE(0, 1, "", REGULAR(3), { FIELD_FORM, 1 + 64 }), "page: column 0 of 1: FORM: kind or shift unknown" },
    { PAGE(0, 1, "", REGULAR(3), { FIELD_FORM, UINT64_MAX }), "page: column 0 of 1: FORM: kind or shift unknown" },
    { PAGE(0, 1, "", REGULAR(3), { FIELD_FORM, 0 }, { FIELD_MODE, MODE_END }), "page: column 0 of 1: MODE: unknown" },
    { PAGE(0, 1, "", REGULAR(3), { FIELD_FORM, 0 }, { FIELD_MODE, MODE_TRACK | MODE_LEVEL }), "page: column 0 of 1: MODE: unknown" },
    { PAGE(0, 1, "", REGULAR(3), { FIELD_FORM, 0 }, { FIELD_MODE, MODE_PREV }),
      "page: column 0 of 1: MODE: leans on a column unlike it" },
    { PAGE(0, 2, "", REGULAR(3), CONSTANT, { FIELD_TIME, 0 }, { FIELD_FORM, 2 }, { FIELD_MODE, MODE_RATIO }),
      "page: column 1 of 2: MODE: leans on a column unlike it" },
    { PAGE(0, 1, "", REGULAR(3), { FIELD_FORM, 0 }, { FIELD_MODE, MODE_TRACK }, { FIELD_BASE, 1 },
           { FIELD_BASE_SHIFT, 64 }),
      "page: column 0 of 1: BASE_SHIFT: 64 or more" },
    { PAGE(0, 1, "", REGULAR(3), { FIELD_FORM, 0 }, { FIELD_MODE, MODE_EXCEPTIONS }, { FIELD_FIRST, 0 },
           { FIELD_EXCEPTIONS, 4 }),
      "page: column 0 of 1: EXCEPTIONS: more than samples" },
    { PAGE(1, 1, "", REGULAR(3), { FIELD_FORM, 0 }, { FIELD_MODE, MODE_BODY }, { FIELD_FIRST, 0 }, { FIELD_CODE, 1 }),
      "page: column 0 of 1: CODE: no such code" },
    { PAGE(1, 1, "x", REGULAR(3), { FIELD_FORM, 0 }, { FIELD_MODE, MODE_BODY }, { FIELD_FIRST, 0 },
           { FIELD_CODE, 0 }, { FIELD_BITS, 18 }),
      "page: column 0 of 1: BITS: longer than the page" },
    { PAGE(1, 1, "x", REGULAR(5), { FIELD_FORM, 0 }, { FIELD_MODE, MODE_BODY }, { FIELD_FIRST, 0 },
           { FIELD_CODE, 0 }, { FIELD_BITS, 6 }),
      "page: column 0: values cut short" },
    { PAGE(1, 1, "x", TIMES(5), { FIELD_STEP, 2 }, { FIELD_MODE, MODE_BODY }, { FIELD_CODE, 0 },
           { FIELD_BITS, 2 }, CONSTANT),
      "page: column 0: times cut short" },
    { PAGE(0, 1, "", TIMES(5), { FIELD_STEP, 0 }, { FIELD_MODE, 0 }, CONSTANT), "page: column 0: times not rising" },
    { PAGE(0, 1, "", TIMES(5), { FIELD_STEP, 1 }, { FIELD_MODE, 0 }, CONSTANT), "page: column 0: times not rising" },
    { PAGE(0, 1, "", REGULAR(3), { FIELD_FORM, 0 }, { FIELD_MODE, MODE_EXCEPTIONS }, { FIELD_FIRST, 0 },
           { FIELD_EXCEPTIONS, 1 }, { FIELD_BITS, 0 }, { FIELD_GAP, 3 }, { FIELD_EXCEPTION, 0 }),
      "page: column 0: GAP: exceptions cut short, or behind the last sample" },
};
/* clang-format on */

START_TEST(names_what_is_wrong)
{
    char page[4096] = { 0 };
    struct err e = ERR_INIT;
    int rc = read_all((struct str){ page, craft(&crafts[_i].page, page) }, &e);

    if (crafts[_i].msg) {
        ck_assert_msg(rc == ERR_CORRUPT, "no error, should be %s", crafts[_i].msg);
        ck_assert_msg(str_starts(str_of(e.msg), str_of(crafts[_i].msg)), "%s", e.msg);
    } else {
        ck_assert_msg(rc == 0, "%s", e.msg);
    }
}
END_TEST

/* One column, and `_i` more that lean, each on the one before. */
START_TEST(bounds_chains)
{
    static const struct number first[] = { REGULAR(3), CONSTANT };
    static const struct number leaning[] = {
        { FIELD_TIME, REFER_SAME }, { FIELD_FORM, 0 }, { FIELD_MODE, MODE_PREV }, { FIELD_FIRST, 0 } };
    struct number numbers[COUNT(first) + PAGE_CHAIN * COUNT(leaning)];
    struct craft c = { PAGE_VERSION, 0, (uint16_t)(1 + _i), 0, "", numbers, COUNT(first) + (size_t)_i * COUNT(leaning) };
    char page[4096] = { 0 };
    struct err e = ERR_INIT;
    int rc;

    memcpy(numbers, first, sizeof(first));
    for (int i = 0; i < _i; i++)
        memcpy(numbers + COUNT(first) + (size_t)i * COUNT(leaning), leaning, sizeof(leaning));
    rc = read_all((struct str){ page, craft(&c, page) }, &e);
    ck_assert_msg(rc == (_i < PAGE_CHAIN ? 0 : ERR_CORRUPT), "%d: %s", rc, e.msg);
    if (rc)
        ck_assert_str_eq(e.msg, "page: column 32 of 33: MODE: leans on too many columns in a row");
}
END_TEST

/* The code of the first field: too many symbols, too long, and incomplete. */
static const uint8_t no_codes[][4] = { { 0xfa, 0xff }, { 0xf4, 0xff, 0xff }, { 0xa2, 0x03 } };

START_TEST(refuses_codes_that_are_none)
{
    char page[64] = { 0 };
    struct err e = ERR_INIT;

    memcpy(page + PAGE_HEADER, no_codes[_i], 4);
    page[8] = PAGE_VERSION;
    page[10] = 1;
    page[12] = 40;
    seal(page, sizeof(page));
    ck_assert_int_eq(read_all((struct str){ page, sizeof(page) }, &e), ERR_CORRUPT);
    ck_assert_str_eq(e.msg, "page: code of field 0 of 16 is no prefix code");
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("page damage");
    TCase *tc = tcase_create("page damage");

    tcase_add_loop_test(tc, names_what_is_wrong, 0, COUNT(crafts));
    tcase_add_loop_test(tc, bounds_chains, 0, PAGE_CHAIN + 1);
    tcase_add_loop_test(tc, refuses_codes_that_are_none, 0, COUNT(no_codes));
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)
