/* Envoy's messages to rows and series; messages are written by field number (pbtext.h), results as dumps. */
#include "base/mem.h"
#include "collector/envoy-internal.h"
#include "tests/unit/collector/dump.h"
#include "tests/unit/collector/pbtext.h"
#include "tests/unit/unit.h"

#define AT   "5{1:1700000000 2:5000000}"        /* start_time */
#define DUMP "access_log 1700000000005000000"
#define PLAIN "1{1{1:'envoy-1' 2:'edge'} 2:'main'}" /* an identifier */
#define OF_PLAIN "log_name=\"main\", \"node.cluster\"=\"edge\", \"node.id\"=\"envoy-1\""
#define PAIR(key, value) "1{1:'" key "' 2{3:'" value "'}}"
#define ISTIO                                                                                                          \
    "1{1{1:'sidecar~10.0.0.7~reviews-1.shop~shop.svc.cluster.local' 2:'reviews.shop' 3{" PAIR("WORKLOAD_NAME", "reviews-v1") \
        PAIR("NAMESPACE", "shop") PAIR("CLUSTER_ID", "c1") "1{1:'LABELS' 2{5{" PAIR("app", "reviews")                     \
            PAIR("version", "v1") PAIR("service.istio.io/canonical-name", "rev") "}}}}} 2:'als'}"
#define OF_ISTIO                                                                                                      \
    "log_name=\"als\", \"node.cluster\"=\"reviews.shop\", \"node.id\"=\"sidecar~10.0.0.7~reviews-1.shop~shop.svc."     \
    "cluster.local\""
#define HTTP(common, rest) "2{1{1{" AT common "} 2:2 " rest "}}"
#define TCP(common, rest)  "3{1{1{" AT common "}" rest "}}"
#define IS_PLAIN " workload=edge source_workload=edge source_canonical_service=edge"
#define IS_ISTIO " pod=reviews-1 namespace=shop workload=reviews-v1 app=reviews version=v1"

