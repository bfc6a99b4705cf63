#include "tests/unit/graph/hops.h"

#include "base/mem.h"

#include <jansson.h>
#include <stdio.h>

/* Names that want to be more than names. */
#define EVIL "\"><script>alert(1)</script>.ns&amp;"
#define EVIL2 "=cmd|' /C calc'!A0.%s\\n\\\"]]>"
#define EVIL3 "\xff\xfe\x01\xc0\xaf\xed\xa0\x80.-->\r\n%%{init}"

static const struct hop hostile[] = {
    { "source", EVIL, EVIL2, "a;b|c{}[]()\"`<br/>.svc", "http", "200", "-", 10 },
    { "source", EVIL2, EVIL3, "</title>.x", "http", "500", "<b>", 5 },
    { "source", EVIL3, EVIL, "", "tcp", "", "-", 5000 },
    { "source", "\\N.\\G", "\\E\\T\\H.<>", "", "http", "503", "UF", 5 },
    { "source", "node.graph", "edge.subgraph", "strict.digraph", "grpc", "14", "-", 5 },
};

static struct graph *hostile_graph(void)
{
    struct graph_options o = { .type = GRAPH_VERSIONED_APP, .inject_service_nodes = true, .boxes = 7 };

    return must_graph(hostile, COUNT(hostile), &o);
}

static struct buf export(struct graph *g, enum graph_format f)
{
    struct buf b = BUF_INIT(1 << 26);
    struct err e = ERR_INIT;

    ck_assert_msg(graph_export(g, f, &b, &e) == 0, "%s", e.msg);
    buf_putc(&b, '\0');
    b.n--;
    return b;
}

static size_t count(struct buf b, const char *needle)
{
    size_t n = 0;

    for (const char *p = strstr(b.p, needle); p; p = strstr(p + 1, needle))
        n++;
    return n;
}

/* ---- hostile names --------------------------------------------------------------------------------------------- */

START_TEST(json_stays_json)
{
    static const enum graph_format formats[] = { GRAPH_JSON, GRAPH_KIALI, GRAPH_KIALI_PLAIN };
    struct graph *g = hostile_graph();
    struct buf b = export(g, formats[_i]);
    json_error_t e;
    json_t *j = json_loadb(b.p, b.n, JSON_REJECT_DUPLICATES, &e);

    ck_assert_msg(j != NULL, "%s at %d", e.text, e.position);
    json_decref(j);
    buf_free(&b);
    graph_free(g);
}
END_TEST

/* Graphviz reads our DOT, and finds in it the nodes and edges that we have, by the names that we gave. */
START_TEST(dot_stays_dot)
{
    struct graph *g = hostile_graph();
    struct buf b = export(g, GRAPH_DOT);
    Agraph_t *read;

    ck_assert(str_is_utf8(buf_view(&b)));
    gv_lock();
    read = agmemread(b.p);
    ck_assert_ptr_nonnull(read);
    ck_assert_str_eq(gv_complaint(), "");
    ck_assert_int_eq(agnnodes(read), (int)g->nnodes);
    ck_assert_int_eq(agnedges(read), (int)g->nedges);
    agclose(read);
    gv_unlock();
    buf_free(&b);
    graph_free(g);
}
END_TEST

/* Well-formed as far as nesting goes: every tag is closed in order, no raw '<' or '&' in text. */
static void check_xml(struct buf b)
{
    char stack[64][32];
    size_t depth = 0;

    for (const char *p = strchr(b.p, '<'); p; p = strchr(p, '<')) {
        const char *end = strchr(p, '>'), *name = p + 1 + (p[1] == '/');
        size_t n = strcspn(name, " \t\n/>");

        if (strncmp(p, "<!--", 4) == 0)
            end = strstr(p, "-->");
        ck_assert_ptr_nonnull(end);
        if (p[1] == '/') {
            ck_assert_msg(depth > 0 && strlen(stack[depth - 1]) == n && memcmp(stack[depth - 1], name, n) == 0,
                          "closing %.*s", (int)n, name);
            depth--;
        } else if (p[1] != '?' && p[1] != '!' && end[-1] != '/') {
            ck_assert(depth < 64 && n < 32);
            snprintf(stack[depth++], 32, "%.*s", (int)n, name);
        }
        p = end;
    }
    ck_assert_uint_eq(depth, 0);
}

