#include "query/dependencies-internal.h"
#include "tests/unit/query/events_store.h"

#define SECOND INT64_C(1000000000)
#define T0 (INT64_C(1700000000) * SECOND)

/* Spans, one a line: trace (a letter, all its digits), id, parent ("-": none), kind, service, name, begin and duration in
 * ms, and name=value for an attribute; status=2 for a failure. */
static void put_spans(struct events_store *s, const char *lines)
{
    char trace, id[20], parent[20], kind[20], service[20], name[20], tag[40];
    int begin, duration, n;

    while (sscanf(lines, " %c %19s %19s %19s %19s %19s %d %d %39s%n", &trace, id, parent, kind, service, name, &begin,
                  &duration, tag, &n) == 9) {
        union event_value v[SPAN_NCOLUMNS] = { 0 };
        struct event ev = { T0 + begin * (SECOND / 1000), v, { NULL, 0 } };
        struct str value = arena_str(s->batch.arena, str_of(tag)), key = str_cut(&value, '=');
        struct label *l = ARENA_NEW(s->batch.arena, struct label);
        char *digits = arena_alloc(s->batch.arena, 33);

        lines += n;
        memset(digits, trace, 32);
        digits[32] = '\0';
        v[SPAN_trace_id].s = str_of(digits);
        v[SPAN_span_id].s = arena_printf(s->batch.arena, "%016llx", strtoull(id, NULL, 16));
        if (*parent != '-')
            v[SPAN_parent_span_id].s = arena_printf(s->batch.arena, "%016llx", strtoull(parent, NULL, 16));
        v[SPAN_kind].s = *kind == '-' ? STR_NULL : arena_str(s->batch.arena, str_of(kind));
        v[SPAN_service].s = *service == '-' ? STR_NULL : arena_str(s->batch.arena, str_of(service));
        v[SPAN_name].s = arena_str(s->batch.arena, str_of(name));
        v[SPAN_duration_ns].i = duration * (SECOND / 1000);
        if (str_eqz(key, "status")) {
            v[SPAN_status].i = value.p[0] - '0';
        } else if (value.p) {
            *l = (struct label){ key, value };
            ev.attributes = (struct labels){ l, 1 };
        }
        ck_assert_int_eq(batch_add_event(&s->batch, EVENT_SPAN, &ev), 0);
    }
    ck_assert_msg(strspn(lines, " \n") == strlen(lines), "not read: %s", lines);
    events_store_commit(s);
}

/* "trace: id<parent id<parent …" of each trace, ids without zeros in front. */
static void print_traces(struct buf *out, const struct trace *t, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buf_printf(out, "%s%c:", i ? "; " : "", t[i].id.p[0]);
        for (size_t k = 0; k < t[i].n; k++) {
            buf_printf(out, " %llx", strtoull(t[i].spans[k].span_id.p, NULL, 16));
            if (t[i].spans[k].parent_id.n)
                buf_printf(out, "<%llx", strtoull(t[i].spans[k].parent_id.p, NULL, 16));
        }
    }
    buf_putc(out, '\0');
}

static const char spans[] = "a 1 - server web  get  0    50 tenant=one\n"
                            "a 2 1 client web  call 10   30 -\n"
                            "a 3 2 server cart list 15   20 status=2\n"
                            "b 1 - server web  get  1000 500 tenant=two\n"
                            "b 2 1 client web  call 1010 30 -\n"
                            "c 1 - server cart list 2000 1 -\n"
                            /* Zipkin's way: both halves of a call have one id */
                            "d 1 - client web  call 3000 40 -\n"
                            "d 1 - server cart list 3010 20 -\n"
                            "d 2 1 -      cart work 3015 5 -\n"
                            /* one that came twice */
                            "e 1 - server web  get  4000 5 -\n"
                            "e 1 - server web  get  4000 5 -\n"
                            /* a caller who was not seen, and one nobody knows */
                            "f 9 8 server cart list 5000 5 -\n"
                            "f 7 9 server -    x    5000 1 -\n";