static const struct {
    const char *name, *message;
    uint64_t refused;
    const char *want;
} logs[] = {
    { "only an identifier", PLAIN, 0, "" },
    { "all of a request and its response",
      PLAIN HTTP("15:'backend'",
                 "3{1:3 2:'https' 3:'shop.example' 4{1:8443} 5:'/new' 6:'curl/8' 7:'https://r/' 8:'1.2.3.4' 9:'rid' "
                 "10:'/old?q' 11:120 12:7 13{1:'x-team' 2:'a'} 14:130 15:110}"
                 "4{1{1:503} 2:90 3:12 4{1:'x-h' 2:'v'} 5{1:'x-t' 2:'w'} 6:'via_upstream' 7:80 8:95}"),
      0,
      DUMP " reporter=source method=POST path=/old?q protocol=HTTP/1.1 response_code=503 response_code_details=via_upstream "
           "bytes_received=7 bytes_sent=12 x_forwarded_for=1.2.3.4 user_agent=curl/8 request_id=rid "
           "authority=shop.example upstream_cluster=backend request_protocol=http" IS_PLAIN " destination_service=backend destination_service_name=backend {"
           "downstream_header_bytes_received=\"110\", downstream_header_bytes_sent=\"95\", " OF_PLAIN
           ", port=\"8443\", referer=\"https://r/\", \"request_headers.x-team\"=\"a\", request_headers_bytes=\"120\", "
           "\"response_headers.x-h\"=\"v\", response_headers_bytes=\"90\", \"response_trailers.x-t\"=\"w\", "
           "rewritten_path=\"/new\", scheme=\"https\", upstream_header_bytes_received=\"80\", "
           "upstream_header_bytes_sent=\"130\"}\n" },
    { "all of the common part",
      PLAIN HTTP("1:0.5d 2{1{2:'10.0.0.1' 3:4711}} 3{1{2:'::1' 3:80}} 6{2:1000000} 7{2:1500000} 8{2:2000000} 9{2:5000000} "
                 "10{2:6000000} 11{2:6500000} 12{2:7000000} 13{2{1:'/run/s'}} 14{3{1:'l' 2:'e'}} 15:'b' 16{6:1 16:1} "
                 "17{1{1:'envoy.lb' 2{1{1:'canary' 2{4:1}} 1{1:'n' 2{2:2d}}}}} 18:'tls error' 19:'route' "
                 "20{1{2:'10.0.0.2' 4:'http'}} 21{1:'key' 2{1:'type.googleapis.com/google.protobuf.StringValue' 2{1:'v'}}} "
                 "22{1:'team' 2:'blue'} 24:3 25:'term' 26:'sid' 28:'down error' 29:11 30:12 31:13 32:14 33:6",
                 "4{1{1:200}}"),
      0,
      DUMP " reporter=source protocol=HTTP/1.1 response_code=200 response_flags=UF,URX connection_termination_details=term "
           "upstream_transport_failure_reason=tls error duration_us=7000 upstream_service_time_us=3000 upstream_host=/run/s "
           "upstream_cluster=b upstream_local_address=envoy://l/e downstream_local_address=[::1]:80 "
           "downstream_remote_address=10.0.0.1:4711 route_name=route request_protocol=http" IS_PLAIN
           " destination_service=b destination_service_name=b {access_log_type=\"DownstreamEnd\", "
           "downstream_direct_remote_address=\"10.0.0.2:http\", downstream_transport_failure_reason=\"down error\", "
           "downstream_wire_bytes_received=\"12\", downstream_wire_bytes_sent=\"11\", \"filter_state.key\"=\"v\", "
           "log_name=\"main\", \"metadata.envoy.lb\"=\"{\\\"canary\\\":true,\\\"n\\\":2}\", \"node.cluster\"=\"edge\", "
           "\"node.id\"=\"envoy-1\", sample_rate=\"0.5\", stream_id=\"sid\", team=\"blue\", "
           "time_to_first_downstream_tx_byte_us=\"6500\", time_to_first_upstream_rx_byte_us=\"5000\", "
           "time_to_first_upstream_tx_byte_us=\"1500\", time_to_last_downstream_tx_byte_us=\"7000\", "
           "time_to_last_rx_byte_us=\"1000\", time_to_last_upstream_rx_byte_us=\"6000\", "
           "time_to_last_upstream_tx_byte_us=\"2000\", upstream_request_attempt_count=\"3\", "
           "upstream_wire_bytes_received=\"14\", upstream_wire_bytes_sent=\"13\"}\n" },
    { "every flag, in Envoy's letters",
      PLAIN HTTP("16{1:1 2:1 3:1 4:1 5:1 6:1 7:1 8:1 9:1 10:1 11:1 12:1 13{1:1} 14:1 15:1 16:1 17:1 18:1 19:1 20:1 21:1 22:1 "
                 "23:1 24:1 25:1 26:1 27:1 28:1 29:1 30:1}",
                 ""),
      0,
      DUMP " reporter=source protocol=HTTP/1.1 response_code=0 response_flags=LH,UH,UT,LR,UR,UF,UC,UO,NR,DI,FI,RL,UAEX,RLSE,DC,"
           "URX,SI,IH,DPE,UMSDR,RFCF,NFCF,DT,UPE,NC,OM,DF,DR,UDO request_protocol=http" IS_PLAIN " {" OF_PLAIN "}\n" },
    { "TCP with TLS",
      PLAIN TCP("4{1:4 2{1:4865} 3:'db.example' 4{1{1:'spiffe://me'} 2:'CN=me'} 5{1{1:'spiffe://a'} 1{2:'a.example'} "
                "2:'CN=a' 3:'CN=ca'} 6:'tsid' 7:'j3' 8:'j4'} 15:'db' 23{1:2 2:500}",
                "2{1:100 2:200}"),
      0,
      DUMP " reporter=source bytes_received=100 bytes_sent=200 duration_us=2000000 upstream_cluster=db "
           "requested_server_name=db.example request_protocol=tcp" IS_PLAIN " destination_service=db destination_service_name=db {" OF_PLAIN
           ", tls_cipher_suite=\"4865\", tls_ja3_fingerprint=\"j3\", tls_ja4_fingerprint=\"j4\", "
           "tls_local_subject=\"CN=me\", tls_local_uri=\"spiffe://me\", tls_peer_dns=\"a.example\", "
           "tls_peer_issuer=\"CN=ca\", tls_peer_subject=\"CN=a\", tls_peer_uri=\"spiffe://a\", tls_session_id=\"tsid\", "
           "tls_version=\"TLSv1.3\"}\n" },
    { "Istio at the destination, the peer in the filter state",
      ISTIO HTTP("4{1:4 4{1{1:'spiffe://c/ns/shop/sa/reviews'}} 5{1{1:'spiffe://c/ns/shop/sa/page'}}} 15:'inbound|9080||' "
                 "21{1:'downstream_peer' 2{1:'type.googleapis.com/google.protobuf.Struct' 2{" PAIR("workload", "page-v1")
                     PAIR("namespace", "shop") PAIR("app", "page") PAIR("service", "page") PAIR("revision", "v1") "}}}",
                 "3{1:1 3:'reviews:9080' 5:'/r'} 4{1{1:200}}"),
      0,
      DUMP " reporter=destination method=GET path=/r protocol=HTTP/1.1 response_code=200 authority=reviews:9080 "
           "upstream_cluster=inbound|9080|| request_protocol=http connection_security_policy=mutual_tls" IS_ISTIO
           " source_workload=page-v1 source_workload_namespace=shop source_app=page "
           "source_principal=spiffe://c/ns/shop/sa/page source_canonical_service=page source_canonical_revision=v1 "
           "source_cluster=Kubernetes destination_workload=reviews-v1 destination_workload_namespace=shop destination_app=reviews "
           "destination_version=v1 destination_principal=spiffe://c/ns/shop/sa/reviews destination_canonical_service=rev "
           "destination_canonical_revision=v1 destination_service=reviews.shop.svc.cluster.local destination_service_name=reviews "
           "destination_service_namespace=shop destination_cluster=c1 {"
           OF_ISTIO ", tls_local_uri=\"spiffe://c/ns/shop/sa/reviews\", tls_peer_uri=\"spiffe://c/ns/shop/sa/page\", "
           "tls_version=\"TLSv1.3\"}\n" },
    { "Istio at the source, gRPC with a trace",
      ISTIO HTTP("15:'outbound|80|v1|ratings.shop.svc.cluster.local' 21{1:'wasm.upstream_peer' "
                 "2{1:'type.googleapis.com/google.protobuf.Struct' 2{" PAIR("WORKLOAD_NAME", "ratings-v1")
                     PAIR("NAMESPACE", "shop") "}}}",
                 "3{1:3 13{1:'content-type' 2:'application/grpc'} 13{1:'traceparent' "
                 "2:'00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'}} 4{5{1:'grpc-status' 2:'14'}}"),
      0,
      DUMP " reporter=source method=POST protocol=HTTP/1.1 response_code=0 "
           "upstream_cluster=outbound|80|v1|ratings.shop.svc.cluster.local trace_id=0af7651916cd43dd8448eb211c80319c "
           "span_id=b7ad6b7169203331 request_protocol=grpc grpc_response_status=14" IS_ISTIO
           " source_workload=reviews-v1 source_workload_namespace=shop source_app=reviews source_version=v1 "
           "source_canonical_service=rev source_canonical_revision=v1 source_cluster=c1 destination_workload=ratings-v1 "
           "destination_workload_namespace=shop destination_canonical_service=ratings-v1 "
           "destination_canonical_revision=latest destination_service=ratings.shop.svc.cluster.local "
           "destination_service_name=ratings destination_service_namespace=shop destination_cluster=Kubernetes {" OF_ISTIO
           ", \"request_headers.content-type\"=\"application/grpc\", "
           "\"request_headers.traceparent\"=\"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\", "
           "\"response_trailers.grpc-status\"=\"14\"}\n" },
    { "B3 with a short trace id; tags that are columns go before what is concluded; '-' is nothing",
      PLAIN HTTP("15:'b' 22{1:'destination_workload' 2:'w'} 22{1:'destination_service' 2:'s'} 22{1:'source_app' 2:'-'} "
                 "22{1:'response_code' 2:'x'}",
                 "3{13{1:'x-b3-traceid' 2:'8448eb211c80319c'} 13{1:'x-b3-spanid' 2:'b7ad6b7169203331'}}"),
      0,
      DUMP " reporter=source protocol=HTTP/1.1 response_code=0 upstream_cluster=b "
           "trace_id=00000000000000008448eb211c80319c span_id=b7ad6b7169203331 request_protocol=http" IS_PLAIN
           " destination_workload=w destination_canonical_service=w destination_service=s destination_service_name=s {" OF_PLAIN
           ", \"request_headers.x-b3-spanid\"=\"b7ad6b7169203331\", \"request_headers.x-b3-traceid\"=\"8448eb211c80319c\", "
           "response_code=\"x\"}\n" },
    { "what is still under way, and a try at an upstream, stand behind and are not counted",
      PLAIN "2{1{1{" AT "15:'b' 33:5} 2:1} 1{1{" AT "15:'b' 33:9} 2:1} 1{1{" AT "15:'b' 27:1} 2:1} 1{1{" AT "15:'b'} 2:3}}",
      0,
      DUMP " reporter=source protocol=HTTP/2 response_code=0 upstream_cluster=b request_protocol=http" IS_PLAIN
           " destination_service=b destination_service_name=b {" OF_PLAIN "}\n"
      DUMP " reporter=source protocol=HTTP/1.0 response_code=0 upstream_cluster=b request_protocol=http" IS_PLAIN
           " destination_service=b destination_service_name=b {access_log_type=\"DownstreamPeriodic\", " OF_PLAIN "}\n" },
    { "bytes that are not UTF-8",
      PLAIN HTTP("", "3{5:'/\xff\xfe' 13{1:'h\xff' 2:'\x80'}}"), 0,
      DUMP " reporter=source path=/\xef\xbf\xbd\xef\xbf\xbd protocol=HTTP/1.1 response_code=0 request_protocol=http" IS_PLAIN
           " {" OF_PLAIN ", \"request_headers.h\xef\xbf\xbd\"=\"\xef\xbf\xbd\"}\n" },
    { "a time that does not fit is refused, the others are kept",
      PLAIN "2{1{1{5{1:9223372037}} 3{5:'/a'}} 1{1{" AT "} 3{5:'/b'}}}", 1,
      DUMP " reporter=source path=/b response_code=0 request_protocol=http" IS_PLAIN " {" OF_PLAIN "}\n" },
};

