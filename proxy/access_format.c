/* access_format.c: formats compiled to segments, and lines printed from them.
 *
 * Problem    A line is printed for each request; a format is read once.
 * Idea       A format becomes a list of segments: bytes that stand as they are (all of JSON's punctuation is in them)
 *            and operators with their arguments taken apart. Printing is one walk over the list.
 * Kinds      text:  LITERAL and ESCAPED.
 *            JSON:  LITERAL; TYPED, a string that is one operator; MIXED, a string of n segments (LITERAL and PLAIN),
 *                   which follow it, and are escaped together. */
#include "proxy/access_format-internal.h"

#include "base/access_log.h"
#include "base/num.h"
#include "base/yaml.h"
#include "proxy/texts.h"

#include <math.h>
#include <stdlib.h>

enum segment_kind { LITERAL, ESCAPED, PLAIN, TYPED, MIXED };

struct segment {
    enum segment_kind kind;
    struct str literal;
    struct access_use use;
    size_t n;              /* MIXED */
};

struct access_format {
    struct segment *v;
    size_t n, cap;
    struct str names[MESSAGES][LOG_HEADERS_MOST];
    struct log_headers headers;
};

/* --- compiling --- */

struct compiler {
    struct arena *a;
    struct access_format *f;
    struct buf literal;    /* bytes that belong to no segment yet */
    struct err *e;
};

static const struct log_headers no_headers;

static int no_memory(struct compiler *c)
{
    return err_set(c->e, ERR_NOMEM, "access log format: no memory");
}

static struct segment *append(struct compiler *c, enum segment_kind kind)
{
    struct access_format *f = c->f;

    if (arena_grow(c->a, &f->v, &f->cap, f->n + 1, sizeof(*f->v)) < 0)
        return NULL;
    f->v[f->n] = (struct segment){ .kind = kind };
    return &f->v[f->n++];
}

static int flush_literal(struct compiler *c)
{
    struct segment *s;

    if (buf_failed(&c->literal))
        return no_memory(c);
    if (c->literal.n == 0)
        return 0;
    s = append(c, LITERAL);
    if (s)
        s->literal = arena_str(c->a, buf_view(&c->literal));
    buf_reset(&c->literal);
    return s && s->literal.p ? 0 : no_memory(c);
}

static struct header_names *names_of(struct access_format *f, enum access_message m)
{
    if (m == MESSAGE_REQUEST)
        return &f->headers.request;
    return m == MESSAGE_RESPONSE ? &f->headers.response : &f->headers.trailers;
}

/* The place of a name among those of its message. */
static int ask_for(struct compiler *c, enum access_message m, struct str name, int *slot)
{
    struct access_format *f = c->f;
    struct header_names *names = names_of(f, m);
    size_t all = f->headers.request.n + f->headers.response.n + f->headers.trailers.n;

    names->v = f->names[m];
    for (size_t i = 0; i < names->n; i++)
        if (str_ieq(names->v[i], name)) {
            *slot = (int)i;
            return 0;
        }
    if (all == LOG_HEADERS_MOST)
        return err_set(c->e, ERR_LIMIT, "\"%.*s\": more than %d header fields", STR_ARG(name), LOG_HEADERS_MOST);
    f->names[m][names->n] = arena_str(c->a, name);
    if (!f->names[m][names->n].p)
        return no_memory(c);
    *slot = (int)names->n++;
    return 0;
}

static bool is_header_name(struct str s)
{
    static const char others[] = "!#$%&'*+-.^_`|~";

    if (s.n && s.p[0] == ':')
        s = str_from(s, 1);
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (!((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (c && strchr(others, c))))
            return false;
    }
    return s.n > 0;
}

/* X or X?Y */
static int use_headers(struct compiler *c, struct access_use *u)
{
    struct str rest = u->argument, name = str_cut(&rest, '?');
    const struct str names[] = { name, rest };

    for (int i = 0; i < 2; i++) {
        int rc = 0;

        if (i == 1 && !rest.p)
            return 0;
        if (!is_header_name(names[i]))
            return err_set(c->e, ERR_INVALID, "\"%.*s\": should be a header field's name, or two with a \"?\" between",
                           STR_ARG(u->argument));
        u->known[i] = access_known_header(u->op->message, names[i], i == 0 ? rest : STR_NULL);
        if (!u->known[i])
            rc = ask_for(c, u->op->message, names[i], &u->slot[i]);
        if (rc < 0)
            return rc;
        if (i == 0 && u->known[0] && str_ieq(name, STR("x-envoy-original-path")))
            return 0; /* the log's own field is either */
    }
    return 0;
}

