/* accept.c: Accept-Encoding (RFC 9110, 12.5.3): which of the codings offered the client likes best. */

#include "api/http-internal.h"

static const struct str names[CODINGS] = { [CODING_NONE] = STR_INIT("identity"), [CODING_GZIP] = STR_INIT("gzip"),
                                           [CODING_ZSTD] = STR_INIT("zstd") };

enum { CERTAIN = 1000 }; /* q=1, in thousandths */

/* "0.5", "1", "0.875"; what is none of these counts as 0: not wanted. */
static int quality(struct str s)
{
    int q = 0, unit = CERTAIN / 10;

    if (s.n == 0 || s.n > 5 || (s.p[0] != '0' && s.p[0] != '1') || (s.n > 1 && s.p[1] != '.'))
        return 0;
    q = (s.p[0] - '0') * CERTAIN;
    for (size_t i = 2; i < s.n; i++, unit /= 10) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return 0;
        q += (s.p[i] - '0') * unit;
    }
    return q > CERTAIN ? CERTAIN : q;
}

/* One element: "gzip;q=0.5". */
static int element(struct str s, struct str *coding)
{
    struct str rest = s;
    int q = CERTAIN;

    *coding = str_trim(str_cut(&rest, ';'));
    while (rest.p) {
        struct str parameter = str_trim(str_cut(&rest, ';'));

        if (str_starts(parameter, STR("q=")) || str_starts(parameter, STR("Q=")))
            q = quality(str_from(parameter, 2));
    }
    return q;
}

/* The quality of each coding, in thousandths; -1: identity, which is not named, and the last choice then. */
static void read_qualities(struct str header, int q[CODINGS])
{
    int others = 0;

    for (int i = 0; i < CODINGS; i++)
        q[i] = -1;
    while (header.p) {
        struct str coding;
        int of = element(str_cut(&header, ','), &coding);

        if (str_eqz(coding, "*"))
            others = of;
        for (int i = 0; i < CODINGS; i++)
            if (str_ieq(coding, names[i]) || (i == CODING_GZIP && str_ieq(coding, STR("x-gzip"))))
                q[i] = of;
    }
    for (int i = CODING_GZIP; i < CODINGS; i++)
        q[i] = q[i] < 0 ? others : q[i];
}

bool accepts_gzip(struct str header)
{
    int q[CODINGS];

    read_qualities(header, q);
    return q[CODING_GZIP] > 0;
}

enum coding accept_coding(struct str header)
{
    enum coding best = CODING_NONE;
    int q[CODINGS];

    read_qualities(header, q);
    for (int i = CODING_GZIP; i < CODINGS; i++)
        if (q[i] > 0 && q[i] >= q[best]) /* of equals zstd, the last one: quicker and smaller */
            best = (enum coding)i;
    return best;
}
