/* log_format-internal.h: what the compilers of the dialects share.
 *
 * A text format is a list of fields with a literal before each and one behind the last:
 *
 *     "$remote_addr - [$time_local] ..."     →   ""  remote_addr   " - ["  time_local   "] " ...
 *
 * The matcher (log_format.c) looks for the literals; a field takes what is between them. */
#ifndef COLLECTOR_LOG_FORMAT_INTERNAL_H
#define COLLECTOR_LOG_FORMAT_INTERNAL_H

#include "base/buf.h"
#include "collector/log_format.h"

enum log_meaning {
    LOG_ATTRIBUTE,    /* kept under the field's own name */
    LOG_NUMBER,       /* the same, and it is a number */
    LOG_LIST,         /* the same, and it is nginx's list of tries, "a:1, b:2 : c:3" */
    LOG_SKIPPED,      /* nothing that a row would need */
    LOG_TEXT,         /* a column; "-" is unset */
    LOG_LAST,         /* a column: the last of such a list */
    LOG_COUNT,        /* a column: a whole number, '+' before it is passed over */
    LOG_SECONDS,      /* a column in µs: "0.123"; of such a list the last */
    LOG_MILLISECONDS, /* a column in µs: "123", -1 is unset */
    LOG_REQUEST,      /* "GET /path HTTP/1.1": three columns */
    LOG_PATH,         /* a column, and its text begins with '/' */
    LOG_TRACEPARENT,  /* W3C: trace and span id */
    LOG_STARTED,      /* the time it began, by `pattern` (NULL: log_time_guess) */
    LOG_ENDED,        /* the time it ended, likewise */
    LOG_CAPTURES,     /* HAProxy's {a|b}: an attribute; left out together with the blank before it when there are none */
    LOG_TERMINATION,  /* HAProxy's termination state: an attribute, and response flags */
};

enum log_escape {
    LOG_PLAIN,
    LOG_BACKSLASH, /* \xHH, \", \\ and JSON's: nginx */
    LOG_HASH       /* #HH: HAProxy */
};

/* A field that a dialect knows; `name` without decoration. Tables end with an empty name. */
struct log_known {
    struct str name;
    enum log_meaning meaning;
    int column;
    const char *pattern;
    bool weak;            /* another field for the same column is better: then this one is an attribute */
    struct str attribute; /* empty: as the format calls it */
};

struct log_field {
    struct str name;      /* as the format writes it */
    struct str attribute;
    enum log_meaning meaning;
    int column;           /* -1: none */
    const char *pattern;
    bool weak;
    struct str before;    /* text formats: the literal before it */
};

struct log_format {
    enum event_kind kind;
    enum log_escape escape;
    bool json;
    bool names_reporter;         /* the upstream's cluster may tell (Istio) */
    struct log_field *fields;
    size_t n, cap;
    struct str end;              /* text formats: the literal behind the last field */
    struct str request_protocol; /* "http" or "tcp" */
    /* What a dialect makes of a line when all of its fields are set; NULL: nothing. */
    void (*finish)(const struct log_format *f, struct log_line *l);
};

/* --- compiling (log_format_build.c) --- */

struct log_builder {
    struct arena *arena;
    struct log_format *format;
    struct buf literal; /* since the last field */
};

/* False: ERR_NOMEM, or ERR_LIMIT: the text is too long. */
bool log_builder_init(struct log_builder *b, struct arena *a, struct str text, struct err *e);
/* `known` NULL: an attribute. Names are copied. ERR_INVALID: nothing stands between it and the field before. */
int log_builder_field(struct log_builder *b, struct str name, struct str attribute, const struct log_known *known,
                      struct err *e);
/* Settles which of several fields gets a column. Frees what the builder holds, also when rc < 0 says that compiling
 * has failed: NULL then. */
struct log_format *log_builder_end(struct log_builder *b, int rc, struct err *e);
const struct log_known *log_known_find(const struct log_known *table, struct str name);

/* --- values (log_value.c) --- */

/* Whether the text may stand for such a field at all. */
bool log_value_fits(const struct log_field *f, struct str text);
/* Sets what the field means. 0: the text is not what it should be; 1; ERR_NOMEM. */
int log_value_set(const struct log_format *f, size_t field, struct str text, int64_t now_ns, struct arena *a,
                  struct log_line *l);
void log_line_attribute(struct log_line *l, struct str name, struct str value);

/* --- JSON (log_format_json.c) --- */

int log_json_match(const struct log_format *f, struct str line, int64_t now_ns, struct arena *a, struct log_line *out);

/* What an Envoy operator without its percent signs, "REQ(:METHOD)", means (log_format_envoy.c). ERR_INVALID,
 * ERR_NOMEM. */
int log_envoy_operator(struct arena *a, struct str operator, struct log_known *out, struct err *e);

#endif
