#include "query/logql_value-internal.h"

#include "base/clock.h"
#include "base/num.h"

#include <arpa/inet.h>

/* --- measures ---------------------------------------------------------------------------------------------------- */

bool logql_bytes(struct str s, double *v)
{
    static const struct {
        struct str unit;
        double bytes;
    } units[] = { { STR_INIT("KiB"), 1024.0 },       { STR_INIT("MiB"), 1048576.0 },
                  { STR_INIT("GiB"), 1073741824.0 }, { STR_INIT("TiB"), 1099511627776.0 },
                  { STR_INIT("KB"), 1e3 },           { STR_INIT("kB"), 1e3 },
                  { STR_INIT("MB"), 1e6 },           { STR_INIT("GB"), 1e9 },
                  { STR_INIT("TB"), 1e12 },          { STR_INIT("B"), 1 } };

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (str_ends(s, units[i].unit) && num_double(str_trim((struct str){ s.p, s.n - units[i].unit.n }), v)) {
            *v *= units[i].bytes;
            return true;
        }
    return false;
}

bool logql_duration(struct str s, double *seconds)
{
    int64_t v;

    if (duration_parse_go(s, &v, NULL) == 0) {
        *seconds = (double)v / 1e9;
        return true;
    }
    if (duration_parse(s, &v, NULL) < 0)
        return false;
    *seconds = (double)v / 1e3;
    return true;
}

bool logql_measure(struct str s, enum measure measure, double *v)
{
    switch (measure) {
    case MEASURE_DURATION:
        return logql_duration(s, v);
    case MEASURE_BYTES:
        return num_double(s, v) || logql_bytes(s, v);
    case MEASURE_NUMBER:
        break;
    }
    return num_double(s, v);
}

bool logql_compare(enum event_op op, double l, double r)
{
    switch (op) {
    case EVENT_EQ:
        return l == r;
    case EVENT_NE:
        return l != r;
    case EVENT_LT:
        return l < r;
    case EVENT_LE:
        return l <= r;
    case EVENT_GT:
        return l > r;
    default:
        return l >= r;
    }
}

/* --- addresses --------------------------------------------------------------------------------------------------- */

enum { LONGEST_ADDRESS = 45 };

static bool address(struct str s, uint8_t out[16], bool *is_v4)
{
    char text[LONGEST_ADDRESS + 1];
    static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

    if (s.n == 0 || s.n > LONGEST_ADDRESS)
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    *is_v4 = inet_pton(AF_INET, text, out + 12) == 1;
    if (*is_v4) {
        memcpy(out, mapped, sizeof(mapped));
        return true;
    }
    return inet_pton(AF_INET6, text, out) == 1;
}

/* The first `bits` are the prefix: low has zeros behind them, high ones. */
static void spread(struct ip_range *r, unsigned bits)
{
    for (unsigned i = bits; i < 128; i++) {
        r->low[i / 8] &= (uint8_t)~(0x80 >> i % 8);
        r->high[i / 8] |= (uint8_t)(0x80 >> i % 8);
    }
}

bool ip_range_parse(struct str s, struct ip_range *r)
{
    struct str rest = s, first;
    bool v4, high_v4;
    uint64_t bits;

    r->text = s;
    first = str_cut(&rest, '/');
    if (rest.p) {
        if (!address(first, r->low, &v4) || !num_u64(rest, &bits) || bits > (v4 ? 32 : 128))
            return false;
        memcpy(r->high, r->low, sizeof(r->high));
        spread(r, (unsigned)bits + (v4 ? 96 : 0));
        return true;
    }
    rest = s;
    first = str_cut(&rest, '-');
    if (!address(first, r->low, &v4))
        return false;
    memcpy(r->high, r->low, sizeof(r->high));
    return !rest.p || (address(rest, r->high, &high_v4) && v4 == high_v4 && memcmp(r->low, r->high, 16) <= 0);
}

bool ip_matches(const struct ip_range *r, struct str s)
{
    uint8_t a[16];
    bool v4;

    return address(s, a, &v4) && memcmp(r->low, a, 16) <= 0 && memcmp(a, r->high, 16) <= 0;
}

static bool address_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == '.' || c == ':';
}

/* A run of an address' characters is looked at as a whole, and without what follows a last colon: "10.0.0.1:8080", "at
 * 10.0.0.1:", "10.0.0.1." */
static bool run_matches(const struct ip_range *r, struct str run)
{
    size_t n = run.n;

    if (ip_matches(r, run))
        return true;
    while (n && run.p[n - 1] != ':')
        n--;
    if (n && ip_matches(r, (struct str){ run.p, n - 1 }))
        return true;
    while (run.n && (run.p[run.n - 1] == '.' || run.p[run.n - 1] == ':'))
        run.n--;
    return ip_matches(r, run);
}

bool ip_found(const struct ip_range *r, struct str line)
{
    for (size_t i = 0; i < line.n; i++) {
        size_t n = 0;

        while (i + n < line.n && address_char(line.p[i + n]))
            n++;
        if (n > 1 && n <= LONGEST_ADDRESS + 6 && run_matches(r, (struct str){ line.p + i, n }))
            return true;
        i += n;
    }
    return false;
}
