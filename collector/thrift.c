#include "collector/thrift-internal.h"

struct thrift_reader thrift_reader(struct str message)
{
    const uint8_t *p = (const uint8_t *)message.p;

    return (struct thrift_reader){ p, p, p ? p + message.n : p };
}

int thrift_fail(const struct thrift_reader *r, struct err *e, const char *what)
{
    return err_set(e, ERR_PARSE, "thrift: byte %zu: %s", (size_t)(r->p - r->start), what);
}

/* n bytes, big-endian, as their bits. */
static int take(struct thrift_reader *r, size_t n, uint64_t *v, struct err *e)
{
    *v = 0;
    if ((size_t)(r->end - r->p) < n)
        return thrift_fail(r, e, "cut short");
    while (n--)
        *v = *v << 8 | *r->p++;
    return 0;
}

int thrift_next(struct thrift_reader *r, struct thrift_field *f, struct err *e)
{
    uint64_t type, id;
    int rc = take(r, 1, &type, e);

    if (rc < 0 || type == THRIFT_STOP)
        return rc;
    if ((rc = take(r, 2, &id, e)) < 0)
        return rc;
    *f = (struct thrift_field){ (uint8_t)type, (int16_t)id };
    return 1;
}

int thrift_whole(struct thrift_reader *r, uint8_t type, int64_t *v, struct err *e)
{
    uint64_t bits;
    int rc;

    switch (type) {
    case THRIFT_BOOL:
    case THRIFT_I8:
        rc = take(r, 1, &bits, e);
        *v = (int8_t)bits;
        return rc;
    case THRIFT_I16:
        rc = take(r, 2, &bits, e);
        *v = (int16_t)bits;
        return rc;
    case THRIFT_I32:
        rc = take(r, 4, &bits, e);
        *v = (int32_t)bits;
        return rc;
    case THRIFT_I64:
    case THRIFT_DOUBLE:
        rc = take(r, 8, &bits, e);
        *v = (int64_t)bits;
        return rc;
    default:
        return thrift_fail(r, e, "should be a number");
    }
}

int thrift_string(struct thrift_reader *r, struct str *v, struct err *e)
{
    uint64_t n;
    int rc = take(r, 4, &n, e);

    if (rc < 0)
        return rc;
    if (n > (size_t)(r->end - r->p))
        return thrift_fail(r, e, "the string is longer than what follows");
    *v = (struct str){ (const char *)r->p, (size_t)n };
    r->p += n;
    return 0;
}

int thrift_list(struct thrift_reader *r, uint8_t *type, uint32_t *n, struct err *e)
{
    uint64_t t, count;
    int rc;

    if ((rc = take(r, 1, &t, e)) < 0 || (rc = take(r, 4, &count, e)) < 0)
        return rc;
    if (count > (size_t)(r->end - r->p))
        return thrift_fail(r, e, "the list has more elements than bytes follow");
    *type = (uint8_t)t;
    *n = (uint32_t)count;
    return 0;
}

static int skip_map(struct thrift_reader *r, unsigned depth, struct err *e)
{
    uint64_t key, value, n;
    int rc;

    if ((rc = take(r, 1, &key, e)) < 0 || (rc = take(r, 1, &value, e)) < 0 || (rc = take(r, 4, &n, e)) < 0)
        return rc;
    if (n > (size_t)(r->end - r->p))
        return thrift_fail(r, e, "the map has more pairs than bytes follow");
    while (n--)
        if ((rc = thrift_skip(r, (uint8_t)key, depth, e)) < 0 || (rc = thrift_skip(r, (uint8_t)value, depth, e)) < 0)
            return rc;
    return 0;
}

int thrift_skip(struct thrift_reader *r, uint8_t type, unsigned depth, struct err *e)
{
    struct thrift_field f;
    struct str text;
    int64_t number;
    uint8_t element;
    uint32_t n;
    int rc;

    if (depth == 0)
        return thrift_fail(r, e, "nested too deeply");
    switch (type) {
    case THRIFT_STRING:
        return thrift_string(r, &text, e);
    case THRIFT_STRUCT:
        while ((rc = thrift_next(r, &f, e)) == 1)
            if ((rc = thrift_skip(r, f.type, depth - 1, e)) < 0)
                return rc;
        return rc;
    case THRIFT_LIST:
    case THRIFT_SET:
        if ((rc = thrift_list(r, &element, &n, e)) < 0)
            return rc;
        while (rc == 0 && n--)
            rc = thrift_skip(r, element, depth - 1, e);
        return rc;
    case THRIFT_MAP:
        return skip_map(r, depth - 1, e);
    default:
        return thrift_whole(r, type, &number, e);
    }
}
