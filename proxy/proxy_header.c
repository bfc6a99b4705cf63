#include "proxy/proxy_header.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>

enum {
    V1_MOST = 107,      /* the line with its end */
    V2_HEAD = 16,
    V2_SIGNATURE = 12,
    V2_LOCAL = 0x20, V2_PROXY = 0x21,
    V2_UNSPEC = 0x00, V2_TCP4 = 0x11, V2_TCP6 = 0x21,
    V2_TCP4_BYTES = 12, V2_TCP6_BYTES = 36
};

static const char signature[] = "\r\n\r\n\0\r\nQUIT\n";
static const char v1_word[] = "PROXY ";

static enum proxy_header_result bad(struct proxy_header *h, const char *why)
{
    h->why = why;
    return PROXY_HEADER_BAD;
}

/* ---- addresses ---- */

static bool parse_port(struct str s, uint16_t *port)
{
    unsigned n = 0;

    if (s.n == 0 || s.n > 5 || (s.n > 1 && s.p[0] == '0'))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        n = n * 10 + (unsigned)(s.p[i] - '0');
    }
    *port = (uint16_t)n;
    return n <= UINT16_MAX;
}

static void set_addr(struct sockaddr_storage *ss, int family, const void *ip, uint16_t port)
{
    memset(ss, 0, sizeof(*ss));
    ss->ss_family = (sa_family_t)family;
    if (family == AF_INET) {
        struct sockaddr_in *a = (void *)ss;

        memcpy(&a->sin_addr, ip, sizeof(a->sin_addr));
        a->sin_port = htons(port);
    } else {
        struct sockaddr_in6 *a = (void *)ss;

        memcpy(&a->sin6_addr, ip, sizeof(a->sin6_addr));
        a->sin6_port = htons(port);
    }
}

static bool parse_addr(struct sockaddr_storage *ss, int family, struct str ip, struct str port)
{
    char text[INET6_ADDRSTRLEN] = "";
    uint8_t bytes[16];
    uint16_t number;

    if (ip.n >= sizeof(text) || (ip.n && memchr(ip.p, '\0', ip.n)) || !parse_port(port, &number))
        return false;
    if (ip.n)
        memcpy(text, ip.p, ip.n);
    if (inet_pton(family, text, bytes) != 1)
        return false;
    set_addr(ss, family, bytes, number);
    return true;
}

/* ---- in ---- */

static enum proxy_header_result read_v1_line(struct str line, struct proxy_header *h)
{
    struct str rest = str_from(line, sizeof(v1_word) - 1), family = str_cut(&rest, ' ');
    struct str from = str_cut(&rest, ' '), to = str_cut(&rest, ' '), from_port = str_cut(&rest, ' ');
    int af = str_eqz(family, "TCP4") ? AF_INET : AF_INET6;

    if (str_eqz(family, "UNKNOWN")) /* whatever follows it is to be passed over */
        return PROXY_HEADER_DONE;
    if (!str_eqz(family, "TCP4") && !str_eqz(family, "TCP6"))
        return bad(h, "PROXY is followed by none of TCP4, TCP6, UNKNOWN");
    if (!rest.p || !parse_addr(&h->from, af, from, from_port) || !parse_addr(&h->to, af, to, rest))
        return bad(h, "not PROXY, family, two addresses and two ports, with a blank between each");
    h->known = true;
    return PROXY_HEADER_DONE;
}

static enum proxy_header_result read_v1(struct str in, struct proxy_header *h)
{
    size_t n = in.n < V1_MOST ? in.n : V1_MOST;
    const char *lf = memchr(in.p, '\n', n);

    if (!lf)
        return n < V1_MOST ? PROXY_HEADER_MORE : bad(h, "the line is longer than 107 bytes");
    h->size = (size_t)(lf - in.p) + 1;
    if (lf[-1] != '\r' || memchr(in.p, '\r', h->size - 2))
        return bad(h, "the line does not end with CR LF");
    return read_v1_line((struct str){ in.p, h->size - 2 }, h);
}

static bool are_tlvs(struct str s)
{
    while (s.n >= 3) {
        size_t n = (size_t)(uint8_t)s.p[1] << 8 | (uint8_t)s.p[2];

        if (n > s.n - 3)
            return false;
        s = str_from(s, 3 + n);
    }
    return s.n == 0;
}

static uint16_t port_at(const char *p)
{
    return (uint16_t)((uint8_t)p[0] << 8 | (uint8_t)p[1]);
}

static enum proxy_header_result read_v2_addresses(struct str body, uint8_t family, struct proxy_header *h)
{
    size_t used = family == V2_TCP4 ? V2_TCP4_BYTES : V2_TCP6_BYTES, ip = (used - 4) / 2;
    int af = family == V2_TCP4 ? AF_INET : AF_INET6;

    if (body.n < used)
        return bad(h, "it is too short for its addresses");
    if (!are_tlvs(str_from(body, used)))
        return bad(h, "what is behind the addresses are no TLVs");
    set_addr(&h->from, af, body.p, port_at(body.p + 2 * ip));
    set_addr(&h->to, af, body.p + ip, port_at(body.p + 2 * ip + 2));
    h->known = true;
    return PROXY_HEADER_DONE;
}

static enum proxy_header_result read_v2(struct str in, struct proxy_header *h)
{
    uint8_t command, family;

