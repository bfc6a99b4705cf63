/* log_value.c: a field's text to what it means in a row. */
#include "base/num.h"
#include "collector/log_format-internal.h"
#include "collector/log_source.h"
#include "collector/log_time-internal.h"

static bool only(struct str s, const char *set)
{
    for (size_t i = 0; i < s.n; i++)
        if (!strchr(set, s.p[i]) || s.p[i] == '\0')
            return false;
    return true;
}

static bool is_unset(struct str s)
{
    return s.n == 0 || str_eqz(s, "-");
}

/* Whether all of it is one of nginx's lists, of items of these characters; NULL: of any but blanks. */
static bool is_list(struct str s, const char *set)
{
    while (s.p) {
        struct str item = str_cut(&s, ' ');
        bool comma = s.p && item.n > 1 && item.p[item.n - 1] == ',';

        item.n -= comma;
        if (item.n == 0 || (set && !only(item, set)) || (!set && str_chr(item, ',') >= 0))
            return false;
        if (s.p && !comma) { /* " : " between two lists */
            if (!str_starts(s, STR(": ")))
                return false;
            s = str_from(s, 2);
        }
    }
    return true;
}

/* Of text formats, which are all of access logs. */
bool log_value_fits(const struct log_field *f, struct str text)
{
    struct log_time t;

    switch (f->meaning) {
    case LOG_NUMBER:
    case LOG_COUNT:
    case LOG_MILLISECONDS:
        return only(text, "0123456789+-");
    case LOG_SECONDS:
        return text.n == 0 || is_list(text, "0123456789.-");
    case LOG_LAST:
    case LOG_LIST:
        return text.n == 0 || is_list(text, NULL);
    case LOG_STARTED:
    case LOG_ENDED:
        return is_unset(text) || !f->pattern || log_time_parse(f->pattern, text, 0, &t);
    case LOG_TEXT: /* a path that is logged as it came may have blanks, what stands behind it has none */
        return f->column != ACCESS_LOG_protocol || str_chr(text, ' ') < 0;
    case LOG_CAPTURES:
        return text.n >= 2 && text.p[0] == '{' && text.p[text.n - 1] == '}';
    default:
        return true;
    }
}

/* --- what formats escape --- */

static int hex(struct str s, size_t at, size_t n)
{
    int v = 0;

    if (s.n < at + n)
        return -1;
    for (size_t i = at; i < at + n; i++) {
        char c = s.p[i];
        int d = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;

        if (d < 0)
            return -1;
        v = v * 16 + d;
    }
    return v;
}

