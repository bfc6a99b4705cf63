#include "collector/grpc_wire-internal.h"

#include "base/pb.h"
#include "collector/otlp-internal.h"

/* --- messages --- */

static int read_prefix(struct grpc_deframer *d, struct err *e)
{
    size_t length = (size_t)d->prefix[1] << 24 | (size_t)d->prefix[2] << 16 | (size_t)d->prefix[3] << 8 | d->prefix[4];

    if (d->prefix[0] > 1)
        return err_set(e, ERR_PARSE, "a message begins with byte %u, should be 0 or 1 (compressed)", d->prefix[0]);
    if (length > d->max)
        return err_set(e, ERR_LIMIT, "a message of %zu bytes, at most %zu are taken", length, d->max);
    d->packed = d->prefix[0] == 1;
    d->length = length;
    d->body = (struct buf)BUF_INIT(length);
    return 0;
}

int grpc_deframe(struct grpc_deframer *d, struct str *in, struct buf *body, bool *packed, struct err *e)
{
    size_t n;
    int rc;

    while (d->have < GRPC_PREFIX) {
        if (in->n == 0)
            return 0;
        d->prefix[d->have++] = (uint8_t)in->p[0];
        *in = str_from(*in, 1);
        if (d->have == GRPC_PREFIX && (rc = read_prefix(d, e)) < 0)
            return rc;
    }
    n = d->length - d->body.n;
    n = n < in->n ? n : in->n;
    buf_put(&d->body, in->p, n);
    if (buf_failed(&d->body))
        return err_set(e, ERR_NOMEM, "no memory for a message of %zu bytes", d->length);
    *in = str_from(*in, n);
    if (d->body.n < d->length)
        return 0;
    *body = d->body;
    *packed = d->packed;
    d->body = (struct buf)BUF_INIT(0);
    d->have = 0;
    return 1;
}

bool grpc_deframer_midway(const struct grpc_deframer *d)
{
    return d->have > 0;
}

void grpc_deframer_fini(struct grpc_deframer *d)
{
    buf_free(&d->body);
    d->have = 0;
}

/* --- header fields --- */

int grpc_timeout_parse(struct str s, int64_t *ns, struct err *e)
{
    static const struct {
        char unit;
        int64_t ns;
    } units[] = { { 'H', 3600000000000 }, { 'M', 60000000000 }, { 'S', 1000000000 },
                  { 'm', 1000000 },       { 'u', 1000 },        { 'n', 1 } };
    int64_t v = 0;

    *ns = 0;
    if (s.n < 2 || s.n > 9)
        goto malformed;
    for (size_t i = 0; i + 1 < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            goto malformed;
        v = v * 10 + (s.p[i] - '0');
    }
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (s.p[s.n - 1] == units[i].unit) {
            if (__builtin_mul_overflow(v, units[i].ns, ns))
                *ns = INT64_MAX; /* eight digits of hours are longer than 292 years */
            return 0;
        }
malformed:
    return err_set(e, ERR_PARSE, "grpc-timeout \"%.*s\" should be up to eight digits and one of H M S m u n",
                   (int)(s.n < 64 ? s.n : 64), s.p ? s.p : "");
}

void grpc_percent_encode(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (c >= 0x20 && c <= 0x7e && c != '%')
            buf_putc(out, (char)c);
        else
            buf_printf(out, "%%%02X", c);
    }
}

/* --- statuses --- */

const char *grpc_status_name(enum grpc_status status)
{
    static const char *const names[GRPC_STATUSES] = {
        "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
        "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
        "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
    };

    return names[status];
}

enum grpc_status grpc_status_of(int rc, bool *again)
{
    *again = rc == ERR_BUSY || rc == ERR_FULL || rc == ERR_NOMEM || rc == ERR_CLOSED;
    switch (rc) {
    case 0:
        return GRPC_OK;
    case ERR_PARSE:
    case ERR_INVALID:
    case ERR_RANGE:
        return GRPC_INVALID_ARGUMENT;
    case ERR_BUSY:
    case ERR_LIMIT:
    case ERR_NOMEM:
        return GRPC_RESOURCE_EXHAUSTED;
    case ERR_FULL:
    case ERR_CLOSED:
    case ERR_IO: /* it may have been stored: whoever must not lose it sends it again */
        return GRPC_UNAVAILABLE;
    case ERR_UNSUPPORTED:
        return GRPC_UNIMPLEMENTED;
    case ERR_NOTFOUND:
        return GRPC_NOT_FOUND;
    case ERR_TIMEOUT:
        return GRPC_DEADLINE_EXCEEDED;
    default:
        return GRPC_INTERNAL;
    }
}

static void put_retry_info(struct buf *b, int64_t delay_ms)
{
    size_t any = pb_open(b, 3), value, delay; /* Status.details */

    pb_put_str(b, 1, STR("type.googleapis.com/google.rpc.RetryInfo"));
    value = pb_open(b, 2);
    delay = pb_open(b, 1); /* retry_delay */
    pb_put_varint(b, 1, (uint64_t)(delay_ms / 1000));
    pb_put_varint(b, 2, (uint64_t)(delay_ms % 1000) * 1000000);
    pb_close(b, delay);
    pb_close(b, value);
    pb_close(b, any);
}

void grpc_retry_details(struct buf *out, enum grpc_status status, struct str message, int64_t delay_ms)
{
    struct buf b = BUF_INIT(4096);

    pb_put_varint(&b, 1, (uint64_t)status);
    pb_put_str(&b, 2, message);
    put_retry_info(&b, delay_ms);
    otlp_base64(out, buf_view(&b));
    while (out->n && out->p[out->n - 1] == '=')
        out->n--;
    buf_free(&b);
}