    if (in.n < V2_HEAD)
        return PROXY_HEADER_MORE;
    command = (uint8_t)in.p[12];
    family = (uint8_t)in.p[13];
    h->size = V2_HEAD + (size_t)port_at(in.p + 14);
    if (command != V2_LOCAL && command != V2_PROXY)
        return bad(h, "version and command are none of 0x20 and 0x21");
    if (command == V2_PROXY && family != V2_UNSPEC && family != V2_TCP4 && family != V2_TCP6)
        return bad(h, "it is about no connection of TCP");
    if (h->size > PROXY_HEADER_MOST_IN)
        return bad(h, "it is larger than 4 KiB");
    if (in.n < h->size)
        return PROXY_HEADER_MORE;
    if (command == V2_LOCAL || family == V2_UNSPEC)
        return PROXY_HEADER_DONE;
    return read_v2_addresses((struct str){ in.p + V2_HEAD, h->size - V2_HEAD }, family, h);
}

/* Whether `in` begins as `word` does, as far as it has come. */
static bool may_be(struct str in, struct str word)
{
    return memcmp(in.p, word.p, in.n < word.n ? in.n : word.n) == 0;
}

enum proxy_header_result proxy_header_read(struct str in, struct proxy_header *h)
{
    struct str v1 = { v1_word, sizeof(v1_word) - 1 }, v2 = { signature, V2_SIGNATURE };

    h->known = false;
    h->size = 0;
    h->why = NULL;
    if (in.n == 0)
        return PROXY_HEADER_MORE;
    if (may_be(in, v1))
        return in.n < v1.n ? PROXY_HEADER_MORE : read_v1(in, h);
    if (may_be(in, v2))
        return read_v2(in, h);
    return bad(h, "the connection does not begin with PROXY protocol's header");
}

/* ---- out ---- */

/* "IP:port", "[IP]:port" */
static bool parse_text(struct sockaddr_storage *ss, struct str s)
{
    bool v6 = s.n > 0 && s.p[0] == '[';
    size_t at = s.n;

    while (at > 0 && s.p[at - 1] != ':')
        at--;
    if (at < 2 || (v6 && (at < 4 || s.p[at - 2] != ']')))
        return false;
    return parse_addr(ss, v6 ? AF_INET6 : AF_INET, v6 ? (struct str){ s.p + 1, at - 3 } : (struct str){ s.p, at - 1 },
                      str_from(s, at));
}

static const void *ip_of(const struct sockaddr_storage *ss)
{
    return ss->ss_family == AF_INET ? (const void *)&((const struct sockaddr_in *)(const void *)ss)->sin_addr :
                                      (const void *)&((const struct sockaddr_in6 *)(const void *)ss)->sin6_addr;
}

static uint16_t port_of(const struct sockaddr_storage *ss)
{
    return ntohs(ss->ss_family == AF_INET ? ((const struct sockaddr_in *)(const void *)ss)->sin_port :
                                            ((const struct sockaddr_in6 *)(const void *)ss)->sin6_port);
}

static char *put_port(char *to, uint16_t port)
{
    *to++ = (char)(port >> 8);
    *to++ = (char)(port & 0xff);
    return to;
}

static size_t write_v2(char *out, const struct sockaddr_storage *from, const struct sockaddr_storage *to)
{
    bool v4 = from->ss_family == AF_INET;
    size_t ip = v4 ? 4 : 16;
    char *at = out;

    memcpy(at, signature, V2_SIGNATURE);
    at[12] = V2_PROXY;
    at[13] = v4 ? V2_TCP4 : V2_TCP6;
    at = put_port(at + 14, v4 ? V2_TCP4_BYTES : V2_TCP6_BYTES);
    memcpy(at, ip_of(from), ip);
    memcpy(at + ip, ip_of(to), ip);
    at = put_port(put_port(at + 2 * ip, port_of(from)), port_of(to));
    return (size_t)(at - out);
}

struct str proxy_header_unknown(unsigned version)
{
    static const char v2[V2_HEAD] = "\r\n\r\n\0\r\nQUIT\n\x20\0\0"; /* LOCAL, and the last byte of the length is 0, too */

    return version == 1 ? STR("PROXY UNKNOWN\r\n") : (struct str){ v2, V2_HEAD };
}

struct str proxy_header_write(char out[PROXY_HEADER_MOST_OUT], unsigned version, struct str from, struct str to)
{
    struct sockaddr_storage a, b;
    char from_ip[INET6_ADDRSTRLEN], to_ip[INET6_ADDRSTRLEN];
    int n;

    if (!parse_text(&a, from) || !parse_text(&b, to) || a.ss_family != b.ss_family)
        return proxy_header_unknown(version);
    if (version != 1)
        return (struct str){ out, write_v2(out, &a, &b) };
    inet_ntop(a.ss_family, ip_of(&a), from_ip, sizeof(from_ip));
    inet_ntop(b.ss_family, ip_of(&b), to_ip, sizeof(to_ip));
    n = snprintf(out, PROXY_HEADER_MOST_OUT, "PROXY %s %s %s %u %u\r\n", a.ss_family == AF_INET ? "TCP4" : "TCP6", from_ip,
                 to_ip, port_of(&a), port_of(&b));
    return (struct str){ out, (size_t)n };
}
