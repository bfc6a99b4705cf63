/* logql_extract_json.c: | json, with and without expressions, and | unpack. */
#include "query/logql_json-internal.h"
#include "query/logql_pipeline-internal.h"

static const struct str json_error = STR_INIT("JSONParserErr");

struct str label_name_of(struct pipeline *p, struct str text)
{
    char *to = arena_alloc(&p->scratch, text.n + 2);
    size_t n = 0;

    if (!to)
        return STR_NULL;
    if (text.n && text.p[0] >= '0' && text.p[0] <= '9')
        to[n++] = '_';
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';

        to[n++] = fits ? c : '_';
    }
    return (struct str){ to, n };
}

/* --- all members ------------------------------------------------------------------------------------------------- */

/* One document under way. */
struct walk {
    struct pipeline *p;
    struct json_text r;
    bool failed; /* no memory */
};

static bool walk_object(struct walk *w, struct str prefix);

static bool extract(struct walk *w, struct str name, struct str value)
{
    w->failed |= pipeline_extract(w->p, name, value) < 0;
    return !w->failed;
}

/* Objects are flattened; lists and null make no label. */
static bool walk_value(struct walk *w, struct str name)
{
    struct str value;

    switch (json_text_peek(&w->r)) {
    case JSON_OBJECT:
        return walk_object(w, name);
    case JSON_STRING:
        return json_text_string(&w->r, &w->p->scratch, &value, &w->failed) && extract(w, name, value);
    case JSON_NUMBER:
    case JSON_TRUE:
    case JSON_FALSE:
        return json_text_skip(&w->r, &value) && extract(w, name, value);
    case JSON_ARRAY:
    case JSON_NULL:
        return json_text_skip(&w->r, &value);
    case JSON_NONE:
        break;
    }
    return false;
}

static struct str joined(struct walk *w, struct str prefix, struct str key)
{
    struct str name = label_name_of(w->p, key);

    if (name.p && prefix.n)
        name = arena_printf(&w->p->scratch, "%.*s_%.*s", STR_ARG(prefix), STR_ARG(name));
    w->failed |= !name.p;
    return name;
}

static bool walk_object(struct walk *w, struct str prefix)
{
    bool bad = false, first = true;

    if (!json_text_enter(&w->r))
        return false;
    for (; json_text_more(&w->r, '}', first, &bad); first = false) {
        struct str key, name;

        if (!json_text_string(&w->r, &w->p->scratch, &key, &w->failed) || !json_text_colon(&w->r))
            return false;
        name = joined(w, prefix, key);
        if (w->failed || !walk_value(w, name))
            return false;
    }
    return !bad;
}

static int walk_line(struct pipeline *p)
{
    struct str line = pipeline_line(p);
    struct walk w = { p, { line.p, line.p + line.n, 0 }, false };

    if (json_text_peek(&w.r) != JSON_OBJECT)
        pipeline_fail(p, json_error, STR("the line should be a JSON object"));
    else if (!walk_object(&w, STR_NULL) && !w.failed)
        pipeline_fail(p, json_error, arena_printf(&p->scratch, "the line is no JSON at byte %zu",
                                                  (size_t)(w.r.p - line.p) + 1));
    return w.failed ? ERR_NOMEM : 0;
}

/* --- expressions ------------------------------------------------------------------------------------------------- */

/* Goes to the member that a step names. False: there is none, or the text is broken (*bad). */
static bool step_into(struct json_text *r, const struct json_step *step, struct arena *a, bool *bad, bool *failed)
{
    bool by_key = step->key.p != NULL, first = true;
    struct str key, raw;

    if (json_text_peek(r) != (by_key ? JSON_OBJECT : JSON_ARRAY) || !json_text_enter(r))
        return false;
    for (size_t i = 0; json_text_more(r, by_key ? '}' : ']', first, bad); i++, first = false) {
        if (by_key && (!json_text_string(r, a, &key, failed) || !json_text_colon(r)))
            *bad = true;
        if (!*bad && (by_key ? str_eq(key, step->key) : i == step->index))
            return true;
        if (*bad || !json_text_skip(r, &raw)) {
            *bad = true;
            return false;
        }
    }
    return false;
}

/* A string's value, anything else as it is written; null is nothing. */
static bool read_any(struct json_text *r, struct arena *a, struct str *value, bool *failed)
{
    if (json_text_peek(r) == JSON_STRING)
        return json_text_string(r, a, value, failed);
    return json_text_peek(r) != JSON_NULL && json_text_skip(r, value);
}

static int extract_path(struct pipeline *p, const struct extraction *x)
{
    struct str line = pipeline_line(p), value = STR_NULL;
    struct json_text r = { line.p, line.p + line.n, 0 };
    bool bad = false, failed = false, there = true;

    for (size_t i = 0; there && i < x->n; i++)
        there = step_into(&r, &x->steps[i], &p->scratch, &bad, &failed);
    if (there && read_any(&r, &p->scratch, &value, &failed) && value.n)
        return pipeline_extract(p, x->name, value);
    return failed ? ERR_NOMEM : 0;
}

int extract_json(struct pipeline *p, const struct extractor *x)
{
    struct str line = pipeline_line(p), raw;
    struct json_text r = { line.p, line.p + line.n, 0 };
    int rc = 0;

    if (x->n == 0)
        return walk_line(p);
    if (!json_text_skip(&r, &raw) || !json_text_done(&r))
        pipeline_fail(p, json_error, STR("the line is no JSON"));
    for (size_t i = 0; rc == 0 && !p->error.n && i < x->n; i++)
        rc = extract_path(p, &x->v[i]);
    return rc;
}

/* --- unpack ------------------------------------------------------------------------------------------------------ */

/* What Promtail's pack stage has made: an object of strings, the line in _entry. */
static bool unpack_members(struct walk *w, struct str *entry)
{
    bool bad = false, first = true;

    if (json_text_peek(&w->r) != JSON_OBJECT || !json_text_enter(&w->r))
        return false;
    for (; json_text_more(&w->r, '}', first, &bad); first = false) {
        struct str key, value;

        if (!json_text_string(&w->r, &w->p->scratch, &key, &w->failed) || !json_text_colon(&w->r))
            return false;
        if (json_text_peek(&w->r) != JSON_STRING) {
            if (!json_text_skip(&w->r, &value))
                return false;
            continue;
        }
        if (!json_text_string(&w->r, &w->p->scratch, &value, &w->failed))
            return false;
        if (str_eqz(key, "_entry"))
            *entry = value;
        else if (!(key = joined(w, STR_NULL, key)).p || !extract(w, key, value))
            return false;
    }
    return !bad;
}

int extract_unpack(struct pipeline *p)
{
    struct str line = pipeline_line(p), entry = STR_NULL;
    struct walk w = { p, { line.p, line.p + line.n, 0 }, false };

    if (unpack_members(&w, &entry)) {
        if (entry.p)
            p->line = entry;
        return 0;
    }
    if (!w.failed)
        pipeline_fail(p, json_error, STR("the line should be a JSON object of strings"));
    return w.failed ? ERR_NOMEM : 0;
}
