#include "base/yaml.h"

#include "base/buf.h"
#include "base/mem.h"
#include "tests/unit/unit.h"

/* A place for what is read, and the errors, one a line. */
struct world {
    struct arena arena;
    struct buf problems;
};

static void world_init(struct world *w)
{
    *w = (struct world){ .problems = BUF_INIT(1 << 20) };
}

static void world_fini(struct world *w)
{
    buf_free(&w->problems);
    arena_free(&w->arena);
}

static int tell(void *arg, int line, int column, const char *message)
{
    struct world *w = arg;

    (void)column;
    buf_printf(&w->problems, "f.yaml:%d: error: %s\n", line, message);
    return buf_failed(&w->problems) ? ERR_NOMEM : 0;
}

static const char *world_problems(struct world *w)
{
    return buf_cstr(&w->problems);
}

static int world_read(struct world *w, const char *text, struct yaml_documents *docs)
{
    return yaml_read(&w->arena, str_of(text), docs, &(struct yaml_errors){ tell, w });
}

static const struct {
    const char *in;
    enum yaml_kind kind;
    double number;
} scalars[] = {
    { "null", YAML_NULL, 0 },        { "~", YAML_NULL, 0 },          { "", YAML_NULL, 0 },
    { "true", YAML_BOOL, 1 },        { "False", YAML_BOOL, 0 },      { "yes", YAML_STRING, 0 },
    { "off", YAML_STRING, 0 },       { "80", YAML_NUMBER, 80 },      { "-7", YAML_NUMBER, -7 },
    { "+1.5", YAML_NUMBER, 1.5 },    { ".5", YAML_NUMBER, 0.5 },     { "1e3", YAML_NUMBER, 1000 },
    { "0x1F", YAML_NUMBER, 31 },     { "0o17", YAML_NUMBER, 15 },    { "0644", YAML_NUMBER, 420 },
    { "089", YAML_NUMBER, 89 },      { "1.", YAML_NUMBER, 1 },       { "1.2.3", YAML_STRING, 0 },
    { "1e", YAML_STRING, 0 },        { ".", YAML_STRING, 0 },        { "-", YAML_STRING, 0 },
    { "0x", YAML_STRING, 0 },        { "10:30", YAML_STRING, 0 },    { "v1", YAML_STRING, 0 },
    { "2024-01-01", YAML_STRING, 0 },
};

START_TEST(resolves_scalars)
{
    struct yaml_node n = { .text = str_of(scalars[_i].in) };

    yaml_resolve(&n);
    ck_assert_msg(n.kind == scalars[_i].kind, "\"%s\": kind %d", scalars[_i].in, n.kind);
    if (n.kind == YAML_NUMBER)
        ck_assert_double_eq(n.number, scalars[_i].number);
    if (n.kind == YAML_BOOL)
        ck_assert_int_eq(n.boolean, scalars[_i].number > 0);
}
END_TEST

static const struct yaml_node *read_one(struct world *w, const char *text)
{
    struct yaml_documents docs = { NULL, 0, 0 };

    ck_assert_int_eq(world_read(w, text, &docs), 0);
    return docs.n ? &docs.v[0] : NULL;
}

START_TEST(keeps_places)
{
    struct world w;
    const struct yaml_node *n;

    world_init(&w);
    n = read_one(&w, "# first\n---\na:\n  b:\n  - c\n  -  d: 'e'\n");
    ck_assert_ptr_nonnull(n);
    n = yaml_path(n, "a.b");
    ck_assert_ptr_nonnull(n);
    ck_assert_int_eq(n->line, 4);
    ck_assert_int_eq(n->items[0].line, 5);
    ck_assert_int_eq(n->items[0].column, 5);
    n = yaml_get(&n->items[1], "d");
    ck_assert_int_eq(n->line, 6);
    ck_assert_int_eq(n->column, 6);
    ck_assert(str_eqz(yaml_text(n), "e"));
    ck_assert_ptr_null(yaml_get(n, "x"));
    ck_assert_ptr_null(yaml_path(NULL, "x.y"));
    world_fini(&w);
}
END_TEST

