#include "cmd/yaml_out-internal.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void put_value(struct buf *b, const json_t *value, unsigned indent, bool beside_dash);

static bool is_block(const json_t *value)
{
    return (json_is_object(value) && json_object_size(value)) || (json_is_array(value) && json_array_size(value));
}

/* Whether YAML 1.1 might read it as something else than text. */
static bool is_word(const char *key)
{
    static const char *const words[] = { "y", "n", "yes", "no", "on", "off", "true", "false", "null" };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcasecmp(key, words[i]) == 0)
            return true;
    return false;
}

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"

static void put_key(struct buf *b, const char *key)
{
    bool plain = *key && strchr(LETTERS, *key) && key[strspn(key, LETTERS "0123456789./-")] == '\0' && !is_word(key);

    if (plain)
        buf_puts(b, key);
    else
        buf_json(b, str_of(key));
    buf_putc(b, ':');
}

static void put_scalar(struct buf *b, const json_t *value)
{
    char *text;

    if (json_is_string(value)) {
        buf_json(b, (struct str){ json_string_value(value), json_string_length(value) });
        return;
    }
    text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT); /* a number, true, null, {} or [] */
    buf_puts(b, text ? text : "");
    b->failed |= !text;
    free(text);
}

static void put_object(struct buf *b, const json_t *object, unsigned indent, bool beside_dash)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        buf_printf(b, "%*s", beside_dash ? 0 : (int)indent, "");
        beside_dash = false;
        put_key(b, key);
        /* An array may stand right under its key. */
        put_value(b, value, json_is_array(value) ? indent : indent + 2, false);
    }
}

static void put_array(struct buf *b, const json_t *array, unsigned indent)
{
    const json_t *value;
    size_t i;

    json_array_foreach(array, i, value) {
        buf_printf(b, "%*s-", (int)indent, "");
        put_value(b, value, indent + 2, true);
    }
}

/* Behind "key:" or "-". */
static void put_value(struct buf *b, const json_t *value, unsigned indent, bool beside_dash)
{
    bool beside = beside_dash && json_is_object(value);

    if (!is_block(value)) {
        buf_putc(b, ' ');
        put_scalar(b, value);
        buf_putc(b, '\n');
        return;
    }
    buf_putc(b, beside ? ' ' : '\n');
    if (json_is_object(value))
        put_object(b, value, indent, beside);
    else
        put_array(b, value, indent);
}

void yaml_out(struct buf *b, const json_t *value)
{
    if (!is_block(value)) {
        put_scalar(b, value);
        buf_putc(b, '\n');
    } else if (json_is_object(value)) {
        put_object(b, value, 0, false);
    } else {
        put_array(b, value, 0);
    }
}
