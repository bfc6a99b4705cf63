/* logql_json-internal.h: JSON, read once from its start to its end, without a tree. */
#ifndef QUERY_LOGQL_JSON_INTERNAL_H
#define QUERY_LOGQL_JSON_INTERNAL_H

#include "base/arena.h"

#include <stdbool.h>

enum { JSON_DEPTH = 64 };

enum json_kind { JSON_NONE, JSON_OBJECT, JSON_ARRAY, JSON_STRING, JSON_NUMBER, JSON_TRUE, JSON_FALSE, JSON_NULL };

/* Bytes that are not read yet. */
struct json_text {
    const char *p, *end;
    int depth;
};

/* What comes next, blanks skipped; JSON_NONE: nothing that JSON has. */
enum json_kind json_text_peek(struct json_text *r);
/* Passes one value of any kind; *raw is its text. False: it is no JSON, or nested too deeply. */
bool json_text_skip(struct json_text *r, struct str *raw);
/* A string's value: a view of the text where it has no escapes, else in `a`. False: no string; no memory (p NULL, and
 * *failed is set). */
bool json_text_string(struct json_text *r, struct arena *a, struct str *value, bool *failed);
/* Steps into an object or an array, to its next member, out of it. Loop: for (json_text_enter; json_text_more(&r, '}'); …). More
 * sets *bad when the text is broken, and then says false. */
bool json_text_enter(struct json_text *r);
bool json_text_more(struct json_text *r, char close, bool first, bool *bad);
/* The colon behind a key. */
bool json_text_colon(struct json_text *r);
/* Whether only blanks are left. */
bool json_text_done(struct json_text *r);

#endif
