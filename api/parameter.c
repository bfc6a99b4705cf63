#include "api/http-internal.h"

#include "base/clock.h"
#include "base/num.h"

#include <math.h>

enum { MOST_PARAMETERS = 4096 };

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct str url_decode(struct arena *a, struct str s, bool plus_is_blank)
{
    char *to = arena_alloc(a, s.n + 1);
    size_t n = 0;

    if (!to)
        return STR_NULL;
    for (size_t i = 0; i < s.n; i++) {
        int high = s.p[i] == '%' && i + 2 < s.n ? hex_digit(s.p[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(s.p[i + 2]) : -1;

        if (low >= 0) {
            to[n++] = (char)(high << 4 | low);
            i += 2;
        } else {
            to[n++] = s.p[i] == '+' && plus_is_blank ? ' ' : s.p[i];
        }
    }
    to[n] = '\0';
    return (struct str){ to, n };
}

int parameters_parse(struct parameters *p, struct arena *a, struct str text, struct err *e)
{
    while (text.p && text.n) {
        struct str value = str_cut(&text, '&'), name = str_cut(&value, '=');
        struct label *l;

        if (name.n == 0 && !value.p)
            continue;
        if (p->n == MOST_PARAMETERS)
            return err_set(e, ERR_LIMIT, "more than %d parameters", MOST_PARAMETERS);
        if (arena_grow(a, &p->v, &p->cap, p->n + 1, sizeof(*p->v)) < 0)
            return err_set(e, ERR_NOMEM, "no memory for a parameter");
        l = &p->v[p->n++];
        l->name = url_decode(a, name, true);
        l->value = url_decode(a, value, true);
        if (!l->name.p || !l->value.p)
            return err_set(e, ERR_NOMEM, "no memory for a parameter");
    }
    return 0;
}

struct str request_parameter_next(const struct request *rq, const char *name, size_t *at)
{
    struct str want = str_of(name);

    while (*at < rq->parameters.n) {
        const struct label *l = &rq->parameters.v[(*at)++];

        if (str_eq(l->name, want))
            return l->value;
    }
    return STR_NULL;
}

struct str request_parameter(const struct request *rq, const char *name)
{
    size_t at = 0;

    return request_parameter_next(rq, name, &at);
}

int request_bool(const struct request *rq, const char *name, bool otherwise, bool *v, struct err *e)
{
    struct str s = request_parameter(rq, name);

    *v = otherwise;
    if (s.n == 0)
        return 0;
    *v = str_eqz(s, "true") || str_eqz(s, "1");
    if (*v || str_eqz(s, "false") || str_eqz(s, "0"))
        return 0;
    return err_set(e, ERR_INVALID, "%s: \"%.*s\" should be true or false", name, STR_ARG(s));
}

int request_limit(const struct request *rq, const char *name, uint64_t otherwise, uint64_t *v, struct err *e)
{
    struct str s = request_parameter(rq, name);

    *v = otherwise;
    if (s.n == 0 || num_u64(s, v))
        return 0;
    return err_set(e, ERR_INVALID, "%s: \"%.*s\" should be a whole number", name, STR_ARG(s));
}

/* Seconds as whole milliseconds, when they fit. */
static bool seconds(struct str s, int64_t *ms)
{
    double v;

    if (!num_double(s, &v) || !(fabs(v) < 9.2e15))
        return false;
    *ms = llround(v * 1000);
    return true;
}

/* What Prometheus' own clients send for "any time": years that RFC 3339 does not have. */
static const struct {
    struct str text;
    int64_t ms;
} bounds[] = { { STR_INIT("-292273086-05-16T16:47:06Z"), INT64_MIN / 4 },
               { STR_INIT("292277025-08-18T07:12:54.999999999Z"), INT64_MAX / 4 } };

int parse_time_ms(struct str s, int64_t *ms, struct err *e)
{
    int64_t ns;

    if (seconds(s, ms))
        return 0;
    for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++)
        if (str_eq(s, bounds[i].text)) {
            *ms = bounds[i].ms;
            return 0;
        }
    if (clock_parse_rfc3339(s, &ns, NULL) == 0) {
        *ms = ns / 1000000 - (ns % 1000000 < 0);
        return 0;
    }
    return err_set(e, ERR_PARSE, "cannot parse \"%.*s\" to a valid timestamp", STR_ARG(s));
}

int parse_duration_ms(struct str s, int64_t *ms, struct err *e)
{
    if (seconds(s, ms) || duration_parse(s, ms, NULL) == 0)
        return 0;
    return err_set(e, ERR_PARSE, "cannot parse \"%.*s\" to a valid duration", STR_ARG(s));
}

int parse_moment_ms(struct str s, int64_t *ms, struct err *e)
{
    int64_t v;

    if (num_i64(s, &v) && v > 100000000000) {
        *ms = v;
        return 0;
    }
    return parse_time_ms(s, ms, e);
}
