/* otlp_case.h: requests in short, and what a decoded one looks like as text. */
#ifndef TESTS_UNIT_COLLECTOR_OTLP_CASE_H
#define TESTS_UNIT_COLLECTOR_OTLP_CASE_H

#include "collector/otlp-internal.h"
#include "tests/unit/collector/dump.h"
#include "tests/unit/unit.h"

/* Envelopes around one item of each signal, written with single quotes for double ones. */
#define LOG(resource, scope, record)                                                                                  \
    "{'resourceLogs':[{'resource':{'attributes':[" resource "]},'scopeLogs':[{'scope':{'name':'" scope "'},"         \
    "'logRecords':[" record "]}]}]}"
#define METRIC(resource, metric)                                                                                      \
    "{'resourceMetrics':[{'resource':{'attributes':[" resource "]},'scopeMetrics':[{'metrics':[" metric "]}]}]}"
#define SPAN(resource, span)                                                                                          \
    "{'resourceSpans':[{'resource':{'attributes':[" resource "]},'scopeSpans':[{'spans':[" span "]}]}]}"
#define S(key, value) "{'key':'" key "','value':{'stringValue':'" value "'}}"
#define I(key, value) "{'key':'" key "','value':{'intValue':'" value "'}}"
#define WHO S("service.name", "frontend.guestbook") "," S("service.instance.id", "frontend-1.guestbook") "," S(         \
    "k8s.pod.name", "frontend-1") "," S("k8s.namespace.name", "guestbook") "," S("k8s.deployment.name", "frontend")      \
    "," S("app", "guestbook") "," S("service.version", "v1")
#define AT "'timeUnixNano':'1700000000123456789'"
#define IDS "'traceId':'5B8EFFF798038103D269B633813FC60C','spanId':'EEE19B7EC3C1B174'"

#define SPAN_LABELS "{span_id=\"eee19b7ec3c1b174\", trace_id=\"5b8efff798038103d269b633813fc60c\"}"

/* Rows whose text is made, not written. */
static inline void special(struct buf *json, const char *name)
{
    if (strcmp(name, "DEEP") == 0) {
        buf_puts(json, "{'resourceLogs':[{'scopeLogs':[{'logRecords':[{'attributes':[{'key':'deep','value':");
        for (int i = 0; i < 33; i++)
            buf_puts(json, "{'arrayValue':{'values':[");
        for (int i = 0; i < 33; i++)
            buf_puts(json, "]}}");
        buf_puts(json, "}]}]}]}]}");
    } else {
        buf_puts(json, "{'resourceLogs':[{'scopeLogs':[{'logRecords':[{'attributes':[");
        for (int i = 0; i < 129; i++)
            buf_printf(json, "%s{'key':'k%d'}", i ? "," : "", i);
        buf_puts(json, "]}]}]}]}");
    }
}

static inline void row_json(struct buf *json, const char *text)
{
    if (text[0] >= 'A' && text[0] <= 'Z')
        special(json, text);
    else
        buf_puts(json, text);
    for (size_t i = 0; i < json->n; i++)
        if (json->p[i] == '\'')
            json->p[i] = '"';
}

static inline int decode(enum otlp_signal signal, enum otlp_encoding encoding, struct str body, struct buf *text,
                  struct otlp_refused *refused, struct err *e)
{
    struct arena a = ARENA_INIT(64 << 20);
    struct batch b;
    int rc;

    batch_init(&b, &a);
    rc = otlp_decode(signal, encoding, body, NULL, &b, refused, e);
    if (rc == 0)
        dump_batch(text, &b);
    buf_putc(text, '\0');
    arena_free(&a);
    return rc;
}

#endif
