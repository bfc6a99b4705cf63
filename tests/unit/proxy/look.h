/* look.h: takes protobuf messages apart in tests, and makes records for them. */
#ifndef TESTS_UNIT_PROXY_LOOK_H
#define TESTS_UNIT_PROXY_LOOK_H

#include "base/pb.h"
#include "proxy/record.h"
#include "tests/unit/unit.h"

#include <stdio.h>

/* The i-th field `number` of a message. False: there is none. */
static inline bool look_field(struct str message, uint32_t number, size_t i, struct pb_field *f)
{
    struct pb_reader r = pb_reader(message);
    struct err e = ERR_INIT;
    int rc;

    while ((rc = pb_next(&r, f, &e)) == 1)
        if (f->number == number && i-- == 0)
            return true;
    ck_assert_msg(rc == 0, "%s", e.msg);
    return false;
}

static inline struct str look_bytes(struct str message, uint32_t number, size_t i)
{
    struct pb_field f;

    return look_field(message, number, i, &f) ? f.bytes : STR_NULL;
}

/* UINT64_MAX when there is none. */
static inline uint64_t look_number(struct str message, uint32_t number)
{
    struct pb_field f;

    return look_field(message, number, 0, &f) ? f.u : UINT64_MAX;
}

static inline double look_double(struct str message, uint32_t number)
{
    struct pb_field f;

    return look_field(message, number, 0, &f) ? pb_double(&f) : -1;
}

static inline size_t look_count(struct str message, uint32_t number)
{
    struct pb_field f;
    size_t n = 0;

    while (look_field(message, number, n, &f))
        n++;
    return n;
}

/* The AnyValue of the KeyValue `key` among the fields `number`; STR_NULL when there is none. */
static inline struct str look_attribute(struct str message, uint32_t number, const char *key)
{
    for (size_t i = 0, n = look_count(message, number); i < n; i++) {
        struct str pair = look_bytes(message, number, i);

        if (str_eqz(look_bytes(pair, 1, 0), key))
            return look_bytes(pair, 2, 0);
    }
    return STR_NULL;
}

static inline struct str look_text(struct str message, uint32_t number, const char *key)
{
    return look_bytes(look_attribute(message, number, key), 1, 0);
}

/* From a request down to its scope part: { 1: { 2: … } }. */
static inline struct str look_scope(struct str request)
{
    return look_bytes(look_bytes(request, 1, 0), 2, 0);
}

/* What a gateway says of an ordinary request. */
static inline struct record look_request(int64_t start_ns, int code)
{
    struct record rec = { .kind = RECORD_HTTP, .request_bytes = 300, .response_bytes = 1500 };
    struct access_log *l = &rec.log;

    access_log_init(l);
    l->start_ns = start_ns;
    l->reporter = STR("source");
    l->method = STR("GET");
    l->path = STR("/guestbook.php?cmd=get");
    l->protocol = STR("HTTP/1.1");
    l->response_code = code;
    l->response_code_details = STR("via_upstream");
    l->bytes_received = 0;
    l->bytes_sent = 1234;
    l->duration_us = 4200;
    l->upstream_service_time_us = 4000;
    l->user_agent = STR("curl/7.88.1");
    l->request_id = STR("84961386-6d84-4929-98bd-c5aee93b5c88");
    l->authority = STR("guestbook.lvh.me:8080");
    l->upstream_host = STR("127.10.0.4:10080");
    l->upstream_cluster = STR("outbound|80|v1|frontend.guestbook.svc.cluster.local");
    l->downstream_remote_address = STR("127.0.0.1:52314");
    l->route_name = STR("default");
    l->request_protocol = STR("http");
    l->pod = STR("gateway-0");
    l->source_workload = STR("istio-ingressgateway");
    l->destination_workload = STR("frontend-v1");
    l->destination_service = STR("frontend.guestbook.svc.cluster.local");
    return rec;
}

#endif
