#include "base/log.h"

#include "base/clock.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const words[] = { "debug", "info", "warn", "error" };
static const char *log_program = "vigla";
static atomic_int log_least = LOG_INFO;

void log_init(const char *program, enum log_level level)
{
    log_program = program;
    atomic_store(&log_least, (int)level);
}

void log_set_level(enum log_level level)
{
    atomic_store(&log_least, (int)level);
}

enum log_level log_get_level(void)
{
    return (enum log_level)atomic_load(&log_least);
}

const char *log_level_word(enum log_level level)
{
    return words[level];
}

int log_level_parse(const char *word)
{
    for (int i = 0; i < 4; i++)
        if (strcmp(word, words[i]) == 0)
            return i;
    return -1;
}

void log_at(enum log_level level, const char *fmt, ...)
{
    char line[1024], when[CLOCK_TEXT];
    va_list ap;
    int n, more;

    if ((int)level < atomic_load_explicit(&log_least, memory_order_relaxed))
        return;
    clock_rfc3339(when, clock_now_ns() / 1000000 * 1000000);
    n = snprintf(line, sizeof(line), "%s %-5s %s: ", when, words[level], log_program);
    va_start(ap, fmt);
    more = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
    va_end(ap);
    n += more < 0 ? 0 : more;
    if ((size_t)n > sizeof(line) - 2)
        n = (int)sizeof(line) - 2;
    for (int i = 0; i < n; i++)
        if ((unsigned char)line[i] < 0x20) /* an event is one line, whatever text from outside it quotes */
            line[i] = ' ';
    line[n++] = '\n';
    if (write(STDERR_FILENO, line, (size_t)n) < 0) /* one write: lines of threads do not mix */
        return;                                    /* nobody is left to be told */
}
