#include "tests/unit/collector/red_case.h"

#define TRACE     "trace_id=5b8efff798038103d269b633813fc60c duration_ns=1500000 "
#define WEB_CALLS TRACE "service=web namespace=shop version=v1 span_id=0000000000000001 kind=client"
#define CART_SERVES                                                                                                    \
    TRACE "service=cart namespace=shop version=v2 span_id=0000000000000002 parent_span_id=0000000000000001 "           \
          "kind=server"
#define FROM_WEB                                                                                                       \
    "source_app=\"web\", source_canonical_revision=\"v1\", source_canonical_service=\"web\", "                         \
    "source_cluster=\"Kubernetes\", "                                                                                  \
    "source_version=\"v1\", source_workload=\"web\", source_workload_namespace=\"shop\"}"
#define CART                                                                                                           \
    "{destination_app=\"cart\", destination_canonical_revision=\"v2\", destination_canonical_service=\"cart\", "       \
    "destination_cluster=\"Kubernetes\", destination_service=\"cart\", destination_service_name=\"cart\", "            \
    "destination_service_namespace=\"shop\", destination_version=\"v2\", destination_workload=\"cart\", "              \
    "destination_workload_namespace=\"shop\", "
#define TO_CART         CART "job=\"vigla/spans\", "
#define TO_CART_BY_GRPC CART "grpc_response_status=\"14\", job=\"vigla/spans\", "
#define TO_OTHER                                                                                                       \
    "{destination_app=\"other\", destination_canonical_revision=\"latest\", destination_canonical_service=\"other\", " \
    "destination_cluster=\"Kubernetes\", destination_service=\"other\", destination_service_name=\"other\", "          \
    "destination_service_namespace=\"shop\", destination_workload=\"other\", "                                         \
    "destination_workload_namespace=\"shop\", "                                                                        \
    "job=\"vigla/spans\", "
#define OK_HTTP "request_protocol=\"http\", response_code=\"200\", response_flags=\"-\", "

