#include "cmd/pod-internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/podspec-internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <unistd.h>

enum { GRACE_MS = 1000, KILL_MS = 5000, MOST_BACKOFF = 5 };

static int64_t now_ms(void)
{
    return clock_mono_ns() / 1000000;
}

static void app_line(void *arg, struct str line)
{
    struct pod *p = arg;
    char *container = arena_cstr(&p->arena, p->container);

    if (container)
        podlog_line(p->set->log, p->name, p->ns, p->deployment, container, line);
}

static void sidecar_line(void *arg, struct str line)
{
    struct pod *p = arg;

    if (str_eq(line, STR("ready")))
        p->sidecar_ready = true;
    else
        podlog_line(p->set->log, p->name, p->ns, p->deployment, "istio-proxy", line);
}

/* A number is ours as long as we hold a port of its address: two platforms on one machine do not mix. */
static int reserve(unsigned number)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(15021) };
    char address[INET_ADDRSTRLEN];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    podspec_address(address, 10, number);
    inet_pton(AF_INET, address, &to.sin_addr);
    if (fd >= 0 && (bind(fd, (struct sockaddr *)&to, sizeof(to)) < 0 || listen(fd, 1) < 0)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static int take_number(struct pod *p, struct err *e)
{
    for (p->number = 1; p->number < POD_MOST; p->number++) {
        p->reservation = reserve(p->number);
        if (p->reservation >= 0)
            return 0;
    }
    return err_set(e, ERR_LIMIT, "%.*s: no free address of %d", STR_ARG(p->name), POD_MOST);
}

struct pod *pod_new(const struct pod_setting *set, const struct mesh_object *deployment, bool injected,
                    const struct images *images, const struct mesh_objects *objects, struct err *e)
{
    struct pod *p = mem_zalloc(sizeof(*p));

    if (!p) {
        err_set(e, ERR_NOMEM, "no memory for a Pod");
        return NULL;
    }
    p->arena = (struct arena)ARENA_INIT(16 << 20);
    p->set = set;
    p->reservation = -1;
    p->injected = injected;
    p->created_ms = clock_now_ms();
    process_init(&p->app, app_line, p);
    process_init(&p->sidecar, sidecar_line, p);
    if (podspec_read(p, deployment, images, e) < 0 || take_number(p, e) < 0 ||
        podspec_environment(p, deployment, objects, e) < 0) {
        pod_free(p);
        return NULL;
    }
    if (p->image->gateway)
        p->injected = false;
    p->changed = true;
    return p;
}

void pod_free(struct pod *p)
{
    if (!p)
        return;
    if (p->reservation >= 0)
        close(p->reservation);
    arena_free(&p->arena);
    mem_free(p);
}

static void start_app(struct pod *p)
{
    char **argv = podspec_command(p);
    struct err e = ERR_INIT;

    p->started_ms = now_ms();
    if (!argv || process_start(&p->app, p->set->base, argv, p->env, podspec_folder(p), &e) < 0)
        log_error("%.*s: %s", STR_ARG(p->name), argv ? e.msg : "no memory for its command line");
}

static void start_sidecar(struct pod *p)
{
    char **argv = podspec_sidecar(p);
    struct err e = ERR_INIT;

    p->sidecar_ready = false;
    if (!argv || process_start(&p->sidecar, p->set->base, argv, p->env, podspec_folder(p), &e) < 0)
        log_error("%.*s: sidecar: %s", STR_ARG(p->name), argv ? e.msg : "no memory for its command line");
}

void pod_run(struct pod *p)
{
    if (p->state != POD_ANNOUNCED)
        return;
    p->state = POD_STARTING;
    if (p->injected || p->image->gateway)
        start_sidecar(p);
    if (!p->image->gateway)
        start_app(p);
}

static bool answers(const char *address, uint16_t port)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool well;

    inet_pton(AF_INET, address, &to.sin_addr);
    well = fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0; /* loopback: at once, either way */
    if (fd >= 0)
        close(fd);
    return well;
}

static bool app_ready(const struct pod *p)
{
    char address[INET_ADDRSTRLEN];

    if (p->app.pid == 0)
        return false;
    podspec_address(address, p->injected ? 11 : 10, p->number);
    for (size_t i = 0; i < p->nports; i++)
        if (!answers(address, pod_host_port(p->ports[i])))
            return false;
    return true;
}

static void become(struct pod *p, enum pod_state state)
{
    p->state = state;
    p->changed = true;
}

/* A process that ran well for a while starts again at once; one that keeps failing waits longer each time. */
static void plan_restart(struct pod *p)
{
    int64_t now = now_ms();

    p->backoff = now - p->started_ms > 30000 ? 0 : p->backoff;
    p->next_start_ms = now + (1000LL << p->backoff);
    if (p->backoff < MOST_BACKOFF)
        p->backoff++;
    p->restarts++;
    if (p->state == POD_READY)
        become(p, POD_STARTING);
}

static void tick_ending(struct pod *p)
{
    int64_t since = now_ms() - p->ending_ms;

    if (p->app.pid == 0 && p->sidecar.pid == 0) {
        p->state = POD_ENDED;
        return;
    }
    if (since < GRACE_MS)
        return;
    process_signal(&p->app, since > GRACE_MS + KILL_MS ? SIGKILL : SIGTERM);
    process_signal(&p->sidecar, since > GRACE_MS + KILL_MS ? SIGKILL : SIGTERM);
}

void pod_tick(struct pod *p)
{
    bool needs_app = !p->image->gateway, needs_sidecar = p->injected || p->image->gateway;

    if (p->state == POD_ENDING) {
        tick_ending(p);
        return;
    }
    if (p->state != POD_STARTING)
        return;
    if (now_ms() >= p->next_start_ms) {
        if (needs_app && p->app.pid == 0)
            start_app(p);
        if (needs_sidecar && p->sidecar.pid == 0)
            start_sidecar(p);
    }
    if ((!needs_app || app_ready(p)) && (!needs_sidecar || (p->sidecar.pid && p->sidecar_ready)))
        become(p, POD_READY);
}

bool pod_child_ended(struct pod *p, pid_t pid, int status)
{
    struct process *child = pid == p->app.pid ? &p->app : pid == p->sidecar.pid ? &p->sidecar : NULL;
    char how[80];

    if (!child)
        return false;
    process_ended(child, status);
    if (p->state == POD_ENDING)
        return true;
    process_status_text(how, status);
    log_warn("%.*s: %s ended: %s; it is started again", STR_ARG(p->name),
             child == &p->app ? "the application" : "the sidecar", how);
    plan_restart(p);
    return true;
}

void pod_end(struct pod *p)
{
    if (p->state == POD_ENDING || p->state == POD_ENDED)
        return;
    become(p, POD_ENDING);
    p->ending_ms = now_ms();
}

void pod_end_now(struct pod *p)
{
    pod_end(p);
    p->ending_ms = now_ms() - GRACE_MS;
    tick_ending(p);
}