struct decoded {
    struct arena arena;
    struct batch batch;
    struct envoy_node *node;
    struct otlp_refused items;
};

static int decode_log(struct decoded *d, struct str message, struct err *e)
{
    int rc;

    d->arena = (struct arena)ARENA_INIT(16 << 20);
    batch_init(&d->batch, &d->arena);
    d->node = NULL;
    d->items = (struct otlp_refused){ 0 };
    rc = envoy_identifier(message, &d->node, e);
    return rc < 0 ? rc : envoy_log_decode(message, d->node, NULL, &d->batch, &d->items, e);
}

static int decode_metrics(struct decoded *d, struct str message, struct err *e)
{
    int rc;

    d->arena = (struct arena)ARENA_INIT(16 << 20);
    batch_init(&d->batch, &d->arena);
    d->node = NULL;
    d->items = (struct otlp_refused){ 0 };
    rc = envoy_identifier(message, &d->node, e);
    return rc < 0 ? rc : envoy_metrics_decode(message, d->node, 1700000000123, &d->batch, &d->items, e);
}

static void fini(struct decoded *d)
{
    arena_free(&d->arena);
    envoy_node_release(d->node);
}

static struct str encode(struct buf *b, const char *text)
{
    *b = (struct buf)BUF_INIT(1 << 20);
    pbtext(b, text);
    return buf_view(b);
}

