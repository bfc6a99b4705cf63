/* key_server.h: an HTTP server in a thread of the test, by http or https: a script says what a path is answered with. */
#ifndef TESTS_UNIT_PROXY_KEY_SERVER_H
#define TESTS_UNIT_PROXY_KEY_SERVER_H

#include "base/str.h"
#include "tests/unit/proxy/certificate.h"

#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

struct page {
    const char *path;
    const char *answer; /* "%u": the server's port. NULL: none, until the test ends */
    bool abrupt;        /* https: ends without TLS' own end */
};

struct key_server {
    int fd, stop[2];
    unsigned port;
    SSL_CTX *tls; /* NULL: http */
    const struct page *pages;
    size_t npages;
    atomic_uint asked;
    pthread_t thread;
};

/* One connection. */
struct key_caller {
    int fd;
    SSL *tls;
};

static inline int key_server_read(struct key_caller *c, char *to, size_t n)
{
    return c->tls ? SSL_read(c->tls, to, (int)n) : (int)read(c->fd, to, n);
}

static inline void key_server_give(struct key_caller *c, const char *p, size_t n)
{
    ssize_t sent = c->tls ? SSL_write(c->tls, p, (int)n) : send(c->fd, p, n, MSG_NOSIGNAL);

    (void)sent; /* who has gone away need not be told */
}

static inline void key_server_answer(struct key_server *s, struct key_caller *c, struct str path)
{
    for (size_t i = 0; i < s->npages; i++) {
        const struct page *page = &s->pages[i];
        struct pollfd until = { .fd = s->stop[0], .events = POLLIN };
        const char *at = page->answer ? strstr(page->answer, "%u") : NULL;
        char text[4096];
        int n;

        if (!str_eqz(path, page->path))
            continue;
        if (!page->answer) {
            poll(&until, 1, -1);
            return;
        }
        n = at ? snprintf(text, sizeof(text), "%.*s%u%s", (int)(at - page->answer), page->answer, s->port, at + 2)
               : snprintf(text, sizeof(text), "%s", page->answer);

        key_server_give(c, text, (size_t)n);
        if (c->tls && !page->abrupt)
            SSL_shutdown(c->tls);
        return;
    }
    key_server_give(c, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 45);
}

static inline void key_server_serve(struct key_server *s, struct key_caller *c)
{
    char head[4096];
    struct str rest = { head, 0 };

    if (c->tls && SSL_accept(c->tls) != 1)
        return;
    do {
        int got = key_server_read(c, head + rest.n, sizeof(head) - rest.n);

        if (got <= 0)
            return;
        rest.n += (size_t)got;
    } while (!str_ends(rest, STR("\r\n\r\n")));
    atomic_fetch_add(&s->asked, 1);
    str_cut(&rest, ' ');
    key_server_answer(s, c, str_cut(&rest, ' '));
}

static inline void *key_server_run(void *arg)
{
    struct key_server *s = arg;

    for (;;) {
        struct pollfd p[2] = { { .fd = s->stop[0], .events = POLLIN }, { .fd = s->fd, .events = POLLIN } };
        struct key_caller c = { -1, NULL };

        poll(p, 2, -1);
        if (p[0].revents)
            return NULL;
        c.fd = accept(s->fd, NULL, NULL);
        if (c.fd < 0)
            continue;
        if (s->tls) {
            c.tls = SSL_new(s->tls);
            SSL_set_fd(c.tls, c.fd);
        }
        key_server_serve(s, &c);
        SSL_free(c.tls);
        close(c.fd);
    }
}

static inline SSL_CTX *key_server_tls(const struct buf *cert, const struct buf *key)
{
    BIO *c = BIO_new_mem_buf(cert->p, (int)cert->n), *k = BIO_new_mem_buf(key->p, (int)key->n);
    X509 *x = PEM_read_bio_X509(c, NULL, NULL, NULL);
    EVP_PKEY *own = PEM_read_bio_PrivateKey(k, NULL, NULL, NULL);
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    ck_assert_int_eq(SSL_CTX_use_certificate(ctx, x), 1);
    ck_assert_int_eq(SSL_CTX_use_PrivateKey(ctx, own), 1);
    X509_free(x);
    EVP_PKEY_free(own);
    BIO_free(c);
    BIO_free(k);
    return ctx;
}

/* `cert` NULL: http. Pages outlive it. */
static inline void key_server_start(struct key_server *s, const struct page *pages, size_t n, const struct buf *cert,
                                    const struct buf *key)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof(at);

    *s = (struct key_server){ .pages = pages, .npages = n };
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(s->fd, (struct sockaddr *)&at, sizeof(at)), 0);
    ck_assert_int_eq(listen(s->fd, 16), 0);
    ck_assert_int_eq(getsockname(s->fd, (struct sockaddr *)&at, &size), 0);
    s->port = ntohs(at.sin_port);
    s->tls = cert ? key_server_tls(cert, key) : NULL;
    ck_assert_int_eq(pipe(s->stop), 0);
    ck_assert_int_eq(pthread_create(&s->thread, NULL, key_server_run, s), 0);
}

static inline void key_server_stop(struct key_server *s)
{
    ck_assert_int_eq(write(s->stop[1], "", 1), 1);
    pthread_join(s->thread, NULL);
    SSL_CTX_free(s->tls);
    close(s->fd);
    close(s->stop[0]);
    close(s->stop[1]);
}

#endif
