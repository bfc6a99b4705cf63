#include "query/expand-internal.h"

static bool is_word_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* The number of the group (?P<name>…) or (?<name>…), counted by their opening parentheses; -1 when there is none. */
static int named_group(struct str pattern, struct str name)
{
    int group = 0;
    bool in_class = false;

    for (size_t i = 0; i < pattern.n; i++) {
        struct str rest = str_from(pattern, i + 1);

        if (pattern.p[i] == '\\') {
            i++;
        } else if (in_class) {
            in_class = pattern.p[i] != ']';
        } else if (pattern.p[i] == '[') {
            in_class = true;
        } else if (pattern.p[i] == '(') {
            bool named = str_starts(rest, STR("?P<")) || str_starts(rest, STR("?<"));

            if (!named && str_starts(rest, STR("?")))
                continue;
            group++;
            rest = str_from(rest, named ? (size_t)str_chr(rest, '<') + 1 : rest.n);
            if (named && str_starts(rest, name) && rest.n > name.n && rest.p[name.n] == '>')
                return group;
        }
    }
    return -1;
}

/* What $name or ${name} stands for. */
static struct str group_value(struct str pattern, struct str name, const struct str *groups, unsigned n)
{
    long number = 0;

    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] < '0' || name.p[i] > '9' || number > EXPAND_GROUPS) {
            number = named_group(pattern, name);
            break;
        }
        number = number * 10 + (name.p[i] - '0');
    }
    return number >= 0 && number < (long)n ? groups[number] : STR_NULL;
}

void expand_groups(struct buf *out, struct str pattern, struct str template, const struct str *groups, unsigned n)
{
    for (size_t i = 0; i < template.n; i++) {
        struct str rest = str_from(template, i + 1), name;
        bool braced = rest.n && rest.p[0] == '{';
        size_t len = 0;

        if (template.p[i] != '$' || rest.n == 0) {
            buf_putc(out, template.p[i]);
            continue;
        }
        if (rest.p[0] == '$') {
            buf_putc(out, '$');
            i++;
            continue;
        }
        rest = str_from(rest, braced);
        while (len < rest.n && is_word_char(rest.p[len]))
            len++;
        name = (struct str){ rest.p, len };
        if (len == 0 || (braced && (len == rest.n || rest.p[len] != '}'))) {
            buf_putc(out, '$');
            continue;
        }
        buf_str(out, group_value(pattern, name, groups, n));
        i += len + (braced ? 2 : 0);
    }
}
