/* stream_websocket.c: WebSockets between HTTP/1 and HTTP/2.
 *
 *                     the request                                    the answer
 *   HTTP/1 (RFC 6455) GET, Upgrade: websocket, Sec-WebSocket-Key     101, Sec-WebSocket-Accept: a digest of the key
 *   HTTP/2 (RFC 8441) CONNECT, :protocol = websocket                 200
 *
 * Heads speak HTTP/1's way throughout (http_head.h): GET, `upgrade`, 101; what is left for here is the key, by which
 * HTTP/1 shows that both ends mean WebSocket and no cache answers. Where one side has none, we are that end. */
#include "proxy/stream-internal.h"

#include "base/rand.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

enum { KEY_BYTES = 16, MOST_KEY = 128 };

static const struct str key_name = STR_INIT("sec-websocket-key"), accept_name = STR_INIT("sec-websocket-accept");

static struct str value_of(const struct fields *f, struct str name)
{
    for (size_t i = 0; i < f->n; i++)
        if (str_ieq(f->v[i].name, name))
            return f->v[i].value;
    return STR_NULL;
}

/* In the arena; p NULL: no memory. */
static struct str encode(struct stream *s, const unsigned char *bytes, size_t n)
{
    char text[4 * ((SHA_DIGEST_LENGTH + 2) / 3) + 1];
    int size = EVP_EncodeBlock((unsigned char *)text, bytes, (int)n);

    return arena_str(&s->arena, (struct str){ text, (size_t)size });
}

/* What answers a key (RFC 6455, 4.2.2). */
static struct str accept_of(struct stream *s, struct str key)
{
    struct str text = arena_printf(&s->arena, "%.*s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", STR_ARG(key));
    unsigned char digest[SHA_DIGEST_LENGTH];

    if (!text.p)
        return STR_NULL;
    SHA1((const unsigned char *)text.p, text.n, digest);
    return encode(s, digest, sizeof(digest));
}

bool stream_websocket_ask(struct stream *s, struct fields *f)
{
    bool client_http2 = s->head.version == HTTP_VERSION_2, host_http2 = stream_speaks_http2(s);
    unsigned char nonce[KEY_BYTES];

    if (client_http2 == host_http2)
        return true;
    if (host_http2) {
        struct str key = value_of(f, key_name);

        s->websocket_accept = key.n && key.n <= MOST_KEY ? accept_of(s, key) : STR_NULL;
        fields_remove(f, key_name);
    } else {
        struct str key;

        rand_bytes(nonce, sizeof(nonce));
        key = encode(s, nonce, sizeof(nonce));
        fields_set(f, key_name, key);
        s->websocket_accept = accept_of(s, key);
        if (!key.p)
            return false;
    }
    return s->websocket_accept.p || host_http2;
}

bool stream_websocket_accept(struct stream *s, struct fields *f)
{
    bool client_http2 = s->head.version == HTTP_VERSION_2, host_http2 = stream_speaks_http2(s);
    struct str said = value_of(f, accept_name);

    if (client_http2 == host_http2)
        return true;
    if (!host_http2) {
        fields_remove(f, accept_name);
        return str_eq(said, s->websocket_accept);
    }
    if (s->websocket_accept.n)
        fields_set(f, accept_name, s->websocket_accept);
    return true;
}
