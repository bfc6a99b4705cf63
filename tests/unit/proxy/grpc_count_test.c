#include "proxy/grpc_count.h"

#include "tests/unit/unit.h"

static const struct {
    const char *name;
    struct str bytes;
    uint64_t messages;
} bodies[] = {
    { "none", STR_INIT(""), 0 },
    { "one that is empty", STR_INIT("\0\0\0\0\0"), 1 },
    { "one", STR_INIT("\0\0\0\0\3abc"), 1 },
    { "three, one empty, one compressed", STR_INIT("\0\0\0\0\1a\0\0\0\0\0\1\0\0\0\2bc"), 3 },
    { "zeros inside a message begin none", STR_INIT("\0\0\0\0\12\0\0\0\0\0\0\0\0\0\0"), 1 },
    { "one cut in its prefix counts as begun", STR_INIT("\0\0\0\0\1a\0\0"), 2 },
    { "one cut in its bytes", STR_INIT("\0\1\0\0\0abc"), 1 },
    { "a length of more than a byte", STR_INIT("\0\0\0\1\0"
                                               "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
                                               "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
                                               "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
                                               "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
                                               "\0\0\0\0\0"), 2 },
};

/* However the bytes are cut, the count is the same. */
START_TEST(counts_messages_cut_anywhere)
{
    struct str all = bodies[_i].bytes;

    for (size_t piece = 1; piece <= all.n + 1; piece++) {
        struct grpc_count c = { 0 };

        for (size_t at = 0; at < all.n; at += piece) {
            struct str rest = str_from(all, at);

            grpc_count_data(&c, (struct str){ rest.p, rest.n < piece ? rest.n : piece });
        }
        ck_assert_msg(c.messages == bodies[_i].messages, "%s in pieces of %zu: %llu", bodies[_i].name, piece,
                      (unsigned long long)c.messages);
    }
}
END_TEST

static const struct {
    const char *type;
    bool grpc;
} types[] = {
    { "application/grpc", true },        { "application/grpc+proto", true }, { "Application/GRPC", true },
    { "application/grpc;charset=x", true }, { "application/grpc-web", false }, { "application/grp", false },
    { "application/json", false },       { "", false },
};

START_TEST(knows_grpcs_content_type)
{
    ck_assert_msg(grpc_is_content_type(str_of(types[_i].type)) == types[_i].grpc, "%s", types[_i].type);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("grpc_count");
    TCase *t = tcase_create("grpc_count");

    tcase_add_loop_test(t, counts_messages_cut_anywhere, 0, COUNT(bodies));
    tcase_add_loop_test(t, knows_grpcs_content_type, 0, COUNT(types));
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