static const struct {
    const char *name;
    const char *batches[2][3]; /* one after the other */
    const char *want;          /* of both */
} calls[] = {
    {"caller and called in one batch are one call told twice",
     {{WEB_CALLS, CART_SERVES}},
     TO_CART "reporter=\"source\", " OK_HTTP FROM_WEB " 1\n" TO_CART "reporter=\"destination\", " OK_HTTP FROM_WEB
             " 1\n"},
    {"both ends of a call share one id",
     {{WEB_CALLS, TRACE "service=cart namespace=shop version=v2 span_id=0000000000000001 kind=server"}},
     TO_CART "reporter=\"source\", " OK_HTTP FROM_WEB " 1\n" TO_CART "reporter=\"destination\", " OK_HTTP FROM_WEB
             " 1\n"},
    {"who comes second knows the first",
     {{WEB_CALLS}, {CART_SERVES}},
     "{destination_canonical_revision=\"latest\", job=\"vigla/spans\", reporter=\"source\", " OK_HTTP FROM_WEB
     " 1\n" TO_CART "reporter=\"destination\", " OK_HTTP FROM_WEB " 1\n"},
    {"the called one first",
     {{CART_SERVES}, {WEB_CALLS}},
     TO_CART "reporter=\"destination\", " OK_HTTP "source_canonical_revision=\"latest\"} 1\n" TO_CART
             "reporter=\"source\", " OK_HTTP FROM_WEB " 1\n"},
    {"a host is learned from a call whose other end is known",
     {{WEB_CALLS " server.address=cart.shop.svc", CART_SERVES},
      {TRACE
       "service=web namespace=shop version=v1 span_id=0000000000000003 kind=client server.address=cart.shop.svc"}},
     TO_CART "reporter=\"source\", " OK_HTTP FROM_WEB " 1\n" TO_CART "reporter=\"destination\", " OK_HTTP FROM_WEB
             " 1\n" TO_CART "reporter=\"source\", " OK_HTTP FROM_WEB " 1\n"},
    {"a host of two services is nobody's",
     {{WEB_CALLS " server.address=lb", CART_SERVES,
       TRACE "service=other namespace=shop span_id=0000000000000012 parent_span_id=0000000000000011 kind=server"},
      {TRACE "service=web namespace=shop version=v1 span_id=0000000000000011 kind=client server.address=lb",
       TRACE "service=web namespace=shop version=v1 span_id=0000000000000013 kind=client server.address=lb"}},
     TO_CART "reporter=\"source\", " OK_HTTP FROM_WEB " 1\n" TO_CART "reporter=\"destination\", " OK_HTTP FROM_WEB
             " 1\n" TO_OTHER "reporter=\"destination\", " OK_HTTP "source_canonical_revision=\"latest\"} 1\n" TO_OTHER
             "reporter=\"source\", " OK_HTTP FROM_WEB " 1\n"
             "{destination_canonical_revision=\"latest\", destination_service=\"lb\", destination_service_name=\"lb\", "
             "job=\"vigla/spans\", reporter=\"source\", " OK_HTTP FROM_WEB " 1\n"},
    {"a peer that sends no spans goes by its name",
     {{WEB_CALLS " server.address=db.example.com db.system=postgresql"}},
     "{destination_canonical_revision=\"latest\", destination_service=\"db.example.com\", "
     "destination_service_name=\"db.example.com\", job=\"vigla/spans\", reporter=\"source\", " OK_HTTP FROM_WEB " 1\n"},
    {"a service of the cluster has a namespace",
     {{WEB_CALLS " url.full=http://u@pay.bank.svc.cluster.local:80/x?y=http://z"}},
     "{destination_canonical_revision=\"latest\", destination_service=\"pay.bank.svc.cluster.local\", "
     "destination_service_name=\"pay\", destination_service_namespace=\"bank\", job=\"vigla/spans\", "
     "reporter=\"source\", " OK_HTTP FROM_WEB " 1\n"},
    {"peer.service goes before the address",
     {{WEB_CALLS " server.address=10.0.0.1 peer.service=pay"}},
     "{destination_canonical_revision=\"latest\", destination_service=\"pay\", destination_service_name=\"pay\", "
     "job=\"vigla/spans\", reporter=\"source\", " OK_HTTP FROM_WEB " 1\n"},
    {"nothing but a system",
     {{WEB_CALLS " db.system.name=redis"}},
     "{destination_canonical_revision=\"latest\", destination_service=\"redis\", destination_service_name=\"redis\", "
     "job=\"vigla/spans\", reporter=\"source\", " OK_HTTP FROM_WEB " 1\n"},
    {"codes: an answer's, gRPC's, a failure without one",
     {{CART_SERVES " http.response.status_code=404", CART_SERVES " rpc.system=grpc rpc.grpc.status_code=14 status=2",
       CART_SERVES " http.status_code=200 status=2"}},
     TO_CART "reporter=\"destination\", request_protocol=\"http\", response_code=\"404\", response_flags=\"-\", "
             "source_canonical_revision=\"latest\"} 1\n" TO_CART_BY_GRPC
             "reporter=\"destination\", request_protocol=\"grpc\", response_code=\"200\", "
             "response_flags=\"-\", source_canonical_revision=\"latest\"} 1\n" TO_CART
             "reporter=\"destination\", request_protocol=\"http\", response_code=\"500\", response_flags=\"-\", "
             "source_canonical_revision=\"latest\"} 1\n"},
    {"spans inside are no calls",
     {{TRACE "service=web span_id=0000000000000001 kind=internal", TRACE "service=web span_id=0000000000000002"}},
     ""},
    {"a sidecar and its application serve one request",
     {{CART_SERVES, TRACE
       "service=cart namespace=shop version=v2 span_id=0000000000000003 parent_span_id=0000000000000002 kind=server"}},
     TO_CART "reporter=\"destination\", " OK_HTTP "source_canonical_revision=\"latest\"} 1\n"},
    {"an application and its sidecar make one call",
     {{WEB_CALLS,
       TRACE "service=web namespace=shop version=v1 span_id=0000000000000002 parent_span_id=0000000000000001 "
             "kind=client upstream_cluster=outbound|80||pay.bank.svc.cluster.local"}},
     "{destination_canonical_revision=\"latest\", destination_service=\"pay.bank.svc.cluster.local\", "
     "destination_service_name=\"pay\", destination_service_namespace=\"bank\", job=\"vigla/spans\", "
     "reporter=\"source\", " OK_HTTP FROM_WEB " 1\n"},
    {"messages go from the producer to the consumer",
     {{TRACE "service=web namespace=shop version=v1 span_id=0000000000000001 kind=producer messaging.system=kafka",
       TRACE "service=cart namespace=shop version=v2 span_id=0000000000000002 parent_span_id=0000000000000001 "
             "kind=consumer"}},
     TO_CART "reporter=\"source\", " OK_HTTP FROM_WEB " 1\n" TO_CART "reporter=\"destination\", " OK_HTTP FROM_WEB
             " 1\n"},
};

