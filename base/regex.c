#define PCRE2_CODE_UNIT_WIDTH 8
#include "base/regex.h"

#include <pcre2.h>
#include <pthread.h>

struct regex {
    pcre2_code *code;
    unsigned groups;
};

enum { MOST_STEPS = 1000000, MOST_GROUPS = 64, FIRST_STACK = 32 << 10, LARGEST_STACK = 4 << 20 };

struct scratch {
    pcre2_match_data *data;
    pcre2_match_context *limits;
    pcre2_jit_stack *stack;
};

static pthread_key_t scratch_key;
static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;

static void scratch_free(void *p)
{
    struct scratch *s = p;

    if (!s)
        return;
    pcre2_match_data_free(s->data);
    pcre2_match_context_free(s->limits);
    pcre2_jit_stack_free(s->stack);
    free(s);
}

static void make_key(void)
{
    pthread_key_create(&scratch_key, scratch_free);
}

/* A thread's own room for matching, made at its first match and freed at its end. */
static struct scratch *scratch(void)
{
    struct scratch *s;

    pthread_once(&scratch_once, make_key);
    s = pthread_getspecific(scratch_key);
    if (s)
        return s;
    s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->data = pcre2_match_data_create(MOST_GROUPS, NULL);
    s->limits = pcre2_match_context_create(NULL);
    s->stack = pcre2_jit_stack_create(FIRST_STACK, LARGEST_STACK, NULL);
    if (!s->data || !s->limits || !s->stack || pthread_setspecific(scratch_key, s) != 0) {
        scratch_free(s);
        return NULL;
    }
    pcre2_set_match_limit(s->limits, MOST_STEPS);
    pcre2_jit_stack_assign(s->limits, NULL, s->stack);
    return s;
}

static void free_code(void *code)
{
    pcre2_code_free(code);
}

static char at(struct str s, size_t i)
{
    return i < s.n ? s.p[i] : '\0';
}

/* Index behind a class "[...]" that opens at i: its first character, and what is escaped, does not close it. */
static size_t skip_class(struct str p, size_t i)
{
    i += at(p, i + 1) == '^' ? 2 : 1;
    for (size_t first = i; i < p.n && (p.p[i] != ']' || i == first); i++) {
        if (p.p[i] == '\\')
            i++;
        else if (p.p[i] == '[' && at(p, i + 1) == ':')
            while (i + 1 < p.n && !(p.p[i] == ':' && p.p[i + 1] == ']'))
                i++;
    }
    return i + 1;
}

/* Whether "(?" at i begins a group that RE2 knows: (?: (?P<name> (?<name> (?flags) (?flags:. */
static bool re2_group(struct str p, size_t i)
{
    i += 2;
    if (at(p, i) == 'P' && at(p, i + 1) == '<')
        return true;
    if (at(p, i) == '<')
        return at(p, i + 1) != '=' && at(p, i + 1) != '!';
    while (at(p, i) && strchr("imsU-", at(p, i)))
        i++;
    return at(p, i) == ':' || at(p, i) == ')';
}

/* RE2 has neither back references nor look-around nor recursion: refusing them keeps patterns portable and matching
 * cheap. */
static bool re2_refuses(struct str p)
{
    size_t i = 0;

    while (i < p.n) {
        if (p.p[i] == '[') {
            i = skip_class(p, i);
        } else if (p.p[i] == '\\') {
            if (at(p, i + 1) && strchr("123456789gkKRX", at(p, i + 1)))
                return true;
            i += 2;
        } else {
            if (p.p[i] == '(' && (at(p, i + 1) == '*' || (at(p, i + 1) == '?' && !re2_group(p, i))))
                return true;
            i++;
        }
    }
    return false;
}

struct regex *regex_compile(struct arena *a, struct str pattern, unsigned flags, struct err *e)
{
    uint32_t options = PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C | PCRE2_DOLLAR_ENDONLY | PCRE2_MATCH_INVALID_UTF;
    struct regex *re = ARENA_NEW(a, struct regex);
    uint32_t groups = 0;
    PCRE2_SIZE where;
    int code;

