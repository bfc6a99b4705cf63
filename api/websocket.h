/* websocket.h: WebSocket's frames and handshake (RFC 6455), without the sockets.
 *
 *      0 1 2 3 4-7    8  9-15
 *     FIN RSV  opcode  MASK length (126: 2 more bytes, 127: 8 more)  [4 bytes of mask]  payload
 *
 * A client masks what it sends, a server does not. */
#ifndef API_WEBSOCKET_H
#define API_WEBSOCKET_H

#include "base/buf.h"
#include "base/err.h"

enum websocket_op {
    WEBSOCKET_CONTINUATION = 0, WEBSOCKET_TEXT = 1, WEBSOCKET_BINARY = 2,
    WEBSOCKET_CLOSE = 8, WEBSOCKET_PING = 9, WEBSOCKET_PONG = 10
};

/* Why a connection is closed (section 7.4.1). */
enum { WEBSOCKET_NORMAL = 1000, WEBSOCKET_GOING_AWAY = 1001, WEBSOCKET_PROTOCOL_ERROR = 1002, WEBSOCKET_BAD_DATA = 1007,
       WEBSOCKET_TOO_LARGE = 1009, WEBSOCKET_FAILED = 1011 };

struct websocket_message {
    enum websocket_op op; /* TEXT, BINARY, CLOSE, PING, PONG */
    struct str payload;
};

/* Puts bytes together to messages. `masked`: who sends is a client, and must mask. */
struct websocket_reader {
    struct buf in;        /* bytes that are not understood yet */
    struct buf message;   /* of frames that belong together */
    struct buf control;   /* the payload of a control frame */
    enum websocket_op op; /* of `message`; CONTINUATION: none is under way */
    bool masked, done;    /* done: the message has been handed out */
};

/* A message may have max_bytes. */
void websocket_reader_init(struct websocket_reader *r, bool masked, size_t max_bytes);
void websocket_reader_free(struct websocket_reader *r);
/* Bytes from the peer. ERR_NOMEM. */
int websocket_feed(struct websocket_reader *r, const void *p, size_t n);
/* 1: *m is the next message, valid until the next call; 0: more bytes are needed; ERR_PARSE: the peer does not keep to
 * the protocol, ERR_LIMIT: its message is too large; *code is what to close with then. */
int websocket_next(struct websocket_reader *r, struct websocket_message *m, unsigned *code, struct err *e);

/* Appends a whole message as one frame. `mask`: 4 bytes of a client's, NULL of a server. */
void websocket_put(struct buf *b, enum websocket_op op, struct str payload, const uint8_t *mask);
/* A close frame's payload: the code and a reason, which is cut to what fits. */
void websocket_put_close(struct buf *b, unsigned code, struct str reason, const uint8_t *mask);

enum { WEBSOCKET_KEY_TEXT = 29 };
/* Sec-WebSocket-Accept for a client's Sec-WebSocket-Key. */
void websocket_accept(struct str key, char out[WEBSOCKET_KEY_TEXT]);
/* Whether it is a key at all: 16 bytes in base64. */
bool websocket_key_is_valid(struct str key);

#endif
