/* path.c: normalising paths in one go, as Envoy does, so that both read the same path.
 *
 * The steps and their sources, in Envoy's order (envoy: HttpConnectionManager's normalize_path, merge_slashes,
 * path_with_escaped_slashes_action; what they do is laid down by Chromium's canonical URLs, which Envoy uses):
 *
 *   1. A fragment is cut off, wherever it begins: Istio turns http_reject_path_with_fragment off.
 *   2. %2F and %5C become / and \ (DECODE_AND_MERGE_SLASHES: UNESCAPE_AND_FORWARD).
 *   3. \ becomes /; escapes of letters, digits and - . _ ~ are decoded (RFC 3986 2.3, 6.2.2.2), once and not again;
 *      other escapes stay as they are written, the case of their digits too; characters that a path must not have
 *      ("<>^`{|}, blanks, controls, bytes above 126) are escaped; "." and ".." segments, escaped or not, are resolved
 *      (RFC 3986 5.2.4), never above the root.
 *   4. Several slashes become one (MERGE_SLASHES), after the dots: /a//../b is /a/b.
 *
 * A "%" that begins no escape stays, as in browsers; but where decoding behind it would make it begin one ("%%341"), it
 * becomes %25: what is decoded must not be decoded again by the next.
 * %00 is refused, always (Istio's table: "always rejected with HTTP code 400"). */
#include "proxy/path.h"
#include "proxy/percent.h"

enum {
    PASS,
    DECODE, /* stands for itself, and its escape is undone */
    ESCAPE, /* only as an escape */
    SLASH   /* begins a segment, as does the backslash, which becomes one */
};

static const uint8_t classes[256] = {
    ['a' ... 'z'] = DECODE, ['A' ... 'Z'] = DECODE, ['0' ... '9'] = DECODE,
    ['-'] = DECODE,         ['.'] = DECODE,         ['_'] = DECODE,         ['~'] = DECODE,
    [0 ... ' '] = ESCAPE,   ['"'] = ESCAPE,         ['#'] = ESCAPE,         ['%'] = ESCAPE,
    ['<'] = ESCAPE,         ['>'] = ESCAPE,         ['?'] = ESCAPE,         ['^'] = ESCAPE,
    ['`'] = ESCAPE,         ['{'] = ESCAPE,         ['|'] = ESCAPE,         ['}'] = ESCAPE,
    [127 ... 255] = ESCAPE, ['/'] = SLASH,          ['\\'] = SLASH,
};

static int class_of(char c)
{
    return classes[(unsigned char)c];
}

/* Whether the path has nothing that any step would change. */
static bool is_plain(struct str path, bool merge)
{
    if (path.n == 0 || path.p[0] != '/')
        return false;
    for (size_t i = 0; i < path.n; i++) {
        int class = class_of(path.p[i]);

        if (class < ESCAPE)
            continue;
        if (class == ESCAPE || path.p[i] == '\\')
            return false;
        if (i + 1 < path.n && (path.p[i + 1] == '.' || (merge && path.p[i + 1] == '/')))
            return false;
    }
    return true;
}

/* Step 2, in place. */
static size_t decode_slashes(char *p, size_t n)
{
    struct str s = { p, n };
    size_t to = 0;

    for (size_t i = 0; i < n; i++) {
        int c = percent_byte(s, i);

        if (c == '/' || c == '\\') {
            p[to++] = (char)c;
            i += 2;
        } else {
            p[to++] = p[i];
        }
    }
    return to;
}

struct out {
    char *p;
    size_t n;
    size_t bad; /* where the last "%" stands that began no escape, plus one */
};

static void put(struct out *o, char c)
{
    o->p[o->n++] = c;
    if (o->bad && o->bad + 2 == o->n && percent_digit(o->p[o->n - 2]) >= 0 && percent_digit(c) >= 0) {
        memmove(o->p + o->bad + 2, o->p + o->bad, 2);
        memcpy(o->p + o->bad, "25", 2);
        o->n += 2;
    }
}

static void put_escape(struct out *o, unsigned char c)
{
    static const char digits[] = "0123456789ABCDEF";

    put(o, '%');
    put(o, digits[c >> 4]);
    put(o, digits[c & 15]);
}