static int use_argument(struct compiler *c, struct access_use *u)
{
    const struct access_operator *op = u->op;
    struct str argument = u->argument;
    const char *variable;

    switch (op->argument) {
    case ARGUMENT_NONE:
        return argument.p ? err_set(c->e, ERR_INVALID, "it takes nothing in parentheses") : 0;
    case ARGUMENT_OPTIONAL:
    case ARGUMENT_NEEDED:
        if (argument.n && op->check(argument)) { /* the format's text, or a JSON tree, does not stay */
            u->argument = arena_str(c->a, argument);
            return u->argument.p ? 0 : no_memory(c);
        }
        return argument.n == 0 && op->argument == ARGUMENT_OPTIONAL ?
                   0 :
                   err_set(c->e, ERR_INVALID, "\"%.*s\": should be %s", STR_ARG(argument), op->right);
    case ARGUMENT_IGNORED:
        return argument.n ? 0 : err_set(c->e, ERR_INVALID, "it lacks its argument in parentheses");
    case ARGUMENT_HEADERS:
        return use_headers(c, u);
    case ARGUMENT_VARIABLE:
        if (argument.n == 0)
            return err_set(c->e, ERR_INVALID, "it lacks the name of a variable in parentheses");
        variable = arena_cstr(c->a, argument);
        if (!variable)
            return no_memory(c);
        variable = getenv(variable);
        u->argument = variable ? arena_str(c->a, str_of(variable)) : STR_NULL;
        return variable && !u->argument.p ? no_memory(c) : 0;
    }
    return 0;
}

/* What stands between two percent signs, taken apart; an argument may contain them, too. */
struct command {
    struct str name, argument; /* argument.p NULL: none */
    size_t most, bytes;        /* bytes: all of it, with its percent signs; 0: it has no end */
};

static size_t name_end(struct str s)
{
    size_t n = 0;

    while (n < s.n && ((s.p[n] >= 'A' && s.p[n] <= 'Z') || (s.p[n] >= '0' && s.p[n] <= '9') || s.p[n] == '_'))
        n++;
    return n;
}

/* ":20%" or "%" at `at`. The bytes behind it; 0: it is neither. */
static size_t read_end(struct str s, size_t at, size_t *most)
{
    size_t from = at + 1;
    uint64_t n;

    *most = 0;
    if (at < s.n && s.p[at] == '%')
        return at + 1;
    if (at >= s.n || s.p[at] != ':')
        return 0;
    for (at = from; at < s.n && s.p[at] >= '0' && s.p[at] <= '9';)
        at++;
    if (at == from || at >= s.n || s.p[at] != '%' || !num_u64((struct str){ s.p + from, at - from }, &n) || n == 0)
        return 0;
    *most = n > ACCESS_FORMAT_MOST ? ACCESS_FORMAT_MOST : (size_t)n;
    return at + 1;
}

static struct command read_command(struct str s)
{
    size_t at = 1 + name_end(str_from(s, 1)), from = at + 1;
    struct command c = { .name = { s.p + 1, at - 1 }, .argument = STR_NULL };

    if (at >= s.n || s.p[at] != '(') {
        c.bytes = read_end(s, at, &c.most);
        return c;
    }
    for (at = from; at < s.n; at++)
        if (s.p[at] == ')' && (c.bytes = read_end(s, at + 1, &c.most)) > 0) {
            c.argument = (struct str){ s.p + from, at - from };
            return c;
        }
    return c;
}

static int wrong(struct compiler *c, struct str all, size_t at, struct command found)
{
    struct str shown = str_from(all, at);

    if (found.bytes && found.bytes < shown.n)
        shown.n = found.bytes;
    if (shown.n > 60)
        shown.n = 60;
    return err_wrap(c->e, "byte %zu, %.*s", at + 1, STR_ARG(shown));
}

static int put_operator(struct compiler *c, struct command cmd, enum segment_kind kind)
{
    struct access_use u = { .op = access_operator(cmd.name), .argument = cmd.argument, .most = cmd.most,
                            .slot = { -1, -1 } };
    struct segment *s;
    int rc;

    if (cmd.bytes == 0)
        return err_set(c->e, ERR_INVALID,
                       "should be %%OPERATOR%%, %%OPERATOR(ARGUMENT)%%, either with a length, or %%%%");
    if (!u.op)
        return err_set(c->e, ERR_INVALID, "there is no such operator (docs/access-log.md lists them)");
    rc = use_argument(c, &u);
    if (u.op->tls == SIDE_UPSTREAM)
        c->f->headers.upstream_tls |= 1u << u.op->field;
    else if (u.op->tls == SIDE_DOWNSTREAM)
        c->f->headers.downstream_tls |= 1u << u.op->field;
    if (rc == 0)
        rc = flush_literal(c);
    if (rc < 0)
        return rc;
    s = append(c, kind);
    if (!s)
        return no_memory(c);
    s->use = u;
    return 0;
}

