#include "store/event.h"

#define TEXT(c) { STR_INIT(#c), true },
#define NUMBER(c) { STR_INIT(#c), false },
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct event_column access_log_columns[] = { ACCESS_LOG_FIELDS(TEXT, NUMBER) };
static const struct event_column log_columns[] = { EVENT_LOG_COLUMNS(TEXT, NUMBER) };
static const struct event_column span_columns[] = { EVENT_SPAN_COLUMNS(TEXT, NUMBER) };

const struct event_table event_tables[EVENT_KINDS] = {
    [EVENT_ACCESS_LOG] = { STR_INIT("access_log"), access_log_columns, COUNT(access_log_columns) },
    [EVENT_LOG] = { STR_INIT("log"), log_columns, COUNT(log_columns) },
    [EVENT_SPAN] = { STR_INIT("span"), span_columns, COUNT(span_columns) },
};

int event_column_index(enum event_kind kind, struct str name)
{
    const struct event_table *t = &event_tables[kind];

    for (size_t i = 0; i < t->n; i++)
        if (str_eq(t->columns[i].name, name))
            return (int)i;
    return -1;
}
