#include "collector/scrape_bound-internal.h"

#include "collector/exposition_number-internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { TEXT = 40, LARGEST_PLAIN_POWER = 5 };

/* The fewest digits that read back as v, as "d.ddde±XX". */
static void shortest(char text[TEXT], double v)
{
    for (int digits = 0; digits < 17; digits++) {
        snprintf(text, TEXT, "%.*e", digits, v);
        if (strtod(text, NULL) == v)
            return;
    }
}

/* Go's %g with the fewest digits, which is plain from 1e-4 to below 1e6, and never without a point or an exponent. */
static void print_bound(char text[TEXT], double v)
{
    const char *e;
    int power, digits;

    if (isnan(v) || isinf(v)) {
        snprintf(text, TEXT, "%s", isnan(v) ? "NaN" : v > 0 ? "+Inf" : "-Inf");
        return;
    }
    shortest(text, v);
    e = strchr(text, 'e');
    power = atoi(e + 1);
    digits = e - text > 2 + (v < 0) ? (int)(e - text) - 1 - (v < 0) : 1;
    if (power < -4 || power > LARGEST_PLAIN_POWER)
        return;
    snprintf(text, TEXT, "%.*f", digits - 1 > power ? digits - 1 - power : 1, v);
}

int bound_normalise(struct label_builder *b, struct str type)
{
    struct str name = str_eqz(type, "histogram") ? STR("le") : STR("quantile"), value, kept;
    char text[TEXT];
    double v;

    if (!str_eqz(type, "histogram") && !str_eqz(type, "summary"))
        return 0;
    value = label_builder_get(b, name);
    if (value.n == 0 || !exposition_number(value, &v))
        return 0;
    print_bound(text, v);
    kept = arena_str(b->arena, str_of(text));
    return kept.p ? label_builder_set(b, name, kept) : ERR_NOMEM;
}
