#include "proxy/takeover-internal.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr aligned;
};

bool takeover_send(int link, const char *text, int fd)
{
    union control control = { .bytes = { 0 } };
    char copy[TAKEOVER_MOST];
    struct iovec piece = { copy, strnlen(text, sizeof(copy)) };
    struct msghdr m = { .msg_iov = &piece, .msg_iovlen = 1 };
    struct cmsghdr *c;

    memcpy(copy, text, piece.iov_len);
    if (fd >= 0) {
        m.msg_control = control.bytes;
        m.msg_controllen = sizeof(control.bytes);
        c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(fd));
        memcpy(CMSG_DATA(c), &fd, sizeof(fd));
    }
    return sendmsg(link, &m, MSG_NOSIGNAL) >= 0;
}

int takeover_receive(int link, struct takeover_message *out)
{
    union control control;
    struct iovec piece = { out->text, sizeof(out->text) - 1 };
    struct msghdr m = { .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control.bytes,
                        .msg_controllen = sizeof(control.bytes) };
    ssize_t n;

    do
        n = recvmsg(link, &m, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return (int)n;
    out->text[n] = '\0';
    out->fd = -1;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
            memcpy(&out->fd, CMSG_DATA(c), sizeof(int));
    return 1;
}