START_TEST(makes_rows)
{
    struct buf message, out = BUF_INIT(1 << 20);
    struct decoded d;
    struct err e = ERR_INIT;
    int rc = decode_log(&d, encode(&message, logs[_i].message), &e);

    ck_assert_msg(rc == 0, "%s: %d %s", logs[_i].name, rc, e.msg);
    ck_assert_uint_eq(d.items.n, logs[_i].refused);
    dump_batch(&out, &d.batch);
    /* those that stand behind look alike: two would only make the row longer */
    if (strstr(logs[_i].name, "still under way")) {
        ck_assert_uint_eq(d.batch.events[EVENT_ACCESS_LOG].n, 4);
        ck_assert_msg(str_starts(buf_view(&out), str_of(logs[_i].want)), "%.*s", STR_ARG(buf_view(&out)));
    } else {
        ck_assert_msg(str_eqz(buf_view(&out), logs[_i].want), "%s:\n%.*s\nshould be\n%s", logs[_i].name,
                      STR_ARG(buf_view(&out)), logs[_i].want);
    }
    fini(&d);
    buf_free(&message);
    buf_free(&out);
}
END_TEST

static const struct {
    const char *name, *message, *want;
} metrics[] = {
    { "each kind",
      PLAIN "2{1:'cluster.up.rq' 2:'requests' 3:0 4{1{1:'zone' 2:'a'} 3{1:7d} 6:1700000000001} 4{3{1:8d}}}"
            "2{1:'server.live' 3:1 4{2{1:1d}}} 2{1:'istiocustom.istio_requests_total' 3:0 4{3{1:3d}}}"
            "2{1:'rt' 3:2 4{4{1:4 2:2.5d 3{1:0.5d 2:0.25d}}}} 2{1:'h' 3:4 4{7{1:5 2:6d 3{1:2 2:1d} 3{1:4 2:5d}}}}"
            "2{1:'u' 3:3 4{5{1:9d}}}",
      "# envoy_cluster_up_rq counter\n# envoy_server_live gauge\n# istio_requests_total counter\n# envoy_rt summary\n"
      "# envoy_h histogram\n# envoy_u unknown\n"
      "{__name__=\"envoy_cluster_up_rq\", instance=\"envoy-1\", job=\"edge\", zone=\"a\"} 1700000000001 7\n"
      "{__name__=\"envoy_cluster_up_rq\", instance=\"envoy-1\", job=\"edge\"} 1700000000123 8\n"
      "{__name__=\"envoy_server_live\", instance=\"envoy-1\", job=\"edge\"} 1700000000123 1\n"
      "{__name__=\"istio_requests_total\", instance=\"envoy-1\", job=\"edge\"} 1700000000123 3\n"
      "{__name__=\"envoy_rt\", instance=\"envoy-1\", job=\"edge\", quantile=\"0.5\"} 1700000000123 0.25\n"
      "{__name__=\"envoy_rt_sum\", instance=\"envoy-1\", job=\"edge\"} 1700000000123 2.5\n"
      "{__name__=\"envoy_rt_count\", instance=\"envoy-1\", job=\"edge\"} 1700000000123 4\n"
      "{__name__=\"envoy_h_bucket\", instance=\"envoy-1\", job=\"edge\", le=\"1\"} 1700000000123 2\n"
      "{__name__=\"envoy_h_bucket\", instance=\"envoy-1\", job=\"edge\", le=\"5\"} 1700000000123 4\n"
      "{__name__=\"envoy_h_bucket\", instance=\"envoy-1\", job=\"edge\", le=\"+Inf\"} 1700000000123 5\n"
      "{__name__=\"envoy_h_sum\", instance=\"envoy-1\", job=\"edge\"} 1700000000123 6\n"
      "{__name__=\"envoy_h_count\", instance=\"envoy-1\", job=\"edge\"} 1700000000123 5\n"
      "{__name__=\"envoy_u\", instance=\"envoy-1\", job=\"edge\"} 1700000000123 9\n" },
    { "labels of a metric go before its sender's; names are made legal; the type may stand last",
      ISTIO "2{4{1{1:'job' 2:'own'} 1{1:'a.b' 2:'x'} 1{1:'9' 2:'y'} 3{1:1d}} 1:'a-b' 3:0}",
      "# envoy_a_b counter\n"
      "{_9=\"y\", __name__=\"envoy_a_b\", a_b=\"x\", "
      "instance=\"sidecar~10.0.0.7~reviews-1.shop~shop.svc.cluster.local\", job=\"own\", namespace=\"shop\", "
      "pod=\"reviews-1\"} 1700000000123 1\n" },
};

