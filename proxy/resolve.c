/* resolve.c: getaddrinfo in a thread of its own.
 *
 * The thread cannot be interrupted, so neither side may wait for the other: whoever comes second frees.
 *
 *   ASKING --thread has the answer--> ANSWERED --resolve_free--> (freed by the caller)
 *   ASKING --resolve_free--> ABANDONED --thread has the answer--> (freed by the thread) */
#include "proxy/resolve-internal.h"

#include "base/mem.h"

#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { ASKING, ANSWERED, ABANDONED };

struct resolve {
    char host[256], port[8];
    int rc;                    /* getaddrinfo's; valid from ANSWERED on, as is `answer` */
    struct addrinfo *answer;
    atomic_int state;
};

static void ask(struct resolve *r, int flags)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = flags };

    r->rc = getaddrinfo(r->host, r->port, &hints, &r->answer);
}

static void release(struct resolve *r)
{
    if (r->answer)
        freeaddrinfo(r->answer);
    mem_free(r);
}

static void *run(void *arg)
{
    struct resolve *r = arg;
    int asking = ASKING;

    ask(r, AI_ADDRCONFIG);
    if (!atomic_compare_exchange_strong(&r->state, &asking, ANSWERED))
        release(r);
    return NULL;
}

struct resolve *resolve_start(const char *host, const char *port, struct err *e)
{
    struct resolve *r = mem_zalloc(sizeof(*r));
    pthread_t thread;

    if (!r) {
        err_set(e, ERR_NOMEM, "%s: no memory to look it up", host);
        return NULL;
    }
    snprintf(r->host, sizeof(r->host), "%s", host);
    snprintf(r->port, sizeof(r->port), "%s", port);
    ask(r, AI_NUMERICHOST);
    if (r->rc == 0) {
        atomic_store(&r->state, ANSWERED);
        return r;
    }
    if (pthread_create(&thread, NULL, run, r) != 0) {
        err_set(e, ERR_IO, "%s: no thread to look it up: %m", host);
        mem_free(r);
        return NULL;
    }
    pthread_detach(thread);
    return r;
}

int resolve_poll(struct resolve *r, unsigned which, struct sockaddr_storage *to, socklen_t *n, struct err *e)
{
    const struct addrinfo *a;
    unsigned count = 0;

    if (atomic_load(&r->state) == ASKING)
        return 0;
    if (r->rc != 0)
        return err_set(e, ERR_NOTFOUND, "%s: %s", r->host, gai_strerror(r->rc));
    for (a = r->answer; a; a = a->ai_next)
        count++;
    a = r->answer;
    for (which %= count; which > 0; which--)
        a = a->ai_next;
    memcpy(to, a->ai_addr, a->ai_addrlen);
    *n = a->ai_addrlen;
    return 1;
}

void resolve_free(struct resolve *r)
{
    int asking = ASKING;

    if (r && !atomic_compare_exchange_strong(&r->state, &asking, ABANDONED))
        release(r);
}
