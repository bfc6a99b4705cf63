#include "base/mem.h"
#include "collector/otlp-internal.h"
#include "tests/unit/collector/otlp_case.h"

struct row {
    const char *name;
    enum otlp_signal signal;
    const char *json;
    int rc;
    uint64_t accepted, refused;
    const char *want; /* the dump, or with rc < 0 the error */
    const char *why;
};

static const struct row rows[] = {
    { "nothing", OTLP_LOGS, "{}", 0, 0, 0, "", "" },
    { "a line", OTLP_LOGS,
      LOG(WHO, "lib", "{" AT ",'severityNumber':9,'severityText':'INFO','body':{'stringValue':'hello'},'attributes':[" S(
                          "a", "b") "]," IDS ",'eventName':'start'}"),
      0, 1, 0,
      "log 1700000000123456789 body=hello severity=INFO severity_number=9 pod=frontend-1 namespace=guestbook "
      "workload=frontend app=guestbook version=v1 service=frontend.guestbook trace_id=5b8efff798038103d269b633813fc60c "
      "span_id=eee19b7ec3c1b174 {a=\"b\", \"event.name\"=\"start\", \"otel.scope.name\"=\"lib\", "
      "\"service.instance.id\"=\"frontend-1.guestbook\"}\n",
      "" },
    { "values of every kind", OTLP_LOGS,
      LOG("", "",
          "{" AT ",'body':{'kvlistValue':{'values':[" S("k", "v") ",{'key':'n','value':{}}]}},'attributes':["
          "{'key':'bool','value':{'boolValue':true}}," I("int", "-9007199254740993") ",{'key':'int2','value':"
          "{'intValue':7}},{'key':'double','value':{'doubleValue':1.5}},{'key':'nan','value':{'doubleValue':'NaN'}},"
          "{'key':'bytes','value':{'bytesValue':'AAEC/w=='}},{'key':'list','value':{'arrayValue':{'values':["
          "{'stringValue':'x'},{'intValue':'1'},{'doubleValue':'-Infinity'},{'arrayValue':{}}]}}},"
          "{'key':'nothing','value':{}}]}"),
      0, 1, 0,
      "log 1700000000123456789 body={\"k\":\"v\",\"n\":null} severity_number=0 {bool=\"true\", bytes=\"AAEC/w==\", "
      "double=\"1.5\", int=\"-9007199254740993\", int2=\"7\", "
      "list=\"[\\\"x\\\",1,\\\"-Inf\\\",[]]\", nan=\"NaN\"}\n",
      "" },
    { "the last of two equal keys counts, the item's before the resource's", OTLP_LOGS,
      LOG(S("k", "resource"), "", "{" AT ",'attributes':[" S("k", "1") "," S("k", "2") "]}"), 0, 1, 0,
      "log 1700000000123456789 severity_number=0 {k=\"2\"}\n", "" },
    { "ids of a wrong length are none", OTLP_LOGS, LOG("", "", "{" AT ",'traceId':'00ff','spanId':'0000000000000000'}"), 0,
      1, 0, "log 1700000000123456789 severity_number=0 {}\n", "" },
    { "the proxy's access log", OTLP_LOGS,
      LOG(WHO, "vigla.access_log",
          "{" AT ",'body':{'stringValue':'[2023-…] \\'GET'},'attributes':[" S("method", "GET") "," I(
              "response_code", "200") "," I("duration_us", "1500") "," S("upstream_cluster", "outbound|80||x") "," S(
              "extra", "e") "]," IDS "}"),
      0, 1, 0,
      "access_log 1700000000123456789 method=GET response_code=200 duration_us=1500 upstream_cluster=outbound|80||x "
      "trace_id=5b8efff798038103d269b633813fc60c span_id=eee19b7ec3c1b174 pod=frontend-1 namespace=guestbook "
      "workload=frontend app=guestbook version=v1 {extra=\"e\", \"service.instance.id\"=\"frontend-1.guestbook\", "
      "\"service.name\"=\"frontend.guestbook\"}\n",
      "" },
    { "Istio's own labels, all strings, unset as '-'", OTLP_LOGS,
      LOG("", "",
          "{" AT ",'body':{'stringValue':'line'},'attributes':[" S("response_code", "503") "," S(
              "upstream_cluster", "-") "," S("duration", "12") "," S("bytes_sent", "-") "," S("start_time", "x") "]}"),
      0, 1, 0, "access_log 1700000000123456789 response_code=503 duration_us=12000 {body=\"line\"}\n", "" },
    { "an access log with a code that is none", OTLP_LOGS,
      LOG("", "vigla.access_log",
          "{" AT ",'attributes':[" S("response_code", "x") "]},{" AT ",'attributes':[" S("method", "GET") "]}"),
      0, 1, 1, "access_log 1700000000123456789 method=GET {}\n",
      "log record 1: access log: response_code is \"x\", should be a number" },
    { "a time that does not fit", OTLP_LOGS, LOG("", "", "{'timeUnixNano':'18446744073709551615'}"), 0, 0, 1, "",
      "log record 1: time 18446744073709551615 ns lies beyond the year 2262" },
    { "a value that nests too deeply", OTLP_LOGS, "DEEP", 0, 0, 1, "",
      "log record 1: attribute \"deep\": a value nests deeper than 32 levels" },
    { "more attributes than allowed", OTLP_LOGS, "MANY", 0, 0, 1, "", "log record 1: more than 128 attributes" },

    { "a sum", OTLP_METRICS,
      METRIC(WHO, "{'name':'istio_requests_total','sum':{'aggregationTemporality':2,'isMonotonic':true,'dataPoints':[{" AT
                  ",'startTimeUnixNano':'1699999999000000000','asInt':'3','attributes':[" S("response_code", "200") "]}]}}"),
      0, 1, 0,
      "# istio_requests_total counter\n"
      "{__name__=\"istio_requests_total\", instance=\"frontend-1.guestbook\", job=\"frontend.guestbook\", "
      "namespace=\"guestbook\", pod=\"frontend-1\", response_code=\"200\"} 1700000000123 3 since 1699999999000\n",
      "" },
    { "a gauge with unit, job of two parts, names made legal", OTLP_METRICS,
      METRIC(S("service.name", "n") "," S("service.namespace", "ns"),
             "{'name':'http.server.duration','unit':'ms','description':'d','gauge':{'dataPoints':[{" AT
             ",'asDouble':1e-3,'attributes':[" S("http.method", "GET") "," S("http_method", "PUT") "," S("1st", "x") ","
             S("__name__", "evil") "]}]}}"),
      0, 1, 0,
      "# http_server_duration_milliseconds gauge\n"
      "{__name__=\"http_server_duration_milliseconds\", http_method=\"GET;PUT\", job=\"ns/n\", key_1st=\"x\", "
      "key__name__=\"evil\"} 1700000000123 0.001\n",
      "" },
    { "a start in the same millisecond still lies before", OTLP_METRICS,
      METRIC("", "{'name':'c','sum':{'aggregationTemporality':2,'isMonotonic':true,'dataPoints':[{" AT
                 ",'startTimeUnixNano':'1700000000123000000','asInt':1},{" AT ",'startTimeUnixNano':'1700000000123456789',"
                 "'asInt':'1'}]}}"),
      0, 2, 0,
      "# c_total counter\n{__name__=\"c_total\"} 1700000000123 1 since 1700000000122\n"
      "{__name__=\"c_total\"} 1700000000123 1\n",
      "" },
    { "a histogram", OTLP_METRICS,
      METRIC("", "{'name':'h','histogram':{'aggregationTemporality':2,'dataPoints':[{" AT
                 ",'count':'6','sum':7.5,'bucketCounts':['1','2',3],'explicitBounds':[0.5,1],'attributes':[" S("a", "b") ","
                 S("z", "y") "]}]}}"),
      0, 1, 0,
      "# h histogram\n"
      "{__name__=\"h_bucket\", a=\"b\", le=\"0.5\", z=\"y\"} 1700000000123 1\n"
      "{__name__=\"h_bucket\", a=\"b\", le=\"1\", z=\"y\"} 1700000000123 3\n"
      "{__name__=\"h_bucket\", a=\"b\", le=\"+Inf\", z=\"y\"} 1700000000123 6\n"
      "{__name__=\"h_sum\", a=\"b\", z=\"y\"} 1700000000123 7.5\n"
      "{__name__=\"h_count\", a=\"b\", z=\"y\"} 1700000000123 6\n",
      "" },
    { "histograms whose buckets make no sense, beside a good one", OTLP_METRICS,
      METRIC("", "{'name':'h','histogram':{'aggregationTemporality':2,'dataPoints':[{" AT
                 ",'bucketCounts':[1,2],'explicitBounds':[1,2]},{" AT ",'bucketCounts':[1,2,3],'explicitBounds':[2,2]},{" AT
                 ",'count':4,'attributes':[" S("le", "x") "]},{" AT ",'count':4}]}}"),
      0, 1, 3,
      "# h histogram\n{__name__=\"h_bucket\", le=\"+Inf\"} 1700000000123 4\n{__name__=\"h_count\"} 1700000000123 4\n",
      "data point 1: metric \"h\": 2 bucket_counts for 2 explicit_bounds, should be 3" },
    { "a summary", OTLP_METRICS,
      METRIC("", "{'name':'s','unit':'s','summary':{'dataPoints':[{" AT
                 ",'count':'2','sum':3,'quantileValues':[{'quantile':0.99,'value':2.5},{'quantile':1}]}]}}"),
      0, 1, 0,
      "# s_seconds summary\n{__name__=\"s_seconds\", quantile=\"0.99\"} 1700000000123 2.5\n"
      "{__name__=\"s_seconds\", quantile=\"1\"} 1700000000123 0\n{__name__=\"s_seconds_sum\"} 1700000000123 3\n"
      "{__name__=\"s_seconds_count\"} 1700000000123 2\n",
      "" },
    { "no recorded value", OTLP_METRICS, METRIC("", "{'name':'g','gauge':{'dataPoints':[{" AT ",'flags':1}]}}"), 0, 1, 0,
      "# g gauge\n{__name__=\"g\"} 1700000000123 stale\n", "" },
    { "deltas are increments", OTLP_METRICS,
      METRIC("", "{'name':'d','sum':{'aggregationTemporality':1,'isMonotonic':true,'dataPoints':[{" AT
                 ",'startTimeUnixNano':'1699999999000000000','asInt':3},{" AT ",'asDouble':1.5},{" AT ",'flags':1}]}},"
                 "{'name':'h','histogram':{'aggregationTemporality':1,'dataPoints':[{" AT
                 ",'count':'6','sum':7.5,'bucketCounts':['1','2',3],'explicitBounds':[0.5,1]}]}}"),
      0, 4, 0,
      "# d_total counter\n# h histogram\n"
      "{__name__=\"d_total\"} +3\n{__name__=\"d_total\"} +1.5\n"
      "{__name__=\"h_bucket\", le=\"0.5\"} +1\n{__name__=\"h_bucket\", le=\"1\"} +3\n"
      "{__name__=\"h_bucket\", le=\"+Inf\"} +6\n{__name__=\"h_sum\"} +7.5\n{__name__=\"h_count\"} +6\n",
      "" },
    { "deltas that cannot be added up, beside a gauge", OTLP_METRICS,
      METRIC("", "{'name':'d','sum':{'aggregationTemporality':1,'dataPoints':[{" AT ",'asInt':1},{" AT ",'asInt':1}]}},"
                 "{'name':'m','sum':{'aggregationTemporality':1,'isMonotonic':true,'dataPoints':[{" AT ",'asInt':-1},{" AT
                 ",'asDouble':'NaN'}]}},"
                 "{'name':'x','exponentialHistogram':{'dataPoints':[{" AT "}]}},"
                 "{'name':'g','gauge':{'dataPoints':[{" AT ",'asInt':5}]}}"),
      0, 1, 5, "# g gauge\n{__name__=\"g\"} 1700000000123 5\n",
      "data point 1: metric \"d\": deltas of a sum that is not monotonic are not taken: send it cumulative" },
    { "a sum that falls, too, is a gauge", OTLP_METRICS,
      METRIC("", "{'name':'d','sum':{'aggregationTemporality':2,'dataPoints':[{" AT ",'asInt':-1}]}}"), 0, 1, 0,
      "# d gauge\n{__name__=\"d\"} 1700000000123 -1\n", "" },
    { "exemplars: of a sum, of a histogram's buckets; without a trace, without a value", OTLP_METRICS,
      METRIC("", "{'name':'c','sum':{'aggregationTemporality':2,'isMonotonic':true,'dataPoints':[{" AT
                 ",'asInt':3,'exemplars':[{'asInt':'1'," IDS "},{'asInt':'1'},{" IDS "}]}]}},"
                 "{'name':'h','histogram':{'aggregationTemporality':2,'dataPoints':[{" AT
                 ",'exemplars':[{'asDouble':1," IDS ",'timeUnixNano':'1700000000000000000'},{'asDouble':2," IDS
                 "}],'count':2,'bucketCounts':[0,1,1],'explicitBounds':[0.5,1]}]}}"),
      0, 2, 0,
      "# c_total counter\n# h histogram\n{__name__=\"c_total\"} 1700000000123 3\n"
      "{__name__=\"h_bucket\", le=\"0.5\"} 1700000000123 0\n{__name__=\"h_bucket\", le=\"1\"} 1700000000123 1\n"
      "{__name__=\"h_bucket\", le=\"+Inf\"} 1700000000123 2\n{__name__=\"h_count\"} 1700000000123 2\n"
      "exemplar {__name__=\"c_total\"} 1700000000123 1 " SPAN_LABELS "\n"
      "exemplar {__name__=\"h_bucket\", le=\"1\"} 1700000000000 1 " SPAN_LABELS "\n"
      "exemplar {__name__=\"h_bucket\", le=\"+Inf\"} 1700000000123 2 " SPAN_LABELS "\n",
      "" },
    { "points without value, without time", OTLP_METRICS,
      METRIC("", "{'name':'g','gauge':{'dataPoints':[{" AT "},{'asInt':1}]}},{'name':'','gauge':{'dataPoints':[{}]}}"), 0, 0,
      3, "", "data point 1: metric \"g\": neither as_double nor as_int is set" },
    { "a metric of an unknown kind", OTLP_METRICS, METRIC("", "{'name':'g','newKind':{'dataPoints':[{}]}}"), 0, 0, 0, "",
      "" },

    { "a span", OTLP_TRACES,
      SPAN(WHO, "{" IDS ",'parentSpanId':'eee19b7ec3c1b173','name':'op','kind':2,'startTimeUnixNano':'1700000000000000000',"
                "'endTimeUnixNano':'1700000000000001000','attributes':[" S("http.method", "GET") "],'status':{'code':2,"
                "'message':'bad'},'traceState':'a=b','events':[{'timeUnixNano':'5','name':'e','attributes':[" I("n", "1")
                "]},{'name':'f'}],'links':[{" IDS "}]}"),
      0, 1, 0,
      "span 1700000000000000000 trace_id=5b8efff798038103d269b633813fc60c span_id=eee19b7ec3c1b174 "
      "parent_span_id=eee19b7ec3c1b173 name=op kind=server duration_ns=1000 status=2 status_message=bad "
      "service=frontend.guestbook pod=frontend-1 namespace=guestbook workload=frontend app=guestbook version=v1 "
      "events=[{\"timeUnixNano\":\"5\",\"name\":\"e\",\"attributes\":[{\"key\":\"n\",\"value\":{\"intValue\":\"1\"}}]},"
      "{\"name\":\"f\"}] links=[{\"traceId\":\"5b8efff798038103d269b633813fc60c\",\"spanId\":\"eee19b7ec3c1b174\"}] "
      "trace_state=a=b {\"http.method\"=\"GET\", \"service.instance.id\"=\"frontend-1.guestbook\"}\n",
      "" },
    { "a span without ids, and one that ends before it starts", OTLP_TRACES,
      SPAN("", "{'name':'x','startTimeUnixNano':'1'},{" IDS ",'startTimeUnixNano':'10','endTimeUnixNano':'9'}"), 0, 1, 1,
      "span 10 trace_id=5b8efff798038103d269b633813fc60c span_id=eee19b7ec3c1b174 duration_ns=0 status=0 {}\n",
      "span 1: trace_id should be 16 bytes, not all zero" },

    { "JSON cut short", OTLP_LOGS, "{'resourceLogs':[{", ERR_PARSE, 0, 0, "json: byte 18: should be a string", "" },
    { "no object", OTLP_LOGS, "[]", ERR_PARSE, 0, 0, "json: byte 0: should be '{'", "" },
    { "empty", OTLP_LOGS, "", ERR_PARSE, 0, 0, "json: byte 0: should be '{'", "" },
    { "something behind", OTLP_LOGS, "{}{}", ERR_PARSE, 0, 0, "json: byte 2: nothing should follow the message", "" },
    { "a list that is none", OTLP_LOGS, "{'resourceLogs':{}}", ERR_PARSE, 0, 0,
      "json: byte 16: resource_logs should be an array", "" },
    { "an enum by name", OTLP_LOGS, LOG("", "", "{'severityNumber':'INFO'}"), ERR_PARSE, 0, 0,
      "json: byte 119: severity_number should be an enum's number", "" },
    { "an id that is no hexadecimal", OTLP_LOGS, LOG("", "", "{'traceId':'zz'}"), ERR_PARSE, 0, 0,
      "json: byte 110: trace_id should be hexadecimal", "" },
    { "unknown members, null, the .proto's spelling", OTLP_LOGS,
      "{'resource_logs':[{'scope_logs':[{'new':[{},[1,'x',true,null]],'scope':null,'log_records':[{'time_unix_nano':"
      "1700000000123456789,'body':null}]}]}]}",
      0, 1, 0, "log 1700000000123456789 severity_number=0 {}\n", "" },
};

