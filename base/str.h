/* str.h: a view of bytes: pointer and length, not NUL-terminated, owns nothing. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *p; /* may be NULL when n is 0 */
    size_t n;
};

#define STR(lit) ((struct str){ (lit), sizeof(lit) - 1 })
/* Initialiser form, for static tables. */
#define STR_INIT(lit) { (lit), sizeof(lit) - 1 }
#define STR_NULL ((struct str){ NULL, 0 })
/* For printf: "%.*s", STR_ARG(s). */
#define STR_ARG(s) (int)(s).n, ((s).p ? (s).p : "")

static inline struct str str_of(const char *s)
{
    return (struct str){ s, s ? strlen(s) : 0 };
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool str_eqz(struct str a, const char *b)
{
    return str_eq(a, str_of(b));
}

/* Byte order, as strcmp has it; a prefix sorts first. */
int str_cmp(struct str a, struct str b);
/* ASCII case folding only, as HTTP field names want it. */
bool str_ieq(struct str a, struct str b);
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
/* Index of the first `c`, or -1. */
ptrdiff_t str_chr(struct str s, char c);
/* Index of the first occurrence of `needle`, or -1. An empty needle is found at 0. */
ptrdiff_t str_find(struct str s, struct str needle);
/* Without blanks and tabs at both ends. */
struct str str_trim(struct str s);
/* From `at` on; at > n gives the empty end. */
struct str str_from(struct str s, size_t at);
/* How many bytes they begin with in common. */
size_t str_common(struct str a, struct str b);
/* Cuts *rest at the first `sep`: returns what stands before it and leaves *rest behind it.
 * Without a `sep` the whole is returned and rest->p becomes NULL. Loop: while (rest.p) { part = str_cut(&rest, ','); } */
struct str str_cut(struct str *rest, char sep);

/* Seeded once per process: not stable between runs, safe against chosen collisions. */
uint64_t str_hash(struct str s);
/* The same for every process, for what is stored. */
uint64_t str_hash_stable(struct str s);

/* Whether all of it is well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms). */
bool str_is_utf8(struct str s);

#endif
