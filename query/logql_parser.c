/* logql_parser.c: {stream selector} and the stages behind it. */
#include "query/logql_pattern-internal.h"
#include "query/logql_scan-internal.h"
#include "query/logql_template-internal.h"
#include "query/logql_value-internal.h"

/* --- the selector ------------------------------------------------------------------------------------------------ */

static int parse_matcher(struct scanner *sc, struct matcher *m)
{
    struct str name = sc->token, value;
    size_t at = sc->from;
    int op;

    if (sc->kind != SCAN_WORD)
        return scanner_unexpected(sc, "IDENTIFIER or }");
    scanner_next(sc);
    op = scanner_match_op(sc);
    if (op < 0)
        return scanner_unexpected(sc, "= or != or =~ or !~");
    scanner_next(sc);
    if (scanner_string(sc, &value) < 0)
        return ERR_PARSE;
    return scanner_matcher(sc, m, at, (enum match_op)op, name, value);
}

int parse_streams(struct scanner *sc, struct log_query *q)
{
    struct matcher *list = NULL;
    size_t cap = 0;
    bool certain = false;
    int rc = scanner_expect(sc, "{");

    while (rc == 0 && !scanner_symbol(sc, "}")) {
        if (arena_grow(sc->a, &list, &cap, q->nmatchers + 1, sizeof(*list)) < 0)
            return scanner_nomem(sc);
        rc = parse_matcher(sc, &list[q->nmatchers]);
        if (rc < 0)
            return rc;
        certain |= !matcher_match(&list[q->nmatchers++], STR_NULL);
        if (!scanner_symbol(sc, ","))
            break;
        scanner_next(sc);
    }
    q->matchers = list;
    if (rc == 0)
        rc = scanner_expect(sc, "}");
    if (rc == 0 && !certain)
        rc = err_set(sc->e, ERR_PARSE,
                     "parse error : queries require at least one regexp or equality matcher that does not have an "
                     "empty-compatible value. For instance, app=~\".*\" does not meet this requirement, but "
                     "app=~\".+\" will");
    return rc;
}

/* --- line filters ------------------------------------------------------------------------------------------------ */

static int read_ip(struct scanner *sc, struct line_alternative *alt)
{
    size_t at;
    int rc;

    scanner_next(sc);
    rc = scanner_expect(sc, "(");
    at = sc->from;
    if (rc == 0)
        rc = scanner_string(sc, &alt->text);
    if (rc == 0)
        rc = scanner_expect(sc, ")");
    alt->is_ip = true;
    if (rc == 0 && !ip_range_parse(alt->text, &alt->ip))
        rc = scanner_fail(sc, at, "ip: should be an address, a prefix as in 10.0.0.0/8, or a range as in "
                       "10.0.0.1-10.0.0.9");
    return rc;
}

/* What must be made of the text before lines can be compared with it. */
static int prepare(struct scanner *sc, const struct line_filter *f, struct line_alternative *alt, size_t at)
{
    struct err why = ERR_INIT;

    if (f->op == LINE_REGEX)
        alt->re = regex_compile(sc->a, alt->text, 0, &why);
    if (f->op == LINE_PATTERN)
        alt->pattern = pattern_parse(sc->a, alt->text, false, &why);
    if (why.code == ERR_NOMEM)
        return scanner_nomem(sc);
    return why.code ? scanner_fail(sc, at, "%s", why.msg) : 0;
}

static int add_alternative(struct scanner *sc, struct line_filter *f, size_t *cap)
{
    struct line_alternative alt = { 0 };
    size_t at = sc->from;
    int rc;

    if (f->op == LINE_CONTAINS && scanner_word(sc, "ip"))
        rc = read_ip(sc, &alt);
    else
        rc = scanner_string(sc, &alt.text);
    if (rc == 0)
        rc = prepare(sc, f, &alt, at);
    if (rc < 0)
        return rc;
    if (arena_grow(sc->a, &f->any, cap, f->n + 1, sizeof(*f->any)) < 0)
        return scanner_nomem(sc);
    f->any[f->n++] = alt;
    return 0;
}

static const struct {
    const char *symbol;
    enum line_op op;
    bool negative;
} line_ops[] = { { "|=", LINE_CONTAINS, false }, { "!=", LINE_CONTAINS, true }, { "|~", LINE_REGEX, false },
                 { "!~", LINE_REGEX, true },     { "|>", LINE_PATTERN, false }, { "!>", LINE_PATTERN, true } };