START_TEST(decodes_json)
{
    const struct row *r = &rows[_i];
    struct buf json = BUF_INIT(1 << 20), text = BUF_INIT(1 << 20);
    struct otlp_refused refused;
    struct err e = ERR_INIT;
    int rc;

    row_json(&json, r->json);
    rc = decode(r->signal, OTLP_JSON, buf_view(&json), &text, &refused, &e);
    ck_assert_msg(rc == r->rc, "%s: got %d (%s)", r->name, rc, e.msg);
    ck_assert_str_eq(rc ? e.msg : text.p, r->want);
    ck_assert_msg(refused.accepted == r->accepted, "%s: %d accepted", r->name, (int)refused.accepted);
    ck_assert_msg(refused.n == r->refused, "%s: %d refused", r->name, (int)refused.n);
    ck_assert_str_eq(refused.why, r->why);
    buf_free(&json);
    buf_free(&text);
}
END_TEST

/* The same through protobuf, and back to JSON: all three say the same. */
START_TEST(encodings_agree)
{
    const struct row *r = &rows[_i];
    struct buf json = BUF_INIT(1 << 20), pb = BUF_INIT(1 << 20), again = BUF_INIT(1 << 20);
    struct buf one = BUF_INIT(1 << 20), two = BUF_INIT(1 << 20);
    struct otlp_refused refused;

    row_json(&json, r->json);
    if (r->rc == 0 && r->refused == 0) {
        ck_assert_int_eq(otlp_json_to_pb(&otlp_requests[r->signal], buf_view(&json), &pb, NULL), 0);
        ck_assert_int_eq(otlp_pb_to_json(&otlp_requests[r->signal], buf_view(&pb), &again, NULL), 0);
        ck_assert_int_eq(decode(r->signal, OTLP_PROTOBUF, buf_view(&pb), &one, &refused, NULL), 0);
        ck_assert_int_eq(decode(r->signal, OTLP_JSON, buf_view(&again), &two, &refused, NULL), 0);
        ck_assert_str_eq(one.p, r->want);
        ck_assert_str_eq(two.p, r->want);
    }
    buf_free(&json);
    buf_free(&pb);
    buf_free(&again);
    buf_free(&one);
    buf_free(&two);
}
END_TEST

