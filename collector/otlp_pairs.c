/* otlp_pairs.c: the attributes of log records and spans, as they come: which key, which value.
 *
 * Problem    A record of an access log has some thirty attributes, and ten million of them come in a minute: to look up
 *            each key, to take its message apart with all care, would cost more than all that follows. And what follows
 *            needs to know which values are the same: to find that out again, when the record has left the cache, costs
 *            as much once more.
 * Idea       Records of one sender have the same keys in the same order, and most values have come before. So an
 *            attribute is first tried as the one expected: the key that came after the one before it the last time, then
 *            a short text. And each key remembers texts that it had: where one comes again, the row gets the earlier
 *            one, the same bytes at the same place. They are known to be UTF-8, and who makes dictionaries of a column
 *            (store/event_column.c) tells equal values by their address.
 * Bound      A text stands in one place of its key's memory, by a cheap hash: what has the same place takes it. Keys whose
 *            values are new nearly every time (ids) are left alone, and no more than MOST_REPEATING keys remember.
 * Invariant  Two keys of a request with the same name are the same struct otlp_key. */

#include "collector/otlp-internal.h"

#include <endian.h>

/* --- keys --- */

enum {
    REPEAT_BITS = 7,
    REPEATS = 1 << REPEAT_BITS, /* texts that a key remembers */
    MOST_REPEATING = 128, /* keys of a request that do */
    BEFORE_REPEATS = 32,  /* how often a key comes before it begins to: short requests need it not */
    MOST_CREDIT = 256     /* new texts in excess of known ones after which it gives up */
};

struct otlp_repeats {
    struct str v[REPEATS];
    int credit;
};

/* Milliseconds in Envoy's and Istio's labels, microseconds here; their start_time is the record's time. */
static void find_column(struct otlp_key *k)
{
    k->factor = 1000;
    k->column = OTLP_IGNORED;
    if (str_eqz(k->name, "duration"))
        k->column = ACCESS_LOG_duration_us;
    else if (str_eqz(k->name, "upstream_service_time"))
        k->column = ACCESS_LOG_upstream_service_time_us;
    else if (!str_eqz(k->name, "start_time")) {
        k->factor = 1;
        k->column = access_log_field_index(k->name); /* OTLP_NO_COLUMN when there is none */
    }
    k->is_text = k->column < 0 || access_log_fields[k->column].is_text;
}

struct otlp_key *otlp_key(struct otlp_context *c, struct str name)
{
    struct otlp_key *k = strmap_get(&c->keys, name);

    if (k)
        return k;
    k = ARENA_NEW(c->arena, struct otlp_key);
    if (!k || strmap_put(&c->keys, name, k, NULL) < 0)
        return NULL;
    k->name = name;
    find_column(k);
    k->before_repeats = k->is_text ? BEFORE_REPEATS : 0;
    return k;
}

/* The next key of the item. */
static int next_key(struct otlp_context *c, struct str name, struct otlp_key **out, struct err *e)
{
    struct otlp_key *k = c->last_key->after;
    int rc;

    if (!k || !str_eq(k->name, name)) {
        if ((rc = otlp_text(name, "an attribute's key", e)) < 0)
            return rc;
        if (!(k = otlp_key(c, name)))
            return err_set(e, ERR_NOMEM, "no memory for an attribute");
        c->last_key->after = k;
    }
    c->last_key = k;
    *out = k;
    return 0;
}

/* --- texts that come again --- */

