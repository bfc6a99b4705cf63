/* check.c: typed reading of an object's tree, driven by tables (check-internal.h says what for).
 *
 * Places     A problem names its path, "spec.http[0].route[1].weight". Nothing carries paths along while all is well:
 *            who reports gives the node, and its path is searched from the root, once for each problem that is kept. */
#include "mesh/check-internal.h"

#include "base/clock.h"
#include "base/err.h"
#include "mesh/kinds-internal.h"
#include "mesh/problem-internal.h"

#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

enum { LONGEST_PATH = 512 };

/* As LIST_OF(…) lays it out. */
struct any_list {
    void *v;
    size_t n;
};

void check_init(struct check *c, struct arena *a, struct mesh_problems *p, const struct mesh_object *o)
{
    *c = (struct check){ .arena = a, .problems = p, .object = o };
}

/* ---- places ---- */

struct path {
    char text[LONGEST_PATH];
    size_t n;
};

__attribute__((format(printf, 2, 3))) static void path_add(struct path *p, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(p->text + p->n, sizeof(p->text) - p->n, fmt, ap);
    va_end(ap);
    if (n > 0)
        p->n += (size_t)n < sizeof(p->text) - p->n ? (size_t)n : sizeof(p->text) - p->n - 1;
}

/* Finds `to` below `from` and leaves its path in `p`. */
static bool path_find(struct path *p, const struct yaml_node *from, const struct yaml_node *to)
{
    size_t n = p->n;

    if (from == to)
        return true;
    for (size_t i = 0; i < from->n; i++) {
        const struct yaml_node *child = &from->items[i];

        if (from->kind == YAML_LIST)
            path_add(p, "[%zu]", i);
        else
            path_add(p, "%s%.*s", n ? "." : "", STR_ARG(child->key));
        if (path_find(p, child, to))
            return true;
        p->n = n;
    }
    return false;
}

__attribute__((format(printf, 5, 0))) static void report(struct check *c, enum mesh_severity severity,
                                                         const struct yaml_node *at, const char *member,
                                                         const char *fmt, va_list ap)
{
    const struct mesh_object *o = c->object;
    const struct yaml_node *there = member ? check_get(at, member) : at;
    const struct yaml_node *place = there ? there : at ? at : o->root;
    struct mesh_problem where = { .severity = severity, .file = o->file, .line = place->line, .column = place->column };
    struct path title = { .n = 0 }, path = { .n = 0 };

    if (problem_kept(c->problems, severity)) {
        path_add(&title, "%.*s %.*s%s%.*s", STR_ARG(o->kind), STR_ARG(o->ns), o->ns.n ? "/" : "", STR_ARG(o->name));
        path_find(&path, o->root, place);
        if (member && !there)
            path_add(&path, "%s%s", path.n ? "." : "", member);
        where.object = (struct str){ title.text, title.n };
        where.path = (struct str){ path.text, path.n };
    }
    if (problem_vadd(c->problems, &where, fmt, ap) < 0)
        c->nomem = true;
}

void check_error(struct check *c, const struct yaml_node *at, const char *member, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    report(c, MESH_ERROR, at, member, fmt, ap);
    va_end(ap);
}

void check_warn(struct check *c, const struct yaml_node *at, const char *member, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    report(c, MESH_WARNING, at, member, fmt, ap);
    va_end(ap);
}

void check_info(struct check *c, const struct yaml_node *at, const char *member, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    report(c, MESH_INFO, at, member, fmt, ap);
    va_end(ap);
}

/* ---- names of fields ---- */

/* "redirectCode" is written so or as "redirect_code". */
static bool is_field(struct str key, const char *name)
{
    size_t at = 0;

    if (str_eqz(key, name))
        return true;
    for (; *name; name++) {
        bool upper = *name >= 'A' && *name <= 'Z';

        if (upper && (at >= key.n || key.p[at++] != '_'))
            return false;
        if (at >= key.n || key.p[at++] != (upper ? *name | 32 : *name))
            return false;
    }
    return at == key.n;
}

const struct yaml_node *check_get(const struct yaml_node *map, const char *name)
{
    for (size_t i = 0; map && map->kind == YAML_MAP && i < map->n; i++)
        if (map->items[i].kind != YAML_NULL && is_field(map->items[i].key, name))
            return &map->items[i];
    return NULL;
}

static const struct field *find_field(const struct field *fields, struct str key)
{
    for (const struct field *f = fields; f->name; f++)
        if (is_field(key, f->name))
            return f;
    return NULL;
}

static void unknown_field(struct check *c, const struct message *m, const struct yaml_node *n)
{
    const char *near = NULL;

    for (const struct field *f = m->fields; f->name && !near; f++)
        if (word_near(n->key, str_of(f->name)))
            near = f->name;
    if (m->rest == MESSAGE_FOREIGN && near)
        check_warn(c, n, NULL, "unknown field, not applied: did you mean \"%s\"?", near);
    else if (m->rest == MESSAGE_FOREIGN)
        check_warn(c, n, NULL, "not applied");
    else if (near)
        check_error(c, n, NULL, "unknown field: did you mean \"%s\"?", near);
    else if (m->rest == MESSAGE_CLOSED)
        check_error(c, n, NULL, "unknown field");
}

