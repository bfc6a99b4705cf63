/* openid.h: what an issuer of tokens says of itself (OpenID Connect Discovery 1.0, 3). */
#ifndef PROXY_OPENID_H
#define PROXY_OPENID_H

#include "base/buf.h"
#include "base/err.h"

/* Appends the address of the keys, "jwks_uri", to `uri`. `asked` is where the document was asked for: it must be of the
 * issuer that the document names (4.3), or somebody's keys would verify another's tokens; and what was asked for by
 * https names https. ERR_PARSE, ERR_INVALID, ERR_LIMIT. */
int openid_keys_uri(struct str document, struct str asked, struct buf *uri, struct err *e);

#endif
