#include "cmd/source-internal.h"

#include "base/file.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { MOST_TEXT = 32 << 20 };

static int add(struct sources *s, const char *path, const char *name, struct err *e)
{
    struct buf text = BUF_INIT(MOST_TEXT);
    int rc = file_read(path, &text, e);

    if (rc == 0 && arena_grow(&s->arena, &s->v, &s->cap, s->n + 1, sizeof(*s->v)) < 0)
        rc = err_set(e, ERR_NOMEM, "%s: no memory", name);
    if (rc == 0) {
        const char *copy = arena_cstr(&s->arena, str_of(name));
        struct str own = arena_str(&s->arena, buf_view(&text));

        if (copy && own.p)
            s->v[s->n++] = (struct source){ copy, own, 0 };
        else
            rc = err_set(e, ERR_LIMIT, "%s: too much to read", name);
    }
    buf_free(&text);
    return rc;
}

static int wanted(const struct dirent *entry)
{
    struct str name = str_of(entry->d_name);

    return name.p[0] != '.' &&
           (str_ends(name, STR(".yaml")) || str_ends(name, STR(".yml")) || str_ends(name, STR(".json")));
}

static int add_folder(struct sources *s, const char *path, struct err *e)
{
    struct dirent **entries;
    int n = scandir(path, &entries, wanted, alphasort), rc = 0;
    struct str folder = str_of(path);

    if (n < 0)
        return err_set(e, ERR_IO, "%s: %m", path);
    if (n == 0)
        rc = err_set(e, ERR_NOTFOUND, "%s: no *.yaml, *.yml or *.json in this folder", path);
    while (folder.n > 1 && folder.p[folder.n - 1] == '/')
        folder.n--;
    for (int i = 0; i < n; i++) {
        struct str full = arena_printf(&s->arena, "%.*s/%s", STR_ARG(folder), entries[i]->d_name);

        if (rc == 0)
            rc = full.p ? add(s, full.p, full.p, e) : err_set(e, ERR_NOMEM, "%s: no memory", path);
        free(entries[i]);
    }
    free(entries);
    return rc;
}

static int64_t lines_in(struct str text)
{
    int64_t n = 0;

    for (size_t i = 0; i < text.n; i++)
        n += text.p[i] == '\n';
    return n;
}

static int join(struct sources *s, struct err *e)
{
    struct buf all = BUF_INIT(4 * (size_t)MOST_TEXT);
    int64_t line = 1;

    for (size_t i = 0; i < s->n; i++) {
        struct str text = s->v[i].text;

        if (i) {
            buf_puts(&all, "---\n");
            line++;
        }
        s->v[i].first_line = line;
        buf_str(&all, text);
        line += lines_in(text);
        if (text.n && text.p[text.n - 1] != '\n') {
            buf_putc(&all, '\n');
            line++;
        }
    }
    s->joined = arena_str(&s->arena, buf_view(&all));
    buf_free(&all);
    return s->joined.p ? 0 : err_set(e, ERR_LIMIT, "too much to read");
}

int sources_read(struct sources *s, const struct option_list *names, struct err *e)
{
    for (size_t i = 0; i < names->n; i++) {
        const char *name = names->v[i];
        struct stat st;
        int rc;

        if (strcmp(name, "-") == 0)
            rc = add(s, "/dev/stdin", name, e);
        else if (stat(name, &st) < 0)
            rc = err_set(e, ERR_NOTFOUND, "%s: %m", name);
        else
            rc = S_ISDIR(st.st_mode) ? add_folder(s, name, e) : add(s, name, name, e);
        if (rc < 0)
            return rc;
    }
    return join(s, e);
}

const struct source *sources_place(const struct sources *s, int64_t line, int64_t *own_line)
{
    const struct source *found = s->n ? &s->v[0] : NULL;

    for (size_t i = 0; i < s->n && s->v[i].first_line <= line; i++)
        found = &s->v[i];
    *own_line = found && line ? line - found->first_line + 1 : line;
    return found;
}

void sources_free(struct sources *s)
{
    arena_free(&s->arena);
}
