/* gv_names.c: how DOT is read, so that its drawing comes out the same every time.
 *
 * cgraph takes the address of a name as the object's number and keeps subgraphs in the order of these numbers: the boxes
 * of a drawing would change places with the weather in the heap. Here the first name is number 1, the next 2, and so
 * on. What is read from text is read from memory, line by line, as cgraph's scanner wants it. */
#include "graph/graph-internal.h"

#include "base/mem.h"

struct names {
    struct arena a;
    struct strmap numbers; /* name → number, as a pointer */
    const char **name;     /* number → name; NULL for what has none */
    size_t n, cap;
};

static void *open_names(Agraph_t *g, Agdisc_t *disc)
{
    struct names *s = mem_zalloc(sizeof(*s));

    (void)g;
    (void)disc;
    if (s)
        s->a = (struct arena)ARENA_INIT(GRAPH_ARENA);
    return s;
}

static void close_names(void *state)
{
    struct names *s = state;

    if (!s)
        return;
    strmap_free(&s->numbers);
    arena_free(&s->a);
    mem_free(s->name);
    mem_free(s);
}

/* The next number, for a name that is kept; 0 without memory. */
static IDTYPE add_name(struct names *s, const char *name)
{
    if (mem_grow(&s->name, &s->cap, s->n + 2, sizeof(*s->name)) < 0)
        return 0;
    s->name[++s->n] = name;
    return s->n;
}

static long number_of(void *state, int type, char *name, IDTYPE *id, int create)
{
    struct names *s = state;
    struct str key = str_of(name);
    char *kept;

    (void)type;
    if (!s)
        return FALSE;
    if (!name) {
        *id = add_name(s, NULL);
        return *id != 0;
    }
    *id = (IDTYPE)(uintptr_t)strmap_get(&s->numbers, key);
    if (*id || !create)
        return *id != 0;
    kept = arena_cstr(&s->a, key);
    *id = kept ? add_name(s, kept) : 0;
    return *id && strmap_put(&s->numbers, (struct str){ kept, key.n }, (void *)(uintptr_t)*id, NULL) == 0;
}

static long take_number(void *state, int type, IDTYPE id)
{
    (void)state;
    (void)type;
    (void)id;
    return FALSE;
}

static void free_number(void *state, int type, IDTYPE id)
{
    (void)state;
    (void)type;
    (void)id;
}

static char *name_of(void *state, int type, IDTYPE id)
{
    const struct names *s = state;

    (void)type;
    return s && id <= s->n ? (char *)(uintptr_t)s->name[id] : NULL;
}

static void registered(void *state, int type, void *object)
{
    (void)state;
    (void)type;
    (void)object;
}

/* As fgets: up to and with the next newline. */
static int read_line(void *channel, char *to, int room)
{
    struct str *text = channel;
    ptrdiff_t at = str_chr(*text, '\n');
    size_t n = at < 0 ? text->n : (size_t)at + 1;

    if (n > (size_t)room)
        n = (size_t)room;
    memcpy(to, text->p, n);
    *text = str_from(*text, n);
    return (int)n;
}

static Agiddisc_t numbering = { open_names, number_of, take_number, free_number, name_of, close_names, registered };

Agraph_t *gv_read(struct str text)
{
    static Agiodisc_t io = { read_line, NULL, NULL };
    Agdisc_t disc = { &AgMemDisc, &numbering, &io };

    return agread(&text, &disc);
}
