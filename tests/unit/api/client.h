/* client.h: a blocking HTTP client for tests: one request, one answer, one connection. */
#ifndef TESTS_UNIT_API_CLIENT_H
#define TESTS_UNIT_API_CLIENT_H

#include "base/buf.h"
#include "base/num.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct answer {
    int status; /* 0: no answer came */
    struct buf bytes;
    struct str headers, body;
};

static inline int client_connect(uint16_t port)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct timeval timeout = { 30, 0 };
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
        return fd;
    close(fd);
    return -1;
}

static inline void client_write(int fd, struct str s)
{
    while (s.n) {
        ssize_t n = send(fd, s.p, s.n, MSG_NOSIGNAL);

        if (n <= 0)
            return;
        s = str_from(s, (size_t)n);
    }
}

/* Reads to the end of the connection. */
static inline void client_read(int fd, struct answer *a)
{
    char some[16384];
    ssize_t n;

    *a = (struct answer){ .bytes = BUF_INIT(64 << 20) };
    while ((n = recv(fd, some, sizeof(some), 0)) > 0)
        buf_put(&a->bytes, some, (size_t)n);
    buf_putc(&a->bytes, '\0'); /* for strstr */
    if (str_starts(buf_view(&a->bytes), STR("HTTP/1.1 "))) {
        ptrdiff_t end = str_find(buf_view(&a->bytes), STR("\r\n\r\n"));

        a->status = atoi(a->bytes.p + 9);
        if (end >= 0) {
            a->headers = (struct str){ a->bytes.p, (size_t)end };
            a->body = (struct str){ a->bytes.p + end + 4, a->bytes.n - (size_t)end - 5 };
        }
    }
}

/* `headers`: lines that end with \r\n; a Host among them replaces ours. */
static inline struct answer client_ask(uint16_t port, const char *method, const char *path, const char *headers,
                                       struct str body)
{
    struct buf b = BUF_INIT(64 << 20);
    struct answer a = { 0 };
    int fd = client_connect(port);

    if (fd < 0)
        return a;
    buf_printf(&b, "%s %s HTTP/1.1\r\nConnection: close\r\n%s", method, path, headers);
    if (!strstr(headers, "Host:"))
        buf_printf(&b, "Host: 127.0.0.1:%u\r\n", port);
    if (body.p)
        buf_printf(&b, "Content-Length: %zu\r\n", body.n);
    buf_puts(&b, "\r\n");
    buf_str(&b, body);
    client_write(fd, buf_view(&b));
    buf_free(&b);
    client_read(fd, &a);
    close(fd);
    return a;
}

static inline void answer_free(struct answer *a)
{
    buf_free(&a->bytes);
}

#endif
