/* source-internal.h: the YAML that -f names: files, folders, standard input. */
#ifndef CMD_SOURCE_INTERNAL_H
#define CMD_SOURCE_INTERNAL_H

#include "base/arena.h"
#include "base/err.h"
#include "cmd/options-internal.h"

struct source {
    const char *name;    /* as it was found; "-" for standard input */
    struct str text;
    int64_t first_line;  /* in the joined stream */
};

struct sources {
    struct arena arena;
    struct source *v;
    size_t n, cap;
    struct str joined;   /* all of them, documents separated by `---`: applied together or not at all */
};

#define SOURCES_INIT { ARENA_INIT(128 << 20), NULL, 0, 0, STR_INIT("") }

/* Reads and joins. A folder stands for its *.yaml, *.yml and *.json in the order of their names, without the folders
 * inside. ERR_NOTFOUND, ERR_IO, ERR_LIMIT. */
int sources_read(struct sources *s, const struct option_list *names, struct err *e);
/* The file that `line` of the joined stream came from, and the line there. */
const struct source *sources_place(const struct sources *s, int64_t line, int64_t *own_line);
void sources_free(struct sources *s);

#endif