    if (!re) {
        err_set(e, ERR_NOMEM, "regular expression: no memory");
        return NULL;
    }
    if (re2_refuses(pattern)) {
        err_set(e, ERR_PARSE, "regular expression \"%.*s\": back references and look-around are not offered (RE2)",
                STR_ARG(pattern));
        return NULL;
    }
    if (flags & REGEX_FULL)
        options |= PCRE2_ANCHORED | PCRE2_ENDANCHORED;
    if (flags & REGEX_IGNORE_CASE)
        options |= PCRE2_CASELESS;
    if (flags & REGEX_DOTALL)
        options |= PCRE2_DOTALL;
    re->code = pcre2_compile((PCRE2_SPTR)(pattern.p ? pattern.p : ""), pattern.n, options, &code, &where, NULL);
    if (!re->code) {
        PCRE2_UCHAR why[128];

        pcre2_get_error_message(code, why, sizeof(why));
        err_set(e, ERR_PARSE, "regular expression \"%.*s\": at %zu: %s", STR_ARG(pattern), (size_t)where,
                (const char *)why);
        return NULL;
    }
    if (arena_on_free(a, free_code, re->code) < 0) {
        pcre2_code_free(re->code);
        err_set(e, ERR_NOMEM, "regular expression: no memory");
        return NULL;
    }
    pcre2_pattern_info(re->code, PCRE2_INFO_CAPTURECOUNT, &groups);
    re->groups = groups;
    pcre2_jit_compile(re->code, PCRE2_JIT_COMPLETE); /* without the JIT the interpreter serves */
    return re;
}

bool regex_match(const struct regex *re, struct str subject)
{
    return regex_capture(re, subject, NULL, 0);
}

unsigned regex_groups(const struct regex *re)
{
    return re->groups;
}

int regex_group_named(const struct regex *re, const char *name)
{
    int n = pcre2_substring_number_from_name(re->code, (PCRE2_SPTR)name);

    return n < 0 ? -1 : n;
}

struct str regex_group_name(const struct regex *re, unsigned i)
{
    uint32_t count = 0, size = 0;
    PCRE2_SPTR entry = NULL; /* each: two bytes of number, then the name and its NUL */

    pcre2_pattern_info(re->code, PCRE2_INFO_NAMECOUNT, &count);
    pcre2_pattern_info(re->code, PCRE2_INFO_NAMEENTRYSIZE, &size);
    pcre2_pattern_info(re->code, PCRE2_INFO_NAMETABLE, &entry);
    for (uint32_t k = 0; k < count; k++, entry += size)
        if ((unsigned)(entry[0] << 8 | entry[1]) == i)
            return str_of((const char *)entry + 2);
    return STR_NULL;
}

bool regex_capture(const struct regex *re, struct str subject, struct str *groups, size_t n)
{
    return regex_capture_from(re, subject, 0, groups, n);
}

bool regex_capture_from(const struct regex *re, struct str subject, size_t from, struct str *groups, size_t n)
{
    struct scratch *s = scratch();
    const PCRE2_SIZE *ends;
    int rc;

    if (!s)
        return false;
    rc = pcre2_match(re->code, (PCRE2_SPTR)(subject.p ? subject.p : ""), subject.n, from, 0, s->data, s->limits);
    if (rc < 0)
        return false;
    ends = pcre2_get_ovector_pointer(s->data);
    for (size_t i = 0; i < n; i++) {
        bool there = (rc == 0 ? i < MOST_GROUPS : i < (size_t)rc) && ends[2 * i] != PCRE2_UNSET;

        groups[i] = there ? (struct str){ subject.p + ends[2 * i], ends[2 * i + 1] - ends[2 * i] } : STR_NULL;
    }
    return true;
}
