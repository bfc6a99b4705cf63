#include "collector/relabel.h"

#include "base/mem.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

/* "a=1,b=2" into the builder. */
static void fill(struct label_builder *b, const char *text)
{
    struct str rest = str_of(text);

    while (rest.n) {
        struct str value = str_cut(&rest, ','), name = str_cut(&value, '=');

        ck_assert_int_eq(label_builder_set(b, name, value), 0);
    }
}

static void show(struct label_builder *b, struct buf *out)
{
    struct labels l = label_builder_view(b);

    for (size_t i = 0; i < l.n; i++)
        buf_printf(out, "%s%.*s=%.*s", i ? "," : "", STR_ARG(l.v[i].name), STR_ARG(l.v[i].value));
}

static int read_rules(struct arena *a, const char *text, struct relabel_rules *rules, struct err *e)
{
    const struct yaml_node *root;

    ck_assert_int_eq(yaml_read_one(a, "f.yml", str_of(text), &root, e), 0);
    return relabel_read(a, "f.yml", root, rules, e);
}

static const struct {
    const char *rules, *in, *out; /* out NULL: dropped */
} cases[] = {
    { "[]", "a=1", "a=1" },
    { "[{source_labels: [a], target_label: d, regex: 'f(.*)', replacement: 'ch${1}-ch$1'}]", "a=foo", "a=foo,d=choo-choo" },
    { "[{source_labels: [a, b], target_label: d, regex: 'f(.*);(.*)r', replacement: '$1$2'}]", "a=foo,b=bar",
      "a=foo,b=bar,d=ooba" },
    { "[{source_labels: [a, b], separator: '-', target_label: d}]", "a=1,b=2", "a=1,b=2,d=1-2" },
    { "[{source_labels: [a], target_label: d, regex: 'x'}]", "a=xx", "a=xx" },
    { "[{source_labels: [a], target_label: d, regex: 'a.b'}]", "a=a\nb", "a=a\nb" },
    { "[{source_labels: [a], target_label: d, regex: '(a.b)'}]", "a=a\nb", "a=a\nb,d=a\nb" },
    { "[{target_label: d, replacement: x}]", "a=1", "a=1,d=x" },
    { "[{target_label: a, replacement: ''}]", "a=1,b=2", "b=2" },
    { "[{source_labels: [nothing], target_label: a}]", "a=1", "" },
    { "[{source_labels: [a], regex: '(\\w+)-(\\w+)', target_label: '${1}', replacement: '${2}'}]", "a=k-v", "a=k-v,k=v" },
    { "[{source_labels: [a], regex: '(?P<who>\\w+)@.*', target_label: b, replacement: '$who ${who} $$ $'}]", "a=me@x",
      "a=me@x,b=me me $ $" },
    { "[{source_labels: [a], regex: '(.)', target_label: b, replacement: 'x$1y'}]", "a=1", "a=1,b=x" },
    { "[{source_labels: [a], regex: '(.)', target_label: b, replacement: '${1}y ${ $9'}]", "a=1", "a=1,b=1y ${ " },
    { "[{source_labels: [a], regex: f.., action: keep}]", "a=foo", "a=foo" },
    { "[{source_labels: [a], regex: f., action: keep}]", "a=foo", NULL },
    { "[{source_labels: [a], regex: f.., action: DROP}]", "a=foo", NULL },
    { "[{source_labels: [a], regex: f., action: drop}]", "a=foo", "a=foo" },
    { "[{source_labels: [a], regex: '', action: drop}]", "b=foo", NULL },
    { "[{source_labels: [a], target_label: b, action: keepequal}]", "a=1,b=1", "a=1,b=1" },
    { "[{source_labels: [a], target_label: b, action: keepequal}]", "a=1,b=2", NULL },
    { "[{source_labels: [a], target_label: b, action: dropequal}]", "a=1,b=1", NULL },
    { "[{source_labels: [a], target_label: b, action: dropequal}]", "a=1,b=2", "a=1,b=2" },
    { "[{source_labels: [c], target_label: d, action: hashmod, modulus: 1000}]", "c=baz", "c=baz,d=976" },
    { "[{source_labels: [a], target_label: d, action: hashmod, modulus: 1000}]", "a=foo\nbar", "a=foo\nbar,d=734" },
    { "[{regex: '(b.*)', replacement: 'bar_${1}', action: labelmap}]", "a=foo,b1=bar,b2=baz",
      "a=foo,b1=bar,b2=baz,bar_b1=bar,bar_b2=baz" },
    { "[{regex: '__meta_(my_.+)', action: labelmap}]", "__meta_my_x=1,__meta_y=2", "__meta_my_x=1,__meta_y=2,my_x=1" },
    { "[{regex: 'b.*', action: labeldrop}]", "a=foo,b1=bar,b2=baz", "a=foo" },
    { "[{regex: 'b.*', action: labelkeep}]", "a=foo,b1=bar,b2=baz", "b1=bar,b2=baz" },
    { "[{source_labels: [a], target_label: l, action: lowercase}, {source_labels: [a], target_label: u, action: uppercase}]",
      "a=xY-9z", "a=xY-9z,l=xy-9z,u=XY-9Z" },
    { "[{source_labels: [a], target_label: l, action: lowercase}, {source_labels: [a], target_label: u, action: uppercase}]",
      "a=[É@é`ß{Ωж𐐨\xff", "a=[É@é`ß{Ωж𐐨\xff,l=[é@é`ß{ωж𐐨\xff,u=[É@É`ß{ΩЖ𐐀\xff" },
    { "[{source_labels: [a], target_label: a, action: uppercase}]", "b=1", "b=1" },
    { "[{source_labels: [a], target_label: a, replacement: 'x.$1'}, {source_labels: [a], target_label: b}]", "a=1",
      "a=x.1,b=x.1" },
};

