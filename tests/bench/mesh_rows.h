/* mesh_rows.h: the mesh that synthetic rows are of, and its chance: the same numbers from the same seed. */
#ifndef TESTS_BENCH_MESH_ROWS_H
#define TESTS_BENCH_MESH_ROWS_H

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

enum { SERVICES = 24, PODS = 3 /* of each */ };

static const char *const names[SERVICES] = {
    "frontend",  "catalog", "cart",   "checkout", "payment",  "shipping",  "currency", "email",
    "recommend", "ads",     "search", "users",    "sessions", "inventory", "pricing",  "reviews",
    "ratings",   "details", "orders", "invoices", "fraud",    "geo",       "media",    "audit",
};
static const char *const nouns[] = {"products", "items", "users", "orders", "quotes", "carts", "images", "reviews"};

static uint64_t state;

/* splitmix64 (Steele, Lea, Flood 2014) */
static inline uint64_t next(void)
{
    uint64_t z = (state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static inline uint64_t below(uint64_t n)
{
    return (next() >> 11) % n;
}

/* Long-tailed, with this median. */
static inline double tailed(double median, double spread)
{
    double u = ((double)(next() >> 11) + 1) / 9007199254740993.0, v = ((double)(next() >> 11) + 1) / 9007199254740993.0;

    return median * exp(spread * sqrt(-2 * log(u)) * cos(6.283185307179586 * v));
}

static inline int64_t code_of(void)
{
    static const int64_t rare[] = {404, 404, 404, 301, 400, 401, 403, 429, 500, 503, 503, 504};
    uint64_t p = below(1000);

    return p < 930 ? 200 : p < 955 ? 201 : p < 965 ? 204 : rare[below(sizeof(rare) / sizeof(rare[0]))];
}

static inline void path_of(char *path, size_t n, uint64_t service)
{
    const char *noun = nouns[service % 8];

    switch (below(10)) {
    case 0:
        snprintf(path, n, "/api/v1/%s?page=%" PRIu64 "&size=20", noun, below(50));
        break;
    case 1:
    case 2:
        snprintf(path, n, "/healthz");
        break;
    case 3:
    case 4:
    case 5:
        snprintf(path, n, "/api/v1/%s", noun);
        break;
    default: /* few are asked for often */
        snprintf(path, n, "/api/v1/%s/%" PRIu64, noun, below(1 + below(20000)));
    }
}

static inline void hex(char *to, const uint8_t *from, size_t n)
{
    for (size_t i = 0; i < n; i++, to += 2)
        snprintf(to, 3, "%02x", from[i]);
}

#endif