START_TEST(makes_series)
{
    struct buf message, out = BUF_INIT(1 << 20);
    struct decoded d;
    struct err e = ERR_INIT;
    int rc = decode_metrics(&d, encode(&message, metrics[_i].message), &e);

    ck_assert_msg(rc == 0, "%s: %d %s", metrics[_i].name, rc, e.msg);
    dump_batch(&out, &d.batch);
    ck_assert_msg(str_eqz(buf_view(&out), metrics[_i].want), "%s:\n%.*s", metrics[_i].name, STR_ARG(buf_view(&out)));
    fini(&d);
    buf_free(&message);
    buf_free(&out);
}
END_TEST

static const struct {
    const char *name, *message;
    int rc;
    const char *msg;
} faults[] = {
    { "no identifier", "2{1{2:1}}", ERR_INVALID, "the first message of a stream should have an identifier" },
    { "a string where a message should be", PLAIN "2:1", ERR_PARSE, NULL },
    { "an entry that is cut short", PLAIN "2{1:'\x0a\x7f'}", ERR_PARSE, NULL },
};

START_TEST(refuses)
{
    struct buf message;
    struct decoded d;
    struct err e = ERR_INIT;
    int rc = decode_log(&d, encode(&message, faults[_i].message), &e);

    ck_assert_msg(rc == faults[_i].rc, "%s: %d %s", faults[_i].name, rc, e.msg);
    if (faults[_i].msg)
        ck_assert_str_eq(e.msg, faults[_i].msg);
    fini(&d);
    buf_free(&message);
}
END_TEST

