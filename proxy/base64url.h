/* base64url.h: base64url as JOSE has it (RFC 7515, 2 and appendix C): without padding, and one text for one value. */
#ifndef PROXY_BASE64URL_H
#define PROXY_BASE64URL_H

#include "base/str.h"

#include <stdint.h>

/* Room for what n characters decode to. */
#define BASE64URL_ROOM(n) ((n) / 4 * 3 + 2)

/* Puts the bytes to out[0..BASE64URL_ROOM(s.n)) and returns how many; -1: padding, blanks, another alphabet, a length
 * or last bits that no encoder makes. */
ptrdiff_t base64url_decode(struct str s, uint8_t *out);

#endif