static bool at_line_filter(const struct scanner *sc, struct line_filter *f)
{
    for (size_t i = 0; i < sizeof(line_ops) / sizeof(line_ops[0]); i++)
        if (scanner_symbol(sc, line_ops[i].symbol)) {
            *f = (struct line_filter){ .op = line_ops[i].op, .negative = line_ops[i].negative };
            return true;
        }
    return false;
}

static int parse_line_filter(struct scanner *sc, struct line_filter *f)
{
    size_t cap = 0;
    int rc;

    scanner_next(sc);
    rc = add_alternative(sc, f, &cap);
    while (rc == 0 && scanner_word(sc, "or")) {
        scanner_next(sc);
        rc = add_alternative(sc, f, &cap);
    }
    return rc;
}

/* --- parsers ----------------------------------------------------------------------------------------------------- */

/* --strict and --keep-empty. */
static int parse_flags(struct scanner *sc, struct extractor *x)
{
    while (sc->kind == SCAN_FLAG) {
        if (str_eqz(sc->token, "--strict"))
            x->strict = true;
        else if (str_eqz(sc->token, "--keep-empty"))
            x->keep_empty = true;
        else
            return scanner_fail(sc, sc->from, "syntax error: unexpected %.*s, expecting --strict or --keep-empty",
                             (int)(sc->token.n > 60 ? 60 : sc->token.n), sc->token.p);
        scanner_next(sc);
    }
    return 0;
}

/* label="path", or label alone, which is its own path. */
static int parse_extraction(struct scanner *sc, bool is_json, struct extraction *x)
{
    size_t at = sc->from;
    int rc = 0;

    if (sc->kind != SCAN_WORD)
        return scanner_unexpected(sc, "IDENTIFIER");
    *x = (struct extraction){ .name = sc->token, .path = sc->token };
    scanner_next(sc);
    if (scanner_symbol(sc, "=")) {
        scanner_next(sc);
        at = sc->from;
        rc = scanner_string(sc, &x->path);
    }
    return rc == 0 && is_json ? parse_json_path(sc, at, x) : rc;
}

static int parse_extractor(struct scanner *sc, bool is_json, struct extractor *x)
{
    size_t cap = 0;
    int rc = is_json ? 0 : parse_flags(sc, x);

    if (rc < 0 || sc->kind != SCAN_WORD)
        return rc;
    for (;;) {
        if (arena_grow(sc->a, &x->v, &cap, x->n + 1, sizeof(*x->v)) < 0)
            return scanner_nomem(sc);
        rc = parse_extraction(sc, is_json, &x->v[x->n]);
        if (rc < 0)
            return rc;
        x->n++;
        if (!scanner_symbol(sc, ","))
            return 0;
        scanner_next(sc);
    }
}

static int parse_pattern(struct scanner *sc, struct stage *st)
{
    struct err why = ERR_INIT;
    size_t at = sc->from;
    struct str text;
    int rc = scanner_string(sc, &text);

    if (rc < 0)
        return rc;
    st->pattern = pattern_parse(sc->a, text, true, &why);
    if (st->pattern)
        return 0;
    return why.code == ERR_NOMEM ? scanner_nomem(sc) : scanner_fail(sc, at, "%s", why.msg);
}

enum { MOST_GROUPS = 64 };

static int name_groups(struct scanner *sc, size_t at, struct capture_names *c)
{
    size_t named = 0;

    c->n = regex_groups(c->re) + 1;
    if (c->n > MOST_GROUPS)
        return scanner_fail(sc, at, "regexp: more than %d groups", MOST_GROUPS - 1);
    c->names = arena_array(sc->a, c->n, sizeof(*c->names));
    if (!c->names)
        return scanner_nomem(sc);
    for (size_t i = 1; i < c->n; i++) {
        c->names[i] = regex_group_name(c->re, (unsigned)i);
        named += c->names[i].n > 0;
    }
    return named ? 0 : scanner_fail(sc, at, "at least one named capture must be supplied, as in (?P<status>\\d+)");
}

static int parse_regexp(struct scanner *sc, struct stage *st)
{
    struct err why = ERR_INIT;
    size_t at = sc->from;
    int rc = scanner_string(sc, &st->regexp.text);

    if (rc < 0)
        return rc;
    st->regexp.re = regex_compile(sc->a, st->regexp.text, 0, &why);
    if (!st->regexp.re)
        return why.code == ERR_NOMEM ? scanner_nomem(sc) : scanner_fail(sc, at, "%s", why.msg);
    return name_groups(sc, at, &st->regexp);
}

