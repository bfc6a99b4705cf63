/* otlp_name.c: OpenTelemetry's names as Prometheus writes them.
 *
 * Source: opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics. A metric's name is cut into
 * words at every character that is none of [a-zA-Z0-9:]; unit and suffix are words too, added where they are not
 * there yet. */

#include "collector/otlp-internal.h"

struct unit_word {
    struct str unit, word;
};

static const struct unit_word units[] = {
    { STR_INIT("d"), STR_INIT("days") },          { STR_INIT("h"), STR_INIT("hours") },
    { STR_INIT("min"), STR_INIT("minutes") },     { STR_INIT("s"), STR_INIT("seconds") },
    { STR_INIT("ms"), STR_INIT("milliseconds") }, { STR_INIT("us"), STR_INIT("microseconds") },
    { STR_INIT("ns"), STR_INIT("nanoseconds") },  { STR_INIT("By"), STR_INIT("bytes") },
    { STR_INIT("KiBy"), STR_INIT("kibibytes") },  { STR_INIT("MiBy"), STR_INIT("mebibytes") },
    { STR_INIT("GiBy"), STR_INIT("gibibytes") },  { STR_INIT("TiBy"), STR_INIT("tebibytes") },
    { STR_INIT("KBy"), STR_INIT("kilobytes") },   { STR_INIT("kBy"), STR_INIT("kilobytes") },
    { STR_INIT("MBy"), STR_INIT("megabytes") },   { STR_INIT("GBy"), STR_INIT("gigabytes") },
    { STR_INIT("TBy"), STR_INIT("terabytes") },   { STR_INIT("m"), STR_INIT("meters") },
    { STR_INIT("V"), STR_INIT("volts") },         { STR_INIT("A"), STR_INIT("amperes") },
    { STR_INIT("J"), STR_INIT("joules") },        { STR_INIT("W"), STR_INIT("watts") },
    { STR_INIT("g"), STR_INIT("grams") },         { STR_INIT("Cel"), STR_INIT("celsius") },
    { STR_INIT("Hz"), STR_INIT("hertz") },        { STR_INIT("%"), STR_INIT("percent") },
    { STR_INIT("1"), STR_INIT("") },
};

static const struct unit_word per_units[] = {
    { STR_INIT("s"), STR_INIT("second") }, { STR_INIT("min"), STR_INIT("minute") },
    { STR_INIT("m"), STR_INIT("minute") }, { STR_INIT("h"), STR_INIT("hour") },
    { STR_INIT("d"), STR_INIT("day") },    { STR_INIT("w"), STR_INIT("week") },
    { STR_INIT("mo"), STR_INIT("month") }, { STR_INIT("y"), STR_INIT("year") },
};

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static struct str unit_word(const struct unit_word *table, size_t n, struct str unit)
{
    unit = str_trim(unit);
    if (unit.n == 0 || str_chr(unit, '{') >= 0) /* "{request}" is a comment, not a unit */
        return STR_NULL;
    for (size_t i = 0; i < n; i++)
        if (str_eq(table[i].unit, unit))
            return table[i].word;
    return unit;
}

/* The next word of *text, which is left standing behind it; empty at the end. */
static struct str next_word(struct str *text)
{
    size_t from = 0, to;
    struct str word;

    if (text->n == 0)
        return STR_NULL;
    while (from < text->n && !is_word(text->p[from]) && text->p[from] != ':')
        from++;
    to = from;
    while (to < text->n && (is_word(text->p[to]) || text->p[to] == ':'))
        to++;
    word = (struct str){ text->p + from, to - from };
    *text = str_from(*text, to);
    return word;
}

static bool has_word(struct str name, struct str word)
{
    struct str w;

    while ((w = next_word(&name)).n)
        if (str_eq(w, word))
            return true;
    return false;
}

/* Appends the words of `text` but `without`, which comes at the end. */
static void put_words(struct buf *out, struct str text, struct str without)
{
    struct str w;

    while ((w = next_word(&text)).n)
        if (without.n == 0 || !str_eq(w, without)) {
            if (out->n && out->p[out->n - 1] != '_')
                buf_putc(out, '_');
            buf_str(out, w);
        }
}

static void put_unit(struct buf *out, struct str name, struct str unit)
{
    struct str rest = unit, main_word, per_word = STR_NULL;

    main_word = unit_word(units, sizeof(units) / sizeof(units[0]), str_cut(&rest, '/'));
    if (rest.p)
        per_word = unit_word(per_units, sizeof(per_units) / sizeof(per_units[0]), rest);
    if (main_word.n && !has_word(name, main_word))
        put_words(out, main_word, STR_NULL);
    if (per_word.n && !has_word(name, per_word)) {
        if (!has_word(name, STR("per")))
            put_words(out, STR("per"), STR_NULL);
        put_words(out, per_word, STR_NULL);
    }
}

static int keep_name(struct arena *a, struct buf *b, struct str *out, struct err *e)
{
    *out = buf_failed(b) ? STR_NULL : arena_str(a, buf_view(b));
    buf_free(b);
    return out->p ? 0 : err_set(e, ERR_NOMEM, "no memory for a name");
}

int otlp_metric_name(struct arena *a, struct str name, struct str unit, struct otlp_naming how, struct str *out,
                     struct err *e)
{
    struct buf b = BUF_INIT(4 * OTLP_LONGEST_LABEL);
    bool ratio = how.gauge && str_eqz(str_trim(unit), "1");
    struct str suffix = how.monotonic ? STR("total") : ratio ? STR("ratio") : STR_NULL;
    struct str rest = name, first = next_word(&rest);

    if (name.n > OTLP_LONGEST_LABEL || unit.n > OTLP_LONGEST_LABEL)
        return err_set(e, ERR_LIMIT, "a metric's name or unit is longer than %d bytes", OTLP_LONGEST_LABEL);
    if (first.n == 0)
        return err_set(e, ERR_INVALID, "a metric's name has no letter or digit: \"%.*s\"", STR_ARG(name));
    if (first.p[0] >= '0' && first.p[0] <= '9')
        buf_putc(&b, '_');
    put_words(&b, name, suffix);
    put_unit(&b, name, unit);
    put_words(&b, suffix, STR_NULL);
    return keep_name(a, &b, out, e);
}

static bool is_legal_label(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_word(s.p[i]) && s.p[i] != '_')
            return false;
    return s.p[0] != '_' && (s.p[0] < '0' || s.p[0] > '9');
}

int otlp_label_name(struct arena *a, struct str key, struct str *out, struct err *e)
{
    struct buf b = BUF_INIT(OTLP_LONGEST_LABEL + 8);

    *out = key;
    if (key.n == 0)
        return err_set(e, ERR_INVALID, "an attribute without a key");
    if (key.n > OTLP_LONGEST_LABEL)
        return err_set(e, ERR_LIMIT, "an attribute's key is longer than %d bytes", OTLP_LONGEST_LABEL);
    if (is_legal_label(key))
        return 0;
    if (key.p[0] >= '0' && key.p[0] <= '9')
        buf_puts(&b, "key_");
    else if (!is_word(key.p[0]))
        buf_puts(&b, "key");
    for (size_t i = 0; i < key.n; i++) {
        if (is_word(key.p[i]) || key.p[i] == '_')
            buf_putc(&b, key.p[i]);
        else if (((unsigned char)key.p[i] & 0xc0) != 0x80) /* a character of several bytes is one '_' */
            buf_putc(&b, '_');
    }
    return keep_name(a, &b, out, e);
}
