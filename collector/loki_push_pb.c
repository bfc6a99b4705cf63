/* loki_push_pb.c: logproto.PushRequest. Source: grafana/loki pkg/push/push.proto. */
#include "base/pb.h"
#include "collector/loki_push-internal.h"

enum { REQUEST_STREAMS = 1, STREAM_LABELS = 1, STREAM_ENTRIES = 2 };
enum { ENTRY_TIMESTAMP = 1, ENTRY_LINE = 2, ENTRY_METADATA = 3, TIMESTAMP_SECONDS = 1, TIMESTAMP_NANOS = 2 };
enum { PAIR_NAME = 1, PAIR_VALUE = 2 };

typedef int message_fn(struct loki_push *p, const struct pb_field *f, void *out, struct err *e);

/* Calls fn for each field of a message. */
static int read_message(struct loki_push *p, struct str message, message_fn *fn, void *out, struct err *e)
{
    struct pb_reader r = pb_reader(message);
    struct pb_field f;
    int rc;

    while ((rc = pb_next(&r, &f, e)) == 1)
        if ((rc = fn(p, &f, out, e)) < 0)
            return rc;
    return rc;
}

static int read_bytes(const struct pb_field *f, struct str *out, struct err *e)
{
    *out = f->bytes;
    return pb_want(f, PB_BYTES, e);
}

static int pair_field(struct loki_push *p, const struct pb_field *f, void *out, struct err *e)
{
    struct label *l = out;

    (void)p;
    if (f->number == PAIR_NAME)
        return read_bytes(f, &l->name, e);
    return f->number == PAIR_VALUE ? read_bytes(f, &l->value, e) : 0;
}

struct timestamp {
    int64_t seconds, nanos;
};

static int timestamp_field(struct loki_push *p, const struct pb_field *f, void *out, struct err *e)
{
    struct timestamp *t = out;

    (void)p;
    if (f->number != TIMESTAMP_SECONDS && f->number != TIMESTAMP_NANOS)
        return 0;
    *(f->number == TIMESTAMP_SECONDS ? &t->seconds : &t->nanos) = (int64_t)f->u;
    return pb_want(f, PB_VARINT, e);
}

struct entry {
    struct timestamp time;
    struct str line;
};

static int entry_field(struct loki_push *p, const struct pb_field *f, void *out, struct err *e)
{
    struct entry *x = out;
    struct label pair = { STR_NULL, STR_NULL };
    int rc;

    switch (f->number) {
    case ENTRY_TIMESTAMP:
        rc = pb_want(f, PB_BYTES, e);
        return rc < 0 ? rc : read_message(p, f->bytes, timestamp_field, &x->time, e);
    case ENTRY_LINE:
        return read_bytes(f, &x->line, e);
    case ENTRY_METADATA:
        if ((rc = pb_want(f, PB_BYTES, e)) < 0 || (rc = read_message(p, f->bytes, pair_field, &pair, e)) < 0)
            return rc;
        loki_label_add(&p->metadata, pair.name, pair.value);
        return 0;
    default:
        return 0;
    }
}

static int read_entry(struct loki_push *p, struct str message, struct err *e)
{
    struct entry x = { 0 };
    struct err why = ERR_INIT;
    int64_t ns;
    int rc;

    p->metadata.n = 0;
    if ((rc = read_message(p, message, entry_field, &x, e)) < 0)
        return rc;
    if (__builtin_mul_overflow(x.time.seconds, INT64_C(1000000000), &ns) ||
        __builtin_add_overflow(ns, x.time.nanos, &ns)) {
        err_set(&why, ERR_RANGE, "entry for stream '%.200s' has a timestamp of %lld s, outside of the years 1677 to 2262",
                p->text.p ? p->text.p : "", (long long)x.time.seconds);
        push_refuse(p->outcome, 1, &why);
        return 0;
    }
    return loki_line(p, ns, x.line, e);
}

/* Fields come in any order: first who, then what. */
static int stream_labels(struct loki_push *p, const struct pb_field *f, void *out, struct err *e)
{
    (void)p;
    return f->number == STREAM_LABELS ? read_bytes(f, out, e) : 0;
}

static int stream_entries(struct loki_push *p, const struct pb_field *f, void *out, struct err *e)
{
    int rc;

    (void)out;
    if (f->number != STREAM_ENTRIES)
        return 0;
    rc = pb_want(f, PB_BYTES, e);
    return rc < 0 ? rc : read_entry(p, f->bytes, e);
}

static int request_field(struct loki_push *p, const struct pb_field *f, void *out, struct err *e)
{
    struct str text = STR_NULL;
    struct err why = ERR_INIT;
    int rc;

    (void)out;
    if (f->number != REQUEST_STREAMS)
        return 0;
    if ((rc = pb_want(f, PB_BYTES, e)) < 0 || (rc = read_message(p, f->bytes, stream_labels, &text, e)) < 0)
        return rc;
    p->text = STR("");
    rc = loki_labels_parse(text, p->batch->arena, &p->labels, &why);
    if (rc == ERR_PARSE)
        loki_stream_unread(p, text, &why);
    else if (rc < 0 || (rc = loki_stream(p, &why)) < 0)
        return err_set(e, rc, "%s", why.msg);
    return read_message(p, f->bytes, stream_entries, NULL, e);
}

int loki_push_protobuf(struct loki_push *p, struct str body, struct err *e)
{
    return read_message(p, body, request_field, NULL, e);
}
