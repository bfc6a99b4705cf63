/* json-internal.h: JSON read token by token (RFC 8259), without a tree.
 *
 * A tree costs up to fifty times the text, which a sender chooses; this reader's memory is one string at a time.
 * Whoever descends bounds the depth. Functions that return int give 0 or ERR_PARSE with the place, or ERR_NOMEM. */
#ifndef COLLECTOR_JSON_INTERNAL_H
#define COLLECTOR_JSON_INTERNAL_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct json_reader {
    const char *start, *p, *end;
};

struct json_reader json_reader(struct str text);

/* The next byte that is no blank, not taken; '\0' at the end (which is no JSON either where it stands in the text). */
char json_peek(struct json_reader *r);
/* Takes `c` when it comes next. */
bool json_take(struct json_reader *r, char c);
int json_want(struct json_reader *r, char c, struct err *e);

/* Replaces `out` by the string's bytes, unescaped, always UTF-8. */
int json_string(struct json_reader *r, struct buf *out, struct err *e);
/* The same as text that stays: a view of the JSON where nothing is escaped, else a copy in `a`. `scratch` is overwritten. */
int json_text(struct json_reader *r, struct arena *a, struct buf *scratch, struct str *out, struct err *e);
/* A view of the number's text. */
int json_number(struct json_reader *r, struct str *text, struct err *e);
/* Whether `word` (true, false, null) comes next; it is then taken. */
bool json_word(struct json_reader *r, struct str word);
/* Passes over one value of any kind, at most `depth` levels deep; `scratch` is overwritten. */
int json_skip(struct json_reader *r, struct buf *scratch, unsigned depth, struct err *e);

/* The next member of an object or array whose bracket has been taken: 1 there is one (its comma has been taken), 0 the
 * closing bracket has been taken. *first is true before the first call. */
int json_more(struct json_reader *r, char close, bool *first, struct err *e);

/* ERR_PARSE: "json: byte 17: " and what would be right. */
int json_fail(const struct json_reader *r, struct err *e, const char *what);

#endif