/* One escape at the start of s: its byte goes to *c, its length is returned; 0: it is none. */
static size_t unescape_one(enum log_escape how, struct str s, char *c)
{
    static const char letters[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
    int v;

    if (how == LOG_HASH) {
        v = hex(s, 1, 2);
        *c = (char)v;
        return v >= 0 ? 3 : 0;
    }
    if (s.n < 2)
        return 0;
    if (s.p[1] == 'x' && (v = hex(s, 2, 2)) >= 0) {
        *c = (char)v;
        return 4;
    }
    if (s.p[1] == 'u' && (v = hex(s, 2, 4)) >= 0 && v < 0x80) { /* nginx writes control characters so, and no others */
        *c = (char)v;
        return 6;
    }
    for (const char *l = letters; *l; l += 2)
        if (s.p[1] == *l) {
            *c = l[1];
            return 2;
        }
    return 0;
}

static int unescape(enum log_escape how, struct arena *a, struct str *s)
{
    char mark = how == LOG_HASH ? '#' : '\\';
    char *to;
    size_t n = 0;

    if (how == LOG_PLAIN || str_chr(*s, mark) < 0)
        return 1;
    to = arena_alloc(a, s->n);
    if (!to)
        return ERR_NOMEM;
    for (size_t i = 0; i < s->n;) {
        size_t taken = s->p[i] == mark ? unescape_one(how, str_from(*s, i), &to[n]) : 0;

        if (taken == 0) {
            to[n] = s->p[i];
            taken = 1;
        }
        n++;
        i += taken;
    }
    *s = log_clean(a, (struct str){ to, n });
    return s->p ? 1 : ERR_NOMEM;
}

/* --- columns --- */

/* nginx names all servers it has tried: "a:1, b:2 : c:3"; the last one answered. */
static struct str last_of(struct str s)
{
    for (size_t i = s.n; i-- > 1;)
        if (s.p[i] == ' ' && (s.p[i - 1] == ',' || s.p[i - 1] == ':'))
            return str_from(s, i + 1);
    return s;
}

static int set_count(struct str text, int64_t *to)
{
    int64_t v;

    if (text.n && text.p[0] == '+') /* HAProxy: counted before the end (option logasap) */
        text = str_from(text, 1);
    if (is_unset(text))
        return 1;
    if (!num_i64(text, &v))
        return 0;
    if (v >= 0)
        *to = v;
    return 1;
}

static int set_milliseconds(struct str text, int64_t *to)
{
    int64_t ms = -1;

    if (set_count(text, &ms) == 0 || ms > INT64_MAX / 1000)
        return 0;
    if (ms >= 0)
        *to = ms * 1000;
    return 1;
}

static int set_seconds(struct str text, int64_t *to)
{
    double s;

    text = last_of(text);
    if (is_unset(text))
        return 1;
    if (!num_double(text, &s) || !(s >= 0 && s < 1e12))
        return 0;
    *to = (int64_t)(s * 1e6 + 0.5);
    return 1;
}

static int set_request(struct arena *a, enum log_escape how, struct str text, struct log_line *l)
{
    struct str method = str_cut(&text, ' '), protocol = STR_NULL;

    if (is_unset(method) || !text.p) { /* what is no request is logged, too */
        if (!is_unset(method))
            log_line_attribute(l, STR("request"), method);
        return 1;
    }
    for (size_t i = text.n; i-- > 0 && !protocol.p;)
        if (text.p[i] == ' ' && str_starts(str_from(text, i + 1), STR("HTTP/"))) {
            protocol = str_from(text, i + 1);
            text.n = i;
        }
    l->values[ACCESS_LOG_method].s = method;
    l->values[ACCESS_LOG_protocol].s = protocol;
    l->values[ACCESS_LOG_path].s = text;
    return unescape(how, a, &l->values[ACCESS_LOG_path].s);
}

/* 00-TRACE-SPAN-01 */
static void set_traceparent(struct str text, struct log_line *l)
{
    bool access_log = l->kind == EVENT_ACCESS_LOG;

    if (text.n < 55 || text.p[2] != '-' || text.p[35] != '-' || text.p[52] != '-')
        return;
    l->values[access_log ? (int)ACCESS_LOG_trace_id : (int)LOG_trace_id].s = (struct str){ text.p + 3, 32 };
    l->values[access_log ? (int)ACCESS_LOG_span_id : (int)LOG_span_id].s = (struct str){ text.p + 36, 16 };
}

/* --- times --- */

static int set_time(const struct log_field *field, struct str text, int64_t now_ns, struct log_line *l)
{
    struct log_time t;

    if (is_unset(text))
        return 1;
    if (field->pattern ? !log_time_parse(field->pattern, text, now_ns, &t) : !log_time_guess(text, &t))
        return 0;
    if (l->time_ns && l->precise && !t.precise)
        return 1; /* of two times the better one counts */
    l->time_ns = t.ns;
    l->precise = t.precise;
    l->at_end = field->meaning == LOG_ENDED;
    return 1;
}

/* --- HAProxy's termination state --- */

/* What ended the session, and in which phase: the cases in which an Envoy would have said the same for sure. Source:
 * HAProxy 2.6 configuration manual, 8.5; Envoy's response flags. */
static const struct {
    const char *state, *flags;
} terminations[] = {
    { "CR", "DC" }, { "CQ", "DC" }, { "CC", "DC" }, { "CH", "DC" }, { "CD", "DC" }, /* the client went away */
    { "SC", "UF" }, { "sC", "UF" },                 /* no connection to the server */
    { "SH", "UC" }, { "SD", "UC" },                 /* the server closed it */
    { "sH", "UT" }, { "sD", "UT" },                 /* the server took too long */
    { "sQ", "UO" },                                 /* no place in the queue for too long */
    { "PH", "UPE" },                                /* an answer that is no HTTP */
};

static void set_termination(const struct log_field *f, struct str text, struct log_line *l)
{
    log_line_attribute(l, f->attribute, text);
    for (size_t i = 0; text.n >= 2 && i < sizeof(terminations) / sizeof(terminations[0]); i++)
        if (memcmp(text.p, terminations[i].state, 2) == 0)
            l->values[ACCESS_LOG_response_flags].s = str_of(terminations[i].flags);
}

void log_line_attribute(struct log_line *l, struct str name, struct str value)
{
    if (!is_unset(value) && l->nattributes < LOG_FORMAT_MOST_FIELDS)
        l->attributes[l->nattributes++] = (struct label){ name, value };
}

int log_value_set(const struct log_format *f, size_t field, struct str text, int64_t now_ns, struct arena *a,
                  struct log_line *l)
{
    const struct log_field *to = &f->fields[field];
    union event_value *column = to->column >= 0 ? &l->values[to->column] : NULL;
    int rc = 1;

    switch (to->meaning) {
    case LOG_ATTRIBUTE:
    case LOG_NUMBER:
    case LOG_LIST:
    case LOG_CAPTURES:
        rc = unescape(f->escape, a, &text);
        log_line_attribute(l, to->attribute, text);
        return rc;
    case LOG_TEXT:
    case LOG_PATH:
    case LOG_LAST:
        if (is_unset(text))
            return 1;
        column->s = to->meaning == LOG_LAST ? last_of(text) : text;
        return unescape(f->escape, a, &column->s);
    case LOG_COUNT:
        return set_count(text, &column->i);
    case LOG_SECONDS:
        return set_seconds(text, &column->i);
    case LOG_MILLISECONDS:
        return set_milliseconds(text, &column->i);
    case LOG_REQUEST:
        return set_request(a, f->escape, text, l);
    case LOG_TRACEPARENT:
        set_traceparent(text, l);
        return 1;
    case LOG_TERMINATION:
        set_termination(to, text, l);
        return 1;
    case LOG_STARTED:
    case LOG_ENDED:
        return set_time(to, text, now_ns, l);
    case LOG_SKIPPED:
        return 1;
    }
    return 0;
}
