/* incoming-internal.h: the stations of a connection's way in: incoming_announced.c, then incoming.c. */
#ifndef PROXY_INCOMING_INTERNAL_H
#define PROXY_INCOMING_INTERNAL_H

#include "proxy/incoming.h"

enum { INCOMING_S = 15 }; /* for a header of PROXY protocol, and again for TLS; as Envoy's listener filters have */

/* Reads PROXY protocol's header, then incoming_enter. */
void incoming_announced(const struct incoming *in);
/* Looks whether it is TLS where that may be, then incoming_serve. */
void incoming_enter(const struct incoming *in);

#endif
