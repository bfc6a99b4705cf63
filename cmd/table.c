#include "cmd/table-internal.h"

#include "base/arena.h"
#include "base/mem.h"
#include "cmd/yaml_out-internal.h"

struct table {
    struct arena arena;
    const char *const *headings;
    size_t columns, rows, cap;
    const char **cells; /* rows × columns */
    bool failed;
};

struct table *table_new(const char *const *headings, size_t columns)
{
    struct table *t = mem_zalloc(sizeof(*t));

    if (t) {
        t->headings = headings;
        t->columns = columns;
    }
    return t;
}

void table_row(struct table *t, const char *const *cells)
{
    if (arena_grow(&t->arena, &t->cells, &t->cap, (t->rows + 1) * t->columns, sizeof(*t->cells)) < 0) {
        t->failed = true;
        return;
    }
    for (size_t i = 0; i < t->columns; i++) {
        const char *copy = arena_cstr(&t->arena, str_of(cells[i] ? cells[i] : ""));

        t->cells[t->rows * t->columns + i] = copy ? copy : "";
        t->failed |= !copy;
    }
    t->rows++;
}

/* Columns a text takes on a terminal: UTF-8's continuation bytes take none. */
static size_t width(const char *text)
{
    size_t n = 0;

    for (; *text; text++)
        n += (*text & 0xc0) != 0x80;
    return n;
}

static void print_aligned(const struct table *t, FILE *out)
{
    for (size_t r = 0; r <= t->rows; r++) {
        for (size_t c = 0; c < t->columns; c++) {
            const char *cell = r ? t->cells[(r - 1) * t->columns + c] : t->headings[c];
            size_t widest = width(t->headings[c]);

            for (size_t i = 0; i < t->rows; i++)
                if (width(t->cells[i * t->columns + c]) > widest)
                    widest = width(t->cells[i * t->columns + c]);
            fputs(cell, out);
            if (c + 1 < t->columns)
                fprintf(out, "%*s", (int)(widest - width(cell) + 3), "");
        }
        fputc('\n', out);
    }
}

static void print_csv_cell(const char *cell, FILE *out)
{
    if (!strpbrk(cell, ",\"\r\n")) {
        fputs(cell, out);
        return;
    }
    fputc('"', out);
    for (; *cell; cell++) {
        if (*cell == '"')
            fputc('"', out);
        fputc(*cell, out);
    }
    fputc('"', out);
}

static void print_csv(const struct table *t, FILE *out)
{
    for (size_t r = 0; r <= t->rows; r++)
        for (size_t c = 0; c < t->columns; c++) {
            print_csv_cell(r ? t->cells[(r - 1) * t->columns + c] : t->headings[c], out);
            fputs(c + 1 < t->columns ? "," : "\r\n", out);
        }
}

int table_print(const struct table *t, enum output form, FILE *out)
{
    if (t->failed)
        return ERR_NOMEM;
    if (form == OUTPUT_CSV)
        print_csv(t, out);
    else
        print_aligned(t, out);
    return 0;
}

int document_print(const json_t *body, enum output form, FILE *out)
{
    struct buf b = BUF_INIT((size_t)1 << 30);
    int rc = 0;

    if (form == OUTPUT_JSON) {
        rc = json_dumpf(body, out, JSON_INDENT(2)) < 0 || fputc('\n', out) < 0 ? ERR_IO : 0;
    } else {
        yaml_out(&b, body);
        rc = buf_failed(&b) ? ERR_NOMEM : fwrite(b.p, 1, b.n, out) < b.n ? ERR_IO : 0;
    }
    buf_free(&b);
    return rc;
}

void table_free(struct table *t)
{
    if (!t)
        return;
    arena_free(&t->arena);
    mem_free(t);
}