/* Every allocation may fail: it is told (unless the input is at fault anyway), and nothing leaks. */
START_TEST(survives_failing_allocations)
{
    const struct row *r = &rows[_i];
    struct buf json = BUF_INIT(1 << 20);

    row_json(&json, r->json);
    for (long n = 1;; n++) {
        struct arena a = ARENA_INIT(64 << 20);
        struct otlp_refused refused;
        struct err e = ERR_INIT;
        struct batch b;
        bool failed;
        int rc;

        batch_init(&b, &a);
        mem_fail_at(n);
        rc = otlp_decode(r->signal, OTLP_JSON, buf_view(&json), NULL, &b, &refused, &e);
        failed = mem_has_failed();
        mem_fail_at(0);
        arena_free(&a);
        ck_assert_msg(rc == (failed ? ERR_NOMEM : r->rc) || (rc == r->rc && (rc || r->refused)),
                      "%s: allocation %ld: got %d (%s)", r->name, n, rc, e.msg);
        if (!failed)
            break;
    }
    buf_free(&json);
}
END_TEST

/* --- what is remembered from record to record changes nothing --- */

static void put_random_pair(struct buf *b, uint32_t number, unsigned *seed)
{
    static const char *const keys[] = { "response_code", "upstream_cluster", "duration", "start_time", "method", "k1", "k2",
                                        "k3", "body", "app", "bytes_sent", "k8s.pod.name", "otel.scope.name" };
    static const char *const values[] = { "200", "x", "-", "", "17" };
    size_t pair = pb_open(b, number), any;

    pb_put_str(b, 1, str_of(keys[(size_t)rand_r(seed) % COUNT(keys)]));
    any = pb_open(b, 2);
    if (rand_r(seed) % 3)
        pb_put_str(b, 1, str_of(values[(size_t)rand_r(seed) % COUNT(values)]));
    else
        pb_put_varint(b, 3, (uint64_t)rand_r(seed) % 1000);
    pb_close(b, any);
    pb_close(b, pair);
}

