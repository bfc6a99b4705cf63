#include "proxy/grpc_count.h"

enum { PREFIX = 5 };

bool grpc_is_content_type(struct str s)
{
    struct str type = STR("application/grpc");

    return s.n >= type.n && str_ieq((struct str){ s.p, type.n }, type) &&
           (s.n == type.n || s.p[type.n] == '+' || s.p[type.n] == ';' || s.p[type.n] == ' ');
}

static void take_prefix(struct grpc_count *c, unsigned char byte)
{
    if (c->prefix == 0) { /* the flag */
        c->messages++;
        c->left = 0;
    } else {
        c->left = c->left << 8 | byte;
    }
    c->prefix++;
}

void grpc_count_data(struct grpc_count *c, struct str bytes)
{
    size_t at = 0;

    while (at < bytes.n) {
        size_t rest = bytes.n - at;

        if (c->prefix < PREFIX) {
            take_prefix(c, (unsigned char)bytes.p[at++]);
        } else if (c->left > rest) {
            c->left -= (uint32_t)rest;
            return;
        } else {
            at += c->left;
            c->left = 0;
        }
        if (c->prefix == PREFIX && c->left == 0)
            c->prefix = 0;
    }
}