/* Drops the last segment and the slash behind it. */
static void drop_segment(struct out *o)
{
    if (o->n > 1)
        o->n--;
    while (o->n > 1 && o->p[o->n - 1] != '/')
        o->n--;
    o->bad = 0;
}

/* At the beginning of a segment: takes "." or ".." with the slash behind it, and returns the length; 0: another. */
static size_t dot_segment(struct str in, size_t at, unsigned *dots)
{
    size_t i = at;

    for (*dots = 0; *dots < 2 && i < in.n; ++*dots) {
        if (in.p[i] == '.')
            i++;
        else if (percent_byte(in, i) == '.')
            i += 3;
        else
            break;
    }
    if (*dots == 0 || (i < in.n && class_of(in.p[i]) != SLASH))
        return 0;
    return i - at + (i < in.n);
}

/* What is written of the input's next character; returns how many bytes of the input that was, 0: refused. */
static size_t put_next(struct out *o, struct str in, size_t i)
{
    unsigned char c = (unsigned char)in.p[i];
    int e;

    if (c == 0)
        return 0;
    if (c == '\\') {
        put(o, '/');
        return 1;
    }
    if (c != '%') {
        if (class_of((char)c) == ESCAPE)
            put_escape(o, c);
        else
            put(o, (char)c);
        return 1;
    }
    e = percent_byte(in, i);
    if (e < 0) {
        put(o, '%');
        o->bad = o->n;
        return 1;
    }
    if (e == 0)
        return 0;
    if (class_of((char)e) == DECODE) {
        put(o, (char)e);
    } else {
        memcpy(o->p + o->n, in.p + i, 3);
        o->n += 3;
    }
    return 3;
}

/* Step 3. `o` has room for three bytes for each of the input's, and three more. */
static bool canonical(struct out *o, struct str in)
{
    size_t i = 0;

    if (in.n == 0 || class_of(in.p[0]) != SLASH)
        put(o, '/');
    while (i < in.n) {
        bool begins = o->n && o->p[o->n - 1] == '/';
        unsigned dots = 0;
        size_t n = begins ? dot_segment(in, i, &dots) : 0;

        if (n && dots == 2)
            drop_segment(o);
        else if (!n)
            n = put_next(o, in, i);
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}

/* Step 4, in place. */
static size_t merge_slashes(char *p, size_t n)
{
    size_t to = 0;

    for (size_t i = 0; i < n; i++)
        if (p[i] != '/' || to == 0 || p[to - 1] != '/')
            p[to++] = p[i];
    return to;
}

static bool has_nul(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == 0 || percent_byte(s, i) == 0)
            return true;
    return false;
}

int path_normalize(struct arena *a, enum path_normalization how, struct str target, struct str *out)
{
    ptrdiff_t fragment = str_chr(target, '#'), mark;
    struct str path, query;
    struct out o = { NULL, 0, 0 };
    char *first;

    if (fragment >= 0)
        target.n = (size_t)fragment;
    mark = str_chr(target, '?');
    path = mark < 0 ? target : (struct str){ target.p, (size_t)mark };
    query = str_from(target, path.n);
    *out = target;
    if (how == PATH_NONE)
        return has_nul(path) ? ERR_INVALID : 0;
    if (str_eqz(path, "*") || is_plain(path, how >= PATH_MERGE_SLASHES))
        return 0;
    first = arena_alloc(a, path.n + 1);
    o.p = arena_alloc(a, 3 * path.n + 3 + query.n);
    if (!first || !o.p)
        return ERR_NOMEM;
    memcpy(first, path.p ? path.p : "", path.n);
    if (how == PATH_DECODE_AND_MERGE_SLASHES)
        path.n = decode_slashes(first, path.n);
    path.p = first;
    if (!canonical(&o, path))
        return ERR_INVALID;
    if (how >= PATH_MERGE_SLASHES)
        o.n = merge_slashes(o.p, o.n);
    if (query.n)
        memcpy(o.p + o.n, query.p, query.n);
    *out = (struct str){ o.p, o.n + query.n };
    return 0;
}
