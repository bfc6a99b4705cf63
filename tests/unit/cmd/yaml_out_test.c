#include "cmd/yaml_out-internal.h"
#include "tests/unit/unit.h"

static const struct { const char *json, *yaml; } cases[] = {
    { "5", "5\n" },
    { "\"a: b\\n\"", "\"a: b\\n\"\n" },
    { "{}", "{}\n" },
    { "[]", "[]\n" },
    { "{\"a\":1,\"b\":{\"c\":true,\"d\":{}},\"e\":null}", "a: 1\nb:\n  c: true\n  d: {}\ne: null\n" },
    { "{\"v\":[\"x\",{\"k\":1,\"l\":[2]},[3,4],[]]}",
      "v:\n- \"x\"\n- k: 1\n  l:\n  - 2\n-\n  - 3\n  - 4\n- []\n" },
    { "{\"app.io/name\":1,\"No\":2,\"5\":3,\"a b\":4,\"\":5}", "app.io/name: 1\n\"No\": 2\n\"5\": 3\n\"a b\": 4\n\"\": 5\n" },
};

START_TEST(prints_blocks)
{
    json_t *value = json_loads(cases[_i].json, JSON_DECODE_ANY, NULL);
    struct buf b = BUF_INIT(4096);

    yaml_out(&b, value);
    ck_assert_str_eq(buf_cstr(&b), cases[_i].yaml);
    buf_free(&b);
    json_decref(value);
}
END_TEST

static Suite *yaml_out_suite(void)
{
    Suite *s = suite_create("yaml_out");
    TCase *t = tcase_create("yaml_out");

    tcase_add_loop_test(t, prints_blocks, 0, COUNT(cases));
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(yaml_out_suite)
