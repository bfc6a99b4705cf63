#include "proxy/inherited.h"

#include "base/mem.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

struct entry {
    struct sockaddr_storage address;
    int fd;
};

struct inherited {
    struct entry *v;
    size_t n, cap;
};

struct inherited *inherited_new(void)
{
    return mem_zalloc(sizeof(struct inherited));
}

static bool is_listening(int fd)
{
    int type = 0, accepts = 0;
    socklen_t n = sizeof(type), m = sizeof(accepts);

    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0 && type == SOCK_STREAM &&
           getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &m) == 0 && accepts;
}

int inherited_add(struct inherited *in, int fd, struct err *e)
{
    struct entry entry = { .fd = fd };
    socklen_t n = sizeof(entry.address);
    int rc = 0;

    if (!is_listening(fd) || getsockname(fd, (struct sockaddr *)&entry.address, &n) < 0 ||
        (entry.address.ss_family != AF_INET && entry.address.ss_family != AF_INET6))
        rc = err_set(e, ERR_INVALID, "descriptor %d: should be a TCP socket that listens", fd);
    else if (mem_grow(&in->v, &in->cap, in->n + 1, sizeof(*in->v)) < 0)
        rc = err_set(e, ERR_NOMEM, "no memory for a listening socket");
    if (rc < 0) {
        close(fd);
        return rc;
    }
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    in->v[in->n++] = entry;
    return 0;
}

size_t inherited_count(const struct inherited *in)
{
    return in->n;
}

static bool is_same(const struct sockaddr *x, const struct sockaddr *y)
{
    const struct sockaddr_in *x4 = (const void *)x, *y4 = (const void *)y;
    const struct sockaddr_in6 *x6 = (const void *)x, *y6 = (const void *)y;

    if (x->sa_family != y->sa_family)
        return false;
    if (x->sa_family == AF_INET)
        return x4->sin_port == y4->sin_port && x4->sin_addr.s_addr == y4->sin_addr.s_addr;
    return x6->sin6_port == y6->sin6_port && x6->sin6_scope_id == y6->sin6_scope_id &&
           memcmp(&x6->sin6_addr, &y6->sin6_addr, sizeof(x6->sin6_addr)) == 0;
}

size_t inherited_take(struct inherited *in, const struct sockaddr *address, int *fds, size_t most)
{
    size_t taken = 0, left = 0;

    if (!in)
        return 0;
    for (size_t i = 0; i < in->n; i++)
        if (taken < most && is_same((const struct sockaddr *)&in->v[i].address, address))
            fds[taken++] = in->v[i].fd;
        else
            in->v[left++] = in->v[i];
    in->n = left;
    return taken;
}

void inherited_free(struct inherited *in)
{
    if (!in)
        return;
    for (size_t i = 0; i < in->n; i++)
        close(in->v[i].fd);
    mem_free(in->v);
    mem_free(in);
}
