/* tcp.h: connections passed through as bytes, and finding out whether one speaks HTTP. */
#ifndef PROXY_TCP_H
#define PROXY_TCP_H

#include "proxy/incoming.h"

void tcp_new(const struct incoming *in);
/* HTTP when the first bytes look like it; TCP otherwise, or when none come for a while: the server speaks first. */
void tcp_sniff(const struct incoming *in);

enum tcp_guess { TCP_GUESS_HTTP, TCP_GUESS_TCP, TCP_GUESS_MORE };
enum tcp_guess tcp_guess(struct str first);

#endif
