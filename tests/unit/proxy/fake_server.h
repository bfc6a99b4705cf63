/* fake_server.h: an OTLP server in threads of the test, which does with its n-th request what a script says. */
#ifndef TESTS_UNIT_PROXY_FAKE_SERVER_H
#define TESTS_UNIT_PROXY_FAKE_SERVER_H

#include "base/num.h"
#include "base/str.h"
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

struct step {
    bool hang_up_early;  /* closes after a few bytes of the request */
    const char *answer;  /* NULL: closes without an answer */
    bool hang_up;        /* closes after the answer */
    bool in_pieces;      /* sends the answer byte by byte */
};

#define ANSWER_OK "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

struct seen {
    char path[32], sender[128];
    uint64_t number;
    char *body;
    size_t n;
    bool acknowledged;   /* the answer was a 200, sent whole */
};

enum { MOST_SEEN = 4096, MOST_CONNECTIONS = 64 };

struct fake_server {
    int fd;
    unsigned port;
    const struct step *script; /* then it acknowledges all */
    size_t nscript;
    pthread_mutex_t lock;      /* of what follows */
    size_t step, nseen, nthreads;
    struct seen seen[MOST_SEEN];
    int connections[MOST_CONNECTIONS];
    pthread_t threads[MOST_CONNECTIONS], acceptor;
};

struct fake_connection {
    struct fake_server *server;
    int fd;
};

static inline struct str fake_header(struct str head, const char *name)
{
    while (head.p) {
        struct str line = str_cut(&head, '\n'), key;

        if (str_ends(line, STR("\r")))
            line.n--;
        key = str_cut(&line, ':');
        if (str_ieq(key, str_of(name)))
            return str_trim(line);
    }
    return STR_NULL;
}

static inline bool fake_send(int fd, const struct step *step)
{
    size_t n = strlen(step->answer), by = step->in_pieces ? 1 : n;

    for (size_t at = 0; at < n; at += by)
        if (send(fd, step->answer + at, by, MSG_NOSIGNAL) != (ssize_t)by)
            return false;
    return true;
}

/* Notes the request; its body is read by then. Returns where it is noted. */
static inline struct seen *fake_note(struct fake_server *s, struct str head, char *body, size_t n)
{
    struct str line = head, path;
    struct seen *seen = &s->seen[s->nseen++];

    ck_assert_uint_lt(s->nseen, MOST_SEEN);
    str_cut(&line, ' ');
    path = str_cut(&line, ' ');
    snprintf(seen->path, sizeof(seen->path), "%.*s", STR_ARG(path));
    snprintf(seen->sender, sizeof(seen->sender), "%.*s", STR_ARG(fake_header(head, "Vigla-Sender")));
    if (!num_u64(fake_header(head, "Vigla-Batch"), &seen->number))
        seen->number = 0;
    seen->body = body;
    seen->n = n;
    return seen;
}

/* One request. False: the connection is to be closed. */
static inline bool fake_request(struct fake_server *s, int fd)
{
    static const struct step ok = { .answer = ANSWER_OK };
    const struct step *step;
    struct seen *seen;
    char head[4096];
    uint64_t length;
    size_t n = 0;
    char *body;

    while (n < 4 || memcmp(head + n - 4, "\r\n\r\n", 4) != 0)
        if (n == sizeof(head) || recv(fd, head + n++, 1, 0) != 1)
            return false;
    pthread_mutex_lock(&s->lock);
    step = s->step < s->nscript ? &s->script[s->step] : &ok;
    s->step++;
    pthread_mutex_unlock(&s->lock);
    ck_assert(num_u64(fake_header((struct str){ head, n }, "Content-Length"), &length));
    if (step->hang_up_early)
        return false;
    body = malloc(length + 1);
    if (length && recv(fd, body, length, MSG_WAITALL) != (ssize_t)length) {
        free(body);
        return false;
    }
    pthread_mutex_lock(&s->lock);
    seen = fake_note(s, (struct str){ head, n }, body, length);
    seen->acknowledged = step->answer && strstr(step->answer, " 200 ") && fake_send(fd, step);
    pthread_mutex_unlock(&s->lock);
    if (step->answer && !seen->acknowledged)
        fake_send(fd, step);
    return step->answer && !step->hang_up;
}

static inline void *fake_serve(void *arg)
{
    struct fake_connection *c = arg;

    while (fake_request(c->server, c->fd))
        ;
    shutdown(c->fd, SHUT_RDWR); /* closed by fake_server_stop: the number must not go to another before */
    free(c);
    return NULL;
}

static inline void *fake_accept(void *arg)
{
    struct fake_server *s = arg;
    int fd;

    while ((fd = accept(s->fd, NULL, NULL)) >= 0) {
        struct fake_connection *c = malloc(sizeof(*c));

        *c = (struct fake_connection){ s, fd };
        ck_assert_uint_lt(s->nthreads, MOST_CONNECTIONS);
        s->connections[s->nthreads] = fd;
        pthread_create(&s->threads[s->nthreads++], NULL, fake_serve, c);
    }
    return NULL;
}

static inline struct fake_server *fake_server_start(const struct step *script, size_t n)
{
    struct fake_server *s = calloc(1, sizeof(*s));
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t size = sizeof(at);

    s->script = script;
    s->nscript = n;
    pthread_mutex_init(&s->lock, NULL);
    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(s->fd, (struct sockaddr *)&at, size), 0);
    ck_assert_int_eq(listen(s->fd, 16), 0);
    ck_assert_int_eq(getsockname(s->fd, (struct sockaddr *)&at, &size), 0);
    s->port = ntohs(at.sin_port);
    pthread_create(&s->acceptor, NULL, fake_accept, s);
    return s;
}

/* Ends its threads; what it has seen may be looked at without the lock from then on. */
static inline void fake_server_stop(struct fake_server *s)
{
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->acceptor, NULL);
    for (size_t i = 0; i < s->nthreads; i++) {
        shutdown(s->connections[i], SHUT_RDWR);
        pthread_join(s->threads[i], NULL);
        close(s->connections[i]);
    }
    close(s->fd);
}

static inline void fake_server_free(struct fake_server *s)
{
    for (size_t i = 0; i < s->nseen; i++)
        free(s->seen[i].body);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

#endif