static inline uint64_t eight_at(const char *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

static inline uint32_t four_at(const void *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

/* A text of less than eight bytes, all of them. */
static inline uint64_t short_word(const char *p, size_t n)
{
    if (n >= sizeof(uint32_t))
        return four_at(p) | (uint64_t)four_at(p + n - sizeof(uint32_t)) << 32;
    return n ? (uint64_t)(uint8_t)p[0] << 16 | (uint64_t)(uint8_t)p[n / 2] << 8 | (uint8_t)p[n - 1] : 0;
}

/* Mostly some twenty bytes: less than the call of memcmp. The last word may overlap the one before. */
static inline bool is_same(const char *a, const char *b, size_t n)
{
    size_t last = n - sizeof(uint64_t);

    if (n < sizeof(uint64_t))
        return short_word(a, n) == short_word(b, n);
    for (size_t i = 0; i < last; i += sizeof(uint64_t))
        if (eight_at(a + i) != eight_at(b + i))
            return false;
    return eight_at(a + last) == eight_at(b + last);
}

static inline bool is_utf8(struct str s)
{
    uint64_t all;

    if (s.n < sizeof(uint64_t)) {
        all = short_word(s.p, s.n);
    } else {
        all = eight_at(s.p + s.n - sizeof(uint64_t));
        for (size_t i = 0; i + sizeof(uint64_t) < s.n; i += sizeof(uint64_t))
            all |= eight_at(s.p + i);
    }
    return (all & 0x8080808080808080u) == 0 || str_is_utf8(s);
}

/* Where the text stands if it was remembered: by its ends and its middle, which tell the names of one column apart. Whoever
 * chooses texts that meet there gains nothing but the cost of new ones. */
static inline struct str *place_of(struct otlp_repeats *r, struct str s)
{
    uint64_t h;

    if (s.n < sizeof(uint64_t)) {
        h = short_word(s.p, s.n);
    } else {
        uint64_t middle = eight_at(s.p + (s.n - sizeof(uint64_t)) / 2), end = eight_at(s.p + s.n - sizeof(uint64_t));

        h = eight_at(s.p) ^ (middle << 21 | middle >> 43) ^ (end << 42 | end >> 22);
    }
    return &r->v[(h + s.n) * UINT64_C(0x9e3779b97f4a7c15) >> (64 - REPEAT_BITS)];
}

/* Without memory for it texts are not remembered, which is no fault. */
static void begin_repeats(struct otlp_context *c, struct otlp_key *k)
{
    if (c->nrepeating == MOST_REPEATING || !(k->repeats = ARENA_NEW(c->arena, struct otlp_repeats)))
        return;
    c->nrepeating++;
    k->repeats->credit = MOST_CREDIT;
}

/* Makes *text the earlier one that is equal, or remembers it. False: it is not UTF-8. Inline: the call would cost a fourth
 * of it. */
static inline __attribute__((always_inline)) bool repeat(struct otlp_context *c, struct otlp_key *k, struct str *text)
{
    struct otlp_repeats *r = k->repeats;
    struct str *at;

    if (text->n == 0)
        return true;
    if (!r) {
        if (k->before_repeats && --k->before_repeats == 0)
            begin_repeats(c, k);
        return is_utf8(*text);
    }
    at = place_of(r, *text);
    if (at->n == text->n && is_same(at->p, text->p, text->n)) {
        *text = *at;
        r->credit += r->credit < MOST_CREDIT;
        return true;
    }
    if (!is_utf8(*text))
        return false;
    *at = *text;
    if (--r->credit == 0)
        k->repeats = NULL;
    return true;
}

/* --- pairs --- */

enum { PAIR_KEY = 1 << 3 | PB_BYTES, PAIR_VALUE = 2 << 3 | PB_BYTES };
enum { ANY_STRING = 1 << 3 | PB_BYTES, ANY_INT = 3 << 3 | PB_VARINT };
enum { EXPECTED_LEAST = 8 }; /* bytes of an attribute beside key and text */

/* An attribute of a row's message at `at`, n bytes before the message's end, as it is expected: tag, length, tag and length
 * of that key, the key, tag and length of the value, tag and length of its text, the text; all lengths of one byte. Returns
 * its length; 0: it is not so. */
static inline size_t read_expected(const uint8_t *at, size_t n, uint8_t tag, struct str key, struct str *text)
{
    uint32_t head, value;
    size_t size;

    if (n < EXPECTED_LEAST)
        return 0;
    head = le32toh(four_at(at));
    size = (head >> 8 & 0xff) + 2;
    if ((head & 0xffff00ff) != (tag | PAIR_KEY << 16 | (uint32_t)key.n << 24) || size > 0x7f || size > n ||
        size < key.n + EXPECTED_LEAST || !is_same((const char *)at + 4, key.p, key.n))
        return 0;
    n = size - key.n - EXPECTED_LEAST; /* of the text */
    value = le32toh(four_at(at + 4 + key.n));
    if (value != (PAIR_VALUE | ((uint32_t)n + 2) << 8 | ANY_STRING << 16 | (uint32_t)n << 24))
        return 0;
    *text = (struct str){ (const char *)at + size - n, n };
    return size;
}

void otlp_get_expected(struct otlp_context *c, struct pb_reader *r, uint8_t tag)
{
    struct otlp_pair *p = c->pairs + c->npairs, *most = c->pairs + OTLP_MOST_ATTRIBUTES;
    const uint8_t *at = r->p;
    struct otlp_key *last = c->last_key, *k;
    struct str text;
    size_t n;

    for (; p < most && (k = last->after); at += n) {
        n = read_expected(at, (size_t)(r->end - at), tag, k->name, &text);
        if (n == 0 || !repeat(c, k, &text))
            break;
        p->key = last = k;
        p->text = text;
        p->is_number = false;
        p++;
    }
    r->p = at;
    c->last_key = last;
    c->npairs = (size_t)(p - c->pairs);
}

/* A length of one or two bytes at *p; what it is of lies before `end`. */
static inline bool read_length(const uint8_t **p, const uint8_t *end, size_t *n)
{
    const uint8_t *q = *p;

    if (q == end)
        return false;
    *n = *q++;
    if (*n >= 0x80) {
        if (q == end || *q >= 0x80)
            return false;
        *n = (*n & 0x7f) | (size_t)*q++ << 7;
    }
    *p = q;
    return *n <= (size_t)(end - q);
}

static inline bool read_varint(const uint8_t **p, const uint8_t *end, uint64_t *v)
{
    *v = 0;
    for (unsigned shift = 0; shift < 63 && *p < end; shift += 7) {
        uint8_t c = *(*p)++;

        *v |= (uint64_t)(c & 0x7f) << shift;
        if (c < 0x80)
            return true;
    }
    return false;
}

/* What most attributes are: a key, then a string or an integer, and nothing else. False: it is another, to be read
 * with more care. Byte by byte: a reader's fields go through memory, and that takes three times as long. */
static bool read_plain(struct str key_value, struct str *key, struct otlp_pair *p)
{
    const uint8_t *at = (const uint8_t *)key_value.p, *end = at + key_value.n;
    uint64_t number;
    size_t n;

    if (at == end || *at++ != PAIR_KEY || !read_length(&at, end, &n))
        return false;
    *key = (struct str){ (const char *)at, n };
    at += n;
    if (at == end || *at++ != PAIR_VALUE || !read_length(&at, end, &n) || n != (size_t)(end - at) || n == 0)
        return false;
    if (*at == ANY_STRING) {
        at++;
        if (!read_length(&at, end, &n) || n != (size_t)(end - at))
            return false;
        p->text = (struct str){ (const char *)at, n };
        p->is_number = false;
        return true;
    }
    if (*at++ != ANY_INT || !read_varint(&at, end, &number) || at != end)
        return false;
    p->number = (int64_t)number;
    p->is_number = true;
    return true;
}

static int name_fault(struct err *e, int rc, struct str key)
{
    if (rc != ERR_PARSE && rc != ERR_NOMEM)
        err_wrap(e, "attribute \"%.*s\"", STR_ARG(key));
    return rc;
}

static int read_pair(struct otlp_context *c, struct str key_value, struct otlp_pair *p, struct err *e)
{
    struct str key, value;
    struct otlp_key *k;
    int rc;

    if (read_plain(key_value, &key, p)) {
        rc = next_key(c, key, &k, e);
        if (rc == 0 && !p->is_number && !repeat(c, k, &p->text))
            name_fault(e, rc = otlp_text(p->text, "an attribute's value", e), key);
    } else {
        *p = (struct otlp_pair){ 0 };
        if ((rc = otlp_read_pair(key_value, &key, &value, e)) == 0)
            rc = next_key(c, key, &k, e);
        if (rc == 0 && (rc = otlp_value_text(c->arena, value, &p->text, e)) < 0)
            name_fault(e, rc, key);
    }
    if (rc == 0)
        p->key = k;
    return rc;
}

int otlp_get_pair(struct otlp_context *c, const struct pb_field *f, struct err *e)
{
    int rc = pb_want(f, PB_BYTES, e);

    if (rc < 0)
        return rc;
    if (c->npairs == OTLP_MOST_ATTRIBUTES)
        return err_set(e, ERR_LIMIT, "more than %d attributes", OTLP_MOST_ATTRIBUTES);
    rc = read_pair(c, f->bytes, &c->pairs[c->npairs], e);
    c->npairs += rc == 0;
    return rc;
}

int otlp_pair_text(struct arena *a, const struct otlp_pair *p, struct str *out, struct err *e)
{
    *out = p->is_number ? arena_printf(a, "%lld", (long long)p->number) : p->text;
    return p->is_number && !out->p ? err_set(e, ERR_NOMEM, "no memory for a value") : 0;
}
