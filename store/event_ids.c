/* event_ids.c: eight hexadecimal digits at a time, in the bytes of one word. */
#include "store/event_ids-internal.h"

#include <endian.h>

#define EACH(byte) (0x0101010101010101u * (byte)) /* the same in all eight bytes of a word */

enum { DASHES = 4, GROUPS = DASHES + 1 };

/* A UUID's groups of digits: where each begins in the text and among the digits, and how long it is. */
static const struct {
    uint8_t text, digit, n;
} groups[GROUPS] = { { 0, 0, 8 }, { 9, 8, 4 }, { 14, 12, 4 }, { 19, 16, 4 }, { 24, 20, 12 } };

enum event_id event_id_of_length(size_t n)
{
    switch (n) {
    case 16:
        return EVENT_ID_64;
    case 32:
        return EVENT_ID_128;
    case EVENT_ID_TEXT:
        return EVENT_ID_UUID;
    default:
        return EVENT_ID_NONE;
    }
}

/* Eight bytes of a text, the first one lowest. */
static inline uint64_t eight_at(const char *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return le64toh(v);
}

/* Eight of two times four. */
static inline uint64_t four_and_four(const char *p, const char *q)
{
    uint32_t low, high;

    memcpy(&low, p, sizeof(low));
    memcpy(&high, q, sizeof(high));
    return le32toh(low) | (uint64_t)le32toh(high) << 32;
}

/* Returns what is not zero when one of the digits is none. */
static inline uint64_t parse_eight(uint64_t text, uint8_t *to)
{
    uint64_t letters, low, value, bad;
    uint32_t bytes;

    letters = text >> 6 & EACH(1);
    low = text & EACH(0x0f);
    value = low + 9 * letters;
    bad = (text & EACH(0xf0)) ^ (EACH(0x30) + 0x30 * letters);  /* '0' to '?', '`' to 'o' */
    bad |= (low + 6 * (letters ^ EACH(1))) & EACH(0x10);        /* behind '9' */
    bad |= value & EACH(0x10);                                  /* behind 'f' */
    bad |= letters & ~((low + EACH(0x0f)) >> 4);                /* '`' */
    value = (value << 4 | value >> 8) & 0x00ff00ff00ff00ff;
    value = (value | value >> 8) & 0x0000ffff0000ffff;
    bytes = htole32((uint32_t)(value | value >> 16));
    memcpy(to, &bytes, sizeof(bytes));
    return bad;
}

static void print_eight(const uint8_t *from, char *to)
{
    uint32_t bytes;
    uint64_t v;

    memcpy(&bytes, from, sizeof(bytes));
    v = le32toh(bytes);
    v = (v | v << 16) & 0x0000ffff0000ffff;
    v = (v | v << 8) & 0x00ff00ff00ff00ff;
    v = (v >> 4 | v << 8) & EACH(0x0f);
    v += EACH('0') + ((v + EACH(6)) >> 4 & EACH(1)) * ('a' - '0' - 10);
    v = htole64(v);
    memcpy(to, &v, sizeof(v));
}

bool event_id_is_zero(enum event_id kind, const uint8_t *id)
{
    uint64_t words[2] = { 0 };

    memcpy(words, id, event_id_width(kind));
    return (words[0] | words[1]) == 0;
}

static uint64_t parse_digits(const char *p, size_t width, uint8_t *to)
{
    uint64_t bad = 0;

    for (size_t i = 0; i < width; i += 4)
        bad |= parse_eight(eight_at(p + 2 * i), to + i);
    return bad;
}

/* Eight digits, dash, four, dash, four, dash, four, dash, twelve. */
static uint64_t parse_uuid(const char *p, uint8_t *to)
{
    uint64_t bad = (uint64_t)(p[8] != '-') | (p[13] != '-') | (p[18] != '-') | (p[23] != '-');

    bad |= parse_eight(eight_at(p), to);
    bad |= parse_eight(four_and_four(p + 9, p + 14), to + 4);
    bad |= parse_eight(four_and_four(p + 19, p + 24), to + 8);
    return bad | parse_eight(eight_at(p + 28), to + 12);
}

bool event_id_parse(enum event_id kind, struct str text, uint8_t *to)
{
    uint64_t bad;

    if (kind == EVENT_ID_NONE || text.n != event_id_length(kind))
        return false;
    bad = kind == EVENT_ID_UUID ? parse_uuid(text.p, to) : parse_digits(text.p, event_id_width(kind), to);
    return bad == 0 && !event_id_is_zero(kind, to);
}

void event_id_print(enum event_id kind, const uint8_t *id, char *to)
{
    size_t width = event_id_width(kind);
    char digits[2 * EVENT_ID_BYTES];
    char *p = kind == EVENT_ID_UUID ? digits : to;

    for (size_t i = 0; i < width; i += 4)
        print_eight(id + i, p + 2 * i);
    if (kind != EVENT_ID_UUID)
        return;
    for (size_t g = 0; g < GROUPS; g++) {
        if (g)
            to[groups[g].text - 1] = '-';
        memcpy(to + groups[g].text, digits + groups[g].digit, groups[g].n);
    }
}
