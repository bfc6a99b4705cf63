#include "store/event_template-internal.h"

#include "base/mem.h"

/* Fewer rows for each template, on average, and they are texts of their own. */
enum { ROWS_EACH = 16, SPARE_TEMPLATES = 64, WIDEST = 20 /* digits of a uint64_t */ };

/* What one text is made into. */
struct parsed {
    uint64_t numbers[TEMPLATE_HOLES];
    size_t holes;
    char *end; /* of the template */
};

/* The template goes to `to`, which has room for two bytes for each of the text's. Digits make a hole when they come back as
 * they are when their number is printed; others stay in the template. False: it cannot be one. */
static bool parse(struct str text, char *to, struct parsed *out)
{
    const char *p = text.p, *end = p + text.n;

    out->holes = 0;
    while (p < end) {
        const char *start = p;
        uint64_t number = 0; /* of too many digits it is none, and is not used */
        size_t n;

        for (; p < end && *p >= '0' && *p <= '9'; p++)
            number = 10 * number + (uint64_t)(*p - '0');
        n = (size_t)(p - start);
        if (n && n <= TEMPLATE_DIGITS && out->holes < TEMPLATE_HOLES) {
            out->numbers[out->holes++] = number;
            *to++ = TEMPLATE_HOLE;
            *to++ = (char)(n > 1 && *start == '0' ? n : 0);
            continue;
        }
        if (n == 0 && *p++ == TEMPLATE_HOLE)
            return false;
        for (; start < p; start++)
            *to++ = *start;
    }
    out->end = to;
    return true;
}

/* A template that was not known gets bytes of its own. */
static int keep_template(struct event_templates *t, struct event_coder *c, uint32_t code, size_t holes)
{
    struct str *s = &c->values[code].s;
    char *copy = arena_alloc(&t->texts, s->n);

    if (!copy)
        return ERR_NOMEM;
    if (s->n)
        memcpy(copy, s->p, s->n);
    s->p = copy;
    t->holes[code] = (uint8_t)holes;
    t->most_holes = holes > t->most_holes ? holes : t->most_holes;
    return 0;
}

/* 1: added; 0: it does not fit in. */
static int add_text(struct event_templates *t, struct str text, size_t row, struct event_coder *c,
                    struct event_coded *d)
{
    struct parsed parsed;
    struct str template;
    char *to;
    uint32_t code;

    buf_reset(&t->scratch);
    to = buf_reserve(&t->scratch, 2 * text.n + 1);
    if (!to)
        return ERR_NOMEM;
    if (!parse(text, to, &parsed))
        return 0;
    template = (struct str){ to, (size_t)(parsed.end - to) };
    code = row ? c->codes[row - 1] : 0; /* rows of one identity mostly have one */
    if (row == 0 || !str_eq(c->values[code].s, template))
        code = event_dictionary_code(c, d, (union event_value){ .s = template });
    c->codes[row] = (uint16_t)code;
    if (code == t->n) {
        t->n++;
        if (t->n > SPARE_TEMPLATES + row / ROWS_EACH)
            return 0;
        if (keep_template(t, c, code, parsed.holes) < 0)
            return ERR_NOMEM;
    }
    buf_put(&t->numbers, parsed.numbers, parsed.holes * sizeof(parsed.numbers[0]));
    return buf_failed(&t->numbers) ? ERR_NOMEM : 1;
}

int event_templates_make(struct event_templates *t, const union event_value *v, size_t n, struct event_coder *c,
                         struct err *e)
{
    struct event_coded d = { .is_text = true, .n = n };
    int rc = 1;

    *t = (struct event_templates){ .codes = c->codes, .values = c->values, .numbers = BUF_INIT(SIZE_MAX),
                                   .scratch = BUF_INIT(SIZE_MAX), .texts = ARENA_INIT(0), .holes = mem_alloc(n) };
    event_dictionary_begin(c, &d);
    if (!t->holes)
        rc = ERR_NOMEM;
    for (size_t i = 0; rc > 0 && i < n; i++)
        rc = add_text(t, v[i].s, i, c, &d);
    if (rc < 0)
        return err_set(e, rc, "no memory for the templates of %zu texts", n);
    return rc && t->most_holes && t->n <= n / ROWS_EACH;
}

void event_templates_fini(struct event_templates *t)
{
    buf_free(&t->numbers);
    buf_free(&t->scratch);
    arena_free(&t->texts);
    mem_free(t->holes);
}

/* --- reading --- */

uint8_t event_template_digits(size_t width)
{
    static const uint8_t digits[sizeof(uint64_t) + 1] = { 1, 3, 5, 8, 10, 13, 15, 17, WIDEST };

    return digits[width];
}

size_t event_template_holes(struct str template, const uint8_t *digits, size_t holes, size_t *most)
{
    size_t n = 0;

    *most = template.n;
    for (size_t i = 0; i < template.n; i++) {
        uint8_t padded;

        if (template.p[i] != TEMPLATE_HOLE)
            continue;
        if (++i == template.n || n == holes)
            return SIZE_MAX;
        padded = (uint8_t)template.p[i];
        if (padded > TEMPLATE_DIGITS)
            return SIZE_MAX;
        *most += padded > digits[n] ? padded : digits[n];
        n++;
    }
    return n;
}

static char *print_number(uint64_t v, size_t width, char *to)
{
    char digits[WIDEST];
    size_t n = 0;

    do
        digits[n++] = (char)('0' + v % 10);
    while (v /= 10);
    for (; width > n; width--)
        *to++ = '0';
    while (n)
        *to++ = digits[--n];
    return to;
}

char *event_template_print(struct str template, const uint64_t *numbers, char *to)
{
    const char *p = template.p, *end = p + template.n;

    while (p < end) {
        const char *hole = memchr(p, TEMPLATE_HOLE, (size_t)(end - p));
        size_t n = (size_t)((hole ? hole : end) - p);

        memcpy(to, p, n);
        to += n;
        if (!hole)
            break;
        to = print_number(*numbers++, (unsigned char)hole[1], to);
        p = hole + 2;
    }
    return to;
}
