/* yaml.c: a stream of YAML documents to trees that know their places; libyaml reads, this file bounds and composes.
 *
 * Problem    One syntax error ends libyaml's parser, but an operator wants all errors of a file at once.
 * Idea       A line that begins with "---" is a document's start wherever it stands (YAML 1.2, c-forbidden: no scalar
 *            may hold it), so the text is cut there first and every document is read by a parser of its own.
 * Bounds     Bytes, levels, nodes. An alias shares its anchor's children (trees are never changed), so that it costs
 *            one node; what it stands for is counted all the same, because whoever walks the tree walks it again.
 * JSON       Is read as the flow style of YAML that it is, but for characters beyond U+FFFF, which JSON writes as two
 *            escapes: join_surrogates puts them in place before. */
#include "base/yaml.h"

#include "base/mem.h"
#include "base/num.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

enum { LONGEST_MESSAGE = 1024, LONGEST_KEY = 330 }; /* libyaml reads keys of 1,024 bytes: room for each character of one to be escaped */

struct anchor {
    struct str name;
    struct yaml_node node;
    size_t size;  /* nodes of its tree */
    int height;
    bool open;    /* its end has not been read */
};

struct reader {
    struct arena *arena;
    const struct yaml_errors *errors;
    size_t told;                /* errors so far */
    int lines_before;           /* of the text, before this document */
    yaml_parser_t yaml;
    struct yaml_node *children; /* heap: a stack of nodes whose parent is still open */
    size_t nchildren, children_cap;
    const struct yaml_node **sorted; /* heap: scratch of check_duplicates */
    size_t sorted_cap;
    struct anchor *anchors;     /* heap */
    size_t nanchors, anchors_cap;
    size_t nodes, expanded;
};

/* A node's own measures, for the aliases to come. */
struct extent {
    size_t size;
    int height;
};

__attribute__((format(printf, 4, 5))) static int fail(struct reader *r, int line, int column, const char *fmt, ...)
{
    char text[LONGEST_MESSAGE];
    va_list ap;
    int rc;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    r->told++;
    rc = r->errors->tell(r->errors->arg, line, column, text);
    return rc < 0 ? rc : ERR_PARSE;
}

static int line_of(const struct reader *r, yaml_mark_t m)
{
    return r->lines_before + (int)m.line + 1;
}

static int column_of(yaml_mark_t m)
{
    return (int)m.column + 1;
}

static bool one_of(struct str s, const char *const *words)
{
    for (; *words; words++)
        if (str_eqz(s, *words))
            return true;
    return false;
}

static size_t digits(struct str s, size_t at)
{
    size_t n = 0;

    while (at + n < s.n && s.p[at + n] >= '0' && s.p[at + n] <= '9')
        n++;
    return n;
}

/* [-+]? ( [0-9]+ ( \. [0-9]* )? | \. [0-9]+ ) ( [eE] [-+]? [0-9]+ )? */
static bool is_decimal(struct str s)
{
    size_t at = s.n && (s.p[0] == '-' || s.p[0] == '+');
    size_t whole = digits(s, at), part = 0;

    at += whole;
    if (at < s.n && s.p[at] == '.') {
        part = digits(s, at + 1);
        at += 1 + part;
    }
    if (whole + part == 0)
        return false;
    if (at < s.n && (s.p[at] == 'e' || s.p[at] == 'E')) {
        size_t n;

        at++;
        at += at < s.n && (s.p[at] == '-' || s.p[at] == '+');
        n = digits(s, at);
        if (n == 0)
            return false;
        at += n;
    }
    return at == s.n;
}

/* 0x1f, 0o17 and, as kubectl reads it, 017. */
static bool based_number(struct str s, double *v)
{
    bool prefixed = s.n > 2 && s.p[0] == '0' && (s.p[1] == 'x' || s.p[1] == 'o');
    unsigned base = prefixed && s.p[1] == 'x' ? 16 : 8;

    *v = 0;
    if (!prefixed && !(s.n > 1 && s.p[0] == '0'))
        return false;
    for (size_t i = prefixed ? 2 : 1; i < s.n; i++) {
        char c = s.p[i];
        unsigned d = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                     : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                     : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A' + 10)
                                            : 99;

        if (d >= base)
            return false;
        *v = *v * base + d;
    }
    return true;
}