static const struct {
    const char *service, *operation, *kind, *tag, *value;
    int min_ms, max_ms, from_ms, to_ms, limit;
    const char *found;
} searches[] = {
    { .service = "web", .limit = 9, .found = "e: 1; d: 1 X<1 2<X; b: 1 2<1; a: 1 2<1 3<2" },
    { .service = "web", .limit = 2, .found = "e: 1; d: 1 X<1 2<X" },
    { .service = "web", .limit = 0, .found = "" },
    { .service = "nobody", .limit = 9, .found = "" },
    { .operation = "list", .limit = 9, .found = "f: 9<8 7<9; d: 1 X<1 2<X; c: 1; a: 1 2<1 3<2" },
    { .service = "web", .operation = "list", .limit = 9, .found = "" },
    { .service = "web", .kind = "client", .limit = 9, .found = "d: 1 X<1 2<X; b: 1 2<1; a: 1 2<1 3<2" },
    { .tag = "tenant", .value = "two", .limit = 9, .found = "b: 1 2<1" },
    { .tag = "error", .value = "true", .limit = 9, .found = "a: 1 2<1 3<2" },
    { .service = "cart", .tag = "error", .value = "false", .limit = 9, .found = "f: 9<8 7<9; d: 1 X<1 2<X; c: 1" },
    { .service = "cart", .tag = "otel.status_code", .value = "ERROR", .limit = 9, .found = "a: 1 2<1 3<2" },
    { .tag = "span.kind", .value = "client", .service = "web", .limit = 1, .found = "d: 1 X<1 2<X" },
    { .min_ms = 500, .limit = 9, .found = "b: 1 2<1" },
    { .service = "cart", .max_ms = 1, .limit = 9, .found = "c: 1" },
    { .min_ms = 20, .max_ms = 30, .service = "cart", .limit = 9, .found = "d: 1 X<1 2<X; a: 1 2<1 3<2" },
    /* the range is of the spans that are looked for: their traces come whole */
    { .service = "cart", .from_ms = 15, .to_ms = 16, .limit = 9, .found = "a: 1 2<1 3<2" },
    { .service = "cart", .from_ms = 16, .to_ms = 2000, .limit = 9, .found = "" },
};

/* X stands for the id that the server's half of d's shared span gets. */
static void replace_new_id(char *text)
{
    char *colon = strstr(text, "d: 1 "), *end;
    char id[32];

    if (!colon)
        return;
    end = strchr(colon + 5, '<');
    snprintf(id, sizeof(id), "%.*s", (int)(end - colon - 5), colon + 5);
    for (char *at; (at = strstr(text, id));) {
        *at = 'X';
        memmove(at + 1, at + strlen(id), strlen(at + strlen(id)) + 1);
    }
}

START_TEST(finds_whole_traces)
{
    const struct label tag = { str_of(searches[_i].tag), str_of(searches[_i].value) };
    struct trace_search q = { .service = str_of(searches[_i].service),
                              .operation = str_of(searches[_i].operation),
                              .kind = str_of(searches[_i].kind),
                              .tags = &tag,
                              .ntags = tag.name.p != NULL,
                              .min_ns = searches[_i].min_ms * (SECOND / 1000),
                              .max_ns = searches[_i].max_ms * (SECOND / 1000),
                              .from_ns = T0 + searches[_i].from_ms * (SECOND / 1000),
                              .to_ns = searches[_i].to_ms ? T0 + searches[_i].to_ms * (SECOND / 1000) : INT64_MAX,
                              .limit = (size_t)searches[_i].limit };
    struct arena a = ARENA_INIT(64 << 20);
    struct buf text = BUF_INIT(64 << 10);
    struct events_store s;
    struct err e = ERR_INIT;
    struct trace *t;
    size_t n;

    events_store_open(&s);
    put_spans(&s, spans);
    ck_assert_msg(traces_find(s.st, &q, &a, &t, &n, &e) == 0, "%s", e.msg);
    print_traces(&text, t, n);
    replace_new_id(text.p);
    ck_assert_str_eq(text.p, searches[_i].found);
    buf_free(&text);
    arena_free(&a);
    events_store_close(&s);
}
END_TEST

START_TEST(gets_one_by_its_id)
{
    static const struct {
        const char *id;
        int rc;
        size_t n;
    } ids[] = {
        { "dddddddddddddddddddddddddddddddd", 0, 3 }, { "DDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDD", 0, 3 },
        { "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee", 0, 1 }, { "1", ERR_NOTFOUND, 0 }, { "", ERR_INVALID, 0 },
        { "xyz", ERR_INVALID, 0 },                    { "1ddddddddddddddddddddddddddddddddd", ERR_INVALID, 0 },
    };
    struct events_store s;

    events_store_open(&s);
    put_spans(&s, spans);
    for (size_t i = 0; i < COUNT(ids); i++) {
        struct arena a = ARENA_INIT(64 << 20);
        struct trace t = { .n = 0 };

        ck_assert_int_eq(traces_get(s.st, str_of(ids[i].id), INT64_MIN, INT64_MAX, &a, &t, NULL), ids[i].rc);
        ck_assert_uint_eq(t.n, ids[i].n);
        arena_free(&a);
    }
    events_store_close(&s);
}
END_TEST