static void put_random_record(struct buf *b, unsigned *seed)
{
    size_t record = pb_open(b, 2), body;

    pb_put_fixed64(b, 1, 1 + (uint64_t)rand_r(seed));
    body = pb_open(b, 5);
    pb_put_str(b, 1, STR("a line"));
    pb_close(b, body);
    for (int n = rand_r(seed) % 12; n > 0; n--)
        put_random_pair(b, 6, seed);
    pb_close(b, record);
}

/* Around the records: a resource and a scope of which some attributes have the same names. */
static void put_logs(struct buf *b, struct str records)
{
    size_t resource_logs = pb_open(b, 1), resource = pb_open(b, 1), scope_logs, scope;
    unsigned seed = 1;

    for (int i = 0; i < 5; i++)
        put_random_pair(b, 1, &seed);
    pb_close(b, resource);
    scope_logs = pb_open(b, 2);
    scope = pb_open(b, 1);
    pb_put_str(b, 1, STR("lib"));
    pb_close(b, scope);
    buf_str(b, records);
    pb_close(b, scope_logs);
    pb_close(b, resource_logs);
}

static void decode_logs(struct str records, struct buf *access_logs, struct buf *lines)
{
    struct buf body = BUF_INIT(1 << 20), text = BUF_INIT(1 << 20);
    struct otlp_refused refused;
    struct str rest;

    put_logs(&body, records);
    ck_assert_int_eq(decode(OTLP_LOGS, OTLP_PROTOBUF, buf_view(&body), &text, &refused, NULL), 0);
    rest = (struct str){ text.p, text.n - 1 };
    while (rest.p && rest.n) {
        struct str line = str_cut(&rest, '\n');
        struct buf *to = str_starts(line, STR("access_log ")) ? access_logs : lines;

        buf_str(to, line);
        buf_putc(to, '\n');
    }
    buf_free(&body);
    buf_free(&text);
}