void yaml_resolve(struct yaml_node *n)
{
    static const char *const nulls[] = { "", "~", "null", "Null", "NULL", NULL };
    static const char *const trues[] = { "true", "True", "TRUE", NULL };
    static const char *const falses[] = { "false", "False", "FALSE", NULL };
    static const char *const infinities[] = { ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", NULL };
    static const char *const minus_infinities[] = { "-.inf", "-.Inf", "-.INF", NULL };
    static const char *const nans[] = { ".nan", ".NaN", ".NAN", NULL };

    n->kind = YAML_NUMBER;
    if (one_of(n->text, nulls)) {
        n->kind = YAML_NULL;
    } else if (one_of(n->text, trues) || one_of(n->text, falses)) {
        n->kind = YAML_BOOL;
        n->boolean = one_of(n->text, trues);
    } else if (one_of(n->text, infinities)) {
        n->number = INFINITY;
    } else if (one_of(n->text, minus_infinities)) {
        n->number = -INFINITY;
    } else if (one_of(n->text, nans)) {
        n->number = NAN;
    } else if (!based_number(n->text, &n->number) && !(is_decimal(n->text) && num_double(n->text, &n->number))) {
        n->kind = YAML_STRING;
        n->number = 0;
    }
}

static int read_scalar(struct reader *r, const yaml_event_t *e, struct yaml_node *n)
{
    static const char *const core[] = { "tag:yaml.org,2002:null", "tag:yaml.org,2002:bool", "tag:yaml.org,2002:int",
                                        "tag:yaml.org,2002:float", NULL };
    const yaml_char_t *tag = e->data.scalar.tag;
    struct str t = str_of((const char *)tag);

    n->text = arena_str(r->arena, (struct str){ (const char *)e->data.scalar.value, e->data.scalar.length });
    if (!n->text.p)
        return ERR_NOMEM;
    n->kind = YAML_STRING;
    if (tag && !one_of(t, core) && !str_eqz(t, "tag:yaml.org,2002:str") && !str_eqz(t, "!"))
        return fail(r, n->line, n->column, "tag \"%.*s\" is not offered: write the value as it is", STR_ARG(t));
    if (tag ? one_of(t, core) : e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
        yaml_resolve(n);
    return 0;
}

static struct anchor *find_anchor(struct reader *r, const yaml_char_t *name)
{
    struct str s = str_of((const char *)name);

    for (size_t i = r->nanchors; i-- > 0;)
        if (str_eq(r->anchors[i].name, s))
            return &r->anchors[i];
    return NULL;
}

/* Opens an anchor; *index is where. An anchor of the same name hides the older one, as YAML has it. */
static int open_anchor(struct reader *r, const yaml_char_t *name, size_t *index)
{
    struct str copy = arena_str(r->arena, str_of((const char *)name));

    if (!copy.p || mem_grow(&r->anchors, &r->anchors_cap, r->nanchors + 1, sizeof(*r->anchors)) < 0)
        return ERR_NOMEM;
    *index = r->nanchors;
    r->anchors[r->nanchors++] = (struct anchor){ .name = copy, .open = true };
    return 0;
}

static int read_alias(struct reader *r, const yaml_event_t *e, int level, struct yaml_node *n, struct extent *x)
{
    const char *name = (const char *)e->data.alias.anchor;
    const struct anchor *to = find_anchor(r, e->data.alias.anchor);
    struct yaml_node place = *n;

    if (!to)
        return fail(r, n->line, n->column, "alias *%.64s: there is no anchor &%.64s before it", name, name);
    if (to->open)
        return fail(r, n->line, n->column, "alias *%.64s stands inside of what it names", name);
    if (level + to->height > YAML_MOST_LEVELS)
        return fail(r, n->line, n->column, "deeper than %d levels", YAML_MOST_LEVELS);
    r->expanded += to->size;
    if (r->expanded > YAML_MOST_EXPANDED)
        return fail(r, n->line, n->column, "aliases stand for more than %d values", YAML_MOST_EXPANDED);
    *n = to->node;
    n->line = place.line;
    n->column = place.column;
    n->key = place.key;
    *x = (struct extent){ to->size, to->height };
    return 0;
}

static int by_key(const void *a, const void *b)
{
    const struct yaml_node *const *x = a, *const *y = b;
    int c = str_cmp((*x)->key, (*y)->key);

    return c ? c : (*x > *y) - (*x < *y);
}

static int check_duplicates(struct reader *r, const struct yaml_node *map)
{
    if (mem_grow(&r->sorted, &r->sorted_cap, map->n, sizeof(const struct yaml_node *)) < 0)
        return ERR_NOMEM;
    for (size_t i = 0; i < map->n; i++)
        r->sorted[i] = &map->items[i];
    if (map->n > 1)
        qsort(r->sorted, map->n, sizeof(const struct yaml_node *), by_key);
    for (size_t i = 1; i < map->n; i++) {
        const struct yaml_node *a = r->sorted[i - 1], *b = r->sorted[i];
        int rc = 0;

        if (str_eq(a->key, b->key))
            rc = fail(r, b->line, b->column, "\"%.*s\" stands twice in one map: lines %d and %d", STR_ARG(b->key),
                      a->line, b->line);
        if (rc == ERR_NOMEM)
            return rc;
    }
    return 0;
}

static int next_event(struct reader *r, yaml_event_t *e)
{
    const yaml_parser_t *y = &r->yaml;

    if (yaml_parser_parse(&r->yaml, e))
        return 0;
    if (y->error == YAML_MEMORY_ERROR)
        return ERR_NOMEM;
    if (y->error == YAML_READER_ERROR)
        return fail(r, r->lines_before + 1 + (int)y->mark.line, 0, "not UTF-8 text: %s at byte %zu of the document",
                    y->problem ? y->problem : "unreadable", y->problem_offset);
    return fail(r, line_of(r, y->problem_mark), column_of(y->problem_mark), "%s%s%s",
                y->context ? y->context : "", y->context ? ": " : "", y->problem ? y->problem : "syntax error");
}

static int read_node(struct reader *r, const yaml_event_t *e, int level, struct yaml_node *n, struct extent *x);

static int push_child(struct reader *r, const struct yaml_node *n)
{
    if (mem_grow(&r->children, &r->children_cap, r->nchildren + 1, sizeof(*r->children)) < 0)
        return ERR_NOMEM;
    r->children[r->nchildren++] = *n;
    return 0;
}

static int read_key(struct reader *r, const yaml_event_t *e, struct str *key)
{
    if (e->type != YAML_SCALAR_EVENT)
        return fail(r, line_of(r, e->start_mark), column_of(e->start_mark), "a map's key must be a plain word");
    for (size_t i = 0; i < e->data.scalar.length; i++)
        if (i == LONGEST_KEY || e->data.scalar.value[i] < 0x20 || e->data.scalar.value[i] == 0x7f)
            return fail(r, line_of(r, e->start_mark), column_of(e->start_mark),
                        "a map's key is at most %d bytes long, without control characters", LONGEST_KEY);
    *key = arena_str(r->arena, (struct str){ (const char *)e->data.scalar.value, e->data.scalar.length });
    return key->p ? 0 : ERR_NOMEM;
}

/* One member or element on the stack; *more is false at the end of the list or map. A member's place is its key's. */
static int read_child(struct reader *r, bool map, int level, struct extent *x, bool *more)
{
    struct yaml_node n = { .kind = YAML_NULL };
    struct extent own = { 1, 1 };
    yaml_event_t e;
    int rc = next_event(r, &e);

    if (rc < 0)
        return rc;
    *more = e.type != YAML_MAPPING_END_EVENT && e.type != YAML_SEQUENCE_END_EVENT;
    if (!*more || (map && (rc = read_key(r, &e, &n.key)) < 0)) {
        yaml_event_delete(&e);
        return rc;
    }
    n.line = line_of(r, e.start_mark);
    n.column = column_of(e.start_mark);
    if (map) {
        yaml_event_delete(&e);
        rc = next_event(r, &e);
        if (rc < 0)
            return rc;
    }
    rc = read_node(r, &e, level, &n, &own);
    yaml_event_delete(&e);
    if (rc == 0)
        rc = push_child(r, &n);
    x->size += own.size;
    if (own.height + 1 > x->height)
        x->height = own.height + 1;
    return rc;
}

static int read_children(struct reader *r, bool map, int level, struct yaml_node *n, struct extent *x)
{
    size_t first = r->nchildren;
    bool more = true;
    int rc = 0;

    while (rc == 0 && more)
        rc = read_child(r, map, level + 1, x, &more);
    if (rc < 0)
        return rc;
    n->kind = map ? YAML_MAP : YAML_LIST;
    n->n = r->nchildren - first;
    n->items = arena_array(r->arena, n->n, sizeof(*n->items));
    if (!n->items)
        return ERR_NOMEM;
    if (n->n)
        memcpy(n->items, r->children + first, n->n * sizeof(*n->items));
    r->nchildren = first;
    return map ? check_duplicates(r, n) : 0;
}

static const yaml_char_t *anchor_of(const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_SCALAR_EVENT:
        return e->data.scalar.anchor;
    case YAML_SEQUENCE_START_EVENT:
        return e->data.sequence_start.anchor;
    case YAML_MAPPING_START_EVENT:
        return e->data.mapping_start.anchor;
    default:
        return NULL;
    }
}

/* Reads the node that begins with `e`. Its place is set unless it is a map's member. */
static int read_node(struct reader *r, const yaml_event_t *e, int level, struct yaml_node *n, struct extent *x)
{
    size_t anchor = 0;
    int rc = 0;

    if (n->line == 0) {
        n->line = line_of(r, e->start_mark);
        n->column = column_of(e->start_mark);
    }
    if (level > YAML_MOST_LEVELS)
        return fail(r, n->line, n->column, "deeper than %d levels", YAML_MOST_LEVELS);
    if (++r->nodes > YAML_MOST_NODES)
        return fail(r, n->line, n->column, "more than %d values", YAML_MOST_NODES);
    if (e->type == YAML_ALIAS_EVENT)
        return read_alias(r, e, level, n, x);
    if (anchor_of(e) && open_anchor(r, anchor_of(e), &anchor) < 0)
        return ERR_NOMEM;
    *x = (struct extent){ 1, 1 };
    rc = e->type == YAML_SCALAR_EVENT ? read_scalar(r, e, n)
                                      : read_children(r, e->type == YAML_MAPPING_START_EVENT, level, n, x);
    if (rc == 0 && anchor_of(e)) {
        r->anchors[anchor].node = *n;
        r->anchors[anchor].size = x->size;
        r->anchors[anchor].height = x->height;
        r->anchors[anchor].open = false;
    }
    return rc;
}

/* Reads all documents of one piece of the text (mostly one). ERR_PARSE: told, and the rest of the piece is lost. */
static int read_events(struct reader *r, struct yaml_documents *out)
{
    for (;;) {
        struct yaml_node root = { .kind = YAML_NULL };
        struct extent x = { 0, 0 };
        size_t told = r->told;
        yaml_event_t e;
        int rc = next_event(r, &e);
        bool end = rc == 0 && e.type == YAML_STREAM_END_EVENT;

        if (rc < 0 || end)
            return rc;
        if (e.type == YAML_DOCUMENT_START_EVENT) {
            r->nanchors = 0;
        } else if (e.type != YAML_STREAM_START_EVENT && e.type != YAML_DOCUMENT_END_EVENT) {
            rc = read_node(r, &e, 1, &root, &x);
            if (rc == 0 && r->told == told) {
                rc = arena_grow(r->arena, &out->v, &out->cap, out->n + 1, sizeof(*out->v));
                if (rc == 0)
                    out->v[out->n++] = root;
            }
        }
        yaml_event_delete(&e);
        if (rc < 0)
            return rc;
    }
}

/* "\ud83d" → 0xd83d, else 0 */
static unsigned escape_at(struct str s, size_t at)
{
    unsigned v = 0;

    if (at + 6 > s.n || s.p[at] != '\\' || s.p[at + 1] != 'u')
        return 0;
    for (size_t i = at + 2; i < at + 6; i++) {
        char c = s.p[i];

        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')))
            return 0;
        v = v * 16 + (unsigned)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
    }
    return v;
}

static size_t put_utf8(char *to, unsigned c)
{
    to[0] = (char)(0xf0 | c >> 18);
    to[1] = (char)(0x80 | (c >> 12 & 63));
    to[2] = (char)(0x80 | (c >> 6 & 63));
    to[3] = (char)(0x80 | (c & 63));
    return 4;
}

static int join_surrogates(struct reader *r, struct str *text)
{
    char *to;
    size_t n = 0;

    if (!memmem(text->p, text->n, "\\ud", 3) && !memmem(text->p, text->n, "\\uD", 3))
        return 0;
    to = arena_alloc(r->arena, text->n);
    if (!to)
        return ERR_NOMEM;
    for (size_t i = 0; i < text->n;) {
        unsigned high = escape_at(*text, i), low = high >> 10 == 0x36 ? escape_at(*text, i + 6) : 0;

        if (low >> 10 == 0x37) {
            n += put_utf8(to + n, 0x10000 + ((high & 0x3ff) << 10) + (low & 0x3ff));
            i += 12;
            continue;
        }
        if (text->p[i] == '\\' && i + 1 < text->n)
            to[n++] = text->p[i++];
        to[n++] = text->p[i++];
    }
    *text = (struct str){ to, n };
    return 0;
}

static bool is_json(struct str text)
{
    for (size_t i = 0; i < text.n; i++)
        if (!strchr(" \t\r\n-", text.p[i]))
            return text.p[i] == '{' || text.p[i] == '[';
    return false;
}

static int read_piece(struct reader *r, struct str text, struct yaml_documents *out)
{
    int rc = is_json(text) ? join_surrogates(r, &text) : 0;

    if (rc < 0)
        return rc;
    if (!yaml_parser_initialize(&r->yaml))
        return ERR_NOMEM;
    yaml_parser_set_encoding(&r->yaml, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r->yaml, (const unsigned char *)text.p, text.n);
    r->nchildren = 0;
    rc = read_events(r, out);
    yaml_parser_delete(&r->yaml);
    return rc;
}

static bool is_marker(struct str line)
{
    return str_starts(line, STR("---")) && (line.n == 3 || strchr(" \t\r", line.p[3]));
}

/* Blank lines, comments and directives belong to the document that comes after them. */
static bool is_content(struct str line)
{
    struct str t = str_trim(line);

    return t.n && t.p[0] != '#' && t.p[0] != '%' && t.p[0] != '\r';
}

/* Cuts the next document off *text: up to a "---" line behind its content. */
static struct str cut_piece(struct str *text, int *lines)
{
    struct str rest = *text, piece = *text;
    bool content = false;

    *lines = 0;
    while (rest.p) {
        const char *at = rest.p;
        struct str line = str_cut(&rest, '\n');

        if (content && is_marker(line)) {
            piece.n = (size_t)(at - piece.p);
            *text = str_from(*text, piece.n);
            return piece;
        }
        content = content || is_content(line);
        ++*lines;
    }
    *text = STR_NULL;
    return piece;
}

int yaml_read(struct arena *a, struct str text, struct yaml_documents *out, const struct yaml_errors *errors)
{
    struct reader r = { .arena = a, .errors = errors };
    int rc = 0, lines;

    if (text.n > YAML_MOST_BYTES) {
        rc = fail(&r, 0, 0, "%zu bytes: more than %d", text.n, YAML_MOST_BYTES);
        return rc == ERR_NOMEM ? rc : 0;
    }
    while (text.p && rc != ERR_NOMEM) {
        struct str piece = cut_piece(&text, &lines);

        rc = read_piece(&r, piece, out);
        r.lines_before += lines;
    }
    mem_free(r.children);
    mem_free(r.sorted);
    mem_free(r.anchors);
    return rc == ERR_NOMEM ? rc : 0;
}

struct first_error {
    const char *file;
    struct err *e;
    bool told;
};

static int keep_first(void *arg, int line, int column, const char *message)
{
    struct first_error *first = arg;

    (void)column;
    if (!first->told)
        err_set(first->e, ERR_PARSE, "%s:%d: %s", first->file, line, message);
    first->told = true;
    return 0;
}

int yaml_read_one(struct arena *a, const char *file, struct str text, const struct yaml_node **root, struct err *e)
{
    struct yaml_documents documents = { NULL, 0, 0 };
    struct first_error first = { file, e, false };

    *root = NULL;
    if (yaml_read(a, text, &documents, &(struct yaml_errors){ keep_first, &first }) < 0)
        return err_set(e, ERR_NOMEM, "%s: no memory", file);
    if (first.told)
        return ERR_PARSE;
    if (documents.n > 1)
        return err_set(e, ERR_PARSE, "%s:%d: should be one document, not %zu", file, documents.v[1].line, documents.n);
    if (documents.n)
        *root = &documents.v[0];
    return 0;
}

const struct yaml_node *yaml_get(const struct yaml_node *map, const char *key)
{
    for (size_t i = 0; map && map->kind == YAML_MAP && i < map->n; i++)
        if (str_eqz(map->items[i].key, key))
            return &map->items[i];
    return NULL;
}

const struct yaml_node *yaml_path(const struct yaml_node *node, const char *path)
{
    struct str rest = str_of(path);

    while (node && rest.p) {
        struct str part = str_cut(&rest, '.');
        const struct yaml_node *next = NULL;

        for (size_t i = 0; node->kind == YAML_MAP && i < node->n && !next; i++)
            if (str_eq(node->items[i].key, part))
                next = &node->items[i];
        node = next;
    }
    return node;
}

struct str yaml_text(const struct yaml_node *node)
{
    return node && node->kind != YAML_LIST && node->kind != YAML_MAP ? node->text : STR_NULL;
}

/* A copy of `map` with a member `key` that may be changed; *to is that member. */
static bool copy_map(struct arena *a, struct yaml_node *map, struct str key, struct yaml_node **to)
{
    struct yaml_node *items;
    size_t at = 0;

    if (map->kind != YAML_MAP && map->kind != YAML_NULL)
        return false;
    while (at < map->n && !str_eq(map->items[at].key, key))
        at++;
    items = arena_array(a, map->n + 1, sizeof(*items));
    if (!items)
        return false;
    if (map->n)
        memcpy(items, map->items, map->n * sizeof(*items));
    if (at == map->n) {
        items[at] = (struct yaml_node){ .kind = YAML_NULL, .line = map->line, .column = map->column, .key = key };
        map->n++;
    }
    map->kind = YAML_MAP;
    map->items = items;
    *to = &items[at];
    return true;
}

struct yaml_node *yaml_with(struct arena *a, const struct yaml_node *root, const char *path, struct str text)
{
    struct yaml_node *copy = arena_alloc(a, sizeof(*copy)), *at = copy;
    struct str rest = arena_str(a, str_of(path));

    if (!copy || !rest.p)
        return NULL;
    *copy = *root;
    while (rest.p)
        if (!copy_map(a, at, str_cut(&rest, '.'), &at))
            return NULL;
    at->kind = YAML_STRING;
    at->text = text;
    at->items = NULL;
    at->n = 0;
    return copy;
}
