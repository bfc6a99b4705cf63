/* logql_path.c: where in a JSON document a label's value stands: request.headers["user agent"], servers[0]. */
#include "query/logql_scan-internal.h"

#include "base/num.h"

enum { MOST_STEPS = 32 };

static bool key_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

/* What stands in brackets at the start of s: a whole number or a quoted key. Returns its length, 0: neither. */
static size_t read_bracket(struct str s, struct json_step *step)
{
    size_t n = 1;
    uint64_t index;

    *step = (struct json_step){ STR_NULL, 0 };
    if (n < s.n && (s.p[n] == '"' || s.p[n] == '\'')) {
        char quote = s.p[n++];

        while (n < s.n && s.p[n] != quote)
            n++;
        step->key = (struct str){ s.p + 2, n - 2 };
        n++;
    } else {
        while (n < s.n && s.p[n] >= '0' && s.p[n] <= '9')
            n++;
        if (!num_u64((struct str){ s.p + 1, n - 1 }, &index))
            return 0;
        step->index = (size_t)index;
    }
    return n < s.n && s.p[n] == ']' ? n + 1 : 0;
}

static size_t read_key(struct str s, bool first, struct json_step *step)
{
    size_t dot = !first, n = dot;

    if (dot && (s.n == 0 || s.p[0] != '.'))
        return 0;
    while (n < s.n && key_char(s.p[n]))
        n++;
    *step = (struct json_step){ { s.p + dot, n - dot }, 0 };
    return n > dot ? n : 0;
}

int parse_json_path(struct scanner *sc, size_t at, struct extraction *x)
{
    struct str rest = x->path;

    x->steps = arena_array(sc->a, MOST_STEPS, sizeof(*x->steps));
    if (!x->steps)
        return scanner_nomem(sc);
    x->n = 0;
    while (rest.n) {
        struct json_step step;
        size_t n = rest.p[0] == '[' ? read_bracket(rest, &step) : read_key(rest, x->n == 0, &step);

        if (n == 0 || x->n == MOST_STEPS)
            return scanner_fail(sc, at, "cannot parse expression [%.*s]: should be a path of at most %d steps, as in "
                             "a.b[0][\"c d\"]", (int)(x->path.n > 100 ? 100 : x->path.n), x->path.p, MOST_STEPS);
        x->steps[x->n++] = step;
        rest = str_from(rest, n);
    }
    return x->n ? 0 : scanner_fail(sc, at, "cannot parse expression []: should be a path, as in a.b[0]");
}
