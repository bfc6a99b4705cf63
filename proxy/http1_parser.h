/* http1_parser.h: heads of HTTP/1 messages, strictly (RFC 9112), without a copy.
 *
 * Whatever two implementations could read in two ways is refused, not repaired: that is what request smuggling lives
 * from. Refused are CL with TE, CL twice, codings other than one `chunked`, bare CR and LF, blanks before a colon,
 * folded lines, control characters, a Host that is missing, double or no host, HTTP/1.0 with TE. */
#ifndef PROXY_HTTP1_PARSER_H
#define PROXY_HTTP1_PARSER_H

#include "proxy/http_head.h"

enum { HTTP1_LONGEST_METHOD = 32 };

/* How far the bytes of a head have been looked at, between calls; zeroed at its start. */
struct http1_scan {
    size_t start, line, at;
    unsigned empty_lines;
};

enum http1_result { HTTP1_MORE, HTTP1_DONE, HTTP1_REFUSED };

/* `in` are all bytes from the message's start on, the ones of earlier calls first. MORE: call again with more.
 * Empty lines before a request are skipped (RFC 9112 2.2), at most two. */
enum http1_result http1_request(struct http1_scan *s, struct str in, struct http_head *h);
/* `to_head`: it answers a HEAD request. */
enum http1_result http1_response(struct http1_scan *s, struct str in, bool to_head, struct http_head *h);

/* token of RFC 9110 5.6.2 */
bool http1_is_token(struct str s);
/* Whether a field's name is that of a length or coding, but for "_" in place of "-". Gateways to scripts make "_" of
 * both, so that the field may come out as the other one. */
bool http1_is_like_framing(struct str name);
/* host [":" port], host being a registered name without commas, an IPv4 address or "[" IPv6 "]". */
bool http1_is_authority(struct str s);

/* Classes of bytes, for the scanners of heads and bodies. */
enum { HTTP1_TCHAR = 1, HTTP1_VALUE = 2, HTTP1_TARGET = 4, HTTP1_HOSTCHAR = 8 };
extern const uint8_t http1_class[256];

#endif