START_TEST(xml_stays_xml)
{
    static const enum graph_format formats[] = { GRAPH_GRAPHML, GRAPH_SVG };
    struct graph *g = hostile_graph();
    struct buf b = export(g, formats[_i]);

    ck_assert(str_is_utf8(buf_view(&b)));
    check_xml(b);
    ck_assert_uint_eq(count(b, "<script"), 0);
    ck_assert_uint_eq(count(b, "\x01"), 0);
    for (const char *p = strchr(b.p, '&'); p; p = strchr(p + 1, '&'))
        ck_assert_msg(p[1] == '#' || strncmp(p, "&amp;", 5) == 0 || strncmp(p, "&lt;", 4) == 0 ||
                          strncmp(p, "&gt;", 4) == 0 || strncmp(p, "&quot;", 6) == 0 || strncmp(p, "&apos;", 6) == 0,
                      "%.20s", p);
    buf_free(&b);
    graph_free(g);
}
END_TEST

START_TEST(mermaid_stays_mermaid)
{
    struct graph *g = hostile_graph();
    struct buf b = export(g, GRAPH_MERMAID);

    ck_assert(str_is_utf8(buf_view(&b)));
    ck_assert_uint_eq(count(b, "<script"), 0);
    for (char *line = strtok(b.p, "\n"); line; line = strtok(NULL, "\n")) {
        size_t quotes = 0;

        for (const char *p = line; *p; p++)
            quotes += *p == '"';
        ck_assert_msg(quotes == 0 || quotes == 2, "%s", line);
        for (const char *p = strchr(line, '<'); p; p = strchr(p + 1, '<'))
            ck_assert_msg(strncmp(p, "<br/>", 5) == 0, "%s", line);
    }
    buf_free(&b);
    graph_free(g);
}
END_TEST

/* RFC 4180 rows of twelve fields, none of which a spreadsheet would run. */
START_TEST(csv_stays_csv)
{
    struct graph *g = hostile_graph();
    struct buf b = export(g, GRAPH_CSV);
    size_t fields = 1, rows = 0;
    bool quoted = false, first = true;

    for (const char *p = b.p; *p; p++) {
        if (first)
            ck_assert_msg(!strchr("=+@-", *p == '"' ? p[1] : *p) || strchr("0123456789", p[1]), "%.20s", p);
        first = false;
        if (*p == '"') {
            quoted = !quoted;
        } else if (!quoted && *p == ',') {
            fields++;
            first = p[1] != ',';
        } else if (!quoted && *p == '\n') {
            ck_assert_uint_eq(fields, 12);
            fields = 1;
            rows++;
            first = p[1] != '\0';
        }
    }
    ck_assert_uint_eq(rows, g->nedges + 1);
    buf_free(&b);
    graph_free(g);
}
END_TEST