/* The same spans give the same ids, each time they are read. */
START_TEST(new_ids_stay)
{
    struct arena a = ARENA_INIT(64 << 20);
    struct events_store s;
    struct trace one, two;

    events_store_open(&s);
    put_spans(&s, spans);
    ck_assert_int_eq(traces_get(s.st, STR("dddddddddddddddddddddddddddddddd"), INT64_MIN, INT64_MAX, &a, &one, NULL), 0);
    ck_assert_int_eq(traces_get(s.st, STR("dddddddddddddddddddddddddddddddd"), INT64_MIN, INT64_MAX, &a, &two, NULL), 0);
    for (size_t i = 0; i < one.n; i++)
        ck_assert(str_eq(one.spans[i].span_id, two.spans[i].span_id));
    arena_free(&a);
    events_store_close(&s);
}
END_TEST

START_TEST(lists_services_and_operations)
{
    struct arena a = ARENA_INIT(64 << 20);
    struct trace_operation *o;
    struct events_store s;
    struct str *names;
    size_t n;

    events_store_open(&s);
    put_spans(&s, spans);
    ck_assert_int_eq(traces_services(s.st, INT64_MIN, INT64_MAX, &a, &names, &n, NULL), 0);
    ck_assert_uint_eq(n, 2);
    ck_assert(str_eqz(names[0], "cart") && str_eqz(names[1], "web"));
    ck_assert_int_eq(traces_operations(s.st, STR("web"), STR_NULL, INT64_MIN, INT64_MAX, &a, &o, &n, NULL), 0);
    ck_assert_uint_eq(n, 2);
    ck_assert(str_eqz(o[0].name, "call") && str_eqz(o[0].kind, "client"));
    ck_assert(str_eqz(o[1].name, "get") && str_eqz(o[1].kind, "server"));
    ck_assert_int_eq(traces_operations(s.st, STR("cart"), STR("server"), INT64_MIN, INT64_MAX, &a, &o, &n, NULL), 0);
    ck_assert_uint_eq(n, 1);
    arena_free(&a);
    events_store_close(&s);
}
END_TEST

START_TEST(sums_up_who_calls_whom)
{
    struct arena a = ARENA_INIT(64 << 20);
    struct buf text = BUF_INIT(64 << 10);
    struct trace_dependency *d;
    struct events_store s;
    size_t n;

    events_store_open(&s);
    put_spans(&s, spans);
    put_spans(&s, "g 1 - server web get 6000 9 -\ng 2 1 server db sql 6001 5 -\ng 3 2 server cart list 6002 1 -\n");
    ck_assert_int_eq(traces_dependencies(s.st, INT64_MIN, INT64_MAX, &a, &d, &n, NULL), 0);
    for (size_t i = 0; i < n; i++)
        buf_printf(&text, "%.*s>%.*s:%d ", STR_ARG(d[i].parent), STR_ARG(d[i].child), (int)d[i].calls);
    buf_putc(&text, '\0');
    ck_assert_str_eq(text.p, "db>cart:1 web>cart:2 web>db:1 ");
    ck_assert_int_eq(traces_dependencies(s.st, INT64_MAX - 1, INT64_MAX, &a, &d, &n, NULL), 0);
    ck_assert_uint_eq(n, 0);
    buf_free(&text);
    arena_free(&a);
    events_store_close(&s);
}
END_TEST