START_TEST(applies_rules)
{
    struct arena a = ARENA_INIT(1 << 20);
    struct label_builder b = LABEL_BUILDER_INIT(&a);
    struct relabel_rules rules;
    struct buf out = BUF_INIT(4096);
    struct err e = ERR_INIT;
    int rc;

    ck_assert_msg(read_rules(&a, cases[_i].rules, &rules, &e) == 0, "%s: %s", cases[_i].rules, e.msg);
    fill(&b, cases[_i].in);
    rc = relabel_apply(&rules, &b);
    ck_assert_msg(rc == (cases[_i].out != NULL), "%s: %d", cases[_i].rules, rc);
    if (rc == 1) {
        show(&b, &out);
        ck_assert_str_eq(buf_cstr(&out), cases[_i].out);
    }
    buf_free(&out);
    arena_free(&a);
}
END_TEST

static const struct {
    const char *rules, *message;
} errors[] = {
    { "[{action: hashmod, target_label: x}]", "f.yml:1: relabel configuration for hashmod requires non-zero modulus" },
    { "[{action: replace}]", "f.yml:1: relabel configuration for replace action requires 'target_label' value" },
    { "[{action: lowercase}]", "f.yml:1: relabel configuration for lowercase action requires 'target_label' value" },
    { "[{action: uppercase, target_label: a, replacement: b}]", "f.yml:1: 'replacement' can not be set for uppercase action" },
    { "[{action: labelmap, replacement: ''}]", "f.yml:1: \"\" is invalid 'replacement' for labelmap action" },
    { "[{action: keepequal, target_label: a, regex: b}]",
      "f.yml:1: keepequal action requires only 'source_labels' and `target_label`, and no other fields" },
    { "[{action: labeldrop, source_labels: [a]}]", "f.yml:1: labeldrop action requires only 'regex', and no other fields" },
    { "[{action: nonsense}]", "f.yml:1: unknown relabel action \"nonsense\"" },
    { "- target_label: a\n  regex: '('\n",
      "f.yml:2: regex: regular expression \"(\": at 1: missing closing parenthesis" },
    { "- target_label: a\n  colour: red\n", "f.yml:2: colour: unknown field" },
    { "a: b\n", "f.yml:1: should be a list" },
    { "[a]", "f.yml:1: should be a map" },
    { "[{source_labels: a}]", "f.yml:1: source_labels: should be a list" },
    { "[{modulus: many}]", "f.yml:1: modulus: \"many\": should be a whole number" },
};

START_TEST(refuses_rules)
{
    struct arena a = ARENA_INIT(1 << 20);
    struct relabel_rules rules;
    struct err e = ERR_INIT;

    ck_assert_int_eq(read_rules(&a, errors[_i].rules, &rules, &e), ERR_INVALID);
    ck_assert_str_eq(e.msg, errors[_i].message);
    arena_free(&a);
}
END_TEST

START_TEST(survives_failing_allocations)
{
    static const char text[] = "[{source_labels: [a, b], target_label: 'x$1', replacement: '$1$1'}, {action: labelmap, regex: '(.)'},"
                               " {action: hashmod, source_labels: [a], target_label: h, modulus: 3},"
                               " {action: uppercase, source_labels: [a, b], target_label: u}]";

    for (long i = 1;; i++) {
        struct arena a = ARENA_INIT(0);
        struct label_builder b = LABEL_BUILDER_INIT(&a);
        const struct yaml_node *root;
        struct relabel_rules rules;
        struct err e = ERR_INIT;
        int rc, failed;

        ck_assert_int_eq(yaml_read_one(&a, "f", STR(text), &root, &e), 0);
        fill(&b, "a=1,b=2");
        mem_fail_at(i);
        rc = relabel_read(&a, "f", root, &rules, &e);
        if (rc == 0)
            rc = relabel_apply(&rules, &b);
        failed = mem_has_failed();
        mem_fail_at(0);
        ck_assert_int_eq(rc, failed ? ERR_NOMEM : 1);
        arena_free(&a);
        if (!failed)
            break;
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("collector/relabel");
    TCase *t = tcase_create("relabel");

    tcase_add_loop_test(t, applies_rules, 0, COUNT(cases));
    tcase_add_loop_test(t, refuses_rules, 0, COUNT(errors));
    tcase_add_test(t, survives_failing_allocations);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
