/* picture.c: SVG and PNG, drawn by libgvc in a child process.
 *
 * Problem    Drawing loads Pango, Cairo and Fontconfig (10 MiB that stay), and Graphviz 2.42's drawing leaks some KiB each
 *            time; its time cannot be bounded from within; and a server should not fall with a drawing.
 * Idea       fork, draw, write down a pipe, _exit. The child has the parent's memory as it was, so nothing needs to be
 *            told to it but what is there already. It dies with its parent, and after LIMIT_S seconds of work or waiting.
 * Why it may After fork in a process with threads only the forking one goes on, and a lock that another one held would
 *            never be released. glibc keeps its own (malloc, stdio) usable; Graphviz and what it loads are only ever used
 *            between gv_lock and gv_unlock, and fork happens there. The child touches nothing else.
 *
 * Down the pipe: '+' and the picture, or '-' and a sentence. */
#include "graph/graph-internal.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LIMIT_S = 30 };

/* ---- the child ------------------------------------------------------------------------------------------------- */

static int draw(struct str dot, const char *engine, const char *format, struct buf *out, struct err *e)
{
    Agraph_t *g = gv_read(dot);

    if (!g)
        return err_set(e, ERR_UNSUPPORTED, "graph: Graphviz cannot read it: %s", gv_complaint());
    if (gv_layout(g, engine, e) < 0)
        return e->code;
    return gv_render(g, format, out, e);
}

static void write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t k = write(fd, p, n);

        if (k < 0 && errno != EINTR)
            _exit(1);
        p += k > 0 ? k : 0;
        n -= k > 0 ? (size_t)k : 0;
    }
}

static _Noreturn void be_child(int fd, pid_t parent, struct str dot, const char *engine, const char *format)
{
    static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGCHLD, SIGUSR1, SIGUSR2 };
    struct rlimit cpu = { LIMIT_S, LIMIT_S + 1 };
    struct buf out = BUF_INIT(1 << 30); /* the parent stops reading when it has enough */
    struct err e = ERR_INIT;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        signal(signals[i], SIG_DFL); /* the handlers are the server's */
    setrlimit(RLIMIT_CPU, &cpu);
    if (draw(dot, engine, format, &out, &e) < 0) {
        write_all(fd, "-", 1);
        write_all(fd, e.msg, strlen(e.msg));
    } else {
        write_all(fd, "+", 1);
        write_all(fd, out.p, out.n);
    }
    _exit(0);
}

/* ---- the parent ------------------------------------------------------------------------------------------------ */

/* Reads to the end. 0, ERR_TIMEOUT, ERR_LIMIT (the buffer's ceiling) or ERR_IO. */
static int read_all(int fd, struct buf *out, struct err *e)
{
    int64_t end = clock_mono_ns() + (int64_t)LIMIT_S * 1000000000;

    for (;;) {
        struct pollfd p = { fd, POLLIN, 0 };
        int64_t left = (end - clock_mono_ns()) / 1000000;
        char piece[65536];
        ssize_t n;

        if (left <= 0 || poll(&p, 1, (int)left) == 0)
            return err_set(e, ERR_TIMEOUT, "graph: drawing took more than %d s: ask for fewer namespaces", LIMIT_S);
        n = read(fd, piece, sizeof(piece));
        if (n == 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return err_set(e, ERR_IO, "graph: reading the picture: %m");
        if (n > 0)
            buf_put(out, piece, (size_t)n);
        if (buf_failed(out))
            return err_set(e, ERR_LIMIT, "graph: the picture has more than %zu bytes", out->max - 1);
    }
}

/* What the child sent, and how it ended. */
static int judge(const struct buf *answer, int status, struct buf *out, struct err *e)
{
    struct str rest = str_from(buf_view(answer), 1);

    if (answer->n > 1 && answer->p[0] == '-')
        return err_set(e, ERR_UNSUPPORTED, "%.*s", STR_ARG(rest));
    if (answer->n < 2 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return err_set(e, ERR_UNSUPPORTED, "graph: Graphviz failed to draw it (%s %d)",
                       WIFSIGNALED(status) ? "signal" : "status",
                       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    buf_str(out, rest);
    return buf_failed(out) ? err_set(e, ERR_LIMIT, "graph: the picture has more than %zu bytes", out->max) : 0;
}

static int collect(int fd, pid_t child, struct buf *out, struct err *e)
{
    struct buf answer = BUF_INIT(out->max + 1);
    int status = 0, rc = read_all(fd, &answer, e);

    if (rc < 0)
        kill(child, SIGKILL);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    if (rc == 0)
        rc = judge(&answer, status, out, e);
    buf_free(&answer);
    return rc;
}

int picture_draw(struct str dot, const char *engine, const char *format, struct buf *out, struct err *e)
{
    pid_t parent = getpid(), child;
    int fd[2], rc;

    if (pipe2(fd, O_CLOEXEC) < 0)
        return err_set(e, ERR_IO, "graph: a pipe for the picture: %m");
    gv_lock();
    child = fork();
    if (child == 0) {
        close(fd[0]);
        be_child(fd[1], parent, dot, engine, format);
    }
    gv_unlock();
    close(fd[1]);
    rc = child < 0 ? err_set(e, ERR_IO, "graph: a process for the picture: %m") : collect(fd[0], child, out, e);
    close(fd[0]);
    return rc;
}