static const struct {
    const char *in, *problem;
} errors[] = {
    { "a: 1\nb: 2\na: 3\n", "f.yaml:3: error: \"a\" stands twice in one map: lines 1 and 3\n" },
    { "a:\n- x\n b: 1\n", "f.yaml:3: error: mapping values are not allowed in this context\n" },
    { "a: [1, 2\n", "f.yaml:2: error: while parsing a flow sequence: did not find expected ',' or ']'\n" },
    { "a: *x\n", "f.yaml:1: error: alias *x: there is no anchor &x before it\n" },
    { "a: &x [1, *x]\n", "f.yaml:1: error: alias *x stands inside of what it names\n" },
    { "a: !date 5\n", "f.yaml:1: error: tag \"!date\" is not offered: write the value as it is\n" },
    { "? [a]\n: 1\n", "f.yaml:1: error: a map's key must be a plain word\n" },
    { "\tb: 1\n", "f.yaml:1: error: while scanning for the next token: found character that cannot start any token\n" },
    { "a: \"\\ud800\"\n", "f.yaml:1: error: while parsing a quoted scalar: found invalid Unicode character escape code\n" },
    { "a: 1\n---\nb: [\n---\nc: {\n",
      "f.yaml:4: error: while parsing a flow node: did not find expected node content\n"
      "f.yaml:6: error: while parsing a flow node: did not find expected node content\n" },
};

START_TEST(names_the_place_of_errors)
{
    struct world w;

    world_init(&w);
    read_one(&w, errors[_i].in);
    ck_assert_str_eq(world_problems(&w), errors[_i].problem);
    world_fini(&w);
}
END_TEST

START_TEST(goes_on_after_a_broken_document)
{
    struct world w;
    struct yaml_documents docs = { NULL, 0, 0 };
    const char *text = "a: 1\n---\nb: [\n---\n# of the third\nc: 3\n---\n";

    world_init(&w);
    ck_assert_int_eq(world_read(&w, text, &docs), 0);
    ck_assert_str_eq(world_problems(&w), "f.yaml:4: error: while parsing a flow node: did not find expected node content\n");
    ck_assert_uint_eq(docs.n, 3);
    ck_assert_int_eq(yaml_get(&docs.v[1], "c")->line, 6);
    ck_assert_int_eq(docs.v[2].kind, YAML_NULL);
    world_fini(&w);
}
END_TEST

START_TEST(shares_what_aliases_name)
{
    struct world w;
    const struct yaml_node *n;

    world_init(&w);
    n = read_one(&w, "base: &b {x: 1, y: [2]}\none: *b\ntwo:\n- *b\n");
    ck_assert_ptr_nonnull(n);
    ck_assert_double_eq(yaml_path(n, "one.x")->number, 1);
    ck_assert_ptr_eq(yaml_path(n, "one")->items, yaml_path(n, "base")->items);
    ck_assert_int_eq(yaml_get(n, "one")->line, 2);
    ck_assert(str_eqz(yaml_get(n, "one")->key, "one"));
    world_fini(&w);
}
END_TEST

START_TEST(bounds_what_aliases_stand_for)
{
    struct world w;

    world_init(&w);
    read_one(&w, "a: &a [1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b]\n"
                 "d: &d [*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d]\n");
    ck_assert_ptr_nonnull(strstr(world_problems(&w), "f.yaml:5: error: aliases stand for more than 10000 values"));
    world_fini(&w);
}
END_TEST

START_TEST(bounds_depth_and_size)
{
    struct world w;
    struct buf b = BUF_INIT(16 << 20);

    world_init(&w);
    for (int i = 0; i < 70; i++)
        buf_putc(&b, '[');
    buf_putc(&b, '\0');
    read_one(&w, b.p);
    ck_assert_str_eq(world_problems(&w), "f.yaml:1: error: deeper than 64 levels\n");
    world_fini(&w);

    world_init(&w);
    buf_reset(&b);
    while (b.n <= YAML_MOST_BYTES)
        buf_puts(&b, "# nothing but comments, and too many of them\n");
    buf_putc(&b, '\0');
    read_one(&w, b.p);
    ck_assert_ptr_nonnull(strstr(world_problems(&w), "more than 8388608"));
    buf_free(&b);
    world_fini(&w);
}
END_TEST