START_TEST(records_do_not_depend_on_each_other)
{
    struct buf all = BUF_INIT(1 << 20), whole[2] = { BUF_INIT(1 << 20), BUF_INIT(1 << 20) };
    struct buf single[2] = { BUF_INIT(1 << 20), BUF_INIT(1 << 20) };
    unsigned seed = (unsigned)_i;

    for (int i = 0; i < 60; i++) {
        size_t before = all.n;

        put_random_record(&all, &seed);
        decode_logs((struct str){ all.p + before, all.n - before }, &single[0], &single[1]);
    }
    decode_logs(buf_view(&all), &whole[0], &whole[1]);
    for (int i = 0; i < 2; i++) {
        ck_assert_str_eq(buf_cstr(&whole[i]), buf_cstr(&single[i]));
        ck_assert_uint_gt(whole[i].n, 0);
        buf_free(&whole[i]);
        buf_free(&single[i]);
    }
    buf_free(&all);
}
END_TEST

/* --- protobuf, byte by byte, without the table of messages --- */

static void put_attribute(struct buf *b, uint32_t number, const char *key, const char *value)
{
    size_t pair = pb_open(b, number), any;

    pb_put_str(b, 1, str_of(key));
    any = pb_open(b, 2);
    pb_put_str(b, 1, str_of(value));
    pb_close(b, any);
    pb_close(b, pair);
}

