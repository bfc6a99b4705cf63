#include "collector/syslog_message.h"

#include "collector/log_time-internal.h"

enum { USER_NOTICE = 13, MOST_PRIORITY = 191, RFC3164_TIME = 15, MOST_TAG = 64 };

static const struct str facilities[] = {
    STR_INIT("kern"),     STR_INIT("user"),   STR_INIT("mail"),   STR_INIT("daemon"), STR_INIT("auth"),
    STR_INIT("syslog"),   STR_INIT("lpr"),    STR_INIT("news"),   STR_INIT("uucp"),   STR_INIT("cron"),
    STR_INIT("authpriv"), STR_INIT("ftp"),    STR_INIT("ntp"),    STR_INIT("audit"),  STR_INIT("alert"),
    STR_INIT("clock"),    STR_INIT("local0"), STR_INIT("local1"), STR_INIT("local2"), STR_INIT("local3"),
    STR_INIT("local4"),   STR_INIT("local5"), STR_INIT("local6"), STR_INIT("local7"),
};

/* Numbers as OpenTelemetry's log data model maps syslog's. */
static const struct {
    struct str name;
    int number;
} severities[] = {
    { STR_INIT("emerg"), 21 },   { STR_INIT("alert"), 19 },  { STR_INIT("crit"), 18 }, { STR_INIT("err"), 17 },
    { STR_INIT("warning"), 13 }, { STR_INIT("notice"), 10 }, { STR_INIT("info"), 9 },  { STR_INIT("debug"), 5 },
};

struct str syslog_facility(int priority)
{
    return facilities[priority / 8];
}

struct str syslog_severity(int priority)
{
    return severities[priority % 8].name;
}

int syslog_severity_number(int priority)
{
    return severities[priority % 8].number;
}

/* "<34>", taken off *s. */
static bool take_priority(struct str *s, int *priority)
{
    int v = 0;
    size_t i = 1;

    if (s->n < 3 || s->p[0] != '<')
        return false;
    for (; i < s->n && i < 4 && s->p[i] >= '0' && s->p[i] <= '9'; i++)
        v = v * 10 + (s->p[i] - '0');
    if (i == 1 || i == s->n || s->p[i] != '>' || v > MOST_PRIORITY)
        return false;
    *priority = v;
    *s = str_from(*s, i + 1);
    return true;
}

/* --- RFC 5424 --- */

/* A field of the header; "-" is none. */
static struct str take_field(struct str *s)
{
    struct str field = str_cut(s, ' ');

    return str_eqz(field, "-") ? STR_NULL : field;
}

/* The value of a parameter, behind its opening quote: *end is its closing one. */
static bool read_value(struct str s, struct arena *a, struct str *value, size_t *end, bool *no_memory)
{
    bool escaped = false;
    char *to;
    size_t i = 0, n = 0;

    for (; i < s.n && s.p[i] != '"'; i++)
        if (s.p[i] == '\\') {
            escaped = true;
            i++;
        }
    if (i >= s.n)
        return false;
    *end = i;
    *value = (struct str){ s.p, i };
    if (!escaped)
        return true;
    to = arena_alloc(a, i);
    *no_memory = !to;
    for (i = 0; to && i < *end; i++) {
        if (s.p[i] == '\\' && strchr("\"\\]", s.p[i + 1]) && s.p[i + 1])
            i++;
        to[n++] = s.p[i];
    }
    *value = (struct str){ to, n };
    return to != NULL;
}

static bool add_data(struct syslog_message *m, struct arena *a, struct str id, struct str name, struct str value)
{
    struct str full;

    if (value.n == 0 || m->ndata == SYSLOG_MOST_DATA)
        return true;
    full = arena_printf(a, "%.*s.%.*s", STR_ARG(id), STR_ARG(name));
    if (full.p)
        m->data[m->ndata++] = (struct label){ full, value };
    return full.p != NULL;
}

/* One element, "[ID NAME="VALUE" …]", taken off *s. */
static bool take_element(struct str *s, struct arena *a, struct syslog_message *m, bool *no_memory)
{
    size_t i = 1;
    struct str id;

    while (i < s->n && s->p[i] != ' ' && s->p[i] != ']')
        i++;
    id = (struct str){ s->p + 1, i - 1 };
    if (id.n == 0)
        return false;
    while (i < s->n && s->p[i] == ' ') {
        struct str rest = str_from(*s, i + 1), value;
        ptrdiff_t equals = str_chr(rest, '=');
        size_t end;

        if (equals <= 0 || (size_t)equals + 1 >= rest.n || rest.p[equals + 1] != '"' ||
            !read_value(str_from(rest, (size_t)equals + 2), a, &value, &end, no_memory))
            return false;
        *no_memory = !add_data(m, a, id, (struct str){ rest.p, (size_t)equals }, value);
        i += 1 + (size_t)equals + 2 + end + 1;
    }
    if (i >= s->n || s->p[i] != ']')
        return false;
    *s = str_from(*s, i + 1);
    return true;
}

