/* platform.c: vigla mesh up: the Deployments of the mesh as processes of this machine.
 *
 * A small kubelet. A thread watches the server's objects by long polls; the main loop compares the Deployments with the
 * Pods that run, starts and ends Pods, watches their health, and tells the server of every change. Pods that an earlier
 * platform left behind in the server are removed. */
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "cmd/client-internal.h"
#include "cmd/command-internal.h"
#include "cmd/pod-internal.h"
#include "cmd/podspec-internal.h"
#include "cmd/statedir-internal.h"

#include <event2/thread.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FAILED_PAUSE_MS = 5000 };

struct platform {
    struct session *session;
    struct pod_setting set;
    struct images images;
    struct pod *pods;
    struct arena arena;           /* the objects as they were last heard */
    struct mesh_objects objects;
    struct event *news;           /* the watcher has something */
    int64_t failed_ms;            /* monotonic; when a Pod could last not be made */
    bool ending, all_ready_told;
    int64_t end_by_ms;
    pthread_mutex_t lock;         /* guards what follows */
    struct buf heard;
    bool fresh;                   /* `heard` was not looked at yet; it may be empty: all objects are gone */
};

/* --- watching --------------------------------------------------------------------------------------------------- */

static void *watch(void *arg)
{
    struct platform *pf = arg;
    uint64_t version = 0;

    for (;;) {
        char path[96];
        struct client_reply reply;

        snprintf(path, sizeof(path), "/api/mesh/snapshot?version=%" PRIu64 "&wait=20s", version);
        if (client_call(pf->set.server, &(struct client_call){ .method = "GET", .path = path }, &reply, NULL) < 0) {
            usleep(300000);
            continue;
        }
        if (reply.status == 200) {
            version = reply.version;
            pthread_mutex_lock(&pf->lock);
            buf_free(&pf->heard);
            pf->heard = reply.body;
            pf->fresh = true;
            pthread_mutex_unlock(&pf->lock);
            event_active(pf->news, EV_READ, 0);
        } else {
            buf_free(&reply.body);
            if (reply.status != 304)
                usleep(300000);
        }
    }
    return NULL;
}

/* --- comparing what should run with what runs --------------------------------------------------------------------- */

static bool injected(const struct platform *pf, const struct mesh_object *deployment)
{
    const struct yaml_node *wish = yaml_path(deployment->root, "spec.template.metadata");
    const struct yaml_node *notes[] = { yaml_get(wish, "labels"), yaml_get(wish, "annotations") };

    for (size_t i = 0; i < 2; i++) {
        struct str word = yaml_text(yaml_get(notes[i], "sidecar.istio.io/inject"));

        if (word.n)
            return str_eq(word, STR("true"));
    }
    for (size_t i = 0; i < pf->objects.n; i++) {
        const struct mesh_object *o = &pf->objects.v[i];

        if (str_eq(o->kind, STR("Namespace")) && str_eq(o->name, deployment->ns))
            return str_eq(labels_get(o->labels, STR("istio-injection")), STR("enabled"));
    }
    return false;
}

static const struct mesh_object *find_deployment(const struct platform *pf, const struct pod *p)
{
    for (size_t i = 0; i < pf->objects.n; i++) {
        const struct mesh_object *o = &pf->objects.v[i];

        if (str_eq(o->kind, STR("Deployment")) && str_eq(o->name, p->deployment) && str_eq(o->ns, p->ns))
            return o;
    }
    return NULL;
}

static unsigned replicas(const struct mesh_object *deployment)
{
    const struct yaml_node *n = yaml_path(deployment->root, "spec.replicas");

    return n && n->kind == YAML_NUMBER && n->number >= 0 && n->number <= 1000 ? (unsigned)n->number : 1;
}

static bool belongs(const struct pod *p, const struct mesh_object *d)
{
    return p->state < POD_ENDING && str_eq(p->deployment, d->name) && str_eq(p->ns, d->ns);
}

static void start_missing(struct platform *pf, const struct mesh_object *d)
{
    uint64_t hash = podspec_hash(d);
    unsigned running = 0, wanted = replicas(d);

    for (struct pod *p = pf->pods; p; p = p->next)
        running += belongs(p, d) && p->template_hash == hash;
    for (; running < wanted; running++) {
        struct err e = ERR_INIT;
        struct pod *p = pod_new(&pf->set, d, injected(pf, d), &pf->images, &pf->objects, &e);

        if (!p) {
            log_error("%s; trying again in %d s", e.msg, FAILED_PAUSE_MS / 1000);
            pf->failed_ms = clock_mono_ns() / 1000000;
            return;
        }
        p->next = pf->pods;
        pf->pods = p;
    }
}