/* ---- values ---- */

static const char *const kind_words[] = { "null", "a boolean", "a number", "a string", "a list", "a map" };

static bool expect(struct check *c, const struct yaml_node *n, enum yaml_kind kind)
{
    if (n->kind == kind)
        return true;
    if (kind == YAML_STRING && (n->kind == YAML_NUMBER || n->kind == YAML_BOOL))
        check_error(c, n, NULL, "must be a string: write \"%.*s\" in quotes", STR_ARG(n->text));
    else if (kind == YAML_NUMBER && n->kind == YAML_STRING)
        check_error(c, n, NULL, "must be a number, not the string \"%.*s\"", STR_ARG(n->text));
    else
        check_error(c, n, NULL, "must be %s, not %s", kind_words[kind], kind_words[n->kind]);
    return false;
}

static bool whole(struct check *c, const struct yaml_node *n, double least, double most, double *v)
{
    *v = n->number;
    if (!expect(c, n, YAML_NUMBER))
        return false;
    if (floor(*v) == *v && *v >= least && *v <= most)
        return true;
    check_error(c, n, NULL, "must be a whole number from %.0f to %.0f, not %.*s", least, most, STR_ARG(n->text));
    return false;
}

static void read_duration(struct check *c, const struct yaml_node *n, int64_t *ms)
{
    struct err e = ERR_INIT;
    int64_t ns = 0;

    if (!expect(c, n, YAML_STRING))
        return;
    if (duration_parse_go(n->text, &ns, &e) < 0)
        check_error(c, n, NULL, "%s", e.msg);
    else if (ns % 1000000)
        check_error(c, n, NULL, "duration \"%.*s\": must be a whole number of milliseconds", STR_ARG(n->text));
    *ms = ns / 1000000;
}

static void read_enum(struct check *c, const struct yaml_node *n, const char *const *words, int *v)
{
    char list[512];
    size_t at = 0;

    if (!expect(c, n, YAML_STRING))
        return;
    for (int i = 0; words[i]; i++) {
        if (str_eqz(n->text, words[i])) {
            *v = i;
            return;
        }
        at += (size_t)snprintf(list + at, sizeof(list) - at, "%s%s", i ? ", " : "", words[i]);
        if (at >= sizeof(list))
            at = sizeof(list) - 1;
    }
    check_error(c, n, NULL, "\"%.*s\" is not one of %s", STR_ARG(n->text), list);
}

static void read_scalar(struct check *c, const struct field *f, const struct yaml_node *n, char *to)
{
    double v;

    switch (f->type) {
    case FIELD_STRING:
        if (expect(c, n, YAML_STRING))
            memcpy(to, &n->text, sizeof(n->text));
        break;
    case FIELD_BOOL:
        if (expect(c, n, YAML_BOOL))
            memcpy(to, &n->boolean, sizeof(n->boolean));
        break;
    case FIELD_INT:
        if (whole(c, n, INT32_MIN, INT32_MAX, &v))
            memcpy(to, &(int64_t){ (int64_t)v }, sizeof(int64_t));
        break;
    case FIELD_COUNT:
        if (whole(c, n, 0, UINT32_MAX, &v))
            memcpy(to, &(uint32_t){ (uint32_t)v }, sizeof(uint32_t));
        break;
    case FIELD_PORT:
        if (whole(c, n, 1, UINT16_MAX, &v))
            memcpy(to, &(uint32_t){ (uint32_t)v }, sizeof(uint32_t));
        break;
    default:
        if (expect(c, n, YAML_NUMBER) && isfinite(n->number))
            memcpy(to, &n->number, sizeof(n->number));
        break;
    }
}

static void read_strings(struct check *c, const struct yaml_node *n, struct any_list *l)
{
    struct str *v = expect(c, n, YAML_LIST) ? check_alloc(c, n->n, sizeof(*v)) : NULL;

    for (size_t i = 0; v && i < n->n; i++)
        if (expect(c, &n->items[i], YAML_STRING))
            v[i] = n->items[i].text;
    if (v)
        *l = (struct any_list){ v, n->n };
}

static void read_counts(struct check *c, const struct yaml_node *n, struct any_list *l)
{
    uint32_t *v = expect(c, n, YAML_LIST) ? check_alloc(c, n->n, sizeof(*v)) : NULL;
    double number;

    for (size_t i = 0; v && i < n->n; i++)
        if (whole(c, &n->items[i], 0, UINT32_MAX, &number))
            v[i] = (uint32_t)number;
    if (v)
        *l = (struct any_list){ v, n->n };
}