/* Text with operators among it. The last literal stays in c->literal. */
static int put_text(struct compiler *c, struct str text, enum segment_kind kind)
{
    for (size_t at = 0; at < text.n;) {
        struct str rest = str_from(text, at);
        struct command cmd;

        if (text.p[at] != '%') {
            buf_putc(&c->literal, text.p[at++]);
            continue;
        }
        if (str_starts(rest, STR("%%"))) {
            buf_putc(&c->literal, '%');
            at += 2;
            continue;
        }
        cmd = read_command(rest);
        if (put_operator(c, cmd, kind) < 0)
            return wrong(c, text, at, cmd);
        at += cmd.bytes;
    }
    return 0;
}

static int put_string(struct compiler *c, struct str text)
{
    struct command first = { .bytes = 0 };
    size_t at = c->f->n;

    if (str_chr(text, '%') < 0) {
        buf_json(&c->literal, text);
        return 0;
    }
    if (text.p[0] == '%' && !str_starts(text, STR("%%")))
        first = read_command(text);
    if (first.bytes == text.n)
        return put_operator(c, first, TYPED) < 0 ? wrong(c, text, 0, first) : 0;
    if (flush_literal(c) < 0 || !append(c, MIXED))
        return no_memory(c);
    at = c->f->n;
    if (put_text(c, text, PLAIN) < 0 || flush_literal(c) < 0)
        return c->e ? c->e->code : ERR_INVALID;
    c->f->v[at - 1].n = c->f->n - at;
    return 0;
}

static int put_node(struct compiler *c, const struct yaml_node *node);

static int put_items(struct compiler *c, const struct yaml_node *node)
{
    bool is_map = node->kind == YAML_MAP;
    int rc = 0;

    buf_putc(&c->literal, is_map ? '{' : '[');
    for (size_t i = 0; rc == 0 && i < node->n; i++) {
        if (i)
            buf_putc(&c->literal, ',');
        if (is_map) {
            buf_json(&c->literal, node->items[i].key);
            buf_putc(&c->literal, ':');
        }
        rc = put_node(c, &node->items[i]);
        if (rc < 0 && is_map)
            return err_wrap(c->e, "\"%.*s\"", STR_ARG(node->items[i].key));
    }
    buf_putc(&c->literal, is_map ? '}' : ']');
    return rc;
}

/* As deep as yaml.h lets trees be. */
static int put_node(struct compiler *c, const struct yaml_node *node)
{
    switch (node->kind) {
    case YAML_MAP:
    case YAML_LIST:
        return put_items(c, node);
    case YAML_STRING:
        return put_string(c, node->text);
    case YAML_NUMBER:
        if (!isfinite(node->number))
            return err_set(c->e, ERR_INVALID, "%.*s: JSON has no such number", STR_ARG(node->text));
        buf_double(&c->literal, node->number);
        return 0;
    case YAML_BOOL:
        buf_puts(&c->literal, node->boolean ? "true" : "false");
        return 0;
    case YAML_NULL:
        buf_puts(&c->literal, "null");
        return 0;
    }
    return 0;
}

static int put_json(struct compiler *c, struct str text)
{
    struct arena tree = ARENA_INIT(0); /* bounded by the text's size */
    const struct yaml_node *root = NULL;
    int rc = yaml_read_one(&tree, "JSON", text, &root, c->e);

    if (rc == 0 && (!root || root->kind != YAML_MAP))
        rc = err_set(c->e, ERR_PARSE, "should be one JSON object");
    if (rc == 0)
        rc = put_node(c, root);
    arena_free(&tree);
    return rc;
}

static int compile(struct compiler *c, struct str text)
{
    int rc;

    if (text.n > ACCESS_FORMAT_MOST)
        return err_set(c->e, ERR_LIMIT, "more than %d bytes", ACCESS_FORMAT_MOST);
    if (str_trim(text).n == 0)
        return err_set(c->e, ERR_INVALID, "it is empty");
    rc = str_starts(str_trim(text), STR("{")) ? put_json(c, text) : put_text(c, text, ESCAPED);
    if (rc < 0)
        return rc;
    if (c->literal.n == 0 || c->literal.p[c->literal.n - 1] != '\n')
        buf_putc(&c->literal, '\n');
    return flush_literal(c);
}

