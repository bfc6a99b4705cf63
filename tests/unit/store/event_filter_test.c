/* Filters: none that was put in is denied, few that were not are not; tokens as the header says. */
#include "base/mem.h"
#include "store/event_filter-internal.h"
#include "store/event_ids-internal.h"
#include "tests/unit/unit.h"

#include <stdio.h>

static const struct {
    const char *text, *tokens; /* tokens with a blank behind each; upper-case I before those that others enclose */
} cases[] = {
    { "", "" },
    { "one", "one " },
    { "a b c", "a I:b c " },
    { "/orders/17/items", "I:orders I:17 items " },
    { "x=\xc3\xa4_1;", "x I:\xc3\xa4_1 " },
    { "...", "" },
    { " end", "end " },
    { "begin ", "begin " },
};

START_TEST(tokens)
{
    struct str text = str_of(cases[_i].text), token;
    char got[100] = "";
    size_t at = 0;
    bool inner;

    while ((token = event_token_next(text, &at, &inner)).n)
        snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%.*s ", inner ? "I:" : "", STR_ARG(token));
    ck_assert_str_eq(got, cases[_i].tokens);
}
END_TEST

static const size_t amounts[] = { 0, 1, 30, 500, 4000, 4001, 100000, 1000000 };

START_TEST(holds_what_was_put_in)
{
    size_t n = amounts[_i], bytes = event_filter_bytes(n, EVENT_FILTER_TOKEN_BITS), slices = event_filter_slices(bytes), wrong = 0;
    uint8_t *bits = mem_zalloc(bytes);
    char text[32];

    ck_assert_ptr_nonnull(bits);
    ck_assert(bytes > 0 && bytes % 32 == 0 && slices <= EVENT_FILTER_MOST_SLICES);
    for (size_t i = 0; i < 2 * n; i++) {
        struct str value = { text, (size_t)snprintf(text, sizeof(text), "value %zu", i) };
        uint64_t hash = event_filter_hash(value);

        if (i < n)
            event_filter_set(bits, bytes, hash);
    }
    for (size_t i = 0; i < 2 * n; i++) {
        struct str value = { text, (size_t)snprintf(text, sizeof(text), "value %zu", i) };
        uint64_t hash = event_filter_hash(value);
        size_t slice = event_filter_slice(bytes, hash), at = slice * EVENT_FILTER_SLICE;
        bool there;

        if (slice >= slices)
            ck_abort_msg("slice %zu of %zu", slice, slices);
        there = event_filter_test(bits + at, bytes - at < EVENT_FILTER_SLICE ? bytes - at : EVENT_FILTER_SLICE, bytes,
                                  hash);
        if (i < n && !there)
            ck_abort_msg("value %zu is denied", i);
        wrong += i >= n && there;
    }
    ck_assert_uint_le(wrong, n / 20 + 5);
    mem_free(bits);
}
END_TEST

START_TEST(short_numbers_do_not_count)
{
    ck_assert(!event_token_counts(STR("8080")) && event_token_counts(STR("123456")) && event_token_counts(STR("a1")));
}
END_TEST

static const struct {
    enum event_id kind;
    const char *text;
    bool good;
} ids[] = {
    { EVENT_ID_64, "0123456789abcdef", true },
    { EVENT_ID_64, "0123456789abcdeF", false },
    { EVENT_ID_64, "0123456789abcdeg", false },
    { EVENT_ID_64, "0123456789abcde`", false },
    { EVENT_ID_64, "0123456789abcde:", false },
    { EVENT_ID_64, "0123456789abcde/", false },
    { EVENT_ID_64, "0123456789abcde\xb1", false },
    { EVENT_ID_64, "0000000000000000", false },
    { EVENT_ID_64, "0123456789abcde", false },
    { EVENT_ID_128, "fedcba98765432100123456789abcdef", true },
    { EVENT_ID_128, "00000000000000000000000000000001", true },
    { EVENT_ID_128, "fedcba9876543210-123456789abcdef", false },
    { EVENT_ID_UUID, "84961386-6d84-4929-98bd-c5aee93b5c88", true },
    { EVENT_ID_UUID, "84961386-6d84-4929-98bd_c5aee93b5c88", false },
    { EVENT_ID_UUID, "8496138606d84-4929-98bd-c5aee93b5c88", false },
    { EVENT_ID_UUID, "00000000-0000-0000-0000-000000000000", false },
};

START_TEST(ids_come_back)
{
    struct str text = str_of(ids[_i].text);
    uint8_t id[EVENT_ID_BYTES];
    char again[EVENT_ID_TEXT];

    ck_assert(event_id_parse(ids[_i].kind, text, id) == ids[_i].good);
    if (!ids[_i].good)
        return;
    event_id_print(ids[_i].kind, id, again);
    ck_assert(str_eq((struct str){ again, event_id_length(ids[_i].kind) }, text));
}
END_TEST

/* Of every byte at every place: digits and a to f alone are hexadecimal. */
START_TEST(ids_take_hexadecimal_alone)
{
    uint8_t id[EVENT_ID_BYTES];

    for (size_t at = 0; at < 32; at++)
        for (int c = 0; c < 256; c++) {
            char text[33] = "11111111111111111111111111111111";
            bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');

            text[at] = (char)c;
            if (event_id_parse(EVENT_ID_128, (struct str){ text, 32 }, id) != hex)
                ck_abort_msg("byte %d at %zu", c, at);
        }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("event_filter");
    TCase *tc = tcase_create("event_filter");

    tcase_add_loop_test(tc, tokens, 0, COUNT(cases));
    tcase_add_loop_test(tc, holds_what_was_put_in, 0, COUNT(amounts));
    tcase_add_test(tc, short_numbers_do_not_count);
    tcase_add_loop_test(tc, ids_come_back, 0, COUNT(ids));
    tcase_add_test(tc, ids_take_hexadecimal_alone);
    tcase_set_timeout(tc, 60);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)
