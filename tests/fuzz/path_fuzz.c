/* path_fuzz.c: a normalised path stays as it is when it is normalised again, and has none of what was to go. The first
 * byte says how. */
#include "proxy/path.h"

#include <stdlib.h>

static bool has(struct str s, const char *what)
{
    return str_find(s, str_of(what)) >= 0;
}

static void check(enum path_normalization how, struct str target)
{
    ptrdiff_t mark = str_chr(target, '?');
    struct str path = mark < 0 ? target : (struct str){ target.p, (size_t)mark };

    if (has(target, "#"))
        abort();
    if (how == PATH_NONE || str_eqz(path, "*"))
        return;
    if (path.n == 0 || path.p[0] != '/' || has(path, "\\") || has(path, " ") || has(path, "%2e") || has(path, "%2E"))
        abort();
    if (has(path, "/../") || has(path, "/./") || str_ends(path, STR("/..")) || str_ends(path, STR("/.")))
        abort();
    if (how >= PATH_MERGE_SLASHES && has(path, "//"))
        abort();
    if (how == PATH_DECODE_AND_MERGE_SLASHES &&
        (has(path, "%2f") || has(path, "%2F") || has(path, "%5c") || has(path, "%5C")))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = ARENA_INIT(1 << 22);
    enum path_normalization how;
    struct str in, once, twice;

    if (size < 1 || size > 1 << 16)
        return 0;
    how = (enum path_normalization)(data[0] % 4);
    in = (struct str){ (const char *)data + 1, size - 1 };
    if (path_normalize(&a, how, in, &once) == 0) {
        check(how, once);
        if (path_normalize(&a, how, once, &twice) != 0 || !str_eq(once, twice))
            abort();
    }
    arena_free(&a);
    return 0;
}
