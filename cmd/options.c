#include "cmd/options-internal.h"

#include "base/clock.h"
#include "base/num.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <string.h>

static int set_size(const struct option *o, struct str value, struct err *e)
{
    static const struct {
        struct str suffix;
        unsigned shift;
    } units[] = { { STR_INIT("KiB"), 10 }, { STR_INIT("MiB"), 20 }, { STR_INIT("GiB"), 30 }, { STR_INIT("B"), 0 } };
    struct str digits = value;
    unsigned shift = 0;
    uint64_t v;

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (str_ends(value, units[i].suffix)) {
            digits.n -= units[i].suffix.n;
            shift = units[i].shift;
            break;
        }
    if (!num_u64(digits, &v) || v > (uint64_t)PTRDIFF_MAX >> shift)
        return err_set(e, ERR_INVALID, "--%s %.*s: should be a size, as in 64MiB or 2GiB", o->name, STR_ARG(value));
    *(size_t *)o->to = (size_t)v << shift;
    return 0;
}

static int set(const struct option *o, const char *value, struct err *e)
{
    struct option_list *list;

    switch (o->type) {
    case OPTION_FLAG:
        *(bool *)o->to = strcmp(value, "false") != 0;
        return 0;
    case OPTION_TEXT:
        *(const char **)o->to = value;
        return 0;
    case OPTION_LIST:
        list = o->to;
        if (list->n == OPTION_LIST_MAX)
            return err_set(e, ERR_LIMIT, "--%s: more than %d of them", o->name, OPTION_LIST_MAX);
        list->v[list->n++] = value;
        return 0;
    case OPTION_NUMBER:
        if (num_i64(str_of(value), o->to) && *(int64_t *)o->to >= 0)
            return 0;
        return err_set(e, ERR_INVALID, "--%s %s: should be a whole number", o->name, value);
    case OPTION_DURATION:
        if (duration_parse(str_of(value), o->to, e) < 0)
            return err_wrap(e, "--%s", o->name);
        return 0;
    case OPTION_SIZE:
        return set_size(o, str_of(value), e);
    }
    return ERR_INVALID;
}

static const struct option *find(const struct option *o, size_t n, struct str name)
{
    for (size_t i = 0; i < n; i++)
        if (str_eqz(name, o[i].name) || (name.n == 1 && o[i].letter == name.p[0]))
            return &o[i];
    return NULL;
}

int options_set(const struct option *o, size_t n, const char *name, const char *value, struct err *e)
{
    const struct option *found = find(o, n, str_of(name));

    if (!found || strlen(name) == 1)
        return err_set(e, ERR_INVALID, "%s: no such option", name);
    return set(found, value, e);
}

int options_parse(const struct option *o, size_t n, int *argc, char **argv, struct err *e)
{
    int kept = 1, i = 1;

    for (; i < *argc && strcmp(argv[i], "--") != 0; i++) {
        const char *word = argv[i], *value;
        bool full = strncmp(word, "--", 2) == 0;
        struct str name, rest = str_of(word + (full ? 2 : 1));
        const struct option *found;

        if (word[0] != '-' || word[1] == '\0') {
            argv[kept++] = argv[i];
            continue;
        }
        name = str_cut(&rest, '=');
        found = full == (name.n > 1) ? find(o, n, name) : NULL;
        if (!found)
            return err_set(e, ERR_INVALID, "%s: no such option (--help lists them)", word);
        value = rest.p;
        if (!value && found->type != OPTION_FLAG) {
            if (i + 1 == *argc)
                return err_set(e, ERR_INVALID, "%s: a value is missing: %s", word, found->value);
            value = argv[++i];
        }
        if (set(found, value ? value : "true", e) < 0)
            return e->code;
    }
    for (i += i < *argc; i < *argc; i++)
        argv[kept++] = argv[i];
    *argc = kept;
    argv[kept] = NULL;
    return 0;
}

void options_help(FILE *out, const struct option *o, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char left[64];
        char letter[8] = "    ";

        if (o[i].letter)
            snprintf(letter, sizeof(letter), "-%c, ", o[i].letter);
        snprintf(left, sizeof(left), "%s--%s%s%s", letter, o[i].name, o[i].value ? " " : "",
                 o[i].value ? o[i].value : "");
        fprintf(out, "  %-34s %s\n", left, o[i].help);
    }
}

int address_parse(const char *text, char host[64], uint16_t *port, struct err *e)
{
    const char *colon = strrchr(text, ':');
    struct str name = { text, colon ? (size_t)(colon - text) : 0 };
    struct in6_addr six;
    struct in_addr four;
    uint64_t n;

    if (name.n >= 2 && name.p[0] == '[' && name.p[name.n - 1] == ']')
        name = (struct str){ name.p + 1, name.n - 2 };
    if (!colon || name.n == 0 || name.n > 63 || !num_u64(str_of(colon + 1), &n) || n > 65535)
        return err_set(e, ERR_INVALID, "address %s: should be HOST:PORT, as in 127.0.0.1:20001", text);
    memcpy(host, name.p, name.n);
    host[name.n] = '\0';
    *port = (uint16_t)n;
    if (strcmp(host, "localhost") == 0)
        strcpy(host, "127.0.0.1");
    if (inet_pton(AF_INET, host, &four) != 1 && inet_pton(AF_INET6, host, &six) != 1)
        return err_set(e, ERR_INVALID, "address %s: the host should be an address in digits, as in 127.0.0.1", text);
    return 0;
}