START_TEST(spans_are_calls)
{
    struct fixture f;

    begin(&f);
    for (size_t i = 0; i < COUNT(calls[_i].batches); i++) {
        size_t first = f.batch.events[EVENT_SPAN].n;

        for (size_t k = 0; k < COUNT(calls[_i].batches[i]) && calls[_i].batches[i][k]; k++)
            add_row(&f.batch, EVENT_SPAN, calls[_i].batches[i][k]);
        ck_assert_int_eq(red_spans(f.red, &f.batch, first, NULL), 0);
    }
    ck_assert_str_eq(increments(&f, "istio_requests_total"), calls[_i].want);
    end(&f);
}
END_TEST

/* Who serves tells first: counted as from nobody known, and taken back by whom it was called. */
#define SHARED_CART TRACE "service=cart namespace=shop version=v2 span_id=0000000000000001 "
#define AS_UNKNOWN  "reporter=\"destination\", " OK_HTTP "source_canonical_revision=\"latest\"} "
#define HALF_UNKNOWN                                                                                                   \
    "reporter=\"destination\", request_protocol=\"http\", response_code=\"500\", response_flags=\"-\", "                 \
    "source_canonical_revision=\"latest\"} "

static const struct {
    const char *name;
    const char *batches[3][3]; /* one after the other */
    const char *awaited, *found;
} late[] = {
    {"the caller comes later", {{CART_SERVES}, {WEB_CALLS}}, TO_CART AS_UNKNOWN "1\n" TO_CART AS_UNKNOWN "0\n",
     TO_CART AS_UNKNOWN "0\n" TO_CART AS_UNKNOWN "1\n"},
    {"the caller comes first", {{WEB_CALLS}, {CART_SERVES}}, "", ""},
    {"together", {{CART_SERVES, WEB_CALLS}}, "", ""},
    {"twice is told once", {{CART_SERVES}, {WEB_CALLS}, {WEB_CALLS}},
     TO_CART AS_UNKNOWN "1\n" TO_CART AS_UNKNOWN "0\n", TO_CART AS_UNKNOWN "0\n" TO_CART AS_UNKNOWN "1\n"},
    {"nobody calls: a span without a parent", {{TRACE "service=cart span_id=0000000000000002 kind=server"}, {WEB_CALLS}},
     "", ""},
    {"another span", {{CART_SERVES}, {TRACE "service=web namespace=shop span_id=0000000000000009 kind=client"}},
     TO_CART AS_UNKNOWN "1\n", TO_CART AS_UNKNOWN "0\n"},
    {"a span inside calls nobody",
     {{CART_SERVES}, {TRACE "service=web namespace=shop span_id=0000000000000001 kind=internal"}},
     TO_CART AS_UNKNOWN "1\n", TO_CART AS_UNKNOWN "0\n"},
    {"two called by one",
     {{CART_SERVES, TRACE "service=cart namespace=shop version=v2 span_id=0000000000000003 status=2 "
                          "parent_span_id=0000000000000001 kind=consumer"},
      {TRACE "service=web namespace=shop version=v1 span_id=0000000000000001 kind=producer"}},
     TO_CART AS_UNKNOWN "1\n" TO_CART HALF_UNKNOWN "1\n" TO_CART AS_UNKNOWN "0\n" TO_CART HALF_UNKNOWN "0\n",
     TO_CART AS_UNKNOWN "0\n" TO_CART HALF_UNKNOWN "0\n" TO_CART AS_UNKNOWN "1\n" TO_CART HALF_UNKNOWN "1\n"},
    {"both ends share one id", {{SHARED_CART "parent_span_id=0000000000000009 kind=server"}, {WEB_CALLS}},
     TO_CART AS_UNKNOWN "1\n" TO_CART AS_UNKNOWN "0\n", TO_CART AS_UNKNOWN "0\n" TO_CART AS_UNKNOWN "1\n"},
    {"an application, then its sidecar",
     {{TRACE "service=cart namespace=shop version=v2 span_id=0000000000000003 parent_span_id=0000000000000002 "
             "kind=server"},
      {CART_SERVES}},
     TO_CART AS_UNKNOWN "1\n" TO_CART AS_UNKNOWN "1\n", TO_CART AS_UNKNOWN "0\n" TO_CART AS_UNKNOWN "1\n"},
    {"who serves and is another service's parent does not count the call",
     {{CART_SERVES}, {TRACE "service=web namespace=shop span_id=0000000000000001 kind=server"}},
     TO_CART AS_UNKNOWN "1\n", TO_CART AS_UNKNOWN "0\n"},
};