/* A histogram with packed buckets, its resource behind its scopes. */
static void put_histogram(struct buf *b)
{
    static const uint64_t counts[] = { 1, 2, 3 };
    static const double bounds[] = { 0.5, 10 };
    size_t resource_metrics = pb_open(b, 1), scope, metric, data, point;

    scope = pb_open(b, 2);
    metric = pb_open(b, 2);
    pb_put_str(b, 1, STR("istio_request_bytes"));
    data = pb_open(b, 9);
    point = pb_open(b, 1);
    pb_put_fixed64(b, 2, 1000000000);
    pb_put_fixed64(b, 3, 2000000000);
    pb_put_fixed64(b, 4, 6);
    pb_put_double(b, 5, 55);
    pb_put_str(b, 6, (struct str){ (const char *)counts, sizeof(counts) });
    pb_put_str(b, 7, (struct str){ (const char *)bounds, sizeof(bounds) });
    put_attribute(b, 9, "reporter", "source");
    pb_close(b, point);
    pb_put_varint(b, 2, 2);
    pb_close(b, data);
    pb_close(b, metric);
    pb_close(b, scope);
    scope = pb_open(b, 1);
    put_attribute(b, 1, "k8s.pod.name", "p");
    pb_close(b, scope);
    pb_close(b, resource_metrics);
}