/* --- formats, drop and keep -------------------------------------------------------------------------------------- */

static int parse_template(struct scanner *sc, const struct template **out)
{
    size_t at = sc->from;
    struct str text;
    int rc = scanner_string(sc, &text);

    if (rc < 0)
        return rc;
    *out = template_parse(sc, at, text);
    return *out ? 0 : ERR_PARSE;
}

/* name=other or name="template" */
static int parse_label_format(struct scanner *sc, struct label_format *f)
{
    int rc;

    if (sc->kind != SCAN_WORD)
        return scanner_unexpected(sc, "IDENTIFIER");
    *f = (struct label_format){ .name = sc->token };
    scanner_next(sc);
    rc = scanner_expect(sc, "=");
    if (rc < 0 || sc->kind == SCAN_STRING)
        return rc < 0 ? rc : parse_template(sc, &f->text);
    if (sc->kind != SCAN_WORD)
        return scanner_unexpected(sc, "IDENTIFIER or STRING");
    rc = scanner_label(sc, sc->token, &f->from);
    scanner_next(sc);
    return rc;
}

static int parse_label_formats(struct scanner *sc, struct stage *st)
{
    size_t cap = 0, n = 0;

    for (;;) {
        size_t at = sc->from;
        int rc;

        if (arena_grow(sc->a, &st->label_format.v, &cap, n + 1, sizeof(*st->label_format.v)) < 0)
            return scanner_nomem(sc);
        rc = parse_label_format(sc, &st->label_format.v[n]);
        if (rc < 0)
            return rc;
        for (size_t i = 0; i < n; i++)
            if (str_eq(st->label_format.v[i].name, st->label_format.v[n].name))
                return scanner_fail(sc, at, "multiple label name '%.*s' not allowed in a single format operation",
                                 STR_ARG(st->label_format.v[n].name));
        st->label_format.n = ++n;
        if (!scanner_symbol(sc, ","))
            return 0;
        scanner_next(sc);
    }
}

static int parse_choice(struct scanner *sc, struct label_choice *c)
{
    size_t at = sc->from;
    struct str value;
    int op, rc;

    if (sc->kind != SCAN_WORD)
        return scanner_unexpected(sc, "IDENTIFIER");
    *c = (struct label_choice){ .name = sc->token };
    scanner_next(sc);
    op = scanner_match_op(sc);
    if (op < 0)
        return 0;
    scanner_next(sc);
    c->matches = true;
    rc = scanner_string(sc, &value);
    return rc < 0 ? rc : scanner_matcher(sc, &c->text, at, (enum match_op)op, c->name, value);
}

static int parse_choices(struct scanner *sc, struct stage *st)
{
    size_t cap = 0;

    for (;;) {
        int rc;

        if (arena_grow(sc->a, &st->labels.v, &cap, st->labels.n + 1, sizeof(*st->labels.v)) < 0)
            return scanner_nomem(sc);
        rc = parse_choice(sc, &st->labels.v[st->labels.n]);
        if (rc < 0)
            return rc;
        st->labels.n++;
        if (!scanner_symbol(sc, ","))
            return 0;
        scanner_next(sc);
    }
}

/* --- stages ------------------------------------------------------------------------------------------------------ */

static const struct {
    const char *word;
    enum stage_kind kind;
} stage_words[] = {
    { "json", STAGE_JSON },           { "logfmt", STAGE_LOGFMT },           { "pattern", STAGE_PATTERN },
    { "regexp", STAGE_REGEXP },       { "unpack", STAGE_UNPACK },           { "decolorize", STAGE_DECOLORIZE },
    { "line_format", STAGE_LINE_FORMAT }, { "label_format", STAGE_LABEL_FORMAT }, { "drop", STAGE_DROP },
    { "keep", STAGE_KEEP },
};

/* What stands behind the word of a stage. */
static int parse_rest(struct scanner *sc, struct stage *st)
{
    switch (st->kind) {
    case STAGE_JSON:
    case STAGE_LOGFMT:
        return parse_extractor(sc, st->kind == STAGE_JSON, &st->extract);
    case STAGE_PATTERN:
        return parse_pattern(sc, st);
    case STAGE_REGEXP:
        return parse_regexp(sc, st);
    case STAGE_LINE_FORMAT:
        return parse_template(sc, &st->line_format);
    case STAGE_LABEL_FORMAT:
        return parse_label_formats(sc, st);
    case STAGE_DROP:
    case STAGE_KEEP:
        return parse_choices(sc, st);
    case STAGE_UNPACK:
    case STAGE_DECOLORIZE:
    case STAGE_LINE:
    case STAGE_LABEL:
        break;
    }
    return 0;
}

