/* http1_body.c: the chunked coding as a state machine over bytes (RFC 9112 7.1).
 *
 *   SIZE --CR--> SIZE_LF --LF, size > 0--> DATA --all--> DATA_CR --> DATA_LF --> SIZE
 *    | ;                 \--LF, size 0---> TRAILER (start of a line) --CR--> END_LF --LF--> ENDED
 *   EXT --CR--> SIZE_LF                     | tchar
 *                                          NAME --:--> VALUE --CR--> VALUE_LF --LF--> TRAILER
 *
 * Every line ends with CR LF; a bare LF is refused wherever it stands. */
#include "proxy/http1_body.h"

enum { SIZE, BLANK, EXT, SIZE_LF, DATA, DATA_CR, DATA_LF, TRAILER, NAME, VALUE, VALUE_LF, END_LF, ENDED, BROKEN };

void http1_body_init(struct http1_body *b, enum http_framing framing, uint64_t length)
{
    *b = (struct http1_body){ .framing = framing, .left = length, .state = DATA,
                              .trailers = BUF_INIT(HTTP1_MOST_OVERHEAD + HTTP_MOST_FIELDS) };
    if (framing == HTTP_STREAMED) {
        b->state = SIZE;
        b->left = 0;
    } else if (framing == HTTP_NO_BODY || (framing == HTTP_LENGTH && length == 0)) {
        b->state = ENDED;
    }
}

void http1_body_free(struct http1_body *b)
{
    buf_free(&b->trailers);
}

bool http1_body_may_close(const struct http1_body *b)
{
    return b->state == ENDED || b->framing == HTTP_UNTIL_CLOSE;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int size_char(struct http1_body *b, char c)
{
    int digit = hex_digit(c);

    if (digit >= 0) {
        if (++b->digits > 16 || b->left >> 59)
            return BROKEN;
        b->left = b->left << 4 | (unsigned)digit;
        return SIZE;
    }
    if (b->digits == 0)
        return BROKEN;
    return c == '\r' ? SIZE_LF : c == ';' ? EXT : c == ' ' || c == '\t' ? BLANK : BROKEN;
}

static int is_value(char c)
{
    return http1_class[(unsigned char)c] & HTTP1_VALUE;
}

/* The state after one byte outside of the data. */
static int next_state(struct http1_body *b, char c)
{
    switch (b->state) {
    case SIZE:
        return size_char(b, c);
    case BLANK: /* bad whitespace, which only an extension may follow */
        return c == ';' ? EXT : c == ' ' || c == '\t' ? BLANK : BROKEN;
    case EXT:
        return c == '\r' ? SIZE_LF : is_value(c) ? EXT : BROKEN;
    case SIZE_LF:
        return c != '\n' ? BROKEN : b->left ? DATA : TRAILER;
    case DATA_CR:
        return c == '\r' ? DATA_LF : BROKEN;
    case DATA_LF:
        b->digits = 0;
        return c == '\n' ? SIZE : BROKEN;
    case TRAILER:
        return c == '\r' ? END_LF : http1_class[(unsigned char)c] & HTTP1_TCHAR ? NAME : BROKEN;
    case NAME:
        return c == ':' ? VALUE : http1_class[(unsigned char)c] & HTTP1_TCHAR ? NAME : BROKEN;
    case VALUE:
        return c == '\r' ? VALUE_LF : is_value(c) ? VALUE : BROKEN;
    case VALUE_LF:
        return c == '\n' ? TRAILER : BROKEN;
    case END_LF:
        return c == '\n' ? ENDED : BROKEN;
    default:
        return BROKEN;
    }
}

uint64_t http1_body_plain(const struct http1_body *b)
{
    if (b->state != DATA)
        return 0;
    return b->framing == HTTP_UNTIL_CLOSE ? UINT64_MAX : b->left;
}

void http1_body_passed(struct http1_body *b, uint64_t n)
{
    if (b->framing == HTTP_UNTIL_CLOSE)
        return;
    b->left -= n;
    if (b->left == 0)
        b->state = b->framing == HTTP_STREAMED ? DATA_CR : ENDED;
}

static enum http1_body_result take_data(struct http1_body *b, struct str *in, struct str *data)
{
    size_t n = b->framing != HTTP_UNTIL_CLOSE && b->left < in->n ? (size_t)b->left : in->n;

    if (n == 0)
        return HTTP1_BODY_MORE;
    *data = (struct str){ in->p, n };
    *in = str_from(*in, n);
    http1_body_passed(b, n);
    return HTTP1_BODY_DATA;
}

/* One more byte of a trailer, or its end. False: they are more or larger than they may be. */
static bool take_trailer(struct http1_body *b, char c)
{
    if (b->state == NAME || b->state == VALUE) {
        if (b->keeps_trailers)
            buf_putc(&b->trailers, c);
        return ++b->overhead <= HTTP1_MOST_OVERHEAD;
    }
    if (b->state == VALUE_LF) {
        if (b->keeps_trailers)
            buf_putc(&b->trailers, '\n');
        return ++b->ntrailers <= HTTP_MOST_FIELDS;
    }
    return true;
}

enum http1_body_result http1_body_next(struct http1_body *b, struct str *in, struct str *data)
{
    char c;

    *data = STR_NULL;
    for (;;) {
        if (b->state == ENDED)
            return HTTP1_BODY_END;
        if (b->state == BROKEN)
            return HTTP1_BODY_BAD;
        if (b->state == DATA)
            return take_data(b, in, data);
        if (in->n == 0)
            return HTTP1_BODY_MORE;
        c = in->p[0];
        b->state = (uint8_t)next_state(b, c);
        *in = str_from(*in, 1);
        if (b->state == EXT ? ++b->overhead > HTTP1_MOST_OVERHEAD : !take_trailer(b, c))
            b->state = BROKEN;
    }
}
