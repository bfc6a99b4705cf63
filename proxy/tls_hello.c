#include "proxy/tls_hello.h"

enum {
    RECORD_HEAD = 5, MOST_FRAGMENT = 16 * 1024, HANDSHAKE_HEAD = 4, CLIENT_HELLO = 1, RANDOM = 32, MOST_SESSION = 32,
    EXTENSION_NAME = 0, EXTENSION_ALPN = 16, HOST_NAME = 0
};

/* Bytes that are taken from the front. */
struct cursor {
    const uint8_t *p;
    size_t n;
};

static bool take(struct cursor *c, size_t n, struct cursor *out)
{
    if (c->n < n)
        return false;
    *out = (struct cursor){ c->p, n };
    c->p += n;
    c->n -= n;
    return true;
}

/* A number of `size` bytes. */
static bool take_number(struct cursor *c, size_t size, size_t *value)
{
    struct cursor bytes;

    if (!take(c, size, &bytes))
        return false;
    *value = 0;
    for (size_t i = 0; i < size; i++)
        *value = *value << 8 | bytes.p[i];
    return true;
}

/* Bytes behind their length, which takes `size` bytes. */
static bool take_vector(struct cursor *c, size_t size, struct cursor *out)
{
    size_t n;

    return take_number(c, size, &n) && take(c, n, out);
}

static bool is_host_char(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
}

/* One host name, as RFC 6066 has it; what it is made of may go into logs and comparisons as it is. */
static bool read_names(struct cursor data, struct tls_hello *h)
{
    struct cursor list, name;
    size_t type;

    if (!take_vector(&data, 2, &list) || data.n || !take_number(&list, 1, &type) || type != HOST_NAME ||
        !take_vector(&list, 2, &name) || list.n || name.n == 0 || name.n > sizeof(h->name))
        return false;
    for (size_t i = 0; i < name.n; i++) {
        uint8_t c = name.p[i];

        if (c >= 'A' && c <= 'Z')
            c |= 0x20;
        if (!is_host_char(c))
            return false;
        h->name[i] = (char)c;
    }
    h->name_n = name.n;
    return true;
}

static bool is_of_mesh(struct cursor protocol)
{
    struct str name = { (const char *)protocol.p, protocol.n };

    return str_eqz(name, "istio") || str_starts(name, STR("istio-"));
}

static bool read_protocols(struct cursor data, struct tls_hello *h)
{
    struct cursor list, name;

    if (!take_vector(&data, 2, &list) || data.n || list.n == 0)
        return false;
    while (list.n) {
        if (!take_vector(&list, 1, &name) || name.n == 0)
            return false;
        h->mesh = h->mesh || is_of_mesh(name);
    }
    return true;
}

static const char *read_extensions(struct cursor list, struct tls_hello *h)
{
    bool named = false, offered = false;

    while (list.n) {
        struct cursor data;
        size_t type;

        if (!take_number(&list, 2, &type) || !take_vector(&list, 2, &data))
            return "an extension is cut short";
        if ((type == EXTENSION_NAME && named) || (type == EXTENSION_ALPN && offered))
            return "an extension comes twice";
        named = named || type == EXTENSION_NAME;
        offered = offered || type == EXTENSION_ALPN;
        if (type == EXTENSION_NAME && !read_names(data, h))
            return "server_name is not one host name";
        if (type == EXTENSION_ALPN && !read_protocols(data, h))
            return "the list of application protocols is malformed";
    }
    return NULL;
}

static const char *read_hello(struct cursor c, struct tls_hello *h)
{
    struct cursor version, random, session, suites, compressions, extensions;

    if (!take(&c, 2, &version) || !take(&c, RANDOM, &random) || !take_vector(&c, 1, &session) ||
        !take_vector(&c, 2, &suites) || !take_vector(&c, 1, &compressions))
        return "it is cut short";
    if (version.p[0] != 3 || session.n > MOST_SESSION || suites.n < 2 || suites.n % 2 || compressions.n == 0)
        return "it is no hello of TLS";
    if (c.n == 0) /* TLS 1.2's may have none */
        return NULL;
    if (!take_vector(&c, 2, &extensions) || c.n)
        return "its extensions are cut short";
    return read_extensions(extensions, h);
}

static enum tls_hello_result bad(struct tls_hello *h, const char *why)
{
    h->why = why;
    return TLS_HELLO_BAD;
}

/* The message's size, as far as `whole` tells it; 0: not yet. */
static size_t message_size(struct cursor whole)
{
    size_t n;

    whole.p++;
    whole.n--;
    return take_number(&whole, 3, &n) ? HANDSHAKE_HEAD + n : 0;
}

enum tls_hello_result tls_hello_read(struct str bytes, struct tls_hello *h)
{
    struct cursor in = { (const uint8_t *)bytes.p, bytes.n }, head, part;
    uint8_t whole[TLS_HELLO_MOST];
    size_t n = 0, size = 0;
    const char *why;

    h->name_n = 0;
    h->mesh = false;
    h->why = NULL;
    for (size_t records = 0; size == 0 || n < size; records++) {
        if (in.n && in.p[0] != TLS_RECORD_HANDSHAKE)
            return bad(h, "it does not begin with a record of TLS");
        if (records == TLS_HELLO_MOST_RECORDS)
            return bad(h, "it is in too many pieces");
        if (!take(&in, RECORD_HEAD - 2, &head))
            return TLS_HELLO_MORE;
        if (head.p[1] != 3)
            return bad(h, "its record is of no version of TLS");
        if (in.n >= 2 && (in.p[0] << 8 | in.p[1]) == 0)
            return bad(h, "a record is empty");
        if (in.n >= 2 && (in.p[0] << 8 | in.p[1]) > MOST_FRAGMENT)
            return bad(h, "a record is too long");
        if (!take_vector(&in, 2, &part))
            return TLS_HELLO_MORE;
        if (part.n > sizeof(whole) - n)
            return bad(h, "it is too long");
        memcpy(whole + n, part.p, part.n);
        n += part.n;
        if (whole[0] != CLIENT_HELLO)
            return bad(h, "its first message is no hello");
        size = message_size((struct cursor){ whole, n });
        if (size > sizeof(whole))
            return bad(h, "it is too long");
    }
    if (n > size)
        return bad(h, "its message is followed by another");
    why = read_hello((struct cursor){ whole + HANDSHAKE_HEAD, size - HANDSHAKE_HEAD }, h);
    return why ? bad(h, why) : TLS_HELLO_DONE;
}
