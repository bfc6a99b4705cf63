/* cel_fuzz.c: an expression; it is compiled, and evaluated with much known and with nothing. What has a kind keeps it, and
 * the same question has the same answer. */
#include "mesh/cel.h"

#include <stdlib.h>

static struct cel_value attribute(const void *of, enum cel_attribute a)
{
    if (!of)
        return (struct cel_value){ .kind = CEL_NONE };
    if (a == CEL_RESPONSE_CODE || a == CEL_DESTINATION_PORT)
        return (struct cel_value){ .kind = CEL_INT, .i = 503 };
    if (a == CEL_CONNECTION_MTLS)
        return (struct cel_value){ .kind = CEL_BOOL, .i = 1 };
    return (struct cel_value){ .kind = CEL_STRING, .s = STR("/some/path") };
}

static struct str header(const void *of, enum cel_map m, struct str name)
{
    return of && m == CEL_REQUEST_HEADERS && name.n ? name : STR_NULL;
}

static bool same(struct cel_value a, struct cel_value b)
{
    return a.kind == b.kind && a.i == b.i && str_eq(a.s, b.s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = ARENA_INIT(1 << 20);
    struct str text = { (const char *)data, size };
    struct err e = ERR_INIT;
    const struct cel *any = cel_compile(&a, text, CEL_NONE, &e), *condition = cel_compile(&a, text, CEL_BOOL, NULL);
    const struct cel_source known = { attribute, header, data }, unknown = { attribute, header, NULL };

    if (!any && (e.code == 0 || !e.msg[0]))
        abort();
    if (condition && (!any || cel_evaluate(condition, &known, &a).kind > CEL_BOOL))
        abort();
    if (any && (!same(cel_evaluate(any, &known, &a), cel_evaluate(any, &known, &a)) ||
                !same(cel_evaluate(any, &unknown, &a), cel_evaluate(any, &unknown, &a))))
        abort();
    for (size_t i = 0; any && cel_header(any, CEL_REQUEST_HEADERS, i).p; i++)
        if (i > CEL_MOST_NODES)
            abort();
    arena_free(&a);
    return 0;
}
