/* loki_push_json.c: {"streams":[{"stream":{"name":"value"},"values":[["ns","line",{"name":"value"}]]}]}
 *
 * Members come in any order, so where "values" stand before "stream" they are passed over and read afterwards. */
#include "base/num.h"
#include "collector/json-internal.h"
#include "collector/loki_push-internal.h"

enum { MOST_DEPTH = 32 }; /* of what is passed over */

static int read_text(struct loki_push *p, struct json_reader *r, struct str *out, struct err *e)
{
    return json_text(r, p->batch->arena, &p->scratch, out, e);
}

static int read_labels(struct loki_push *p, struct json_reader *r, struct loki_labels *to, struct err *e)
{
    bool first = true;
    int rc;

    to->n = 0;
    if ((rc = json_want(r, '{', e)) < 0)
        return rc;
    while ((rc = json_more(r, '}', &first, e)) == 1) {
        struct str name, value;

        if ((rc = read_text(p, r, &name, e)) < 0 || (rc = json_want(r, ':', e)) < 0 ||
            (rc = read_text(p, r, &value, e)) < 0)
            return rc;
        loki_label_add(to, name, value);
    }
    return rc;
}

static int read_time(struct loki_push *p, struct json_reader *r, int64_t *ns, struct err *e)
{
    struct str text;
    int rc = read_text(p, r, &text, e);

    if (rc == 0 && !num_i64(text, ns))
        rc = json_fail(r, e, "the string before should be a time in nanoseconds");
    return rc;
}

/* ["ns","line"] or ["ns","line",{…}] */
static int read_value(struct loki_push *p, struct json_reader *r, struct err *e)
{
    struct str line;
    int64_t ns;
    int rc;

    p->metadata.n = 0;
    if ((rc = json_want(r, '[', e)) < 0 || (rc = read_time(p, r, &ns, e)) < 0 || (rc = json_want(r, ',', e)) < 0 ||
        (rc = read_text(p, r, &line, e)) < 0)
        return rc;
    if (json_take(r, ',') && (rc = read_labels(p, r, &p->metadata, e)) < 0)
        return rc;
    if ((rc = json_want(r, ']', e)) < 0)
        return rc;
    return loki_line(p, ns, line, e);
}

static int read_values(struct loki_push *p, struct json_reader *r, struct err *e)
{
    bool first = true;
    int rc;

    if ((rc = json_want(r, '[', e)) < 0)
        return rc;
    while ((rc = json_more(r, ']', &first, e)) == 1)
        if ((rc = read_value(p, r, e)) < 0)
            return rc;
    return rc;
}

static int begin_stream(struct loki_push *p, struct json_reader *r, struct err *e)
{
    int rc = read_labels(p, r, &p->labels, e);

    return rc < 0 ? rc : loki_stream(p, e);
}

static int read_stream(struct loki_push *p, struct json_reader *r, struct err *e)
{
    struct json_reader values = { 0 };
    bool first = true, begun = false;
    int rc;

    p->labels.n = 0;
    if ((rc = json_want(r, '{', e)) < 0)
        return rc;
    while ((rc = json_more(r, '}', &first, e)) == 1) {
        struct str key;

        if ((rc = read_text(p, r, &key, e)) < 0 || (rc = json_want(r, ':', e)) < 0)
            return rc;
        if (str_eqz(key, "stream")) {
            rc = begin_stream(p, r, e);
            begun = true;
        } else if (str_eqz(key, "values") && begun) {
            rc = read_values(p, r, e);
        } else {
            if (str_eqz(key, "values"))
                values = *r;
            rc = json_skip(r, &p->scratch, MOST_DEPTH, e);
        }
        if (rc < 0)
            return rc;
    }
    if (rc < 0 || !values.p)
        return rc;
    if (!begun && (rc = loki_stream(p, e)) < 0)
        return rc;
    return read_values(p, &values, e);
}

int loki_push_json(struct loki_push *p, struct str body, struct err *e)
{
    struct json_reader r = json_reader(body);
    bool first = true, first_stream;
    int rc = json_want(&r, '{', e);

    while (rc == 0 && (rc = json_more(&r, '}', &first, e)) == 1) {
        struct str key;

        if ((rc = read_text(p, &r, &key, e)) < 0 || (rc = json_want(&r, ':', e)) < 0)
            return rc;
        if (!str_eqz(key, "streams")) {
            rc = json_skip(&r, &p->scratch, MOST_DEPTH, e);
            continue;
        }
        if ((rc = json_want(&r, '[', e)) < 0)
            return rc;
        for (first_stream = true; (rc = json_more(&r, ']', &first_stream, e)) == 1;)
            if ((rc = read_stream(p, &r, e)) < 0)
                return rc;
    }
    if (rc == 0 && (json_peek(&r) || r.p != r.end))
        rc = json_fail(&r, e, "nothing should follow the request");
    return rc;
}