/* Too many, or of a template that is no more and whose successors are ready: a rolling update. */
static void end_superfluous(struct platform *pf, const struct mesh_object *d)
{
    uint64_t hash = podspec_hash(d);
    unsigned ready = 0, current = 0, wanted = replicas(d);

    for (struct pod *p = pf->pods; p; p = p->next)
        ready += belongs(p, d) && p->template_hash == hash && p->state == POD_READY;
    for (struct pod *p = pf->pods; p; p = p->next) {
        if (!belongs(p, d))
            continue;
        if (p->template_hash == hash ? ++current > wanted : ready >= wanted)
            pod_end(p);
    }
}

static void reconcile(struct platform *pf)
{
    bool pausing = pf->failed_ms && clock_mono_ns() / 1000000 - pf->failed_ms < FAILED_PAUSE_MS;

    if (pf->ending)
        return;
    for (size_t i = 0; i < pf->objects.n; i++)
        if (str_eq(pf->objects.v[i].kind, STR("Deployment"))) {
            if (!pausing)
                start_missing(pf, &pf->objects.v[i]);
            end_superfluous(pf, &pf->objects.v[i]);
        }
    for (struct pod *p = pf->pods; p; p = p->next)
        if (p->state < POD_ENDING && !find_deployment(pf, p))
            pod_end(p);
}

/* --- telling the server ------------------------------------------------------------------------------------------- */

static int remove_pod_object(struct platform *pf, struct str ns, struct str name)
{
    struct buf path = BUF_INIT(4096);
    struct client_reply reply;
    int rc;

    buf_printf(&path, "/api/mesh/objects/Pod/%.*s/%.*s", STR_ARG(ns), STR_ARG(name));
    rc = client_call(pf->set.server, &(struct client_call){ .method = "DELETE", .path = buf_cstr(&path),
                                                            .timeout_ms = 2000 }, &reply, NULL);
    buf_free(&path);
    if (rc < 0)
        return rc;
    buf_free(&reply.body);
    return reply.status == 200 || reply.status == 404 ? 0 : ERR_BUSY;
}

/* Objects of Pods that nobody runs: an earlier platform was killed. */
static void remove_orphans(struct platform *pf)
{
    for (size_t i = 0; i < pf->objects.n; i++) {
        const struct mesh_object *o = &pf->objects.v[i];
        const struct yaml_node *notes = yaml_path(o->root, "metadata.annotations");
        bool known = false;

        if (!str_eq(o->kind, STR("Pod")) || !str_eq(yaml_text(yaml_get(notes, "vigla.dev/platform")), STR("local")))
            continue;
        for (struct pod *p = pf->pods; p; p = p->next)
            known |= str_eq(p->name, o->name) && str_eq(p->ns, o->ns);
        if (!known)
            remove_pod_object(pf, o->ns, o->name);
    }
}

static void tell_changes(struct platform *pf)
{
    struct buf stream = BUF_INIT(8 << 20);
    struct client_reply reply;

    for (struct pod *p = pf->pods; p; p = p->next) {
        if (!p->changed)
            continue;
        if (p->state >= POD_ENDING) {
            p->changed = remove_pod_object(pf, p->ns, p->name) < 0;
            continue;
        }
        buf_puts(&stream, stream.n ? "\n---\n" : "");
        pod_object(p, &stream);
    }
    if (stream.n && !buf_failed(&stream) &&
        client_call(pf->set.server, &(struct client_call){ .method = "PUT", .path = "/api/mesh/objects",
                                                           .body = buf_view(&stream), .timeout_ms = 2000 },
                    &reply, NULL) == 0) {
        for (struct pod *p = pf->pods; p && reply.status == 200; p = p->next) {
            if (p->state >= POD_ENDING)
                continue;
            p->announced |= p->changed;
            p->changed = false;
        }
        if (reply.status >= 400)
            log_error("the server refuses the Pods: %.*s", (int)(reply.body.n < 400 ? reply.body.n : 400), reply.body.p);
        buf_free(&reply.body);
    }
    buf_free(&stream);
}

