#include "cmd/podlog-internal.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/client-internal.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

struct podlog {
    const char *server, *folder;
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake;
    struct buf waiting;   /* resourceLogs, with a comma between two */
    uint64_t lost;
    bool closing;
};

static void append_file(const struct podlog *l, struct str pod, const char *container, struct str line)
{
    char path[PATH_MAX];
    int fd;

    snprintf(path, sizeof(path), "%s/%.*s.%s.log", l->folder, STR_ARG(pod), container);
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    if (dprintf(fd, "%.*s\n", STR_ARG(line)) < 0)
        log_warn("%s: %m", path);
    close(fd);
}

static void attribute(struct buf *b, const char *key, struct str value, bool last)
{
    buf_printf(b, "{\"key\":\"%s\",\"value\":{\"stringValue\":", key);
    buf_json(b, value);
    buf_puts(b, last ? "}}" : "}},");
}

void podlog_line(struct podlog *l, struct str pod, struct str ns, struct str workload, const char *container,
                 struct str line)
{
    struct buf *b = &l->waiting;
    size_t before;

    append_file(l, pod, container, line);
    pthread_mutex_lock(&l->lock);
    before = b->n;
    buf_puts(b, before ? ",{\"resource\":{\"attributes\":[" : "{\"resource\":{\"attributes\":[");
    attribute(b, "k8s.pod.name", pod, false);
    attribute(b, "k8s.namespace.name", ns, false);
    attribute(b, "k8s.deployment.name", workload, false);
    attribute(b, "service.name", workload, false);
    attribute(b, "k8s.container.name", str_of(container), true);
    buf_printf(b, "]},\"scopeLogs\":[{\"logRecords\":[{\"timeUnixNano\":\"%" PRId64 "\",\"body\":{\"stringValue\":",
               clock_now_ns());
    buf_json(b, line);
    buf_puts(b, "}}]}]}");
    if (buf_failed(b)) {
        b->failed = false;
        b->n = before;
        l->lost++;
    }
    pthread_mutex_unlock(&l->lock);
}

/* True when the server has it, or will never take it. */
static bool send_lines(const struct podlog *l, struct str lines)
{
    struct buf body = BUF_INIT(PODLOG_MOST + 64);
    struct client_reply reply;
    bool done = false;

    buf_puts(&body, "{\"resourceLogs\":[");
    buf_str(&body, lines);
    buf_puts(&body, "]}");
    if (client_call(l->server, &(struct client_call){ .method = "POST", .path = "/v1/logs", .body = buf_view(&body),
                                                      .content_type = "application/json", .timeout_ms = 3000 },
                    &reply, NULL) == 0) {
        done = reply.status == 200 || reply.status == 400 || reply.status == 413;
        buf_free(&reply.body);
    }
    buf_free(&body);
    return done;
}

static void *ship(void *arg)
{
    struct podlog *l = arg;
    struct buf sending = BUF_INIT(PODLOG_MOST);
    bool closing = false;

    while (!closing) {
        struct timespec until;

        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec++;
        pthread_mutex_lock(&l->lock);
        if (!l->closing)
            pthread_cond_timedwait(&l->wake, &l->lock, &until);
        closing = l->closing;
        if (sending.n == 0) { /* the two swap: what is under way stays as it is until it arrived */
            struct buf empty = sending;

            sending = l->waiting;
            l->waiting = empty;
            if (l->lost)
                log_warn("%" PRIu64 " lines of Pods were not sent: the server was away", l->lost);
            l->lost = 0;
        }
        pthread_mutex_unlock(&l->lock);
        if (sending.n && send_lines(l, buf_view(&sending)))
            buf_reset(&sending);
    }
    buf_free(&sending);
    return NULL;
}

struct podlog *podlog_open(const char *server, const char *folder, struct err *e)
{
    struct podlog *l = mem_zalloc(sizeof(*l));

    if (!l) {
        err_set(e, ERR_NOMEM, "no memory for the Pods' logs");
        return NULL;
    }
    l->server = server;
    l->folder = folder;
    l->waiting = (struct buf)BUF_INIT(PODLOG_MOST);
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->wake, NULL);
    if (file_mkdirs(folder, e) < 0 || pthread_create(&l->thread, NULL, ship, l) != 0) {
        err_wrap(e, "Pods' logs");
        mem_free(l);
        return NULL;
    }
    return l;
}

void podlog_close(struct podlog *l)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->closing = true;
    pthread_cond_signal(&l->wake);
    pthread_mutex_unlock(&l->lock);
    pthread_join(l->thread, NULL);
    buf_free(&l->waiting);
    pthread_cond_destroy(&l->wake);
    pthread_mutex_destroy(&l->lock);
    mem_free(l);
}
