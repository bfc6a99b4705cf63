/* logql_functions.c: values in templates: as texts, as numbers; and which function a name stands for. */
#include "query/logql_function-internal.h"

#include "base/clock.h"
#include "base/num.h"

#include <inttypes.h>
#include <math.h>

static const struct template_function *find(const struct template_function *v, size_t n, struct str name)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(v[i].name, name))
            return &v[i];
    return NULL;
}

const struct template_function *template_function(struct str name)
{
    const struct template_function *f = find(text_functions, text_functions_n, name);

    return f ? f : find(number_functions, number_functions_n, name);
}

/* As Go prints it: an exponent below 1e-4 and from 1e21 on. */
static struct str float_text(double v, struct arena *a)
{
    char text[NUM_MOST];
    bool plain = v == 0 || (fabs(v) >= 1e-4 && fabs(v) < 1e21);
    size_t n = num_put_double(text, v, plain ? NUM_PLAIN : NUM_GENERAL);

    return arena_str(a, (struct str){ text, n });
}

struct str value_text(const struct value *v, struct arena *a)
{
    char when[CLOCK_TEXT];

    switch (v->type) {
    case VALUE_TEXT:
        return v->s;
    case VALUE_INT:
        return arena_printf(a, "%" PRId64, v->i);
    case VALUE_FLOAT:
        return float_text(v->f, a);
    case VALUE_BOOL:
        return v->i ? STR("true") : STR("false");
    case VALUE_TIME:
        break;
    }
    clock_rfc3339(when, v->i);
    return arena_str(a, str_of(when));
}

bool value_true(const struct value *v)
{
    switch (v->type) {
    case VALUE_TEXT:
        return v->s.n > 0;
    case VALUE_FLOAT:
        return v->f != 0;
    case VALUE_INT:
    case VALUE_BOOL:
    case VALUE_TIME:
        break;
    }
    return v->i != 0;
}

bool value_int(const struct value *v, int64_t *i)
{
    double f;

    if (v->type == VALUE_TEXT && num_i64(v->s, i))
        return true;
    if (v->type == VALUE_FLOAT || v->type == VALUE_TEXT) {
        if ((v->type == VALUE_TEXT && (str_chr(v->s, '.') < 0 || !num_double(v->s, &f))))
            return false;
        f = v->type == VALUE_FLOAT ? v->f : f;
        if (!(fabs(f) < 9.2e18) || (v->type == VALUE_TEXT && f != trunc(f)))
            return false;
        *i = (int64_t)f;
        return true;
    }
    *i = v->i;
    return v->type == VALUE_INT || v->type == VALUE_BOOL;
}

bool value_float(const struct value *v, double *f)
{
    if (v->type == VALUE_TEXT)
        return num_double(v->s, f);
    *f = v->type == VALUE_FLOAT ? v->f : (double)v->i;
    return v->type != VALUE_TIME;
}