/* A slot counts from its message's first; a record has the values of all messages in one list. */
static void number_slots(struct access_format *f)
{
    const int before[MESSAGES] = { 0, (int)f->headers.request.n, (int)(f->headers.request.n + f->headers.response.n) };

    for (size_t i = 0; i < f->n; i++)
        for (int k = 0; k < 2; k++)
            if (f->v[i].use.op && f->v[i].use.slot[k] >= 0)
                f->v[i].use.slot[k] += before[f->v[i].use.op->message];
}

const struct access_format *access_format_compile(struct arena *a, struct str text, struct err *e)
{
    struct err own = ERR_INIT;
    struct compiler c = { a, ARENA_NEW(a, struct access_format), BUF_INIT(8 * ACCESS_FORMAT_MOST), e ? e : &own };
    int rc = c.f ? compile(&c, text) : no_memory(&c);

    buf_free(&c.literal);
    if (rc < 0) {
        err_wrap(c.e, "access log format");
        return NULL;
    }
    number_slots(c.f);
    return c.f;
}

const struct log_headers *access_format_headers(const struct access_format *f)
{
    return f ? &f->headers : &no_headers;
}

/* --- printing --- */

static struct access_value value_of(const struct access_use *u, struct access_rendering *r)
{
    struct access_value v = u->op->value(u, r);

    if (u->most && v.text.n > u->most)
        v.text.n = u->most;
    return v;
}

static void put_plain(struct buf *b, struct access_value v)
{
    if (v.is_number)
        buf_i64(b, v.number);
    else if (v.text.n)
        buf_str(b, v.text);
    else
        buf_putc(b, '-');
}

static void put_escaped(struct buf *b, struct access_value v)
{
    if (v.is_number)
        buf_i64(b, v.number);
    else
        access_log_escaped(b, v.text);
}

static void put_typed(struct buf *b, struct access_value v)
{
    if (v.is_number)
        buf_i64(b, v.number);
    else if (v.text.n)
        buf_json(b, v.text);
    else
        buf_puts(b, "null");
}

static void put_mixed(struct buf *b, const struct segment *s, size_t n, struct access_rendering *r)
{
    struct buf whole = BUF_INIT(b->max);

    for (size_t i = 0; i < n; i++) {
        if (s[i].kind == LITERAL)
            buf_str(&whole, s[i].literal);
        else
            put_plain(&whole, value_of(&s[i].use, r));
    }
    buf_json(b, buf_view(&whole));
    b->failed |= whole.failed;
    buf_free(&whole);
}

static void read_headers(const struct access_format *f, struct access_rendering *r)
{
    size_t n = f->headers.request.n + f->headers.response.n + f->headers.trailers.n;
    struct str rest = r->rec->headers;

    for (size_t i = 0; i < n; i++)
        r->headers[i] = texts_next(&rest);
}

static void read_tls(const struct access_format *f, struct access_rendering *r)
{
    const uint32_t wanted[] = { [SIDE_DOWNSTREAM] = f->headers.downstream_tls,
                                [SIDE_UPSTREAM] = f->headers.upstream_tls };
    struct str rest = r->rec->tls;

    for (size_t side = 0; side < 2; side++)
        for (size_t i = 0; i < TLS_TOLDS; i++)
            if (wanted[side] & 1u << i)
                r->tls[side][i] = texts_next(&rest);
}

void access_format_render(const struct access_format *f, struct buf *b, const struct record *rec,
                          const struct access_format_context *with)
{
    struct access_rendering r;

    r.rec = rec;
    r.with = with;
    read_headers(f, &r);
    read_tls(f, &r);
    for (size_t i = 0; i < f->n; i++) {
        const struct segment *s = &f->v[i];

        switch (s->kind) {
        case LITERAL:
            buf_str(b, s->literal);
            break;
        case ESCAPED:
            put_escaped(b, value_of(&s->use, &r));
            break;
        case PLAIN:
            put_plain(b, value_of(&s->use, &r));
            break;
        case TYPED:
            put_typed(b, value_of(&s->use, &r));
            break;
        case MIXED:
            put_mixed(b, s + 1, s->n, &r);
            i += s->n;
            break;
        }
    }
}
