#include "cmd/podspec-internal.h"

#include "base/file.h"
#include "base/num.h"
#include "base/rand.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST_ENV = 512, MOST_WORDS = 64, LOW_PORTS = 1024, MOVED_BY = 10000 };

uint16_t pod_host_port(uint16_t port)
{
    return port < LOW_PORTS ? (uint16_t)(port + MOVED_BY) : port;
}

void podspec_address(char out[INET_ADDRSTRLEN], unsigned second, unsigned number)
{
    unsigned x = (number - 1) / 250, y = (number - 1) % 250 + 1;
    struct in_addr address = { htonl(127u << 24 | second << 16 | x << 8 | y) };

    inet_ntop(AF_INET, &address, out, INET_ADDRSTRLEN);
}

uint64_t podspec_hash(const struct mesh_object *deployment)
{
    struct mesh_object template = { .root = yaml_path(deployment->root, "spec.template") };
    struct buf json = BUF_INIT(1 << 20);
    uint64_t hash;

    if (template.root)
        mesh_object_json(&json, &template);
    hash = str_hash_stable(buf_view(&json));
    buf_free(&json);
    return hash;
}

static int read_labels(struct pod *p, const struct yaml_node *node, struct err *e)
{
    size_t n = node ? node->n : 0;
    struct label *v = arena_array(&p->arena, n ? n : 1, sizeof(*v));

    if (!v)
        return err_set(e, ERR_NOMEM, "no memory for a Pod");
    for (size_t i = 0; i < n; i++)
        v[i] = (struct label){ arena_str(&p->arena, node->items[i].key),
                               arena_str(&p->arena, yaml_text(&node->items[i])) };
    if (labels_normalise(v, &n, e) < 0)
        return e->code;
    p->labels = (struct labels){ v, n };
    return 0;
}

static void read_ports(struct pod *p, const struct yaml_node *container)
{
    const struct yaml_node *ports = yaml_get(container, "ports");

    for (size_t i = 0; ports && i < ports->n && p->nports < POD_PORTS; i++) {
        const struct yaml_node *port = yaml_get(&ports->items[i], "containerPort");

        if (port && port->kind == YAML_NUMBER && port->number >= 1 && port->number <= 65535)
            p->ports[p->nports++] = (uint16_t)port->number;
    }
}

int podspec_read(struct pod *p, const struct mesh_object *deployment, const struct images *images, struct err *e)
{
    const struct yaml_node *template = yaml_path(deployment->root, "spec.template");
    const struct yaml_node *containers = yaml_path(template, "spec.containers");
    const struct yaml_node *container = containers && containers->n ? &containers->items[0] : NULL;
    struct str account = yaml_text(yaml_path(template, "spec.serviceAccountName"));
    struct rng rng;
    char random[6];

    if (!container)
        return err_set(e, ERR_INVALID, "Deployment %.*s: no container", STR_ARG(deployment->name));
    rng_seed(&rng);
    rng_hex(&rng, random, 5);
    p->template_hash = podspec_hash(deployment);
    p->ns = arena_str(&p->arena, deployment->ns);
    p->deployment = arena_str(&p->arena, deployment->name);
    p->name = arena_printf(&p->arena, "%.*s-%08" PRIx32 "-%s", STR_ARG(deployment->name), (uint32_t)p->template_hash,
                           random);
    p->account = account.n ? arena_str(&p->arena, account) : STR("default");
    p->container = arena_str(&p->arena, yaml_text(yaml_get(container, "name")));
    p->image_name = arena_str(&p->arena, yaml_text(yaml_get(container, "image")));
    p->image = images_find(images, p->image_name);
    if (!p->image)
        return err_set(e, ERR_NOTFOUND, "Deployment %.*s: image %.*s is not in the map of images (--images FILE)",
                       STR_ARG(deployment->name), STR_ARG(p->image_name));
    read_ports(p, container);
    return read_labels(p, yaml_path(template, "metadata.labels"), e);
}

/* --- environment ------------------------------------------------------------------------------------------------ */

struct env {
    struct arena *arena;
    char **v;
    size_t n;
};

static void env_add(struct env *env, const char *name, struct str value)
{
    struct str line = arena_printf(env->arena, "%s=%.*s", name, STR_ARG(value));

    if (line.p && env->n < MOST_ENV)
        env->v[env->n++] = (char *)(uintptr_t)line.p;
}

static struct str env_get(char *const *env, struct str name)
{
    for (; *env; env++) {
        struct str line = str_of(*env), key = str_cut(&line, '=');

        if (str_eq(key, name))
            return line;
    }
    return STR_NULL;
}

