/* regex.h: regular expressions by PCRE2, with bounded work.
 *
 * Prometheus, Loki and Istio write RE2. PCRE2 reads what RE2 reads, apart from a few names of classes; what RE2 refuses
 * on purpose (back references, look-around) is refused here too, and a match that needs too many steps counts as none. */
#ifndef BASE_REGEX_H
#define BASE_REGEX_H

#include "base/arena.h"
#include "base/err.h"

struct regex;

enum {
    REGEX_FULL = 1,        /* the whole subject must match, not a part of it */
    REGEX_IGNORE_CASE = 2,
    REGEX_DOTALL = 4       /* `.` matches newline: Prometheus' label matchers */
};

/* Lives in `a` and dies with it. NULL: ERR_PARSE names the offset and what is wrong there; ERR_NOMEM. */
struct regex *regex_compile(struct arena *a, struct str pattern, unsigned flags, struct err *e);
/* Thread-safe. */
bool regex_match(const struct regex *re, struct str subject);
/* Number of capturing groups. */
unsigned regex_groups(const struct regex *re);
/* The group called (?P<name>...); -1 when there is none. */
int regex_group_named(const struct regex *re, const char *name);
/* Fills groups[0..n): [0] is the whole match, a group that took no part is STR_NULL. False when nothing matches. */
bool regex_capture(const struct regex *re, struct str subject, struct str *groups, size_t n);
/* The first match that begins at byte `from` or behind it: for one match after the other. */
bool regex_capture_from(const struct regex *re, struct str subject, size_t from, struct str *groups, size_t n);
/* The name of group i, which lives as long as the expression; STR_NULL when it has none. */
struct str regex_group_name(const struct regex *re, unsigned i);

#endif
