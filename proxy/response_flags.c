#include "proxy/response_flags.h"

struct str response_flags_text(char out[RESPONSE_FLAGS_TEXT], unsigned flags)
{
    static const struct str names[] = {
#define RESPONSE_FLAG_NAME(f) STR_INIT(#f),
        RESPONSE_FLAGS(RESPONSE_FLAG_NAME)
#undef RESPONSE_FLAG_NAME
    };
    size_t n = 0;

    for (size_t i = 0; flags && i < sizeof(names) / sizeof(names[0]); i++) {
        if (!(flags & 1u << i))
            continue;
        if (n)
            out[n++] = ',';
        memcpy(out + n, names[i].p, names[i].n);
        n += names[i].n;
    }
    return (struct str){ out, n };
}
