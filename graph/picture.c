/* picture.c: SVG and PNG, drawn by Graphviz' own program, `dot`.
 *
 * Problem    Drawing in the server would load Pango, Cairo and Fontconfig (10 MiB that stay); Graphviz 2.42's drawing leaks
 *            some KiB each time; its time cannot be bounded from within; and a server should not fall with a drawing.
 * Idea       A child process draws. fork alone would not do: in a process with threads the child may find a lock held
 *            for ever. posix_spawn starts `dot` instead, the same libgvc behind it.
 * Bound      LIMIT_S seconds, then it is killed; the picture may be as large as the caller's buffer.
 *
 * The child's input and its complaints are files in memory, its output is a pipe: nobody waits for the other. It gets
 * no other descriptor of ours. */
#include "graph/graph-internal.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LIMIT_S = 30 };

struct drawing {
    int in, out[2], complaints; /* -1: not open */
    pid_t child;
};

static int write_all(int fd, struct str s)
{
    while (s.n > 0) {
        ssize_t n = write(fd, s.p, s.n);

        if (n < 0 && errno != EINTR)
            return ERR_IO;
        s = str_from(s, n > 0 ? (size_t)n : 0);
    }
    return lseek(fd, 0, SEEK_SET) < 0 ? ERR_IO : 0;
}

static int open_files(struct drawing *d, struct str dot)
{
    d->in = memfd_create("dot", MFD_CLOEXEC);
    d->complaints = memfd_create("complaints", MFD_CLOEXEC);
    if (d->in < 0 || d->complaints < 0 || pipe2(d->out, O_CLOEXEC) < 0)
        return ERR_IO;
    return write_all(d->in, dot);
}

static void close_files(struct drawing *d)
{
    const int fds[] = { d->in, d->complaints, d->out[0], d->out[1] };

    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

/* 0 or an errno. */
static int spawn(struct drawing *d, const char *engine, const char *format)
{
    char program[] = "dot", by[16], as[16];
    char *const argv[] = { program, by, as, NULL };
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    int rc;

    snprintf(by, sizeof(by), "-K%s", engine);
    snprintf(as, sizeof(as), "-T%s", format);
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawn_file_actions_init(&files);
    rc = posix_spawn_file_actions_adddup2(&files, d->in, STDIN_FILENO);
    rc = rc ? rc : posix_spawn_file_actions_adddup2(&files, d->out[1], STDOUT_FILENO);
    rc = rc ? rc : posix_spawn_file_actions_adddup2(&files, d->complaints, STDERR_FILENO);
    rc = rc ? rc : posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
    rc = rc ? rc : posix_spawnp(&d->child, program, &files, &attributes, argv, environ);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    return rc;
}

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
            return err_set(e, ERR_LIMIT, "graph: the picture has more than %zu bytes", out->max);
    }
}

/* The first line of what `dot` had to say. */
static struct str complaint(const struct drawing *d, char *text, size_t room)
{
    ssize_t n = pread(d->complaints, text, room, 0);
    struct str s = { text, n > 0 ? (size_t)n : 0 };

    return s.n ? str_cut(&s, '\n') : STR("it says nothing");
}

static int collect(struct drawing *d, struct buf *out, struct err *e)
{
    char text[200];
    int status = 0, rc = read_all(d->out[0], out, e);

    if (rc < 0)
        kill(d->child, SIGKILL);
    while (waitpid(d->child, &status, 0) < 0 && errno == EINTR)
        continue;
    if (rc == 0 && !(WIFEXITED(status) && WEXITSTATUS(status) == 0)) {
        struct str why = complaint(d, text, sizeof(text));

        rc = err_set(e, ERR_UNSUPPORTED, "graph: dot failed to draw it: %.*s", STR_ARG(why));
    }
    return rc;
}

static int draw(struct drawing *d, struct str dot, const char *engine, const char *format, struct buf *out,
                struct err *e)
{
    int rc;

    if (open_files(d, dot) < 0)
        return err_set(e, ERR_IO, "graph: files for the picture: %m");
    rc = spawn(d, engine, format);
    if (rc == ENOENT)
        return err_set(e, ERR_UNSUPPORTED, "graph: pictures are drawn by the program dot, which is not here (Debian's "
                                           "package graphviz has it)");
    if (rc)
        return err_set(e, ERR_IO, "graph: starting dot: %s", strerror(rc));
    close(d->out[1]); /* or its end would never be seen */
    d->out[1] = -1;
    return collect(d, out, e);
}

int picture_draw(struct str dot, const char *engine, const char *format, struct buf *out, struct err *e)
{
    struct drawing d = { -1, { -1, -1 }, -1, 0 };
    int rc = draw(&d, dot, engine, format, out, e);

    close_files(&d);
    return rc;
}