START_TEST(decodes_protobuf)
{
    struct buf b = BUF_INIT(1 << 16), text = BUF_INIT(1 << 16);
    struct otlp_refused refused;

    put_histogram(&b);
    ck_assert_int_eq(decode(OTLP_METRICS, OTLP_PROTOBUF, buf_view(&b), &text, &refused, NULL), 0);
    ck_assert_str_eq(text.p,
                     "# istio_request_bytes histogram\n"
                     "{__name__=\"istio_request_bytes_bucket\", le=\"0.5\", pod=\"p\", reporter=\"source\"} 2000 1 since 1000\n"
                     "{__name__=\"istio_request_bytes_bucket\", le=\"10\", pod=\"p\", reporter=\"source\"} 2000 3 since 1000\n"
                     "{__name__=\"istio_request_bytes_bucket\", le=\"+Inf\", pod=\"p\", reporter=\"source\"} 2000 6 since 1000\n"
                     "{__name__=\"istio_request_bytes_sum\", pod=\"p\", reporter=\"source\"} 2000 55 since 1000\n"
                     "{__name__=\"istio_request_bytes_count\", pod=\"p\", reporter=\"source\"} 2000 6 since 1000\n");
    buf_free(&b);
    buf_free(&text);
}
END_TEST

/* Cut anywhere inside its one message, a body is refused as a whole. */
START_TEST(refuses_cut_protobuf)
{
    struct buf b = BUF_INIT(1 << 16);

    put_histogram(&b);
    for (size_t n = 1; n < b.n; n++) {
        struct buf text = BUF_INIT(1 << 16);
        struct otlp_refused refused;
        struct err e = ERR_INIT;

        ck_assert_int_eq(decode(OTLP_METRICS, OTLP_PROTOBUF, (struct str){ b.p, n }, &text, &refused, &e), ERR_PARSE);
        ck_assert_str_ne(e.msg, "");
        buf_free(&text);
    }
    buf_free(&b);
}
END_TEST