/* As many spans as it takes for the table to grow more than once. */
START_TEST(counts_many)
{
    enum { PAIRS = 6000 };
    struct arena a = ARENA_INIT(256 << 20);
    struct trace_dependency *d;
    struct events_store s;
    size_t n;

    events_store_open(&s);
    for (int i = 0; i < 2 * PAIRS; i++) {
        union event_value v[SPAN_NCOLUMNS] = { 0 };
        const struct event ev = { T0 + i, v, { NULL, 0 } };
        bool server = i % 2;

        v[SPAN_trace_id].s = arena_printf(s.batch.arena, "%032x", i / 2 + 1);
        v[SPAN_span_id].s = arena_printf(s.batch.arena, "%016x", server ? 2 : 1);
        v[SPAN_parent_span_id].s = server ? STR("0000000000000001") : STR_NULL;
        v[SPAN_kind].s = server ? STR("server") : STR("client");
        v[SPAN_service].s = server ? STR("b") : STR("a");
        ck_assert_int_eq(batch_add_event(&s.batch, EVENT_SPAN, &ev), 0);
    }
    events_store_commit(&s);
    ck_assert_int_eq(traces_dependencies(s.st, INT64_MIN, INT64_MAX, &a, &d, &n, NULL), 0);
    ck_assert_uint_eq(n, 1);
    ck_assert_uint_eq(d[0].calls, PAIRS);
    arena_free(&a);
    events_store_close(&s);
}
END_TEST

/* --- property: as a look at every pair of spans tells it --- */

enum { MOST_SPANS = 1500, SERVICES = 6 };

struct plain_span {
    int trace, id, parent; /* parent 0: none */
    bool server;
    int service; /* 0: it has no name */
    int64_t time_ns;
};

/* Ids of each form that the store keeps them in, and of none. */
static struct str id_text(struct arena *a, int id, int width)
{
    return id % 50 == 7 ? arena_printf(a, "odd-%d", id) : arena_printf(a, "%0*x", width, id);
}

static void put_plain(struct events_store *s, const struct plain_span *p)
{
    struct arena *a = s->batch.arena;
    union event_value v[SPAN_NCOLUMNS] = { 0 };
    const struct event ev = { p->time_ns, v, { NULL, 0 } };

    v[SPAN_trace_id].s = id_text(a, p->trace, 32);
    v[SPAN_span_id].s = id_text(a, p->id, 16);
    v[SPAN_parent_span_id].s = p->parent ? id_text(a, p->parent, 16) : STR_NULL;
    v[SPAN_kind].s = p->server ? STR("server") : STR("client");
    v[SPAN_service].s = p->service ? arena_printf(a, "s%d", p->service) : STR_NULL;
    ck_assert_int_eq(batch_add_event(&s->batch, EVENT_SPAN, &ev), 0);
}

static const struct plain_span *find_plain(const struct plain_span *v, size_t n, int trace, int id, bool server)
{
    for (size_t i = 0; i < n; i++)
        if (v[i].trace == trace && v[i].id == id && v[i].server == server)
            return &v[i];
    return NULL;
}

static void count_plain(const struct plain_span *v, size_t n, unsigned calls[SERVICES + 1][SERVICES + 1])
{
    for (size_t i = 0; i < n; i++) {
        const struct plain_span *s = &v[i], *caller = NULL;

        if (s->server)
            caller = find_plain(v, n, s->trace, s->id, false);
        if (!caller && s->parent)
            caller = find_plain(v, n, s->trace, s->parent, true);
        if (!caller && s->parent)
            caller = find_plain(v, n, s->trace, s->parent, false);
        if (caller && caller->service && s->service && caller->service != s->service)
            calls[caller->service][s->service]++;
    }
}

/* Each half of each span once: which of two would count is nobody's promise. */
static size_t make_plain(struct plain_span *v, unsigned *seed)
{
    size_t n = 0, want = (size_t)rand_r(seed) % MOST_SPANS;

    for (size_t tries = 0; n < want && tries < 4 * MOST_SPANS; tries++) {
        struct plain_span s = { .trace = 1 + rand_r(seed) % 120, .id = 1 + rand_r(seed) % 40, .server = rand_r(seed) % 2,
                                .service = rand_r(seed) % (SERVICES + 1), .time_ns = T0 + rand_r(seed) % 1000000 };

        s.parent = rand_r(seed) % 4 ? 1 + rand_r(seed) % 40 : 0;
        if (!find_plain(v, n, s.trace, s.id, s.server))
            v[n++] = s;
    }
    return n;
}