START_TEST(reads_json)
{
    struct world w;
    const struct yaml_node *n;

    world_init(&w);
    n = read_one(&w, "{\"a\":{\"b\":[true,null,1.5e2,\"x\\/y\\n\"]},\n\t\"c\":\"\\ud83d\\ude00 \\\\ud83d\"}");
    ck_assert_msg(n != NULL, "%s", world_problems(&w));
    ck_assert_double_eq(yaml_path(n, "a.b")->items[2].number, 150);
    ck_assert(str_eqz(yaml_text(&yaml_path(n, "a.b")->items[3]), "x/y\n"));
    ck_assert(str_eqz(yaml_text(yaml_get(n, "c")), "\xf0\x9f\x98\x80 \\ud83d"));
    world_fini(&w);
}
END_TEST

START_TEST(changes_a_copy)
{
    struct world w;
    const struct yaml_node *n, *m;

    world_init(&w);
    n = read_one(&w, "spec: {ports: [1], clusterIP: ''}\n");
    m = yaml_with(&w.arena, n, "spec.clusterIP", STR("127.96.0.1"));
    ck_assert(str_eqz(yaml_text(yaml_path(m, "spec.clusterIP")), "127.96.0.1"));
    ck_assert(str_eqz(yaml_text(yaml_path(n, "spec.clusterIP")), ""));
    m = yaml_with(&w.arena, n, "metadata.name", STR("x"));
    ck_assert(str_eqz(yaml_text(yaml_path(m, "metadata.name")), "x"));
    ck_assert_ptr_eq(yaml_path(m, "spec.ports")->items, yaml_path(n, "spec.ports")->items);
    ck_assert_ptr_null(yaml_with(&w.arena, n, "spec.ports.x", STR("x")));
    world_fini(&w);
}
END_TEST

START_TEST(survives_failing_allocations)
{
    for (long i = 1;; i++) {
        struct world w;
        struct yaml_documents docs = { NULL, 0, 0 };
        int rc, failed;

        world_init(&w);
        mem_fail_at(i);
        rc = world_read(&w, "a: &x {b: [1, 2, *nothing]}\n---\nc: d\nc: e\n---\n[1,[2,[3]]]\n", &docs);
        failed = mem_has_failed();
        mem_fail_at(0);
        ck_assert_int_eq(rc, failed ? ERR_NOMEM : 0);
        world_fini(&w);
        if (!failed)
            break;
    }
}
END_TEST

static const struct {
    const char *in;
    int rc;
    const char *message;
} singles[] = {
    { "a: 1\n", 0, NULL },
    { "", 0, NULL },
    { "a: [\n", ERR_PARSE, "f.yaml:2: while parsing a flow node: did not find expected node content" },
    { "a: 1\n---\nb: 2\n", ERR_PARSE, "f.yaml:3: should be one document, not 2" },
};

START_TEST(reads_one_document)
{
    struct world w;
    const struct yaml_node *root;
    struct err e = ERR_INIT;

    world_init(&w);
    ck_assert_int_eq(yaml_read_one(&w.arena, "f.yaml", str_of(singles[_i].in), &root, &e), singles[_i].rc);
    if (singles[_i].message)
        ck_assert_str_eq(e.msg, singles[_i].message);
    ck_assert((root != NULL) == (singles[_i].rc == 0 && singles[_i].in[0]));
    world_fini(&w);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("base/yaml");
    TCase *t = tcase_create("yaml");

    tcase_add_loop_test(t, resolves_scalars, 0, COUNT(scalars));
    tcase_add_test(t, keeps_places);
    tcase_add_loop_test(t, names_the_place_of_errors, 0, COUNT(errors));
    tcase_add_test(t, goes_on_after_a_broken_document);
    tcase_add_test(t, shares_what_aliases_name);
    tcase_add_test(t, bounds_what_aliases_stand_for);
    tcase_add_test(t, bounds_depth_and_size);
    tcase_add_test(t, reads_json);
    tcase_add_test(t, changes_a_copy);
    tcase_add_loop_test(t, reads_one_document, 0, COUNT(singles));
    tcase_add_test(t, survives_failing_allocations);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
