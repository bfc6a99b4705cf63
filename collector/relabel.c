#include "collector/relabel-internal.h"

#include "base/num.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>

enum { MOST_GROUPS = 64, LONGEST_VALUE = 1 << 20, LONGEST_GROUP_NAME = 64 };

static struct str keep_text(struct label_builder *b, struct buf *text)
{
    struct str copy = buf_failed(text) ? STR_NULL : arena_str(b->arena, buf_view(text));

    buf_free(text);
    return copy;
}

/* The source labels' values with the separator between; p NULL: no memory. One label's value is not copied. */
static struct str join(const struct relabel_rule *r, struct label_builder *b)
{
    struct buf text = BUF_INIT(LONGEST_VALUE);

    if (r->nsource <= 1) {
        struct str one = r->nsource ? label_builder_get(b, r->source[0]) : STR_NULL;

        return one.p ? one : STR("");
    }
    for (size_t i = 0; i < r->nsource; i++) {
        if (i)
            buf_str(&text, r->separator);
        buf_str(&text, label_builder_get(b, r->source[i]));
    }
    return keep_text(b, &text);
}

/* --- templates: $1, ${1}, $name, ${name}, $$ --- */

static bool word_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* Cuts the reference behind a "$" off *rest; its name, or STR_NULL when it is none. */
static struct str take_reference(struct str *rest)
{
    bool braces = rest->n && *rest->p == '{';
    struct str name = str_from(*rest, braces);
    size_t n = 0;

    while (n < name.n && word_byte(name.p[n]))
        n++;
    if (n == 0 || (braces && (n == name.n || name.p[n] != '}')))
        return STR_NULL;
    *rest = str_from(name, n + braces);
    return (struct str){ name.p, n };
}

static struct str group(const struct regex *re, const struct str *groups, struct str name)
{
    char text[LONGEST_GROUP_NAME];
    uint64_t no;

    if (num_u64(name, &no))
        return no < MOST_GROUPS ? groups[no] : STR_NULL;
    if (name.n < sizeof(text)) {
        int found;

        memcpy(text, name.p, name.n);
        text[name.n] = '\0';
        found = regex_group_named(re, text);
        if (found >= 0 && found < MOST_GROUPS)
            return groups[found];
    }
    return STR_NULL;
}

/* p NULL: no memory. */
static struct str expand(const struct relabel_rule *r, struct label_builder *b, struct str template,
                         const struct str *groups)
{
    struct buf text = BUF_INIT(LONGEST_VALUE);
    struct str rest = template;

    if (str_chr(template, '$') < 0)
        return template.n ? template : STR("");
    while (rest.p) {
        bool more = str_chr(rest, '$') >= 0;
        struct str name;

        buf_str(&text, str_cut(&rest, '$'));
        if (!more)
            break;
        if (rest.n && *rest.p == '$') {
            buf_putc(&text, '$');
            rest = str_from(rest, 1);
            continue;
        }
        name = take_reference(&rest);
        if (name.p)
            buf_str(&text, group(r->regex, groups, name));
        else
            buf_putc(&text, '$');
    }
    return keep_text(b, &text);
}

/* --- actions --- */

static int replace(const struct relabel_rule *r, struct label_builder *b, struct str value)
{
    struct str groups[MOST_GROUPS], target, result;

    if (!regex_capture(r->regex, value, groups, MOST_GROUPS))
        return 1;
    target = expand(r, b, r->target, groups);
    if (target.p && (target.n == 0 || !str_is_utf8(target)))
        return 1;
    result = target.p ? expand(r, b, r->replacement, groups) : STR_NULL;
    if (!result.p || label_builder_set(b, target, result) < 0)
        return ERR_NOMEM;
    return 1;
}

static int hash_modulo(const struct relabel_rule *r, struct label_builder *b, struct str value)
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    uint64_t hash = 0;
    struct str text;

    if (!EVP_Digest(value.p, value.n, sum, &size, EVP_md5(), NULL) || size != 16)
        return ERR_NOMEM;
    for (size_t i = 8; i < 16; i++)
        hash = hash << 8 | sum[i];
    text = arena_printf(b->arena, "%" PRIu64, hash % r->modulus);
    return text.p && label_builder_set(b, r->target, text) == 0 ? 1 : ERR_NOMEM;
}

static int fold(const struct relabel_rule *r, struct label_builder *b, struct str value)
{
    struct buf text = BUF_INIT((size_t)4 * LONGEST_VALUE);
    struct str folded;

    relabel_fold(&text, value, r->action == RELABEL_UPPERCASE);
    folded = keep_text(b, &text);
    return folded.p && label_builder_set(b, r->target, folded) == 0 ? 1 : ERR_NOMEM;
}

/* Over a copy of the set: what is added is not looked at again. */
static int map_names(const struct relabel_rule *r, struct label_builder *b)
{
    struct labels all = label_builder_view(b);
    struct label *before = arena_array(b->arena, all.n + 1, sizeof(*before));
    struct str groups[MOST_GROUPS];

    if (!before)
        return ERR_NOMEM;
    if (all.n)
        memcpy(before, all.v, all.n * sizeof(*before));
    for (size_t i = 0; i < all.n; i++) {
        struct str name;

        if (!regex_capture(r->regex, before[i].name, groups, MOST_GROUPS))
            continue;
        name = expand(r, b, r->replacement, groups);
        if (!name.p || (name.n && label_builder_set(b, name, before[i].value) < 0))
            return ERR_NOMEM;
    }
    return 1;
}

static void filter_names(const struct relabel_rule *r, struct label_builder *b)
{
    size_t kept = 0;

    for (size_t i = 0; i < b->n; i++)
        if (regex_match(r->regex, b->v[i].name) == (r->action == RELABEL_LABELKEEP))
            b->v[kept++] = b->v[i];
    b->n = kept;
}

static int apply(const struct relabel_rule *r, struct label_builder *b)
{
    struct str value = join(r, b);

    if (!value.p)
        return ERR_NOMEM;
    switch (r->action) {
    case RELABEL_REPLACE:
        return replace(r, b, value);
    case RELABEL_KEEP:
        return regex_match(r->regex, value);
    case RELABEL_DROP:
        return !regex_match(r->regex, value);
    case RELABEL_KEEPEQUAL:
        return str_eq(label_builder_get(b, r->target), value);
    case RELABEL_DROPEQUAL:
        return !str_eq(label_builder_get(b, r->target), value);
    case RELABEL_HASHMOD:
        return hash_modulo(r, b, value);
    case RELABEL_LABELMAP:
        return map_names(r, b);
    case RELABEL_LABELDROP:
    case RELABEL_LABELKEEP:
        filter_names(r, b);
        return 1;
    default:
        return fold(r, b, value);
    }
}

int relabel_apply(const struct relabel_rules *rules, struct label_builder *b)
{
    for (size_t i = 0; i < rules->n; i++) {
        int rc = apply(&rules->v[i], b);

        if (rc != 1)
            return rc;
    }
    return 1;
}
