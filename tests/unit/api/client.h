/* client.h: a blocking HTTP client for tests: one request, one answer, one connection.
 *
 * It takes its memory from malloc, not from base/mem.h: what a test makes fail is the server's. */
#ifndef TESTS_UNIT_API_CLIENT_H
#define TESTS_UNIT_API_CLIENT_H

#include "base/str.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct answer {
    int status; /* 0: no answer came */
    char *bytes; /* all of it, NUL-terminated; NULL: nothing */
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
    size_t n = 0, cap = 0;
    ssize_t more;
    char *end;

    *a = (struct answer){ 0 };
    do {
        if (cap - n < 16384) {
            cap = 2 * cap + 65536;
            a->bytes = realloc(a->bytes, cap);
        }
        more = recv(fd, a->bytes + n, cap - n - 1, 0);
        n += more > 0 ? (size_t)more : 0;
    } while (more > 0);
    a->bytes[n] = '\0';
    end = strstr(a->bytes, "\r\n\r\n");
    if (strncmp(a->bytes, "HTTP/1.1 ", 9) == 0 && end) {
        a->status = atoi(a->bytes + 9);
        a->headers = (struct str){ a->bytes, (size_t)(end - a->bytes) };
        a->body = (struct str){ end + 4, n - a->headers.n - 4 };
    }
}

/* `headers`: lines that end with \r\n; a Host among them replaces ours. */
static inline struct answer client_ask(uint16_t port, const char *method, const char *path, const char *headers,
                                       struct str body)
{
    int fd = client_connect(port), n;
    char host[64] = "", length[64] = "", *head;
    struct answer a = { 0 };

    if (fd < 0)
        return a;
    if (!strstr(headers, "Host:"))
        snprintf(host, sizeof(host), "Host: 127.0.0.1:%u\r\n", port);
    if (body.p)
        snprintf(length, sizeof(length), "Content-Length: %zu\r\n", body.n);
    n = asprintf(&head, "%s %s HTTP/1.1\r\nConnection: close\r\n%s%s%s\r\n", method, path, headers, host, length);
    client_write(fd, (struct str){ head, (size_t)n });
    client_write(fd, body);
    free(head);
    client_read(fd, &a);
    close(fd);
    return a;
}

static inline void answer_free(struct answer *a)
{
    free(a->bytes);
}

#endif
