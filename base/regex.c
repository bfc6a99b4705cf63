#define PCRE2_CODE_UNIT_WIDTH 8
#include "base/regex.h"

#include <pcre2.h>
#include <pthread.h>

struct regex {
    pcre2_code *code;
    unsigned groups;
};

enum { MOST_STEPS = 1000000, MOST_GROUPS = 64 };

struct scratch {
    pcre2_match_data *data;
    pcre2_match_context *limits;
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
    if (!s->data || !s->limits || pthread_setspecific(scratch_key, s) != 0) {
        scratch_free(s);
        return NULL;
    }
    pcre2_set_match_limit(s->limits, MOST_STEPS);
    return s;
}

static void free_code(void *code)
{
    pcre2_code_free(code);
}

/* RE2 has neither back references nor look-around: refusing them keeps patterns portable and matching cheap. */
static bool re2_refuses(struct str p)
{
    for (size_t i = 0; i + 1 < p.n; i++) {
        if (p.p[i] == '\\') {
            if (p.p[i + 1] >= '1' && p.p[i + 1] <= '9')
                return true;
            i++;
        } else if (p.p[i] == '(' && p.p[i + 1] == '?' && i + 2 < p.n) {
            char c = p.p[i + 2], d = i + 3 < p.n ? p.p[i + 3] : '\0';

            if (c == '=' || c == '!' || c == '>' || c == '(' || (c == '<' && (d == '=' || d == '!')))
                return true;
        }
    }
    return false;
}

struct regex *regex_compile(struct arena *a, struct str pattern, unsigned flags, struct err *e)
{
    uint32_t options = PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C | PCRE2_DOLLAR_ENDONLY | PCRE2_MATCH_INVALID_UTF;
    struct regex *re = ARENA_NEW(a, struct regex);
    uint32_t groups = 0;
    PCRE2_SIZE at;
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
    re->code = pcre2_compile((PCRE2_SPTR)(pattern.p ? pattern.p : ""), pattern.n, options, &code, &at, NULL);
    if (!re->code) {
        PCRE2_UCHAR why[128];

        pcre2_get_error_message(code, why, sizeof(why));
        err_set(e, ERR_PARSE, "regular expression \"%.*s\": at %zu: %s", STR_ARG(pattern), (size_t)at,
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

bool regex_capture(const struct regex *re, struct str subject, struct str *groups, size_t n)
{
    struct scratch *s = scratch();
    const PCRE2_SIZE *at;
    int rc;

    if (!s)
        return false;
    rc = pcre2_match(re->code, (PCRE2_SPTR)(subject.p ? subject.p : ""), subject.n, 0, 0, s->data, s->limits);
    if (rc < 0)
        return false;
    at = pcre2_get_ovector_pointer(s->data);
    for (size_t i = 0; i < n; i++) {
        bool there = (rc == 0 ? i < MOST_GROUPS : i < (size_t)rc) && at[2 * i] != PCRE2_UNSET;

        groups[i] = there ? (struct str){ subject.p + at[2 * i], at[2 * i + 1] - at[2 * i] } : STR_NULL;
    }
    return true;
}
