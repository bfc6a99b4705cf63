/* jwt_fuzz.c: a request line by line: a set of keys, then the query, then headers "name: value". Whatever they are, a
 * token that no key in the set signed is not let in, what goes upstream can stand in a header, and cached answers are
 * the same. */
#include "proxy/jwt_auth.h"

#include <stdlib.h>

struct lines {
    struct str text;
};

static struct str nth_line(const void *of, struct str name, size_t n)
{
    struct str rest = ((const struct lines *)of)->text;

    while (rest.p) {
        struct str line = str_cut(&rest, '\n'), value = line, key = str_cut(&value, ':');

        if (value.p && str_ieq(key, name) && n-- == 0)
            return str_trim(value);
    }
    return STR_NULL;
}

static void check_ops(const struct jwt_answer *answer)
{
    for (size_t i = 0; i < answer->nops; i++)
        for (size_t k = 0; k < answer->ops[i].value.n; k++)
            if ((unsigned char)answer->ops[i].value.p[k] < ' ' && answer->ops[i].value.p[k] != '\t')
                abort();
}

static struct jwt_answer ask(const struct jwt_auth *auth, struct arena *a, const struct lines *headers,
                             struct str target)
{
    struct header_source source = { nth_line, headers };
    struct jwt_answer answer;

    jwt_authenticate(auth, a, &source, target, 1700000000, &answer);
    check_ops(&answer);
    if (answer.status != JWT_OK && answer.token)
        abort();
    if (answer.token && jwt_verify(answer.token, auth->keys->jwks) != JWT_OK)
        abort();
    return answer;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct jwt_place headers[] = { { STR_INIT("authorization"), STR_INIT("Bearer ") },
                                                { STR_INIT("x-token"), STR_INIT("") } };
    static const struct jwt_place claims[] = { { STR_INIT("x-sub"), STR_INIT("sub") },
                                               { STR_INIT("x-a"), STR_INIT("a.b") } };
    static const struct str params[] = { STR_INIT("t") }, cookies[] = { STR_INIT("c") };
    struct str rest = { (const char *)data, size };
    struct jwt_rule rule = { .jwks = str_cut(&rest, '\n'), .headers = headers, .nheaders = 2, .params = params,
                             .nparams = 1, .cookies = cookies, .ncookies = 1, .payload_header = STR("x-payload"),
                             .claim_headers = claims, .nclaim_headers = 2, .leeway_s = 60 };
    struct str target = rest.p ? str_cut(&rest, '\n') : STR_NULL;
    struct lines lines = { rest };
    struct arena a = ARENA_INIT(1 << 20);
    struct jwt_keys keys;
    struct jwt_auth auth = { &rule, &keys, 1, jwt_cache_new() };
    struct jwt_answer first, second;

    jwt_keys_init(&keys, &rule, NULL);
    first = ask(&auth, &a, &lines, target);
    second = ask(&auth, &a, &lines, target);
    if (first.status != second.status || !str_eq(first.target, second.target))
        abort();
    jwt_put(first.token);
    jwt_put(second.token);
    jwt_keys_fini(&keys);
    jwt_cache_free(auth.cache);
    arena_free(&a);
    return 0;
}