static int parse_stage(struct scanner *sc, struct stage *st)
{
    struct line_filter line;

    *st = (struct stage){ .kind = STAGE_LABEL };
    if (at_line_filter(sc, &line)) {
        st->kind = STAGE_LINE;
        st->line = line;
        return parse_line_filter(sc, &st->line);
    }
    scanner_next(sc); /* the bar */
    for (size_t i = 0; i < sizeof(stage_words) / sizeof(stage_words[0]); i++)
        if (scanner_word(sc, stage_words[i].word)) {
            st->kind = stage_words[i].kind;
            scanner_next(sc);
            return parse_rest(sc, st);
        }
    st->label = parse_label_filter(sc);
    return st->label ? 0 : ERR_PARSE;
}

bool at_unwrap(const struct scanner *sc)
{
    struct scanner ahead = *sc;

    if (!scanner_symbol(sc, "|"))
        return false;
    scanner_next(&ahead);
    return scanner_word(&ahead, "unwrap");
}

int parse_stages(struct scanner *sc, struct stage **stages, size_t *n, size_t *cap)
{
    struct line_filter line;

    while ((scanner_symbol(sc, "|") && !at_unwrap(sc)) || at_line_filter(sc, &line)) {
        int rc;

        if (*n == LOGQL_MAX_STAGES)
            return scanner_fail(sc, sc->from, "more than %d stages in one query", LOGQL_MAX_STAGES);
        if (arena_grow(sc->a, stages, cap, *n + 1, sizeof(**stages)) < 0)
            return scanner_nomem(sc);
        rc = parse_stage(sc, &(*stages)[*n]);
        if (rc < 0)
            return rc;
        ++*n;
    }
    return 0;
}

/* --- queries ----------------------------------------------------------------------------------------------------- */

/* Parentheses may stand around a query of lines. Returns how many, and stops at what is in them. */
static size_t skip_parentheses(struct scanner *sc)
{
    size_t n = 0;

    for (scanner_start(sc, 0); scanner_symbol(sc, "("); n++)
        scanner_next(sc);
    return n;
}

static int parse_lines(struct scanner *sc, size_t parentheses, struct logql_expr *x)
{
    struct log_query *q = ARENA_NEW(sc->a, struct log_query);
    struct stage *stages = NULL;
    size_t cap = 0;
    int rc = q ? parse_streams(sc, q) : scanner_nomem(sc);

    if (rc == 0)
        rc = parse_stages(sc, &stages, &q->nstages, &cap);
    while (rc == 0 && parentheses--)
        rc = scanner_expect(sc, ")");
    if (rc == 0 && sc->kind != SCAN_END)
        rc = scanner_unexpected(sc, NULL);
    if (rc < 0)
        return rc;
    q->stages = stages;
    q->names = sc->names;
    q->nnames = sc->nnames;
    x->lines = q;
    return 0;
}

struct logql_expr *logql_parse(struct arena *a, struct str text, struct err *e)
{
    struct err mine = ERR_INIT;
    struct scanner sc = { .a = a, .e = e ? e : &mine };
    struct logql_expr *x = ARENA_NEW(a, struct logql_expr);
    size_t parentheses;
    int rc;

    if (text.n > LOGQL_MAX_TEXT) {
        err_set(sc.e, ERR_PARSE, "parse error at line 1, col 1: query of %zu bytes is too long, at most %d", text.n,
                LOGQL_MAX_TEXT);
        return NULL;
    }
    sc.text = arena_str(a, text);
    if (!x || !sc.text.p) {
        scanner_nomem(&sc);
        return NULL;
    }
    x->metric.text = sc.text;
    parentheses = skip_parentheses(&sc);
    if (sc.kind == SCAN_END && parentheses == 0)
        rc = scanner_unexpected(&sc, "a selector of streams, as in {app=\"web\"}");
    else if (scanner_symbol(&sc, "{"))
        rc = parse_lines(&sc, parentheses, x);
    else
        rc = parse_metric(a, x, sc.e);
    return rc < 0 ? NULL : x;
}

bool logql_is_metric(const struct logql_expr *x)
{
    return !x->lines;
}