/* What follows the header. Structured data that is none is a part of the text. */
static int read_data(struct str s, struct arena *a, struct syslog_message *m)
{
    struct str whole = s;
    bool no_memory = false, good = true;

    if (str_eqz(s, "-") || str_starts(s, STR("- ")))
        s = str_from(s, 1);
    else
        while (good && s.n && s.p[0] == '[')
            good = take_element(&s, a, m, &no_memory);
    if (no_memory)
        return ERR_NOMEM;
    if (!good || (s.n && s.p[0] != ' ')) {
        m->well_formed = false;
        m->ndata = 0;
        s = whole;
    } else {
        s = str_from(s, 1);
    }
    if (str_starts(s, STR("\xef\xbb\xbf")))
        s = str_from(s, 3);
    m->text = s;
    return 0;
}

static int read_5424(struct str s, struct arena *a, struct syslog_message *m)
{
    struct str time;
    struct log_time t;

    s = str_from(s, 2); /* "1 " */
    time = take_field(&s);
    if (time.n && !log_time_guess(time, &t))
        m->well_formed = false;
    else if (time.n)
        m->time_ns = t.ns;
    m->host = take_field(&s);
    m->app = take_field(&s);
    m->procid = take_field(&s);
    m->msgid = take_field(&s);
    if (!s.p) {
        m->well_formed = false;
        return 0;
    }
    return read_data(s, a, m);
}

/* --- RFC 3164 --- */

/* The time at the start of *s, with the blank behind it. */
static bool take_time(struct str *s, int64_t now_ns, struct log_time *t)
{
    struct str rest = *s, word;

    if (s->n > RFC3164_TIME && s->p[RFC3164_TIME] == ' ' &&
        log_time_parse("%b %e %T", (struct str){ s->p, RFC3164_TIME }, now_ns, t)) {
        *s = str_from(*s, RFC3164_TIME + 1);
        return true;
    }
    word = str_cut(&rest, ' ');
    if (!rest.p || word.n < 20 || !log_time_guess(word, t))
        return false;
    *s = rest;
    return true;
}

static bool is_tag(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || strchr("-_./@", c);
}

/* "app: ", "app[123]: ", taken off *s. */
static bool take_tag(struct str *s, struct syslog_message *m)
{
    struct str id = STR_NULL;
    size_t n = 0, at;

    while (n < s->n && n < MOST_TAG && s->p[n] && is_tag(s->p[n]))
        n++;
    at = n;
    if (at < s->n && s->p[at] == '[') {
        ptrdiff_t end = str_chr(str_from(*s, at), ']');

        if (end < 0)
            return false;
        id = (struct str){ s->p + at + 1, (size_t)end - 1 };
        at += (size_t)end + 1;
    }
    if (n == 0 || at >= s->n || s->p[at] != ':')
        return false;
    m->app = (struct str){ s->p, n };
    m->procid = id;
    *s = str_from(*s, at + 1);
    if (s->n && s->p[0] == ' ')
        *s = str_from(*s, 1);
    return true;
}

static void read_3164(struct str s, int64_t now_ns, struct syslog_message *m)
{
    struct log_time t;

    if (take_time(&s, now_ns, &t)) {
        m->time_ns = t.ns;
        if (!take_tag(&s, m)) {
            struct str rest = s;

            m->host = str_cut(&rest, ' ');
            s = rest.p ? rest : STR("");
            take_tag(&s, m);
        }
    } else {
        m->well_formed = false;
        take_tag(&s, m);
    }
    m->text = s;
}

int syslog_parse(struct str message, int64_t now_ns, struct arena *a, struct syslog_message *out)
{
    struct str s = message;

    *out = (struct syslog_message){ .priority = USER_NOTICE, .text = message, .well_formed = true };
    if (!take_priority(&s, &out->priority)) {
        out->well_formed = false;
        return 0;
    }
    out->text = s;
    if (str_starts(s, STR("1 ")))
        return read_5424(s, a, out);
    read_3164(s, now_ns, out);
    return 0;
}
