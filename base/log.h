/* log.h: one line on stderr per event: time, level, program, text. Thread-safe. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* Lines below `level` are dropped. `program` must outlive the process. Call once from main, before threads start. */
void log_init(const char *program, enum log_level level);
/* "debug", "info", "warn", "error"; -1 for any other word. */
int log_level_parse(const char *word);
void log_set_level(enum log_level level);
enum log_level log_get_level(void);
/* The word that log_level_parse reads. */
const char *log_level_word(enum log_level level);

void log_at(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_at(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)

#endif