START_TEST(dependencies_are_what_every_pair_tells)
{
    static struct plain_span v[MOST_SPANS];
    unsigned seed = (unsigned)_i + 1, calls[SERVICES + 1][SERVICES + 1] = { { 0 } }, total = 0;
    size_t n = make_plain(v, &seed), found, first = 0;
    const uint64_t most_spans = _i % 3 ? 1 + (uint64_t)rand_r(&seed) % MOST_SPANS : UINT64_MAX;
    struct arena a = ARENA_INIT(64 << 20);
    struct trace_dependency *d;
    struct events_store s;
    struct err e = ERR_INIT;

    events_store_open(&s);
    for (size_t i = 0; i < n; i++) {
        put_plain(&s, &v[i]);
        if (i + 1 == n || rand_r(&seed) % 300 == 0) {
            events_store_commit(&s);
            first = i + 1;
        }
    }
    ck_assert_uint_eq(first, n);
    count_plain(v, n, calls);
    ck_assert_msg(dependencies_find(s.st, INT64_MIN, INT64_MAX, most_spans, &a, &d, &found, &e) == 0, "%s", e.msg);
    for (size_t i = 0; i < found; i++)
        ck_assert_uint_eq(d[i].calls, calls[d[i].parent.p[1] - '0'][d[i].child.p[1] - '0']);
    for (int i = 0; i <= SERVICES; i++)
        for (int k = 0; k <= SERVICES; k++)
            total += calls[i][k] > 0;
    ck_assert_uint_eq(found, total);
    arena_free(&a);
    events_store_close(&s);
}
END_TEST

START_TEST(dependencies_are_of_the_range)
{
    static const struct plain_span v[] = { { 1, 1, 0, false, 1, T0 }, { 1, 2, 1, true, 2, T0 + 5 }, { 1, 3, 2, false, 3, T0 + 9 } };
    struct arena a = ARENA_INIT(64 << 20);
    struct trace_dependency *d;
    struct events_store s;
    size_t n;

    events_store_open(&s);
    for (size_t i = 0; i < COUNT(v); i++)
        put_plain(&s, &v[i]);
    events_store_commit(&s);
    ck_assert_int_eq(traces_dependencies(s.st, T0 + 1, T0 + 10, &a, &d, &n, NULL), 0);
    ck_assert_uint_eq(n, 1);
    ck_assert(str_eqz(d[0].parent, "s2") && str_eqz(d[0].child, "s3"));
    ck_assert_int_eq(traces_dependencies(s.st, T0, T0 + 9, &a, &d, &n, NULL), 0);
    ck_assert_uint_eq(n, 1);
    ck_assert(str_eqz(d[0].parent, "s1") && str_eqz(d[0].child, "s2"));
    arena_free(&a);
    events_store_close(&s);
}
END_TEST

static int all_of_it(struct store *st, struct arena *a, struct err *e)
{
    const struct trace_search q = { .service = STR("web"), .to_ns = INT64_MAX, .limit = 9 };
    struct trace_dependency *d;
    struct trace_operation *o;
    struct trace *t;
    size_t n;
    int rc = traces_find(st, &q, a, &t, &n, e);

    if (rc == 0)
        rc = traces_operations(st, STR("web"), STR_NULL, INT64_MIN, INT64_MAX, a, &o, &n, e);
    return rc < 0 ? rc : traces_dependencies(st, INT64_MIN, INT64_MAX, a, &d, &n, e);
}

START_TEST(survives_failing_allocations)
{
    struct events_store s;
    bool failed = true;

    events_store_open(&s);
    put_spans(&s, spans);
    for (long n = 1; failed; n++) {
        struct arena a = ARENA_INIT(64 << 20);
        struct err e = ERR_INIT;
        int rc;

        mem_fail_at(n);
        rc = all_of_it(s.st, &a, &e);
        failed = mem_has_failed();
        mem_fail_at(0);
        ck_assert_msg(failed ? rc < 0 && e.msg[0] : rc == 0, "%ld: %d %s", n, rc, e.msg);
        arena_free(&a);
    }
    events_store_close(&s);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("traces");
    TCase *t = tcase_create("traces");

    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, finds_whole_traces, 0, COUNT(searches));
    tcase_add_test(t, gets_one_by_its_id);
    tcase_add_test(t, new_ids_stay);
    tcase_add_test(t, lists_services_and_operations);
    tcase_add_test(t, sums_up_who_calls_whom);
    tcase_add_test(t, counts_many);
    tcase_add_loop_test(t, dependencies_are_what_every_pair_tells, 0, 12);
    tcase_add_test(t, dependencies_are_of_the_range);
    tcase_add_test(t, survives_failing_allocations);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