/* --- the loop ----------------------------------------------------------------------------------------------------- */

static void take_news(evutil_socket_t fd, short what, void *arg)
{
    struct platform *pf = arg;
    struct arena arena = ARENA_INIT(512 << 20);
    struct mesh_objects objects = { 0 };
    struct mesh_problems problems;
    struct buf text;
    bool fresh;

    (void)fd;
    (void)what;
    pthread_mutex_lock(&pf->lock);
    text = pf->heard;
    fresh = pf->fresh;
    pf->heard = (struct buf)BUF_INIT(0);
    pf->fresh = false;
    pthread_mutex_unlock(&pf->lock);
    if (!fresh)
        return; /* an earlier call has taken two at once */
    mesh_problems_init(&problems, &arena);
    if (mesh_parse(&arena, STR("server"), buf_view(&text), STR("default"), &objects, &problems) < 0 || problems.errors) {
        log_error("the server's objects cannot be read: %.*s", STR_ARG(problems.n ? problems.v[0].message : STR("no memory")));
        arena_free(&arena);
    } else {
        arena_free(&pf->arena);
        pf->arena = arena;
        pf->objects = objects;
        pf->failed_ms = 0; /* it may go now */
        reconcile(pf);
        remove_orphans(pf);
    }
    buf_free(&text);
}

static void reap(evutil_socket_t fd, short what, void *arg)
{
    struct platform *pf = arg;
    int status;
    pid_t pid;

    (void)fd;
    (void)what;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (struct pod *p = pf->pods; p; p = p->next)
            if (pod_child_ended(p, pid, status))
                break;
}

static void tell_ready(struct platform *pf)
{
    unsigned n = 0;

    for (struct pod *p = pf->pods; p; p = p->next, n++)
        if (p->state != POD_READY || p->changed)
            return;
    if (n == 0 || pf->all_ready_told)
        return;
    pf->all_ready_told = true;
    printf("ready %u pods\n", n);
    fflush(stdout);
}

static void drop_ended(struct platform *pf)
{
    for (struct pod **at = &pf->pods; *at;) {
        struct pod *p = *at;

        if (p->state == POD_ENDED && (!p->changed || pf->ending)) {
            *at = p->next;
            pod_free(p);
        } else {
            at = &p->next;
        }
    }
}

static void tick(evutil_socket_t fd, short what, void *arg)
{
    struct platform *pf = arg;

    (void)fd;
    (void)what;
    for (struct pod *p = pf->pods; p; p = p->next) {
        if (p->state == POD_ANNOUNCED && p->announced)
            pod_run(p);
        pod_tick(p);
    }
    reconcile(pf);
    tell_changes(pf);
    tell_ready(pf);
    drop_ended(pf);
    if (pf->ending && (!pf->pods || clock_mono_ns() / 1000000 > pf->end_by_ms))
        event_base_loopbreak(pf->set.base);
}

static void stop(evutil_socket_t fd, short what, void *arg)
{
    struct platform *pf = arg;

    (void)fd;
    (void)what;
    if (pf->ending)
        event_base_loopbreak(pf->set.base); /* asked twice */
    pf->ending = true;
    pf->end_by_ms = clock_mono_ns() / 1000000 + 8000;
    for (struct pod *p = pf->pods; p; p = p->next)
        pod_end_now(p);
}

static int run_loop(struct platform *pf, struct err *e)
{
    const struct timeval often = { .tv_usec = 50000 };
    struct event *events[] = {
        event_new(pf->set.base, -1, EV_PERSIST, tick, pf),
        evsignal_new(pf->set.base, SIGCHLD, reap, pf),
        evsignal_new(pf->set.base, SIGINT, stop, pf),
        evsignal_new(pf->set.base, SIGTERM, stop, pf),
    };
    pthread_t watcher;

    pf->news = event_new(pf->set.base, -1, EV_PERSIST, take_news, pf);
    for (size_t i = 0; i < 4; i++)
        if (!events[i] || event_add(events[i], i ? NULL : &often) < 0)
            return err_set(e, ERR_NOMEM, "mesh up: no memory for the event loop");
    if (!pf->news || pthread_create(&watcher, NULL, watch, pf) != 0)
        return err_set(e, ERR_NOMEM, "mesh up: no memory for the watcher");
    pthread_detach(watcher); /* it sits in a long poll; it ends with the process */
    event_base_dispatch(pf->set.base);
    for (size_t i = 0; i < 4; i++)
        event_free(events[i]);
    return 0;
}