static const struct {
    void (*escape)(struct buf *b, struct str s);
    const char *in, *out;
} escapes[] = {
    { escape_dot, "a\"b\\c&d\ne\x01", "a\\\"b\\\\c&amp;d\\ne " },
    { escape_dot, "f\xff\xc3\xa9", "f\xef\xbf\xbd\xc3\xa9" },
    { escape_xml, "<a b=\"c\" d='e'>&\n\x02", "&lt;a b=&quot;c&quot; d=&apos;e&apos;&gt;&amp;&#10;\xef\xbf\xbd" },
    { escape_mermaid, "a<b>\"#;`\n\xc3\xa9", "a#60;b#62;#34;#35;#59;#96;<br/>\xc3\xa9" },
    { escape_csv, "plain", "plain" },
    { escape_csv, "a,b", "\"a,b\"" },
    { escape_csv, "a\"b", "\"a\"\"b\"" },
    { escape_csv, "=1+1", "'=1+1" },
    { escape_csv, "@x,y", "\"'@x,y\"" },
    { escape_csv, "a=b", "a=b" },
    { escape_csv, "", "" },
    /* Overlong, surrogate, beyond the last code point, cut short. */
    { escape_mermaid, "\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd" },
    { escape_mermaid, "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
    { escape_mermaid, "\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
    { escape_mermaid, "\xf0\x9f\x98", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
    { escape_mermaid, "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80" },
};

START_TEST(escapes_texts)
{
    struct buf b = BUF_INIT(1024);

    escapes[_i].escape(&b, str_of(escapes[_i].in));
    buf_putc(&b, '\0');
    ck_assert_str_eq(b.p, escapes[_i].out);
    buf_free(&b);
}
END_TEST

/* ---- what is told ---------------------------------------------------------------------------------------------- */

static const struct hop shop[] = {
    { "source", "gw.edge", "web-v1.shop", "web.shop", "http", "200", "-", 5940 },
    { "source", "gw.edge", "web-v1.shop", "web.shop", "http", "500", "-", 60 },
    { "source", "gw.edge", "web-v1.shop", "web.shop", "http", "0", "DC", 6 },
    { "source", "gw.edge", "web-v1.shop", "web.shop", "http", "404", "-", 3 },
    { "source", "web-v1.shop", "redis.data", "redis.data", "tcp", "", "-", 3000 },
    { "source", "web-v1.shop", "redis.data", "redis.data", "tcp", "", "UH", 1000 },
};

static json_t *at(json_t *j, const char *path)
{
    char copy[128], *save = NULL;

    snprintf(copy, sizeof(copy), "%s", path);
    for (char *part = strtok_r(copy, ".", &save); part; part = strtok_r(NULL, ".", &save))
        j = json_is_array(j) ? json_array_get(j, (size_t)atoi(part)) : json_object_get(j, part);
    return j;
}

/* Paths into the answer; nodes are data/redis, edge/gw, shop/web-v1; both edges' order is by the hash of their ids. */
static const struct {
    const char *path, *json;
} told[] = {
    { "from", "0" },
    { "to", "600000" },
    { "timestamp", "600" },
    { "duration", "600" },
    { "graphType", "\"workload\"" },
    { "elements.nodes.1.data.isRoot", "true" },
    { "elements.nodes.2.data.workload", "\"web-v1\"" },
    { "elements.nodes.2.data.healthStatus", "\"Degraded\"" },
    { "elements.nodes.2.data.vigla.requests", "6009" },
    { "elements.nodes.2.data.vigla.errors", "66" },
    { "elements.nodes.2.data.vigla.clientErrors", "3" },
    { "elements.nodes.2.data.vigla.connections", "null" },
    { "elements.nodes.2.data.vigla.p95", "null" },
    { "elements.nodes.0.data.vigla.connections", "4" },
    { "elements.nodes.0.data.vigla.errors", "1" },
    { "elements.nodes.0.data.vigla.errorShare", "0.25" },
    { "elements.nodes.0.data.vigla.sentBytes", "4000" },
    { "elements.nodes.0.data.vigla.receivedBytes", "4000" },
    { "http.traffic.rates.http", "\"10.02\"" },
    { "http.traffic.rates.http5xx", "\"0.10\"" },
    { "http.traffic.rates.http4xx", "\"0.005\"" },
    { "http.traffic.rates.httpNoResponse", "\"0.01\"" },
    { "http.traffic.rates.httpPercentErr", "\"1.1\"" },
    { "http.traffic.rates.httpPercentReq", "\"100.0\"" },
    { "http.traffic.responses.-.flags.DC", "\"0.1\"" },
    { "http.vigla.rps", "10.015" },
    { "http.healthStatus", "\"Degraded\"" },
    { "tcp.traffic.rates.tcp", "\"6.67\"" },
    { "tcp.vigla.requests", "0" },
    { "tcp.vigla.connections", "4" },
    { "tcp.healthStatus", "\"NA\"" },
};

START_TEST(tells_numbers)
{
    struct graph *g = must_graph(shop, COUNT(shop), NULL);
    struct buf b = export(g, GRAPH_KIALI);
    json_t *j = json_loadb(b.p, b.n, 0, NULL), *edges = at(j, "elements.edges"), *e;
    size_t i;
    char *got;

    json_array_foreach(edges, i, e)
        json_object_set(j, json_string_value(at(e, "data.traffic.protocol")), json_object_get(e, "data"));
    got = json_dumps(at(j, told[_i].path), JSON_ENCODE_ANY | JSON_REAL_PRECISION(12));
    ck_assert_msg(got && strcmp(got, told[_i].json) == 0, "%s: %s, not %s\n%s", told[_i].path, got, told[_i].json, b.p);
    free(got);
    json_decref(j);
    buf_free(&b);
    graph_free(g);
}
END_TEST

/* Kiali rates: two decimals, more where a small number would vanish, five at most. */
static const struct {
    double requests;
    const char *rate;
} rates[] = { { 60000, "100.00" }, { 600, "1.00" }, { 300, "0.50" }, { 6, "0.01" }, { 2, "0.003" }, { 1, "0.002" },
              { 0.06, "0.0001" }, { 0.006, "0.00001" } };

START_TEST(writes_rates_as_kiali)
{
    struct hop h = { "source", "a.x", "b.x", "", "http", "200", "-", rates[_i].requests };
    struct graph *g = must_graph(&h, 1, NULL);
    struct buf b = export(g, GRAPH_KIALI_PLAIN);
    char want[64];

    snprintf(want, sizeof(want), "\"http\":\"%s\"", rates[_i].rate);
    ck_assert_msg(count(b, want) == 1, "%s in %s", want, b.p);
    buf_free(&b);
    graph_free(g);
}
END_TEST

START_TEST(positions_are_told_once_placed)
{
    struct graph *g = must_graph(shop, COUNT(shop), NULL);
    struct graph_positions *p = graph_positions_new();
    struct buf before = export(g, GRAPH_KIALI), after, plain;

    ck_assert_int_eq(graph_layout(g, p, NULL), 0);
    after = export(g, GRAPH_KIALI);
    plain = export(g, GRAPH_KIALI_PLAIN);
    ck_assert_uint_eq(count(before, "\"position\""), 0);
    ck_assert_uint_eq(count(after, "\"position\""), g->nnodes);
    ck_assert_uint_eq(count(plain, "\"position\""), 0);
    ck_assert_uint_eq(count(plain, "vigla"), 0);
    ck_assert_uint_eq(count(plain, "healthStatus"), 0);
    buf_free(&before);
    buf_free(&after);
    buf_free(&plain);
    graph_positions_free(p);
    graph_free(g);
}
END_TEST

START_TEST(writes_csv)
{
    struct graph *g = must_graph(shop, COUNT(shop), NULL);
    struct buf b = export(g, GRAPH_CSV);

    ck_assert_str_eq(b.p, "source,target,protocol,requests,errors,rps,p50,p95,p99,connections,sent,received\r\n"
                          "edge/gw,shop/web-v1,http,6009,66,10.015,,,,,,\r\n"
                          "shop/web-v1,data/redis,tcp,,1,,,,,4,4000,4000\r\n");
    buf_free(&b);
    graph_free(g);
}
END_TEST

START_TEST(writes_mermaid)
{
    struct graph *g = must_graph(shop, COUNT(shop), NULL);
    struct buf b = export(g, GRAPH_MERMAID);

    ck_assert_str_eq(b.p, "%% Workload graph · 1970-01-01 00:00:00 to 00:10:00 UTC (10m)\n"
                          "flowchart LR\n"
                          "    n0(\"redis<br/>data\"):::na\n"
                          "    n1(\"gw<br/>edge\"):::degraded\n"
                          "    n2(\"web-v1<br/>shop\"):::degraded\n"
                          "    n1 -.->|\"10.0 rps<br/>1.1% errors<br/>#60;0.1% 4xx\"| n2\n"
                          "    n2 -->|\"13.3 B/s<br/>4 conn<br/>25.0% failed\"| n0\n"
                          "    classDef na fill:#f4f6f8,stroke:#5b6770,color:#1b2024\n"
                          "    classDef healthy fill:#eef7f0,stroke:#2b7a3d,color:#1b2024\n"
                          "    classDef notready fill:#f4f6f8,stroke:#5b6770,color:#1b2024\n"
                          "    classDef degraded fill:#fff4de,stroke:#b26a00,color:#1b2024,stroke-width:2px\n"
                          "    classDef failure fill:#fdecea,stroke:#b3261e,color:#1b2024,stroke-width:3px\n");
    buf_free(&b);
    graph_free(g);
}
END_TEST

/* ---- pictures -------------------------------------------------------------------------------------------------- */

START_TEST(draws_pictures)
{
    struct graph *g = must_graph(shop, COUNT(shop), NULL);
    struct buf svg = export(g, GRAPH_SVG), again = export(g, GRAPH_SVG), png = export(g, GRAPH_PNG);

    ck_assert_uint_gt(count(svg, "web&#45;v1"), 0);
    ck_assert_uint_gt(count(svg, "1.1% errors"), 0);
    ck_assert(str_eq(buf_view(&svg), buf_view(&again)));
    ck_assert(png.n > 1000 && memcmp(png.p, "\x89PNG\r\n", 6) == 0);
    buf_free(&svg);
    buf_free(&again);
    buf_free(&png);
    graph_free(g);
}
END_TEST

/* More edges than dot draws in time: nodes where the layout has them. */
START_TEST(draws_large_pictures)
{
    enum { N = 700 };
    struct hop *h = mem_zalloc(N * sizeof(*h));
    char (*names)[32] = mem_zalloc(N * 32);
    struct graph *g;
    struct buf svg;

    for (size_t i = 0; i < N; i++)
        snprintf(names[i], 32, "w%zu.ns", i);
    for (size_t i = 0; i < N; i++)
        h[i] = (struct hop){ "source", names[i / 2], names[i], "", "http", "200", "-", 10 };
    g = must_graph(h, N, NULL);
    svg = export(g, GRAPH_SVG);
    check_xml(svg);
    ck_assert_uint_eq(count(svg, "class=\"node\""), N);
    ck_assert_uint_eq(count(svg, "class=\"edge\""), N);
    buf_free(&svg);
    graph_free(g);
    mem_free(h);
    mem_free(names);
}
END_TEST

START_TEST(an_empty_graph_is_drawn)
{
    struct graph *g = must_graph(NULL, 0, NULL);
    struct graph_positions *p = graph_positions_new();

    ck_assert_int_eq(graph_layout(g, p, NULL), 0);
    for (enum graph_format f = GRAPH_JSON; f <= GRAPH_KIALI_PLAIN; f++) {
        struct buf b = export(g, f);

        ck_assert_uint_gt(b.n, 0);
        buf_free(&b);
    }
    graph_positions_free(p);
    graph_free(g);
}
END_TEST

/* A buffer that is too small: an error with a sentence, whatever the format. */
START_TEST(respects_the_ceiling)
{
    struct graph *g = must_graph(shop, COUNT(shop), NULL);
    struct buf b = BUF_INIT(64);
    struct err e = ERR_INIT;

    ck_assert_int_eq(graph_export(g, (enum graph_format)_i, &b, &e), ERR_LIMIT);
    ck_assert_uint_gt(strlen(e.msg), 0);
    buf_free(&b);
    graph_free(g);
}
END_TEST

START_TEST(knows_formats_by_name)
{
    ck_assert_int_eq(graph_format_parse(STR("cytoscape")), GRAPH_KIALI);
    ck_assert_int_eq(graph_format_parse(STR("json")), GRAPH_JSON);
    ck_assert_int_eq(graph_format_parse(STR("svg")), GRAPH_SVG);
    ck_assert_int_eq(graph_format_parse(STR("SVG")), -1);
    ck_assert_int_eq(graph_format_parse(STR_NULL), -1);
    ck_assert_str_eq(graph_format_content_type(GRAPH_PNG), "image/png");
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("export");
    TCase *t = tcase_create("formats");

    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, json_stays_json, 0, 3);
    tcase_add_test(t, dot_stays_dot);
    tcase_add_loop_test(t, xml_stays_xml, 0, 2);
    tcase_add_test(t, mermaid_stays_mermaid);
    tcase_add_test(t, csv_stays_csv);
    tcase_add_loop_test(t, escapes_texts, 0, COUNT(escapes));
    tcase_add_loop_test(t, tells_numbers, 0, COUNT(told));
    tcase_add_loop_test(t, writes_rates_as_kiali, 0, COUNT(rates));
    tcase_add_test(t, positions_are_told_once_placed);
    tcase_add_test(t, writes_csv);
    tcase_add_test(t, writes_mermaid);
    tcase_add_test(t, draws_pictures);
    tcase_add_test(t, draws_large_pictures);
    tcase_add_test(t, an_empty_graph_is_drawn);
    tcase_add_loop_test(t, respects_the_ceiling, GRAPH_JSON, GRAPH_KIALI_PLAIN + 1);
    tcase_add_test(t, knows_formats_by_name);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