START_TEST(who_was_counted_too_early_is_told)
{
    struct fixture f;

    begin(&f);
    for (size_t i = 0; i < COUNT(late[_i].batches); i++) {
        size_t first = f.batch.events[EVENT_SPAN].n;

        for (size_t k = 0; k < COUNT(late[_i].batches[i]) && late[_i].batches[i][k]; k++)
            add_row(&f.batch, EVENT_SPAN, late[_i].batches[i][k]);
        ck_assert_int_eq(red_spans(f.red, &f.batch, first, NULL), 0);
    }
    ck_assert_msg(strcmp(increments(&f, SPAN_CALLERS_AWAITED), late[_i].awaited) == 0, "%s: awaited\n%s", late[_i].name,
                  increments(&f, SPAN_CALLERS_AWAITED));
    ck_assert_msg(strcmp(increments(&f, SPAN_CALLERS_FOUND), late[_i].found) == 0, "%s: found\n%s", late[_i].name,
                  increments(&f, SPAN_CALLERS_FOUND));
    end(&f);
}
END_TEST

START_TEST(spans_of_who_has_metrics_or_logs_are_left_alone)
{
    static const char *const jobs[] = {"scraped", "vigla/logs"};
    struct fixture f;
    char labels[256];

    begin(&f);
    snprintf(labels, sizeof(labels),
             "job=%s reporter=destination destination_workload=cart "
             "destination_workload_namespace=shop destination_canonical_service=cart",
             jobs[_i]);
    has_metric(&f, labels);
    add_row(&f.batch, EVENT_SPAN, CART_SERVES);
    ck_assert_int_eq(red_spans(f.red, &f.batch, 0, NULL), 0);
    ck_assert_uint_eq(f.batch.nseries, 0);
    end(&f);
}
END_TEST

/* More spans than are remembered: bounded, and no one is found who is not there. */
START_TEST(what_is_remembered_is_bounded)
{
    struct red_peers *p = red_peers_new();
    const struct red_party texts = {.service = STR("web")}, *web;
    char id[32];
    size_t found = 0;

    ck_assert_ptr_nonnull(p);
    web = red_peers_party(p, &texts);
    ck_assert_ptr_nonnull(web);
    ck_assert_ptr_eq(red_peers_party(p, &texts), web);
    for (int i = 0; i < 200000; i++) {
        snprintf(id, sizeof(id), "%016d", i);
        red_peers_note(p, RED_SERVER, STR("t"), str_of(id), web);
    }
    for (int i = 0; i < 200000; i++) {
        snprintf(id, sizeof(id), "%016d", i);
        found += red_peers_find(p, RED_SERVER, STR("t"), str_of(id)) != NULL;
        ck_assert_ptr_null(red_peers_find(p, RED_OTHER, STR("t"), str_of(id)));
    }
    ck_assert_uint_le(found, 65536);
    ck_assert_ptr_eq(red_peers_find(p, RED_SERVER, STR("t"), str_of(id)), web);
    red_peers_free(p);
}
END_TEST

static Suite *red_spans_suite(void)
{
    Suite *s = suite_create("red spans");
    TCase *t = tcase_create("red spans");

    tcase_add_loop_test(t, spans_are_calls, 0, (int)COUNT(calls));
    tcase_add_loop_test(t, who_was_counted_too_early_is_told, 0, (int)COUNT(late));
    tcase_add_loop_test(t, spans_of_who_has_metrics_or_logs_are_left_alone, 0, 2);
    tcase_add_test(t, what_is_remembered_is_bounded);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(red_spans_suite)