static const char *own_folder(char out[PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", out, PATH_MAX - 1);

    if (n < 0)
        return ".";
    out[n] = '\0';
    return dirname(out);
}

static int apply_files(struct session *s, const struct option_list *files)
{
    char name[] = "apply", no_wait[] = "--wait=0", flag[] = "-f";
    char *argv[2 * OPTION_LIST_MAX + 3] = { name, no_wait };
    int argc = 2;

    for (size_t i = 0; i < files->n; i++) {
        argv[argc++] = flag;
        argv[argc++] = (char *)(uintptr_t)files->v[i];
    }
    return files->n ? command_apply.run(s, argc, argv) : EXIT_WELL;
}

struct up {
    struct option_list files;
    const char *images, *state, *port_map, *gateway_bind;
};

static int mesh_up(struct session *s, const struct up *up)
{
    struct platform pf = { .session = s, .images = IMAGES_INIT, .lock = PTHREAD_MUTEX_INITIALIZER,
                           .arena = ARENA_INIT(512 << 20) };
    char bin[PATH_MAX], state[PATH_MAX], logs[PATH_MAX + 16];
    struct err e = ERR_INIT;
    int rc, held;

    if (file_mkdirs(up->state, &e) < 0 || images_read(&pf.images, up->images, &e) < 0)
        return command_fail(EXIT_FAILED, &e);
    if (!realpath(up->state, state))
        return err_set(&e, ERR_IO, "mesh up: %s: %m", up->state), command_fail(EXIT_FAILED, &e);
    held = statedir_hold(state, &e);
    if (held < 0)
        return command_fail(EXIT_FAILED, &e);
    rc = apply_files(s, &up->files);
    if (rc)
        return rc;
    statedir_remove_pods(state);
    evthread_use_pthreads();
    snprintf(logs, sizeof(logs), "%s/logs", state);
    pf.set = (struct pod_setting){ .base = event_base_new(), .server = s->server, .bin = own_folder(bin), .state = state,
                                   .gateway_bind = up->gateway_bind, .port_map = up->port_map };
    pf.set.log = podlog_open(s->server, logs, &e);
    if (!pf.set.log || !pf.set.base)
        return command_fail(EXIT_FAILED, &e);
    rc = run_loop(&pf, &e);
    tell_changes(&pf);
    podlog_close(pf.set.log);
    images_free(&pf.images);
    close(held);
    return rc < 0 ? command_fail(EXIT_FAILED, &e) : EXIT_WELL;
}

static int run(struct session *s, int argc, char **argv)
{
    struct up up = { .images = "demo/guestbook/images.yaml", .state = "vigla-mesh", .port_map = "80=8080",
                     .gateway_bind = "127.0.0.1" };
    const struct option options[] = {
        { "filename", 'f', OPTION_LIST, "FILE|DIR|-", "apply these objects first", &up.files },
        { "images", 0, OPTION_TEXT, "FILE", "what to run for an image (demo/guestbook/images.yaml)", &up.images },
        { "state", 0, OPTION_TEXT, "DIR", "vigla-mesh; logs and caches of the Pods", &up.state },
        { "port-map", 0, OPTION_TEXT, "P=Q,...", "80=8080; where gateways listen instead", &up.port_map },
        { "gateway-bind", 0, OPTION_TEXT, "ADDRESS", "127.0.0.1; where gateways listen", &up.gateway_bind },
    };
    int rc = command_options(s, &command_mesh, options, 5,
                             "Runs until Ctrl-C. Each Pod has an address of its own in 127.10.0.0/16, and in a namespace\n"
                             "labelled istio-injection: enabled a vigla-proxy beside it.", &argc, argv);
    struct err e = ERR_INIT;

    if (rc >= 0)
        return rc;
    if (argc == 2 && strcmp(argv[1], "up") == 0)
        return mesh_up(s, &up);
    if (argc == 2 && strcmp(argv[1], "down") == 0)
        return statedir_end(up.state, &e) < 0 ? command_fail(EXIT_FAILED, &e) : EXIT_WELL;
    return command_usage("mesh: should be up or down");
}

const struct command command_mesh = { "mesh", "up|down [-f FILE|DIR]... [OPTION]...", "run the mesh's Deployments as local processes",
                                      run };