/* "redis-master" → REDIS_MASTER_SERVICE_HOST: the Service's address in this Pod's own net. */
static void env_service(struct env *env, const struct pod *p, const struct mesh_object *service)
{
    const struct yaml_node *ports = yaml_path(service->root, "spec.ports");
    struct str ip = yaml_text(yaml_path(service->root, "spec.clusterIP"));
    char name[80], host[128], port[128], address[64];
    const char *last;
    size_t n = 0;

    for (; n < service->name.n && n + 1 < sizeof(name); n++) {
        char c = service->name.p[n];

        name[n] = c == '-' || c == '.' ? '_' : c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
    }
    name[n] = '\0';
    last = ip.n ? memrchr(ip.p, '.', ip.n) : NULL;
    if (!last || !p->injected)
        return;
    snprintf(address, sizeof(address), "127.%u.%u%.*s", 128 + (p->number - 1) / 250, (p->number - 1) % 250 + 1,
             (int)(ip.p + ip.n - last), last);
    snprintf(host, sizeof(host), "%s_SERVICE_HOST", name);
    snprintf(port, sizeof(port), "%s_SERVICE_PORT", name);
    env_add(env, host, str_of(address));
    if (ports && ports->n) {
        const struct yaml_node *number = yaml_get(&ports->items[0], "port");
        char digits[8];

        snprintf(digits, sizeof(digits), "%u", pod_host_port((uint16_t)(number ? number->number : 0)));
        env_add(env, port, str_of(digits));
    }
}

/* "80=10080,443=10443": the low ports of the Services that are there when the Pod starts; those that come later are not
 * in its environment either. */
static struct str moved_ports(struct arena *a, const struct mesh_objects *objects)
{
    bool seen[LOW_PORTS] = { false };
    struct buf map = BUF_INIT(32 * 1024);
    struct str copy;

    for (size_t i = 0; i < objects->n; i++) {
        const struct yaml_node *ports = yaml_path(objects->v[i].root, "spec.ports");

        for (size_t k = 0; str_eq(objects->v[i].kind, STR("Service")) && ports && k < ports->n; k++) {
            const struct yaml_node *port = yaml_get(&ports->items[k], "port");

            if (!port || port->number < 1 || port->number >= LOW_PORTS || seen[(unsigned)port->number])
                continue;
            seen[(unsigned)port->number] = true;
            buf_printf(&map, "%s%u=%u", map.n ? "," : "", (unsigned)port->number, pod_host_port((uint16_t)port->number));
        }
    }
    copy = arena_str(a, buf_view(&map));
    buf_free(&map);
    return copy;
}

static void env_declared(struct env *env, const struct mesh_object *deployment)
{
    const struct yaml_node *containers = yaml_path(deployment->root, "spec.template.spec.containers");
    const struct yaml_node *list = yaml_get(&containers->items[0], "env");

    for (size_t i = 0; list && i < list->n; i++) {
        struct str name = yaml_text(yaml_get(&list->items[i], "name"));
        char *copy = arena_cstr(env->arena, name);

        if (copy && name.n)
            env_add(env, copy, yaml_text(yaml_get(&list->items[i], "value")));
    }
}

int podspec_environment(struct pod *p, const struct mesh_object *deployment, const struct mesh_objects *objects,
                        struct err *e)
{
    struct env env = { &p->arena, arena_array(&p->arena, MOST_ENV + 1, sizeof(char *)), 0 };
    const char *path = getenv("PATH"), *folder = podspec_folder(p);
    char address[INET_ADDRSTRLEN];

    if (!env.v || !folder)
        return err_set(e, ERR_IO, "%.*s: no folder for it below %s", STR_ARG(p->name), p->set->state);
    p->moved_ports = moved_ports(&p->arena, objects);
    env_declared(&env, deployment);
    for (size_t i = 0; i < objects->n; i++)
        if (str_eq(objects->v[i].kind, STR("Service")) && str_eq(objects->v[i].ns, p->ns))
            env_service(&env, p, &objects->v[i]);
    for (size_t i = 0; i < p->nports; i++) {
        char name[32], digits[8];

        snprintf(name, sizeof(name), "PORT_%u", p->ports[i]);
        snprintf(digits, sizeof(digits), "%u", pod_host_port(p->ports[i]));
        env_add(&env, name, str_of(digits));
    }
    podspec_address(address, p->injected ? 11 : 10, p->number);
    env_add(&env, "APP_ADDRESS", str_of(address));
    podspec_address(address, 10, p->number);
    env_add(&env, "POD_IP", str_of(address));
    env_add(&env, "POD_NAME", p->name);
    env_add(&env, "HOSTNAME", p->name);
    env_add(&env, "BIN", str_of(p->set->bin));
    env_add(&env, "DATA", str_of(folder));
    env_add(&env, "PATH", str_of(path ? path : "/usr/local/bin:/usr/bin:/bin"));
    p->env = env.v;
    return 0;
}

