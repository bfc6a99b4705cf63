/* logql_filter.c: label filters: status >= 500 and (pod="x" or duration > 10ms), addr = ip("10.0.0.0/8"). */
#include "query/logql_scan-internal.h"
#include "query/logql_value-internal.h"

#include "base/num.h"

static const struct predicate *parse_or(struct scanner *sc);

static int read_number(struct scanner *sc, struct predicate *p)
{
    if (sc->kind != SCAN_NUMBER)
        return scanner_unexpected(sc, "NUMBER or DURATION or BYTES");
    p->literal = sc->token;
    if (num_double(sc->token, &p->value))
        p->measure = MEASURE_NUMBER;
    else if (logql_duration(sc->token, &p->value))
        p->measure = MEASURE_DURATION;
    else if (logql_bytes(sc->token, &p->value))
        p->measure = MEASURE_BYTES;
    else
        return scanner_fail(sc, sc->from, "syntax error: unexpected \"%.*s\", expecting a number, a duration as in 10ms, "
                         "or bytes as in 1KB", (int)(sc->token.n > 60 ? 60 : sc->token.n), sc->token.p);
    scanner_next(sc);
    return 0;
}

static int number_op(const struct scanner *sc)
{
    static const struct {
        const char *text;
        enum event_op op;
    } ops[] = { { "==", EVENT_EQ }, { "=", EVENT_EQ }, { "!=", EVENT_NE }, { ">", EVENT_GT },
                { ">=", EVENT_GE }, { "<", EVENT_LT }, { "<=", EVENT_LE } };

    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
        if (scanner_symbol(sc, ops[i].text))
            return (int)ops[i].op;
    return -1;
}

static int read_ip(struct scanner *sc, struct predicate *p)
{
    size_t at;
    int rc;

    scanner_next(sc);
    rc = scanner_expect(sc, "(");
    at = sc->from;
    if (rc == 0)
        rc = scanner_string(sc, &p->ip.text);
    if (rc == 0)
        rc = scanner_expect(sc, ")");
    if (rc == 0 && !ip_range_parse(p->ip.text, &p->ip))
        rc = scanner_fail(sc, at, "ip: \"%.*s\" should be an address, a prefix as in 10.0.0.0/8, or a range as in "
                       "10.0.0.1-10.0.0.9", (int)(p->ip.text.n > 60 ? 60 : p->ip.text.n), p->ip.text.p);
    return rc;
}

static int parse_comparison(struct scanner *sc, struct predicate *p)
{
    struct str name = sc->token, value;
    size_t at = sc->from;
    int text, number, rc;

    if (sc->kind != SCAN_WORD)
        return scanner_unexpected(sc, "IDENTIFIER or (");
    rc = scanner_label(sc, name, &p->label);
    if (rc < 0)
        return rc;
    scanner_next(sc);
    text = scanner_match_op(sc);
    number = number_op(sc);
    if (text < 0 && number < 0)
        return scanner_unexpected(sc, "a comparison");
    scanner_next(sc);
    p->op = (enum event_op)number;
    if ((number == EVENT_EQ || number == EVENT_NE) && scanner_word(sc, "ip")) {
        p->kind = PREDICATE_IP;
        return read_ip(sc, p);
    }
    if (text >= 0 && (sc->kind == SCAN_STRING || number < 0)) {
        p->kind = PREDICATE_TEXT;
        rc = scanner_string(sc, &value);
        return rc < 0 ? rc : scanner_matcher(sc, &p->text, at, (enum match_op)text, name, value);
    }
    p->kind = PREDICATE_NUMBER;
    return read_number(sc, p);
}

static bool too_deep(struct scanner *sc)
{
    if (++sc->depth <= LOGQL_MAX_DEPTH)
        return false;
    scanner_fail(sc, sc->from, "label filter nested too deeply, at most %d levels", LOGQL_MAX_DEPTH);
    return true;
}

static const struct predicate *parse_predicate(struct scanner *sc)
{
    const struct predicate *inner;
    struct predicate *p;

    if (scanner_symbol(sc, "(")) {
        scanner_next(sc);
        inner = parse_or(sc);
        return inner && scanner_expect(sc, ")") == 0 ? inner : NULL;
    }
    p = ARENA_NEW(sc->a, struct predicate);
    if (!p)
        scanner_nomem(sc);
    return p && parse_comparison(sc, p) == 0 ? p : NULL;
}

static const struct predicate *join(struct scanner *sc, enum predicate_kind kind, const struct predicate *l,
                                    const struct predicate *r)
{
    struct predicate *p = r ? ARENA_NEW(sc->a, struct predicate) : NULL;

    if (r && !p)
        scanner_nomem(sc);
    if (p)
        *p = (struct predicate){ .kind = kind, .l = l, .r = r };
    return p;
}

static const struct predicate *parse_and(struct scanner *sc)
{
    const struct predicate *p = parse_predicate(sc);

    while (p && (scanner_word(sc, "and") || scanner_symbol(sc, ","))) {
        if (too_deep(sc))
            return NULL;
        scanner_next(sc);
        p = join(sc, PREDICATE_AND, p, parse_predicate(sc));
    }
    return p;
}

static const struct predicate *parse_or(struct scanner *sc)
{
    const struct predicate *p;

    if (too_deep(sc))
        return NULL;
    p = parse_and(sc);
    while (p && scanner_word(sc, "or")) {
        if (too_deep(sc))
            return NULL;
        scanner_next(sc);
        p = join(sc, PREDICATE_OR, p, parse_and(sc));
    }
    return p;
}

const struct predicate *parse_label_filter(struct scanner *sc)
{
    sc->depth = 0;
    return parse_or(sc);
}
