/* proxy_header_fuzz.c: a header is decided by its own bytes: what is known of less of them is never taken back, and what
 * follows changes nothing. What is read can be written and read again. */
#include "proxy/proxy_header.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { TEXT = INET6_ADDRSTRLEN + 10 };

static void print(char out[TEXT], const struct sockaddr_storage *ss)
{
    char ip[INET6_ADDRSTRLEN] = "";

    if (ss->ss_family == AF_INET) {
        const struct sockaddr_in *a = (const void *)ss;

        inet_ntop(AF_INET, &a->sin_addr, ip, sizeof(ip));
        snprintf(out, TEXT, "%s:%u", ip, ntohs(a->sin_port));
    } else {
        const struct sockaddr_in6 *a = (const void *)ss;

        inet_ntop(AF_INET6, &a->sin6_addr, ip, sizeof(ip));
        snprintf(out, TEXT, "[%s]:%u", ip, ntohs(a->sin6_port));
    }
}

static void write_again(const struct proxy_header *h)
{
    char from[TEXT], to[TEXT], out[PROXY_HEADER_MOST_OUT];

    print(from, &h->from);
    print(to, &h->to);
    for (unsigned version = 1; version <= 2; version++) {
        char from_again[TEXT];
        struct proxy_header again;

        if (proxy_header_read(proxy_header_write(out, version, str_of(from), str_of(to)), &again) != PROXY_HEADER_DONE ||
            !again.known)
            abort();
        print(from_again, &again.from);
        if (strcmp(from, from_again) != 0)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = { (const char *)data, size };
    struct proxy_header h, part;
    enum proxy_header_result r = proxy_header_read(in, &h);

    for (size_t n = 0; n <= size && n <= PROXY_HEADER_MOST_IN; n++) {
        enum proxy_header_result k = proxy_header_read((struct str){ in.p, n }, &part);

        if (k == PROXY_HEADER_MORE)
            continue;
        if (k != r || (k == PROXY_HEADER_DONE && (part.size != n || part.size != h.size)))
            abort();
        break;
    }
    if (r == PROXY_HEADER_DONE && h.known)
        write_again(&h);
    return 0;
}