/* Text that is not UTF-8 costs its record only. */
START_TEST(refuses_text_that_is_not_utf8)
{
    struct buf b = BUF_INIT(1 << 16), text = BUF_INIT(1 << 16);
    size_t resource = pb_open(&b, 1), scope = pb_open(&b, 2), record;
    struct otlp_refused refused;

    for (int i = 0; i < 2; i++) {
        record = pb_open(&b, 2);
        pb_put_fixed64(&b, 1, 7);
        put_attribute(&b, 6, "k", i ? "good" : "\xff\xfe");
        pb_close(&b, record);
    }
    pb_close(&b, scope);
    pb_close(&b, resource);
    ck_assert_int_eq(decode(OTLP_LOGS, OTLP_PROTOBUF, buf_view(&b), &text, &refused, NULL), 0);
    ck_assert_str_eq(text.p, "log 7 severity_number=0 {k=\"good\"}\n");
    ck_assert_int_eq(refused.n, 1);
    ck_assert_str_eq(refused.why, "log record 1: attribute \"k\": an attribute's value is not UTF-8");
    buf_free(&b);
    buf_free(&text);
}
END_TEST

static const struct {
    const char *name, *unit;
    struct otlp_naming how;
    const char *want;
} names[] = {
    { "istio_requests_total", "", { true, false }, "istio_requests_total" },
    { "istio_request_duration_milliseconds", "", { false, false }, "istio_request_duration_milliseconds" },
    { "http.server.duration", "ms", { false, false }, "http_server_duration_milliseconds" },
    { "system.network.io", "By", { true, false }, "system_network_io_bytes_total" },
    { "total.requests", "{request}", { true, false }, "requests_total" },
    { "cpu.utilization", "1", { false, true }, "cpu_utilization_ratio" },
    { "cpu.utilization", "1", { false, false }, "cpu_utilization" },
    { "speed", "m/s", { false, true }, "speed_meters_per_second" },
    { "disk_bytes", "By", { false, true }, "disk_bytes" },
    { "2xx", "", { false, true }, "_2xx" },
    { "weird", "foo bar", { false, true }, "weird_foo_bar" },
    { "a:b__c", "", { false, true }, "a:b_c" },
};

START_TEST(names_metrics)
{
    struct arena a = ARENA_INIT(1 << 20);
    struct str got;

    ck_assert_int_eq(otlp_metric_name(&a, str_of(names[_i].name), str_of(names[_i].unit), names[_i].how, &got, NULL), 0);
    ck_assert_str_eq(got.p, names[_i].want);
    arena_free(&a);
}
END_TEST

static const struct {
    enum otlp_signal signal;
    enum otlp_encoding encoding;
    struct otlp_refused refused;
    struct str want;
} answers[] = {
    { OTLP_LOGS, OTLP_JSON, { 0 }, STR_INIT("{}") },
    { OTLP_LOGS, OTLP_PROTOBUF, { 0 }, STR_INIT("") },
    { OTLP_TRACES, OTLP_JSON, { 2, "a \"b\"", 0 },
      STR_INIT("{\"partialSuccess\":{\"rejectedSpans\":\"2\",\"errorMessage\":\"a \\\"b\\\"\"}}") },
    { OTLP_METRICS, OTLP_PROTOBUF, { 300, "ab", 0 }, STR_INIT("\x0a\x07\x08\xac\x02\x12\x02" "ab") },
};

START_TEST(answers_in_kind)
{
    struct buf out = BUF_INIT(1024);

    otlp_response(answers[_i].signal, answers[_i].encoding, &answers[_i].refused, &out);
    ck_assert(str_eq(buf_view(&out), answers[_i].want));
    buf_free(&out);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("otlp");
    TCase *t = tcase_create("otlp");

    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, decodes_json, 0, COUNT(rows));
    tcase_add_loop_test(t, encodings_agree, 0, COUNT(rows));
    tcase_add_loop_test(t, survives_failing_allocations, 0, COUNT(rows));
    tcase_add_test(t, decodes_protobuf);
    tcase_add_loop_test(t, records_do_not_depend_on_each_other, 0, 20);
    tcase_add_test(t, refuses_cut_protobuf);
    tcase_add_test(t, refuses_text_that_is_not_utf8);
    tcase_add_loop_test(t, names_metrics, 0, COUNT(names));
    tcase_add_loop_test(t, answers_in_kind, 0, COUNT(answers));
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
