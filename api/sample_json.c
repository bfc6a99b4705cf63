/* sample_json.c: points as Prometheus' JSON has them: nearly all bytes of a large answer, and most of the work of one. */
#include "api/http-internal.h"

#include "base/num.h"

enum {
    HUNDRED_SECONDS = 100000, /* ms */
    TIME_MOST = 26,           /* -9223372036854775.807 */
    POINT_MOST = 1 + 1 + TIME_MOST + NUM_MOST_U64 + 1 + 2 + NUM_MOST_JSON + 1,
    BUNCH = 64                /* points for which room is made at a time */
};

/* A double in quotes; `to` has room for NUM_MOST (NUM_MOST_JSON when exponents are allowed) and 2. */
static char *put_value(char *to, double v, bool exponents)
{
    *to++ = '"';
    to += num_put_double(to, v, exponents ? NUM_JSON : NUM_PLAIN);
    *to++ = '"';
    return to;
}

static char *put_fraction(char *to, unsigned ms)
{
    if (ms == 0)
        return to;
    *to++ = '.';
    *to++ = (char)('0' + ms / 100);
    *to++ = (char)('0' + ms / 10 % 10);
    *to++ = (char)('0' + ms % 10);
    return to;
}

static char *put_time(char *to, int64_t ms)
{
    uint64_t all = ms < 0 ? 0 - (uint64_t)ms : (uint64_t)ms;

    if (ms < 0)
        *to++ = '-';
    to += num_put_u64(to, all / 1000);
    return put_fraction(to, (unsigned)(all % 1000));
}

/* The same where the time before was in the same hundred seconds, mostly. */
static char *put_time_near(char *to, int64_t ms, struct time_text *near)
{
    int64_t hundreds = ms / HUNDRED_SECONDS;
    unsigned rest = (unsigned)(ms - hundreds * HUNDRED_SECONDS);

    if (ms < HUNDRED_SECONDS)
        return put_time(to, ms);
    if (near->hundreds != hundreds) {
        near->hundreds = hundreds;
        near->n = num_put_u64(near->text, (uint64_t)hundreds);
    }
    memcpy(to, near->text, sizeof(near->text)); /* all of it: quicker than its length */
    to += near->n;
    *to++ = (char)('0' + rest / 10000);
    *to++ = (char)('0' + rest / 1000 % 10);
    return put_fraction(to, rest % 1000);
}

void json_sample_value(struct buf *b, double v, bool exponents)
{
    char *to = buf_reserve(b, 2 + (exponents ? (size_t)NUM_MOST_JSON : (size_t)NUM_MOST));

    if (to)
        b->n += (size_t)(put_value(to, v, exponents) - to);
}

void json_sample_time(struct buf *b, int64_t ms)
{
    char *to = buf_reserve(b, TIME_MOST + NUM_MOST_U64);

    if (to)
        b->n += (size_t)(put_time(to, ms) - to);
}

static char *put_points(char *to, const int64_t *t, const double *v, size_t n, struct time_text *near)
{
    for (size_t i = 0; i < n; i++) {
        *to++ = ',';
        *to++ = '[';
        to = put_time_near(to, t[i], near);
        *to++ = ',';
        to = put_value(to, v[i], true);
        *to++ = ']';
    }
    return to;
}

size_t json_points(struct buf *b, const int64_t *t, const double *v, size_t n, struct time_text *near)
{
    size_t done = 0;

    while (done < n && b->n < PIECE) {
        size_t bunch = n - done < BUNCH ? n - done : BUNCH;
        char *to = buf_reserve(b, bunch * POINT_MOST);

        if (!to)
            return n;
        b->n += (size_t)(put_points(to, t + done, v + done, bunch, near) - to);
        done += bunch;
    }
    return done;
}