/* Nested 200 deep, and 300 header fields: refused by name, without harm to others. */
START_TEST(bounds_depth_and_attributes)
{
    struct buf text = BUF_INIT(1 << 20), message;
    struct decoded d;
    struct err e = ERR_INIT;

    buf_puts(&text, PLAIN "2{1{1{17{1{1:'deep' 2{1{1:'k' 2{");
    for (int i = 0; i < 200; i++)
        buf_puts(&text, "6{1{");
    for (int i = 0; i < 200; i++)
        buf_puts(&text, "}}");
    buf_puts(&text, "}}}}}}} 1{3{");
    for (int i = 0; i < 300; i++)
        buf_printf(&text, "13{1:'h%d' 2:'v'}", i);
    buf_puts(&text, "}} 1{3{5:'/good'}}}");
    ck_assert_int_eq(decode_log(&d, encode(&message, buf_cstr(&text)), &e), 0);
    ck_assert_uint_eq(d.items.n, 2);
    ck_assert_uint_eq(d.items.accepted, 1);
    ck_assert_str_eq(d.items.why, "a value nests deeper than 32 levels");
    fini(&d);
    buf_free(&text);
    buf_free(&message);
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    bool failed = true;

    for (long n = 1; failed; n++) {
        struct buf message;
        struct decoded d;
        struct str bytes = encode(&message, _i ? metrics[0].message : logs[2].message);

        mem_fail_at(n);
        if ((_i ? decode_metrics : decode_log)(&d, bytes, &(struct err){ 0 }) < 0)
            ck_assert(mem_has_failed());
        failed = mem_has_failed();
        mem_fail_at(0);
        fini(&d);
        buf_free(&message);
    }
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("envoy");
    TCase *tc = tcase_create("envoy");

    tcase_add_loop_test(tc, makes_rows, 0, COUNT(logs));
    tcase_add_loop_test(tc, makes_series, 0, COUNT(metrics));
    tcase_add_loop_test(tc, refuses, 0, COUNT(faults));
    tcase_add_test(tc, bounds_depth_and_attributes);
    tcase_add_loop_test(tc, survives_every_failed_allocation, 0, 2);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(make_suite)
