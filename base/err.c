#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *e, int code, const char *fmt, ...)
{
    va_list ap;

    if (!e)
        return code;
    e->code = code;
    va_start(ap, fmt);
    vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
    va_end(ap);
    return code;
}

int err_wrap(struct err *e, const char *fmt, ...)
{
    char old[sizeof(e->msg)];
    va_list ap;
    int n;

    if (!e)
        return ERR_INVALID;
    memcpy(old, e->msg, sizeof(old));
    va_start(ap, fmt);
    n = vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n + 2 < sizeof(e->msg))
        snprintf(e->msg + n, sizeof(e->msg) - (size_t)n, ": %.*s", (int)(sizeof(e->msg) - (size_t)n - 3), old);
    return e->code;
}

const char *err_name(int code)
{
    static const char *const names[] = {
        "OK", "ERR_NOMEM", "ERR_IO", "ERR_CORRUPT", "ERR_PARSE", "ERR_INVALID", "ERR_RANGE", "ERR_LIMIT",
        "ERR_NOTFOUND", "ERR_CONFLICT", "ERR_BUSY", "ERR_TIMEOUT", "ERR_CLOSED", "ERR_UNSUPPORTED", "ERR_FULL",
    };
    size_t i = (size_t)-(long)code;

    return code <= 0 && i < sizeof(names) / sizeof(names[0]) ? names[i] : "ERR_UNKNOWN";
}