/* --- command lines ---------------------------------------------------------------------------------------------- */

const char *podspec_folder(struct pod *p)
{
    struct str path = arena_printf(&p->arena, "%s/pods/%.*s", p->set->state, STR_ARG(p->name));

    return path.p && file_mkdirs(path.p, NULL) == 0 ? path.p : NULL;
}

static char *expand(struct pod *p, struct str word)
{
    struct buf b = BUF_INIT(64 * 1024);
    char *copy;

    while (word.n) {
        ptrdiff_t from = str_find(word, STR("${")), to;

        to = from < 0 ? -1 : str_chr(str_from(word, (size_t)from), '}');
        if (to < 0)
            break;
        buf_put(&b, word.p, (size_t)from);
        buf_str(&b, env_get(p->env, (struct str){ word.p + from + 2, (size_t)to - 2 }));
        word = str_from(word, (size_t)(from + to + 1));
    }
    buf_str(&b, word);
    copy = buf_failed(&b) ? NULL : arena_cstr(&p->arena, buf_view(&b));
    buf_free(&b);
    return copy;
}

char **podspec_command(struct pod *p)
{
    char **argv = arena_array(&p->arena, p->image->n + 1, sizeof(*argv));

    for (size_t i = 0; argv && i < p->image->n; i++) {
        argv[i] = expand(p, p->image->words[i]);
        if (!argv[i])
            return NULL;
    }
    return argv;
}

struct words {
    struct arena *arena;
    char **v;
    size_t n;
    bool failed;
};

static void word(struct words *w, struct str text)
{
    char *copy = arena_cstr(w->arena, text);

    w->failed |= !copy || w->n == MOST_WORDS;
    if (!w->failed)
        w->v[w->n++] = copy;
}

static void pair(struct words *w, const char *flag, struct str value)
{
    word(w, str_of(flag));
    word(w, value);
}

static void gateway_words(struct words *w, const struct pod *p, struct str workload)
{
    struct buf labels = BUF_INIT(16 * 1024);

    for (size_t i = 0; i < p->labels.n; i++)
        buf_printf(&labels, "%s%.*s=%.*s", i ? "," : "", STR_ARG(p->labels.v[i].name), STR_ARG(p->labels.v[i].value));
    pair(w, "--gateway", workload);
    pair(w, "--labels", buf_view(&labels));
    pair(w, "--bind", str_of(p->set->gateway_bind));
    pair(w, "--port-map", str_of(p->set->port_map));
    buf_free(&labels);
}

static void sidecar_words(struct words *w, const struct pod *p, struct str workload)
{
    char address[INET_ADDRSTRLEN], net[64];

    pair(w, "--workload", workload);
    podspec_address(address, 10, p->number);
    pair(w, "--bind", str_of(address));
    podspec_address(address, 11, p->number);
    pair(w, "--app-address", str_of(address));
    snprintf(net, sizeof(net), "127.%u.%u.0/24", 128 + (p->number - 1) / 250, (p->number - 1) % 250 + 1);
    pair(w, "--outbound-net", str_of(net));
    if (p->moved_ports.n)
        pair(w, "--port-map", p->moved_ports);
}

char **podspec_sidecar(struct pod *p)
{
    struct words w = { &p->arena, arena_array(&p->arena, MOST_WORDS + 1, sizeof(char *)), 0, false };
    struct str workload = arena_printf(&p->arena, "%.*s.%.*s", STR_ARG(p->deployment), STR_ARG(p->ns));
    char admin[INET_ADDRSTRLEN];

    if (!w.v || !workload.p)
        return NULL;
    podspec_address(admin, 11, p->number);
    word(&w, arena_printf(&p->arena, "%s/vigla-proxy", p->set->bin));
    if (p->image->gateway)
        gateway_words(&w, p, workload);
    else
        sidecar_words(&w, p, workload);
    pair(&w, "--pod", p->name);
    pair(&w, "--admin", arena_printf(&p->arena, "%s:15000", admin));
    pair(&w, "--control", str_of(p->set->server));
    pair(&w, "--telemetry", str_of(p->set->server));
    pair(&w, "--cache", arena_printf(&p->arena, "%s/pods/%.*s/config.cache", p->set->state, STR_ARG(p->name)));
    pair(&w, "--access-log", arena_printf(&p->arena, "%s/pods/%.*s/access.log", p->set->state, STR_ARG(p->name)));
    pair(&w, "--threads", STR("1"));
    return w.failed ? NULL : w.v;
}
