#include "cmd/process-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

void process_init(struct process *p, void (*on_line)(void *arg, struct str line), void *arg)
{
    *p = (struct process){ .on_line = on_line, .arg = arg, .fd = -1 };
}

static void give_lines(struct process *p)
{
    struct str rest = { p->line, p->held };

    for (;;) {
        ptrdiff_t at = str_chr(rest, '\n');

        if (at < 0)
            break;
        p->on_line(p->arg, (struct str){ rest.p, (size_t)at });
        rest = str_from(rest, (size_t)at + 1);
    }
    if (rest.n == sizeof(p->line)) {
        p->on_line(p->arg, rest);
        rest.n = 0;
    }
    memmove(p->line, rest.p, rest.n);
    p->held = rest.n;
}

static void close_output(struct process *p)
{
    if (p->held)
        p->on_line(p->arg, (struct str){ p->line, p->held });
    p->held = 0;
    if (p->readable)
        event_free(p->readable);
    p->readable = NULL;
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
}

static void read_output(evutil_socket_t fd, short what, void *arg)
{
    struct process *p = arg;
    ssize_t n = read(fd, p->line + p->held, sizeof(p->line) - p->held);

    (void)what;
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) {
        close_output(p);
        return;
    }
    p->held += (size_t)n;
    give_lines(p);
}

/* Between fork and exec only what is safe after a fork of a threaded program. */
static void become(char *const *argv, char *const *envp, const char *dir, int out, pid_t parent)
{
    sigset_t none;

    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(127); /* the parent died before we asked to be told */
    setpgid(0, 0); /* a Ctrl-C in the terminal is for the parent, which ends its children in order */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    if (dup2(out, STDOUT_FILENO) < 0 || dup2(out, STDERR_FILENO) < 0 || chdir(dir) < 0)
        _exit(127);
    execvpe(argv[0], argv, envp);
    dprintf(STDERR_FILENO, "%s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

int process_start(struct process *p, struct event_base *base, char *const *argv, char *const *envp, const char *dir,
                  struct err *e)
{
    pid_t parent = getpid();
    int ends[2], in;

    close_output(p);
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_set(e, ERR_IO, "%s: pipe: %m", argv[0]);
    in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    p->pid = in < 0 ? -1 : fork();
    if (p->pid == 0) {
        dup2(in, STDIN_FILENO);
        become(argv, envp, dir, ends[1], parent);
    }
    if (in >= 0)
        close(in);
    close(ends[1]);
    if (p->pid < 0) {
        p->pid = 0;
        close(ends[0]);
        return err_set(e, ERR_IO, "%s: cannot start: %m", argv[0]);
    }
    setpgid(p->pid, p->pid); /* the child does so, too: whoever comes first */
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    p->fd = ends[0];
    p->readable = event_new(base, p->fd, EV_READ | EV_PERSIST, read_output, p);
    if (!p->readable || event_add(p->readable, NULL) < 0)
        return err_set(e, ERR_NOMEM, "%s: no memory to read its output", argv[0]);
    return 0;
}

void process_ended(struct process *p, int status)
{
    if (p->fd >= 0)
        read_output(p->fd, 0, p); /* what it said last */
    close_output(p);
    kill(-p->pid, SIGKILL); /* what it started and left behind: it may hold ports that the next one needs */
    p->pid = 0;
    p->status = status;
}

void process_signal(const struct process *p, int signal)
{
    if (p->pid > 0)
        kill(-p->pid, signal);
}

void process_status_text(char out[80], int status)
{
    if (WIFSIGNALED(status))
        snprintf(out, 80, "killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(out, 80, "exit status %d", WEXITSTATUS(status));
}