static void read_numbers(struct check *c, const struct yaml_node *n, struct any_list *l)
{
    struct named_number *v = expect(c, n, YAML_MAP) ? check_alloc(c, n->n, sizeof(*v)) : NULL;
    double number;

    for (size_t i = 0; v && i < n->n; i++) {
        v[i].at = &n->items[i];
        if (whole(c, &n->items[i], 0, UINT32_MAX, &number))
            v[i].value = (uint32_t)number;
    }
    if (v)
        *l = (struct any_list){ v, n->n };
}

static void read_pairs(struct check *c, const struct yaml_node *n, struct any_list *l)
{
    struct label *v = expect(c, n, YAML_MAP) ? check_alloc(c, n->n, sizeof(*v)) : NULL;

    for (size_t i = 0; v && i < n->n; i++)
        if (n->items[i].kind == YAML_NULL || expect(c, &n->items[i], YAML_STRING))
            v[i] = (struct label){ n->items[i].key, n->items[i].text };
    if (v)
        *l = (struct any_list){ v, n->n };
}

static void read_labels(struct check *c, const struct yaml_node *n, struct labels *to)
{
    struct any_list l = { NULL, 0 };

    read_pairs(c, n, &l);
    if (l.v && labels_normalise(l.v, &l.n, NULL) == 0)
        *to = (struct labels){ l.v, l.n };
}

static void read_messages(struct check *c, const struct message *m, const struct yaml_node *n, bool map,
                          struct any_list *l)
{
    char *v = expect(c, n, map ? YAML_MAP : YAML_LIST) ? check_alloc(c, n->n, m->size) : NULL;

    for (size_t i = 0; v && i < n->n; i++)
        check_message(c, m, &n->items[i], v + i * m->size);
    if (v)
        *l = (struct any_list){ v, n->n };
}

static void read_field(struct check *c, const struct field *f, const struct yaml_node *n, char *to)
{
    struct any_list l = { NULL, 0 };
    struct labels labels = { NULL, 0 };
    int64_t ms = 0;
    int word = 0;
    void *message;

    switch (f->type) {
    case FIELD_DURATION:
        read_duration(c, n, &ms);
        memcpy(to, &ms, sizeof(ms));
        break;
    case FIELD_ENUM:
        read_enum(c, n, f->of, &word);
        memcpy(to, &word, sizeof(word));
        break;
    case FIELD_LABELS:
        read_labels(c, n, &labels);
        memcpy(to, &labels, sizeof(labels));
        break;
    case FIELD_MESSAGE:
        message = check_new(c, f->of, n);
        memcpy(to, &message, sizeof(message));
        break;
    case FIELD_ANY:
        memcpy(to, &n, sizeof(n));
        break;
    case FIELD_STRINGS:
        read_strings(c, n, &l);
        break;
    case FIELD_COUNTS:
        read_counts(c, n, &l);
        break;
    case FIELD_NUMBERS:
        read_numbers(c, n, &l);
        break;
    case FIELD_PAIRS:
        read_pairs(c, n, &l);
        break;
    case FIELD_MESSAGES:
    case FIELD_MAP:
        read_messages(c, f->of, n, f->type == FIELD_MAP, &l);
        break;
    default:
        read_scalar(c, f, n, to);
        break;
    }
    if (l.v)
        memcpy(to, &l, sizeof(l));
}

void check_message(struct check *c, const struct message *m, const struct yaml_node *at, void *to)
{
    memcpy(to, &at, sizeof(at));
    if (!expect(c, at, YAML_MAP))
        return;
    for (size_t i = 0; i < at->n && !c->nomem; i++) {
        const struct yaml_node *n = &at->items[i];
        const struct field *f = find_field(m->fields, n->key);

        if (!f)
            unknown_field(c, m, n);
        else if (n->kind != YAML_NULL && check_get(at, f->name) != n)
            check_error(c, n, NULL, "stands twice: also as \"%.*s\"", STR_ARG(check_get(at, f->name)->key));
        else if (n->kind != YAML_NULL)
            read_field(c, f, n, (char *)to + f->offset);
    }
    for (const struct field *f = m->fields; f->name; f++)
        if (f->required && !check_get(at, f->name))
            check_error(c, at, f->name, "missing");
    if (m->check && !c->nomem)
        m->check(c, to);
}

void *check_new(struct check *c, const struct message *m, const struct yaml_node *at)
{
    void *to = at && expect(c, at, YAML_MAP) ? check_alloc(c, 1, m->size) : NULL;

    if (to)
        check_message(c, m, at, to);
    return to;
}

size_t check_count_of(struct check *c, const struct yaml_node *at, size_t least, size_t most, const char *const *names)
{
    char list[256];
    size_t n = 0, len = 0;
    const char *last = NULL;

    for (; *names; names++) {
        len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s", len ? ", " : "", *names);
        if (len >= sizeof(list))
            len = sizeof(list) - 1;
        if (!check_get(at, *names))
            continue;
        n++;
        last = *names;
    }
    if (n > most)
        check_error(c, at, last, "only %s of %s may be given", most == 1 ? "one" : "some", list);
    else if (n < least)
        check_error(c, at, NULL, "one of %s must be given", list);
    return n;
}
