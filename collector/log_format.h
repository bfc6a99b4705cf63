/* log_format.h: declared formats of log lines.
 *
 * A format string (nginx's log_format, HAProxy's log-format, Envoy's text format) or a map of JSON keys is compiled
 * once into a list of fields, each with a meaning: a column of the row, the time, the request line, or an attribute
 * under its own name. A line that follows the format becomes one row of `access_log` (JSON lines also of `log`); of
 * one that does not, nothing is said.
 *
 * A compiled format lives in the arena it was made in, never changes, and may be used by any thread. */
#ifndef COLLECTOR_LOG_FORMAT_H
#define COLLECTOR_LOG_FORMAT_H

#include "base/arena.h"
#include "base/err.h"
#include "base/yaml.h"
#include "store/event.h"

enum {
    LOG_FORMAT_MOST_FIELDS = 96,
    LOG_FORMAT_MOST_TEXT = 16384 /* bytes of a format string */
};

struct log_format;

/* Each: NULL with ERR_INVALID, which quotes the place in the format, or ERR_NOMEM. */

/* The string of a log_format directive, or the directive as it stands in nginx.conf ("log_format NAME [escape=…] '…'
 * '…';"); "combined" is nginx's own. Source: nginx.org/en/docs/http/ngx_http_log_module.html and the lists of
 * variables there. */
struct log_format *log_format_nginx(struct arena *a, struct str text, struct err *e);
/* "httplog", "tcplog", "httpslog" (what these options write), or a log-format string as it stands in haproxy.cfg.
 * Source: HAProxy 2.6 configuration manual, section 8. */
struct log_format *log_format_haproxy(struct arena *a, struct str text, struct err *e);
/* "istio" (Istio's default line), "envoy" (Envoy's), or a format string. Source: Envoy's access log docs. */
struct log_format *log_format_envoy(struct arena *a, struct str text, struct err *e);
/* A json_format: key → operator. NULL: the keys of Istio's JSON form. */
struct log_format *log_format_envoy_json(struct arena *a, const struct yaml_node *map, struct err *e);
/* JSON lines. `columns`: key of the line → column of the table, "time" is when it began; a key that is not named
 * becomes an attribute. NULL for EVENT_LOG: the keys that most libraries use. */
struct log_format *log_format_json(struct arena *a, enum event_kind kind, const struct yaml_node *columns,
                                   struct err *e);

enum event_kind log_format_kind(const struct log_format *f);
/* Whether a line may tell by itself whether its sender stands at the source or at the destination (Envoy's may). */
bool log_format_names_reporter(const struct log_format *f);

/* One line, cut. Texts point into the line, or live in the arena given to log_format_match. */
struct log_line {
    enum event_kind kind;
    int64_t time_ns;                             /* when it began; 0: the line does not say */
    bool at_end, precise;                        /* meanwhile: it is the time of the end; it has parts of a second */
    union event_value values[EVENT_MAX_COLUMNS]; /* of the table */
    struct str fields[LOG_FORMAT_MOST_FIELDS];   /* as they stand in the line */
    struct label attributes[LOG_FORMAT_MOST_FIELDS];
    size_t nattributes;
};

/* 1: the line follows the format and is in *out. 0: it does not. ERR_NOMEM. now_ns: for times without a year. */
int log_format_match(const struct log_format *f, struct str line, int64_t now_ns, struct arena *a,
                     struct log_line *out);

/* A place in a row for those who read it by name: a field as the format writes it ("$host", "%b", "%REQ(X)%", a JSON
 * key), or a column of the table. A field that fills one column is that column, cleaned as it is there. */
struct log_reference {
    int column; /* -1: fields[field] */
    int field;
};
/* False: the format has neither. */
bool log_format_find(const struct log_format *f, struct str name, struct log_reference *out);
/* STR_NULL when it is unset. */
struct str log_line_text(const struct log_line *l, struct log_reference r);

#endif
